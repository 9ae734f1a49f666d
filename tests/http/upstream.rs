//! An upstream that answers every request at once with the same usage.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The answer to a request whose head begins so; the last one is that to all others.
const ANSWERS: [(&str, &str); 4] = [
    ("post /v1beta/", r#"{"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":10}}"#),
    ("post /api/", r#"{"done":true,"prompt_eval_count":100,"eval_count":10}"#),
    ("post /v2/", r#"{"usage":{"billed_units":{"input_tokens":100,"output_tokens":10}}}"#),
    ("", r#"{"usage":{"prompt_tokens":100,"completion_tokens":10}}"#),
];

/// A request's head, in lower case, and its body.
pub(crate) type Request = (String, Vec<u8>);

/// A running upstream. It ends with the process.
pub(crate) struct Upstream {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(&stream, &log));
            }
        });
        Self { base, requests }
    }

    /// A configuration with this upstream in each dialect. What it takes costs a dollar for a million tokens.
    pub(crate) fn config(&self) -> String {
        let base = &self.base;
        let prices = "prices = [{ model = 'm*', input = 1.0, output = 1.0 }]";
        let at_root = |dialect| {
            format!(
                "[[upstreams]]\nname = '{dialect}'\ndialect = '{dialect}'\nbase_url = '{base}'\n{prices}\n"
            )
        };
        format!(
            "[[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = '{base}/v1'\n{prices}\n\
             [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = '{base}'\n{prices}\n\
             {}",
            ["azure", "gemini", "ollama", "cohere"].map(at_root).concat()
        )
    }

    /// The requests that arrived since this was last asked.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Their heads.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.requests().into_iter().map(|(head, _)| head).collect()
    }
}

fn serve(mut stream: &TcpStream, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    while let Some(head) = head(&mut reader) {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(0, |length| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (_, answer) = ANSWERS.iter().find(|(beginning, _)| head.starts_with(beginning)).unwrap();
        log.lock().unwrap().push((head, body));
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head.to_ascii_lowercase())
}
