//! The choice of as many of the best words as fit into a budget.

use super::{RULER_SHARE, Selection, WordIndex, WordSelector};
use crate::compress::select::largest_prefix;
use crate::compress::structure::Structure;
use crate::compress::{CompressError, Prompt, Tools};
use crate::text::{Granularity, core_segments, fine_segments};

/// The part of the budget that may stay unused: no smaller words are searched for once so little is left.
const CLOSE: usize = 200;
/// Times that a word which does not fit is passed over for smaller ones behind it.
const PASSED_OVER: usize = 8;
/// Few tokens have more bytes.
const BYTES_PER_TOKEN: usize = 12;

impl<'a> WordSelector<'a> {
    /// A prompt in words, of which something fits into `budget`: where no record of JSON does, with the shortest members
    /// of records, or single members, and where there is no room for marks, without them and with headings by themselves.
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
        for cut in [core_segments, fine_segments] {
            let fine = prompt.documents.iter().map(|document| cut(&document.text)).collect();
            words = Self {
                rulers: words.rulers,
                segments: words.segments,
                ..Self::of_segments(prompt, tools, usual, fine)
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

    /// Selects as many words as fit, the first in `order` before all others; `smallest` where none of them fits.
    pub(super) fn select(
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
            let fits = |place: &WordIndex| {
                let bytes = self.word(*place).len();
                bytes <= room
                    || bytes / BYTES_PER_TOKEN <= room && self.tools.counter.count(self.word(*place)) <= room
            };
            order.extend(rest.into_iter().skip(1).filter(fits));
        }
        if self.rulers {
            return Ok(best);
        }
        let ruled = self.of_kept(best.kept.clone(), true);
        Ok(if ruled.tokens <= budget { ruled } else { best })
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
