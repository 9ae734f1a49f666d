//! DOCX: paragraphs, headings by their styles, and tables row by row. Notes and comments are not read.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;

use super::{Parsed, plain};

/// Bytes that one part of the archive may unpack to.
const UNPACKED: u64 = 128 << 20;
/// Deepest heading that Markdown knows.
const DEEPEST: usize = 6;

/// Level of a heading by the id of its style.
type Styles = HashMap<String, usize>;

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(
            "it has a password or is of an old version of Word: save it as .docx without a password".into()
        );
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("it is not a DOCX file or is damaged ({error}): save it again"))?;
    let mut styles = Styles::new();
    let mut style = String::new();
    each_event(&mut archive, "word/styles.xml", |event| {
        if let Event::Start(tag) | Event::Empty(tag) = event {
            match tag.local_name().as_ref() {
                "style" => style = attribute(tag, "styleId").unwrap_or_default(),
                "name" => {
                    styles.extend(
                        attribute(tag, "val").and_then(|name| level(&name)).map(|l| (style.clone(), l)),
                    );
                }
                _ => {}
            }
        }
    })?;
    let mut title = Title::default();
    each_event(&mut archive, "docProps/core.xml", |event| title.read(event))?;
    let mut body = Body { styles, ..Body::default() };
    if !each_event(&mut archive, "word/document.xml", |event| body.read(event))? {
        return Err(
            "it is not a DOCX file: it has no word/document.xml; give it the right name or type".into()
        );
    }
    let title = Some(title.text.trim().to_owned()).filter(|title| !title.is_empty());
    Ok(Parsed { title, text: body.text })
}

/// Calls `each` with the events of a part; false where there is no such part.
fn each_event(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    mut each: impl FnMut(&Event<'_>),
) -> Result<bool, String> {
    let Some(index) = archive.index_for_name(name) else { return Ok(false) };
    let damaged =
        |error: &dyn std::fmt::Display| format!("`{name}` in it is damaged ({error}): save it again");
    let part = archive.by_index(index).map_err(|error| damaged(&error))?;
    let mut reader = Reader::from_reader(BufReader::new(part.take(UNPACKED)));
    let mut buffer = Vec::new();
    loop {
        let event = reader.read_event_into(&mut buffer);
        if let Ok(Event::Eof) | Err(_) = event {
            let error = event.err();
            drop(buffer);
            let mut rest = reader.into_inner();
            let bomb = rest.get_ref().limit() == 0 && rest.fill_buf().is_ok_and(<[u8]>::is_empty);
            return match error {
                _ if bomb => Err(format!(
                    "`{name}` in it unpacks to {} MB or more: it is hostile, or to be split",
                    UNPACKED >> 20
                )),
                Some(error) => Err(damaged(&error)),
                None => Ok(true),
            };
        }
        event.iter().for_each(&mut each);
        buffer.clear();
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes().filter_map(Result::ok);
    let attribute = attributes.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(attribute.value.into_owned())
}

/// Level of the heading that a style is for. The names are the same in every language, unlike the ids.
fn level(style: &str) -> Option<usize> {
    let style = style.to_ascii_lowercase();
    match style.strip_prefix("heading ") {
        Some(level) => level.trim().parse().ok().map(|level: usize| level.clamp(1, DEEPEST)),
        None => (style == "title").then_some(1),
    }
}

fn resolved(reference: &BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        _ => resolve_predefined_entity(reference).unwrap_or_default().to_owned(),
    }
}

/// The title in the document's properties.
#[derive(Default)]
struct Title {
    inside: bool,
    text: String,
}

impl Title {
    fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.inside = tag.local_name().as_ref() == "title",
            Event::End(_) => self.inside = false,
            Event::Text(text) if self.inside => self.text += &text.xml10_content(),
            Event::GeneralRef(reference) if self.inside => self.text += &resolved(reference),
            _ => {}
        }
    }
}

/// The document's text so far.
#[derive(Default)]
struct Body {
    styles: Styles,
    text: String,
    paragraph: String,
    level: Option<usize>,
    /// Cells of the row that is being read.
    row: Vec<String>,
    tables: usize,
    in_text: bool,
    /// How deep in what is not shown: properties, and what stands in for something that is there as well.
    hidden: usize,
}

impl Body {
    fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::Empty(tag) => self.empty(tag),
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            Event::Text(text) if self.is_shown() => self.paragraph += &text.xml10_content(),
            Event::CData(text) if self.is_shown() => self.paragraph += &text.xml10_content(),
            Event::GeneralRef(reference) if self.is_shown() => self.paragraph += &resolved(reference),
            _ => {}
        }
    }

    fn is_shown(&self) -> bool {
        self.in_text && self.hidden == 0
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "t" => self.in_text = true,
            "tbl" => self.tables += 1,
            "tc" => self.row.push(String::new()),
            "pPr" | "Fallback" => self.hidden += 1,
            _ => self.empty(tag),
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "pStyle" => {
                self.level = attribute(tag, "val").and_then(|style| self.styles.get(&style).copied());
            }
            "tab" if self.hidden == 0 => self.paragraph.push('\t'),
            "br" | "cr" if self.hidden == 0 => self.paragraph.push('\n'),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "pPr" | "Fallback" => self.hidden = self.hidden.saturating_sub(1),
            "p" => self.end_paragraph(),
            "tr" => {
                let row = std::mem::take(&mut self.row).join(" | ");
                self.text += &(plain(&row) + "\n");
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                self.text.push('\n');
            }
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let words = || paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let level = self.level.take();
        if paragraph.trim().is_empty() {
            return;
        }
        match (self.row.last_mut().filter(|_| self.tables > 0), level) {
            (Some(cell), _) => {
                if !cell.is_empty() {
                    cell.push(' ');
                }
                *cell += &words();
            }
            (None, Some(level)) => self.text += &["#".repeat(level).as_str(), " ", &words(), "\n\n"].concat(),
            (None, None) => {
                let lines: Vec<String> = paragraph.lines().map(plain).collect();
                self.text += &(lines.join("\n") + "\n\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn docx(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    const STYLES: &str = "<w:styles><w:style w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/></w:style>\
        <w:style w:styleId=\"B2\"><w:name w:val=\"Heading 2\"/></w:style></w:styles>";

    #[test]
    fn headings_paragraphs_and_tables_are_kept() {
        let body = "<w:document><w:body>\
            <w:p><w:pPr><w:pStyle w:val=\"berschrift1\"/><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>Har</w:t></w:r>\
            <w:r><w:t>bour</w:t></w:r></w:p>\
            <w:p><w:r><w:t xml:space=\"preserve\">A &amp; B&#33; </w:t><w:br/><w:t># c</w:t></w:r>\
            <w:del><w:delText>gone</w:delText></w:del></w:p>\
            <w:p><w:pPr><w:pStyle w:val=\"B2\"/></w:pPr><w:r><w:t>Hours</w:t></w:r></w:p>\
            <w:tbl><w:tr><w:tc><w:p><w:r><w:t>Mon</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>nine</w:t></w:r></w:p>\
            </w:tc></w:tr></w:tbl></w:body></w:document>";
        let core = "<c><dc:title>Rules</dc:title><dc:creator>x</dc:creator></c>";
        let file =
            docx(&[("word/document.xml", body), ("word/styles.xml", STYLES), ("docProps/core.xml", core)]);
        let Parsed { title, text } = parsed(&file).unwrap();
        assert_eq!(title.as_deref(), Some("Rules"));
        assert_eq!(text, "# Harbour\n\nA & B!\n\\# c\n\n## Hours\n\nMon | nine\n\n");
    }

    #[test]
    fn bombs_and_what_is_no_docx_are_refused() {
        let bomb = format!("<w:p><w:t>{}", " ".repeat((UNPACKED + 10) as usize));
        let bomb = docx(&[("word/document.xml", &bomb)]);
        assert!(bomb.len() < 1 << 20);
        for (file, wanted) in [
            (bomb, "unpacks to 128 MB or more"),
            (b"%PDF-1.4".to_vec(), "not a DOCX file or is damaged"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1".to_vec(), "password"),
            (docx(&[("mimetype", "x")]), "no word/document.xml"),
            (docx(&[("word/document.xml", "<w:p></w:q>")]), "`word/document.xml` in it is damaged"),
        ] {
            let error = parsed(&file).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
