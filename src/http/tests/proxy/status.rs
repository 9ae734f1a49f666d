//! The state of the service, as whoever runs it sees it.

use super::*;

async fn state(proxy: &Proxy) -> Value {
    let answer = proxy.request(reqwest::Method::GET, "/v1/status").send().await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn ask(proxy: &Proxy) -> u16 {
    let body = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}"#;
    proxy.post("/v1/chat/completions", body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_is_what_its_last_answer_was() {
    let proxy = Proxy::start().await;
    let health = |state: &Value| {
        let upstream = &state["upstreams"][0];
        (upstream["state"].clone(), upstream["answers"].clone(), upstream["failures"].clone())
    };
    let before = state(&proxy).await;
    assert_eq!(health(&before), (json!("unknown"), json!(0), json!(0)));
    assert_eq!(
        (&before["upstreams"][0]["name"], &before["upstreams"][1]["dialect"]),
        (&json!("open"), &json!("anthropic"))
    );
    assert_eq!((&before["models"], &before["work"]["requests"]), (&json!("ready"), &json!(0)));
    assert_eq!(before["stores"]["ledger_lost"], 0);
    proxy.upstream.will([json(200, "{}"), json(401, "{}"), json(503, "{}")]);
    for (status, name, failures) in [(200, "up", 0), (401, "up", 0), (503, "failing", 1)] {
        assert_eq!(ask(&proxy).await, status);
        let (upstream, _, failed) = health(&state(&proxy).await);
        assert_eq!((upstream, failed), (json!(name), json!(failures)));
    }
    // The next connection is closed before an answer begins.
    proxy.upstream.will([vec![Step::Close]]);
    assert_eq!(ask(&proxy).await, 502);
    let after = state(&proxy).await;
    assert_eq!(health(&after), (json!("unreachable"), json!(3), json!(2)));
    assert_eq!(after["upstreams"][0]["last_status"], 503);
    assert_eq!(after["upstreams"][1]["state"], "unknown");
}

/// The next piece of a stream as text; none at its end.
async fn next(response: &mut reqwest::Response) -> Option<String> {
    let piece = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().unwrap();
    piece.map(|piece| String::from_utf8_lossy(&piece).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_each_change_and_ends_with_the_service() {
    let proxy = Proxy::start().await;
    let request = proxy.request(reqwest::Method::GET, "/v1/status").header("accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = next(&mut response).await.unwrap();
    let data = first.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let told: Value = serde_json::from_str(data).unwrap();
    assert_eq!(told["upstreams"][0]["state"], "unknown");
    proxy.upstream.will([json(200, "{}")]);
    assert_eq!(ask(&proxy).await, 200);
    // Another second may show the request while it was worked on.
    while !next(&mut response).await.unwrap().contains("\"state\":\"up\"") {}
    // The service does not wait for whoever looks at it.
    let Proxy { running, .. } = proxy;
    running.stop.send(()).unwrap();
    while next(&mut response).await.is_some() {}
    tokio::time::timeout(PATIENCE, running.task).await.unwrap().unwrap();
}
