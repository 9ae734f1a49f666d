//! PDF: the text of each page under a heading with its number.

use std::fmt::Write;

use pdf_extract::{Document, Object, PlainTextOutput, decode_text_string, output_doc_page};

use super::{Parsed, plain};

/// The number of leading bytes that must contain the signature.
const HEAD: usize = 1024;

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    if !bytes[..bytes.len().min(HEAD)].windows(5).any(|window| window == b"%PDF-") {
        return Err(
            "it is no PDF, whatever it is called: give it the name or type that it should have".into()
        );
    }
    let damaged = |error: &dyn std::fmt::Display| format!("{error}: it is damaged; print it to a new PDF");
    let mut document = Document::load_mem(bytes).map_err(|error| {
        let encrypted = matches!(error, pdf_extract::Error::Decryption(_));
        if encrypted { locked() } else { damaged(&error) }
    })?;
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(locked());
    }
    let mut text = String::new();
    let mut found = false;
    for &number in document.get_pages().keys() {
        let mut page = String::new();
        output_doc_page(&document, &mut PlainTextOutput::new(&mut page), number)
            .map_err(|error| damaged(&format!("page {number}: {error}")))?;
        found |= !page.trim().is_empty();
        write!(text, "# Page {number}\n\n").map_err(|error| damaged(&error))?;
        text.extend(page.lines().map(|line| plain(line) + "\n"));
        text.push('\n');
    }
    if !found && document.trailer.has(b"Encrypt") {
        return Err(locked());
    }
    if !found {
        return Err(
            "it holds pictures and no text: run it through text recognition first, such as ocrmypdf".into()
        );
    }
    Ok(Parsed { title: title(&document), text })
}

fn locked() -> String {
    "it is encrypted: save a copy without a password, such as by `qpdf --decrypt`".to_owned()
}

fn title(document: &Document) -> Option<String> {
    let info = match document.trailer.get(b"Info").ok()? {
        Object::Reference(id) => document.get_dictionary(*id).ok()?,
        other => other.as_dict().ok()?,
    };
    let title = decode_text_string(info.get(b"Title").ok()?).ok()?;
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PDF of one page for each of `contents`, the operators that draw it.
    fn pdf(contents: &[&str]) -> Vec<u8> {
        let kids: Vec<String> = (0..contents.len()).map(|i| format!("{} 0 R", 5 + 2 * i)).collect();
        let mut objects = vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), kids.len()),
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
            "<< /Title (Harbour rules) >>".to_owned(),
        ];
        for (i, content) in contents.iter().enumerate() {
            objects.push(format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {} 0 R /Resources << /Font << /F1 3 0 \
                 R >> >> >>",
                6 + 2 * i
            ));
            objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
        }
        let mut file = String::from("%PDF-1.4\n");
        let mut places = Vec::new();
        for (i, object) in objects.iter().enumerate() {
            places.push(file.len());
            write!(file, "{} 0 obj\n{object}\nendobj\n", i + 1).unwrap();
        }
        let start = file.len();
        let size = objects.len() + 1;
        write!(file, "xref\n0 {size}\n0000000000 65535 f \n").unwrap();
        for place in places {
            writeln!(file, "{place:010} 00000 n ").unwrap();
        }
        write!(file, "trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{start}\n%%EOF\n")
            .unwrap();
        file.into_bytes()
    }

    #[test]
    fn each_page_stands_under_its_number() {
        let first = "BT /F1 12 Tf 50 700 Td (The bridge was opened in 1987.) Tj ET";
        let second = "BT /F1 12 Tf 50 700 Td (# no heading) Tj ET";
        let Parsed { title, text } = parsed(&pdf(&[first, second])).unwrap();
        assert_eq!(title.as_deref(), Some("Harbour rules"));
        let pages: Vec<String> =
            text.split("# Page ").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(pages, ["", "1 The bridge was opened in 1987.", "2 \\# no heading"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_helps() {
        assert!(parsed(b"PK\x03\x04").unwrap_err().contains("no PDF"));
        assert!(parsed(&pdf(&["0 0 10 10 re f"])).unwrap_err().contains("text recognition"));
        let whole = pdf(&["BT /F1 12 Tf (a) Tj ET"]);
        assert!(parsed(&whole[..whole.len() / 2]).is_err());
        let text = String::from_utf8(whole).unwrap();
        let key = "0".repeat(64);
        let locked = text.replace(
            "/Info 4 0 R",
            &format!(
                "/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<00> <00>]"
            ),
        );
        let error = parsed(locked.as_bytes()).unwrap_err();
        assert!(error.contains("qpdf --decrypt"), "{error}");
    }
}
