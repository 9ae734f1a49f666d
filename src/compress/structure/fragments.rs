//! Words that are left of a sentence, where they say too little or stand without the clause that governs them.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::Structure;
use super::items::Marked;
use crate::compress::relevance::is_function_word;
use crate::text::{Segment, SegmentKind, Unit, governs};

/// Fewest words that are left of a sentence: fewer say nothing or mislead.
///
/// Without this rule, 20.2 and 14.4% of what was left of NQ's first 300 questions at 0.05 and 0.10 was broken; with it
/// 15.0 and 11.2%, and as many answers are kept.
const FEWEST_WORDS: u8 = 3;
/// Fewest words, if all of them are names, numbers and function words. Answers are names so often that `hotpot` lost
/// three of 100 when names alone were never left.
const FEWEST_NAMES: u8 = 4;

/// The words of the sentences of a document that are several units each.
#[derive(Clone)]
pub(super) struct Fragments {
    sentences: Vec<Sentence>,
    words: Vec<Words>,
}

/// A sentence of several units.
#[derive(Clone)]
struct Sentence {
    units: Range<usize>,
    /// The units of the sentence without which it says nothing: of one word, `Carried.`, the one before it in its
    /// paragraph, and of the title of an item, `3. Fees.`, the one behind it.
    beside: Option<Range<usize>>,
}

/// The words of a unit.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// Their number, up to the fewest names of a fragment.
    count: u8,
    /// Set if one has a meaning of its own.
    has_meaning: bool,
    /// Set if one says something of others, as names and numbers do not.
    says: bool,
    /// Set if they negate or forbid what follows in their sentence, or make a condition for it.
    governs: bool,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut own = Self::default();
        for word in text.unicode_words() {
            own.count = FEWEST_NAMES.min(own.count + 1);
            let is_name = word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
            if !is_function_word(&word.to_lowercase()) {
                own.has_meaning = true;
                own.says |= !is_name && word.starts_with(char::is_alphabetic);
            }
        }
        // Protection makes a clause that governs something one unit.
        own.governs = own.count >= FEWEST_WORDS && governs(text);
        own
    }
}

impl Fragments {
    /// Finds the sentences of several units among the `segments`, of which each has the `members` given. What has to come
    /// with a sentence would stay without it, and so would the other half of a unit: such sentences are left as they are.
    pub(super) fn of(
        (text, segments): (&str, &[Segment]),
        (units, marked): (&[Unit], &Marked),
        members: &[Range<usize>],
        of: &[Range<usize>],
    ) -> Self {
        let is_prose = |segment: &Segment| segment.kind.goes_by_words() && segment.needs.is_empty();
        let found: Vec<usize> = (0..segments.len())
            .filter(|&own| {
                is_prose(&segments[own])
                    && members[own].len() > 1
                    && of[members[own].clone()].iter().all(|of| of.len() == 1)
            })
            .collect();
        let mut words = vec![Words::default(); units.len()];
        let inside = found.iter().flat_map(|&own| members[own].clone());
        for unit in inside.filter(|&unit| !marked.is_mark(unit)) {
            words[unit] = Words::of(&text[units[unit].core.clone()]);
        }
        let count =
            |own: usize| members[own].clone().map(|unit| words[unit].count).fold(0, u8::saturating_add);
        let says = |own: &usize| {
            let kind = segments.get(*own).map(|other| other.kind);
            kind.is_some_and(|kind| kind.goes_by_words() || kind == SegmentKind::Said)
        };
        let ends = |own: usize| text[segments[own].range.clone()].ends_with('\n');
        let sentence = |own: usize| {
            let beside = if marked.is_mark(members[own].start) {
                Some(own + 1).filter(|_| count(own) < FEWEST_WORDS && !ends(own))
            } else {
                own.checked_sub(1).filter(|&before| count(own) == 1 && !ends(before))
            };
            let beside = beside.filter(says).map(|beside| members[beside].clone());
            Sentence { units: members[own].clone(), beside }
        };
        let sentences = found.into_iter().map(sentence).collect();
        Self { sentences, words }
    }

    /// Takes out words behind a clause that governs them and is not kept.
    fn drop_tail(&self, sentence: &Range<usize>, required: &[bool], kept: &mut [bool]) {
        let mut is_open = false;
        for unit in sentence.clone() {
            let words = &self.words[unit];
            if words.governs {
                is_open = !kept[unit];
            } else if is_open && words.count > 0 && !required[unit] {
                kept[unit] = false;
            }
        }
    }

    /// Returns whether enough is left of a sentence: a few words that say something, or all that have a meaning. Some
    /// say nothing without another sentence.
    fn is_enough(&self, Sentence { units: sentence, beside }: &Sentence, kept: &[bool]) -> bool {
        if beside.as_ref().is_some_and(|beside| !kept[beside.clone()].contains(&true)) {
            return false;
        }
        let (mut count, mut says, mut whole) = (0_u8, false, true);
        for unit in sentence.clone() {
            let words = &self.words[unit];
            if kept[unit] {
                count = count.saturating_add(words.count);
                says |= words.says;
            } else {
                whole &= !words.has_meaning;
            }
        }
        whole || count >= if says { FEWEST_WORDS } else { FEWEST_NAMES }
    }
}

impl Structure {
    /// Takes words of prose out of what is `kept` where too little is left of their sentence, or not the clause that
    /// governs them. None goes that is `required`.
    pub(in crate::compress) fn drop_fragments(&self, required: &[bool], kept: &mut [bool]) {
        let fragments = &self.fragments;
        for sentence in &fragments.sentences {
            let units = sentence.units.clone();
            if !kept[units.clone()].contains(&true) {
                continue;
            }
            fragments.drop_tail(&units, required, kept);
            if !units.clone().any(|unit| required[unit]) && !fragments.is_enough(sentence, kept) {
                units.filter(|&unit| !self.marked.is_mark(unit)).for_each(|unit| kept[unit] = false);
            }
        }
        self.marked.drop_alone(required, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Granularity, Protector, segments};

    /// Returns what is left of the units that are `chosen`, with a space between any two.
    fn left(text: &str, chosen: &[&str]) -> String {
        let mut spans = Protector::default().spans(text);
        let (structure, units) = Structure::of(text, segments(text), &mut spans, Granularity::Token);
        let core = |unit: &Unit| &text[unit.core.clone()];
        let mut kept: Vec<bool> = units.iter().map(|unit| chosen.contains(&core(unit))).collect();
        structure.drop_fragments(&vec![false; kept.len()], &mut kept);
        let left = units.iter().zip(kept).filter(|(_, kept)| *kept).map(|(unit, _)| core(unit));
        left.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_few_words_of_a_sentence_go() {
        let text = "Nina Holm left the hall early. Dogs are welcome. Der Kahn liegt seit Ostern im Hafen. 鍵は青い箱にある。";
        assert_eq!(left(text, &["left", "early", "."]), "");
        assert_eq!(left(text, &["Nina", "Holm", "left"]), "Nina Holm left");
        assert_eq!(left(text, &["Dogs", "welcome"]), "Dogs welcome", "all that has a meaning");
        assert_eq!(left(text, &["Der", "Kahn", "Hafen"]), "", "few names alone");
        assert_eq!(left(text, &["Der", "Kahn", "seit", "Ostern", "Hafen"]), "Der Kahn seit Ostern Hafen");
        assert_eq!(left(text, &["Kahn", "liegt", "Hafen"]), "Kahn liegt Hafen");
        assert_eq!(left(text, &["鍵", "青い", "箱"]), "鍵 青い 箱");
    }

    #[test]
    fn one_word_says_nothing_without_the_sentence_before_it() {
        let text =
            "Mr. Ode moved to close the gate. Carried. The lamp is old.\n\nSummary. It was a long day.";
        assert_eq!(left(text, &["Carried", "lamp", "is", "old"]), "lamp is old");
        assert_eq!(left(text, &["moved", "close", "gate", "Carried"]), "moved close gate Carried");
        assert_eq!(left(text, &["Summary"]), "Summary", "it begins a paragraph");
        let votes = "Ode moved to close it. Vote: 4 in favour, 1 against. Carried. It rained.";
        assert_eq!(left(votes, &["moved", "close", "it", "Carried", "."]), "moved close it .");
        let terms = "1. Fees. They are due in May. 2. Notice. It takes two weeks.";
        assert_eq!(
            left(terms, &["1.", "Fees", "2.", "Notice", "takes", "two", "weeks"]),
            "2. Notice takes two weeks"
        );
    }

    #[test]
    fn no_tail_stands_without_the_clause_that_governs_it() {
        for (text, clause, tail) in [
            ("Vans must not cross here, from Monday to Friday.", "Vans must not cross here", "from"),
            ("Il est interdit de passer, dès lundi et tout le jour.", "Il est interdit de passer", "dès"),
            ("Parken ist hier nicht erlaubt, auch am Sonntag früh.", "Parken ist hier nicht erlaubt", "auch"),
            (
                "Queda prohibido fumar en el barco, tanto de noche como de día.",
                "Queda prohibido fumar en el barco",
                "tanto",
            ),
            (
                "Въезд сюда для грузовиков запрещён, каждый день до вечера.",
                "Въезд сюда для грузовиков запрещён",
                "каждый",
            ),
        ] {
            let rest = text[clause.len() + 1..].trim_end_matches('.');
            let mut chosen: Vec<&str> = rest.split_whitespace().chain(["."]).collect();
            assert_eq!(left(text, &chosen), "", "{text}");
            chosen.push(clause);
            assert!(left(text, &chosen).contains(tail), "{text}");
        }
        let text = "The boats were built in Brest for two brothers, they must not cross the bar by night, even in June.";
        assert_eq!(left(text, &["boats", "built", "Brest", "June"]), "boats built Brest");
    }
}
