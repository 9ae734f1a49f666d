//! Documents cut into units, and a memory of those that were cut before.

use std::ops::Range;
use std::sync::Arc;

use moka::sync::Cache;

use super::structure::Structure;
use crate::text::{Granularity, Protector, Segment, Unit, segments};

/// Bytes of memory for each byte of a text that is cut into words: a word has two ranges, the number of its segment and
/// what tells whether it may stand alone.
const BYTES_PER_BYTE: usize = 16;

/// A document cut into units.
#[derive(Clone)]
pub(super) struct CutText {
    /// The segments of the text, with records of JSON whole.
    pub(super) segments: Vec<Segment>,
    /// The structure that the units are parts of.
    pub(super) structure: Structure,
    pub(super) units: Vec<Unit>,
    /// Protected spans.
    pub(super) spans: Vec<Range<usize>>,
}

impl CutText {
    /// Cuts `text` into the usual segments.
    fn new(text: &str, granularity: Granularity, protector: &Protector) -> Self {
        let segments = segments(text);
        Self { segments: segments.clone(), ..Self::of(text, segments, granularity, protector) }
    }

    /// Cuts `text` into units that are parts of `segments`, which are not kept.
    pub(super) fn of(
        text: &str,
        segments: Vec<Segment>,
        granularity: Granularity,
        protector: &Protector,
    ) -> Self {
        let mut spans = protector.spans(text);
        let (structure, units) = Structure::of(text, segments, &mut spans, granularity);
        Self { segments: Vec::new(), structure, units, spans }
    }
}

/// Remembers how texts were cut with one protector: a long document often comes again with another question, and to cut
/// it takes two fifths of the time of an answer whose vectors are remembered.
pub struct CutMemory(Cache<([u8; 32], Granularity), Arc<CutText>>);

impl std::fmt::Debug for CutMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutMemory").field("texts", &self.0.entry_count()).finish()
    }
}

impl CutMemory {
    /// Returns a memory of about so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let weight = |_: &_, cut: &Arc<CutText>| {
            let text = cut.segments.last().map_or(0, |last| last.range.end);
            let segments = size_of_val::<[Segment]>(&cut.segments);
            u32::try_from(BYTES_PER_BYTE * text + 2 * segments).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weight).build())
    }

    fn get(&self, text: &str, granularity: Granularity, protector: &Protector) -> CutText {
        let key = (*blake3::hash(text.as_bytes()).as_bytes(), granularity);
        let cut = self.0.get_with(key, || Arc::new(CutText::new(text, granularity, protector)));
        CutText::clone(&cut)
    }
}

/// Cuts `text` into the usual segments and their units, or remembers how it was cut.
pub(super) fn cut(
    text: &str,
    granularity: Granularity,
    (protector, memory): (&Protector, Option<&CutMemory>),
) -> CutText {
    memory.map_or_else(
        || CutText::new(text, granularity, protector),
        |memory| memory.get(text, granularity, protector),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_before_is_the_same() {
        let text = "Ann: It was not 5 km.\nBob: So?\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
        let (protector, memory) = (Protector::default(), CutMemory::new(1 << 20));
        let fresh = CutText::new(text, Granularity::Token, &protector);
        for _ in 0..2 {
            let cut = cut(text, Granularity::Token, (&protector, Some(&memory)));
            assert_eq!((&cut.segments, &cut.units), (&fresh.segments, &fresh.units));
            assert_eq!(cut.spans, fresh.spans);
        }
        let sentences = cut(text, Granularity::Sentence, (&protector, Some(&memory)));
        assert!(sentences.units.len() <= fresh.units.len());
        memory.0.run_pending_tasks();
        assert_eq!(memory.0.entry_count(), 2);
    }

    #[test]
    fn what_is_too_large_is_cut_each_time() {
        let (protector, memory) = (Protector::default(), CutMemory::new(100));
        let text = "A sentence of some words. ".repeat(20);
        let first = cut(&text, Granularity::Token, (&protector, Some(&memory)));
        memory.0.run_pending_tasks();
        assert_eq!(memory.0.entry_count(), 0);
        assert_eq!(cut(&text, Granularity::Token, (&protector, Some(&memory))).units, first.units);
    }
}
