//! Units of text that are kept or dropped whole: words, punctuation, protected spans.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use unicode_segmentation::UnicodeSegmentation;

use super::script::is_unspaced;

/// Longer words are cut at grapheme boundaries, so that one word cannot take a whole budget.
const LONGEST_WORD: usize = 256;

/// Finds words by dictionaries, which give the same words on every machine.
static DICTIONARIES: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// A word with the white space before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// White space, then `core`. The last unit of a text also holds the white space at its end.
    pub range: Range<usize>,
    /// The word itself; empty only where a text holds nothing but white space.
    pub core: Range<usize>,
}

/// Cuts `text` into units; their ranges together are the whole text. Words are bounded as in UAX #29, never
/// inside a grapheme and never inside one of the `protected` spans (sorted and disjoint).
///
/// ```
/// use whittle::text::{Protector, units};
///
/// let text = "Send it to ann@example.org now";
/// let spans = Protector::default().spans(text);
/// let words: Vec<&str> = units(text, &spans).into_iter().map(|unit| &text[unit.core]).collect();
/// assert_eq!(words, ["Send", "it", "to", "ann@example.org", "now"]);
/// ```
#[must_use]
pub fn units(text: &str, protected: &[Range<usize>]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut spans = protected.iter().peekable();
    let mut start = 0;
    for word in words(text, protected) {
        while spans.next_if(|span| span.end <= word.start).is_some() {}
        if let Some(span) = spans.peek().filter(|span| span.start < word.end) {
            // Words that touch a span are one unit with it: it grows until the span's end is reached.
            let joins =
                units.last().is_some_and(|last| last.core.end == word.start && span.start < word.start);
            match units.last_mut().filter(|_| joins) {
                Some(last) => (last.core.end, last.range.end) = (word.end, word.end),
                None => push(&mut units, text, start, word.clone()),
            }
            start = word.end;
        } else if !text[word.clone()].trim().is_empty() {
            push(&mut units, text, start, word.clone());
            start = word.end;
        }
    }
    match units.last_mut() {
        Some(last) => last.range.end = text.len(),
        None if !text.is_empty() => units.push(Unit { range: 0..text.len(), core: 0..0 }),
        None => {}
    }
    units
}

/// The words of UAX #29 and what is between them, in whole graphemes: a word boundary may lie within one, behind
/// a prepended mark. In scripts without spaces words are those of a dictionary. Words longer than [`LONGEST_WORD`]
/// are cut where no span is.
fn words(text: &str, protected: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut spans = protected.iter().peekable();
    let mut inside = inside_unspaced_words(text, protected);
    inside.extend(inside_hyphenated_words(text));
    let starts = text.split_word_bound_indices().map(|(at, _)| at);
    let mut starts = starts.filter(|at| !inside.contains(at)).peekable();
    for (at, grapheme) in text.grapheme_indices(true) {
        while starts.next_if(|&start| start < at).is_some() {}
        while spans.next_if(|span| span.end <= at).is_some() {}
        let end = at + grapheme.len();
        let inside = spans.peek().is_some_and(|span| span.start < at);
        match words.last_mut().filter(|_| starts.peek() != Some(&at)) {
            Some(last) if inside || end - last.start <= LONGEST_WORD => last.end = end,
            _ => words.push(at..end),
        }
    }
    words
}

/// The places on both sides of the hyphens of words, for one that is left without its other half is another word:
/// `up-to-date`, `non-refundable`, `X-Request-Id`. A word has the hyphens before it that make it an option: `--force`.
fn inside_hyphenated_words(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let joins = |c: Option<char>| c.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !is_unspaced(c));
    memchr::memchr_iter(b'-', bytes).flat_map(move |at| {
        let (before, after) = (text[..at].chars().next_back(), text[at + 1..].chars().next());
        let opens = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || matches!(c, '[' | '(' | '|'));
        let second = before == Some('-') && opens(text[..at - 1].chars().next_back());
        let (left, right) = match (joins(before), joins(after)) {
            (true, true) => (Some(at), Some(at + 1)),
            (false, true) if opens(before) => (None, Some(at + 1)),
            (false, true) if second => (Some(at), Some(at + 1)),
            _ => (None, None),
        };
        [left, right].into_iter().flatten()
    })
}

/// The places between two characters of a script without spaces that lie within a word of the dictionaries. No word goes
/// over an end of a `protected` span: 30分|开始.
fn inside_unspaced_words(text: &str, protected: &[Range<usize>]) -> BTreeSet<usize> {
    let mut inside = BTreeSet::new();
    let mut ends = protected.iter().map(|span| span.end).peekable();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        if !is_unspaced(first) {
            continue;
        }
        let mut end = start + first.len_utf8();
        let mut places = vec![];
        while ends.next_if(|&end| end <= start).is_some() {}
        let stop = ends.peek().copied();
        while let Some((at, next)) = chars.next_if(|&(at, next)| is_unspaced(next) && stop != Some(at)) {
            places.push(at);
            end = at + next.len_utf8();
        }
        let mut bounds: BTreeSet<usize> =
            DICTIONARIES.segment_str(&text[start..end]).map(|at| start + at).collect();
        for at in endings(text, &bounds) {
            bounds.remove(&at);
        }
        inside.extend(places.into_iter().filter(|at| !bounds.contains(at)));
    }
    inside
}

/// The endings of Japanese verbs, each of which a dictionary has for a word of its own.
const ENDINGS: &[&str] = &[
    "って",
    "った",
    "て",
    "た",
    "だ",
    "ます",
    "まし",
    "ませ",
    "ん",
    "たい",
    "たく",
    "れる",
    "られ",
    "られる",
    "せる",
    "させ",
    "ない",
    "なく",
    "なかっ",
    "ば",
    "う",
    "よう",
    "っ",
    "です",
    "でし",
];
/// The parts of a verb that stand behind its form in `te`.
const GOES_ON: &[&str] =
    &["い", "いる", "いた", "いない", "いなかっ", "いま", "おり", "しま", "しまう", "しまっ"];

/// The bounds of `bounds` before the endings of Japanese verbs: 持っています is one word.
fn endings(text: &str, bounds: &BTreeSet<usize>) -> Vec<usize> {
    let bounds: Vec<usize> = bounds.iter().copied().collect();
    let mut found = Vec::new();
    for own in bounds.windows(3) {
        let (before, word) = (&text[own[0]..own[1]], &text[own[1]..own[2]]);
        let polite = before.ends_with('ま') && ["す", "し", "した", "せ", "せん"].contains(&word);
        let goes_on = polite || (before.ends_with(['て', 'で']) && GOES_ON.contains(&word));
        let is_verb = before.ends_with(|c| matches!(c, '\u{3041}'..='\u{3096}' | '\u{4E00}'..='\u{9FFF}'));
        if goes_on || (is_verb && ENDINGS.contains(&word)) {
            found.push(own[1]);
        }
    }
    found
}

fn push(units: &mut Vec<Unit>, text: &str, start: usize, core: Range<usize>) {
    // A combining mark makes a word of the white space before it, which is not cut off from it.
    let white: usize =
        text[core.clone()].graphemes(true).take_while(|g| g.trim().is_empty()).map(str::len).sum();
    units.push(Unit { range: start..core.end, core: core.start + white..core.end });
}

/// Would `after`, put directly behind `before`, run two words together? Scripts that do not separate words by
/// spaces do not count.
#[must_use]
pub fn would_merge(before: &str, after: &str) -> bool {
    let joins = |c: char| (c.is_alphanumeric() || c == '_') && !is_unspaced(c);
    before.chars().next_back().is_some_and(joins) && after.chars().next().is_some_and(joins)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::Protector;

    fn cores(text: &str) -> Vec<&str> {
        units(text, &Protector::default().spans(text)).into_iter().map(|unit| &text[unit.core]).collect()
    }

    #[test]
    fn words_punctuation_and_protected_spans_are_units() {
        assert_eq!(
            cores("The bill, $1,250.50 on 2024-03-15, was not approved (see v3.11.7)."),
            ["The", "bill", ",", "$1,250.50 on 2024-03-15, was not approved", "(see v3.11.7)", "."]
        );
        assert_eq!(cores("  a\r\n\tb  "), ["a", "b"]);
        assert_eq!(cores("👩\u{200d}👩\u{200d}👧 — ½"), ["👩\u{200d}👩\u{200d}👧", "—", "½"]);
        assert_eq!(
            cores("an up-to-date, pre-paid or X-Request-Id - use --force or -k"),
            ["an", "up-to-date", ",", "pre-paid", "or", "X-Request-Id", "-", "use", "--force", "or", "-k"]
        );
        assert_eq!(cores("田中さんが持っています。"), ["田中", "さん", "が", "持っています", "。"]);
        assert_eq!(cores("預算委員"), ["預算", "委員"]);
        assert_eq!(cores("它可以截取屏幕。"), ["它", "可以", "截取", "屏幕", "。"]);
        assert_eq!(cores("午后3点30分开始。"), ["午后", "3点30分", "开始", "。"]);
        assert_eq!(cores("ฉันกินข้าว"), ["ฉัน", "กิน", "ข้าว"]);
        assert_eq!(units(" \n ", &[]), [Unit { range: 0..3, core: 0..0 }]);
        assert!(units("", &[]).is_empty());
    }

    #[test]
    fn words_run_together_only_where_spaces_separate_them() {
        assert!(would_merge("wage", "If") && would_merge("a", "1") && would_merge("é", "x"));
        assert!(
            !would_merge("wage.", "If")
                && !would_merge("wage ", "If")
                && !would_merge("預", "算")
                && !would_merge("", "x")
        );
    }

    #[test]
    fn a_very_long_word_is_cut() {
        let text = "x".repeat(2 << 20);
        let units = units(&text, &[]);
        assert!(
            units.len() == (2 << 20) / LONGEST_WORD
                && units.iter().all(|unit| unit.range.len() == LONGEST_WORD)
        );
        // However many numbers are in it.
        for part in ["9e9e", "a1", "\u{11a84}x3"] {
            let text = part.repeat(1 << 18);
            let units = super::units(&text, &Protector::default().spans(&text));
            let longest = units.iter().map(|unit| unit.range.len()).max();
            assert!(longest <= Some(2 * LONGEST_WORD), "{part}: {longest:?}");
        }
    }

    proptest! {
        #[test]
        fn units_partition_the_text(text in "[a-z0-9 .,$%°é'\"`/:_\r\n\t預ไ👩\u{200d}🏽\u{11a84}\u{301}-]{0,80}|\\PC{0,60}") {
            let spans = Protector::default().spans(&text);
            let units = units(&text, &spans);
            let mut end = 0;
            for unit in &units {
                prop_assert_eq!(unit.range.start, end);
                prop_assert!(unit.range.start <= unit.core.start || unit.core.is_empty());
                prop_assert!(text[unit.range.start..unit.core.start.max(unit.range.start)].trim().is_empty());
                end = unit.range.end;
            }
            prop_assert_eq!(end, text.len());
            let graphemes: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            for unit in &units {
                prop_assert!(graphemes.binary_search(&unit.range.end).is_ok(), "grapheme cut at {}", unit.range.end);
            }
            for span in spans {
                let cut = units.iter().any(|unit| unit.range.end > span.start && unit.range.end < span.end);
                prop_assert!(!cut, "{:?} is cut", &text[span]);
            }
        }
    }
}
