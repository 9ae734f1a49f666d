//! The routes of collections with a fake behind them: names, ids and bodies arrive as they were sent.

use std::fs::File;
use std::io::{Read, Write};

use serde_json::json;

use super::*;
use crate::engine::ErrorKind;
use crate::engine::collections::api::*;
use crate::engine::embed::*;
use crate::engine::prompt::api::*;
use crate::http::Retrieval;

/// Holds nothing; errors say what was asked for.
impl Retrieval for Fake {
    fn create_collection(
        &self,
        name: &str,
        request: CreateRequest,
    ) -> Result<(CollectionInfo, bool), EngineError> {
        nothing(&format!("create {name} {}", request.chunking.tokens))
    }
    fn collections(&self) -> Result<CollectionList, EngineError> {
        Ok(CollectionList::default())
    }
    fn collection(&self, name: &str) -> Result<CollectionInfo, EngineError> {
        nothing(&format!("describe {name}"))
    }
    fn delete_collection(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }
    fn upsert(&self, name: &str, request: UpsertRequest, _: &Cancel) -> Result<UpsertResponse, EngineError> {
        nothing(&format!("upsert {name} {}", request.documents.len()))
    }
    fn import(
        &self,
        name: &str,
        jsonl: &[u8],
        options: ImportOptions,
        _: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        let text = String::from_utf8_lossy(jsonl);
        nothing(&format!("import {name} {:?} {} {text}", options.on_bad, options.score))
    }
    fn put_file(&self, name: &str, file: SourceFile<'_>, _: &Cancel) -> Result<UpsertResponse, EngineError> {
        let SourceFile { id, kind, bytes, title, metadata, score } = file;
        let (title, bytes) = (title.unwrap_or_default(), bytes.len());
        nothing(&format!("put {name} {id} {} {bytes} {title} {} {score}", kind.name(), Value::from(metadata)))
    }
    fn document(&self, name: &str, id: &str) -> Result<DocumentInfo, EngineError> {
        nothing(&format!("get {name} {id}"))
    }
    fn documents(&self, name: &str, from: u64, limit: usize) -> Result<DocumentPage, EngineError> {
        nothing(&format!("list {name} {from} {limit}"))
    }
    fn export(&self, name: &str, out: &mut dyn Write, _: &Cancel) -> Result<(), EngineError> {
        // More than is sent at once.
        out.write_all(name.repeat(3 << 20).as_bytes()).unwrap();
        Ok(())
    }
    fn snapshot(&self, name: &str, _: &mut dyn Write, _: &Cancel) -> Result<(), EngineError> {
        nothing(&format!("snapshot {name}"))
    }
    fn restore(&self, name: &str, mut snapshot: File, _: &Cancel) -> Result<CollectionInfo, EngineError> {
        let mut text = String::new();
        snapshot.read_to_string(&mut text).unwrap();
        nothing(&format!("restore {name} {} {}", text.len(), &text[..3]))
    }
    fn room_for_snapshot(&self, name: &str) -> Result<File, EngineError> {
        if name == "taken" { nothing("taken") } else { self.temporary_file() }
    }
    fn temporary_file(&self) -> Result<File, EngineError> {
        Ok(tempfile::tempfile().unwrap())
    }
    fn delete_document(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        nothing(&format!("delete {name} {id}"))
    }
    fn delete_documents(&self, name: &str, request: DeleteRequest) -> Result<DeleteResponse, EngineError> {
        nothing(&format!("delete {name} {}", request.ids.unwrap_or_default().join(" ")))
    }
    fn search(&self, name: &str, request: &SearchRequest, _: &Cancel) -> Result<SearchResponse, EngineError> {
        nothing(&format!("search {name} {:?} {} {}", request.mode, request.query, request.top_k))
    }
    fn embed(&self, request: EmbeddingsRequest, _: &Cancel) -> Result<EmbeddingsResponse, EngineError> {
        nothing(&format!("embed {:?}", request.encoding_format))
    }
    fn prompt(&self, request: &PromptRequest, _: &Cancel) -> Result<PromptResponse, EngineError> {
        nothing(&format!(
            "prompt {} {} {:?}",
            request.collections.join(" "),
            request.target_tokens,
            request.format
        ))
    }
    fn rerank(&self, request: &RerankRequest, _: &Cancel) -> Result<RerankResponse, EngineError> {
        nothing(&format!("rerank {} {}", request.query, request.documents.len()))
    }
}

pub(super) fn nothing<T>(asked: &str) -> Result<T, EngineError> {
    Err(EngineError { kind: ErrorKind::NotFound, code: "nothing", param: None, message: asked.into() })
}

pub(super) fn send(method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => {
            request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        }
    }
}

#[tokio::test]
async fn names_ids_and_bodies_arrive_as_they_were_sent() {
    let upsert = json!({"documents": [{"text": "a"}, {"id": "x", "title": "t", "text": "b", "metadata": {"y": 1},
        "layout": "markdown"}]});
    let search = json!({"query": "q", "mode": "dense", "top_k": 3, "filter": {"field": "y", "eq": 1}});
    for (method, path, body, wanted) in [
        ("PUT", "/v1/collections/a-b", Some(json!({})), "create a-b 220"),
        ("PUT", "/v1/collections/%2e%2e%2fa", Some(json!({"chunking": {"tokens": 99}})), "create ../a 99"),
        ("GET", "/v1/collections/a", None, "describe a"),
        ("POST", "/v1/collections/a/documents", Some(upsert), "upsert a 2"),
        ("GET", "/v1/collections/a/documents", None, "list a 0 100"),
        ("GET", "/v1/collections/a/documents?from=7&limit=5", None, "list a 7 5"),
        ("GET", "/v1/collections/a/documents/x%2Fy%20z", None, "get a x/y z"),
        ("GET", "/v1/collections/a/documents/x/y", None, "get a x/y"),
        ("DELETE", "/v1/collections/a/documents/x", None, "delete a x"),
        ("POST", "/v1/collections/a/delete", Some(json!({"ids": ["x", "y"]})), "delete a x y"),
        ("POST", "/v1/collections/a/search", Some(search), "search a Dense q 3"),
        ("POST", "/v1/collections/a/search", Some(json!({"query": "q"})), "search a Hybrid q 10"),
        ("POST", "/v1/embeddings", Some(json!({"input": "a", "encoding_format": "base64"})), "embed Base64"),
        ("POST", "/v1/rerank", Some(json!({"query": "q", "documents": ["a", {"text": "b"}]})), "rerank q 2"),
        (
            "POST",
            "/v1/prompt",
            Some(
                json!({"question": "q", "collections": ["a", "b"], "target_tokens": 9, "format": "messages"}),
            ),
            "prompt a b 9 Messages",
        ),
    ] {
        let answer = call(state(echo()), send(method, path, body.as_ref())).await;
        assert_eq!(answer.error(404, "nothing", None), wanted, "{method} {path}");
    }
    let listed = call(state(echo()), send("GET", "/v1/collections", None)).await;
    assert_eq!((listed.status.as_u16(), listed.body), (200, json!({"collections": []})));
    let gone = call(state(echo()), send("DELETE", "/v1/collections/a", None)).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));
}

#[tokio::test]
async fn lines_are_told_from_json_by_their_type() {
    let lines = "{\"text\": \"a\"}\noops";
    for (media_type, query, wanted) in [
        ("application/x-ndjson", "", "import a Refuse false"),
        ("Application/JSONL; charset=utf-8", "?on_bad=skip&score=true", "import a Skip true"),
    ] {
        let request = Request::post(format!("/v1/collections/a/documents{query}"));
        let request = request.header("content-type", media_type).body(Body::from(lines)).unwrap();
        let message = call(state(echo()), request).await.error(404, "nothing", None);
        assert_eq!(message, format!("{wanted} {lines}"));
    }
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
        call(state(echo()), request).await.error(status, code, param);
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
    for (path, media_type, wanted) in [
        ("x", "text/plain", "put a x text 4  {} false"),
        ("x/y.md", "text/markdown; charset=UTF-8", "put a x/y.md Markdown 4  {} false"),
        ("x%2Fy?score=true", "Text/HTML;charset=\"us-ascii\"", "put a x/y HTML 4  {} true"),
        ("x?title=a%20b", "application/pdf; charset=binary", "put a x PDF 4 a b {} false"),
        ("x?metadata=%7B%22y%22:1%7D", DOCX, "put a x DOCX 4  {\"y\":1} false"),
    ] {
        let message =
            call(state(echo()), file(path, media_type, "\x7f \n.")).await.error(404, "nothing", None);
        assert_eq!(message, wanted);
    }
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
        call(state(echo()), file(path, media_type, body)).await.error(status, code, param);
    }
    let message = call(state(echo()), file("x", "image/png", "a")).await.body["error"]["message"].to_string();
    for media_type in ["text/plain", "text/markdown", "text/html", "application/pdf", DOCX] {
        assert!(message.contains(&format!("`Content-Type: {media_type}`")), "{message}");
    }
    // A browser sends text in the form of a POST without asking: only PUT takes it.
    let posted = Request::post("/v1/collections/a/documents").header("content-type", "text/plain");
    let posted = call(state(echo()), posted.body(Body::from("a")).unwrap()).await;
    posted.error(415, "unsupported_media_type", Some("content-type"));
    let limits = Limits { body_bytes: 10, ..Limits::default() };
    let large = file("x", "text/plain", "a".repeat(11));
    call(AppState::new(echo(), limits), large).await.error(413, "body_too_large", None);
}

fn restore(name: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(format!("/v1/collections/{name}/restore"));
    request.header("content-type", "application/octet-stream").body(body.into()).unwrap()
}

#[tokio::test]
async fn large_bodies_come_and_go_by_way_of_files() {
    let routes = router(Arc::new(state(echo())));
    let response = routes.oneshot(get("/v1/collections/ab/export")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() == 6 << 20 && body.chunks_exact(2).all(|pair| pair == b"ab"));
    let none = Request::post("/v1/collections/a/snapshot").body(Body::empty()).unwrap();
    assert_eq!(call(state(echo()), none).await.error(404, "nothing", None), "snapshot a");
    let limits = Limits { body_bytes: 10, snapshot_bytes: 3_000_000, ..Limits::default() };
    let sent = |name: &str, bytes: usize| {
        call(AppState::new(echo(), limits), restore(name, "xyz".repeat(bytes / 3)))
    };
    assert_eq!(sent("a", 3_000_000).await.error(404, "nothing", None), "restore a 3000000 xyz");
    let message = sent("a", 3_000_003).await.error(413, "body_too_large", None);
    assert!(message.contains("limits.snapshot_bytes"), "{message}");
    assert_eq!(sent("taken", 3).await.error(404, "nothing", None), "taken");
    let json = post("/v1/collections/a/restore", "{}");
    call(state(echo()), json).await.error(415, "unsupported_media_type", Some("content-type"));
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
        let answer = call(state(echo()), send(method, path, body.as_ref())).await;
        answer.error(400, code, param);
    }
    let answer = call(state(echo()), send("PUT", "/v1/collections/a", None)).await;
    answer.error(415, "unsupported_media_type", Some("content-type"));
}
