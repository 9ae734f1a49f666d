//! `longllmlingua`, exact mode: documents and words chosen by what the question makes of them.
//!
//! LongLLMLingua (arXiv 2310.06839) ranks documents by how likely the question is after each of them, keeps
//! more of the better ones, and within a document keeps the words that the question makes likelier: those
//! whose negative log-likelihood falls most when the question stands before them. This implementation keeps
//! the ideas and mends the mechanics as [`super::llmlingua`] does.
//!
//! A document and the question after it go through the model in one pass, which gives the document's own
//! likelihoods as well; only documents that are let through are run a second time, after the question.

use std::sync::Arc;

use super::llmlingua::{ids, tokenize};
use super::words::{self, Place, Plan, Words, mean};
use super::{CompressError, Compressed, ContextBudget, Prompt, Stages, Target, Tools};
use crate::model::{ScoreJob, Token};

/// Appended to the question that documents are ranked by; from the paper.
const RESTRICTIVE: &str = " We can get the answer to this question in the given documents.";
/// Documents are let through, the best first, until they hold this many tokens more than there is room for.
const CONTEXT_BUDGET: ContextBudget = ContextBudget::Add(100.0);
/// How much more of its words the best document keeps than the average one; the worst keeps as much less.
const DYNAMIC_RATIO: f64 = 0.3;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

fn plan(words: &Words, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let tokens = tokenize(words.tools.scorer()?, words, stages);
    let (own, ranking) = stages.time("score", || rank(words, &tokens))?;
    let chosen = words.let_through(&ranking, |document| tokens[document].len(), room, CONTEXT_BUDGET);
    let conditioned = stages.time("score", || condition(words, &tokens, &chosen))?;
    let (order, scores) = stages.time("select", || {
        let mut scores = vec![Vec::new(); tokens.len()];
        for (&document, conditioned) in chosen.iter().zip(&conditioned) {
            // After the question every token has a score, by itself the first has none.
            let skipped = conditioned.len() - own[document].len();
            let gains = own[document].iter().zip(&conditioned[skipped..]).map(|(own, after)| own - after);
            scores[document] = words.lift(document, &tokens[document], &gains.collect::<Vec<_>>());
        }
        (order(words, &chosen, &scores, room), scores)
    });
    Ok(Plan { order, ranking, scores })
}

/// Own likelihoods of each document, and the documents by the mean NLL of the question after them.
#[expect(clippy::type_complexity, reason = "two results of one pass")]
fn rank(words: &Words, tokens: &[Vec<Token>]) -> Result<(Vec<Vec<f32>>, Vec<(usize, f64)>), CompressError> {
    let scorer = words.tools.scorer()?;
    let query = ids(&scorer.encode(&format!("{}{RESTRICTIVE}", words.prompt.question)));
    let own = tokens.iter().map(|tokens| ScoreJob { prefix: [].into(), ids: ids(tokens) });
    let after = tokens.iter().map(|tokens| ScoreJob { prefix: ids(tokens).into(), ids: query.clone() });
    let mut nll = scorer.score(&own.chain(after).collect::<Vec<_>>(), words.tools.cancel)?;
    let after = nll.split_off(tokens.len());
    let mut ranking: Vec<(usize, f64)> =
        after.into_iter().map(|nll| mean(nll.into_iter())).enumerate().collect();
    ranking.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    Ok((nll, ranking))
}

/// Likelihoods of the chosen documents after the question.
fn condition(words: &Words, tokens: &[Vec<Token>], chosen: &[usize]) -> Result<Vec<Vec<f32>>, CompressError> {
    let scorer = words.tools.scorer()?;
    let question: Arc<[u32]> = ids(&scorer.encode(&format!("{}\n\n", words.prompt.question))).into();
    let jobs: Vec<ScoreJob> = chosen
        .iter()
        .map(|&document| ScoreJob { prefix: question.clone(), ids: ids(&tokens[document]) })
        .collect();
    Ok(scorer.score(&jobs, words.tools.cancel)?)
}

/// Words of all chosen documents by their place in their own document's order, shifted by the document's
/// rank: at any depth the best document keeps [`DYNAMIC_RATIO`] more than the average.
fn order(words: &Words, chosen: &[usize], scores: &[Vec<f32>], room: usize) -> Vec<Place> {
    let ratio = words.prompt.demands.dynamic_ratio.unwrap_or(DYNAMIC_RATIO);
    let last = chosen.len().saturating_sub(1).max(1) as f64;
    let mut keyed: Vec<(f64, Place)> = Vec::new();
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
