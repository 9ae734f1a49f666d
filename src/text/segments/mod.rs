//! Segments: what of a text is kept or dropped as a whole, whatever the kind of text.
//!
//! A text may hold prose, a table, a stack trace and a program one after the other: its kind is told for each part, by
//! the shape of its lines. A wrong guess costs little, for what is no line of something else goes by sentences, and
//! what is taken for something else still goes by whole lines.

mod prose;

use std::ops::Range;

use super::marks::Noun;

/// A part of a text that is kept or dropped as a whole; prose may be cut further, between its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Bytes of the text. The segments of a text follow each other and together are all of it.
    pub range: Range<usize>,
    /// What it is.
    pub kind: SegmentKind,
    /// Bytes of the text that tell what it belongs to: headings, the header of a table, the speaker, parent keys, the
    /// signature of the function around it. They are read with it where it is weighed, and are not a part of it.
    pub context: Vec<Range<usize>>,
    /// Numbers of segments without which it would say something else: they are kept wherever it is.
    pub needs: Vec<usize>,
    /// What it is worth apart from any question, 1 for the usual: less for blobs and repeats, more for what is rare
    /// among its like and for errors.
    pub worth: f32,
}

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// A sentence of prose.
    Sentence,
    /// A heading.
    Heading,
    /// Who speaks: `Ann:`.
    Speaker,
    /// What a speaker says, or a sentence of it.
    Turn,
    /// A line of a program, a log, a listing, a configuration or a diff.
    Line,
    /// A row of a table.
    Row,
    /// A record of JSON: an element of an array, or a member of an object.
    Record,
    /// A data URI, base64, a long number in hexadecimal.
    Blob,
}

impl SegmentKind {
    /// May words be left out of it?
    #[must_use]
    pub const fn goes_by_words(self) -> bool {
        matches!(self, Self::Sentence)
    }

    /// What a mark counts where it is left out; none where no mark is put.
    #[must_use]
    pub const fn noun(self) -> Option<Noun> {
        match self {
            Self::Sentence | Self::Heading | Self::Speaker => None,
            Self::Turn => Some(Noun::Turns),
            Self::Line => Some(Noun::Lines),
            Self::Row => Some(Noun::Rows),
            Self::Record => Some(Noun::Records),
            Self::Blob => Some(Noun::Bytes),
        }
    }
}

/// Cuts `text` into segments.
#[must_use]
pub fn segments(text: &str) -> Vec<Segment> {
    prose::segments(text)
}
