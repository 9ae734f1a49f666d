//! DOCX: paragraphs, headings by their styles, lists with their marks, tables as grids, notes behind what they belong to,
//! and what stands above and below each page, told apart from the text. Comments are not read.

mod beside;
mod body;
mod notes;
mod numbering;

use std::rc::Rc;

use quick_xml::events::Event;

use super::Parsed;
use super::archive::{self, Archive, attribute, each_event, text_of};
use beside::Beside;
use body::{Body, Styles};
use numbering::Lists;

/// The path of the part with a document's text.
const DOCUMENT: &str = "word/document.xml";

/// Deepest heading that Markdown knows.
const DEEPEST: usize = 6;

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(
            "it has a password or is of an old version of Word: save it as .docx without a password".into()
        );
    }
    let mut archive = archive::open(bytes, "a DOCX")?;
    let styles = Rc::new(styles(&mut archive)?);
    let mut lists = Lists::default();
    each_event(&mut archive, "word/numbering.xml", |event| lists.read(event))?;
    let mut title = Title::default();
    each_event(&mut archive, "docProps/core.xml", |event| title.read(event))?;
    let beside = Beside::of(&mut archive, DOCUMENT)?;
    let notes = beside.notes(&mut archive, &styles)?;
    let mut body = Body::new(Rc::clone(&styles), lists, notes);
    if !each_event(&mut archive, DOCUMENT, |event| body.read(event))? {
        return Err(format!("it is not a DOCX file: it has no {DOCUMENT}; give it the right name or type"));
    }
    let text = body.text + &beside.margins(&mut archive, &styles)?;
    let title = Some(title.text.trim().to_owned()).filter(|title| !title.is_empty());
    Ok(Parsed { title, text })
}

/// Returns the properties of each paragraph style.
fn styles(archive: &mut Archive<'_>) -> Result<Styles, String> {
    let mut styles = Styles::new();
    let mut id = String::new();
    each_event(archive, "word/styles.xml", |event| {
        let (Event::Start(tag) | Event::Empty(tag)) = event else { return };
        match tag.local_name().as_ref() {
            "style" => id = attribute(tag, "styleId").unwrap_or_default(),
            "name" => {
                let level = attribute(tag, "val").and_then(|name| level(&name));
                styles.entry(id.clone()).or_default().heading = level;
            }
            "numId" | "ilvl" => styles.entry(id.clone()).or_default().list.read(tag),
            _ => {}
        }
    })?;
    Ok(styles)
}

/// Level of the heading that a style is for. The names are the same in every language, unlike the ids.
fn level(style: &str) -> Option<usize> {
    let style = style.to_ascii_lowercase();
    match style.strip_prefix("heading ") {
        Some(level) => level.trim().parse().ok().map(|level: usize| level.clamp(1, DEEPEST)),
        None => (style == "title").then_some(1),
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
            _ if self.inside => self.text.extend(text_of(event)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collections::files::archive::UNPACKED;
    use crate::engine::collections::files::archive::tests::archive;

    fn docx(parts: &[(&str, &str)]) -> Vec<u8> {
        archive(parts)
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
        assert_eq!(text, "# Harbour\n\nA & B!\n\\# c\n\n## Hours\n\n| Mon | nine |\n|---|---|\n\n");
    }

    fn text_of(body: &str) -> String {
        let numbering = "<w:numbering><w:abstractNum w:abstractNumId=\"7\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"3\"/>\
            <w:numFmt w:val=\"decimal\"/></w:lvl><w:lvl w:ilvl=\"1\"><w:numFmt w:val=\"lowerLetter\"/></w:lvl></w:abstractNum>\
            <w:abstractNum w:abstractNumId=\"8\"><w:lvl w:ilvl=\"0\"><w:numFmt w:val=\"bullet\"/></w:lvl></w:abstractNum>\
            <w:num w:numId=\"1\"><w:abstractNumId w:val=\"7\"/></w:num>\
            <w:num w:numId=\"2\"><w:abstractNumId w:val=\"8\"/></w:num></w:numbering>";
        let styles = "<w:styles><w:style w:styleId=\"LB\"><w:name w:val=\"List Bullet\"/><w:pPr><w:numPr>\
            <w:numId w:val=\"2\"/></w:numPr></w:pPr></w:style></w:styles>";
        let body = format!("<w:document><w:body>{body}</w:body></w:document>");
        let parts =
            [("word/document.xml", &*body), ("word/styles.xml", styles), ("word/numbering.xml", numbering)];
        parsed(&docx(&parts)).unwrap().text
    }

    fn paragraph(properties: &str, text: &str) -> String {
        format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
    }

    fn cell(properties: &str, content: &str) -> String {
        format!("<w:tc><w:tcPr>{properties}</w:tcPr>{content}</w:tc>")
    }

    #[test]
    fn spans_fill_the_grid() {
        let text = |text| paragraph("", text);
        let rows = [
            [
                cell("<w:vMerge w:val=\"restart\"/>", &text("Room")),
                cell("<w:gridSpan w:val=\"2\"/>", &text("Winter")),
                cell("", &text("Summer")),
            ]
            .concat(),
            [
                cell("<w:vMerge/>", "<w:p/>"),
                cell("", &text("day")),
                cell("", &text("week")),
                cell("", &text("day")),
            ]
            .concat(),
            [
                "<w:trPr><w:gridBefore w:val=\"1\"/></w:trPr>".to_owned(),
                cell("", &text("5")),
                cell("", &text("6")),
                cell("", &text("7")),
            ]
            .concat(),
        ];
        let table = rows.map(|row| format!("<w:tr>{row}</w:tr>")).concat();
        assert_eq!(
            text_of(&format!("<w:tbl>{table}</w:tbl>")),
            "| Room | Winter | Winter | Summer |\n|---|---|---|---|\n| Room | day | week | day |\n|  | 5 | 6 | 7 |\n\n"
        );
    }

    #[test]
    fn a_table_in_a_table_stands_apart() {
        let row = |cells: &str| format!("<w:tr>{cells}</w:tr>");
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|text| cell("", &paragraph("", text)));
        let inner = format!("<w:tbl>{}{}</w:tbl><w:p/>", row(&(a + &b)), row(&(c + &d)));
        let hours = cell("", &paragraph("", "Hours"));
        let outer = format!("<w:tbl>{}</w:tbl>{}", row(&(hours + &cell("", &inner))), paragraph("", "End."));
        assert_eq!(
            text_of(&outer),
            "| Hours |  |\n|---|---|\n\nHours\n\n| a | b |\n|---|---|\n| c | d |\n\nEnd.\n\n"
        );
    }

    #[test]
    fn lists_keep_their_marks() {
        let place = |list: &str, level: &str| {
            format!("<w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"{list}\"/></w:numPr>")
        };
        let body: String = [
            paragraph(&place("1", "0"), "one"),
            paragraph(&place("1", "1"), "two"),
            paragraph(&place("1", "1"), "three"),
            paragraph(&place("1", "0"), "four"),
            paragraph("<w:pStyle w:val=\"LB\"/>", "five"),
            paragraph(&format!("<w:pStyle w:val=\"LB\"/>{}", place("0", "0")), "six"),
            paragraph(&place("99", "0"), "seven"),
            paragraph(
                "<w:pPrChange><w:pPr><w:numPr><w:numId w:val=\"1\"/></w:numPr></w:pPr></w:pPrChange>",
                "eight",
            ),
        ]
        .concat();
        let items = ["3. one", "  a. two", "  b. three", "4. four", "- five", "six", "seven", "eight"];
        assert_eq!(text_of(&body), items.map(|item| format!("{item}\n\n")).concat());
    }

    /// A document with two notes at its foot, one at its end, and two headers that say the same.
    fn with_notes(body: &str) -> Vec<u8> {
        let note = |name: &str, id: &str, text: &str| format!("<w:{name} w:id=\"{id}\">{text}</w:{name}>");
        let foot = note("footnote", "2", &(paragraph("", "Of a ship.") + &paragraph("", "Not of a car.")))
            + &note("footnote", "3", &paragraph("", "Until May."))
            + "<w:footnote w:type=\"separator\" w:id=\"0\"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>";
        let header = format!("<w:hdr>{}</w:hdr>", paragraph("", "Harbour office"));
        let relation = |id: usize, (kind, target): (&str, &str)| {
            format!("<Relationship Id=\"r{id}\" Type=\"http://x/{kind}\" Target=\"{target}\"/>")
        };
        let related = [
            ("footnotes", "footnotes.xml"),
            ("endnotes", "/word/endnotes.xml"),
            ("header", "header1.xml"),
            ("header", "header2.xml"),
            ("footer", "footer1.xml"),
            ("footer", "gone.xml"),
            ("image", "media/a.png"),
        ];
        let related: String = related.into_iter().enumerate().map(|(id, of)| relation(id, of)).collect();
        docx(&[
            (DOCUMENT, &format!("<w:document><w:body>{body}</w:body></w:document>")),
            ("word/_rels/document.xml.rels", &format!("<Relationships>{related}</Relationships>")),
            ("word/footnotes.xml", &format!("<w:footnotes>{foot}</w:footnotes>")),
            (
                "word/endnotes.xml",
                &format!("<w:endnotes>{}</w:endnotes>", note("endnote", "2", &paragraph("", "In 1987."))),
            ),
            ("word/header1.xml", &header),
            ("word/header2.xml", &header),
            ("word/footer1.xml", &format!("<w:ftr>{}</w:ftr>", paragraph("", "Confidential"))),
        ])
    }

    fn citing(text: &str, reference: &str) -> String {
        format!("<w:p><w:r><w:t>{text}</w:t></w:r><w:r>{reference}</w:r></w:p>")
    }

    #[test]
    fn notes_stand_behind_what_they_belong_to_and_margins_apart() {
        let table =
            cell("", &citing("Low", "<w:footnoteReference w:id=\"3\"/>")) + &cell("", &paragraph("", "9"));
        let body = [
            citing("The length", "<w:footnoteReference w:id=\"2\"/>"),
            format!("<w:tbl><w:tr>{table}</w:tr></w:tbl>"),
            citing("The bridge", "<w:endnoteReference w:id=\"2\"/>"),
            citing("Again", "<w:footnoteReference w:id=\"2\"/><w:footnoteReference w:id=\"9\"/>"),
        ];
        assert_eq!(
            parsed(&with_notes(&body.concat())).unwrap().text,
            "The length[^1]\n\n[^1]: Of a ship. Not of a car.\n\n| Low[^2] | 9 |\n|---|---|\n\n[^2]: Until May.\n\n\
             The bridge[^3]\n\n[^3]: In 1987.\n\nAgain[^1]\n\n# Headers and footers\n\nHeader:\n\nHarbour office\n\n\
             Footer:\n\nConfidential\n\n"
        );
    }

    #[test]
    fn a_note_that_is_cited_often_stands_once() {
        let body = citing("a", "<w:footnoteReference w:id=\"2\"/>").repeat(1000);
        let text = parsed(&with_notes(&body)).unwrap().text;
        assert_eq!(text.matches("Of a ship").count(), 1);
        assert_eq!(text.matches("a[^1]").count(), 1000);
    }

    #[test]
    fn tables_nested_deeply_are_read() {
        let deep = "<w:tbl><w:tr><w:tc>".repeat(50_000) + "<w:p><w:r><w:t>x</w:t></w:r></w:p>";
        let deep = deep + &"</w:tc></w:tr></w:tbl>".repeat(50_000);
        assert!(text_of(&deep).len() < 1000);
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
