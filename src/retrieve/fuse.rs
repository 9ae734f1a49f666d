//! One ranking out of several, and a choice that does not repeat itself.

use std::collections::HashMap;

use crate::index::Scored;

/// Added to each rank: the larger, the less the first places stand out. Cormack, Clarke and Büttcher, "Reciprocal Rank
/// Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR 2009), have 60, for rankings that are
/// about as good as each other. Here the ranking by vectors is the better one, and what it has first is to stay there
/// unless the other one is sure; see [`super::Weights`] for what was measured.
const RANK_OFFSET: f64 = 1.0;

/// Ranks by the sum of weight / (1 + rank) over the rankings, rank from 1; of equals the smaller number first.
///
/// ```
/// use whittle::retrieve::reciprocal_rank_fusion;
///
/// let (words, vectors) = ([(7, 3.2), (9, 1.1)], [(9, 0.8), (4, 0.3)]);
/// let fused = reciprocal_rank_fusion(&[(&words, 1.0), (&vectors, 1.0)]);
/// assert_eq!(fused[0].0, 9);
/// ```
#[must_use]
pub fn reciprocal_rank_fusion(rankings: &[(&[Scored], f64)]) -> Vec<(u64, f64)> {
    let mut scores: HashMap<u64, f64> = HashMap::new();
    for (ranking, weight) in rankings {
        for (place, (number, _)) in ranking.iter().enumerate() {
            *scores.entry(*number).or_default() += weight / (RANK_OFFSET + place as f64 + 1.0);
        }
    }
    let mut fused: Vec<(u64, f64)> = scores.into_iter().collect();
    fused.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

/// Something to choose from.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Worth by itself; the larger the better.
    pub score: f64,
    /// Vector of length 1.
    pub vector: Vec<f32>,
}

/// Chooses `k` places of `candidates`, best first, by maximal marginal relevance (Carbonell and Goldstein, SIGIR
/// 1998): each time the one with the largest (1 - `diversity`) * score - `diversity` * (largest cosine to one that
/// was chosen before). Scores are scaled to 0 to 1 first.
///
/// ```
/// use whittle::retrieve::{Candidate, maximal_marginal_relevance};
///
/// let candidate = |score, vector: [f32; 2]| Candidate { score, vector: vector.to_vec() };
/// let candidates = [candidate(1.0, [1.0, 0.0]), candidate(0.9, [1.0, 0.0]), candidate(0.5, [0.0, 1.0])];
/// assert_eq!(maximal_marginal_relevance(&candidates, 2, 0.0), [0, 1]);
/// assert_eq!(maximal_marginal_relevance(&candidates, 2, 0.7), [0, 2]);
/// ```
#[must_use]
pub fn maximal_marginal_relevance(candidates: &[Candidate], k: usize, diversity: f64) -> Vec<usize> {
    let bounds = candidates.iter().map(|candidate| candidate.score);
    let (low, high) = bounds
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| (low.min(score), high.max(score)));
    let span = if high > low { high - low } else { 1.0 };
    // The largest likeness of each to those chosen so far. Nothing is unlike: below 0 does not count.
    let mut likeness = vec![0.0_f64; candidates.len()];
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    let mut chosen = Vec::new();
    while chosen.len() < k {
        let worth =
            |&i: &usize| (1.0 - diversity) * (candidates[i].score - low) / span - diversity * likeness[i];
        let best = (0..left.len())
            .max_by(|&a, &b| worth(&left[a]).total_cmp(&worth(&left[b])).then(left[b].cmp(&left[a])));
        let Some(best) = best else { break };
        let best = left.remove(best);
        for &other in &left {
            let cosine = cosine(&candidates[best].vector, &candidates[other].vector);
            likeness[other] = likeness[other].max(cosine);
        }
        chosen.push(best);
    }
    chosen
}

/// Cosine of the angle between unit vectors.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_rank_high_comes_first() {
        let words = [(1, 9.0), (2, 5.0), (3, 1.0)];
        let vectors = [(3, 0.9), (2, 0.8), (4, 0.1)];
        let fused = reciprocal_rank_fusion(&[(&words, 1.0), (&vectors, 1.0)]);
        assert_eq!(fused.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 2, 1, 4]);
        assert!((fused[1].1 - 2.0 / 3.0).abs() < 1e-12);
        let fused = reciprocal_rank_fusion(&[(&words, 2.0), (&vectors, 0.0)]);
        assert_eq!(fused.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn the_second_choice_is_not_the_first_again() {
        let candidate = |score, vector: [f32; 2]| Candidate { score, vector: vector.to_vec() };
        let candidates =
            [candidate(1.0, [1.0, 0.0]), candidate(0.99, [1.0, 0.0]), candidate(0.5, [0.0, 1.0])];
        assert_eq!(maximal_marginal_relevance(&candidates, 2, 0.0), [0, 1]);
        assert_eq!(maximal_marginal_relevance(&candidates, 2, 0.5), [0, 2]);
        assert_eq!(maximal_marginal_relevance(&candidates, 9, 0.5), [0, 2, 1]);
        assert!(maximal_marginal_relevance(&[], 3, 0.5).is_empty());
    }
}
