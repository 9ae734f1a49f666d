//! The selection of words that several methods share: splitting a prompt into words, and fitting the best of them to a
//! budget. A method says in which order words are worth keeping.

mod assembly;
mod describe;
mod fit;
mod places;

use std::collections::HashSet;
use std::ops::Range;

use self::describe::reason;
use super::assemble::{Remains, heading, render_document, render_original, slices};
use super::constraints::{ContextBudget, touching};
use super::cuts::{CutText, cut};
use super::relevance::Sentence;
use super::structure::Structure;
use super::{CompressError, Compressed, KeptDocument, Prompt, Stages, Target, Tools};
use crate::model::Token;
use crate::text::{Granularity, MarkStyle, Segment, Unit};

/// Words of which the smallest is looked for, and how many of those are put together and counted.
const CHEAP: usize = 64;
const COUNTED: usize = 4;

/// A ruler that takes more than one of so many equal parts of the budget is kept only where there is room.
const RULER_SHARE: usize = 10;

/// Number of a document and of a word in it.
pub(super) type WordIndex = (usize, usize);

/// The decisions of a method.
#[derive(Default)]
pub(super) struct Plan {
    /// Words, the best first. Those that are missing are kept only where the caller demands it.
    pub(super) order: Vec<WordIndex>,
    /// Words that are kept together or not at all.
    pub(super) joined: Vec<Joined>,
    /// Documents with what they were ranked by, the best first.
    pub(super) ranking: Vec<(usize, f64)>,
    /// The scores of words, by document; empty for a document that was not scored.
    pub(super) scores: Vec<Vec<f32>>,
    /// A remark on how the plan was made, for the reader of the result.
    pub(super) note: Option<String>,
}

/// Units of one document that are kept together or not at all.
pub(super) struct Joined {
    document: usize,
    units: Range<usize>,
}

impl Joined {
    /// The words of one document that stand beside each other at `places`, at least one.
    pub(super) fn of(places: &[WordIndex]) -> Self {
        let ((document, first), (_, last)) = (places[0], places[places.len() - 1]);
        Self { document, units: first..last + 1 }
    }
}

/// Compresses with a method's plan, which is made for a number of tokens that documents have room for.
pub(super) fn compress(
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&WordSelector, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    compress_by(Granularity::Token, prompt, target, tools, plan)
}

/// Compresses by units of the requested granularity, or of `usual` where none is requested.
pub(super) fn compress_by(
    usual: Granularity,
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&WordSelector, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    let counted = Counted::of(prompt, target, tools);
    if counted.original_tokens <= counted.budget && !prompt.constraints.shrinks() {
        return Ok(unchanged(prompt, counted));
    }
    choose(usual, (prompt, tools), counted, plan)
}

/// Compresses like [`compress_by`], by a plan that may leave something out though all would fit.
pub(super) fn prune_by(
    usual: Granularity,
    prompt: &Prompt,
    target: Target,
    tools: &Tools,
    plan: impl FnOnce(&WordSelector, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    choose(usual, (prompt, tools), Counted::of(prompt, target, tools), plan)
}

/// The size of a prompt, and what it may have.
struct Counted {
    original_tokens: usize,
    budget: usize,
    stages: Stages,
}

impl Counted {
    fn of(prompt: &Prompt, target: Target, tools: &Tools) -> Self {
        let mut stages = Stages::default();
        let original_tokens = stages.time("count", || tools.counter.count(&render_original(prompt)));
        Self { original_tokens, budget: target.tokens(original_tokens), stages }
    }
}

fn choose(
    usual: Granularity,
    (prompt, tools): (&Prompt, &Tools),
    Counted { original_tokens, budget, mut stages }: Counted,
    plan: impl FnOnce(&WordSelector, usize, &mut Stages) -> Result<Plan, CompressError>,
) -> Result<Compressed, CompressError> {
    let mut words = stages.time("split", || WordSelector::fitting(prompt, tools, usual, budget))?;
    let room = budget - words.assemble(&[]).tokens.min(budget);
    let Plan { order, joined, ranking, scores, note } = plan(&words, room, &mut stages)?;
    let kept = stages.time("select", || {
        words.join(joined);
        words.arrange(&ranking);
        words.choose_words(&order);
        let order = words.apply_minimums(order);
        words.close_required();
        words.select(order, budget)
    })?;
    words.verify(&kept)?;
    let documents = words.describe(&ranking, &scores, &kept);
    let used = documents.iter().filter(|document| !document.kept.is_empty()).count();
    Ok(Compressed {
        compressed_tokens: kept.tokens,
        prompt: kept.prompt,
        reason: [Some(reason(used, &documents)), note].into_iter().flatten().collect::<Vec<_>>().join("; "),
        documents,
        original_tokens,
        requested_tokens: budget,
        stages,
    })
}

/// The prompt as it is, when it fits already.
fn unchanged(prompt: &Prompt, Counted { original_tokens, budget, stages }: Counted) -> Compressed {
    let whole = |text: &str| if text.is_empty() { vec![] } else { std::iter::once(0..text.len()).collect() };
    let documents = prompt.documents.iter().map(|document| KeptDocument {
        id: document.id.clone(),
        text: document.text.clone(),
        kept: whole(&document.text),
        ..KeptDocument::default()
    });
    Compressed {
        prompt: render_original(prompt),
        documents: documents.collect(),
        original_tokens,
        compressed_tokens: original_tokens,
        requested_tokens: budget,
        reason: "the prompt fits the budget as it is".into(),
        stages,
    }
}

/// The bonus of a number beyond the worth of its digits, in nats.
const NUMBER: f32 = 2.0;

/// Returns whether a word of prose is a number, whatever its sign, currency and unit, or a short bracket with one.
fn is_number(word: &str) -> bool {
    let brief = word.starts_with('(') || word.split(' ').count() <= 4;
    word.len() <= 40 && word.contains(|c: char| c.is_numeric()) && brief
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
pub(super) struct WordSelector<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) tools: &'a Tools<'a>,
    /// The segments of each document, with records of JSON whole whatever the units are.
    pub(super) segments: Vec<Vec<Segment>>,
    /// The units of each document.
    units: Vec<Vec<Unit>>,
    /// The structure that the units of each document are parts of.
    structure: Vec<Structure>,
    /// Protected spans of each document.
    spans: Vec<Vec<Range<usize>>>,
    /// The style of marks; `None` where no marks are written.
    style: Option<MarkStyle>,
    /// The style of marks that stand for whole documents.
    places: MarkStyle,
    /// The word of each document that stands for it, where one does.
    standing: Vec<Option<usize>>,
    /// Set if tables have their rulers whatever it takes.
    rulers: bool,
    /// Whether each word of each document is in every selection.
    required: Vec<Vec<bool>>,
    /// Documents in the order of the result.
    sequence: Vec<usize>,
    /// Units of each document that are kept together or not at all.
    joined: Vec<Vec<Range<usize>>>,
}

/// The size of a selection.
struct Selection {
    prompt: String,
    /// Whether each word is kept, by document.
    kept: Vec<Vec<bool>>,
    remains: Vec<Remains>,
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

impl<'a> WordSelector<'a> {
    /// A prompt in words.
    #[cfg(test)]
    pub(super) fn of(prompt: &'a Prompt, tools: &'a Tools) -> Self {
        Self::new(prompt, tools, Granularity::Token)
    }

    fn new(prompt: &'a Prompt, tools: &'a Tools, usual: Granularity) -> Self {
        let granularity = prompt.constraints.granularity.unwrap_or(usual);
        let cut = |text| cut(text, granularity, (tools.protector, tools.cuts));
        Self::of_cuts(prompt, tools, prompt.documents.iter().map(|document| cut(&document.text)))
    }

    /// A prompt whose documents are cut.
    fn of_cuts(prompt: &'a Prompt, tools: &'a Tools, cuts: impl Iterator<Item = CutText>) -> Self {
        let texts = || prompt.documents.iter().map(|document| document.text.as_str());
        let parts =
            cuts.map(|CutText { segments, structure, units, spans }| (segments, (structure, (units, spans))));
        let (segments, (structure, (units, spans))): (Vec<_>, (Vec<_>, (Vec<_>, Vec<_>))) = parts.unzip();
        let forced = texts().zip(&units).enumerate();
        let required = forced.map(|(i, (text, units))| prompt.constraints.forced(i, text, units)).collect();
        let around = [prompt.instruction.as_str(), prompt.question.as_str()];
        let places = MarkStyle::beside(texts().chain(around));
        let style = (!prompt.constraints.unmarked).then_some(places);
        let standing =
            units.iter().map(|units: &Vec<Unit>| units.iter().position(|unit| !unit.core.is_empty()));
        let mut words = Self {
            standing: standing.collect(),
            prompt,
            tools,
            segments,
            units,
            structure,
            spans,
            style,
            places,
            rulers: true,
            required,
            sequence: (0..prompt.documents.len()).collect(),
            joined: vec![Vec::new(); prompt.documents.len()],
        };
        words.close_required();
        words
    }

    /// Requires what the required words need.
    fn close_required(&mut self) {
        for (structure, required) in self.structure.iter().zip(&mut self.required) {
            let mut taken = vec![false; required.len()];
            for unit in (0..taken.len()).filter(|&unit| required[unit]).collect::<Vec<_>>() {
                structure.close(unit, &mut taken, |needed| required[needed] = true);
            }
        }
    }

    /// Returns, for each word, the words that are kept with it where those before it are kept: itself and those that
    /// it needs.
    fn atoms(&self, order: &[WordIndex]) -> Vec<Vec<WordIndex>> {
        let mut taken = self.required.clone();
        let atom = |&(document, unit): &WordIndex| {
            let mut atom = Vec::new();
            self.close((document, unit), &mut taken[document], |needed| atom.push((document, needed)));
            atom
        };
        order.iter().map(atom).collect()
    }

    /// Adds a unit, those that it is joined with and all that these need, as far as they are not `taken`, and takes them.
    fn close(&self, (document, unit): WordIndex, taken: &mut [bool], mut add: impl FnMut(usize)) {
        let joined = &self.joined[document];
        let behind = joined.partition_point(|units| units.end <= unit);
        let own = joined.get(behind).filter(|own| own.contains(&unit)).cloned();
        for unit in own.unwrap_or(unit..unit + 1) {
            self.structure[document].close(unit, taken, &mut add);
        }
    }

    /// Keeps words together or not at all; none of them may be one of several of `joined`.
    fn join(&mut self, joined: Vec<Joined>) {
        for Joined { document, units } in joined {
            self.joined[document].push(units);
        }
        for joined in &mut self.joined {
            joined.sort_by_key(|units| units.start);
        }
    }

    /// Returns whether a unit is not a word of prose.
    pub(super) fn is_whole(&self, (document, unit): WordIndex) -> bool {
        self.structure[document].is_whole(unit)
    }

    /// Returns whether a unit is a row of a table.
    pub(super) fn is_row(&self, (document, unit): WordIndex) -> bool {
        self.structure[document].is_row(unit)
    }

    /// Returns whether a unit is kept only with others: a part of a table's header, a heading, or a full stop.
    pub(super) fn comes_with_others(&self, (document, unit): WordIndex) -> bool {
        self.structure[document].comes_with_others(unit)
    }

    /// Puts the documents in the order that is asked for.
    fn arrange(&mut self, ranking: &[(usize, f64)]) {
        let mut sequence: Vec<usize> = ranking.iter().map(|&(document, _)| document).collect();
        let mut ranked = vec![false; self.units.len()];
        for &document in &sequence {
            ranked[document] = true;
        }
        sequence.extend((0..ranked.len()).filter(|&document| !ranked[document]));
        self.sequence = self.prompt.constraints.reorder.apply(sequence);
    }

    /// Requires what is demanded by worth: the best words of sections with a rate, of documents with a minimum
    /// and of those of which something must stay. Gives the words that are left to choose from.
    fn apply_minimums(&mut self, order: Vec<WordIndex>) -> Vec<WordIndex> {
        let constraints = &self.prompt.constraints;
        let mut own = vec![Vec::new(); self.units.len()];
        let order = order.into_iter().filter(|&(document, unit)| !self.structure[document].is_shell(unit));
        let order: Vec<WordIndex> = order.collect();
        for &(document, unit) in &order {
            own[document].push(unit);
        }
        let mut closed: Vec<Vec<bool>> = self.required.clone();
        for (document, own) in own.iter_mut().enumerate() {
            for (range, rate) in constraints.rated(document) {
                let members = touching(&self.units[document], range);
                let section = &self.prompt.documents[document].text[range.clone()];
                let most = (self.tools.counter.count(section) as f64 * rate) as usize;
                let best: Vec<usize> = own.iter().copied().filter(|unit| members.contains(unit)).collect();
                self.require(document, &best, members.clone(), |tokens| tokens <= most);
                closed[document][members].fill(true);
            }
            own.retain(|&unit| !closed[document][unit]);
            let all = 0..self.units[document].len();
            let mut least = constraints.document_tokens;
            if constraints.documents.contains(&document) {
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
        let left = |&(document, unit): &WordIndex| !closed[document][unit] && !self.required[document][unit];
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
            let remains = self.remains(document, None, |unit| members.contains(&unit) && kept[unit]);
            self.tools.counter.count(&slices(text, &remains.ranges))
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
    fn cost(&self, place: WordIndex) -> usize {
        let source = &self.prompt.documents[place.0];
        self.tools.counter.count(&render_document(source, self.word(place)))
    }

    /// Every word that may be chosen by itself; what is only white space is none.
    fn all(&self, documents: impl Iterator<Item = usize>) -> impl Iterator<Item = WordIndex> {
        let places =
            documents.flat_map(|document| (0..self.units[document].len()).map(move |unit| (document, unit)));
        places.filter(|&(document, unit)| {
            let structure = &self.structure[document];
            let alone = !structure.comes_with_others(unit) && !structure.is_shell(unit);
            alone && !self.units[document][unit].core.is_empty()
        })
    }

    /// The least that can be kept: what is required, and something of the documents.
    fn smallest(&self) -> Selection {
        let empty = |&document: &usize| !self.required[document].contains(&true);
        let mut least: Vec<WordIndex> = Vec::new();
        for document in self.prompt.constraints.documents.iter().copied().filter(empty) {
            least.extend(self.cheapest(std::iter::once(document)));
        }
        if least.is_empty() && (0..self.units.len()).all(|document| empty(&document)) {
            least.extend(self.cheapest(0..self.units.len()));
        }
        self.assemble(&least)
    }

    /// The words that take least: one, and what it needs.
    fn cheapest(&self, documents: impl Iterator<Item = usize>) -> Vec<WordIndex> {
        let bytes = |&(document, unit): &WordIndex| {
            heading(&self.prompt.documents[document]).len() + self.units[document][unit].core.len()
        };
        // Words of few bytes take few tokens: only those need to be counted. Some of them need others.
        let mut places: Vec<WordIndex> = self.all(documents).collect();
        places.sort_by_cached_key(bytes);
        let free = |&(document, unit): &WordIndex| self.structure[document].is_free(unit);
        let alone = places.iter().copied().filter(free).take(CHEAP).collect::<Vec<_>>();
        places.truncate(CHEAP);
        places.extend(alone);
        let mut atoms: Vec<Vec<WordIndex>> =
            places.into_iter().flat_map(|place| self.atoms(&[place])).collect();
        atoms.sort_by_cached_key(|atom| atom.iter().map(|&place| self.cost(place)).sum::<usize>());
        atoms.truncate(COUNTED);
        atoms.into_iter().min_by_key(|atom| self.assemble(atom).tokens).unwrap_or_default()
    }

    /// The documents that words are chosen from: the best, until they hold as many tokens as are let through,
    /// `usual` where the caller does not say how many, and those of which something is demanded.
    pub(super) fn coarse_filter(
        &self,
        ranking: &[(usize, f64)],
        lengths: impl Fn(usize) -> usize,
        room: usize,
        usual: ContextBudget,
    ) -> Vec<usize> {
        let constraints = &self.prompt.constraints;
        let enough = constraints.context_budget.unwrap_or(usual).of(room as f64);
        let mut taken = 0;
        let open = |&document: &usize| {
            let open = taken == 0 || (taken as f64) < enough || constraints.wants(document);
            if open {
                taken += lengths(document);
            }
            open
        };
        ranking.iter().map(|&(document, _)| document).filter(open).collect()
    }

    /// Words of `documents`, in their order, that fit into `room`.
    pub(super) fn candidates(&self, documents: impl Iterator<Item = usize>, room: usize) -> Vec<WordIndex> {
        // A token has at least one byte, so that short words need not be counted.
        let fits = |&(document, unit): &WordIndex| {
            self.units[document][unit].core.len() <= room || self.cost((document, unit)) <= room
        };
        self.all(documents).filter(fits).collect()
    }

    /// The words whose first byte lies in `range` of a document's text, in their order.
    pub(super) fn within(&self, document: usize, range: &Range<usize>) -> Vec<WordIndex> {
        let units = &self.units[document];
        let first = units.partition_point(|unit| unit.core.start < range.start);
        let inside = units[first..].iter().take_while(|unit| unit.core.start < range.end);
        let places = (first..).zip(inside).filter(|(_, unit)| !unit.core.is_empty());
        places.map(|(unit, _)| (document, unit)).collect()
    }

    /// A word without the white space before it.
    pub(super) fn word(&self, (document, unit): WordIndex) -> &'a str {
        &self.prompt.documents[document].text[self.units[document][unit].core.clone()]
    }

    /// Tokens of a sentence by itself.
    pub(super) fn sentence_tokens(&self, sentence: &Sentence) -> usize {
        self.tools.counter.count(&self.prompt.documents[sentence.document].text[sentence.range.clone()])
    }

    /// Tokens of the text from the first to the last of the words of one document at `places`, at least one.
    pub(super) fn stretch_tokens(&self, places: &[WordIndex]) -> usize {
        let ((document, first), (_, last)) = (places[0], places[places.len() - 1]);
        let units = &self.units[document];
        let text = &self.prompt.documents[document].text;
        self.tools.counter.count(&text[units[first].core.start..units[last].core.end])
    }

    /// Returns, for each word of each document, whether every selection has it; further words may be marked in the result.
    pub(super) fn required(&self) -> Vec<Vec<bool>> {
        self.required.clone()
    }

    /// Marks the words that a word needs as `paid` for; returns those that were not, with their tokens.
    pub(super) fn needed(
        &self,
        (document, unit): WordIndex,
        paid: &mut [Vec<bool>],
    ) -> (Vec<WordIndex>, usize) {
        let paid = &mut paid[document];
        let (own, mut needed) = (paid[unit], Vec::new());
        self.structure[document].close(unit, paid, |other| {
            if other != unit {
                needed.push((document, other));
            }
        });
        paid[unit] = own;
        let tokens = needed.iter().map(|&place| self.tools.counter.count(self.word(place))).sum();
        (needed, tokens)
    }

    /// Tokens of what stands before a document's text, and of the join before it.
    pub(super) fn heading_tokens(&self, document: usize) -> usize {
        1 + self.tools.counter.count(&heading(&self.prompt.documents[document]))
    }

    /// The worth of sentences as that of their words.
    pub(super) fn broadcast(&self, sentences: &[Sentence]) -> Vec<Vec<f32>> {
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
    ) -> Vec<WordIndex> {
        let mut order = self.candidates(documents, room);
        let score = |&(document, unit): &WordIndex| scores[document][unit];
        order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        order
    }

    /// Lifts token scores to words: the mean over the tokens that overlap a word, and their sum where a word is a
    /// number, for its digits carry together what other words say in one or two tokens. A segment that goes as a whole
    /// is pooled like a word, and counts as much as it is worth. `scores` are those of the last tokens; the others,
    /// which nothing predicts, count as much as the mean of all.
    pub(super) fn pool_to_words(&self, document: usize, tokens: &[Token], scores: &[f32]) -> Vec<f32> {
        let mean_score = mean(scores.iter().copied()) as f32;
        let unscored = tokens.len() - scores.len().min(tokens.len());
        let score_of = |token: usize| token.checked_sub(unscored).map_or(mean_score, |i| scores[i]);
        let text = &self.prompt.documents[document].text;
        let structure = &self.structure[document];
        let mut first = 0;
        let lifted = self.units[document].iter().enumerate().map(|(i, unit)| {
            first += tokens[first..].partition_point(|token| token.range.end <= unit.range.start);
            let overlapping = tokens[first..].iter().take_while(|token| token.range.start < unit.range.end);
            let count = overlapping.count();
            let pooled = mean((first..first + count).map(score_of)) as f32;
            if structure.is_whole(i) {
                // What is worth little comes last, whether likelihoods or their differences are lifted.
                pooled * if pooled > 0.0 { structure.worth(i) } else { structure.worth(i).recip() }
            } else if is_number(&text[unit.core.clone()]) {
                pooled * if pooled > 0.0 { count as f32 } else { 1.0 } + NUMBER
            } else {
                pooled
            }
        });
        lifted.collect()
    }
}
