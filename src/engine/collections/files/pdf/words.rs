//! The words of a page, and where they stand.

use pdf_extract::{MediaBox, OutputDev, OutputError, Transform};

/// Most words of a page that are put in order by where they stand.
const MOST: usize = 5000;

/// A word, or a part of one, on a horizontal line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) left: f64,
    pub(super) right: f64,
    /// The distance of its line from the page's origin, downwards.
    pub(super) line: f64,
    /// Height of its letters.
    pub(super) size: f64,
}

/// The words of a page, as they are drawn.
#[derive(Debug, Default)]
pub(super) struct Words {
    drawn: Vec<Word>,
    /// Says whether the next character begins a word.
    begins: bool,
    /// Says whether a character stands where its place says nothing of the order: turned, or in a script from the right.
    is_odd: bool,
}

impl Words {
    /// All words; none where their places do not tell their order.
    pub(super) fn placed(self) -> Option<Vec<Word>> {
        (!self.is_odd && self.drawn.len() <= MOST).then_some(self.drawn)
    }

    fn character(&mut self, place: &Transform, width: f64, size: f64, text: &str) {
        let height = (place.m22 * size).abs();
        let level = place.m12.abs() < 0.01 * place.m11 && place.m21.abs() < 0.01 * place.m22.abs();
        let (left, line) = (place.m31, -place.m32);
        let right = left + width * size * place.m11;
        self.is_odd |= !level || ![left, right, line, height].into_iter().all(f64::is_finite);
        self.is_odd |= text.chars().any(is_from_the_right);
        if text.trim().is_empty() {
            self.begins = true;
            return;
        }
        let goes_on = |word: &&mut Word| {
            let gap = left - word.right;
            (line - word.line).abs() < 0.2 * height && gap < 0.1 * height && gap > -0.5 * height
        };
        if let Some(word) = self.drawn.last_mut().filter(|_| !self.begins).filter(goes_on) {
            word.text += text;
            word.right = right.max(word.right);
        } else if self.drawn.len() <= MOST {
            self.drawn.push(Word { text: text.to_owned(), left, right, line, size: height });
        }
        self.begins = false;
    }
}

/// Returns whether `c` is a letter of Hebrew, Arabic or a script beside them.
fn is_from_the_right(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

impl OutputDev for Words {
    fn begin_page(
        &mut self,
        _: u32,
        _: &MediaBox,
        _: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _: f64,
        size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        self.character(place, width, size, text);
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
