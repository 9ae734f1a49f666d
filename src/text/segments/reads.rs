//! Tells what reads as prose from lines: output of tools, code of any language, records and settings.
//!
//! A paragraph is prose where its lines run on up to a margin, or where they are sentences or words alone. Where most
//! of them have a form instead (marks, columns, names before a colon, the same words at each beginning), they go by lines.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Line, is_code};
use crate::text::is_terminal;
use crate::text::script::is_unspaced;

/// Fewest columns of the longest line of a paragraph that is wrapped.
const NARROWEST: usize = 45;
/// Most columns of a line that may be a title of the lines beside it.
const LONGEST_TITLE: usize = 80;
/// Fewest words of a line that is no short one.
const LONG: usize = 12;
/// Most bytes of a text that goes whole with the line that heads it.
const LONGEST_ENTRY: usize = 600;
/// Most lines of such a text.
const MOST_LINES: usize = 16;
/// Fewest lines that begin with the same words.
const FEW: usize = 3;

static LABELLED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{L}_.](?:[^.!?:：()]{0,30}:\s+\S.{0,60}|\S{0,30}(?: \S{1,20})?:)$")
        .expect("a test compiles it")
});
/// A key right before its value, and a file before a line and a column.
static KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}_.][\w.;=-]*:[^\s/:]").expect("a test compiles it"));
static PLACE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\w.-]+: +\S+:\d").expect("a test compiles it"));
/// Most characters before the colon of the three: counted apart, for a pattern that counts letters of all scripts takes
/// long to compile.
const LONGEST_KEY: usize = 39;
const LONGEST_PLACE: usize = 24;
const LONGEST_TOOL: usize = 21;
/// The name that a tool puts before the lines that it writes.
static TOOL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[a-z][\w.-]*: \S").expect("a test compiles it"));
static MARKED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:[~<!?$%@]|<=|-/\+|\+/-|\|)(?:\s|$)").expect("a test compiles it"));
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[-*+•>]+|\d{1,3}[.)]|[A-Za-z][.)])(?:\s+|$)").expect("a test compiles it")
});
static COLUMNS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[^\s.!?:;](?: {2,}|\t+)\S").expect("a test compiles it"));
static WIDE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[^\s.!?:;](?: {3,}|\t+)\S").expect("a test compiles it"));

/// Operators of programs.
const OPERATORS: [&str; 12] = ["=", "==", "!=", "::", ":=", "+=", "->", "=>", "<-", "&&", "||", "|>"];

/// The look of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Words, as of a sentence.
    Words,
    /// A form: marks, columns, a name before a value.
    Form,
    /// Too short to tell.
    Short,
}

/// The look of a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Sentences, or verses.
    Prose,
    /// Lines.
    Lines,
    /// A title or a short remark, which is of the kind of what stands beside it.
    Either,
}

/// Counts of the words of a text, and of what is no word.
struct Words {
    plain: usize,
    marks: usize,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Self { plain: 0, marks: 0 };
        for word in text.split_whitespace() {
            match is_word(word) {
                Some(true) => words.plain += 1,
                // Hardly any sentence has one.
                Some(false) if OPERATORS.contains(&word) => words.marks += 2,
                Some(false) => words.marks += 1,
                None => {}
            }
        }
        words
    }

    fn mostly_plain(&self) -> bool {
        self.plain >= 3 * self.marks
    }
}

/// Returns whether it is a word of a sentence; none where it may be one of either, as a number or an address.
fn is_word(word: &str) -> Option<bool> {
    if OPERATORS.contains(&word) || word == "*" {
        return Some(false);
    }
    if word.contains("](") || word.contains("://") {
        return None;
    }
    let is_option = word.starts_with('-') && word.trim_start_matches('-').starts_with(char::is_alphabetic);
    let edge =
        |c: char| !c.is_alphanumeric() && !matches!(c, '(' | '{' | '<' | '$' | '=' | '\\' | '%' | '|' | '&');
    let open = word.trim_start_matches(|c| edge(c) || c == '(');
    let core = open.trim_end_matches(edge);
    if core.is_empty() {
        let is_mark = open.is_empty()
            && word.contains(['=', '{', '}', '|', '<', '>', '\\', '~', '+', ';', '_', '@', '^']);
        return is_mark.then_some(false);
    }
    if is_option
        || core.contains(['(', '{', '<', '$', '=', '\\', '%', '|', '&', '_', '[', '@', '>', ';', '*', '^'])
    {
        let amount = core.chars().all(|c| c.is_ascii_digit() || matches!(c, '$' | '%' | '.' | ','));
        return if amount { None } else { Some(false) };
    }
    if core.contains("::") || core.matches(['/', '#', ':']).count() > 1 {
        return Some(false);
    }
    if core.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let humps = core.chars().zip(core.chars().skip(1)).any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    Some(!humps && core.chars().any(char::is_alphabetic))
}

/// Returns whether a line ends with a sentence.
pub(super) fn ends_sentence(line: &str) -> bool {
    let line = line.trim_end_matches(['"', '\'', '”', '’', '»', ')', '*', '_', '」', '』']);
    line.ends_with(is_terminal) && !line.ends_with("..")
}

/// Returns whether most letters are of a script without spaces, where words cannot be counted.
fn is_dense(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    letters > 0 && text.chars().filter(|&c| is_unspaced(c)).count() * 3 > letters
}

/// Returns the level of the heading that a line is by its marks: `## Like this` of Markdown, `== Like this` of `AsciiDoc`,
/// `** Like this` of Org. One mark of those two may be another thing.
pub(super) fn heading_level(line: &str) -> Option<usize> {
    let mark = line.chars().next().filter(|c| matches!(c, '#' | '=' | '*'))?;
    let marks = line.chars().take_while(|&c| c == mark).count();
    let least = if mark == '#' { 1 } else { 2 };
    ((least..=6).contains(&marks) && line[marks..].starts_with(' ')).then_some(marks)
}

/// Returns whether a line is a heading by its marks.
pub(super) fn is_heading(line: &str) -> bool {
    heading_level(line).is_some()
}

fn look(line: &Line) -> Look {
    let content = line.text.trim_start();
    let item = ITEM.find(content).map_or(0, |found| found.end());
    let words = Words::of(&content[item..]);
    if is_heading(line.text) || is_dense(content) && words.marks < 2 {
        return Look::Words;
    }
    if !content.contains(char::is_alphanumeric) {
        return if content.contains(['}', ')', ']', ';']) { Look::Form } else { Look::Short };
    }
    if item > 0 {
        let marked = words.marks > 0 && words.marks * 2 >= words.plain;
        return if marked { Look::Form } else { Look::Words };
    }
    if line.indent > 0 && content.starts_with("# ") {
        return Look::Short;
    }
    let unclosed = content.matches('(').count() != content.matches(')').count();
    let nested = content.starts_with('(') && (unclosed || content.contains("((") || content.contains("))"));
    if is_short_before_colon(content, LONGEST_TOOL) && TOOL.is_match(content) || nested {
        return Look::Form;
    }
    if ends_sentence(content) && words.plain >= 3 && words.plain >= 4 * words.marks {
        return Look::Words;
    }
    let code = is_code(content) && (words.marks > 0 || words.plain <= 3 && !content.ends_with(','));
    let marked = words.marks > 0 && words.marks * 2 >= words.plain;
    let form = code || marked || MARKED.is_match(content) || is_labelled(content);
    let columns = if words.plain < 6 { COLUMNS.is_match(content) } else { WIDE.is_match(content) };
    if form || columns {
        Look::Form
    } else if words.plain >= 3 || content.split_whitespace().count() >= LONG {
        Look::Words
    } else {
        Look::Short
    }
}

/// Returns whether a line begins with the name of what follows.
fn is_labelled(content: &str) -> bool {
    LABELLED.is_match(content)
        || is_short_before_colon(content, LONGEST_KEY) && KEY.is_match(content)
        || is_short_before_colon(content, LONGEST_PLACE) && PLACE.is_match(content)
}

/// Returns whether at most so many characters stand before the first colon.
fn is_short_before_colon(content: &str, most: usize) -> bool {
    content.chars().take(most + 1).any(|c| c == ':')
}

/// Returns whether the lines of a paragraph run on: each is as long as its margin lets it be, with no room for the word
/// that the next one begins with.
fn is_wrapped(lines: &[Line]) -> bool {
    let widths: Vec<usize> = lines.iter().map(|line| line.text.chars().count()).collect();
    let margin = widths.iter().copied().max().unwrap_or_default();
    let first = |line: &Line| line.content().split(' ').next().map_or(0, |word| word.chars().count());
    let full = |i: &usize| (widths[*i] + 1 + first(&lines[i + 1])) * 10 >= margin * 9;
    let pairs = lines.len() - 1;
    pairs > 0 && margin >= NARROWEST && (0..pairs).filter(full).count() * 10 >= pairs * 7
}

/// The two words that a line begins with, or the first alone where that is a name before a colon.
pub(super) fn beginning(line: &str) -> Option<&str> {
    let first = line.find(' ')?;
    if line[..first].ends_with([':', ']', '|', '!']) {
        return Some(&line[..first]);
    }
    let second = first + 1 + line.get(first + 1..)?.find(' ').unwrap_or(line.len() - first - 1);
    (second > first + 1).then(|| &line[..second])
}

/// Returns the bytes of the words that nearly all of these lines begin with, as the output of a tool may; 0 where there
/// are none. Sentences begin with a capital, and so do verses.
pub(super) fn shared_beginning(lines: &[Line]) -> usize {
    let Some(shared) = lines.first().and_then(|line| beginning(line.text)) else { return 0 };
    let is_name = shared.starts_with(|c: char| c.is_lowercase() || matches!(c, '[' | '(' | '|' | '<'));
    let alike = lines.iter().filter(|line| line.text.starts_with(shared)).count();
    if lines.len() >= FEW && is_name && alike == lines.len() { shared.len() } else { 0 }
}

/// Returns whether most lines begin with the same words as the line before or behind them.
fn begin_alike(lines: &[Line]) -> bool {
    let is_name =
        |line: &Line| line.text.starts_with(|c: char| c.is_lowercase() || matches!(c, '[' | '(' | '|'));
    let same = |pair: &&[Line]| {
        is_name(&pair[0]) && beginning(pair[0].text).is_some_and(|own| beginning(pair[1].text) == Some(own))
    };
    lines.len() >= FEW && lines.windows(2).filter(same).count() * 10 >= (lines.len() - 1) * 6
}

/// Returns whether requests and answers stand in turn, each behind its mark.
fn is_exchange(lines: &[Line]) -> bool {
    let behind = |mark: char| lines.iter().filter(|line| line.text.starts_with(mark)).count();
    let (sent, got, notes) = (behind('>'), behind('<'), behind('*'));
    sent > 0 && got > 0 && sent + got + notes == lines.len()
}

/// Returns whether a line heads text that is indented below it: an option, a path, a term, a title in capitals.
pub(super) fn heads_text(line: &Line) -> bool {
    let content = line.text.trim_start();
    let is_option = content.starts_with(['-', '/']) && !content[1..].starts_with(' ');
    let is_title = content.chars().any(char::is_alphabetic) && !content.chars().any(char::is_lowercase);
    let is_term = !content.contains(' ') && !is_dense(content);
    // A unit of a service manager, above its state.
    let is_unit = content.starts_with(['●', '○']);
    !ends_sentence(content)
        && !content.ends_with([',', ';'])
        && content.contains(char::is_alphanumeric)
        && (is_option || is_title || is_term || is_unit)
}

/// Returns whether text is indented below a line that heads it.
pub(super) fn is_outline(lines: &[Line]) -> bool {
    lines.windows(2).any(|pair| pair[1].indent >= pair[0].indent + 2 && heads_text(&pair[0]))
}

/// Returns how many of `lines` are one entry: a line that heads text and the text below it, or lines of such a text.
/// 1 for any other line.
pub(super) fn entry(lines: &[Line]) -> usize {
    let [first, rest @ ..] = lines else { return lines.len() };
    let Some(second) = rest.first().filter(|_| !first.gap) else { return 1 };
    let headed = heads_text(first) && second.indent >= first.indent + 2;
    let text = if headed { rest } else { lines };
    let indent = text[0].indent;
    let inside = |at: &usize| {
        text[*at].indent == indent
            && look(&text[*at]) != Look::Form
            && !heads_text(&text[*at])
            && (*at == 0 || !text[at - 1].gap)
    };
    let count = (0..text.len().min(MOST_LINES)).take_while(inside).count();
    let behind = text.get(count).filter(|_| count > 0 && !text[count - 1].gap);
    let said = text[..count].iter().any(|line| ends_sentence(line.text));
    let bytes = text[..count].iter().map(|line| line.range.len()).sum::<usize>();
    let whole =
        said && indent >= 4 && bytes <= LONGEST_ENTRY && behind.is_none_or(|next| next.indent < indent);
    if whole { count + usize::from(headed) } else { 1 }
}

/// Tells what a paragraph of one line reads like.
fn reading_of_one(line: &Line, look: Look) -> Reading {
    let title = line.text.chars().count() <= LONGEST_TITLE
        && !ends_sentence(line.text)
        && !line.text.contains(". ")
        && !is_dense(line.text);
    let item = ITEM.is_match(line.text.trim_start());
    match look {
        Look::Form if (title || item) && !line.text.ends_with([':', '：']) => Reading::Lines,
        _ if title && !is_heading(line.text) && !item => Reading::Either,
        _ => Reading::Prose,
    }
}

/// Tells what a paragraph reads like.
pub(super) fn reading(lines: &[Line]) -> Reading {
    // What a reader quotes says nothing about the other lines, and a tool marks some of its lines so.
    let quoted = |line: &Line| line.text.starts_with('>');
    let some = lines.iter().any(|line| !quoted(line));
    let looks: Vec<Look> = lines.iter().filter(|line| !some || !quoted(line)).map(look).collect();
    let count = |wanted: Look| looks.iter().filter(|own| **own == wanted).count();
    let (words, forms, short) = (count(Look::Words), count(Look::Form), count(Look::Short));
    if let [line] = lines {
        return reading_of_one(line, looks[0]);
    }
    let all = lines.iter().map(|line| Words::of(line.text)).fold(Words { plain: 0, marks: 0 }, |sum, own| {
        Words { plain: sum.plain + own.plain, marks: sum.marks + own.marks }
    });
    let alike = (forms > 0 || all.marks > 0) && begin_alike(lines);
    if is_exchange(lines) || alike || is_outline(lines) {
        return Reading::Lines;
    }
    if forms < 2 && lines.iter().any(quoted) {
        return Reading::Prose;
    }
    if is_wrapped(lines) && all.mostly_plain() && words >= forms {
        return Reading::Prose;
    }
    let verses =
        lines.iter().any(|line| ends_sentence(line.text) || line.text.ends_with([',', ';', '—', '，']));
    if forms > words || words == 0 && short >= FEW && !verses {
        Reading::Lines
    } else if words == 0 && forms == 0 && !verses {
        Reading::Either
    } else {
        Reading::Prose
    }
}
