//! Tables: rows under their header.

use std::ops::Range;

use super::builder::{Around, Builder};
use super::lines::{Line, Shape, is_code};
use super::{SegmentKind, columns};

/// Most rows behind the first or the ruler that belong to the header.
const MOST_HEADER: usize = 4;
/// Fewest rows that are a table for their commas, semicolons or spaces alone.
const FEW: usize = 3;
/// Rows whose cells are compared with those of the first.
const SAMPLE: usize = 64;
/// Most lines in which the end of a quoted cell is looked for.
const HIGHEST: usize = 50;
/// Most lines of a table between borders.
const HIGHEST_BORDERED: usize = 2000;

/// The separator of a table's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Char(char),
    /// Two or more spaces.
    Spaces,
    /// Spaces that stand below each other.
    Columns,
}

impl Separator {
    fn cells(self, line: &str) -> Vec<&str> {
        match self {
            Self::Char('|') => {
                line.trim().trim_matches(['|', '│', '┃']).split(['|', '│', '┃']).map(str::trim).collect()
            }
            Self::Char(mark) => split(line, mark, false),
            Self::Spaces | Self::Columns => {
                line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
            }
        }
    }

    /// Returns the first row of `lines`: a quoted cell may reach over several.
    fn row<'t>(self, lines: &[Line<'t>]) -> (usize, Vec<&'t str>) {
        let mut cells = self.cells(lines[0].text);
        if self == Self::Char('\t') {
            // The cells at the end that are empty.
            cells.extend(std::iter::repeat_n("", lines[0].tabs));
        }
        let Self::Char(mark @ ('\t' | ';' | ',')) = self else { return (1, cells) };
        let is_odd = |text: &str| text.matches('"').count() % 2 == 1;
        if !cells.last().is_some_and(|cell| cell.starts_with('"') && is_odd(cell)) {
            return (1, cells);
        }
        let behind = &lines[1..];
        let Some(last) = behind.iter().take(HIGHEST).position(|line| is_odd(line.text)) else {
            // A mark that no other one closes quotes nothing.
            return (1, lines[0].text.split(mark).map(str::trim).collect());
        };
        cells.extend(split(behind[last].text, mark, true).into_iter().skip(1));
        (last + 2, cells)
    }
}

/// Splits a line at the marks that are not `quoted`.
fn split(line: &str, mark: char, mut quoted: bool) -> Vec<&str> {
    let ends = move |c: char| {
        quoted ^= c == '"';
        c == mark && !quoted
    };
    line.split(ends).map(str::trim).collect()
}

/// Returns what a row of a table is called: its first cell with letters, or nothing.
pub(crate) fn row_label(row: &str) -> &str {
    let separator = if row.contains(['|', '│', '┃']) {
        Separator::Char('|')
    } else if let Some(mark) = ['\t', ';', ','].into_iter().find(|&mark| row.contains(mark)) {
        Separator::Char(mark)
    } else {
        Separator::Spaces
    };
    separator.cells(row).into_iter().find(|cell| cell.contains(char::is_alphabetic)).unwrap_or_default()
}

/// Returns the number of leading `lines` that are rows of one table; 0 where the first begins none.
pub(super) fn rows(lines: &[Line]) -> usize {
    separator(lines).map_or(0, |(_, rows)| rows)
}

/// Returns the separator of the table that `lines` begin with, and the number of its lines.
fn separator(lines: &[Line]) -> Option<(Separator, usize)> {
    let first = lines.first()?.text;
    if is_border(first) {
        return bordered(lines).map(|height| (Separator::Spaces, height));
    }
    if is_bar(first) {
        let cells = Separator::Char('|').cells(first).len();
        let closed = first.trim_start().starts_with(['|', '│', '┃', '+', '┌', '╔', '─']);
        if !closed && cells < 2 {
            return None;
        }
        let inside = |at: &usize| is_bar(lines[*at].text) && !begins_another(lines, *at);
        let rows = (0..lines.len()).take_while(inside).count();
        return (rows >= if closed { 2 } else { FEW }).then_some((Separator::Char('|'), rows));
    }
    for mark in ['\t', ';', ','] {
        let separator = Separator::Char(mark);
        let cells = separator.row(lines).1;
        // Tabs before a line indent it.
        if mark == '\t' && lines[0].tabs == 0 && !first.trim_start().contains(mark) {
            continue;
        }
        // A semicolon at the end of a line ends a statement.
        if mark == ';' && cells.len() == 2 && cells[1].is_empty() {
            continue;
        }
        let cells = cells.len();
        let fewest = if mark == ',' { 3 } else { 2 };
        if cells < fewest || mark == ',' && reads_like_prose(first) {
            continue;
        }
        // A ragged row or two does not end a table, a row of another width does not begin one.
        let alike = |line: &Line, own: usize| own == cells && !(mark == ',' && reads_like_prose(line.text));
        let (height, rows) = run(lines, separator, alike);
        if rows >= FEW || rows == 2 && height == lines.len() && cells > 3 {
            return Some((separator, height));
        }
    }
    let spaced = spaced(lines).unwrap_or_default();
    // The first rows tell: what is no table is not gone through again for each of its lines.
    let head = &lines[..lines.len().min(SAMPLE)];
    let own = columns::table(head, is_ruler).map_or(0, |(height, _)| height);
    let height = if own > 0 && is_listed(&head[..own]) {
        columns::table(lines, is_ruler).map_or(0, |(height, _)| height)
    } else {
        0
    };
    match spaced.max(height) {
        0 => None,
        height if height > spaced => Some((Separator::Columns, height)),
        height => Some((Separator::Spaces, height)),
    }
}

/// Returns whether a line is the border of a simple table of reStructuredText: `===  ====`.
fn is_border(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("==") && line.contains(' ') && line.bytes().all(|byte| matches!(byte, b'=' | b' '))
}

/// Returns the number of lines of such a table: up to its third border, or the second where nothing follows that.
fn bordered(lines: &[Line]) -> Option<usize> {
    let border = lines[0].text.trim();
    let mut borders = (1..lines.len().min(HIGHEST_BORDERED)).filter(|&at| lines[at].text.trim() == border);
    let second = borders.next()?;
    let last = if lines[second].gap { None } else { borders.next() };
    Some(last.unwrap_or(second) + 1)
}

/// Returns whether lines with columns are a table, for statements and settings may be aligned as well: it begins with data,
/// or with names that have a ruler, are in capitals or stand above numbers.
fn is_listed(lines: &[Line]) -> bool {
    // Numbers alone look like the times of a table of jobs.
    let is_code =
        |line: &&Line| !line.content().starts_with(|c: char| c.is_ascii_digit()) && is_code(line.content());
    let code = lines.iter().filter(is_code).count();
    let rows = cut(lines, Separator::Columns);
    let header = header(&rows);
    let [first, others @ ..] = &*rows else { return false };
    if code * 2 > lines.len() || header == 0 || rows[..header].iter().any(|row| row.ruler) {
        return code * 2 <= lines.len();
    }
    let others = &others[..others.len().min(SAMPLE)];
    let counts = |column: usize| {
        let numbers = others.iter().filter(|row| row.cells.get(column).is_some_and(|cell| is_number(cell)));
        numbers.count() * 2 > others.len()
    };
    let named = |cell: &&str| !is_number(cell) || is_year(cell);
    let line = lines[first.lines.start].text;
    first.cells.iter().all(named) && (line.to_uppercase() == line || (0..first.cells.len()).any(counts))
}

/// Returns the number of leading lines that are rows with about as many cells between two or more spaces.
fn spaced(lines: &[Line]) -> Option<usize> {
    let cells = Separator::Spaces.cells(lines.first()?.text).len();
    if cells < 3 {
        return None;
    }
    // Carets under a line point at a part of it.
    let points = |cell: &&str| cell.bytes().all(|byte| matches!(byte, b'^' | b'~'));
    let aligned = |line: &Line, own: usize| {
        own.abs_diff(cells) <= 1 && !Separator::Spaces.cells(line.text).iter().any(points)
    };
    let (height, rows) = run(lines, Separator::Spaces, aligned);
    (rows >= FEW).then_some(height)
}

/// Returns how many lines and rows from the first on are `alike`, by their first line and number of cells, passing over
/// one that is not between others that are.
fn run(lines: &[Line], separator: Separator, alike: impl Fn(&Line, usize) -> bool) -> (usize, usize) {
    let row = |at: usize| {
        let (height, cells) = separator.row(lines.get(at..).filter(|rest| !rest.is_empty())?);
        alike(&lines[at], cells.len()).then_some(at + height)
    };
    let named = has_no_digit(lines[0].text);
    let (mut at, mut rows, mut numbered) = (0, 0, named);
    while at < lines.len() && !begins_another(lines, at) {
        // Below rows that all have numbers, one that has none names the columns of another table.
        if numbered && rows > 1 && names_others(lines, at) {
            break;
        }
        if let Some(next) = row(at) {
            numbered &= rows == 0 || !has_no_digit(lines[at].text);
            (at, rows) = (next, rows + 1);
            continue;
        }
        // What stands between blank lines is no ragged row, and neither is a command that is given to a shell.
        let ragged =
            rows > 2 && !lines[at - 1].gap && !lines[at].gap && Shape::of(lines[at].text) != Shape::Listing;
        let Some(next) = row(at + 1).filter(|&next| ragged && row(next).is_some()) else { break };
        (at, rows) = (next, rows + 2);
    }
    (at, rows)
}

fn has_no_digit(line: &str) -> bool {
    !line.contains(|c: char| c.is_numeric())
}

/// Returns whether a line without numbers, above one with some, stands behind a blank one or is in capitals as the first
/// is.
fn names_others(lines: &[Line], at: usize) -> bool {
    let [line, next, ..] = &lines[at..] else { return false };
    let capitals = |line: &Line| line.text.to_uppercase() == line.text;
    has_no_digit(line.text)
        && !is_ruler(line.text)
        && !has_no_digit(next.text)
        && (lines[at - 1].gap && !line.gap || capitals(line) && capitals(&lines[0]))
}

/// Returns whether another table begins at a line behind a blank one: its header has a ruler below it.
fn begins_another(lines: &[Line], at: usize) -> bool {
    let ruled = |ruler: usize| {
        !lines[at..ruler].iter().any(|line| line.gap)
            && lines.len() > ruler + 1
            && is_ruler(lines[ruler].text)
            && !lines[ruler].gap
    };
    let top = usize::from(is_ruler(lines[at].text));
    at > 0 && lines[at - 1].gap && at + top + 1 < lines.len() && ruled(at + top + 1)
}

fn is_bar(line: &str) -> bool {
    let line = line.trim();
    let ruler =
        line.len() > 3 && line.starts_with(['+', '|', '┌', '├', '└', '╔', '╠', '╚', '─']) && is_ruler(line);
    // psql writes it without a mark at its ends.
    let joined = line.starts_with("--") && line.contains("-+-") && is_ruler(line);
    ruler
        || joined
        || line.contains('│')
        || line.contains('┃')
        || line.matches('|').count() >= if line.starts_with('|') { 2 } else { 1 } && !line.contains("||")
}

/// A line between rows, of dashes and what joins them.
fn is_ruler(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty()
        && line.chars().all(|c| matches!(c, '-' | '=' | '+' | '|' | ':' | ' ' | '\u{2500}'..='\u{257f}'))
        && line.contains(['-', '=', '─', '═'])
}

/// Returns whether the commas of a line stand between words of a sentence.
fn reads_like_prose(line: &str) -> bool {
    let spaced = line.matches(", ").count();
    let cells = line.matches(',').count();
    spaced * 2 > cells && (line.ends_with(['.', '!', '?', ':']) || line.split(' ').count() > cells * 4)
}

/// A row of a table.
struct Row<'t> {
    lines: Range<usize>,
    cells: Vec<&'t str>,
    /// Set if it is a line between others.
    ruler: bool,
}

impl Row<'_> {
    /// Returns whether a row has a first cell and no others: it says what those below it are about.
    fn heads_section(&self) -> bool {
        let [first, others @ ..] = &*self.cells else { return false };
        !self.ruler && !first.is_empty() && !others.is_empty() && others.iter().all(|cell| cell.is_empty())
    }
}

/// Cuts a table into rows.
fn cut<'t>(lines: &[Line<'t>], separator: Separator) -> Vec<Row<'t>> {
    let mut rows = Vec::new();
    let gaps = Some(separator)
        .filter(|own| *own == Separator::Columns)
        .and_then(|_| columns::table(lines, is_ruler));
    let mut at = 0;
    while at < lines.len() {
        let (height, cells) = match &gaps {
            Some((_, gaps)) => (1, columns::cells(lines[at].text, gaps)),
            None => separator.row(&lines[at..]),
        };
        // Between borders, a line without a first cell goes on with the row above it.
        let goes_on = |line: &&Line| line.indent > lines[0].indent && !is_ruler(line.text);
        let bordered = is_border(lines[0].text) && !is_ruler(lines[at].text);
        let height =
            height + if bordered { lines[at + height..].iter().take_while(goes_on).count() } else { 0 };
        rows.push(Row { lines: at..at + height, cells, ruler: is_ruler(lines[at].text) });
        at += height;
    }
    rows
}

/// Joins rulers below the header to the rows above them, but for the last, and the lines between two of them where they
/// tell the rows of a grid from each other.
fn join<'t>(rows: Vec<Row<'t>>, header: usize, lines: &[Line]) -> Vec<Row<'t>> {
    let texts = rows[header..].iter().filter(|row| !row.ruler).count();
    let groups = rows[header..].windows(2).filter(|pair| !pair[0].ruler && pair[1].ruler).count();
    let doubled = |row: &Row| row.ruler && lines[row.lines.start].text.contains(['=', '═']);
    let grid = groups > 1 && (texts <= 2 * groups || rows[..header].last().is_some_and(doubled));
    let last = rows.len().saturating_sub(1);
    let mut joined: Vec<Row> = Vec::new();
    let mut open = false;
    for (i, row) in rows.into_iter().enumerate() {
        let body = i > header;
        let continues = body && if row.ruler { grid || i < last } else { grid && open };
        open = !row.ruler;
        match joined.last_mut().filter(|_| continues) {
            Some(above) => above.lines.end = row.lines.end,
            None => joined.push(row),
        }
    }
    joined
}

/// Adds the rows of a table: each needs the header, and the row that heads its section.
pub(super) fn table(lines: &[Line], builder: &mut Builder, around: &Around) {
    let Some((separator, _)) = separator(lines) else {
        for line in lines {
            builder.push(line.range.clone(), SegmentKind::Row, around);
        }
        return;
    };
    let rows = cut(lines, separator);
    let header = header(&rows);
    let rows = join(rows, header, lines);
    let mut numbers = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let border = i > header && i + 1 == rows.len() && row.ruler;
        let heads = border || i < header && header < rows.len();
        let kind = if heads { SegmentKind::Header } else { SegmentKind::Row };
        let range = lines[row.lines.start].range.start..lines[row.lines.end - 1].range.end;
        numbers.push(builder.push(range, kind, around));
    }
    put_under_header(builder, &rows, &numbers, header);
    put_under_sections(builder, &rows[header..], &numbers[header..]);
    weigh(builder, &numbers[header..], &rows[header..]);
}

/// Makes rows need the names of their columns.
fn put_under_header(builder: &mut Builder, rows: &[Row], numbers: &[usize], header: usize) {
    let Some(names) = rows[..header].iter().position(|row| !row.ruler).map(|names| numbers[names]) else {
        return;
    };
    let context: Vec<_> =
        numbers[..header].iter().map(|&number| builder.segments[number].range.clone()).collect();
    for (i, (row, &number)) in rows.iter().zip(numbers).enumerate() {
        if i >= header || row.ruler {
            // Rows can be read without rulers, but a ruler alone says nothing.
            builder.need(number, names);
        } else {
            builder.tie(number, names);
        }
        if i >= header {
            builder.segments[number].context.extend(context.iter().cloned());
        }
    }
}

/// Makes rows need the row that heads their section, which has one cell alone, and that one the row before it that heads
/// several sections: `June 30, 2019` above `Current assets`.
fn put_under_sections(builder: &mut Builder, rows: &[Row], numbers: &[usize]) {
    let (mut part, mut section) = (None, None);
    for (i, (row, &number)) in rows.iter().zip(numbers).enumerate() {
        let above = if row.ruler {
            builder.segments[number].worth = 0.3;
            None
        } else if heads_sections(rows, i) {
            (part, section) = (Some(number), None);
            None
        } else if row.heads_section() {
            section = Some(number);
            part
        } else {
            section.or(part)
        };
        let Some(above) = above else { continue };
        builder.need(number, above);
        let mut context = builder.segments[above].context.clone();
        context.retain(|range| !builder.segments[number].context.contains(range));
        context.push(builder.segments[above].range.clone());
        builder.segments[number].context.extend(context);
    }
}

/// Returns whether a row heads several sections: it and the next one, but neither the one before nor the one behind them,
/// have one cell alone. More in a row are those of a table of which little is filled in.
fn heads_sections(rows: &[Row], at: usize) -> bool {
    let heads = |at: usize| rows.get(at).map(Row::heads_section);
    let before = at.checked_sub(1).and_then(heads);
    before != Some(true) && [at, at + 1, at + 2].map(heads) == [Some(true), Some(true), Some(false)]
}

/// Returns the number of leading rows that are the header: up to a ruler, and below it, or below a first row that has
/// cells without a name, those without a name or a number.
fn header(rows: &[Row]) -> usize {
    let first = rows.iter().position(|row| !row.ruler).unwrap_or_default();
    let ruler = rows.iter().skip(first).take(3).position(|row| row.ruler);
    let mut header = first + ruler.map_or(1, |ruler| ruler + 1);
    let names = rows.get(first).map_or(&[][..], |row| &row.cells);
    if ruler.is_none()
        && (names.is_empty()
            || rows.len() < 2 && names.iter().any(|cell| is_number(cell))
            || rows.get(first..).is_some_and(begins_with_data))
    {
        return first;
    }
    let unnamed = |row: &Row| {
        row.cells.first().is_some_and(|cell| cell.is_empty())
            && row.cells.iter().any(|cell| !cell.is_empty())
            && !row.cells.iter().any(|cell| is_number(cell) && !is_year(cell))
    };
    let most = (header + MOST_HEADER).min(rows.len().saturating_sub(1));
    let goes_on = ruler.is_some() || names.iter().any(|cell| cell.is_empty());
    while goes_on && header < most && unnamed(&rows[header]) {
        header += 1;
    }
    header.min(rows.len())
}

/// Returns whether the first of `rows` is one like the others and names no columns: it has numbers where most others have
/// them, and names where those have names. Numbers that grow from column to column may name them.
fn begins_with_data(rows: &[Row]) -> bool {
    let [first, others @ ..] = rows else { return false };
    let numbers: Vec<&str> =
        first.cells.iter().copied().filter(|cell| is_number(cell) && !is_year(cell)).collect();
    let values: Option<Vec<f64>> = numbers.iter().map(|cell| cell.parse().ok()).collect();
    let grows = |values: Vec<f64>| values.len() > 2 && values.windows(2).all(|pair| pair[0] < pair[1]);
    if numbers.is_empty() || others.is_empty() || values.is_some_and(grows) {
        return false;
    }
    let others = &others[..others.len().min(SAMPLE)];
    first.cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()).all(|(column, cell)| {
        let alike = |row: &&Row| {
            row.cells.get(column).is_some_and(|own| !own.is_empty() && is_number(own) == is_number(cell))
        };
        let filled = others.iter().filter(|row| row.cells.get(column).is_some_and(|own| !own.is_empty()));
        let filled = filled.count();
        filled == 0 || others.iter().filter(alike).count() * 2 > filled
    })
}

/// Returns whether a cell is a number, whatever its currency and unit.
fn is_number(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    digits > 0 && digits * 2 >= cell.chars().filter(|c| c.is_alphanumeric()).count()
}

fn is_year(cell: &str) -> bool {
    cell.len() == 4
        && (cell.starts_with("19") || cell.starts_with("20"))
        && cell.bytes().all(|b| b.is_ascii_digit())
}

/// Raises rows that differ from the others in a column that says nearly always the same.
fn weigh(builder: &mut Builder, numbers: &[usize], rows: &[Row]) {
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or_default();
    for column in 0..columns.min(64) {
        let mut counts: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
        for row in rows {
            *counts.entry(row.cells.get(column).copied().unwrap_or_default()).or_default() += 1;
        }
        let usual = counts.values().max().copied().unwrap_or_default();
        if rows.len() < 6 || usual * 10 < rows.len() * 7 {
            continue;
        }
        for (row, &number) in rows.iter().zip(numbers) {
            let count = counts[row.cells.get(column).copied().unwrap_or_default()];
            if count * 5 < usual && !row.cells.get(column).is_none_or(|cell| cell.is_empty()) {
                builder.segments[number].worth *= (usual as f32 / count as f32).ln().min(4.0);
            }
        }
    }
}
