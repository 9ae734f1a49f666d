//! Tables of HTML: as grids whose spans are filled, so that each row stands alone; tables inside others stand behind
//! them, and tables that only lay out a page are its text.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use htmd::element_handler::{HandlerResult, Handlers};
use htmd::{Element, HtmlToMarkdownBuilder};

use super::attribute;
use crate::engine::collections::files::plain;
use crate::engine::collections::files::table::Table;

/// The characters around the number of a table in the text of the cell that it is in, until its place is known.
const MARKS: [char; 2] = ['\u{e000}', '\u{e001}'];
/// Rows that a cell can span, as browsers have it.
const MOST_ROWS: usize = 65_534;

/// Adds the handlers of tables.
pub(super) fn add(builder: HtmlToMarkdownBuilder) -> HtmlToMarkdownBuilder {
    let tables = Tables::default();
    let [of_table, of_row, of_cell, of_caption] = std::array::from_fn(|_| tables.clone());
    builder
        .add_handler(vec!["table"], move |handlers: &dyn Handlers, element: Element| {
            Some(of_table.table(handlers, &element))
        })
        .add_handler(vec!["tr"], move |handlers: &dyn Handlers, element: Element| {
            of_row.row(handlers, &element)
        })
        .add_handler(vec!["td", "th"], move |handlers: &dyn Handlers, element: Element| {
            of_cell.cell(handlers, &element)
        })
        .add_handler(vec!["caption"], move |handlers: &dyn Handlers, element: Element| {
            of_caption.caption(handlers, &element)
        })
}

/// The tables of a page.
#[derive(Clone, Default)]
struct Tables(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Tables that are being read, the innermost last.
    open: Vec<Open>,
    /// Tables inside others, until they have their place.
    inner: Vec<Option<String>>,
}

/// A table that is being read.
#[derive(Default)]
struct Open {
    caption: String,
    rows: Vec<Vec<Cell>>,
    /// Says whether it says that it is no table of data.
    presents: bool,
    has_header: bool,
}

struct Cell {
    content: String,
    columns: usize,
    rows: usize,
}

impl Tables {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self, handlers: &dyn Handlers, element: &Element) -> HandlerResult {
        let role = attribute(element, "role").unwrap_or_default();
        let presents = matches!(role.trim(), "presentation" | "none");
        self.state().open.push(Open { presents, ..Open::default() });
        handlers.walk_children(element.node);
        let mut state = self.state();
        let open = state.open.pop().unwrap_or_default();
        format!("\n\n{}\n\n", state.finished(open)).into()
    }

    fn row(&self, handlers: &dyn Handlers, element: &Element) -> Option<HandlerResult> {
        self.state().open.last_mut()?.rows.push(Vec::new());
        handlers.walk_children(element.node);
        None
    }

    fn cell(&self, handlers: &dyn Handlers, element: &Element) -> Option<HandlerResult> {
        let span = |name| attribute(element, name).and_then(|span| span.trim().parse::<usize>().ok());
        let content = handlers.walk_children(element.node).content;
        let rows = span("rowspan").map_or(1, |rows| if rows == 0 { MOST_ROWS } else { rows.min(MOST_ROWS) });
        let cell = Cell { content, columns: span("colspan").unwrap_or(1), rows };
        let mut state = self.state();
        let open = state.open.last_mut()?;
        open.has_header |= element.tag == "th";
        open.rows.last_mut()?.push(cell);
        None
    }

    fn caption(&self, handlers: &dyn Handlers, element: &Element) -> Option<HandlerResult> {
        let caption = handlers.walk_children(element.node).content;
        caption.trim().clone_into(&mut self.state().open.last_mut()?.caption);
        None
    }
}

impl Open {
    /// Returns whether it lays out a page: what is in its cells is text, perhaps with tables of its own.
    fn is_layout(&self) -> bool {
        self.presents || (!self.has_header && self.rows.iter().all(|row| row.len() <= 1))
    }
}

impl State {
    /// The text of a table that was read, or what stands for it in the cell that it is in.
    fn finished(&mut self, open: Open) -> String {
        let is_outermost = self.open.is_empty();
        if open.is_layout() {
            let cells = open.rows.iter().flatten().map(|cell| cell.content.trim());
            let cells: Vec<&str> = [open.caption.as_str()].into_iter().chain(cells).collect();
            let text = cells.into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("\n\n");
            return if is_outermost { self.placed(&text) } else { text };
        }
        let text = self.grid(open);
        if is_outermost {
            return text;
        }
        self.inner.push(Some(text));
        format!("{}{}{}", MARKS[0], self.inner.len() - 1, MARKS[1])
    }

    /// A table of data, and behind it the tables in its cells, each under what its row is about.
    fn grid(&mut self, open: Open) -> String {
        let (mut table, mut behind) = (Table::default(), String::new());
        for row in open.rows {
            table.begin_row();
            for cell in row {
                let mut text = String::new();
                for part in parts(&cell.content) {
                    match self.taken(&part) {
                        Some(inner) => {
                            let label = table.label().map(|label| plain(label) + "\n\n");
                            behind += &["\n", &label.unwrap_or_default(), &inner, "\n"].concat();
                        }
                        None => text += part.text(),
                    }
                }
                table.push(&text, cell.columns, cell.rows);
            }
        }
        let caption = if open.caption.is_empty() { String::new() } else { open.caption + "\n\n" };
        let grid = if table.is_empty() { String::new() } else { table.markdown() };
        (caption + &grid + &behind).trim_end().to_owned()
    }

    /// A text with each table in its place.
    fn placed(&mut self, text: &str) -> String {
        parts(text)
            .into_iter()
            .map(|part| self.taken(&part).unwrap_or_else(|| part.text().to_owned()))
            .collect()
    }

    /// The table that a part stands for, the first time that it is asked for.
    fn taken(&mut self, part: &Part<'_>) -> Option<String> {
        match part {
            Part::Inner { number, .. } => self.inner.get_mut(*number)?.take(),
            Part::Text(_) => None,
        }
    }
}

/// A part of a cell's content.
enum Part<'a> {
    Text(&'a str),
    /// A table, if the page itself did not write so.
    Inner {
        number: usize,
        written: &'a str,
    },
}

impl<'a> Part<'a> {
    /// The part as it is written.
    fn text(&self) -> &'a str {
        match self {
            Self::Text(text) | Self::Inner { written: text, .. } => text,
        }
    }
}

fn parts(content: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = content;
    while let Some(start) = rest.find(MARKS[0]) {
        let inside = &rest[start + MARKS[0].len_utf8()..];
        let end = inside.find(|c: char| !c.is_ascii_digit()).unwrap_or(inside.len());
        let (before, marked) = rest.split_at(start);
        parts.push(Part::Text(before));
        let number = inside[..end].parse().ok().filter(|_| inside[end..].starts_with(MARKS[1]));
        let length = MARKS[0].len_utf8() + number.map_or(0, |_| end + MARKS[1].len_utf8());
        let (written, behind) = marked.split_at(length);
        parts.push(number.map_or(Part::Text(written), |number| Part::Inner { number, written }));
        rest = behind;
    }
    parts.push(Part::Text(rest));
    parts
}

#[cfg(test)]
mod tests {
    use crate::engine::collections::files::html::parsed;

    fn text(html: &str) -> String {
        parsed(html.as_bytes(), false).unwrap().text
    }

    #[test]
    fn spans_fill_the_grid_so_that_a_row_stands_alone() {
        let html = "<p>Fees</p><table><caption>Berths</caption><thead><tr><th rowspan=2>Berth<th colspan=2>Low season<th>High\
            <tr><th>day<th>week<th>day</thead><tbody><tr><td rowspan=0>North | quay<td>5<td>30<td><b>9</b>\
            <tr><td>6<td>36<td>10</tbody></table><p>End</p>";
        assert_eq!(
            text(html),
            "Fees\n\nBerths\n\n| Berth | Low season | Low season | High |\n|---|---|---|---|\n\
             | Berth | day | week | day |\n| North \\| quay | 5 | 30 | **9** |\n| North \\| quay | 6 | 36 | 10 |\n\nEnd"
        );
    }

    #[test]
    fn tables_in_tables_stand_behind_and_layout_is_text() {
        let inner = "<table><tr><th>a<th>b<tr><td>1<td>2</table>";
        let outer = format!("<table><tr><td>Hours<td>See {inner} below<tr><td>Fees<td>none</table>");
        assert_eq!(
            text(&outer),
            "| Hours | See below |\n|---|---|\n| Fees | none |\n\nHours\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        );
        let layout =
            format!("<table><tr><td><h1>Harbour</h1><p>Open.</p>{inner}<p>End.</p></td></tr></table>");
        assert_eq!(text(&layout), "# Harbour\n\nOpen.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nEnd.");
        let menu = "<table role=presentation><tr><td><p>Left</p><td><p>Right</p></table>";
        assert_eq!(text(menu), "Left\n\nRight");
        assert_eq!(text("<table><tr><td>a<td><table><tr><td>b</table></table>"), "| a | b |\n|---|---|");
    }

    #[test]
    fn what_a_page_writes_as_a_mark_is_its_text() {
        let inner = "<table><tr><td>1<td>2</table>";
        let page = format!("<table><tr><td>&#xe000;0&#xe001; &#xe000;7&#xe001; &#xe000;<td>{inner}x</table>");
        let text = text(&page);
        assert_eq!(text.matches("| 1 | 2 |").count(), 1, "{text}");
        assert!(text.contains("\u{e000}7\u{e001}") && text.contains('x'), "{text}");
    }

    #[test]
    fn hostile_spans_stay_small() {
        let row = "<tr><td colspan=4294967296 rowspan=99999999999999999999>x<td colspan=-1 rowspan=65534>y";
        assert!(text(&format!("<table>{}</table>", row.repeat(200))).len() < 2_000_000);
    }
}
