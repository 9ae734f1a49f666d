//! The worth of segments apart from any question.

use std::collections::HashMap;

use super::{Segment, SegmentKind};

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
        if !whole || own.len() < SHORT || own.len() > 2000 {
            continue;
        }
        let times = seen.entry(like(own)).or_default();
        *times += 1;
        // Rows that are rare among the others are not worth less for being alike.
        if *times > 1 && segment.worth <= 1.0 {
            segment.worth *= REPEAT;
        }
        if segment.kind == SegmentKind::Line && names_error(own) {
            segment.worth *= ERROR;
        }
    }
}

/// Returns a line without its first number and white space: a repeat may bear another time.
fn like(own: &str) -> String {
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
