//! Units of text put together to phrases and sentences.

use serde::{Deserialize, Serialize};

use super::{Unit, sentences};

/// The smallest part of a text that is kept or dropped.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// A word, a mark of punctuation or a protected span; a model's tokens are never cut out of a word.
    #[default]
    Token,
    /// Words that belong together, by a rule of thumb and not by a parser: a phrase ends with a mark of
    /// punctuation, before an English function word that follows another word, and after 8 words.
    Phrase,
    /// A sentence.
    Sentence,
    /// A line; of one that is longer than 400 bytes, pieces of about so many.
    Line,
}

/// Bytes of a line that are kept or dropped together.
const LONGEST_LINE: usize = 400;

/// Most words of a phrase: in a language whose function words are not known, only marks would end it.
const LONGEST_PHRASE: usize = 8;

/// English words that begin a phrase: articles and other determiners, prepositions, conjunctions, pronouns,
/// auxiliary verbs.
const OPENERS: &[&str] = &[
    "a", "an", "the", "this", "that", "these", "those", "some", "any", "each", "every", "no", "my", "your",
    "his", "her", "its", "our", "their", "of", "in", "on", "at", "by", "for", "from", "to", "with",
    "without", "into", "onto", "over", "under", "about", "after", "before", "between", "through", "during",
    "against", "among", "as", "than", "via", "per", "and", "or", "but", "nor", "so", "yet", "if", "because",
    "while", "when", "where", "which", "who", "whom", "whose", "what", "how", "why", "whether", "although",
    "though", "since", "until", "unless", "i", "you", "he", "she", "it", "we", "they", "there", "is", "are",
    "was", "were", "be", "been", "has", "have", "had", "do", "does", "did", "will", "would", "can", "could",
    "may", "might", "shall", "should", "must",
];

/// Puts `units` of `text` together to parts of this grain; their ranges together are still the whole text.
#[must_use]
pub fn coarsened(text: &str, units: Vec<Unit>, granularity: Granularity) -> Vec<Unit> {
    match granularity {
        Granularity::Token => units,
        Granularity::Phrase => {
            let mut words = 0;
            merged(units, |last, unit| {
                let apart = starts_phrase(text, last, unit) || words == LONGEST_PHRASE;
                words = if apart { 1 } else { words + 1 };
                apart
            })
        }
        Granularity::Line => {
            let mut start = 0;
            merged(units, |last, unit| {
                let breaks = text[last.core.end..unit.core.start].contains('\n');
                let apart = breaks || unit.core.end - start > LONGEST_LINE;
                if apart {
                    start = unit.core.start;
                }
                apart
            })
        }
        Granularity::Sentence => {
            let sentences = sentences(text);
            let number = |at: usize| sentences.partition_point(|range| range.end <= at);
            // A protected span may reach from one sentence into another.
            merged(units, |last, unit| number(last.core.end.saturating_sub(1)) != number(unit.core.start))
        }
    }
}

/// Joins each unit with the one before it but where `apart` says otherwise.
fn merged(units: Vec<Unit>, mut apart: impl FnMut(&Unit, &Unit) -> bool) -> Vec<Unit> {
    let mut merged: Vec<Unit> = Vec::new();
    let mut last: Option<Unit> = None;
    for unit in units {
        let joins = last.as_ref().is_some_and(|last| !apart(last, &unit));
        match merged.last_mut().filter(|_| joins) {
            Some(group) => (group.range.end, group.core.end) = (unit.range.end, unit.core.end),
            None => merged.push(unit.clone()),
        }
        last = Some(unit);
    }
    merged
}

/// Returns whether `unit` begins a phrase after `last`.
fn starts_phrase(text: &str, last: &Unit, unit: &Unit) -> bool {
    let word = |unit: &Unit| &text[unit.core.clone()];
    let mark = |unit: &Unit| !word(unit).contains(char::is_alphanumeric);
    let opener = |unit: &Unit| {
        // The longest has 8 letters.
        let word = word(unit);
        word.len() <= 8 && OPENERS.contains(&word.to_lowercase().as_str())
    };
    // A mark belongs to the phrase before it, unless white space stands between.
    (mark(last) && unit.range.start < unit.core.start)
        || (!mark(last) && !opener(last) && opener(unit))
        || text[unit.range.start..unit.core.start].contains('\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{Protector, units};

    fn cores(text: &str, granularity: Granularity) -> Vec<&str> {
        let units = units(text, &Protector::default().spans(text));
        coarsened(text, units, granularity).into_iter().map(|unit| &text[unit.core]).collect()
    }

    #[test]
    fn phrases_end_before_function_words_and_behind_marks() {
        let text = "The town council met on Monday evening, and discussed the budget for the coming year.\nNobody came.";
        let want = [
            "The town council met",
            "on Monday evening,",
            "and discussed",
            "the budget",
            "for the coming year.",
            "Nobody came.",
        ];
        assert_eq!(cores(text, Granularity::Phrase), want);
        assert_eq!(cores(&"예산 ".repeat(10), Granularity::Phrase).len(), 2);
    }

    #[test]
    fn lines_hold_their_units_and_long_ones_are_cut() {
        let text = "let a = 1;\n    call(a, \"b c\");\n\n}\n";
        let lines = coarsened(text, units(text, &[]), Granularity::Line);
        let lines: Vec<&str> = lines.iter().map(|unit| &text[unit.core.clone()]).collect();
        assert_eq!(lines, ["let a = 1;", "call(a, \"b c\");", "}", ""][..lines.len()]);
        let long = "word ".repeat(300);
        let pieces = coarsened(&long, units(&long, &[]), Granularity::Line);
        assert!(pieces.len() >= 4 && pieces.iter().all(|piece| piece.core.len() <= LONGEST_LINE));
    }

    #[test]
    fn sentences_hold_their_units() {
        let text = "He said \"Go. Now.\" and left. It was over!  \n\nThe end";
        let want = ["He said \"Go. Now.\" and left.", "It was over!", "The end"];
        assert_eq!(cores(text, Granularity::Sentence), want);
        assert_eq!(
            cores(text, Granularity::Token).len(),
            units(text, &Protector::default().spans(text)).len()
        );
        assert!(cores("", Granularity::Sentence).is_empty() && cores(" \n", Granularity::Phrase).len() == 1);
    }

    proptest! {
        #[test]
        fn groups_partition_the_text(text in "[a-cA-C of.,\"\r\n\t1預算]{0,80}|\\PC{0,60}") {
            for granularity in [Granularity::Phrase, Granularity::Sentence, Granularity::Line] {
                let mut end = 0;
                let fine = units(&text, &Protector::default().spans(&text));
                for group in coarsened(&text, fine.clone(), granularity) {
                    prop_assert_eq!(group.range.start, end);
                    prop_assert!(fine.iter().any(|unit| unit.range.end == group.range.end));
                    end = group.range.end;
                }
                prop_assert_eq!(end, text.len());
            }
        }
    }
}
