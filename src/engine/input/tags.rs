//! The tag form of llmlingua: `<llmlingua, rate=0.4, compress=True>text</llmlingua>` inside a text.
//!
//! Only this one tag is read, so that any other `<` is text. Text outside of tags is compressed like any other.
//! Commas and blanks separate attributes, which may come in any order; there is no tag inside a tag.

use std::ops::Range;

use crate::compress::Share;

const OPEN: &str = "<llmlingua";
const CLOSE: &str = "</llmlingua>";
/// Longest opening tag: what is longer was not meant as one.
const LONGEST: usize = 200;

/// A text without its tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::engine) struct Untagged {
    pub(super) text: String,
    /// Parts of `text` that are kept whole or at a rate of their own.
    pub(super) sections: Vec<(Range<usize>, Share)>,
    /// The positions where the pieces of `text` begin in it and in the text as it was sent.
    pieces: Vec<[usize; 2]>,
}

/// A reason for rejecting a text with tags.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum TagError {
    #[error("the tag at byte {0} is never closed: put `</llmlingua>` behind its text")]
    Unclosed(usize),
    #[error("the `</llmlingua>` at byte {0} closes no tag")]
    Unopened(usize),
    #[error("the tag at byte {0} stands inside another: close that one first")]
    Nested(usize),
    #[error(
        "the tag at byte {0} cannot be read: write `<llmlingua, rate=0.4>` or `<llmlingua, compress=False>`, the rate \
         from 0 to 1"
    )]
    Attributes(usize),
}

impl Untagged {
    /// Reads the tags of `text`.
    pub(super) fn read(text: &str) -> Result<Self, TagError> {
        let mut read = Self::default();
        let mut at = 0;
        while let Some(found) = next_tag(text, at) {
            if text[found..].starts_with(CLOSE) {
                return Err(TagError::Unopened(found));
            }
            read.push(text, at..found);
            let (share, start) = opening(text, found)?;
            let end = next_tag(text, start).ok_or(TagError::Unclosed(found))?;
            if !text[end..].starts_with(CLOSE) {
                return Err(TagError::Nested(end));
            }
            let from = read.text.len();
            read.push(text, start..end);
            if let Some(share) = share.filter(|_| read.text.len() > from) {
                read.sections.push((from..read.text.len(), share));
            }
            at = end + CLOSE.len();
        }
        read.push(text, at..text.len());
        Ok(read)
    }

    fn push(&mut self, text: &str, range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push([self.text.len(), range.start]);
            self.text.push_str(&text[range]);
        }
    }

    /// Ranges of the text as it was sent for one of `text`: cut where a tag stood.
    pub(super) fn as_sent(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let first = self.pieces.partition_point(|&[start, _]| start <= range.start).saturating_sub(1);
        let ends = self.pieces[first..].iter().skip(1).map(|&[start, _]| start).chain([self.text.len()]);
        let pieces = self.pieces[first..].iter().zip(ends);
        let inside = pieces.take_while(|(piece, _)| piece[0] < range.end);
        let sent = inside.map(|(&[start, sent], end)| {
            let own = range.start.max(start)..range.end.min(end);
            sent + own.start - start..sent + own.end - start
        });
        sent.filter(|range| !range.is_empty()).collect()
    }
}

/// Returns the position of the next opening or closing tag.
fn next_tag(text: &str, from: usize) -> Option<usize> {
    let is_tag = |&at: &usize| {
        let rest = &text[at..];
        let named = rest.strip_prefix(OPEN).is_some_and(|rest| rest.starts_with([',', ' ', '>']));
        named || rest.starts_with(CLOSE)
    };
    text[from..].match_indices('<').map(|(at, _)| from + at).find(is_tag)
}

/// Parses the opening tag at `at`, and returns its share and where it ends.
fn opening(text: &str, at: usize) -> Result<(Option<Share>, usize), TagError> {
    let refused = TagError::Attributes(at);
    let inside = &text[at + OPEN.len()..];
    let end = inside.bytes().take(LONGEST).position(|byte| byte == b'>').ok_or_else(|| refused.clone())?;
    let (mut rate, mut compress) = (None, None);
    for attribute in inside[..end].split([',', ' ']).filter(|part| !part.is_empty()) {
        match attribute.split_once('=') {
            Some(("rate", value)) if rate.is_none() => {
                let value: f64 = value.parse().map_err(|_| refused.clone())?;
                rate = Some(value).filter(|rate| (0.0..=1.0).contains(rate));
                rate.ok_or_else(|| refused.clone())?;
            }
            Some(("compress", value)) if compress.is_none() => {
                compress = match value.to_ascii_lowercase().as_str() {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => return Err(refused),
                };
            }
            _ => return Err(refused),
        }
    }
    let share = if compress == Some(false) { Some(Share::Whole) } else { rate.map(Share::Rate) };
    Ok((share, at + OPEN.len() + end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Random, tests::mutated};

    #[test]
    fn tags_become_sections_and_the_text_around_them_stays() {
        let text = "a < b <llmlingua, rate=0.4>first</llmlingua> and <llmlingua,compress=False, rate=0.9>second\
                    </llmlingua>.<llmlingua>third</llmlingua>";
        let read = Untagged::read(text).unwrap();
        assert_eq!(read.text, "a < b first and second.third");
        let sections: Vec<_> =
            read.sections.iter().map(|(range, share)| (&read.text[range.clone()], *share)).collect();
        assert_eq!(sections, [("first", Share::Rate(0.4)), ("second", Share::Whole)]);
        let sent = read.as_sent(&(2..13));
        assert_eq!(
            sent.iter().map(|range| &text[range.clone()]).collect::<Vec<_>>(),
            ["< b ", "first", " a"]
        );
        assert!(read.as_sent(&(3..3)).is_empty());
    }

    #[test]
    fn defect_21_a_sign_in_the_content_and_text_outside_of_tags_survive() {
        for text in ["if a<b and <br> then", "1 < 2", "</llm> <llmlinguas> <llmlingua-x>", "<", ""] {
            assert_eq!(Untagged::read(text).unwrap().text, text);
        }
        // A rate of 0 is 0, and commas may be left out.
        let none = Untagged::read("<llmlingua rate=0>x</llmlingua>").unwrap();
        assert_eq!(none.sections, [(0..1, Share::Rate(0.0))]);
        let inside = Untagged::read("<llmlingua, rate=0.5>x < y</llmlingua>").unwrap();
        assert_eq!(inside.text, "x < y");
    }

    #[test]
    fn unbalanced_and_unreadable_tags_are_refused_by_their_place() {
        for (text, error) in [
            ("ab<llmlingua>c", TagError::Unclosed(2)),
            ("ab</llmlingua>", TagError::Unopened(2)),
            ("<llmlingua>a<llmlingua>b</llmlingua></llmlingua>", TagError::Nested(12)),
            ("<llmlingua, rate=2>a</llmlingua>", TagError::Attributes(0)),
            ("<llmlingua, rate=nan>a</llmlingua>", TagError::Attributes(0)),
            ("<llmlingua, rate=0.1, rate=0.2>a</llmlingua>", TagError::Attributes(0)),
            ("<llmlingua, compress=maybe>a</llmlingua>", TagError::Attributes(0)),
            ("<llmlingua, speed=3>a</llmlingua>", TagError::Attributes(0)),
            ("<llmlingua, rate=0.5", TagError::Attributes(0)),
        ] {
            assert_eq!(Untagged::read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn of_mutated_tags_nothing_is_read_that_was_not_sent() {
        let valid = "a < b <llmlingua, rate=0.4>first</llmlingua> and <llmlingua,compress=False, rate=0.9>second\
                     </llmlingua>.<llmlingua>third é</llmlingua>";
        let (mut random, mut taken) = (Random::new(5), 0);
        for _ in 0..20_000 {
            let mutant = mutated(valid.as_bytes(), &mut random);
            let text = String::from_utf8_lossy(&mutant);
            let Ok(read) = Untagged::read(&text) else { continue };
            taken += 1;
            let sent = read.as_sent(&(0..read.text.len()));
            let back: String = sent.iter().map(|range| &text[range.clone()]).collect();
            assert_eq!(back, read.text, "{text}");
            assert!(read.sections.iter().all(|(range, _)| read.text.get(range.clone()).is_some()), "{text}");
        }
        assert!((2_000..19_000).contains(&taken), "{taken} of 20,000 taken");
    }

    proptest! {
        /// A fuzz target that runs with the tests.
        #[test]
        fn whatever_is_read_comes_from_the_text(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("<llmlingua>".to_owned()), Just("</llmlingua>".to_owned()), Just("<".to_owned()),
                    Just("<llmlingua, rate=0.3>".to_owned()), Just("<llmlingua,compress=False>".to_owned()),
                    "<llmlingua[ ,=a-z0-9.]{0,12}>?", "\\PC{0,6}"
                ],
                0..12,
            )
        ) {
            let text = parts.concat();
            if let Ok(read) = Untagged::read(&text) {
                let sent = read.as_sent(&(0..read.text.len()));
                let back: String = sent.iter().map(|range| &text[range.clone()]).collect();
                prop_assert_eq!(&back, &read.text);
                prop_assert!(sent.windows(2).all(|pair| pair[0].end <= pair[1].start));
                for (range, _) in &read.sections {
                    prop_assert!(read.text.get(range.clone()).is_some_and(|section| !section.is_empty()));
                }
            }
        }
    }
}
