//! The assembly of kept units into text: slices of the original, in order, and nothing else.

use std::ops::Range;

use super::{Document, Prompt};
use crate::text::{Unit, fuses};

/// The separator of instruction, documents and question.
pub(crate) const JOIN: &str = "\n\n";

/// Byte ranges of `text` that remain when the units are kept for which `kept` says so: sorted and not
/// touching each other.
///
/// A unit brings its own leading whitespace. After a gap it may need more than that: where the gap held a
/// line break, the last one is kept in place of a plain space, and where two words would run together, one
/// separating character of the gap is kept, or the whole gap if it has none.
pub(crate) fn kept_ranges(text: &str, units: &[Unit], kept: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut push = |range: Range<usize>| match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ if range.is_empty() => {}
        _ => ranges.push(range),
    };
    let mut previous: Option<usize> = None;
    for (i, unit) in units.iter().enumerate().filter(|&(i, _)| kept(i)) {
        match previous {
            _ if i == 0 => push(unit.range.clone()),
            None => push(unit.core.start..unit.range.end),
            Some(before) if before + 1 == i => push(unit.range.clone()),
            Some(before) => {
                let (separator, own) = after_gap(text, &units[before + 1..i], unit);
                push(separator);
                push(own);
            }
        }
        previous = Some(i);
    }
    ranges
}

/// Returns the kept ranges of a gap, the units in `dropped`, and of the unit that follows it.
fn after_gap(text: &str, dropped: &[Unit], unit: &Unit) -> (Range<usize>, Range<usize>) {
    let start = dropped.first().map_or(unit.range.start, |first| first.range.start);
    let own_space = &text[unit.range.start..unit.core.start];
    // Separators are looked for between words alone: a protected span is dropped with all that is in it.
    if !own_space.contains('\n')
        && let Some(line_break) = last_space(text, dropped, |c| c == '\n')
    {
        return (line_break, unit.core.start..unit.range.end);
    }
    if own_space.is_empty() && fuses(&text[..start], &text[unit.core.start..unit.range.end]) {
        let mark = |unit: &&Unit| text[unit.core.clone()].chars().all(|c| c.is_ascii_punctuation());
        let mark = || dropped.iter().rfind(mark).map(|unit| unit.core.clone());
        let separator = last_space(text, dropped, char::is_whitespace).or_else(mark);
        return (separator.unwrap_or(start..unit.range.start), unit.range.clone());
    }
    (start..start, unit.range.clone())
}

/// The last `wanted` character of the white space before the units. A carriage return and its line feed are one.
fn last_space(text: &str, units: &[Unit], wanted: fn(char) -> bool) -> Option<Range<usize>> {
    units.iter().rev().find_map(|unit| {
        let space = &text[unit.range.start..unit.core.start];
        let (at, c) = space.char_indices().rfind(|&(_, c)| wanted(c))?;
        let from = if c == '\n' && space[..at].ends_with('\r') { at - 1 } else { at };
        Some(unit.range.start + from..unit.range.start + at + c.len_utf8())
    })
}

/// The text of some byte ranges.
pub(crate) fn slices(text: &str, ranges: &[Range<usize>]) -> String {
    ranges.iter().map(|range| &text[range.clone()]).collect()
}

/// Returns the heading before a document's text in the prompt.
pub(crate) fn heading(document: &Document) -> String {
    document
        .title
        .as_ref()
        .filter(|title| !title.is_empty())
        .map_or_else(String::new, |title| format!("{title}\n"))
}

/// A document as it stands in the prompt.
pub(crate) fn render_document(document: &Document, text: &str) -> String {
    heading(document) + text
}

/// The prompt with the given document texts; documents of which nothing is left are left out.
pub(crate) fn render<'a>(prompt: &Prompt, texts: impl Iterator<Item = (&'a Document, String)>) -> String {
    let documents =
        texts.filter(|(_, text)| !text.is_empty()).map(|(document, text)| render_document(document, &text));
    let parts = std::iter::once(prompt.instruction.clone())
        .chain(documents)
        .chain(std::iter::once(prompt.question.clone()))
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(JOIN)
}

/// The prompt as it was sent.
pub(crate) fn render_original(prompt: &Prompt) -> String {
    render(prompt, prompt.documents.iter().map(|document| (document, document.text.clone())))
}
