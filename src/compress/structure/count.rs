//! The numbers of what is left out: what marks say, and what a result says as a whole.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Structure;
use crate::text::{Mark, Noun, SegmentKind, Unit};

impl Structure {
    /// Returns what counts a segment that begins at `start`: the end of an element or of a fence is a line where it has
    /// one of its own.
    fn noun(&self, text: &str, segment: usize, start: usize) -> Option<Noun> {
        let kind = self.segments[segment].kind;
        let before = text[..start].trim_end_matches([' ', '\t']);
        let ends = kind == SegmentKind::Tag && !self.shells.is_shell[segment];
        if ends && (before.is_empty() || before.ends_with('\n')) { Some(Noun::Lines) } else { kind.noun() }
    }

    /// Returns whether a segment that begins at `start` is the rest of a line with a blob, whose beginning counts already.
    fn goes_on_behind_blob(&self, text: &str, segment: usize, start: usize) -> bool {
        let Some(before) = segment.checked_sub(1).map(|before| &self.segments[before]) else { return false };
        before.kind == SegmentKind::Blob && !text[before.range.start..start].contains('\n')
    }

    /// Returns whether a segment lies in JSON, and whether all of that value is in `gap` among other things than JSON, so
    /// that a mark may stand for its lines.
    fn json(&self, segment: usize, gap: &Range<usize>) -> (bool, bool) {
        let value = self.shells.values[segment].clone();
        let inside = |segment: usize| {
            let members = &self.members[segment];
            members.is_empty() || gap.start <= members.start && members.end <= gap.end
        };
        let whole = !value.is_empty() && inside(value.start) && inside(value.end - 1);
        (!value.is_empty(), whole && self.is_mixed)
    }

    /// The mark for units that are left out one after the other, and the unit in whose place it stands. None where
    /// they are prose or JSON. Rows and turns are counted where nothing but those is left out, and lines where other
    /// things are as well: all that are gone, also those of prose.
    pub(in crate::compress) fn mark(
        &self,
        text: &str,
        units: &[Unit],
        gap: Range<usize>,
    ) -> Option<(usize, Mark)> {
        let mut counts: BTreeMap<Noun, usize> = BTreeMap::new();
        let (mut place, mut at) = (None, gap.start);
        // Whether prose is left out as well, and parts of what is neither a row nor a turn.
        let (mut prose, mut others) = (false, false);
        while at < gap.end {
            let own = self.of[at].start;
            let members = &self.members[own];
            let end = members.end.min(gap.end).max(at + 1);
            let range = units[at].core.start..units[end - 1].core.end;
            let kind = self.segments[own].kind;
            let (is_json, is_whole_json) = self.json(own, &gap);
            let noun = match self.noun(text, own, range.start) {
                _ if is_whole_json => Some(Noun::Lines),
                _ if is_json => None,
                // A piece of a long line is no line.
                Some(_) if members.len() > 1 && (at > members.start || end < members.end) => {
                    Some(Noun::Bytes)
                }
                noun => noun,
            };
            prose |= kind.goes_by_words() || kind == SegmentKind::Heading;
            others |= noun.is_none() && !is_json;
            if let Some(noun) = noun.filter(|_| !self.goes_on_behind_blob(text, own, range.start)) {
                *counts.entry(noun).or_default() += if noun == Noun::Bytes { range.len() } else { 1 };
                place = place.or(Some(at));
            }
            at = end;
        }
        if counts.len() > 1 {
            counts.remove(&Noun::Bytes);
        }
        let mark = match (counts.len(), counts.first_key_value()) {
            (1, Some((&noun @ Noun::Bytes, &count))) => Mark::new(count, noun),
            (1, Some((&noun @ Noun::Rows, &count))) if !others => Mark::new(count, noun),
            (1, Some((&noun @ Noun::Turns, &count))) if !prose => Mark::new(count, noun),
            _ => lines_mark(text, between(text, units, &gap)),
        };
        Some((place?, mark))
    }

    /// Returns the amounts that were left out, as the marks count them. A record within one that was left out does not
    /// count again, and of a list its elements count; JSON has no marks.
    pub(in crate::compress) fn left_out(
        &self,
        text: &str,
        units: &[Unit],
        kept: &[bool],
    ) -> BTreeMap<Noun, usize> {
        let mut counts = BTreeMap::new();
        let dropped = |segment: usize| {
            !self.members[segment].is_empty() && !self.members[segment].clone().any(|unit| kept[unit])
        };
        let mut at = 0;
        while at < kept.len() {
            let end = at + kept[at..].iter().take_while(|&&own| own == kept[at]).count();
            let gap = at..end;
            at = end;
            if kept[gap.start] {
                continue;
            }
            if let Some((_, mark)) = self.mark(text, units, gap.clone()) {
                *counts.entry(mark.noun).or_default() += mark.count;
            }
            let inside = self.of[gap.start].start..self.of[gap.end - 1].end;
            for number in inside.filter(|&number| dropped(number) && self.json(number, &gap) == (true, false))
            {
                let needs = &self.segments[number].needs;
                let inner = needs.iter().any(|&need| need < number && dropped(need));
                let (noun, count) = match self.segments[number].kind.noun() {
                    Some(Noun::Records) if !inner => (Noun::Records, self.elements(text, number)),
                    Some(Noun::Bytes) => (Noun::Bytes, self.segments[number].range.len()),
                    _ => continue,
                };
                *counts.entry(noun).or_default() += count;
            }
        }
        counts
    }

    /// Returns the number of records that a segment of JSON is: the elements of a list of objects or lists, else one.
    fn elements(&self, text: &str, segment: usize) -> usize {
        let own = text[self.segments[segment].range.clone()].trim();
        let held = if self.shells.is_shell[segment] && own.ends_with('[') {
            let ends = |&&end: &&usize| end > segment && self.segments[end].kind == SegmentKind::Tag;
            let end = self.segments[segment].needs.iter().filter(ends).max().copied().unwrap_or(segment + 1);
            (segment + 1..end).filter(|&inner| self.shells.within[inner] == Some(segment)).count()
        } else {
            listed(own)
        };
        held.max(1)
    }
}

/// The bytes between the units that a gap lies between.
fn between(text: &str, units: &[Unit], gap: &Range<usize>) -> Range<usize> {
    let start = gap.start.checked_sub(1).map_or(0, |before| units[before].core.end);
    start..units.get(gap.end).map_or(text.len(), |behind| behind.core.start)
}

/// `range` without the parts of lines at its ends whose other parts are outside.
fn whole_lines(text: &str, range: Range<usize>) -> Range<usize> {
    let blank = |c: char| c != '\n' && c.is_whitespace();
    let before = text[..range.start].trim_end_matches(blank);
    let behind = text[range.end..].trim_start_matches(blank);
    let own = &text[range.clone()];
    let start = if before.is_empty() || before.ends_with('\n') {
        range.start
    } else {
        own.find('\n').map_or(range.end, |at| range.start + at + 1)
    };
    let end = if behind.is_empty() || behind.starts_with('\n') {
        range.end
    } else {
        own.rfind('\n').map_or(range.start, |at| range.start + at + 1)
    };
    start..end.max(start)
}

fn non_blank(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

/// The mark for the lines that are gone with `range`; where there are none, but parts of lines, for its bytes.
fn lines_mark(text: &str, range: Range<usize>) -> Mark {
    match non_blank(&text[whole_lines(text, range.clone())]) {
        0 => Mark::new(text[range].trim().len().max(1), Noun::Bytes),
        count => Mark::new(count, Noun::Lines),
    }
}

/// Returns the number of objects and lists in a list of JSON, with its key or without; 0 where it is no list.
fn listed(json: &str) -> usize {
    let (mut depth, mut quoted, mut escaped, mut count) = (0_usize, false, false, 0);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                if depth == 0 && byte == b'{' {
                    return 0;
                }
                count += usize::from(depth == 1);
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_lines_are_no_lines() {
        let text = "one two\nthree\n\nfour five\nsix";
        let of = |part: &str| {
            let start = text.find(part).unwrap();
            lines_mark(text, start..start + part.len())
        };
        assert_eq!(of("two\nthree\n\nfour"), Mark::new(1, Noun::Lines));
        assert_eq!(of("one two\nthree\n\nfour five\n"), Mark::new(3, Noun::Lines));
        assert_eq!(of("five"), Mark::new(4, Noun::Bytes));
        assert_eq!(of(text), Mark::new(4, Noun::Lines));
    }

    #[test]
    fn elements_of_a_list_count_and_members_do_not() {
        for (json, count) in [
            (r#""a":[{"b":"]"},{"c":[1]},{}],"#, 3),
            ("[[1,2],[3,4]]", 2),
            (r#"{"a":[{},{}]}"#, 0),
            (r#""a":["b","c"]"#, 0),
            (r#""[{":1"#, 0),
        ] {
            assert_eq!(listed(json), count, "{json}");
        }
    }
}
