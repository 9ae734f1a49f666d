//! The texts that a conversation shows its model, in their order: what folding compares results with.

use std::collections::HashMap;
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
    calls: HashMap<String, Arc<ToolCall>>,
}

impl Listing {
    pub(super) fn say(&mut self, by: Speaker, value: JsonValue) {
        if let (Some((place, _)), Some(text)) = (value.inside(), value.string()) {
            self.shown.push(ConversationText { by, text: text.into_owned(), is_new: false, place });
        }
    }

    /// A tool's result, in answer to the call `id`, which is given back where it is known. The last call of an id counts.
    pub(super) fn result(&mut self, id: Option<JsonValue>, value: JsonValue) -> Option<Arc<ToolCall>> {
        let call = id.and_then(JsonValue::string).and_then(|id| self.calls.get(&*id).cloned());
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
        self.calls.insert(text(id), call);
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
