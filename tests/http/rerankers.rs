//! Rerankers and context pruners over HTTP, from the folder of a model to the answer. The models are the tiny random ones
//! of `tests/parity/encoders`, so that what they say is compared with the library's word, not with sense.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use whittle::model::local::{CrossEncoderOptions, EncoderFiles, LocalCrossEncoder};
use whittle::model::{Cancel, Precision, Reranker};

use crate::collections::{post, put};
use crate::support::{Running, SERVE, Whittle, run};

const QUESTION: &str = "When was the bridge opened?";
const TEXTS: [&str; 3] = [
    "The old road along the river was never closed. It is not open to lorries.",
    "The bridge was opened in 1987, and both libraries close at six. Nobody was there to see it.",
    "Le phare du cap mesure 41 metres. The other things are there.",
];

fn model(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encoders").join(name)
}

/// A command line in a folder whose cache of models is its own.
fn whittle(folder: &Arc<TempDir>, arguments: &[&str]) -> Whittle {
    let cache = folder.path().join("cache");
    Whittle::beside(Arc::clone(folder), arguments).env("WHITTLE_CACHE", cache.to_str().unwrap())
}

/// Adds a model from its folder; returns what is said.
fn add(folder: &Arc<TempDir>, name: &str) -> String {
    let path = model(name);
    let output = whittle(folder, &["models", "add", path.to_str().unwrap(), "--name", name]).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// A service that embeds by a tiny model too, with further settings.
fn service(folder: &Arc<TempDir>, settings: &str) -> Running {
    let embedder = model("bert");
    let config = format!("embedder.model = {:?}\n{settings}", embedder.to_str().unwrap());
    std::fs::write(folder.path().join("whittle.toml"), config).unwrap();
    run(whittle(folder, SERVE))
}

/// The scores that the library gives.
fn scores(name: &str, texts: &[&str]) -> Vec<f64> {
    let [config, tokenizer, weights] =
        ["config.json", "tokenizer.json", "model.safetensors"].map(|file| model(name).join(file));
    let files = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    let options = CrossEncoderOptions { precision: Precision::Int8, ..CrossEncoderOptions::default() };
    let model = LocalCrossEncoder::load(name, files, &options).unwrap();
    let scores = model.rerank(QUESTION, texts, &Cancel::never()).unwrap();
    scores.into_iter().map(|score| 1.0 / (1.0 + (-f64::from(score)).exp())).collect()
}

/// The places of the texts, the best first.
fn order(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

fn documents() -> Vec<Value> {
    TEXTS.iter().enumerate().map(|(i, text)| json!({"id": format!("d{i}"), "text": text})).collect()
}

#[test]
fn a_reranker_is_added_from_its_folder_and_ranks_everywhere() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let said = add(&folder, "modernbert");
    assert!(
        said.contains("reranker, modernbert") && said.contains("reranker.model = \"modernbert\""),
        "{said}"
    );
    let service = service(&folder, "reranker.model = \"modernbert\"");
    let wanted = scores("modernbert", &TEXTS);

    let request = json!({"query": QUESTION, "documents": TEXTS, "return_documents": true});
    let answer = post(&service, "/v1/rerank", &request).body;
    assert_eq!(answer["model"], "modernbert", "{answer}");
    let results = answer["results"].as_array().unwrap();
    let places: Vec<usize> = results.iter().map(|r| r["index"].as_u64().unwrap() as usize).collect();
    assert_eq!(places, order(&wanted), "{answer}");
    for (result, &place) in results.iter().zip(&places) {
        assert!((result["relevance_score"].as_f64().unwrap() - wanted[place]).abs() < 1e-5, "{answer}");
        assert_eq!(result["document"]["text"], TEXTS[place]);
    }
    let first =
        post(&service, "/v1/rerank", &json!({"query": QUESTION, "documents": TEXTS, "top_n": 1})).body;
    assert_eq!(first["results"].as_array().unwrap().len(), 1);
    // Who names the embedder is ranked by it.
    let by_embedder = json!({"query": QUESTION, "documents": TEXTS, "model": "bert"});
    assert_eq!(post(&service, "/v1/rerank", &by_embedder).body["model"], "bert");
    let unknown = json!({"query": QUESTION, "documents": TEXTS, "model": "other"});
    assert_eq!(post(&service, "/v1/rerank", &unknown).status, 404);

    let compress = json!({"documents": documents(), "question": QUESTION, "method": "hybrid", "rate": 0.6});
    let compressed = post(&service, "/v1/compress", &compress).body;
    let mut ranks: Vec<(u64, usize)> = (0..TEXTS.len())
        .map(|i| (compressed["documents"][i]["rank"].as_u64().expect("each is ranked"), i))
        .collect();
    ranks.sort_unstable();
    assert_eq!(ranks.iter().map(|&(_, i)| i).collect::<Vec<_>>(), order(&wanted), "{compressed}");

    put(&service, "/v1/collections/town", &json!({}));
    let upsert = json!({"documents": documents()});
    assert_eq!(post(&service, "/v1/collections/town/documents", &upsert).status, 200);
    let search = json!({"query": QUESTION, "rerank": 3});
    let found = post(&service, "/v1/collections/town/search", &search).body;
    let ids: Vec<&str> =
        found["results"].as_array().unwrap().iter().map(|r| r["document_id"].as_str().unwrap()).collect();
    let expected: Vec<String> = order(&wanted).into_iter().map(|place| format!("d{place}")).collect();
    assert_eq!(ids, expected, "{found}");
}

/// The answer of `POST /v1/rerank`, without its name.
fn ranked(service: &Running, question: &str) -> Value {
    let mut answer = post(service, "/v1/rerank", &json!({"query": question, "documents": TEXTS})).body;
    answer.as_object_mut().unwrap().remove("id");
    answer
}

#[test]
fn a_remote_whittle_reranks_and_a_local_model_takes_its_place() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    add(&folder, "modernbert");
    let ranking = service(&folder, "reranker.model = \"modernbert\"");
    let folder = Arc::new(tempfile::tempdir().unwrap());
    add(&folder, "modernbert");
    let url = format!("http://{}", ranking.address);
    let remote = format!(
        "[reranker]\nkind = \"whittle\"\nurl = \"{url}\"\nmodel = \"modernbert\"\nretries = 0\nbatch = 2\n"
    );
    let behind = service(&folder, &remote);
    let (here, there) = (ranked(&ranking, QUESTION), ranked(&behind, QUESTION));
    let of = |answer: &Value| -> Vec<(u64, f64)> {
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        results.map(|r| (r["index"].as_u64().unwrap(), r["relevance_score"].as_f64().unwrap())).collect()
    };
    for (near, far) in of(&here).iter().zip(of(&there)) {
        assert!(near.0 == far.0 && (near.1 - far.1).abs() < 1e-6, "{here}, not {there}");
    }
    assert_eq!(there["model"], "modernbert");
    let compress = json!({"documents": documents(), "question": QUESTION, "method": "hybrid", "rate": 0.6});
    let kept = |service: &Running| {
        let answer = post(service, "/v1/compress", &compress);
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.body["prompt"].clone(), answer.body["documents"].clone())
    };
    assert_eq!(kept(&ranking), kept(&behind));
    put(&behind, "/v1/collections/town", &json!({}));
    assert_eq!(
        post(&behind, "/v1/collections/town/documents", &json!({"documents": documents()})).status,
        200
    );
    let search = json!({"query": QUESTION, "rerank": 3});
    let found = post(&behind, "/v1/collections/town/search", &search).body;
    assert_eq!(found["results"][0]["document_id"], format!("d{}", of(&here)[0].0), "{found}");
    let described =
        json!([{"role": "reranker", "kind": "whittle", "model": "modernbert", "url": url, "state": "ready"}]);
    assert_eq!(behind.get("/v1/status").body["remote_models"], described);
    drop(behind);

    // With a local model beside it, and without.
    let fallback = service(&folder, &format!("{remote}fallback = \"modernbert\"\n"));
    ranking.kill();
    assert_eq!(of(&ranked(&fallback, QUESTION)).len(), TEXTS.len());
    let answer = post(&fallback, "/v1/compress", &compress).body;
    assert_eq!(answer["warnings"][0]["code"], "reranker_fallback", "{answer}");
    let found = post(&fallback, "/v1/collections/town/search", &search).body;
    assert_eq!(found["warnings"][0]["code"], "reranker_fallback", "{found}");
    assert_eq!(fallback.get("/readyz").status, 200);
    let named = json!({"query": QUESTION, "documents": TEXTS, "model": "modernbert"});
    assert_eq!(post(&fallback, "/v1/rerank", &named).status, 503, "who names a model gets no other");
    drop(fallback);
    let alone = service(&folder, &remote);
    let refused = post(&alone, "/v1/compress", &compress);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (503, &json!("remote_model_failed")));
    assert!(
        refused.body["error"]["message"].as_str().unwrap().contains("`reranker.url`"),
        "{}",
        refused.body
    );
    assert_eq!(alone.get("/readyz").status, 503);
}

#[test]
fn a_pruner_is_added_from_its_folder_prunes_and_ranks() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let said = add(&folder, "pruner-modernbert");
    assert!(said.contains("pruner.model = \"pruner-modernbert\""), "{said}");
    let prune = json!({"documents": documents(), "question": QUESTION, "method": "prune"});
    {
        let without = service(&folder, "");
        let refused = post(&without, "/v1/compress", &prune);
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(
            refused.body["error"]["message"].as_str().unwrap().contains("pruner.model"),
            "{}",
            refused.body
        );
    }
    let both = "pruner.model = \"pruner-modernbert\"\npruner.threshold = 0.0\nreranker.model = \"pruner-modernbert\"";
    let service = service(&folder, both);
    // At this threshold everything stays that the budget has room for.
    let all = post(&service, "/v1/compress", &prune).body;
    assert_eq!((&all["method"], &all["usage"]["rate"]), (&json!("prune"), &json!(1.0)), "{all}");
    assert!(all["reason"].as_str().unwrap().contains("reached the threshold 0"), "{all}");
    let mut half = prune.clone();
    half["rate"] = json!(0.5);
    let half = post(&service, "/v1/compress", &half).body;
    let tokens = |key: &str| half["usage"][key].as_u64().unwrap();
    assert!(
        tokens("compressed_tokens") > 0 && tokens("compressed_tokens") <= tokens("requested_tokens"),
        "{half}"
    );
    for (document, text) in half["documents"].as_array().unwrap().iter().zip(TEXTS) {
        for range in document["kept"].as_array().unwrap() {
            let [from, to] = [0, 1].map(|end| range[end].as_u64().unwrap() as usize);
            assert!(text[from..to].trim_end().ends_with('.'), "whole sentences: {half}");
        }
    }
    let no_question = json!({"documents": documents(), "method": "prune"});
    assert_eq!(post(&service, "/v1/compress", &no_question).status, 422);
    let ranked = post(&service, "/v1/rerank", &json!({"query": QUESTION, "documents": TEXTS})).body;
    assert_eq!(ranked["model"], "pruner-modernbert");
    let places: Vec<usize> =
        ranked["results"].as_array().unwrap().iter().map(|r| r["index"].as_u64().unwrap() as usize).collect();
    assert_eq!(places, order(&scores("pruner-modernbert", &TEXTS)), "{ranked}");
}

#[test]
fn a_model_of_another_kind_is_refused_by_name() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    add(&folder, "bert");
    let service = service(&folder, "pruner.model = \"bert\"");
    let prune = json!({"documents": documents(), "question": QUESTION, "method": "prune"});
    let refused = post(&service, "/v1/compress", &prune);
    assert_eq!(refused.status, 503);
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("no head that prunes") && message.contains("reranker.model"), "{message}");
}
