//! `llmlingua`, exact mode: coarse ranking by perplexity, then the most surprising words under one budget.
//!
//! LLMLingua (arXiv 2310.05736) keeps what a small language model finds surprising. Against its
//! first implementation, which [`super::reference`] reproduces, this one
//!
//! - scores every document once, by itself, for ranking and selection alike, and each token by its own
//!   likelihood (the reference's mask is off by one token);
//! - decides on whole words, graphemes and protected spans, a word being worth the mean of its tokens, and
//!   selects by one threshold over all documents, the tail included;
//! - fits the joined prompt to the budget as the target model counts, instead of overshooting it.

use super::select::ranked;
use super::surprise::Surprise;
use super::words::{self, Plan, WordSelector, mean};
use super::{CompressError, Compressed, ContextBudget, Prompt, Stages, Target, Tools};
use crate::model::{Token, TokenScorer};

/// Documents are taken, most surprising first, until they hold this many times the budget: granularity
/// `k` of the paper's budget controller.
const GRANULARITY: f64 = 2.0;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

/// The tokens of each document.
pub(super) fn tokenize(
    scorer: &dyn TokenScorer,
    words: &WordSelector,
    stages: &mut Stages,
) -> Vec<Vec<Token>> {
    let texts = words.prompt.documents.iter().map(|document| document.text.as_str());
    stages.time("tokenize", || texts.map(|text| scorer.encode(text)).collect())
}

/// Ids of tokens.
pub(super) fn ids(tokens: &[Token]) -> Vec<u32> {
    tokens.iter().map(|token| token.id).collect()
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let scorer = words.tools.scorer()?;
    let tokens = tokenize(scorer, words, stages);
    let documents = tokens.iter().map(|tokens| ids(tokens)).collect();
    let Surprise { nll, read, tokens: all } =
        stages.time("score", || Surprise::of(documents, scorer, words.tools.cancel))?;
    let note = (read < all)
        .then(|| format!("the scorer read {read} of {all} tokens and guessed the others from them"));
    let ranking = ranked(nll.iter().map(|nll| mean(nll.iter().copied())));
    let (order, scores) = stages.time("select", || {
        let usual = ContextBudget::Multiply(GRANULARITY);
        let documents = words.coarse_filter(&ranking, |document| tokens[document].len(), room, usual);
        let scores: Vec<Vec<f32>> = tokens
            .iter()
            .zip(&nll)
            .enumerate()
            .map(|(i, (tokens, nll))| words.pool_to_words(i, tokens, nll))
            .collect();
        let order = words.best_first(documents.into_iter(), room, &scores);
        (order, scores)
    });
    Ok(Plan { order, ranking, scores, note, ..Plan::default() })
}
