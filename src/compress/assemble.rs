//! The assembly of kept units into text: slices of the original, in order, and nothing else.

use std::ops::Range;

use super::structure::Structure;
use super::{Document, Prompt};
use crate::text::{MarkStyle, Unit, is_terminal, would_merge};

/// The separator of instruction, documents and question.
pub(crate) const JOIN: &str = "\n\n";

/// The remaining parts of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Remains {
    /// Byte ranges of the text: sorted and not touching each other.
    pub(crate) ranges: Vec<Range<usize>>,
    /// Marks with the bytes of the text that they stand before.
    pub(crate) marks: Vec<(usize, String)>,
}

impl Remains {
    fn push(&mut self, range: Range<usize>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.ranges.push(range),
        }
    }

    /// Returns the remaining text with its marks.
    pub(crate) fn text(&self, text: &str) -> String {
        let (mut out, mut marks) = (String::new(), self.marks.iter().peekable());
        for range in &self.ranges {
            let mut at = range.start;
            while let Some((place, mark)) = marks.next_if(|(place, _)| *place <= range.end) {
                let place = (*place).max(at);
                out += &text[at..place];
                out += mark;
                at = place;
            }
            out += &text[at..range.end];
        }
        marks.for_each(|(_, mark)| out += mark);
        out
    }
}

/// Returns the remaining parts of `text`, given the units that `kept` selects. `style` is that of the marks; none
/// where there are to be none.
///
/// A unit brings its own leading whitespace. After a gap it may need more than that: where the gap held a
/// line break, the last one is kept in place of a plain space, and where two words would run together, one
/// separating character of the gap is kept, or the whole gap if it has none. A mark stands in its gap as the first
/// line that was left out would, behind the same line break and indentation.
pub(super) fn remains(
    text: &str,
    units: &[Unit],
    (structure, style): (&Structure, Option<MarkStyle>),
    kept: impl Fn(usize) -> bool,
) -> Remains {
    let mut remains = Remains::default();
    let mut previous: Option<usize> = None;
    let own: Vec<usize> = (0..units.len()).filter(|&i| kept(i)).collect();
    for (place, &i) in own.iter().enumerate() {
        let unit = &units[i];
        let next = own.get(place + 1).copied();
        let gap = previous.map_or(0, |before| before + 1)..i;
        let core = unit.core.start
            ..end(
                text,
                unit,
                next.map(|next| &units[next]).filter(|_| {
                    next.is_some_and(|next| structure.closes(next, &text[units[next].core.clone()]))
                }),
            );
        let marked = style
            .filter(|_| !gap.is_empty())
            .and_then(|style| put_mark(text, units, structure, style, gap.clone(), &mut remains));
        if let Some(mark) = marked {
            // White space at the end of the last line that was left out went with it.
            let space = &text[unit.range.start..unit.core.start];
            let line = space.trim_start_matches([' ', '\t']);
            let from = match line.rfind('\n') {
                // No blank line stands at the beginning of a result, be it below a mark.
                Some(last) if previous.is_none() => {
                    let last = last - usize::from(line[..last].ends_with('\r'));
                    unit.core.start - line[last..].len()
                }
                _ if line.starts_with(['\n', '\r']) => unit.core.start - line.len(),
                _ => unit.range.start,
            };
            let line_break = dropped_break(text, &units[mark + 1..i], unit);
            // Nor does the space before a word, where its line begins with that now.
            let from = if line_break.is_some() && !structure.is_whole(i) { unit.core.start } else { from };
            if let Some(line_break) = line_break {
                remains.push(line_break);
            }
            remains.push(from..core.end);
        } else if i == 0 || previous.is_some_and(|before| before + 1 == i) {
            remains.push(unit.range.start..core.end);
        } else if previous.is_none() {
            remains.push(line_start(text, unit, structure.is_whole(i))..core.end);
        } else if previous.is_some_and(|before| {
            let before_gap = &text[units[before].core.clone()];
            structure.opens_string(before, before_gap) || ["(", "[", "（"].contains(&before_gap)
        }) {
            remains.push(core);
        } else {
            let (separator, own) = after_gap(text, &units[gap], unit);
            remains.push(separator);
            remains.push(own.start..core.end);
        }
        previous = Some(i);
    }
    if let (Some(style), Some(last)) = (style, previous) {
        put_mark(text, units, structure, style, last + 1..units.len(), &mut remains);
    }
    remains
}

/// Puts the mark of a gap behind what remains so far, and the line break and indentation before it. Returns the unit in
/// whose place it stands.
fn put_mark(
    text: &str,
    units: &[Unit],
    structure: &Structure,
    style: MarkStyle,
    gap: Range<usize>,
    remains: &mut Remains,
) -> Option<usize> {
    let (place, mark) = structure.mark(text, units, gap)?;
    let unit = &units[place];
    let space = &text[unit.range.start..unit.core.start];
    let is_first = remains.ranges.is_empty() && remains.marks.is_empty();
    let line = |at: usize| match at {
        // No line break stands at the beginning of a result.
        at if is_first => at + 1,
        at => at - usize::from(space[..at].ends_with('\r')),
    };
    let from = unit.range.start + space.rfind('\n').map_or(0, line);
    remains.push(from..unit.core.start);
    remains.marks.push((unit.core.start, style.write(&mark)));
    Some(place)
}

/// The end of a unit, without its comma where what comes `next` closes the object or array.
fn end(text: &str, unit: &Unit, next: Option<&Unit>) -> usize {
    let ends = unit.range.end == unit.core.end && text[unit.core.clone()].ends_with(',');
    if next.is_some() && ends { unit.core.end - 1 } else { unit.range.end }
}

/// Returns the position where the first unit of a result begins: for a line, with its indentation.
fn line_start(text: &str, unit: &Unit, is_line: bool) -> usize {
    let space = &text[unit.range.start..unit.core.start];
    space.rfind('\n').filter(|_| is_line).map_or(unit.core.start, |at| unit.range.start + at + 1)
}

/// Returns the kept ranges of a gap, the units in `dropped`, and of the unit that follows it.
fn after_gap(text: &str, dropped: &[Unit], unit: &Unit) -> (Range<usize>, Range<usize>) {
    let start = dropped.first().map_or(unit.range.start, |first| first.range.start);
    let own_space = &text[unit.range.start..unit.core.start];
    // A mark that closes stands directly behind what is left before it, not on a line of its own.
    let closes = |c: char| {
        is_terminal(c) || matches!(c, ',' | ';' | ':' | ')' | '、' | '，' | '；' | '：' | '،' | '؛')
    };
    let mut chars = text[unit.core.clone()].chars();
    if own_space.is_empty() && chars.next().is_some_and(closes) && chars.next().is_none() {
        return (start..start, unit.range.clone());
    }
    // Separators are looked for between words alone: a protected span is dropped with all that is in it.
    if let Some(line_break) = dropped_break(text, dropped, unit) {
        return (line_break, unit.core.start..unit.range.end);
    }
    if own_space.is_empty() && would_merge(&text[..start], &text[unit.core.start..unit.range.end]) {
        let mark = |unit: &&Unit| text[unit.core.clone()].chars().all(|c| c.is_ascii_punctuation());
        let mark = || dropped.iter().rfind(mark).map(|unit| unit.core.clone());
        let separator = last_space(text, dropped, char::is_whitespace).or_else(mark);
        return (separator.unwrap_or(start..unit.range.start), unit.range.clone());
    }
    (start..start, unit.range.clone())
}

/// Returns the last line break among the units that were dropped before `unit`, where that has none of its own.
fn dropped_break(text: &str, dropped: &[Unit], unit: &Unit) -> Option<Range<usize>> {
    let own = &text[unit.range.start..unit.core.start];
    if own.contains('\n') { None } else { last_space(text, dropped, |c| c == '\n') }
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
