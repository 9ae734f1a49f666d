//! Brackets of a program that close on another line than they open on.

use std::ops::Range;

use super::builder::Builder;
use super::lines::{Line, is_comment};
use super::multiline::{Block, end_of};

/// Most lines of a statement that is kept or dropped whole.
pub(super) const LONGEST_STATEMENT: usize = 12;

/// Lines that open a group of declarations of Go, each of which stands for itself.
const GROUPS: [&str; 5] = ["import (", "const (", "var (", "type (", "require ("];

/// A bracket, with the lines that open and close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    first: usize,
    last: usize,
    /// Set for a brace around statements, which may go one by one.
    block: bool,
}

/// Ties the lines that open and close a bracket; those of a short one all, but for a block. The first line is segment
/// `base`, and each is one.
pub(super) fn tie(lines: &[Line], base: usize, strings: &[Block], builder: &mut Builder) {
    for Pair { first, last, block } in pairs(lines, strings) {
        builder.tie(base + first, base + last);
        if block {
            tie_head(lines, base, first..last, builder);
        } else if last - first < LONGEST_STATEMENT {
            (first..last).for_each(|line| builder.tie(base + line, base + line + 1));
        } else {
            (first + 1..first + LONGEST_STATEMENT).for_each(|line| builder.need(base + line, base + first));
            if names_columns(&lines[first + 1..last]) {
                (first + 2..last).for_each(|line| builder.put_under(base + line, base + first + 1));
            }
        }
    }
}

/// Returns whether the first of the rows of a long list names their columns: it alone has no number.
fn names_columns(rows: &[Line]) -> bool {
    let [first, others @ ..] = rows else { return false };
    let is_row = |line: &Line| {
        let content = line.content();
        let pair = if content.starts_with('(') { "()," } else { "[]," };
        line.indent == first.indent && content.starts_with(&pair[..1]) && content.ends_with(&pair[1..])
    };
    let has_number = |line: &Line| line.text.contains(|c: char| c.is_ascii_digit());
    rows.iter().all(is_row) && !has_number(first) && others.iter().all(has_number)
}

/// Ties the lines of a head over several lines, the last of which opens a block that ends where the head begins.
fn tie_head(lines: &[Line], base: usize, block: Range<usize>, builder: &mut Builder) {
    let head = head(lines, block.start);
    if lines[head].indent == lines[block.end].indent && lines[block.end].content().starts_with('}') {
        (head..block.start).for_each(|line| builder.tie(base + line, base + line + 1));
    }
}

/// Returns the first line of the head that ends with line `last`: the nearest that is indented less, if all behind it go
/// on from it.
fn head(lines: &[Line], last: usize) -> usize {
    let above = (last.saturating_sub(LONGEST_STATEMENT)..last).rev();
    let mut above =
        above.take_while(|&line| !lines[line].gap && !lines[line].content().ends_with([';', '{', '}']));
    above.find(|&line| lines[line].indent < lines[last].indent).unwrap_or(last)
}

/// A bracket that is open.
struct Open {
    bracket: char,
    line: usize,
    block: bool,
    /// Columns before the line, and before that which the head of the block begins with.
    indents: [usize; 2],
}

/// Finds the brackets that open and close on different lines; those that close nothing, or never, are passed over.
fn pairs(lines: &[Line], strings: &[Block]) -> Vec<Pair> {
    let syntax = Syntax::of(lines);
    let mut pairs = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    // Brackets that are open before the conditions of the preprocessor that are.
    let mut conditions: Vec<usize> = Vec::new();
    let mut strings = strings.iter().peekable();
    for (at, line) in lines.iter().enumerate() {
        let content = line.content();
        while strings.next_if(|block| block.last < at).is_some() {}
        let from = match strings.peek() {
            Some(block) if block.first < at && at < block.last => continue,
            Some(block) if block.first < at => block.end,
            _ => 0,
        };
        if from == 0 && (syntax.is_condition(content, &mut conditions, &mut open) || is_comment(content)) {
            continue;
        }
        // Brackets further to the right were not meant as such.
        let closes = content.starts_with([')', ']', '}']);
        let stray = |Open { bracket, indents: [own, head], .. }: &Open| {
            *own > line.indent && *head != line.indent && (closes || *bracket != '{')
        };
        while open.len() > 1 && from == 0 && open.pop_if(|open| stray(open)).is_some() {}
        syntax.brackets(&content[from..], |bracket, behind| {
            let Some(opens) = opening(bracket) else {
                let block = bracket == '{' && behind.is_none_or(|c| c.is_whitespace() || c == '|')
                    || bracket == '(' && GROUPS.contains(&content);
                let head = if block { head(lines, at) } else { at };
                let indents = [line.indent, lines[head].indent];
                open.push(Open { bracket, line: at, block, indents });
                return;
            };
            if let Some(own) = open.pop_if(|open| open.bracket == opens).filter(|own| own.line < at) {
                pairs.push(Pair { first: own.line, last: at, block: own.block });
            }
        });
    }
    pairs
}

/// Returns how many more round and square brackets a line opens than it closes, strings and comments aside.
pub(super) fn depth(content: &str) -> i64 {
    let mut depth = 0;
    Syntax::default().brackets(content, |bracket, _| match bracket {
        '(' | '[' => depth += 1,
        ')' | ']' => depth -= 1,
        _ => {}
    });
    depth
}

/// The bracket that opens what `bracket` closes.
const fn opening(bracket: char) -> Option<char> {
    match bracket {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
}

/// Marks that some languages have for comments and strings, and others for something else.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each mark may be there without the others")]
struct Syntax {
    /// Two slashes begin a comment.
    slashes: bool,
    /// Two dashes begin a comment.
    dashes: bool,
    /// An apostrophe begins a name, as in Rust.
    lifetimes: bool,
    /// Lines with `#if` are of the preprocessor.
    conditions: bool,
}

impl Syntax {
    fn of(lines: &[Line]) -> Self {
        let any = |is: &dyn Fn(&str) -> bool| lines.iter().any(|line| is(line.content()));
        Self {
            slashes: any(&|line| line.starts_with("//")),
            dashes: any(&|line| line.starts_with("--")),
            lifetimes: any(&names_lifetime),
            conditions: any(&|line| line.starts_with("#endif")),
        }
    }

    /// Returns whether a line is of the preprocessor; the brackets of a branch are none of the next one.
    fn is_condition(self, content: &str, before: &mut Vec<usize>, open: &mut Vec<Open>) -> bool {
        let Some(directive) = content.strip_prefix('#').filter(|_| self.conditions) else { return false };
        let directive = directive.trim_start();
        if directive.starts_with("if") {
            before.push(open.len());
        } else if directive.starts_with("el") {
            open.truncate(before.last().copied().unwrap_or_default());
        } else if directive.starts_with("endif") {
            before.pop();
        }
        true
    }

    /// Gives each bracket of a line with the character behind it, strings and comments aside.
    fn brackets(self, code: &str, mut found: impl FnMut(char, Option<char>)) {
        let (mut rest, mut before) = (code, ' ');
        while let Some(c) = rest.chars().next() {
            let white = before.is_whitespace();
            let comment = rest.starts_with("//") && self.slashes && before != ':'
                || white
                    && (rest.starts_with("# ")
                        || rest.starts_with("-- ") && self.dashes
                        || rest.starts_with("/*") && !rest.contains("*/"));
            if comment {
                return;
            }
            let skipped = match c {
                // One that is not closed here goes on.
                '"' | '`' => 1 + end_of(&rest[1..], &rest[..1]).unwrap_or(rest.len() - 1),
                '\'' if !self.lifetimes || is_character(rest) => {
                    1 + end_of(&rest[1..], "'").unwrap_or_default()
                }
                '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                '(' | ')' | '[' | ']' | '{' | '}' => {
                    found(c, rest[1..].chars().next());
                    1
                }
                c => c.len_utf8(),
            };
            before = rest[..skipped].chars().next_back().unwrap_or(' ');
            rest = &rest[skipped..];
        }
    }
}

/// Returns whether a text begins with a single character in apostrophes.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Returns whether a line has a name behind an apostrophe, as references of Rust have.
fn names_lifetime(line: &str) -> bool {
    ["&'", "<'"].iter().any(|mark| {
        let behind = line.split_once(mark).map_or("", |(_, behind)| behind);
        let name = behind.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        name.len() < behind.len() && name.starts_with([' ', '>', ','])
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines::lines;
    use super::super::tests::needed;
    use super::*;

    fn found(text: &str) -> Vec<(usize, usize, bool)> {
        let lines = lines(text, 0..text.len());
        pairs(&lines, &[]).into_iter().map(|pair| (pair.first, pair.last, pair.block)).collect()
    }

    #[test]
    fn brackets_close_where_their_other_half_stands() {
        assert_eq!(found("a = {\n    1: [\n        2,\n    ],\n    }\n"), [(1, 3, false), (0, 4, true)]);
        assert_eq!(found("f(a,\n  b)\nx = {c,\n d}\n"), [(0, 1, false), (2, 3, false)]);
        assert_eq!(found("fn f<'a>(\n    x: &'a str,\n) {\n    g('(');\n}\n"), [(0, 2, false), (2, 4, true)]);
    }

    #[test]
    fn rows_of_a_list_need_the_names_of_their_columns() {
        let row = |i: usize| format!("    (\"boat {i}\", 19{i}, None),\n");
        let rows: String = (10..30).map(row).collect();
        let boats = format!("BOATS = [\n    (\"name\", \"year\", \"crew\"),\n{rows}]\n");
        let names = "    (\"name\", \"year\", \"crew\"),";
        assert!(needed(&boats, "boat 25").contains(&names), "{:?}", needed(&boats, "boat 25"));
        assert!(!needed(&format!("A = [\n{rows}]\n"), "boat 25").contains(&"    (\"boat 10\", 1910, None),"));
    }

    #[test]
    fn brackets_of_strings_and_comments_are_none() {
        for text in [
            "# one (we say\nx = 1\n)\n",
            "a = ')('\nb = '['\n]\n",
            "int a; // see (1\nint b;\n// c\n)\n",
            "say 'it'\nprint(\"(\")\n)\n",
        ] {
            assert!(found(text).is_empty(), "{text:?}: {:?}", found(text));
        }
        // What is never closed ends with its block.
        assert_eq!(
            found("void f() {\n    a = /[(]/;\n}\nvoid g() {\n    b;\n}\n"),
            [(0, 2, true), (3, 5, true)]
        );
        let branches = "#if A\nf(x) {\n#else\nf(y) {\n#endif\n  z;\n}\n";
        assert_eq!(found(branches), [(3, 6, true)]);
    }
}
