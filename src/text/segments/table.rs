//! Tables: rows under their header.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most rows behind the first or the ruler that belong to the header.
const MOST_HEADER: usize = 4;
/// Fewest lines that are a table for their commas, semicolons or spaces alone.
const FEW: usize = 3;

/// The separator of a table's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Char(char),
    /// Two or more spaces.
    Spaces,
}

impl Separator {
    fn cells(self, line: &str) -> Vec<&str> {
        match self {
            Self::Char('|') => {
                line.trim().trim_matches(['|', '│', '┃']).split(['|', '│', '┃']).map(str::trim).collect()
            }
            Self::Char(mark) => {
                // Quoted cells may hold the mark.
                let mut quoted = false;
                line.split(move |c: char| {
                    quoted ^= c == '"';
                    c == mark && !quoted
                })
                .map(str::trim)
                .collect()
            }
            Self::Spaces => line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect(),
        }
    }
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

fn separator(lines: &[Line]) -> Option<(Separator, usize)> {
    let first = lines.first()?.text;
    if is_bar(first) {
        let cells = Separator::Char('|').cells(first).len();
        let closed = first.trim_start().starts_with(['|', '│', '┃', '+', '┌', '╔', '─']);
        if !closed && cells < 2 {
            return None;
        }
        let rows = lines.iter().take_while(|line| is_bar(line.text)).count();
        return (rows >= if closed { 2 } else { FEW }).then_some((Separator::Char('|'), rows));
    }
    for mark in ['\t', ';', ','] {
        let separator = Separator::Char(mark);
        let cells = separator.cells(first).len();
        let fewest = if mark == ',' { 3 } else { 2 };
        if cells < fewest || mark == ',' && reads_like_prose(first) {
            continue;
        }
        // A ragged row or two does not end a table, a row of another width does not begin one.
        let alike = |line: &Line| separator.cells(line.text).len() == cells;
        let rows = run(lines, |line| alike(line) && !(mark == ',' && reads_like_prose(line.text)));
        if rows >= FEW || rows == 2 && rows == lines.len() && cells > 3 {
            return Some((separator, rows));
        }
    }
    let cells = Separator::Spaces.cells(first).len();
    if cells < 3 {
        return None;
    }
    let aligned = |line: &Line| Separator::Spaces.cells(line.text).len().abs_diff(cells) <= 1;
    let rows = run(lines, aligned);
    (rows >= FEW).then_some((Separator::Spaces, rows))
}

/// Lines from the first on that are `alike`, passing over one that is not between two that are.
fn run(lines: &[Line], alike: impl Fn(&Line) -> bool) -> usize {
    let mut rows = 0;
    while rows < lines.len() {
        if alike(&lines[rows]) {
            rows += 1;
        } else if rows > 2 && rows + 2 < lines.len() && alike(&lines[rows + 1]) && alike(&lines[rows + 2]) {
            rows += 2;
        } else {
            break;
        }
    }
    rows
}

fn is_bar(line: &str) -> bool {
    let line = line.trim();
    let ruler =
        line.len() > 3 && line.starts_with(['+', '|', '┌', '├', '└', '╔', '╠', '╚', '─']) && is_ruler(line);
    ruler
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

/// Adds the rows of a table: each needs the header, and the row that heads its section.
pub(super) fn table(lines: &[Line], builder: &mut Builder, around: &Around) {
    let Some((separator, _)) = separator(lines) else {
        for line in lines {
            builder.push(line.range.clone(), SegmentKind::Row, around);
        }
        return;
    };
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| separator.cells(line.text)).collect();
    let header = header(lines, &rows);
    let first = builder.segments.len();
    let (mut section, mut numbers) = (None, Vec::new());
    for (i, line) in lines.iter().enumerate() {
        let heads = i < header && header < lines.len();
        let kind = if heads { SegmentKind::Header } else { SegmentKind::Row };
        let number = builder.push(line.range.clone(), kind, around);
        numbers.push(number);
        if i < header {
            if is_ruler(line.text) {
                // Rows can be read without it.
                builder.need(number, first);
            } else {
                builder.tie(number, first);
            }
            continue;
        }
        if header > 0 {
            builder.need(number, first);
            let context =
                (first..first + header).map(|row| builder.segments[row].range.clone()).collect::<Vec<_>>();
            builder.segments[number].context.extend(context);
        }
        if is_ruler(line.text) {
            builder.segments[number].worth = 0.3;
        } else if rows[i].len() > 1
            && rows[i][1..].iter().all(|cell| cell.is_empty())
            && !rows[i][0].is_empty()
        {
            section = Some(number);
        } else if let Some(section) = section {
            builder.need(number, section);
            let range = builder.segments[section].range.clone();
            builder.segments[number].context.push(range);
        }
    }
    weigh(builder, &numbers[header..], &rows[header..]);
}

/// Returns the number of leading rows that are the header: up to a ruler, and below it those without a name or a
/// number.
fn header(lines: &[Line], rows: &[Vec<&str>]) -> usize {
    let first = lines.iter().position(|line| !is_ruler(line.text)).unwrap_or_default();
    let ruler = lines.iter().skip(first).take(3).position(|line| is_ruler(line.text));
    let mut header = first + ruler.map_or(1, |ruler| ruler + 1);
    if ruler.is_none()
        && rows.get(first).is_none_or(|row| row.iter().any(|cell| is_number(cell)) && rows.len() < 2)
    {
        return first;
    }
    let unnamed = |row: &Vec<&str>| {
        row.first().is_some_and(|cell| cell.is_empty())
            && row.iter().any(|cell| !cell.is_empty())
            && !row.iter().any(|cell| is_number(cell) && !is_year(cell))
    };
    let most = (header + MOST_HEADER).min(rows.len().saturating_sub(1));
    while ruler.is_some() && header < most && unnamed(&rows[header]) {
        header += 1;
    }
    header.min(lines.len())
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
fn weigh(builder: &mut Builder, numbers: &[usize], rows: &[Vec<&str>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    for column in 0..columns.min(64) {
        let mut counts: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
        for row in rows {
            *counts.entry(row.get(column).copied().unwrap_or_default()).or_default() += 1;
        }
        let usual = counts.values().max().copied().unwrap_or_default();
        if rows.len() < 6 || usual * 10 < rows.len() * 7 {
            continue;
        }
        for (row, &number) in rows.iter().zip(numbers) {
            let count = counts[row.get(column).copied().unwrap_or_default()];
            if count * 5 < usual && !row.get(column).is_none_or(|cell| cell.is_empty()) {
                builder.segments[number].worth *= (usual as f32 / count as f32).ln().min(4.0);
            }
        }
    }
}
