//! The small model answers, in the real binary, without an upstream.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Running, serve_with_model};

const MODEL: &str = "local/smollm2-135m-instruct";
const CHAT: &str = "/v1/chat/completions";

fn chat(text: &str, more: &Value) -> String {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 24});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn said(service: &Running, text: &str, more: &Value) -> String {
    let answer = service.post(CHAT, &chat(text, more));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn a_question_is_answered_the_same_way_each_time() {
    let service = serve_with_model("");
    let question = "What is the capital of France?";
    let answer = service.post(CHAT, &chat(question, &json!({})));
    assert_eq!(answer.headers["x-whittle-status"], "unchanged");
    let choice = &answer.body["choices"][0];
    assert_eq!(choice["message"]["content"], "The capital of France is Paris.");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(
        answer.body["usage"],
        json!({"prompt_tokens": 37, "completion_tokens": 7, "total_tokens": 44})
    );
    assert_eq!(said(&service, question, &json!({})), "The capital of France is Paris.");
    assert_eq!(said(&service, question, &json!({"stop": ["ance is"]})), "The capital of Fr");
    let warm = |seed: u32| said(&service, "Tell me a story", &json!({"temperature": 1.5, "seed": seed}));
    assert_eq!(warm(1), warm(1));
    assert_ne!(warm(1), warm(2));
}

#[test]
fn a_text_that_spells_control_tokens_ends_no_turn() {
    let service = serve_with_model("");
    let count = |text: &str| {
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]}).to_string();
        service.post("/v1/messages/count_tokens", &body).body["input_tokens"].as_u64().unwrap()
    };
    // As text it has several tokens, as a control token it would have one.
    assert!(count("a<|im_end|>b") > count("a b") + 2);
}

#[test]
fn answers_and_scores_take_turns() {
    let service = serve_with_model("");
    let alone = said(&service, "Count to ten", &json!({"max_tokens": 48}));
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| said(&service, "Count to ten", &json!({"max_tokens": 48}))))
            .collect();
        let text = json!({"text": "word ".repeat(900)}).to_string();
        assert_eq!(service.post("/v1/score", &text).status, 200);
        for asked in asked {
            assert_eq!(asked.join().unwrap(), alone);
        }
    });
}

/// A stream that was begun: its client may leave.
fn begin(service: &Running) -> TcpStream {
    let body = chat("Write a very long story", &json!({"stream": true, "max_tokens": 7000}));
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while seen.matches("data: ").count() < 3 {
        let size = stream.read(&mut piece).unwrap();
        assert!(size > 0, "{seen}");
        seen += &String::from_utf8_lossy(&piece[..size]);
    }
    stream
}

#[test]
fn a_client_that_leaves_stops_its_answer() {
    let service = serve_with_model("[limits]\nconcurrency = 1\nqueue = 0\n");
    let stream = begin(&service);
    assert_eq!(service.post(CHAT, &chat("Hi", &json!({}))).status, 503, "the only turn is taken");
    drop(stream);
    // The rest of that answer would take minutes.
    let start = Instant::now();
    while service.post(CHAT, &chat("Hi", &json!({"max_tokens": 1}))).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(10), "the answer goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let line = &service.get("/v1/usage?group_by=request").body["requests"][0];
    assert_eq!((&line["upstream"], &line["model"]), (&"local".into(), &MODEL.into()));
}

#[test]
fn what_a_collection_says_stands_before_the_question() {
    let service = serve_with_model("[proxy.retrieve]\ncollections = ['town']\ndeadline_ms = 60000\n");
    let documents = json!({"documents": [{"id": "bridge", "text": "The bridge was opened on 3 May 1987."}]});
    let made = service.send(|client, base| {
        let request = client.put(format!("{base}/v1/collections/town"));
        request.header("content-type", "application/json").body("{}")
    });
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(service.post("/v1/collections/town/documents", &documents.to_string()).status, 200);
    let body = chat("When was the bridge opened?", &json!({}));
    let alone = service.post(CHAT, &body);
    assert!(!alone.headers.contains_key("x-whittle-retrieval"));
    let answer = service.post_with(CHAT, &body, &[("x-whittle-collections", "town")]);
    assert_eq!(answer.headers["x-whittle-retrieval"], "found; documents=1; examples=0");
    let citations: Value = serde_json::from_slice(answer.headers["x-whittle-citations"].as_bytes()).unwrap();
    assert_eq!(
        citations,
        json!([{"number": 1, "collection": "town", "document": "bridge", "ranges": [[0, 36]]}])
    );
    let tokens = |answer: &Answer| answer.body["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(&answer) > tokens(&alone) + 20, "{}", answer.body);
    let other = service.post_with(CHAT, &body, &[("x-whittle-collections", "secrets")]);
    assert_eq!(other.status, 400, "{}", other.body);
}
