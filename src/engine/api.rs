//! Requests and answers, as the HTTP routes and `--format json` speak them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::options::CompressOptions;
pub use super::recover::{RecoverDocument, RecoverRequest, RecoverResponse, RestoredOutput};
use crate::compress::{Method, Mode};

/// Body of `POST /v1/compress`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressRequest {
    /// One text to compress. Give this or `documents`.
    pub context: Option<String>,
    /// Documents to compress. Give this or `context`.
    pub documents: Option<Vec<DocumentInput>>,
    /// Kept whole, before the documents.
    pub instruction: Option<String>,
    /// Kept whole, after the documents.
    pub question: Option<String>,
    /// Share of the tokens to keep, above 0 and at most 1. Give this or `target_tokens`.
    pub rate: Option<f64>,
    /// Most tokens of the whole result, at least 1. Give this or `rate`.
    pub target_tokens: Option<usize>,
    /// Compression method.
    pub method: Option<Method>,
    /// `exact` (default) or `reference`.
    pub mode: Option<Mode>,
    /// Model that the prompt is for; names its tokenizer where `tokenizer` is not given.
    pub model: Option<String>,
    /// Tokenizer to count with, by default `o200k_base`.
    pub tokenizer: Option<String>,
    /// What is kept whatever its worth, and how.
    #[serde(default)]
    pub options: CompressOptions,
    /// What the answer carries besides the prompt, by default `ranges`.
    #[serde(rename = "return")]
    pub returns: Option<Vec<Return>>,
}

/// A document of a request.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentInput {
    /// Unique in the request; by default the document's place, from 0.
    pub id: Option<String>,
    /// Kept whole with the document.
    pub title: Option<String>,
    /// What is compressed.
    pub text: String,
    /// Handed back untouched.
    pub metadata: Option<serde_json::Value>,
}

/// Optional parts of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Return {
    /// `documents[].kept`. Given by default.
    Ranges,
    /// `documents[].scores`.
    Scores,
    /// `documents[].words`.
    Words,
}

/// Answer of `POST /v1/compress`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CompressResponse {
    /// Unique name of this answer.
    pub id: String,
    /// The compressed prompt.
    pub prompt: String,
    /// Method that made it.
    pub method: Method,
    /// Why this method and depth were chosen.
    pub reason: String,
    /// What is left of each document, in the order sent.
    pub documents: Vec<DocumentOutput>,
    /// Token counts.
    pub usage: Usage,
    /// Milliseconds by stage.
    pub timing_ms: Timing,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// What is left of one document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DocumentOutput {
    /// As sent.
    pub id: String,
    /// What is left of the text.
    pub text: String,
    /// Byte ranges of the text as it was sent that were kept. Where the method is `lossless`, those that stand in
    /// the new text as they were, beside the marks and columns that were put in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<[usize; 2]>>,
    /// Place in the ranking, from 0 for the most valuable.
    pub rank: Option<usize>,
    /// What it was ranked by.
    pub score: Option<f64>,
    /// Its words in their order; none where the prompt fit as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<WordOutput>>,
    /// What each of its words was worth, the more the better; null where its document was not weighed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<Option<f32>>>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}

/// What became of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct WordOutput {
    /// Byte range of the text as it was sent, without the white space before the word.
    pub range: [usize; 2],
    /// Is it in the result?
    pub kept: bool,
}

/// Token counts of the whole prompt, joins included.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Usage {
    /// Tokens of the prompt as it was sent.
    pub original_tokens: usize,
    /// Tokens of the compressed prompt.
    pub compressed_tokens: usize,
    /// Tokens asked for at most.
    pub requested_tokens: usize,
    /// Share of the tokens that was kept.
    pub rate: f64,
    /// What counted.
    pub tokenizer: String,
    /// The counts are estimates: the model's own tokenizer is not public.
    pub approximate: bool,
}

/// Milliseconds by stage.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Timing {
    /// The whole call.
    pub total: f64,
    /// By the names of the stages: `tokenize`, `score`, `select`.
    #[serde(flatten)]
    pub stages: std::collections::BTreeMap<&'static str, f64>,
}

/// Something that the caller should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Stable name.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Body of `POST /v1/score`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest {
    /// Text to score.
    pub text: String,
    /// Text that conditions the scores.
    pub prefix: Option<String>,
}

/// Answer of `POST /v1/score`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScoreResponse {
    /// Model that scored.
    pub model: String,
    /// Token ids of the text.
    pub ids: Vec<u32>,
    /// The tokens' texts; bytes that are not UTF-8 by themselves show as U+FFFD.
    pub tokens: Vec<String>,
    /// Byte range of each token in the text.
    pub ranges: Vec<[usize; 2]>,
    /// Negative log-likelihood of each token in nats; null for a first token without context.
    pub nll: Vec<Option<f32>>,
    /// Mean of `nll`; null when nothing was scored.
    pub mean_nll: Option<f64>,
    /// exp(`mean_nll`).
    pub perplexity: Option<f64>,
    /// Time of the scoring.
    pub seconds: f64,
    /// Scored and conditioning tokens over `seconds`.
    pub tokens_per_second: f64,
}
