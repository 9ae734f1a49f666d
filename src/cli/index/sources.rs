//! Documents in files and folders, one by one, however large the files are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::parse::{self, Format, Parsed};
use crate::engine::collections::api::SourceDocument;
use crate::text::Layout;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A document a line.
    Lines,
    /// One document.
    Whole(Layout),
    /// One document, which another process makes Markdown of.
    Foreign(Format),
}

impl Kind {
    /// By the end of its name; none of a kind that is not read.
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Lines),
            "md" | "markdown" => Some(Self::Whole(Layout::Markdown)),
            "txt" | "text" => Some(Self::Whole(Layout::Plain)),
            other => Format::of(other).map(Self::Foreign),
        }
    }
}

/// A file to read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
    bytes: u64,
}

/// The files of `paths`, in order, and how many in folders are of a kind that is not read.
///
/// A folder stands for the files in it and below, but for hidden ones and what links lead to; a file that is named
/// itself is read as text if its name says nothing else.
pub(super) fn sources(paths: &[PathBuf]) -> anyhow::Result<(Vec<Source>, usize)> {
    let mut found = Found::default();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            found.folder(path)?;
        } else {
            let kind = Kind::of(path).unwrap_or(Kind::Whole(Layout::Plain));
            found.sources.push(Source { path: path.clone(), kind, bytes: metadata.len() });
        }
    }
    Ok((found.sources, found.passed_over))
}

#[derive(Default)]
struct Found {
    sources: Vec<Source>,
    passed_over: usize,
}

impl Found {
    fn folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        for path in entries(folder)? {
            let metadata =
                fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
            match Kind::of(&path) {
                _ if metadata.is_dir() => self.folder(&path)?,
                Some(kind) if metadata.is_file() => {
                    self.sources.push(Source { path, kind, bytes: metadata.len() });
                }
                _ => self.passed_over += 1,
            }
        }
        Ok(())
    }
}

/// What is in a folder and not hidden, by name.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Bytes of all files.
pub(super) fn total_bytes(sources: &[Source]) -> u64 {
    sources.iter().map(|source| source.bytes).sum()
}

/// A document, or why a part of a file is none.
pub(super) struct Item {
    pub(super) document: Result<SourceDocument, Bad>,
    /// Bytes of the file that it took.
    pub(super) bytes: u64,
}

/// A part of a file that is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("{} line {line}: {reason}", path.display())]
    Line { path: PathBuf, line: usize, reason: String },
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

/// The documents of a file. The iterator fails where the file cannot be read on.
pub(super) fn items(source: &Source) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Item>> + '_>> {
    let cannot = || format!("cannot read {}", source.path.display());
    match source.kind {
        Kind::Whole(layout) => {
            let bytes = fs::read(&source.path).with_context(cannot)?;
            let item = Item { bytes: bytes.len() as u64, document: whole(&source.path, layout, bytes) };
            Ok(Box::new(std::iter::once(Ok(item))))
        }
        Kind::Foreign(format) => {
            let bytes = fs::read(&source.path).with_context(cannot)?;
            let document = foreign(&source.path, format, &bytes);
            Ok(Box::new(std::iter::once(Ok(Item { bytes: bytes.len() as u64, document }))))
        }
        Kind::Lines => {
            let mut reader = BufReader::new(File::open(&source.path).with_context(cannot)?);
            let mut number = 0;
            Ok(Box::new(std::iter::from_fn(move || {
                loop {
                    let mut line = Vec::new();
                    match reader.read_until(b'\n', &mut line) {
                        Ok(0) => return None,
                        Ok(_) => number += 1,
                        Err(error) => return Some(Err(error).with_context(cannot)),
                    }
                    if !line.trim_ascii().is_empty() {
                        let bytes = line.len() as u64;
                        return Some(Ok(Item { document: parsed(&source.path, number, &line), bytes }));
                    }
                }
            })))
        }
    }
}

fn whole(path: &Path, layout: Layout, bytes: Vec<u8>) -> Result<SourceDocument, Bad> {
    let bad = |reason: String| Bad::File { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes).map_err(|error| {
        bad(format!("it is not UTF-8: invalid byte at offset {}", error.utf8_error().valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Err(bad("it is empty or holds only white space".into()));
    }
    Ok(named(path, Parsed { title: None, text }, layout))
}

fn foreign(path: &Path, format: Format, bytes: &[u8]) -> Result<SourceDocument, Bad> {
    let parsed = if bytes.is_empty() { Err("it is empty".into()) } else { parse::parsed(format, bytes) };
    let parsed = parsed.map_err(|reason| Bad::File { path: path.to_owned(), reason })?;
    Ok(named(path, parsed, Layout::Markdown))
}

/// The document that a file is: called by its path.
fn named(path: &Path, Parsed { title, text }: Parsed, layout: Layout) -> SourceDocument {
    let id = path.to_string_lossy().replace('\\', "/");
    let metadata = [("path".to_owned(), Value::from(id.as_str()))].into_iter().collect();
    SourceDocument { id: Some(id), title, text, metadata, layout }
}

fn parsed(path: &Path, line: usize, bytes: &[u8]) -> Result<SourceDocument, Bad> {
    let bad = |reason: String| Bad::Line { path: path.to_owned(), line, reason };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        bad(format!("it is not UTF-8: invalid byte at column {}", error.valid_up_to() + 1))
    })?;
    let document: SourceDocument = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if document.text.trim().is_empty() {
        return Err(bad("`text` is empty or holds only white space".into()));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    fn names(folder: &Path, sources: &[Source]) -> Vec<String> {
        sources.iter().map(|s| s.path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_folder_stands_for_its_documents_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            &[
                ("a/z.md", b"z"),
                ("a/b/c.TXT", b"c"),
                ("a/b.jsonl", b""),
                ("a/.hidden/x.md", b"x"),
                ("a/image.png", b"x"),
                ("b.rs", b"fn"),
            ],
        );
        let (found, passed_over) = sources(&[root.join("a"), root.join("b.rs")]).unwrap();
        assert_eq!(names(root, &found), ["a/b/c.TXT", "a/b.jsonl", "a/z.md", "b.rs"]);
        assert_eq!((passed_over, total_bytes(&found)), (1, 4));
        assert_eq!(found[3].kind, Kind::Whole(Layout::Plain));
        assert!(sources(&[root.join("none")]).unwrap_err().to_string().contains("cannot read"));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_folders_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a/b.md", b"b")]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        let (found, passed_over) = sources(&[folder.path().to_owned()]).unwrap();
        assert_eq!((found.len(), passed_over), (1, 1));
    }

    #[test]
    fn bad_lines_are_told_by_their_numbers_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let lines = b"{\"id\": \"1\", \"text\": \"a\"}\n\n{\"text\": \n{\"text\": \" \"}\r\n{\"txt\": 1}\n{\"text\": \"\xff\"}\n{\"text\": \"b\"}";
        write(folder.path(), &[("d.jsonl", lines)]);
        let (found, _) = sources(&[folder.path().join("d.jsonl")]).unwrap();
        let items: Vec<Item> = items(&found[0]).unwrap().map(Result::unwrap).collect();
        let (good, bad): (Vec<_>, Vec<_>) =
            items.into_iter().map(|item| item.document).partition(Result::is_ok);
        let texts: Vec<String> = good.into_iter().map(|document| document.unwrap().text).collect();
        assert_eq!(texts, ["a", "b"]);
        let bad: Vec<String> = bad.into_iter().map(|bad| bad.unwrap_err().to_string()).collect();
        for (message, wanted) in bad.iter().zip([
            "line 3: EOF",
            "line 4: `text` is empty",
            "line 5: unknown field `txt`",
            "line 6: it is not UTF-8: invalid byte at column 11",
        ]) {
            assert!(message.contains(wanted), "{message}");
        }
        assert_eq!(bad.len(), 4);
    }

    #[test]
    fn a_file_is_a_document_called_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.md", b"# A"), ("b.txt", b" \n"), ("c.txt", b"\xff")]);
        let (found, _) = sources(&[folder.path().to_owned()]).unwrap();
        let mut documents =
            found.iter().map(|source| items(source).unwrap().next().unwrap().unwrap().document);
        let first = documents.next().unwrap().unwrap();
        assert_eq!((first.layout, first.text.as_str()), (Layout::Markdown, "# A"));
        assert!(
            first.id.as_ref().unwrap().ends_with("/a.md")
                && first.metadata["path"] == *first.id.as_ref().unwrap()
        );
        assert!(documents.next().unwrap().unwrap_err().to_string().contains("b.txt: it is empty"));
        assert!(documents.next().unwrap().unwrap_err().to_string().contains("c.txt: it is not UTF-8"));
    }
}
