//! Bodies of LLM APIs: which of their texts may be compressed, and how to put others in their place so that every other
//! byte stays as it was.
//!
//! Requests that a model in this process answers, and its answers, are read and written in [`local`]; the tool that
//! the proxy adds and its calls in [`recall`].
//!
//! Nothing here does I/O. A body is never rebuilt from parsed values: [`Request::read`] finds places in it, and
//! [`splice`] replaces those alone.

mod address;
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

pub use address::Address;
pub use conversation_texts::{ConversationText, Speaker, ToolCall};
pub use finder::{MessageError, MessageText, message_texts};
pub use injected::own_words;
pub use passages::{Question, TextSpan, Texts};
pub use request::{NamedModel, Request, WireError};
pub use usage::{Framing, MOST_TEXT, Reading, ReportedUsage, Usage, UsageReader};

/// The dialect of an API: its paths, the headers that carry its keys, its errors and its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `OpenAI`'s, and that of the many servers that are compatible with it.
    OpenAi,
    /// `OpenAI`'s on Azure, with the same bodies below other paths.
    Azure,
    /// Anthropic's.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own, beside which its servers speak that of `OpenAI`.
    Ollama,
    /// Cohere's, in its second version.
    Cohere,
}

impl Dialect {
    /// Returns the name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Cohere => "cohere",
        }
    }

    /// Returns whether the proxy can add its tool to requests of this dialect, and answer the tool's calls.
    #[must_use]
    pub const fn has_recall_tool(self) -> bool {
        matches!(self, Self::OpenAi | Self::Azure | Self::Anthropic)
    }

    /// Returns the routes that a client of this dialect calls.
    #[must_use]
    pub const fn routes(self) -> &'static str {
        match self {
            Self::OpenAi => "POST /v1/chat/completions, /v1/responses or /v1/completions",
            Self::Azure => "POST /openai/deployments/MODEL/chat/completions or those below /openai/v1",
            Self::Anthropic => "POST /v1/messages",
            Self::Gemini => "POST /v1beta/models/MODEL:generateContent or :streamGenerateContent",
            Self::Ollama => "POST /api/chat or /api/generate",
            Self::Cohere => "POST /v2/chat",
        }
    }
}

/// The endpoint that a body is sent to, which says what its members mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The chat completions of `OpenAI`.
    Chat,
    /// The responses of `OpenAI`.
    Responses,
    /// The completions of `OpenAI`.
    Completions,
    /// Vectors, whose texts are never compressed.
    Embeddings,
    /// The messages of Anthropic.
    Messages,
    /// The count of the tokens of Anthropic's messages.
    CountTokens,
    /// The contents that Gemini goes on with, whole or as a stream.
    Contents,
    /// The count of the tokens of Gemini's contents.
    CountContents,
    /// The chat of Ollama.
    OllamaChat,
    /// The completions of Ollama.
    OllamaGenerate,
    /// The chat of Cohere, whose documents may stand beside the messages.
    CohereChat,
}

impl Endpoint {
    /// Returns whether it only counts tokens, so that nothing is generated and nothing charged.
    #[must_use]
    pub const fn only_counts(self) -> bool {
        matches!(self, Self::CountTokens | Self::CountContents)
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
