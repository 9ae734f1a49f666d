//! Lines below one that says what they are of: findings under the path of a file, heads of requests and answers, a
//! sequence under its name, the data that a statement copies into a table.

use std::sync::LazyLock;

use regex::Regex;

use super::builder::{Around, Builder};
use super::lines::Line;
use super::{SegmentKind, table};

/// Fewest lines below all the first ones together.
const FEW: usize = 3;
/// Most bytes of a first line.
const LONGEST_HEAD: usize = 200;
/// Most bytes of the mark of a list, and most words between two wide gaps.
const LONGEST_MARK: usize = 3;
const MOST_WORDS: usize = 12;
/// Fewest letters of the first line of a sequence.
const SEQUENCE: usize = 20;
/// Bytes of a sequence that is kept or dropped whole.
const SHORT_SEQUENCE: usize = 2000;

static START: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT|TRACE) \S+ HTTP/\d|HTTP/\d(?:\.\d)? \d{3}(?-u:\b))",
    )
    .expect("a test compiles it")
});
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z][\w-]*:(?:\s|$)").expect("a test compiles it"));
static COPY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^copy\s.*\sfrom\s+stdin(?-u:\b)").expect("a test compiles it"));

/// Returns whether a request or an answer of HTTP begins with this line.
pub(super) fn starts_message(line: &Line) -> bool {
    line.text.contains("HTTP/") && START.is_match(line.text)
}

/// Returns the number of leading `lines` that are sections; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let head = message(lines).max(sequence(lines));
    if head > 0 {
        return head;
    }
    let (mut at, mut rows, mut sections) = (0, 0, 0);
    while at < lines.len() && lines[at].indent == lines[0].indent {
        let count = below(&lines[at..]);
        if count == 0 {
            break;
        }
        (at, rows, sections) = (at + 1 + count, rows + count, sections + 1);
    }
    if rows >= FEW && sections > 0 { at } else { 0 }
}

/// Returns the number of rows that stand below the first line, and further to the right.
fn below(lines: &[Line]) -> usize {
    let [head, rows @ ..] = lines else { return 0 };
    let is_row =
        |line: &Line| line.indent > head.indent && is_aligned(line.text) && !line.text.contains('\t');
    if head.gap || head.text.len() > LONGEST_HEAD || is_aligned(head.text) {
        return 0;
    }
    let count = rows.iter().take_while(|line| is_row(line)).count();
    // A blank line ends a section.
    rows[..count].iter().position(|line| line.gap).map_or(count, |gap| gap + 1)
}

/// Returns whether spaces part a line into three or more cells.
fn is_aligned(line: &str) -> bool {
    line.trim().split("  ").filter(|cell| !cell.trim().is_empty()).count() > 2
}

/// Returns whether wide gaps part a line, which ends no sentence within: three spaces twice, or four once. What stands
/// behind the mark of a list or says much between two gaps is prose.
pub(super) fn is_parted(line: &str) -> bool {
    let line = line.trim();
    let behind_mark = line.split_once(' ').filter(|(mark, _)| mark.len() <= LONGEST_MARK);
    let line = behind_mark.map_or(line, |(_, rest)| rest.trim_start());
    let mut cells = line.split("   ").filter(|cell| !cell.trim().is_empty());
    (line.contains("    ") || cells.clone().count() > 2)
        && cells.all(|cell| cell.split_whitespace().count() <= MOST_WORDS)
}

/// Returns the number of lines of the head of a request or an answer.
fn message(lines: &[Line]) -> usize {
    if !lines.first().is_some_and(|first| !first.gap && starts_message(first)) {
        return 0;
    }
    let count = lines[1..].iter().take_while(|line| FIELD.is_match(line.text)).count();
    let ends = lines[1..=count].iter().position(|line| line.gap).map_or(count, |gap| gap + 1);
    if ends > 0 { 1 + ends } else { 0 }
}

/// Returns the number of lines of a sequence of letters under its name: `>P1 Name`.
fn sequence(lines: &[Line]) -> usize {
    let letters = |line: &&Line| {
        line.text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'*' | b'-'))
            || line.text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'*' | b'-'))
    };
    let [head, first, ..] = lines else { return 0 };
    let begins = head.text.starts_with('>')
        && head.text.len() > 1
        && !head.gap
        && first.text.len() >= SEQUENCE
        && first.text.contains(|c: char| c.is_alphabetic());
    let count = if begins { lines[1..].iter().take_while(letters).count() } else { 0 };
    if count > 0 { 1 + count } else { 0 }
}

/// Adds sections: what stands in one needs its first line.
pub(super) fn sections(lines: &[Line], builder: &mut Builder, around: &Around) {
    if message(lines) > 0 {
        let head = builder.push(lines[0].range.clone(), SegmentKind::Parent, around);
        for line in &lines[1..] {
            let number = builder.push_line(line, around);
            builder.put_under(number, head);
        }
    } else if sequence(lines) > 0 {
        letters(lines, builder, around);
    } else {
        let mut at = 0;
        while at < lines.len() {
            let end = (at + 1 + below(&lines[at..])).min(lines.len());
            section(&lines[at..end], builder, around);
            at = end;
        }
    }
}

/// Adds a sequence under its name: a part of one is another one.
fn letters(lines: &[Line], builder: &mut Builder, around: &Around) {
    let range = lines[0].range.start..lines[lines.len() - 1].range.end;
    if range.len() <= SHORT_SEQUENCE {
        builder.push(range, SegmentKind::Line, around);
        return;
    }
    let head = builder.push(lines[0].range.clone(), SegmentKind::Parent, around);
    for line in &lines[1..] {
        let number = builder.push_line(line, around);
        builder.put_under(number, head);
    }
}

/// Adds the rows below the first line.
fn section(lines: &[Line], builder: &mut Builder, around: &Around) {
    let [head, rows @ ..] = lines else { return };
    let number = builder.push(head.range.clone(), SegmentKind::Parent, around);
    let inner = around.under(number, head.range.clone());
    if table::rows(rows) == rows.len() {
        table::table(rows, builder, &inner);
    } else {
        for row in rows {
            builder.push(row.range.clone(), SegmentKind::Row, &inner);
        }
    }
}

/// Returns whether a line is a statement that names the columns of the rows below it.
pub(super) fn names_columns(line: &Line) -> bool {
    !line.gap && line.text.ends_with(';') && COPY.is_match(line.text)
}

/// Adds rows under the statement that names their columns, and the line that ends them.
pub(super) fn copied(head: &Line, rows: &[Line], end: Option<&Line>, builder: &mut Builder, around: &Around) {
    let number = builder.push(head.range.clone(), SegmentKind::Parent, around);
    let inner = around.under(number, head.range.clone());
    for row in rows {
        builder.push(row.range.clone(), SegmentKind::Row, &inner);
    }
    if let Some(end) = end {
        let end = builder.push(end.range.clone(), SegmentKind::Tag, around);
        builder.tie(number, end);
    }
}
