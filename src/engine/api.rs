//! Requests and answers, as the HTTP routes and `--format json` speak them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub use super::options::CompressOptions;
pub use super::recover::{RecoverDocument, RecoverRequest, RecoverResponse, RestoredOutput};
use crate::compress::{Method, Mode};
use crate::text::{Noun, Protection};

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
    /// Messages of `OpenAI`'s Chat or Anthropic's API, items of `OpenAI`'s Responses, or Gemini's contents, of which texts
    /// become smaller: those that the proxy finds, in results of tools, documents and search results too, and those of
    /// assistants. Where there is no `question`, the last words of the last user are one unless they are longer than 2,000
    /// bytes.
    #[serde(alias = "contents")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Box<RawValue>>>,
    /// The roles whose texts are compressed, by default `user`, `assistant` and `tool`. Results of tools are `tool`, whatever
    /// the role of their message.
    pub roles: Option<Vec<String>>,
    /// Are the tags of llmlingua read in `context` or `documents`: `<llmlingua, rate=0.4>text</llmlingua>` and
    /// `<llmlingua, compress=False>text</llmlingua>`? They are not in the result.
    #[serde(default)]
    pub tags: bool,
    /// Kept whole, before the documents.
    pub instruction: Option<String>,
    /// Kept whole, after the documents.
    pub question: Option<String>,
    /// Share of the tokens to keep, above 0 and at most 1. Give this or `target_tokens`; where every part has a rate of
    /// its own, neither is needed.
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
    /// The options of the compression: what must be kept, and how.
    #[serde(default)]
    pub options: CompressOptions,
    /// The optional parts of the response besides the prompt, by default `ranges`.
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
    /// The text to compress.
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
    /// The text of the section.
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
    /// The rules for strings, by the key that they or the object or array around them have; `*` is for all others.
    /// Without a rule of either kind strings stay as they are; without any rule all may become smaller. Keys, numbers,
    /// `true`, `false` and `null` never change.
    #[serde(default)]
    pub keys: BTreeMap<String, KeyRule>,
}

/// A rule for the strings under a key.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRule {
    /// Share of a string's tokens that is kept at most, 0 to 1; by default as much as it is worth.
    pub rate: Option<f64>,
    /// Whether the strings are compressed.
    pub compress: bool,
    /// May a member go when nothing is left of its string? Else something of it stays.
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
    /// The reason for the choice of this method and depth.
    pub reason: String,
    /// The compressed documents in the order sent.
    pub documents: Vec<DocumentOutput>,
    /// The messages with what is left of their texts, where messages were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Box<RawValue>>>,
    /// Token counts.
    pub usage: Usage,
    /// Milliseconds by stage.
    pub timing_ms: Timing,
    /// The amounts that were left out as a whole, by kind: `lines`, `rows`, `records`, `turns`, `bytes` of blobs. What
    /// is left out of prose is not counted.
    pub left_out: BTreeMap<Noun, usize>,
    /// The warnings for the caller.
    pub warnings: Vec<Warning>,
}

/// A compressed document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DocumentOutput {
    /// The id as sent.
    pub id: String,
    /// The compressed text, with marks in place of lines, rows, code and turns that were left out.
    pub text: String,
    /// The amounts that were left out as a whole, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<Noun, usize>,
    /// Byte ranges of the text as it was sent that were kept, marks not counted. Where the method is `lossless`, those that stand in
    /// the new text as they were, beside the marks and columns that were put in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<[usize; 2]>>,
    /// Place in the ranking, from 0 for the most valuable.
    pub rank: Option<usize>,
    /// The score that the document was ranked by.
    pub score: Option<f64>,
    /// The document's words in order; `None` where the prompt fit without compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<WordOutput>>,
    /// The score of each word, higher is better; null where the document was not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Vec<Option<f32>>>,
    /// The metadata as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}

/// The decision on one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WordOutput {
    /// Byte range of the text as it was sent, without the white space before the word.
    pub range: [usize; 2],
    /// Whether the word is in the result.
    pub kept: bool,
    /// The kinds of the protected spans that the word has a part of: it is kept or dropped with all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<Protection>,
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
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The counts are estimates: the model's own tokenizer is not public.
    pub approximate: bool,
}

/// Milliseconds by stage.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Timing {
    /// The whole call.
    pub total: f64,
    /// The durations by stage: `tokenize`, `score`, `select`.
    #[serde(flatten)]
    pub stages: BTreeMap<&'static str, f64>,
}

/// Something that the caller should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Stable name.
    pub code: &'static str,
    /// The message for people.
    pub message: String,
}

/// A text whose tokens are counted.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountRequest {
    /// The text.
    pub text: String,
    /// Model whose tokens are counted; names its tokenizer where `tokenizer` is not given.
    pub model: Option<String>,
    /// Tokenizer to count with, by default `o200k_base`.
    pub tokenizer: Option<String>,
}

/// The number of tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CountResponse {
    /// The number of tokens.
    pub tokens: usize,
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The count is an estimate: the model's own tokenizer is not public.
    pub approximate: bool,
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
    /// The perplexity, exp(`mean_nll`).
    pub perplexity: Option<f64>,
    /// Time of the scoring.
    pub seconds: f64,
    /// Scored and conditioning tokens over `seconds`.
    pub tokens_per_second: f64,
}

/// Body of `POST /v1/score/tokens`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenScoreRequest {
    /// Name of the scorer that is to score, with or without `local/` before it, or left out.
    pub model: Option<String>,
    /// The sequences to score, each by itself.
    pub sequences: Vec<TokenSequence>,
    /// True if all of a prefix is read, as a reader would, up to the model's context. By default as much of it is as fits
    /// half of the scorer's window.
    #[serde(default)]
    pub whole: bool,
}

/// Tokens to score, by their ids in the scorer's vocabulary.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSequence {
    /// Token ids that condition the scores.
    #[serde(default)]
    pub prefix: Vec<u32>,
    /// Token ids to score.
    pub ids: Vec<u32>,
}

/// Answer of `POST /v1/score/tokens`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenScoreResponse {
    /// Model that scored.
    pub model: String,
    /// The fingerprint of what scores depend on besides tokens: the model's files and the arithmetic.
    pub identity: String,
    /// Most tokens that the scorer looks at together.
    pub window: usize,
    /// Most tokens that the model was trained for.
    pub context: usize,
    /// The scores of each sequence, in the order sent.
    pub sequences: Vec<TokenScores>,
}

/// The scores of a sequence of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TokenScores {
    /// The token ids that were scored.
    pub ids: Vec<u32>,
    /// Negative log-likelihood of each token in nats; null for a first token without context.
    pub nll: Vec<Option<f32>>,
}
