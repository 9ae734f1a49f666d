//! Examples: the tokens of pairs, those that are learned from and those that are held back.

use std::path::Path;

use super::network::Example;
use super::pairs::{BETWEEN, Pair};
use super::{AlignError, AlignOptions};
use crate::model::local::tokenizer::GgufTokenizer;
use crate::random::Random;

/// The examples of a run.
pub(super) struct Examples {
    pub(super) learned: Vec<Example>,
    pub(super) held: Vec<Example>,
    /// The number of pairs that were cut.
    pub(super) cut: usize,
}

impl Examples {
    /// Makes examples of pairs, and holds some back.
    pub(super) fn new(
        path: &Path,
        pairs: &[Pair],
        (tokenizer, bos): (&GgufTokenizer, Option<u32>),
        options: &AlignOptions,
    ) -> Result<Self, AlignError> {
        let ids = |text: &str| tokenizer.encode(text).iter().map(|token| token.id).collect::<Vec<_>>();
        let (mut examples, mut cut) = (Vec::with_capacity(pairs.len()), 0);
        for pair in pairs {
            // The border between prompt and answer is one between tokens.
            let prompt =
                if pair.prompt.is_empty() { Vec::new() } else { ids(&(pair.prompt.clone() + BETWEEN)) };
            let (example, was_cut) = example(bos, &prompt, &ids(&pair.answer), options.length);
            let (path, line) = (path.to_owned(), pair.line);
            if was_cut && !options.cut {
                let tokens = bos.iter().len() + prompt.len() + ids(&pair.answer).len();
                return Err(AlignError::TooLong { path, line, tokens, length: options.length });
            }
            if example.targets() == 0 {
                let fault = "its answer is one token with nothing before it".to_owned();
                return Err(AlignError::Pair { path, line, fault });
            }
            cut += usize::from(was_cut);
            examples.push(example);
        }
        Random::new(options.seed).shuffle(&mut examples);
        let held = (examples.len() as f64 * options.held).round() as usize;
        let learned = examples.split_off(held.clamp(1, examples.len() - 1));
        Ok(Self { learned, held: examples, cut })
    }

    /// The steps of one epoch.
    pub(super) fn steps(&self, batch: usize) -> usize {
        self.learned.len().div_ceil(batch)
    }

    /// The examples of a step, counted from 0: each epoch has an order of its own.
    pub(super) fn batch(&self, step: usize, options: &AlignOptions) -> Vec<&Example> {
        let (epoch, place) = (step / self.steps(options.batch), step % self.steps(options.batch));
        let mut order: Vec<&Example> = self.learned.iter().collect();
        // The split was drawn from the seed itself.
        Random::new(options.seed.wrapping_add(1 + epoch as u64)).shuffle(&mut order);
        order.into_iter().skip(place * options.batch).take(options.batch).collect()
    }
}

/// Puts a prompt and an answer together, and tells whether they had to be cut to `length`: at least half of it is for a
/// prompt that is so long, of which the end counts, and the rest for the beginning of the answer.
fn example(bos: Option<u32>, prompt: &[u32], answer: &[u32], length: usize) -> (Example, bool) {
    let room = length - bos.iter().len();
    let for_prompt = prompt.len().min(room.saturating_sub(answer.len()).max(room / 2));
    let for_answer = answer.len().min(room - for_prompt);
    let kept = &prompt[prompt.len() - for_prompt..];
    let ids = [bos.as_slice(), kept, &answer[..for_answer]].concat();
    let scored_from = (ids.len() - for_answer).max(1);
    (Example { ids, scored_from }, for_prompt < prompt.len() || for_answer < answer.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pairs_keep_the_end_of_the_prompt_and_the_beginning_of_the_answer() {
        let ids = |range: std::ops::Range<u32>| range.collect::<Vec<_>>();
        let made = |bos, prompt: u32, answer: u32| example(bos, &ids(0..prompt), &ids(100..100 + answer), 8);
        let cases = [
            (None, 3, 4, vec![0, 1, 2, 100, 101, 102, 103], 3, false),
            (None, 9, 3, vec![4, 5, 6, 7, 8, 100, 101, 102], 5, true),
            (None, 9, 9, vec![5, 6, 7, 8, 100, 101, 102, 103], 4, true),
            (None, 1, 9, vec![0, 100, 101, 102, 103, 104, 105, 106], 1, true),
            (Some(7), 0, 2, vec![7, 100, 101], 1, false),
            (Some(7), 9, 3, vec![7, 5, 6, 7, 8, 100, 101, 102], 5, true),
            (None, 0, 2, vec![100, 101], 1, false),
        ];
        for (bos, prompt, answer, ids, scored_from, cut) in cases {
            assert_eq!(made(bos, prompt, answer), (Example { ids, scored_from }, cut));
        }
    }
}
