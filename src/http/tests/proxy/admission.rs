//! One bound for the work of all routes: while it is reached, the proxy leaves requests as they came.

use super::*;

const MODEL: &str = "local/smollm2-135m-instruct";

/// A proxy that compresses and searches, with room for `concurrency` jobs and `queue` requests.
async fn bounded(concurrency: usize, queue: usize) -> Proxy {
    let limits = format!("[limits]\nconcurrency = {concurrency}\nqueue = {queue}\n");
    let retrieve = "[proxy.retrieve]\ncollections = ['docs']\ndeadline_ms = 5000\n";
    Proxy::with(&format!("{limits}{retrieve}{BOTH}")).await
}

fn question(text: &str) -> String {
    serde_json::json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

/// A conversation that tells of a long text and then asks a question.
fn conversation(text: &str, question: &str) -> String {
    let turns = [("user", text), ("assistant", "I have read it."), ("user", question)];
    let turns = turns.map(|(role, content)| serde_json::json!({"role": role, "content": content}));
    serde_json::json!({"model": "m", "messages": turns}).to_string()
}

/// Status and headers of the answer to such a conversation, for which documents are searched.
async fn ask(proxy: &Proxy, text: &str, question: &str) -> (u16, String, String) {
    proxy.upstream.will([json(200, "{}")]);
    let body = conversation(text, question);
    let request = proxy.post("/v1/chat/completions", body).header("x-whittle-collections", "docs");
    let response = request.send().await.unwrap();
    let header = |name| response.headers()[name].to_str().unwrap().to_owned();
    (response.status().as_u16(), header("x-whittle-status"), header("x-whittle-retrieval"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bound_holds_for_all_routes_together() {
    let proxy = bounded(1, 0).await;
    let held = proxy.admission.enter().unwrap();
    for (path, body) in [
        ("/v1/compress", "{}".to_owned()),
        ("/v1/prompt", "{}".to_owned()),
        ("/v1/chat/completions", question("a").replace("\"m\"", &format!("\"{MODEL}\""))),
    ] {
        let response = proxy.post(path, body).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        assert_eq!(body_of(response).await["error"]["code"], "overloaded", "{path}");
    }
    let text = words(200);
    let left_alone = (200, "original; reason=overloaded".into(), "failed; reason=overloaded".into());
    assert_eq!(ask(&proxy, &text, "Who won?").await, left_alone);
    assert_eq!(proxy.upstream.only().text(), conversation(&text, "Who won?"));
    assert_eq!(proxy.calls(), 0);
    // What needs no work needs no room.
    assert_eq!(proxy.forwarded("/v1/chat/completions", &question("a")).await.1, "unchanged");
    drop(held);
    let other = words(201);
    let found = (200, "compressed".into(), "found; documents=1; examples=0".into());
    assert_eq!(ask(&proxy, &other, "Who won?").await, found, "one place is enough for both");
    assert_eq!(proxy.admission.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_compressed_while_documents_are_searched() {
    let proxy = bounded(2, 0).await;
    // Each fake ends only once the other has begun.
    let found = (200, "compressed".into(), "found; documents=1; examples=0".into());
    assert_eq!(ask(&proxy, &format!("meet {}", words(200)), "meet whom?").await, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_stops_the_search() {
    let proxy = bounded(1, 0).await;
    let request = proxy.post("/v1/chat/completions", question("Is it slow?"));
    let request = request.header("x-whittle-collections", "docs");
    request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
    let start = std::time::Instant::now();
    // Far sooner than the deadline of the search.
    while proxy.admission.requests() > 0 {
        assert!(start.elapsed() < Duration::from_secs(4));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
