//! Requests and answers, as the HTTP routes and `--format json` speak them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub use super::options::CompressOptions;
pub use super::recover::{RecoverDocument, RecoverRequest, RecoverResponse, RestoredOutput};
use crate::compress::{Method, Mode};
use crate::text::Noun;

/// Body of `POST /v1/compress`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressRequest {
    /// One text to compress. Give this or one of the next four.
    pub context: Option<String>,
    /// Documents to compress.
    pub documents: Option<Vec<DocumentInput>>,
    /// Parts of one text, with rates of their own; they follow each other with nothing between them.
    pub sections: Option<Vec<SectionInput>>,
    /// JSON of which strings become smaller.
    pub json: Option<JsonInput>,
    /// Chat messages as `OpenAI`'s and Anthropic's APIs have them, of which texts become smaller. Where there is no
    /// `question`, the last text of the last user is one unless it is longer than 2,000 bytes.
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Box<RawValue>>>,
    /// Whose messages become smaller, by default those of `user`, `assistant` and `tool`.
    pub roles: Option<Vec<String>>,
    /// Are the tags of llmlingua read in `context` or `documents`: `<llmlingua, rate=0.4>text</llmlingua>` and
    /// `<llmlingua, compress=False>text</llmlingua>`? They are not in the result.
    #[serde(default)]
    pub tags: bool,
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
#[derive(Debug, Clone, Deserialize, ToSchema)]
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
    /// Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth.
    pub rate: Option<f64>,
    /// Is it compressed? Else it is kept whole.
    #[serde(default = "yes")]
    pub compress: bool,
}

impl Default for DocumentInput {
    fn default() -> Self {
        Self { id: None, title: None, text: String::new(), metadata: None, rate: None, compress: true }
    }
}

/// A part of a text.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionInput {
    /// What it says.
    pub text: String,
    /// Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth.
    pub rate: Option<f64>,
    /// Is it compressed? Else it is kept whole.
    #[serde(default = "yes")]
    pub compress: bool,
}

/// JSON to compress.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonInput {
    /// The JSON.
    pub text: String,
    /// What becomes of strings, by the key that they or the object or array around them stand under; `*` is for all
    /// others. Without a rule of either kind strings stay as they are; without any rule all may become smaller.
    /// Keys, numbers, `true`, `false` and `null` never change.
    #[serde(default)]
    pub keys: BTreeMap<String, KeyRule>,
}

/// What becomes of the strings under a key.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRule {
    /// Share of a string's tokens that is kept at most, 0 to 1; by default as much as it is worth.
    pub rate: Option<f64>,
    /// Are they compressed?
    pub compress: bool,
    /// May a member go when nothing is left of its string? Else an empty string stays.
    pub removable: bool,
}

impl Default for KeyRule {
    fn default() -> Self {
        Self { rate: None, compress: true, removable: false }
    }
}

const fn yes() -> bool {
    true
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
    /// The messages with what is left of their texts, where messages were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Box<RawValue>>>,
    /// Token counts.
    pub usage: Usage,
    /// Milliseconds by stage.
    pub timing_ms: Timing,
    /// How much was left out as a whole, by kind: `lines`, `rows`, `records`, `turns`, `bytes` of blobs. What is left
    /// out of prose is not counted.
    pub left_out: BTreeMap<Noun, usize>,
    /// The warnings for the caller.
    pub warnings: Vec<Warning>,
}

/// What is left of one document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DocumentOutput {
    /// As sent.
    pub id: String,
    /// What is left of the text, with marks in place of lines, rows, code and turns that were left out.
    pub text: String,
    /// How much was left out as a whole, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<Noun, usize>,
    /// Byte ranges of the text as it was sent that were kept, marks not counted. Where the method is `lossless`, those that stand in
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
    pub stages: BTreeMap<&'static str, f64>,
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
