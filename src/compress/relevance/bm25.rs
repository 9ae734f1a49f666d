//! BM25 for the words of a question (Robertson and Zaragoza 2009), in any script.
//!
//! Texts are compared by terms: words in lower case without accents and without an English ending, the parts of
//! `camelCase` and `snake_case` names beside the whole, identifiers, numbers, dates and paths as one key, the first
//! letters of longer words for languages that inflect, and pairs of characters for scripts that put no spaces between
//! words.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::char::is_combining_mark;

use super::function_words::{is_function_word, left_out, plain};
use crate::text::is_searched_by_pairs;

/// The saturation of a repeated term (k1 of BM25).
const K1: f64 = 1.2;
/// The normalisation by a text's length (b of BM25), 0 to 1.
const B: f64 = 0.75;
/// The number of letters that stand for all forms of a longer word.
const STEM: usize = 5;
/// The weight of a matching stem relative to a whole word.
const STEM_WEIGHT: f64 = 0.5;

/// Words joined by marks that identifiers, numbers, dates, versions and paths hold, or words alone.
static RUNS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{L}\p{M}\p{N}_]+(?:[-./:@$'’][\p{L}\p{M}\p{N}_]+)*").expect("a test compiles it")
});

/// The terms of a question with what each of them counts.
pub(super) struct QuestionTerms {
    /// The number of each term.
    numbers: HashMap<String, usize>,
    /// The weight of each term relative to others of the same rarity.
    weights: Vec<f64>,
}

impl QuestionTerms {
    /// Collects the terms of `question` that are no function words.
    pub(super) fn of(question: &str) -> Self {
        let mut terms = Self { numbers: HashMap::new(), weights: Vec::new() };
        each_term(&left_out(question), |term, weight| {
            if !terms.numbers.contains_key(term) {
                terms.numbers.insert(term.to_owned(), terms.weights.len());
                terms.weights.push(weight);
            }
        });
        terms
    }

    /// Returns for each label the part of its terms that the question says, times the part that it says of what the
    /// question says of all labels, weighed by rarity: 0 to 1.
    pub(super) fn shares(&self, labels: &[&str]) -> Vec<f64> {
        let mut found: Vec<(BTreeSet<usize>, f64)> = Vec::with_capacity(labels.len());
        let mut holders = vec![0.0; self.weights.len()];
        for label in labels {
            let (mut own, mut said, mut all) = (BTreeSet::new(), 0.0, 0.0);
            each_term(label, |term, weight| {
                all += weight;
                if let Some(&number) = self.numbers.get(term) {
                    own.insert(number);
                    said += weight;
                }
            });
            for &number in &own {
                holders[number] += 1.0;
            }
            found.push((own, if all > 0.0 { said / all } else { 0.0 }));
        }
        let rarity = |number: usize| self.rarity(number, holders[number], labels.len());
        let of_all: f64 = (0..holders.len()).filter(|&number| holders[number] > 0.0).map(rarity).sum();
        let share = |(own, said): (BTreeSet<usize>, f64)| {
            if own.is_empty() { 0.0 } else { said * own.into_iter().map(rarity).sum::<f64>() / of_all }
        };
        found.into_iter().map(share).collect()
    }

    /// The weight of a term that stands in `holders` of `n` texts (Robertson and Sparck Jones's, never negative).
    fn rarity(&self, number: usize, holders: f64, n: usize) -> f64 {
        self.weights[number] * (1.0 + (n as f64 - holders + 0.5) / (holders + 0.5)).ln()
    }

    /// Returns BM25 of each text among `texts`: 0 where no term stands in it, at most a few times the number of terms.
    pub(super) fn bm25(&self, texts: &[String]) -> Vec<f64> {
        let mut found: Vec<HashMap<usize, f64>> = Vec::with_capacity(texts.len());
        let mut lengths: Vec<f64> = Vec::with_capacity(texts.len());
        let mut holders = vec![0.0; self.weights.len()];
        for text in texts {
            let (mut own, mut length) = (HashMap::new(), 0.0);
            each_term(text, |term, _| {
                length += 1.0;
                if let Some(&number) = self.numbers.get(term) {
                    *own.entry(number).or_default() += 1.0;
                }
            });
            for &number in own.keys() {
                holders[number] += 1.0;
            }
            found.push(own);
            lengths.push(length);
        }
        let mean = (lengths.iter().sum::<f64>() / texts.len().max(1) as f64).max(1.0);
        let rarity = |number: usize| self.rarity(number, holders[number], texts.len());
        let score = |(own, length): (&HashMap<usize, f64>, &f64)| {
            // Sums of floats depend on their order.
            let mut own: Vec<(usize, f64)> = own.iter().map(|(&number, &times)| (number, times)).collect();
            own.sort_by_key(|&(number, _)| number);
            let saturated = |times: f64| times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / mean));
            own.into_iter().map(|(number, times)| rarity(number) * saturated(times)).sum()
        };
        found.iter().zip(&lengths).map(score).collect()
    }
}

/// Calls `take` with each term of `text` and what it counts. Function words of English are no terms.
fn each_term(text: &str, mut take: impl FnMut(&str, f64)) {
    for run in RUNS.find_iter(text) {
        let run = plain(run.as_str());
        if run.chars().any(is_searched_by_pairs) {
            pairs(&run, &mut take);
            continue;
        }
        let words: Vec<&str> =
            run.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        // `Ann's` is no name of a thing; `2024-05-14` and `src/a.rs` are.
        if words.len() > 1 && !run.contains(['\'', '’']) {
            take(&run.to_lowercase(), 1.0);
        }
        for word in words {
            word_terms(word, &mut take);
        }
    }
}

/// A word, its parts where it is a `camelCase` or `snake_case` name, and the beginnings of long ones.
fn word_terms(word: &str, take: &mut impl FnMut(&str, f64)) {
    let parts = parts(word);
    if parts.len() > 1 {
        take(&word.to_lowercase(), 1.0);
    }
    for part in parts {
        let part = part.to_lowercase();
        if is_function_word(&part) {
            continue;
        }
        take(stem(&part), 1.0);
        if let Some((end, _)) = part.char_indices().nth(STEM) {
            // The mark tells a beginning from a word of the same letters.
            take(&format!("{}~", &part[..end]), STEM_WEIGHT);
        }
    }
}

/// The parts of `camelCase` and `snake_case` names; the word itself where it is neither.
fn parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    for pair in 1..chars.len() {
        let ((_, before), (at, c)) = (chars[pair - 1], chars[pair]);
        let next_is_lower = chars.get(pair + 1).is_some_and(|&(_, next)| next.is_lowercase());
        let bound = before == '_'
            || c == '_'
            || before.is_lowercase() && c.is_uppercase()
            || before.is_uppercase() && c.is_uppercase() && next_is_lower
            || before.is_numeric() != c.is_numeric();
        if bound {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts.retain(|part| !part.starts_with('_'));
    parts
}

/// The pairs of neighbouring characters in a script without spaces; a character alone by itself.
fn pairs(run: &str, take: &mut impl FnMut(&str, f64)) {
    let chars: Vec<char> = run.chars().filter(|c| c.is_alphanumeric() || is_combining_mark(*c)).collect();
    if let [only] = chars[..] {
        take(only.encode_utf8(&mut [0; 4]), 1.0);
    }
    for pair in chars.windows(2) {
        take(&pair.iter().collect::<String>(), 1.0);
    }
}

/// Returns an English word without a plural's or a verb's usual ending.
fn stem(word: &str) -> &str {
    let stem = ["ing", "ed", "es", "s"].iter().find_map(|ending| word.strip_suffix(ending));
    stem.filter(|stem| stem.chars().count() > 2).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        each_term(text, |term, _| terms.push(term.to_owned()));
        terms
    }

    fn bm25(question: &str, texts: &[&str]) -> Vec<f64> {
        QuestionTerms::of(question).bm25(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn terms_are_words_names_keys_and_pairs() {
        assert_eq!(terms("The cats sat"), ["cat", "sat"]);
        assert_eq!(terms("loadEnv"), ["loadenv", "load", "env"]);
        assert_eq!(terms("MAX_RETRIES"), ["max_retries", "max", "retri", "retri~"]);
        assert_eq!(terms("2024-05-14"), ["2024-05-14", "2024", "05", "14"]);
        assert_eq!(terms("HTTPServer2"), ["httpserver2", "http", "server", "serve~", "2"]);
        assert_eq!(terms("Äpfel"), ["apfel"]);
        assert_eq!(terms("食堂在"), ["食堂", "堂在"]);
        assert!(terms("of the").is_empty() && terms("—, …").is_empty());
    }

    #[test]
    fn the_text_with_the_rare_word_of_the_question_is_first() {
        let scores = bm25(
            "which cat sat on the mat?",
            &["The cats sat on the mat.", "The dog sat on the dog's mat.", "The sun sat."],
        );
        assert!(scores[0] > scores[1] && scores[1] > scores[2] && scores[2] > 0.0, "{scores:?}");
        assert_eq!(bm25("the of and", &["The cats", "of"]), [0.0; 2]);
        assert_eq!(bm25("anything", &[]), [0.0; 0]);
    }

    #[test]
    fn a_label_counts_by_what_the_question_says_of_it() {
        let terms = QuestionTerms::of("What were net sales in Japan?");
        let shares = terms.shares(&["Net sales", "Net sales of others", "Costs", "", "Japan"]);
        assert!(shares[0] > shares[1] && shares[1] > 0.0 && shares[4] > shares[1], "{shares:?}");
        assert!(shares[2].abs() < 1e-12 && shares[3].abs() < 1e-12);
        assert!((terms.shares(&["Net sales in Japan"])[0] - 1.0).abs() < 1e-12);
        assert!(terms.shares(&[]).is_empty());
    }

    #[test]
    fn exact_keys_and_other_scripts_are_found() {
        for (question, texts) in [
            ("What happened to blk_-2452477?", ["block blk_-2452478 deleted", "block blk_-2452477 served"]),
            ("食堂在哪里", ["宿舍在校园的北边", "食堂位于图书馆旁边"]),
            ("โรงอาหารอยู่ที่ไหน", ["ห้องสมุดเปิดทุกวัน", "โรงอาหารเปิดเจ็ดโมง"]),
            ("Когда открыли мост?", ["Школа стоит у реки.", "Мосты открывались в мае."]),
            ("wann schliesst das café", ["Das Museum hat geöffnet", "Das Cafe schließt um acht"]),
        ] {
            let scores = bm25(question, &texts);
            assert!(scores[1] > scores[0], "{question}: {scores:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_finite_scores(question in "\\PC{0,40}", texts in prop::collection::vec("\\PC{0,40}", 0..5)) {
            let labels: Vec<&str> = texts.iter().map(String::as_str).collect();
            let shares = QuestionTerms::of(&question).shares(&labels);
            prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-9).contains(share)));
            let scores = QuestionTerms::of(&question).bm25(&texts);
            prop_assert_eq!(scores.len(), texts.len());
            prop_assert!(scores.iter().all(|score| score.is_finite() && *score >= 0.0));
        }
    }
}
