//! Embedders in all forms.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Received, TestServer, ok, reply};
use crate::model::remote::{
    EmbedderKind, RemoteEmbedder, RemoteEmbedderOptions, RemoteError, RemoteHealth, RemoteIdentity,
    RemoteState,
};
use crate::model::{Cancel, Embedder, ScoreError, Stopped};

fn options(server: &TestServer, kind: EmbedderKind) -> RemoteEmbedderOptions {
    RemoteEmbedderOptions {
        remote: server.options(),
        kind,
        model: "m".into(),
        dimensions: None,
        batch: 2,
        max_tokens: None,
        query_prefix: String::new(),
        text_prefix: String::new(),
    }
}

fn connect(options: RemoteEmbedderOptions) -> Result<RemoteEmbedder, ScoreError> {
    RemoteEmbedder::connect(options, Arc::default())
}

/// The texts of a request in the form of `OpenAI`.
fn texts(request: &Received) -> Vec<String> {
    request.body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A vector that tells its text: the length of the text and 1, at length 1 or not.
fn vector(text: &str) -> [f64; 2] {
    [text.len() as f64, 1.0]
}

/// The answer of a server that has the model `m`.
fn answer(request: &Received) -> Value {
    let data = texts(request).into_iter().map(|text| vector(&text)).enumerate();
    let data: Vec<Value> = data
        .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    json!({"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
}

fn assert_vectors(found: &[Vec<f32>], texts: &[&str]) {
    assert_eq!(found.len(), texts.len());
    for (found, text) in found.iter().zip(texts) {
        let [x, y] = vector(text);
        let length = x.hypot(y);
        assert!((f64::from(found[0]) - x / length).abs() < 1e-6, "{found:?} of {text}");
        assert!((f64::from(found[1]) - y / length).abs() < 1e-6, "{found:?} of {text}");
    }
}

#[test]
fn openai_s_form_is_spoken_in_batches_with_the_key_and_any_order_of_the_answer() {
    let server = TestServer::start(|_, request| {
        let mut answer = answer(request);
        answer["data"].as_array_mut().unwrap().reverse();
        ok(&answer)
    });
    let embedder = connect(RemoteEmbedderOptions {
        dimensions: Some(2),
        query_prefix: "q: ".into(),
        ..options(&server, EmbedderKind::OpenAi)
    })
    .unwrap();
    assert_eq!((embedder.dimensions(), embedder.name()), (2, "m"));
    server.requests();
    let found = ["a", "bbb", "cc", "", "ddddd"];
    let vectors = embedder.embed(&found, &Cancel::never()).unwrap();
    // Some servers refuse an empty text.
    assert_vectors(&vectors, &["a", "bbb", "cc", " ", "ddddd"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert!(request.head.starts_with("post /embeddings http/1.1"), "{}", request.head);
        assert!(request.head.contains("authorization: bearer sk-secret"), "{}", request.head);
        assert_eq!(request.body["encoding_format"], "float");
        assert_eq!((&request.body["model"], &request.body["dimensions"]), (&json!("m"), &json!(2)));
        assert!(texts(request).len() <= 2);
    }
    let vector = embedder.embed_query("why", &Cancel::never()).unwrap();
    assert_vectors(&[vector], &["q: why"]);
    assert!(embedder.embed(&[], &Cancel::never()).unwrap().is_empty());
    assert!(!format!("{embedder:?}").contains("sk-secret"));
}

/// The form of llama.cpp's server of October 2026 (xllamacpp 2026.10.11549), with one vector in base64.
#[test]
fn vectors_in_base64_are_read_too() {
    let server = TestServer::start(|_, _| {
        ok(
            &json!({"model": "all-MiniLM-L6-v2", "object": "list", "usage": {"prompt_tokens": 4, "total_tokens": 4},
            "data": [{"embedding": "mpkZP83MTD8=", "encoding_format": "base64", "index": 0, "object": "embedding"}]}),
        )
    });
    let embedder = connect(options(&server, EmbedderKind::OpenAi)).unwrap();
    assert_eq!(embedder.embed(&["hello world"], &Cancel::never()).unwrap(), [[0.6, 0.8]]);
    let RemoteIdentity::Described(identity) = embedder.identity() else { panic!("a server without files") };
    assert!(identity.contains("all-MiniLM-L6-v2") && !identity.contains("127.0.0.1"), "{identity}");
}

/// A fault: the server's answer to the second request, and how the error begins and what it advises.
type Fault = (Vec<u8>, fn(&RemoteError) -> bool, &'static str);

#[test]
fn answers_that_cannot_be_used_are_errors_with_a_name_and_a_remedy() {
    let one = |embedding: Value| ok(&json!({"model": "m", "data": [{"index": 0, "embedding": embedding}]}));
    let whole = one(json!([1.0, 0.0]));
    let long = format!("{{\"model\": \"m\", \"data\": [], \"x\": \"{}\"}}", "x".repeat(1 << 20));
    let unsized_long =
        [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), long.clone().into_bytes()].concat();
    let twice = json!([{"index": 0, "embedding": [1, 0]}, {"index": 0, "embedding": [1, 0]}]);
    let faults: [Fault; 16] = [
        (
            reply(200, "", "{\"model\": \"m\", \"data\": [{\"index\": 0, \"embedding\": [1e39, 0]}]}"),
            |e| matches!(e, RemoteError::NoDirection { place: 0, .. }),
            "f32",
        ),
        (
            reply(200, "", "{\"model\": \"m\", \"data\": [{\"index\": 0, \"embedding\": [NaN, 0]}]}"),
            |e| matches!(e, RemoteError::Malformed { .. }),
            "embedder.kind",
        ),
        (one(json!([null, 1.0])), |e| matches!(e, RemoteError::Malformed { .. }), "embedder.kind"),
        (
            one(json!([0.0, 0.0])),
            |e| matches!(e, RemoteError::NoDirection { place: 0, .. }),
            "choose another",
        ),
        (
            one(json!([1.0, 0.0, 0.0])),
            |e| matches!(e, RemoteError::Dimensions { wanted: 2, came: 3, .. }),
            "embedder.dimensions",
        ),
        (one(json!("AACA")), |e| matches!(e, RemoteError::Malformed { .. }), "part of a value"),
        (
            ok(&json!({"model": "m", "data": []})),
            |e| matches!(e, RemoteError::Count { sent: 1, came: 0, .. }),
            "embedder.batch",
        ),
        (
            ok(&json!({"model": "m", "data": twice})),
            |e| matches!(e, RemoteError::Count { came: 2, .. }),
            "batch",
        ),
        (
            ok(&json!({"model": "m", "data": [{"index": 1, "embedding": [1, 0]}]})),
            |e| matches!(e, RemoteError::Order { index: 1, .. }),
            "report it",
        ),
        (reply(200, "", "<html>"), |e| matches!(e, RemoteError::Malformed { .. }), "not JSON"),
        (reply(200, "", "{\"data\": ["), |e| matches!(e, RemoteError::Malformed { .. }), "ends early"),
        (whole[..whole.len() - 9].to_vec(), |e| matches!(e, RemoteError::Unreachable { .. }), "embedder.url"),
        (reply(200, "", &long), |e| matches!(e, RemoteError::TooLong { .. }), "embedder.kind"),
        (unsized_long, |e| matches!(e, RemoteError::TooLong { .. }), "embedder.kind"),
        (
            reply(401, "", "{\"error\": \"Unauthorized\"}"),
            |e| matches!(e, RemoteError::Refused { status: 401, message, .. } if message == "Unauthorized"),
            "api_key_env",
        ),
        (
            ok(&json!({"model": "other", "data": [{"index": 0, "embedding": [1, 0]}]})),
            |e| matches!(e, RemoteError::OtherModel { found, .. } if found == "other"),
            "never mixed",
        ),
    ];
    for (bytes, is_right, advice) in faults {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let server =
            TestServer::start(move |n, request| if n == 0 { ok(&answer(request)) } else { bytes.clone() });
        let mut options = options(&server, EmbedderKind::OpenAi);
        options.remote.retries = 0;
        let health = Arc::<RemoteHealth>::default();
        let embedder = RemoteEmbedder::connect(options, Arc::clone(&health)).unwrap();
        assert_eq!(health.state(), RemoteState::Ready);
        let error = embedder.embed(&["secret text"], &Cancel::never()).unwrap_err();
        let ScoreError::Remote(remote) = &error else { panic!("{error:?} of {shown}") };
        assert!(is_right(remote), "{remote:?} of {shown}");
        let message = error.to_string();
        assert!(message.contains(&server.url) && message.contains(advice), "{message}");
        assert!(!message.contains("secret"), "{message}");
        if remote.is_of_server() {
            assert_eq!(health.state(), RemoteState::Failed, "{shown}");
            assert_eq!(health.recent_failure().as_ref(), Some(remote));
        } else {
            assert_eq!((health.state(), health.recent_failure()), (RemoteState::Ready, None), "{shown}");
        }
    }
}

#[test]
fn messages_of_servers_are_shortened_and_other_parts_of_their_answers_left_out() {
    for (body, wanted) in [
        (json!({"error": {"message": "too long", "input": "secret"}}), "too long"),
        (json!({"error": "Model is overloaded", "error_type": "overloaded"}), "Model is overloaded"),
        (json!({"detail": "Not Found"}), "Not Found"),
        (json!({"detail": [{"msg": "bad", "input": "secret"}]}), "Unprocessable Entity"),
        (json!({"error": {"message": "x".repeat(1000)}}), &*"x".repeat(200)),
    ] {
        let server = TestServer::start(move |_, _| reply(422, "", &body.to_string()));
        let error = connect(options(&server, EmbedderKind::OpenAi)).unwrap_err();
        let ScoreError::Remote(RemoteError::Refused { message, .. }) = &error else { panic!("{error:?}") };
        assert_eq!(message, wanted);
        assert!(error.to_string().contains("embedder.max_tokens"), "{error}");
        assert!(!matches!(&error, ScoreError::Remote(error) if error.is_of_server()));
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let overloaded = || reply(503, "retry-after: 0\r\n", "{\"error\": \"busy\"}");
    for (first, attempts) in [
        (overloaded(), 2),
        (reply(429, "retry-after-ms: 1\r\n", ""), 2),
        (Vec::new(), 2),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec(), 2),
        (reply(429, "retry-after: 3600\r\n", ""), 1),
        (reply(400, "", "{\"error\": \"too long\"}"), 1),
        (reply(503, "x-should-retry: false\r\n", ""), 1),
        (reply(307, "location: http://127.0.0.1:9/\r\n", ""), 1),
    ] {
        let shown = String::from_utf8_lossy(&first).into_owned();
        let server =
            TestServer::start(move |n, request| if n == 0 { first.clone() } else { ok(&answer(request)) });
        let connected = connect(options(&server, EmbedderKind::OpenAi));
        assert_eq!(connected.is_ok(), attempts == 2, "{shown}");
        assert_eq!(server.requests().len(), attempts, "{shown}");
    }
    let server = TestServer::start(move |_, _| overloaded());
    let error = connect(options(&server, EmbedderKind::OpenAi)).unwrap_err();
    assert!(error.to_string().contains("503: busy; lower `embedder.concurrency`"), "{error}");
    assert_eq!(server.requests().len(), 3, "the first attempt and two more");
}

/// A server that answers the first request, and never any other until the returned sender goes.
fn hanging() -> (TestServer, std::sync::mpsc::Sender<()>) {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let server = TestServer::start(move |n, request| {
        if n > 0 {
            gate.lock().unwrap().recv().ok();
        }
        ok(&answer(request))
    });
    (server, open)
}

#[test]
fn whoever_leaves_or_is_out_of_time_does_not_wait_for_the_server() {
    let (server, open) = hanging();
    let embedder = connect(options(&server, EmbedderKind::OpenAi)).unwrap();
    let late = embedder.embed(&["a"], &Cancel::never().within(Duration::from_millis(30)));
    assert!(matches!(late, Err(ScoreError::Stopped(Stopped::Deadline))), "{late:?}");
    let cancel = Cancel::never();
    let left = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| embedder.embed(&["b"], &cancel));
        while server.requests.lock().unwrap().len() < 3 {
            std::thread::yield_now();
        }
        cancel.cancel();
        waiting.join().unwrap()
    });
    assert!(matches!(left, Err(ScoreError::Stopped(Stopped::Cancelled))), "{left:?}");
    drop(open);
    assert_vectors(&embedder.embed(&["c"], &Cancel::never()).unwrap(), &["c"]);
}

#[test]
fn a_server_that_hangs_is_given_up_on_and_a_long_wait_is_not_waited_for() {
    let (server, _open) = hanging();
    let mut options = options(&server, EmbedderKind::OpenAi);
    options.remote.timeout = Duration::from_secs(2);
    let embedder = connect(options).unwrap();
    let error = embedder.embed(&["a"], &Cancel::never()).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::Late { milliseconds: 2000, .. })), "{error:?}");

    let wait = reply(503, "retry-after: 15\r\n", "");
    let server =
        TestServer::start(move |n, request| if n == 0 { ok(&answer(request)) } else { wait.clone() });
    let embedder = connect(self::options(&server, EmbedderKind::OpenAi)).unwrap();
    let error = embedder.embed(&["a"], &Cancel::never().within(Duration::from_secs(10))).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::Refused { status: 503, .. })), "{error:?}");
}

/// The forms of text-embeddings-inference 1.7, as its description of its API has them.
fn tei(request: &Received, model: &str) -> Vec<u8> {
    if request.head.starts_with("get /info ") {
        return ok(&json!({"model_id": model, "model_sha": "fca14538", "model_dtype": "float32",
            "model_type": {"embedding": {"pooling": "mean"}}, "max_concurrent_requests": 512, "max_input_length": 16,
            "max_batch_tokens": 16384, "max_batch_requests": null, "max_client_batch_size": 3, "auto_truncate": false,
            "tokenization_workers": 8, "version": "1.7.1", "sha": null, "docker_label": null}));
    }
    assert!(request.head.starts_with("post /embed http/1.1"), "{}", request.head);
    let texts = request.body["inputs"].as_array().unwrap().iter().map(|text| vector(text.as_str().unwrap()));
    ok(&json!(texts.collect::<Vec<_>>()))
}

#[test]
fn text_embeddings_inference_is_asked_within_its_limits() {
    let server = TestServer::start(|_, request| tei(request, "sentence-transformers/M"));
    let embedder =
        connect(RemoteEmbedderOptions { batch: 100, ..options(&server, EmbedderKind::Tei) }).unwrap();
    server.requests();
    let long = "word ".repeat(50);
    let vectors = embedder.embed(&["a", "bb", "ccc", &long], &Cancel::never()).unwrap();
    assert_vectors(&vectors[..3], &["a", "bb", "ccc"]);
    let length = vectors[3].iter().map(|value| value * value).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let sent: Vec<Value> =
        server.requests().into_iter().filter(|r| !r.body.is_null()).map(|r| r.body).collect();
    assert!(sent.iter().all(|body| body["normalize"] == true && body["truncate"] == false), "{sent:?}");
    let mut batches: Vec<Vec<&str>> = sent
        .iter()
        .map(|body| body["inputs"].as_array().unwrap().iter().filter_map(Value::as_str).collect())
        .collect();
    assert!(batches.iter().all(|batch: &Vec<&str>| batch.len() <= 3));
    // They run at once.
    batches.sort_by_key(|batch| batch[0] != "a");
    let parts: Vec<&str> = sent
        .iter()
        .flat_map(|body| body["inputs"].as_array().unwrap())
        .filter_map(Value::as_str)
        .filter(|text| text.contains("word"))
        .collect();
    assert!(parts.len() > 4 && parts.iter().all(|part| part.split_whitespace().count() <= 12), "{parts:?}");
    assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), long.len());
    let RemoteIdentity::Described(identity) = embedder.identity() else { panic!("a server without files") };
    assert!(identity.contains("fca14538") && identity.starts_with("tei "), "{identity}");
}

#[test]
fn another_model_is_refused_at_first_and_later() {
    let other = TestServer::start(|_, request| tei(request, "someone/n"));
    let error = connect(options(&other, EmbedderKind::Tei)).unwrap_err();
    assert!(
        error.to_string().contains("has the model `someone/n`, not `m`; correct `embedder.model`"),
        "{error}"
    );

    let swapped = TestServer::start(|n, request| tei(request, if n < 2 { "someone/m" } else { "other/m" }));
    let embedder = connect(options(&swapped, EmbedderKind::Tei)).unwrap();
    let error = embedder.embed(&["a"], &Cancel::never()).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::OtherModel { .. })), "{error:?}");
    assert_eq!(swapped.requests().len(), 3, "no text is sent to it");
}

#[test]
fn another_whittle_is_known_by_its_files() {
    let whittle = |identity: fn(usize) -> &'static str| {
        TestServer::start(move |n, request| {
            assert!(request.head.starts_with("post /v1/embeddings http/1.1"), "{}", request.head);
            let mut answer = answer(request);
            answer["identity"] = identity(n).into();
            ok(&answer)
        })
    };
    let server = whittle(|_| "f00d");
    let embedder = connect(options(&server, EmbedderKind::Whittle)).unwrap();
    assert_eq!(embedder.identity(), RemoteIdentity::Files("f00d".into()));
    embedder.embed_query("why", &Cancel::never()).unwrap();
    let types: Vec<Value> =
        server.requests().into_iter().map(|request| request.body["input_type"].clone()).collect();
    assert_eq!(types, ["document", "query"]);

    let server = whittle(|n| if n == 0 { "f00d" } else { "beef" });
    let embedder = connect(options(&server, EmbedderKind::Whittle)).unwrap();
    let error = embedder.embed(&["a"], &Cancel::never()).unwrap_err();
    assert!(error.to_string().contains("`m (beef)`, not `m (f00d)`"), "{error}");

    let odd = whittle(|_| "../files");
    let error = connect(options(&odd, EmbedderKind::Whittle)).unwrap_err();
    assert!(error.to_string().contains("hexadecimal"), "{error}");

    let named = RemoteEmbedderOptions { model: "n".into(), ..options(&server, EmbedderKind::Whittle) };
    let error = connect(named).unwrap_err();
    assert!(error.to_string().contains("has the model `m`, not `n`"), "{error}");
}

#[test]
fn nobody_there_is_told_with_the_place() {
    let server = TestServer::start(|_, _| Vec::new());
    let mut options = options(&server, EmbedderKind::OpenAi);
    // A port that nobody listens on: this one is closed as soon as it is known.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    (options.remote.url, options.remote.retries) = (format!("http://{port}/v1/"), 0);
    let error = connect(options.clone()).unwrap_err().to_string();
    assert!(error.contains(&format!("the embedder at http://{port}/v1 cannot be reached")), "{error}");
    assert!(error.contains("start it, or correct `embedder.url`"), "{error}");
    options.remote.url = "nonsense".into();
    assert!(matches!(connect(options), Err(ScoreError::Remote(RemoteError::Setup { .. }))));
}
