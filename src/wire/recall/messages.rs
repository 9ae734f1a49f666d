//! Streams of `POST /v1/messages`.

use serde_json::{Value, json};

use super::{Call, Form, LateTurn, Round, Seen, Shown, Turn, add, append, object_of, renew, text_of};
use crate::wire::local::named;

/// The rounds of a message.
#[derive(Default)]
pub(super) struct Stream {
    /// Rounds that have ended.
    rounds: usize,
    /// The index of the client's next block.
    next: u64,
    blocks: Vec<Block>,
    seen: Seen,
    /// True where something of this round did not go to the client.
    hidden: bool,
    usage: Value,
    /// The usage of the rounds before.
    earlier: Value,
    late: Option<LateTurn>,
    follows: bool,
}

/// A block of this round.
struct Block {
    index: Value,
    /// The index at the client's.
    shown: Option<u64>,
    value: Value,
    input: String,
}

impl Block {
    fn is_call(&self) -> bool {
        self.value["type"] == "tool_use"
    }

    fn call(&self) -> Call {
        let (id, name) = (text_of(&self.value["id"]), text_of(&self.value["name"]));
        Call { id, name, arguments: self.arguments(), ..Call::default() }
    }

    fn arguments(&self) -> String {
        if !self.input.trim().is_empty() {
            return self.input.clone();
        }
        match &self.value["input"] {
            Value::Null => "{}".into(),
            input => input.to_string(),
        }
    }

    /// The block as a request has it. None where nothing is in it.
    fn json(&self) -> Option<Value> {
        let mut value = self.value.clone();
        if value.get("input").is_some() {
            value["input"] = serde_json::from_str(&self.arguments()).unwrap_or_else(|_| json!({}));
        }
        let empty = value["type"] == "text" && value["text"] == "";
        (!empty).then_some(value)
    }

    fn take(&mut self, delta: &Value) {
        match delta["type"].as_str().unwrap_or_default() {
            "input_json_delta" => self.input += delta["partial_json"].as_str().unwrap_or_default(),
            "citations_delta" => {
                if !self.value["citations"].is_array() {
                    self.value["citations"] = json!([]);
                }
                if let Some(citations) = self.value["citations"].as_array_mut() {
                    citations.push(delta["citation"].clone());
                }
            }
            _ => {
                for key in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[key].as_str() {
                        append(&mut self.value, key, more);
                    }
                }
            }
        }
    }
}

impl Stream {
    /// An event of the block that the client has at `shown`.
    fn of_block(mut event: Value, shown: Option<u64>) -> Shown {
        match shown {
            None => Shown::Nothing,
            Some(index) if event["index"] == index => Shown::AsItCame,
            Some(index) => {
                event["index"] = index.into();
                Shown::Instead(named(&event))
            }
        }
    }

    fn start(&mut self, event: Value, last: bool) -> Shown {
        let value = object_of(&event["content_block"]);
        let is_call = value["type"] == "tool_use";
        let shows = !is_call || self.seen.call(&text_of(&value["name"]), &text_of(&value["id"]), last);
        let shown = shows.then_some(self.next);
        self.next += u64::from(shows);
        self.hidden |= !shows;
        self.blocks.push(Block { index: event["index"].clone(), shown, value, input: String::new() });
        Self::of_block(event, shown)
    }

    fn stop(&mut self, mut event: Value) -> Shown {
        renew(&mut self.usage, &event["usage"]);
        let calls = event["delta"]["stop_reason"] == "tool_use";
        let blocks = self.blocks.iter().filter(|block| calls && block.is_call());
        self.late = self.seen.late(blocks.map(Block::call));
        self.follows = calls && self.seen.first;
        if self.follows {
            return Shown::Nothing;
        }
        if self.rounds == 0 && !self.hidden {
            return Shown::AsItCame;
        }
        if calls && self.seen.shown.is_none() {
            event["delta"]["stop_reason"] = "end_turn".into();
        }
        if self.rounds > 0 {
            let mut usage = self.earlier.clone();
            add(&mut usage, &self.usage);
            event["usage"] = usage;
        }
        Shown::Instead(named(&event))
    }
}

impl Form for Stream {
    fn event(&mut self, data: Value, last: bool) -> Shown {
        match data["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.usage = data["message"]["usage"].clone();
                if self.rounds == 0 { Shown::AsItCame } else { Shown::Nothing }
            }
            "content_block_start" => self.start(data, last),
            kind @ ("content_block_delta" | "content_block_stop") => {
                let block = self.blocks.iter_mut().find(|block| block.index == data["index"]);
                let Some(block) = block else { return Shown::AsItCame };
                if kind == "content_block_delta" {
                    block.take(&data["delta"]);
                }
                Self::of_block(data, block.shown)
            }
            "message_delta" => self.stop(data),
            "message_stop" if self.follows => Shown::Nothing,
            _ => Shown::AsItCame,
        }
    }

    fn follows(&self) -> bool {
        self.follows
    }

    fn late(&mut self) -> Option<LateTurn> {
        self.late.take()
    }

    fn end(&mut self) -> Round {
        let Self { rounds, blocks, seen, usage, earlier, follows, hidden, .. } = self;
        let blocks = std::mem::take(blocks);
        *seen = Seen::default();
        let mut round = Round::default();
        if std::mem::take(follows) {
            let content: Vec<Value> = blocks.iter().filter_map(Block::json).collect();
            let pieces = vec![json!({"role": "assistant", "content": content}).to_string()];
            let calls = blocks.iter().filter(|block| block.is_call()).map(Block::call).collect();
            round.turn = Some(Turn { pieces, calls });
        }
        if earlier.is_object() {
            add(earlier, usage);
        } else {
            earlier.clone_from(usage);
        }
        (*rounds, *hidden, *usage) = (*rounds + 1, false, Value::Null);
        round
    }
}
