//! Answers that are no streams: one JSON value for each round.

use serde_json::{Value, json};

use super::responses::{call_of, is_foreign, sent_back};
use super::{Call, Turn, add, append, text_of};
use crate::wire::Endpoint;

/// The rounds of an answer.
#[derive(Debug)]
pub struct Whole {
    endpoint: Endpoint,
    /// The answer of the first round.
    first: Option<Value>,
    /// The parts that the client gets of the rounds before: blocks or items.
    shown: Vec<Value>,
    /// The texts of the rounds before, in the form of a message.
    message: Value,
    usage: Value,
}

/// The meaning of a round's answer.
#[derive(Debug)]
pub enum Answered {
    /// The client gets it byte for byte.
    AsItCame,
    /// The client gets this.
    Instead(String),
    /// Another round follows.
    Turn(Turn),
}

impl Whole {
    /// Creates the state before the first round.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, first: None, shown: Vec::new(), message: json!({}), usage: Value::Null }
    }

    /// Takes the answer of a round. In the `last` one no call of the tool is answered.
    pub fn round(&mut self, body: &[u8], last: bool) -> Answered {
        let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return Answered::AsItCame };
        // What is no answer of the dialect is the client's as it is.
        if !self.is_answer(&answer) {
            return Answered::AsItCame;
        }
        let calls = self.calls(&answer);
        let recalls = calls.iter().any(Call::recalls);
        if !recalls && self.first.is_none() {
            return Answered::AsItCame;
        }
        add(&mut self.usage, &answer["usage"]);
        if recalls && !last && self.is_complete(&answer) {
            let pieces = self.pieces(&answer);
            self.keep(&answer);
            self.first.get_or_insert(answer);
            return Answered::Turn(Turn { pieces, calls });
        }
        self.merge(&mut answer, calls.iter().any(|call| !call.recalls()));
        Answered::Instead(answer.to_string())
    }

    fn is_answer(&self, answer: &Value) -> bool {
        match self.endpoint {
            Endpoint::Chat => answer["choices"][0]["message"].is_object(),
            Endpoint::Responses => answer["output"].is_array(),
            _ => answer["content"].is_array(),
        }
    }

    fn calls(&self, answer: &Value) -> Vec<Call> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match self.endpoint {
            Endpoint::Chat => {
                let call = |call: &Value| Call {
                    id: text_of(&call["id"]),
                    name: text_of(&call["function"]["name"]),
                    arguments: text_of(&call["function"]["arguments"]),
                    ..Call::default()
                };
                list(&answer["choices"][0]["message"]["tool_calls"]).iter().map(call).collect()
            }
            Endpoint::Responses => list(&answer["output"]).iter().filter_map(call_of).collect(),
            _ => {
                let call = |block: &Value| Call {
                    id: text_of(&block["id"]),
                    name: text_of(&block["name"]),
                    arguments: block["input"].to_string(),
                    ..Call::default()
                };
                let blocks = list(&answer["content"]);
                blocks.iter().filter(|block| block["type"] == "tool_use").map(call).collect()
            }
        }
    }

    /// Tells whether the model has ended its turn with its calls, and all of them can be answered here.
    fn is_complete(&self, answer: &Value) -> bool {
        match self.endpoint {
            Endpoint::Chat => {
                !matches!(answer["choices"][0]["finish_reason"].as_str(), Some("length" | "content_filter"))
            }
            Endpoint::Responses => {
                let foreign = answer["output"].as_array().is_some_and(|items| items.iter().any(is_foreign));
                answer["status"] == "completed" && !foreign
            }
            _ => answer["stop_reason"] == "tool_use",
        }
    }

    /// The turn as the next request has it.
    fn pieces(&self, answer: &Value) -> Vec<String> {
        match self.endpoint {
            Endpoint::Chat => vec![answer["choices"][0]["message"].to_string()],
            Endpoint::Responses => {
                answer["output"].as_array().into_iter().flatten().filter_map(sent_back).collect()
            }
            _ => vec![json!({"role": "assistant", "content": answer["content"]}).to_string()],
        }
    }

    /// Keeps what the client gets of a round that another follows: all but the calls.
    fn keep(&mut self, answer: &Value) {
        match self.endpoint {
            Endpoint::Chat => self.append(&answer["choices"][0]["message"]),
            Endpoint::Responses => {
                let items = answer["output"].as_array().into_iter().flatten();
                self.shown.extend(items.filter(|item| call_of(item).is_none()).cloned());
            }
            _ => {
                let blocks = answer["content"].as_array().into_iter().flatten();
                self.shown.extend(blocks.filter(|block| block["type"] != "tool_use").cloned());
            }
        }
    }

    /// Appends the texts of a message of chat completions to those before.
    fn append(&mut self, message: &Value) {
        for (key, value) in message.as_object().into_iter().flatten().filter(|(key, _)| *key != "role") {
            if let Some(text) = value.as_str() {
                append(&mut self.message, key, text);
            }
        }
    }

    /// Makes the last round's answer that of all; `calls` says whether the client gets calls.
    fn merge(&mut self, answer: &mut Value, calls: bool) {
        let is_ours = |call: Option<Call>| call.is_some_and(|call| call.recalls());
        match self.endpoint {
            Endpoint::Chat => {
                let choice = &mut answer["choices"][0];
                let mut message = choice["message"].take();
                self.append(&message);
                for (key, text) in self.message.as_object().into_iter().flatten() {
                    message[key.as_str()] = text.clone();
                }
                if let Some(list) = message.get_mut("tool_calls").and_then(Value::as_array_mut) {
                    list.retain(|call| call["function"]["name"] != super::TOOL);
                }
                if !calls {
                    message.as_object_mut().map(|message| message.remove("tool_calls"));
                    if choice["finish_reason"] == "tool_calls" {
                        choice["finish_reason"] = "stop".into();
                    }
                }
                choice["message"] = message;
            }
            Endpoint::Responses => {
                let mut output = std::mem::take(&mut self.shown);
                let items = answer["output"].as_array().into_iter().flatten();
                output.extend(items.filter(|item| !is_ours(call_of(item))).cloned());
                answer["output"] = output.into();
            }
            _ => {
                let mut content = std::mem::take(&mut self.shown);
                let blocks = answer["content"].as_array().into_iter().flatten();
                content.extend(blocks.filter(|block| block["name"] != super::TOOL).cloned());
                answer["content"] = content.into();
                if !calls && answer["stop_reason"] == "tool_use" {
                    answer["stop_reason"] = "end_turn".into();
                }
            }
        }
        if !self.usage.is_null() {
            answer["usage"] = self.usage.take();
        }
        for key in ["id", "created", "created_at", "model"] {
            let first = self.first.as_ref().and_then(|first| first.get(key));
            if let Some(first) = first {
                answer[key] = first.clone();
            }
        }
    }
}
