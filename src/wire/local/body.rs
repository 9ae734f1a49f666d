//! Members of a request's body, read by what they must be.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::AskError;
use crate::model::{Generation, Message, Prompt, Role, Sampling};

/// Most texts that may end an answer.
const MOST_STOPS: usize = 16;
/// Most bytes of such a text.
const STOP_BYTES: usize = 1024;

/// A body's members.
pub(super) struct Body(Map<String, Value>);

fn invalid(param: &'static str, wanted: impl Into<String>) -> AskError {
    AskError::Invalid { param, wanted: wanted.into() }
}

pub(super) fn unsupported(param: &'static str, what: impl Into<String>) -> AskError {
    AskError::Unsupported { param, what: what.into() }
}

/// Returns whether a member has a value that asks for nothing.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

impl Body {
    pub(super) fn new(body: &str) -> Result<Self, AskError> {
        // Its bounds were checked when it was read for its model; what is left are depth and large numbers.
        let members = serde_json::from_str(body);
        members.map(Self).map_err(|error| invalid("body", format!("JSON that can be read: {error}")))
    }

    /// A member, unless it is missing or `null`.
    pub(super) fn get(&self, param: &str) -> Option<&Value> {
        self.0.get(param).filter(|value| !value.is_null())
    }

    /// Refuses members that ask for what the model cannot do, each given with what it is.
    pub(super) fn refuse(&self, members: &[(&'static str, &str)]) -> Result<(), AskError> {
        let asked = members.iter().find(|(param, _)| self.0.get(*param).is_some_and(|value| !is_off(value)));
        asked.map_or(Ok(()), |(param, what)| Err(unsupported(param, *what)))
    }

    /// Refuses tools, unless none may be called.
    pub(super) fn refuse_tools(&self) -> Result<(), AskError> {
        let choice = self.get("tool_choice");
        let none = choice.is_some_and(|choice| choice == "none" || choice["type"] == "none");
        if none { Ok(()) } else { self.refuse(&[("tools", "tools (unless `tool_choice` is `none`)")]) }
    }

    /// Refuses more than one answer.
    pub(super) fn refuse_several(&self, param: &'static str) -> Result<(), AskError> {
        match self.get(param) {
            Some(count) if count.as_u64() != Some(1) => Err(unsupported(param, "more than one answer")),
            _ => Ok(()),
        }
    }

    pub(super) fn flag(&self, param: &'static str) -> Result<bool, AskError> {
        let flag =
            self.get(param).map(|value| value.as_bool().ok_or_else(|| invalid(param, "true or false")));
        Ok(flag.transpose()?.unwrap_or(false))
    }

    /// `stream_options.include_usage`.
    pub(super) fn include_usage(&self) -> bool {
        self.get("stream_options").is_some_and(|options| options["include_usage"] == true)
    }

    /// A whole number from 1.
    pub(super) fn count(&self, param: &'static str) -> Result<Option<usize>, AskError> {
        let count = self.get(param).map(|value| {
            let count =
                value.as_u64().filter(|count| *count > 0).and_then(|count| usize::try_from(count).ok());
            count.ok_or_else(|| invalid(param, "a whole number from 1"))
        });
        count.transpose()
    }

    fn number(&self, param: &'static str, range: RangeInclusive<f64>) -> Result<Option<f64>, AskError> {
        let number = self.get(param).map(|value| {
            let number = value.as_f64().filter(|number| range.contains(number));
            number
                .ok_or_else(|| invalid(param, format!("a number from {} to {}", range.start(), range.end())))
        });
        number.transpose()
    }

    /// Returns the sampling parameters.
    pub(super) fn sampling(&self) -> Result<Sampling, AskError> {
        let seed = self.get("seed").map(|seed| {
            let seed_or_negative = seed.as_u64().or_else(|| seed.as_i64().map(i64::cast_unsigned));
            seed_or_negative.ok_or_else(|| invalid("seed", "a whole number"))
        });
        let usual = Sampling::default();
        let top_p = self.number("top_p", 0.0..=1.0)?.unwrap_or(usual.top_p);
        Ok(Sampling {
            temperature: self.number("temperature", 0.0..=2.0)?.unwrap_or(usual.temperature),
            top_p,
            // A probability of 0 leaves the likeliest alone.
            top_k: if top_p > 0.0 { self.count("top_k")? } else { Some(1) },
            seed: seed.transpose()?.unwrap_or(usual.seed),
        })
    }

    /// Texts that end an answer: one, or a list.
    pub(super) fn stop(&self, param: &'static str) -> Result<Vec<String>, AskError> {
        let wanted = || {
            invalid(
                param,
                format!("a text or up to {MOST_STOPS} of them, none empty or over {STOP_BYTES} bytes"),
            )
        };
        let texts = match self.get(param) {
            None => return Ok(Vec::new()),
            Some(Value::Array(texts)) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            Some(text) => text.as_str().map(|text| vec![text.to_owned()]),
        };
        let texts: Vec<String> = texts.ok_or_else(wanted)?;
        let sound =
            texts.len() <= MOST_STOPS && texts.iter().all(|text| (1..=STOP_BYTES).contains(&text.len()));
        sound.then_some(texts).ok_or_else(wanted)
    }

    /// Returns the generation that follows `prompt`, of at most `most` tokens; `stop` names the member with the stop
    /// texts.
    pub(super) fn generation(
        &self,
        prompt: Prompt,
        max_tokens: Option<usize>,
        stop: Option<&'static str>,
    ) -> Result<Generation, AskError> {
        let stop = stop.map(|param| self.stop(param)).transpose()?.unwrap_or_default();
        Ok(Generation { prompt, max_tokens, sampling: self.sampling()?, stop })
    }
}

/// Refuses formats other than text, where `param` names one.
pub(super) fn refuse_format(param: &'static str, format: Option<&Value>) -> Result<(), AskError> {
    let kind = format.filter(|format| !format.is_null()).map(|format| format["type"].as_str().unwrap_or("?"));
    match kind {
        None | Some("text") => Ok(()),
        Some(kind) => Err(unsupported(param, format!("the format `{}`", short(kind)))),
    }
}

/// The conversation in the list `param`, each element read by `turn`.
pub(super) fn conversation(
    param: &'static str,
    list: Option<&Value>,
    turn: impl Fn(&Value) -> Result<Message, AskError>,
) -> Result<Vec<Message>, AskError> {
    let list = list.and_then(Value::as_array).filter(|list| !list.is_empty());
    list.ok_or_else(|| invalid(param, "a list of at least one message"))?.iter().map(turn).collect()
}

/// Returns the role of a message's author.
pub(super) fn role(param: &'static str, message: &Value) -> Result<Role, AskError> {
    match message["role"].as_str() {
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some(role @ ("tool" | "function")) => {
            Err(unsupported(param, format!("messages of the role `{role}`")))
        }
        _ => Err(invalid(param, "messages whose `role` is `system`, `developer`, `user` or `assistant`")),
    }
}

/// Returns the text of a message: a string, or a list of parts of which each has one of the types `kinds`.
pub(super) fn content(param: &'static str, content: &Value, kinds: &[&str]) -> Result<String, AskError> {
    let wanted = || invalid(param, "messages whose `content` is a text or a list of parts");
    let part = |part: &Value| -> Result<String, AskError> {
        match part["type"].as_str() {
            Some(kind) if kinds.contains(&kind) => {
                part["text"].as_str().map(str::to_owned).ok_or_else(wanted)
            }
            Some(kind) => Err(unsupported(param, format!("content of the type `{}`", short(kind)))),
            None => Err(wanted()),
        }
    };
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => Ok(parts.iter().map(part).collect::<Result<Vec<_>, _>>()?.join("\n")),
        _ => Err(wanted()),
    }
}

/// Enough of a name to be known by.
fn short(name: &str) -> String {
    name.chars().take(40).collect()
}
