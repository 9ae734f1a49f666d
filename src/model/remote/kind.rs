//! The places that a model can run in, as the configuration names them.

use serde::{Deserialize, Serialize};

/// A place that the embedder runs in, and the form that it is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedderKind {
    /// The process itself.
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
    /// The process itself.
    #[default]
    Local,
    /// A server of vLLM, by its `/v1/completions`.
    Vllm,
    /// A server of `SGLang`, by its `/generate`.
    SgLang,
    /// Another whittle.
    Whittle,
}

impl ScorerKind {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Vllm => "vllm",
            Self::SgLang => "sglang",
            Self::Whittle => "whittle",
        }
    }
}

/// A place that the reranker runs in, and the form that it is asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RerankerKind {
    /// The process itself.
    #[default]
    Local,
    /// Cohere, by its `/v2/rerank`.
    Cohere,
    /// A server with Jina's `/v1/rerank`.
    Jina,
    /// A server of text-embeddings-inference, by its `/rerank`.
    Tei,
    /// Another whittle.
    Whittle,
}

impl RerankerKind {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cohere => "cohere",
            Self::Jina => "jina",
            Self::Tei => "tei",
            Self::Whittle => "whittle",
        }
    }
}
