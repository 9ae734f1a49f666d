//! `longllmlingua`, exact mode: documents and words chosen by what the question makes of them.
//!
//! LongLLMLingua (arXiv 2310.06839) ranks documents by how likely the question is after each of them, keeps
//! more of the better ones, and within a document keeps the words that the question makes likelier: those
//! whose negative log-likelihood falls most when the question stands before them. This implementation keeps
//! the ideas and mends the mechanics as [`super::llmlingua`] does.
//!
//! A document and the question after it go through the model in one pass, which gives the document's own
//! likelihoods as well; only documents that are let through are run a second time, after the question. The
//! other conditions of the first implementation can be asked for ([`RankBy`]).

use std::sync::Arc;

use super::assemble::render_document;
use super::llmlingua::{ids, tokenize};
use super::words::{self, Plan, WordIndex, WordSelector, mean};
use super::{CompressError, Compressed, ContextBudget, Document, Prompt, RankBy, Stages, Target, Tools};
use crate::model::{Cancel, ScoreError, ScoreJob, Token, TokenScorer};

/// Appended to the question that documents are ranked by; from the paper.
const RESTRICTIVE: &str = " We can get the answer to this question in the given documents.";
/// Documents are let through, the best first, until they hold this many tokens more than there is room for.
const CONTEXT_BUDGET: ContextBudget = ContextBudget::Add(100.0);
/// The spread of keep rates: the best document keeps so much more of its words than the average one, the worst as much
/// less.
const DYNAMIC_RATIO: f64 = 0.3;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

/// Documents of a prompt, titles included, by how likely its question is after each ([`RankBy::After`]): the most
/// valuable first, each with the mean negative log-likelihood of a token of the question, in nats; the lower, the
/// better.
///
/// # Errors
/// The scorer failed or was stopped.
pub fn rank_by_likelihood(
    prompt: &Prompt,
    scorer: &dyn TokenScorer,
    cancel: &Cancel,
) -> Result<Vec<(usize, f64)>, CompressError> {
    let text = |document: &Document| scorer.encode(&render_document(document, &document.text));
    let tokens: Vec<Vec<Token>> = prompt.documents.iter().map(text).collect();
    Ok(by_question(scorer, &tokens, &prompt.question, Vec::new(), cancel)?.ranking)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let tokens = tokenize(words.tools.scorer()?, words, stages);
    let Ranked { mut own, mut conditioned, ranking } = stages.time("score", || rank(words, &tokens))?;
    let chosen = words.coarse_filter(&ranking, |document| tokens[document].len(), room, CONTEXT_BUDGET);
    stages.time("score", || -> Result<(), CompressError> {
        if own.is_empty() {
            own = of_chosen(words, &tokens, &chosen, "")?;
        }
        if conditioned.is_empty() {
            conditioned = of_chosen(words, &tokens, &chosen, &format!("{}\n\n", words.prompt.question))?;
        }
        Ok(())
    })?;
    let (order, scores) = stages.time("select", || {
        let mut scores = vec![Vec::new(); tokens.len()];
        for &document in &chosen {
            let (own, conditioned) = (&own[document], &conditioned[document]);
            // After the question every token has a score, by itself the first has none.
            let skipped = conditioned.len() - own.len();
            let gains = own.iter().zip(&conditioned[skipped..]).map(|(own, after)| own - after);
            scores[document] = words.pool_to_words(document, &tokens[document], &gains.collect::<Vec<_>>());
        }
        (order(words, &chosen, &scores, room), scores)
    });
    Ok(Plan { order, ranking, scores, ..Plan::default() })
}

/// The documents by their worth, the best first, and what likelihoods of all of them that took.
struct Ranked {
    /// The losses of documents by themselves; empty where they were not needed.
    own: Vec<Vec<f32>>,
    /// The losses of documents after the question; empty where they were not needed.
    conditioned: Vec<Vec<f32>>,
    ranking: Vec<(usize, f64)>,
}

fn rank(words: &WordSelector, tokens: &[Vec<Token>]) -> Result<Ranked, CompressError> {
    let scorer = words.tools.scorer()?;
    let all: Vec<usize> = (0..tokens.len()).collect();
    match words.prompt.constraints.rank_by.unwrap_or_default() {
        RankBy::After => {
            let own = tokens.iter().map(|tokens| ScoreJob { prefix: [].into(), ids: ids(tokens) }).collect();
            Ok(by_question(scorer, tokens, &words.prompt.question, own, words.tools.cancel)?)
        }
        RankBy::Before => {
            let before = format!("{}\n\n", asked(&words.prompt.question));
            let conditioned = of_chosen(words, tokens, &all, &before)?;
            let ranking = lowest_first(&conditioned);
            Ok(Ranked { own: Vec::new(), conditioned, ranking })
        }
        RankBy::None => {
            let own = of_chosen(words, tokens, &all, "")?;
            let mut ranking = lowest_first(&own);
            ranking.reverse();
            Ok(Ranked { own, conditioned: Vec::new(), ranking })
        }
    }
}

/// Returns the text whose likelihood ranks documents.
fn asked(question: &str) -> String {
    format!("{question}{RESTRICTIVE}")
}

/// Ranks documents by the likelihood of the question after each. `own` are the jobs of the documents by themselves where
/// their likelihoods are needed too: both go through the model in one pass.
fn by_question(
    scorer: &dyn TokenScorer,
    documents: &[Vec<Token>],
    question: &str,
    own: Vec<ScoreJob>,
    cancel: &Cancel,
) -> Result<Ranked, ScoreError> {
    let query = ids(&scorer.encode(&asked(question)));
    let first = own.len();
    let after = documents.iter().map(|tokens| ScoreJob { prefix: ids(tokens).into(), ids: query.clone() });
    let mut own = scorer.score(&own.into_iter().chain(after).collect::<Vec<_>>(), cancel)?;
    let ranking = lowest_first(&own.split_off(first));
    Ok(Ranked { own, conditioned: Vec::new(), ranking })
}

/// Places of likelihoods with their means, the lowest first.
fn lowest_first(nll: &[Vec<f32>]) -> Vec<(usize, f64)> {
    let mut ranking: Vec<(usize, f64)> =
        nll.iter().map(|nll| mean(nll.iter().copied())).enumerate().collect();
    ranking.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    ranking
}

/// Likelihoods of the chosen documents after a text, by document; nothing of the others.
fn of_chosen(
    words: &WordSelector,
    tokens: &[Vec<Token>],
    chosen: &[usize],
    before: &str,
) -> Result<Vec<Vec<f32>>, CompressError> {
    let scorer = words.tools.scorer()?;
    let prefix: Arc<[u32]> = ids(&scorer.encode(before)).into();
    let job = |&document: &usize| ScoreJob { prefix: prefix.clone(), ids: ids(&tokens[document]) };
    let scored = scorer.score(&chosen.iter().map(job).collect::<Vec<_>>(), words.tools.cancel)?;
    let mut nll = vec![Vec::new(); tokens.len()];
    for (&document, scored) in chosen.iter().zip(scored) {
        nll[document] = scored;
    }
    Ok(nll)
}

/// Words of all chosen documents by their place in their own document's order, shifted by the document's
/// rank: at any depth the best document keeps [`DYNAMIC_RATIO`] more than the average.
fn order(words: &WordSelector, chosen: &[usize], scores: &[Vec<f32>], room: usize) -> Vec<WordIndex> {
    let ratio = words.prompt.constraints.dynamic_ratio.unwrap_or(DYNAMIC_RATIO);
    let last = chosen.len().saturating_sub(1).max(1) as f64;
    let mut keyed: Vec<(f64, WordIndex)> = Vec::new();
    for (rank, &document) in chosen.iter().enumerate() {
        let bonus = if chosen.len() < 2 { 0.0 } else { ratio * (1.0 - 2.0 * rank as f64 / last) };
        let scores = &scores[document];
        let mut own = words.candidates(std::iter::once(document), room);
        own.sort_by(|a, b| scores[b.1].total_cmp(&scores[a.1]).then(a.cmp(b)));
        let n = own.len() as f64;
        keyed.extend(own.into_iter().enumerate().map(|(i, place)| (i as f64 / n - bonus, place)));
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, place)| place).collect()
}
