//! Headings that a line below them underlines, and the properties of headings of Org.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most bytes of a heading.
pub(super) const LONGEST: usize = 200;
/// Marks that underline headings, the outermost first.
const MARKS: [char; 8] = ['=', '-', '~', '^', '"', '+', '#', '*'];
/// Fewest marks that underline a heading.
const FEW: usize = 3;
/// Most lines of a drawer of properties.
const LONGEST_DRAWER: usize = 60;

/// Returns the mark that all of a line consists of.
fn mark(line: &Line) -> Option<char> {
    let mark = line.text.chars().next().filter(|c| MARKS.contains(c))?;
    (line.text.len() >= FEW && line.text.chars().all(|c| c == mark)).then_some(mark)
}

/// Returns how many of `lines` are a heading that the lines below it tell, and its level: a line under it, and perhaps one
/// above, or the properties of a heading of Org with one asterisk.
pub(super) fn told_below(lines: &[Line]) -> Option<(usize, usize)> {
    if lines[0].text.starts_with("* ") {
        return lines.get(1).filter(|next| next.text == ":PROPERTIES:").map(|_| (1, 1));
    }
    underlined(lines)
}

/// Returns how many of `lines` are a heading with the line that underlines it, and perhaps one above it, and its level.
fn underlined(lines: &[Line]) -> Option<(usize, usize)> {
    let over = mark(&lines[0]).filter(|_| !lines[0].gap);
    let title = lines.get(usize::from(over.is_some())).filter(|title| !title.gap)?;
    let under = lines.get(usize::from(over.is_some()) + 1)?;
    let mark = mark(under).filter(|own| over.is_none_or(|over| over == *own))?;
    let width = title.text.chars().count();
    let wide = title.text.chars().filter(|c| c.len_utf8() > 2).count();
    let marks = under.text.len();
    let names = title.text.contains(char::is_alphanumeric)
        && !title.text.starts_with(['|', '+', '>', '#', '-', '*', '/'])
        && !title.text.contains("  ")
        && !title.text.contains('\t');
    // A longer line may end a part of the text above it.
    let fits = marks + 2 >= width && marks <= width + wide + if over.is_some() { 40 } else { 4 };
    let level = MARKS.iter().position(|own| *own == mark).unwrap_or_default();
    let plain = title.indent == 0 || over.is_some();
    (names && fits && plain && title.text.len() <= LONGEST)
        .then(|| (2 + usize::from(over.is_some()), if over.is_some() { 1 } else { level + 1 }))
}

/// Adds a heading of some lines to those that are open.
pub(super) fn push(
    lines: &[Line],
    level: usize,
    open: &mut Vec<(usize, usize)>,
    builder: &mut Builder,
    around: &Around,
) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let number = builder.push(first.range.start..last.range.end, SegmentKind::Heading, around);
    open.retain(|&(above, _)| above < level);
    open.push((level, number));
}

/// Returns the number of lines of the drawer that the first of `lines` opens: `:PROPERTIES:` up to `:END:`.
pub(super) fn drawer(lines: &[Line]) -> Option<usize> {
    let name = lines.first()?.content().strip_prefix(':')?.strip_suffix(':')?;
    let opens = !name.is_empty() && name != "END" && name.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut near = lines.iter().take(LONGEST_DRAWER);
    opens.then(|| near.position(|line| line.content() == ":END:"))?.map(|end| end + 1)
}

/// Adds a drawer: its lines need its ends.
pub(super) fn add_drawer(lines: &[Line], builder: &mut Builder, around: &Around) {
    let [first, inside @ .., last] = lines else { return };
    let open = builder.push(first.range.clone(), SegmentKind::Parent, around);
    for line in inside {
        let number = builder.push_line(line, around);
        builder.need(number, open);
    }
    let close = builder.push(last.range.clone(), SegmentKind::Tag, around);
    builder.tie(open, close);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn headings_of_any_form_are_whole() {
        for heading in [
            "The hull\n========",
            "Hull\n----",
            "Kiel\n~~~~",
            "====\nHull\n====",
            "== Hull",
            "=== The keel",
            "** Keel",
            "船体\n====",
        ] {
            let text = format!("It is old. It is so.\n\n{heading}\n\nIt is of oak. It does not leak.\n");
            assert!(cut(&text).contains(&(SegmentKind::Heading, heading)), "{:?}", cut(&text));
            assert_eq!(cut(&text).len(), 5);
        }
        for text in [
            "It is so.\n---\nAnd it was not what the man had said at all.\n",
            "a: 1\n---\nb: 2\n",
            "Name  Age\n---------\nIda   31\nPer   32\n",
        ] {
            assert!(cut(text).iter().all(|(kind, _)| *kind != SegmentKind::Heading), "{:?}", cut(text));
        }
    }

    #[test]
    fn properties_keep_their_heading() {
        let org = "#+TITLE: Boats\n\n* Hull\n:PROPERTIES:\n:WOOD: oak\n:YEAR: 1931\n:END:\n\nIt does not leak. It is old.\n** Keel\n:PROPERTIES:\n:METAL: iron\n:END:\nIt rusts.\n";
        assert_eq!(kept_with(org, "oak"), ["* Hull", ":PROPERTIES:", ":END:"]);
        assert_eq!(kept_with(org, "iron"), ["** Keel", ":PROPERTIES:", ":END:"]);
    }
}
