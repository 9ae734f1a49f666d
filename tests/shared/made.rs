//! Files of other formats, good and hostile, for tests of every door that takes them.

use std::io::{Cursor, Write};

use pdf_extract::{Document, Object, Stream, dictionary};

/// A DOCX of which `body` is what its document begins with.
pub(crate) fn docx(body: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(body).unwrap();
    archive.finish().unwrap().into_inner()
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
