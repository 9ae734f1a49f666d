//! Requests that two servers in a row may understand in two ways, over real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(8);
/// A request that must not be answered where it is hidden in another one.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// All that the service answers to `sent` until it closes the connection, which it must do by itself.
async fn answers_until_closed(running: &Running, sent: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed while something sent is unread may end with a reset.
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed").ok();
    String::from_utf8(answer).unwrap()
}

fn post_with(headers: &str, body: &str) -> String {
    format!("POST /v1/embeddings HTTP/1.1\r\ncontent-type: application/json\r\n{headers}\r\n{body}{HIDDEN}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_can_be_read_in_two_ways_are_refused() {
    let running = start(Server::new(engine(), Limits::default())).await;
    let empty = "0\r\n\r\n";
    for (headers, body, named) in [
        ("host: a\r\nhost: b\r\n", "", Some("more than one Host")),
        ("host: a\r\nHost: a\r\n", "", Some("more than one Host")),
        ("host: a\r\ntransfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n", empty, Some("once")),
        ("host: a\r\ntransfer-encoding: gzip, chunked\r\n", empty, Some("once")),
        ("host: a\r\ntransfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", empty, Some("once")),
        // What hyper refuses by itself has no body.
        ("host: a\r\ntransfer-encoding: chunked, identity\r\n", empty, None),
        ("host: a\r\ntransfer-encoding: xchunked\r\n", empty, None),
        ("host: a\r\ntransfer-encoding: \x0bchunked\r\n", empty, None),
        ("host: a\r\ntransfer-encoding : chunked\r\n", empty, None),
        ("host: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n", "[1,2]", None),
        ("host: a\r\ncontent-length: +5\r\n", "[1,2]", None),
        ("host: a\r\ncontent-length: 5, 5\r\n", "[1,2]", None),
    ] {
        let answer = answers_until_closed(&running, &post_with(headers, body)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
        if let Some(named) = named {
            assert!(answer.contains("ambiguous_request") && answer.contains(named), "{headers:?}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_behind_a_request_with_a_length_and_a_transfer_coding() {
    let running = start(Server::new(engine(), Limits::default())).await;
    for headers in [
        "host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let answer = answers_until_closed(&running, &post_with(headers, "0\r\n\r\n")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(!answer.starts_with("HTTP/1.1 200 "), "the body that the coding frames is empty: {answer}");
    }
}
