//! Words as PostgreSQL takes them: as our own tokenizer cuts them, so that both stores find a chunk by the same words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Different words of a chunk that are stored at most: PostgreSQL has room for a mebibyte of them.
const MOST_WORDS: usize = 10_000;
/// Places of a word that are stored at most, which is what PostgreSQL has room for.
const MOST_PLACES: usize = 255;

/// Returns the words of a chunk as the text of a `tsvector`, and how many there are. A word's places say only how often
/// it is there.
pub(super) fn vector(words: Vec<String>) -> (String, usize) {
    let length = words.len();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut text = String::new();
    for (word, count) in counts.into_iter().take(MOST_WORDS) {
        quote(&word, &mut text);
        for place in 1..=count.min(MOST_PLACES) {
            let mark = if place == 1 { ':' } else { ',' };
            // Writing to a string cannot fail.
            write!(text, "{mark}{place}").unwrap_or_default();
        }
        text.push(' ');
    }
    (text, length)
}

/// Returns a word as the text of a `tsquery`.
pub(super) fn query(word: &str) -> String {
    let mut text = String::new();
    quote(word, &mut text);
    text
}

fn quote(word: &str, text: &mut String) {
    text.push('\'');
    for character in word.chars() {
        if matches!(character, '\'' | '\\') {
            text.push(character);
        }
        text.push(character);
    }
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_and_quoted() {
        let words = ["b", "a'\\", "b"].map(str::to_owned).to_vec();
        assert_eq!(vector(words), ("'a''\\\\':1 'b':1,2 ".into(), 3));
        let (text, length) = vector(vec!["a".into(); 300]);
        assert!(text.ends_with(",255 ") && length == 300);
        assert_eq!(query("it's"), "'it''s'");
    }
}
