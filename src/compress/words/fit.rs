//! The choice of as many of the best words as fit into a budget.

use super::{RULER_SHARE, Selection, WordIndex, WordSelector};
use crate::compress::cuts::CutText;
use crate::compress::select::largest_prefix;
use crate::compress::structure::Structure;
use crate::compress::{CompressError, Document, Prompt, Tools};
use crate::text::{Granularity, MarkStyle, core_segments, fine_segments};

/// The part of the budget that may stay unused: no smaller words are searched for once so little is left.
const CLOSE: usize = 200;
/// Times that a word which does not fit is passed over for smaller ones behind it.
const PASSED_OVER: usize = 8;
/// The parts of the budget of which the longest mark, and all marks together, may each take one as long as they say how
/// much is left out; all are short where they take more. Before, with marks that always did, `tatqa_mixed` of
/// `data/domains` had 28 instead of 33% of operands whole at 0.10, and identifiers of `code` 91 instead of 95% at 0.05:
/// marks took a fifth of the budget of programs. `[…]`, which takes two tokens instead of four, gives 39% and 100 / 95%,
/// but nobody who looks for `left out` finds it. With 16 for all together `qmsum` gains another 2 points of evidence, but
/// half of a file of settings has marks that do not count.
const MARK_SHARE: usize = 16;
const MARKS_SHARE: usize = 6;
/// Few tokens have more bytes.
const BYTES_PER_TOKEN: usize = 12;

impl<'a> WordSelector<'a> {
    /// A prompt in words, of which something fits into `budget`: where nothing does, with short marks; where no record of
    /// JSON does, with the shortest members of records, or single members; and where there is no room for marks at all,
    /// without them and with headings by themselves.
    pub(super) fn fitting(
        prompt: &'a Prompt,
        tools: &'a Tools,
        usual: Granularity,
        budget: usize,
    ) -> Result<Self, CompressError> {
        let mut words = Self::new(prompt, tools, usual);
        words.rulers = words.longest_ruler() * RULER_SHARE <= budget;
        let Err(error) = words.smallest().within(budget) else { return Ok(words) };
        if !words.structure.iter().any(Structure::has_whole) {
            return Err(error);
        }
        words.style = words.style.map(MarkStyle::short);
        if words.smallest().within(budget).is_ok() {
            return Ok(words);
        }
        let granularity = prompt.constraints.granularity.unwrap_or(usual);
        for cut in [core_segments, fine_segments] {
            let fine = |document: &Document| {
                CutText::of(&document.text, cut(&document.text), granularity, tools.protector)
            };
            words = Self {
                rulers: words.rulers,
                style: words.style,
                segments: words.segments,
                ..Self::of_cuts(prompt, tools, prompt.documents.iter().map(fine))
            };
            if words.smallest().within(budget).is_ok() {
                return Ok(words);
            }
        }
        words.style = None;
        if words.smallest().within(budget).is_ok() {
            return Ok(words);
        }
        words.structure.iter_mut().for_each(Structure::free_heads);
        words.smallest().within(budget).map(|_| words)
    }

    /// Selects as many words as fit, the first in `order` before all others, and with them the style of marks: short ones
    /// where those that count would take more than their share of the budget.
    pub(super) fn select(
        &mut self,
        order: Vec<WordIndex>,
        budget: usize,
    ) -> Result<Selection, CompressError> {
        let smallest = self.smallest().within(budget)?;
        let Some(style) = self.style.filter(|style| !style.is_short()) else {
            return self.select_as_marked(order, budget, smallest);
        };
        let counted = self.select_as_marked(order.clone(), budget, smallest)?;
        if self.has_room_for_marks(&counted, budget) {
            return Ok(counted);
        }
        self.style = Some(style.short());
        let smallest = self.smallest().within(budget)?;
        self.select_as_marked(order, budget, smallest)
    }

    /// Returns whether the marks of a selection take no more than their share of the budget.
    fn has_room_for_marks(&self, selection: &Selection, budget: usize) -> bool {
        let marks = selection.remains.iter().flat_map(|remains| &remains.marks);
        let tokens: Vec<usize> = marks.map(|(_, mark)| self.tools.counter.count(mark)).collect();
        let longest = tokens.iter().copied().max().unwrap_or_default();
        longest * MARK_SHARE <= budget && tokens.iter().sum::<usize>() * MARKS_SHARE <= budget
    }

    /// Selects as many words as fit; `smallest` where none of them does.
    fn select_as_marked(
        &self,
        mut order: Vec<WordIndex>,
        budget: usize,
        smallest: Selection,
    ) -> Result<Selection, CompressError> {
        let close = budget - budget.saturating_sub(smallest.tokens) / CLOSE;
        let least = smallest.tokens;
        let mut best = smallest;
        for _ in 0..=PASSED_OVER {
            let atoms = self.atoms(&order);
            let count = |n: usize| self.assemble_under_headings(&atoms[..n].concat()).tokens;
            let n = match largest_prefix(order.len(), budget, self.tools.cancel, count) {
                Ok(n) => n,
                Err(CompressError::Infeasible { .. }) => 0,
                Err(other) => return Err(other),
            };
            if n > 0 {
                let found = self.assemble_under_headings(&atoms[..n].concat());
                if found.tokens > best.tokens || best.tokens == least {
                    best = found;
                }
            }
            if n == order.len() || (n > 0 && best.tokens >= close) {
                break;
            }
            // Behind the one that does not fit only what is small enough still counts.
            let room = budget.saturating_sub(best.tokens);
            let rest = order.split_off(n);
            let mut kept = best.kept.clone();
            order.extend(rest.into_iter().skip(1).filter(|&place| self.fits(place, &mut kept, room)));
        }
        if self.rulers {
            return Ok(best);
        }
        let ruled = self.of_kept(best.kept.clone(), true);
        Ok(if ruled.tokens <= budget { ruled } else { best })
    }

    /// Returns whether there is room for a word and all that it needs besides what is `kept`, which is the same afterwards.
    fn fits(&self, (document, unit): WordIndex, kept: &mut [Vec<bool>], room: usize) -> bool {
        let kept = &mut kept[document];
        let mut needed = Vec::new();
        self.close((document, unit), kept, |other| needed.push(other));
        let bytes: usize = needed.iter().map(|&other| self.word((document, other)).len()).sum();
        let tokens = |&other: &usize| self.tools.counter.count(self.word((document, other)));
        for &other in &needed {
            kept[other] = false;
        }
        bytes <= room || bytes / BYTES_PER_TOKEN <= room && needed.iter().map(tokens).sum::<usize>() <= room
    }

    /// Tokens of the longest ruler of a table.
    pub(super) fn longest_ruler(&self) -> usize {
        let rulers = self.structure.iter().enumerate().flat_map(|(document, structure)| {
            let units = 0..self.units[document].len();
            units.filter(|&unit| structure.is_ruler(unit)).map(move |unit| (document, unit))
        });
        rulers.map(|ruler| self.tools.counter.count(self.word(ruler))).max().unwrap_or_default()
    }
}
