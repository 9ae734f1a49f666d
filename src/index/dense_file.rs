//! A dense index on disk: written once under a temporary name, synchronised, renamed; never changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::IndexError;
use super::hnsw::{FILES, Graph};
use super::vectors::Vectors;

/// Format of the files.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// Numbers of the chunks, row by row.
const NUMBERS: &str = "numbers";
/// Rows that the links do not lead to.
const LOST: &str = "lost";
const VECTORS: &str = "vectors";
/// The prefix of a generation's folder until it is complete.
const UNFINISHED: &str = "unfinished-";
const FINISHED: &str = "generation-";

/// An immutable dense index of the chunks that there were when it was made.
pub(super) struct Generation {
    pub(super) graph: Graph,
    pub(super) vectors: Arc<Vectors>,
    /// The chunk number of each row, ascending.
    pub(super) numbers: Vec<u64>,
    /// Rows that the graph does not lead to.
    pub(super) lost: Vec<u32>,
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// [`super::Settings::id`].
    collection: String,
    dimensions: usize,
    rows: usize,
    files: Vec<FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct FileEntry {
    name: String,
    bytes: u64,
    blake3: String,
}

impl Generation {
    /// Links `vectors`, the chunks `numbers`, in memory; none once `stop` says so.
    pub(super) fn build(numbers: Vec<u64>, vectors: Vectors, stop: &AtomicBool) -> Option<Self> {
        let vectors = Arc::new(vectors);
        let (graph, lost) = Graph::build(&vectors, stop)?;
        Some(Self { graph, vectors, numbers, lost, folder: None })
    }

    /// Writes it below `parent`; once this returns it survives a crash.
    pub(super) fn save(&mut self, parent: &Path, collection: &str, width: usize) -> Result<(), IndexError> {
        let name = uuid::Uuid::now_v7().to_string();
        let unfinished = parent.join(format!("{UNFINISHED}{name}"));
        fs::create_dir_all(&unfinished).map_err(IndexError::io("create", &unfinished))?;
        self.graph.save(&unfinished).map_err(|reason| unusable(&unfinished, reason))?;
        let numbers: Vec<u8> = self.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let lost: Vec<u8> = self.lost.iter().flat_map(|row| row.to_le_bytes()).collect();
        for (name, bytes) in [(NUMBERS, numbers), (LOST, lost), (VECTORS, self.vectors.bytes())] {
            let path = unfinished.join(name);
            fs::write(&path, bytes).map_err(IndexError::io("write", &path))?;
        }
        let mut files = Vec::new();
        for name in FILES.into_iter().chain([NUMBERS, LOST, VECTORS]) {
            let path = unfinished.join(name);
            sync(&path)?;
            let bytes = fs::read(&path).map_err(IndexError::io("read", &path))?;
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            files.push(FileEntry { name: name.to_owned(), bytes: bytes.len() as u64, blake3 });
        }
        let rows = self.vectors.len();
        let manifest =
            Manifest { format: FORMAT, collection: collection.to_owned(), dimensions: width, rows, files };
        let path = unfinished.join(MANIFEST);
        fs::write(&path, serde_json::to_vec_pretty(&manifest)?).map_err(IndexError::io("write", &path))?;
        sync(&path)?;
        sync(&unfinished)?;
        let finished = parent.join(format!("{FINISHED}{name}"));
        fs::rename(&unfinished, &finished).map_err(IndexError::io("rename", &unfinished))?;
        sync(parent)?;
        self.folder = Some(finished);
        Ok(())
    }

    /// The newest generation below `parent`, if there is a sound one. Others are removed; `report` is told why.
    pub(super) fn open(
        parent: &Path,
        collection: &str,
        width: usize,
        report: &mut dyn FnMut(String),
    ) -> Option<Self> {
        let mut folders: Vec<PathBuf> =
            fs::read_dir(parent).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        // Names are UUIDs that begin with the time.
        folders.sort();
        let mut newest = None;
        for folder in folders.into_iter().rev() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(FINISHED) && newest.is_none() {
                match Self::load(&folder, collection, width) {
                    Ok(generation) => {
                        newest = Some(generation);
                        continue;
                    }
                    Err(error) => report(format!("{error}; it is rebuilt from the store")),
                }
            }
            if name.starts_with(FINISHED) || name.starts_with(UNFINISHED) {
                remove(&folder);
            }
        }
        newest
    }

    fn load(folder: &Path, collection: &str, width: usize) -> Result<Self, IndexError> {
        let wrong = |reason: &str| unusable(folder, reason.to_owned());
        let path = folder.join(MANIFEST);
        let manifest = fs::read(&path).map_err(IndexError::io("read", &path))?;
        let manifest: Manifest = serde_json::from_slice(&manifest)?;
        if (manifest.format, manifest.collection.as_str(), manifest.dimensions) != (FORMAT, collection, width)
        {
            return Err(wrong("it is of another collection or format"));
        }
        let mut contents = FILES.into_iter().chain([NUMBERS, LOST, VECTORS]).map(|name| {
            let entry = manifest.files.iter().find(|file| file.name == name);
            let entry = entry.ok_or_else(|| wrong("its manifest lacks a file"))?;
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(IndexError::io("read", &path))?;
            if bytes.len() as u64 != entry.bytes || blake3::hash(&bytes).to_hex().as_str() != entry.blake3 {
                return Err(wrong(&format!("`{name}` is damaged")));
            }
            Ok(bytes)
        });
        let mut next = || contents.next().ok_or_else(|| wrong("its manifest lacks a file"))?;
        // The links are read by their own crate, now that they are known to be what was written.
        let (_, _, numbers, lost, vectors) = (next()?, next()?, next()?, next()?, next()?);
        let numbers: Vec<u64> = numbers
            .chunks_exact(8)
            .map(|eight| eight.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
            .collect();
        let lost: Vec<u32> = lost
            .chunks_exact(4)
            .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let vectors =
            Vectors::from_bytes(width, &vectors).ok_or_else(|| wrong("its vectors are truncated"))?;
        if vectors.len() != manifest.rows || numbers.len() != manifest.rows {
            return Err(wrong("its files do not fit together"));
        }
        let vectors = Arc::new(vectors);
        let graph = Graph::load(folder, &vectors).map_err(|reason| unusable(folder, reason))?;
        Ok(Self { graph, vectors, numbers, lost, folder: Some(folder.to_owned()) })
    }

    /// Row of a chunk.
    pub(super) fn row(&self, number: u64) -> Option<usize> {
        self.numbers.binary_search(&number).ok()
    }

    /// Removes its files, if it has any.
    pub(super) fn remove_files(&self) {
        if let Some(folder) = &self.folder {
            remove(folder);
        }
    }
}

/// Removes a folder; what cannot be removed now is removed at the next start.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "cannot remove an old index");
    }
}

fn unusable(folder: &Path, reason: String) -> IndexError {
    IndexError::Generation { path: folder.to_owned(), reason }
}

/// Waits until a file or folder is on disk.
pub(super) fn sync(path: &Path) -> Result<(), IndexError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    // Some systems do not open folders as files; they keep the order of changes to folders by themselves.
    if cfg!(windows) && path.is_dir() {
        return Ok(());
    }
    synced.map_err(IndexError::io("synchronise", path))
}
