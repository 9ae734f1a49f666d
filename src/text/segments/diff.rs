//! Unified diffs: changes under their hunk and file.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most lines of a change that only adds or only removes, and is kept or dropped whole.
const LONGEST_CHANGE: usize = 16;

/// How many of `lines`, from the first on, are a diff; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let Some(first) = lines.first() else { return 0 };
    let next = lines.get(1).map_or("", |line| line.text);
    let begins = first.text.starts_with("diff --git ")
        || first.text.starts_with("Index: ")
        || (first.text.starts_with("--- ") && next.starts_with("+++ "))
        || is_hunk(first.text);
    if !begins || !lines.iter().take(40).any(|line| is_hunk(line.text)) {
        return 0;
    }
    lines
        .iter()
        .take_while(|line| is_header(line.text) || line.text.starts_with([' ', '+', '-', '@', '\\', '\t']))
        .count()
}

fn is_hunk(line: &str) -> bool {
    line.starts_with("@@ -") && line[3..].contains(" @@")
}

fn is_header(line: &str) -> bool {
    const STARTS: [&str; 14] = [
        "diff ",
        "Index: ",
        "index ",
        "--- ",
        "+++ ",
        "new file",
        "deleted file",
        "old mode",
        "new mode",
        "rename ",
        "copy ",
        "similarity ",
        "dissimilarity ",
        "Binary files",
    ];
    STARTS.iter().any(|start| line.starts_with(start)) || line.chars().all(|c| c == '=')
}

/// Adds the lines of a diff. The lines of a change, its `-` and its `+`, are one segment.
pub(super) fn diff(lines: &[Line], builder: &mut Builder, around: &Around) {
    let (mut file, mut hunk) = (None, None);
    let mut at = 0;
    while at < lines.len() {
        let rest = &lines[at..];
        let count = part(rest, hunk.is_some());
        let range = rest[0].range.start..rest[count - 1].range.end;
        let number = builder.push(range, SegmentKind::Line, around);
        let text = rest[0].text;
        if is_hunk(text) {
            if let Some(file) = file {
                builder.put_under(number, file);
            }
            hunk = Some(number);
        } else if hunk.is_none() || is_file(rest) {
            (file, hunk) = (Some(number), None);
        } else if let Some(hunk) = hunk {
            builder.put_under(number, hunk);
            // What did not change is told by the lines around it.
            builder.segments[number].worth = if text.starts_with(['+', '-']) { 1.0 } else { 0.3 };
        }
        at += count;
    }
}

/// Does a file's header begin here?
fn is_file(lines: &[Line]) -> bool {
    let next = lines.get(1).map_or("", |line| line.text);
    lines[0].text.starts_with("diff ")
        || lines[0].text.starts_with("Index: ")
        || (lines[0].text.starts_with("--- ") && next.starts_with("+++ "))
}

/// How many of the first lines are one segment: a header, a change, or a line.
fn part(lines: &[Line], in_hunk: bool) -> usize {
    let first = lines[0].text;
    if !in_hunk && !is_hunk(first) || is_file(lines) {
        return lines.iter().take_while(|line| is_header(line.text)).count().max(1);
    }
    if !first.starts_with(['+', '-']) {
        return 1;
    }
    let changed = |line: &&Line| line.text.starts_with(['+', '-', '\\']);
    let count = lines
        .iter()
        .enumerate()
        .take_while(|(i, line)| changed(line) && (*i == 0 || !is_file(&lines[*i..])))
        .count();
    let both = lines[..count].iter().any(|line| line.text.starts_with('+'))
        && lines[..count].iter().any(|line| line.text.starts_with('-'));
    if both { count } else { count.min(LONGEST_CHANGE) }
}
