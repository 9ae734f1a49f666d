//! PPTX: each slide under a heading with its number and title, with its tables and the speaker's notes.

use quick_xml::events::{BytesStart, Event};

use super::archive::{self, attribute, each_event, relations, text_of};
use super::table::Table;
use super::{Parsed, plain};

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(
            "it has a password or is of an old version of PowerPoint: save it as .pptx without a password"
                .into(),
        );
    }
    let mut archive = archive::open(bytes, "a PPTX")?;
    let mut order = Vec::new();
    let found = each_event(&mut archive, "ppt/presentation.xml", |event| {
        let (Event::Start(tag) | Event::Empty(tag)) = event else { return };
        if tag.local_name().as_ref() == "sldId" {
            order.extend(relation(tag));
        }
    })?;
    if !found {
        return Err(
            "it is not a PPTX file: it has no ppt/presentation.xml; give it the right name or type".into()
        );
    }
    let slides = relations(&mut archive, "ppt/presentation.xml")?;
    let mut text = String::new();
    let paths = order.iter().filter_map(|id| slides.get(id));
    for (number, (_, path)) in (1..).zip(paths) {
        let mut slide = Shapes::default();
        if !each_event(&mut archive, path, |event| slide.read(event))? {
            return Err(format!("`{path}` in it is missing: it is damaged; save it again"));
        }
        let title = one_line(&slide.title);
        let colon = if title.is_empty() { "" } else { ": " };
        text += &[&*format!("# Slide {number}{colon}{title}\n\n"), &slide.text].concat();
        let beside = relations(&mut archive, path)?;
        if let Some((_, path)) = beside.values().find(|(kind, _)| kind.ends_with("/notesSlide")) {
            let mut notes = Shapes::default();
            each_event(&mut archive, path, |event| notes.read(event))?;
            if !notes.text.trim().is_empty() {
                text += &["Notes:\n\n", &notes.text].concat();
            }
        }
    }
    Ok(Parsed { title: None, text })
}

/// The id of the relation that a tag names, whose attribute has the prefix of relations.
fn relation(tag: &BytesStart<'_>) -> Option<String> {
    let mut attributes = tag.attributes().filter_map(Result::ok);
    let attribute = attributes.find(|attribute| attribute.key.as_ref() == "r:id")?;
    Some(attribute.value.into_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The texts of a slide.
#[derive(Default)]
struct Shapes {
    title: String,
    text: String,
    paragraph: String,
    /// The kind of the placeholder that is read, if it is one.
    placeholder: String,
    in_text: bool,
    table: Option<Table>,
    cell: String,
    columns: usize,
    rows: usize,
    /// Whether the cell belongs to one before it.
    covered: bool,
}

impl Shapes {
    fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::Empty(tag) => {
                self.start(tag);
                self.end(tag.local_name().as_ref());
            }
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            _ if self.in_text => self.paragraph.extend(text_of(event)),
            _ => {}
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let number = |name| attribute(tag, name).and_then(|value| value.parse().ok()).unwrap_or(1);
        let is_set = |name| attribute(tag, name).is_some_and(|value| value == "1" || value == "true");
        match tag.local_name().as_ref() {
            "sp" => self.placeholder.clear(),
            "ph" => self.placeholder = attribute(tag, "type").unwrap_or_default(),
            "t" => self.in_text = true,
            "br" => self.paragraph.push('\n'),
            "tbl" => self.table = Some(Table::default()),
            "tr" => {
                if let Some(table) = &mut self.table {
                    table.begin_row();
                }
            }
            "tc" => {
                (self.columns, self.rows) = (number("gridSpan"), number("rowSpan"));
                self.covered = is_set("hMerge") || is_set("vMerge");
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "p" => self.end_paragraph(),
            "tc" => {
                let cell = std::mem::take(&mut self.cell);
                // Cells that another covers are filled by the table.
                if let Some(table) = self.table.as_mut().filter(|_| !self.covered) {
                    table.push(&cell, self.columns, self.rows);
                }
            }
            "tbl" => {
                if let Some(table) = self.table.take().filter(|table| !table.is_empty()) {
                    self.text += &(table.markdown() + "\n");
                }
            }
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        if paragraph.trim().is_empty() {
            return;
        }
        let (into, end) = match (&self.table, &*self.placeholder) {
            (Some(_), _) => (&mut self.cell, " "),
            (None, "title" | "ctrTitle") => (&mut self.title, " "),
            // Numbers and dates that each slide has.
            (None, "sldNum" | "dt" | "ftr" | "hdr") => return,
            (None, _) => (&mut self.text, "\n\n"),
        };
        let lines: Vec<String> = paragraph.lines().map(plain).collect();
        *into += &(lines.join("\n") + end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collections::files::archive::tests::archive as packed;

    fn shape(kind: &str, text: &str) -> String {
        format!(
            "<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"{kind}\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r>\
             </a:p></p:txBody></p:sp>"
        )
    }

    fn relations(of: &[(&str, &str, &str)]) -> String {
        let one = |(id, kind, target): &(&str, &str, &str)| {
            format!("<Relationship Id=\"{id}\" Type=\"http://x/{kind}\" Target=\"{target}\"/>")
        };
        format!("<Relationships>{}</Relationships>", of.iter().map(one).collect::<String>())
    }

    fn slides(first: &str, second: &str) -> Vec<u8> {
        let order = "<p:presentation><p:sldIdLst><p:sldId id=\"256\" r:id=\"b\"/><p:sldId id=\"257\" r:id=\"a\"/></p:sldIdLst>\
            </p:presentation>";
        let all = relations(&[("a", "slide", "slides/slide1.xml"), ("b", "slide", "/ppt/slides/slide2.xml")]);
        let beside = relations(&[("n", "notesSlide", "../notesSlides/notesSlide1.xml")]);
        let notes = format!("<p:notes>{}{}</p:notes>", shape("body", "Ask who pays."), shape("sldNum", "2"));
        packed(&[
            ("ppt/presentation.xml", order),
            ("ppt/_rels/presentation.xml.rels", &all),
            ("ppt/slides/slide1.xml", first),
            ("ppt/slides/slide2.xml", second),
            ("ppt/slides/_rels/slide1.xml.rels", &beside),
            ("ppt/notesSlides/notesSlide1.xml", &notes),
        ])
    }

    #[test]
    fn slides_stand_in_order_with_titles_tables_and_notes() {
        let cell = |attributes: &str, text: &str| {
            format!("<a:tc {attributes}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>")
        };
        let row = |cells: &[String]| format!("<a:tr>{}</a:tr>", cells.concat());
        let table =
            row(&[cell("rowSpan=\"2\"", "Berth"), cell("gridSpan=\"2\"", "Fee"), cell("hMerge=\"1\"", "")])
                + &row(&[cell("vMerge=\"1\"", ""), cell("", "day"), cell("", "week")]);
        let first = format!("<p:sld>{}<a:tbl>{table}</a:tbl></p:sld>", shape("title", "Fees &amp; rules"));
        let second = format!("<p:sld>{}{}</p:sld>", shape("body", "# Welcome"), shape("dt", "3 May"));
        let read = parsed(&slides(&first, &second)).unwrap();
        assert_eq!(
            read.text,
            "# Slide 1\n\n\\# Welcome\n\n# Slide 2: Fees & rules\n\n| Berth | Fee | Fee |\n|---|---|---|\n\
             | Berth | day | week |\n\nNotes:\n\nAsk who pays.\n\n"
        );
    }

    #[test]
    fn what_is_no_presentation_is_refused() {
        let whole = slides("<p:sld/>", "<p:sld/>");
        let bomb = slides("<p:sld/>", &format!("<p:sld>{}", " ".repeat(archive::UNPACKED as usize)));
        for (bytes, wanted) in [
            (b"\xd0\xcf\x11\xe0".to_vec(), "password"),
            (b"%PDF-1.4".to_vec(), "not a PPTX file or is damaged"),
            (whole[..whole.len() - 40].to_vec(), "not a PPTX file or is damaged"),
            (packed(&[("word/document.xml", "<w/>")]), "no ppt/presentation.xml"),
            (slides("<p:sld></p:x>", "<p:sld/>"), "`ppt/slides/slide1.xml` in it is damaged"),
            (bomb, "unpacks to 128 MB or more"),
        ] {
            let error = parsed(&bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
