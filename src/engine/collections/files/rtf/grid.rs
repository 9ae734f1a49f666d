//! Tables of RTF: rows of cells that end at places on the page, from which the grid is made.

use crate::engine::collections::files::plain;
use crate::engine::collections::files::table::Table;

/// Places that differ by less, in twentieths of a point, are one.
const NEAR: i32 = 40;

/// The place of a cell, and what binds it to its neighbours.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CellShape {
    /// The distance of its right end from the margin.
    right: i32,
    /// Says whether it goes on with the cell above.
    continues_above: bool,
    /// Says whether it goes on with the cell before.
    continues_before: bool,
}

/// A table that is being read.
#[derive(Debug, Default)]
pub(super) struct Grid {
    rows: Vec<Vec<(String, CellShape)>>,
    /// The cells of the row so far.
    texts: Vec<String>,
    /// The cell so far.
    pub(super) cell: String,
    shapes: Vec<CellShape>,
    next: CellShape,
    /// Tables inside this one, each with what its row is about.
    inner: String,
}

impl Grid {
    /// Notes what a control word says of the cells of a row.
    pub(super) fn shape(&mut self, word: &str, number: i32) {
        match word {
            "trowd" => {
                self.shapes.clear();
                self.next = CellShape::default();
            }
            "clvmrg" => self.next.continues_above = true,
            "clmrg" => self.next.continues_before = true,
            "cellx" => self.shapes.push(CellShape { right: number, ..std::mem::take(&mut self.next) }),
            _ => {}
        }
    }

    pub(super) fn end_cell(&mut self) {
        self.texts.push(std::mem::take(&mut self.cell));
    }

    pub(super) fn end_row(&mut self) {
        let texts = std::mem::take(&mut self.texts);
        let mut right = 0;
        let row = texts.into_iter().enumerate().map(|(place, text)| {
            // A row that says of fewer cells than it has is damaged; they stand side by side.
            let beside = CellShape { right: i32::saturating_add(right, 2 * NEAR), ..CellShape::default() };
            let shape = self.shapes.get(place).copied().unwrap_or(beside);
            right = shape.right;
            (text, shape)
        });
        let row = row.collect();
        self.rows.push(row);
    }

    /// Takes a table that stands in the present cell.
    pub(super) fn take(&mut self, inner: Self) {
        let Some(inner) = inner.markdown() else { return };
        if let Some(label) = self.texts.iter().map(|text| text.trim()).find(|text| !text.is_empty()) {
            self.inner += &[&plain(label), "\n\n"].concat();
        }
        self.inner += &(inner + "\n");
    }

    /// The table in Markdown, and those inside it behind; none where it has no text.
    pub(super) fn markdown(mut self) -> Option<String> {
        if !self.cell.trim().is_empty() || !self.texts.is_empty() {
            self.end_cell();
            self.end_row();
        }
        let places = places(&self.rows);
        let mut table = Table::default();
        for row in self.rows {
            table.begin_row();
            let mut left = 0;
            let mut cells = row.into_iter().peekable();
            while let Some((text, shape)) = cells.next() {
                let mut right = shape.right;
                while let Some((_, beside)) = cells.next_if(|(_, shape)| shape.continues_before) {
                    right = beside.right;
                }
                let end = places.partition_point(|&place| place < right.saturating_sub(NEAR)) + 1;
                let columns = end.saturating_sub(left).max(1);
                left = left.max(end);
                if shape.continues_above {
                    table.push_continued(columns);
                } else {
                    table.push(&text, columns, 1);
                }
            }
        }
        let separator = if self.inner.is_empty() { "" } else { "\n" };
        (!table.is_empty() || !self.inner.is_empty())
            .then(|| [&table.markdown(), separator, self.inner.trim_end_matches('\n'), separator].concat())
    }
}

/// Returns the places at which the columns of a grid end, ascending.
fn places(rows: &[Vec<(String, CellShape)>]) -> Vec<i32> {
    let mut places: Vec<i32> = rows.iter().flatten().map(|(_, shape)| shape.right).collect();
    places.sort_unstable();
    let mut last: Option<i32> = None;
    places.retain(|&place| {
        let is_new = last.is_none_or(|last| place.saturating_sub(last) > NEAR);
        if is_new {
            last = Some(place);
        }
        is_new
    });
    places
}
