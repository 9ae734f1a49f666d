//! Dynamic few-shot: which solved examples stand before a question, and in which order (Nori et al. 2023, Medprompt).

mod select;
mod shuffle;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use select::{Candidate, Chosen, Selection, select};
pub use shuffle::shuffled;

/// A question with its answer, to be shown before another question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Unique in its bank; by default a hash of everything else.
    #[serde(default)]
    pub id: String,
    /// What is asked, without choices.
    pub question: String,
    /// What leads to the answer: a chain of thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought: Option<String>,
    /// The answer; of a multiple choice, the label of the right one.
    pub answer: String,
    /// Of a multiple choice, what can be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// One of the choices of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Such as `A`.
    pub label: String,
    /// What it says.
    pub text: String,
}
