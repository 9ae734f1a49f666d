//! Reading what a command works on.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::engine::EngineError;
use crate::engine::api::DocumentInput;
use crate::engine::collections::files::{FileKind, document};
use crate::model::Cancel;

/// Text of a file, or of standard input where `path` is `-` or missing. Files that are not text by the end of their names
/// (PDF, office formats, books, mail) are read as collections read them.
pub(super) fn text(path: Option<&Path>) -> anyhow::Result<String> {
    let (name, bytes) = if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
        if let Some(kind) = FileKind::of_path(path).filter(|kind| !kind.is_utf8()) {
            let read = document(kind, false, &bytes, &Cancel::never()).map_err(EngineError::from);
            return Ok(read.context(name)?.text);
        }
        (name, bytes)
    } else {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        ("standard input".to_owned(), bytes)
    };
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!(
            "{name} is not UTF-8: invalid byte at offset {at}; convert it first, for example with iconv"
        );
        EngineError::invalid("invalid_utf8", "context", message).into()
    })
}

/// Documents of a JSONL file: one object a line with `id`, `title`, `text`. Empty lines are passed over.
pub(super) fn documents(path: &Path) -> anyhow::Result<Vec<DocumentInput>> {
    lines(path, |line| serde_json::from_str(line).map_err(|error| error.to_string()))
}

/// Parses each non-empty line of a file; fails with the description of the first bad line.
pub(super) fn lines<T>(
    path: &Path,
    mut parse: impl FnMut(&str) -> Result<T, String>,
) -> anyhow::Result<Vec<T>> {
    let text = text(Some(path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            parse(line).map_err(|reason| {
                let message = format!("{} line {}: {reason}", path.display(), i + 1);
                EngineError::invalid("invalid_line", "lines", message).into()
            })
        })
        .collect()
}
