//! CSV and TSV: a table whose first row is the header.

use csv::{Reader, ReaderBuilder, StringRecord};

use super::table::Table;
use super::{Parsed, utf8};

/// What may separate the cells of a row, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Rows by which the separator is told.
const PROBED: usize = 50;

/// Reads rows whose cells are separated by `separator`, or by what most rows agree on.
pub(super) fn parsed(bytes: &[u8], separator: Option<u8>) -> Result<Parsed, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(
            "it is an archive, such as a workbook: give it the name or type that it should have".into()
        );
    }
    let text = utf8(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err("it holds zero bytes, so it is no table of text: give it the right name or type".into());
    }
    let (named, text) = named_separator(text);
    let separator = named.or(separator).unwrap_or_else(|| likeliest(text));
    let mut table = Table::default();
    for row in reader(text, separator).into_records() {
        let row = row.map_err(|error| format!("{error}: save it again"))?;
        table.begin_row();
        row.iter().for_each(|cell| table.push(cell, 1, 1));
    }
    Ok(Parsed { title: None, text: if table.is_empty() { String::new() } else { table.markdown() } })
}

/// The separator that a first line such as `sep=;` names, as spreadsheets write it, and what stands behind it.
fn named_separator(text: &str) -> (Option<u8>, &str) {
    let line = text.split_inclusive('\n').next().unwrap_or_default();
    let named = line.trim_end().strip_prefix("sep=").map(str::as_bytes);
    match named {
        Some(&[separator]) => (Some(separator), &text[line.len()..]),
        _ => (None, text),
    }
}

/// The separator by which most rows have as many cells as the first one, which has two at least.
fn likeliest(text: &str) -> u8 {
    let agree = |separator: &u8| {
        let rows: Vec<StringRecord> =
            reader(text, *separator).into_records().take(PROBED).filter_map(Result::ok).collect();
        let width = rows.first().map_or(0, StringRecord::len);
        let alike = rows.iter().filter(|row| row.len() == width).count();
        if width > 1 { (alike, width) } else { (0, 0) }
    };
    let mut best = (SEPARATORS[0], (0, 0));
    for separator in SEPARATORS {
        let found = agree(&separator);
        if found > best.1 {
            best = (separator, found);
        }
    }
    best.0
}

fn reader(text: &str, separator: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markdown(text: &str, separator: Option<u8>) -> String {
        parsed(text.as_bytes(), separator).unwrap().text
    }

    #[test]
    fn rows_stand_under_their_header() {
        let wanted = "| Tree | Age, years |\n|---|---|\n| Alder | 50 |\n| Larch | 80 |\n";
        for text in [
            "Tree,\"Age, years\"\nAlder,50\nLarch,80\n",
            "\u{feff}Tree;Age, years\r\nAlder;50\r\nLarch;80",
            "Tree\tAge, years\nAlder\t50\nLarch\t80\n",
            "sep=|\nTree|Age, years\nAlder|50\nLarch|80\n",
        ] {
            assert_eq!(markdown(text, None), wanted, "{text}");
        }
        assert_eq!(markdown("a;b\n1;2\n", Some(b'\t')), "| a;b |\n|---|\n| 1;2 |\n");
        let odd = "a,b\n\"two\nlines\",\"x|y\"\n1\n1,2,3\n\n,\n";
        assert_eq!(
            markdown(odd, None),
            "| a | b |  |\n|---|---|---|\n| two lines | x\\|y |  |\n| 1 |  |  |\n| 1 | 2 | 3 |\n"
        );
        assert_eq!(markdown(",\n,\n", None), "");
    }

    #[test]
    fn what_is_no_table_is_refused_and_what_is_cut_is_read() {
        for (bytes, wanted) in [
            (&b"PK\x03\x04\x00"[..], "it is an archive"),
            (b"a,b\n\xff,1", "invalid byte at offset 4"),
            (b"a,\x00b", "zero bytes"),
        ] {
            let error = parsed(bytes, None).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        assert_eq!(markdown("a,b\n1,\"2\n", None), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
