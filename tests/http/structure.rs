//! Structured input over HTTP on the real model: sections, tags, JSON, messages.

use serde_json::{Value, json};

use crate::support::{Answer, Running, serve_with_model};

const STORY: &str = "The survey ship Marigold left Bergen on 3 May 1911 with a crew of nineteen. Her captain, Ada \
    Thorsen, had orders to sound the fjord north of the light. It was a calm and rather ordinary morning, as the \
    cook noted in his diary, and nobody expected the fog that came down before noon.";
const LOG: &str = "The engine was stopped at 11:40, and for the next two hours they drifted. When the fog lifted they \
    saw that the current had carried them four miles to the east, past a reef that no chart of that time had shown.";

#[track_caller]
fn compress(service: &Running, request: &Value) -> Answer {
    let answer = service.post("/v1/compress", &request.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    let usage = &answer.body["usage"];
    assert!(usage["compressed_tokens"].as_u64() <= usage["requested_tokens"].as_u64(), "{usage}");
    answer
}

#[track_caller]
fn refused(service: &Running, request: &Value, code: &str) {
    let answer = service.post("/v1/compress", &request.to_string());
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    assert_eq!(answer.body["error"]["code"], code, "{}", answer.body);
}

#[test]
fn sections_and_tags_have_rates_of_their_own() {
    let service = serve_with_model("");
    let sections = json!({"rate": 0.7, "sections": [
        {"text": "Keep every word of this. ", "compress": false}, {"text": STORY, "rate": 0.3}, {"text": LOG},
    ]});
    let answer = compress(&service, &sections);
    let prompt = answer.body["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("Keep every word of this. "), "{prompt}");
    let tagged = format!(
        "<llmlingua, compress=False>Keep every word of this. </llmlingua><llmlingua, rate=0.3>{STORY}</llmlingua>{LOG}"
    );
    let by_tags = compress(
        &service,
        &json!({"rate": 0.7, "context": tagged, "tags": true, "return": ["ranges", "words"]}),
    );
    assert_eq!(by_tags.body["prompt"], answer.body["prompt"]);
    // Ranges are those of the text as it was sent, tags and all.
    let kept: Vec<[usize; 2]> = serde_json::from_value(by_tags.body["documents"][0]["kept"].clone()).unwrap();
    assert_eq!(kept.iter().map(|&[start, end]| &tagged[start..end]).collect::<String>(), prompt);
    for word in by_tags.body["documents"][0]["words"].as_array().unwrap() {
        let [start, end]: [usize; 2] = serde_json::from_value(word["range"].clone()).unwrap();
        assert!(!tagged[start..end].trim().is_empty());
    }
    // Where every part has its own, no other rate is needed.
    let parts = tagged.strip_suffix(LOG).unwrap();
    let answer = compress(&service, &json!({"context": format!("{parts}\n"), "tags": true}));
    assert!(answer.body["usage"]["rate"].as_f64().unwrap() < 0.5, "{}", answer.body);
    assert!(answer.body["prompt"].as_str().unwrap().starts_with("Keep every word of this. "));
    refused(&service, &json!({"context": tagged, "tags": true}), "missing_target");
    let documents = json!({"documents": [{"text": STORY, "rate": 0.5}, {"text": LOG, "compress": false}]});
    assert_eq!(compress(&service, &documents).body["documents"][1]["text"], LOG);
    // A document by itself can be kept whole too.
    let documents = json!({"rate": 0.7, "documents": [{"text": LOG, "compress": false}, {"text": STORY}]});
    assert_eq!(compress(&service, &documents).body["documents"][0]["text"], LOG);
    refused(
        &service,
        &json!({"rate": 0.5, "tags": true, "context": "<llmlingua>never closed"}),
        "invalid_tags",
    );
    refused(&service, &json!({"rate": 0.5, "context": "a", "sections": []}), "ambiguous_input");
    refused(&service, &json!({"rate": 0.5, "sections": [{"text": "a b", "rate": 1.5}]}), "invalid_rate");
    refused(&service, &json!({"rate": 0.5, "sections": []}), "empty_input");
}

#[test]
fn json_stays_json_of_the_same_types() {
    let service = serve_with_model("");
    let text = format!(
        "{{\"id\": \"ab-1\", \"n\": 987654, \"pi\": 3.14159265358979, \"e\": 1e5, \"ok\": true, \"none\": null,\n \
         \"body\": {}, \"notes\": [{}, \"<b>\"], \"old\": \"nothing much here\", \"n\": 2}}",
        json!(STORY.replace("Marigold", "\"Mari\\gold\"\n\t")),
        json!(LOG)
    );
    for (rate, keys) in [
        (0.75, json!({})),
        (0.7, json!({"body": {"rate": 0.4}, "notes": {}})),
        (0.7, json!({"*": {"removable": true}, "id": {"compress": false}})),
    ] {
        let answer = compress(&service, &json!({"rate": rate, "json": {"text": text, "keys": keys}}));
        let result = answer.body["prompt"].as_str().unwrap();
        let parsed: Value = serde_json::from_str(result).unwrap();
        let given: Value = serde_json::from_str(&text).unwrap();
        for literal in ["987654", "3.14159265358979", "1e5", "true", "null"] {
            assert!(result.contains(literal), "{literal}: {result}");
        }
        if keys.get("id").is_some() || keys.get("body").is_some() {
            assert_eq!(parsed["id"], "ab-1");
        }
        assert!(
            parsed["body"].as_str().is_some_and(|body| body.len() < given["body"].as_str().unwrap().len())
        );
        let kept: Vec<[usize; 2]> =
            serde_json::from_value(answer.body["documents"][0]["kept"].clone()).unwrap();
        assert_eq!(kept.iter().map(|&[start, end]| &text[start..end]).collect::<String>(), result);
    }
    // A question chooses what stays.
    let asked = json!({"rate": 0.7, "question": "Who was the captain?", "json": {"text": text, "keys": {"body": {}, "notes": {}}}});
    let answer = compress(&service, &asked);
    assert!(answer.body["prompt"].as_str().unwrap().contains("Ada Thorsen"), "{}", answer.body["prompt"]);
    refused(&service, &json!({"rate": 0.5, "json": {"text": "{\"a\": "}}), "invalid_json_text");
    refused(&service, &json!({"rate": 0.5, "json": {"text": "[1, 2]"}}), "empty_input");
    refused(&service, &json!({"target_tokens": 20, "json": {"text": text}}), "budget_infeasible");
    let deep = format!("{}\"deep down a few words\"{}", "[".repeat(10_000), "]".repeat(10_000));
    compress(&service, &json!({"rate": 0.999_9, "json": {"text": deep}}));
}

#[test]
fn messages_lose_words_of_their_texts_and_nothing_else() {
    let service = serve_with_model("");
    let messages = json!([
        {"role": "system", "content": "You answer in one word."},
        {"role": "user", "content": [
            {"type": "text", "text": STORY}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        ]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": \"the log\"}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": LOG},
        {"role": "user", "content": "Who was the captain?"},
    ]);
    let answer = compress(&service, &json!({"rate": 0.6, "messages": messages}));
    let mut result = answer.body["messages"].clone();
    let text = result[1]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.len() < STORY.len() && text.contains("Thorsen"), "{text}");
    assert!(result[3]["content"].as_str().unwrap().len() < LOG.len());
    result[1]["content"][0]["text"] = STORY.into();
    result[3]["content"] = LOG.into();
    assert_eq!(result, messages);
    let system = compress(
        &service,
        &json!({"rate": 0.8, "messages": messages, "roles": ["system", "tool"], "question": "?"}),
    );
    assert_eq!(system.body["messages"][1], messages[1]);
    refused(&service, &json!({"rate": 0.5, "messages": ["hello"]}), "invalid_messages");
}
