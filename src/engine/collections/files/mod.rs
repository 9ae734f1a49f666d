//! Files as documents: the text and title of one.

mod archive;
mod binary;
mod delimited;
mod docx;
mod epub;
mod html;
pub(super) mod kind;
mod mail;
mod pdf;
mod process;
mod rtf;
mod slides;
mod spreadsheet;
mod table;

use std::time::Instant;

pub use kind::{FileKind, Format};
pub use process::child;

use super::Collections;
use super::api::{SourceDocument, SourceFile, UpsertRequest, UpsertResponse};
use crate::engine::{EngineError, ErrorKind, milliseconds_since};
use crate::index::ID_BYTES;
use crate::model::{Cancel, Stopped};
use crate::text::Layout;

/// A reason why a file is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read; the text tells the fault and the remedy.
    #[error("{0}")]
    Unreadable(String),
    /// The process that should read it could not be started.
    #[error("the process that reads files failed: {0}")]
    Process(String),
    /// Nobody waits for it any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<FileError> for EngineError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unreadable(reason) => {
                let message = format!("the file cannot be read: {reason}");
                Self { kind: ErrorKind::Infeasible, code: "unreadable_file", param: None, message }
            }
            FileError::Process(_) => Self::internal(error.to_string()),
            FileError::Stopped(stopped) => stopped.into(),
        }
    }
}

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Parsed {
    title: Option<String>,
    /// Markdown; of a PDF each page stands under a heading with its number.
    text: String,
}

/// The document that a file is, without id and metadata.
///
/// Of all but text, Markdown and code a child process of this very program makes Markdown: it must be `whittle`, not
/// another program with this library in it. The child takes a minute and 1 GB of memory at most (the latter on Linux),
/// and is ended when `cancel` says so. Of an HTML page navigation, notices about cookies and footers are left out, unless
/// `whole` says that they stay.
///
/// # Errors
/// See [`FileError`].
pub fn document(
    kind: FileKind,
    whole: bool,
    bytes: &[u8],
    cancel: &Cancel,
) -> Result<SourceDocument, FileError> {
    if bytes.trim_ascii().is_empty() {
        return Err(FileError::Unreadable("it is empty or holds only white space".into()));
    }
    let (Parsed { title, text }, layout) = match kind {
        FileKind::Text(layout) => {
            let text = utf8(bytes).map_err(FileError::Unreadable)?.to_owned();
            (Parsed { title: None, text }, layout)
        }
        FileKind::Foreign(format) => (process::parsed(format, whole, bytes, cancel)?, Layout::Markdown),
    };
    if text.trim().is_empty() {
        return Err(FileError::Unreadable("it holds no text".into()));
    }
    Ok(SourceDocument { title, text, layout, ..SourceDocument::default() })
}

/// A file's text.
///
/// # Errors
/// Where it is no UTF-8, and what helps.
pub fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let other =
            || format!("it is not UTF-8: invalid byte at offset {at}; save it again in that encoding");
        binary::refusal(bytes).unwrap_or_else(other)
    })
}

/// A line that Markdown must not take for a heading or a fence of code.
fn plain(line: &str) -> String {
    let line = line.trim();
    let marks = !line.is_empty() && line.chars().all(|c| matches!(c, '=' | '-'));
    let begins = ["#", "```", "~~~"].iter().any(|start| line.starts_with(start));
    if marks || begins { format!("\\{line}") } else { line.to_owned() }
}

/// A cell of a table in Markdown.
fn plain_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

impl Collections<'_> {
    /// Stores a file as a document, in the place of the one with its id, if there is one. Once this returns it survives a
    /// crash. The process must be `whittle`; see [`document`].
    ///
    /// # Errors
    /// There is no such collection, the id is not one, the file cannot be read; also see [`EngineError`].
    pub fn put_file(
        &self,
        name: &str,
        file: SourceFile<'_>,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        let SourceFile { id, kind, whole, bytes, title, metadata, score } = file;
        // What is known at once is told before a process starts.
        self.engine.collections.get(name)?;
        if !(1..=ID_BYTES).contains(&id.len()) {
            let message = format!("the id has {} bytes; it must have 1 to {ID_BYTES}", id.len());
            return Err(EngineError::invalid("invalid_id", "id", message));
        }
        let start = Instant::now();
        let read = document(kind, whole, bytes, cancel)?;
        let parse = milliseconds_since(start);
        let document = SourceDocument {
            id: Some(id),
            title: title.or(read.title),
            metadata,
            text: read.text,
            layout: read.layout,
        };
        let mut response = self.upsert(name, UpsertRequest { documents: vec![document], score }, cancel)?;
        response.timing_ms.stages.insert("parse", parse);
        response.timing_ms.total += parse;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_name_and_by_type() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::of_media_type(kind.media_type()), Some(kind));
        }
        let ends = [
            "txt", "markdown", "rs", "htm", "pdf", "docx", "csv", "tab", "xlsm", "ods", "rtf", "pptx",
            "epub", "eml",
        ];
        assert_eq!(ends.map(|end| FileKind::of_extension(end).unwrap()), FileKind::ALL);
        assert_eq!((FileKind::of_extension("doc"), FileKind::of_media_type("image/png")), (None, None));
    }

    #[test]
    fn text_is_a_document_as_it_stands() {
        let never = Cancel::never();
        let read = document(FileKind::Text(Layout::Markdown), false, b" # A\r\n", &never).unwrap();
        assert_eq!((read.text.as_str(), read.layout, read.title), (" # A\r\n", Layout::Markdown, None));
        for (bytes, wanted) in [
            (&b""[..], "it is empty"),
            (b" \n", "only white space"),
            ("\u{2003}".as_bytes(), "no text"),
            (b"caf\xe9", "invalid byte at offset 3"),
        ] {
            let error = document(FileKind::Text(Layout::Plain), false, bytes, &never).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            let error = EngineError::from(error);
            assert_eq!((error.kind, error.code), (ErrorKind::Infeasible, "unreadable_file"));
        }
        let stopped = EngineError::from(FileError::from(Stopped::Deadline));
        assert_eq!(stopped.kind, ErrorKind::Deadline);
    }

    #[test]
    fn lines_are_no_headings() {
        for (line, wanted) in [("# a", "\\# a"), ("  ----", "\\----"), ("```", "\\```"), ("- a #", "- a #")] {
            assert_eq!(plain(line), wanted);
        }
    }
}
