//! Documents as JSONL, one a line: what a line must be, and many of them stored in batches.

use std::collections::HashSet;
use std::io::{self, BufRead};

use super::Collections;
use super::api::{BadLine, ImportOptions, OnBad, SourceDocument, UpsertRequest, UpsertResponse};
use super::ingest::id_of;
use crate::engine::error::shortened;
use crate::engine::{Engine, EngineError};
use crate::index::ID_BYTES;
use crate::model::Cancel;

/// Documents that are stored together at most.
const BATCH: usize = 128;
/// Bytes of text that are stored together at most, if it is more than one document.
const BATCH_BYTES: usize = 1 << 20;

/// The document that a line, or an element of a list, is.
///
/// # Errors
/// Why it is none, without the place: that the caller knows.
pub fn document(json: &[u8]) -> Result<SourceDocument, String> {
    let text = std::str::from_utf8(json)
        .map_err(|error| format!("it is not UTF-8: invalid byte at column {}", error.valid_up_to() + 1))?;
    // Else a list of its values would do for the object.
    if !text.trim_ascii_start().starts_with('{') {
        return Err("a document is an object such as {\"text\": \"...\"}".into());
    }
    let document: SourceDocument = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if document.text.trim().is_empty() {
        return Err("`text` is empty or holds only white space".into());
    }
    if document.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > ID_BYTES) {
        return Err(format!("`id` must have 1 to {ID_BYTES} bytes"));
    }
    Ok(document)
}

/// Converts a parser's error into a message. Its text ends in the line, which the caller knows better, and the column.
fn malformed(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = shortened(text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason));
    match (error.line(), error.column()) {
        (0, _) => reason,
        (1, column) => format!("{reason} at column {column}"),
        (line, column) => format!("{reason} at its line {line}, column {column}"),
    }
}

/// Ids of the documents that came so far.
#[derive(Debug, Default)]
pub struct Ids(HashSet<String>);

impl Ids {
    /// Takes note of a document that comes after all others. The same document without an id may come again.
    ///
    /// # Errors
    /// One with its id has come already: of the two only one could be stored.
    pub fn admit(&mut self, document: &SourceDocument) -> Result<(), String> {
        let id = id_of(document);
        if self.0.contains(&id) && document.id.is_some() {
            return Err(format!("an earlier document has the same id `{}`", shortened(&id)));
        }
        self.0.insert(id);
        Ok(())
    }
}

/// A line of JSONL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line number, from 1.
    pub number: usize,
    /// The line's bytes, its end included.
    pub bytes: Vec<u8>,
}

/// The lines of `reader` that hold more than white space.
pub fn lines(mut reader: impl BufRead) -> impl Iterator<Item = io::Result<Line>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let mut bytes = Vec::new();
            match reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => number += 1,
                Err(error) => return Some(Err(error)),
            }
            if !bytes.trim_ascii().is_empty() {
                return Some(Ok(Line { number, bytes }));
            }
        }
    })
}

/// Documents on their way into a collection, stored in batches: what was stored stays when a later batch fails.
#[derive(Debug)]
pub struct Import<'a> {
    engine: &'a Engine,
    collection: &'a str,
    score: bool,
    cancel: &'a Cancel,
    batch: Vec<SourceDocument>,
    bytes: usize,
    done: UpsertResponse,
}

impl<'a> Import<'a> {
    /// Begins to store in `collection`. With `score` chunks are scored too.
    #[must_use]
    pub fn new(engine: &'a Engine, collection: &'a str, score: bool, cancel: &'a Cancel) -> Self {
        let (batch, done) = (Vec::new(), UpsertResponse::default());
        Self { engine, collection, score, cancel, batch, bytes: 0, done }
    }

    /// Stores `document`, now or with others that come. Ids must be told apart by [`Ids`] before.
    ///
    /// # Errors
    /// A batch cannot be stored; see [`EngineError`].
    pub fn add(&mut self, document: SourceDocument) -> Result<(), EngineError> {
        if self.batch.len() == BATCH || self.bytes + document.text.len() > BATCH_BYTES {
            self.store()?;
        }
        self.bytes += document.text.len();
        self.batch.push(document);
        Ok(())
    }

    /// Returns the result for the documents that are stored.
    #[must_use]
    pub fn done(&self) -> &UpsertResponse {
        &self.done
    }

    /// Stores what is left.
    ///
    /// # Errors
    /// As [`Import::add`].
    pub fn finish(mut self) -> Result<UpsertResponse, EngineError> {
        self.store()?;
        Ok(self.done)
    }

    fn store(&mut self) -> Result<(), EngineError> {
        self.bytes = 0;
        let documents = std::mem::take(&mut self.batch);
        if documents.is_empty() {
            return Ok(());
        }
        let request = UpsertRequest { documents, score: self.score };
        let stored = self.engine.collections().upsert(self.collection, request, self.cancel)?;
        self.done.added += stored.added;
        self.done.updated += stored.updated;
        self.done.unchanged += stored.unchanged;
        self.done.chunks += stored.chunks;
        self.done.scored += stored.scored;
        self.done.ids.extend(stored.ids);
        self.done.timing_ms.total += stored.timing_ms.total;
        for (stage, milliseconds) in stored.timing_ms.stages {
            *self.done.timing_ms.stages.entry(stage).or_default() += milliseconds;
        }
        Ok(())
    }
}

impl Collections<'_> {
    /// Stores the documents of JSONL, in batches. A batch that is stored survives a crash, and stays when a later one
    /// fails; sending the same again goes on from there.
    ///
    /// # Errors
    /// There is no such collection, or a line is no document and [`OnBad::Refuse`] holds, when nothing is stored; also
    /// see [`EngineError`].
    pub fn import(
        &self,
        name: &str,
        jsonl: &[u8],
        options: ImportOptions,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        self.engine.collections.get(name)?;
        self.engine.check_count("documents", lines(jsonl).count())?;
        if options.on_bad == OnBad::Refuse {
            let mut ids = Ids::default();
            for line in lines(jsonl) {
                cancel.check()?;
                let (line, document) = parsed(line, &mut ids)?;
                document.map_err(|reason| refused(&format!("line {line}: {reason}"), "?on_bad=skip"))?;
            }
        }
        let (mut ids, mut bad) = (Ids::default(), Vec::new());
        let mut import = Import::new(self.engine, name, options.score, cancel);
        for line in lines(jsonl) {
            match parsed(line, &mut ids)? {
                (_, Ok(document)) => import.add(document)?,
                (line, Err(reason)) => bad.push(BadLine { line, reason }),
            }
        }
        Ok(UpsertResponse { bad, ..import.finish()? })
    }
}

/// The number of a line with its document, or with why it is none.
fn parsed(
    line: io::Result<Line>,
    ids: &mut Ids,
) -> Result<(usize, Result<SourceDocument, String>), EngineError> {
    // Lines in memory can be read.
    let Line { number, bytes } = line.map_err(|error| EngineError::internal(error.to_string()))?;
    let document = document(&bytes).and_then(|document| ids.admit(&document).map(|()| document));
    Ok((number, document))
}

/// Nothing is stored, for `bad` says what is no document and why; `otherwise` leaves such out.
#[must_use]
pub fn refused(bad: &str, otherwise: &str) -> EngineError {
    let message = format!("{bad}; nothing was stored: correct it, or skip such input with `{otherwise}`");
    EngineError::invalid("invalid_document", "documents", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_document_or_says_why_it_is_none() {
        let good = document(b"{\"id\": \"1\", \"text\": \"a\", \"metadata\": {\"n\": 1}}\r\n").unwrap();
        assert_eq!((good.id.as_deref(), &*good.text), (Some("1"), "a"));
        let long = format!("{{\"id\": \"{}\", \"text\": \"a\"}}", "x".repeat(513));
        let key = format!("{{\"{}\": 1}}", "\u{e9}".repeat(100_000));
        for (line, wanted) in [
            (&b"{\"text\": "[..], "EOF while parsing a value at column 9"),
            (b"{\"text\": \" \\n\"}", "`text` is empty"),
            (b"{\"txt\": 1}", "unknown field `txt`"),
            (b"{\"id\": 7, \"text\": \"a\"}", "invalid type: integer `7`"),
            (b"{\"id\": \"\", \"text\": \"a\"}", "1 to 512 bytes"),
            (long.as_bytes(), "1 to 512 bytes"),
            (b"{\"text\": \"\xff\"}", "not UTF-8: invalid byte at column 11"),
            (b"[null, null, \"a\", {}, \"plain\"]", "a document is an object"),
            (b"oops", "a document is an object"),
            (b"{\n\"text\": oops}", "at its line 2, column 9"),
            (key.as_bytes(), " [...] "),
        ] {
            let reason = document(line).unwrap_err();
            assert!(reason.contains(wanted) && reason.chars().count() < 400, "{reason}");
        }
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_passed_over() {
        let numbers = |text: &'static str| lines(text.as_bytes()).map(|line| line.unwrap().number);
        assert_eq!(numbers("a\n\n \t\r\nb\r\nc").collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(numbers("").count() + numbers("\n\n").count(), 0);
    }

    #[test]
    fn an_id_comes_once_and_a_document_without_one_as_often_as_it_likes() {
        let mut ids = Ids::default();
        let mut admit = |json: &str| ids.admit(&document(json.as_bytes()).unwrap());
        admit(r#"{"id": "a", "text": "x"}"#).unwrap();
        admit(r#"{"text": "x"}"#).unwrap();
        admit(r#"{"text": "x"}"#).unwrap();
        assert!(admit(r#"{"id": "a", "text": "y"}"#).unwrap_err().contains("the same id `a`"));
        let hash = id_of(&document(br#"{"text": "x"}"#).unwrap());
        admit(&format!(r#"{{"id": "{hash}", "text": "x"}}"#)).unwrap_err();
    }
}
