//! Why a prompt could not be compressed.

use crate::model::{ScoreError, Stopped};

/// A failed compression.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompressError {
    /// What must be kept exceeds the budget.
    #[error(
        "the budget of {budget} tokens cannot be met: what must be kept needs {needed}, {} more; raise the target or shorten instruction and question",
        needed - budget
    )]
    Infeasible {
        /// Tokens asked for at most.
        budget: usize,
        /// Tokens of the smallest result that keeps instruction, question and something of the documents.
        needed: usize,
    },
    /// The method cannot work on this prompt.
    #[error("{0}")]
    Unsupported(String),
    /// The model failed or the work was stopped.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl From<Stopped> for CompressError {
    fn from(stopped: Stopped) -> Self {
        Self::Score(stopped.into())
    }
}
