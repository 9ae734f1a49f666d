//! The worth of segments apart from any question.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::{Segment, SegmentKind, blob};

/// Shorter segments are repeated by chance.
const SHORT: usize = 12;
/// The worth of a repeat.
const REPEAT: f32 = 0.3;
/// The factor for a line that names an error.
const ERROR: f32 = 1.25;

/// Lowers repeats, and raises errors.
pub(super) fn weigh(text: &str, segments: &mut [Segment]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for segment in segments {
        let whole = matches!(
            segment.kind,
            SegmentKind::Line | SegmentKind::Row | SegmentKind::Record | SegmentKind::Turn
        );
        let own = text[segment.range.clone()].trim();
        if whole && DUMP.is_match(own) {
            segment.worth = blob::WORTH;
            continue;
        }
        if !whole || own.len() < SHORT || own.len() > 2000 {
            continue;
        }
        let times = seen.entry(like(own)).or_default();
        *times += 1;
        // Rows that are rare among the others are not worth less for being alike.
        if *times > 1 && (segment.worth <= 1.0 || segment.kind == SegmentKind::Line) {
            segment.worth *= REPEAT;
        }
        if segment.kind == SegmentKind::Line && names_error(own) {
            segment.worth *= ERROR;
        }
    }
}

/// A line of a dump of bytes: its address and at least six of them, or three groups of two or four.
static DUMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:0x)?[0-9a-fA-F]{4,16}:?\s+(?:(?:[0-9a-fA-F]{2}[ -]{1,2}){6}|(?:[0-9a-fA-F]{4} {1,2}){4}|(?:[0-9a-fA-F]{8} {1,2}){3})")
        .expect("a test compiles it")
});

/// The times of a line, and the numbers of processes in brackets.
static TIMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\[(<]?(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} {1,2}\d{1,2} |\[\d+\]|(?-u:\b)\d\d:\d\d:\d\d\S*")
        .expect("a test compiles it")
});

/// Returns a line without times, numbers of processes and white space: a repeat may bear others.
fn like(own: &str) -> String {
    let own = TIMES.replace_all(own, "");
    let mut words = own.split_whitespace().peekable();
    while words
        .next_if(|word| word.starts_with(['[', '(']) || word.starts_with(|c: char| c.is_ascii_digit()))
        .is_some()
    {}
    words.collect::<Vec<_>>().join(" ")
}

fn names_error(line: &str) -> bool {
    const WORDS: [&str; 10] = [
        "error",
        "fatal",
        "panic",
        "exception",
        "failed",
        "failure",
        "critical",
        "denied",
        "refused",
        "timed out",
    ];
    let line = line.to_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_may_bear_another_time_and_process() {
        let logs = [
            (
                "Jun 30 22:16:32 host sshd[194]: closed for ann",
                "Jul  1 04:09:30 host sshd[7]: closed for ann",
            ),
            ("2024-05-14 10:00:01,5 INFO ready to serve", "2024-05-15 11:20:01,7 INFO ready to serve"),
            (
                "[Sun Dec 04 04:47:44 2005] [error] no such file",
                "[Sun Dec 04 05:10:02 2005] [error] no such file",
            ),
        ];
        for (first, second) in logs {
            assert_eq!(like(first), like(second));
        }
        assert_ne!(like("Jun 30 22:16:32 host closed for ann"), like("Jun 30 22:16:32 host closed for bob"));
        assert_ne!(like("took 12 ms"), like("took 13 ms"));
    }
}
