//! Protected spans: text that is kept or dropped as a unit, never cut.

use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Longer spans are not protected: a unit of a page would make every budget all or nothing.
const LONGEST: usize = 512;
/// Bytes that a compiled pattern of a caller may take.
const PATTERN_SIZE: usize = 1 << 20;

/// Kinds of text that are protected, by name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// With sign, currency, separators, exponent and the unit behind: `-3.5 °C`, `$1,250,000.50`, `12.5%`.
    Numbers,
    /// Dates and times: `2024-03-15`, `March 15, 2024`, `11:30 p.m.`.
    Dates,
    /// `https://example.org/a?b=c`.
    Urls,
    /// `src/main.rs`, `/etc/hosts`, `C:\Temp\a.txt`.
    Paths,
    /// `name@example.org`.
    Emails,
    /// `snake_case`, `camelCase`, `a::b`, `x.y()`, `ABC-123`, hashes, UUIDs.
    Identifiers,
    /// `v3.11.7`, `2.0.0-rc.1`.
    Versions,
    /// Quoted text of one line, at most 200 bytes.
    Quotes,
    /// Text in backticks of one line, and each line of a fenced block.
    Code,
    /// A negation with the word that it negates: `not approved`, `never paid`.
    Negations,
}

impl Protection {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Numbers,
        Self::Dates,
        Self::Urls,
        Self::Paths,
        Self::Emails,
        Self::Identifiers,
        Self::Versions,
        Self::Quotes,
        Self::Code,
        Self::Negations,
    ];

    fn pattern(self) -> &'static str {
        match self {
            Self::Numbers => {
                r"(?x) [+\-−±]? [$€£¥₹]? \s? \p{Nd} [\p{Nd}_]* (?: [.,'’/:] \p{Nd}+ )* (?: [eE] [+\-]? \p{Nd}+ )?
                  (?: \s? (?: % | ‰ | °\s?[CFK]? | º )
                    | [\u{20}\u{a0}\-]? (?: [kKMGTmµun]? (?: m | g | s | b | B | W | V | A | Hz | Wh | Pa | J | N | bit | l | L )
                        (?: ²|³|/s|/h|ps )? | min | h | hrs? | km/h | mph | mi | ft | in | lbs? | oz | kg
                        | years? | months? | weeks? | days? | hours? | minutes? | seconds? | million | billion | trillion | thousand
                        | percent | dollars? | euros? | pounds? | USD | EUR | GBP ) \b
                    | (?: st | nd | rd | th | s | x | k | K | M | bn ) \b )?"
            }
            Self::Dates => {
                r"(?x) \b (?: \d{4}-\d{2}-\d{2} (?: [T\ ] \d{2}:\d{2} (?: :\d{2} (?: \.\d+ )? )? (?: Z | [+\-]\d{2}:?\d{2} )? )?
                  | \d{1,2} [/.\-] \d{1,2} [/.\-] \d{2,4}
                  | \d{1,2} (?: st|nd|rd|th )? \s (?: of \s )? (?: Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) [a-z]* \.? (?: ,? \s \d{4} )?
                  | (?: Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) [a-z]* \.? \s \d{1,2} \b (?: st|nd|rd|th )? (?: ,? \s \d{4} )?
                  | (?: January|February|March|April|May|June|July|August|September|October|November|December ) \s \d{4}
                  | \d{1,2} (?: : \d{2} ){1,2} (?: \s? [aApP] \.? [mM] \b \.? )? | \d{1,2} \s? [aApP] \.? [mM] \b \.? )"
            }
            Self::Urls => {
                r#"\b(?:[a-zA-Z][a-zA-Z0-9+.\-]{1,15}://|www\.)[^\s<>"'`\)\]\}]+[^\s<>"'`\)\]\}.,;:!?]"#
            }
            Self::Paths => {
                r"(?x) (?: \b[A-Za-z]:\\ | \\\\ )? [\w.\-]+ (?: \\ [\w.\-]+ )+ | (?: ~ | \.{1,2} )? (?: / [\w.\-@+]+ ){2,} /?
                  | \b [\w.\-]+ (?: / [\w.\-@+]+ )+ | \b [\w\-]+ \. (?: rs|py|js|ts|tsx|go|c|h|cpp|hpp|java|rb|php|cs|sh|sql
                  | md|txt|json|jsonl|toml|yaml|yml|xml|html|css|csv|tsv|log|pdf|docx?|xlsx?|png|jpe?g|svg|zip|tar|gz|lock|conf|ini|env ) \b"
            }
            Self::Emails => r"\b[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+",
            Self::Identifiers => {
                r"(?x) \b (?: [A-Za-z_][\w]* (?: (?: :: | -> | \. ) [A-Za-z_]\w* )+ (?: \(\) )?
                  | \w* [A-Za-z] \w* _ \w+ | _+ \w+ | [a-z]+ [a-z0-9]* (?: [A-Z][a-z0-9]* )+ | (?: [A-Z][a-z0-9]+ ){2,}
                  | [A-Za-z]+ \d [\w]* | \d+ [A-Za-z]+ \d [\w]* | [A-Z]{2,} (?: - [A-Z0-9]+ )+
                  | [0-9a-fA-F]{8} (?: - [0-9a-fA-F]{4} ){3} - [0-9a-fA-F]{12} | 0x [0-9a-fA-F]+ | [\#@] \w+ ) \b"
            }
            Self::Versions => r"\b[vV]?\d+(?:\.\d+)+(?:[\-+][0-9A-Za-z.\-]*[0-9A-Za-z])?\b",
            Self::Quotes => r#""[^"\n]{1,200}"|“[^”\n]{1,200}”|«[^»\n]{1,200}»|「[^」\n]{1,200}」"#,
            Self::Code => r"`[^`\n]{1,200}`|(?ms:^```[^\n]*\n.*?^```)",
            Self::Negations => {
                r"(?xi) \b (?: not | never | no | nor | neither | without | cannot | hardly | unless
                  | \w+ n['’]t ) \b (?: \s+ (?: \w+ | [$€£] \S+ ) )?"
            }
        }
    }
}

/// Why a caller's pattern was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("custom pattern `{pattern}` is refused: {reason}")]
pub struct ProtectError {
    /// As given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Finds protected spans. Time is linear in the text, whatever the text and the patterns.
#[derive(Debug, Clone)]
pub struct Protector {
    patterns: Vec<(Option<Protection>, Regex)>,
}

impl Default for Protector {
    /// All kinds.
    fn default() -> Self {
        Self::new(&Protection::ALL, &[]).expect("the built-in patterns compile: a test compiles them all")
    }
}

impl Protector {
    /// Protects `kinds` and what matches the `custom` patterns.
    ///
    /// # Errors
    /// A custom pattern does not compile or is too large.
    pub fn new(kinds: &[Protection], custom: &[String]) -> Result<Self, ProtectError> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(PATTERN_SIZE.max(8 << 20))
                .dfa_size_limit(PATTERN_SIZE)
                .build()
                .map_err(|e| ProtectError { pattern: pattern.to_owned(), reason: e.to_string() })
        };
        let known = kinds.iter().map(|&kind| Ok((Some(kind), compile(kind.pattern())?)));
        let custom = custom.iter().map(|pattern| {
            let regex =
                RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build();
            let refused = |e: regex::Error| ProtectError { pattern: pattern.clone(), reason: e.to_string() };
            Ok((None, regex.map_err(refused)?))
        });
        Ok(Self { patterns: known.chain(custom).collect::<Result<_, _>>()? })
    }

    /// Protected spans of `text` as byte ranges: sorted, disjoint, at most 512 bytes each. Spans that overlap
    /// are one span.
    #[must_use]
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (kind, pattern) in &self.patterns {
            for matched in pattern.find_iter(text) {
                let range = trimmed(text, matched.range());
                if *kind == Some(Protection::Code) && matched.as_str().starts_with("```") {
                    found.extend(lines(text, range));
                } else if !range.is_empty() && range.len() <= LONGEST {
                    found.push(range);
                }
            }
        }
        merge(found)
    }
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + (inner.len() - inner.trim_start().len());
    start..start + inner.trim().len()
}

/// Each line of a fenced block.
fn lines(text: &str, block: Range<usize>) -> Vec<Range<usize>> {
    let mut at = block.start;
    text[block]
        .split_inclusive('\n')
        .map(|line| {
            at += line.len();
            trimmed(text, at - line.len()..at)
        })
        .filter(|line| !line.is_empty() && line.len() <= LONGEST)
        .collect()
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
        let cases: [(Protection, &str, &[&str]); 10] = [
            (
                Protection::Numbers,
                "It fell to -3.5 °C, cost $1,250,000.50 (up 12.5%) over 10 ms and 3 km in 1999, 5th.",
                &["-3.5 °C", "$1,250,000.50", "12.5%", "10 ms", "3 km", "1999", "5th"],
            ),
            (
                Protection::Dates,
                "On 2024-03-15, 15 March 2024, March 15, 2024 and 03/15/2024 at 11:30 p.m. sharp",
                &["2024-03-15", "15 March 2024", "March 15, 2024", "03/15/2024", "11:30 p.m."],
            ),
            (Protection::Urls, "See https://example.org/a?b=c#d.", &["https://example.org/a?b=c#d"]),
            (
                Protection::Paths,
                "Edit src/main.rs, /etc/hosts and C:\\Temp\\a.txt or Cargo.toml",
                &["src/main.rs", "/etc/hosts", "C:\\Temp\\a.txt", "Cargo.toml"],
            ),
            (Protection::Emails, "Write to a.b+c@example.co.uk.", &["a.b+c@example.co.uk"]),
            (
                Protection::Identifiers,
                "call snake_case, camelCase, std::mem::swap, user.name, ABC-123, abc123def and MacBook now",
                &[
                    "snake_case",
                    "camelCase",
                    "std::mem::swap",
                    "user.name",
                    "ABC-123",
                    "abc123def",
                    "MacBook",
                ],
            ),
            (Protection::Versions, "Python 3.11.7 or v2.0.0-rc.1", &["3.11.7", "v2.0.0-rc.1"]),
            (Protection::Quotes, "He said \"no more\" and “so be it”.", &["\"no more\"", "“so be it”"]),
            (
                Protection::Code,
                "Run `ls -l`.\n```sh\nrm x\ncp a b\n```\n",
                &["`ls -l`", "```sh", "rm x", "cp a b", "```"],
            ),
            (
                Protection::Negations,
                "It was not approved, is never paid; they don't know. Nothing",
                &["not approved", "never paid", "don't know"],
            ),
        ];
        for (kind, text, want) in cases {
            assert_eq!(found(kind, text), want, "{kind:?}");
        }
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
