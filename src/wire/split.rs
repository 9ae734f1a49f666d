//! The split of a message into a person's own words and the text they pasted.

use std::ops::Range;

/// Longest beginning or end of a text, in bytes, that is taken for its writer's own words.
const OWN_BYTES: usize = 1200;

/// A text cut in three.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// The range that may be compressed. The rest is the writer's own.
    pub(super) pasted: Range<usize>,
    /// The part before or after that is the question.
    pub(super) question: Option<Range<usize>>,
}

/// Cuts `text` at its first and last blank line; where there is none near its ends, at its first and last line; where
/// there is none either, at its first and last sentence.
pub(super) fn split(text: &str) -> Split {
    let cuts = [cut(text, &["\n\n", "\n\r\n"]), cut(text, &["\n"]), cut(text, &[". ", "? ", "! ", ": "])];
    let whole = 0..text.len();
    let pasted = cuts.into_iter().find(|pasted| *pasted != whole).unwrap_or(whole.clone());
    let own = [pasted.end..whole.end, 0..pasted.start];
    let blank = |range: &Range<usize>| text[range.clone()].trim().is_empty();
    let asks = own.iter().find(|range| text[(*range).clone()].contains('?'));
    let question = asks.or_else(|| own.iter().find(|range| !blank(range))).cloned();
    Split { pasted, question }
}

/// Returns the range between a short beginning and a short end that one of `borders` sets off.
fn cut(text: &str, borders: &[&str]) -> Range<usize> {
    // White space at the ends separates nothing.
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    let near = &text[start..floor(text, (start + OWN_BYTES).min(end)).max(start)];
    let far_start = ceil(text, end.saturating_sub(OWN_BYTES).max(start));
    let far = text.get(far_start..end).unwrap_or_default();
    let first = borders.iter().filter_map(|border| near.find(border)).min();
    let last = borders.iter().filter_map(|border| far.rfind(border)).max();
    let after = first.map_or(0, |at| start + at + 1);
    let before = last.map_or(text.len(), |at| far_start + at + 1);
    if after < before { after..before } else { 0..text.len() }
}

/// The next place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The next place at or after `at` where a character begins.
fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (&str, &str, &str, Option<&str>) {
        let Split { pasted, question } = split(text);
        let question = question.map(|range| text[range].trim());
        (&text[..pasted.start], &text[pasted.clone()], &text[pasted.end..], question)
    }

    #[test]
    fn the_question_stays_apart_wherever_it_stands() {
        let paste = "word ".repeat(500);
        let both = format!("Read this.\n\n{paste}\n\nWho won?");
        assert_eq!(parts(&both), ("Read this.\n", &*format!("\n{paste}\n"), "\nWho won?", Some("Who won?")));
        let before = format!("Who won?\n\n{paste}\n{paste}");
        assert_eq!(parts(&before).3, Some("Who won?"));
        let lines = format!("{paste}\nSum it up.\n");
        assert_eq!(parts(&lines), ("", &*format!("{paste}\n"), "Sum it up.\n", Some("Sum it up.")));
        let sentences = format!("{paste}. Who won?");
        assert_eq!(parts(&sentences).3, Some("Who won?"));
        let windows = format!("Who won?\r\n\r\n{paste}\r\n\r\nThanks");
        assert_eq!(parts(&windows).3, Some("Who won?"));
        assert_eq!(parts(&windows).2.trim(), "Thanks");
    }

    #[test]
    fn a_text_without_borders_is_pasted_whole() {
        let text = "x".repeat(5000);
        assert_eq!(split(&text), Split { pasted: 0..5000, question: None });
    }

    proptest! {
        #[test]
        fn any_text_can_be_cut(text in "(\\PC|\n|\r| |\\.|\\?){0,3000}") {
            let Split { pasted, question } = split(&text);
            prop_assert!(text.is_char_boundary(pasted.start) && text.is_char_boundary(pasted.end));
            prop_assert!(pasted.start <= pasted.end);
            if let Some(question) = question {
                prop_assert!(question.end <= pasted.start || question.start >= pasted.end);
            }
        }
    }
}
