//! What the methods that keep words share: cutting a prompt into words, and fitting the best of them to a
//! budget. A method says in which order words are worth keeping.

use std::collections::HashSet;
use std::ops::Range;

use super::assemble::{heading, kept_ranges, render, render_document, render_original, slices};
use super::demands::{ContextBudget, touching};
use super::relevance::Sentence;
use super::select::largest_prefix;
use super::{CompressError, Compressed, KeptDocument, KeptWord, Prompt, Stages, Target, Tools};
use crate::model::Token;
use crate::text::{Grain, Unit, grouped, units};

/// When all but this part of the room is used up, no smaller words are searched for that still fit.
const CLOSE: usize = 200;
/// Times that a word which does not fit is passed over for smaller ones behind it.
const PASSED_OVER: usize = 8;

/// Number of a document and of a word in it.
pub(super) type Place = (usize, usize);

/// What a method decides.
pub(super) struct Plan {
    /// Words, the best first. Those that are missing are kept only where the caller demands it.
    pub(super) order: Vec<Place>,
    /// Documents with what they were ranked by, the best first.
    pub(super) ranking: Vec<(usize, f64)>,
    /// What each word is worth, by document; nothing of a document that was not weighed.
    pub(super) scores: Vec<Vec<f32>>,
}

/// Compresses with a method's plan, which is made for a number of tokens that documents have room for.
pub(super) fn compress(
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&Words, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    compress_by(Grain::Token, prompt, target, tools, plan)
}

/// The same by parts of the grain that the caller asks for, `usual` where none is asked for.
pub(super) fn compress_by(
    usual: Grain,
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&Words, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    let mut stages = Stages::default();
    let original_tokens = stages.time("count", || tools.counter.count(&render_original(prompt)));
    let budget = target.tokens(original_tokens);
    if original_tokens <= budget && !prompt.demands.shrinks() {
        return Ok(unchanged(prompt, original_tokens, budget, stages));
    }
    let mut words = stages.time("split", || Words::new(prompt, tools, usual));
    stages.time("select", || words.smallest().within(budget))?;
    let room = budget - words.assemble(&[]).tokens.min(budget);
    let Plan { order, ranking, scores } = plan(&words, room, &mut stages)?;
    let kept = stages.time("select", || {
        words.arrange(&ranking);
        let order = words.meet(order);
        let smallest = words.smallest().within(budget)?;
        words.select(order, budget, smallest)
    })?;
    words.verify(&kept)?;
    let documents = words.describe(&ranking, &scores, &kept);
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
        words: Vec::new(),
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
    /// Protected spans of each document.
    spans: Vec<Vec<Range<usize>>>,
    /// For each word of each document, is it in every selection?
    required: Vec<Vec<bool>>,
    /// Documents in the order of the result.
    sequence: Vec<usize>,
}

/// What a selection came to.
struct Selection {
    prompt: String,
    /// By document.
    kept: Vec<Vec<bool>>,
    ranges: Vec<Vec<Range<usize>>>,
    tokens: usize,
}

impl Selection {
    fn within(self, budget: usize) -> Result<Self, CompressError> {
        if self.tokens > budget {
            return Err(CompressError::Infeasible { budget, needed: self.tokens });
        }
        Ok(self)
    }
}

impl<'a> Words<'a> {
    /// A prompt in words.
    #[cfg(test)]
    pub(super) fn of(prompt: &'a Prompt, tools: &'a Tools) -> Self {
        Self::new(prompt, tools, Grain::Token)
    }

    fn new(prompt: &'a Prompt, tools: &'a Tools, usual: Grain) -> Self {
        let demanded = prompt.demands.grain.unwrap_or(usual);
        let by_lines = |document: usize| prompt.demands.whole_lines.contains(&document);
        let grain = |document: usize| if by_lines(document) { Grain::Line } else { demanded };
        let texts = || prompt.documents.iter().map(|document| document.text.as_str());
        let spans: Vec<_> = texts().map(|text| tools.protector.spans(text)).collect();
        let units: Vec<_> = texts()
            .zip(&spans)
            .enumerate()
            .map(|(i, (text, spans))| grouped(text, units(text, spans), grain(i)))
            .collect();
        let forced = texts().zip(&units).enumerate();
        let required = forced.map(|(i, (text, units))| prompt.demands.forced(i, text, units)).collect();
        Self { prompt, tools, units, spans, required, sequence: (0..prompt.documents.len()).collect() }
    }

    /// The prompt that keeps these words, and those that every selection keeps.
    fn assemble(&self, places: &[Place]) -> Selection {
        let mut kept = self.required.clone();
        for &(document, unit) in places {
            kept[document][unit] = true;
        }
        let ranges: Vec<_> = (0..kept.len()).map(|i| self.ranges(i, |unit| kept[i][unit])).collect();
        let texts = self.sequence.iter().map(|&i| {
            let document = &self.prompt.documents[i];
            (document, slices(&document.text, &ranges[i]))
        });
        let prompt = render(self.prompt, texts);
        Selection { tokens: self.tools.counter.count(&prompt), prompt, kept, ranges }
    }

    /// What remains of a document's text.
    fn ranges(&self, document: usize, kept: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        kept_ranges(&self.prompt.documents[document].text, &self.units[document], kept)
    }

    /// Puts the documents in the order that is asked for.
    fn arrange(&mut self, ranking: &[(usize, f64)]) {
        let mut sequence: Vec<usize> = ranking.iter().map(|&(document, _)| document).collect();
        let mut ranked = vec![false; self.units.len()];
        for &document in &sequence {
            ranked[document] = true;
        }
        sequence.extend((0..ranked.len()).filter(|&document| !ranked[document]));
        self.sequence = self.prompt.demands.reorder.apply(sequence);
    }

    /// Requires what is demanded by worth: the best words of sections with a rate, of documents with a minimum
    /// and of those of which something must stay. Gives the words that are left to choose from.
    fn meet(&mut self, order: Vec<Place>) -> Vec<Place> {
        let demands = &self.prompt.demands;
        let mut own = vec![Vec::new(); self.units.len()];
        for &(document, unit) in &order {
            own[document].push(unit);
        }
        let mut closed: Vec<Vec<bool>> = self.required.clone();
        for (document, own) in own.iter_mut().enumerate() {
            for (range, rate) in demands.rated(document) {
                let members = touching(&self.units[document], range);
                let section = &self.prompt.documents[document].text[range.clone()];
                let most = (self.tools.counter.count(section) as f64 * rate) as usize;
                let best: Vec<usize> = own.iter().copied().filter(|unit| members.contains(unit)).collect();
                self.require(document, &best, members.clone(), |tokens| tokens <= most);
                closed[document][members].fill(true);
            }
            own.retain(|&unit| !closed[document][unit]);
            let all = 0..self.units[document].len();
            let mut least = demands.document_tokens;
            if demands.documents.contains(&document) {
                least = least.max(1);
            }
            if least > 0 {
                // Parts that were left out for their size: with them the budget may be exceeded, which is said.
                let known: HashSet<usize> = own.iter().copied().collect();
                let others = self.all(std::iter::once(document)).map(|(_, unit)| unit);
                own.extend(others.filter(|unit| !known.contains(unit) && !closed[document][*unit]));
                if let Some(unit) = self.require(document, own, all, |tokens| tokens < least) {
                    self.required[document][unit] = true;
                }
            }
        }
        let left = |&(document, unit): &Place| !closed[document][unit] && !self.required[document][unit];
        order.into_iter().filter(left).collect()
    }

    /// Requires as many of `best` as leave the tokens of `members` so that they satisfy `holds`; gives the first
    /// one that does not.
    fn require(
        &mut self,
        document: usize,
        best: &[usize],
        members: Range<usize>,
        holds: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let text = &self.prompt.documents[document].text;
        let tokens = |n: usize| {
            let mut kept = self.required[document].clone();
            best[..n].iter().for_each(|&unit| kept[unit] = true);
            let ranges = self.ranges(document, |unit| members.contains(&unit) && kept[unit]);
            self.tools.counter.count(&slices(text, &ranges))
        };
        if !holds(tokens(0)) {
            return None;
        }
        let counts: Vec<usize> = (1..=best.len()).collect();
        let n = counts.partition_point(|&n| holds(tokens(n)));
        best[..n].iter().for_each(|&unit| self.required[document][unit] = true);
        best.get(n).copied()
    }

    /// Tokens of a word by itself with its document's title, but for joins.
    fn cost(&self, place: Place) -> usize {
        let source = &self.prompt.documents[place.0];
        self.tools.counter.count(&render_document(source, self.word(place)))
    }

    /// Every word; what is only white space is none.
    fn all(&self, documents: impl Iterator<Item = usize>) -> impl Iterator<Item = Place> {
        let places =
            documents.flat_map(|document| (0..self.units[document].len()).map(move |unit| (document, unit)));
        places.filter(|&(document, unit)| !self.units[document][unit].core.is_empty())
    }

    /// The least that can be kept: what is required, and something of the documents.
    fn smallest(&self) -> Selection {
        let empty = |&document: &usize| !self.required[document].contains(&true);
        let mut least: Vec<Place> = Vec::new();
        for document in self.prompt.demands.documents.iter().copied().filter(empty) {
            least.extend(self.cheapest(std::iter::once(document)));
        }
        if least.is_empty() && (0..self.units.len()).all(|document| empty(&document)) {
            least.extend(self.cheapest(0..self.units.len()));
        }
        self.assemble(&least)
    }

    /// The word that takes least.
    fn cheapest(&self, documents: impl Iterator<Item = usize>) -> Option<Place> {
        let bytes = |&(document, unit): &Place| {
            heading(&self.prompt.documents[document]).len() + self.units[document][unit].core.len()
        };
        // Words of few bytes take few tokens: only those need to be counted.
        let mut places: Vec<Place> = self.all(documents).collect();
        places.sort_by_cached_key(bytes);
        places.truncate(64);
        places.into_iter().min_by_key(|&place| self.cost(place))
    }

    /// The documents that words are chosen from: the best, until they hold as many tokens as are let through,
    /// `usual` where the caller does not say how many, and those of which something is demanded.
    pub(super) fn let_through(
        &self,
        ranking: &[(usize, f64)],
        lengths: impl Fn(usize) -> usize,
        room: usize,
        usual: ContextBudget,
    ) -> Vec<usize> {
        let demands = &self.prompt.demands;
        let enough = demands.context_budget.unwrap_or(usual).of(room as f64);
        let mut taken = 0;
        let open = |&document: &usize| {
            let open = taken == 0 || (taken as f64) < enough || demands.wants(document);
            if open {
                taken += lengths(document);
            }
            open
        };
        ranking.iter().map(|&(document, _)| document).filter(open).collect()
    }

    /// Words of `documents`, in their order, that fit into `room`.
    pub(super) fn candidates(&self, documents: impl Iterator<Item = usize>, room: usize) -> Vec<Place> {
        // A token has at least one byte, so that short words need not be counted.
        let fits = |&(document, unit): &Place| {
            self.units[document][unit].core.len() <= room || self.cost((document, unit)) <= room
        };
        self.all(documents).filter(fits).collect()
    }

    /// The words whose first byte lies in `range` of a document's text, in their order.
    pub(super) fn within(&self, document: usize, range: &Range<usize>) -> Vec<Place> {
        let units = &self.units[document];
        let first = units.partition_point(|unit| unit.core.start < range.start);
        let inside = units[first..].iter().take_while(|unit| unit.core.start < range.end);
        let places = (first..).zip(inside).filter(|(_, unit)| !unit.core.is_empty());
        places.map(|(unit, _)| (document, unit)).collect()
    }

    /// A word without the white space before it.
    pub(super) fn word(&self, (document, unit): Place) -> &'a str {
        &self.prompt.documents[document].text[self.units[document][unit].core.clone()]
    }

    /// Tokens of a sentence by itself.
    pub(super) fn sentence_tokens(&self, sentence: &Sentence) -> usize {
        self.tools.counter.count(&self.prompt.documents[sentence.document].text[sentence.range.clone()])
    }

    /// Tokens of what stands before a document's text, and of the join before it.
    pub(super) fn heading_tokens(&self, document: usize) -> usize {
        1 + self.tools.counter.count(&heading(&self.prompt.documents[document]))
    }

    /// The worth of sentences as that of their words.
    pub(super) fn spread(&self, sentences: &[Sentence]) -> Vec<Vec<f32>> {
        let mut scores: Vec<Vec<f32>> = self.units.iter().map(|units| vec![0.0; units.len()]).collect();
        for sentence in sentences {
            for (document, unit) in self.within(sentence.document, &sentence.range) {
                scores[document][unit] = sentence.score as f32;
            }
        }
        scores
    }

    /// Words of `documents` that fit into `room`, those with the highest scores first.
    pub(super) fn best_first(
        &self,
        documents: impl Iterator<Item = usize>,
        room: usize,
        scores: &[Vec<f32>],
    ) -> Vec<Place> {
        let mut order = self.candidates(documents, room);
        let score = |&(document, unit): &Place| scores[document][unit];
        order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        order
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

    /// Checks that no protected span is cut and nothing that is required is missing.
    fn verify(&self, kept: &Selection) -> Result<(), CompressError> {
        for (document, (spans, ranges)) in self.spans.iter().zip(&kept.ranges).enumerate() {
            if let Some(span) = spans.iter().find(|span| cuts(ranges, span)) {
                let id = &self.prompt.documents[document].id;
                return Err(CompressError::Broken(format!(
                    "the protected span at bytes {} to {} of document `{id}` was cut",
                    span.start, span.end
                )));
            }
        }
        let mut pairs = self.required.iter().flatten().zip(kept.kept.iter().flatten());
        if pairs.any(|(required, kept)| *required && !kept) {
            return Err(CompressError::Broken("a word that must be kept is missing".into()));
        }
        Ok(())
    }

    fn describe(&self, ranking: &[(usize, f64)], scores: &[Vec<f32>], kept: &Selection) -> Vec<KeptDocument> {
        let mut places = vec![None; self.prompt.documents.len()];
        for (rank, &(document, score)) in ranking.iter().enumerate() {
            places[document] = Some((rank, score));
        }
        let describe = |(i, document): (usize, &super::Document)| {
            let score = |unit: usize| scores.get(i).and_then(|scores| scores.get(unit)).copied();
            let word = |(unit, word): (usize, &Unit)| KeptWord {
                range: word.core.clone(),
                kept: kept.kept[i][unit],
                score: score(unit),
            };
            KeptDocument {
                id: document.id.clone(),
                text: slices(&document.text, &kept.ranges[i]),
                kept: kept.ranges[i].clone(),
                rank: places[i].map(|(rank, _)| rank),
                score: places[i].map(|(_, score)| score),
                words: self.units[i].iter().enumerate().map(word).collect(),
            }
        };
        self.prompt.documents.iter().enumerate().map(describe).collect()
    }
}

/// Do the ranges, sorted and apart from each other, hold a part of `span` and not all of it?
fn cuts(ranges: &[Range<usize>], span: &Range<usize>) -> bool {
    let first = ranges.partition_point(|range| range.end <= span.start);
    ranges
        .get(first)
        .is_some_and(|range| range.start < span.end && !(range.start <= span.start && span.end <= range.end))
}
