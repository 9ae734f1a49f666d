//! The choice of the next token.

use crate::model::{Sampling, ScoreError};
use crate::random::Random;

/// Candidates that are sorted first: nearly always the others are not needed.
const FIRST: usize = 512;

/// Chooses tokens, each from the logits of all.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: Random,
    /// Weight and id of each candidate; reused.
    candidates: Vec<(f64, u32)>,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self { sampling, random: Random::new(sampling.seed), candidates: Vec::new() }
    }

    /// The next token's id. Of several that are the likeliest, the first.
    ///
    /// # Errors
    /// A logit is no finite number.
    pub(crate) fn pick(&mut self, logits: &[f32]) -> Result<u32, ScoreError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(ScoreError::Model("a logit is not a finite number".into()));
        }
        let (best, max) = best(logits);
        if self.sampling.temperature <= 0.0 || self.sampling.top_k == Some(1) {
            return Ok(best);
        }
        // At the likeliest token's own weight of 1 nothing overflows.
        let weight = |logit: f32| (f64::from(logit - max) / self.sampling.temperature).exp();
        self.candidates.clear();
        self.candidates.extend(logits.iter().map(|&logit| weight(logit)).zip(0..));
        let wanted = self.nucleus();
        let mut place = self.random.unit() * self.candidates[..wanted].iter().map(|(w, _)| w).sum::<f64>();
        let chosen = self.candidates[..wanted].iter().find(|(weight, _)| {
            place -= weight;
            place < 0.0
        });
        Ok(chosen.map_or(best, |(_, id)| *id))
    }

    /// Moves the candidates that may be chosen to the front and returns their number.
    fn nucleus(&mut self) -> usize {
        let Sampling { top_p, top_k, .. } = self.sampling;
        let all = self.candidates.len();
        if top_p >= 1.0 && top_k.is_none_or(|most| most >= all) {
            return all;
        }
        let order = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let wanted = top_p * self.candidates.iter().map(|(weight, _)| weight).sum::<f64>();
        let most = top_k.unwrap_or(all).clamp(1, all);
        for sorted in [FIRST.min(all), all] {
            if sorted < all {
                self.candidates.select_nth_unstable_by(sorted, order);
            }
            self.candidates[..sorted].sort_unstable_by(order);
            let mut sum = 0.0;
            let reached = self.candidates[..sorted].iter().position(|(weight, _)| {
                sum += weight;
                sum >= wanted
            });
            match reached {
                Some(last) => return most.min(last + 1),
                None if most <= sorted => return most,
                None => {}
            }
        }
        most
    }
}

/// The first of the largest, and how large it is.
fn best(logits: &[f32]) -> (u32, f32) {
    let first = (0, f32::NEG_INFINITY);
    logits.iter().zip(0..).fold(first, |best, (&logit, id)| if logit > best.1 { (id, logit) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(sampling: Sampling, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..count).map(|_| sampler.pick(logits).unwrap()).collect()
    }

    fn warm() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::default() }
    }

    #[test]
    fn without_temperature_the_likeliest_is_taken_and_of_equals_the_first() {
        assert_eq!(picks(Sampling::default(), &[0.0, 3.0, -1.0, 3.0], 3), [1, 1, 1]);
        assert_eq!(picks(Sampling { top_k: Some(1), ..warm() }, &[0.0, 3.0], 3), [1, 1, 1]);
        // However small it is, a temperature divides by no zero.
        assert_eq!(picks(Sampling { temperature: 1e-300, ..warm() }, &[0.0, 3.0], 3), [1, 1, 1]);
    }

    #[test]
    fn a_seed_decides_all_choices() {
        let logits: Vec<f32> = (0..1000).map(|i| (i % 7) as f32).collect();
        let of = |seed| picks(Sampling { seed, ..warm() }, &logits, 50);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        let logits = [0.2_f32.ln(), 0.5_f32.ln(), 0.3_f32.ln()];
        let picked = picks(warm(), &logits, 20_000);
        for (id, share) in [(0, 0.2), (1, 0.5), (2, 0.3)] {
            let found = picked.iter().filter(|&&picked| picked == id).count() as f64 / 20_000.0;
            assert!((found - share).abs() < 0.02, "{id}: {found}");
        }
        let sharper = picks(Sampling { temperature: 0.5, ..warm() }, &logits, 20_000);
        let found = sharper.iter().filter(|&&picked| picked == 1).count() as f64 / 20_000.0;
        assert!((found - 0.25 / 0.38).abs() < 0.02, "{found}");
    }

    #[test]
    fn only_the_nucleus_is_chosen_from() {
        let logits = [0.2_f32.ln(), 0.5_f32.ln(), 0.3_f32.ln()];
        let of = |top_p, top_k| {
            let mut picked = picks(Sampling { top_p, top_k, ..warm() }, &logits, 500);
            picked.sort_unstable();
            picked.dedup();
            picked
        };
        assert_eq!(of(0.4, None), [1]);
        assert_eq!(of(0.7, None), [1, 2]);
        assert_eq!(of(0.9, None), [0, 1, 2]);
        assert_eq!(of(1.0, Some(2)), [1, 2]);
        // Past those that are sorted first.
        let flat = vec![0.0; 4 * FIRST];
        let most = picks(Sampling { top_p: 0.5, ..warm() }, &flat, 5000).into_iter().max().unwrap();
        assert!((FIRST as u32..2 * FIRST as u32).contains(&most), "{most}");
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(Sampler::new(warm()).pick(&[0.0, f32::NAN]).is_err());
    }
}
