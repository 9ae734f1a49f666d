//! The errors of a compression.

use crate::model::{ScoreError, Stopped};

/// A failed compression.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompressError {
    /// The units that must be kept exceed the budget.
    #[error(
        "the budget of {budget} tokens cannot be met: what must be kept needs {needed}, {} more; raise the target, or shorten instruction and question, or demand less to be kept",
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
    /// The method needs a model that the caller did not give it ([`super::Tools`]).
    #[error("the method needs {0}, but none was given")]
    Missing(&'static str),
    /// The result was found to break a promise, and is not given out: a defect of this program.
    #[error("the result violates an invariant: {0}")]
    Broken(String),
    /// The model failed or the work was stopped.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl From<Stopped> for CompressError {
    fn from(stopped: Stopped) -> Self {
        Self::Score(stopped.into())
    }
}
