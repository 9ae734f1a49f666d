//! The routes of banks with a fake behind them: names, ids and bodies arrive as they were sent.

use serde_json::json;

use super::retrieval::{nothing, send};
use super::*;
use crate::engine::collections::api::DeleteResponse;
use crate::engine::examples::Example;
use crate::engine::examples::api::*;
use crate::http::Banks;

/// Holds nothing; errors say what was asked for.
impl Banks for Fake {
    fn banks(&self) -> Result<BankList, EngineError> {
        Ok(BankList::default())
    }
    fn bank(&self, name: &str) -> Result<BankInfo, EngineError> {
        nothing(&format!("describe {name}"))
    }
    fn delete_bank(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }
    fn add_examples(&self, name: &str, request: AddRequest, _: &Cancel) -> Result<AddResponse, EngineError> {
        nothing(&format!("add {name} {}", request.examples.len()))
    }
    fn example(&self, name: &str, id: &str) -> Result<Example, EngineError> {
        nothing(&format!("get {name} {id}"))
    }
    fn examples(&self, name: &str, from: u64, limit: usize) -> Result<ExamplePage, EngineError> {
        nothing(&format!("list {name} {from} {limit}"))
    }
    fn delete_example(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        nothing(&format!("delete {name} {id}"))
    }
    fn select_examples(
        &self,
        name: &str,
        request: &SelectRequest,
        _: &Cancel,
    ) -> Result<SelectResponse, EngineError> {
        let SelectRequest { question, count, duplicate, diversity, balance, shuffle } = request;
        nothing(&format!("select {name} {question} {count} {duplicate} {diversity} {balance} {shuffle:?}"))
    }
}

#[tokio::test]
async fn banks_are_asked_for_what_was_sent() {
    let add = json!({"examples": [{"question": "q", "answer": "a"},
        {"id": "x", "question": "q", "thought": "t", "answer": "A", "choices": [{"label": "A", "text": "x"}], "metadata": {"y": 1}}]});
    let select = json!({"question": "q", "count": 2, "duplicate": 0.5, "diversity": 0.25, "balance": true, "shuffle": 7});
    for (method, path, body, wanted) in [
        ("GET", "/v1/example-banks/%2e%2e%2fa", None, "describe ../a"),
        ("POST", "/v1/example-banks/a/examples", Some(add), "add a 2"),
        ("GET", "/v1/example-banks/a/examples?from=7&limit=5", None, "list a 7 5"),
        ("GET", "/v1/example-banks/a/examples/x%2Fy%20z", None, "get a x/y z"),
        ("DELETE", "/v1/example-banks/a/examples/x/y", None, "delete a x/y"),
        ("POST", "/v1/example-banks/a/select", Some(select), "select a q 2 0.5 0.25 true Some(7)"),
        (
            "POST",
            "/v1/example-banks/a/select",
            Some(json!({"question": "q"})),
            "select a q 5 0.95 0 false None",
        ),
    ] {
        let answer = call(state(echo()), send(method, path, body.as_ref())).await;
        assert_eq!(answer.error(404, "nothing", None), wanted, "{method} {path}");
    }
    let listed = call(state(echo()), send("GET", "/v1/example-banks", None)).await;
    assert_eq!((listed.status.as_u16(), listed.body), (200, json!({"banks": []})));
    let gone = call(state(echo()), send("DELETE", "/v1/example-banks/a", None)).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));
    let unknown = json!({"question": "q", "k": 3});
    let unknown = call(state(echo()), send("POST", "/v1/example-banks/a/select", Some(&unknown))).await;
    unknown.error(400, "unknown_field", Some("k"));
}
