//! The constraints that a caller puts on a result besides its size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{Granularity, Noun, Unit, sentences, would_merge};

/// The constraints on a result: what must be kept, and how documents are chosen and ordered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// Numbers of documents of which something is kept whatever their rank.
    pub documents: BTreeSet<usize>,
    /// Documents that are never empty, each with what stands for it where nothing is kept of it.
    pub places: BTreeMap<usize, Place>,
    /// Words and phrases that are kept wherever they stand as whole words.
    pub words: Vec<String>,
    /// Every word that holds a digit is kept.
    pub numbers: bool,
    /// Sentences at the start of each document that are kept.
    pub first_sentences: usize,
    /// Sentences at the end of each document that are kept.
    pub last_sentences: usize,
    /// Tokens of the target that are kept of each document at least, or all that it has.
    pub document_tokens: usize,
    /// Parts of documents that are kept whole or at a rate of their own; sorted by document.
    pub sections: Vec<Section>,
    /// Nothing may stand in the result that does not stand in the prompt.
    pub verbatim: bool,
    /// No marks stand for what was left out.
    pub unmarked: bool,
    /// The smallest part that is kept or dropped; by default the method's own.
    pub granularity: Option<Granularity>,
    /// Order of the documents in the result.
    pub reorder: Reorder,
    /// The budget of the coarse filter; by default the method's own.
    pub context_budget: Option<ContextBudget>,
    /// The spread of keep rates, 0 to 1, between the best document and the average one; by default the method's own.
    /// Only `longllmlingua` has one.
    pub dynamic_ratio: Option<f64>,
    /// The likelihood that ranks documents; by default the method's own. Only `longllmlingua` can choose.
    pub rank_by: Option<RankBy>,
}

/// The text that stands for a document of which nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A word of it.
    Word,
    /// A mark that counts these, or all of a document that is no longer than one.
    Mark(Noun),
}

/// The likelihood that ranks documents: a mean negative log-likelihood (arXiv 2310.06839, and `condition_in_question`
/// of llmlingua).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RankBy {
    /// The question after the document; the lowest is the best
    #[default]
    After,
    /// The document after the question; the lowest is the best
    Before,
    /// The document by itself; the highest is the best
    None,
}

/// A part of a document with a rate of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Number of the document.
    pub document: usize,
    /// Byte range of its text.
    pub range: Range<usize>,
    /// The share of the section to keep.
    pub share: Share,
}

/// The share of a section to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// All of it.
    Whole,
    /// The best words up to this share of the tokens, 0 to 1.
    Rate(f64),
}

/// Order of the documents in a result.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reorder {
    /// The section as sent.
    #[default]
    Original,
    /// Best first.
    Sort,
    /// The best at both ends: the first, third, fifth of the ranking, then the others from the worst on.
    #[value(name = "two_stage")]
    TwoStage,
}

impl Reorder {
    /// Puts documents, the best first, in this order.
    pub(super) fn apply(self, mut ranking: Vec<usize>) -> Vec<usize> {
        match self {
            Self::Original => ranking.sort_unstable(),
            Self::Sort => {}
            Self::TwoStage => {
                let back = ranking.iter().skip(1).step_by(2).rev().copied();
                ranking = ranking.iter().step_by(2).copied().chain(back).collect();
            }
        }
        ranking
    }
}

/// The budget of the coarse filter in tokens of documents, derived from the tokens that there is room for: the budget
/// strings of llmlingua, such as `+100` and `*1.5`. They are parsed, never evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ContextBudget {
    /// Tokens more than there is room for; fewer where negative.
    Add(f64),
    /// The room multiplied by this factor.
    Multiply(f64),
}

impl ContextBudget {
    /// Tokens that are let through where there is room for `room`.
    #[must_use]
    pub fn of(self, room: f64) -> f64 {
        match self {
            Self::Add(tokens) => room + tokens,
            Self::Multiply(factor) => room * factor,
        }
    }
}

/// The budget string cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a context budget is one of `+ - * /` and a decimal number up to a billion, such as `+100` or `*1.5`"
)]
pub struct ContextBudgetError;

impl FromStr for ContextBudget {
    type Err = ContextBudgetError;

    fn from_str(text: &str) -> Result<Self, ContextBudgetError> {
        let text = text.trim();
        let sign = text.chars().next().ok_or(ContextBudgetError)?;
        let digits = text[sign.len_utf8()..].trim_start();
        // Rust's own parser also takes `inf`, `nan`, exponents and a second sign.
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        let number = digits.parse::<f64>().ok().filter(|_| digits.len() <= 20 && digits.chars().all(plain));
        let number = number.filter(|&number| number <= 1e9).ok_or(ContextBudgetError)?;
        match sign {
            '+' => Ok(Self::Add(number)),
            '-' => Ok(Self::Add(-number)),
            '*' if number > 0.0 => Ok(Self::Multiply(number)),
            '/' if number > 0.0 => Ok(Self::Multiply(number.recip())),
            _ => Err(ContextBudgetError),
        }
    }
}

impl Constraints {
    /// Returns whether the document must be scored whatever its rank.
    pub(super) fn wants(&self, document: usize) -> bool {
        self.document_tokens > 0
            || self.documents.contains(&document)
            || self.rated(document).next().is_some()
    }

    /// Sections of a document.
    fn sections_of(&self, document: usize) -> &[Section] {
        let start = self.sections.partition_point(|section| section.document < document);
        let end = self.sections.partition_point(|section| section.document <= document);
        &self.sections[start..end]
    }

    /// Sections of a document with a rate of their own.
    pub(super) fn rated(&self, document: usize) -> impl Iterator<Item = (&Range<usize>, f64)> {
        self.sections_of(document).iter().filter_map(|section| match section.share {
            Share::Rate(rate) => Some((&section.range, rate)),
            Share::Whole => None,
        })
    }

    /// Returns whether something is to become smaller even where all would fit.
    pub(super) fn shrinks(&self) -> bool {
        self.sections.iter().any(|section| section.share != Share::Whole)
    }

    /// Returns, for each unit of a document, whether it must be kept.
    pub(super) fn forced(&self, document: usize, text: &str, units: &[Unit]) -> Vec<bool> {
        let mut forced: Vec<bool> = units
            .iter()
            .map(|unit| self.numbers && text[unit.core.clone()].contains(char::is_numeric))
            .collect();
        let own = self.sections_of(document).iter();
        let whole = own.filter(|section| section.share == Share::Whole).map(|section| section.range.clone());
        for range in whole.chain(self.words(text)).chain(self.sentences(text)) {
            for unit in touching(units, &range) {
                forced[unit] = true;
            }
        }
        forced
    }

    /// Returns the ranges of the required words in `text`.
    fn words(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let whole = |range: &Range<usize>| {
            let word = &text[range.clone()];
            !would_merge(&text[..range.start], word) && !would_merge(word, &text[range.end..])
        };
        self.words
            .iter()
            .flat_map(move |word| text.match_indices(word.as_str()).map(|(at, found)| at..at + found.len()))
            .filter(whole)
    }

    /// The demanded sentences at both ends of `text`.
    fn sentences(&self, text: &str) -> Vec<Range<usize>> {
        if self.first_sentences == 0 && self.last_sentences == 0 {
            return Vec::new();
        }
        let all = sentences(text);
        let last = all.len().saturating_sub(self.last_sentences);
        let wanted = |i: usize| i < self.first_sentences || i >= last;
        all.into_iter().enumerate().filter(|&(i, _)| wanted(i)).map(|(_, range)| range).collect()
    }
}

/// The units whose words overlap `range`.
pub(super) fn touching(units: &[Unit], range: &Range<usize>) -> Range<usize> {
    let start = units.partition_point(|unit| unit.core.end <= range.start);
    let len = units[start..].partition_point(|unit| unit.core.start < range.end);
    start..start + len
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{Protector, units};

    #[test]
    fn defect_09_budget_strings_are_never_evaluated() {
        for (text, want) in [
            ("+100", ContextBudget::Add(100.0)),
            ("-20", ContextBudget::Add(-20.0)),
            (" * 1.5 ", ContextBudget::Multiply(1.5)),
            ("/4", ContextBudget::Multiply(0.25)),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in [
            "",
            "+",
            "100",
            "*0",
            "/0",
            "+1e9",
            "+inf",
            "*nan",
            "++1",
            "+-1",
            "+100+1",
            "**2",
            "+1_000",
            "+__import__('os').system('id')",
            "*(lambda: 1)()",
            "+99999999999",
            "+١",
            "+.",
            "+1.2.3",
            "é1",
        ] {
            assert_eq!(text.parse::<ContextBudget>(), Err(ContextBudgetError), "{text}");
        }
        assert!((ContextBudget::Add(-20.0).of(5.0) + 15.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn any_budget_string_gives_a_finite_number_or_an_error(text in "[+*/-]?[0-9. ]{0,12}|\\PC{0,20}") {
            if let Ok(budget) = text.parse::<ContextBudget>() {
                prop_assert!(budget.of(1000.0).is_finite());
            }
        }
    }

    #[test]
    fn documents_are_put_in_order() {
        let ranking = vec![4, 2, 0, 1, 3];
        assert_eq!(Reorder::Original.apply(ranking.clone()), [0, 1, 2, 3, 4]);
        assert_eq!(Reorder::Sort.apply(ranking.clone()), [4, 2, 0, 1, 3]);
        assert_eq!(Reorder::TwoStage.apply(ranking), [4, 0, 3, 1, 2]);
        assert_eq!(Reorder::TwoStage.apply(vec![]), [] as [usize; 0]);
    }

    fn forced_words<'t>(constraints: &Constraints, text: &'t str) -> Vec<&'t str> {
        let units = units(text, &Protector::default().spans(text));
        let forced = constraints.forced(0, text, &units);
        let kept = units.iter().zip(forced).filter(|(_, forced)| *forced);
        kept.map(|(unit, _)| &text[unit.core.clone()]).collect()
    }

    #[test]
    fn defect_17_forced_words_match_whole_words_alone() {
        let text = "The bill of ten million shillings is still ill. ILL, v3.11.7 ill";
        let constraints = Constraints { words: vec!["ill".into()], ..Constraints::default() };
        let chinese = Constraints { words: vec!["算".into()], ..Constraints::default() };
        assert_eq!(
            chinese.words("預算委").collect::<Vec<_>>(),
            [Range { start: 3, end: 6 }],
            "no spaces there"
        );
        let found: Vec<usize> = constraints.words(text).map(|range| range.start).collect();
        assert_eq!(found, [43, text.len() - 3]);
        assert_eq!(forced_words(&constraints, text), ["ill", "ill"]);
        // Numbers are kept with all that they are a part of.
        let constraints = Constraints { numbers: true, ..Constraints::default() };
        let text = "use v3.11.7 of abc123def by ٣ or more";
        assert_eq!(forced_words(&constraints, text), ["v3.11.7", "abc123def", "٣"]);
    }

    #[test]
    fn units_that_touch_a_range_are_found() {
        let units = units("one two three", &[]);
        assert_eq!(touching(&units, &(0..3)), 0..1);
        assert_eq!(touching(&units, &(2..5)), 0..2);
        assert_eq!(touching(&units, &(3..4)), 1..1, "only white space");
        assert_eq!(touching(&units, &(0..13)), 0..3);
        assert_eq!(touching(&[], &(0..1)), 0..0);
    }
}
