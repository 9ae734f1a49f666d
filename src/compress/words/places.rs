//! Documents that are never empty: where nothing is kept of one, a mark or a word stands for it.

use std::collections::BTreeMap;

use super::{Selection, WordIndex, WordSelector};
use crate::compress::Place;
use crate::compress::assemble::Remains;
use crate::compress::structure::SMALLER_THAN_A_MARK;
use crate::text::{Mark, Noun};

impl WordSelector<'_> {
    /// The documents that marks stand for, and what those count.
    fn marked(&self) -> impl Iterator<Item = (usize, Noun)> {
        self.prompt.constraints.places.iter().filter_map(|(&document, place)| match place {
            Place::Mark(noun) => Some((document, *noun)),
            Place::Word => None,
        })
    }

    /// Chooses the words that stand for documents: the first short ones in `order`, the best first, or those that the
    /// documents begin with.
    pub(super) fn choose_words(&mut self, order: &[WordIndex]) {
        let mut chosen = vec![false; self.standing.len()];
        for &(document, unit) in order {
            let is_short = self.units[document][unit].core.len() <= SMALLER_THAN_A_MARK;
            if is_short && !chosen[document] && self.structure[document].is_free(unit) {
                (chosen[document], self.standing[document]) = (true, Some(unit));
            }
        }
    }

    /// Keeps the words that stand for documents of which nothing else is kept.
    pub(super) fn keep_words(&self, kept: &mut [Vec<bool>]) {
        for (&document, place) in &self.prompt.constraints.places {
            if let (Place::Word, Some(unit)) = (place, self.standing[document])
                && !kept[document].contains(&true)
            {
                self.structure[document].close(unit, &mut kept[document], |_| {});
            }
        }
    }

    /// Keeps documents that are no longer than the marks that would stand for them.
    pub(super) fn keep_short_places(&self, kept: &mut [Vec<bool>]) {
        for (document, _) in self.marked() {
            let is_short = self.prompt.documents[document].text.trim().len() <= SMALLER_THAN_A_MARK;
            if is_short && !kept[document].contains(&true) {
                kept[document].fill(true);
            }
        }
    }

    /// Puts marks in the place of documents of which nothing is kept.
    pub(super) fn mark_places(&self, remains: &mut [Remains]) {
        for (document, noun) in self.marked() {
            let text = &self.prompt.documents[document].text;
            if remains[document].ranges.is_empty() && !text.trim().is_empty() {
                remains[document].marks.push((0, self.places.write(&whole_mark(text, noun))));
            }
        }
    }

    /// Returns the amounts that were left out of a document; of one that a mark stands for, what that counts.
    pub(super) fn left_out(&self, document: usize, kept: &Selection) -> BTreeMap<Noun, usize> {
        let text = &self.prompt.documents[document].text;
        let remains = &kept.remains[document];
        match self.prompt.constraints.places.get(&document) {
            Some(&Place::Mark(noun)) if remains.ranges.is_empty() && !remains.marks.is_empty() => {
                BTreeMap::from([(noun, whole_mark(text, noun).count)])
            }
            _ => self.structure[document].left_out(text, &self.units[document], &kept.kept[document]),
        }
    }
}

/// The mark for all of a document.
fn whole_mark(text: &str, noun: Noun) -> Mark {
    let count = match noun {
        Noun::Lines => text.trim().lines().count(),
        Noun::Bytes => text.len(),
        Noun::Rows | Noun::Records | Noun::Turns => 1,
    };
    Mark::new(count, noun)
}
