//! Tests of every answer's statuses, ids and deadlines; and of the routes for whoever runs the service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::engine::ErrorKind;
use crate::http::router::wrapped;

#[tokio::test]
async fn each_class_of_error_has_its_status() {
    for (kind, status) in [
        (ErrorKind::Invalid, 400),
        (ErrorKind::NotFound, 404),
        (ErrorKind::Conflict, 409),
        (ErrorKind::TooLarge, 413),
        (ErrorKind::Infeasible, 422),
        (ErrorKind::Cancelled, 499),
        (ErrorKind::Deadline, 504),
        (ErrorKind::Unavailable, 503),
    ] {
        let service = fake(move |_, _| {
            Err(EngineError { kind, code: "some_code", param: Some("rate"), message: "do this".into() })
        });
        let answer = call(state(service), compress("{}")).await;
        assert_eq!(answer.error(status, "some_code", Some("rate")), "do this");
        assert!(!answer.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn faults_on_this_side_tell_nothing() {
    let failing = fake(|_, _| Err(EngineError::internal("secret detail")));
    let panicking = fake(|_, _| panic!("secret detail"));
    for service in [failing, panicking] {
        let answer = call(state(service), compress("{}")).await;
        assert!(!answer.error(500, "internal_error", None).contains("secret"));
    }
    let routes =
        axum::Router::new().route("/", axum::routing::get(|| async { panic!("secret detail") as () }));
    let answer = answer_of(wrapped(routes), get("/")).await;
    assert!(!answer.error(500, "internal_error", None).contains("secret"));
}

#[tokio::test]
async fn a_harmless_request_id_is_echoed_and_any_other_replaced() {
    let with = |id: &[u8]| Request::get("/healthz").header("x-request-id", id).body(Body::empty()).unwrap();
    let longest = "a".repeat(128);
    for id in ["abc-DEF_1.2:3", longest.as_str()] {
        assert_eq!(call(state(echo()), with(id.as_bytes())).await.headers["x-request-id"], id);
    }
    let too_long = "a".repeat(129);
    for id in [&b""[..], b"a b", b"<script>", b"\xc3\xa9", too_long.as_bytes()] {
        let answer = call(state(echo()), with(id)).await;
        let minted = uuid::Uuid::parse_str(answer.headers["x-request-id"].to_str().unwrap()).unwrap();
        assert_eq!(minted.get_version_num(), 7);
    }
    let first = call(state(echo()), get("/healthz")).await.headers["x-request-id"].clone();
    assert_ne!(first, call(state(echo()), get("/healthz")).await.headers["x-request-id"]);
}

fn with_deadline(value: &str) -> Request<Body> {
    let mut request = compress("{}");
    request.headers_mut().insert("x-whittle-deadline-ms", value.parse().unwrap());
    request
}

#[tokio::test]
async fn the_earlier_of_both_deadlines_holds() {
    for (limit, header, in_time) in [
        (60_000, "20", false),
        (20, "60000", false),
        (60_000, "60000", true),
        (60_000, "99999999999999", true),
    ] {
        let service = fake(move |_, cancel| {
            block_until(|| in_time, cancel)?;
            Ok(compressed(String::new()))
        });
        let limits = Limits { deadline_ms: limit, ..Limits::default() };
        let answer = call(AppState::new(service, limits), with_deadline(header)).await;
        if in_time {
            assert_eq!(answer.status, 200);
        } else {
            answer.error(504, "deadline_exceeded", None);
        }
    }
    for header in ["0", "-1", "1.5", "soon", ""] {
        let answer = call(state(echo()), with_deadline(header)).await;
        answer.error(400, "invalid_deadline", Some("x-whittle-deadline-ms"));
    }
}

#[tokio::test]
async fn the_deadline_holds_for_work_that_does_not_heed_it() {
    let released = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&released);
    let service = fake(move |_, _| {
        block_until(|| seen.load(Ordering::Relaxed), &Cancel::never())?;
        Ok(compressed(String::new()))
    });
    let start = Instant::now();
    call(state(service), with_deadline("20")).await.error(504, "deadline_exceeded", None);
    assert!(start.elapsed() < Duration::from_secs(5));
    released.store(true, Ordering::Relaxed);
}

#[tokio::test]
async fn health_and_readiness() {
    let answer = call(state(echo()), get("/healthz")).await;
    assert_eq!(answer.body, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    for (readiness, status) in [(Readiness::Ready, "ready"), (Readiness::Idle, "idle")] {
        let service = Fake { compress: Box::new(|_, _| unreachable!()), readiness };
        let answer = call(state(Arc::new(service)), get("/readyz")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(status)));
    }
    let service = Fake { compress: Box::new(|_, _| unreachable!()), readiness: Readiness::Failed };
    call(state(Arc::new(service)), get("/readyz")).await.error(503, "model_unavailable", None);
}

#[tokio::test]
async fn the_description_is_whole_and_true() {
    let answer = call(state(echo()), get("/openapi.json")).await;
    let api = &answer.body;
    assert_eq!(api["info"]["title"], "Whittle");
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(api["openapi"].as_str().unwrap().starts_with("3."));
    let routes: Vec<_> = api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| (method, path)))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let expected = [
        "get /healthz",
        "get /metrics",
        "get /openapi.json",
        "get /readyz",
        "delete /upstreams/{upstream}/{path}",
        "get /upstreams/{upstream}/{path}",
        "patch /upstreams/{upstream}/{path}",
        "post /upstreams/{upstream}/{path}",
        "put /upstreams/{upstream}/{path}",
        "post /v1/chat/completions",
        "get /v1/collections",
        "delete /v1/collections/{name}",
        "get /v1/collections/{name}",
        "put /v1/collections/{name}",
        "post /v1/collections/{name}/delete",
        "get /v1/collections/{name}/documents",
        "post /v1/collections/{name}/documents",
        "delete /v1/collections/{name}/documents/{id}",
        "get /v1/collections/{name}/documents/{id}",
        "put /v1/collections/{name}/documents/{id}",
        "get /v1/collections/{name}/export",
        "post /v1/collections/{name}/restore",
        "post /v1/collections/{name}/search",
        "post /v1/collections/{name}/snapshot",
        "post /v1/completions",
        "post /v1/compress",
        "post /v1/embeddings",
        "get /v1/example-banks",
        "delete /v1/example-banks/{name}",
        "get /v1/example-banks/{name}",
        "get /v1/example-banks/{name}/examples",
        "post /v1/example-banks/{name}/examples",
        "delete /v1/example-banks/{name}/examples/{id}",
        "get /v1/example-banks/{name}/examples/{id}",
        "post /v1/example-banks/{name}/select",
        "post /v1/messages",
        "post /v1/messages/count_tokens",
        "get /v1/models",
        "post /v1/prompt",
        "post /v1/recover",
        "post /v1/rerank",
        "post /v1/responses",
        "post /v1/score",
        "get /v1/usage",
    ];
    assert_eq!(routes, expected);
    for route in &routes {
        let (method, path) = route.split_once(' ').unwrap();
        let method = method.to_uppercase();
        let path = path.replace("{name}", "a").replace("{id}", "b").replace("{upstream}", "c");
        let request = Request::builder().method(&*method).uri(path).body(Body::empty()).unwrap();
        let response = router(Arc::new(state(echo()))).oneshot(request).await.unwrap();
        let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
        let there = status != 405 && !String::from_utf8_lossy(&body).contains("unknown_path");
        assert!(there, "{route} is described but not there");
    }
    for name in [
        "CompressRequest",
        "CompressResponse",
        "DocumentInput",
        "ScoreRequest",
        "ScoreResponse",
        "ErrorEnvelope",
    ] {
        assert!(api["components"]["schemas"][name].is_object(), "{name}");
    }
    assert_eq!(api["components"]["schemas"]["CompressRequest"]["additionalProperties"], false);
    let compress = &api["paths"]["/v1/compress"]["post"];
    for status in ["200", "400", "408", "413", "415", "422", "500", "503", "504"] {
        let schema = &compress["responses"][status]["content"]["application/json"]["schema"];
        assert!(schema["$ref"].is_string(), "{status}: {schema}");
    }
    assert_references_resolve(api, api);
}

/// Every `$ref` leads somewhere.
fn assert_references_resolve(api: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|field| assert_references_resolve(api, field));
        }
        Value::Array(items) => items.iter().for_each(|item| assert_references_resolve(api, item)),
        _ => {}
    }
}
