//! Marks: what stands in a result in place of lines, rows, records, code or turns that were left out.
//!
//! ```text
//! mark   = "[" count " " noun " left out" [ ": " detail ] "]"
//! count  = a decimal number without leading zeros
//! noun   = "line" | "row" | "record" | "turn" | "byte", with "s" where the count is not 1
//! detail = text of one line without brackets
//! ```
//!
//! All marks of a result are short, `[left out]`, where its budget is so small that marks which count would take the place
//! of text ([`MarkStyle::short`]).
//!
//! A text may hold such marks already, for it may be a result itself. Then the marks of a new result have one bracket
//! more than the deepest ones of its texts ([`MarkStyle::beside`]), so that the two are never taken for each other.

use std::fmt::{self, Display};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;
use utoipa::ToSchema;

/// Any mark, whatever the number of its brackets. The search is linear: a detail holds no brackets.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\[+[1-9][0-9]* (?:line|row|record|turn|byte)s? left out(?:: [^\[\]\r\n]+)?\]+")
        .expect("a test compiles it")
});

/// Any short mark.
static SHORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[+left out\]+").expect("a test compiles it"));

/// The kind of thing that a mark counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Noun {
    /// Lines of code, logs, configuration, listings and whatever else goes by lines.
    Lines,
    /// Rows of a table.
    Rows,
    /// Elements of a JSON array or members of a JSON object.
    Records,
    /// The turns of a dialogue.
    Turns,
    /// Bytes of a blob, such as base64.
    Bytes,
}

impl Noun {
    const ALL: [Self; 5] = [Self::Lines, Self::Rows, Self::Records, Self::Turns, Self::Bytes];

    /// Returns the plural name that responses and summaries use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Rows => "rows",
            Self::Records => "records",
            Self::Turns => "turns",
            Self::Bytes => "bytes",
        }
    }

    fn of(singular: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noun| noun.name().strip_suffix('s') == Some(singular))
    }
}

/// A number of units that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The number of things; at least 1.
    pub count: usize,
    /// The kind of thing counted.
    pub noun: Noun,
    /// More about them, on one line.
    pub detail: Option<String>,
}

impl Mark {
    /// The mark for `count` units.
    #[must_use]
    pub const fn new(count: usize, noun: Noun) -> Self {
        Self { count, noun, detail: None }
    }

    /// Reads a mark without its brackets.
    fn read(text: &str) -> Option<Self> {
        let (count, rest) = text.split_once(' ')?;
        let (noun, rest) = rest.split_once(" left out")?;
        let noun = Noun::of(noun.strip_suffix('s').unwrap_or(noun))?;
        Some(Self { count: count.parse().ok()?, noun, detail: rest.strip_prefix(": ").map(str::to_owned) })
    }
}

/// The number of brackets before and behind a mark.
fn brackets(mark: &str) -> (usize, usize) {
    (mark.len() - mark.trim_start_matches('[').len(), mark.len() - mark.trim_end_matches(']').len())
}

/// The mark without brackets.
impl Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, noun, detail } = self;
        let noun = if *count == 1 { noun.name().trim_end_matches('s') } else { noun.name() };
        write!(f, "{count} {noun} left out")?;
        match detail {
            // What would end the mark early is written in other brackets.
            Some(detail) => write!(f, ": {}", detail.replace(['[', '\n', '\r'], "(").replace(']', ")")),
            None => Ok(()),
        }
    }
}

/// The style of the marks of one result: the number of brackets on either side, and whether they are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkStyle {
    brackets: usize,
    is_short: bool,
}

impl Default for MarkStyle {
    fn default() -> Self {
        Self { brackets: 1, is_short: false }
    }
}

impl MarkStyle {
    /// The style for a result made of `texts`, which no mark in them has.
    pub fn beside<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let marks = texts.into_iter().flat_map(|text| MARK.find_iter(text).chain(SHORT.find_iter(text)));
        let most = |mark: regex::Match| brackets(mark.as_str()).0.max(brackets(mark.as_str()).1);
        Self { brackets: 1 + marks.map(most).max().unwrap_or_default(), is_short: false }
    }

    /// This style with marks that do not say how much was left out.
    #[must_use]
    pub const fn short(self) -> Self {
        Self { is_short: true, ..self }
    }

    /// Returns whether marks do not say how much was left out.
    #[must_use]
    pub const fn is_short(self) -> bool {
        self.is_short
    }

    /// Writes a mark.
    #[must_use]
    pub fn write(self, mark: &Mark) -> String {
        let (before, behind) = ("[".repeat(self.brackets), "]".repeat(self.brackets));
        if self.is_short { format!("{before}left out{behind}") } else { format!("{before}{mark}{behind}") }
    }

    /// Finds the marks of this style in `text`, in their order, with what they say: nothing, where they are short.
    #[must_use]
    pub fn find(self, text: &str) -> Vec<(Range<usize>, Mark)> {
        let read = |range: Range<usize>| {
            let mark = Mark::read(text[range.clone()].trim_matches(['[', ']']))?;
            Some((range, mark))
        };
        self.ranges(text).into_iter().filter_map(read).collect()
    }

    /// The places of the marks of this style in `text`.
    fn ranges(self, text: &str) -> Vec<Range<usize>> {
        let own = |found: regex::Match| {
            let (before, behind) = brackets(found.as_str());
            // A bracket of the text may touch the mark on one side.
            let range = found.start() + before.checked_sub(self.brackets)?
                ..found.end() - behind.checked_sub(self.brackets)?;
            (before.min(behind) == self.brackets).then_some(range)
        };
        let form: &Regex = if self.is_short { &SHORT } else { &MARK };
        form.find_iter(text).filter_map(own).collect()
    }

    /// `text` without the marks of this style.
    #[must_use]
    pub fn remove(self, text: &str) -> String {
        let (mut rest, mut at) = (String::new(), 0);
        for range in self.ranges(text) {
            rest += &text[at..range.start];
            at = range.end;
        }
        rest + &text[at..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_say_how_many_of_what() {
        let style = MarkStyle::default();
        let mark = |count, noun| style.write(&Mark::new(count, noun));
        assert_eq!(mark(12, Noun::Lines), "[12 lines left out]");
        assert_eq!(mark(1, Noun::Rows), "[1 row left out]");
        let detail = Mark { detail: Some("same as [3]".into()), ..Mark::new(2, Noun::Turns) };
        assert_eq!(style.write(&detail), "[2 turns left out: same as (3)]");
        for text in ["[0 lines left out]", "[ 2 lines left out]", "[2 pages left out]", "2 lines left out"] {
            assert!(style.find(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn marks_of_a_text_are_not_taken_for_those_of_its_result() {
        let text = "a\n[2 lines left out]\nb";
        let style = MarkStyle::beside([text]);
        let again = format!("{text}\n{}", style.write(&Mark::new(3, Noun::Rows)));
        assert_eq!(again, "a\n[2 lines left out]\nb\n[[3 rows left out]]");
        assert_eq!(style.remove(&again), format!("{text}\n"));
        assert_eq!(MarkStyle::beside([&*again]), MarkStyle { brackets: 3, is_short: false });
        assert_eq!(MarkStyle::default().remove(&again), "a\n\nb\n[[3 rows left out]]");
    }

    #[test]
    fn short_marks_say_nothing_and_are_not_taken_for_those_of_the_text() {
        let text = "a [left out] b [2 lines left out]";
        let short = MarkStyle::beside([text]).short();
        let marked = format!("{text}\n{}", short.write(&Mark::new(3, Noun::Rows)));
        assert_eq!(marked, "a [left out] b [2 lines left out]\n[[left out]]");
        assert_eq!(short.remove(&marked), format!("{text}\n"));
        assert!(short.find(&marked).is_empty());
        let default = MarkStyle::default();
        assert_eq!(
            (default.remove(text), default.short().remove(text)),
            ("a [left out] b ".into(), "a  b [2 lines left out]".into())
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(text in "[\\[\\]0-9a-z :\n]{0,40}", count in 1_usize..10_000, noun in 0_usize..5) {
            let mark = Mark::new(count, Noun::ALL[noun]);
            let style = MarkStyle::beside([&*text]);
            prop_assert!(style.find(&text).is_empty());
            let short = format!("{text}\n{}\n{text}", style.short().write(&mark));
            prop_assert_eq!(style.short().remove(&short), format!("{text}\n\n{text}"));
            let marked = format!("{text}\n{}\n{text}", style.write(&mark));
            let found: Vec<Mark> = style.find(&marked).into_iter().map(|(_, found)| found).collect();
            prop_assert_eq!(found, vec![mark.clone()]);
            prop_assert_eq!(style.remove(&marked), format!("{text}\n\n{text}"));
            let touched = format!("[{}\n{}]", style.write(&mark), style.write(&mark));
            prop_assert_eq!(style.remove(&touched), "[\n]");
        }
    }
}
