//! The order in which a page is read: columns one after the other, tables row by row.
//!
//! What stands at one height is a row. Where several rows leave the same strip free, with words on both sides of it, the
//! strip parts columns: of text where their lines are long, else of a table.

use std::ops::Range;

use super::words::Word;
use crate::engine::collections::files::table::Table;
use crate::text::is_unspaced;

/// Most rows of a page that are searched for columns.
const MOST_ROWS: usize = 150;
/// Most strips that rows leave free and that are looked at.
const MOST_STRIPS: usize = 64;
/// Fewest rows in which a strip parts columns.
const FEWEST_ROWS: usize = 3;
/// Most columns of text; more are a table.
const MOST_TEXT_COLUMNS: usize = 3;
/// Words on average in a line of a column of text, at least.
const WORDS_OF_LINE: f64 = 3.5;
/// Most room between two rows of one part, in heights of letters.
const ROOM: f64 = 3.0;
/// Share of a column's width that its lines fill, at least, where it is one of text.
const FILLED: f64 = 0.6;

/// Words at one height, from the left.
#[derive(Debug)]
struct Row {
    words: Vec<Word>,
    line: f64,
    size: f64,
}

/// A strip of a page, from the left to the right.
type Strip = Range<f64>;

/// The text of a page as lines of Markdown; of several rows that are a table a row each.
pub(super) fn text(words: Vec<Word>) -> String {
    let rows = rows(words);
    let mut text = String::new();
    write_block(&rows, &mut text);
    text
}

fn rows(mut words: Vec<Word>) -> Vec<Row> {
    words.sort_by(|a, b| a.line.total_cmp(&b.line));
    let mut rows: Vec<Row> = Vec::new();
    for word in words {
        match rows.last_mut() {
            // Numbers of notes stand higher, and are smaller.
            Some(row) if word.line - row.line < 0.5 * row.size.max(word.size) => {
                if word.size > row.size {
                    (row.line, row.size) = (word.line, word.size);
                }
                row.words.push(word);
            }
            _ => rows.push(Row { line: word.line, size: word.size, words: vec![word] }),
        }
    }
    for row in &mut rows {
        row.words.sort_by(|a, b| a.left.total_cmp(&b.left));
    }
    rows
}

/// Writes rows: the largest part in which columns stand side by side, with what is above and below it.
fn write_block(rows: &[Row], text: &mut String) {
    let Some((part, gutters)) = largest_part(rows) else {
        write_lines(rows.iter().map(|row| row.words.iter().collect()), text);
        return;
    };
    let inside = without_paragraphs(&rows[part.clone()], &gutters[0]);
    let part = part.start + inside.start..part.start + inside.end;
    write_block(&rows[..part.start], text);
    write_columns(&rows[part.clone()], &gutters, text);
    write_block(&rows[part.end..], text);
}

/// The run of rows with the most strips that all of them leave free, counted by rows, and these strips.
fn largest_part(rows: &[Row]) -> Option<(Range<usize>, Vec<Strip>)> {
    if rows.len() > MOST_ROWS {
        return None;
    }
    let mut best: Option<(Range<usize>, Vec<Strip>)> = None;
    for start in 0..rows.len() {
        let mut free = vec![f64::NEG_INFINITY..f64::INFINITY];
        for end in start..rows.len() {
            if end > start && rows[end].line - rows[end - 1].line > ROOM * rows[end].size {
                break;
            }
            free = without(free, &rows[end]);
            let part = start..end + 1;
            if free.len() > MOST_STRIPS {
                break;
            }
            // Where even the outermost strips are all that is left, more rows free no other.
            if free.iter().all(|strip| strip.start.is_infinite() || strip.end.is_infinite())
                && end > start + 1
            {
                break;
            }
            let gutters = gutters(&rows[part.clone()], &free);
            let size = part.len() * gutters.len();
            if size > best.as_ref().map_or(0, |(part, gutters)| part.len() * gutters.len()) {
                best = Some((part, gutters));
            }
        }
    }
    best
}

/// The rows without a paragraph above or below them that is no wider than the first column.
fn without_paragraphs(rows: &[Row], gutter: &Strip) -> Range<usize> {
    let step = |row: usize| rows[row].line - rows[row - 1].line;
    let mut steps: Vec<f64> = (1..rows.len()).map(step).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    let is_apart = |&row: &usize| step(row) > 1.5 * usual;
    let is_one_sided = |row: &&Row| row.words.iter().all(|word| word.right <= gutter.start);
    let first = rows.iter().take_while(is_one_sided).count().min(rows.len() - 1);
    let last = rows.iter().rev().take_while(is_one_sided).count();
    let start = (1..=first).rev().find(is_apart).unwrap_or(0);
    let end = ((rows.len() - last).max(start + 1)..rows.len()).find(is_apart).unwrap_or(rows.len());
    start..end
}

/// Returns the parts that `row` leaves free of `strips`, as far as it is wide enough to part columns.
fn without(strips: Vec<Strip>, row: &Row) -> Vec<Strip> {
    let mut free = strips;
    for word in &row.words {
        let parts = |strip: Strip| {
            [strip.start..strip.end.min(word.left), strip.start.max(word.right)..strip.end]
                .into_iter()
                .filter(|part| part.end - part.start > row.size)
        };
        free = free
            .into_iter()
            .flat_map(|strip| {
                let is_apart = word.right <= strip.start || word.left >= strip.end;
                let whole = is_apart.then_some(strip.clone());
                whole.into_iter().chain((!is_apart).then(|| parts(strip)).into_iter().flatten())
            })
            .collect();
    }
    free
}

/// Returns the strips of `free` with words of enough rows on both sides.
fn gutters(rows: &[Row], free: &[Strip]) -> Vec<Strip> {
    let beside = |is_there: &dyn Fn(&Word) -> bool| {
        rows.iter().filter(|row| row.words.iter().any(is_there)).count() >= FEWEST_ROWS
    };
    let mut found: Vec<Strip> = Vec::new();
    for strip in free.iter().filter(|strip| strip.start.is_finite() && strip.end.is_finite()) {
        let from = found.last().map_or(f64::NEG_INFINITY, |last| last.end);
        let before = beside(&|word| word.left >= from && word.right <= strip.start);
        if before && beside(&|word| word.left >= strip.end) {
            found.push(strip.clone());
        }
    }
    found
}

/// Writes rows whose columns `gutters` part.
fn write_columns(rows: &[Row], gutters: &[Strip], text: &mut String) {
    let Some(first) = gutters.first() else {
        return write_lines(rows.iter().map(|row| row.words.iter().collect()), text);
    };
    let is_mark =
        |row: &Row| joined(&row.words.iter().filter(|word| word.right <= first.start).collect::<Vec<_>>());
    if rows.iter().map(is_mark).all(|mark| mark.is_empty() || is_list_mark(&mark)) {
        return write_columns(rows, &gutters[1..], text);
    }
    let column_of = |word: &Word| gutters.iter().filter(|strip| word.left >= strip.end).count();
    let cells: Vec<Vec<Vec<&Word>>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![Vec::new(); gutters.len() + 1];
            row.words.iter().for_each(|word| cells[column_of(word)].push(word));
            cells
        })
        .collect();
    if is_text(&cells) {
        for column in 0..=gutters.len() {
            write_lines(cells.iter().map(|row| row[column].clone()), text);
        }
        text.push('\n');
        return;
    }
    let together = cells.iter().filter(|row| row.iter().filter(|cell| !cell.is_empty()).count() > 1).count();
    if 2 * together < rows.len() {
        write_lines(rows.iter().map(|row| row.words.iter().collect()), text);
        return;
    }
    let mut table = Table::default();
    for row in &cells {
        table.begin_row();
        for cell in row {
            table.push(&joined(cell), 1, 1);
        }
    }
    *text += &["\n", &table.markdown(), "\n"].concat();
}

/// Returns whether a text is what stands before an item of a list.
fn is_list_mark(text: &str) -> bool {
    let is_short = text.chars().count() <= 5;
    let is_counted =
        text.ends_with(['.', ')']) && text.starts_with(|c: char| c.is_alphanumeric() || c == '(');
    is_short && (is_counted || !text.contains(char::is_alphanumeric) || text == "o")
}

/// Returns whether each column is one of text: its lines have many words, and most of them are as long as the others.
fn is_text(cells: &[Vec<Vec<&Word>>]) -> bool {
    let columns = cells.first().map_or(0, Vec::len);
    columns <= MOST_TEXT_COLUMNS
        && (0..columns).all(|column| {
            let lines: Vec<&Vec<&Word>> =
                cells.iter().map(|row| &row[column]).filter(|cell| !cell.is_empty()).collect();
            let words: usize = lines.iter().map(|line| line.len()).sum();
            let ends = || lines.iter().flat_map(|line| line.iter());
            let left = ends().map(|word| word.left).fold(f64::INFINITY, f64::min);
            let right = ends().map(|word| word.right).fold(f64::NEG_INFINITY, f64::max);
            let long = lines
                .iter()
                .filter(|line| line.last().is_some_and(|word| word.right - left > FILLED * (right - left)));
            let lines = lines.len() as f64;
            words as f64 >= WORDS_OF_LINE * lines && long.count() as f64 >= FILLED * lines
        })
}

/// Writes lines as text, with an empty one where more room is between them.
fn write_lines<'a>(lines: impl Iterator<Item = Vec<&'a Word>>, text: &mut String) {
    let mut above: Option<&Word> = None;
    for line in lines {
        let Some(first) = line.first() else { continue };
        if above.is_some_and(|above| first.line - above.line > 1.5 * first.size.max(above.size)) {
            text.push('\n');
        }
        *text += &(joined(&line) + "\n");
        above = Some(first);
    }
}

fn joined(words: &[&Word]) -> String {
    let mut text = String::new();
    let mut before: Option<&Word> = None;
    for word in words {
        let gap = before.map_or(0.0, |before| (word.left - before.right) / word.size);
        let is_unspaced = text.ends_with(is_unspaced) && word.text.starts_with(is_unspaced);
        if gap > if is_unspaced { 0.5 } else { 0.1 } || gap < -0.5 {
            text.push(' ');
        }
        text += &word.text;
        before = Some(word);
    }
    text
}
