//! Files that are no text: what they are, by their first bytes.

use super::FileKind;

/// The first bytes of kinds of files that are often taken for text, or are under a name that is not theirs.
const BEGINNINGS: [(&[u8], &str); 22] = [
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a WebP image, a sound or a film"),
    (b"OggS", "a sound or a film"),
    (b"ID3", "a sound"),
    (b"\x1a\x45\xdf\xa3", "a film"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an XZ archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"SQLite format 3", "a database"),
    (b"\xd0\xcf\x11\xe0", "a document of Office before 2007, or one with a password"),
    (b"PK\x03\x04", "an archive, or a document under another name or type"),
    (b"%PDF-", "a PDF under another name or type"),
];
/// Bytes among which one that is zero says that a file is no text.
const PROBED: usize = 1024;

/// Names the kind of a file that is not UTF-8, and the kinds that are read, where its first bytes tell that it is no text.
pub(super) fn refusal(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some("it is UTF-16, not UTF-8: save it again in UTF-8".into());
    }
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    let zero = || bytes[..bytes.len().min(PROBED)].contains(&0);
    let what =
        known.map(|(_, what)| *what).or_else(|| zero().then_some("no text, for it holds zero bytes"))?;
    Some(format!("it is {what}; files that are read: {}", FileKind::ALL.map(FileKind::name).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_is_named_by_its_first_bytes() {
        for (bytes, wanted) in [
            (&b"\x89PNG\r\n\x1a\n\0"[..], Some("it is a PNG image; files that are read: text, Markdown, ")),
            (b"\x1f\x8b\x08", Some("it is a gzip archive; ")),
            (b"ab\0\xff", Some("it is no text, for it holds zero bytes; ")),
            (b"\xff\xfea\0", Some("it is UTF-16")),
            (b"caf\xe9", None),
        ] {
            let told = refusal(bytes);
            let right = wanted.map_or(told.is_none(), |wanted| told.as_ref().unwrap().starts_with(wanted));
            assert!(right, "{told:?}");
        }
        let late = [&b"a".repeat(PROBED)[..], b"\0\xff"].concat();
        assert_eq!(refusal(&late), None);
    }
}
