//! The texts that a conversation shows its model, in their order: what folding compares results with.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::Edit;
use crate::text::{JsonValue, inside_quotes};

/// A text of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationText {
    /// Whose it is.
    pub by: Speaker,
    /// The text.
    pub text: String,
    /// True where it stands in the last turn: behind all that the model said.
    pub is_new: bool,
    /// Where it stands in the body, inside its quotes.
    pub(super) place: Range<usize>,
}

/// Who says a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// The user.
    User,
    /// The model, as an argument of a call.
    Call(Arc<ToolCall>),
    /// A tool, in answer to a call, where that is known.
    Tool(Option<Arc<ToolCall>>),
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The name of the tool.
    pub name: String,
    /// The texts among its arguments, with their keys.
    pub arguments: Vec<(String, String)>,
}

impl ToolCall {
    /// Returns whether the model asks for the original of a result that was cut, by the tool `recall` of this program under
    /// whatever name a client gives to its server. The answer must go on as it is, or nobody could ever see it.
    #[must_use]
    pub fn recalls(&self) -> bool {
        let is_id = |id: &str| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.name.ends_with("recall") && self.arguments.iter().any(|(key, id)| key == "id" && is_id(id))
    }
}

impl ConversationText {
    /// The edit that puts another text in its place.
    #[must_use]
    pub fn replace(&self, text: &str) -> Edit {
        Edit { range: self.place.clone(), with: inside_quotes(text) }
    }
}

/// Collects the texts of one conversation.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) shown: Vec<ConversationText>,
    calls: Vec<Called>,
    /// The place of the last call of each id.
    by_id: HashMap<String, usize>,
    /// The places of the calls of this round in their order, by the name of the tool, for results that name no other call.
    by_name: HashMap<String, VecDeque<usize>>,
    /// The place of the first call of this round.
    round: usize,
    /// True once a tool has answered since this round began.
    heard: bool,
    /// The call that is being answered.
    answered: Option<Arc<ToolCall>>,
}

/// A call, and what became of it.
#[derive(Debug)]
struct Called {
    call: Arc<ToolCall>,
    is_answered: bool,
    /// True if another call of its round has the same id, so that nobody knows which of the two is meant.
    is_twice: bool,
}

impl Listing {
    pub(super) fn say(&mut self, by: Speaker, value: JsonValue) {
        if let (Some((place, _)), Some(text)) = (value.inside(), value.string()) {
            self.shown.push(ConversationText { by, text: text.into_owned(), is_new: false, place });
        }
    }

    /// Notes that the model speaks. What it called before the last answers came is not answered by name any more.
    pub(super) fn model_speaks(&mut self) {
        if std::mem::take(&mut self.heard) {
            self.round = self.calls.len();
            self.by_name.clear();
        }
    }

    /// Notes that a tool answers a call: the last one of its id, and where that is not known, the first one of its name
    /// that this round has left, for clients answer in the order of the calls.
    pub(super) fn result(&mut self, id: Option<JsonValue>, name: Option<JsonValue>) {
        self.heard = true;
        let named = id.and_then(JsonValue::string).and_then(|id| self.by_id.get(&*id).copied());
        let known = named.filter(|place| self.calls.get(*place).is_some_and(|called| !called.is_twice));
        let place = known.or_else(|| self.first_left(&name?.string()?));
        let called = place.and_then(|place| self.calls.get_mut(place));
        self.answered = called.map(|called| {
            called.is_answered = true;
            Arc::clone(&called.call)
        });
    }

    /// Takes the first call of this round to the tool `name` that nobody has answered.
    fn first_left(&mut self, name: &str) -> Option<usize> {
        let places = self.by_name.get_mut(name)?;
        while let Some(place) = places.pop_front() {
            if self.calls.get(place).is_some_and(|called| !called.is_answered) {
                return Some(place);
            }
        }
        None
    }

    /// A text of the tool that answers, whose call is given back where it is known.
    pub(super) fn tool(&mut self, value: JsonValue) -> Option<Arc<ToolCall>> {
        let call = self.answered.clone();
        self.say(Speaker::Tool(call.clone()), value);
        call
    }

    /// A call of the model's. Its arguments are JSON, or a string that holds JSON or free text.
    pub(super) fn call(&mut self, id: Option<JsonValue>, name: Option<JsonValue>, input: Option<JsonValue>) {
        let text =
            |value: Option<JsonValue>| value.and_then(JsonValue::string).unwrap_or_default().into_owned();
        let parsed = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).ok();
        let input = input.and_then(|input| match input.string() {
            Some(inside) => parsed(&inside).or(Some(serde_json::Value::String(inside.into_owned()))),
            None => parsed(input.raw()),
        });
        let mut arguments = Vec::new();
        if let Some(input) = &input {
            leaves("", input, &mut arguments);
        }
        let call = Arc::new(ToolCall { name: text(name), arguments });
        for (_, argument) in call.arguments.iter().filter(|(_, text)| text.contains('\n')) {
            let (by, text) = (Speaker::Call(Arc::clone(&call)), argument.clone());
            self.shown.push(ConversationText { by, text, is_new: false, place: 0..0 });
        }
        let (place, id) = (self.calls.len(), text(id));
        self.by_name.entry(call.name.clone()).or_default().push_back(place);
        let mut is_twice = false;
        if !id.is_empty() {
            let other = self.by_id.insert(id, place).filter(|other| *other >= self.round);
            let other = other.and_then(|other| self.calls.get(other)).filter(|other| !other.is_answered);
            is_twice = other.is_some_and(|other| other.is_twice || other.call != call);
        }
        self.calls.push(Called { call, is_answered: false, is_twice });
    }
}

/// The texts in `value`, each with the key that it stands under. The depth of JSON is bounded where it is read.
fn leaves(key: &str, value: &serde_json::Value, found: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::String(text) => found.push((key.to_owned(), text.clone())),
        serde_json::Value::Array(values) => values.iter().for_each(|value| leaves(key, value, found)),
        serde_json::Value::Object(members) => {
            members.iter().for_each(|(key, value)| leaves(key, value, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoint, Request};
    use super::*;

    /// The argument of the call that each result answers, and a dash where none is known.
    fn answered(endpoint: Endpoint, body: &str) -> Vec<String> {
        let texts = Request::read(endpoint, body.as_bytes()).unwrap().texts(usize::MAX);
        let calls = texts.shown.into_iter().filter_map(|shown| match shown.by {
            Speaker::Tool(call) => Some(call),
            Speaker::User | Speaker::Call(_) => None,
        });
        calls.map(|call| call.map_or("-".into(), |call| call.arguments[0].1.clone())).collect()
    }

    /// Contents of Gemini's: `a` a call with an argument, `=` a result, each as `id name argument`.
    fn contents(turns: &[&[(&str, &str, &str)]]) -> Vec<String> {
        let turn = |parts: &&[(&str, &str, &str)]| {
            let mut role = "user";
            let part = |&(id, name, argument): &(&str, &str, &str)| {
                let id = if id.is_empty() { String::new() } else { format!(r#""id": "{id}", "#) };
                if argument.is_empty() {
                    let response = r#"{"output": "x", "error": "y"}"#;
                    return format!(
                        r#"{{"functionResponse": {{{id}"name": "{name}", "response": {response}}}}}"#
                    );
                }
                role = "model";
                format!(r#"{{"functionCall": {{{id}"name": "{name}", "args": {{"id": "{argument}"}}}}}}"#)
            };
            let parts: Vec<String> = parts.iter().map(part).collect();
            format!(r#"{{"role": "{role}", "parts": [{}]}}"#, parts.join(", "))
        };
        let turns: Vec<String> = turns.iter().map(turn).collect();
        let found = answered(Endpoint::Contents, &format!(r#"{{"contents": [{}]}}"#, turns.join(", ")));
        // Each result has two texts.
        assert!(found.chunks(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        found.into_iter().step_by(2).collect()
    }

    #[test]
    fn parallel_calls_of_one_tool_are_answered_in_their_order() {
        let calls = [("", "f", "1"), ("", "g", "2"), ("", "f", "3")];
        let results = [("", "f", ""), ("", "f", ""), ("", "g", "")];
        assert_eq!(contents(&[&calls, &results]), ["1", "3", "2"]);
        // The next round begins anew, whatever was not answered.
        assert_eq!(contents(&[&calls, &results[..1], &[("", "f", "4")], &results[..2]]), ["1", "4", "-"]);
        // Nor does the model begin a round by a second message.
        assert_eq!(contents(&[&calls[..1], &calls[2..], &results[..2]]), ["1", "3"]);
        assert_eq!(contents(&[&results[..1], &calls]), ["-"]);
    }

    #[test]
    fn a_result_with_an_id_that_is_not_known_goes_by_its_name() {
        let calls = [("i", "f", "1"), ("j", "f", "2"), ("k", "f", "3")];
        assert_eq!(contents(&[&calls, &[("j", "f", ""), ("x", "f", ""), ("y", "f", "")]]), ["2", "1", "3"]);
        assert_eq!(contents(&[&calls, &[("x", "g", ""), ("i", "f", "")]]), ["-", "1"]);
        // The last call of an id counts, and of two in one round none can be told from the other.
        assert_eq!(
            contents(&[&calls[..1], &[("i", "f", "")], &[("i", "f", "4")], &[("i", "f", "")]]),
            ["1", "4"]
        );
        let chat = |arguments: [u8; 2]| {
            let call = |n: u8| {
                format!(r#"{{"id": "c", "function": {{"name": "f", "arguments": "{{\"a\": \"{n}\"}}"}}}}"#)
            };
            let calls = arguments.map(call).join(", ");
            let result = r#"{"role": "tool", "tool_call_id": "c", "content": "x"}"#;
            let body = format!(
                r#"{{"messages": [{{"role": "assistant", "tool_calls": [{calls}]}}, {result}, {result}]}}"#
            );
            answered(Endpoint::Chat, &body)
        };
        assert_eq!(chat([1, 1]), ["1", "1"]);
        assert_eq!(chat([1, 2]), ["-", "-"]);
    }

    #[test]
    fn an_answer_of_recall_is_known_without_an_id_and_with_an_invented_one() {
        let long = "word ".repeat(40);
        let original = "0123456789abcdef";
        let passages = |endpoint, body: &str| {
            Request::read(endpoint, body.replace("LONG", &long).as_bytes()).unwrap().texts(100).passages.len()
        };
        for (id, recalled) in [("\"id\": \"invented\", ", 0), ("", 0)] {
            let call = format!(
                r#"{{"role": "model", "parts": [{{"functionCall": {{"id": "c", "name": "whittle__recall", "args": {{"id": "{original}"}}}}}}]}}"#
            );
            let result = format!(
                r#"{{"role": "user", "parts": [{{"functionResponse": {{{id}"name": "whittle__recall", "response": {{"output": "LONG"}}}}}}]}}"#
            );
            let body = format!(r#"{{"contents": [{call}, {result}]}}"#);
            assert_eq!(passages(Endpoint::Contents, &body), recalled, "{body}");
            assert_eq!(passages(Endpoint::Contents, &body.replace("__recall", "__read")), 1);
        }
        let call = format!(
            r#"{{"role": "assistant", "tool_calls": [{{"id": "c", "function": {{"name": "recall", "arguments": {{"id": "{original}"}}}}}}]}}"#
        );
        let result = r#"{"role": "tool", "tool_name": "recall", "content": "LONG"}"#;
        assert_eq!(passages(Endpoint::OllamaChat, &format!(r#"{{"messages": [{call}, {result}]}}"#)), 0);
    }
}
