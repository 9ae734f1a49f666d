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

use std::ops::Range;

use super::assemble::{heading, kept_ranges, render, render_document, render_original, slices};
use super::select::largest_prefix;
use super::{CompressError, Compressed, KeptDocument, Prompt, Stages, Target, Tools};
use crate::model::{ScoreJob, Token};
use crate::text::{Unit, units};

/// Documents are taken, most surprising first, until they hold this many times the budget: granularity
/// `k` of the paper's budget controller.
const GRANULARITY: f64 = 2.0;

/// A selection whose budget is this nearly used up is not searched for smaller words that still fit.
const CLOSE: f64 = 0.995;
/// Times that a word which does not fit is passed over for smaller ones behind it.
const PASSED_OVER: usize = 8;

/// A document's words with their scores.
struct Scored {
    /// Nats a token, for each word.
    unit_scores: Vec<f32>,
    /// Mean over all scored tokens.
    mean: f64,
    tokens: usize,
}

/// Number of a document and of a word in it.
type Place = (usize, usize);

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    let mut stages = Stages::default();
    let original_tokens = stages.time("count", || tools.counter.count(&render_original(prompt)));
    let budget = target.tokens(original_tokens);
    if original_tokens <= budget {
        return Ok(unchanged(prompt, original_tokens, budget, stages));
    }
    let words = stages.time("split", || Words::new(prompt, tools));
    let smallest = stages.time("select", || words.smallest());
    if smallest.tokens > budget {
        return Err(CompressError::Infeasible { budget, needed: smallest.tokens });
    }
    let scored = score(&words, tools, &mut stages)?;
    let ranking = rank(&scored);
    let kept = stages.time("select", || {
        let room = budget - words.assemble(&[]).tokens.min(budget);
        let order = words.priority(&scored, &ranking, room);
        words.select(order, budget, smallest)
    })?;
    let documents = describe(prompt, &scored, &ranking, kept.ranges);
    let used = documents.iter().filter(|document| !document.kept.is_empty()).count();
    Ok(Compressed {
        compressed_tokens: kept.tokens,
        prompt: kept.prompt,
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

fn score(words: &Words, tools: &Tools, stages: &mut Stages) -> Result<Vec<Scored>, CompressError> {
    let texts = || words.prompt.documents.iter().map(|document| document.text.as_str());
    let tokens: Vec<Vec<Token>> =
        stages.time("tokenize", || texts().map(|t| tools.scorer.encode(t)).collect());
    let jobs: Vec<ScoreJob> = tokens
        .iter()
        .map(|tokens| ScoreJob { prefix: [].into(), ids: tokens.iter().map(|token| token.id).collect() })
        .collect();
    let nll = stages.time("score", || tools.scorer.score(&jobs, tools.cancel))?;
    let scored = words.units.iter().zip(&tokens).zip(&nll);
    Ok(stages.time("select", || scored.map(|((units, tokens), nll)| lift(units, tokens, nll)).collect()))
}

/// Lifts token scores to words: the mean over the tokens that overlap a word. A first token, which nothing
/// predicts, counts as much as the document's mean.
fn lift(units: &[Unit], tokens: &[Token], nll: &[f32]) -> Scored {
    let mean = mean(nll.iter().copied());
    let score_of = |token: usize| token.checked_sub(1).map_or(mean as f32, |before| nll[before]);
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
    Scored { unit_scores, mean, tokens: tokens.len() }
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

/// A prompt cut into words, from which selections are put together.
struct Words<'a> {
    prompt: &'a Prompt,
    tools: &'a Tools<'a>,
    /// Of each document.
    units: Vec<Vec<Unit>>,
}

/// What a selection came to.
struct Selection {
    prompt: String,
    ranges: Vec<Vec<Range<usize>>>,
    tokens: usize,
}

impl<'a> Words<'a> {
    fn new(prompt: &'a Prompt, tools: &'a Tools) -> Self {
        let texts = prompt.documents.iter().map(|document| document.text.as_str());
        let units = texts.map(|text| units(text, &tools.protector.spans(text))).collect();
        Self { prompt, tools, units }
    }

    /// The prompt that keeps these words.
    fn assemble(&self, places: &[Place]) -> Selection {
        let mut kept: Vec<Vec<bool>> = self.units.iter().map(|units| vec![false; units.len()]).collect();
        for &(document, unit) in places {
            kept[document][unit] = true;
        }
        let documents = self.prompt.documents.iter().zip(&self.units).zip(&kept);
        let ranges: Vec<_> = documents
            .map(|((document, units), kept)| kept_ranges(&document.text, units, |unit| kept[unit]))
            .collect();
        let texts = self.prompt.documents.iter().zip(&ranges).map(|(d, ranges)| (d, slices(&d.text, ranges)));
        let prompt = render(self.prompt, texts);
        Selection { tokens: self.tools.counter.count(&prompt), prompt, ranges }
    }

    /// Tokens of a word by itself with its document's title, but for joins.
    fn cost(&self, (document, unit): Place) -> usize {
        let source = &self.prompt.documents[document];
        let word = &source.text[self.units[document][unit].core.clone()];
        self.tools.counter.count(&render_document(source, word))
    }

    /// Every word; what is only white space is none.
    fn all(&self, documents: impl Iterator<Item = usize>) -> impl Iterator<Item = Place> {
        let places =
            documents.flat_map(|document| (0..self.units[document].len()).map(move |unit| (document, unit)));
        places.filter(|&(document, unit)| !self.units[document][unit].core.is_empty())
    }

    /// The prompt that keeps the one word that takes least.
    fn smallest(&self) -> Selection {
        let bytes = |&(document, unit): &Place| {
            heading(&self.prompt.documents[document]).len() + self.units[document][unit].core.len()
        };
        // Words of few bytes take few tokens: only those need to be counted.
        let mut places: Vec<Place> = self.all(0..self.units.len()).collect();
        places.sort_by_cached_key(bytes);
        places.truncate(64);
        let cheapest = places.into_iter().min_by_key(|&place| self.cost(place));
        self.assemble(cheapest.as_slice())
    }

    /// Words of the documents that the coarse ranking lets through and that fit into `room`, most surprising first.
    fn priority(&self, scored: &[Scored], ranking: &[usize], room: usize) -> Vec<Place> {
        let enough = room as f64 * GRANULARITY;
        let mut taken = 0;
        let documents = ranking.iter().copied().take_while(|&document| {
            let open = (taken as f64) < enough;
            taken += scored[document].tokens;
            open
        });
        // A token has at least one byte, so that short words need not be counted.
        let fits = |&(document, unit): &Place| {
            self.units[document][unit].core.len() <= room || self.cost((document, unit)) <= room
        };
        let mut order: Vec<Place> = self.all(documents).filter(fits).collect();
        let score = |&(document, unit): &Place| scored[document].unit_scores[unit];
        order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        order
    }

    /// As many words as fit, the first in `order` before all others; `smallest` where none of them fits.
    fn select(
        &self,
        mut order: Vec<Place>,
        budget: usize,
        smallest: Selection,
    ) -> Result<Selection, CompressError> {
        let close = (budget as f64 * CLOSE) as usize;
        let mut best = smallest;
        for _ in 0..=PASSED_OVER {
            let count = |n| self.assemble(&order[..n]).tokens;
            let n = match largest_prefix(order.len(), budget, self.tools.cancel, count) {
                Ok(n) => n,
                Err(CompressError::Infeasible { .. }) => 0,
                Err(other) => return Err(other),
            };
            if n > 0 {
                best = self.assemble(&order[..n]);
            }
            if n == order.len() || (n > 0 && best.tokens >= close) {
                break;
            }
            order.remove(n);
        }
        Ok(best)
    }
}

fn describe(
    prompt: &Prompt,
    scored: &[Scored],
    ranking: &[usize],
    ranges: Vec<Vec<Range<usize>>>,
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
