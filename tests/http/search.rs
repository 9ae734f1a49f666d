//! Ways to search over HTTP, on the real models.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whittle::index::{Batch, DataDir, Metadata, NewChunk, NewDocument, Settings, StoredChunk};
use whittle::text::{ChunkSettings, Layout};

use crate::collections::{post, put};
use crate::support::{Running, serve, serve_again, serve_with_model};

const SEARCH: &str = "/v1/collections/town/search";

/// Stores documents of which only one tells when the bridge was opened.
fn town(service: &Running) {
    put(service, "/v1/collections/town", &json!({}));
    let documents = json!({"documents": [
        {"id": "ferry", "text": "The ferry leaves every twenty minutes from the old quay, as it has done since the war."},
        {"id": "bridge", "text": "The bridge at Harbour Street was opened on 3 May 1987 by the mayor."},
        {"id": "mill", "text": "The old mill was sold to a brewer, who lets nobody in."}]});
    assert_eq!(post(service, "/v1/collections/town/documents", &documents).status, 200);
}

fn ids(found: &Value) -> Vec<&str> {
    found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["document_id"].as_str().unwrap())
        .collect()
}

#[test]
fn results_are_put_in_order_by_the_likelihood_of_the_query() {
    let service = serve_with_model("");
    town(&service);
    let question = "When was the bridge at Harbour Street opened?";
    let query = json!({"query": question, "rerank": 3, "rerank_by": "likelihood"});
    let found = post(&service, SEARCH, &query).body;
    let worth = |result: &Value| result["scores"]["rerank"].as_f64().unwrap();
    let results = found["results"].as_array().unwrap();
    assert!(results.is_sorted_by(|a, b| worth(a) >= worth(b)), "{found}");
    assert!(results.iter().all(|result| worth(result) > 0.0 && worth(result) < 1.0), "{found}");
    assert_eq!((results.len(), ids(&found)[0]), (3, "bridge"));
    // It is what `longllmlingua` ranks documents by.
    let documents: Vec<Value> =
        results.iter().map(|result| json!({"id": result["document_id"], "text": result["text"]})).collect();
    let compress =
        json!({"documents": documents, "question": question, "method": "longllmlingua", "rate": 0.5});
    let compressed = post(&service, "/v1/compress", &compress).body;
    for (result, document) in results.iter().zip(compressed["documents"].as_array().unwrap()) {
        let nll = document["score"].as_f64().unwrap();
        assert!((worth(result).ln() + nll).abs() < 1e-9, "{result} {document}");
    }
    // Without time the order stays, and is told.
    let unasked = "What is the name of the mayor who opened the bridge?";
    let plain = post(&service, SEARCH, &json!({"query": unasked})).body;
    let late = json!({"query": unasked, "rerank": 3, "rerank_by": "likelihood", "rerank_deadline_ms": 0});
    let late = post(&service, SEARCH, &late);
    assert_eq!((late.status, &late.body["warnings"][0]["code"]), (200, &"rerank_late".into()));
    assert_eq!(late.body["results"], plain["results"]);
    let none = post(&service, SEARCH, &json!({"query": question, "rerank_by": "likelihood"}));
    assert_eq!((none.status, &none.body["error"]["code"]), (400, &"invalid_rerank".into()));
}

#[test]
fn the_scorer_is_loaded_for_likelihood_alone() {
    let service = serve("[scorer]\nmodel = \"none\"");
    town(&service);
    let query = |by: &str| json!({"query": "When was the bridge opened?", "rerank": 3, "rerank_by": by});
    let relevant = post(&service, SEARCH, &query("relevance"));
    assert_eq!((relevant.status, ids(&relevant.body)[0]), (200, "bridge"), "{}", relevant.body);
    let likely = post(&service, SEARCH, &query("likelihood"));
    assert_eq!((likely.status, &likely.body["error"]["code"]), (503, &"model_unavailable".into()));
}

#[test]
fn weights_and_diversity_change_the_order() {
    let service = serve("");
    town(&service);
    let again = json!({"documents": [{"id": "again", "text": "The bridge at Harbour Street was opened by the mayor on 3 May 1987."}]});
    post(&service, "/v1/collections/town/documents", &again);
    let order = |query: &str, more: &Value| {
        let mut body = json!({"query": query});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let found = post(&service, SEARCH, &body);
        assert_eq!(found.status, 200, "{}", found.body);
        ids(&found.body).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // The words are those of one document, and the meaning is that of another.
    let query = "How often does a boat cross the river? asks the brewer";
    let (lexical, dense) =
        (order(query, &json!({"mode": "lexical"})), order(query, &json!({"mode": "dense"})));
    assert_eq!((lexical[0].as_str(), dense[0].as_str()), ("mill", "ferry"));
    let words = order(query, &json!({"weights": {"lexical": 1, "dense": 0}}));
    assert_eq!(words[..lexical.len()], lexical[..]);
    assert_eq!(order(query, &json!({"weights": {"lexical": 0, "dense": 1}})), dense);
    // What says the same once more is second, until it is passed over for that.
    let query = "When was the bridge at Harbour Street opened?";
    for mode in ["dense", "hybrid"] {
        let nearest = order(query, &json!({"mode": mode}));
        let diverse = order(query, &json!({"mode": mode, "diversity": 1}));
        assert_eq!(nearest[0], diverse[0], "{mode}");
        let mut same = [&*nearest[0], &*nearest[1]];
        same.sort_unstable();
        assert_eq!(same, ["again", "bridge"], "{mode}");
        assert!(!same.contains(&&*diverse[1]), "{mode}: {diverse:?}");
    }
    for (more, code) in [
        (json!({"weights": {"lexical": -0.1, "dense": 1}}), "invalid_weights"),
        (json!({"weights": {"lexical": 0, "dense": 0}}), "invalid_weights"),
        (json!({"diversity": 1.1}), "invalid_diversity"),
        (json!({"diversity": -0.1}), "invalid_diversity"),
    ] {
        let mut body = json!({"query": query});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = post(&service, SEARCH, &body);
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &code.into()), "{more}");
    }
}

/// Makes a collection `c` of so many documents, all of them linked, in a data folder.
fn linked(data: &std::path::Path, documents: usize) {
    let settings = Settings::new("none", 8, ChunkSettings::default()).unwrap();
    let collection = DataDir::open(data).unwrap().create(&"c".parse().unwrap(), &settings).unwrap();
    let document = |i: usize| {
        let values: Vec<f32> = (1..=8).map(|j| ((i * j) as f32).sin() + 0.01).collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        let chunk = StoredChunk { range: 0..4, headings: Vec::new(), header: None, tokens: 1 };
        NewDocument {
            id: i.to_string(),
            title: None,
            text: "text".into(),
            metadata: Metadata::new(),
            layout: Layout::Plain,
            hash: String::new(),
            chunks: vec![NewChunk { chunk, vector: values.iter().map(|value| value / length).collect() }],
        }
    };
    collection.apply(&Batch { remove: Vec::new(), upsert: (0..documents).map(document).collect() }).unwrap();
    assert!(collection.optimise().unwrap());
}

#[test]
fn links_are_made_anew_in_the_background_once_a_fifth_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("whittle.toml"), "").unwrap();
    linked(&folder.path().join("data"), 200);
    let service = serve_again(Arc::new(folder));
    let index = || service.get("/v1/collections/c").body["index"].clone();
    let delete = |from: usize, to: usize| {
        let ids: Vec<String> = (from..to).map(|id| id.to_string()).collect();
        let gone = post(&service, "/v1/collections/c/delete", &json!({"ids": ids}));
        assert_eq!(gone.body["deleted"], to - from, "{}", gone.body);
    };
    delete(0, 40);
    let before = index();
    assert_eq!((&before["linked"], &before["dead"]), (&json!(200), &json!(40)), "a fifth is not past it");
    delete(40, 41);
    let deadline = Instant::now() + Duration::from_secs(30);
    while index()["dead"] != 0 {
        assert!(Instant::now() < deadline, "{}", index());
        std::thread::sleep(Duration::from_millis(10));
    }
    let after = index();
    assert_eq!((&after["linked"], &after["fresh"], &after["lexical"]), (&json!(159), &json!(0), &json!(159)));
}

/// What `/metrics` says of lookups in the cache of scores: from memory, from the file, and computed.
fn lookups(service: &Running) -> [u64; 3] {
    let url = format!("http://{}/metrics", service.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(url).send().await.unwrap().text().await.unwrap()
    });
    ["hit", "file", "miss"].map(|outcome| {
        let name = format!("whittle_cache_lookups_total{{cache=\"scores\",outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).expect("it is counted");
        line.parse().unwrap()
    })
}

#[test]
fn what_was_scored_at_ingestion_is_compressed_without_scoring() {
    let service = serve_with_model("");
    put(&service, "/v1/collections/c", &json!({"chunking": {"tokens": 100, "overlap": 0}}));
    let text = include_str!("../../eval/texts/incident.md");
    let documents = json!({"documents": [{"id": "d", "text": text, "layout": "markdown"}], "score": true});
    let stored = post(&service, "/v1/collections/c/documents", &documents).body;
    assert!(stored["scored"].as_u64().unwrap() >= 5 && stored["scored"] == stored["chunks"], "{stored}");
    let again = post(&service, "/v1/collections/c/documents", &documents).body;
    assert_eq!((&again["unchanged"], &again["scored"]), (&json!(1), &json!(0)));
    let folder = Arc::clone(&service.folder);
    service.terminate_and_end();

    let service = serve_again(folder);
    let query = json!({"query": "What was the cause?", "top_k": 5});
    let found = post(&service, "/v1/collections/c/search", &query).body;
    let documents: Vec<Value> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| json!({"id": result["chunk_id"], "text": result["text"]}))
        .collect();
    assert_eq!(documents.len(), 5);
    let compress = json!({"documents": documents, "method": "llmlingua", "rate": 0.5});
    let compressed = post(&service, "/v1/compress", &compress);
    assert_eq!(compressed.status, 200, "{}", compressed.body);
    let usage = &compressed.body["usage"];
    assert!(usage["compressed_tokens"].as_u64() < usage["original_tokens"].as_u64(), "{usage}");
    assert_eq!(lookups(&service), [0, 5, 0], "all is known from the file");
    post(&service, "/v1/score", &json!({"text": "Nobody has scored this before."}));
    assert_eq!(lookups(&service), [0, 5, 1]);
}
