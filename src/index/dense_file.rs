//! A dense index on disk: written once under a temporary name, synchronised, renamed; never changed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
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
/// Bytes that are read and written at once; whole values of each kind.
const BUFFER: usize = 1 << 20;
/// Most bytes that memory is set aside for because a manifest says so.
const MOST_RESERVED: u64 = 1 << 30;
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

impl FileEntry {
    /// Writes a file, piece by piece: what it holds may be as large as all vectors are.
    fn write<const N: usize>(
        folder: &Path,
        name: &str,
        values: impl Iterator<Item = [u8; N]>,
    ) -> Result<Self, IndexError> {
        let path = folder.join(name);
        let written = File::create(&path).and_then(|file| {
            let mut file = BufWriter::with_capacity(BUFFER, file);
            for value in values {
                file.write_all(&value)?;
            }
            file.flush()
        });
        written.map_err(IndexError::io("write", &path))?;
        Self::of(folder, name)
    }

    /// The entry of a file, which is on disk once this returns.
    fn of(folder: &Path, name: &str) -> Result<Self, IndexError> {
        let path = folder.join(name);
        sync(&path)?;
        let mut hasher = blake3::Hasher::new();
        let hashed = File::open(&path).and_then(|file| hasher.update_reader(file).map(|_| ()));
        hashed.map_err(IndexError::io("read", &path))?;
        Ok(Self {
            name: name.to_owned(),
            bytes: hasher.count(),
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Calls `each` with all values of the file, of which no bit is lost or changed where this succeeds.
    fn read<const N: usize>(&self, folder: &Path, each: impl FnMut([u8; N])) -> Result<(), IndexError> {
        let path = folder.join(&self.name);
        let read = File::open(&path).and_then(|file| each_value(file, each));
        let (bytes, hash) = read.map_err(IndexError::io("read", &path))?;
        if bytes != self.bytes || hash.to_hex().as_str() != self.blake3 || !bytes.is_multiple_of(N as u64) {
            return Err(unusable(folder, format!("`{}` is damaged", self.name)));
        }
        Ok(())
    }
}

/// Calls `each` with all whole values of a file; gives its length and its hash.
fn each_value<const N: usize>(
    mut file: File,
    mut each: impl FnMut([u8; N]),
) -> io::Result<(u64, blake3::Hash)> {
    let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; BUFFER]);
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match file.read(&mut piece[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        hasher.update(&piece[..filled]);
        piece[..filled].as_chunks::<N>().0.iter().copied().for_each(&mut each);
        if filled < piece.len() {
            return Ok((hasher.count(), hasher.finalize()));
        }
    }
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
        let mut files = Vec::new();
        for name in FILES {
            files.push(FileEntry::of(&unfinished, name)?);
        }
        let numbers = self.numbers.iter().map(|number| number.to_le_bytes());
        files.push(FileEntry::write(&unfinished, NUMBERS, numbers)?);
        let lost = self.lost.iter().map(|row| row.to_le_bytes());
        files.push(FileEntry::write(&unfinished, LOST, lost)?);
        let values = self.vectors.values().iter().map(|value| value.to_le_bytes());
        files.push(FileEntry::write(&unfinished, VECTORS, values)?);
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
        let entry = |name: &str| {
            let entry = manifest.files.iter().find(|file| file.name == name);
            entry.ok_or_else(|| wrong("its manifest lacks a file"))
        };
        // The links are read by their own crate, once they are known to be what was written.
        for name in FILES {
            entry(name)?.read(folder, |_: [u8; 1]| {})?;
        }
        let mut numbers = Vec::new();
        entry(NUMBERS)?.read(folder, |bytes| numbers.push(u64::from_le_bytes(bytes)))?;
        let mut lost = Vec::new();
        entry(LOST)?.read(folder, |bytes| lost.push(u32::from_le_bytes(bytes)))?;
        let mut values = Vec::with_capacity(entry(VECTORS)?.bytes.min(MOST_RESERVED) as usize / 4);
        entry(VECTORS)?.read(folder, |bytes| values.push(f32::from_le_bytes(bytes)))?;
        let vectors =
            Vectors::from_values(width, values).ok_or_else(|| wrong("its vectors are truncated"))?;
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
