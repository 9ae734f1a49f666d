//! Prose: sentences.

use super::{Segment, SegmentKind};
use crate::text::sentences;

/// The sentences of `text`.
pub(super) fn segments(text: &str) -> Vec<Segment> {
    let segment = |range| Segment {
        range,
        kind: SegmentKind::Sentence,
        context: Vec::new(),
        needs: Vec::new(),
        worth: 1.0,
    };
    sentences(text).into_iter().map(segment).collect()
}
