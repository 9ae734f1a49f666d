//! Prose: sentences under their headings.

use super::builder::{Around, Builder};
use super::commands::is_command;
use super::labels::sentences_under_labels;
use super::lines::{Line, is_entry};
use super::lists::{self, Above, SHORT_ITEM};
use super::quotes::{Sources, attribution, is_quoted};
use super::reads::heading_level;
use super::{SegmentKind, headings, sections};

/// The level of the heading that the first of `lines` is; a longer one is text. One asterisk begins a heading of Org where
/// another stands below it.
fn level(lines: &[Line]) -> Option<usize> {
    let line = lines[0].text;
    let above_another =
        || line.starts_with("* ") && lines.get(1).is_some_and(|next| next.text.starts_with("** "));
    let org = || above_another().then_some(1);
    heading_level(line).or_else(org).filter(|_| line.len() <= headings::LONGEST)
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
    let (mut at, mut sources, mut lead) = (0, Sources::default(), None);
    while at < lines.len() {
        if let Some(level) = level(&lines[at..]) {
            headings::push(&lines[at..=at], level, headings, builder, around);
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
            level(&lines[next..]).is_none() && is_quoted(&lines[next]) == quoted && !is_own(lines, next)
        };
        let end = at + 1 + (at + 1..stop).take_while(goes_on).count();
        if quoted {
            sources.add(&lines[at..end], builder, &around);
            sources.end_quote(builder);
        } else {
            let named = if lines.get(end).is_some_and(is_quoted) { attribution(&lines[at..end]) } else { 0 };
            sentences_under_labels(&lines[at..end - named], lists::is_item, builder, &around);
            lead = lists
                .peek()
                .filter(|list| list.led && list.lines.start == end)
                .and_then(|_| lead_in(builder));
            if named > 0 {
                let range = lines[end - named].range.start..lines[end - 1].range.end;
                sources.open(builder.push(range, SegmentKind::Parent, &around), 1);
            }
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
