//! The search for the matches of one pattern, in time that is linear in the text.

use std::ops::Range;
use std::sync::OnceLock;

use regex::Regex;
use regex_automata::{Anchored, Input, meta};

use super::script::is_searched_by_pairs;

/// Longer matches may be cut off. They are not protected: a unit of a page would make every budget all or nothing.
pub(super) const LONGEST: usize = 512;
/// The most bytes that a match is looked for in at once; more than [`LONGEST`]. See [`Matcher::matches`].
const WINDOW: usize = 4096;

/// A compiled pattern.
///
/// The regex engine reads text with an automaton as long as it need not know whether a character that is not ASCII is
/// one of a word. Where it must, at `\b` and its like, it begins again with an engine that takes ten to fifty times as
/// long. So a built-in pattern is first looked for with borders of words that know ASCII alone: such a search finds all
/// that the pattern matches, and the pattern itself is asked where what is found touches anything else. A script that sets
/// no spaces between words is an exception: `TX-45B` is a word of its own in `型番はTX-45Bです`.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    /// The pattern, or one that finds more where borders of words touch what is not ASCII.
    quick: Regex,
    /// The pattern itself, where it is not that.
    exact: Option<Exact>,
}

/// A pattern that is compiled at the first text that asks for it: most texts of English alone never do.
#[derive(Debug, Clone)]
struct Exact {
    pattern: &'static str,
    compiled: OnceLock<Box<meta::Regex>>,
}

impl Exact {
    fn find(&self, here: Input) -> Option<Range<usize>> {
        let compile = || Box::new(meta::Regex::new(self.pattern).expect("a test compiles all of them"));
        Some(self.compiled.get_or_init(compile).find(here)?.range())
    }
}

impl Matcher {
    /// Compiles a built-in pattern, which writes the borders of words as `\b{start-half}` and `\b{end-half}`.
    pub(super) fn built_in(pattern: &'static str) -> Self {
        let ascii = ["start", "end"].into_iter().fold(pattern.to_owned(), |text, side| {
            text.replace(&format!(r"\b{{{side}-half}}"), &format!(r"(?-u:\b{{{side}-half}})"))
        });
        let exact = (ascii != pattern).then(|| Exact { pattern, compiled: OnceLock::new() });
        Self { quick: Regex::new(&ascii).expect("a test compiles all of them"), exact }
    }

    /// The matches in `text` of at most [`LONGEST`] bytes, and perhaps longer ones.
    ///
    /// One search may look at all that is left of a text before it settles for a match of a few bytes, and so may
    /// the next. Looking at a window at a time bounds that. A match that starts so near to the window's end that
    /// it might be cut off there is looked for again in the next window.
    pub(super) fn matches(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = text.floor_char_boundary(at + WINDOW);
            let last = if end == text.len() { end } else { text.floor_char_boundary(end - LONGEST) };
            at = match self.find_at(&text[..end], at) {
                Some(range) if range.start > last => range.start,
                Some(range) if range.is_empty() => text.ceil_char_boundary(range.end + 1),
                Some(range) => {
                    found.push(range.clone());
                    range.end
                }
                None => last,
            };
        }
        found
    }

    /// The first match from `at` on.
    fn find_at(&self, text: &str, mut at: usize) -> Option<Range<usize>> {
        let Some(exact) = &self.exact else { return Some(self.quick.find_at(text, at)?.range()) };
        loop {
            let found = self.quick.find_at(text, at)?.range();
            let beside = [text[..found.start].chars().next_back(), text[found.end..].chars().next()];
            if beside.into_iter().flatten().all(is_told) {
                return Some(found);
            }
            let here = Input::new(text).range(found.start..).anchored(Anchored::Yes);
            if let Some(found) = exact.find(here) {
                return Some(found);
            }
            at = text.ceil_char_boundary(found.start + 1);
        }
    }
}

/// Returns whether it is clear without the pattern itself if a word goes on over a border at `c`: punctuation is none of
/// a word, and a character of a script without spaces is one of another.
fn is_told(c: char) -> bool {
    let punctuation = matches!(c,
        '\u{2010}'..='\u{2027}' | '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{3020}' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}');
    c.is_ascii() || punctuation || is_searched_by_pairs(c)
}

impl From<Regex> for Matcher {
    fn from(pattern: Regex) -> Self {
        Self { quick: pattern, exact: None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::patterns::{Protection, patterns};
    use super::*;

    /// The built-in patterns, each as it is searched for and as it is written.
    static BUILT_IN: LazyLock<Vec<(Matcher, Regex)>> = LazyLock::new(|| {
        let all = Protection::ALL.iter().flat_map(|&kind| patterns(kind));
        all.map(|pattern| (Matcher::built_in(pattern), Regex::new(pattern).unwrap())).collect()
    });

    #[test]
    fn a_border_of_a_word_is_one_in_any_script() {
        let matcher = Matcher::built_in(r"\b{start-half}(?:ca|caf|\d+ m)\b{end-half}");
        for (text, want) in [
            ("ca, café caf 5 m", &["ca", "caf", "5 m"][..]),
            ("éca ca caf\u{301} 5 mé", &["ca"]),
            ("“ca” —caf— 5 m² ", &["ca", "caf", "5 m"]),
            ("яca caю", &[]),
            ("日ca。caは 5 m이다", &["ca", "ca", "5 m"]),
        ] {
            let found: Vec<_> = matcher.matches(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn a_match_across_windows_is_found_whole() {
        let matcher = Matcher::built_in(r"\b{start-half}[a-z]+_[a-z]+\b{end-half}");
        let name = "some_name";
        for before in WINDOW - LONGEST - 12..=WINDOW + 2 {
            let text = format!("{} {name} {}", "-".repeat(before), "-".repeat(WINDOW));
            let found: Vec<_> = matcher.matches(&text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, [name], "{before}");
        }
        let text = format!("{}é end", "-é".repeat(WINDOW));
        for (pattern, want) in [("é end$", 1), ("x*", 0), ("-$", 0)] {
            let found = Matcher::from(Regex::new(pattern).unwrap()).matches(&text);
            assert_eq!(found.len(), want, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn neither_windows_nor_ascii_change_a_match(
            words in prop::collection::vec(
                "[a-z]{1,9}|é{1,3}|naïve|3 ?km|a_b|[0-9]{1,4}é?|x@y[.]org|not|(on ){40,300}|bis zu|до|5 ?часов|[cN]o['’]té?|3 maiô?|[A-Z]|[a-zé/_.]{3,6}",
                0..60,
            ),
            space in "[ ]|[. ]|[-]|",
        ) {
            let text = words.join(&space);
            for (matcher, plain) in BUILT_IN.iter() {
                let whole: Vec<_> = plain.find_iter(&text).map(|found| found.range()).collect();
                if whole.iter().all(|range| range.len() <= LONGEST) {
                    prop_assert_eq!(matcher.matches(&text), whole, "{}", plain);
                }
            }
        }
    }
}
