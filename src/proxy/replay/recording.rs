//! Recorded conversations, in the forms that agents write their logs in.
//!
//! | form | a line is |
//! |---|---|
//! | conversations | `{"id", "system", "messages": [...]}` with Anthropic's blocks |
//! | Claude Code | `{"type": "user" or "assistant", "sessionId", "message": {"role", "content"}}` |
//! | Codex | `{"type": "response_item", "payload": {...}}` with items of Responses, or such an item itself |
//!
//! Lines that are none of these say nothing of a conversation and are passed over.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// A recorded conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recorded {
    pub(super) system: String,
    pub(super) messages: Vec<Message>,
}

/// The blocks that one side said at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) by_model: bool,
    pub(super) blocks: Vec<Block>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Text(String),
    Call { id: String, name: String, input: Value },
    Result { id: String, text: String },
}

/// A reason why a log cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A line is no JSON.
    #[error("line {0} is not JSON: {1}")]
    Json(usize, String),
    /// No line belongs to a conversation with results of tools.
    #[error(
        "there is no conversation with results of tools: give session logs of Claude Code or Codex, or lines with `messages`"
    )]
    Nothing,
}

/// The conversations of a log, in the order in which they begin.
pub(super) fn read(log: &str) -> Result<Vec<Recorded>, LogError> {
    let mut reader = Reader::default();
    for (number, line) in log.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line =
            serde_json::from_str(line).map_err(|error| LogError::Json(number + 1, error.to_string()))?;
        reader.line(&line);
    }
    let conversations = reader.conversations.into_iter().map(numbered);
    let conversations: Vec<_> = conversations.filter(has_results).collect();
    if conversations.is_empty() { Err(LogError::Nothing) } else { Ok(conversations) }
}

fn has_results(conversation: &Recorded) -> bool {
    conversation
        .messages
        .iter()
        .flat_map(|message| &message.blocks)
        .any(|block| matches!(block, Block::Result { .. }))
}

/// Gives each call an id of its own: some logs use one twice.
fn numbered(mut conversation: Recorded) -> Recorded {
    let (mut count, mut now) = (0, HashMap::new());
    for block in conversation.messages.iter_mut().flat_map(|message| &mut message.blocks) {
        match block {
            Block::Text(_) => {}
            Block::Call { id, .. } => {
                count += 1;
                let own = format!("call_{count:04}");
                now.insert(std::mem::replace(id, own.clone()), own);
            }
            Block::Result { id, .. } => {
                if let Some(own) = now.get(id) {
                    id.clone_from(own);
                }
            }
        }
    }
    conversation
}

#[derive(Default)]
struct Reader {
    conversations: Vec<Recorded>,
    /// Positions of the sessions whose lines stand one by one, with side conversations apart.
    sessions: BTreeMap<(String, bool), usize>,
}

impl Reader {
    fn line(&mut self, line: &Value) {
        if let Some(messages) = line.get("messages").and_then(Value::as_array) {
            let mut conversation = Recorded { system: text_of(&line["system"]), ..Recorded::default() };
            for message in messages {
                conversation.message(message);
            }
            self.conversations.push(conversation);
        } else if line["message"].is_object() {
            let side = line["isSidechain"].as_bool().unwrap_or_default();
            self.session(text_of(&line["sessionId"]), side).message(&line["message"]);
        } else {
            let item = if line["payload"].is_object() { &line["payload"] } else { line };
            self.session(String::new(), false).item(item);
        }
    }

    fn session(&mut self, name: String, side: bool) -> &mut Recorded {
        let next = self.conversations.len();
        let place = *self.sessions.entry((name, side)).or_insert(next);
        if place == next {
            self.conversations.push(Recorded::default());
        }
        &mut self.conversations[place]
    }
}

impl Recorded {
    /// Adds a block: to the last message, where the same side goes on.
    fn add(&mut self, by_model: bool, block: Block) {
        match self.messages.last_mut().filter(|last| last.by_model == by_model) {
            Some(last) => last.blocks.push(block),
            None => self.messages.push(Message { by_model, blocks: vec![block] }),
        }
    }

    /// A message of Anthropic's.
    fn message(&mut self, message: &Value) {
        let by_model = message["role"] == "assistant";
        if let Some(text) = message["content"].as_str() {
            return self.add(by_model, Block::Text(text.to_owned()));
        }
        for block in message["content"].as_array().into_iter().flatten() {
            let text = |name: &str| text_of(&block[name]);
            let block = match block["type"].as_str() {
                Some("text") => Block::Text(text("text")),
                Some("tool_use") => {
                    Block::Call { id: text("id"), name: text("name"), input: block["input"].clone() }
                }
                Some("tool_result") => Block::Result { id: text("tool_use_id"), text: text("content") },
                _ => continue,
            };
            self.add(by_model, block);
        }
    }

    /// An item of Responses.
    fn item(&mut self, item: &Value) {
        let text = |name: &str| text_of(&item[name]);
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                if let Some(role @ ("user" | "assistant")) = item["role"].as_str() {
                    self.add(role == "assistant", Block::Text(text("content")));
                }
            }
            "function_call" | "custom_tool_call" => {
                let written = if item["input"].is_string() { text("input") } else { text("arguments") };
                let input = serde_json::from_str(&written).ok().filter(Value::is_object);
                let input = input.unwrap_or_else(|| serde_json::json!({ "input": written }));
                self.add(true, Block::Call { id: text("call_id"), name: text("name"), input });
            }
            "function_call_output" | "custom_tool_call_output" => {
                self.add(false, Block::Result { id: text("call_id"), text: text("output") });
            }
            _ => {}
        }
    }
}

/// A text, or the texts among its parts one behind the other.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Object(members) => members.get("content").map(text_of).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_conversation_is_read_from_each_form() {
        let ours = r#"{"id":"x","system":"","messages":[{"role":"user","content":[{"type":"text","text":"Go"}]},{"role":"assistant","content":[{"type":"text","text":"Yes"},{"type":"tool_use","id":"a","name":"run","input":{"cmd":"ls"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"one\ntwo"}]}]}"#;
        let claude = [
            r#"{"type":"summary","summary":"s"}"#,
            r#"{"type":"user","sessionId":"s","message":{"role":"user","content":"Go"}}"#,
            r#"{"type":"assistant","sessionId":"s","message":{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Yes"}]}}"#,
            r#"{"type":"assistant","sessionId":"s","message":{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"run","input":{"cmd":"ls"}}]}}"#,
            r#"{"type":"user","sessionId":"s","isSidechain":true,"message":{"role":"user","content":"aside"}}"#,
            r#"{"type":"user","sessionId":"s","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"one\n"},{"type":"image"},{"type":"text","text":"two"}]}]}}"#,
        ];
        let codex = [
            r#"{"type":"session_meta","payload":{"id":"s"}}"#,
            r#"{"type":"response_item","payload":{"type":"message","role":"developer","content":[{"type":"input_text","text":"rules"}]}}"#,
            r#"{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"Go"}]}}"#,
            r#"{"type":"event_msg","payload":{"type":"agent_message","message":"Yes"}}"#,
            r#"{"type":"response_item","payload":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Yes"}]}}"#,
            r#"{"type":"response_item","payload":{"type":"function_call","name":"run","arguments":"{\"cmd\":\"ls\"}","call_id":"a"}}"#,
            r#"{"type":"function_call_output","call_id":"a","output":"one\ntwo"}"#,
        ];
        let expected = read(ours).unwrap();
        assert_eq!(expected[0].messages.len(), 3);
        assert_eq!(
            expected[0].messages[2].blocks,
            [Block::Result { id: "call_0001".into(), text: "one\ntwo".into() }]
        );
        assert_eq!(read(&claude.join("\n")).unwrap(), expected);
        assert_eq!(read(&codex.join("\n\n")).unwrap(), expected);
        assert!(matches!(read("{}\n{"), Err(LogError::Json(2, _))));
        for nothing in ["", "{}\n[1]\n7", claude[1]] {
            assert!(matches!(read(nothing), Err(LogError::Nothing)), "{nothing}");
        }
    }
}
