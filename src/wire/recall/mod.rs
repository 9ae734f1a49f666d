//! The tool by which a model recalls what was left out of a tool's result: its definition in requests, its calls in
//! answers, whole or streamed, and the requests that answer them.
//!
//! The proxy adds the tool and answers its calls, so that a client sees neither. An answer takes *rounds* then: each is an
//! answer of the upstream, and all but the last end in a call of the tool. The client gets them as one.

mod chat;
mod messages;
mod request;
mod responses;
mod whole;

use serde_json::Value;

use super::Endpoint;
pub use request::{Injection, Late, continued, injection, reinserted};
pub use whole::{Answered, Whole};

/// The name of the tool.
pub const TOOL: &str = "whittle_recall";

/// A call of a tool in an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The id that its result names.
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments, as JSON in most cases.
    pub arguments: String,
    /// The type of the item that carries its result, where that is not the usual one.
    custom: bool,
}

impl Call {
    /// Returns whether the proxy's own tool is called.
    #[must_use]
    pub fn recalls(&self) -> bool {
        self.name == TOOL
    }
}

/// The turn of a model that is answered by the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The messages or items of the turn, as JSON.
    pieces: Vec<String>,
    /// The calls in it, in order.
    pub calls: Vec<Call>,
}

/// The end of a round.
#[derive(Debug, Default)]
pub struct Round {
    /// The bytes that the client still gets.
    pub rest: Vec<u8>,
    /// The turn that is to be answered by another round, if any.
    pub turn: Option<Turn>,
}

/// The calls of the proxy's tool that came after another call had gone to the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LateTurn {
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// The id of the last call that went to the client.
    pub beside: String,
}

/// The part of an event that the client gets.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// All of it, byte for byte.
    AsItCame,
    /// Nothing of it.
    Nothing,
    /// Something else.
    Instead(String),
}

/// The rounds of one dialect.
trait Form: Send {
    /// Takes the data of an event and says what the client gets. In the `last` round no call of the tool is answered.
    fn event(&mut self, data: Value, last: bool) -> Shown;

    /// Returns whether another round follows, as far as is known.
    fn follows(&self) -> bool;

    /// Hands over the late calls, once the turn is known to be over.
    fn late(&mut self) -> Option<LateTurn>;

    /// Ends the round.
    fn end(&mut self) -> Round;
}

/// Makes one stream of the streams of all rounds.
pub struct Splicer {
    form: Box<dyn Form>,
    last: bool,
    /// The beginning of an event whose end has not arrived.
    held: Vec<u8>,
}

/// Longest event that is taken.
const EVENT_BYTES: usize = 64 << 20;

/// An event is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of an upstream's answer has more than {EVENT_BYTES} bytes")]
pub struct TooLong;

impl Splicer {
    /// Creates the splicer of an endpoint's answers. None where its answers call no tools.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Option<Self> {
        let form: Box<dyn Form> = match endpoint {
            Endpoint::Messages => Box::<messages::Stream>::default(),
            Endpoint::Chat => Box::<chat::Stream>::default(),
            Endpoint::Responses => Box::<responses::Stream>::default(),
            Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::CountTokens
            | Endpoint::Contents
            | Endpoint::CountContents
            | Endpoint::OllamaChat
            | Endpoint::OllamaGenerate
            | Endpoint::CohereChat => return None,
        };
        Some(Self { form, last: false, held: Vec::new() })
    }

    /// Takes a piece of the stream, and gives what the client gets of the events that end in it.
    ///
    /// # Errors
    /// An event is too long.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Vec<u8>, TooLong> {
        // An end may lie across the border.
        let mut searched = self.held.len().saturating_sub(3);
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let (mut shown, mut at) = (Vec::new(), 0);
        while let Some(end) = event_end(&bytes, searched.max(at)) {
            self.show(&bytes[at..end], &mut shown);
            (at, searched) = (end, end);
        }
        bytes.drain(..at);
        self.held = bytes;
        if self.held.len() > EVENT_BYTES { Err(TooLong) } else { Ok(shown) }
    }

    fn show(&mut self, event: &[u8], shown: &mut Vec<u8>) {
        match self.event(event) {
            Shown::AsItCame => shown.extend_from_slice(event),
            Shown::Nothing => {}
            Shown::Instead(other) => shown.extend_from_slice(other.as_bytes()),
        }
    }

    /// Takes a whole event and says what the client gets of it.
    fn event(&mut self, event: &[u8]) -> Shown {
        let data = data_of(event);
        if data.trim_ascii() == b"[DONE]" {
            return if self.form.follows() { Shown::Nothing } else { Shown::AsItCame };
        }
        match serde_json::from_slice(&data) {
            Ok(value @ Value::Object(_)) => self.form.event(value, self.last),
            _ => Shown::AsItCame,
        }
    }

    /// Hands over the calls of the proxy's tool that came too late to be answered in this answer, before the client gets the
    /// event that ends the turn.
    pub fn late(&mut self) -> Option<LateTurn> {
        self.form.late()
    }

    /// Ends a round. From the next one on, no call of the tool is answered where it is to be the `last`.
    pub fn end(&mut self, last: bool) -> Round {
        let (held, mut rest) = (std::mem::take(&mut self.held), Vec::new());
        if !held.is_empty() {
            self.show(&held, &mut rest);
        }
        self.last = last;
        Round { rest, ..self.form.end() }
    }
}

/// The end of the first event of `bytes` that ends behind `from`.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
        if let Some(end) = ends.iter().find(|end| bytes[at..].starts_with(end)) {
            return Some(at + end.len());
        }
        at += 1;
    }
}

/// The data of an event: its lines of data, joined.
fn data_of(event: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if let Some(part) = line.strip_prefix(b"data:") {
            if !data.is_empty() {
                data.push(b'\n');
            }
            data.extend_from_slice(part);
        }
    }
    data
}

/// The calls of a round in a stream: which of them the client sees.
#[derive(Debug, Default)]
struct Seen {
    /// True where the proxy's tool was called before any other.
    first: bool,
    /// The id of the last call that went to the client.
    shown: Option<String>,
    any: bool,
}

impl Seen {
    /// Takes a call that begins, and says whether the client gets it.
    fn call(&mut self, name: &str, id: &str, last: bool) -> bool {
        let recalls = name == TOOL;
        if !self.any {
            (self.any, self.first) = (true, recalls && !last);
        }
        let shows = !recalls && !self.first;
        if shows {
            self.shown = Some(id.to_owned());
        }
        shows
    }

    /// The late ones among the calls of a turn that is over.
    fn late(&self, calls: impl Iterator<Item = Call>) -> Option<LateTurn> {
        let beside = self.shown.clone().filter(|_| !self.first)?;
        let calls: Vec<Call> = calls.filter(Call::recalls).collect();
        (!calls.is_empty()).then_some(LateTurn { calls, beside })
    }
}

/// Adds the numbers of `more` to those of `sum`, at any depth; what is no number is taken from `more`.
fn add(sum: &mut Value, more: &Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            for (key, value) in more {
                match sum.get_mut(key) {
                    Some(known) => add(known, value),
                    None => _ = sum.insert(key.clone(), value.clone()),
                }
            }
        }
        (_, Value::Null) => {}
        (sum, more) => match (sum.as_u64(), more.as_u64()) {
            (Some(a), Some(b)) => *sum = a.saturating_add(b).into(),
            _ => *sum = more.clone(),
        },
    }
}

/// Replaces the members of `known` by those of `newer`, at the top alone, but for those that are null.
fn renew(known: &mut Value, newer: &Value) {
    if !known.is_object() {
        *known = newer.clone();
        return;
    }
    for (key, value) in newer.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        known[key.as_str()] = value.clone();
    }
}

/// The value where it is an object, as it is to be; an empty one in place of anything else.
fn object_of(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { Value::Object(serde_json::Map::new()) }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Appends the text of `more` to the member `key` of an object.
fn append(object: &mut Value, key: &str, more: &str) {
    let whole = text_of(&object[key]) + more;
    object[key] = whole.into();
}

#[cfg(test)]
mod tests;
