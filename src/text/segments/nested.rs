//! Lines that belong to lines above them by their indentation: programs, YAML, outlines, settings under a section.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::brackets::{self, LONGEST_STATEMENT};
use super::builder::{Around, Builder};
use super::lines::{Line, Shape, is_comment};
use super::multiline::{Block, blocks, opened, opens_text};
use super::{SegmentKind, joined, trace};

/// A line that is open: those that are indented more stand under it.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not whatever the others are")]
struct Open {
    /// Twice the indentation, and one more for a label that is not indented in its block.
    depth: usize,
    number: usize,
    /// Set if it opens a block in which labels stand as far to the left as it does.
    braced: bool,
    /// Set if it begins a block that is nothing without another behind it, or ends one.
    tried: bool,
    /// Set if it ends a statement or a block.
    ended: bool,
    /// Set if it is a comment.
    comment: bool,
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
    nest(lines, false, builder, around);
}

/// [`nested`], but for lines of which one that looks like a comment may head others.
pub(super) fn outline(lines: &[Line], builder: &mut Builder, around: &Around) {
    nest(lines, true, builder, around);
}

fn nest(lines: &[Line], is_outline: bool, builder: &mut Builder, around: &Around) {
    let has_conditions = lines.iter().any(|line| line.content().starts_with("#endif"));
    let mut nesting = Nesting {
        lines,
        builder,
        has_conditions,
        is_outline,
        open: Vec::new(),
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
    brackets::tie(lines, base, &strings, builder);
    joined::join(lines, base, &strings, builder);
}

struct Nesting<'a, 'l, 'b, 't> {
    lines: &'a [Line<'l>],
    builder: &'b mut Builder<'t>,
    has_conditions: bool,
    is_outline: bool,
    /// Lines that are open, the outermost first.
    open: Vec<Open>,
    /// Annotations of what comes next, and the columns before them.
    annotations: Vec<(usize, usize)>,
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
        if at == block.last {
            self.builder.need(first, number);
        }
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
        if self.is_remark(at) {
            self.comment = Some(Comment::of(line, self.comment.take()));
            let parent = self.open.iter().rfind(|open| open.depth < 2 * line.indent);
            if let Some(parent) = parent.map(|parent| parent.number) {
                self.builder.put_under(number, parent);
            }
            return;
        }
        let (depth, tried) = self.place(line, number);
        if is_annotation(content) {
            self.annotations.push((number, line.indent));
        } else if is_comment(content) {
            self.comment = Some(Comment::of(line, self.comment.take()));
        } else {
            // What stands further to the right, or closes a bracket, is a part of the annotation.
            let inside =
                |&(_, indent): &(usize, usize)| line.indent > indent || content.starts_with([')', ']']);
            if !self.annotations.last().is_some_and(inside) {
                for (annotation, _) in self.annotations.drain(..) {
                    self.builder.tie(annotation, number);
                }
            }
            let above =
                self.comment.take().filter(|comment| comment.is_beside(line)).map(|comment| comment.range);
            let context = &mut self.builder.segments[number].context;
            context.extend(above);
            context.extend(docstring(&self.lines[at + 1..]));
        }
        let ended = content.trim_end_matches(',').ends_with([';', '{', '}']);
        let braced = content.ends_with('{') || content.starts_with("case ") && content.ends_with(" in");
        self.open.push(Open { depth, number, braced, tried, ended, comment: is_comment(content) });
    }

    /// Returns whether a line is a comment among others of its block, of which it is no head, however it is indented.
    fn is_remark(&self, at: usize) -> bool {
        let (line, next) = (&self.lines[at], self.lines.get(at + 1));
        let comment = !self.is_outline && is_comment(line.content()) && !line.content().starts_with('*');
        let heads = next.is_some_and(|next| next.indent > line.indent);
        comment
            && (!heads
                || self.open.first().is_some_and(|open| !open.comment && open.depth <= 2 * line.indent))
    }

    /// Puts a line under the one that it belongs to; gives its depth, and whether it needs what comes behind its block.
    fn place(&mut self, line: &Line, number: usize) -> (usize, bool) {
        let (content, own) = (line.content(), 2 * line.indent);
        while self.open.pop_if(|open| open.depth > own).is_some() {}
        let beside = self.open.last().filter(|open| open.depth == own && open.braced);
        let label = is_label(content, beside.is_some());
        if let Some(before) = self.label.take().filter(|&before| label && before + 1 == number) {
            // Of two labels one behind the other the first goes on with the body of the second.
            self.builder.need(before, number);
        }
        self.label = (label && content.ends_with(':')).then_some(number);
        let unindented = label && beside.is_some();
        let same = if unindented { None } else { self.open.pop_if(|open| open.depth == own) };
        if let Some(parent) = self.open.last() {
            self.builder.put_under(number, parent.number);
            let parent = &mut self.builder.segments[parent.number];
            if PARENT.is_match(self.builder.text[parent.range.clone()].trim()) {
                parent.kind = SegmentKind::Parent;
            }
        }
        let mut tried = first_word(content) == "try";
        if let Some(head) = same {
            if closes(content) {
                self.builder.tie(head.number, number);
                tried = head.tried;
            } else if goes_on(content) {
                self.builder.need(number, head.number);
                if head.tried {
                    self.builder.need(head.number, number);
                }
            } else if matches!(content, "{" | "do" | "then") && !head.ended {
                // What opens the block stands on a line of its own.
                self.builder.put_under(number, head.number);
                self.builder.need(head.number, number);
                tried = head.tried;
            }
        }
        (own + usize::from(unindented), tried)
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
    Regex::new(r#"^(?:- )*(?:[\w./$@{}-]+|"[^"\n]*"|'[^'\n]*') ?:$"#).expect("a test compiles it")
});

/// Returns whether a line is put before a definition and says more about it.
fn is_annotation(content: &str) -> bool {
    content.starts_with('@') && !content.ends_with([';', '{', '}'])
        || content.starts_with("#[")
        || content.starts_with("template") && content.ends_with('>')
}

/// The word that a line begins with.
fn first_word(content: &str) -> &str {
    content.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// Returns whether a line is a label of a block, which many do not indent in it: `case 1:`, `public:`, and where it is
/// `beside` the head of the block, `fail:` in C and `a|b)` in a shell.
fn is_label(content: &str, beside: bool) -> bool {
    let word = first_word(content);
    let access = matches!(word, "default" | "public" | "private" | "protected" | "signals");
    let name = |label: &str| label.chars().all(|c| c.is_alphanumeric() || c == '_');
    word == "case" && !content.ends_with(" in")
        || access && content.ends_with(':')
        || beside && content.strip_suffix(':').is_some_and(name)
        || beside && content.ends_with(')') && !content.contains('(')
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
    let word = first_word(closers);
    let behind = closers[word.len()..].trim_start();
    content.starts_with(['}', ')', ']'])
        || matches!(word, "end" | "END" | "fi" | "done" | "esac")
            && (closers.len() < 12 || behind.starts_with(['<', '>', '|', ')', '.', '&']))
}

/// Returns whether a line continues the head of another block, whose condition it takes for granted.
fn goes_on(content: &str) -> bool {
    matches!(
        first_word(content.trim_start_matches(['}', ' '])),
        "else" | "elif" | "elsif" | "elseif" | "except" | "catch" | "finally" | "rescue" | "ensure"
    )
}

/// Adds lines of settings, each of which needs the section that it stands in. A value of several lines goes whole, and a
/// comment right above a setting needs that.
pub(super) fn settings(lines: &[Line], builder: &mut Builder, around: &Around) {
    let (mut section, mut comment) = (Section::default(), None);
    let mut at = 0;
    while at < lines.len() {
        let value = value_length(&lines[at..]);
        let (line, content) = (&lines[at], lines[at].content());
        let first = builder.push_line(line, around);
        if value == 1 && content.starts_with('[') && content.ends_with(']') {
            builder.segments[first].kind = SegmentKind::Parent;
            section.open(first, content, builder);
        } else {
            section.add(first, content, builder);
            if let Some(comment) = comment.filter(|_| !content.starts_with(['#', ';'])) {
                builder.need(comment, first);
            }
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
        // One with a setting in it is that, and not in force.
        let says = content.starts_with(['#', ';']) && !content.contains('=') && !line.gap;
        comment = says.then_some(first);
        at += value;
    }
}

/// The section of settings that is open.
#[derive(Default)]
struct Section<'t> {
    number: Option<usize>,
    /// The name of the list that it is an element of, as in `[[boats]]`, with the segment of that element.
    element: Option<(&'t str, usize)>,
    /// The setting that the element is called by.
    name: Option<usize>,
}

impl<'t> Section<'t> {
    /// Opens the section `content`: one below the element of a list needs that.
    fn open(&mut self, number: usize, content: &'t str, builder: &mut Builder) {
        let name = content.trim_matches(['[', ']', ' ']);
        let below = |list: &str| name.strip_prefix(list).is_some_and(|rest| rest.starts_with('.'));
        self.number = Some(number);
        if let Some((_, element)) = self.element.filter(|(list, _)| below(list)) {
            builder.put_under(number, element);
            return;
        }
        self.element = content.starts_with("[[").then_some((name, number));
        self.name = None;
    }

    /// Adds a setting, which needs the section, and the name of the element that it is of.
    fn add(&mut self, number: usize, content: &str, builder: &mut Builder) {
        let Some(section) = self.number else { return };
        builder.put_under(number, section);
        let key = content.split(['=', ' ']).next().unwrap_or_default();
        if self.element.is_none() {
            return;
        }
        if let Some(name) = self.name {
            builder.need(number, name);
        } else if matches!(key, "name" | "id" | "title")
            && self.element.is_some_and(|(_, own)| own == section)
        {
            self.name = Some(number);
        }
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
    if content.ends_with('\\') {
        return near.iter().position(|line| !line.text.ends_with('\\')).map_or(1, |last| last + 1);
    }
    let mut depth = 0;
    let closed = |line: &Line| {
        depth += brackets::depth(line.content());
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

#[cfg(test)]
mod tests {
    use super::super::tests::kept_with;

    #[test]
    fn elements_of_a_list_of_tables_keep_their_names() {
        let boats = "[[boats]]\nname = \"Gull\"\nlength = 7\n\n[[boats]]\nname = \"Tern\"\nlength = 9\n[boats.engine]\npower = 40\n\n[yard]\ntown = \"Lund\"\n";
        let tern = ["[[boats]]", "name = \"Tern\""];
        assert_eq!(kept_with(boats, "9"), tern);
        assert_eq!(kept_with(boats, "40"), [&tern[..], &["[boats.engine]"]].concat());
        assert_eq!(kept_with(boats, "Lund"), ["[yard]"]);
    }

    #[test]
    fn values_that_go_on_and_comments_have_their_settings() {
        let lines = "title=The till\nhello=Welcome, \\\n    dear guest, \\\n    and be quiet\nlast=9\n";
        assert_eq!(kept_with(lines, "dear"), ["hello=Welcome, \\", "and be quiet"]);
        let noted = "[a]\ntitle=The till\n# how many\ncount=7\n# last=8\nlast=9\n";
        assert_eq!(kept_with(noted, "how many"), ["[a]", "count=7"]);
        assert_eq!(kept_with(noted, "count"), ["[a]"]);
        assert_eq!(kept_with(noted, "last=8"), ["[a]"]);
    }
}
