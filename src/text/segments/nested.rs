//! Lines that belong to lines above them by their indentation: programs, YAML, outlines, settings under a section.

use std::ops::Range;

use super::builder::{Around, Builder};
use super::lines::{Line, is_comment};

/// Most lines of a statement that is kept or dropped whole.
const LONGEST_STATEMENT: usize = 12;

/// Adds lines of which each needs the nearest line above it that is indented less: the head of its block, its parent
/// key. A head needs the line that closes its block, and a branch such as `else` the head that it goes on from.
pub(super) fn nested(lines: &[Line], builder: &mut Builder, around: &Around) {
    // Lines that are open: their indentation and number, the outermost first.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut depth = 0_i64;
    let mut statement: Option<(usize, usize)> = None;
    let mut annotations: Vec<usize> = Vec::new();
    let mut comment: Option<Comment> = None;
    for (at, line) in lines.iter().enumerate() {
        let number = builder.push_line(line, around);
        let content = line.content();
        let mut same = None;
        while let Some(&(indent, head)) = open.last().filter(|(indent, _)| *indent >= line.indent) {
            same = (indent == line.indent).then_some(head);
            open.pop();
        }
        if let Some(&(_, parent)) = open.last() {
            builder.put_under(number, parent);
        }
        if let Some(head) = same {
            if closes(content) {
                builder.tie(head, number);
            } else if goes_on(content) {
                builder.need(number, head);
            }
        }
        // A line that closes what an earlier one opened is a part of it, however the two are indented.
        if let Some((start, count)) = statement.filter(|_| depth > 0) {
            if count < LONGEST_STATEMENT {
                builder.need(number, start);
            }
            statement = Some((start, count + 1));
        }
        let before = depth;
        depth = (depth + parentheses(content)).max(0);
        if before == 0 && depth > 0 {
            statement = Some((number, 1));
        } else if depth == 0
            && let Some((start, count)) = statement.take().filter(|(_, count)| *count <= LONGEST_STATEMENT)
        {
            // A short statement over several lines goes whole.
            for part in start..start + count.max(1) {
                builder.tie(part, number.min(part + 1));
            }
        }
        if content.starts_with('@') || content.starts_with("#[") {
            annotations.push(number);
        } else if is_comment(content) {
            comment = Some(Comment::of(line, comment));
        } else {
            for annotation in annotations.drain(..) {
                builder.need(annotation, number);
            }
            let above = comment.take().filter(|comment| comment.is_beside(line)).map(|comment| comment.range);
            builder.segments[number].context.extend(above);
            builder.segments[number].context.extend(docstring(&lines[at + 1..]));
        }
        open.push((line.indent, number));
    }
}

/// Lines of a comment, which say what the line behind them is for.
struct Comment {
    indent: usize,
    range: Range<usize>,
}

impl Comment {
    /// The comment that `line` continues or begins.
    fn of(line: &Line, before: Option<Self>) -> Self {
        let start = before
            .filter(|before| before.is_beside(line))
            .map_or(line.range.start, |before| before.range.start);
        Self { indent: line.indent, range: start..line.range.end }
    }

    /// Returns whether the comment stands as far to the right as `line`, but for the space before an asterisk.
    fn is_beside(&self, line: &Line) -> bool {
        self.indent.abs_diff(line.indent) <= 1
    }
}

/// The first line of text of the docstring that `lines` begin with.
fn docstring(lines: &[Line]) -> Option<Range<usize>> {
    let [first, rest @ ..] = lines else { return None };
    let quotes =
        first.content().get(..3).filter(|quotes| matches!(*quotes, "\"\"\"" | "\u{27}\u{27}\u{27}"))?;
    let text = if first.content() == quotes { rest.first().unwrap_or(first) } else { first };
    Some(text.range.clone())
}

/// Returns whether a line only closes what another one opened.
fn closes(content: &str) -> bool {
    let closers = content.trim_end_matches([',', ';']);
    let word = closers.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    content.starts_with(['}', ')', ']'])
        || matches!(word, "end" | "fi" | "done" | "esac") && closers.len() < 12
}

/// Returns whether a line continues the head of another block, whose condition it takes for granted.
fn goes_on(content: &str) -> bool {
    let word = content.trim_start_matches(['}', ' ']).split(|c: char| !c.is_alphanumeric()).next();
    matches!(
        word,
        Some("else" | "elif" | "elsif" | "elseif" | "except" | "catch" | "finally" | "rescue" | "ensure")
    )
}

/// Returns how many more round and square brackets a line opens than it closes, strings aside.
fn parentheses(content: &str) -> i64 {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for c in content.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            _ => {}
        }
    }
    depth
}

/// Adds lines of settings, each of which needs the section that it stands in.
pub(super) fn settings(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut section = None;
    for line in lines {
        let number = builder.push_line(line, around);
        if line.content().starts_with('[') && line.content().ends_with(']') {
            section = Some(number);
        } else if let Some(section) = section {
            builder.put_under(number, section);
        }
    }
}

/// Adds lines that stand for themselves; those that are indented, or frames of a trace, need the last that is not.
pub(super) fn flat(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut head: Option<(usize, usize)> = None;
    for line in lines {
        let number = builder.push_line(line, around);
        match head {
            Some((indent, head)) if line.indent > indent => builder.put_under(number, head),
            _ => head = Some((line.indent, number)),
        }
    }
}
