//! A server for tests that answers commands by a function, where Valkey would run scripts.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::Shared;
use crate::config::{Config, ProcessEnv, SharedConfig, SharedKind};

/// A function from a command to the bytes that the server says to it.
type Answer = dyn Fn(&[String]) -> String + Send + Sync;

/// A server for tests. It listens until it is dropped.
pub(crate) struct FakeServer {
    port: u16,
    answer: Arc<Mutex<Arc<Answer>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl FakeServer {
    /// A server that says `answer` to all but the commands of a new connection.
    pub(crate) fn new(answer: impl Fn(&[String]) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Arc<Mutex<Arc<Answer>>> = Arc::new(Mutex::new(Arc::new(answer)));
        let connections = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (answers, open) = (Arc::clone(&answer), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || serve(stream, &answers));
            }
        });
        Self { port, answer, connections }
    }

    /// Says something else from now on.
    pub(crate) fn answers(&self, answer: impl Fn(&[String]) -> String + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    /// Closes all connections.
    pub(crate) fn hang_up(&self) {
        for stream in self.connections.lock().unwrap().drain(..) {
            stream.shutdown(std::net::Shutdown::Both).unwrap_or_default();
        }
    }

    /// Returns what replicas share by this server.
    pub(crate) fn shared(&self, change: impl FnOnce(&mut SharedConfig)) -> Shared {
        shared_at(self.port, change)
    }
}

/// Returns what replicas share by the server on a port, if there is one.
pub(crate) fn shared_at(port: u16, change: impl FnOnce(&mut SharedConfig)) -> Shared {
    let mut config = Config::default().shared;
    (config.kind, config.url) = (SharedKind::Valkey, Some(format!("redis://127.0.0.1:{port}")));
    // No test fails because a machine is slow.
    config.timeout_ms = 10_000;
    change(&mut config);
    Shared::new(&config, &ProcessEnv).unwrap().unwrap()
}

/// Returns a port that nobody listens on.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns the answer to a look at the connection, with a version.
pub(crate) fn look(version: &str) -> String {
    format!("*3\r\n{}{}{}", bulk("1000000000"), bulk("250000"), bulk(version))
}

/// Returns a text in the protocol.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn serve(stream: TcpStream, answer: &Mutex<Arc<Answer>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(command) = command(&mut lines) {
        let said = if command[0] == "CLIENT" {
            "+OK\r\n".to_owned()
        } else {
            let answer = Arc::clone(&answer.lock().unwrap());
            answer(&command)
        };
        if stream.write_all(said.as_bytes()).is_err() {
            return;
        }
    }
}

fn command(lines: &mut impl BufRead) -> Option<Vec<String>> {
    let count = number(lines, '*')?;
    let word = |_| {
        let mut bytes = vec![0; number(lines, '$')? + 2];
        lines.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    (0..count).map(word).collect()
}

fn number(lines: &mut impl BufRead, kind: char) -> Option<usize> {
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    line.trim().strip_prefix(kind)?.parse().ok()
}

/// Waits until `holds`, as long as it takes.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Returns a channel and an answer that puts each command into it.
pub(crate) fn recorded(
    answer: impl Fn(&[String]) -> String + Send + Sync + 'static,
) -> (mpsc::Receiver<Vec<String>>, impl Fn(&[String]) -> String + Send + Sync + 'static) {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let record = move |command: &[String]| {
        sender.lock().unwrap().send(command.to_vec()).unwrap_or_default();
        answer(command)
    };
    (receiver, record)
}
