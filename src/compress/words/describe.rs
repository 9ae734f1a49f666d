//! The description of a selection: what is kept of each document, and whether all promises hold.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Selection, WordSelector};
use crate::compress::{CompressError, Document, KeptDocument, KeptWord};
use crate::text::{Mark, Noun, Unit};

/// Says how much was kept, and how much was left out as a whole.
pub(super) fn reason(used: usize, documents: &[KeptDocument]) -> String {
    let kept = format!("kept the most informative words of {used} of {} documents", documents.len());
    let mut counts: BTreeMap<Noun, usize> = BTreeMap::new();
    for (&noun, count) in documents.iter().flat_map(|document| &document.left_out) {
        *counts.entry(noun).or_default() += count;
    }
    let left_out: Vec<String> =
        counts.iter().map(|(&noun, &count)| Mark::new(count, noun).to_string()).collect();
    if left_out.is_empty() { kept } else { format!("{kept}; {}", left_out.join(", ")) }
}

impl WordSelector<'_> {
    /// Checks that no protected span is cut and nothing that is required is missing.
    pub(super) fn verify(&self, kept: &Selection) -> Result<(), CompressError> {
        for (document, (spans, remains)) in self.spans.iter().zip(&kept.remains).enumerate() {
            let is_cut =
                |span: &&Range<usize>| !self.is_divided(document, span) && cuts(&remains.ranges, span);
            if let Some(span) = spans.iter().find(is_cut) {
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

    /// Returns whether units divide `span`: a clause over several lines is held together by their needs alone.
    fn is_divided(&self, document: usize, span: &Range<usize>) -> bool {
        let units = &self.units[document];
        let first = units.partition_point(|unit| unit.range.end <= span.start);
        units.get(first).is_some_and(|unit| unit.range.end < span.end)
    }

    pub(super) fn describe(
        &self,
        ranking: &[(usize, f64)],
        scores: &[Vec<f32>],
        kept: &Selection,
    ) -> Vec<KeptDocument> {
        let mut places = vec![None; self.prompt.documents.len()];
        for (rank, &(document, score)) in ranking.iter().enumerate() {
            places[document] = Some((rank, score));
        }
        let describe = |(i, document): (usize, &Document)| {
            let score = |unit: usize| scores.get(i).and_then(|scores| scores.get(unit)).copied();
            let word = |(unit, word): (usize, &Unit)| KeptWord {
                range: word.core.clone(),
                kept: kept.kept[i][unit],
                score: score(unit),
            };
            KeptDocument {
                id: document.id.clone(),
                text: kept.remains[i].text(&document.text),
                kept: kept.remains[i].ranges.clone(),
                marks: kept.remains[i].marks.clone(),
                left_out: self.left_out(i, kept),
                rank: places[i].map(|(rank, _)| rank),
                score: places[i].map(|(_, score)| score),
                words: self.units[i].iter().enumerate().map(word).collect(),
            }
        };
        self.prompt.documents.iter().enumerate().map(describe).collect()
    }
}

/// Returns whether the ranges, sorted and disjoint, hold a part of `span` but not all of it.
fn cuts(ranges: &[Range<usize>], span: &Range<usize>) -> bool {
    let first = ranges.partition_point(|range| range.end <= span.start);
    ranges
        .get(first)
        .is_some_and(|range| range.start < span.end && !(range.start <= span.start && span.end <= range.end))
}
