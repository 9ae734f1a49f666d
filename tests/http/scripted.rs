//! An upstream that answers each request by the next line of a script, in the form of each API, whole or as a stream.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const RESPONSES: &str = "/v1/responses";
/// The example in the definition of the tool, which is no id of a test.
const EXAMPLE: &str = "9c5ec9f0a1b2c3d4";

/// A part of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(&'static str),
    /// A call of the proxy's tool. `ID` in the arguments stands for the id that a mark of the request names.
    Recall(&'static str),
    /// A call of a client's tool, with its id.
    Call(&'static str),
}

/// The answer to one request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) parts: Vec<Part>,
    /// Whether the connection breaks before the end.
    pub(crate) breaks: bool,
    /// Waits for this before the last event.
    pub(crate) gate: Option<Receiver<()>>,
    /// The reason of the end where it is not that of the parts.
    pub(crate) reason: Option<&'static str>,
}

impl Reply {
    pub(crate) fn new(parts: &[Part]) -> Self {
        Self { status: 200, parts: parts.to_vec(), breaks: false, gate: None, reason: None }
    }
}

/// A running upstream. It ends with the process.
pub(crate) struct Scripted {
    base: String,
    script: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Scripted {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (script, requests) =
            (Arc::<Mutex<VecDeque<Reply>>>::default(), Arc::<Mutex<Vec<Value>>>::default());
        let shared = (Arc::clone(&script), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, requests) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                std::thread::spawn(move || serve(&stream, &script, &requests));
            }
        });
        Self { base, script, requests }
    }

    pub(crate) fn config(&self) -> String {
        let base = &self.base;
        let rest = "retries = 0\nprices = [{ model = 'm*', input = 1.0, output = 1.0 }]";
        format!(
            "[proxy.recall]\nenabled = true\ntool = true\n\
             [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = '{base}/v1'\n{rest}\n\
             [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = '{base}'\n{rest}\n"
        )
    }

    /// Says what the next requests are answered.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().extend(replies);
    }

    /// The bodies that arrived since this was last asked.
    pub(crate) fn requests(&self) -> Vec<Value> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn serve(mut stream: &TcpStream, script: &Mutex<VecDeque<Reply>>, requests: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let text = String::from_utf8(body).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let number = requests.lock().unwrap().len();
    requests.lock().unwrap().push(body.clone());
    let mut reply = script.lock().unwrap().pop_front().expect("the script has another line");
    let id = id_in(&text).unwrap_or_default();
    let (kind, mut events) = if reply.status != 200 {
        ("application/json", vec![json!({"error": {"message": "scripted"}}).to_string()])
    } else if body["stream"] == true {
        ("text/event-stream", streamed(&path, &reply, number, &body))
    } else {
        ("application/json", vec![whole(&path, &reply, number).to_string()])
    };
    for event in &mut events {
        *event = event.replace("ID", &id);
    }
    let status = reply.status;
    let length: usize = events.iter().map(String::len).sum();
    if reply.breaks {
        events.pop();
    }
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let last = events.len().saturating_sub(1);
    for (place, event) in events.iter().enumerate() {
        if let Some(gate) = reply.gate.take_if(|_| place == last) {
            gate.recv().ok();
        }
        if stream.write_all(event.as_bytes()).is_err() {
            return;
        }
    }
}

/// The id that a mark in a request names.
pub(crate) fn id_in(text: &str) -> Option<String> {
    let ids = text
        .match_indices("recall ")
        .filter_map(|(at, found)| text.get(at + found.len()..at + found.len() + 16));
    ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .find(|id| *id != EXAMPLE)
        .map(str::to_owned)
}

fn calls(reply: &Reply) -> bool {
    reply.parts.iter().any(|part| !matches!(part, Part::Text(_)))
}

/// The id, name and arguments of a call.
fn call(part: &Part, place: usize, number: usize) -> Option<(String, &'static str, &'static str)> {
    match part {
        Part::Text(_) => None,
        Part::Recall(arguments) => Some((format!("r{number}_{place}"), "whittle_recall", arguments)),
        Part::Call(id) => Some(((*id).to_owned(), "bash", "{\"command\":\"ls\"}")),
    }
}

fn whole(path: &str, reply: &Reply, number: usize) -> Value {
    let reason = |calls_reason: &'static str, end: &'static str| {
        reply.reason.unwrap_or(if calls(reply) { calls_reason } else { end })
    };
    let parts = reply.parts.iter().enumerate();
    match path {
        CHAT => {
            let texts = reply
                .parts
                .iter()
                .filter_map(|part| if let Part::Text(text) = part { Some(*text) } else { None });
            let calls: Vec<Value> = parts
                .filter_map(|(place, part)| call(part, place, number))
                .map(|(id, name, arguments)| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
                })
                .collect();
            let mut message = json!({"role": "assistant", "content": texts.collect::<String>()});
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
            }
            json!({
                "id": format!("c{number}"), "object": "chat.completion", "created": number, "model": "m1",
                "choices": [{"index": 0, "message": message, "finish_reason": reason("tool_calls", "stop")}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
                          "prompt_tokens_details": {"cached_tokens": 40}},
            })
        }
        RESPONSES => {
            let output: Vec<Value> = parts.map(|(place, part)| item(part, place, number)).collect();
            response(number, "completed", &output.into())
        }
        _ => {
            let content: Vec<Value> = parts.map(|(place, part)| block(part, place, number, true)).collect();
            json!({
                "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": "m1",
                "content": content, "stop_reason": reason("tool_use", "end_turn"), "stop_sequence": null,
                "usage": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 10},
            })
        }
    }
}

fn response(number: usize, status: &str, output: &Value) -> Value {
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110});
    let usage = if status == "completed" { usage } else { Value::Null };
    json!({"id": format!("resp_{number}"), "object": "response", "created_at": number, "status": status,
        "model": "m1", "output": output, "usage": usage})
}

fn item(part: &Part, place: usize, number: usize) -> Value {
    let id = format!("item_{number}_{place}");
    match (part, call(part, place, number)) {
        (Part::Text(text), _) => {
            json!({"type": "message", "id": id, "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]})
        }
        (_, Some((call, name, arguments))) => {
            json!({"type": "function_call", "id": id, "status": "completed",
            "call_id": call, "name": name, "arguments": arguments})
        }
        _ => Value::Null,
    }
}

fn block(part: &Part, place: usize, number: usize, filled: bool) -> Value {
    match (part, call(part, place, number)) {
        (Part::Text(text), _) => json!({"type": "text", "text": if filled { *text } else { "" }}),
        (_, Some((id, name, arguments))) => {
            let input = if filled { serde_json::from_str(arguments).unwrap() } else { json!({}) };
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        _ => Value::Null,
    }
}

/// The events of a stream.
fn streamed(path: &str, reply: &Reply, number: usize, body: &Value) -> Vec<String> {
    match path {
        CHAT => chat_stream(reply, number, body),
        RESPONSES => responses_stream(reply, number),
        _ => messages_stream(path, reply, number),
    }
}

fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

fn chat_stream(reply: &Reply, number: usize, body: &Value) -> Vec<String> {
    let (path, mut events) = (CHAT, Vec::new());
    let chunk = |choices: Value| {
        json!({"id": format!("c{number}"), "object": "chat.completion.chunk", "created": number,
                    "model": "m1", "choices": choices})
    };
    let data = |value: Value| format!("data: {value}\n\n");
    let delta = |delta: Value| data(chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])));
    events.push(delta(json!({"role": "assistant", "content": ""})));
    let mut index = 0;
    for (place, part) in reply.parts.iter().enumerate() {
        let Some((id, name, arguments)) = call(part, place, number) else {
            let Part::Text(text) = part else { continue };
            let (one, other) = text.split_at(text.len() / 2);
            events.extend([one, other].map(|text| delta(json!({"content": text}))));
            continue;
        };
        events.push(delta(json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""}}]})));
        let (one, other) = arguments.split_at(arguments.len() / 2);
        events.extend([one, other].map(|arguments| {
            delta(json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))
        }));
        index += 1;
    }
    let reason = reply.reason.unwrap_or(if calls(reply) { "tool_calls" } else { "stop" });
    events.push(data(chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]))));
    if body["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!([]));
        last["usage"] = whole(path, reply, number)["usage"].clone();
        events.push(data(last));
    }
    events.push("data: [DONE]\n\n".into());
    events
}

fn responses_stream(reply: &Reply, number: usize) -> Vec<String> {
    let (path, mut events) = (RESPONSES, Vec::new());
    let mut sequence = 0;
    let mut event = |kind: &str, mut event: Value| {
        event["type"] = kind.into();
        event["sequence_number"] = sequence.into();
        sequence += 1;
        named(&event)
    };
    let begun = response(number, "in_progress", &json!([]));
    events.push(event("response.created", json!({"response": begun})));
    events.push(event("response.in_progress", json!({"response": begun})));
    for (place, part) in reply.parts.iter().enumerate() {
        let whole = item(part, place, number);
        let mut empty = whole.clone();
        for key in ["content", "arguments"] {
            if empty.get(key).is_some() {
                empty[key] = if key == "content" { json!([]) } else { "".into() };
            }
        }
        events.push(event("response.output_item.added", json!({"output_index": place, "item": empty})));
        let (kind, text) = match (part, call(part, place, number)) {
            (Part::Text(text), _) => ("response.output_text.delta", *text),
            (_, call) => ("response.function_call_arguments.delta", call.unwrap().2),
        };
        let (one, other) = text.split_at(text.len() / 2);
        for delta in [one, other] {
            events.push(event(
                kind,
                json!({"output_index": place, "item_id": whole["id"],
                        "content_index": 0, "delta": delta}),
            ));
        }
        events.push(event("response.output_item.done", json!({"output_index": place, "item": whole})));
    }
    let whole = self::whole(path, reply, number);
    events.push(event("response.completed", json!({"response": whole})));
    events
}

fn messages_stream(path: &str, reply: &Reply, number: usize) -> Vec<String> {
    let mut events = Vec::new();
    let whole = whole(path, reply, number);
    let mut begun = whole.clone();
    (begun["content"], begun["stop_reason"]) = (json!([]), Value::Null);
    begun["usage"]["output_tokens"] = 1.into();
    events.push(named(&json!({"type": "message_start", "message": begun})));
    events.push(named(&json!({"type": "ping"})));
    for (place, part) in reply.parts.iter().enumerate() {
        let block = block(part, place, number, false);
        events.push(named(&json!({"type": "content_block_start", "index": place, "content_block": block})));
        let (kind, key, text) = match (part, call(part, place, number)) {
            (Part::Text(text), _) => ("text_delta", "text", *text),
            (_, call) => ("input_json_delta", "partial_json", call.unwrap().2),
        };
        let (one, other) = text.split_at(text.len() / 2);
        for text in [one, other] {
            let delta = json!({"type": kind, key: text});
            events.push(named(&json!({"type": "content_block_delta", "index": place, "delta": delta})));
        }
        events.push(named(&json!({"type": "content_block_stop", "index": place})));
    }
    let delta = json!({"stop_reason": whole["stop_reason"], "stop_sequence": null});
    events.push(named(&json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 10}})));
    events.push(named(&json!({"type": "message_stop"})));
    events
}
