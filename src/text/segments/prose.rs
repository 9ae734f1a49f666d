//! Prose: sentences under their headings.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Most bytes of a heading.
const LONGEST_HEADING: usize = 200;

/// The level of the heading that a line is: `## Like this`.
fn level(line: &str) -> Option<usize> {
    let marks = line.bytes().take_while(|&byte| byte == b'#').count();
    ((1..=6).contains(&marks) && line[marks..].starts_with(' ') && line.len() <= LONGEST_HEADING)
        .then_some(marks)
}

/// Adds the sentences of lines. `headings` are those that are open, and stay so for what follows.
pub(super) fn prose(
    lines: &[Line],
    headings: &mut Vec<(usize, usize)>,
    builder: &mut Builder,
    around: &Around,
) {
    let mut at = 0;
    while at < lines.len() {
        if let Some(level) = level(lines[at].text) {
            let number = builder.push(lines[at].range.clone(), SegmentKind::Heading, around);
            headings.retain(|&(above, _)| above < level);
            headings.push((level, number));
            at += 1;
            continue;
        }
        let quoted = lines[at].text.starts_with('>');
        let end = at
            + 1
            + lines[at + 1..]
                .iter()
                .take_while(|line| level(line.text).is_none() && line.text.starts_with('>') == quoted)
                .count();
        let mut around = around.clone();
        around.context.extend(headings.iter().map(|&(_, heading)| builder.segments[heading].range.clone()));
        if quoted {
            for line in &lines[at..end] {
                builder.push_line(line, &around);
            }
        } else {
            let range = lines[at].range.start..lines[end - 1].range.end;
            for sentence in sentences(&builder.text[range.clone()]) {
                builder.push(
                    range.start + sentence.start..range.start + sentence.end,
                    SegmentKind::Sentence,
                    &around,
                );
            }
        }
        at = end;
    }
}
