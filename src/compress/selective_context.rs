//! `selective-context`: the parts of a text with the most information (arXiv 2310.06201).
//!
//! Every sentence is scored by itself, so that what a text repeats stays as surprising as it was. A part, a
//! word, a phrase or a sentence, is worth the mean information of its tokens; the worst parts of all documents
//! go, as many as the budget asks for, where the first implementation drops a fixed percentile of each text.
//! Phrases are told by a rule of thumb ([`Granularity::Phrase`]) instead of a parser's noun chunks.

use std::ops::Range;

use super::select::ranked;
use super::words::{self, Plan, WordSelector, mean};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};
use crate::model::{ScoreJob, Token, TokenScorer};
use crate::text::{Granularity, sentences};

/// Stands before each sentence, so that its first token has a likelihood, too.
const START: &str = "\n";

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress_by(Granularity::Phrase, prompt, target, tools, plan)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let scorer = words.tools.scorer()?;
    let start: std::sync::Arc<[u32]> = super::llmlingua::ids(&scorer.encode(START)).into();
    let texts: Vec<&str> = words.prompt.documents.iter().map(|document| document.text.as_str()).collect();
    let parts: Vec<Vec<Vec<Token>>> = stages.time("tokenize", || {
        texts
            .iter()
            .map(|text| sentences(text).into_iter().map(|range| encode(scorer, text, range)).collect())
            .collect()
    });
    let jobs: Vec<ScoreJob> = parts
        .iter()
        .flatten()
        .map(|tokens| ScoreJob { prefix: start.clone(), ids: super::llmlingua::ids(tokens) })
        .collect();
    let mut nll = stages.time("score", || scorer.score(&jobs, words.tools.cancel))?.into_iter();
    let (mut scores, mut worth) = (Vec::new(), Vec::new());
    for (document, parts) in parts.into_iter().enumerate() {
        let own: Vec<f32> = nll.by_ref().take(parts.len()).flatten().collect();
        worth.push(mean(own.iter().copied()));
        scores.push(words.pool_to_words(document, &parts.concat(), &own));
    }
    let order = words.best_first(0..scores.len(), room, &scores);
    Ok(Plan { order, ranking: ranked(worth), scores, ..Plan::default() })
}

/// Tokens of a part of `text`, with their places in the whole.
fn encode(scorer: &dyn TokenScorer, text: &str, range: Range<usize>) -> Vec<Token> {
    let tokens = scorer.encode(&text[range.clone()]).into_iter();
    let moved = |bytes: Range<usize>| range.start + bytes.start..range.start + bytes.end;
    tokens.map(|token| Token { range: moved(token.range), ..token }).collect()
}
