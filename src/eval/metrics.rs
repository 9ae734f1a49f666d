//! The metrics of one answer or one compressed context.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::text::{Protection, Protector};

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+").expect("a test compiles it"));

/// Is the last number of the answer one of the right ones, as a number? `$1,200.00` is 1200.
#[must_use]
pub fn number_match(answer: &str, right: &[String]) -> bool {
    let last = |text: &str| NUMBER.find_iter(text).last()?.as_str().replace(',', "").parse::<f64>().ok();
    let Some(answer) = last(answer) else { return false };
    right.iter().filter_map(|right| last(right)).any(|right| (right - answer).abs() < 1e-6)
}

static CHOICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)(?:(?i:answer)\s*(?i:is|:)?\s*|^\s*)[\[(]?([A-Z])(?:[\])]|\b)")
        .expect("a test compiles it")
});

/// Is the option that the answer names the right one? The last letter counts that stands behind `answer`, or
/// at the start of a line, in brackets or not.
#[must_use]
pub fn choice_match(answer: &str, right: &[String]) -> bool {
    named_choice(answer).is_some_and(|answer| right.iter().any(|right| named_choice(right) == Some(answer)))
}

/// The letter of the option that an answer names, as [`choice_match`] reads it.
#[must_use]
pub fn named_choice(answer: &str) -> Option<&str> {
    Some(CHOICE.captures_iter(answer).last()?.get(1)?.as_str())
}

/// The recall of distinct items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The number of items in the result.
    pub kept: usize,
    /// The number of items in the original.
    pub of: usize,
}

impl Recall {
    /// 0 to 1; none where there was nothing to keep.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.kept as f64 / self.of as f64)
    }

    fn of_all<T: Eq + Hash>(before: &HashMap<T, usize>, after: &HashMap<T, usize>) -> Self {
        let kept = |(item, &count): (&T, &usize)| count.min(after.get(item).copied().unwrap_or_default());
        Self { kept: before.iter().map(kept).sum(), of: before.values().sum() }
    }

    fn of(before: &BTreeSet<&str>, after: &BTreeSet<&str>) -> Self {
        Self { kept: before.intersection(after).count(), of: before.len() }
    }
}

/// A number as it is written, with its separators, without its sign.
static WRITTEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d+(?:[.,]\d+)*").expect("a test compiles it"));

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    // Two capitalised words or more, or one inside a sentence: a first word is capitalised anyway.
    let word = r"\p{Lu}[\p{L}\p{M}'’\-]*\p{Ll}[\p{L}\p{M}]*";
    Regex::new(&format!(r"{word}(?:\s{word})+|[\p{{Ll}},;]\s({word})")).expect("a test compiles it")
});

/// Finds what is recalled.
#[derive(Debug)]
pub struct Facts {
    numbers: Protector,
}

impl Default for Facts {
    fn default() -> Self {
        // Without patterns of a caller there is none to refuse.
        let kinds = [Protection::Numbers, Protection::Dates];
        Self { numbers: Protector::new(&kinds, &[]).unwrap_or_default() }
    }
}

impl Facts {
    /// Recall of numbers and dates of `before` in `after`.
    #[must_use]
    pub fn numbers(&self, before: &str, after: &str) -> Recall {
        let found = |text| -> BTreeSet<&str> {
            self.numbers.spans(text).into_iter().map(|span| &text[span]).collect()
        };
        Recall::of(&found(before), &found(after))
    }

    /// Different numbers of `after` that are none of `before`.
    #[must_use]
    pub fn altered_numbers(&self, before: &str, after: &str) -> usize {
        let found =
            |text| -> BTreeSet<&str> { WRITTEN.find_iter(text).map(|found| found.as_str()).collect() };
        found(after).difference(&found(before)).count()
    }

    /// Recall of names: runs of capitalised words, the first word of a sentence not counted by itself.
    #[must_use]
    pub fn names(&self, before: &str, after: &str) -> Recall {
        let all = names(before);
        // In the result a name may begin a sentence that it did not begin before, so it is looked for as text.
        let kept = all.iter().copied().filter(|name| holds_word(after, name)).collect();
        Recall::of(&all, &kept)
    }
}

/// Recall of digits, each time that one occurs: for a sub-sequence of `before`, the share that was kept.
#[must_use]
pub fn digits(before: &str, after: &str) -> Recall {
    let occurring = |text: &str| counts(text.chars().filter(char::is_ascii_digit));
    Recall::of_all(&occurring(before), &occurring(after))
}

/// Recall of words that begin with a capital letter, each time that one occurs.
#[must_use]
pub fn capitals(before: &str, after: &str) -> Recall {
    let capital = |word: &&str| word.starts_with(char::is_uppercase);
    let before = counts(before.unicode_words().filter(capital));
    Recall::of_all(&before, &counts(after.unicode_words().filter(capital)))
}

fn counts<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

fn names(text: &str) -> BTreeSet<&str> {
    let found = NAME.captures_iter(text).filter_map(|found| found.get(1).or_else(|| found.get(0)));
    found.map(|found| found.as_str()).collect()
}

/// Returns whether `text` contains `name` as a whole word.
fn holds_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(char::is_alphanumeric)
            && !text[at + name.len()..].starts_with(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(answers: &[&str]) -> Vec<String> {
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    #[test]
    fn numbers_and_choices_are_read_from_the_end() {
        for (answer, want) in [
            ("3 + 4 = 7. #### 1,200", true),
            ("It costs $1200.00.", true),
            ("1200 then 5", false),
            ("no number", false),
            ("-1200", false),
        ] {
            assert_eq!(number_match(answer, &right(&["1200"])), want, "{answer}");
        }
        assert!(number_match("x = -.5", &right(&["-0.5"])));
        for (answer, want) in [
            ("Answer: [B]", true),
            ("The answer is (B).", true),
            ("B", true),
            ("B) Spinal metastasis", true),
            ("Answer: A, no: Answer: B", true),
            ("Because of that it is A Bad idea", false),
            ("Answer: C", false),
            ("", false),
        ] {
            assert_eq!(choice_match(answer, &right(&["B"])), want, "{answer}");
        }
    }

    #[test]
    fn facts_are_recalled_whole() {
        let before = "On 3 May 1999 Ada Lovelace met Turing in Paris; it cost $12.50 and 12.50 more.";
        assert_eq!(names(before), ["Ada Lovelace", "Paris", "Turing"].into());
        let facts = Facts::default();
        let all = facts.numbers(before, before);
        assert_eq!(all.kept, all.of);
        assert!(all.of >= 3, "{all:?}");
        assert_eq!(facts.numbers(before, "cost $12.50").kept, 1);
        assert_eq!(facts.names(before, "Turing in Parisian"), Recall { kept: 1, of: 3 });
        assert_eq!(facts.names("", "x").share(), None);
        assert_eq!(facts.altered_numbers("1,200 and 3.14159", "1,200 3.14"), 1);
        assert_eq!(facts.altered_numbers("48/2 = 24", "48 24"), 0);
    }

    #[test]
    fn digits_and_capitals_are_recalled_each_time() {
        assert_eq!(digits("10 and 100", "100"), Recall { kept: 3, of: 5 });
        assert_eq!(digits("none", "7"), Recall { kept: 0, of: 0 });
        assert_eq!(capitals("Ann met Bob and Ann", "Ann Bob's bob"), Recall { kept: 1, of: 3 });
    }
}
