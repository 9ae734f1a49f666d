//! HTML and XML: what stands in a tag needs the tag around it.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Bytes of an element that is kept or dropped whole.
const SHORT_ELEMENT: usize = 240;

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<(/?)([A-Za-z][\w:.-]*)((?:\s+[\w:@.-]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s"'>]+))?)*)\s*(/?)>|<!--[^>]*-->|<[!?][^>]*>"#)
        .expect("a test compiles it")
});

/// Elements of HTML without an end, and those that are a part of a sentence.
const VOID: &str = " area base br col embed hr img input link meta source track wbr ";
const INLINE: &str = " a abbr b bdi bdo cite code del dfn em font i ins kbd mark q s samp small span strong sub sup time tt u var ";

/// A tag with its place in a list of tags.
struct Tag {
    range: Range<usize>,
    /// The tag that ends the element which this one begins, and the other way round.
    partner: Option<usize>,
    opens: bool,
}

/// Are these lines markup: do tags begin many of them, and most of the tags match?
pub(super) fn is_markup(lines: &[Line]) -> bool {
    let begin =
        lines.iter().filter(|line| line.content().starts_with('<') && TAG.is_match(line.content())).count();
    begin * 2 > lines.len()
}

/// The tags of `text[range]` that bound elements, each with its partner.
fn tags(text: &str, range: &Range<usize>) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut open: Vec<(String, usize)> = Vec::new();
    for found in TAG.captures_iter(&text[range.clone()]) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(2)) else { continue };
        let name = name.as_str().to_lowercase();
        let listed = |list: &str| list.contains(&format!(" {name} "));
        if &found[4] == "/" || listed(VOID) || listed(INLINE) {
            continue;
        }
        let range = range.start + whole.start()..range.start + whole.end();
        let number = tags.len();
        if &found[1] != "/" {
            tags.push(Tag { range, partner: None, opens: true });
            open.push((name, number));
        } else if let Some(at) = open.iter().rev().take(64).position(|(open, _)| *open == name) {
            // Elements whose end was left out end here, too.
            open.truncate(open.len() - at);
            if let Some((_, partner)) = open.pop() {
                tags[partner].partner = Some(number);
                tags.push(Tag { range, partner: Some(partner), opens: false });
            }
        }
    }
    tags
}

/// Adds elements: short ones whole, of longer ones the tags and what stands between them.
pub(super) fn markup(range: Range<usize>, builder: &mut Builder, around: &Around) {
    let tags = tags(builder.text, &range);
    let mut numbers: Vec<Option<usize>> = vec![None; tags.len()];
    let mut open: Vec<usize> = Vec::new();
    let (mut at, mut i) = (range.start, 0);
    while i < tags.len() {
        let tag = &tags[i];
        let Some(partner) = tag.partner else {
            i += 1;
            continue;
        };
        between(at..tag.range.start, open.last().copied(), builder, around);
        let short = tag.opens && tags[partner].range.end - tag.range.start <= SHORT_ELEMENT;
        let last = if short { partner } else { i };
        // White space behind a tag belongs to it.
        let end = tags[last].range.end;
        let white = builder.text[end..range.end].len() - builder.text[end..range.end].trim_start().len();
        let start = at.max(tag.range.start);
        let kind = if tag.opens { SegmentKind::Line } else { SegmentKind::Tag };
        let number = builder.push(start..end + white, kind, around);
        if !short && !tag.opens {
            open.pop();
        }
        if let Some(&parent) = open.last() {
            builder.put_under(number, parent);
        }
        numbers[i] = Some(number);
        if !short && tag.opens {
            open.push(number);
        } else if let Some(begin) = numbers[partner].filter(|_| !short) {
            builder.tie(begin, number);
        }
        (at, i) = (end + white, last + 1);
    }
    between(at..range.end, open.last().copied(), builder, around);
}

/// Adds what stands between two tags, a sentence at a time.
fn between(range: Range<usize>, parent: Option<usize>, builder: &mut Builder, around: &Around) {
    if range.is_empty() {
        return;
    }
    for sentence in sentences(&builder.text[range.clone()]) {
        let number =
            builder.push(range.start + sentence.start..range.start + sentence.end, SegmentKind::Said, around);
        if let Some(parent) = parent {
            builder.put_under(number, parent);
        }
    }
}
