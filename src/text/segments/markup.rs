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
/// Bytes of a longer tag, whose attributes say something.
const LONGEST_SHELL: usize = 60;
/// Most segments of the header of a table.
const MOST_HEADER: usize = 32;

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<(/?)([A-Za-z][\w:.-]*)((?:\s+[\w:@.-]+(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s"'>]+))?)*)\s*(/?)>|<!--[^>]*-->|<[!?][^>]*>"#)
        .expect("a test compiles it")
});

static DECLARATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<!--[^>]*-->\s*|<[!?][^>]*>\s*").expect("a test compiles it"));

/// The text between tags that goes as a whole: a declaration, or an element without content on a line of its own.
static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"<!--[^>]*-->\s*|<[!?][^>]*>\s*|(?m:^)[ \t]*<[A-Za-z][^<>]*/>[ \t\r]*(?:\n\s*|$)")
        .expect("a test compiles it")
});

/// The rows that a cell of a table reaches over.
static SPAN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)(?-u:\b)rowspan\s*=\s*["']?(\d{1,4})"#).expect("a test compiles it"));

/// The worth of a comment, or of a declaration such as `<!DOCTYPE html>`.
const DECLARED: f32 = 0.3;

/// Elements of HTML without an end, and those that are a part of a sentence.
const VOID: &str = " area base br col embed hr img input link meta source track wbr ";
const INLINE: &str = " a abbr b bdi bdo cite code del dfn em font i ins kbd mark q s samp small span strong sub sup time tt u var ";

/// A tag with its place in a list of tags.
struct Tag {
    range: Range<usize>,
    name: String,
    /// The tag that ends the element which this one begins, and the other way round.
    partner: Option<usize>,
    opens: bool,
}

/// Returns whether these lines are markup: tags begin many of them, and most of the tags match.
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
        let slash = |group: usize| found.get(group).is_some_and(|slash| slash.as_str() == "/");
        if slash(4) || listed(VOID) || listed(INLINE) {
            continue;
        }
        let range = range.start + whole.start()..range.start + whole.end();
        let number = tags.len();
        if !slash(1) {
            tags.push(Tag { range, name: name.clone(), partner: None, opens: true });
            open.push((name, number));
        } else if let Some(at) = open.iter().rev().take(64).position(|(open, _)| *open == name) {
            // Elements whose end was left out end here, too.
            open.truncate(open.len() - at);
            if let Some((_, partner)) = open.pop() {
                tags[partner].partner = Some(number);
                tags.push(Tag { range, name, partner: Some(partner), opens: false });
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
    let mut tables: Vec<Table> = Vec::new();
    let mut terms = Terms::default();
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
        let kind = if !tag.opens {
            SegmentKind::Tag
        } else if short || tag.range.len() > LONGEST_SHELL {
            SegmentKind::Line
        } else {
            // It says nothing by itself.
            SegmentKind::Parent
        };
        let number = builder.push(start..end + white, kind, around);
        if !short && !tag.opens {
            open.pop();
        }
        if let Some(&parent) = open.last() {
            builder.put_under(number, parent);
        }
        numbers[i] = Some(number);
        terms.add(tag, (number, short), builder);
        match (&*tag.name, tag.opens) {
            ("table", true) => tables.extend((!short).then(Table::default)),
            ("table", false) => drop(tables.pop()),
            _ => tables.iter_mut().last().map_or((), |table| table.add(&tags, i, (number, short), builder)),
        }
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
    let text = &builder.text[range.clone()];
    let mut parts: Vec<(Range<usize>, SegmentKind)> = Vec::new();
    let mut at = 0;
    let said = |from: usize, to: usize| {
        let sentences = sentences(&text[from..to]).into_iter();
        sentences.map(move |own| (from + own.start..from + own.end, SegmentKind::Said))
    };
    for whole in WHOLE.find_iter(text) {
        parts.extend(said(at, whole.start()));
        parts.push((whole.range(), SegmentKind::Line));
        at = whole.end();
    }
    parts.extend(said(at, text.len()));
    for (part, kind) in parts {
        let declares =
            ["<!", "<?"].iter().any(|mark| builder.text[range.start + part.start..].starts_with(mark));
        let number = builder.push(range.start + part.start..range.start + part.end, kind, around);
        if kind == SegmentKind::Line && declares {
            builder.segments[number].worth = DECLARED;
        }
        if let Some(parent) = parent {
            builder.put_under(number, parent);
        }
    }
}

/// The terms of a list of definitions, up to the next definition.
#[derive(Default)]
struct Terms {
    open: Vec<usize>,
    /// Set behind a definition, where another term begins an entry of its own.
    defined: bool,
}

impl Terms {
    /// Adds the element that `tag` begins, whose segment is `number`. A definition needs its terms, which come with it.
    fn add(&mut self, tag: &Tag, (number, short): (usize, bool), builder: &mut Builder) {
        match (&*tag.name, tag.opens) {
            ("dt", true) if short => {
                if std::mem::take(&mut self.defined) {
                    self.open.clear();
                }
                self.open.push(number);
            }
            ("dd", true) => {
                self.defined = true;
                for &term in &self.open {
                    builder.put_under(number, term);
                    builder.segments[term].kind = SegmentKind::Parent;
                }
            }
            ("dl", _) => self.open.clear(),
            _ => {}
        }
    }
}

/// A table of HTML that is open.
#[derive(Default)]
struct Table {
    /// Segments of the rows that name the columns.
    header: Vec<usize>,
    /// The tag that closes the part of the header that is open.
    inside: Option<usize>,
    /// Set once a row has been found that is none of the header.
    has_rows: bool,
    /// A row with a cell that reaches over the next rows, and how many of those are to come.
    spanning: Option<(usize, usize)>,
}

impl Table {
    /// Adds the element that tag `at` begins or ends, whose segment is `number`. A row needs the header.
    fn add(&mut self, tags: &[Tag], at: usize, (number, short): (usize, bool), builder: &mut Builder) {
        let tag = &tags[at];
        if let Some(close) = self.inside {
            if self.header.len() < MOST_HEADER {
                self.header.push(number);
            }
            self.inside = (at != close).then_some(close);
            return;
        }
        let Some(partner) = tag.partner.filter(|_| tag.opens) else { return };
        // All rows may be one.
        let is_row = tag.name == "tr" || short && tag.name == "tbody";
        let text = &builder.text[tag.range.start..tags[partner].range.end];
        let names = is_row && !text.contains("<td") && text.contains("<th");
        if tag.name == "thead"
            || tag.name == "caption"
            || names && !self.has_rows && self.header.len() < MOST_HEADER
        {
            self.header.push(number);
            builder.segments[number].kind = SegmentKind::Parent;
            self.inside = (!short).then_some(partner);
        } else if is_row {
            self.has_rows = true;
            for &part in &self.header {
                builder.need(number, part);
                let range = builder.segments[part].range.clone();
                builder.segments[number].context.push(range);
            }
            let text = &builder.text[tag.range.start..tags[partner].range.end];
            if let Some((above, left)) = self.spanning.take() {
                builder.need(number, above);
                self.spanning = (left > 1).then_some((above, left - 1));
            }
            let rows = SPAN.captures_iter(text).filter_map(|found| found[1].parse::<usize>().ok()).max();
            let rows = rows.filter(|&rows| rows > 1 && short && self.spanning.is_none());
            self.spanning = self.spanning.or(rows.map(|rows| (number, rows - 1)));
        }
    }
}

/// Returns whether a line is an element by itself, such as `<summary>Notes</summary>`, or a declaration.
pub(super) fn is_element(line: &str) -> bool {
    let line = line.trim();
    if DECLARATION.find(line).is_some_and(|found| found.range() == (0..line.len())) {
        return true;
    }
    let Some(open) = TAG.captures(line).filter(|found| found.get(0).is_some_and(|whole| whole.start() == 0))
    else {
        return false;
    };
    // A comment or a declaration has none.
    let Some(name) = open.get(2) else { return false };
    let name = name.as_str();
    &open[1] != "/"
        && !INLINE.contains(&format!(" {} ", name.to_lowercase()))
        && line.ends_with(&format!("</{name}>"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn definitions_need_their_terms() {
        let long = "It keeps the water out of the boat. ".repeat(9);
        let list = format!(
            "<dl>\n<dt>Tar</dt>\n<dt>Pitch</dt>\n<dd>{long}</dd>\n<dt>Oakum</dt>\n<dd>Old rope.</dd>\n</dl>\n"
        );
        for part in ["keeps the water", "Old rope"] {
            let terms: Vec<&str> =
                kept_with(&list, part).into_iter().filter(|part| part.starts_with("<dt>")).collect();
            let own = ["<dt>Tar</dt>", "<dt>Pitch</dt>", "<dt>Oakum</dt>"];
            assert_eq!(terms, if part == "Old rope" { &own[2..] } else { &own[..2] });
        }
        assert!(cut(&list).contains(&(SegmentKind::Parent, "<dt>Oakum</dt>")));
    }

    #[test]
    fn rows_below_a_cell_that_reaches_over_them_need_its_row() {
        let row =
            |first: &str, text: &str| format!("<tr>{first}<td>{text} {}</td></tr>\n", "and so on".repeat(9));
        let north = "<td rowspan=\"2\">North</td>";
        let table = format!(
            "<table>\n<caption>Yield by field</caption>\n{}{}{}{}</table>\n",
            row(north, "rye"),
            row("", "oats"),
            row("<td>South</td>", "peas"),
            row("<td>East</td>", "hay")
        );
        let has = |part: &str, other: &str| kept_with(&table, part).iter().any(|own| own.contains(other));
        assert!(has("oats", "North") && !has("peas", "North"));
        assert!(has("hay", "<caption>"));
    }
}
