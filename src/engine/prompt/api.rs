//! Requests and answers of the pipeline from a question to a prompt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::compress::Method;
use crate::engine::api::{Timing, Warning};
use crate::engine::collections::api::SearchRequest;
use crate::engine::examples::api::{SelectRequest, in_own_digits};
use crate::retrieve::{Filter, SearchMode};

/// Body of `POST /v1/prompt`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptRequest {
    /// The question to answer.
    pub question: String,
    /// Collections to answer it from, at most 16; none only where there are banks.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Banks that solved examples are taken from, at most 16.
    #[serde(default)]
    pub banks: Vec<String>,
    /// Examples that are shown at most, of all banks together, 1 to 100; 5 by default. Each is shown whole, the most
    /// similar one last, and beside documents all of them together fill no more than half of the room. Short for the
    /// `count` of `selection`, which stands alone.
    pub examples: Option<usize>,
    /// The selection of examples from each bank, as by the route of a bank; its `question` defaults to the request's.
    pub selection: Option<SelectRequest>,
    /// Most tokens of the whole prompt, template and joins included, at least 1. A provider may add a few of its own
    /// around messages.
    pub target_tokens: usize,
    /// The additional instruction to the model.
    pub instruction: Option<String>,
    /// The search in each collection, as by the route of a collection; its `query` defaults to the question.
    pub search: Option<SearchRequest>,
    /// The ranking to search by. This and the two below are short for the same fields of `search`, which stands alone.
    pub mode: Option<SearchMode>,
    /// Chunks that are taken from each collection at most, 1 to 1,000; 10 by default.
    pub top_k: Option<usize>,
    /// The filter on documents, as in a search.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Filter>,
    /// The method that compresses the documents found.
    pub method: Option<Method>,
    /// Template, by default `answer`.
    pub template: Option<String>,
    /// Form of the prompt.
    #[serde(default)]
    pub format: PromptFormat,
    /// Model that the prompt is for; names its tokenizer where `tokenizer` is not given.
    pub model: Option<String>,
    /// Tokenizer to count with, by default `o200k_base`.
    pub tokenizer: Option<String>,
}

/// Form of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptFormat {
    /// One text.
    #[default]
    Text,
    /// Chat messages.
    Messages,
}

/// Answer of `POST /v1/prompt`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PromptResponse {
    /// Unique name of this answer.
    pub id: String,
    /// The prompt, where it was asked for as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The prompt, where it was asked for as messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// The citations: the sources of the numbers in the prompt.
    pub citations: Vec<Citation>,
    /// The record of how the prompt was built.
    pub ledger: Ledger,
    /// The warnings for the caller.
    pub warnings: Vec<Warning>,
    /// Milliseconds by stage: `examples`, `retrieve`, `compress`.
    pub timing_ms: Timing,
}

/// A chat message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// `system` or `user`.
    pub role: &'static str,
    /// The text of the message.
    pub content: String,
}

/// The source of a number in the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Citation {
    /// The number, from 1.
    pub number: usize,
    /// Collection of the document.
    pub collection: String,
    /// The document.
    pub document_id: String,
    /// The title that is shown beside the number.
    pub title: String,
    /// Byte ranges of the document's text that are in the prompt, in order.
    pub ranges: Vec<[usize; 2]>,
}

/// The record of how a prompt was built.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ledger {
    /// Chunks that were found, best first.
    pub candidates: Vec<Candidate>,
    /// Candidates of which something is in the prompt.
    pub chosen: usize,
    /// Examples that were found, the most similar one first.
    pub examples: Vec<ExampleCandidate>,
    /// Tokens of what was found, before it was compressed.
    pub found_tokens: usize,
    /// Tokens of the prompt by part.
    pub tokens: TokensByPart,
    /// Most tokens that were asked for.
    pub requested_tokens: usize,
    /// The tokenizer that counted.
    pub tokenizer: String,
    /// The counts are estimates: the model's own tokenizer is not public.
    pub approximate: bool,
    /// Method that compressed.
    pub method: Method,
    /// Template that it was rendered with.
    pub template: TemplateInfo,
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TemplateInfo {
    /// The name as requested.
    pub name: String,
    /// Rises with every change of its text, so that name and version say what a prompt was made with; none of a file of
    /// the caller's.
    pub version: Option<u32>,
}

impl Ledger {
    /// Examples that are in the prompt.
    #[must_use]
    pub fn chosen_examples(&self) -> usize {
        self.examples.iter().filter(|example| example.chosen).count()
    }
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    /// The collection of the source.
    pub collection: String,
    /// The id of the document.
    pub document_id: String,
    /// The byte range in the document's text.
    pub range: [usize; 2],
    /// The score, as in a search.
    pub score: f64,
    /// The scores, as in a search.
    pub scores: BTreeMap<&'static str, f64>,
    /// Whether any part of it is in the prompt.
    pub chosen: bool,
}

/// An example that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExampleCandidate {
    /// The bank of the example.
    pub bank: String,
    /// The id in the bank.
    pub id: String,
    /// Cosine between its question and the one that is asked.
    #[serde(serialize_with = "in_own_digits")]
    pub similarity: f32,
    /// Whether the example is in the prompt.
    pub chosen: bool,
}

/// Tokens of a prompt by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct TokensByPart {
    /// All of it.
    pub total: usize,
    /// Documents, with their numbers and titles.
    pub documents: usize,
    /// Examples.
    pub examples: usize,
    /// The instruction.
    pub instruction: usize,
    /// The question.
    pub question: usize,
    /// The template's own words, and joins.
    pub template: usize,
}
