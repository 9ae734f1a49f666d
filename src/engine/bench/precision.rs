//! The difference of 8-bit scores from those in 32-bit floats, on texts of the caller's own.

use serde::Serialize;

use crate::engine::{Engine, EngineError};
use crate::model::{Cancel, Precision, ScoreJob, TokenScorer};

/// Texts that are scored together.
const TOGETHER: usize = 16;
/// Share of the tokens that a decision keeps.
const RATE: f64 = 0.5;

/// The agreement of two scorings of the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Tokens that have a score.
    pub tokens: usize,
    /// Mean of the second less that of the first, in nats.
    pub mean_difference: f64,
    /// Rank correlation of the tokens: 1 where both put them in the same order.
    pub spearman: f64,
    /// Share of the tokens that both keep, or both drop, where the most surprising half is kept.
    pub same_decisions: f64,
}

impl Agreement {
    /// Compares scores of the same tokens in the same order; none of them may be NaN.
    #[must_use]
    pub fn of(first: &[f32], second: &[f32]) -> Self {
        let tokens = first.len().min(second.len());
        let mean = |scores: &[f32]| {
            scores[..tokens].iter().map(|&score| f64::from(score)).sum::<f64>() / tokens.max(1) as f64
        };
        let (a, b) = (ranks(&first[..tokens]), ranks(&second[..tokens]));
        let dropped = (tokens as f64 * (1.0 - RATE)).round() as usize;
        let same = a.iter().zip(&b).filter(|&(&a, &b)| (a < dropped) == (b < dropped)).count();
        Self {
            tokens,
            mean_difference: mean(second) - mean(first),
            spearman: spearman(&a, &b),
            same_decisions: same as f64 / tokens.max(1) as f64,
        }
    }
}

/// The place of each value in their order.
fn ranks(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0; values.len()];
    for (rank, place) in order.into_iter().enumerate() {
        ranks[place] = rank;
    }
    ranks
}

/// Rank correlation without ties: `1 - 6 sum(d²) / (n (n² - 1))`.
fn spearman(a: &[usize], b: &[usize]) -> f64 {
    let n = a.len() as f64;
    if a.len() < 2 {
        return 1.0;
    }
    let squares: f64 = a.iter().zip(b).map(|(&a, &b)| (a as f64 - b as f64).powi(2)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

/// The effect of int8 on scores.
#[derive(Debug, Clone, Serialize)]
pub struct PrecisionReport {
    /// Model that scored.
    pub model: String,
    /// Texts.
    pub texts: usize,
    /// Int8 against f32.
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// Scores each text by itself in both precisions; `done` is told after how many texts of twice as many.
pub(in crate::engine) fn compare(
    engine: &Engine,
    texts: &[&str],
    done: &dyn Fn(usize),
) -> Result<PrecisionReport, EngineError> {
    if texts.is_empty() {
        return Err(EngineError::invalid("empty_input", "passages", "there is no text to score"));
    }
    let scores = |precision, before: usize| -> Result<(String, Vec<f32>), EngineError> {
        let (scorer, _) = engine.models.fresh_scorer(Some(precision))?;
        let mut scores = Vec::new();
        for (i, texts) in texts.chunks(TOGETHER).enumerate() {
            let job = |text: &&str| ScoreJob {
                prefix: [].into(),
                ids: scorer.encode(text).iter().map(|token| token.id).collect(),
            };
            let jobs: Vec<ScoreJob> = texts.iter().map(job).collect();
            scores.extend(scorer.score(&jobs, &Cancel::never())?.into_iter().flatten());
            done(before + i * TOGETHER + texts.len());
        }
        Ok((scorer.name().to_owned(), scores))
    };
    let (model, exact) = scores(Precision::F32, 0)?;
    let (_, quantised) = scores(Precision::Int8, texts.len())?;
    Ok(PrecisionReport { model, texts: texts.len(), agreement: Agreement::of(&exact, &quantised) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_as_by_definition() {
        let first = [1.0, 2.0, 3.0, 4.0];
        let agrees = |second: &[f32], want: [f64; 3]| {
            let Agreement { mean_difference, spearman, same_decisions, .. } = Agreement::of(&first, second);
            let got = [mean_difference, spearman, same_decisions];
            assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6), "{got:?} {want:?}");
        };
        agrees(&[1.1, 2.1, 3.1, 4.1], [0.1, 1.0, 1.0]);
        agrees(&[4.0, 3.0, 2.0, 1.0], [0.0, -1.0, 0.0]);
        // Two neighbours change places, across the middle: d² is 1 twice, n (n² - 1) is 60.
        agrees(&[1.0, 3.0, 2.0, 4.0], [0.0, 0.8, 0.5]);
        assert_eq!(Agreement::of(&[], &[]).tokens, 0);
    }
}
