//! Text of RTF as it runs: paragraphs with their properties, which become Markdown.

use super::grid::Grid;
use crate::engine::collections::files::plain;

/// The level of an outline from which on paragraphs are no headings.
const DEEPEST: usize = 6;

/// The properties of a paragraph.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ParagraphProps {
    /// Level of the heading that it is, from 1.
    pub(super) heading: Option<usize>,
    /// The number of tables that it is inside of.
    pub(super) depth: usize,
    /// The level of the list that it stands in, from 0.
    pub(super) level: usize,
}

impl ParagraphProps {
    /// Tables deeper than this, which no person makes, are read as of this depth.
    const DEEPEST_TABLE: usize = 16;

    /// Sets the depth in tables.
    pub(super) fn set_depth(&mut self, depth: usize) {
        self.depth = depth.min(Self::DEEPEST_TABLE);
    }
}

/// A text that is being read: that of the document, of a note, or of the head of a page.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) text: String,
    pub(super) paragraph: String,
    pub(super) props: ParagraphProps,
    /// Mark of the list that the paragraph is an item of.
    pub(super) mark: String,
    /// Notes that belong to the paragraph or table.
    pub(super) notes: String,
    tables: Vec<Grid>,
}

impl Flow {
    /// The table that a paragraph of this depth is in.
    pub(super) fn table(&mut self, depth: usize) -> &mut Grid {
        let depth = depth.max(1);
        self.close_tables(depth);
        while self.tables.len() < depth {
            self.tables.push(Grid::default());
        }
        &mut self.tables[depth - 1]
    }

    /// Ends the tables that are deeper.
    fn close_tables(&mut self, depth: usize) {
        while self.tables.len() > depth
            && let Some(closed) = self.tables.pop()
        {
            if let Some(outer) = self.tables.last_mut() {
                outer.take(closed);
            } else {
                self.text.extend(closed.markdown().map(|table| table + "\n"));
                self.text += &std::mem::take(&mut self.notes);
            }
        }
    }

    /// Ends a paragraph.
    pub(super) fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let mark = mark_of(&std::mem::take(&mut self.mark), self.props.level);
        if paragraph.trim().is_empty() {
            return;
        }
        let words = || paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.props.depth > 0 {
            let cell = &mut self.table(self.props.depth).cell;
            if !cell.is_empty() {
                cell.push(' ');
            }
            *cell += mark.trim_start();
            *cell += &words();
            return;
        }
        self.close_tables(0);
        if let Some(level) = self.props.heading {
            self.text += &["#".repeat(level.clamp(1, DEEPEST)).as_str(), " ", &words(), "\n\n"].concat();
        } else {
            let lines: Vec<String> = paragraph.lines().map(plain).collect();
            self.text += &(mark + &lines.join("\n") + "\n\n");
        }
        self.text += &std::mem::take(&mut self.notes);
    }

    /// Ends a cell of a table of this depth.
    pub(super) fn end_cell(&mut self, depth: usize) {
        self.props.set_depth(depth);
        self.end_paragraph();
        self.table(depth).end_cell();
    }

    /// All of the text.
    pub(super) fn finished(mut self) -> String {
        self.end_paragraph();
        self.close_tables(0);
        self.text + &self.notes
    }
}

/// The mark of an item of a list, as Markdown has it.
fn mark_of(written: &str, level: usize) -> String {
    let written = written.trim();
    if written.is_empty() {
        return String::new();
    }
    let is_counted = written.starts_with(|c: char| c.is_alphanumeric() || c == '(') && written.len() > 1;
    let mark = if is_counted { written } else { "-" };
    format!("{}{mark} ", "  ".repeat(level.min(8)))
}
