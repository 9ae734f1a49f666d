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
        text.extend(rejoined(&page).lines().map(|line| plain(line) + "\n"));
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

/// A page whose words that are cut by a hyphen at the end of a line are whole. Where the page has the word with its
/// hyphen elsewhere, that stays.
fn rejoined(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut current = String::new();
    for (number, next) in page.lines().map(str::trim).enumerate() {
        let Some((kept, taken)) = joint(page, &current, next) else {
            if number > 0 {
                text += &(std::mem::take(&mut current) + "\n");
            }
            next.clone_into(&mut current);
            continue;
        };
        current.truncate(kept);
        current += &next[..taken];
        let rest = next[taken..].trim_start();
        // A word may be cut more than once.
        if !rest.is_empty() {
            text += &(std::mem::take(&mut current) + "\n");
            rest.clone_into(&mut current);
        }
    }
    text + &current + "\n"
}

/// The bytes of a line that stay before the rest of its last word, and those of the rest at the beginning of `next`.
fn joint(page: &str, line: &str, next: &str) -> Option<(usize, usize)> {
    let rest = next.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let taken = next.find(char::is_whitespace).unwrap_or(next.len());
    if !rest.starts_with(char::is_lowercase) {
        return None;
    }
    if let Some(start) = line.strip_suffix('\u{ad}') {
        return Some((start.len(), taken));
    }
    let start = line.strip_suffix(['-', '\u{2010}']).filter(|start| start.ends_with(char::is_lowercase))?;
    let word = start.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let compound = page.contains(&format!("{word}-{rest}"));
    Some((if compound { line.len() } else { start.len() }, taken))
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
    fn words_that_the_end_of_a_line_cuts_are_whole_again() {
        for (page, wanted) in [
            ("The inspec-\ntion of the\nbridge", "The inspection\nof the\nbridge\n"),
            ("an inspec\u{ad}\n  tion, now", "an inspection,\nnow\n"),
            ("a well-known and a well-\nknown man", "a well-known and a well-known\nman\n"),
            ("pages 3-\n5 and A-\nb", "pages 3-\n5 and A-\nb\n"),
            ("end-\n\nof it -\nthe", "end-\n\nof it -\nthe\n"),
            ("inspec-\nTion of the inspec-\n", "inspec-\nTion of the inspec-\n"),
            ("\u{fc}ber-\npr\u{fc}-\nfen\n\nEnd", "\u{fc}berpr\u{fc}fen\n\nEnd\n"),
        ] {
            assert_eq!(rejoined(page), wanted, "{page}");
        }
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
