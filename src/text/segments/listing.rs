//! Lines that are no prose and have no kind of their own: each needs those that it stands under.

use std::collections::HashSet;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::item::has_colon;
use super::lines::{Line, is_code};
use super::nested;
use super::reads::{
    Reading, beginning, entry, heads_text, is_heading, is_outline, reading, shared_beginning,
};

/// Returns the parts of `lines`: where each ends, and whether it goes by lines. Paragraphs that read alike are one part.
pub(super) fn parts(lines: &[Line]) -> Vec<(usize, bool)> {
    let mut paragraphs: Vec<(usize, Reading)> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let end = lines[at..].iter().position(|line| line.gap).map_or(lines.len(), |gap| at + gap + 1);
        let headed =
            is_heading(lines[at].text) && end > at + 1 && reading(&lines[at + 1..end]) == Reading::Prose;
        let end = if headed { at + 1 } else { end };
        paragraphs.push((end, reading(&lines[at..end])));
        at = end;
    }
    // What may be either is a title of what follows it, or else a remark on what stands before it.
    let mut beside = Reading::Prose;
    for (_, own) in paragraphs.iter_mut().rev() {
        match own {
            Reading::Either if beside == Reading::Lines => *own = Reading::Lines,
            own => beside = *own,
        }
    }
    let mut parts: Vec<(usize, bool)> = Vec::new();
    let mut before = false;
    let (mut start, mut outlined) = (0, false);
    for (end, own) in paragraphs {
        let paragraph = &lines[start..end];
        start = end;
        // A text may go on below a line that heads it.
        let indented = outlined && paragraph.iter().all(|line| line.indent >= 4);
        outlined = indented || is_outline(paragraph);
        before = own == Reading::Lines || before && (own == Reading::Either || indented);
        match parts.last_mut().filter(|last| last.1 == before) {
            Some(last) => last.0 = end,
            None => parts.push((end, before)),
        }
    }
    parts
}

/// Bytes of the mark that a line of a plan of changes begins with, and of the white space around it.
fn mark(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    let rest = &line[indent..];
    let marks = ["+ ", "- ", "~ ", "-/+ ", "+/- ", "<= "];
    let end = marks.iter().find(|mark| rest.starts_with(**mark)).map_or(0, |mark| mark.len() - 1);
    if end > 0 { indent + end + (rest[end..].len() - rest[end..].trim_start().len()) } else { 0 }
}

/// Adds lines: those that are indented need the nearest above them that is indented less. Words that all of a paragraph
/// begin with are no part of that, and a mark before a line stands for the space that it takes.
pub(super) fn listing(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut own: Vec<Line> = Vec::with_capacity(lines.len());
    let plan = lines.iter().filter(|line| mark(line.text) > 0).count() > 1;
    for paragraph in lines.chunk_by(|line, _| !line.gap) {
        let shared = shared_beginning(paragraph);
        let mut at = 0;
        while at < paragraph.len() {
            let line = &paragraph[at];
            let mark = if plan { mark(line.text) } else { 0 };
            let count = entry(&paragraph[at..]);
            let last = &paragraph[at + count - 1];
            at += count;
            own.push(if shared > 0 && count == 1 {
                line.with_label(shared)
            } else if mark > 0 && count == 1 {
                Line { label: mark, indent: line.text[..mark].chars().count(), ..line.clone() }
            } else {
                Line { range: line.range.start..last.range.end, gap: last.gap, ..line.clone() }
            });
        }
    }
    nested::outline(&own, builder, around);
    let first = builder.segments.len() - own.len().min(builder.segments.len());
    put_under_heads(&own, first, builder);
    // What only heads the lines below it, and further to the right, says nothing without them.
    for (at, pair) in own.windows(2).enumerate() {
        let content = pair[0].content();
        let names =
            heads_text(&pair[0]) && (content.starts_with('-') || !is_code(content)) || has_colon(content);
        let alone = !builder.text[pair[0].range.clone()].trim().contains('\n');
        if names && alone && pair[1].indent >= pair[0].indent + 2 {
            builder.segments[first + at].kind = SegmentKind::Parent;
        }
    }
}

/// Returns the words that the lines of a report begin with: those at the beginning of more than one paragraph.
fn heads<'t>(lines: &[Line<'t>]) -> HashSet<&'t str> {
    let (mut once, mut often) = (HashSet::new(), HashSet::new());
    for paragraph in lines.chunk_by(|line, _| !line.gap).filter(|paragraph| paragraph.len() > 1) {
        // Before the first of them something else may stand.
        let mut own: Vec<&str> = paragraph.iter().take(2).filter_map(|line| beginning(line.text)).collect();
        own.dedup();
        for words in own {
            if words.starts_with(char::is_alphabetic) && !once.insert(words) {
                often.insert(words);
            }
        }
    }
    often
}

/// Returns whether a line names the columns of those below it: words in capitals alone.
fn names_columns(line: &str) -> bool {
    let is_name = |word: &str| {
        word.chars().any(char::is_alphabetic)
            && word.chars().all(|c| c.is_uppercase() || matches!(c, '%' | '+' | '-' | '_' | '/' | '(' | ')'))
    };
    line.contains("  ") && line.split_whitespace().count() > 1 && line.split_whitespace().all(is_name)
}

/// Makes the lines of each paragraph need what heads it: a line that begins as those at the head of others do, and the
/// names of columns. `first` is the number of the first line.
fn put_under_heads(lines: &[Line], first: usize, builder: &mut Builder) {
    let heads = heads(lines);
    let (mut head, mut names) = (None, None);
    for (at, line) in lines.iter().enumerate() {
        let number = first + at;
        let goes_on = !line.gap && at + 1 < lines.len();
        if beginning(line.text).is_some_and(|words| heads.contains(words)) {
            (head, names) = (goes_on.then_some(number), None);
            if goes_on {
                builder.segments[number].kind = SegmentKind::Parent;
            }
        } else {
            if let Some(head) = head {
                builder.put_under(number, head);
            }
            if let Some(names) = names {
                builder.put_under(number, names);
            }
            if goes_on && names_columns(line.text) {
                names = Some(number);
                builder.segments[number].kind = SegmentKind::Header;
            }
        }
        if line.gap {
            (head, names) = (None, None);
        }
    }
}
