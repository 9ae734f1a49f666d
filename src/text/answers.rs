//! The comparison of answers, as in the evaluation of SQuAD (Rajpurkar et al. 2016).

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

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
