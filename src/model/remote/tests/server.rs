//! A server that answers each request as a function says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::model::remote::RemoteOptions;
use crate::outbound::Secret;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// Method, path and headers, in lower case.
    pub(super) head: String,
    /// The body as JSON, null where there is none.
    pub(super) body: Value,
}

/// A running server, which ends with the process.
pub(super) struct TestServer {
    pub(super) url: String,
    pub(super) requests: Arc<Mutex<Vec<Received>>>,
}

impl TestServer {
    /// Answers request number `n`, from 0, with the bytes that `answer` makes; with none it closes the connection.
    pub(super) fn start(answer: impl Fn(usize, &Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Received>>>::default();
        let (log, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &log, &*answer));
            }
        });
        Self { url, requests }
    }

    /// The requests that arrived since this was last asked.
    pub(super) fn requests(&self) -> Vec<Received> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// How to ask this server.
    pub(super) fn options(&self) -> RemoteOptions {
        RemoteOptions {
            url: self.url.clone(),
            api_key: Some(Secret::new("sk-secret".into())),
            timeout: Duration::from_mins(5),
            retries: 2,
            concurrency: 4,
        }
    }
}

fn serve(
    mut stream: &TcpStream,
    log: &Mutex<Vec<Received>>,
    answer: &(impl Fn(usize, &Received) -> Vec<u8> + ?Sized),
) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let received = Received { head, body: serde_json::from_slice(&body).unwrap_or_default() };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(received.clone());
        log.len() - 1
    };
    stream.write_all(&answer(number, &received)).ok();
}

/// An answer with a status, more headers and a body.
pub(super) fn reply(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Any\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// A right answer.
pub(super) fn ok(body: &Value) -> Vec<u8> {
    reply(200, "", &body.to_string())
}
