//! Models on other machines: one whittle embeds for another.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Running, SERVE, Whittle, run, serve, serve_again, serve_with_model};

const REPORT: &str = include_str!("../../eval/texts/incident.md");

/// The configuration of a service that has the other one embed.
fn behind(other: &Running, more: &str) -> String {
    format!("[embedder]\nkind = 'whittle'\nurl = 'http://{}'\nretries = 0\n{more}", other.address)
}

fn compress(service: &Running, question: &str, method: &str) -> Answer {
    let documents: Vec<Value> = REPORT.split("\n## ").map(|text| json!({"text": text})).collect();
    let request = json!({"documents": documents, "question": question, "rate": 0.3, "method": method,
        "return": ["ranges", "scores"]});
    service.post("/v1/compress", &request.to_string())
}

/// All of an answer but what differs from one call to the next.
fn result(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    for changing in ["id", "timing_ms", "warnings"] {
        body.as_object_mut().unwrap().remove(changing);
    }
    body
}

/// The request that makes a collection.
fn create(client: &reqwest::Client, base: &str) -> reqwest::RequestBuilder {
    let request = client.put(format!("{base}/v1/collections/minutes"));
    request.header("content-type", "application/json").body("{}")
}

const QUESTION: &str = "Which setting caused the outage, and who noticed it?";

#[test]
fn a_remote_whittle_gives_the_same_bytes_as_the_model_in_the_process() {
    let embedding = serve_with_model("");
    let service = serve(&behind(&embedding, ""));
    let remote = |service: &Running| service.get("/v1/status").body["remote_models"].clone();
    assert_eq!(remote(&embedding), Value::Null);
    let url = format!("http://{}", embedding.address);
    let described = |state: &str| json!([{"role": "embedder", "kind": "whittle", "model": "all-minilm-l6-v2", "url": url, "state": state}]);
    assert_eq!(remote(&service), described("idle"));
    for method in ["hybrid", "extractive"] {
        let (local, far) = (compress(&embedding, QUESTION, method), compress(&service, QUESTION, method));
        assert_eq!((local.status, far.status), (200, 200), "{}", far.body);
        assert_eq!(result(&local), result(&far), "{method}");
    }
    assert_eq!(remote(&service), described("ready"));
    let ask = |service: &Running, request: Value| service.post("/v1/embeddings", &request.to_string()).body;
    let request = json!({"input": ["A bridge.", "the 3rd of May"], "input_type": "query"});
    let (local, far) = (ask(&embedding, request.clone()), ask(&service, request));
    assert!(local["data"] == far["data"] && far["data"][1]["index"] == 1, "the vectors differ");
    assert_eq!(local["identity"], far["identity"]);
    assert_eq!(local["identity"].as_str().map(str::len), Some(64), "{local}");

    // The files are the same, so that a collection is too, whoever embeds.
    let made = service.send(create);
    assert_eq!(made.status, 201, "{}", made.body);
    let documents = json!({"documents": [{"id": "a", "text": "The harbour closes in May."}]});
    assert_eq!(service.post("/v1/collections/minutes/documents", &documents.to_string()).status, 200);
    let folder = Arc::clone(&service.folder);
    service.terminate_and_end();
    std::fs::write(folder.path().join("whittle.toml"), "").unwrap();
    let local = serve_again(folder);
    let query = json!({"query": "When do ships have to leave?", "mode": "dense"});
    let found = local.post("/v1/collections/minutes/search", &query.to_string());
    assert_eq!(found.body["results"][0]["document_id"], "a", "{}", found.body);
}

#[test]
fn a_local_model_takes_over_whole_rankings_and_nothing_that_lasts_or_leaves() {
    let embedding = serve_with_model("");
    let alone = serve(&behind(&embedding, ""));
    let service = serve(&behind(&embedding, "fallback = 'all-minilm-l6-v2'\n"));
    let wanted = result(&compress(&embedding, QUESTION, "hybrid"));
    assert_eq!(result(&compress(&service, QUESTION, "hybrid")), wanted);
    let other = "Who restarted the gateway?";
    let wanted = result(&compress(&embedding, other, "hybrid"));
    embedding.kill();

    // The vectors of the report are remembered, and that of the question is not: the ranking is done anew.
    let answer = compress(&service, other, "hybrid");
    assert_eq!(result(&answer), wanted);
    assert_eq!(answer.body["warnings"][0]["code"], "embedder_fallback", "{}", answer.body["warnings"]);
    assert_eq!(service.get("/readyz").status, 200);
    let rerank = json!({"query": "ships", "documents": ["a harbour", "a lunch"]});
    assert_eq!(service.post("/v1/rerank", &rerank.to_string()).body["results"][0]["index"], 0);
    let refused = |answer: Answer| {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (503, &json!("remote_model_failed")));
        let message = answer.body["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("cannot be reached") && message.contains("`embedder.url`"), "{message}");
    };
    refused(service.post("/v1/embeddings", &json!({"input": "a new text"}).to_string()));
    let named = json!({"model": "all-minilm-l6-v2", "query": "boats", "documents": ["a pier", "a dinner"]});
    refused(service.post("/v1/rerank", &named.to_string()));

    // Without another model requests fail, and say where.
    refused(compress(&alone, QUESTION, "hybrid"));
    refused(alone.send(create));
    let ready = alone.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body["error"]["message"].as_str().unwrap().contains("remote embedder"), "{}", ready.body);
    assert_eq!(alone.get("/v1/status").body["remote_models"][0]["state"], "failed");
    let lossless = json!({"context": REPORT, "rate": 1.0, "method": "lossless"}).to_string();
    assert_eq!(alone.post("/v1/compress", &lossless).status, 200, "what needs no embedder goes on");
}

#[test]
fn the_command_line_names_remote_models_and_asks_their_servers() {
    let embedding = serve_with_model("");
    let output = |arguments: &[&str], config: &str| {
        let output = Whittle::new(arguments, config).output();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let config = behind(&embedding, "");
    let (listed, list, _) = output(&["models", "list"], &config);
    let line = list.lines().last().unwrap();
    assert!(listed && line.starts_with("all-minilm-l6-v2 "), "{list}");
    assert!(line.ends_with(&format!("remote: whittle at http://{}; not asked", embedding.address)), "{line}");
    let (verified, answers, _) = output(&["models", "verify"], &config);
    assert!(verified && answers.contains("answers; its vectors have 384 values"), "{answers}");

    let other = format!("{config}model = 'multilingual-e5-small'\n");
    let (verified, answers, error) = output(&["models", "verify"], &other);
    assert!(!verified && answers.contains("404"), "{answers}");
    assert!(error.contains("1 models on other machines cannot be used"), "{error}");
    let mut keyed = Whittle::new(SERVE, &format!("{config}api_key_env = 'NO_SUCH_KEY'\n"));
    keyed = keyed.env("NO_SUCH_KEY", "");
    let refused = keyed.output();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("NO_SUCH_KEY, which is not set: set it"), "{said}");
    let with_key = Whittle::new(SERVE, &format!("{config}api_key_env = 'WHITTLE_SOME_KEY'\n"));
    let service = run(with_key.env("WHITTLE_SOME_KEY", "k"));
    assert_eq!(compress(&service, QUESTION, "extractive").status, 200);
}

/// The logarithm of the probability that the server below gives a token, whatever is before it.
fn logprob(id: u64) -> f64 {
    -((id % 97) as f64) / 8.0 - 0.125
}

/// Answers as vLLM 0.32.0 does, with likelihoods that tell the ids: the form is real, the model is not.
fn answer_as_vllm(head: &str, body: &[u8]) -> Value {
    if head.starts_with("get /v1/models ") {
        return json!({"object": "list", "data": [{"id": "smollm2", "root": "model/smollm2", "max_model_len": 512}]});
    }
    assert!(
        head.starts_with("post /v1/completions ") && head.contains("authorization: bearer k\r\n"),
        "{head}"
    );
    let request: Value = serde_json::from_slice(body).unwrap();
    let choice = |(index, ids): (usize, &Value)| {
        let ids: Vec<u64> = ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        assert!(ids.len() < 512, "one token is generated");
        let entry =
            |id: &u64| json!({id.to_string(): {"logprob": logprob(*id), "rank": 1, "decoded_token": "x"}});
        let mut entries: Vec<Value> = ids.iter().map(entry).collect();
        entries[0] = Value::Null;
        json!({"index": index, "text": "a", "token_ids": [1], "prompt_logprobs": entries, "prompt_token_ids": ids})
    };
    let choices: Vec<Value> = request["prompt"].as_array().unwrap().iter().enumerate().map(choice).collect();
    json!({"id": "cmpl-1", "object": "text_completion", "model": request["model"], "choices": choices})
}

/// A server in this process, which ends with it.
fn vllm() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap() == 0 {
                        return;
                    }
                }
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                let answer = answer_as_vllm(&head, &body).to_string();
                let length = answer.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + &answer).as_bytes()).unwrap();
            });
        }
    });
    format!("http://{address}/v1")
}

#[test]
fn a_remote_whittle_scores_the_same_bytes_by_token_ids() {
    let scoring = serve_with_model("");
    let url = format!("http://{}", scoring.address);
    let config =
        format!("[scorer]\nkind = 'whittle'\nurl = '{url}'\nretries = 0\ncache_bytes = 0\nbatch = 3\n");
    let service = serve(&config);
    // Longer than the window, behind a prefix and without one.
    for request in [
        json!({"text": REPORT.repeat(2), "prefix": "A report."}),
        json!({"text": "The bridge was opened on 3 May 1987."}),
    ] {
        let ask = |service: &Running| service.post("/v1/score", &request.to_string()).body;
        let (here, there) = (ask(&scoring), ask(&service));
        assert!(here["ids"] == there["ids"] && here["nll"] == there["nll"], "the scores differ");
        assert!(there["nll"].as_array().is_some_and(|nll| nll.len() > 8), "{there}");
    }
    for method in ["llmlingua", "longllmlingua", "selective-context"] {
        let (local, far) = (compress(&scoring, QUESTION, method), compress(&service, QUESTION, method));
        assert_eq!((local.status, far.status), (200, 200), "{}", far.body);
        assert_eq!(result(&local), result(&far), "{method}");
    }
    let status = service.get("/v1/status").body["remote_models"].clone();
    let model = "smollm2-135m-instruct";
    assert_eq!(
        status,
        json!([{"role": "scorer", "kind": "whittle", "model": model, "url": url, "state": "ready"}])
    );

    let ask = |body: Value| scoring.post("/v1/score/tokens", &body.to_string());
    let scored = ask(
        json!({"sequences": [{"ids": [504, 3575, 282]}, {"prefix": [504], "ids": [3575]}], "whole": true}),
    );
    let sequences = &scored.body["sequences"];
    assert_eq!(scored.body["model"], model, "{}", scored.body);
    assert!(
        sequences[0]["nll"][0].is_null() && sequences[1]["nll"][0] == sequences[0]["nll"][1],
        "{sequences}"
    );
    let refused = |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &json!(code)), "{}", answer.body);
    };
    refused(ask(json!({"sequences": [{"ids": [504, 4_000_000_000_u32]}]})), 400, "unknown_token");
    refused(ask(json!({"sequences": []})), 400, "empty_input");
    refused(ask(json!({"model": "other", "sequences": [{"ids": [1]}]})), 404, "model_not_found");

    // Another model there, or none: the request fails, and says where.
    let wrong = serve(&format!("{config}served_model = 'other'\n"));
    let answer = compress(&wrong, QUESTION, "llmlingua");
    refused(answer, 503, "remote_model_failed");
    scoring.kill();
    let answer = compress(&service, "Who restarted the gateway?", "llmlingua");
    refused(answer, 503, "remote_model_failed");
}

#[test]
fn token_ids_are_scored_by_a_server_and_methods_work_with_them() {
    let local = serve_with_model("");
    let url = vllm();
    let config = format!(
        "[scorer]\nkind = 'vllm'\nurl = '{url}'\nserved_model = 'smollm2'\napi_key_env = 'VLLM_KEY'\n"
    );
    let service = run(Whittle::new(SERVE, &config).env("VLLM_KEY", "k"));
    // Longer than the server reads at once.
    let request = json!({"text": REPORT, "prefix": "A report."}).to_string();
    let (here, there) = (local.post("/v1/score", &request).body, service.post("/v1/score", &request).body);
    let ids = there["ids"].as_array().unwrap_or_else(|| panic!("{there}"));
    assert!(ids.len() > 1000 && here["ids"] == there["ids"], "the tokens are those of the model here");
    for (id, nll) in ids.iter().zip(there["nll"].as_array().unwrap()) {
        let wanted = -logprob(id.as_u64().unwrap());
        assert!((nll.as_f64().unwrap() - wanted).abs() < 1e-6, "{id}: {nll}");
    }
    for method in ["llmlingua", "longllmlingua", "selective-context"] {
        let answer = compress(&service, QUESTION, method);
        assert_eq!(answer.status, 200, "{method}: {}", answer.body);
        let usage = &answer.body["usage"];
        assert!(usage["compressed_tokens"].as_u64() <= usage["requested_tokens"].as_u64(), "{usage}");
    }
    let status = service.get("/v1/status").body["remote_models"].clone();
    assert_eq!(
        status,
        json!([{"role": "scorer", "kind": "vllm", "model": "smollm2", "url": url, "state": "ready"}])
    );
}
