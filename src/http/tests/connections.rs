//! Many requests, clients that leave or dawdle, and the end of the service: over real sockets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(8);

/// An engine that reports when it begins and works until it is released.
struct Held {
    engine: Arc<Engine>,
    begun: mpsc::UnboundedReceiver<()>,
    ended: mpsc::UnboundedReceiver<Result<(), Stopped>>,
    released: Arc<AtomicBool>,
}

fn held() -> Held {
    let (begin, begun) = mpsc::unbounded_channel();
    let (end, ended) = mpsc::unbounded_channel();
    let released = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&released);
    let engine = hooked(move |_, cancel| {
        begin.send(()).unwrap_or_default();
        let outcome = block_until(|| seen.load(Ordering::Relaxed), cancel);
        end.send(outcome).unwrap_or_default();
        Ok(outcome?)
    });
    Held { engine, begun, ended, released }
}

async fn next<T>(channel: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(PATIENCE, channel.recv()).await.expect("it happens in time").expect("the service is alive")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_at_once_are_answered_a_few_at_a_time() {
    let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let engine = hooked(move |_, _| {
        seen.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        working.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    });
    let limits = Limits { concurrency: 3, queue: 97, ..Limits::default() };
    let running = start(Server::new(engine, limits)).await;
    let client = client();
    let requests = (1..=100).map(|number| {
        let sent = running.embed(&client, &"word ".repeat(number)).send();
        tokio::spawn(async move {
            let response = sent.await.unwrap();
            assert_eq!(response.status(), 200);
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert_eq!(body["usage"]["prompt_tokens"], number);
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_queue_requests_are_turned_away_at_once() {
    let mut held = held();
    let limits = Limits { concurrency: 1, queue: 1, ..Limits::default() };
    let running = start(Server::new(Arc::clone(&held.engine), limits)).await;
    let client = client();
    let working = tokio::spawn(running.embed(&client, "a").send());
    next(&mut held.begun).await;

    // Of two more, one waits and one is turned away.
    let mut one = tokio::spawn(running.embed(&client, "a").send());
    let mut other = tokio::spawn(running.embed(&client, "a").send());
    let (refused, waiting) = tokio::select! {
        refused = &mut one => (refused, other),
        refused = &mut other => (refused, one),
    };
    let refused = refused.unwrap().unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "overloaded");

    held.released.store(true, Ordering::Relaxed);
    assert_eq!(working.await.unwrap().unwrap().status(), 200);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_passes_in_the_queue_too() {
    let mut held = held();
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let running = start(Server::new(Arc::clone(&held.engine), limits)).await;
    let client = client();
    let working = tokio::spawn(running.embed(&client, "a").send());
    next(&mut held.begun).await;
    let late = running.embed(&client, "a").header("x-whittle-deadline-ms", "20").send().await.unwrap();
    assert_eq!(late.status(), 504);
    held.released.store(true, Ordering::Relaxed);
    assert_eq!(working.await.unwrap().unwrap().status(), 200);
    assert!(held.begun.try_recv().is_err(), "what ran out of time in the queue was never begun");
}

const REQUEST: &[u8] =
    b"POST /v1/rerank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 34\r\n\r\n\
    {\"query\": \"q\", \"documents\": [\"a\"]}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_stops_when_its_client_leaves() {
    let mut held = held();
    let running = start(Server::new(Arc::clone(&held.engine), Limits::default())).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    next(&mut held.begun).await;
    drop(stream);
    assert_eq!(next(&mut held.ended).await, Err(Stopped::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_is_running_and_takes_nothing_new() {
    let mut held = held();
    let running = start(Server::new(Arc::clone(&held.engine), Limits::default())).await;
    let client = client();
    let working = tokio::spawn(running.embed(&client, "a").send());
    next(&mut held.begun).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_ne!(idle.read(&mut [0; 4096]).await.unwrap(), 0);

    running.stop.send(()).unwrap();
    // The connection without a request is closed, which also says that the listener is.
    let mut rest = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
    assert!(!running.task.is_finished(), "a request is still running");

    held.released.store(true, Ordering::Relaxed);
    assert_eq!(working.await.unwrap().unwrap().status(), 200);
    timeout(PATIENCE, running.task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_dawdles_is_given_up() {
    let mut state = state(&engine());
    state.body_time = Duration::from_millis(50);
    let running = start(Server::with_state(state)).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&REQUEST[..REQUEST.len() - 1]).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_dawdle_are_given_up() {
    let server = Server::new(engine(), Limits::default()).header_time(Duration::from_millis(50));
    let running = start(server).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"POST /v1/compress HTTP/1.1\r\nhost:").await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(start.elapsed() < PATIENCE / 2);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_far_too_much_still_reads_why_it_is_turned_away() {
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let running = start(Server::new(engine(), limits)).await;
    let client = client();
    for content_type in ["application/json", "text/plain"] {
        let request = running.post(&client, vec![b' '; 8 << 20]).build().unwrap();
        let mut request = request;
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let response = client.execute(request).await.unwrap();
        assert_eq!(response.status(), if content_type == "text/plain" { 415 } else { 413 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_trickle_take_nobodys_place() {
    let limits = Limits { concurrency: 1, queue: 1, ..Limits::default() };
    let running = start(Server::new(engine(), limits)).await;
    let head = "POST /v1/rerank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 16000000\r\n\r\n{";
    let mut slow = Vec::new();
    for path in ["/v1/rerank", "/v1/collections/c/snapshot"] {
        for _ in 0..40 {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            let head = match path {
                "/v1/rerank" => head.to_owned(),
                _ => head
                    .replace("POST /v1/rerank", &format!("PUT {path}"))
                    .replace("application/json", "application/octet-stream"),
            };
            stream.write_all(head.as_bytes()).await.unwrap();
            slow.push(stream);
        }
    }
    // Until all of them are being read.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.embed(&client(), "a").send().await.unwrap().status(), 200);
}
