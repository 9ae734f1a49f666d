//! Requests that a model in this process answers, and its answers, in the form of each API.
//!
//! A dialect's file reads what its requests ask for ([`Ask`]) and writes what its clients expect ([`Answering`]). What
//! a small model cannot do is refused by name, never passed over.

mod body;
mod chat;
mod completions;
mod messages;
mod responses;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::Endpoint;
use crate::model::{Completion, Generation};
use body::Body;
use responses::Settings;

/// A reason why a request cannot go to the model in this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// A member is not what it must be.
    #[error("`{param}` must be {wanted}")]
    Invalid {
        /// The member.
        param: &'static str,
        /// The value that it must have.
        wanted: String,
    },
    /// The request asks for an unsupported feature.
    #[error("a `local/` model does not support {what}: leave out `{param}`, or ask another model")]
    Unsupported {
        /// The member that asks for it.
        param: &'static str,
        /// The feature.
        what: String,
    },
}

/// A parsed request to the model in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The generation that is requested. Of a request to count alone, only the prompt means anything.
    pub generation: Generation,
    /// Whether the answer is a stream of events.
    pub stream: bool,
    /// The form that the answer takes.
    form: Form,
}

/// A dialect's form of an answer, with what it repeats of the request.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Chat { include_usage: bool },
    Completions { include_usage: bool },
    Responses(Box<Settings>),
    Messages,
}

impl Ask {
    /// Reads a body that is known to be JSON.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn read(endpoint: Endpoint, body: &str) -> Result<Self, AskError> {
        let body = Body::new(body)?;
        match endpoint {
            Endpoint::Chat => chat::read(&body),
            Endpoint::Completions => completions::read(&body),
            Endpoint::Responses => responses::read(&body),
            Endpoint::Messages => messages::read(&body),
            Endpoint::CountTokens => messages::read_to_count(&body),
            Endpoint::Embeddings => Err(AskError::Unsupported { param: "model", what: "embeddings".into() }),
            Endpoint::Contents
            | Endpoint::CountContents
            | Endpoint::OllamaChat
            | Endpoint::OllamaGenerate
            | Endpoint::CohereChat => Err(AskError::Unsupported { param: "model", what: "this API".into() }),
        }
    }

    /// The answer's writer. `id` is unique and becomes part of the answer's; `created` is in seconds since the epoch.
    #[must_use]
    pub fn answering(&self, model: &str, id: &str, created: u64) -> Answering {
        let (form, model) = (self.form.clone(), model.to_owned());
        Answering { form, model, id: id.to_owned(), created, number: 0, text: String::new() }
    }
}

/// An answer to a request to count tokens.
#[must_use]
pub fn counted(tokens: usize) -> String {
    serde_json::json!({ "input_tokens": tokens }).to_string()
}

/// Writes one answer in its dialect: as a whole, or as events.
#[derive(Debug)]
pub struct Answering {
    form: Form,
    model: String,
    id: String,
    created: u64,
    /// Events that were written, where they are numbered.
    number: u64,
    /// The text written so far, where the end repeats it.
    text: String,
}

impl Answering {
    /// The whole answer as JSON.
    #[must_use]
    pub fn whole(&self, text: &str, written: &Completion) -> String {
        let value = match &self.form {
            Form::Chat { .. } => chat::whole(self, text, written),
            Form::Completions { .. } => completions::whole(self, text, written),
            Form::Responses(settings) => responses::whole(self, settings, text, written),
            Form::Messages => messages::whole(self, text, written),
        };
        value.to_string()
    }

    /// The events before the text, of which the prompt has `input` tokens.
    pub fn begin(&mut self, input: usize) -> String {
        match self.form.clone() {
            Form::Chat { .. } => chat::begin(self),
            Form::Completions { .. } => String::new(),
            Form::Responses(settings) => responses::begin(self, &settings),
            Form::Messages => messages::begin(self, input),
        }
    }

    /// The event of the next part of the text.
    pub fn part(&mut self, text: &str) -> String {
        match self.form {
            Form::Chat { .. } => chat::part(self, text),
            Form::Completions { .. } => completions::part(self, text),
            Form::Responses(_) => responses::part(self, text),
            Form::Messages => messages::part(text),
        }
    }

    /// The events behind the text.
    pub fn end(&mut self, written: &Completion) -> String {
        match self.form.clone() {
            Form::Chat { .. } => chat::end(self, written),
            Form::Completions { .. } => completions::end(self, written),
            Form::Responses(settings) => responses::end(self, &settings, written),
            Form::Messages => messages::end(written),
        }
    }
}

/// An event without a name.
pub(super) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event with its type as its name.
pub(super) fn named(value: &Value) -> String {
    let name = value["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n")
}
