//! Segments: what of a text is kept or dropped as a whole, whatever the kind of text.
//!
//! A text may hold prose, a table, a stack trace and a program one after the other: its kind is told for each part, by
//! the shape of its lines. A wrong guess costs little, for what is no line of something else goes by sentences, and
//! what is taken for something else still goes by whole lines.

mod asciidoc;
mod blob;
mod blocks;
mod brackets;
mod builder;
mod captions;
mod columns;
mod commands;
mod diagnostic;
mod dialogue;
mod diff;
mod documents;
mod entries;
mod failures;
mod fences;
mod headings;
mod inner;
mod item;
mod joined;
mod labels;
mod lines;
mod listing;
mod lists;
mod literals;
mod markup;
mod multiline;
mod nested;
mod parts;
mod pod;
mod prose;
mod quotes;
mod reads;
mod records;
mod runs;
mod sections;
mod table;
mod trace;
mod worth;

use std::ops::Range;

use self::builder::{Around, Builder};
pub(crate) use self::lines::is_definition;
use self::parts::Parts;
use self::records::Fineness;
pub(crate) use self::table::row_label;
use super::marks::Noun;

/// A part of a text that is kept or dropped as a whole; prose may be cut further, between its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Bytes of the text. The segments of a text follow each other and together are all of it.
    pub range: Range<usize>,
    /// The kind of the segment.
    pub kind: SegmentKind,
    /// Bytes of the text that tell what it belongs to: headings, the header of a table, the speaker, parent keys, the
    /// signature of the function around it. They are read with it where it is weighed, and are not a part of it.
    pub context: Vec<Range<usize>>,
    /// Numbers of segments without which it would say something else: they are kept wherever it is.
    pub needs: Vec<usize>,
    /// The weight of the segment apart from any question, usually 1: less for blobs and repeats, more for errors and
    /// what is rare among its kind.
    pub worth: f32,
}

/// The kind of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// A sentence of prose.
    Sentence,
    /// A heading, or the label of what stands behind it on its line: `- NAME:`.
    Heading,
    /// The name of a speaker: `Ann:`.
    Speaker,
    /// A whole turn, with its speaker.
    Turn,
    /// A sentence of a longer turn, of a tag's content or of a string of JSON.
    Said,
    /// A line of a program, a log, a listing, a configuration or a diff.
    Line,
    /// A line that names what stands below it and says nothing by itself: `[section]`, a parent key. It comes with the
    /// lines that need it.
    Parent,
    /// A row of a table.
    Row,
    /// A row that names a table's columns, or the ruler below it. It comes with the rows that need it, never by itself.
    Header,
    /// A record of JSON: an element of an array, or a member of an object.
    Record,
    /// The end of a tag, a fence or a bracket: it goes with its opening.
    Tag,
    /// A data URI, base64, a long number in hexadecimal.
    Blob,
}

impl SegmentKind {
    /// Returns whether words may be left out of it.
    #[must_use]
    pub const fn goes_by_words(self) -> bool {
        matches!(self, Self::Sentence)
    }

    /// Returns what a mark counts where the segment is left out; `None` where it is not counted.
    #[must_use]
    pub const fn noun(self) -> Option<Noun> {
        match self {
            Self::Sentence | Self::Heading | Self::Said | Self::Tag | Self::Header => None,
            Self::Speaker | Self::Turn => Some(Noun::Turns),
            Self::Line | Self::Parent => Some(Noun::Lines),
            Self::Row => Some(Noun::Rows),
            Self::Record => Some(Noun::Records),
            Self::Blob => Some(Noun::Bytes),
        }
    }
}

/// Cuts `text` into segments. Time is linear in the text.
#[must_use]
pub fn segments(text: &str) -> Vec<Segment> {
    cut(text, Fineness::RECORDS)
}

/// [`segments`], but for JSON, whose records keep their shortest members alone: for budgets that have no room for a
/// record.
#[must_use]
pub fn core_segments(text: &str) -> Vec<Segment> {
    cut(text, Fineness::CORES)
}

/// [`segments`], but for JSON, of which every member may go by itself: for budgets that have no room for the shortest
/// members of a record.
#[must_use]
pub fn fine_segments(text: &str) -> Vec<Segment> {
    cut(text, Fineness::MEMBERS)
}

fn cut(text: &str, fineness: Fineness) -> Vec<Segment> {
    let mut builder = Builder { text, segments: Vec::new() };
    let lines = lines::lines(text, 0..text.len());
    if lines.is_empty() && !text.is_empty() {
        builder.push(0..text.len(), SegmentKind::Sentence, &Around::default());
    }
    Parts::new(&mut builder, fineness).cut(&lines, &Around::default(), 0);
    let mut segments = blob::cut_out(text, builder.segments, &blob::blobs(text));
    worth::weigh(text, &mut segments);
    segments
}

#[cfg(test)]
mod tests;
