//! Cosines of texts by the meanings of their words alone: the rows of the vocabulary, without the model above them.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::model::local::encoder::Encoder;

/// The cosines of the weighted means of the words' rows of each text and of the question. A word weighs the more, the
/// fewer texts hold it; what all texts have in common is taken off.
pub(super) fn cosines(question: &[u32], texts: &[Vec<u32>], encoder: &Encoder) -> Vec<f64> {
    let width = encoder.config.width;
    let weights = Rarity::among(texts);
    let mean = |ids: &[u32]| {
        let (mut sum, mut row, mut total) = (vec![0.0_f32; width], Vec::with_capacity(width), 0.0);
        for &id in ids {
            let weight = weights.of(id);
            row.clear();
            encoder.words.append(id, width, &mut row);
            sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += weight * value);
            total += weight;
        }
        for value in &mut sum {
            *value /= total.max(f32::MIN_POSITIVE);
        }
        sum
    };
    let means: Vec<Vec<f32>> = texts.par_iter().map(|ids| mean(ids)).collect();
    let mut common = vec![0.0_f32; width];
    for mean in &means {
        common.iter_mut().zip(mean).for_each(|(sum, value)| *sum += value / means.len() as f32);
    }
    let apart = |mut mean: Vec<f32>| {
        mean.iter_mut().zip(&common).for_each(|(value, common)| *value -= common);
        mean
    };
    let question = apart(mean(question));
    means.into_par_iter().map(|mean| cosine(&question, &apart(mean))).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// The rarity of words among texts.
struct Rarity {
    holders: HashMap<u32, u32>,
    texts: f32,
}

impl Rarity {
    fn among(texts: &[Vec<u32>]) -> Self {
        let mut holders: HashMap<u32, u32> = HashMap::new();
        for ids in texts {
            let mut own = ids.clone();
            own.sort_unstable();
            own.dedup();
            for id in own {
                *holders.entry(id).or_default() += 1;
            }
        }
        Self { holders, texts: texts.len() as f32 }
    }

    /// The weight of a word.
    fn of(&self, id: u32) -> f32 {
        let holders = self.holders.get(&id).copied().unwrap_or_default() as f32;
        (1.0 + (self.texts - holders + 0.5) / (holders + 0.5)).ln()
    }
}
