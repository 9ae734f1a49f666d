//! Streams of `POST /v1/chat/completions`, of one choice.

use serde_json::{Map, Value, json};

use super::{Call, Form, LateTurn, Round, Seen, Shown, Turn, add, append, text_of};
use crate::wire::local::data as event_of;

/// Members by which all chunks of an answer are one.
const HEAD: [&str; 3] = ["id", "created", "model"];

/// The rounds of a completion.
#[derive(Default)]
pub(super) struct Stream {
    /// Rounds that have ended.
    rounds: usize,
    /// The members of the first chunk that all have.
    head: Map<String, Value>,
    /// The message of this round, without its calls.
    message: Value,
    calls: Vec<Streamed>,
    seen: Seen,
    /// The index of the client's next call.
    next: u64,
    usage: Value,
    /// The usage of the rounds before.
    earlier: Value,
    late: Option<LateTurn>,
    follows: bool,
}

/// A call of this round.
struct Streamed {
    index: Value,
    /// The index at the client's.
    shown: Option<u64>,
    call: Call,
}

impl Stream {
    /// Takes the pieces of calls in a delta, and leaves those that the client gets.
    fn take_calls(&mut self, delta: &mut Value, last: bool) -> bool {
        let Some(pieces) = delta.get_mut("tool_calls").and_then(Value::as_array_mut) else { return false };
        let mut changed = false;
        pieces.retain_mut(|piece| {
            if !piece.is_object() {
                return true;
            }
            let (shown, same) = self.take_call(piece, last);
            changed |= shown.is_none() || !same;
            if let Some(shown) = shown.filter(|_| !same) {
                piece["index"] = shown.into();
            }
            shown.is_some()
        });
        if pieces.is_empty() {
            delta.as_object_mut().map(|delta| delta.remove("tool_calls"));
        }
        changed
    }

    /// The index of a call at the client's, and whether that is the one it came with.
    fn take_call(&mut self, piece: &Value, last: bool) -> (Option<u64>, bool) {
        let arguments = piece["function"]["arguments"].as_str().unwrap_or_default();
        let known = self.calls.iter_mut().find(|call| {
            // Some servers give no index.
            let same = piece["id"].as_str().is_none_or(|id| id.is_empty() || id == call.call.id);
            call.index == piece["index"] && same
        });
        if let Some(known) = known {
            known.call.arguments += arguments;
            return (known.shown, known.shown.is_none_or(|shown| known.index == shown));
        }
        let (id, name) = (text_of(&piece["id"]), text_of(&piece["function"]["name"]));
        let shown = self.seen.call(&name, &id, last).then_some(self.next);
        self.next += u64::from(shown.is_some());
        let (index, arguments) = (piece["index"].clone(), arguments.to_owned());
        let same = shown.is_none_or(|shown| index == shown);
        let call = Call { id, name, arguments, ..Call::default() };
        self.calls.push(Streamed { index, shown, call });
        (shown, same)
    }

    /// Takes what else a delta says.
    fn take_message(&mut self, delta: &Value) {
        for (key, value) in delta.as_object().into_iter().flatten() {
            match value {
                _ if key == "role" || key == "tool_calls" => {}
                Value::String(text) => append(&mut self.message, key, text),
                Value::Array(more) => {
                    if let Some(list) = self.message[key.as_str()].as_array_mut() {
                        list.extend_from_slice(more);
                    } else {
                        self.message[key.as_str()] = value.clone();
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes the choice of a chunk, and says whether it was changed.
    fn take_choice(&mut self, choice: &mut Value, last: bool) -> bool {
        let mut changed = false;
        if let Some(delta) = choice.get_mut("delta") {
            self.take_message(delta);
            changed |= self.take_calls(delta, last);
            if self.rounds > 0 {
                changed |= delta.as_object_mut().is_some_and(|delta| delta.remove("role").is_some());
            }
        }
        let Some(reason) = choice["finish_reason"].as_str() else { return changed };
        let cut = matches!(reason, "length" | "content_filter");
        let calls = reason == "tool_calls";
        self.follows = self.seen.first && !cut;
        let complete = self.calls.iter().filter(|_| !cut).map(|streamed| streamed.call.clone());
        self.late = self.seen.late(complete);
        if self.follows {
            choice["finish_reason"] = Value::Null;
        } else if calls && self.seen.any && self.seen.shown.is_none() {
            choice["finish_reason"] = "stop".into();
        } else {
            return changed;
        }
        true
    }

    /// Puts in the usage of the rounds before. None where the chunk has nothing else and belongs to none of the client's.
    fn take_usage(&mut self, chunk: &mut Value) -> Option<bool> {
        if !chunk["usage"].is_object() {
            return Some(false);
        }
        self.usage = chunk["usage"].clone();
        let alone = chunk["choices"].as_array().is_none_or(Vec::is_empty);
        if self.follows && alone {
            return None;
        }
        if self.follows {
            chunk["usage"] = Value::Null;
        } else if self.rounds > 0 {
            let mut usage = self.earlier.clone();
            add(&mut usage, &self.usage);
            chunk["usage"] = usage;
        }
        Some(self.follows || self.rounds > 0)
    }
}

/// Tells whether a chunk says nothing.
fn is_empty(chunk: &Value) -> bool {
    let says = |value: &Value| !value.is_null() && value != "" && *value != json!([]);
    let empty = |choice: &Value| {
        choice["finish_reason"].is_null()
            && choice["delta"].as_object().is_none_or(|delta| !delta.values().any(says))
    };
    let choices = chunk["choices"].as_array();
    !chunk["usage"].is_object() && choices.is_none_or(|choices| choices.iter().all(empty))
}

impl Form for Stream {
    fn event(&mut self, mut chunk: Value, last: bool) -> Shown {
        if chunk.get("choices").is_none() {
            return Shown::AsItCame;
        }
        if self.head.is_empty() {
            let known = HEAD.iter().filter_map(|key| Some(((*key).to_owned(), chunk.get(key)?.clone())));
            self.head = known.collect();
        }
        let mut changed = false;
        for choice in chunk.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            changed |= self.take_choice(choice, last);
        }
        match self.take_usage(&mut chunk) {
            None => return Shown::Nothing,
            Some(other) => changed |= other,
        }
        if self.rounds > 0 {
            for (key, value) in &self.head {
                changed |= chunk[key.as_str()] != *value;
                chunk[key.as_str()] = value.clone();
            }
        }
        match changed {
            false => Shown::AsItCame,
            true if is_empty(&chunk) => Shown::Nothing,
            true => Shown::Instead(event_of(&chunk)),
        }
    }

    fn follows(&self) -> bool {
        self.follows
    }

    fn late(&mut self) -> Option<LateTurn> {
        self.late.take()
    }

    fn end(&mut self) -> Round {
        let calls = std::mem::take(&mut self.calls);
        self.seen = Seen::default();
        let mut round = Round::default();
        if std::mem::take(&mut self.follows) {
            let mut message = std::mem::take(&mut self.message);
            message["role"] = "assistant".into();
            if message.get("content").is_none() {
                message["content"] = Value::Null;
            }
            let call = |streamed: &Streamed| {
                let Call { id, name, arguments, .. } = &streamed.call;
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
            };
            message["tool_calls"] = calls.iter().map(call).collect();
            let calls = calls.into_iter().map(|streamed| streamed.call).collect();
            round.turn = Some(Turn { pieces: vec![message.to_string()], calls });
        }
        add(&mut self.earlier, &self.usage);
        (self.rounds, self.usage, self.message) = (self.rounds + 1, Value::Null, Value::Null);
        round
    }
}
