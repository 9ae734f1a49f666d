//! Tests of accepted and rejected requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::Frame;

use super::*;

const VALID: &str = r#"{"context": "abc", "rate": 1.0}"#;

#[tokio::test]
async fn a_prompt_is_compressed_and_its_tokens_are_in_the_headers() {
    let answer =
        call(state(&engine()), compress(r#"{"context": "ein\u00e9 \ud83d\ude00", "rate": 1.0}"#)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["prompt"], "ein\u{e9} \u{1f600}");
    let text = "The red house stands by the old sea wall. ".repeat(20);
    let answer = call(state(&engine()), compress(json!({"context": text, "rate": 0.5}).to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let usage = &answer.body["usage"];
    assert!(usage["compressed_tokens"].as_u64() < usage["original_tokens"].as_u64(), "{usage}");
    for tokens in ["original", "compressed"] {
        let header = &answer.headers[&format!("x-whittle-{tokens}-tokens")];
        assert_eq!(header.to_str().unwrap(), usage[format!("{tokens}_tokens")].to_string());
    }
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn results_of_tools_become_smaller_in_each_form_of_messages() {
    let text = "The red house stands by the old sea wall. ".repeat(20);
    let user = json!({"role": "user", "content": "Where is the house?"});
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Where is it?"}]});
    for (messages, place) in [
        (
            json!([user, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text}]}]),
            "/1/content/0/content",
        ),
        (
            json!([user, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": text}]}]}]),
            "/1/content/0/content/0/text",
        ),
        (
            json!([user, {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": text}}]}]),
            "/1/content/0/source/data",
        ),
        (json!([item, {"type": "function_call_output", "call_id": "c", "output": text}]), "/1/output"),
        (json!([item, {"type": "mcp_call", "id": "c", "output": text}]), "/1/output"),
        (
            json!([item, {"type": "file_search_call", "id": "c", "results": [{"text": text}]}]),
            "/1/results/0/text",
        ),
        (json!([user, {"role": "function", "name": "f", "content": text}]), "/1/content"),
        (
            json!([{"role": "user", "parts": [{"text": text}]}, {"parts": [{"text": "Why?"}]}]),
            "/0/parts/0/text",
        ),
        (
            json!([user, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": text}}}]}]),
            "/1/parts/0/functionResponse/response/result",
        ),
    ] {
        let body = json!({"messages": messages, "rate": 0.5});
        let mut answer = call(state(&engine()), compress(body.to_string())).await;
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        let left = answer.body["messages"].pointer_mut(place).unwrap();
        assert!(left.as_str().unwrap().len() < text.len() * 2 / 3, "{place}: {left}");
        *left = text.clone().into();
        assert_eq!(answer.body["messages"], messages, "nothing else changes");
    }
    let contents = json!({"contents": [{"parts": [{"text": text}]}], "question": "Why?", "rate": 0.5});
    let answer = call(state(&engine()), compress(contents.to_string())).await;
    assert!(answer.body["messages"][0]["parts"][0]["text"].is_string(), "{answer:?}");
}

#[tokio::test]
async fn a_text_is_scored() {
    for (body, nll) in [
        (r#"{"text": "bb a", "prefix": "a "}"#, json!([3.0, 1.0])),
        (r#"{"text": "bb a"}"#, json!([null, 1.0])),
    ] {
        let answer = call(state(&engine()), post("/v1/score", body)).await;
        assert_eq!(answer.status, 200);
        assert_eq!((&answer.body["tokens"], &answer.body["nll"]), (&json!(["bb ", "a"]), &nll));
    }
}

#[tokio::test]
async fn broken_json_is_rejected_with_its_place() {
    for (body, place) in [
        ("{\"context\": \"a\",\n  oops}", "line 2 column 3"),
        ("{\"context\": \"a\"", "line 1 column 15"),
        ("{\"context\": \"a\"} {", "line 1 column 18"),
        ("{\"rate\": NaN}", "line 1 column 10"),
        ("{\"context\": \"\\ud800\"}", "line 1 column"),
        ("\u{feff}{}", "line 1 column 1"),
    ] {
        let message = call(state(&engine()), compress(body)).await.error(400, "invalid_json", None);
        assert!(message.contains(place), "{body}: {message}");
    }
}

#[tokio::test]
async fn unknown_fields_are_rejected_by_name_wherever_they_are() {
    for (path, body, param) in [
        ("/v1/compress", r#"{"context": "a", "target_token": 5}"#, "target_token"),
        ("/v1/compress", r#"{"documents": [{"text": "a"}, {"txt": "b"}]}"#, "documents[1].txt"),
        ("/v1/score", r#"{"txt": "a"}"#, "txt"),
        (
            "/v1/recover",
            r#"{"response": "a", "documents": [{"text": "a", "kept": [], "x": 1}]}"#,
            "documents[0].x",
        ),
        ("/v1/compress", r#"{"options": {"force_word": ["a"]}}"#, "options.force_word"),
    ] {
        let message = call(state(&engine()), post(path, body)).await.error(400, "unknown_field", Some(param));
        let name = param.rsplit('.').next().unwrap();
        assert!(message.contains(&format!("unknown field `{name}`")), "{message}");
        assert!(message.contains("expected one of") || message.contains("expected `"), "{message}");
    }
}

#[tokio::test]
async fn wrong_values_are_rejected_with_their_field() {
    for (body, param) in [
        (r#"{"rate": "half"}"#, Some("rate")),
        (r#"{"target_tokens": -1}"#, Some("target_tokens")),
        (r#"{"documents": [{"text": 5}]}"#, Some("documents[0].text")),
        (r#"{"documents": [{"id": "x"}]}"#, Some("documents[0]")),
        (r#"{"method": "zip"}"#, Some("method")),
        (r#"{"return": ["everything"]}"#, Some("return[0]")),
        // The parser names this one in its message alone.
        (r#"{"context": "a", "context": "b"}"#, None),
        ("5", None),
        ("null", None),
    ] {
        call(state(&engine()), compress(body)).await.error(400, "invalid_field", param);
    }
}

#[tokio::test]
async fn a_parsers_message_does_not_repeat_a_whole_document() {
    let body = format!(r#"{{"rate": "{}"}}"#, "\u{1f600}x".repeat(5000));
    let message = call(state(&engine()), compress(body)).await.error(400, "invalid_field", Some("rate"));
    assert!(message.chars().count() < 320, "{message}");
    assert!(message.starts_with("invalid type") && message.contains("line 1 column"), "{message}");
}

#[tokio::test]
async fn deep_nesting_is_an_error_and_no_overflow() {
    let body = format!(r#"{{"documents": [{{"text": "a", "metadata": {}"#, "[".repeat(1_000_000));
    call(state(&engine()), compress(body)).await.error(400, "invalid_json", None);
}

#[tokio::test]
async fn empty_bodies_and_other_encodings_are_rejected() {
    for body in ["", " \r\n\t"] {
        call(state(&engine()), compress(body)).await.error(400, "empty_body", None);
    }
    let latin1 = b"{\"context\": \"caf\xe9\"}".to_vec();
    let message = call(state(&engine()), compress(latin1)).await.error(400, "invalid_utf8", None);
    assert!(message.contains("byte 16"), "{message}");
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    let with = |name, value| Request::post("/v1/compress").header(name, value);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/jsonp"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
    ] {
        let answer = call(state(&engine()), with(name, value).body("{}".into()).unwrap()).await;
        answer.error(415, "unsupported_media_type", Some("content-type"));
    }
    let charset = with("content-type", "Application/JSON; charset=utf-8").body(VALID.into()).unwrap();
    assert_eq!(call(state(&engine()), charset).await.status, 200);
    let zipped = with("content-type", "application/json").header("content-encoding", "gzip");
    let answer = call(state(&engine()), zipped.body("{}".into()).unwrap()).await;
    answer.error(415, "unsupported_content_encoding", Some("content-encoding"));
}

#[tokio::test]
async fn bodies_up_to_the_limit_are_taken_and_larger_ones_are_not() {
    let body = VALID;
    for (limit, fits) in [(body.len(), true), (body.len() - 1, false)] {
        let limits = Limits { body_bytes: limit, ..Limits::default() };
        // One body says how long it is, the other arrives in pieces without saying so.
        let stream = Body::new(Pieces(body.as_bytes().chunks(5)));
        for request in [compress(body), compress(stream)] {
            let answer = call(AppState::new(engine(), limits), request).await;
            if fits {
                assert_eq!(answer.status, 200, "{answer:?}");
            } else {
                answer.error(413, "body_too_large", None);
            }
        }
    }
}

/// A body that arrives in pieces and does not say how long it is.
struct Pieces(std::slice::Chunks<'static, u8>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece.into()))))
    }
}

#[tokio::test]
async fn more_documents_than_the_limit_are_rejected() {
    let limits = Limits { documents: 2, ..Limits::default() };
    for (count, fits) in [(2, true), (3, false)] {
        let documents = vec![r#"{"text": "a"}"#; count].join(",");
        let request = compress(format!(r#"{{"documents": [{documents}], "rate": 1.0}}"#));
        let answer = call(AppState::new(engine(), limits), request).await;
        if fits {
            assert_eq!(answer.status, 200);
        } else {
            answer.error(413, "too_many_documents", Some("documents"));
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_have_the_envelope() {
    call(state(&engine()), get("/v1/nothing")).await.error(404, "unknown_path", None);
    // Clients of Ollama ask first whether anybody is there.
    assert_eq!(call(state(&engine()), get("/")).await.status, 200);
    let answer = call(state(&engine()), get("/v1/compress")).await;
    answer.error(405, "method_not_allowed", None);
    assert_eq!(answer.headers["allow"], "POST");
    let answer = call(state(&engine()), post("/healthz", "{}")).await;
    answer.error(405, "method_not_allowed", None);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}
