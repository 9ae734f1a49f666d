//! Strings and comments of a program that reach over several lines.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Line, is_comment};

/// Most lines in which the end of a string or comment is looked for.
const FARTHEST: usize = 200;

/// Marks that open a string or comment of several lines, and those that close it.
const MARKS: [(&str, &str); 4] =
    [("\"\"\"", "\"\"\""), ("\u{27}\u{27}\u{27}", "\u{27}\u{27}\u{27}"), ("`", "`"), ("/*", "*/")];

/// A string or comment of several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The line that opens it.
    pub(super) first: usize,
    /// The line that closes it.
    pub(super) last: usize,
    /// Bytes of the last line's content up to its end.
    pub(super) end: usize,
}

/// Returns the strings and comments of several lines, in their order. One may begin on the line that ends another.
pub(super) fn blocks(lines: &[Line]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut at, mut from) = (0, 0);
    while at < lines.len() {
        let closed = opened(lines, at, from);
        (at, from) = closed.map_or((at + 1, 0), |block| (block.last, block.end));
        blocks.extend(closed);
    }
    blocks
}

/// Returns the lines that are neither comments nor within a comment or a text in quotes of three marks.
pub(super) fn without_texts<'a, 't>(lines: &'a [Line<'t>]) -> Vec<&'a Line<'t>> {
    let is_text = |block: &&Block| {
        let first = lines[block.first].content();
        ["/*", "\"\"\"", "\u{27}\u{27}\u{27}"].iter().any(|mark| first.contains(mark))
    };
    let (mut own, mut at) = (Vec::with_capacity(lines.len()), 0);
    for block in blocks(lines).iter().filter(is_text) {
        own.extend(&lines[at.min(block.first)..block.first]);
        at = block.last + 1;
    }
    own.extend(lines.iter().skip(at));
    own.retain(|line| !is_comment(line.content()) && line.content() != "#");
    own
}

/// Returns the string or comment that line `first` opens behind its first `from` bytes.
pub(super) fn opened(lines: &[Line], first: usize, from: usize) -> Option<Block> {
    let code = &lines[first].content()[from..];
    match left_open(code) {
        Some(mark) => closing(lines, first, mark),
        None => heredoc(code).and_then(|word| ending(lines, first, word)),
    }
}

/// Returns the block that line `first` opens and the next `mark` closes.
fn closing(lines: &[Line], first: usize, mark: &str) -> Option<Block> {
    let behind = lines.iter().enumerate().skip(first + 1).take(FARTHEST);
    let mut found = behind.map(|(last, line)| (last, end_of(line.content(), mark)));
    found.find_map(|(last, end)| Some(Block { first, last, end: end? }))
}

static HEREDOC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[^<\w])<<[-~]?(?:"(\w+)"|'(\w+)'|\\?([A-Za-z_]\w*))"#).expect("a test compiles it")
});

/// Returns the word that ends the text which stands below `code`: `cat <<EOF`.
fn heredoc(code: &str) -> Option<&str> {
    let found = code.contains("<<").then(|| HEREDOC.captures(code))??;
    found.iter().skip(1).flatten().next().map(|word| word.as_str())
}

/// Returns whether a line opens a text of several lines in quotes of three marks, or behind `<<EOF`.
pub(super) fn opens_text(code: &str) -> bool {
    heredoc(code).is_some()
        || (code.contains("\"\"\"") || code.contains("\u{27}\u{27}\u{27}")) && left_open(code).is_some()
}

/// Returns the block that line `first` opens and a line of nothing but `word` ends.
fn ending(lines: &[Line], first: usize, word: &str) -> Option<Block> {
    let mut behind = lines.iter().enumerate().skip(first + 1).take(FARTHEST);
    let (last, line) = behind.find(|(_, line)| line.content().trim_end_matches([';', ',', ')']) == word)?;
    Some(Block { first, last, end: line.content().len() })
}

/// Returns the mark that closes what `code` leaves open at its end.
fn left_open(code: &str) -> Option<&'static str> {
    let (mut rest, mut before) = (code, ' ');
    while let Some(c) = rest.chars().next() {
        let opens = |open: &str| {
            rest.starts_with(open)
                && (open != "/*"
                    || before.is_whitespace()
                    || matches!(before, ';' | ',' | '(' | ')' | '{' | '}'))
        };
        if is_line_comment(rest, before) {
            return None;
        }
        let skipped = if let Some((open, close)) = MARKS.into_iter().find(|(open, _)| opens(open)) {
            match end_of(&rest[open.len()..], close) {
                Some(end) => open.len() + end,
                None => return Some(close),
            }
        } else if matches!(c, '"' | '\'') {
            // An apostrophe closes nothing.
            1 + end_of(&rest[1..], &rest[..1]).unwrap_or_default()
        } else {
            c.len_utf8()
        };
        before = rest[..skipped].chars().next_back().unwrap_or(' ');
        rest = &rest[skipped..];
    }
    None
}

/// Returns whether a comment up to the end of the line begins here.
fn is_line_comment(rest: &str, before: char) -> bool {
    rest.starts_with("//") && before != ':' || rest.starts_with("# ") && before.is_whitespace()
}

/// Returns the bytes of `text` up to the end of the first `mark` that no backslash escapes.
pub(super) fn end_of(text: &str, mark: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !escaped && text[at..].starts_with(mark) {
            return Some(at + mark.len());
        }
        escaped = c == '\\' && !escaped && mark != "*/";
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::lines::lines;
    use super::*;

    fn found(text: &str) -> Vec<(usize, usize)> {
        blocks(&lines(text, 0..text.len())).into_iter().map(|block| (block.first, block.last)).collect()
    }

    #[test]
    fn strings_and_comments_end_where_their_mark_stands_again() {
        assert_eq!(found("\"\"\"Tides.\n\nNever in ice.\n\"\"\"\nx = 1\n"), [(0, 2)]);
        assert_eq!(found("a = '''one'''\nb = '''\ntwo ''' + '''\nthree'''\n"), [(1, 2), (2, 3)]);
        assert_eq!(found("/** Opens. */\n/*\n * Shuts.\n */\nint a; /* b\n c */\n"), [(1, 3), (4, 5)]);
        assert_eq!(found("const t = `a ${b(`c`)}\n  d`;\n"), [(0, 1)]);
    }

    #[test]
    fn what_only_looks_like_one_opens_none() {
        for text in [
            "x = \"/*\"\ny = 2\n*/\n",
            "rm lib/*\ncp a */\n",
            "// it's a `mark\nb\nc`\n",
            "s = 'it\\'s'; t = \"\\\"\"\nu\n",
            "fn f<'a>(x: &'a str) {\n    g(x)\n}\n",
            "let c = '\"';\nlet d = '\"';\n",
            "a = `never closed\nb\n",
        ] {
            assert!(found(text).is_empty(), "{text:?}: {:?}", found(text));
        }
    }
}
