//! Compression: pure and synchronous. Prompts in, kept byte ranges out.
//!
//! Nothing here does I/O or awaits. A method asks a [`TokenScorer`](crate::model::TokenScorer) and a
//! [`TokenCounter`](crate::text::TokenCounter), both given to it, so every method can be tested with fakes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One document of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Names the document in the answer; unique in its prompt.
    pub id: String,
    /// Put on a line of its own before the text, and kept whole as long as any of the text is kept.
    pub title: Option<String>,
    /// What is compressed.
    pub text: String,
}

/// What is compressed: instruction, documents and question, joined by blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Kept whole, first. May be empty.
    pub instruction: String,
    /// Compressed.
    pub documents: Vec<Document>,
    /// Kept whole, last. May be empty.
    pub question: String,
}

/// How small the whole prompt is to become, counted in the target tokenizer, joins included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Share of the original's tokens that may be kept, above 0 and at most 1. 4x is 0.25.
    Rate(f64),
    /// Most tokens of the result.
    Tokens(usize),
}

/// A compression method.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Coarse ranking by perplexity, then token-level selection (arXiv 2310.05736).
    #[default]
    #[value(name = "llmlingua")]
    LlmLingua,
}

/// How closely a method follows its first implementation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whole words, protected spans and a hard budget.
    #[default]
    Exact,
    /// Reproduces llmlingua 0.2.2, defects included, for parity alone. Keeps none of the promises of `exact`.
    Reference,
}

/// What is left of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptDocument {
    /// As in the prompt.
    pub id: String,
    /// What is left of the text.
    pub text: String,
    /// Byte ranges of the original text that were kept, in order, not touching each other.
    pub kept: Vec<Range<usize>>,
    /// Place in the method's ranking of the documents, from 0 for the most valuable.
    pub rank: Option<usize>,
    /// What it was ranked by.
    pub score: Option<f64>,
}
