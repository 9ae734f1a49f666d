//! The parts of a document besides its text: notes, and what stands above and below each page.

use std::rc::Rc;

use quick_xml::events::{BytesStart, Event};

use super::body::{Body, Styles};
use super::notes::Notes;
use super::numbering::Lists;
use crate::engine::collections::files::archive::{Archive, attribute, each_event, relations};

/// The paths of the parts besides the text.
#[derive(Default)]
pub(super) struct Beside {
    notes: Vec<String>,
    headers: Vec<String>,
    footers: Vec<String>,
}

impl Beside {
    /// Returns the parts that the one at `document` names.
    pub(super) fn of(archive: &mut Archive<'_>, document: &str) -> Result<Self, String> {
        let mut related: Vec<_> = relations(archive, document)?.into_values().collect();
        related.sort();
        let mut beside = Self::default();
        for (kind, path) in related {
            match kind.rsplit('/').next() {
                Some("footnotes" | "endnotes") => beside.notes.push(path),
                Some("header") => beside.headers.push(path),
                Some("footer") => beside.footers.push(path),
                _ => {}
            }
        }
        Ok(beside)
    }

    /// All notes.
    pub(super) fn notes(&self, archive: &mut Archive<'_>, styles: &Rc<Styles>) -> Result<Notes, String> {
        let mut notes = Notes::default();
        for path in &self.notes {
            let mut open: Option<(String, Body)> = None;
            each_event(archive, path, |event| match event {
                Event::Start(tag) if is_note(tag.local_name().as_ref()) => {
                    open =
                        is_shown(tag).then(|| (attribute(tag, "id").unwrap_or_default(), plain_body(styles)));
                }
                Event::End(tag) if is_note(tag.local_name().as_ref()) => {
                    if let Some((id, body)) = open.take() {
                        notes.add(tag.local_name().as_ref(), id, &body.text);
                    }
                }
                other => {
                    if let Some((_, body)) = &mut open {
                        body.read(other);
                    }
                }
            })?;
        }
        Ok(notes)
    }

    /// Returns the texts above and below the pages, each once, under a heading of its own.
    pub(super) fn margins(&self, archive: &mut Archive<'_>, styles: &Rc<Styles>) -> Result<String, String> {
        let mut told: Vec<String> = Vec::new();
        for (name, paths) in [("Header", &self.headers), ("Footer", &self.footers)] {
            for path in paths {
                let mut body = plain_body(styles);
                each_event(archive, path, |event| body.read(event))?;
                let text = format!("{name}:\n\n{}", body.text);
                if !body.text.is_empty() && !told.contains(&text) {
                    told.push(text);
                }
            }
        }
        let heading = if told.is_empty() { "" } else { "# Headers and footers\n\n" };
        Ok(heading.to_owned() + &told.concat())
    }
}

/// A text with neither lists nor notes of its own.
fn plain_body(styles: &Rc<Styles>) -> Body {
    Body::new(Rc::clone(styles), Lists::default(), Notes::default())
}

fn is_note(name: &str) -> bool {
    matches!(name, "footnote" | "endnote")
}

/// Returns whether a note is one. Others are lines between the text and its notes.
fn is_shown(note: &BytesStart<'_>) -> bool {
    attribute(note, "type").is_none_or(|kind| kind == "normal")
}
