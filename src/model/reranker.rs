//! Models that read a question and a text together: they judge better than two vectors, and read everything anew for
//! each question.

use std::ops::Range;
use std::sync::Arc;

use super::{Cancel, ScoreError};

/// The tokens that a ranking by a reranker reads at most, unless the reranker says otherwise.
const MOST_TOKENS: usize = 8192;

/// The mean keep probability from which on a sentence is kept, unless the pruner says otherwise: what Provence was
/// published with (arXiv 2501.16214).
pub const KEEP_THRESHOLD: f32 = 0.1;

/// A model that tells how far a text answers a question.
///
/// ```
/// use whittle::model::{Cancel, Reranker, ScoreError};
///
/// /// Counts the words of the question that a text has.
/// struct Words;
///
/// impl Reranker for Words {
///     fn name(&self) -> &str { "words" }
///     fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> { Ok(text.split_whitespace().count()) }
///     fn rerank(&self, question: &str, texts: &[&str], _: &Cancel) -> Result<Vec<f32>, ScoreError> {
///         let score = |text: &&str| question.split(' ').filter(|word| text.contains(word)).count() as f32;
///         Ok(texts.iter().map(score).collect())
///     }
/// }
///
/// let scores = Words.rerank("the harbour", &["Lunch was good.", "May: the harbour"], &Cancel::never())?;
/// assert!(scores[1] > scores[0]);
/// # Ok::<(), ScoreError>(())
/// ```
pub trait Reranker: Send + Sync {
    /// Returns the name of the model.
    fn name(&self) -> &str;

    /// Returns the number of tokens of a text, without control tokens.
    ///
    /// # Errors
    /// As [`Reranker::rerank`].
    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError>;

    /// Returns a score for each text, in their order: the higher, the more it answers the question, without bounds. A text
    /// has the same score whatever it is judged with.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the model.
    fn rerank(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<f32>, ScoreError>;

    /// Returns the most tokens that compression has this model read for one prompt; what ranks behind them keeps its rank.
    fn most_tokens(&self) -> usize {
        MOST_TOKENS
    }
}

/// What a pruner makes of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruning {
    /// The score of the text as a whole, as of a [`Reranker`].
    pub score: f32,
    /// The bytes of the text that each token stands for.
    pub tokens: Vec<Range<usize>>,
    /// The probability, 0 to 1, that each token is to be kept.
    pub keep: Vec<f32>,
}

/// A model that tells which tokens of a text a question needs, and how far the text answers it (Provence, arXiv
/// 2501.16214).
pub trait Pruner: Send + Sync {
    /// Returns the name of the model.
    fn name(&self) -> &str;

    /// Returns the mean keep probability of its tokens from which on a sentence is kept.
    fn threshold(&self) -> f32 {
        KEEP_THRESHOLD
    }

    /// Returns the judgement on each text, in their order.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the model.
    fn prune(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<Pruning>, ScoreError>;
}

impl<R: Reranker + ?Sized> Reranker for Arc<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        (**self).count(text, cancel)
    }

    fn rerank(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        (**self).rerank(question, texts, cancel)
    }

    fn most_tokens(&self) -> usize {
        (**self).most_tokens()
    }
}
