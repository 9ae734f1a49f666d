//! A table with cells that span columns and rows, as Markdown with as many cells in each row as the grid has: what
//! stands in a span is repeated in all that it covers, so that each row can be read by itself.

use super::plain_cell;

/// Most columns. What stands to the right of them is left out, and counted in a line behind the table.
const MOST_COLUMNS: usize = 1000;
/// Most columns that one cell spans: a file of a few bytes may claim any number in each of its cells.
const MOST_SPANNED: usize = 64;
/// Longest text, in bytes, that is repeated in the columns and rows that its cell spans.
const MOST_REPEATED: usize = 400;

/// A table that is put together cell by cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// The number of further rows, for each column, that the cell above spans.
    spans: Vec<usize>,
    /// The number of cells with text that are left out.
    left_out: usize,
}

impl Table {
    /// Begins a row.
    pub(super) fn begin_row(&mut self) {
        self.end_row();
        self.rows.push(Vec::new());
    }

    /// A cell over so many columns and rows, at the next free place of the row.
    pub(super) fn push(&mut self, text: &str, columns: usize, rows: usize) {
        self.fill_spanned();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.left_out += usize::from(self.column().is_none() && !text.is_empty());
        for place in 0..columns.clamp(1, MOST_SPANNED) {
            let shown = place == 0 || text.len() <= MOST_REPEATED;
            self.put(if shown { text.clone() } else { String::new() }, rows.max(1) - 1);
        }
    }

    /// A cell over so many columns in which the one above goes on.
    pub(super) fn push_continued(&mut self, columns: usize) {
        self.fill_spanned();
        for _ in 0..columns.clamp(1, MOST_SPANNED) {
            let text = self.above();
            self.put(text, 0);
        }
    }

    /// Whether it has no text.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().flatten().all(String::is_empty)
    }

    /// Text of the first cell of the row so far that has any.
    pub(super) fn label(&self) -> Option<&str> {
        let row = self.rows.last()?;
        row.iter().map(String::as_str).find(|cell| !cell.is_empty())
    }

    /// The table in Markdown; its first row is the header.
    pub(super) fn markdown(mut self) -> String {
        self.end_row();
        self.rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
        let width = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut text = String::new();
        for (place, row) in self.rows.iter().enumerate() {
            for column in 0..width {
                text += "| ";
                text += &plain_cell(row.get(column).map_or("", String::as_str));
                text.push(' ');
            }
            text += "|\n";
            if place == 0 {
                text += &"|---".repeat(width);
                text += "|\n";
            }
        }
        if self.left_out > 0 {
            let (count, most) = (self.left_out.to_string(), MOST_COLUMNS.to_string());
            text += &["\n(", &count, " cells right of column ", &most, " are left out.)\n"].concat();
        }
        text
    }

    /// Adds the cells that span from rows above before the next cell, and at the end of the row.
    fn fill_spanned(&mut self) {
        while let Some(left) = self.column().and_then(|column| self.spans.get(column)).copied()
            && left > 0
        {
            let text = self.above();
            self.put(text, left - 1);
        }
    }

    /// Ends the row with the cells that span from rows above after its last cell.
    fn end_row(&mut self) {
        while let Some(column) = self.column()
            && self.spans.iter().skip(column).any(|&left| left > 0)
        {
            match self.spans[column] {
                0 => self.put(String::new(), 0),
                _ => self.fill_spanned(),
            }
        }
    }

    /// Place of the next cell of the row.
    fn column(&self) -> Option<usize> {
        self.rows.last().map(Vec::len).filter(|&column| column < MOST_COLUMNS)
    }

    fn above(&self) -> String {
        let Some(column) = self.column() else { return String::new() };
        let above = self.rows.len().checked_sub(2).and_then(|row| self.rows[row].get(column));
        above.filter(|text| text.len() <= MOST_REPEATED).cloned().unwrap_or_default()
    }

    fn put(&mut self, text: String, rows_more: usize) {
        let (Some(column), Some(row)) = (self.column(), self.rows.last_mut()) else { return };
        row.push(text);
        if self.spans.len() <= column {
            self.spans.resize(column + 1, 0);
        }
        self.spans[column] = rows_more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_repeated_and_every_row_is_as_wide_as_the_grid() {
        let mut table = Table::default();
        for row in [
            &[("Berth", 1, 2), ("Low\n season", 2, 1), ("High", 1, 1)][..],
            &[("short", 1, 1), ("long", 1, 1)],
            &[("North", 1, 1)],
        ] {
            table.begin_row();
            for &(text, columns, rows) in row {
                table.push(text, columns, rows);
            }
        }
        let wanted = "| Berth | Low season | Low season | High |\n|---|---|---|---|\n\
                      | Berth | short | long |  |\n| North |  |  |  |\n";
        assert_eq!(table.markdown(), wanted);
    }

    #[test]
    fn cells_of_a_table_that_is_too_wide_are_counted() {
        let mut table = Table::default();
        for _ in 0..2 {
            table.begin_row();
            (0..MOST_COLUMNS + 3).for_each(|column| table.push(if column % 2 == 0 { "a" } else { "" }, 1, 1));
        }
        assert!(table.markdown().ends_with("|\n\n(4 cells right of column 1000 are left out.)\n"));
    }

    #[test]
    fn a_span_at_the_end_of_a_row_is_filled() {
        let mut table = Table::default();
        table.begin_row();
        table.push("a", 1, 1);
        table.push("b", 1, 3);
        table.begin_row();
        table.push("c", 1, 1);
        table.begin_row();
        table.push_continued(1);
        table.push("d|e", 1, 1);
        assert_eq!(table.markdown(), "| a | b |  |\n|---|---|---|\n| c | b |  |\n| c | b | d\\|e |\n");
    }

    #[test]
    fn hostile_spans_stay_small() {
        let mut table = Table::default();
        table.begin_row();
        table.push(&"x".repeat(10_000), usize::MAX, usize::MAX);
        for _ in 0..100 {
            table.begin_row();
            table.push("y", usize::MAX, 1);
        }
        assert!(table.markdown().len() < 2_000_000);
    }
}
