//! Bodies of `OpenAI`'s and Anthropic's APIs: which of their texts may be compressed, and how to put others in their
//! place so that every other byte stays as it was.
//!
//! Requests that a model in this process answers, and its answers, are read and written in [`local`]; the tool that
//! the proxy adds and its calls in [`recall`].
//!
//! Nothing here does I/O. A body is never rebuilt from parsed values: [`Request::read`] finds places in it, and
//! [`splice`] replaces those alone.

mod answer_text;
mod conversation_texts;
mod finder;
mod injected;
pub mod local;
mod opening;
mod passages;
pub mod recall;
mod request;
mod split;
mod usage;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use conversation_texts::{ConversationText, Speaker, ToolCall};
pub use finder::{MessageError, MessageText, message_texts};
pub use injected::own_words;
pub use passages::{Question, TextSpan, Texts};
pub use request::{Request, WireError};
pub use usage::{MOST_TEXT, Reading, ReportedUsage, Usage, UsageReader};

/// The API dialect of a body or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s, and that of the many servers that are compatible with it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

/// The endpoint that a body is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`, whose texts are never compressed.
    Embeddings,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Chat, Self::Responses, Self::Completions, Self::Embeddings, Self::Messages, Self::CountTokens];

    /// Returns the dialect of the endpoint.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Responses | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
        }
    }

    /// Returns the path below an upstream's base URL, which is the one that official clients are given: `OpenAI`'s
    /// ends in `/v1`, Anthropic's does not.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }
}

/// A replacement of a range of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Bytes that are replaced.
    pub range: Range<usize>,
    /// The replacement.
    pub with: String,
}

/// `body` with `edits` made, which must not overlap.
#[must_use]
pub fn splice(body: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.range.start);
    let mut spliced = String::with_capacity(body.len());
    let mut at = 0;
    for edit in edits {
        spliced += body.get(at..edit.range.start).unwrap_or_default();
        spliced += &edit.with;
        at = edit.range.end;
    }
    spliced += body.get(at..).unwrap_or_default();
    spliced
}
