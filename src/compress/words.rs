//! What the methods that keep words share: cutting a prompt into words, and fitting the best of them to a
//! budget. A method says in which order words are worth keeping.

use std::ops::Range;

use super::assemble::{heading, kept_ranges, render, render_document, render_original, slices};
use super::select::largest_prefix;
use super::{CompressError, Compressed, KeptDocument, Prompt, Stages, Target, Tools};
use crate::model::Token;
use crate::text::{Unit, units};

/// When all but this part of the room is used up, no smaller words are searched for that still fit.
const CLOSE: usize = 200;
/// Times that a word which does not fit is passed over for smaller ones behind it.
const PASSED_OVER: usize = 8;

/// Number of a document and of a word in it.
pub(super) type Place = (usize, usize);

/// What a method decides.
pub(super) struct Plan {
    /// Words, the best first. Those that are missing are never kept.
    pub(super) order: Vec<Place>,
    /// Documents with what they were ranked by, the best first.
    pub(super) ranking: Vec<(usize, f64)>,
}

/// Compresses with a method's plan, which is made for a number of tokens that documents have room for.
pub(super) fn compress(
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&Words, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
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
    let room = budget - words.assemble(&[]).tokens.min(budget);
    let Plan { order, ranking } = plan(&words, room, &mut stages)?;
    let kept = stages.time("select", || words.select(order, budget, smallest))?;
    let documents = describe(prompt, &ranking, kept.ranges);
    let used = documents.iter().filter(|document| !document.kept.is_empty()).count();
    Ok(Compressed {
        compressed_tokens: kept.tokens,
        prompt: kept.prompt,
        reason: format!("kept the most informative words of {used} of {} documents", documents.len()),
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

/// Mean of `values`; 0 of none.
pub(super) fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (mut sum, mut n) = (0.0, 0_u32);
    for value in values {
        sum += f64::from(value);
        n += 1;
    }
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

/// A prompt cut into words, from which selections are put together.
pub(super) struct Words<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) tools: &'a Tools<'a>,
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

    /// Words of `documents`, in their order, that fit into `room`.
    pub(super) fn candidates(&self, documents: impl Iterator<Item = usize>, room: usize) -> Vec<Place> {
        // A token has at least one byte, so that short words need not be counted.
        let fits = |&(document, unit): &Place| {
            self.units[document][unit].core.len() <= room || self.cost((document, unit)) <= room
        };
        self.all(documents).filter(fits).collect()
    }

    /// Lifts token scores to words: the mean over the tokens that overlap a word. `scores` are those of the
    /// last tokens; the others, which nothing predicts, count as much as the mean of all.
    pub(super) fn lift(&self, document: usize, tokens: &[Token], scores: &[f32]) -> Vec<f32> {
        let mean_score = mean(scores.iter().copied()) as f32;
        let unscored = tokens.len() - scores.len().min(tokens.len());
        let score_of = |token: usize| token.checked_sub(unscored).map_or(mean_score, |i| scores[i]);
        let mut first = 0;
        let lifted = self.units[document].iter().map(|unit| {
            first += tokens[first..].partition_point(|token| token.range.end <= unit.range.start);
            let overlapping = tokens[first..].iter().take_while(|token| token.range.start < unit.range.end);
            mean((first..first + overlapping.count()).map(score_of)) as f32
        });
        lifted.collect()
    }

    /// As many words as fit, the first in `order` before all others; `smallest` where none of them fits.
    fn select(
        &self,
        mut order: Vec<Place>,
        budget: usize,
        smallest: Selection,
    ) -> Result<Selection, CompressError> {
        let close = budget - budget.saturating_sub(smallest.tokens) / CLOSE;
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

fn describe(prompt: &Prompt, ranking: &[(usize, f64)], ranges: Vec<Vec<Range<usize>>>) -> Vec<KeptDocument> {
    let mut places = vec![None; prompt.documents.len()];
    for (rank, &(document, score)) in ranking.iter().enumerate() {
        places[document] = Some((rank, score));
    }
    let documents = prompt.documents.iter().zip(places).zip(ranges);
    documents
        .map(|((document, place), kept)| KeptDocument {
            id: document.id.clone(),
            text: slices(&document.text, &kept),
            kept,
            rank: place.map(|(rank, _)| rank),
            score: place.map(|(_, score)| score),
        })
        .collect()
}
