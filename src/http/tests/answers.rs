//! Tests of every answer's statuses, ids and deadlines; and of the routes for whoever runs the service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::config::PageConfig;
use crate::engine::{EngineError, ErrorKind};
use crate::http::error::ApiError;
use crate::http::router::{router, wrapped};

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
        let failing = move || async move {
            let (code, param, message) = ("some_code", Some("rate"), "do this".into());
            ApiError::from(EngineError { kind, code, param, message })
        };
        let routes = axum::Router::new().route("/", axum::routing::get(failing));
        let answer = answer_of(wrapped(routes), get("/")).await;
        assert_eq!(answer.error(status, "some_code", Some("rate")), "do this");
        assert!(!answer.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn faults_on_this_side_tell_nothing() {
    let failing = hooked(|_, _| Err(ScoreError::Model("secret detail".into())));
    let panicking = hooked(|_, _| panic!("secret detail"));
    for engine in [failing, panicking] {
        let answer = call(state(&engine), embed("a")).await;
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
        assert_eq!(call(state(&engine()), with(id.as_bytes())).await.headers["x-request-id"], id);
    }
    let too_long = "a".repeat(129);
    for id in [&b""[..], b"a b", b"<script>", b"\xc3\xa9", too_long.as_bytes()] {
        let answer = call(state(&engine()), with(id)).await;
        let minted = uuid::Uuid::parse_str(answer.headers["x-request-id"].to_str().unwrap()).unwrap();
        assert_eq!(minted.get_version_num(), 7);
    }
    let first = call(state(&engine()), get("/healthz")).await.headers["x-request-id"].clone();
    assert_ne!(first, call(state(&engine()), get("/healthz")).await.headers["x-request-id"]);
}

fn with_deadline(value: &str) -> Request<Body> {
    let mut request = embed("a");
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
        let engine = hooked(move |_, cancel| Ok(block_until(|| in_time, cancel)?));
        let limits = Limits { deadline_ms: limit, ..Limits::default() };
        let answer = call(AppState::new(engine, limits), with_deadline(header)).await;
        if in_time {
            assert_eq!(answer.status, 200);
        } else {
            answer.error(504, "deadline_exceeded", None);
        }
    }
    for header in ["0", "-1", "1.5", "soon", ""] {
        let answer = call(state(&engine()), with_deadline(header)).await;
        answer.error(400, "invalid_deadline", Some("x-whittle-deadline-ms"));
    }
}

#[tokio::test]
async fn the_deadline_holds_for_work_that_does_not_heed_it() {
    let released = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&released);
    let engine = hooked(move |_, _| Ok(block_until(|| seen.load(Ordering::Relaxed), &Cancel::never())?));
    let start = Instant::now();
    call(state(&engine), with_deadline("20")).await.error(504, "deadline_exceeded", None);
    assert!(start.elapsed() < Duration::from_secs(5));
    released.store(true, Ordering::Relaxed);
}

#[tokio::test]
async fn health_and_readiness() {
    let answer = call(state(&engine()), get("/healthz")).await;
    assert_eq!(answer.body, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
    // One has its models, one could load them, and one has tried in vain.
    let (idle, failed) = (Arc::new(Engine::builder().build()), Arc::new(Engine::builder().build()));
    assert!(failed.vectors(&["a"], &Cancel::never()).is_err());
    for (engine, status) in [(engine(), "ready"), (idle, "idle")] {
        let answer = call(state(&engine), get("/readyz")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(status)));
    }
    call(state(&failed), get("/readyz")).await.error(503, "model_unavailable", None);
    // A caller that asks for a classifier where none was imported takes nothing from the others.
    let engine = engine();
    let asked = json!({"context": "One. Two. Three.", "rate": 0.5, "method": "llmlingua2"});
    let answer = call(state(&engine), post("/v1/compress", asked.to_string())).await;
    assert!(answer.status.is_server_error(), "{}", answer.body);
    assert_eq!(call(state(&engine), get("/readyz")).await.status, 200);
}

/// The routes that the description of the API has, in its order.
const ROUTES: [&str; 89] = [
    "get /",
    "get /api/tags",
    "delete /api/{path}",
    "get /api/{path}",
    "patch /api/{path}",
    "post /api/{path}",
    "put /api/{path}",
    "get /docs",
    "get /docs/{topic}",
    "get /healthz",
    "post /mcp",
    "get /metrics",
    "get /openai/v1/models",
    "delete /openai/{path}",
    "get /openai/{path}",
    "patch /openai/{path}",
    "post /openai/{path}",
    "put /openai/{path}",
    "get /openapi.json",
    "get /page/{file}",
    "get /readyz",
    "delete /upload/v1beta/{path}",
    "get /upload/v1beta/{path}",
    "patch /upload/v1beta/{path}",
    "post /upload/v1beta/{path}",
    "put /upload/v1beta/{path}",
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
    "get /v1/evaluations",
    "get /v1/evaluations/{run}",
    "get /v1/example-banks",
    "delete /v1/example-banks/{name}",
    "get /v1/example-banks/{name}",
    "get /v1/example-banks/{name}/examples",
    "post /v1/example-banks/{name}/examples",
    "delete /v1/example-banks/{name}/examples/{id}",
    "get /v1/example-banks/{name}/examples/{id}",
    "post /v1/example-banks/{name}/select",
    "put /v1/extract",
    "get /v1/keys",
    "post /v1/keys",
    "delete /v1/keys/{id}",
    "post /v1/messages",
    "post /v1/messages/count_tokens",
    "get /v1/models",
    "get /v1/models/{call}",
    "post /v1/models/{call}",
    "get /v1/originals/{id}",
    "post /v1/prompt",
    "post /v1/recover",
    "post /v1/rerank",
    "post /v1/responses",
    "post /v1/score",
    "post /v1/score/tokens",
    "get /v1/shadow",
    "get /v1/status",
    "get /v1/usage",
    "get /v1beta/models",
    "delete /v1beta/{path}",
    "get /v1beta/{path}",
    "patch /v1beta/{path}",
    "post /v1beta/{path}",
    "put /v1beta/{path}",
    "delete /v2/{path}",
    "get /v2/{path}",
    "patch /v2/{path}",
    "post /v2/{path}",
    "put /v2/{path}",
];

#[tokio::test]
async fn the_description_is_whole_and_true() {
    let answer = call(state(&engine()), get("/openapi.json")).await;
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
    assert_eq!(routes, ROUTES);
    for (path, methods) in api["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let in_path = path.contains(&format!("{{{name}}}"));
                assert_eq!(parameter["in"] == "path", in_path, "{name} of {path}: {parameter}");
            }
        }
    }
    for route in &routes {
        let (method, path) = route.split_once(' ').unwrap();
        let method = method.to_uppercase();
        let path = path.replace("{name}", "a").replace("{id}", "b").replace("{upstream}", "c");
        let request = Request::builder().method(&*method).uri(path).body(Body::empty()).unwrap();
        let response = router(Arc::new(state(&engine()).with_page(PageConfig::default())))
            .oneshot(request)
            .await
            .unwrap();
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

/// A request that takes a stream, and an engine that reads 4 of 10 tokens and waits until it is released.
fn read_slowly(deadline: &'static str) -> (Request<Body>, Arc<Engine>, Arc<AtomicBool>) {
    let asked = json!({"context": "One pump. Two pumps. Three.", "question": "Pumps?", "target_tokens": 8});
    let mut request = post("/v1/compress", asked.to_string());
    let headers = request.headers_mut();
    headers.insert("accept", "application/json, text/event-stream".parse().unwrap());
    headers.insert("x-whittle-deadline-ms", deadline.parse().unwrap());
    let (released, first) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(true));
    let seen = Arc::clone(&released);
    let engine = hooked(move |_, cancel| {
        if first.swap(false, Ordering::Relaxed) {
            cancel.will_read(10);
            cancel.has_read(4);
        }
        Ok(block_until(|| seen.load(Ordering::Relaxed), cancel)?)
    });
    (request, engine, released)
}

async fn streamed(engine: &Arc<Engine>, request: Request<Body>) -> Body {
    let response = router(Arc::new(state(engine))).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

async fn next_event(stream: &mut Body) -> Option<(String, Value)> {
    let bytes = stream.frame().await?.unwrap().into_data().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
    Some((name.to_owned(), serde_json::from_str(data).unwrap()))
}

#[tokio::test]
async fn a_compression_that_takes_long_tells_how_far_it_is() {
    let (request, engine, released) = read_slowly("60000");
    let mut stream = streamed(&engine, request).await;
    let (name, data) = next_event(&mut stream).await.unwrap();
    assert_eq!((&*name, data), ("progress", json!({"tokens_read": 4, "tokens_planned": 10})));
    released.store(true, Ordering::Relaxed);
    let (name, mut told) = next_event(&mut stream).await.unwrap();
    assert_eq!((&*name, next_event(&mut stream).await), ("result", None));
    // What is quick is answered as ever.
    let (request, ..) = read_slowly("60000");
    let answer = call(state(&engine), request).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let mut plain = answer.body;
    for answer in [&mut told, &mut plain] {
        answer.as_object_mut().unwrap().retain(|name, _| name != "timing_ms" && name != "id");
    }
    assert_eq!(told, plain);
}

#[tokio::test]
async fn a_stream_of_progress_ends_with_the_fault_and_its_work_with_the_client() {
    let (request, engine, _released) = read_slowly("1500");
    let mut stream = streamed(&engine, request).await;
    assert_eq!(next_event(&mut stream).await.unwrap().0, "progress");
    let (name, data) = next_event(&mut stream).await.unwrap();
    assert_eq!((&*name, &data["error"]["code"]), ("error", &json!("deadline_exceeded")));
    let (request, engine, _released) = read_slowly("60000");
    let state = Arc::new(state(&engine));
    let response = router(Arc::clone(&state)).oneshot(request).await.unwrap();
    assert_eq!(state.admission.requests(), 1);
    drop(response);
    for _ in 0..10_000 {
        if state.admission.requests() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the work goes on although nobody waits for it");
}
