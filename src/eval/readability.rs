//! The readability of kept text: the units of the original that are broken.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::metrics::Recall;
use crate::text::{Segment, segments};

/// Units of a text of which something is kept, and those of them that are broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The number of broken units.
    pub broken: usize,
    /// The number of units of which a word or more is kept.
    pub of: usize,
}

impl Broken {
    /// 0 to 1; none where nothing was kept.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        Recall { kept: self.broken, of: self.of }.share()
    }

    /// Adds the units of `text`, of which the byte ranges `kept` were kept. A sentence of prose is broken where less than
    /// half of its words is kept, any other unit where a word of it is missing.
    pub fn count(&mut self, text: &str, kept: &[[usize; 2]]) {
        for Segment { range, kind, .. } in segments(text) {
            let words = text[range.clone()].unicode_word_indices();
            let (mut all, mut left) = (0, 0);
            for (at, word) in words {
                let (start, end) = (range.start + at, range.start + at + word.len());
                all += 1;
                left += usize::from(kept.iter().any(|kept| kept[0] <= start && end <= kept[1]));
            }
            if left == 0 {
                continue;
            }
            self.of += 1;
            let is_broken = if kind.goes_by_words() { 2 * left < all } else { left < all };
            self.broken += usize::from(is_broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str, kept: &[&str]) -> Broken {
        let ranges: Vec<_> = kept
            .iter()
            .map(|part| text.find(part).map(|start| [start, start + part.len()]).unwrap())
            .collect();
        let mut found = Broken::default();
        found.count(text, &ranges);
        found
    }

    #[test]
    fn sentences_may_be_cut_to_half_and_rows_not_at_all() {
        let prose = "The mayor opened the old bridge at noon. Nobody came to see it there.";
        for (kept, want) in [
            (&["The mayor opened the bridge at noon."][..0], (0, 0)),
            (&["mayor opened the old bridge"], (0, 1)),
            (&["mayor", "noon."], (1, 1)),
            (&["The mayor opened the old bridge at noon.", "Nobody"], (1, 2)),
        ] {
            let Broken { broken, of } = broken(prose, kept);
            assert_eq!((broken, of), want, "{kept:?}");
        }
        let table =
            "| name | height |\n|---|---|\n| Ada Kogan | 171 |\n| Bo Lind | 168 |\n| Cy Moss | 180 |\n";
        let whole = broken(table, &["| name | height |\n", "| Ada Kogan | 171 |\n"]);
        assert_eq!((whole.broken, whole.of), (0, 2), "{:?}", segments(table));
        let cut = broken(table, &["| name | height |\n", "Ada", "171"]);
        assert_eq!((cut.broken, cut.of, cut.share()), (1, 2, Some(0.5)));
        assert_eq!(Broken::default().share(), None);
    }
}
