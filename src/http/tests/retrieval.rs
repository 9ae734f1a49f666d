//! The routes of collections, over an engine of small models: names, ids and bodies arrive as they were sent.

use super::*;

pub(super) fn send(method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => {
            request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        }
    }
}

/// The body of an answer that is a success.
pub(super) async fn fine(engine: &Arc<Engine>, request: Request<Body>) -> Value {
    let answer = call(state(engine), request).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer.body
}

/// An engine with a collection `a` of two documents.
async fn with_documents() -> Arc<Engine> {
    let engine = engine();
    fine(&engine, send("PUT", "/v1/collections/a", Some(&json!({"chunking": {"tokens": 99}})))).await;
    let documents = json!({"documents": [{"id": "bread", "text": "bread and butter"},
        {"id": "x/y z", "title": "The wall", "text": "the old sea wall", "metadata": {"y": 1}, "layout": "markdown"}]});
    let stored = fine(&engine, send("POST", "/v1/collections/a/documents", Some(&documents))).await;
    assert_eq!(stored["ids"], json!(["bread", "x/y z"]));
    engine
}

#[tokio::test]
async fn collections_are_made_listed_and_removed_by_their_names() {
    let engine = engine();
    for (body, status) in [(json!({}), 201), (json!({}), 200), (json!({"chunking": {"tokens": 99}}), 409)] {
        let answer = call(state(&engine), send("PUT", "/v1/collections/a-b", Some(&body))).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
    let outside = send("PUT", "/v1/collections/%2e%2e%2fa", Some(&json!({})));
    call(state(&engine), outside).await.error(400, "invalid_name", Some("name"));
    let found = fine(&engine, send("GET", "/v1/collections/a-b", None)).await;
    assert_eq!((&found["name"], &found["chunking"]["tokens"]), (&"a-b".into(), &220.into()));
    let list = fine(&engine, send("GET", "/v1/collections", None)).await;
    assert_eq!(list["collections"].as_array().unwrap().len(), 1);
    let gone = call(state(&engine), send("DELETE", "/v1/collections/a-b", None)).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));
    let missing = call(state(&engine), send("GET", "/v1/collections/a-b", None)).await;
    missing.error(404, "collection_not_found", Some("name"));
    assert_eq!(fine(&engine, send("GET", "/v1/collections", None)).await, json!({"collections": []}));
}

#[tokio::test]
async fn documents_are_found_and_removed_by_their_ids() {
    let engine = with_documents().await;
    let first = fine(&engine, send("GET", "/v1/collections/a/documents?limit=1", None)).await;
    assert_eq!(
        (&first["documents"][0]["id"], first["documents"].as_array().unwrap().len()),
        (&"bread".into(), 1)
    );
    let rest = format!("/v1/collections/a/documents?from={}&limit=5", first["next"]);
    assert_eq!(fine(&engine, send("GET", &rest, None)).await["documents"][0]["id"], "x/y z");
    for path in ["x%2Fy%20z", "x/y%20z"] {
        let document = fine(&engine, send("GET", &format!("/v1/collections/a/documents/{path}"), None)).await;
        assert_eq!((&document["title"], &document["metadata"]), (&"The wall".into(), &json!({"y": 1})));
    }
    let deleted = fine(&engine, send("DELETE", "/v1/collections/a/documents/x/y%20z", None)).await;
    assert_eq!(deleted["deleted"], 1);
    let again = call(state(&engine), send("DELETE", "/v1/collections/a/documents/x/y%20z", None)).await;
    again.error(404, "document_not_found", Some("id"));
    let ids = json!({"ids": ["bread", "x"]});
    assert_eq!(fine(&engine, send("POST", "/v1/collections/a/delete", Some(&ids))).await["deleted"], 1);
}

#[tokio::test]
async fn searches_and_prompts_take_what_was_sent() {
    let engine = with_documents().await;
    for (search, ids) in [
        (json!({"query": "wall of the sea"}), vec!["x/y z"]),
        (json!({"query": "bread and butter", "mode": "dense", "top_k": 1}), vec!["bread"]),
        (json!({"query": "butter", "mode": "lexical"}), vec!["bread"]),
        (json!({"query": "bread", "mode": "dense", "filter": {"field": "y", "eq": 1}}), vec!["x/y z"]),
    ] {
        let found = fine(&engine, send("POST", "/v1/collections/a/search", Some(&search))).await;
        let found = found["results"].as_array().unwrap();
        assert_eq!(
            found.iter().map(|result| &result["document_id"]).collect::<Vec<_>>()[..ids.len()],
            ids,
            "{search}"
        );
    }
    let body = json!({"input": "a", "encoding_format": "base64"});
    let vectors = fine(&engine, send("POST", "/v1/embeddings", Some(&body))).await;
    assert!(vectors["data"][0]["embedding"].is_string());
    let body = json!({"query": "sea", "documents": ["bread", {"text": "the sea"}]});
    let ranked = fine(&engine, send("POST", "/v1/rerank", Some(&body))).await;
    assert_eq!((&ranked["results"][0]["index"], &ranked["usage"]["prompt_tokens"]), (&1.into(), &4.into()));
    let body =
        json!({"question": "sea wall", "collections": ["a"], "target_tokens": 400, "format": "messages"});
    let prompt = fine(&engine, send("POST", "/v1/prompt", Some(&body))).await;
    assert!(prompt["messages"].is_array() && prompt["ledger"]["requested_tokens"] == 400, "{prompt}");
    let body = json!({"question": "q", "collections": ["a", "b"], "target_tokens": 400});
    let missing = call(state(&engine), send("POST", "/v1/prompt", Some(&body))).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.body["error"]["code"]),
        (404, &"collection_not_found".into())
    );
}

#[tokio::test]
async fn lines_are_told_from_json_by_their_type() {
    let engine = with_documents().await;
    let lines = "{\"text\": \"a\"}\noops";
    let sent = |media_type: &str, query: &str| {
        let request = Request::post(format!("/v1/collections/a/documents{query}"));
        request.header("content-type", media_type).body(Body::from(lines)).unwrap()
    };
    let refused = call(state(&engine), sent("application/x-ndjson", "")).await;
    assert!(refused.error(400, "invalid_document", Some("documents")).contains("line 2"));
    let stored = fine(&engine, sent("Application/JSONL; charset=utf-8", "?on_bad=skip&score=true")).await;
    assert_eq!(
        (stored["bad"][0]["line"].as_u64(), stored["scored"].as_u64()),
        (Some(2), Some(1)),
        "{stored}"
    );
    for (path, media_type, status, code, param) in [
        ("/v1/collections/a/documents", "text/plain", 415, "unsupported_media_type", Some("content-type")),
        (
            "/v1/collections/a/search",
            "application/x-ndjson",
            415,
            "unsupported_media_type",
            Some("content-type"),
        ),
        ("/v1/collections/a/documents?on_bad=skip", "application/json", 400, "invalid_query", None),
        ("/v1/collections/a/documents?on_bad=keep", "application/x-ndjson", 400, "invalid_query", None),
        ("/v1/collections/a/documents?bad=1", "application/x-ndjson", 400, "invalid_query", None),
    ] {
        let request = Request::post(path).header("content-type", media_type).body(Body::from("{}")).unwrap();
        call(state(&engine), request).await.error(status, code, param);
    }
}

/// A file as the body of a PUT.
fn file(path_and_query: &str, media_type: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::put(format!("/v1/collections/a/documents/{path_and_query}"));
    request.header("content-type", media_type).body(body.into()).unwrap()
}

#[tokio::test]
async fn files_are_told_by_their_type() {
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let engine = with_documents().await;
    for (path, id, media_type, title) in [
        ("f", "f", "text/plain", Value::Null),
        ("f/g.md", "f/g.md", "text/markdown; charset=UTF-8", Value::Null),
        ("f%2Fh?score=true&title=a%20b", "f/h", "Text/Plain;charset=\"us-ascii\"", "a b".into()),
    ] {
        let stored = fine(&engine, file(path, media_type, "\x7f \n.")).await;
        assert_eq!(stored["ids"], json!([id]), "{stored}");
        let found = fine(&engine, send("GET", &format!("/v1/collections/a/documents/{id}"), None)).await;
        assert_eq!((&found["text"], &found["title"]), (&"\x7f \n.".into(), &title));
    }
    let metadata = fine(&engine, file("m?metadata=%7B%22y%22:1%7D", "text/plain", "a")).await;
    assert_eq!(metadata["ids"], json!(["m"]));
    let found = fine(&engine, send("GET", "/v1/collections/a/documents/m", None)).await;
    assert_eq!(found["metadata"], json!({"y": 1}));
    for (path, media_type, body, status, code, param) in [
        ("x", "image/png", "a", 415, "unsupported_media_type", Some("content-type")),
        ("x", "application/json", "{}", 415, "unsupported_media_type", Some("content-type")),
        ("x", "text/plain; charset=utf-16le", "a", 415, "unsupported_charset", Some("content-type")),
        ("x", "text/html; v=1; Charset=latin1", "a", 415, "unsupported_charset", Some("content-type")),
        ("x", "text/plain", "", 400, "empty_body", None),
        ("x?metadata=%5B%5D", "text/plain", "a", 400, "invalid_query", Some("metadata")),
        ("x?metadata=", "text/plain", "a", 400, "invalid_query", Some("metadata")),
        ("x?layout=plain", "text/plain", "a", 400, "invalid_query", None),
        ("x?score=maybe", "text/plain", "a", 400, "invalid_query", None),
    ] {
        call(state(&engine), file(path, media_type, body)).await.error(status, code, param);
    }
    let message =
        call(state(&engine), file("x", "image/png", "a")).await.body["error"]["message"].to_string();
    for media_type in ["text/plain", "text/markdown", "text/html", "application/pdf", DOCX] {
        assert!(message.contains(&format!("`Content-Type: {media_type}`")), "{message}");
    }
    // A browser sends text in the form of a POST without asking: only PUT takes it.
    let posted = Request::post("/v1/collections/a/documents").header("content-type", "text/plain");
    let posted = call(state(&engine), posted.body(Body::from("a")).unwrap()).await;
    posted.error(415, "unsupported_media_type", Some("content-type"));
    let limits = Limits { body_bytes: 10, ..Limits::default() };
    let large = file("x", "text/plain", "a".repeat(11));
    call(AppState::new(engine, limits), large).await.error(413, "body_too_large", None);
}

fn restore(name: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(format!("/v1/collections/{name}/restore"));
    request.header("content-type", "application/octet-stream").body(body.into()).unwrap()
}

#[tokio::test]
async fn large_bodies_come_and_go_by_way_of_files() {
    let engine = with_documents().await;
    // More than is sent at once.
    let text = "a word ".repeat(160_000);
    let long = json!({"documents": [{"id": "long", "text": text}]});
    fine(&engine, send("POST", "/v1/collections/a/documents", Some(&long))).await;
    let bytes = async |request: Request<Body>| {
        let response = router(Arc::new(state(&engine))).oneshot(request).await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 200);
        (kind, response.into_body().collect().await.unwrap().to_bytes())
    };
    let (kind, exported) = bytes(get("/v1/collections/a/export")).await;
    assert_eq!((&*kind, String::from_utf8_lossy(&exported).lines().count()), ("application/x-ndjson", 3));
    assert!(exported.len() > text.len());
    let none = Request::post("/v1/collections/a/snapshot").body(Body::empty()).unwrap();
    let (kind, snapshot) = bytes(none).await;
    assert_eq!(kind, "application/octet-stream");
    let size = snapshot.len() as u64;
    let sent = |name: &str, limit: u64| {
        let limits = Limits { body_bytes: 10, snapshot_bytes: limit, ..Limits::default() };
        call(AppState::new(Arc::clone(&engine), limits), restore(name, snapshot.clone()))
    };
    let message = sent("b", size - 1).await.error(413, "body_too_large", None);
    assert!(message.contains("limits.snapshot_bytes"), "{message}");
    assert_eq!(sent("b", size).await.status, 201);
    sent("b", size).await.error(409, "collection_exists", Some("name"));
    let document = fine(&engine, send("GET", "/v1/collections/b/documents/bread", None)).await;
    assert_eq!(document["text"], "bread and butter");
    let json = post("/v1/collections/c/restore", "{}");
    call(state(&engine), json).await.error(415, "unsupported_media_type", Some("content-type"));
}

#[tokio::test]
async fn what_is_malformed_is_turned_away_with_its_place() {
    let bad_filter = json!({"query": "q", "filter": {"field": "y"}});
    for (method, path, body, code, param) in [
        ("POST", "/v1/collections/a/search", Some(json!({"query": "q", "k": 3})), "unknown_field", Some("k")),
        ("POST", "/v1/collections/a/search", Some(bad_filter), "invalid_field", Some("filter")),
        (
            "POST",
            "/v1/collections/a/search",
            Some(json!({"query": "q", "mode": "x"})),
            "invalid_field",
            Some("mode"),
        ),
        (
            "POST",
            "/v1/collections/a/documents",
            Some(json!({"documents": [{"id": "x"}]})),
            "invalid_field",
            Some("documents[0]"),
        ),
        ("POST", "/v1/embeddings", Some(json!({"input": 5})), "invalid_field", Some("input")),
        ("GET", "/v1/collections/a/documents?limit=many", None, "invalid_query", None),
        ("GET", "/v1/collections/%ff", None, "invalid_path", None),
    ] {
        let answer = call(state(&engine()), send(method, path, body.as_ref())).await;
        answer.error(400, code, param);
    }
    let answer = call(state(&engine()), send("PUT", "/v1/collections/a", None)).await;
    answer.error(415, "unsupported_media_type", Some("content-type"));
}
