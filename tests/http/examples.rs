//! Banks of examples over HTTP, on the real embedder.

use serde_json::{Value, json};

use crate::support::{delete, serve};

const BANK: &str = "/v1/example-banks/anatomy";

#[test]
fn examples_are_stored_chosen_and_removed() {
    let service = serve("");
    let post = |path: &str, body: &Value| service.post(path, &body.to_string());
    let ask = |question: &str, answer: &str| json!({"question": question, "answer": answer});
    assert_eq!(service.get("/v1/example-banks").body, json!({"banks": []}));
    let choices = json!([{"label": "A", "text": "vagus"}, {"label": "B", "text": "phrenic"}, {"label": "C", "text": "ulnar"}]);
    let examples = json!({"examples": [
        {"id": "a/1", "question": "Which nerve moves the diaphragm?", "thought": "C3 to C5.", "answer": "B",
            "choices": choices, "metadata": {"year": 2020}},
        ask("Which nerve is hurt in carpal tunnel syndrome?", "the median nerve"),
        ask("What is the capital of Peru?", "Lima")]});
    let added = post(&format!("{BANK}/examples"), &examples);
    assert_eq!(
        (added.status, &added.body["added"], &added.body["ids"][0]),
        (200, &json!(3), &json!("a/1")),
        "{}",
        added.body
    );
    let again = post(&format!("{BANK}/examples"), &examples);
    assert_eq!((&again.body["unchanged"], &again.body["ids"]), (&json!(3), &added.body["ids"]));
    let info = service.get(BANK).body;
    assert_eq!((&info["examples"], &info["epoch"], &info["dimensions"]), (&json!(3), &json!(1), &json!(384)));

    let chosen = post(
        &format!("{BANK}/select"),
        &json!({"question": "Which nerve serves the diaphragm muscle?", "duplicate": 1.0, "count": 2}),
    );
    let chosen = chosen.body["examples"].as_array().unwrap().clone();
    assert_eq!(
        (chosen.len(), &chosen[1]["example"]),
        (2, &examples["examples"][0]),
        "the nearest is last, whole"
    );
    assert!(chosen[0]["similarity"].as_f64().unwrap() < chosen[1]["similarity"].as_f64().unwrap());
    let itself = post(
        &format!("{BANK}/select"),
        &json!({"question": "which nerve moves the DIAPHRAGM", "duplicate": 2.0}),
    );
    let ids: Vec<&Value> =
        itself.body["examples"].as_array().unwrap().iter().map(|chosen| &chosen["example"]["id"]).collect();
    assert_eq!(ids, [&added.body["ids"][2], &added.body["ids"][1]], "but for the question itself");
    let shuffle = |seed: u64| {
        let body =
            json!({"question": "A nerve of the diaphragm?", "duplicate": 1.0, "count": 1, "shuffle": seed});
        post(&format!("{BANK}/select"), &body).body["examples"][0]["example"].clone()
    };
    for seed in 0..6 {
        let example = shuffle(seed);
        let right =
            example["choices"].as_array().unwrap().iter().find(|choice| choice["label"] == example["answer"]);
        assert_eq!(right.unwrap()["text"], "phrenic", "{example}");
        assert_eq!(example, shuffle(seed));
    }

    assert_eq!(service.get(&format!("{BANK}/examples/a%2F1")).body, examples["examples"][0]);
    let page = service.get(&format!("{BANK}/examples?limit=2")).body;
    let rest = service.get(&format!("{BANK}/examples?from={}", page["next"])).body;
    assert_eq!(
        (page["examples"].as_array().unwrap().len(), &rest["examples"][0]["answer"]),
        (2, &json!("Lima"))
    );
    assert_eq!(delete(&service, &format!("{BANK}/examples/a%2F1")), 200);
    assert_eq!(delete(&service, &format!("{BANK}/examples/a%2F1")), 404);
    assert_eq!(service.get("/v1/example-banks").body["banks"][0]["examples"], 2);
    assert_eq!(service.get("/v1/collections").body, json!({"collections": []}), "a bank is no collection");
    assert_eq!(delete(&service, BANK), 204);
    assert_eq!(service.get(BANK).body["error"]["code"], "bank_not_found");
}

#[test]
fn what_cannot_be_stored_makes_no_bank() {
    let service = serve("[limits]\ndocuments = 2");
    let good = json!({"id": "x", "question": "q", "answer": "a"});
    for (examples, status, code) in [
        (json!([good, good]), 400, "duplicate_example_id"),
        (json!([good, {"question": " ", "answer": "a"}]), 400, "invalid_example"),
        (
            json!([{"question": "q", "answer": "D", "choices": [{"label": "A", "text": "x"}]}]),
            400,
            "invalid_example",
        ),
        (json!([{"question": "q"}]), 400, "invalid_field"),
        (json!([]), 400, "empty_input"),
        (json!([good, good, good]), 413, "too_many_documents"),
    ] {
        let answer = service.post(&format!("{BANK}/examples"), &json!({"examples": examples}).to_string());
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
    }
    let bad = service.post("/v1/example-banks/..%2Fc/examples", &json!({"examples": [good]}).to_string());
    assert_eq!((bad.status, &bad.body["error"]["code"]), (400, &"invalid_name".into()));
    assert_eq!(service.get("/v1/example-banks").body, json!({"banks": []}));
    let none = service.post(&format!("{BANK}/select"), &json!({"question": "q"}).to_string());
    assert_eq!((none.status, &none.body["error"]["code"]), (404, &"bank_not_found".into()));
    let long = json!({"id": "y".repeat(600), "question": "q", "answer": "a"});
    let long = service.post(&format!("{BANK}/examples"), &json!({"examples": [long]}).to_string());
    assert_eq!((long.status, &long.body["error"]["code"]), (400, &"invalid_example".into()));
}
