//! Diffs: changes under their hunk and file.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most lines of a change that only adds or only removes, and is kept or dropped whole.
const LONGEST_CHANGE: usize = 16;

/// Returns the number of leading `lines` that are a diff; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let Some(first) = lines.first() else { return 0 };
    if is_plain(first.text) {
        let goes_on = |line: &&Line| {
            is_plain(line.text) || line.text.starts_with(['<', '>', '\\']) || line.text == "---"
        };
        let count = lines.iter().take_while(goes_on).count();
        return if lines[1..count].iter().any(|line| line.text.starts_with(['<', '>'])) { count } else { 0 };
    }
    let next = lines.get(1).map_or("", |line| line.text);
    let third = lines.get(2).map_or("", |line| line.text);
    if first.text.starts_with("*** ") && next.starts_with("--- ") && third == CONTEXT {
        let goes_on = |line: &&Line| line.text.starts_with([' ', '+', '-', '!', '*', '\\']);
        return lines.iter().take_while(goes_on).count();
    }
    let begins = first.text.starts_with("diff --")
        || first.text.starts_with("Index: ")
        || (first.text.starts_with("--- ") && next.starts_with("+++ "))
        || is_hunk(first.text);
    if !begins || !lines.iter().take(40).any(|line| is_hunk(line.text)) {
        return 0;
    }
    let count = lines
        .iter()
        .take_while(|line| is_header(line.text) || line.text.starts_with([' ', '+', '-', '@', '\\', '\t']))
        .count();
    // What ends a patch in a mail: a line that removes a dash has others behind it.
    count - usize::from(count < lines.len() && lines[count - 1].text == "--")
}

/// The line above each hunk of a diff with its context before and after.
const CONTEXT: &str = "***************";

/// Returns whether a line begins a hunk of any kind of diff.
pub(super) fn begins_hunk(line: &str) -> bool {
    is_hunk(line) || line == CONTEXT || is_plain(line)
}

fn is_hunk(line: &str) -> bool {
    let rest = line.trim_start_matches('@');
    (2..9).contains(&(line.len() - rest.len())) && rest.starts_with(" -") && rest.contains(" @@")
}

/// Returns whether a line says which lines change in a diff without context: `5,7c5`.
fn is_plain(line: &str) -> bool {
    let is_lines = |lines: &str| {
        lines.starts_with(|c: char| c.is_ascii_digit())
            && lines.split(',').count() <= 2
            && lines.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
    };
    line.split_once(['a', 'c', 'd']).is_some_and(|(old, new)| is_lines(old) && is_lines(new))
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
    if is_plain(lines[0].text) {
        return plain(lines, builder, around);
    }
    if lines[0].text.starts_with("*** ") {
        return context(lines, builder, around);
    }
    let (mut file, mut hunk) = (None, None);
    // Columns that say what changes, one for each file before.
    let mut marks = 1;
    let mut at = 0;
    while at < lines.len() {
        let rest = &lines[at..];
        let count = part(rest, hunk.map(|_| marks));
        let range = rest[0].range.start..rest[count - 1].range.end;
        let number = builder.push(range, SegmentKind::Line, around);
        let text = rest[0].text;
        if is_hunk(text) {
            if let Some(file) = file {
                builder.put_under(number, file);
            }
            hunk = Some(number);
            marks = text.len() - text.trim_start_matches('@').len() - 1;
        } else if hunk.is_none() || is_file(rest) {
            (file, hunk) = (Some(number), None);
        } else if let Some(hunk) = hunk {
            builder.put_under(number, hunk);
            // What did not change is told by the lines around it.
            builder.segments[number].worth = if changes(text, marks) { 1.0 } else { 0.3 };
        }
        at += count;
    }
}

/// Returns whether one of the first `marks` columns says that the line changes.
fn changes(line: &str, marks: usize) -> bool {
    line.bytes().take(marks).any(|byte| matches!(byte, b'+' | b'-'))
}

/// Adds a diff without context: each change is one segment.
fn plain(lines: &[Line], builder: &mut Builder, around: &Around) {
    for change in lines.chunk_by(|_, next| !is_plain(next.text)) {
        let whole = change.len() <= LONGEST_CHANGE;
        let parts = change.chunks(if whole { change.len() } else { 1 });
        let mut head = None;
        for part in parts {
            let number =
                builder.push(part[0].range.start..part[part.len() - 1].range.end, SegmentKind::Line, around);
            builder.put_under(number, *head.get_or_insert(number));
        }
    }
}

/// Adds a diff with the context before and after: what is changed needs what it is changed to.
fn context(lines: &[Line], builder: &mut Builder, around: &Around) {
    let is_changed = |line: &Line| line.text.starts_with(['!', '+', '-']) && !line.text.starts_with("--- ");
    let mut file = None;
    let (mut hunk, mut side) = (None, None);
    // Changes of the side before that are not seen on the side behind yet.
    let mut changed = std::collections::VecDeque::new();
    for part in lines.chunk_by(|a, b| is_changed(a) && is_changed(b) && a.text[..1] == b.text[..1]) {
        let range = part[0].range.start..part[part.len() - 1].range.end;
        let number = builder.push(range, SegmentKind::Line, around);
        let text = part[0].text;
        let is_side = hunk.is_some() && (text.ends_with(" ****") || text.ends_with(" ----"));
        if text == CONTEXT {
            (hunk, side) = (None, None);
            changed.clear();
        } else if is_side {
            side = None;
        }
        if let Some(above) = side.or(hunk).or(file) {
            builder.put_under(number, above);
        }
        if text == CONTEXT {
            hunk = Some(number);
        } else if is_side {
            side = Some(number);
        } else if hunk.is_none() && file.is_none() {
            file = Some(number);
        } else if text.starts_with('!') {
            let is_new =
                side.is_some_and(|side| builder.text[builder.segments[side].range.clone()].starts_with('-'));
            if !is_new {
                changed.push_back(number);
            } else if let Some(old) = changed.pop_front() {
                builder.tie(old, number);
            }
        }
    }
}

/// Returns whether a file's header begins here.
fn is_file(lines: &[Line]) -> bool {
    let next = lines.get(1).map_or("", |line| line.text);
    lines[0].text.starts_with("diff --")
        || lines[0].text.starts_with("Index: ")
        || (lines[0].text.starts_with("--- ") && next.starts_with("+++ "))
}

/// Returns the number of leading lines that are one segment: a header, a change, or a line.
fn part(lines: &[Line], marks: Option<usize>) -> usize {
    let first = lines[0].text;
    if marks.is_none() && !is_hunk(first) || is_file(lines) {
        let own = |line: &&Line| is_header(line.text) && !line.text.starts_with("diff --");
        return 1 + lines[1..].iter().take_while(own).count();
    }
    let marks = marks.unwrap_or_default();
    if !changes(first, marks) {
        return 1;
    }
    let changed = |line: &&Line| changes(line.text, marks) || line.text.starts_with('\\');
    let count = lines
        .iter()
        .enumerate()
        .take_while(|(i, line)| changed(line) && (*i == 0 || !is_file(&lines[*i..])))
        .count();
    let has = |mark: char| lines[..count].iter().any(|line| line.text.chars().take(marks).any(|c| c == mark));
    let both = has('+') && has('-');
    if both { count } else { count.min(LONGEST_CHANGE) }
}

#[cfg(test)]
mod tests {
    use super::super::segments;

    /// The text of the segment that holds `part`, and those that it needs.
    fn own<'t>(text: &'t str, part: &str) -> (&'t str, Vec<&'t str>) {
        let all = segments(text);
        let own = all.iter().find(|own| text[own.range.clone()].contains(part)).expect("it is there");
        let mut needs = own.needs.clone();
        needs.sort_unstable();
        let of = |range: &std::ops::Range<usize>| text[range.clone()].trim_end();
        (of(&own.range), needs.into_iter().map(|need| of(&all[need].range)).collect())
    }

    #[test]
    fn changes_of_all_kinds_of_diffs_are_whole() {
        let merged = "diff --cc gate.py\nindex 1a,5d..9a\n--- a/gate.py\n+++ b/gate.py\n@@@ -1,4 -1,4 +1,4 @@@ turn\n  import key\n- def turn(k):\n -def turn(key):\n++def turn(key, hard):\n      key.turn()\n";
        let (change, needs) = own(merged, "(k)");
        assert_eq!(change, "- def turn(k):\n -def turn(key):\n++def turn(key, hard):");
        assert_eq!(needs, ["@@@ -1,4 -1,4 +1,4 @@@ turn"]);
        let context = "*** old/gate.py\t2024-05-02\n--- new/gate.py\t2024-05-02\n***************\n*** 1,3 ****\n  import key\n! def turn(k):\n      key.turn()\n--- 1,3 ----\n  import key\n! def turn(key):\n      key.turn()\n";
        assert_eq!(own(context, "(k)").1, ["*** 1,3 ****", "! def turn(key):"]);
        assert_eq!(own(context, "(key)").1, ["! def turn(k):", "--- 1,3 ----"]);
        let plain = "2c2\n< def turn(k):\n---\n> def turn(key):\n5a6,7\n> log()\n> oil()\n";
        assert_eq!(own(plain, "(k)").0, "2c2\n< def turn(k):\n---\n> def turn(key):");
    }

    #[test]
    fn files_and_the_end_of_a_patch_stand_alone() {
        let diff = "diff --git a/map.png b/map.png\nindex 1..2 100644\nBinary files a/map.png and b/map.png differ\ndiff --git a/x.sh b/x.sh\nold mode 100644\nnew mode 100755\ndiff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n a\n+b\n-- \n2.39.2\n";
        assert_eq!(own(diff, "x.sh").0, "diff --git a/x.sh b/x.sh\nold mode 100644\nnew mode 100755");
        assert_eq!(own(diff, "+b").0, "+b");
    }
}
