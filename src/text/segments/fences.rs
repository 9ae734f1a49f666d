//! Lines that open and close a part of a text: fences, and tags on lines of their own.

use super::lines::Line;

/// The marks of a fence that a line opens.
pub(super) fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let marks = &line[..line.len() - line.trim_start_matches(mark).len()];
    // A long one underlines a title.
    let underlines = mark == '~' && marks.len() > 5 && marks.len() == line.trim_end().len();
    (marks.len() >= 3 && !underlines && !line[marks.len()..].contains(mark)).then_some(marks)
}

/// The name of the tag that a line is: `<document index="1">`.
pub(super) fn tag(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('<')?.strip_suffix('>')?;
    let name = inner.split(|c: char| c.is_whitespace()).next()?;
    let sound = name.starts_with(char::is_alphabetic)
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.'));
    (sound && !inner.contains(['<', '>']) && !inner.ends_with('/')).then_some(name)
}

/// The first line behind the first one that `closes`, not too far away to be looked for again and again.
pub(super) fn closing(lines: &[Line], closes: impl Fn(&str) -> bool) -> Option<usize> {
    lines.iter().take(FARTHEST).skip(1).position(|line| closes(line.text)).map(|at| at + 1)
}

/// Lines in which the end of a fence or tag is looked for.
pub(super) const FARTHEST: usize = 20_000;
