//! The documentation within programs of Perl: sections from `=head1` and its like to `=cut`.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Most lines of a section.
const LONGEST: usize = 5000;
/// Commands that begin a section, and their levels as headings; 0 of what is none.
const COMMANDS: [(&str, usize); 8] = [
    ("=head1", 1),
    ("=head2", 2),
    ("=head3", 3),
    ("=head4", 4),
    ("=item", 5),
    ("=over", 0),
    ("=pod", 0),
    ("=encoding", 0),
];
const END: &str = "=cut";

/// The level of the command that a line is.
fn command(line: &str) -> Option<usize> {
    let word = line.split(' ').next().filter(|word| word.starts_with('='))?;
    COMMANDS.iter().find(|(command, _)| *command == word).map(|&(_, level)| level)
}

/// Returns whether a section begins with this line.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with('=') && command(line).is_some()
}

/// Returns the number of lines of the section that `lines` begin with; 0 where the first begins none. Without its end it
/// goes on to that of the text.
pub(super) fn length(lines: &[Line]) -> usize {
    if !begins(lines[0].text) {
        return 0;
    }
    let near = &lines[..lines.len().min(LONGEST)];
    near.iter().position(|line| line.text.starts_with(END)).map_or(near.len(), |last| last + 1)
}

/// Adds a section: its text needs the headings that it stands under, and all of it the end, without which what follows
/// would be text as well.
pub(super) fn pod(lines: &[Line], builder: &mut Builder, around: &Around) {
    let first = builder.segments.len();
    // Levels and numbers of the headings that are open.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for paragraph in lines.chunk_by(|line, next| !line.gap && !next.text.starts_with('=')) {
        let (Some(head), Some(last)) = (paragraph.first(), paragraph.last()) else { continue };
        let range = head.range.start..last.range.end;
        let above = builder.segments.len();
        let level = command(head.text).filter(|&level| level > 0);
        if let Some(level) = level {
            open.retain(|&(other, _)| other < level);
            builder.push(range, SegmentKind::Parent, around);
        } else if head.text.starts_with('=') {
            // The ends of a list say nothing, and come with what they stand under.
            builder.push(range, SegmentKind::Header, around);
        } else if head.indent > 0 {
            for line in paragraph {
                builder.push_line(line, around);
            }
        } else {
            for sentence in sentences(&builder.text[range.clone()]) {
                let own = range.start + sentence.start..range.start + sentence.end;
                builder.push(own, SegmentKind::Line, around);
            }
        }
        if let Some(&(_, heading)) = open.last() {
            (above..builder.segments.len()).for_each(|own| builder.put_under(own, heading));
        }
        open.extend(level.map(|level| (level, above)));
    }
    let last = builder.segments.len() - 1;
    if lines.last().is_some_and(|line| line.text.starts_with(END)) {
        builder.segments[last].kind = SegmentKind::Tag;
        builder.segments[last].needs.clear();
        builder.need(last, first);
        (first..last).for_each(|own| builder.need(own, last));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn text_in_a_program_keeps_its_heading_and_its_end() {
        let perl = "package Gate;\nuse strict;\n\n=head1 METHODS\n\n=head2 open\n\nOpens the gate. It may stick.\n\n=over 4\n\n=item side\n\nThe side of it.\n\n=back\n\n=cut\n\nsub open {\n    my ($self) = @_;\n    return 1;\n}\n\n=head2 shut\n\nShuts it.\n\n=cut\n\nsub shut {\n    return 0;\n}\n";
        assert_eq!(kept_with(perl, "may stick"), ["=head1 METHODS", "=head2 open", "=cut"]);
        assert_eq!(kept_with(perl, "The side"), ["=head1 METHODS", "=head2 open", "=item side", "=cut"]);
        assert_eq!(kept_with(perl, "return 0"), ["sub shut {", "}"]);
        assert!(cut(perl).contains(&(SegmentKind::Line, "Opens the gate.")));
        assert!(cut(perl).contains(&(SegmentKind::Header, "=back")));
        assert_eq!(length(&super::super::lines::lines("=begin\na\n=end\n", 0..14)), 0, "as in Ruby");
    }
}
