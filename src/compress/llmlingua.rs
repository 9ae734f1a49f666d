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

use super::assemble::{kept_ranges, render, render_original, slices};
use super::select::largest_prefix;
use super::{CompressError, Compressed, KeptDocument, Prompt, Stages, Target, Tools};
use crate::model::{ScoreJob, Token};
use crate::text::{Unit, units};

/// Documents are taken, most surprising first, until they hold this many times the budget: granularity
/// `k` of the paper's budget controller.
const GRANULARITY: f64 = 2.0;

/// A document with its words and their scores.
struct Scored {
    units: Vec<Unit>,
    /// Nats a token, for each unit.
    unit_scores: Vec<f32>,
    /// Mean over all scored tokens.
    mean: f64,
    tokens: usize,
}

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    let mut stages = Stages::default();
    let original_tokens = stages.time("count", || tools.counter.count(&render_original(prompt)));
    let budget = target.tokens(original_tokens);
    if original_tokens <= budget {
        return Ok(unchanged(prompt, original_tokens, budget, stages));
    }
    let fixed = tools.counter.count(&render(prompt, std::iter::empty()));
    if fixed > budget {
        return Err(CompressError::Infeasible { budget, needed: fixed });
    }
    let scored = score(prompt, tools, &mut stages)?;
    let ranking = rank(&scored);
    let order = priority(&scored, &ranking, budget - fixed);
    let kept = stages.time("select", || select(prompt, &scored, &order, budget, tools))?;
    let prompt_text = kept.prompt;
    let documents = describe(prompt, &scored, &ranking, kept.ranges);
    let used = documents.iter().filter(|document| !document.kept.is_empty()).count();
    Ok(Compressed {
        compressed_tokens: kept.tokens,
        prompt: prompt_text,
        reason: format!("kept the most surprising words of {used} of {} documents", documents.len()),
        documents,
        original_tokens,
        requested_tokens: budget,
        stages,
    })
}

/// The prompt as it is, when it fits already.
fn unchanged(prompt: &Prompt, tokens: usize, budget: usize, stages: Stages) -> Compressed {
    let whole = |text: &str| if text.is_empty() { vec![] } else { std::iter::once(0..text.len()).collect() };
    let documents = prompt.documents.iter().map(|document| KeptDocument {
        id: document.id.clone(),
        text: document.text.clone(),
        kept: whole(&document.text),
        rank: None,
        score: None,
    });
    Compressed {
        prompt: render_original(prompt),
        documents: documents.collect(),
        original_tokens: tokens,
        compressed_tokens: tokens,
        requested_tokens: budget,
        reason: "the prompt fits the budget as it is".into(),
        stages,
    }
}

fn score(prompt: &Prompt, tools: &Tools, stages: &mut Stages) -> Result<Vec<Scored>, CompressError> {
    let texts = || prompt.documents.iter().map(|document| document.text.as_str());
    let tokens: Vec<Vec<Token>> =
        stages.time("tokenize", || texts().map(|t| tools.scorer.encode(t)).collect());
    let jobs: Vec<ScoreJob> = tokens
        .iter()
        .map(|tokens| ScoreJob { prefix: [].into(), ids: tokens.iter().map(|token| token.id).collect() })
        .collect();
    let nll = stages.time("score", || tools.scorer.score(&jobs, tools.cancel))?;
    Ok(stages.time("select", || {
        let scored = texts().zip(&tokens).zip(&nll);
        scored.map(|((text, tokens), nll)| lift(text, tokens, nll, tools)).collect()
    }))
}

/// Lifts token scores to words: the mean over the tokens that overlap a word. A first token, which nothing
/// predicts, counts as much as the document's mean.
fn lift(text: &str, tokens: &[Token], nll: &[f32], tools: &Tools) -> Scored {
    let mean = mean(nll.iter().copied());
    let score_of = |token: usize| token.checked_sub(1).map_or(mean as f32, |before| nll[before]);
    let units = units(text, &tools.protector.spans(text));
    let mut first = 0;
    let unit_scores = units
        .iter()
        .map(|unit| {
            first += tokens[first..].partition_point(|token| token.range.end <= unit.range.start);
            let overlapping =
                tokens[first..].iter().take_while(|token| token.range.start < unit.range.end).count();
            self::mean((first..first + overlapping).map(score_of)) as f32
        })
        .collect();
    Scored { units, unit_scores, mean, tokens: tokens.len() }
}

fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (mut sum, mut n) = (0.0, 0_u32);
    for value in values {
        sum += f64::from(value);
        n += 1;
    }
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

/// Document numbers, most surprising first.
fn rank(scored: &[Scored]) -> Vec<usize> {
    let mut ranking: Vec<usize> = (0..scored.len()).collect();
    ranking.sort_by(|&a, &b| scored[b].mean.total_cmp(&scored[a].mean).then(a.cmp(&b)));
    ranking
}

/// Units of the documents that the coarse ranking lets through, most surprising first.
fn priority(scored: &[Scored], ranking: &[usize], budget: usize) -> Vec<(usize, usize)> {
    let room = (budget as f64 * GRANULARITY) as usize;
    let mut taken = 0;
    let candidates = ranking.iter().copied().take_while(|&document| {
        let open = taken < room;
        taken += scored[document].tokens;
        open
    });
    let mut order: Vec<(usize, usize)> = candidates
        .flat_map(|document| (0..scored[document].units.len()).map(move |unit| (document, unit)))
        .filter(|&(document, unit)| !scored[document].units[unit].core.is_empty())
        .collect();
    let score = |&(document, unit): &(usize, usize)| scored[document].unit_scores[unit];
    order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
    order
}

/// What a selection came to.
struct Selection {
    prompt: String,
    ranges: Vec<Vec<std::ops::Range<usize>>>,
    tokens: usize,
}

fn select(
    prompt: &Prompt,
    scored: &[Scored],
    order: &[(usize, usize)],
    budget: usize,
    tools: &Tools,
) -> Result<Selection, CompressError> {
    let mut place: Vec<Vec<usize>> = scored.iter().map(|s| vec![usize::MAX; s.units.len()]).collect();
    for (i, &(document, unit)) in order.iter().enumerate() {
        place[document][unit] = i;
    }
    let assemble = |n: usize| {
        let documents = prompt.documents.iter().zip(scored).zip(&place);
        let ranges: Vec<_> = documents
            .map(|((document, scored), place)| {
                kept_ranges(&document.text, &scored.units, |unit| place[unit] < n)
            })
            .collect();
        let texts = prompt.documents.iter().zip(&ranges).map(|(d, ranges)| (d, slices(&d.text, ranges)));
        let text = render(prompt, texts);
        (tools.counter.count(&text), text, ranges)
    };
    let n = largest_prefix(order.len(), budget, tools.cancel, |n| assemble(n).0)?;
    let (tokens, prompt, ranges) = assemble(n);
    Ok(Selection { prompt, ranges, tokens })
}

fn describe(
    prompt: &Prompt,
    scored: &[Scored],
    ranking: &[usize],
    ranges: Vec<Vec<std::ops::Range<usize>>>,
) -> Vec<KeptDocument> {
    let mut ranks = vec![0; ranking.len()];
    for (rank, &document) in ranking.iter().enumerate() {
        ranks[document] = rank;
    }
    let documents = prompt.documents.iter().zip(scored).zip(ranks).zip(ranges);
    documents
        .map(|(((document, scored), rank), kept)| KeptDocument {
            id: document.id.clone(),
            text: slices(&document.text, &kept),
            kept,
            rank: Some(rank),
            score: Some(scored.mean),
        })
        .collect()
}
