//! Dynamic few-shot: which solved examples stand before a question, and in which order (Nori et al. 2023, Medprompt).

pub mod api;
mod bank;
mod select;
mod shuffle;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use bank::ExampleBanks;
pub use select::{Candidate, Chosen, Selection, select};
pub use shuffle::shuffled;

/// A question with its answer, to be shown before another question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Unique in its bank; by default a hash of everything else.
    #[serde(default)]
    pub id: String,
    /// The question, without choices.
    pub question: String,
    /// The chain of thought that leads to the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought: Option<String>,
    /// The answer; of a multiple choice, the label of the right one.
    pub answer: String,
    /// The choices of a multiple-choice question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// Most examples that are chosen for a question.
pub(in crate::engine) const MOST: usize = 100;
/// Longest question, in bytes: it is embedded whole.
const QUESTION_BYTES: usize = 64 << 10;

impl Example {
    /// Says what keeps this from being shown, if anything does.
    ///
    /// # Errors
    /// The question or the answer is empty, the question is longer than 64 KiB, or the answer is not the label of
    /// exactly one of the choices.
    pub fn check(&self) -> Result<(), String> {
        for (name, text) in [("question", &self.question), ("answer", &self.answer)] {
            if text.trim().is_empty() {
                return Err(format!("`{name}` is empty or holds only white space"));
            }
        }
        if self.question.len() > QUESTION_BYTES {
            let bytes = self.question.len();
            return Err(format!("`question` has {bytes} bytes; at most {QUESTION_BYTES} are allowed"));
        }
        let mut labels = HashSet::new();
        if let Some(twice) = self.choices.iter().find(|choice| !labels.insert(choice.label.as_str())) {
            return Err(format!("two choices have the label `{}`", twice.label));
        }
        if !labels.is_empty() && !labels.contains(self.answer.as_str()) {
            return Err(
                "`answer` is none of the labels of `choices`: of a multiple choice it is the label".into()
            );
        }
        Ok(())
    }
}

/// One of the choices of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Such as `A`.
    pub label: String,
    /// The text of the choice.
    pub text: String,
}
