//! Documents in files and folders, one by one, however large the files are.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::collections::api::SourceDocument;
use crate::engine::collections::files::{self, FileKind, utf8};
use crate::engine::collections::lines::{self, Line};
use crate::engine::shortened;
use crate::model::Cancel;
use crate::text::Layout;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A document a line.
    Lines,
    /// A document or a list of them.
    Json,
    /// One document.
    Whole(FileKind),
}

impl Kind {
    /// Returns the format for a file name's extension; `None` for one that is not supported.
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Lines),
            "json" => Some(Self::Json),
            _ => FileKind::of_path(path).map(Self::Whole),
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
/// itself is read as text if its name says nothing else. What is named twice is read once.
pub(super) fn sources(paths: &[PathBuf]) -> anyhow::Result<(Vec<Source>, usize)> {
    let mut found = Found::default();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            found.folder(path)?;
        } else {
            let kind = Kind::of(path).unwrap_or(Kind::Whole(FileKind::Text(Layout::Plain)));
            found.sources.push(Source { path: path.clone(), kind, bytes: metadata.len() });
        }
    }
    let mut seen = HashSet::new();
    found.sources.retain(|source| seen.insert(source.path.clone()));
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

/// Returns the visible entries of a folder, sorted by name.
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
pub(super) struct Item<'a> {
    pub(super) place: Place<'a>,
    pub(super) document: Result<SourceDocument, String>,
    /// Bytes of the file that it took.
    pub(super) bytes: u64,
}

/// The position of a document, for messages.
pub(super) struct Place<'a> {
    path: &'a Path,
    part: Part,
}

/// A part of a file.
enum Part {
    Whole,
    /// The line number, from 1.
    Line(usize),
    /// The path in the JSON, such as `documents[0]`.
    Element(String),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Whole => write!(f, "{}", self.path.display()),
            Part::Line(number) => write!(f, "{} line {number}", self.path.display()),
            Part::Element(path) => write!(f, "{} {path}", self.path.display()),
        }
    }
}

/// The documents of a file.
type Items<'a> = Box<dyn Iterator<Item = anyhow::Result<Item<'a>>> + 'a>;

/// The documents of a file; an HTML page is read with navigation and the like where `whole` says so. The iterator fails
/// where the file cannot be read on.
pub(super) fn items(source: &Source, whole: bool) -> anyhow::Result<Items<'_>> {
    let path = &*source.path;
    let cannot = move || format!("cannot read {}", path.display());
    let read = || fs::read(path).with_context(cannot);
    let item = move |part, document, bytes: usize| {
        Ok(Item { place: Place { path, part }, document, bytes: bytes as u64 })
    };
    let one =
        |document, bytes| -> Items<'_> { Box::new(std::iter::once(item(Part::Whole, document, bytes))) };
    Ok(match source.kind {
        Kind::Lines => {
            let file = File::open(path).with_context(cannot)?;
            Box::new(lines::lines(BufReader::new(file)).map(move |line| {
                let Line { number, bytes } = line.with_context(cannot)?;
                item(Part::Line(number), lines::document(&bytes), bytes.len())
            }))
        }
        Kind::Json => {
            let bytes = read()?;
            match elements(&bytes) {
                Ok(elements) => Box::new(elements.into_iter().map(move |(part, json)| {
                    let json = json.get().as_bytes();
                    item(part, lines::document(json), json.len())
                })),
                Err(reason) => one(Err(reason), bytes.len()),
            }
        }
        Kind::Whole(kind) => {
            let bytes = read()?;
            one(document(path, kind, whole, &bytes), bytes.len())
        }
    })
}

/// The documents of a JSON file: one that is all of it, those of a list, or those of an object's list `documents`.
fn elements(bytes: &[u8]) -> Result<Vec<(Part, Box<RawValue>)>, String> {
    let malformed = |error: serde_json::Error| shortened(&error.to_string());
    let whole: Box<RawValue> = serde_json::from_str(utf8(bytes)?).map_err(malformed)?;
    let (list, path) = if whole.get().starts_with('[') {
        (&*whole, "")
    } else {
        // What is neither a list nor an object is refused as a document.
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(whole.get()).unwrap_or_default();
        let Some(list) = members.get("documents") else { return Ok(vec![(Part::Whole, whole)]) };
        if let Some(other) = members.keys().find(|name| *name != "documents") {
            return Err(format!("unknown field `{}` beside `documents`", shortened(other)));
        }
        (*list, "documents")
    };
    let list: Vec<Box<RawValue>> = serde_json::from_str(list.get()).map_err(malformed)?;
    let numbered = |(i, json)| (Part::Element(format!("{path}[{i}]")), json);
    Ok(list.into_iter().enumerate().map(numbered).collect())
}

/// The document that a file is: called by its path.
fn document(path: &Path, kind: FileKind, whole: bool, bytes: &[u8]) -> Result<SourceDocument, String> {
    let document =
        files::document(kind, whole, bytes, &Cancel::never()).map_err(|error| error.to_string())?;
    let id = path.to_string_lossy().replace('\\', "/");
    let metadata = [("path".to_owned(), Value::from(id.as_str()))].into_iter().collect();
    Ok(SourceDocument { id: Some(id), metadata, ..document })
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
                ("a/c.json", b"[]"),
                ("a/.hidden/x.md", b"x"),
                ("a/image.png", b"x"),
                ("b.rs", b"fn"),
            ],
        );
        let (found, passed_over) = sources(&[root.join("a"), root.join("b.rs")]).unwrap();
        assert_eq!(names(root, &found), ["a/b/c.TXT", "a/b.jsonl", "a/c.json", "a/z.md", "b.rs"]);
        assert_eq!((passed_over, total_bytes(&found)), (1, 6));
        let (again, _) = sources(&[root.join("a"), root.join("a/z.md")]).unwrap();
        assert_eq!(again.len(), 4, "what is named twice is read once");
        assert_eq!(found[4].kind, Kind::Whole(FileKind::Text(Layout::Code)));
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
        let items: Vec<Item> = items(&found[0], false).unwrap().map(Result::unwrap).collect();
        let (texts, bad) = told(items);
        assert_eq!(texts, ["a", "b"]);
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

    /// Texts of the documents, and what is said of what is none.
    fn told(items: Vec<Item>) -> (Vec<String>, Vec<String>) {
        let (mut texts, mut bad) = (Vec::new(), Vec::new());
        for Item { place, document, .. } in items {
            match document {
                Ok(document) => texts.push(document.text),
                Err(reason) => bad.push(format!("{place}: {reason}")),
            }
        }
        (texts, bad)
    }

    #[test]
    fn json_is_a_document_a_list_or_an_object_with_one() {
        let folder = tempfile::tempdir().unwrap();
        for (json, texts, wanted) in [
            (&br#"{"id": "1", "text": "a"}"#[..], &["a"][..], None),
            (b" [{\"text\": \"a\"},\n{\"text\": \"b\"}]\n", &["a", "b"], None),
            (br#"{"documents": [{"text": "a"}]}"#, &["a"], None),
            (b"[]", &[], None),
            (br#"[{"text": "a"}, {"text": ""}]"#, &["a"], Some("d.json [1]: `text` is empty")),
            (br#"{"documents": [{"txt": 1}]}"#, &[], Some("d.json documents[0]: unknown field `txt`")),
            (br#"{"documents": [], "score": true}"#, &[], Some("d.json: unknown field `score` beside")),
            (br#"{"documents": {"text": "a"}}"#, &[], Some("d.json: invalid type: map")),
            (br#"{"name": "x"}"#, &[], Some("d.json: unknown field `name`, expected one of `id`")),
            (b"7", &[], Some("d.json: a document is an object")),
            (b"", &[], Some("d.json: EOF while parsing a value at line 1 column 0")),
            (b"[{\"text\": \"a\"}", &[], Some("d.json: EOF while parsing a list")),
            (b"[\"\xff\"]", &[], Some("d.json: it is not UTF-8: invalid byte at offset 2")),
        ] {
            write(folder.path(), &[("d.json", json)]);
            let (found, _) = sources(&[folder.path().join("d.json")]).unwrap();
            let (read, bad) = told(items(&found[0], false).unwrap().map(Result::unwrap).collect());
            let shown = String::from_utf8_lossy(json);
            assert_eq!(read, texts, "{shown}");
            assert!(bad.len() == usize::from(wanted.is_some()), "{shown}: {bad:?}");
            assert!(wanted.is_none_or(|wanted| bad[0].contains(wanted)), "{shown}: {bad:?}");
        }
        let deep = [&b"[".repeat(100_000)[..], &b"]".repeat(100_000)].concat();
        assert!(elements(&deep).is_ok() && lines::document(&deep).is_err(), "depth is no danger");
    }

    #[test]
    fn a_file_is_a_document_called_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.md", b"# A"), ("b.txt", b" \n"), ("c.txt", b"\xff")]);
        let (found, _) = sources(&[folder.path().to_owned()]).unwrap();
        let mut documents = found.iter().map(|source| {
            let Item { place, document, .. } = items(source, false).unwrap().next().unwrap().unwrap();
            document.map_err(|reason| format!("{place}: {reason}"))
        });
        let first = documents.next().unwrap().unwrap();
        assert_eq!((first.layout, first.text.as_str()), (Layout::Markdown, "# A"));
        assert!(
            first.id.as_ref().unwrap().ends_with("/a.md")
                && first.metadata["path"] == *first.id.as_ref().unwrap()
        );
        assert!(documents.next().unwrap().unwrap_err().contains("b.txt: it is empty"));
        assert!(documents.next().unwrap().unwrap_err().contains("c.txt: it is not UTF-8"));
    }
}
