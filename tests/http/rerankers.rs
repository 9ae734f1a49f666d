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
