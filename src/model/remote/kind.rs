//! The places that a model can run in, as the configuration names them.

use serde::{Deserialize, Serialize};

/// A place that the embedder runs in, and the form that it is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedderKind {
    /// This process.
    #[default]
    Local,
    /// A server with `OpenAI`'s `/v1/embeddings`.
    OpenAi,
    /// A server of text-embeddings-inference, by its `/embed`.
    Tei,
    /// Another whittle.
    Whittle,
}

impl EmbedderKind {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::OpenAi => "openai",
            Self::Tei => "tei",
            Self::Whittle => "whittle",
        }
    }
}

/// A place that the scorer runs in, and the form that it is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScorerKind {
    /// This process.
    #[default]
    Local,
    /// A server of vLLM, by its `/v1/completions`.
    Vllm,
}

impl ScorerKind {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Vllm => "vllm",
        }
    }
}
