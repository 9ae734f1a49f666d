//! Puts the words that are kept together to a prompt.

use super::{Selection, WordIndex, WordSelector};
use crate::compress::assemble::{Remains, remains, render};
use crate::text::MarkStyle;

impl WordSelector<'_> {
    /// The prompt that keeps these words, and those that every selection keeps.
    pub(super) fn assemble(&self, places: &[WordIndex]) -> Selection {
        self.of_kept(self.kept(places), self.rulers)
    }

    /// The prompt that keeps these words under their headings, and those that every selection keeps.
    pub(super) fn assemble_under_headings(&self, places: &[WordIndex]) -> Selection {
        let mut kept = self.kept(places);
        for (i, kept) in kept.iter_mut().enumerate() {
            self.structure[i].keep_headings(&self.units[i], kept);
        }
        self.of_kept(kept, self.rulers)
    }

    /// Returns what these words and those of every selection leave, without fragments that say too little as long as
    /// something else is left.
    fn kept(&self, places: &[WordIndex]) -> Vec<Vec<bool>> {
        let mut all = self.required.clone();
        for &(document, unit) in places {
            all[document][unit] = true;
        }
        let mut kept = all.clone();
        for (i, kept) in kept.iter_mut().enumerate() {
            self.structure[i].drop_fragments(&self.required[i], kept);
        }
        if kept.iter().any(|kept| kept.contains(&true)) { kept } else { all }
    }

    /// The prompt of the words that are `kept`, with all rulers of their tables or without.
    pub(super) fn of_kept(&self, mut kept: Vec<Vec<bool>>, rulers: bool) -> Selection {
        self.keep_words(&mut kept);
        for (structure, kept) in self.structure.iter().zip(&mut kept) {
            structure.fill_shells(kept);
            if rulers {
                structure.keep_rulers(kept);
            }
        }
        if self.style.is_some() {
            for (i, kept) in kept.iter_mut().enumerate() {
                self.structure[i].keep_small_gaps(&self.prompt.documents[i].text, &self.units[i], kept);
            }
        }
        for (i, kept) in kept.iter_mut().enumerate() {
            let text = &self.prompt.documents[i].text;
            self.structure[i].drop_loose_marks(text, &self.units[i], &self.required[i], kept);
        }
        self.keep_short_places(&mut kept);
        let mut remains: Vec<_> =
            (0..kept.len()).map(|i| self.remains(i, self.style, |unit| kept[i][unit])).collect();
        self.mark_places(&mut remains);
        let texts = self.sequence.iter().map(|&i| {
            let document = &self.prompt.documents[i];
            (document, remains[i].text(&document.text))
        });
        let prompt = render(self.prompt, texts);
        Selection { tokens: self.tools.counter.count(&prompt), prompt, kept, remains }
    }

    /// Returns the remaining parts of a document's text.
    pub(super) fn remains(
        &self,
        document: usize,
        style: Option<MarkStyle>,
        kept: impl Fn(usize) -> bool,
    ) -> Remains {
        let text = &self.prompt.documents[document].text;
        remains(text, &self.units[document], (&self.structure[document], style), kept)
    }
}
