//! Scorers behind `SGLang`, by replies in the form that its sources and guides describe (0.5), and behind another whittle.
//! `SGLang` itself is not run here.

use std::sync::Arc;

use serde_json::{Value, json};

use super::scorer::{job, options};
use super::server::{Received, TestServer, ok};
use crate::model::remote::{RemoteError, RemoteScorer, RemoteScorerOptions, ScorerKind};
use crate::model::{Cancel, ScoreError, TokenScorer};

fn connect(server: &TestServer, kind: ScorerKind) -> Result<RemoteScorer, ScoreError> {
    RemoteScorer::connect(RemoteScorerOptions { kind, ..options(server) }, Arc::default())
}

fn ids_of(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The likelihood of a token, which tells its id.
fn nll(id: u32) -> f32 {
    id as f32 / 8.0
}

fn of(ids: &[u32]) -> Vec<f32> {
    ids.iter().map(|&id| nll(id)).collect()
}

fn sglang_models() -> Vec<u8> {
    ok(
        &json!({"object": "list", "data": [{"id": "smollm2", "object": "model", "created": 1, "owned_by": "sglang",
        "root": "smollm2", "parent": null, "max_model_len": 2048}]}),
    )
}

fn sglang_answer(request: &Received) -> Value {
    let answer = |ids: &Value| {
        let entry = |(place, id): (usize, u32)| match place {
            0 => json!([null, id, null]),
            _ => json!([-nll(id), id, null]),
        };
        let entries: Vec<Value> = ids_of(ids).into_iter().enumerate().map(entry).collect();
        json!({"text": "", "output_ids": [], "meta_info": {"id": "1", "finish_reason": {"type": "length", "length": 0},
            "prompt_tokens": entries.len(), "completion_tokens": 0, "cached_tokens": 0,
            "input_token_logprobs": entries, "output_token_logprobs": []}})
    };
    request.body["input_ids"].as_array().unwrap().iter().map(answer).collect()
}

fn sglang(spoil: fn(&mut Value)) -> TestServer {
    TestServer::start(move |_, request| {
        if request.head.starts_with("get /v1/models ") {
            return sglang_models();
        }
        assert!(request.head.starts_with("post /generate "), "{}", request.head);
        let mut answer = sglang_answer(request);
        spoil(&mut answer);
        ok(&answer)
    })
}

#[test]
fn sglang_is_sent_ids_and_each_token_s_likelihood_is_read() {
    let server = sglang(|_| {});
    let scorer = connect(&server, ScorerKind::SgLang).unwrap();
    assert_eq!((scorer.context(), scorer.window(), scorer.vocabulary()), (2040, 2040, Some(4)));
    server.requests();
    let jobs = [job(&[], &[10, 11, 12]), job(&[10, 11, 12], &[30, 31]), job(&[5, 6], &[7]), job(&[], &[9])];
    let scores = scorer.score(&jobs, &Cancel::never()).unwrap();
    assert_eq!(scores, [of(&[11, 12]), of(&[30, 31]), of(&[7]), Vec::new()]);
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "two sequences are a batch");
    assert_eq!(
        requests[0].body,
        json!({"input_ids": [[10, 11, 12, 30, 31], [5, 6, 7]], "return_logprob": true, "logprob_start_len": 0,
            "top_logprobs_num": 0, "stream": false, "sampling_params": {"max_new_tokens": 0, "temperature": 0.0}})
    );
    assert_eq!(scorer.score_whole(&[1, 2], &[3, 4], &Cancel::never()).unwrap(), of(&[3, 4]));
    assert!(scorer.identity().starts_with("sglang"), "{}", scorer.identity());
}

/// A fault: what becomes of a right answer, and which error it is.
type Fault = (fn(&mut Value), fn(&RemoteError) -> bool);

#[test]
fn faults_of_sglang_s_answers_have_names() {
    let faults: [Fault; 6] = [
        (
            |answer| answer[0]["meta_info"]["input_token_logprobs"] = Value::Null,
            |e| matches!(e, RemoteError::NoLikelihood { place: 1, .. }),
        ),
        (
            |answer| answer[0]["meta_info"]["input_token_logprobs"][2][0] = Value::Null,
            |e| matches!(e, RemoteError::NoLikelihood { place: 2, .. }),
        ),
        (
            |answer| answer[0]["meta_info"]["input_token_logprobs"][1][1] = json!(77),
            |e| matches!(e, RemoteError::OtherTokens { place: 1, .. }),
        ),
        (
            // What it gives where `logprob_start_len` is passed over.
            |answer| answer[0]["meta_info"]["input_token_logprobs"] = json!([]),
            |e| matches!(e, RemoteError::OtherTokens { place: 0, .. }),
        ),
        (|answer| *answer = json!([]), |e| matches!(e, RemoteError::Count { sent: 1, came: 0, .. })),
        (|answer| *answer = answer[0].take(), |e| matches!(e, RemoteError::Malformed { .. })),
    ];
    for (i, (spoil, is_right)) in faults.into_iter().enumerate() {
        let server = sglang(spoil);
        let scorer = connect(&server, ScorerKind::SgLang).unwrap();
        let error = scorer.score(&[job(&[], &[10, 11, 12])], &Cancel::never()).unwrap_err();
        let ScoreError::Remote(remote) = &error else { panic!("{i}: {error:?}") };
        assert!(is_right(remote), "{i}: {remote:?}");
        assert!(error.to_string().contains(&server.url), "{error}");
    }
}

/// The answer of another whittle that has the model `smollm2`.
fn whittle_answer(request: &Received) -> Value {
    let scores = |sequence: &Value| {
        let unscored = usize::from(sequence["prefix"].as_array().unwrap().is_empty());
        let ids = ids_of(&sequence["ids"]);
        let nll: Vec<Value> = ids
            .iter()
            .enumerate()
            .map(|(i, &id)| if i < unscored { Value::Null } else { json!(nll(id)) })
            .collect();
        json!({"ids": ids, "nll": nll})
    };
    let sequences: Vec<Value> = request.body["sequences"].as_array().unwrap().iter().map(scores).collect();
    json!({"model": "smollm2", "identity": "5e1f", "window": 2048, "context": 8192, "sequences": sequences})
}

fn whittle(spoil: fn(&mut Value)) -> TestServer {
    TestServer::start(move |_, request| {
        if request.head.starts_with("post /v1/score ") {
            // The tokenizer of these tests knows nothing but a, b and the space.
            return ok(&json!({"model": "smollm2", "ids": probe(), "tokens": [], "ranges": [], "nll": []}));
        }
        assert!(request.head.starts_with("post /v1/score/tokens "), "{}", request.head);
        let mut answer = whittle_answer(request);
        spoil(&mut answer);
        ok(&answer)
    })
}

/// The tokens of the probe by the tokenizer of these tests: what is sent as ids.
fn probe() -> Vec<u32> {
    let server = TestServer::start(|_, _| ok(&json!({})));
    let error = connect(&server, ScorerKind::Whittle).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::Malformed { .. })), "{error:?}");
    let requests = server.requests();
    let sent = requests.iter().find(|request| request.head.starts_with("post /v1/score/tokens "));
    ids_of(&sent.unwrap().body["sequences"][0]["ids"])
}

#[test]
fn another_whittle_gets_jobs_as_they_are() {
    let server = whittle(|_| {});
    let scorer = connect(&server, ScorerKind::Whittle).unwrap();
    assert_eq!((scorer.context(), scorer.window()), (8192, 2048));
    server.requests();
    let jobs = [job(&[], &[10, 11]), job(&[5, 6], &[7]), job(&[], &[])];
    assert_eq!(scorer.score(&jobs, &Cancel::never()).unwrap(), [of(&[11]), of(&[7]), Vec::new()]);
    let mut requests = server.requests();
    requests.sort_by_key(|request| request.body["sequences"].as_array().unwrap().len());
    assert_eq!(
        requests[1].body,
        json!({"model": "smollm2", "whole": false,
            "sequences": [{"prefix": [], "ids": [10, 11]}, {"prefix": [5, 6], "ids": [7]}]})
    );
    assert_eq!(scorer.score_whole(&[1, 2], &[3, 4], &Cancel::never()).unwrap(), of(&[3, 4]));
    assert_eq!(server.requests()[0].body["whole"], true);
    let mut session = scorer.session();
    assert_eq!(session.extend(&[1, 2, 3], &Cancel::never()).unwrap(), of(&[2, 3]));
    assert_eq!(session.extend(&[4, 5], &Cancel::never()).unwrap(), of(&[5]));
    assert!(scorer.identity().contains("5e1f"), "{}", scorer.identity());
}

#[test]
fn faults_of_another_whittle_s_answers_have_names() {
    let faults: [Fault; 5] = [
        (|answer| answer["model"] = json!("other"), |e| matches!(e, RemoteError::OtherModel { .. })),
        (|answer| answer["identity"] = json!("0"), |e| matches!(e, RemoteError::OtherModel { .. })),
        (
            |answer| answer["sequences"][0]["ids"][1] = json!(77),
            |e| matches!(e, RemoteError::OtherTokens { place: 1, .. }),
        ),
        (
            |answer| answer["sequences"][0]["nll"][2] = Value::Null,
            |e| matches!(e, RemoteError::NoLikelihood { place: 2, .. }),
        ),
        (|answer| answer["sequences"] = json!([]), |e| matches!(e, RemoteError::Count { came: 0, .. })),
    ];
    for (i, (spoil, is_right)) in faults.into_iter().enumerate() {
        let server = TestServer::start(move |n, request| {
            if request.head.starts_with("post /v1/score ") {
                return ok(&json!({"ids": probe()}));
            }
            let mut answer = whittle_answer(request);
            // The first two are those of the beginning.
            if n > 1 {
                spoil(&mut answer);
            }
            ok(&answer)
        });
        let scorer = connect(&server, ScorerKind::Whittle).unwrap();
        let error = scorer.score(&[job(&[], &[10, 11, 12])], &Cancel::never()).unwrap_err();
        let ScoreError::Remote(remote) = &error else { panic!("{i}: {error:?}") };
        assert!(is_right(remote), "{i}: {remote:?}");
    }
}

#[test]
fn another_tokenizer_is_found_out_at_the_beginning() {
    let server = TestServer::start(move |_, request| {
        if request.head.starts_with("post /v1/score ") {
            let mut ids = probe();
            ids[0] += 1;
            return ok(&json!({"ids": ids}));
        }
        ok(&whittle_answer(request))
    });
    let error = connect(&server, ScorerKind::Whittle).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::OtherTokens { place: 0, .. })), "{error:?}");
    assert!(error.to_string().contains("`scorer.model`"), "{error}");
}
