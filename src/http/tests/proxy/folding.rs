//! What becomes of tools' results.

#![expect(clippy::format_collect, reason = "tests build their texts line by line")]

use super::*;

/// The defaults, in front of both dialects.
pub(super) const DEFAULT: &str = "\
    [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n\
    [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nretries = 0\n";

pub(super) fn file() -> String {
    (0..60).map(|n| format!("let value_{n} = compute(input[{n}]);\n")).collect()
}

/// The messages of an agent that reads one file so often, of which only the last one is marked.
fn reads(times: usize, marked: bool) -> Value {
    let mut messages =
        vec![serde_json::json!({"role": "user", "content": [{"type": "text", "text": "Find the fault."}]})];
    for time in 0..times {
        let id = format!("toolu_{time}");
        let call = serde_json::json!({"type": "tool_use", "id": id, "name": "Read", "input": {"file_path": "/src/a.rs"}});
        messages.push(serde_json::json!({"role": "assistant", "content": [call]}));
        let mut result = serde_json::json!({"type": "tool_result", "tool_use_id": id, "content": file()});
        if marked && time + 1 == times {
            result["cache_control"] = serde_json::json!({"type": "ephemeral"});
        }
        messages.push(serde_json::json!({"role": "user", "content": [result]}));
    }
    serde_json::json!({"messages": messages, "max_tokens": 9, "model": "claude-sonnet-4-5"})
}

fn results(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap();
    let blocks = body["messages"].as_array().unwrap().iter().flat_map(|m| m["content"].as_array().unwrap());
    blocks.filter_map(|block| Some(block.get("content")?.as_str()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_read_again_becomes_a_mark_and_stays_one() {
    const MARK: &str = "[60 lines left out: 1-60, the same as in the result of Read /src/a.rs above]\n";
    let mut proxy = Proxy::with(DEFAULT).await;
    for marked in [false, true] {
        let mut earlier = String::new();
        for times in 1..=4 {
            if times == 3 {
                proxy = proxy.restarted_as(DEFAULT).await;
            }
            let (seen, status) = proxy.forwarded("/v1/messages", &reads(times, marked).to_string()).await;
            assert_eq!(status, if times == 1 { "unchanged" } else { "compressed" });
            let results = results(seen.text());
            assert_eq!(results[0], file());
            assert!(results[1..].iter().all(|result| result == MARK), "{results:?}");
            let sent = seen.text().replace(r#""cache_control":{"type":"ephemeral"},"#, "");
            let prefix = sent
                .split("],\"model\"")
                .next()
                .unwrap()
                .split("],\"max_tokens\"")
                .next()
                .unwrap()
                .to_owned();
            assert!(prefix.starts_with(&earlier), "{times}");
            earlier = prefix;
        }
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_without_the_first_reading_gets_the_text_whole() {
    let proxy = Proxy::with(DEFAULT).await;
    let mut body = reads(2, false);
    proxy.forwarded("/v1/messages", &body.to_string()).await;
    body["messages"].as_array_mut().unwrap().drain(1..3);
    let (seen, status) = proxy.forwarded("/v1/messages", &body.to_string()).await;
    assert_eq!((results(seen.text()), status.as_str()), (vec![file()], "unchanged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_upstream_refuses_folded_goes_on_whole() {
    let proxy = Proxy::with(DEFAULT).await;
    let body = reads(2, false).to_string();
    proxy.upstream.will([json(400, "{}"), json(200, "{}")]);
    let response = proxy.post("/v1/messages", body.clone()).send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "original; reason=refused");
    let seen = proxy.upstream.seen();
    assert_eq!((seen.len(), seen[1].text()), (2, &*body));
    let (seen, status) = proxy.forwarded("/v1/messages", &body).await;
    assert_eq!((seen.text(), status.as_str()), (&*body, "original; reason=remembered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_can_be_kept() {
    let proxy = Proxy::with(&format!("[proxy.compress]\ntool_results = 'keep'\n{DEFAULT}")).await;
    let body = reads(3, false).to_string();
    let (seen, status) = proxy.forwarded("/v1/messages", &body).await;
    assert_eq!((seen.text(), status.as_str()), (&*body, "unchanged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_says_what_each_rule_saved() {
    let proxy = Proxy::with(
        &DEFAULT.replace("retries = 0", "retries = 0\nprices = [{model = '*', input = 3.0, output = 15.0}]"),
    )
    .await;
    for times in 1..=3 {
        proxy.forwarded("/v1/messages", &reads(times, false).to_string()).await;
    }
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage").send().await.unwrap();
    let usage = body_of(usage).await;
    let lines = usage["folding"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let spared = |numbers: &Value| {
        numbers["text_tokens_before"].as_u64().unwrap() - numbers["text_tokens_after"].as_u64().unwrap()
    };
    assert_eq!(
        (&lines[0]["rule"], &lines[0]["kind"], &lines[0]["requests"]),
        (&"repeats".into(), &"code".into(), &2.into())
    );
    assert_eq!(lines[0]["saved_tokens"], spared(&usage["total"]));
    assert!(
        (lines[0]["saving_usd"].as_f64().unwrap() - usage["total"]["saving_usd"].as_f64().unwrap()).abs()
            < 1e-12
    );
    assert!(lines[0]["saving_usd"].as_f64().unwrap() > 0.0);
}

/// Writes a conversation in the form of chat completions.
fn chat(body: &Value) -> Value {
    let blocks = |message: &Value| message["content"].as_array().unwrap().clone();
    let mut messages = Vec::new();
    for message in body["messages"].as_array().unwrap() {
        for block in blocks(message) {
            messages.push(match block["type"].as_str().unwrap() {
                "tool_use" => serde_json::json!({"role": "assistant", "content": null, "tool_calls": [{"id": block["id"],
                    "type": "function", "function": {"name": block["name"], "arguments": block["input"].to_string()}}]}),
                "tool_result" => {
                    serde_json::json!({"role": "tool", "tool_call_id": block["tool_use_id"], "content": block["content"]})
                }
                _ => serde_json::json!({"role": "user", "content": block["text"]}),
            });
        }
    }
    serde_json::json!({"model": "gpt-4o", "messages": messages})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_results_of_an_unknown_conversation_stay_as_they_came() {
    let whole = |seen: &str| {
        let body: Value = serde_json::from_str(seen).unwrap();
        let messages = body["messages"].as_array().unwrap().clone();
        let text = |message: &Value| {
            let tool = message["role"] == "tool";
            let content = if tool { &message["content"] } else { &message["content"][0]["content"] };
            content
                .as_str()
                .filter(|text| *text == file() || text.starts_with('['))
                .map(|text| text == file())
        };
        messages.iter().filter_map(text).collect::<Vec<_>>()
    };
    for (path, form) in
        [("/v1/messages", (|body| body) as fn(Value) -> Value), ("/v1/chat/completions", |body| chat(&body))]
    {
        let mut proxy = Proxy::with(DEFAULT).await;
        // The first three readings went to the provider on another way.
        for (times, expected) in [(4, "1110"), (5, "11100"), (6, "111000")] {
            if times == 6 {
                proxy = proxy.restarted_as(DEFAULT).await;
            }
            let (seen, _) = proxy.forwarded(path, &form(reads(times, false)).to_string()).await;
            let found: String =
                whole(seen.text()).iter().map(|whole| if *whole { '1' } else { '0' }).collect();
            assert_eq!(found, expected, "{path} {times}");
        }
        // Another conversation has the same results, but this service knows nothing of it.
        let mut other = reads(5, false);
        other["messages"][0]["content"][0]["text"] = "Something else.".into();
        let (seen, _) = proxy.forwarded(path, &form(other).to_string()).await;
        assert_eq!(whole(seen.text()), [true, true, true, true, false], "{path}");
        // One that moves to another model keeps what was decided.
        let mut moved = form(reads(7, false));
        moved["model"] = "another-model".into();
        let (seen, _) = proxy.forwarded(path, &moved.to_string()).await;
        assert_eq!(whole(seen.text()), [true, true, true, false, false, false, false], "{path}");
    }
}
