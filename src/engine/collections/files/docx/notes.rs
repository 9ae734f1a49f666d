//! Notes at the foot of a page and at the end of a document: marks where they are cited, and their texts.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use crate::engine::collections::files::archive::attribute;

/// The notes of a document, and how far they were cited.
#[derive(Default)]
pub(super) struct Notes {
    /// By kind, such as `footnote`, and id.
    known: HashMap<(String, String), Note>,
    last: usize,
    /// Notes that were cited and not told yet.
    cited: String,
}

struct Note {
    text: String,
    /// None until it is cited.
    number: Option<usize>,
}

impl Notes {
    /// Adds a note of a kind, such as `footnote`.
    pub(super) fn add(&mut self, kind: &str, id: String, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            self.known.insert((kind.to_owned(), id), Note { text, number: None });
        }
    }

    /// The mark of the note that a tag such as `footnoteReference` cites.
    pub(super) fn cite(&mut self, tag: &BytesStart<'_>) -> Option<String> {
        let name = tag.local_name();
        let kind = name.as_ref().trim_end_matches("Reference").to_owned();
        let note = self.known.get_mut(&(kind, attribute(tag, "id")?))?;
        let number = note.number.unwrap_or_else(|| {
            self.last += 1;
            self.cited += &["[^", &self.last.to_string(), "]: ", &note.text, "\n\n"].concat();
            self.last
        });
        note.number = Some(number);
        Some(format!("[^{number}]"))
    }

    /// Returns the notes that were cited for the first time since the last call.
    pub(super) fn cited(&mut self) -> String {
        std::mem::take(&mut self.cited)
    }
}
