//! A document's text: paragraphs, headings by their styles, lists with their marks, and tables as grids.

use std::collections::HashMap;
use std::rc::Rc;

use quick_xml::events::{BytesStart, Event};

use super::notes::Notes;
use super::numbering::{ListPlace, Lists};
use crate::engine::collections::files::archive::{attribute, text_of};
use crate::engine::collections::files::plain;
use crate::engine::collections::files::table::Table;

/// The properties of a paragraph style.
#[derive(Debug, Clone, Default)]
pub(super) struct ParagraphStyle {
    /// Level of the heading that it is for.
    pub(super) heading: Option<usize>,
    /// The list that its paragraphs are in.
    pub(super) list: ListPlace,
}

/// Styles by their ids.
pub(super) type Styles = HashMap<String, ParagraphStyle>;

/// The document's text so far.
#[derive(Default)]
pub(super) struct Body {
    styles: Rc<Styles>,
    lists: Lists,
    notes: Notes,
    pub(super) text: String,
    paragraph: String,
    /// The style in the paragraph's properties.
    style: ParagraphStyle,
    own_list: ListPlace,
    /// Tables that are being read, the innermost last.
    tables: Vec<OpenTable>,
    /// Tables inside the outermost one, which stand behind it.
    inner: Vec<String>,
    in_text: bool,
    in_properties: bool,
    /// The depth inside hidden elements: alternatives of visible content, and deleted text.
    hidden: usize,
}

/// A table that is being read.
#[derive(Default)]
struct OpenTable {
    table: Table,
    cell: String,
    columns: usize,
    /// Whether the cell goes on with the one above.
    continues: bool,
}

impl Body {
    pub(super) fn new(styles: Rc<Styles>, lists: Lists, notes: Notes) -> Self {
        Self { styles, lists, notes, ..Self::default() }
    }

    pub(super) fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::Empty(tag) => {
                self.start(tag);
                self.end(tag.local_name().as_ref());
            }
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            _ if self.is_shown() => self.paragraph.extend(text_of(event)),
            _ => {}
        }
    }

    fn is_shown(&self) -> bool {
        self.in_text && self.hidden == 0
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let number = || attribute(tag, "val").and_then(|value| value.parse().ok()).unwrap_or(1);
        match tag.local_name().as_ref() {
            "Fallback" | "moveFrom" | "pPrChange" => self.hidden += 1,
            _ if self.hidden > 0 => {}
            "t" => self.in_text = true,
            "tab" if !self.in_properties => self.paragraph.push('\t'),
            "br" | "cr" => self.paragraph.push('\n'),
            "noBreakHyphen" => self.paragraph.push('-'),
            "footnoteReference" | "endnoteReference" => self.paragraph.extend(self.notes.cite(tag)),
            "pPr" => self.in_properties = true,
            "pStyle" => {
                let style = attribute(tag, "val").and_then(|style| self.styles.get(&style));
                self.style = style.cloned().unwrap_or_default();
            }
            "numId" | "ilvl" if self.in_properties => self.own_list.read(tag),
            "tbl" => self.tables.push(OpenTable::default()),
            name => {
                let Some(open) = self.tables.last_mut() else { return };
                match name {
                    "tr" => open.table.begin_row(),
                    "gridBefore" => open.table.push("", number(), 1),
                    "tc" => (open.columns, open.continues) = (1, false),
                    "gridSpan" => open.columns = number(),
                    "vMerge" => open.continues = attribute(tag, "val").is_none_or(|value| value != "restart"),
                    _ => {}
                }
            }
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "Fallback" | "moveFrom" | "pPrChange" => self.hidden = self.hidden.saturating_sub(1),
            _ if self.hidden > 0 => {}
            "t" => self.in_text = false,
            "pPr" => self.in_properties = false,
            "p" => self.end_paragraph(),
            "tc" => {
                let Some(open) = self.tables.last_mut() else { return };
                let cell = std::mem::take(&mut open.cell);
                if open.continues {
                    open.table.push_continued(open.columns);
                } else {
                    open.table.push(&cell, open.columns, 1);
                }
            }
            "tbl" => self.end_table(),
            _ => {}
        }
    }

    fn end_table(&mut self) {
        let Some(OpenTable { table, .. }) = self.tables.pop() else { return };
        if table.is_empty() {
            return;
        }
        let Some(outer) = self.tables.last() else {
            self.text += &(table.markdown() + "\n");
            for inner in std::mem::take(&mut self.inner) {
                self.text += &(inner + "\n");
            }
            self.text += &self.notes.cited();
            return;
        };
        // It stands behind the outer table, under what its row is about.
        let label = outer.table.label().map(|label| format!("{}\n\n", plain(label)));
        self.inner.push(label.unwrap_or_default() + &table.markdown());
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let style = std::mem::take(&mut self.style);
        let own = std::mem::take(&mut self.own_list);
        if paragraph.trim().is_empty() {
            return;
        }
        let words = || paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let list = if own.list.is_some() { own } else { style.list };
        let heading = style.heading.filter(|_| self.tables.is_empty());
        // The numbers of headings are counted apart, by rules that differ too much to be told here.
        let mark = if heading.is_some() { None } else { self.lists.mark(&list) };
        match (self.tables.last_mut(), heading) {
            (Some(OpenTable { cell, .. }), _) => {
                if !cell.is_empty() {
                    cell.push(' ');
                }
                *cell += mark.as_deref().map_or("", str::trim_start);
                *cell += &words();
            }
            (None, Some(level)) => self.text += &["#".repeat(level).as_str(), " ", &words(), "\n\n"].concat(),
            (None, None) => {
                let lines: Vec<String> = paragraph.lines().map(plain).collect();
                self.text += &(mark.unwrap_or_default() + &lines.join("\n") + "\n\n");
            }
        }
        // A note stands behind what it belongs to, so that both are in one chunk.
        if self.tables.is_empty() {
            self.text += &self.notes.cited();
        }
    }
}
