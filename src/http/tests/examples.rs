//! The routes of banks, over an engine of small models: names, ids and bodies arrive as they were sent.

use super::retrieval::{fine, send};
use super::*;

#[tokio::test]
async fn banks_are_asked_for_what_was_sent() {
    let engine = engine();
    let listed = fine(&engine, send("GET", "/v1/example-banks", None)).await;
    assert_eq!(listed, json!({"banks": []}));
    let outside = send("GET", "/v1/example-banks/%2e%2e%2fa", None);
    call(state(&engine), outside).await.error(400, "invalid_name", Some("name"));
    let choices = json!([{"label": "A", "text": "stone"}, {"label": "B", "text": "wood"}]);
    let add = json!({"examples": [
        {"id": "bread", "question": "What goes on bread?", "answer": "butter"},
        {"id": "x/y z", "question": "What is the sea wall made of?", "thought": "It is old.", "answer": "A", "choices": choices,
            "metadata": {"y": 1}}]});
    let added = fine(&engine, send("POST", "/v1/example-banks/a/examples", Some(&add))).await;
    assert_eq!((&added["added"], &added["ids"]), (&2.into(), &json!(["bread", "x/y z"])));
    let first = fine(&engine, send("GET", "/v1/example-banks/a/examples?limit=1", None)).await;
    assert_eq!(first["examples"][0]["id"], "bread");
    let rest = format!("/v1/example-banks/a/examples?from={}&limit=5", first["next"]);
    assert_eq!(fine(&engine, send("GET", &rest, None)).await["examples"][0]["id"], "x/y z");
    let example = fine(&engine, send("GET", "/v1/example-banks/a/examples/x%2Fy%20z", None)).await;
    assert_eq!((&example["thought"], &example["choices"]), (&"It is old.".into(), &choices));
    let select = json!({"question": "What is the wall made of?", "count": 1, "duplicate": 0.99, "diversity": 0.25,
        "balance": true, "shuffle": 7});
    let chosen = fine(&engine, send("POST", "/v1/example-banks/a/select", Some(&select))).await;
    assert_eq!(chosen["examples"].as_array().unwrap().len(), 1, "{chosen}");
    let unknown = json!({"question": "q", "k": 3});
    let unknown = call(state(&engine), send("POST", "/v1/example-banks/a/select", Some(&unknown))).await;
    unknown.error(400, "unknown_field", Some("k"));
    let gone = fine(&engine, send("DELETE", "/v1/example-banks/a/examples/x/y%20z", None)).await;
    assert_eq!(gone["deleted"], 1);
    let gone = call(state(&engine), send("DELETE", "/v1/example-banks/a", None)).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));
    assert_eq!(call(state(&engine), send("GET", "/v1/example-banks/a", None)).await.status, 404);
}
