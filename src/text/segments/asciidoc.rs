//! Tables of `AsciiDoc`, whose cells may stand on lines of their own.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most lines of a table, and most above it that say what it is.
const LONGEST: usize = 5000;
const MOST_ABOVE: usize = 4;

/// Returns whether a line begins or ends a table.
fn is_border(line: &str) -> bool {
    line.strip_prefix('|').is_some_and(|marks| marks.len() >= 3 && marks.bytes().all(|byte| byte == b'='))
}

/// Returns whether a line above a table says what it is: `.Title`, `[cols=2*]`.
fn is_above(line: &Line) -> bool {
    let title = line.text.strip_prefix('.').is_some_and(|title| title.starts_with(char::is_alphanumeric));
    !line.gap && (title || line.text.starts_with('[') && line.text.ends_with(']'))
}

/// Returns the number of leading `lines` that are a table; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    if !lines[0].text.starts_with(['|', '.', '[']) {
        return 0;
    }
    let above = lines.iter().take(MOST_ABOVE).take_while(|line| is_above(line)).count();
    let Some(border) = lines.get(above).filter(|line| is_border(line.text)) else { return 0 };
    let mut near = lines[above + 1..].iter().take(LONGEST);
    near.position(|line| line.text == border.text).map_or(0, |last| above + last + 2)
}

/// Returns how many columns the cells that begin on a line take: `2+|` begins one of two.
fn columns(line: &str) -> usize {
    let mut from = 0;
    let borders = line.match_indices('|').filter(|&(at, _)| !line[..at].ends_with('\\'));
    let spans = borders.map(|(at, _)| {
        let before = &line[std::mem::replace(&mut from, at + 1)..at];
        let span = before.rsplit(' ').next().and_then(|spec| spec.split_once('+'));
        span.and_then(|(columns, _)| columns.parse().ok()).unwrap_or(1)
    });
    spans.sum()
}

/// Returns how many columns the line above a table says that it has: `cols="1,2"`, `cols=3*`.
fn told(above: &[Line]) -> Option<usize> {
    let value = above.iter().find_map(|line| line.text.split_once("cols="))?.1;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([',', ']']).next()?,
    };
    let times = |column: &str| column.split_once('*').map_or(Some(1), |(times, _)| times.trim().parse().ok());
    value.split([',', ';']).map(times).sum()
}

/// Adds a table: its rows need its title and the names of its columns, and without those its borders.
pub(super) fn table(lines: &[Line], builder: &mut Builder, around: &Around) {
    let above = lines.iter().take_while(|line| !is_border(line.text)).count();
    let [cells @ .., last] = &lines[above + 1..] else { return };
    let mut inner = around.clone();
    let mut outside = Vec::new();
    for line in &lines[..=above] {
        let number = builder.push(line.range.clone(), SegmentKind::Header, around);
        if line.text.starts_with('.') {
            builder.segments[number].kind = SegmentKind::Heading;
            inner = around.under(number, line.range.clone());
        } else {
            outside.push(number);
        }
    }
    let header = rows(cells, &lines[..=above], builder, &inner);
    outside.push(builder.push(last.range.clone(), SegmentKind::Header, around));
    match header {
        Some(header) => outside.iter().for_each(|&border| builder.need(border, header)),
        None => enclose(&outside, builder),
    }
}

/// Adds the rows of a table; gives the number of the one that names the columns.
fn rows(cells: &[Line], above: &[Line], builder: &mut Builder, around: &Around) -> Option<usize> {
    let first = cells.first().map_or(0, |line| columns(line.text));
    let wide = told(above).unwrap_or(first).max(1);
    let says = above.iter().any(|line| line.text.starts_with('[') && line.text.contains("header"));
    let border = above.last().is_some_and(|border| !border.gap);
    let headed = says || border && first == wide && cells.first().is_some_and(|line| line.gap);
    let (mut at, mut header) = (0, None);
    while at < cells.len() {
        let (mut end, mut taken) = (at, 0);
        while end < cells.len() && (taken < wide || columns(cells[end].text) == 0) {
            taken += columns(cells[end].text);
            end += 1;
        }
        let range = cells[at].range.start..cells[end - 1].range.end;
        let names = headed && at == 0 && end < cells.len();
        let row = builder.push(range, if names { SegmentKind::Header } else { SegmentKind::Row }, around);
        match header {
            Some(header) => builder.put_under(row, header),
            None => header = names.then_some(row),
        }
        at = end;
    }
    header
}

/// Makes the rows between the borders `outside` need those.
fn enclose(outside: &[usize], builder: &mut Builder) {
    let [.., open, close] = *outside else { return };
    for row in open + 1..close {
        builder.need(row, open);
        builder.need(row, close);
    }
    for &border in outside {
        builder.segments[border].kind = SegmentKind::Parent;
    }
    builder.segments[close].kind = SegmentKind::Tag;
    builder.tie(open, close);
    outside.iter().filter(|&&above| above < open).for_each(|&above| builder.tie(above, open));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn rows_of_cells_need_the_names_of_their_columns() {
        let boats = ".Boats\n[cols=\"1,1,2\",options=\"header\"]\n|===\n|Name |Year |Owner\n\n|Gull\n|1931\n|Ida Moe,\nof Lund\n\n|Tern\n|1940 |nobody\n|===\n\nAll of it.\n";
        assert_eq!(kept_with(boats, "Tern"), [".Boats", "|Name |Year |Owner"]);
        assert_eq!(kept_with(boats, "[cols"), [".Boats", "|Name |Year |Owner"]);
        assert!(
            cut(boats).contains(&(SegmentKind::Row, "|Gull\n|1931\n|Ida Moe,\nof Lund")),
            "{:?}",
            cut(boats)
        );
        let keys = "[cols=2*]\n|===\n|port\n|where it listens\n|host\n|its name\n|===\n";
        assert_eq!(kept_with(keys, "host"), ["[cols=2*]", "|===", "|==="]);
        let implied = "|===\n|Key |Value\n\n|port |80\n2+|all others\n|===\n";
        assert_eq!(kept_with(implied, "others"), ["|Key |Value"]);
        assert!(cut(implied).contains(&(SegmentKind::Row, "2+|all others")));
    }
}
