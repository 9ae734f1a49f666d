//! Lists: items under the items, headings and sentences around them, and the numbered paragraphs of laws and contracts.

use std::ops::Range;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::item::{Style, announces, goes_on, has_colon, mark, runs_on};
use super::lines::Line;
use super::reads::ends_sentence;
use crate::text::sentences;

/// Fewest items of a list that goes by its items.
const FEW: usize = 2;
/// Bytes of an item that is kept or dropped whole, and of a sentence that leads into items.
pub(super) const SHORT_ITEM: usize = 400;
/// Fewest sentences and bytes of a shorter item that goes by its sentences.
const FEW_SENTENCES: usize = 3;
const BRIEF_ITEM: usize = 120;
/// Bytes of a first sentence that the others of its item come with.
const BRIEF_LEAD: usize = 48;
/// Bytes of a line that is as full as lines of wrapped text are.
const FULL_LINE: usize = 50;

/// Most bytes and words of a line that is the title of the list below it.
const LONGEST_TITLE: usize = 40;
const MOST_WORDS: usize = 4;

/// Lines in which the second item of a list is looked for.
const NEAR: usize = 50;

/// A list in a text.
#[derive(Debug)]
pub(super) struct List {
    pub(super) lines: Range<usize>,
    /// Set if the sentence above it leads into its first items.
    pub(super) led: bool,
    /// Set if some items stand under others by their indentation.
    nested: bool,
}

fn style(line: &Line) -> Option<Style> {
    mark(line.content()).map(|(style, _)| style)
}

/// Returns whether a line begins with the mark of an item.
pub(super) fn is_item(line: &Line) -> bool {
    style(line).is_some()
}

/// Returns the lists of several levels, those that a sentence or an item leads into, and numbered paragraphs.
pub(super) fn lists(lines: &[Line]) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(first) = style(&lines[at]) else {
            at += 1;
            continue;
        };
        let end = end_of(lines, at);
        let items: Vec<(usize, Style)> =
            (at..end).filter_map(|line| Some((line, style(&lines[line])?))).collect();
        let nested =
            items.len() >= FEW && items.iter().any(|&(line, _)| lines[line].indent > lines[at].indent + 1);
        let numbered = items.iter().filter(|(line, style)| style.is_legal() && begins(lines, *line));
        let numbered = numbered.take(FEW).count() == FEW;
        let led = at > 0
            && lists.last().is_none_or(|list| list.lines.end < at)
            && (leads(&lines[at - 1], &lines[at..end], first)
                || is_title(&lines[..at], &lines[at..end], first));
        let leads = |pair: &[(usize, Style)]| {
            let ((_, above), (line, own)) = (pair[0], pair[1]);
            above != own && leads(&lines[line - 1], &lines[line..end], own)
        };
        if nested || numbered || led || items.windows(2).any(leads) {
            lists.push(List { lines: at..end, led, nested });
        }
        at = end;
    }
    lists
}

/// Returns whether a line begins something, and is not in the middle of a wrapped sentence by chance.
fn begins(lines: &[Line], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &lines[before]) else { return true };
    before.gap || before.text.len() < FULL_LINE || !runs_on(before.text) || goes_on(before.text)
}

/// The end of the lines that may belong to the list that begins at line `at`.
fn end_of(lines: &[Line], at: usize) -> usize {
    let outer = lines[at].indent;
    let mut end = at + 1;
    while end < lines.len() {
        let (line, before) = (&lines[end], &lines[end - 1]);
        let item = line.indent == outer && style(line).is_some();
        if !(line.indent > outer || item || continues(before, line)) {
            break;
        }
        end += 1;
    }
    end
}

/// Returns whether a line goes on with the sentence of the line before it.
fn continues(before: &Line, line: &Line) -> bool {
    let open = !before.gap && (runs_on(before.text) || goes_on(before.text));
    let starts_small = line.content().starts_with(char::is_lowercase);
    open && style(line).is_none()
        && (starts_small || before.text.len() >= FULL_LINE && !line.text.starts_with(['#', '>', '|']))
}

/// Returns whether the line `before` a list leads into its items, of which the first has the style `first`.
fn leads(before: &Line, list: &[Line], first: Style) -> bool {
    if before.text.starts_with(['#', '>', '|']) {
        return false;
    }
    let near = list.iter().take(NEAR).filter(|line| line.indent == list[0].indent);
    let alike = near.filter(|line| style(line) == Some(first));
    let (many, deeper) = (alike.take(FEW).count() == FEW, list[0].indent > before.indent);
    if has_colon(before.text) {
        return many || deeper;
    }
    // A plus before lines of a program adds.
    if before.gap || !many || first == Style::Bullet('+') {
        return false;
    }
    let last = list[1..].iter().take(NEAR).position(|line| style(line).is_some()).unwrap_or_default();
    // A full line of wrapped text may be followed by one that begins with a number by chance.
    let wrapped = before.text.len() >= FULL_LINE && !matches!(first, Style::Bullet(_));
    let part = || goes_on(list[last].text) || !wrapped && is_part(list[0].content(), list[last].text);
    announces(before.text) || runs_on(before.text) && (deeper || part())
}

/// Returns whether the last of the lines `before` a list of bullets is its title: a few words behind a blank line.
fn is_title(before: &[Line], list: &[Line], first: Style) -> bool {
    let [above @ .., title] = before else { return false };
    // A dash may go on with a sentence.
    let goes_on = || {
        let said = mark(list[0].content()).map_or("", |(_, length)| list[0].content()[length..].trim_start());
        said.starts_with(char::is_lowercase) && list.iter().filter(|line| is_item(line)).count() < FEW
    };
    matches!(first, Style::Bullet('-' | '*' | '•'))
        && !title.gap
        && above.last().is_none_or(|above| above.gap)
        && title.text.len() <= LONGEST_TITLE
        && title.text.starts_with(char::is_uppercase)
        && title.text.ends_with(char::is_alphanumeric)
        && title.text.split(' ').count() <= MOST_WORDS
        && !goes_on()
}

/// Returns whether an item is a part of a sentence: it begins small, or goes on behind its `end`.
fn is_part(first: &str, end: &str) -> bool {
    let said = mark(first).map_or("", |(_, length)| first[length..].trim_start());
    said.starts_with(char::is_lowercase) || goes_on(end)
}

/// Returns whether `line` ends the sentence that the items above it are parts of, of which the last begins with `item`.
fn is_tail(item: &Line, before: &Line, line: &Line) -> bool {
    let short = before.text.len() < FULL_LINE && goes_on(before.text);
    line.content().starts_with(char::is_lowercase)
        && (line.indent < item.indent || line.indent == item.indent && short)
}

/// An item that is open.
struct Open {
    indent: usize,
    style: Style,
    number: usize,
    /// Set if its text names by a colon what stands below it.
    names: bool,
    /// Set if its text names what stands below it, or goes on with that.
    leads: bool,
}

/// Returns whether a line with an indentation and a mark stands under the last of the items that are `open`.
fn is_under(open: &[Open], indent: usize, own: Option<Style>) -> bool {
    let Some(above) = open.last() else { return true };
    let Some(own) = own else { return above.leads && above.indent <= indent };
    let mut beside = open.iter().rev().take_while(|above| above.indent == indent);
    let bullets = matches!((above.style, own), (Style::Bullet(_), Style::Bullet(_)));
    above.indent < indent
        || above.indent == indent && above.leads && !bullets && beside.all(|above| above.style != own)
}

/// The sentence that leads into a list, and the headings that the list stands under.
pub(super) struct Above<'h> {
    pub(super) lead: Option<usize>,
    pub(super) headings: &'h [usize],
}

/// Adds the items of a list: each needs those that it stands under, and the outermost ones what stands above the list.
pub(super) fn list(list: &List, lines: &[Line], above: &Above, builder: &mut Builder, around: &Around) {
    let lines = &lines[list.lines.clone()];
    let (first, outer) = (style(&lines[0]), lines[0].indent);
    // Items that are open, the outermost first.
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (indent, own) = (lines[at].indent, style(&lines[at]));
        let ends = |next: usize| {
            style(&lines[next]).is_some() || is_tail(&lines[at], &lines[next - 1], &lines[next])
        };
        let end = (at + 1..lines.len()).find(|&next| ends(next)).unwrap_or(lines.len());
        while !is_under(&open, indent, own) {
            open.pop();
        }
        let text = lines[end - 1].text;
        let range = lines[at].range.start..lines[end - 1].range.end;
        // What stands under an item needs all of it.
        let is_last = own.is_some() && lines.get(end).is_none_or(|next| next.indent <= indent);
        let number = match prose_of(builder.text, &range).filter(|_| is_last) {
            Some(parts) => prose_item(&parts, builder, around),
            None => item(range, list, builder, around),
        };
        let lead = above.lead.filter(|_| own.is_none() || indent == outer && own == first);
        if let Some(parent) = open.last().map(|above| above.number).or(lead) {
            let end = if list.nested { builder.segments.len() } else { number + 1 };
            (number..end).for_each(|part| builder.put_under(part, parent));
            if own.is_none() {
                builder.need(parent, number);
            }
        } else if list.nested {
            above.headings.iter().for_each(|&heading| builder.need(number, heading));
        }
        let part = |above: &Open| {
            above.indent == indent
                || goes_on(text)
                || above.style.is_legal() && is_part(lines[at].content(), text)
        };
        if let Some(above) = open.last().filter(|above| above.names || above.leads && part(above)) {
            builder.segments[above.number].kind = SegmentKind::Parent;
        }
        if let Some(style) = own {
            let names = has_colon(text);
            open.push(Open { indent, style, number, names, leads: names || runs_on(text) && !goes_on(text) });
        }
        at = end;
    }
}

/// The sentences of an item that is no longer than others but prose of several ones.
fn prose_of(text: &str, range: &Range<usize>) -> Option<Vec<Range<usize>>> {
    if !(BRIEF_ITEM..=SHORT_ITEM).contains(&range.len()) {
        return None;
    }
    let moved = |own: Range<usize>| own.start + range.start..own.end + range.start;
    let parts: Vec<_> = sentences(&text[range.clone()]).into_iter().map(moved).collect();
    let ends = |part: &Range<usize>| ends_sentence(text[part.clone()].trim_end());
    (parts.len() >= FEW_SENTENCES && parts.iter().all(ends)).then_some(parts)
}

/// Adds the sentences of an item, of which all need its mark: with the first sentence where that is short, else alone.
/// Gives the number of what they need.
fn prose_item(parts: &[Range<usize>], builder: &mut Builder, around: &Around) -> usize {
    let (first, others) = (parts[0].clone(), &parts[1..]);
    if first.len() <= BRIEF_LEAD {
        let lead = builder.push(first, SegmentKind::Line, around);
        push_said(others, lead, builder, around);
        return lead;
    }
    let own = &builder.text[first.clone()];
    let content = own.trim_start();
    let rest = mark(content).map_or(content, |(_, length)| content[length..].trim_start());
    let begins = first.end - rest.len();
    let number = builder.push(first.start..begins, SegmentKind::Parent, around);
    let said: Vec<_> = std::iter::once(begins..first.end).chain(others.iter().cloned()).collect();
    push_said(&said, number, builder, around);
    number
}

/// Adds sentences that need `lead`.
fn push_said(parts: &[Range<usize>], lead: usize, builder: &mut Builder, around: &Around) {
    for part in parts {
        let said = builder.push(part.clone(), SegmentKind::Said, around);
        builder.put_under(said, lead);
    }
}

/// Adds an item, a long one by its sentences; gives the number of the first. In a list of several levels all need that
/// one, but the further sentences of a numbered paragraph can be read without it.
fn item(range: Range<usize>, list: &List, builder: &mut Builder, around: &Around) -> usize {
    if range.len() <= SHORT_ITEM {
        return builder.push(range, SegmentKind::Line, around);
    }
    let whole = list.nested;
    let mut first = None;
    for sentence in sentences(&builder.text[range.clone()]) {
        let own = range.start + sentence.start..range.start + sentence.end;
        let short = own.len() <= SHORT_ITEM;
        let Some(first) = first else {
            let kind = if whole || short { SegmentKind::Line } else { SegmentKind::Sentence };
            first = Some(builder.push(own, kind, around));
            continue;
        };
        let number = builder.push(own, if whole { SegmentKind::Said } else { SegmentKind::Sentence }, around);
        if whole {
            builder.put_under(number, first);
        }
    }
    first.unwrap_or_else(|| builder.push(range, SegmentKind::Line, around))
}
