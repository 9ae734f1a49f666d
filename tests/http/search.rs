//! Ways to search over HTTP, on the real models.

use serde_json::{Value, json};

use crate::collections::{post, put};
use crate::support::{Running, serve, serve_with_model};

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
