//! Headings of sections, without which what is kept of one would stand under the heading of another.

use super::Structure;
use crate::text::{Segment, SegmentKind, Unit};

/// The least bytes that are kept of a section for each byte of the heading that comes with them.
const WORTH_HEADING: usize = 2;

/// A heading of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heading {
    segment: usize,
    level: usize,
}

/// Finds the headings of a document.
pub(super) fn headings(text: &str, segments: &[Segment]) -> Vec<Heading> {
    let numbered = segments.iter().enumerate().filter(|(_, segment)| segment.kind == SegmentKind::Heading);
    let level = |segment: &Segment| {
        text[segment.range.clone()].trim_start().bytes().take_while(|&byte| byte == b'#').count()
    };
    numbered.map(|(number, segment)| Heading { segment: number, level: level(segment) }).collect()
}

impl Structure {
    /// Adds the heading of each section of which something is kept, where that would seem to stand under the heading of
    /// another section that is kept before it, and where it is short beside that.
    pub(in crate::compress) fn keep_headings(&self, units: &[Unit], kept: &mut [bool]) {
        // Headings that are open, and those that are open for a reader of what is kept.
        let (mut open, mut shown): (Vec<Heading>, Vec<Heading>) = (Vec::new(), Vec::new());
        for (i, &heading) in self.headings.iter().enumerate() {
            open_heading(&mut open, heading);
            if self.members[heading.segment].clone().any(|unit| kept[unit]) {
                open_heading(&mut shown, heading);
                continue;
            }
            let is_wrong = |shown: &&Heading| !open.iter().any(|open| open.segment == shown.segment);
            let Some(wrong) = shown.iter().find(is_wrong) else { continue };
            let Some(&needed) = open.iter().rfind(|open| open.level <= wrong.level) else { continue };
            let end = self.headings.get(i + 1).map_or(self.segments.len(), |next| next.segment);
            let inside = (heading.segment + 1..end).flat_map(|segment| self.members[segment].clone());
            let bytes: usize = inside.filter(|&unit| kept[unit]).map(|unit| units[unit].core.len()).sum();
            if bytes >= WORTH_HEADING * self.segments[needed.segment].range.len() {
                for unit in self.members[needed.segment].clone() {
                    self.close(unit, kept, |_| {});
                }
                open_heading(&mut shown, needed);
            }
        }
    }
}

/// Opens a heading in place of those that it ends.
fn open_heading(open: &mut Vec<Heading>, heading: Heading) {
    open.retain(|above| above.level < heading.level);
    open.push(heading);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Granularity, segments};

    /// Returns the headings that are added to what is kept: the segments that begin with one of `chosen`.
    fn added<'t>(text: &'t str, chosen: &[&str]) -> Vec<&'t str> {
        let (structure, units) = Structure::of(text, segments(text), &mut Vec::new(), Granularity::Sentence);
        let core = |unit: &Unit| &text[unit.core.clone()];
        let is_chosen = |unit: &Unit| chosen.iter().any(|own| core(unit).starts_with(own));
        let before: Vec<bool> = units.iter().map(is_chosen).collect();
        let mut kept = before.clone();
        structure.keep_headings(&units, &mut kept);
        let added = units.iter().zip(before.iter().zip(kept)).filter(|(_, (before, kept))| *before != kept);
        added.map(|(unit, _)| core(unit)).collect()
    }

    #[test]
    fn nothing_seems_to_stand_under_the_heading_of_another_section() {
        let text = "# Boat\n\n## Hull\n\nThe hull is made of old oak.\n\n## Sails\n\n### Main\n\nIt is red and was sewn in Lorient.\n\n### Jib\n\nWet.\n";
        assert_eq!(added(text, &["## Hull", "It is red"]), ["## Sails"]);
        assert_eq!(added(text, &["# Boat", "## Hull", "The hull"]), [] as [&str; 0]);
        assert_eq!(added(text, &["# Boat", "It is red"]), [] as [&str; 0], "the title is its own");
        assert_eq!(added(text, &["The hull", "It is red"]), [] as [&str; 0], "no heading is kept");
        assert_eq!(added(text, &["### Main", "Wet."]), [] as [&str; 0], "it takes more than it heads");
    }
}
