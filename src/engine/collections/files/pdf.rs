//! PDF: the text of each page under a heading with its number; columns one after the other, and tables row by row.

mod layout;
mod words;

use std::fmt::Write;

use pdf_extract::{Document, Object, OutputError, PlainTextOutput, decode_text_string, output_doc_page};

use super::{Parsed, plain};
use words::Words;

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
        let page = page(&document, number).map_err(|error| damaged(&format!("page {number}: {error}")))?;
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

/// The text of a page in the order in which it is read; where its places do not tell that, as it was drawn.
fn page(document: &Document, number: u32) -> Result<String, OutputError> {
    let mut words = Words::default();
    output_doc_page(document, &mut words, number)?;
    if let Some(words) = words.placed() {
        return Ok(layout::text(words));
    }
    let mut page = String::new();
    output_doc_page(document, &mut PlainTextOutput::new(&mut page), number)?;
    Ok(page)
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

    /// Draws each text with its left end and its height on the page.
    fn drawn(texts: &[(u32, u32, &str)]) -> String {
        let draw = |(x, y, text): &(u32, u32, &str)| format!("BT /F1 10 Tf {x} {y} Td ({text}) Tj ET\n");
        texts.iter().map(draw).collect()
    }

    fn page_of(texts: &[(u32, u32, &str)]) -> String {
        parsed(&pdf(&[&drawn(texts)])).unwrap().text.trim_start_matches("# Page 1").trim().to_owned()
    }

    #[test]
    fn columns_are_read_one_after_the_other() {
        let page = [
            (50, 700, "A title that stands above both of the columns and is wider than one of them"),
            (50, 660, "The bridge at Harbour Street was opened on the"),
            (310, 654, "tion found that it bears a load of seven tonnes"),
            (50, 648, "third of May after four years of work, and it is"),
            (310, 642, "and a half, so that lorries must take the ferry"),
            (50, 636, "closed in the winter. In the year after an inspec-"),
            (310, 630, "which leaves at noon."),
            (50, 580, "A last line."),
        ];
        let text = page_of(&page);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "A title that stands above both of the columns and is wider than one of them",
                "The bridge at Harbour Street was opened on the",
                "third of May after four years of work, and it is",
                "closed in the winter. In the year after an inspection",
                "found that it bears a load of seven tonnes",
                "and a half, so that lorries must take the ferry",
                "which leaves at noon.",
                "A last line."
            ]
        );
    }

    #[test]
    fn tables_are_rows() {
        let page = [
            (50, 700, "Fees of the harbour, which hold from the first of May on, for all ships:"),
            (300, 672, "day"),
            (50, 672, "Berth"),
            (400, 672, "week"),
            (50, 660, "North quay"),
            (300, 660, "5"),
            (400, 660, "30"),
            (50, 648, "South quay"),
            (400, 648, "36"),
            (50, 636, "Mole"),
            (300, 636, "7"),
            (400, 636, "40"),
            (50, 600, "They are paid at the office, before the ship leaves, in cash or by card."),
        ];
        assert_eq!(
            page_of(&page),
            "Fees of the harbour, which hold from the first of May on, for all ships:\n\n| Berth | day | week |\n|---|---|---|\n\
             | North quay | 5 | 30 |\n| South quay |  | 36 |\n| Mole | 7 | 40 |\n\n\
             They are paid at the office, before the ship leaves, in cash or by card."
        );
    }

    #[test]
    fn lists_are_no_tables_and_turned_text_is_read_as_it_is_drawn() {
        let list = [
            (50, 700, "1."),
            (80, 700, "Close the valve."),
            (50, 688, "2."),
            (80, 688, "Wait."),
            (50, 676, "3."),
            (80, 676, "Open it."),
        ];
        assert_eq!(page_of(&list), "1. Close the valve.\n2. Wait.\n3. Open it.");
        let turned = "BT /F1 10 Tf 0 1 -1 0 300 300 Tm (Up) Tj ET BT /F1 10 Tf 50 700 Td (Text) Tj ET";
        let text = parsed(&pdf(&[turned])).unwrap().text;
        assert!(text.contains("Up") && text.contains("Text"), "{text}");
    }

    #[test]
    fn hostile_pages_end_in_time() {
        let word = |place: u32| format!("1 0 0 1 {} {} Tm (x) Tj ", place % 31 * 13, place % 149 * 2);
        let many = format!("BT /F1 1 Tf {}ET", (0..4600).map(word).collect::<String>());
        assert!(parsed(&pdf(&[&many])).unwrap().text.len() < 1 << 20);
        let odd = "BT /F1 99999999999999999999 Tf 99999999999999999999 9 Td (a) Tj 0 0 0 0 0 0 Tm (b) Tj ET";
        parsed(&pdf(&[odd, "BT /F1 0 Tf (c) Tj ET"])).unwrap();
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
