//! Streams of `POST /v1/responses`.

use serde_json::Value;

use super::{Call, Form, LateTurn, Round, Seen, Shown, Turn, add, text_of};
use crate::wire::local::named;

/// Types of calls that a client runs and that the proxy cannot answer for it.
const FOREIGN: [&str; 4] = ["apply_patch_call", "computer_call", "local_shell_call", "shell_call"];

/// The rounds of a response.
#[derive(Default)]
pub(super) struct Stream {
    /// Rounds that have ended.
    rounds: usize,
    /// The number of the client's next event.
    number: u64,
    /// The index of the client's next item.
    next: u64,
    items: Vec<Item>,
    /// The items that the client has, of all rounds.
    output: Vec<Value>,
    seen: Seen,
    /// True where anything did not go to the client.
    hidden: bool,
    head: Value,
    usage: Value,
    late: Option<LateTurn>,
    follows: bool,
}

/// An item of this round.
struct Item {
    index: Value,
    /// The index at the client's.
    shown: Option<u64>,
    value: Value,
}

/// The call that an item is, if a function of the client's or the proxy's is called.
pub(super) fn call_of(item: &Value) -> Option<Call> {
    let (arguments, custom) = match item["type"].as_str()? {
        "function_call" => (&item["arguments"], false),
        "custom_tool_call" => (&item["input"], true),
        _ => return None,
    };
    let (id, name) = (text_of(&item["call_id"]), text_of(&item["name"]));
    Some(Call { id, name, arguments: text_of(arguments), custom })
}

/// Tells whether an item is a call that only the client can answer.
pub(super) fn is_foreign(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| FOREIGN.contains(&kind))
}

/// The item as a request has it. None of reasoning that the provider does not keep and has not handed over.
pub(super) fn sent_back(item: &Value) -> Option<String> {
    let lost = item["type"] == "reasoning" && !item["encrypted_content"].is_string();
    (!lost).then(|| item.to_string())
}

impl Stream {
    /// The event as the client gets it, with its own number.
    fn emit(&mut self, mut event: Value, changed: bool) -> Shown {
        let number = self.number;
        let numbered = event.get("sequence_number").is_some_and(|own| *own != number);
        self.number += 1;
        if numbered {
            event["sequence_number"] = number.into();
        }
        if changed || numbered { Shown::Instead(named(&event)) } else { Shown::AsItCame }
    }

    fn add_item(&mut self, event: &Value, last: bool) {
        let item = event["item"].clone();
        let call = call_of(&item);
        let shows = call.is_none_or(|call| self.seen.call(&call.name, &call.id, last));
        if is_foreign(&item) {
            (self.seen.any, self.seen.first) = (true, false);
            self.seen.shown = Some(text_of(&item["call_id"]));
        }
        let shown = shows.then_some(self.next);
        self.next += u64::from(shows);
        self.hidden |= !shows;
        self.items.push(Item { index: event["output_index"].clone(), shown, value: item });
    }

    fn of_item(&mut self, mut event: Value) -> Shown {
        let place = self.items.iter().position(|item| item.index == event["output_index"]);
        let Some(item) = place.and_then(|place| self.items.get_mut(place)) else {
            return self.emit(event, false);
        };
        if event["type"] == "response.output_item.done" {
            item.value = event["item"].clone();
        }
        let Some(shown) = item.shown else { return Shown::Nothing };
        let changed = event["output_index"] != shown;
        event["output_index"] = shown.into();
        self.emit(event, changed)
    }

    fn finish(&mut self, mut event: Value) -> Shown {
        if !event["response"].is_object() {
            return self.emit(event, false);
        }
        self.follows = event["type"] == "response.completed" && self.seen.first;
        let complete = self.items.iter().filter(|_| event["type"] == "response.completed");
        self.late = self.seen.late(complete.filter_map(|item| call_of(&item.value)));
        let usage = &mut event["response"]["usage"];
        add(&mut self.usage, usage);
        if self.follows {
            return Shown::Nothing;
        }
        if self.rounds == 0 && !self.hidden {
            return self.emit(event, false);
        }
        *usage = self.usage.clone();
        self.keep_items();
        let response = &mut event["response"];
        for key in ["id", "created_at"] {
            if let Some(first) = self.head.get(key) {
                response[key] = first.clone();
            }
        }
        response["output"] = std::mem::take(&mut self.output).into();
        self.emit(event, true)
    }

    /// Notes the items of this round that the client has.
    fn keep_items(&mut self) {
        self.output
            .extend(self.items.iter().filter(|item| item.shown.is_some()).map(|item| item.value.clone()));
    }
}

impl Form for Stream {
    fn event(&mut self, data: Value, last: bool) -> Shown {
        match data["type"].as_str().unwrap_or_default() {
            "response.created" | "response.in_progress" | "response.queued" => {
                if self.rounds > 0 {
                    return Shown::Nothing;
                }
                self.head = data["response"].clone();
                self.emit(data, false)
            }
            "response.completed" | "response.incomplete" | "response.failed" => self.finish(data),
            "response.output_item.added" => {
                self.add_item(&data, last);
                self.of_item(data)
            }
            _ if data.get("output_index").is_some() => self.of_item(data),
            _ => self.emit(data, false),
        }
    }

    fn follows(&self) -> bool {
        self.follows
    }

    fn late(&mut self) -> Option<LateTurn> {
        self.late.take()
    }

    fn end(&mut self) -> Round {
        let mut round = Round::default();
        self.seen = Seen::default();
        if std::mem::take(&mut self.follows) {
            self.keep_items();
            let pieces = self.items.iter().filter_map(|item| sent_back(&item.value)).collect();
            let calls = self.items.iter().filter_map(|item| call_of(&item.value)).collect();
            round.turn = Some(Turn { pieces, calls });
        }
        self.items.clear();
        self.rounds += 1;
        round
    }
}
