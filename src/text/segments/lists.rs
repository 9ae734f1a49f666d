//! Lists of several levels: items under the items and headings around them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Fewest items of a list that goes by its items.
const FEW: usize = 2;
/// Bytes of an item that is kept or dropped whole.
const SHORT_ITEM: usize = 400;

static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*+•]|\d{1,3}[.)]|[A-Za-z][.)])\s+\S").expect("a test compiles it")
});

fn is_item(line: &Line) -> bool {
    ITEM.is_match(line.text)
}

/// Returns the lines of each list of several levels.
pub(super) fn lists(lines: &[Line]) -> Vec<Range<usize>> {
    let mut lists = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = &lines[at];
        let inside =
            |line: &&Line| line.indent > first.indent || line.indent == first.indent && is_item(line);
        let count = if is_item(first) { lines[at..].iter().take_while(inside).count() } else { 0 };
        let items: Vec<&Line> = lines[at..at + count].iter().filter(|line| is_item(line)).collect();
        if items.len() >= FEW && items.iter().any(|item| item.indent > first.indent + 1) {
            lists.push(at..at + count);
        }
        at += count.max(1);
    }
    lists
}

/// Adds the items of a list: each needs those that it stands under, and the outermost ones need the `headings`.
pub(super) fn list(lines: &[Line], headings: &[usize], builder: &mut Builder, around: &Around) {
    // Items that are open: their indentation and number, the outermost first.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let indent = lines[at].indent;
        let end = at + 1 + lines[at + 1..].iter().take_while(|line| !is_item(line)).count();
        while open.pop_if(|(outer, _)| *outer >= indent).is_some() {}
        let number = item(lines[at].range.start..lines[end - 1].range.end, builder, around);
        match open.last() {
            Some(&(_, parent)) => builder.put_under(number, parent),
            None => headings.iter().for_each(|&heading| builder.need(number, heading)),
        }
        open.push((indent, number));
        at = end;
    }
}

/// Adds an item, a long one by its sentences, of which all need the first; gives the number of that.
fn item(range: Range<usize>, builder: &mut Builder, around: &Around) -> usize {
    if range.len() <= SHORT_ITEM {
        return builder.push(range, SegmentKind::Line, around);
    }
    let mut first = None;
    for sentence in sentences(&builder.text[range.clone()]) {
        let own = range.start + sentence.start..range.start + sentence.end;
        match first {
            None => first = Some(builder.push(own, SegmentKind::Line, around)),
            Some(first) => {
                let number = builder.push(own, SegmentKind::Said, around);
                builder.put_under(number, first);
            }
        }
    }
    first.unwrap_or_else(|| builder.push(range, SegmentKind::Line, around))
}
