//! A request's body, read for what routing and compression need of it.

use std::ops::Range;

use super::opening::opening;
use super::passages::{self, Texts};
use super::{Edit, Endpoint};
use crate::text::{DuplicateKey, JsonMember, JsonValue};

/// Member of a body that speaks to whittle and goes no further.
const OPTIONS: &str = "whittle";

/// The parsed members of a request body.
#[derive(Debug)]
pub struct Request<'a> {
    /// The model that the body names.
    pub model: Option<NamedModel>,
    /// The `whittle` member, as JSON.
    pub options: Option<&'a str>,
    pub(super) endpoint: Endpoint,
    options_place: Option<Range<usize>>,
    pub(super) conversation: Option<JsonValue<'a>>,
    /// Documents that stand beside the conversation.
    documents: Option<JsonValue<'a>>,
    pub(super) top: JsonValue<'a>,
    /// Whether a cache breakpoint follows the whole conversation.
    frozen: bool,
}

/// The model that a body names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedModel {
    /// Its name.
    pub name: String,
    /// The range of the name in the body, quotes included.
    place: Range<usize>,
}

/// A reason why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The body is not UTF-8 from this byte on.
    #[error("the body is not UTF-8: byte {0} begins no character")]
    Encoding(usize),
    /// The body is not JSON, or not an object.
    #[error("the body is not a valid JSON object: {0}")]
    Json(String),
    /// The body repeats a key that decides its destination.
    #[error("the body has the key `{0}` twice: name it once")]
    Duplicate(&'static str),
    /// Neither the body nor the path names a model.
    #[error("the body names no model: give `model` as a string")]
    NoModel,
}

impl<'a> Request<'a> {
    /// Reads `body`.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn read(endpoint: Endpoint, body: &'a [u8]) -> Result<Self, WireError> {
        let body = std::str::from_utf8(body).map_err(|error| WireError::Encoding(error.valid_up_to()))?;
        let top = JsonValue::document(body).map_err(|error| WireError::Json(error.to_string()))?;
        if !top.is_object() {
            return Err(WireError::Json("it is another kind of value".into()));
        }
        let twice = |DuplicateKey(key)| WireError::Duplicate(key);
        let [options, cache, wrapped, snake_wrapped, documents] = top
            .fields([
                OPTIONS,
                "cache_control",
                "generateContentRequest",
                "generate_content_request",
                "documents",
            ])
            .map_err(twice)?;
        // Gemini counts the tokens of contents, or of a whole request around them.
        let holder = wrapped.or(snake_wrapped).filter(|_| endpoint == Endpoint::CountContents).unwrap_or(top);
        let [model, messages, input, prompt, suffix, contents, cached, snake_cached] = holder
            .fields([
                "model",
                "messages",
                "input",
                "prompt",
                "suffix",
                "contents",
                "cachedContent",
                "cached_content",
            ])
            .map_err(twice)?;
        let named =
            |value: JsonValue| Some(NamedModel { name: value.string()?.into_owned(), place: value.range() });
        Ok(Self {
            model: model.and_then(named),
            options: options.map(JsonValue::raw),
            endpoint,
            top,
            options_place: options.and_then(|_| removal(body, top)),
            documents: documents.filter(|_| endpoint == Endpoint::CohereChat),
            conversation: match endpoint {
                Endpoint::Chat
                | Endpoint::Messages
                | Endpoint::CountTokens
                | Endpoint::OllamaChat
                | Endpoint::CohereChat => messages,
                Endpoint::Responses => input,
                // What is to be put between two texts has no question, and every word around the gap matters.
                Endpoint::Completions => prompt.filter(|_| suffix.is_none()),
                Endpoint::OllamaGenerate => prompt.filter(|_| suffix.is_none() && !is_raw(top)),
                Endpoint::Contents | Endpoint::CountContents => contents,
                Endpoint::Embeddings => None,
            },
            // The one asks for a breakpoint behind all that is sent, the other goes on from what the provider keeps.
            frozen: cache.is_some_and(JsonValue::is_object)
                || cached.or(snake_cached).is_some_and(JsonValue::is_string),
        })
    }

    /// The texts of at least `least` bytes that may be compressed, and what is asked, in the order of the conversation.
    #[must_use]
    pub fn texts(&self, least: usize) -> Texts {
        let Some(conversation) = self.conversation else { return Texts::default() };
        passages::collect(self.endpoint, (conversation, self.documents), least, self.frozen)
    }

    /// Hands the texts of the conversation's first message of a user to `take`, and says whether there are any.
    pub fn opening(&self, take: impl FnMut(&str)) -> bool {
        self.conversation.is_some_and(|conversation| opening(conversation, take))
    }

    /// The edit that takes the `whittle` member out.
    #[must_use]
    pub fn without_options(&self) -> Option<Edit> {
        self.options_place.clone().map(|range| Edit { range, with: String::new() })
    }
}

impl NamedModel {
    /// The edit that renames the model `from` to `to`, where the body names it. Gemini's bodies have `models/` before it.
    #[must_use]
    pub fn renamed(&self, from: &str, to: &str) -> Option<Edit> {
        let before = self.name.strip_suffix(from).filter(|before| matches!(*before, "" | "models/"))?;
        let with = || serde_json::Value::from(format!("{before}{to}")).to_string();
        (from != to).then(|| Edit { range: self.place.clone(), with: with() })
    }
}

/// Whether a prompt of Ollama's goes to the model as it is, with the marks of a template, or of a gap to be filled, in it.
fn is_raw(top: JsonValue) -> bool {
    match top.fields(["raw"]) {
        Ok([raw]) => raw.is_some_and(|raw| !matches!(raw.raw(), "false" | "null")),
        // Nobody knows which of the two counts.
        Err(_) => true,
    }
}

/// The member of `top` that speaks to whittle, with the comma that sets it off.
fn removal(body: &str, top: JsonValue) -> Option<Range<usize>> {
    let is_ours = |member: &JsonMember| member.key.string().is_some_and(|key| key == OPTIONS);
    let place = top.members().position(|member| is_ours(&member))?;
    let start_of = |member: JsonMember| member.key.range().start;
    let member = top.members().nth(place)?;
    let previous = place.checked_sub(1).and_then(|place| top.members().nth(place));
    let next = top.members().nth(place + 1);
    Some(match (previous, next) {
        (_, Some(next)) => start_of(member)..start_of(next),
        (Some(previous), None) => previous.value.range().end..member.value.range().end,
        (None, None) => start_of(member)..member.value.range().end,
    })
    .filter(|range| body.get(range.clone()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many texts of a body may be compressed.
    fn passages(endpoint: Endpoint, body: &str) -> usize {
        let body = body.replace("LONG", &"word ".repeat(400));
        Request::read(endpoint, body.as_bytes()).unwrap().texts(100).passages.len()
    }

    #[test]
    fn a_raw_prompt_of_ollamas_is_left_alone() {
        for (raw, found) in [
            ("", 1),
            (r#", "raw": false"#, 1),
            (r#", "raw": null"#, 1),
            (r#", "raw": true"#, 0),
            (r#", "raw": false, "raw": true"#, 0),
            (r#", "suffix": "x""#, 0),
        ] {
            let body = format!(r#"{{"prompt": "LONG\n\nWho won?"{raw}}}"#);
            assert_eq!(passages(Endpoint::OllamaGenerate, &body), found, "{body}");
        }
    }

    #[test]
    fn a_request_of_geminis_that_is_counted_has_its_name_in_either_spelling() {
        let contents = r#"{"contents": [{"parts": [{"text": "LONG"}]}, {"parts": [{"text": "Who won?"}]}]}"#;
        for name in ["generateContentRequest", "generate_content_request"] {
            assert_eq!(
                passages(Endpoint::CountContents, &format!(r#"{{"{name}": {contents}}}"#)),
                1,
                "{name}"
            );
        }
    }
}
