//! Prompts over HTTP, on the real models: options of searches and of selections, and what the ledger says.

use serde_json::{Value, json};

use crate::collections::{post, put};
use crate::support::{Answer, Running, serve};

const QUESTION: &str = "When was the bridge at Harbour Street opened?";

fn stored(service: &Running) {
    put(service, "/v1/collections/town", &json!({}));
    let text = |id: &str, text: &str| json!({"id": id, "text": text, "metadata": {"id": id}});
    let documents = json!({"documents": [
        text("bridge", "The bridge at Harbour Street was opened on 3 May 1987."),
        text("again", "The bridge at Harbour Street was opened on 3 May in the year 1987."),
        text("ferry", "The ferry leaves every twenty minutes from the old quay."),
        text("mill", "The old mill was opened to the public by a brewer.")]});
    assert_eq!(post(service, "/v1/collections/town/documents", &documents).status, 200);
}

/// Asks for a prompt with `more` in the request.
fn prompt(service: &Running, more: &Value) -> Answer {
    let mut body = json!({"question": QUESTION, "target_tokens": 600});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(service, "/v1/prompt", &body)
}

#[test]
fn a_prompt_is_searched_for_as_a_collection_is() {
    let service = serve("");
    stored(&service);
    for search in [
        json!({}),
        json!({"mode": "lexical", "top_k": 2}),
        json!({"mode": "dense", "min_score": 0.5}),
        json!({"weights": {"lexical": 1, "dense": 0}, "diversity": 1}),
        json!({"rerank": 3, "filter": {"field": "id", "in": ["mill", "ferry", "again"]}}),
        json!({"rerank": 2, "rerank_by": "likelihood"}),
        json!({"query": "a mill and its brewer"}),
    ] {
        let mut query = search.clone();
        query.as_object_mut().unwrap().entry("query").or_insert(QUESTION.into());
        let found = post(&service, "/v1/collections/town/search", &query).body;
        let made = prompt(&service, &json!({"collections": ["town"], "search": search})).body;
        let candidates = made["ledger"]["candidates"].as_array().unwrap();
        assert!(!candidates.is_empty(), "{search}: {made}");
        assert_eq!(candidates.len(), found["results"].as_array().unwrap().len(), "{search}");
        for (candidate, result) in candidates.iter().zip(found["results"].as_array().unwrap()) {
            for field in ["document_id", "range", "score", "scores"] {
                assert_eq!(candidate[field], result[field], "{search}");
            }
        }
        assert_eq!(made["citations"][0]["document_id"], candidates[0]["document_id"], "{search}");
    }
    let late = json!({"collections": ["town"], "search": {"rerank": 3, "query": "not asked before", "rerank_deadline_ms": 0}});
    assert_eq!(prompt(&service, &late).body["warnings"][0]["code"], "rerank_late");
    let usual = prompt(&service, &json!({"collections": ["town"]})).body["ledger"]["template"].clone();
    assert!(usual["name"] == "answer" && usual["version"].is_u64(), "{usual}");
    // The short forms are what they were.
    let short = prompt(&service, &json!({"collections": ["town"], "mode": "lexical", "top_k": 1})).body;
    let long =
        prompt(&service, &json!({"collections": ["town"], "search": {"mode": "lexical", "top_k": 1}})).body;
    assert_eq!(short["ledger"]["candidates"], long["ledger"]["candidates"]);
    assert_eq!(short["ledger"]["candidates"].as_array().unwrap().len(), 1);
}

/// An example of a multiple choice as the template shows it.
fn shown(example: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let choice = |choice: &Value| format!("{}. {}", text(&choice["label"]), text(&choice["text"]));
    let choices: Vec<String> = example["choices"].as_array().unwrap().iter().map(choice).collect();
    let (question, answer) = (text(&example["question"]), text(&example["answer"]));
    format!("Question: {question}\n{}\nAnswer: {answer}\n\n", choices.join("\n"))
}

#[test]
fn examples_are_selected_as_from_their_bank() {
    let service = serve("");
    let choices = json!([{"label": "A", "text": "in 1902"}, {"label": "B", "text": "in 1950"}, {"label": "C", "text": "never"}]);
    let example = |id: &str, question: &str, answer: &str| json!({"id": id, "question": question, "answer": answer, "choices": choices});
    let examples = json!({"examples": [
        example("quay", "When was the quay at Harbour Street opened?", "A"),
        example("dock", "When was the dock at Harbour Street opened?", "A"),
        example("mill", "When was the old mill closed?", "B"),
        example("peru", "When did Peru become a kingdom?", "C")]});
    assert_eq!(post(&service, "/v1/example-banks/solved/examples", &examples).status, 200);
    for selection in [
        json!({}),
        json!({"count": 2}),
        json!({"count": 3, "balance": true}),
        json!({"count": 2, "diversity": 1}),
        json!({"duplicate": 0.5}),
        json!({"count": 3, "shuffle": 7}),
        json!({"count": 1, "question": "When did Chile become a kingdom?"}),
    ] {
        let mut select = selection.clone();
        select.as_object_mut().unwrap().entry("question").or_insert(QUESTION.into());
        let selected = post(&service, "/v1/example-banks/solved/select", &select).body;
        let selected = selected["examples"].as_array().unwrap();
        let made = prompt(&service, &json!({"banks": ["solved"], "selection": selection})).body;
        let candidates = made["ledger"]["examples"].as_array().unwrap();
        assert!(!candidates.is_empty() && candidates.len() == selected.len(), "{selection}: {made}");
        for (candidate, selected) in candidates.iter().rev().zip(selected) {
            let id = &selected["example"]["id"];
            assert_eq!((&candidate["id"], &candidate["chosen"]), (id, &true.into()), "{selection}");
        }
        let shown: Vec<String> = selected.iter().map(|selected| shown(&selected["example"])).collect();
        let text = made["prompt"].as_str().unwrap();
        assert!(text.ends_with(&format!("{}Question: {QUESTION}", shown.concat())), "{selection}: {text}");
    }
    let short = prompt(&service, &json!({"banks": ["solved"], "examples": 2})).body;
    let long = prompt(&service, &json!({"banks": ["solved"], "selection": {"count": 2}})).body;
    assert_eq!(short["prompt"], long["prompt"]);
}

#[test]
fn what_contradicts_itself_is_told() {
    let service = serve("");
    stored(&service);
    post(&service, "/v1/example-banks/b/examples", &json!({"examples": [{"question": "q", "answer": "a"}]}));
    for (more, code, param) in [
        (json!({"search": {}, "mode": "dense"}), "ambiguous_search", "search"),
        (json!({"search": {}, "top_k": 3}), "ambiguous_search", "search"),
        (json!({"search": {}, "filter": {"field": "id", "exists": true}}), "ambiguous_search", "search"),
        (json!({"selection": {}, "examples": 3}), "ambiguous_selection", "selection"),
        (json!({"examples": 101}), "invalid_examples", "examples"),
        (json!({"selection": {"count": 101}}), "invalid_count", "count"),
        (json!({"search": {"weights": {"dense": -1}}}), "invalid_weights", "weights"),
        (json!({"search": {"k": 3}}), "unknown_field", "search.k"),
        (json!({"search": {"rerank_by": "luck"}}), "invalid_field", "search.rerank_by"),
    ] {
        let mut request = json!({"collections": ["town"], "banks": ["b"]});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = prompt(&service, &request);
        let error = &answer.body["error"];
        assert_eq!(
            (answer.status, &error["code"], &error["param"]),
            (400, &code.into(), &param.into()),
            "{more}"
        );
    }
}
