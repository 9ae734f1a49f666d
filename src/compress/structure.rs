//! The structure of a document: words of prose, and whole segments of everything else with the segments that they
//! need.

mod count;
mod fragments;
mod headings;
mod items;
mod punctuation;

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use self::fragments::Fragments;
use self::headings::{Heading, headings};
use self::items::Marked;
use self::punctuation::Marks;
use super::constraints::touching;
use crate::text::{Granularity, Noun, Segment, SegmentKind, Unit, coarsened, is_terminal, units};

/// Longer lines, rows and turns are cut: one that is longer than any budget would be all or nothing.
const LONGEST_WHOLE: usize = 2000;
/// A gap of so few bytes is kept rather than marked: its mark would be longer.
pub(super) const SMALLER_THAN_A_MARK: usize = 20;

/// The units of one document, and the segments that they are parts of.
#[derive(Clone)]
pub(super) struct Structure {
    segments: Vec<Segment>,
    /// The segments of each unit: one, but for a unit of prose that reaches over several sentences.
    of: Vec<Range<usize>>,
    /// The units of each segment. A unit of prose that reaches over several sentences is one of each.
    members: Vec<Range<usize>>,
    /// The unit of each sentence that closes it, where others stand before it: its full stop. Without it, what is left of two
    /// sentences would read as one.
    stops: Vec<Option<usize>>,
    marks: Marks,
    fragments: Fragments,
    marked: Marked,
    headings: Vec<Heading>,
    shells: Shells,
    /// Set for each segment that heads others which need it, and is kept with those alone.
    heads: Vec<bool>,
    /// Set if other things than prose and JSON are counted where they are left out.
    is_mixed: bool,
}

impl Structure {
    /// Cuts `text`: prose into parts of `grain`, the other segments not at all. Protected spans over several segments
    /// tie those together, or are taken out of `spans` where commas and brackets keep the segments apart.
    pub(super) fn of(
        text: &str,
        mut segments: Vec<Segment>,
        spans: &mut Vec<Range<usize>>,
        granularity: Granularity,
    ) -> (Self, Vec<Unit>) {
        let items = items::find(text, &segments, spans);
        tie(text, &mut segments, spans);
        let mut cut: Vec<Unit> = Vec::new();
        let mut at = 0;
        while at < segments.len() {
            let by_words = segments[at].kind.goes_by_words();
            let end = at
                + 1
                + segments[at + 1..].iter().take_while(|next| by_words && next.kind.goes_by_words()).count();
            let range = segments[at].range.start..segments[end - 1].range.end;
            if by_words {
                cut.extend(cores(text, &range, spans, granularity));
            } else if is_too_long(&segments[at]) {
                cut.extend(cores(text, &range, spans, Granularity::Line));
            } else {
                cut.push(Unit { core: trimmed(text, range.clone()), range });
            }
            at = end;
        }
        let cut = close_up(text, cut);
        let of: Vec<_> = cut.iter().map(|unit| parts_of(&segments, &unit.core)).collect();
        let members: Vec<_> = segments.iter().map(|segment| touching(&cut, &segment.range)).collect();
        let stops = segments
            .iter()
            .zip(&members)
            .map(|(segment, members)| stop(text, segment, &cut, members))
            .collect();
        let (shells, heads) = (Shells::of(&segments), heads(&segments));
        let counted =
            |segment: &Segment| !matches!(segment.kind.noun(), None | Some(Noun::Records | Noun::Bytes));
        let is_mixed = segments.iter().any(counted);
        let marks = Marks::of(text, &cut, &segments, &of);
        let marked = Marked::of(&cut, &items);
        let fragments = Fragments::of((text, &segments), (&cut, &marked), &members, &of);
        let headings = headings(text, &segments);
        (
            Self {
                segments,
                of,
                members,
                stops,
                marks,
                fragments,
                marked,
                headings,
                shells,
                heads,
                is_mixed,
            },
            cut,
        )
    }

    fn segment(&self, unit: usize) -> &Segment {
        &self.segments[self.of[unit].start]
    }

    /// Returns whether a unit is a whole segment of its own, or a piece of one that is not prose.
    pub(super) fn is_whole(&self, unit: usize) -> bool {
        !self.segment(unit).kind.goes_by_words()
    }

    /// Returns whether a unit is a row of a table.
    pub(super) fn is_row(&self, unit: usize) -> bool {
        self.segment(unit).kind == SegmentKind::Row
    }

    /// Returns whether a unit is a part of a table's header, which is kept with rows alone.
    fn is_header(&self, unit: usize) -> bool {
        self.segment(unit).kind == SegmentKind::Header
    }

    /// Returns whether a unit is kept only with others: a part of a table's header, a heading, a full stop, or the number
    /// of an item.
    pub(super) fn comes_with_others(&self, unit: usize) -> bool {
        let own = self.of[unit].start;
        self.is_header(unit) || self.heads[own] || self.stops[own] == Some(unit) || self.marked.is_mark(unit)
    }

    /// Lets headings be kept by themselves, where there is room for nothing else; not what begins something that ends, and
    /// no speaker, who would seem to have said nothing.
    pub(super) fn free_heads(&mut self) {
        let is_end = |&need: &usize| self.segments[need].kind == SegmentKind::Tag;
        for (head, segment) in self.heads.iter_mut().zip(&self.segments) {
            *head &= matches!(segment.kind, SegmentKind::Tag | SegmentKind::Speaker)
                || segment.needs.iter().any(is_end);
        }
    }

    /// Returns whether a unit is the ruler of a table, which the rows can be read without.
    pub(super) fn is_ruler(&self, unit: usize) -> bool {
        let own = self.of[unit].start;
        let needs = &self.segments[own].needs;
        let is_needed = |need: &usize| self.segments[*need].needs.contains(&own);
        self.is_header(unit) && !needs.is_empty() && !needs.iter().any(is_needed)
    }

    /// Adds the rulers of the headers that are kept.
    pub(super) fn keep_rulers(&self, kept: &mut [bool]) {
        for unit in (0..kept.len()).filter(|&unit| self.is_ruler(unit)) {
            let mut needed = self.segment(unit).needs.iter().flat_map(|&need| self.members[need].clone());
            kept[unit] |= needed.all(|unit| kept[unit]);
        }
    }

    /// Returns the worth of a unit apart from any question.
    pub(super) fn worth(&self, unit: usize) -> f32 {
        self.segment(unit).worth
    }

    /// Returns whether any part of the document is kept or dropped as a whole.
    pub(super) fn has_whole(&self) -> bool {
        self.segments.iter().any(|segment| !segment.kind.goes_by_words())
    }

    /// Returns whether a unit closes an object or array of JSON.
    pub(super) fn closes(&self, unit: usize, core: &str) -> bool {
        self.segment(unit).kind == SegmentKind::Tag && core.starts_with([']', '}', ')'])
    }

    /// Returns whether a unit opens or closes an object, array or string of JSON, and so is nothing without what that
    /// holds.
    pub(super) fn is_shell(&self, unit: usize) -> bool {
        self.shells.is_shell[self.of[unit].start]
    }

    /// Returns whether a unit opens a string of JSON.
    pub(super) fn opens_string(&self, unit: usize, core: &str) -> bool {
        self.is_shell(unit) && self.segment(unit).kind == SegmentKind::Record && core.ends_with('"')
    }

    /// Adds the first part of each object, array and string of JSON of which nothing but the brackets or quotes is kept:
    /// an empty one would be another value.
    pub(super) fn fill_shells(&self, kept: &mut [bool]) {
        if !self.shells.is_shell.contains(&true) {
            return;
        }
        let within = &self.shells.within;
        let is_kept = |segment: usize, kept: &[bool]| self.members[segment].clone().any(|unit| kept[unit]);
        let mut filled = vec![false; within.len()];
        for (segment, shell) in within.iter().enumerate() {
            if let Some(shell) = shell.filter(|_| is_kept(segment, kept)) {
                filled[shell] = true;
            }
        }
        for first in 1..within.len() {
            let Some(shell) = within[first].filter(|&shell| shell + 1 == first && !filled[shell]) else {
                continue;
            };
            if !is_kept(shell, kept) {
                continue;
            }
            for unit in self.members[first].clone() {
                self.close(unit, kept, |added| {
                    for segment in self.of[added].clone() {
                        if let Some(shell) = within[segment] {
                            filled[shell] = true;
                        }
                    }
                });
            }
        }
    }

    /// Returns whether a unit needs no other.
    pub(super) fn is_free(&self, unit: usize) -> bool {
        self.segments[self.of[unit].clone()].iter().all(|own| own.needs.is_empty())
    }

    /// Adds `unit` and the units that it needs, as far as they are not `taken`, to `closure`, and takes them.
    pub(super) fn close(&self, unit: usize, taken: &mut [bool], mut add: impl FnMut(usize)) {
        if std::mem::replace(&mut taken[unit], true) {
            return;
        }
        add(unit);
        for stop in self.of[unit].clone().filter_map(|own| self.stops[own]) {
            if !std::mem::replace(&mut taken[stop], true) {
                add(stop);
            }
        }
        let mut open: Vec<usize> = self.of[unit].clone().collect();
        let mut seen: BTreeSet<usize> = self.of[unit].clone().collect();
        // Units whose items may have a mark.
        let mut counted = vec![unit];
        loop {
            while let Some(unit) = counted.pop() {
                let Some(mark) = self.marked.mark(unit) else { continue };
                if !std::mem::replace(&mut taken[mark], true) {
                    add(mark);
                    counted.push(mark);
                    open.extend(self.of[mark].clone().filter(|&part| seen.insert(part)));
                }
            }
            let Some(segment) = open.pop() else { break };
            for &need in &self.segments[segment].needs {
                let fresh = |member: &usize| !std::mem::replace(&mut taken[*member], true);
                let fresh: Vec<usize> = self.members[need].clone().filter(fresh).collect();
                fresh.iter().copied().for_each(&mut add);
                // A segment of white space has no unit, but may stand between two that need each other.
                let parts = fresh.iter().flat_map(|&member| self.of[member].clone()).chain([need]);
                open.extend(parts.filter(|&part| seen.insert(part)));
                counted.extend(fresh);
            }
        }
    }

    /// Keeps gaps that are smaller than the marks that would stand for them.
    pub(super) fn keep_small_gaps(&self, text: &str, units: &[Unit], kept: &mut [bool]) {
        let mut at = 0;
        while at < kept.len() {
            let end = at + kept[at..].iter().take_while(|&&own| own == kept[at]).count();
            if !kept[at] && end - at <= 3 && (at > 0 || end < kept.len()) {
                self.keep_small_gap((text, units), kept, at..end);
            }
            at = end;
        }
    }

    fn keep_small_gap(&self, (text, units): (&str, &[Unit]), kept: &mut [bool], gap: Range<usize>) {
        let bytes: usize = units[gap.clone()].iter().map(|unit| unit.core.len()).sum();
        let marked = |unit: usize| self.segment(unit).kind.noun().is_some_and(|noun| noun != Noun::Records);
        let blank = |unit: &Unit| text[unit.core.clone()].bytes().all(|byte| byte.is_ascii_digit());
        if bytes > SMALLER_THAN_A_MARK || units[gap.clone()].iter().any(blank) || !gap.clone().all(marked) {
            return;
        }
        let there = |need: &usize| self.members[*need].clone().all(|unit| kept[unit] || gap.contains(&unit));
        if gap.clone().all(|unit| self.segment(unit).needs.iter().all(there)) {
            kept[gap].fill(true);
        }
    }
}

/// The last of several units of a sentence, if it is nothing but marks that end one.
fn stop(text: &str, segment: &Segment, units: &[Unit], members: &Range<usize>) -> Option<usize> {
    let last = members.end.checked_sub(1).filter(|&last| last > members.start)?;
    let core = &text[units[last].core.clone()];
    (segment.kind.goes_by_words() && core.chars().all(is_terminal)).then_some(last)
}

/// The openings and ends of objects, arrays and strings of JSON that hold other segments.
#[derive(Clone)]
struct Shells {
    /// Set for each segment that opens or ends one.
    is_shell: Vec<bool>,
    /// The opening of that which each segment lies directly in.
    within: Vec<Option<usize>>,
    /// The segments of the whole value of JSON that each segment is a part of; empty where it is of none.
    values: Vec<Range<usize>>,
}

impl Shells {
    fn of(segments: &[Segment]) -> Self {
        let mut shells = Self {
            is_shell: vec![false; segments.len()],
            within: Vec::with_capacity(segments.len()),
            values: Vec::with_capacity(segments.len()),
        };
        // Those that are open, each with its end.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut value = 0..0;
        for (number, segment) in segments.iter().enumerate() {
            if open.pop_if(|(_, end)| *end == number).is_some() {
                shells.within.push(None);
                shells.values.push(value.clone());
                continue;
            }
            if open.is_empty() {
                value = if segment.kind == SegmentKind::Record { number..number + 1 } else { 0..0 };
            }
            shells.within.push(open.last().map(|(opener, _)| *opener));
            let ends = |&&need: &&usize| {
                let end = &segments[need];
                need > number + 1 && end.kind == SegmentKind::Tag && end.needs.contains(&number)
            };
            if segment.kind == SegmentKind::Record
                && let Some(&end) = segment.needs.iter().find(ends)
            {
                (shells.is_shell[number], shells.is_shell[end]) = (true, true);
                if open.is_empty() {
                    value = number..end + 1;
                }
                open.push((number, end));
            }
            shells.values.push(value.clone());
        }
        shells
    }
}

/// Returns, for each segment, whether it is a heading, a parent or a speaker that another one needs, the row that heads a
/// section of a table, or ends what a parent begins.
fn heads(segments: &[Segment]) -> Vec<bool> {
    let mut heads = vec![false; segments.len()];
    for (number, segment) in segments.iter().enumerate() {
        for &need in &segment.needs {
            heads[need] |= match segments[need].kind {
                SegmentKind::Heading | SegmentKind::Parent | SegmentKind::Speaker => true,
                SegmentKind::Row => !segments[need].needs.contains(&number),
                _ => false,
            };
        }
    }
    for (number, segment) in
        segments.iter().enumerate().filter(|(_, segment)| segment.kind == SegmentKind::Tag)
    {
        heads[number] = segment.needs.iter().any(|&need| heads[need]);
    }
    heads
}

/// The segments that a unit lies in, at least one.
fn parts_of(segments: &[Segment], core: &Range<usize>) -> Range<usize> {
    let first = segments.partition_point(|segment| segment.range.end <= core.start);
    let first = first.min(segments.len().saturating_sub(1));
    let count = segments[first..].partition_point(|segment| segment.range.start < core.end);
    first..first + count.max(1)
}

fn is_too_long(segment: &Segment) -> bool {
    matches!(segment.kind, SegmentKind::Line | SegmentKind::Row | SegmentKind::Turn)
        && segment.range.len() > LONGEST_WHOLE
}

/// Ties the segments that a protected span lies in. In JSON there is none over a border, for it would tie every record to
/// the next, and none with the comma behind a member or element, which goes where nothing follows any more.
fn tie(text: &str, segments: &mut [Segment], spans: &mut Vec<Range<usize>>) {
    spans.retain_mut(|span| {
        let first = segments.partition_point(|segment| segment.range.end <= span.start);
        let count = segments[first..].partition_point(|segment| segment.range.start < span.end);
        let own = first..first + count;
        let json = |segment: &Segment| {
            matches!(
                segment.kind,
                SegmentKind::Record | SegmentKind::Tag | SegmentKind::Said | SegmentKind::Blob
            )
        };
        if segments[own.clone()].iter().any(json) {
            let is_last = text[span.end..segments[own.end - 1].range.end].trim().is_empty();
            span.end -= usize::from(is_last && text[span.clone()].ends_with(','));
            return count == 1 && span.start < span.end;
        }
        if count > 1 && !segments[own.clone()].iter().all(|segment| segment.kind.goes_by_words()) {
            for (a, b) in own.clone().zip(own.start + 1..own.end) {
                // What stands behind a label needs it already, and it does not stand alone.
                let is_label = segments[a].kind == SegmentKind::Heading && segments[b].needs.contains(&a);
                if !is_label {
                    segments[a].needs.push(b);
                    segments[b].needs.push(a);
                }
            }
        }
        true
    });
}

/// The parts of `grain` in `text[range]`, with the places that they have in `text`.
fn cores(text: &str, range: &Range<usize>, spans: &[Range<usize>], granularity: Granularity) -> Vec<Unit> {
    let first = spans.partition_point(|span| span.end <= range.start);
    let inside = spans[first..].iter().take_while(|span| span.start < range.end);
    let inside: Vec<Range<usize>> = inside
        .map(|span| span.start.max(range.start) - range.start..span.end.min(range.end) - range.start)
        .collect();
    let own = &text[range.clone()];
    let moved = |own: Range<usize>| own.start + range.start..own.end + range.start;
    let parts = coarsened(own, units(own, &inside), granularity).into_iter();
    parts.map(|unit| Unit { range: moved(unit.range), core: moved(unit.core) }).collect()
}

/// `range` without the white space at its ends, in whole graphemes.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let own = &text[range.clone()];
    let is_white = |g: &&str| g.trim().is_empty();
    let before: usize = own.graphemes(true).take_while(is_white).map(str::len).sum();
    let behind: usize = own.graphemes(true).rev().take_while(is_white).map(str::len).sum();
    if before == own.len() { range.start..range.start } else { range.start + before..range.end - behind }
}

/// Gives each unit the white space before it, and the last one that at the end.
fn close_up(text: &str, mut cut: Vec<Unit>) -> Vec<Unit> {
    if cut.iter().any(|unit| !unit.core.is_empty()) {
        cut.retain(|unit| !unit.core.is_empty());
    }
    let mut at = 0;
    for unit in &mut cut {
        unit.range = at..unit.core.end;
        at = unit.core.end;
    }
    if let Some(last) = cut.last_mut() {
        last.range.end = text.len();
    }
    cut
}
