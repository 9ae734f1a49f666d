//! XLSX and ODS: each sheet under a heading with its name, as a table with the sheet's grid.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Cursor;

use calamine::{Data, Dimensions, ExcelDateTime, Ods, OdsError, Range, Reader, Xlsx, XlsxError};

use super::table::Table;
use super::{Parsed, archive, plain};

/// Most cells of a sheet with a cell in each of its corners, filled or not.
const MOST_CELLS: usize = 5_000_000;

/// Cells with text, by row and column.
type Cells = BTreeMap<u32, BTreeMap<u32, String>>;

pub(super) fn xlsx(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(
            "it has a password or is of an old version of Excel: save it as .xlsx without a password".into(),
        );
    }
    archive::check(bytes, "an XLSX")?;
    let told = |error: XlsxError| match error {
        XlsxError::Password => locked(),
        other => damaged("XLSX", &other),
    };
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(told)?;
    let mut text = String::new();
    for name in book.sheet_names() {
        let spans = book.merge_cells_by_sheet_name(&name).unwrap_or_default();
        // What is no sheet of cells, such as one that is a chart, has none.
        let Ok(mut reader) = book.worksheet_cells_reader(&name) else { continue };
        let mut cells = Cells::new();
        while let Some(cell) = reader.next_cell().map_err(told)? {
            let (row, column) = cell.get_position();
            put(&mut cells, (row, column), &Data::from(cell.get_value().clone()));
        }
        write(&name, &cells, spans, &mut text);
    }
    Ok(Parsed { title: None, text })
}

pub(super) fn ods(bytes: &[u8]) -> Result<Parsed, String> {
    archive::check(bytes, "an ODS")?;
    let told = |error: OdsError| match error {
        OdsError::Password => locked(),
        OdsError::CellLimitExceeded { .. } => repeated(),
        other => damaged("ODS", &other),
    };
    let mut book: Ods<_> = Ods::new(Cursor::new(bytes)).map_err(told)?;
    let mut text = String::new();
    for name in book.sheet_names() {
        let range: Range<Data> = book.worksheet_range(&name).map_err(told)?;
        // A row or cell that is repeated takes a few bytes of the file, whatever the number.
        if range.width().saturating_mul(range.height()) > MOST_CELLS {
            return Err(repeated());
        }
        let (row, column) = range.start().unwrap_or_default();
        let mut cells = Cells::new();
        for (below, beside, value) in range.used_cells() {
            put(&mut cells, (row + below as u32, column + beside as u32), value);
        }
        write(&name, &cells, Vec::new(), &mut text);
        if text.len() as u64 > archive::UNPACKED {
            return Err(repeated());
        }
    }
    Ok(Parsed { title: None, text })
}

fn repeated() -> String {
    format!(
        "a sheet in it has more than {MOST_CELLS} cells, or a text too long: it is hostile, or to be split"
    )
}

fn locked() -> String {
    "it has a password: save a copy without one".to_owned()
}

fn damaged(format: &str, error: &dyn Display) -> String {
    format!("it is not an {format} file or is damaged ({error}): save it again")
}

fn put(cells: &mut Cells, (row, column): (u32, u32), value: &Data) {
    let text = shown(value);
    if !text.trim().is_empty() {
        cells.entry(row).or_default().insert(column, text);
    }
}

/// A value as a reader would see it.
fn shown(value: &Data) -> String {
    match value {
        Data::Float(number) => number_of(*number),
        Data::DateTime(time) => time_of(time),
        other => other.to_string(),
    }
}

/// A number with at most the 15 digits that spreadsheets have.
fn number_of(number: f64) -> String {
    let rounded = format!("{number:.14e}").parse().unwrap_or(number);
    format!("{rounded}")
}

fn time_of(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let seconds = (time.as_f64() * 86_400.0).round() as i64;
        let sign = if seconds < 0 { "-" } else { "" };
        let seconds = seconds.unsigned_abs();
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let date = format!("{year:04}-{month:02}-{day:02}");
    match time.as_f64() {
        value if (0.0..1.0).contains(&value) => clock,
        value if value.fract() == 0.0 => date,
        _ => format!("{date} {clock}"),
    }
}

/// Adds a sheet. Rows of one cell above the table, such as a title, stand before it as text.
fn write(name: &str, cells: &Cells, spans: Vec<Dimensions>, text: &mut String) {
    let columns = || cells.values().flat_map(BTreeMap::keys).copied();
    let (Some(first), Some(last)) = (columns().min(), columns().max()) else { return };
    *text += &["# ", &one_line(name), "\n\n"].concat();
    if cells.len().saturating_mul((last - first + 1) as usize) > MOST_CELLS {
        // Too wide to be a table: what stands in a row is told one after the other.
        for row in cells.values() {
            let row: Vec<&str> = row.values().map(String::as_str).collect();
            *text += &(plain(&one_line(&row.join(", "))) + "\n");
        }
        text.push('\n');
        return;
    }
    let spans = Spans::new(spans, cells);
    let mut rows = cells.iter().peekable();
    while let Some((_, alone)) = rows.next_if(|(_, row)| row.len() == 1 && first < last) {
        let title = alone.values().next().map_or("", String::as_str);
        *text += &(plain(&one_line(title)) + "\n\n");
    }
    let mut table = Table::default();
    for (&row, filled) in rows {
        table.begin_row();
        let mut column = first;
        while column <= last {
            let (wide, high) = spans.of(row, column);
            if !spans.covered(row, column) {
                table.push(filled.get(&column).map_or("", String::as_str), wide as usize, high);
            }
            column += wide.max(1);
        }
    }
    if !table.is_empty() {
        *text += &(table.markdown() + "\n");
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cells that span others.
struct Spans<'a> {
    by_row: BTreeMap<u32, Vec<Dimensions>>,
    all: Vec<Dimensions>,
    cells: &'a Cells,
}

impl<'a> Spans<'a> {
    /// More of them than this, which no person makes, are not looked at: each cell is compared with those around it.
    const MOST: usize = 5000;

    fn new(mut all: Vec<Dimensions>, cells: &'a Cells) -> Self {
        if all.len() > Self::MOST {
            all.clear();
        }
        let mut by_row = BTreeMap::<u32, Vec<Dimensions>>::new();
        for span in &all {
            by_row.entry(span.start.0).or_default().push(*span);
        }
        Self { by_row, all, cells }
    }

    /// Columns, and rows that hold anything, of the cell.
    fn of(&self, row: u32, column: u32) -> (u32, usize) {
        let spans = self.by_row.get(&row).into_iter().flatten();
        let span = spans.into_iter().find(|span| span.start.1 == column);
        span.map_or((1, 1), |span| {
            let rows = self.cells.range(span.start.0..=span.end.0.max(span.start.0)).count();
            (span.end.1.saturating_sub(span.start.1) + 1, rows)
        })
    }

    /// Whether the cell belongs to one that begins in a row above that is shown.
    fn covered(&self, row: u32, column: u32) -> bool {
        let holds = |span: &&Dimensions| {
            span.start.0 < row && row <= span.end.0 && span.start.1 <= column && column <= span.end.1
        };
        self.all.iter().any(|span| holds(&span) && self.cells.contains_key(&span.start.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collections::files::archive::tests::archive as packed;

    const TYPES: &str = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>";

    /// A workbook with a sheet called `Trees` of this content.
    fn workbook(sheet: &str) -> Vec<u8> {
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let relations = "http://schemas.openxmlformats.org/package/2006/relationships";
        let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let book = format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"Trees\" sheetId=\"1\" r:id=\"r1\"/>\
             </sheets></workbook>"
        );
        let rels = format!(
            "<Relationships xmlns=\"{relations}\"><Relationship Id=\"r1\" Type=\"{office}/worksheet\" \
             Target=\"worksheets/sheet1.xml\"/></Relationships>"
        );
        let styles = format!(
            "<styleSheet xmlns=\"{main}\"><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"46\"/></cellXfs>\
             </styleSheet>"
        );
        let sheet = format!("<worksheet xmlns=\"{main}\">{sheet}</worksheet>");
        let root = format!(
            "<Relationships xmlns=\"{relations}\"><Relationship Id=\"r1\" Type=\"{office}/officeDocument\" \
             Target=\"xl/workbook.xml\"/></Relationships>"
        );
        packed(&[
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", &root),
            ("xl/workbook.xml", &book),
            ("xl/_rels/workbook.xml.rels", &rels),
            ("xl/styles.xml", &styles),
            ("xl/worksheets/sheet1.xml", &sheet),
        ])
    }

    fn text(place: &str, text: &str) -> String {
        format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    }

    #[test]
    fn sheets_are_tables_with_their_grid() {
        let rows = [
            text("B1", "Trees of the town"),
            text("B3", "Tree") + &text("C3", "Age"),
            text("C4", "mean") + &text("D4", "most"),
            text("B5", "Alder") + "<c r=\"C5\"><v>0.1</v></c><c r=\"D5\" s=\"1\"><v>45000</v></c>",
            text("B6", "Larch")
                + "<c r=\"C6\"><v>0.30000000000000004</v></c><c r=\"D6\" s=\"2\"><v>1.5</v></c>",
        ];
        let row = |(row, number): (&String, u32)| format!("<row r=\"{number}\">{row}</row>");
        let rows = rows.iter().zip([1, 3, 4, 5, 6]).map(row).collect::<Vec<_>>().concat();
        let merged = "<mergeCells><mergeCell ref=\"B3:B4\"/><mergeCell ref=\"C3:D3\"/></mergeCells>";
        let read = xlsx(&workbook(&format!("<sheetData>{rows}</sheetData>{merged}"))).unwrap();
        assert_eq!(
            read.text,
            "# Trees\n\nTrees of the town\n\n| Tree | Age | Age |\n|---|---|---|\n| Tree | mean | most |\n\
             | Alder | 0.1 | 2023-03-15 |\n| Larch | 0.3 | 36:00:00 |\n\n"
        );
    }

    #[test]
    fn cells_far_apart_stay_small() {
        let ends = |row| text(&format!("A{row}"), "x") + &text(&format!("XFD{row}"), "y");
        let rows =
            (1..2000).map(|row| format!("<row r=\"{row}\">{}</row>", ends(row))).collect::<Vec<_>>().concat();
        let read = xlsx(&workbook(&format!("<sheetData>{rows}</sheetData>"))).unwrap();
        assert!(read.text.starts_with("# Trees\n\nx, y\nx, y\n") && read.text.len() < 20_000);
    }

    /// A spreadsheet with a sheet called `Trees` of these rows.
    fn open_document(rows: &str) -> Vec<u8> {
        let spaces = "xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
            xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" \
            xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\"";
        let content = format!(
            "<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name=\"Trees\">{rows}\
             </table:table></office:spreadsheet></office:body></office:document-content>"
        );
        packed(&[
            ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
            (
                "META-INF/manifest.xml",
                "<manifest:manifest xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\"/>",
            ),
            ("content.xml", &content),
        ])
    }

    fn open_cell(repeated: usize, text: &str) -> String {
        format!(
            "<table:table-cell office:value-type=\"string\" table:number-columns-repeated=\"{repeated}\"><text:p>{text}\
             </text:p></table:table-cell>"
        )
    }

    fn open_row(repeated: usize, cells: &str) -> String {
        format!("<table:table-row table:number-rows-repeated=\"{repeated}\">{cells}</table:table-row>")
    }

    #[test]
    fn sheets_of_open_documents_are_read() {
        let number = "<table:table-cell office:value-type=\"float\" office:value=\"50\"><text:p>50</text:p></table:table-cell>";
        let rows = open_row(1, &(open_cell(1, "Tree") + &open_cell(1, "Age")))
            + &open_row(1, &(open_cell(1, "Alder") + number));
        let wanted = "# Trees\n\n| Tree | Age |\n|---|---|\n| Alder | 50 |\n";
        assert_eq!(ods(&open_document(&rows)).unwrap().text, format!("{wanted}\n"));
        // Sheets end with rows and cells without text, as many as there can be.
        let none = "<table:table-cell table:number-columns-repeated=\"16384\"/>";
        let twice = open_row(2, &open_cell(2, "Larch"));
        let read = ods(&open_document(&(rows + &twice + &open_row(1_048_000, none)))).unwrap();
        assert_eq!(read.text, format!("{wanted}| Larch | Larch |\n| Larch | Larch |\n\n"));
    }

    #[test]
    fn rows_and_cells_repeated_without_end_are_refused() {
        for (rows, columns) in [(1_048_576, 16_384), (usize::MAX, usize::MAX), (400, 16_384)] {
            let error = ods(&open_document(&open_row(rows, &open_cell(columns, "x")))).unwrap_err();
            assert!(error.contains("it is hostile, or to be split"), "{error}");
        }
    }

    #[test]
    fn what_is_no_workbook_is_refused() {
        let whole = workbook("<sheetData/>");
        let bomb = workbook(&format!("<sheetData>{}</sheetData>", " ".repeat(archive::UNPACKED as usize)));
        for (bytes, wanted) in [
            (b"\xd0\xcf\x11\xe0\xa1\xb1".to_vec(), "password"),
            (b"a,b\n1,2\n".to_vec(), "not an XLSX file or is damaged"),
            (whole[..whole.len() / 2].to_vec(), "not an XLSX file or is damaged"),
            (packed(&[("word/document.xml", "<w/>")]), "not an XLSX file or is damaged"),
            (bomb, "unpacks to 128 MB or more"),
        ] {
            let error = xlsx(&bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        assert!(ods(&whole).unwrap_err().contains("not an ODS file or is damaged"));
        assert_eq!(xlsx(&whole).unwrap().text, "");
    }
}
