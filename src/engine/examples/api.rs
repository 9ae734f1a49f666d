//! Requests and answers about banks of examples.

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::{Example, Selection};
use crate::engine::api::Timing;
use crate::engine::collections::api::Unreadable;

/// A bank of examples.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BankInfo {
    /// The name.
    pub name: String,
    /// Model that makes the vectors of its questions.
    pub embedder: String,
    /// Values in a vector.
    pub dimensions: usize,
    /// Examples in it.
    pub examples: u64,
    /// Batches of changes that were acknowledged so far.
    pub epoch: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The descriptions of damage that was found and repaired on opening.
    pub mended: Vec<String>,
}

/// Answer of `GET /v1/example-banks`.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct BankList {
    /// All banks that can be read, by name.
    pub banks: Vec<BankInfo>,
    /// The banks that cannot be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// Body of `POST /v1/example-banks/{name}/examples`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// Stored together or not at all; each takes the place of the one with its id, if there is one.
    pub examples: Vec<Example>,
}

/// The result of adding examples.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct AddResponse {
    /// Examples that are new.
    pub added: usize,
    /// Examples that took the place of others with their ids.
    pub updated: usize,
    /// Examples that were stored already, just as they are.
    pub unchanged: usize,
    /// Ids, in the order sent, each once.
    pub ids: Vec<String>,
    /// Milliseconds by stage: `embed`, `store`.
    pub timing_ms: Timing,
}

/// Some of a bank's examples, in the order in which they were stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExamplePage {
    /// The examples.
    pub examples: Vec<Example>,
    /// The `from` of the next page; none at the end.
    pub next: Option<u64>,
}

/// Body of `POST /v1/example-banks/{name}/select`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectRequest {
    /// The question that the examples are selected for. In a prompt's `selection` it may be left out.
    #[serde(default)]
    pub question: String,
    /// The number of examples, 1 to 100.
    #[serde(default = "default_count")]
    pub count: usize,
    /// Examples as near to the question as this, by the cosine, are the question itself in other words and are left
    /// out; at least 0, and above 1 leaves out none for its nearness.
    #[serde(default = "default_duplicate")]
    pub duplicate: f32,
    /// 0 takes the nearest; up to 1, the more an example is like one that was chosen already, the less it counts.
    #[serde(default)]
    pub diversity: f32,
    /// Whether answers are balanced: no answer may be that of more examples than its share, as long as there are
    /// others among the nearest 256.
    #[serde(default)]
    pub balance: bool,
    /// Seed of the order that the choices of each example are put into, their labels staying in theirs; the answer is
    /// then the label of the same text, and the thought is left out. Without one they stay as they were stored.
    pub shuffle: Option<u64>,
}

fn default_count() -> usize {
    Selection::default().count
}

fn default_duplicate() -> f32 {
    Selection::default().duplicate
}

impl Default for SelectRequest {
    fn default() -> Self {
        let Selection { count, duplicate, diversity, balance } = Selection::default();
        Self { question: String::new(), count, duplicate, diversity, balance, shuffle: None }
    }
}

/// Answer of `POST /v1/example-banks/{name}/select`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SelectResponse {
    /// The chosen examples, the most similar one last.
    pub examples: Vec<SelectedExample>,
    /// Milliseconds by stage: `embed`, `select`.
    pub timing_ms: Timing,
}

/// An example that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SelectedExample {
    /// Cosine between its question and the one that it is chosen for.
    #[serde(serialize_with = "in_own_digits")]
    pub similarity: f32,
    /// The example, its choices in the order asked for.
    pub example: Example,
}

/// Writes a number of 32 bits with its own digits, also where it becomes one of 64 bits on the way, as in the results of
/// tools by MCP.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(in crate::engine) fn in_own_digits<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.to_string().parse().unwrap_or_else(|_| f64::from(*value)))
}
