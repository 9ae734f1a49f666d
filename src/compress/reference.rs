//! Reference mode: what llmlingua 0.2.2 does, step by step, defects included, to measure against.
//!
//! Facts of that implementation that are kept on purpose: the keep mask is off by one against the losses it
//! comes from; thresholds are taken over the whole running loss array; a tail shorter than the segment stays
//! verbatim; instruction and question are never compressed and the target does not include them; the
//! context budget overshoots by up to a document. Nothing of this is used in `exact` mode.

use std::collections::HashMap;
use std::ops::Range;

use super::assemble::{JOIN, heading, render, render_document, render_original};
pub use super::constraints::{ContextBudget, Reorder};
use super::{CompressError, Compressed, Constraints, KeptDocument, Prompt, Stages, Target, Tools};
use crate::model::{ScoreSession, Token, TokenScorer};

/// Appended to a question that documents are ranked by.
const RESTRICTIVE: &str = " We can get the answer to this question in the given documents.";

/// Parameters of the reference, by its names.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tokens of a segment.
    pub iterative_size: usize,
    /// Added to or multiplied with the target when documents are chosen.
    pub context_budget: ContextBudget,
    /// Question-aware ranking: the question's likelihood after each document.
    pub rank_by_question: bool,
    /// Contrast with and without the question before the prompt.
    pub condition_compare: bool,
    /// Order of the documents that were chosen.
    pub reorder: Reorder,
    /// The difference between the kept shares of the best and the worst document.
    pub dynamic_ratio: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            iterative_size: 200,
            context_budget: ContextBudget::Add(100.0),
            rank_by_question: false,
            condition_compare: false,
            reorder: Reorder::Original,
            dynamic_ratio: 0.0,
        }
    }
}

impl Settings {
    /// The settings that its authors give for LongLLMLingua.
    #[must_use]
    pub fn question_aware() -> Self {
        Self {
            rank_by_question: true,
            condition_compare: true,
            reorder: Reorder::Sort,
            dynamic_ratio: 0.3,
            ..Self::default()
        }
    }
}

impl Settings {
    /// Returns these settings with the caller's constraints applied.
    ///
    /// # Errors
    /// The reference has no such thing, or has it broken.
    pub(super) fn with(mut self, constraints: &Constraints) -> Result<Self, CompressError> {
        let known = Constraints {
            reorder: constraints.reorder,
            context_budget: constraints.context_budget,
            dynamic_ratio: constraints.dynamic_ratio,
            ..Constraints::default()
        };
        if *constraints != known {
            let message = "of the options, reference mode knows `reorder`, `context_budget` and `dynamic_ratio` alone; use exact mode";
            return Err(CompressError::Unsupported(message.into()));
        }
        if constraints.reorder != Reorder::Original {
            self.reorder = constraints.reorder;
        }
        self.context_budget = constraints.context_budget.unwrap_or(self.context_budget);
        self.dynamic_ratio = constraints.dynamic_ratio.unwrap_or(self.dynamic_ratio);
        Ok(self)
    }
}

/// Compresses as llmlingua 0.2.2 does with these settings. `target` in tokens is the scorer's, and does not
/// include instruction and question; nothing enforces it.
///
/// # Errors
/// The prompt is longer than the model's context, or the model fails or is stopped.
pub fn compress(
    prompt: &Prompt,
    target: Target,
    settings: &Settings,
    tools: &Tools,
) -> Result<Compressed, CompressError> {
    let mut stages = Stages::default();
    let contexts: Vec<String> = prompt.documents.iter().map(|d| render_document(d, &d.text)).collect();
    let scorer = tools.scorer()?;
    let reference = Reference { contexts: &contexts, question: &prompt.question, settings, scorer, tools };
    let length = |text: &str| scorer.encode(text).len();
    let lengths: Vec<usize> = contexts.iter().map(|context| length(context)).collect();
    let whole = [length(&prompt.instruction), length(&prompt.question), lengths.iter().sum()];
    let target_tokens = match target {
        Target::Tokens(tokens) => tokens as f64,
        Target::Rate(rate) => whole.iter().sum::<usize>() as f64 * rate - (whole[0] + whole[1]) as f64,
    };
    let ranking = stages.time("rank", || reference.rank())?;
    let (used, ratios) = reference.choose(&ranking, &lengths, target_tokens);
    let kept = stages.time("score", || reference.compress_tokens(&used, &ratios, target_tokens))?;

    let body = vec![(&BODY, kept.text(scorer))];
    let text = render(prompt, body.into_iter().filter(|(_, text)| !text.trim().is_empty()));
    let original_tokens = tools.counter.count(&render_original(prompt));
    Ok(Compressed {
        compressed_tokens: tools.counter.count(&text),
        prompt: text,
        documents: describe(prompt, &kept.ranges(&used, &contexts), &ranking),
        original_tokens,
        requested_tokens: target.tokens(original_tokens),
        reason: "reference mode reproduces llmlingua 0.2.2; the budget is not enforced".into(),
        stages,
    })
}

/// Stands for all of the compressed documents in the rendered prompt.
static BODY: super::Document = super::Document { id: String::new(), title: None, text: String::new() };

/// A run of the reference over some contexts.
struct Reference<'a> {
    contexts: &'a [String],
    question: &'a str,
    settings: &'a Settings,
    scorer: &'a dyn TokenScorer,
    tools: &'a Tools<'a>,
}

/// The result of token-level compression.
struct Kept {
    /// The joined contexts, after the conditioning prefix.
    joined: String,
    /// Tokens that were kept, with their place in `joined`.
    tokens: Vec<Token>,
}

impl Reference<'_> {
    fn ids(&self, text: &str) -> Vec<u32> {
        self.scorer.encode(text).into_iter().map(|token| token.id).collect()
    }

    /// Documents with their scores, best first: the question's mean NLL after the document, ascending, or
    /// the document's own, descending.
    fn rank(&self) -> Result<Vec<(usize, f64)>, CompressError> {
        let query = format!("{}{RESTRICTIVE}", self.question);
        let mut scores = Vec::new();
        for (i, context) in self.contexts.iter().enumerate() {
            let (text, from) = if self.settings.rank_by_question {
                (format!("{context}{query}"), self.ids(context).len().saturating_sub(1))
            } else {
                (context.clone(), 0)
            };
            let nll = self.scorer.session().extend(&self.ids(&text), self.tools.cancel)?;
            let scored = nll.get(from..).unwrap_or(&[]);
            scores.push((i, scored.iter().map(|&v| f64::from(v)).sum::<f64>() / scored.len() as f64));
        }
        let sign = if self.settings.rank_by_question { 1.0 } else { -1.0 };
        scores.sort_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
        Ok(scores)
    }

    /// Documents to go on with, in their order, and what is added to the keep rate of each.
    fn choose(&self, ranking: &[(usize, f64)], lengths: &[usize], target: f64) -> (Vec<usize>, Vec<f64>) {
        if lengths.len() < 2 {
            return ((0..lengths.len()).collect(), vec![0.0; lengths.len()]);
        }
        let target = if target < 0.0 { 100.0 } else { target };
        let mut left = self.settings.context_budget.of(target);
        let mut used = Vec::new();
        for &(document, _) in ranking {
            left -= lengths[document] as f64;
            used.push(document);
            if left < 0.0 {
                break;
            }
        }
        let n = used.len();
        let ratio = |place: usize| {
            if n < 2 || self.settings.dynamic_ratio <= 0.0 {
                return 0.0;
            }
            (n as f64 - 1.0 - 2.0 * place as f64) * (self.settings.dynamic_ratio / (n as f64 - 1.0))
        };
        let ratio_of: HashMap<usize, f64> =
            used.iter().enumerate().map(|(place, &document)| (document, ratio(place))).collect();
        let order = self.settings.reorder.apply(used);
        order.into_iter().map(|document| (document, ratio_of[&document])).unzip()
    }

    fn compress_tokens(&self, used: &[usize], ratios: &[f64], target: f64) -> Result<Kept, CompressError> {
        let texts: Vec<&str> = used.iter().map(|&i| self.contexts[i].as_str()).collect();
        let joined = texts.join(JOIN);
        let prefix =
            if self.settings.condition_compare { format!("{}{JOIN}", self.question) } else { String::new() };
        let tokens = self.scorer.encode(&format!("{prefix}{joined}"));
        let start = tokens.iter().position(|token| token.range.start >= prefix.len()).unwrap_or(tokens.len());
        let lengths: Vec<usize> = texts.iter().map(|text| self.ids(text).len()).collect();
        let segments = segments(&lengths, ratios, target, self.settings.iterative_size);
        if tokens.len() > self.scorer.context() {
            return Err(CompressError::Unsupported(format!(
                "reference mode handles at most {} tokens, the model's context; use exact mode",
                self.scorer.context()
            )));
        }
        let state = Iteration {
            ids: tokens.iter().map(|token| token.id).collect(),
            places: (0..tokens.len()).collect(),
            start,
            size: self.settings.iterative_size,
            scorer: self.scorer,
            tools: self.tools,
            losses: Vec::new(),
            plain_losses: self.settings.condition_compare.then(Vec::new),
        };
        let places = state.run(&segments)?;
        let kept = places.into_iter().map(|place| {
            let Token { id, range } = &tokens[place];
            Token { id: *id, range: range.start - prefix.len()..range.end - prefix.len() }
        });
        Ok(Kept { tokens: kept.collect(), joined })
    }
}

/// Returns, for each segment of `size` tokens, the lengths and keep rates of the documents' parts in it.
fn segments(lengths: &[usize], ratios: &[f64], target: f64, size: usize) -> Vec<Vec<(usize, f64)>> {
    let joined: usize = lengths.iter().map(|length| length + 2).sum();
    let base = target / (joined as f64 + 1.0);
    let (mut segments, mut current, mut filled) = (Vec::new(), Vec::new(), 1);
    for (length, ratio) in lengths.iter().map(|length| length + 2).zip(ratios) {
        let rate = (base + ratio).clamp(0.0, 1.0);
        if filled + length < size {
            filled += length;
            current.push((length, rate));
            continue;
        }
        current.push((size - filled, rate));
        segments.push(std::mem::take(&mut current));
        filled = filled + length - size;
        if filled > size {
            segments.extend(std::iter::repeat_n(vec![(size, rate)], filled / size));
            filled %= size;
        }
        if filled > 0 {
            current.push((filled, rate));
        }
    }
    if !current.is_empty() {
        segments.push(current);
    }
    segments
}

/// The running state of the iteration over segments.
struct Iteration<'a> {
    /// The kept ids of prefix and contexts.
    ids: Vec<u32>,
    /// The original position of each of `ids`.
    places: Vec<usize>,
    /// Tokens of the conditioning prefix.
    start: usize,
    size: usize,
    scorer: &'a dyn TokenScorer,
    tools: &'a Tools<'a>,
    /// Loss `i` belongs to token `i + 1`.
    losses: Vec<f32>,
    /// The losses without the conditioning prefix, where contrast is wanted.
    plain_losses: Option<Vec<f32>>,
}

impl Iteration<'_> {
    /// Compresses segment after segment; gives the places of the tokens that are left, without the prefix.
    fn run(mut self, segments: &[Vec<(usize, f64)>]) -> Result<Vec<usize>, CompressError> {
        let scorer = self.scorer;
        let (mut session, mut plain) = (scorer.session(), scorer.session());
        let size = self.size.cast_signed();
        let mut end = (size + self.start.cast_signed()).min(self.ids.len().cast_signed());
        for (i, parts) in segments.iter().enumerate() {
            if end > self.ids.len().cast_signed() {
                break;
            }
            let ids = if i == 0 { &self.ids[..] } else { &self.ids[..slice_bound(end, self.ids.len())] };
            feed(session.as_mut(), ids, &mut self.losses, self.tools)?;
            if let Some(losses) = &mut self.plain_losses {
                feed(plain.as_mut(), ids.get(self.start..).unwrap_or(&[]), losses, self.tools)?;
            }
            if self.losses.is_empty() {
                break;
            }
            let settled = if i == 0 { 0 } else { slice_bound(end - size, session.cached()) };
            session.forget(settled..session.cached());
            let plain_settled = settled.saturating_sub(self.start);
            plain.forget(plain_settled.min(plain.cached())..plain.cached());
            for &(length, rate) in parts {
                end = self.compress_part(end - size + length.cast_signed(), length, rate) + size;
            }
        }
        Ok(self.places.split_off(self.start.min(self.places.len())))
    }

    /// Drops tokens of the part of `length` that ends at `end`; gives where it ends then. Prompts shorter than
    /// a segment make these bounds negative, which the reference's arrays count from their end.
    fn compress_part(&mut self, end: isize, length: usize, rate: f64) -> isize {
        let start = self.start;
        let surprise: Vec<f32> = match &self.plain_losses {
            None => self.losses.clone(),
            Some(plain) => {
                plain.iter().zip(&self.losses[start.min(self.losses.len())..]).map(|(p, l)| p - l).collect()
            }
        };
        let threshold = threshold(&surprise, rate);
        let offset = if self.plain_losses.is_some() { start } else { 0 };
        let first_loss = self.losses.first().copied().unwrap_or_default();
        let losses = self.losses.len();
        // The reference's mask: token `i` by loss `i`, which belongs to token `i + 1`.
        let masked = |i: usize| {
            if i < offset {
                self.losses[i] > 0.0
            } else if i < losses {
                surprise.get(i - offset).is_none_or(|&s| s > threshold)
            } else {
                i > losses || first_loss > 0.0
            }
        };
        let untouched = slice_bound(end - length.cast_signed(), losses + 1);
        let beyond = slice_bound(end, losses + 1);
        let all = self.ids.len().max(losses + 1);
        let keep: Vec<bool> = (0..all).map(|i| i < untouched || i >= beyond || masked(i)).collect();
        retain(&mut self.losses, &keep);
        if let Some(plain) = &mut self.plain_losses {
            retain(plain, keep.get(start..).unwrap_or(&[]));
        }
        retain(&mut self.ids, &keep);
        retain(&mut self.places, &keep);
        end - keep[..slice_bound(end, keep.len())].iter().filter(|&&keep| !keep).count().cast_signed()
    }
}

/// Returns the index of the slice bound `at` in an array of `len`; negative bounds count from its end.
fn slice_bound(at: isize, len: usize) -> usize {
    if at < 0 { len.saturating_sub(at.unsigned_abs()) } else { len.min(at.unsigned_abs()) }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| *keep.next().unwrap_or(&true));
}

/// Runs what `session` has not seen of `ids` and writes the losses over the running array.
fn feed(
    session: &mut dyn ScoreSession,
    ids: &[u32],
    losses: &mut Vec<f32>,
    tools: &Tools,
) -> Result<(), CompressError> {
    let seen = session.cached().min(ids.len());
    let fresh = session.extend(&ids[seen..], tools.cancel)?;
    let end = seen + fresh.len();
    if end > losses.len() {
        losses.resize(end, 0.0);
    }
    losses[seen..end].copy_from_slice(&fresh);
    Ok(())
}

/// The value that a share of `rate` of all values reaches, keep-all below any.
#[expect(clippy::float_cmp, reason = "the reference compares the rate with exactly 1")]
fn threshold(values: &[f32], rate: f64) -> f32 {
    if rate == 1.0 || values.is_empty() {
        return f32::NEG_INFINITY;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let place = ((values.len() as f64 * rate) as usize).saturating_sub(1).min(values.len() - 1);
    sorted[place]
}

impl Kept {
    fn text(&self, scorer: &dyn TokenScorer) -> String {
        scorer.decode(&self.tokens.iter().map(|token| token.id).collect::<Vec<_>>())
    }

    /// Byte ranges kept of each used context, by its number.
    fn ranges(&self, used: &[usize], contexts: &[String]) -> Vec<(usize, Vec<Range<usize>>)> {
        let mut at = 0;
        used.iter()
            .map(|&document| {
                let own = at..at + contexts[document].len();
                at = own.end + JOIN.len();
                debug_assert!(own.end <= self.joined.len());
                (document, self.ranges_within(&own))
            })
            .collect()
    }

    /// Whole characters of `own` that kept tokens cover, counted from its start.
    fn ranges_within(&self, own: &Range<usize>) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for token in &self.tokens {
            let (start, end) = (token.range.start.max(own.start), token.range.end.min(own.end));
            if start >= end {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        let whole =
            |r: Range<usize>| self.joined.ceil_char_boundary(r.start)..self.joined.floor_char_boundary(r.end);
        let whole = ranges.into_iter().map(whole).filter(|range| !range.is_empty());
        whole.map(|range| range.start - own.start..range.end - own.start).collect()
    }
}

fn describe(
    prompt: &Prompt,
    kept: &[(usize, Vec<Range<usize>>)],
    ranking: &[(usize, f64)],
) -> Vec<KeptDocument> {
    let mut documents: Vec<KeptDocument> = prompt
        .documents
        .iter()
        .map(|document| KeptDocument { id: document.id.clone(), ..KeptDocument::default() })
        .collect();
    for (rank, &(document, score)) in ranking.iter().enumerate() {
        documents[document].rank = Some(rank);
        documents[document].score = score.is_finite().then_some(score);
    }
    for (document, ranges) in kept {
        let source = &prompt.documents[*document];
        let title = heading(source).len();
        let in_text = ranges.iter().filter(|range| range.end > title);
        let in_text: Vec<_> =
            in_text.map(|range| range.start.saturating_sub(title)..range.end - title).collect();
        documents[*document].text = super::assemble::slices(&source.text, &in_text);
        documents[*document].kept = in_text;
    }
    documents
}
