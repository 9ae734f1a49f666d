//! Collections, vectors and rankings over HTTP, on the real embedder.

use serde_json::{Value, json};

use crate::support::{Answer, Running, SERVE, Whittle, delete, serve};

pub(crate) fn put(service: &Running, path: &str, body: &Value) -> Answer {
    service.send(|client, base| {
        let request = client.put(format!("{base}{path}"));
        request.header("content-type", "application/json").body(body.to_string())
    })
}

pub(crate) fn post(service: &Running, path: &str, body: &Value) -> Answer {
    service.post(path, &body.to_string())
}

#[test]
fn documents_are_stored_found_and_removed() {
    let service = serve("");
    let made = put(&service, "/v1/collections/town", &json!({"chunking": {"tokens": 64, "overlap": 8}}));
    assert_eq!((made.status, &made.body["dimensions"]), (201, &json!(384)), "{}", made.body);
    assert_eq!(
        put(&service, "/v1/collections/town", &json!({"chunking": {"tokens": 64, "overlap": 8}})).status,
        200
    );
    let other = put(&service, "/v1/collections/town", &json!({}));
    assert_eq!((other.status, &other.body["error"]["code"]), (409, &"collection_exists".into()));
    let documents = json!({"documents": [
        {"id": "a/b", "title": "Harbour Street", "text": "The bridge was opened on 3 May 1987. Größe: 12 m.",
            "metadata": {"year": 1987}},
        {"id": "c", "text": "The town has two libraries.", "metadata": {"year": 2020}},
        {"text": "The mill was sold."}]});
    let stored = post(&service, "/v1/collections/town/documents", &documents);
    assert_eq!(
        (stored.status, &stored.body["added"], &stored.body["ids"][0]),
        (200, &json!(3), &json!("a/b"))
    );
    let again = post(&service, "/v1/collections/town/documents", &documents);
    assert_eq!((&again.body["unchanged"], &again.body["ids"]), (&json!(3), &stored.body["ids"]));
    let twice = json!({"documents": [{"text": "The mill was sold."}, {"text": "The mill was sold."}]});
    let twice = post(&service, "/v1/collections/town/documents", &twice);
    assert_eq!((&twice.body["unchanged"], &twice.body["ids"]), (&json!(1), &json!([stored.body["ids"][2]])));

    let found =
        post(&service, "/v1/collections/town/search", &json!({"query": "when was it opened?", "top_k": 2}));
    let first = &found.body["results"][0];
    assert_eq!((&first["document_id"], &first["chunk_id"]), (&json!("a/b"), &json!("a/b#0")));
    assert_eq!((&first["title"], &first["range"]), (&json!("Harbour Street"), &json!([0, 51])));
    assert!(first["scores"]["dense"].as_f64().unwrap() > 0.3 && first["scores"]["lexical"].is_number());
    let query = json!({"query": "when was it opened?", "top_k": 2, "rerank": 3});
    let reranked = post(&service, "/v1/collections/town/search", &query);
    let worth: Vec<f64> = reranked.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["scores"]["rerank"].as_f64().unwrap())
        .collect();
    assert!(worth.len() == 2 && worth[0] >= worth[1] && reranked.body["results"][0]["document_id"] == "a/b");
    let late =
        json!({"query": "a question that nobody has asked before", "rerank": 3, "rerank_deadline_ms": 0});
    let late = post(&service, "/v1/collections/town/search", &late);
    assert_eq!((late.status, &late.body["warnings"][0]["code"]), (200, &"rerank_late".into()));
    let filtered =
        json!({"query": "bridge", "filter": {"not": {"field": "year", "lt": 2000}}, "mode": "dense"});
    let found = post(&service, "/v1/collections/town/search", &filtered);
    assert_eq!(found.body["results"].as_array().unwrap().len(), 2);
    let unknown = json!({"query": "bridge", "filter": {"field": "yaer", "eq": 1}});
    let found = post(&service, "/v1/collections/town/search", &unknown);
    assert_eq!((found.status, &found.body["warnings"][0]["code"]), (200, &"unknown_field".into()));

    assert_eq!(service.get("/v1/collections/town/documents/a%2Fb").body["metadata"]["year"], 1987);
    let page = service.get("/v1/collections/town/documents?limit=2").body;
    assert_eq!(page["documents"].as_array().unwrap().len(), 2);
    let rest = service.get(&format!("/v1/collections/town/documents?from={}", page["next"])).body;
    assert_eq!((rest["documents"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));

    assert_eq!(delete(&service, "/v1/collections/town/documents/a%2Fb"), 200);
    assert_eq!(delete(&service, "/v1/collections/town/documents/a%2Fb"), 404);
    let misspelt = json!({"filter": {"not": {"field": "yaer", "eq": 2020}}});
    let refused = post(&service, "/v1/collections/town/delete", &misspelt);
    assert_eq!(
        (refused.status, &refused.body["error"]["code"]),
        (400, &"unknown_field".into()),
        "{}",
        refused.body
    );
    let none =
        post(&service, "/v1/collections/town/delete", &json!({"filter": {"field": "yaer", "eq": 2020}}));
    assert_eq!(
        (&none.body["deleted"], &none.body["warnings"][0]["code"]),
        (&json!(0), &"unknown_field".into())
    );
    let gone =
        post(&service, "/v1/collections/town/delete", &json!({"filter": {"field": "year", "exists": true}}));
    assert_eq!((&gone.body["deleted"], &gone.body["warnings"]), (&json!(1), &Value::Null));
    // No document has the field any more: this would be all that is left.
    let left = json!({"filter": {"field": "year", "exists": false}});
    assert_eq!(post(&service, "/v1/collections/town/delete", &left).status, 400);
    let both = post(&service, "/v1/collections/town/delete", &json!({}));
    assert_eq!((both.status, &both.body["error"]["code"]), (400, &"ambiguous_deletion".into()));
    let info = &service.get("/v1/collections").body["collections"][0];
    assert_eq!((&info["documents"], &info["index"]["lexical"]), (&json!(1), &json!(1)));
    assert_eq!(delete(&service, "/v1/collections/town"), 204);
    assert_eq!(service.get("/v1/collections/town").status, 404);
}

#[test]
fn what_cannot_be_stored_stores_nothing() {
    let service = serve("[limits]\ndocuments = 3");
    put(&service, "/v1/collections/c", &json!({}));
    let good = json!({"id": "x", "text": "good"});
    for (documents, status, code) in [
        (json!([good, {"id": "x", "text": "again"}]), 400, "duplicate_document_id"),
        (json!([good, {"id": "y", "text": " \n"}]), 400, "empty_document"),
        (json!([good, {"id": "y".repeat(600), "text": "a"}]), 400, "invalid_document"),
        (json!([]), 400, "empty_input"),
        (json!([good, good, good, good]), 413, "too_many_documents"),
    ] {
        let answer = post(&service, "/v1/collections/c/documents", &json!({"documents": documents}));
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
    }
    assert_eq!(service.get("/v1/collections/c").body["documents"], 0);
    let nowhere = post(&service, "/v1/collections/d/documents", &json!({"documents": [good]}));
    assert_eq!((nowhere.status, &nowhere.body["error"]["code"]), (404, &"collection_not_found".into()));
    let bad = put(&service, "/v1/collections/..%2Fc", &json!({}));
    assert_eq!((bad.status, &bad.body["error"]["code"]), (400, &"invalid_name".into()));
}

/// Sends JSONL to the documents of `c`.
pub(crate) fn post_lines(service: &Running, query: &str, lines: impl Into<Vec<u8>>) -> Answer {
    service.send(|client, base| {
        let request = client.post(format!("{base}/v1/collections/c/documents{query}"));
        request.header("content-type", "application/x-ndjson").body(lines.into())
    })
}

#[test]
fn lines_are_stored_or_named_by_their_numbers() {
    let service = serve("[limits]\ndocuments = 300");
    put(&service, "/v1/collections/c", &json!({}));
    let documents = || service.get("/v1/collections/c").body["documents"].clone();
    let lines = "{\"id\": \"x\", \"text\": \"good\"}\n\n{\"id\": \"y\"}\r\n{\"id\": \"x\", \"text\": \"again\"}\n{\"text\": \"last\"}";
    let refused = post_lines(&service, "", lines);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &"invalid_document".into()));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("line 3: missing field `text`") && message.contains("?on_bad=skip"),
        "{message}"
    );
    assert_eq!(documents(), 0, "nothing was stored");
    let skipped = post_lines(&service, "?on_bad=skip", lines).body;
    assert_eq!((&skipped["added"], skipped["ids"].as_array().unwrap().len()), (&json!(2), 2), "{skipped}");
    let bad: Vec<u64> =
        skipped["bad"].as_array().unwrap().iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
    assert_eq!(bad, [3, 4]);
    assert!(skipped["bad"][1]["reason"].as_str().unwrap().contains("the same id `x`"), "{skipped}");
    assert_eq!(service.get("/v1/collections/c/documents/x").body["text"], "good");

    let many: String = (0..300).map(|i| json!({"text": format!("Room {i}.")}).to_string() + "\n").collect();
    let stored = post_lines(&service, "?score=true", &*many).body;
    assert_eq!((&stored["added"], &stored["bad"]), (&json!(300), &Value::Null), "{stored}");
    assert!(stored["timing_ms"]["score"].is_number() && stored["ids"].as_array().unwrap().len() == 300);
    assert_eq!(post_lines(&service, "", &*many).body["unchanged"], 300);
    for (lines, status, code) in [
        (many + "x", 413, "too_many_documents"),
        ("\n \n".into(), 400, "empty_input"),
        (format!("{{\"id\": \"{}\", \"text\": \"a\"}}", "y".repeat(600)), 400, "invalid_document"),
    ] {
        let answer = post_lines(&service, "", lines);
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
    }
    let message = post_lines(&service, "", b"{\"text\": \"\xff\"}").body["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains("line 1: it is not UTF-8"), "{message}");
    assert_eq!(documents(), 302);
    let nowhere = service.send(|client, base| {
        let request = client.post(format!("{base}/v1/collections/d/documents")).body("x");
        request.header("content-type", "application/x-ndjson")
    });
    assert_eq!((nowhere.status, &nowhere.body["error"]["code"]), (404, &"collection_not_found".into()));
}

#[test]
fn a_prompt_is_made_of_what_a_collection_holds() {
    let service = serve("");
    put(&service, "/v1/collections/town", &json!({}));
    let documents = json!({"documents": [{"id": "a", "title": "Harbour Street", "text": "The bridge was opened in 1987."}]});
    post(&service, "/v1/collections/town/documents", &documents);
    let body = json!({"question": "When was the bridge opened?", "collections": ["town"], "target_tokens": 200,
        "format": "messages"});
    let made = post(&service, "/v1/prompt", &body);
    let user = made.body["messages"][1]["content"].as_str().unwrap();
    assert!(user.starts_with("[1] Harbour Street\nThe bridge was opened in 1987.\n\nQuestion:"), "{user}");
    assert_eq!(made.body["citations"][0]["ranges"], json!([[0, 30]]));
    assert_eq!((&made.body["prompt"], &made.body["ledger"]["chosen"]), (&Value::Null, &json!(1)));
    // A service reads no files for its clients.
    let body =
        json!({"question": "q", "collections": ["town"], "target_tokens": 200, "template": "/etc/hosts.j2"});
    let refused = post(&service, "/v1/prompt", &body);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &"unknown_template".into()));
}

#[test]
fn a_second_process_is_refused_the_data() {
    let service = serve("");
    let second = Whittle::beside(std::sync::Arc::clone(&service.folder), SERVE).output();
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{message}");
    assert!(message.contains("is in use by another whittle"), "an empty folder is taken, too: {message}");
    put(&service, "/v1/collections/c", &json!({}));
    let data = service.folder().join("data");
    let data = data.to_str().unwrap();
    for arguments in [&["index", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let output = Whittle::new(arguments, "").env("WHITTLE_DATA_DIR", data).output();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("is in use by another whittle"), "{message}");
    }
    assert_eq!(service.get("/v1/collections/c").status, 200);
}

#[test]
fn vectors_come_in_both_forms() {
    let service = serve("");
    let floats = post(&service, "/v1/embeddings", &json!({"input": ["Hello world", "bridge"]}));
    assert_eq!((floats.status, &floats.body["object"]), (200, &"list".into()), "{}", floats.body);
    let vector = |body: &Value, i: usize| -> Vec<f32> {
        serde_json::from_value(body["data"][i]["embedding"].clone()).unwrap()
    };
    let first = vector(&floats.body, 0);
    let length = first.iter().map(|value| value * value).sum::<f32>();
    assert!(first.len() == 384 && (length - 1.0).abs() < 1e-4);
    assert_eq!(floats.body["usage"]["prompt_tokens"], 3);
    // The ids that OpenAI's clients send for the same text.
    let ids = json!({"input": [[9906, 1917]], "model": "all-minilm-l6-v2", "encoding_format": "base64", "user": "u"});
    let coded = post(&service, "/v1/embeddings", &ids).body;
    let bytes = first.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(coded["data"][0]["embedding"], base64(&bytes));
    for (body, status, code) in [
        (json!({"input": "a", "model": "text-embedding-3-small"}), 404, "model_not_found"),
        (json!({"input": "a", "dimensions": 256}), 400, "unsupported_dimensions"),
        (json!({"input": [4_000_000]}), 400, "invalid_field"),
        (json!({"input": []}), 400, "empty_input"),
    ] {
        let answer = post(&service, "/v1/embeddings", &body);
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
    }
}

/// Written out here, to be independent of what is tested.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert!(bytes.len().is_multiple_of(3), "384 floats need no padding");
    let digits = bytes.chunks_exact(3).flat_map(|three| {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift) as usize & 63]))
    });
    digits.collect()
}

#[test]
fn documents_are_ranked_by_the_query() {
    let service = serve("");
    let body = json!({"query": "When was the bridge opened?", "top_n": 2, "return_documents": true, "documents": [
        "The ferry leaves every twenty minutes.", {"text": "The bridge was opened on 3 May 1987."}, "A mill."]});
    let ranked = post(&service, "/v1/rerank", &body).body;
    let results = ranked["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["index"]), (2, &json!(1)), "{ranked}");
    // Both are objects, the one that was sent as plain text too.
    assert_eq!(results[0]["document"], json!({"text": "The bridge was opened on 3 May 1987."}));
    assert_eq!(
        results[1]["document"],
        json!({"text": body["documents"][results[1]["index"].as_u64().unwrap() as usize]})
    );
    let tokens = &ranked["usage"]["total_tokens"];
    assert!(tokens.as_u64().unwrap() > 20 && ranked["id"].is_string(), "{ranked}");
    let meta =
        json!({"api_version": {"version": "1"}, "tokens": {"input_tokens": tokens, "output_tokens": 0}});
    assert_eq!(ranked["meta"], meta);
    let bare = post(&service, "/v1/rerank", &json!({"query": "bridge", "documents": ["a"]})).body;
    assert!(bare["results"][0].get("document").is_none(), "{bare}");
    let score = |i: usize| results[i]["relevance_score"].as_f64().unwrap();
    assert!(score(0) > score(1) && (0.0..=1.0).contains(&score(0)));
    let empty = post(&service, "/v1/rerank", &json!({"query": " ", "documents": ["a"]}));
    assert_eq!((empty.status, &empty.body["error"]["code"]), (400, &"empty_query".into()));
}
