//! Numbers of items in prose, each of which is kept with what it counts, and never by itself.

use std::ops::Range;

use crate::text::{Item, Segment, Unit, items};

/// The marks of the items of a document, by its units.
#[derive(Clone)]
pub(super) struct Marked {
    /// The unit that is the mark of the item that each unit lies in; of a mark that of the item around its own. Empty where
    /// there are no items.
    of: Vec<Option<usize>>,
    is_mark: Vec<bool>,
}

impl Marked {
    /// Finds the units of `items`.
    pub(super) fn of(units: &[Unit], items: &[Item]) -> Self {
        if items.is_empty() {
            return Self { of: Vec::new(), is_mark: Vec::new() };
        }
        let mut marked = Self { of: vec![None; units.len()], is_mark: vec![false; units.len()] };
        for item in items {
            let first = units.partition_point(|unit| unit.core.start < item.mark.start);
            if !units.get(first).is_some_and(|unit| unit.core == item.mark) {
                continue;
            }
            marked.is_mark[first] = true;
            let end = first + 1 + units[first + 1..].partition_point(|unit| unit.core.start < item.end);
            marked.of[first + 1..end].fill(Some(first));
        }
        marked
    }

    /// Returns the mark of the item that a unit lies in.
    pub(super) fn mark(&self, unit: usize) -> Option<usize> {
        self.of.get(unit).copied().flatten()
    }

    pub(super) fn is_mark(&self, unit: usize) -> bool {
        self.is_mark.get(unit).is_some_and(|is_mark| *is_mark)
    }

    /// Takes marks out of what is `kept` of whose items nothing is. None goes that is `required`.
    pub(super) fn drop_alone(&self, required: &[bool], kept: &mut [bool]) {
        let mut filled = vec![false; self.of.len()];
        for unit in (0..self.of.len()).rev().filter(|&unit| kept[unit]).collect::<Vec<_>>() {
            kept[unit] = !self.is_mark[unit] || filled[unit] || required[unit];
            if let Some(mark) = self.of[unit].filter(|_| kept[unit]) {
                filled[mark] = true;
            }
        }
    }
}

/// Finds the items of the prose of a document, and sets their marks apart from the protected `spans`: each is one of its
/// own. What begins before a mark has that in it.
pub(super) fn find(text: &str, segments: &[Segment], spans: &mut Vec<Range<usize>>) -> Vec<Item> {
    let runs = segments.chunk_by(|a, b| a.kind.goes_by_words() && b.kind.goes_by_words());
    let prose = runs.filter(|run| run[0].kind.goes_by_words());
    let mut found: Vec<Item> = prose
        .flat_map(|run| items(text, &run.iter().map(|segment| segment.range.clone()).collect::<Vec<_>>()))
        .collect();
    found.retain(|Item { mark, .. }| {
        let over = spans.partition_point(|span| span.end <= mark.start);
        spans.get(over).is_none_or(|span| span.start >= mark.start)
    });
    if found.is_empty() {
        return found;
    }
    let mut marks = found.iter().map(|item| item.mark.clone()).peekable();
    let (mut apart, mut at) = (Vec::with_capacity(spans.len() + found.len()), 0);
    for span in spans.drain(..) {
        while let Some(mark) = marks.next_if(|mark| mark.start <= span.start) {
            at = mark.end;
            apart.push(mark);
        }
        let rest = &text[span.start.max(at).min(span.end)..span.end];
        let start = span.end - rest.trim_start().len();
        if start < span.end {
            apart.push(start..span.end);
        }
    }
    apart.extend(marks);
    *spans = apart;
    found
}

#[cfg(test)]
mod tests {
    use super::super::Structure;
    use crate::text::{Granularity, Protector, Unit, segments};

    /// Returns what is left where the unit `chosen` is, with what it needs.
    fn left(text: &str, chosen: &str) -> String {
        let mut spans = Protector::default().spans(text);
        let (structure, units) = Structure::of(text, segments(text), &mut spans, Granularity::Token);
        let core = |unit: &Unit| &text[unit.core.clone()];
        let mut kept = vec![false; units.len()];
        let unit = units.iter().position(|unit| core(unit) == chosen).expect("it is there");
        structure.close(unit, &mut kept, |_| {});
        let left = units.iter().zip(kept).filter(|(_, kept)| *kept).map(|(unit, _)| core(unit));
        left.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_keep_the_number_that_counts_them() {
        let text = "Ida has a list. 1. Open the valve. It sticks. 2. Fill the tank (a) with rain, (b) with melted snow. 3. Do not wait. All is well.";
        assert_eq!(left(text, "valve"), "1. valve .");
        assert_eq!(left(text, "sticks"), "1. sticks .");
        assert_eq!(left(text, "melted"), "2. (b) melted .");
        assert_eq!(left(text, "Do not wait"), "3. Do not wait .");
        assert_eq!(left(text, "well"), "well .");
        assert_eq!(left("Step 1: Lift it. Step 2: Drop it there.", "Drop"), "Step 2: Drop .");
    }
}
