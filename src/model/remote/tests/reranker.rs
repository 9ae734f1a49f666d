//! Rerankers in all forms, by replies as the services describe them: Cohere's second version, Jina's first,
//! text-embeddings-inference 1.7, llama.cpp of October 2026 (xllamacpp 2026.10.11549), and this program's own.

use std::sync::Arc;

use serde_json::{Value, json};

use super::server::{Received, TestServer, ok, reply};
use crate::model::remote::{
    RemoteError, RemoteHealth, RemoteReranker, RemoteRerankerOptions, RemoteState, RerankerKind,
};
use crate::model::{Cancel, Reranker, ScoreError};

fn reranker(server: &TestServer, kind: RerankerKind) -> RemoteReranker {
    with(server, kind, |_| {}, &Arc::default())
}

fn with(
    server: &TestServer,
    kind: RerankerKind,
    change: impl FnOnce(&mut RemoteRerankerOptions),
    health: &Arc<RemoteHealth>,
) -> RemoteReranker {
    let mut options = RemoteRerankerOptions {
        remote: server.options(),
        kind,
        model: "m".into(),
        batch: 2,
        max_tokens: None,
        most_tokens: 100,
    };
    change(&mut options);
    RemoteReranker::new(options, Arc::clone(health)).unwrap()
}

/// The texts of a request in any form.
fn texts(request: &Received) -> Vec<String> {
    let texts = request.body.get("documents").unwrap_or(&request.body["texts"]);
    texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A relevance that tells its text: 1 over its length and 1.
fn relevance(text: &str) -> f64 {
    1.0 / (1.0 + text.len() as f64)
}

/// The results for a request, the least relevant first.
fn results(request: &Received) -> Value {
    let mut results: Vec<(usize, f64)> =
        texts(request).iter().map(|text| relevance(text)).enumerate().collect();
    results.sort_by(|a, b| a.1.total_cmp(&b.1));
    results.into_iter().map(|(index, score)| json!({"index": index, "relevance_score": score})).collect()
}

fn assert_scores(scores: &[f32], texts: &[&str]) {
    assert_eq!(scores.len(), texts.len());
    for (score, text) in scores.iter().zip(texts) {
        let wanted = (relevance(text) / (1.0 - relevance(text))).ln();
        assert!((f64::from(*score) - wanted).abs() < 1e-5, "{text}: {score}, not {wanted}");
    }
}

#[test]
fn the_forms_of_cohere_jina_and_another_whittle_are_spoken_in_batches() {
    for (kind, path, more) in [
        (RerankerKind::Cohere, "post /rerank ", json!({})),
        (RerankerKind::Jina, "post /rerank ", json!({"return_documents": false})),
        (RerankerKind::Whittle, "post /v1/rerank ", json!({"return_documents": false})),
    ] {
        let server = TestServer::start(move |_, request| {
            let answer = match kind {
                RerankerKind::Cohere => json!({"id": "1", "results": results(request),
                    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}),
                _ => {
                    json!({"model": "m", "object": "list", "usage": {"total_tokens": 8}, "results": results(request)})
                }
            };
            ok(&answer)
        });
        let reranker = reranker(&server, kind);
        let sent = ["aa", "b", "cccc", "", "ddddd"];
        let scores = reranker.rerank("why", &sent, &Cancel::never()).unwrap();
        assert_scores(&scores, &["aa", "b", "cccc", " ", "ddddd"]);
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        for request in &requests {
            assert!(request.head.starts_with(path), "{}", request.head);
            assert!(request.head.contains("authorization: bearer sk-secret"), "{}", request.head);
            let documents = texts(request);
            let mut wanted =
                json!({"model": "m", "query": "why", "documents": documents, "top_n": documents.len()});
            wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(request.body, wanted);
        }
        assert!(reranker.rerank("why", &[], &Cancel::never()).unwrap().is_empty());
        assert_eq!((reranker.name(), reranker.most_tokens()), ("m", 100));
        assert!(!format!("{reranker:?}").contains("sk-secret"));
    }
}

#[test]
fn tei_is_asked_for_its_model_and_bounds_and_gives_raw_scores() {
    let server = TestServer::start(|_, request| {
        if request.head.starts_with("get /info ") {
            return ok(&json!({"model_id": "org/m", "model_sha": "abc", "max_input_length": 64,
                "max_client_batch_size": 3, "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}}}}));
        }
        assert!(request.head.starts_with("post /rerank "), "{}", request.head);
        let scores = texts(request).into_iter().enumerate();
        let scores: Vec<Value> =
            scores.map(|(index, text)| json!({"index": index, "score": text.len() as f64 - 7.5})).collect();
        ok(&Value::Array(scores))
    });
    let tei = with(&server, RerankerKind::Tei, |options| options.batch = 9, &Arc::default());
    let scores = tei.rerank("why", &["a", "bbb", "cc", "dddd"], &Cancel::never()).unwrap();
    assert_eq!(scores, [-6.5, -4.5, -5.5, -3.5]);
    let sent = server.requests().into_iter().filter(|request| request.head.starts_with("post"));
    let mut sizes: Vec<usize> = sent
        .map(|request| {
            assert_eq!(request.body["raw_scores"], true);
            assert_eq!(request.body["truncate"], false);
            texts(&request).len()
        })
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3]);
    // A text longer than the server reads goes in parts, of which the best counts.
    let long = "word ".repeat(200);
    let scores = tei.rerank("why", &[&long, "bbb"], &Cancel::never()).unwrap();
    let lengths = server.requests().into_iter().filter(|request| request.head.starts_with("post"));
    let lengths: Vec<usize> = lengths.flat_map(|request| texts(&request)).map(|text| text.len()).collect();
    assert!(lengths.len() > 4 && lengths.iter().sum::<usize>() == long.len() + 3, "{lengths:?}");
    assert!(lengths.iter().all(|&length| length < 48 * 5), "{lengths:?}");
    let best = *lengths.iter().max().unwrap() as f32 - 7.5;
    assert!((scores[0] - best).abs() < 1e-3, "{scores:?}, not {best}");

    let other = TestServer::start(|_, _| {
        ok(
            &json!({"model_id": "org/other", "model_sha": null, "max_input_length": 64, "max_client_batch_size": 3}),
        )
    });
    let error = reranker(&other, RerankerKind::Tei).rerank("why", &["a"], &Cancel::never()).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::OtherModel { .. })), "{error:?}");
}

/// llama.cpp gives scores without bounds in this form.
#[test]
fn values_beyond_0_and_1_stay_in_order_in_jina_s_form_alone() {
    let answer = |_: usize, _: &Received| {
        ok(
            &json!({"model": "m", "object": "list", "usage": {"prompt_tokens": 9, "total_tokens": 9}, "results": [
            {"index": 0, "relevance_score": 3.5}, {"index": 1, "relevance_score": 0.25},
            {"index": 2, "relevance_score": -2.5}, {"index": 3, "relevance_score": 1.0},
            {"index": 4, "relevance_score": 0.0}]}),
        )
    };
    let ask = |kind| {
        let server = TestServer::start(answer);
        let reranker = with(&server, kind, |options| options.batch = 5, &Arc::default());
        reranker.rerank("why", &["a", "b", "c", "d", "e"], &Cancel::never())
    };
    let scores = ask(RerankerKind::Jina).unwrap();
    let mut order = [0, 1, 2, 3, 4];
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    assert_eq!(order, [0, 3, 1, 4, 2], "{scores:?}");
    for kind in [RerankerKind::Cohere, RerankerKind::Whittle] {
        let error = ask(kind).unwrap_err();
        assert!(matches!(error, ScoreError::Remote(RemoteError::NoRelevance { place: 0, .. })), "{error:?}");
    }
}

#[test]
fn what_cohere_would_cut_off_is_sent_in_parts() {
    let server = TestServer::start(|_, request| ok(&json!({"results": results(request)})));
    let long = "word ".repeat(8_000);
    reranker(&server, RerankerKind::Cohere).rerank("why", &[&long], &Cancel::never()).unwrap();
    let parts: Vec<String> = server.requests().iter().flat_map(texts).collect();
    assert!(
        parts.len() >= 3 && parts.iter().map(String::len).sum::<usize>() == long.len(),
        "{}",
        parts.len()
    );
}

/// A fault: the answer, and which error it is and what that advises.
type Fault = (RerankerKind, Vec<u8>, fn(&RemoteError) -> bool, &'static str);

#[test]
fn answers_that_cannot_be_used_are_errors_with_a_name_and_a_remedy() {
    let scores = |scores: Value| ok(&json!({"model": "m", "results": scores}));
    let one = |score: Value| scores(json!([{"index": 0, "relevance_score": score}]));
    let faults: [Fault; 11] = [
        (
            RerankerKind::Cohere,
            one(json!(1.5)),
            |e| matches!(e, RemoteError::NoRelevance { place: 0, .. }),
            "`reranker.kind`",
        ),
        (
            RerankerKind::Jina,
            one(json!(null)),
            |e| matches!(e, RemoteError::Malformed { .. }),
            "`reranker.kind`",
        ),
        (
            RerankerKind::Jina,
            reply(200, "", "{\"results\": [{\"index\": 0, \"relevance_score\": NaN}]}"),
            |e| matches!(e, RemoteError::Malformed { .. }),
            "not JSON",
        ),
        (
            RerankerKind::Jina,
            one(json!(1e300)),
            |e| matches!(e, RemoteError::NoRelevance { place: 0, .. }),
            "not finite",
        ),
        (
            RerankerKind::Jina,
            scores(json!([])),
            |e| matches!(e, RemoteError::Count { sent: 1, came: 0, .. }),
            "`reranker.batch`",
        ),
        (
            RerankerKind::Cohere,
            scores(json!([{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.5}])),
            |e| matches!(e, RemoteError::Count { sent: 1, came: 2, .. }),
            "batch",
        ),
        (
            RerankerKind::Whittle,
            scores(json!([{"index": 1, "relevance_score": 0.5}])),
            |e| matches!(e, RemoteError::Order { index: 1, .. }),
            "report it",
        ),
        (
            RerankerKind::Whittle,
            ok(&json!({"model": "other", "results": [{"index": 0, "relevance_score": 0.5}]})),
            |e| matches!(e, RemoteError::OtherModel { found, .. } if found == "other"),
            "`reranker.model`",
        ),
        (
            RerankerKind::Jina,
            reply(413, "", "{\"detail\": \"too large\"}"),
            |e| matches!(e, RemoteError::Refused { status: 413, .. }),
            "`reranker.max_tokens`",
        ),
        (
            RerankerKind::Cohere,
            reply(401, "", "{\"message\": \"invalid api token\"}"),
            |e| matches!(e, RemoteError::Refused { status: 401, message, .. } if message == "invalid api token"),
            "`reranker.api_key_env`",
        ),
        (
            RerankerKind::Jina,
            reply(200, "", &format!("{{\"results\": [], \"x\": \"{}\"}}", "x".repeat(1 << 20))),
            |e| matches!(e, RemoteError::TooLong { .. }),
            "`reranker.url`",
        ),
    ];
    for (kind, bytes, is_right, advice) in faults {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let server = TestServer::start(move |_, _| bytes.clone());
        let health = Arc::<RemoteHealth>::default();
        let reranker = with(&server, kind, |options| options.remote.retries = 0, &health);
        let error = reranker.rerank("secret question", &["secret text"], &Cancel::never()).unwrap_err();
        let ScoreError::Remote(remote) = &error else { panic!("{error:?} of {shown}") };
        assert!(is_right(remote), "{remote:?} of {shown}");
        let message = error.to_string();
        assert!(message.contains(&server.url) && message.contains(advice), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(health.state() == RemoteState::Failed, remote.is_of_server(), "{shown}");
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = TestServer::start(|n, request| {
        if n == 0 {
            return reply(429, "retry-after: 0\r\n", "{\"message\": \"slow down\"}");
        }
        ok(&json!({"results": results(request)}))
    });
    let scores = reranker(&server, RerankerKind::Cohere).rerank("why", &["aa"], &Cancel::never()).unwrap();
    assert_scores(&scores, &["aa"]);
    assert_eq!(server.requests().len(), 2);
}
