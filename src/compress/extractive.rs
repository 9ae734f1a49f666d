//! `extractive`: the whole sentences that are nearest to the question (the method that *Characterizing Prompt
//! Compression*, arXiv 2407.08892, found to lose least at high ratios). See [`super::relevance`] for the worth of a
//! sentence; a document's title stays with whatever is kept of it.

use super::relevance::{Relevance, relevance};
use super::words::{self, Plan, WordSelector};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};
use crate::text::Granularity;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress_by(Granularity::Sentence, prompt, target, tools, plan)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let Relevance { ranking, sentences } =
        stages.time("embed", || relevance(words.prompt, &words.segments, room, words.tools))?;
    let scores = words.broadcast(&sentences);
    let order = words.best_first(0..scores.len(), room, &scores);
    Ok(Plan { order, ranking, scores, ..Plan::default() })
}
