//! An upstream that answers as it is told to, byte for byte and fault for fault.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The values of a header, in order.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        let of_name =
            |line: &'_ str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head
            .lines()
            .filter(|line| of_name(line))
            .map(|line| line.split_once(':').unwrap().1.trim())
            .collect()
    }
}

/// A step of the upstream's answer to a request.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Waits until it is notified.
    Gate(Arc<Notify>),
    /// Nothing more happens until the other side leaves.
    Hang,
    Close,
}

/// Steps that answer one request.
pub(super) type Reply = Vec<Step>;

pub(super) fn send(text: impl Into<Vec<u8>>) -> Step {
    Step::Send(text.into())
}

/// A whole answer.
pub(super) fn reply(status: u16, headers: &str, body: &str) -> Reply {
    let head = format!("HTTP/1.1 {status} S\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    vec![send(format!("{head}{body}"))]
}

pub(super) fn json(status: u16, body: &str) -> Reply {
    reply(status, "content-type: application/json\r\n", body)
}

/// The head of a stream of events, and its pieces as chunks.
pub(super) fn events(pieces: &[&str]) -> Reply {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |piece: &&str| send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    [send(head)].into_iter().chain(pieces.iter().map(chunk)).collect()
}

/// The end of a chunked answer.
pub(super) fn end() -> Step {
    send("0\r\n\r\n")
}

/// A running upstream.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    replies: Arc<Mutex<Vec<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Told of each client that left while it was answered.
    pub(super) left: mpsc::UnboundedReceiver<()>,
}

impl Upstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (replies, seen) = (Arc::<Mutex<Vec<Reply>>>::default(), Arc::<Mutex<Vec<Seen>>>::default());
        let (leave, left) = mpsc::unbounded_channel();
        let (queue, log) = (Arc::clone(&replies), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection { stream, read: Vec::new() };
                tokio::spawn(connection.serve(Arc::clone(&queue), Arc::clone(&log), leave.clone()));
            }
        });
        Self { address, replies, seen, left }
    }

    /// Answers the next requests so, in order; the last reply also answers all that come after.
    pub(super) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.replies.lock().unwrap() = replies.into_iter().collect();
    }

    /// Returns the requests that arrived since the last call.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub(super) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn serve(
        mut self,
        replies: Arc<Mutex<Vec<Reply>>>,
        seen: Arc<Mutex<Vec<Seen>>>,
        leave: mpsc::UnboundedSender<()>,
    ) {
        while let Some(request) = self.request().await {
            seen.lock().unwrap().push(request);
            let reply = {
                let mut replies = replies.lock().unwrap();
                if replies.len() > 1 {
                    replies.remove(0)
                } else {
                    replies.first().cloned().unwrap_or_default()
                }
            };
            for step in reply {
                let done = match step {
                    Step::Send(bytes) => self.stream.write_all(&bytes).await.is_ok(),
                    Step::Gate(gate) => {
                        gate.notified().await;
                        true
                    }
                    Step::Wait(time) => {
                        sleep(time).await;
                        true
                    }
                    Step::Hang => {
                        let ended = self.stream.read(&mut [0; 1]).await;
                        assert!(!matches!(ended, Ok(1..)), "a client sends no second request meanwhile");
                        false
                    }
                    Step::Close => return,
                };
                if !done {
                    leave.send(()).unwrap_or_default();
                    return;
                }
            }
        }
    }

    async fn request(&mut self) -> Option<Seen> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let (line, head) = head.split_once("\r\n").unwrap();
        let mut seen = Seen { line: line.to_owned(), head: head.to_owned(), body: Vec::new() };
        let length = seen.header("content-length").first().map(|length| length.parse::<usize>().unwrap());
        if let Some(length) = length {
            while self.read.len() < length {
                self.more().await?;
            }
            seen.body = self.read.drain(..length).collect();
        } else if !seen.header("transfer-encoding").is_empty() {
            while !self.read.ends_with(b"0\r\n\r\n") {
                self.more().await?;
            }
            seen.body = std::mem::take(&mut self.read);
        }
        Some(seen)
    }

    async fn more(&mut self) -> Option<()> {
        (self.stream.read_buf(&mut self.read).await.ok()? > 0).then_some(())
    }
}
