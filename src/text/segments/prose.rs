//! Prose: sentences under their headings.

use super::builder::{Around, Builder};
use super::commands::is_command;
use super::lines::{Line, is_entry};
use super::lists::{self, Above, SHORT_ITEM};
use super::reads::heading_level;
use super::{SegmentKind, sections};
use crate::text::sentences;

/// Most bytes of a heading.
const LONGEST_HEADING: usize = 200;

/// The level of the heading that a line is; a longer one is text.
fn level(line: &str) -> Option<usize> {
    heading_level(line).filter(|_| line.len() <= LONGEST_HEADING)
}

/// Most bytes of the end of what stands above a quote, where it goes on from the line before.
const SHORT_END: usize = 24;

/// Returns the number of `lines` at their end that say whose the quote is that follows them: `On 3 May Ann wrote:`.
fn attribution(lines: &[Line]) -> usize {
    let [before @ .., last] = lines else { return 0 };
    if last.text.len() > LONGEST_HEADING || !last.text.ends_with([':', '：']) {
        return 0;
    }
    let goes_on = last.text.len() <= SHORT_END && before.last().is_some_and(|line| !line.gap);
    1 + usize::from(goes_on)
}

/// The surroundings of what stands under `headings`.
pub(super) fn under(headings: &[(usize, usize)], builder: &Builder, around: &Around) -> Around {
    let mut around = around.clone();
    around.context.extend(headings.iter().map(|&(_, heading)| builder.segments[heading].range.clone()));
    around
}

/// Adds the sentences of lines. `headings` are those that are open, and stay so for what follows.
pub(super) fn prose(
    lines: &[Line],
    headings: &mut Vec<(usize, usize)>,
    builder: &mut Builder,
    around: &Around,
) {
    let mut lists = lists::lists(lines).into_iter().peekable();
    let (mut at, mut source, mut lead) = (0, None, None);
    while at < lines.len() {
        if let Some(level) = level(lines[at].text) {
            let number = builder.push(lines[at].range.clone(), SegmentKind::Heading, around);
            headings.retain(|&(above, _)| above < level);
            headings.push((level, number));
            at += 1;
            continue;
        }
        let around = under(headings, builder, around);
        if let Some(list) = lists.next_if(|list| list.lines.start == at) {
            // The title of a text says less than the headings that tell its parts from each other.
            let nearest = headings.len().saturating_sub(1);
            let needed = headings.iter().enumerate().filter(|&(i, &(level, _))| level > 1 || i == nearest);
            let needed: Vec<usize> = needed.map(|(_, &(_, heading))| heading).collect();
            at = list.lines.end;
            let above = Above { lead: lead.take(), headings: &needed };
            lists::list(&list, lines, &above, builder, &around);
            continue;
        }
        if is_own(lines, at) {
            builder.push_line(&lines[at], &around);
            at += 1;
            continue;
        }
        let quoted = is_quoted(&lines[at]);
        let stop = lists.peek().map_or(lines.len(), |list| list.lines.start);
        let goes_on = |&next: &usize| {
            level(lines[next].text).is_none() && is_quoted(&lines[next]) == quoted && !is_own(lines, next)
        };
        let end = at + 1 + (at + 1..stop).take_while(goes_on).count();
        if quoted {
            for line in &lines[at..end] {
                let number = builder.push_line(line, &around);
                if let Some(source) = source {
                    builder.put_under(number, source);
                }
            }
            source = None;
        } else {
            let named = if lines.get(end).is_some_and(is_quoted) { attribution(&lines[at..end]) } else { 0 };
            sentence_segments(&lines[at..end - named], builder, &around);
            lead = lists
                .peek()
                .filter(|list| list.led && list.lines.start == end)
                .and_then(|_| lead_in(builder));
            source = (named > 0).then(|| {
                let range = lines[end - named].range.start..lines[end - 1].range.end;
                builder.push(range, SegmentKind::Parent, &around)
            });
        }
        at = end;
    }
}

/// Makes the last sentence one that leads into the list below it; none where it is too long to be kept with each item.
fn lead_in(builder: &mut Builder) -> Option<usize> {
    let number = builder.segments.len().checked_sub(1)?;
    let last = builder.segments.last_mut().filter(|last| last.range.len() <= SHORT_ITEM)?;
    last.kind = SegmentKind::Parent;
    Some(number)
}

/// Returns whether line `at` is no part of a sentence.
fn is_own(lines: &[Line], at: usize) -> bool {
    sections::is_parted(lines[at].text) || is_command(lines, at) || is_entry(lines[at].text)
}

fn is_quoted(line: &Line) -> bool {
    line.text.starts_with('>')
}

/// Adds the sentences of lines that are nothing else.
fn sentence_segments(lines: &[Line], builder: &mut Builder, around: &Around) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let range = first.range.start..last.range.end;
    for sentence in sentences(&builder.text[range.clone()]) {
        builder.push(range.start + sentence.start..range.start + sentence.end, SegmentKind::Sentence, around);
    }
}
