//! What an upstream saw of a request stays the same, also when the service is killed right after, what its marks name can
//! be had, and what a client has all of is in the ledger.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Running, serve, serve_again};
use crate::upstream::Upstream;

const MESSAGES: &str = "/v1/messages";

/// A conversation whose tool answered `output`, with `more` turns behind it.
fn conversation(output: &str, more: &[Value]) -> String {
    let mut messages = vec![
        json!({"role": "user", "content": "Do the tests pass?"}),
        json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "cargo test"}}]}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": output}]}),
    ];
    messages.extend_from_slice(more);
    json!({"model": "m1", "max_tokens": 9, "messages": messages}).to_string()
}

/// The first three messages of the next request that the upstream sees.
fn seen(upstream: &Upstream) -> Vec<Value> {
    let start = Instant::now();
    loop {
        if let Some((_, body)) = upstream.requests().pop() {
            let body: Value = serde_json::from_slice(&body).unwrap();
            return body["messages"].as_array().unwrap()[..3].to_vec();
        }
        assert!(start.elapsed() < Duration::from_secs(50), "nothing was forwarded");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_prefix_that_an_upstream_saw_stays_the_same_after_a_kill() {
    let upstream = Upstream::start();
    let mut service = serve(&format!("{}[proxy.recall]\nenabled = true\n", upstream.config()));
    let more = [json!({"role": "assistant", "content": "Yes."}), json!({"role": "user", "content": "All?"})];
    for round in 0..5 {
        let lines = (0..60).map(|line| format!("test module_{round}::case_number_{line} ... ok\n"));
        let output = lines.collect::<String>();
        let (address, body) = (service.address.clone(), conversation(&output, &[]));
        // Its client hears no answer, or does: that makes no difference.
        let client = std::thread::spawn(move || post(&address, &body));
        let before = seen(&upstream);
        let folder = std::sync::Arc::clone(&service.folder);
        service.kill();
        client.join().unwrap();
        assert!(before[2].to_string().contains("left out"), "{}", before[2]);
        service = serve_again(folder);
        assert_eq!(service.post(MESSAGES, &conversation(&output, &more)).status, 200);
        assert_eq!(seen(&upstream), before, "round {round}");
        assert_eq!(named(&service, &before[2].to_string()), output, "round {round}");
    }
}

#[test]
fn an_answer_that_a_client_has_all_of_is_in_the_ledger_after_a_kill() {
    let upstream = Upstream::start();
    let mut service = serve(&upstream.config());
    let stream = json!({"model": "m1", "stream": true, "messages": [{"role": "user", "content": "Hi."}]});
    let bodies = [conversation("ok", &[]), stream.to_string()];
    for round in 1..=8 {
        let path = if round % 2 == 0 { "/v1/chat/completions" } else { MESSAGES };
        assert_eq!(service.post(path, &bodies[(round + 1) % 2]).status, 200);
        let folder = std::sync::Arc::clone(&service.folder);
        service.kill();
        service = serve_again(folder);
        assert_eq!(service.get("/v1/usage").body["total"]["requests"], round, "{path}");
    }
}

/// The original that the first mark in `message` names.
fn named(service: &Running, message: &str) -> String {
    let (_, rest) = message.split_once("recall ").expect("its mark names the original");
    let id = rest.split(']').next().unwrap();
    let (status, _, body) = service.fetch(|client, base| client.get(format!("{base}/v1/originals/{id}")));
    assert_eq!(status, 200, "{id}");
    String::from_utf8(body).unwrap()
}

/// Sends a request and leaves.
fn post(address: &str, body: &str) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {MESSAGES} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).ok();
}
