//! Protected spans: text that is kept or dropped as a unit, never cut.

use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;
use regex::RegexBuilder;

use super::matcher::{LONGEST, Matcher};
use super::negation::negated_clauses;
use super::numbers::with_neighbours;
use super::patterns::{Protection, patterns};
use super::sentences::opens;

/// Longer quotations and pieces of code, marks included, are prose or programs and may be cut.
const LONGEST_QUOTE: usize = 200;
/// Bytes that a compiled pattern of a caller may take.
const PATTERN_SIZE: usize = 1 << 20;

/// The built-in patterns, compiled once.
static BUILT_IN: LazyLock<Vec<(Protection, Matcher)>> = LazyLock::new(|| {
    let all = Protection::ALL.iter();
    all.flat_map(|&kind| patterns(kind).iter().map(move |pattern| (kind, Matcher::built_in(pattern))))
        .collect()
});

/// A reason for rejecting a caller's pattern.
#[derive(Debug, Clone, thiserror::Error)]
#[error("custom pattern `{pattern}` is refused: {reason}")]
pub struct ProtectError {
    /// The pattern as given.
    pub pattern: String,
    /// The description of the fault.
    pub reason: String,
}

/// Finds protected spans. Time is linear in the text, whatever the text and the patterns.
#[derive(Debug, Clone)]
pub struct Protector {
    kinds: Vec<Protection>,
    /// The caller's own patterns.
    custom: Vec<Matcher>,
}

impl Default for Protector {
    /// All kinds.
    fn default() -> Self {
        Self::of(&Protection::ALL)
    }
}

impl Protector {
    /// Protects `kinds` and what matches the `custom` patterns.
    ///
    /// ```
    /// use whittle::text::{Protection, Protector};
    ///
    /// let text = "Ticket AB 12 was closed on 2024-03-15";
    /// let protector = Protector::new(&[Protection::Dates], &["AB \\d+".to_owned()])?;
    /// let kept: Vec<&str> = protector.spans(text).into_iter().map(|range| &text[range]).collect();
    /// assert_eq!(kept, ["AB 12", "2024-03-15"]);
    /// # Ok::<(), whittle::text::ProtectError>(())
    /// ```
    ///
    /// # Errors
    /// A custom pattern does not compile or is too large.
    pub fn new(kinds: &[Protection], custom: &[String]) -> Result<Self, ProtectError> {
        let mut protector = Self::of(kinds);
        for pattern in custom {
            let compiled =
                RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build();
            let refused = |e: regex::Error| ProtectError { pattern: pattern.clone(), reason: e.to_string() };
            protector.custom.push(compiled.map_err(refused)?.into());
        }
        Ok(protector)
    }

    fn of(kinds: &[Protection]) -> Self {
        Self { kinds: kinds.to_vec(), custom: Vec::new() }
    }

    /// Protected spans of `text` as byte ranges: sorted, disjoint, at most 512 bytes each. Spans that overlap
    /// are one span, as long as it is no longer than that.
    #[must_use]
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let kinds = self.kinds.par_iter();
        let mut found: Vec<Range<usize>> = kinds.flat_map_iter(|&kind| spans_of(kind, text)).collect();
        for pattern in &self.custom {
            found.extend(bounded(pattern, LONGEST, text));
        }
        merge(found)
    }

    /// Returns, for each of `ranges` of `text`, the built-in kinds of the spans that it has a part of, in the order of
    /// [`Protection::ALL`]. A span that no built-in kind has found is one of a caller's pattern.
    ///
    /// ```
    /// use whittle::text::{Protection, Protector};
    ///
    /// let text = "Write to ann@example.org by 2024-03-15";
    /// let kinds = Protector::default().kinds(text, &[0..5, 9..24, 28..38]);
    /// assert_eq!(kinds[0], []);
    /// assert!(kinds[1].contains(&Protection::Emails));
    /// assert_eq!(kinds[2], [Protection::Numbers, Protection::Dates]);
    /// ```
    #[must_use]
    pub fn kinds(&self, text: &str, ranges: &[Range<usize>]) -> Vec<Vec<Protection>> {
        let mut kinds = vec![Vec::new(); ranges.len()];
        for kind in Protection::ALL.into_iter().filter(|kind| self.kinds.contains(kind)) {
            let spans = merge(spans_of(kind, text));
            for (range, kinds) in ranges.iter().zip(&mut kinds) {
                let first = spans.partition_point(|span| span.end <= range.start);
                if spans.get(first).is_some_and(|span| span.start < range.end) {
                    kinds.push(kind);
                }
            }
        }
        kinds
    }
}

/// Spans of one built-in kind, in no order.
fn spans_of(kind: Protection, text: &str) -> Vec<Range<usize>> {
    let (mut found, longest) = match kind {
        Protection::Code => (fenced_lines(text), LONGEST_QUOTE),
        Protection::Quotes => (Vec::new(), LONGEST_QUOTE),
        Protection::Negations => (negated_clauses(text), LONGEST),
        _ => (Vec::new(), LONGEST),
    };
    for (_, pattern) in BUILT_IN.iter().filter(|(own, _)| *own == kind) {
        found.extend(bounded(pattern, longest, text));
    }
    if kind == Protection::Identifiers {
        // No name goes on with the word that begins the next sentence.
        let last = |span: &Range<usize>| text[span.clone()].rsplit_once(". ").map_or("", |(_, last)| last);
        found.retain(|span| !opens(last(span)));
    }
    if kind == Protection::Numbers { with_neighbours(text, merge(found)) } else { found }
}

/// Matches of a pattern, of at most `longest` bytes, without white space at their ends.
fn bounded(pattern: &Matcher, longest: usize, text: &str) -> impl Iterator<Item = Range<usize>> {
    let ranges = pattern.matches(text).into_iter().map(|range| trimmed(text, range));
    ranges.filter(move |range| !range.is_empty() && range.len() <= longest)
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + (inner.len() - inner.trim_start().len());
    start..start + inner.trim().len()
}

/// Each line of each fenced block, fences included. A fence that is never closed opens nothing.
fn fenced_lines(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut block: Option<(&str, Vec<Range<usize>>)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = trimmed(text, at..at + line.len());
        at += line.len();
        let (marks, info) = fence(&text[range.clone()]);
        block = match block {
            None if marks.is_empty() => None,
            None => Some((marks, vec![range])),
            Some((opening, mut lines)) => {
                lines.push(range);
                if info.is_empty() && marks.starts_with(opening) {
                    found.append(&mut lines);
                    None
                } else {
                    Some((opening, lines))
                }
            }
        };
    }
    found.retain(|line| !line.is_empty() && line.len() <= LONGEST);
    found
}

/// The marks of a fence and what stands behind them. A line that is no fence has no marks.
fn fence(line: &str) -> (&str, &str) {
    for mark in ['`', '~'] {
        let (marks, info) = line.split_at(line.len() - line.trim_start_matches(mark).len());
        if marks.len() >= 3 && !info.contains(mark) {
            return (marks, info);
        }
    }
    ("", line)
}

fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            // A chain of overlaps must not grow into a unit that is too long to be worth keeping whole.
            Some(last) if range.start < last.end && range.end.max(last.end) - last.start <= LONGEST => {
                last.end = last.end.max(range.end);
            }
            Some(last) if range.start < last.end => {}
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(kind: Protection, text: &str) -> Vec<&str> {
        Protector::new(&[kind], &[]).unwrap().spans(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn each_kind_finds_what_it_names() {
        let cases: [(Protection, &str, &[&str]); 15] = [
            (
                Protection::Numbers,
                "It fell to -3.5 °C, cost $1,250,000.50 (up 12.5%) over 10 ms and 3 km in 1999, 5th.",
                &["-3.5 °C", "$1,250,000.50", "(up 12.5%)", "over 10 ms", "3 km", "1999", "5th"],
            ),
            (
                Protection::Numbers,
                "2016年3月 213台 35分钟; 2 millions d'euros, 30 mètres, 9 h; 3 Millionen Euro; 12 часов; call 1-800-991-9019",
                &[
                    "2016年3月",
                    "213台",
                    "35分钟",
                    "2 millions d'euros",
                    "30 mètres",
                    "9 h",
                    "3 Millionen Euro",
                    "12 часов",
                    "1-800-991-9019",
                ],
            ),
            (
                Protection::Dates,
                "On 2024-03-15, 15 March 2024, March 15, 2024 and 03/15/2024 at 11:30 p.m. sharp",
                &["2024-03-15", "15 March 2024", "March 15, 2024", "03/15/2024", "11:30 p.m."],
            ),
            (
                Protection::Dates,
                "dal 14 giugno al 22 settembre 2025, am 31. März, 21 Kasım'da, el 3 de marzo, le 1er août, 12 พฤศจิกายน",
                &[
                    "14 giugno",
                    "22 settembre 2025",
                    "31. März",
                    "21 Kasım",
                    "3 de marzo",
                    "1er août",
                    "12 พฤศจิกายน",
                ],
            ),
            (
                Protection::Numbers,
                "at most 900 of 4.9 x10^9/L, blood 2+, höchstens 30 kg, 4,200만 원 und 7.5万元",
                &["at most 900", "4.9 x10^9/L", "2+", "höchstens 30 kg", "4,200만 원", "7.5万元"],
            ),
            (Protection::Urls, "See https://example.org/a?b=c#d.", &["https://example.org/a?b=c#d"]),
            (
                Protection::Paths,
                "Edit src/main.rs, /etc/hosts. Then C:\\Temp\\a.txt or Cargo.toml, ~/x and /srv.",
                &["src/main.rs", "/etc/hosts", "C:\\Temp\\a.txt", "Cargo.toml", "~/x", "/srv"],
            ),
            (Protection::Dates, "In January. 5. Go on Sept. 4 or May\n6.", &["Sept. 4", "May\n6"]),
            (Protection::Emails, "Write to a.b+c@example.co.uk.", &["a.b+c@example.co.uk"]),
            (
                Protection::Identifiers,
                "call snake_case, camelCase, std::mem::swap, user.name, ABC-123, abc123def, @name, GPT-4o and MacBook now",
                &[
                    "snake_case",
                    "camelCase",
                    "std::mem::swap",
                    "user.name",
                    "ABC-123",
                    "abc123def",
                    "@name",
                    "GPT-4o",
                    "MacBook",
                ],
            ),
            (
                Protection::Identifiers,
                "block blk_-2452477352812192142 of Hepatitis A and I saw plan B",
                &["blk_-2452477352812192142", "Hepatitis A", "plan B"],
            ),
            (Protection::Versions, "Python 3.11.7 or v2.0.0-rc.1", &["3.11.7", "v2.0.0-rc.1"]),
            (
                Protection::Quotes,
                "He said \"no more\" and “so be it”. 'Don't go', 她说\"你好\" 「好」 «a»",
                &["\"no more\"", "“so be it”", "'Don't go'", "\"你好\"", "「好」", "«a»"],
            ),
            (
                Protection::Code,
                "Run `ls -l`.\n```sh\nrm x\ncp a b\n```\n",
                &["`ls -l`", "```sh", "rm x", "cp a b", "```"],
            ),
            (
                Protection::Negations,
                "It was not approved, is never paid; they don't know. Nothing",
                &["It was not approved, is never paid; they don't know", "Nothing"],
            ),
        ];
        for (kind, text, want) in cases {
            assert_eq!(found(kind, text), want, "{kind:?}");
        }
    }

    #[test]
    fn ranges_bounds_and_demands_are_whole() {
        let cases: [(Protection, &str, &[&str]); 4] = [
            (
                Protection::Numbers,
                "They lost 0-1, then 8–10 min; add 1½ cups to 2^31",
                &["0-1", "8–10 min", "1½ cups", "2^31"],
            ),
            (
                Protection::Numbers,
                "zinc 12 mg/L, iron 3 mg/L; 3 against, open after the 5 May, діти до 7 років, 40 korun",
                &["12 mg/L", "3 mg/L", "3 against", "after the 5", "до 7 років", "40 korun"],
            ),
            (Protection::Negations, "Servers MUST close it. Ann may go.", &["MUST close"]),
            (Protection::Identifiers, "an A-rapun door and an X-ray", &["A-rapun", "X-ray"]),
        ];
        for (kind, text, want) in cases {
            assert_eq!(found(kind, text), want, "{kind:?}");
        }
    }

    #[test]
    fn units_of_two_words_and_names_with_initials_are_whole() {
        let cases = [
            (
                Protection::Numbers,
                "raised from 40 to 45 euros, von 3 Tagen auf 17; с 3 на 17 марта; 为期12个月",
                vec!["from 40 to 45 euros", "von 3 Tagen auf 17", "с 3 на 17 марта", "12个月"],
            ),
            (
                Protection::Numbers,
                "runs on 230 V AC at 3.5 bar abs with 12 US gallons; mean: 4 (95% CI 3.1 to 5.3)",
                vec!["230 V AC", "3.5 bar abs", "12 US gallons", "4", "95% CI 3.1 to 5.3"],
            ),
            (
                Protection::Identifiers,
                "Ask Ida B. Lind or Per J. R. Ode. It is Plan B. The rest is not.",
                vec!["Ida B. Lind", "Per J. R. Ode", "Plan B"],
            ),
        ];
        for (kind, text, want) in cases {
            assert_eq!(found(kind, text), want, "{kind:?}");
        }
    }

    #[test]
    fn marks_that_may_be_no_quotes_are_none() {
        let long = format!("\"{}\" he said, \"yes\"", "long ".repeat(40) + "end");
        assert_eq!(found(Protection::Quotes, &long), ["\"yes\""]);
        let none = "a 5\" pipe and a 6\" one; the '90s and the students' rock'n'roll; it's John's; “open";
        assert!(found(Protection::Quotes, none).is_empty());
    }

    #[test]
    fn fences_are_closed_by_their_like() {
        let text = "~~~\n```\na b\n~~~\n\n  ````rs\n```\nc\n  `````\n```\nnever closed\n";
        assert_eq!(
            found(Protection::Code, text),
            ["~~~", "```", "a b", "~~~", "````rs", "```", "c", "`````"]
        );
    }

    #[test]
    fn time_is_linear() {
        let start = std::time::Instant::now();
        // Each of these made one search after the other look at all that is left of the text.
        for part in ["x.rs-", "“«a»", "a.b@", "1.0-a.", "'a", "\"a", "```\n"] {
            assert!(Protector::default().spans(&part.repeat((1 << 18) / part.len())).len() < 1 << 18);
        }
        let custom = Protector::new(&[], &["a[^\n]*b|a".into()]).unwrap();
        assert_eq!(custom.spans(&"a".repeat(1 << 16)).len(), 1 << 16);
        let seconds = start.elapsed().as_secs();
        assert!(seconds < 15, "{seconds} s");
    }

    #[test]
    fn custom_patterns_are_limited() {
        let protector = Protector::new(&[], &["Case No\\. \\w+".into()]).unwrap();
        assert_eq!(protector.spans("see Case No. X17 there"), [Range { start: 4, end: 16 }]);
        for bad in ["(", "(?:a{1000}){1000}", "\\w{9999999}"] {
            assert!(Protector::new(&[], &[bad.into()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn huge_spans_are_left_to_be_cut() {
        let text = format!("{} {}", "9".repeat(1 << 20), "a_".repeat(1 << 18));
        assert!(Protector::default().spans(&text).iter().all(|range| range.len() <= LONGEST));
    }

    proptest! {
        #[test]
        fn spans_are_sorted_disjoint_and_whole_characters(text in "[a-z0-9 .,$%°é'\"`/:_\n預-]{0,80}|\\PC{0,60}") {
            let mut end = 0;
            for span in Protector::default().spans(&text) {
                prop_assert!(span.start >= end && !span.is_empty() && span.len() <= LONGEST);
                prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
                end = span.end;
            }
        }
    }
}
