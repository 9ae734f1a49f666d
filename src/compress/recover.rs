//! Sub-sequence recovery: what a model answers from a compressed prompt, with the words of the original put
//! back (arXiv 2310.06839, section 4.4).
//!
//! A model that read `Ellen Whitfield` where the original has `Ellen Ruth Whitfield` answers with the short
//! form. The kept ranges tell where in the original each word of the compressed text stood, so that a phrase of
//! the answer that occurs in the compressed text leads to one span of the original; nothing is guessed.
//!
//! Phrases are matched word by word, never inside words. A phrase is restored only where it has a name, a
//! number or a word of a script without capitals in it: otherwise plain turns of speech (`of the`) would be
//! taken for quotations. Between two of its words at most ten words were dropped.

use std::collections::HashMap;
use std::ops::Range;

use crate::text::units;

/// Most words that were dropped between two words of a phrase; that of the first implementation.
const WIDEST_GAP: usize = 10;
/// Most words of a phrase.
const LONGEST_PHRASE: usize = 64;
/// Most places in the documents where a phrase is looked for. Bounds the time for texts that repeat one word.
const MOST_PLACES: usize = 256;

/// A document as it was before compression, with what was kept of it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The original text.
    pub text: &'a str,
    /// Kept byte ranges of it: sorted, disjoint, between characters.
    pub kept: &'a [Range<usize>],
}

/// A phrase that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Bytes of the response as it was given.
    pub range: Range<usize>,
    /// Bytes of the new response.
    pub restored: Range<usize>,
    /// Number of the document that the phrase is from.
    pub document: usize,
    /// Bytes of that document's original text.
    pub source: Range<usize>,
}

/// The recovery's input contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kept range {range:?} of document {document} is not sorted, overlaps another, ends beyond the text or cuts a character"
)]
pub struct RecoverError {
    /// Number of the document.
    pub document: usize,
    /// The first range at fault.
    pub range: Range<usize>,
}

/// A word of a compressed document.
struct Word<'a> {
    /// The kept part of the word.
    text: std::borrow::Cow<'a, str>,
    document: usize,
    /// The index among the words of the original.
    place: usize,
    /// All of it, in the original.
    range: Range<usize>,
}

impl Word<'_> {
    fn is_whole(&self) -> bool {
        self.text.len() == self.range.len()
    }

    /// Returns whether `next`, the word after this one in the compressed text, may continue a phrase.
    fn leads_to(&self, next: &Self) -> bool {
        self.document == next.document && next.place - self.place <= WIDEST_GAP + 1
    }
}

/// Restores the phrases of `response` to what they were in `sources`.
///
/// # Errors
/// A kept range is none of its text.
pub fn recover(response: &str, sources: &[Source]) -> Result<(String, Vec<Restored>), RecoverError> {
    let mut words = Vec::new();
    for (document, source) in sources.iter().enumerate() {
        check(document, source)?;
        words.extend(kept_words(document, source));
    }
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, word) in words.iter().enumerate() {
        places.entry(&word.text).or_default().push(i);
    }
    let said: Vec<Range<usize>> = units(response, &[]).into_iter().map(|unit| unit.core).collect();
    let (mut new, mut restored, mut end, mut at) = (String::new(), Vec::new(), 0, 0);
    while at < said.len() {
        let Some(found) = longest(response, &said[at..], &words, &places) else {
            at += 1;
            continue;
        };
        let own = said[at].start..said[at + found.len() - 1].end;
        at += found.len();
        let (first, last) = (&words[found.start], &words[found.end - 1]);
        let source = first.range.start..last.range.end;
        let original = &sources[first.document].text[source.clone()];
        if original == &response[own.clone()] || !worth(&response[own.clone()]) || !loses(&words[found]) {
            continue;
        }
        new += &response[end..own.start];
        let start = new.len();
        new += original;
        restored.push(Restored {
            restored: start..new.len(),
            document: first.document,
            source,
            range: own.clone(),
        });
        end = own.end;
    }
    Ok((new + &response[end..], restored))
}

fn check(document: usize, source: &Source) -> Result<(), RecoverError> {
    let mut end = 0;
    for range in source.kept {
        // `get` is none beyond the text, inside a character and where start is behind end.
        if range.start < end || source.text.get(range.clone()).is_none() {
            return Err(RecoverError { document, range: range.clone() });
        }
        end = range.end;
    }
    Ok(())
}

/// Returns the kept parts of the words of a document.
fn kept_words<'a>(document: usize, source: &Source<'a>) -> Vec<Word<'a>> {
    let mut kept = source.kept.iter().peekable();
    let mut words = Vec::new();
    for (place, unit) in units(source.text, &[]).into_iter().enumerate() {
        let range = unit.core;
        while kept.next_if(|kept| kept.end <= range.start).is_some() {}
        let parts: Vec<&str> = kept
            .clone()
            .take_while(|kept| kept.start < range.end)
            .map(|kept| &source.text[kept.start.max(range.start)..kept.end.min(range.end)])
            .collect();
        if parts.iter().any(|part| !part.is_empty()) {
            let text = if let [part] = parts[..] { part.into() } else { parts.concat().into() };
            words.push(Word { text, document, place, range });
        }
    }
    words
}

/// Returns the position in `words` of the longest phrase that the response continues with; of several, the one that
/// was shortest in the original.
fn longest(
    response: &str,
    said: &[Range<usize>],
    words: &[Word],
    places: &HashMap<&str, Vec<usize>>,
) -> Option<Range<usize>> {
    let starts = places.get(&response[said[0].clone()])?;
    let phrase = |&start: &usize| {
        let mut len = 1;
        while len < said.len().min(LONGEST_PHRASE)
            && words.get(start + len).is_some_and(|word| {
                word.text == response[said[len].clone()] && words[start + len - 1].leads_to(word)
            })
        {
            len += 1;
        }
        start..start + len
    };
    let width = |found: &Range<usize>| words[found.end - 1].place - words[found.start].place;
    let order = |found: &Range<usize>| (std::cmp::Reverse(found.len()), width(found), found.start);
    starts.iter().take(MOST_PLACES).map(phrase).min_by_key(order)
}

/// Returns whether something was dropped between or within these words.
fn loses(words: &[Word]) -> bool {
    words.iter().any(|word| !word.is_whole())
        || words.windows(2).any(|pair| pair[1].place != pair[0].place + 1)
}

/// Returns whether the phrase has a name, a number or a word of a script without capitals.
fn worth(phrase: &str) -> bool {
    phrase.chars().any(|c| c.is_numeric() || (c.is_alphabetic() && !c.is_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ranges of `text` that hold the `kept` words, in their order.
    fn ranges(text: &str, kept: &[&str]) -> Vec<Range<usize>> {
        let mut at = 0;
        kept.iter()
            .map(|word| {
                let start = at + text[at..].find(word).unwrap();
                at = start + word.len();
                start..at
            })
            .collect()
    }

    fn recovered(text: &str, kept: &[&str], response: &str) -> String {
        let kept = ranges(text, kept);
        let (new, restored) = recover(response, &[Source { text, kept: &kept }]).unwrap();
        for phrase in restored {
            assert_eq!(new[phrase.restored], text[phrase.source]);
            assert!(response.get(phrase.range).is_some());
        }
        new
    }

    #[test]
    fn dropped_words_come_back() {
        let text = "Mayor Ellen Ruth Whitfield of the town opened the old stone bridge in May 1987.";
        let kept = ["Mayor", "Ellen", "Whitfield", "of", "town", "opened", "bridge", "May", "1987"];
        for (response, want) in [
            ("It was Ellen Whitfield.", "It was Ellen Ruth Whitfield."),
            ("Mayor Ellen Whitfield, in May 1987", "Mayor Ellen Ruth Whitfield, in May 1987"),
            ("of town", "of town"),
            ("bridge May 1987!", "bridge in May 1987!"),
            ("Whitfield Ellen", "Whitfield Ellen"),
            ("ellen whitfield", "ellen whitfield"),
            ("Nobody", "Nobody"),
        ] {
            assert_eq!(recovered(text, &kept, response), want);
        }
    }

    #[test]
    fn defect_25_an_empty_response_is_no_error_and_words_match_whole() {
        assert_eq!(recovered("Fuel System Dilution", &["Fuel", "Dilution"], ""), "");
        assert_eq!(recovered("", &[], "Fuel"), "Fuel");
        // `uel Dil` is a substring of the compressed text, but made of no words of it.
        assert_eq!(recovered("Fuel System Dilution", &["Fuel", "Dilution"], "uel Dil"), "uel Dil");
        assert_eq!(recovered("An Art Show", &["An", "Show"], "Ann Show"), "Ann Show");
        assert_eq!(recover("A b", &[]), Ok(("A b".into(), vec![])));
    }

    #[test]
    fn the_shortest_original_of_the_longest_phrase_is_taken() {
        let text = "Ada said. Ada Byron Lovelace wrote. Ada Lovelace knew. Ada Augusta King Lovelace";
        let kept = ["Ada", "Lovelace", "Ada", "Lovelace", "Ada", "Lovelace"];
        assert_eq!(recovered(text, &kept, "Ada Lovelace"), "Ada Lovelace", "one was never shortened");
        let far = format!("Ada {} Lovelace", "x ".repeat(WIDEST_GAP + 1));
        assert_eq!(recovered(&far, &["Ada", "Lovelace"], "Ada Lovelace"), "Ada Lovelace");
        let near = format!("Ada {}Lovelace", "x ".repeat(WIDEST_GAP));
        assert_eq!(recovered(&near, &["Ada", "Lovelace"], "Ada Lovelace"), near);
    }

    #[test]
    fn cut_words_of_reference_mode_become_whole() {
        assert_eq!(recovered("Councillor Whitfield", &["Whit"], "It was Whit."), "It was Whitfield.");
        assert_eq!(recovered("1,250,000 euros", &["1,2", "0,000"], "1,20,000?"), "1,250,000?");
    }

    #[test]
    fn phrases_do_not_cross_documents() {
        let kept = [ranges("Ada", &["Ada"]), ranges("the Lovelace", &["Lovelace"])];
        let sources =
            [Source { text: "Ada", kept: &kept[0] }, Source { text: "the Lovelace", kept: &kept[1] }];
        assert_eq!(recover("Ada Lovelace", &sources).unwrap().0, "Ada Lovelace");
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for kept in [&[(0, 9)][..], &[(1, 2)], &[(2, 4), (0, 2)], &[(0, 4), (2, 5)], &[(4, 2)]] {
            let kept: Vec<Range<usize>> = kept.iter().map(|&(start, end)| start..end).collect();
            let error = recover("x", &[Source { text: "éabc", kept: &kept }]).unwrap_err();
            assert_eq!(error.document, 0, "{kept:?}");
        }
    }

    #[test]
    fn a_text_of_one_word_takes_no_quadratic_time() {
        let text = "A ".repeat(100_000);
        let kept: Vec<Range<usize>> = (0..100_000).step_by(2).map(|i| 2 * i..2 * i + 1).collect();
        let start = std::time::Instant::now();
        let (new, _) = recover(&text[..40_000], &[Source { text: &text, kept: &kept }]).unwrap();
        assert!(new.len() > 40_000 && start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_response_is_taken_and_offsets_hold(
            text in "[A-C a-c1.預]{0,40}", mask in any::<u64>(), response in "[A-C a-c1.預]{0,30}|\\PC{0,20}",
        ) {
            let bounds: Vec<(usize, char)> = text.char_indices().collect();
            let kept: Vec<Range<usize>> = bounds.iter().enumerate()
                .filter(|(i, _)| mask >> (i % 64) & 1 == 1)
                .map(|(_, &(at, c))| at..at + c.len_utf8()).collect();
            let (new, restored) = recover(&response, &[Source { text: &text, kept: &kept }]).unwrap();
            let (mut undone, mut end) = (String::new(), 0);
            for phrase in &restored {
                prop_assert_eq!(&new[phrase.restored.clone()], &text[phrase.source.clone()]);
                undone += &new[end..phrase.restored.start];
                undone += &response[phrase.range.clone()];
                end = phrase.restored.end;
            }
            undone += &new[end..];
            prop_assert_eq!(undone, response);
        }
    }
}
