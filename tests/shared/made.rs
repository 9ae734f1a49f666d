//! Files of other formats, good and hostile, for tests of every door that takes them.

use std::io::{Cursor, Write};

use pdf_extract::{Document, Object, Stream, dictionary};

/// A DOCX of which `body` is what its document begins with.
pub(crate) fn docx(body: &[u8]) -> Vec<u8> {
    archive(&[("word/document.xml", body)])
}

/// An archive with these parts.
pub(crate) fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A workbook with one sheet, `Fees`, of the rows of XML given.
pub(crate) fn workbook(rows: &[u8]) -> Vec<u8> {
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let book = format!(
        "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"Fees\" sheetId=\"1\" r:id=\"r1\"/></sheets>\
         </workbook>"
    );
    let relations = format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" \
         Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
    );
    let root = relations
        .replace("worksheets/sheet1.xml", "xl/workbook.xml")
        .replace("/worksheet\"", "/officeDocument\"");
    let head = format!("<worksheet xmlns=\"{main}\"><sheetData>");
    let sheet = [head.as_bytes(), rows, b"</sheetData></worksheet>"];
    archive(&[
        (
            "[Content_Types].xml",
            b"<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>",
        ),
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", &sheet.concat()),
    ])
}

/// A PDF with a page for each of `contents`; `/X Do` in one draws what draws itself.
pub(crate) fn pdf(contents: &[&str]) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let (pages, form) = (document.new_object_id(), document.new_object_id());
    let font =
        document.add_object(dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica"});
    let resources = || {
        dictionary! {"Font" => dictionary! {"F1" => font}, "XObject" => dictionary! {"X" => form}}
    };
    let bounds = || vec![0.into(), 0.into(), 600.into(), 800.into()];
    let itself = dictionary! {
        "Type" => "XObject", "Subtype" => "Form", "BBox" => bounds(), "Resources" => resources(),
    };
    document.objects.insert(form, Object::Stream(Stream::new(itself, b"/X Do".to_vec())));
    let mut kids: Vec<Object> = Vec::new();
    for content in contents {
        let content = document.add_object(Stream::new(dictionary! {}, content.as_bytes().to_vec()));
        let page = dictionary! {
            "Type" => "Page", "Parent" => pages, "Contents" => content, "MediaBox" => bounds(),
            "Resources" => resources(),
        };
        kids.push(document.add_object(page).into());
    }
    let count = i64::try_from(contents.len()).unwrap();
    document.objects.insert(pages, dictionary! {"Type" => "Pages", "Kids" => kids, "Count" => count}.into());
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

/// What draws a line of text on a page.
pub(crate) fn page(line: &str) -> String {
    format!("BT /F1 12 Tf 50 700 Td ({line}) Tj ET")
}

/// A small DOCX that unpacks to 150 MB.
pub(crate) fn bomb() -> Vec<u8> {
    docx(&[b"<w:p><w:r><w:t>".to_vec(), vec![b' '; 150 << 20]].concat())
}

/// A PDF whose page draws what draws itself.
pub(crate) fn looping() -> Vec<u8> {
    pdf(&["/X Do"])
}
