//! The text of an answer, and the arguments of the tools that it calls.

use serde_json::Value;

/// Members that hold what the model wrote, or lead to it.
const LEADING: [&str; 13] = [
    "candidates",
    "choices",
    "content",
    "content_block",
    "delta",
    "function",
    "functionCall",
    "message",
    "output",
    "parts",
    "response",
    "tool_calls",
    "text",
];
/// Members that hold what the model wrote where it calls a tool: a text, or a value.
const ARGUMENTS: [&str; 3] = ["args", "arguments", "partial_json"];

/// Adds what a whole answer, or an event of a stream, says. What cannot be read says nothing.
pub(super) fn append(text: &mut String, json: &[u8], event: bool) {
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return };
    // Events of responses repeat at their end what they said in pieces.
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let repeats = event
        && kind.starts_with("response.")
        && kind.rsplit_once('.').is_none_or(|(_, last)| last != "delta");
    if !repeats {
        collect(&value, text);
    }
}

fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(written) => *text += written,
        Value::Array(items) => items.iter().for_each(|item| collect(item, text)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Object(_) if ARGUMENTS.contains(&&**name) => *text += &value.to_string(),
                    value if ARGUMENTS.contains(&&**name) || LEADING.contains(&&**name) => {
                        collect(value, text);
                    }
                    _ => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
