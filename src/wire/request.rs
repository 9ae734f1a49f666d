//! A request's body, read for what routing and compression need of it.

use std::borrow::Cow;
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
    /// The model that is asked for.
    pub model: Cow<'a, str>,
    /// The `whittle` member, as JSON.
    pub options: Option<&'a str>,
    pub(super) endpoint: Endpoint,
    model_place: Range<usize>,
    options_place: Option<Range<usize>>,
    pub(super) conversation: Option<JsonValue<'a>>,
    pub(super) top: JsonValue<'a>,
    /// Whether a cache breakpoint follows the whole conversation.
    frozen: bool,
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
    /// The body is Gemini's.
    #[error(
        "the body has `contents`, as Gemini's API has it, which is not supported: send OpenAI's Chat (`messages`), \
         Completions (`prompt`) or Responses (`input`), or Anthropic's Messages (`messages`)"
    )]
    Gemini,
    /// The body names no model.
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
        let [model, options, cache, messages, input, prompt, suffix, contents] = top
            .fields(["model", OPTIONS, "cache_control", "messages", "input", "prompt", "suffix", "contents"])
            .map_err(|DuplicateKey(key)| WireError::Duplicate(key))?;
        if contents.is_some() && messages.or(input).or(prompt).is_none() {
            return Err(WireError::Gemini);
        }
        let model = model.ok_or(WireError::NoModel)?;
        Ok(Self {
            model: model.string().ok_or(WireError::NoModel)?,
            options: options.map(JsonValue::raw),
            endpoint,
            top,
            model_place: model.range(),
            options_place: options.and_then(|_| removal(body, top)),
            conversation: match endpoint {
                Endpoint::Chat | Endpoint::Messages | Endpoint::CountTokens => messages,
                Endpoint::Responses => input,
                // What is to be put between two texts has no question, and every word around the gap matters.
                Endpoint::Completions => prompt.filter(|_| suffix.is_none()),
                Endpoint::Embeddings => None,
            },
            // At the top it asks for a breakpoint behind all that is sent.
            frozen: cache.is_some_and(JsonValue::is_object),
        })
    }

    /// The texts of at least `least` bytes that may be compressed, and what is asked, in the order of the conversation.
    #[must_use]
    pub fn texts(&self, least: usize) -> Texts {
        let Some(conversation) = self.conversation else { return Texts::default() };
        passages::collect(self.endpoint, conversation, least, self.frozen)
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

    /// Returns the range of the model's name in the body, quotes included.
    #[must_use]
    pub fn model_place(&self) -> Range<usize> {
        self.model_place.clone()
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
