//! Puts segments together.

use std::ops::Range;

use super::lines::Line;
use super::{Segment, SegmentKind};

/// The segments of a text so far.
pub(super) struct Builder<'t> {
    pub(super) text: &'t str,
    pub(super) segments: Vec<Segment>,
}

/// The surroundings of a part of a text: the context and needs of all segments in the part.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    pub(super) context: Vec<Range<usize>>,
    pub(super) needs: Vec<usize>,
}

impl Around {
    /// Returns the surroundings of what stands under the segment `number`, which is the bytes `range`.
    pub(super) fn under(&self, number: usize, range: Range<usize>) -> Self {
        let mut inner = self.clone();
        inner.needs.push(number);
        inner.context.push(range);
        inner
    }
}

impl Builder<'_> {
    /// Adds a segment; gives its number.
    pub(super) fn push(&mut self, range: Range<usize>, kind: SegmentKind, around: &Around) -> usize {
        let Around { context, needs } = around.clone();
        let range = self.start_of(&range)..range.end;
        self.segments.push(Segment { range, kind, context, needs, worth: 1.0 });
        self.segments.len() - 1
    }

    /// Returns where a segment begins that follows the last one: white space alone is no segment and goes with it.
    fn start_of(&mut self, range: &Range<usize>) -> usize {
        let blank = |last: &mut Segment| {
            last.range.end == range.start && self.text[last.range.clone()].trim().is_empty()
        };
        self.segments.pop_if(blank).map_or(range.start, |last| last.range.start)
    }

    /// Adds a line as a segment.
    pub(super) fn push_line(&mut self, line: &Line, around: &Around) -> usize {
        self.push(line.range.clone(), SegmentKind::Line, around)
    }

    /// Makes `segment` need another one, whose text is its context.
    pub(super) fn need(&mut self, segment: usize, needed: usize) {
        if segment != needed && !self.segments[segment].needs.contains(&needed) {
            self.segments[segment].needs.push(needed);
        }
    }

    /// Makes `segment` need a segment around it, whose text is its context as well.
    pub(super) fn put_under(&mut self, segment: usize, parent: usize) {
        let context = self.segments[parent].context.clone();
        let own = self.segments[parent].range.clone();
        self.need(segment, parent);
        let segment = &mut self.segments[segment];
        if !segment.context.contains(&own) {
            segment.context = context;
            segment.context.push(own);
            // The outermost and the nearest tell most.
            while segment.context.len() > MOST_CONTEXT {
                segment.context.remove(1);
            }
        }
    }

    /// Makes two segments need each other.
    pub(super) fn tie(&mut self, a: usize, b: usize) {
        self.need(a, b);
        self.need(b, a);
    }
}

/// Most parts of a context.
const MOST_CONTEXT: usize = 6;
