//! The comparison of answers, as in the evaluation of SQuAD (Rajpurkar et al. 2016).

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// The normalisation of SQuAD's evaluation: lower case, no ASCII punctuation, no articles, single spaces.
///
/// In that order, as its script has it: an article is a whole word once punctuation is gone.
#[must_use]
pub fn normalise(text: &str) -> String {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    ARTICLES.replace_all(&bare, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

static ARTICLES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:a|an|the)\b").expect("a test compiles it"));

/// Returns whether the answer equals one of the right ones, all normalised.
#[must_use]
pub fn exact_match(answer: &str, right: &[String]) -> bool {
    let answer = normalise(answer);
    right.iter().any(|right| normalise(right) == answer)
}

/// The best harmonic mean of precision and recall of words over the right answers, 0 to 1, normalised.
#[must_use]
pub fn f1(answer: &str, right: &[String]) -> f64 {
    right.iter().map(|right| f1_of(&normalise(answer), &normalise(right))).fold(0.0, f64::max)
}

fn f1_of(answer: &str, right: &str) -> f64 {
    let (answer, right): (Vec<_>, Vec<_>) = (answer.split(' ').collect(), right.split(' ').collect());
    if answer == [""] || right == [""] {
        return f64::from(answer == right);
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &right {
        *left.entry(word).or_default() += 1;
    }
    let common = answer.iter().filter(|word| match left.get_mut(**word) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    2.0 * common.count() as f64 / (answer.len() + right.len()) as f64
}

/// Does `text` hold one of the right answers, both normalised? Of a compressed context this is answer
/// retention, of a reader's words answer containment. An answer that normalises to nothing is in no text.
#[must_use]
pub fn contains(text: &str, right: &[String]) -> bool {
    let text = normalise(text);
    right.iter().map(|right| normalise(right)).any(|right| !right.is_empty() && text.contains(&right))
}

/// The normalisation of SQuAD's evaluation for texts in `language`, a two-letter code: compatibility forms are one,
/// punctuation of every script is gone, articles go in English alone, and where words have no spaces between them
/// (`zh`, `ja`, `th`) all white space goes.
#[must_use]
pub fn normalise_in(text: &str, language: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    let bare = PUNCTUATION.replace_all(&lower, "");
    match language {
        "zh" | "ja" | "th" => bare.split_whitespace().collect(),
        "en" => ARTICLES.replace_all(&bare, " ").split_whitespace().collect::<Vec<_>>().join(" "),
        _ => bare.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Punctuation of every script, and what of ASCII Unicode calls symbols.
static PUNCTUATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{P}$+<=>^`|~]").expect("a test compiles it"));

/// Does `text` hold one of the right answers, both normalised as texts in `language`? An answer that normalises to
/// nothing is in no text.
#[must_use]
pub fn contains_in(text: &str, right: &[String], language: &str) -> bool {
    let text = normalise_in(text, language);
    let mut right = right.iter().map(|right| normalise_in(right, language));
    right.any(|right| !right.is_empty() && text.contains(&right))
}

/// Does `text` hold each of `numbers` as it is written, and not as a part of a longer number? `37` is not in `1,37`
/// nor in `371`.
#[must_use]
pub fn contains_numbers(text: &str, numbers: &[String]) -> bool {
    numbers.iter().all(|number| {
        let alone = format!(r"(?:^|[^\d,.]){}(?:$|\D)", regex::escape(number));
        Regex::new(&alone).is_ok_and(|alone| alone.is_match(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(answers: &[&str]) -> Vec<String> {
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    /// Compares with the results of the published script for the same strings.
    #[test]
    fn normalisation_is_that_of_squad() {
        let cases = [
            ("The  Eiffel Tower!", "eiffel tower"),
            ("a cat, an owl and the dog.", "cat owl and dog"),
            ("A.B.C. (1999)", "abc 1999"),
            ("rock'n'roll", "rocknroll"),
            ("the-end", "theend"),
            ("Theatre an-other another", "theatre another another"),
            ("  \t\n", ""),
            ("the", ""),
            ("Ünïcode — dash", "ünïcode — dash"),
            ("$1,200.50", "120050"),
            ("U.S.A", "usa"),
            ("x_y", "xy"),
        ];
        for (text, want) in cases {
            assert_eq!(normalise(text), want, "{text:?}");
        }
    }

    #[test]
    fn languages_have_their_own_normalisation() {
        for (text, language, want) in [
            ("The ｆｕｌｌ width, a test!", "en", "full width test"),
            ("Das  Café – ein Test", "de", "das café ein test"),
            ("a b", "de", "a b"),
            ("1962 年，质体基因。", "zh", "1962年质体基因"),
            ("¿Qué? «a» $5+", "es", "qué a 5"),
            ("x² ~ y", "ru", "x2 y"),
        ] {
            assert_eq!(normalise_in(text, language), want, "{text:?}");
        }
        assert!(contains_in("发现于1962年。", &right(&["x", "1962 年"]), "zh"));
        assert!(!contains_in("anything", &right(&["the", "。"]), "en"));
    }

    #[test]
    fn numbers_are_not_found_inside_longer_ones() {
        let text = "| $37,390 | 543 |\n(12.5)";
        for (numbers, want) in [
            (&["37,390", "543"][..], true),
            (&["12.5"], true),
            (&["390"], false),
            (&["54"], false),
            (&["5"], false),
            (&["543", "544"], false),
            (&["$37,390"], true),
            (&[], true),
        ] {
            assert_eq!(contains_numbers(text, &right(numbers)), want, "{numbers:?}");
        }
    }

    #[test]
    fn answers_are_compared_as_squad_does() {
        assert!(exact_match("The 14th of December", &right(&["x", "14th of december"])));
        assert!(!exact_match("14 December", &right(&["14th December"])));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(f1("the blue green cat", &right(&["a green cat"])), 0.8));
        assert!(close(f1("b b", &right(&["b"])), 2.0 / 3.0));
        assert!(close(f1("no", &right(&["yes", "no"])), 1.0));
        assert!(close(f1("", &right(&["yes"])), 0.0) && close(f1("the", &right(&["a"])), 1.0));
        assert!(contains("It was built in the 1889s, they say", &right(&["1889"])));
        assert!(contains("so-called hit points", &right(&["Hit Points!"])));
        assert!(!contains("anything", &right(&["the"])) && !contains("", &right(&["x"])));
    }
}
