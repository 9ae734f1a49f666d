//! Kinds that lines may have as a whole.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Line, Shape, is_code};
use super::{blocks, dialogue, markup, multiline, sections, table};

/// Fewer lines are no program, transcript or list of settings.
pub(super) const FEW: usize = 3;

static DEFINES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:(?:pub|export|async|static|public|private|protected|default|abstract|final) )*(?:fn|def|func|function|class|struct|enum|impl|interface|import|from|use|package|#include|namespace|module|type|const|var|let)(?-u:\b).*[\w({:;>\x22']$")
        .expect("a test compiles it")
});
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:- )*(?:[\w./$@{}-]+|"[^"]+"|'[^']+'):(?:\s|$)"#).expect("a test compiles it")
});
pub(super) static MAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:from|to|cc|bcc|subject|date|sent|message-id|reply-to|in-reply-to|mime-version|content-[\w-]+|x-[\w-]+|received|return-path|von|an|betreff|de|à|objet|asunto|para|references|attachments?):(?:\s|$)")
        .expect("a test compiles it")
});
static TIMED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^.{0,60}(?-u:\b\d\d:\d\d:\d\d\b|\b1\d{9}\b)").expect("a test compiles it"));

/// A kind that a run of lines may have as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// Lines that stand by themselves: logs, listings.
    Flat,
    /// Lines below others that they belong to: programs, outlines, nested settings.
    Nested,
    /// Lines behind a number or a place: what reading tools and searches print.
    Labelled,
    /// Keys with their values, under sections.
    Settings,
    /// Blocks of lines that go together.
    Blocks,
    /// Turns of speakers.
    Dialogue,
    /// Cues with their times.
    Subtitles,
    /// Elements between tags.
    Markup,
}

/// The kind that all of these lines have together, if they have one; `source` says whether they are a program.
pub(super) fn run_of(lines: &[Line], source: impl Fn() -> bool) -> Option<Run> {
    if lines.len() < FEW {
        return None;
    }
    let shapes: Vec<Shape> = lines.iter().map(|line| Shape::of(line.text)).collect();
    let share = |count: usize, percent: usize| count * 100 >= lines.len() * percent;
    let have = |wanted: &[Shape]| shapes.iter().filter(|shape| wanted.contains(shape)).count();
    let matching = |pattern: &Regex| lines.iter().filter(|line| pattern.is_match(line.content())).count();
    if share(have(&[Shape::Log]), 50) {
        return Some(Run::Flat);
    }
    if dialogue::is_subtitles(lines) {
        return Some(Run::Subtitles);
    }
    let in_sections = |line: &Line| sections::starts_message(line) || sections::names_columns(line);
    if lines.iter().any(in_sections) && !source() {
        return None;
    }
    if share(have(&[Shape::Blamed]), 60) {
        return Some(Run::Labelled);
    }
    let labelled = share(have(&[Shape::Numbered, Shape::Found]), 60);
    // A table may begin with numbers, below its header or a line that groups the columns, and above one that counts rows.
    let is_table = || (0..FEW).any(|above| above + table::rows(&lines[above..]) + 1 >= lines.len());
    if labelled && (are_counted(lines) || !is_table()) {
        return Some(Run::Labelled);
    }
    if blocks::are_blocks(lines) {
        return Some(Run::Blocks);
    }
    if dialogue::is_dialogue(lines) {
        return Some(Run::Dialogue);
    }
    if share(have(&[Shape::Listing, Shape::Trace]), 60) || share(matching(&TIMED), 80) {
        return Some(Run::Flat);
    }
    if matching(&MAIL) >= 2 {
        return None;
    }
    let settings = lines
        .iter()
        .zip(&shapes)
        .filter(|(line, shape)| **shape == Shape::Setting || line.text.starts_with(['#', ';']))
        .count();
    if share(settings, 85) && have(&[Shape::Setting]) * 2 > lines.len() {
        return Some(Run::Settings);
    }
    if are_keys(lines) {
        return Some(Run::Nested);
    }
    if markup::is_markup(lines) {
        return Some(Run::Markup);
    }
    if table::rows(lines) > 0 {
        return None;
    }
    source().then_some(Run::Nested)
}

/// Returns whether these lines together are a program. What stands in comments and long texts is not asked where there
/// is much of it.
pub(super) fn is_source(lines: &[Line]) -> bool {
    let code = |lines: &[&Line]| lines.iter().filter(|line| is_code(line.content())).count();
    let defines = lines.iter().filter(|line| DEFINES.is_match(line.content())).count();
    let share = |count: usize, of: usize, percent: usize| count * 100 >= of * percent;
    let is_program = |lines: &[&Line], code: usize| {
        let share = |count: usize, percent: usize| share(count, lines.len(), percent);
        share(code, 55) && defines > 0
            || share(code, 75)
            || share(code, 30) && defines >= 4 && share(defines, 4)
    };
    let all: Vec<&Line> = lines.iter().collect();
    let own = code(&all);
    let script = lines[0].text.starts_with("#!");
    if is_program(&all, own) {
        return true;
    }
    // As in SQL, which defines nothing with the words of others.
    let dashes = || share(own, all.len(), 30) && lines.iter().any(|line| line.content().starts_with("--"));
    if defines < 2 && !script && !dashes() {
        return false;
    }
    let all = multiline::without_texts(lines);
    let own = code(&all);
    all.len() >= FEW && (is_program(&all, own) || script && share(own, all.len(), 30))
}

/// Returns whether these lines are numbered consecutively, and are not rows of a table whose first column counts them.
fn are_counted(lines: &[Line]) -> bool {
    let number = |line: &Line| {
        let digits = line.text.trim_start();
        let end = digits.bytes().take_while(u8::is_ascii_digit).count();
        digits[..end].parse::<usize>().ok()
    };
    let next = |pair: &&[Line]| number(&pair[0]).is_some_and(|first| number(&pair[1]) == Some(first + 1));
    let counted = lines.windows(2).filter(next).count();
    let cells = lines
        .iter()
        .filter(|line| {
            let tabs = line.text.matches('\t').count() > 2 && !line.text.contains("\t\t");
            tabs || line.text.matches(" | ").count() > 1
        })
        .count();
    counted * 10 >= (lines.len() - 1) * 7 && cells * 2 < lines.len()
}

/// Returns whether these lines are keys with values or others below them.
fn are_keys(lines: &[Line]) -> bool {
    let own = lines.iter().filter(|line| KEY.is_match(line.content())).count();
    let others = lines.iter().map(Line::content);
    let others =
        others.filter(|content| content.starts_with("- ") || content.starts_with('#') || *content == "---");
    let nested_or_lower = lines.iter().any(|line| line.indent > 0)
        || lines.iter().all(|line| {
            line.content().starts_with(|c: char| c.is_lowercase() || matches!(c, '#' | '-' | '"'))
        });
    let share = |count: usize, percent: usize| count * 100 >= lines.len() * percent;
    share(own + others.count(), 80) && share(own, 50) && nested_or_lower
}
