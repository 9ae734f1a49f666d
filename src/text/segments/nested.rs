//! Lines that belong to lines above them by their indentation: programs, YAML, outlines, settings under a section.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::builder::{Around, Builder};
use super::lines::{Line, Shape, is_comment};
use super::multiline::{Block, blocks, opened, opens_text};
use super::{SegmentKind, joined, trace};

/// Most lines of a statement that is kept or dropped whole.
const LONGEST_STATEMENT: usize = 12;

/// A line that is open: those that are indented more stand under it.
struct Open {
    /// Twice the indentation, and one more for a label that is not indented in its block.
    depth: usize,
    number: usize,
    /// Set if its brace opens a block.
    braced: bool,
    /// Set if it ends a statement or a block.
    ended: bool,
}

/// A condition of the preprocessor that is open.
struct Condition {
    first: usize,
    /// The line of the branch that is open: `#if` or `#else`.
    branch: usize,
    /// Set if it only guards a file against being included twice.
    guard: bool,
}

/// Adds lines of which each needs the nearest line above it that is indented less: the head of its block, its parent
/// key. A head needs the line that closes its block, and a branch such as `else` the head that it goes on from. A
/// string or comment of several lines has its ends.
pub(super) fn nested(lines: &[Line], builder: &mut Builder, around: &Around) {
    let has_conditions = lines.iter().any(|line| line.content().starts_with("#endif"));
    let mut nesting = Nesting {
        lines,
        builder,
        has_conditions,
        open: Vec::new(),
        brackets: 0,
        statement: None,
        annotations: Vec::new(),
        comment: None,
        conditions: Vec::new(),
        label: None,
    };
    let strings = blocks(lines);
    let mut blocks = strings.iter().copied().peekable();
    let mut inside: Option<(Block, usize)> = None;
    for (at, line) in lines.iter().enumerate() {
        let number = nesting.builder.push_line(line, around);
        match inside.filter(|(block, _)| at <= block.last) {
            Some((block, first)) => nesting.block_line(at, number, (block, first)),
            None => nesting.line(at, number),
        }
        if let Some(block) = blocks.next_if(|block| block.first == at) {
            inside = Some((block, number));
        }
    }
    let base = builder.segments.len() - lines.len();
    joined::join(lines, base, &strings, builder);
}

struct Nesting<'a, 'l, 'b, 't> {
    lines: &'a [Line<'l>],
    builder: &'b mut Builder<'t>,
    has_conditions: bool,
    /// Lines that are open, the outermost first.
    open: Vec<Open>,
    /// Round and square brackets that are open.
    brackets: i64,
    /// The first line of the statement that is open, and its lines so far.
    statement: Option<(usize, usize)>,
    annotations: Vec<usize>,
    comment: Option<Comment>,
    conditions: Vec<Condition>,
    /// The last line, if it is a label without a body.
    label: Option<usize>,
}

impl Nesting<'_, '_, '_, '_> {
    /// Adds a line within the string or comment that the line `first` opens.
    fn block_line(&mut self, at: usize, number: usize, (block, first): (Block, usize)) {
        let line = &self.lines[at];
        self.builder.put_under(number, first);
        if block.last - block.first < LONGEST_STATEMENT {
            self.builder.tie(number - 1, number);
        }
        let is_last = at == block.last;
        if is_last {
            self.builder.need(first, number);
        }
        self.bracket(number, if is_last { parentheses(&line.content()[block.end..]) } else { 0 });
        if self.lines[block.first].content().starts_with("/*")
            && let Some(comment) = &mut self.comment
        {
            comment.range.end = line.range.end;
        }
    }

    fn line(&mut self, at: usize, number: usize) {
        let line = &self.lines[at];
        let content = line.content();
        if self.has_conditions && self.condition(at, number) {
            return;
        }
        if let Some(condition) = self.conditions.last().filter(|condition| !condition.guard) {
            self.builder.need(number, condition.branch);
        }
        let depth = self.place(line, number);
        self.bracket(number, parentheses(content));
        if is_annotation(content) {
            self.annotations.push(number);
        } else if is_comment(content) {
            self.comment = Some(Comment::of(line, self.comment.take()));
        } else {
            for annotation in self.annotations.drain(..) {
                self.builder.tie(annotation, number);
            }
            let above =
                self.comment.take().filter(|comment| comment.is_beside(line)).map(|comment| comment.range);
            let context = &mut self.builder.segments[number].context;
            context.extend(above);
            context.extend(docstring(&self.lines[at + 1..]));
        }
        let ended = content.trim_end_matches(',').ends_with([';', '{', '}']);
        self.open.push(Open { depth, number, braced: content.ends_with('{'), ended });
    }

    /// Puts a line under the one that it belongs to; gives its depth.
    fn place(&mut self, line: &Line, number: usize) -> usize {
        let (content, own) = (line.content(), 2 * line.indent);
        while self.open.pop_if(|open| open.depth > own).is_some() {}
        let label = is_label(content);
        if let Some(before) = self.label.take().filter(|&before| label && before + 1 == number) {
            // Of two labels one behind the other the first goes on with the body of the second.
            self.builder.need(before, number);
        }
        self.label = (label && content.ends_with(':')).then_some(number);
        let unindented = label && self.open.last().is_some_and(|open| open.depth == own && open.braced);
        let same = if unindented { None } else { self.open.pop_if(|open| open.depth == own) };
        if let Some(parent) = self.open.last() {
            self.builder.put_under(number, parent.number);
            let parent = &mut self.builder.segments[parent.number];
            if PARENT.is_match(self.builder.text[parent.range.clone()].trim()) {
                parent.kind = SegmentKind::Parent;
            }
        }
        if let Some(head) = same {
            if closes(content) {
                self.builder.tie(head.number, number);
            } else if goes_on(content) {
                self.builder.need(number, head.number);
            } else if content == "{" && !head.ended {
                // A brace on a line of its own.
                self.builder.put_under(number, head.number);
                self.builder.need(head.number, number);
            }
        }
        own + usize::from(unindented)
    }

    /// Counts brackets: a line that closes what an earlier one opened is a part of it, however the two are indented.
    fn bracket(&mut self, number: usize, opened: i64) {
        if let Some((start, count)) = self.statement.filter(|_| self.brackets > 0) {
            if count < LONGEST_STATEMENT {
                self.builder.need(number, start);
            }
            self.statement = Some((start, count + 1));
        }
        let before = self.brackets;
        self.brackets = (self.brackets + opened).max(0);
        if before == 0 && self.brackets > 0 {
            self.statement = Some((number, 1));
        } else if self.brackets == 0
            && let Some((start, count)) =
                self.statement.take().filter(|(_, count)| *count <= LONGEST_STATEMENT)
        {
            // A short statement over several lines goes whole.
            for part in start..start + count.max(1) {
                self.builder.tie(part, number.min(part + 1));
            }
        }
    }

    /// Ties the lines of a condition of the preprocessor; returns whether the line is one of them.
    fn condition(&mut self, at: usize, number: usize) -> bool {
        let Some(directive) = self.lines[at].content().strip_prefix('#') else { return false };
        let word = directive.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        match word {
            "if" | "ifdef" | "ifndef" => {
                if let Some(outer) = self.conditions.last().filter(|outer| !outer.guard) {
                    self.builder.need(number, outer.branch);
                }
                let next = self.lines.get(at + 1).map_or("", Line::content);
                let guard = word == "ifndef" && next.starts_with("#define");
                self.conditions.push(Condition { first: number, branch: number, guard });
            }
            "else" | "elif" => {
                if let Some(condition) = self.conditions.last_mut() {
                    self.builder.need(number, condition.branch);
                    condition.branch = number;
                }
            }
            "endif" => {
                if let Some(condition) = self.conditions.pop() {
                    self.builder.tie(condition.first, number);
                }
            }
            _ => return false,
        }
        true
    }
}

/// A key without a value.
static PARENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:- )*(?:[\w./$@-]+|"[^"\n]*"|'[^'\n]*') ?:$"#).expect("a test compiles it")
});

/// Returns whether a line is put before a definition and says more about it.
fn is_annotation(content: &str) -> bool {
    content.starts_with('@') && !content.ends_with([';', '{', '}'])
        || content.starts_with("#[")
        || content.starts_with("template") && content.ends_with('>')
}

/// Returns whether a line is a label of a block, which many do not indent in it.
fn is_label(content: &str) -> bool {
    let word = content.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let access = matches!(word, "default" | "public" | "private" | "protected" | "signals");
    word == "case" || access && content.ends_with(':')
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
        || matches!(word, "end" | "END" | "fi" | "done" | "esac") && closers.len() < 12
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

/// Adds lines of settings, each of which needs the section that it stands in. A value of several lines goes whole.
pub(super) fn settings(lines: &[Line], builder: &mut Builder, around: &Around) {
    let (mut section, mut at) = (None, 0);
    while at < lines.len() {
        let value = value_length(&lines[at..]);
        let first = builder.push_line(&lines[at], around);
        let is_section =
            value == 1 && lines[at].content().starts_with('[') && lines[at].content().ends_with(']');
        if is_section {
            builder.segments[first].kind = SegmentKind::Parent;
            section = Some(first);
        } else if let Some(section) = section {
            builder.put_under(first, section);
        }
        for line in &lines[at + 1..at + value] {
            let number = builder.push_line(line, around);
            builder.put_under(number, first);
            if value <= LONGEST_STATEMENT {
                builder.tie(number - 1, number);
            }
        }
        // The end of the value.
        builder.need(first, first + value - 1);
        at += value;
    }
}

/// Returns how many of `lines` the setting that the first of them begins takes: one, but for a text in quotes of three
/// marks, and what stands in brackets.
pub(super) fn value_length(lines: &[Line]) -> usize {
    let near = &lines[..lines.len().min(LONGEST_VALUE)];
    let content = lines[0].content();
    if opens_text(content) {
        return opened(near, 0, 0).map_or(1, |block| block.last + 1);
    }
    let mut depth = 0;
    let closed = |line: &Line| {
        depth += parentheses(line.content());
        depth <= 0
    };
    if content.ends_with(['[', '(', ',']) {
        near.iter().position(closed).map_or(1, |last| last + 1)
    } else {
        1
    }
}

/// Most lines of a value of a setting.
const LONGEST_VALUE: usize = 60;

/// Adds lines that stand for themselves; those that are indented, or frames of a trace, need the last that is not, and
/// what stands between two entries of a log needs the first of those.
pub(super) fn flat(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut head: Option<(usize, usize)> = None;
    let mut entry: Option<usize> = None;
    let mut at = 0;
    while at < lines.len() {
        let line = &lines[at];
        let is_entry = Shape::of(line.text) == Shape::Log;
        if is_entry || at > 0 && lines[at - 1].gap {
            entry = None;
        }
        let length = trace::length(&lines[at..]);
        let own = if length > 0 {
            trace::trace(&lines[at..at + length], builder, around)
        } else {
            vec![builder.push_line(line, around)]
        };
        for &number in &own {
            match (head, entry) {
                (Some((indent, head)), _) if line.indent > indent => builder.put_under(number, head),
                (_, Some(entry)) => builder.put_under(number, entry),
                _ => {}
            }
        }
        let last = own.last().copied().unwrap_or_default();
        if head.is_none_or(|(indent, _)| line.indent <= indent) {
            head = Some((line.indent, last));
        }
        if is_entry {
            entry = own.first().copied();
        }
        at += length.max(1);
    }
}
