//! Runs of words with a meaning of their own, and which of them may answer a question.

use std::collections::HashSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::relevance::is_function_word;

/// Words and marks that may stand between two others of a run.
const BRIDGE: usize = 2;
/// Words and marks of the longest names.
const NAME_WORDS: usize = 9;

/// The kinds of words that answer a question, as far as English question words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerType {
    names: bool,
    numbers: bool,
}

impl AnswerType {
    /// Returns the kinds of words that `question` asks for.
    pub(super) fn by(question: &str) -> Self {
        let question = question.to_lowercase();
        let words: HashSet<&str> = question.unicode_words().collect();
        let any = |of: &[&str]| of.iter().any(|word| words.contains(word));
        Self {
            names: any(&["who", "whose", "whom", "where"]),
            numbers: any(&["when", "year", "date"])
                || any(&["how"]) && any(&["many", "much", "old", "long", "tall", "far", "big"]),
        }
    }

    /// Returns whether `word` is of a kind that is asked for.
    pub(super) fn wants(self, word: &str) -> bool {
        self.numbers && is_number(word) || self.names && word.starts_with(char::is_uppercase)
    }
}

/// Numbers that texts most often spell.
const SPELT: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty",
    "first", "second", "third",
];

fn is_number(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit()) || SPELT.contains(&&*word.to_lowercase())
}

/// Runs of words with a meaning of their own, and of up to [`BRIDGE`] of the words and marks that hold names
/// together between two of them.
pub(super) fn runs(words: &[&str]) -> Vec<Range<usize>> {
    grouped(words, |i| is_strong(words[i]) || i > 0 && is_capital(words[i]))
}

/// Names of several words, with the numbers beside them, such as `First Draft of a Report` and `31 December 1600`.
/// Longer lines in capitals are none.
pub(super) fn names(words: &[&str]) -> Vec<Range<usize>> {
    let is_part = |i: usize| words[i].starts_with(|c: char| c.is_uppercase() || c.is_numeric());
    let mut names = grouped(words, is_part);
    names.retain(|name| (2..=NAME_WORDS).contains(&name.len()));
    names
}

/// Runs of the words that are `chosen`, and of those that hold them together.
fn grouped(words: &[&str], chosen: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for i in (0..words.len()).filter(|&i| chosen(i)) {
        match runs.last_mut() {
            Some(run) if holds(&words[run.end - 1..=i]) => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

fn is_strong(word: &str) -> bool {
    let lower = word.to_lowercase();
    word.starts_with(char::is_alphanumeric) && !is_function_word(&lower) || word.contains(' ')
}

/// Returns whether a word is the letter of a name, such as that of Hepatitis A.
fn is_capital(word: &str) -> bool {
    word.len() == 1 && word.starts_with(|c: char| c.is_ascii_uppercase()) && word != "I"
}

/// Do the words inside hold the first and the last together? Between names more of them do.
fn holds(words: &[&str]) -> bool {
    let [first, inside @ .., last] = words else { return false };
    let names = [first, last].iter().all(|word| word.starts_with(char::is_uppercase));
    let mark = |word: &&str| matches!(*word, "'s" | "’s" | "-" | "–" | "&" | ".");
    let joins = |word: &&str| {
        matches!(*word, "of" | "the" | "and" | "de" | "la" | "von" | "van" | "for" | "in" | "a")
    };
    let joins_names = |word: &&str| {
        matches!(*word, "to" | "with" | "on" | "at" | "from" | "or" | "by" | "my" | "your" | ",")
    };
    inside.len() <= BRIDGE
        && inside.iter().all(|word| mark(word) || joins(word) || names && joins_names(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
        runs(words).into_iter().map(|run| words[run].to_vec()).collect()
    }

    #[test]
    fn runs_hold_names_together_and_leave_function_words_out() {
        let words =
            ["The", "House", "of", "Commons", "was", "opened", "by", "the", "King", "in", "1852", "."];
        assert_eq!(kept(&words), [&["House", "of", "Commons"][..], &["opened"], &["King", "in", "1852"]]);
        assert_eq!(
            kept(&["Sleeping", "with", "the", "Past", "sold"]),
            [["Sleeping", "with", "the", "Past", "sold"]]
        );
        assert_eq!(kept(&["kept", "with", "care"]), [["kept"], ["care"]]);
        assert!(runs(&[]).is_empty() && runs(&["of", "the", "."]).is_empty());
    }

    #[test]
    fn names_are_found_with_what_holds_them_together_but_no_line_in_capitals() {
        let found = |words: &[&str]| -> Vec<String> {
            names(words).into_iter().map(|name| words[name].join(" ")).collect()
        };
        let words = ["He", "wrote", "First", "Draft", "of", "a", "Report", "on", "31", "May", "1945", "."];
        assert_eq!(found(&words), ["First Draft of a Report", "31 May 1945"]);
        assert!(found(&["The", "pump", "of", "Ann", "stops", "."]).is_empty());
        assert!(found(&["STOP"; NAME_WORDS + 1]).is_empty());
        assert_eq!(found(&["STOP"; NAME_WORDS]).len(), 1);
    }

    #[test]
    fn the_question_word_tells_what_is_wanted() {
        let (who, when) = (AnswerType::by("Who opened it?"), AnswerType::by("when was it"));
        assert!(who.wants("King") && !who.wants("1852") && !who.wants("opened"));
        assert!(when.wants("1852") && when.wants("third") && !when.wants("King"));
        assert!(
            AnswerType::by("how MANY were there").wants("Two") && !AnswerType::by("how do I sail").wants("2")
        );
        assert_eq!(AnswerType::by(""), AnswerType { names: false, numbers: false });
    }
}
