//! The folder that all collections are in. One process at a time has it.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dense_file::sync;
use super::snapshot::Snapshot;
use super::{Collection, IndexError, Name, Settings};

const COLLECTIONS: &str = "collections";
/// Folders of collections that are being made or removed.
const UNFINISHED: &str = ".unfinished";

/// All collections of a machine's folder, opened on first need. No other process can open it meanwhile.
///
/// ```
/// use whittle::index::{Batch, DataDir, Metadata, NewChunk, NewDocument, Settings, StoredChunk};
/// use whittle::retrieve::{Query, SearchMode, Weights, search};
/// use whittle::text::{ChunkSettings, Layout};
///
/// let folder = tempfile::tempdir()?;
/// let data = DataDir::open(folder.path())?;
/// let collection = data.create(&"letters".parse()?, &Settings::new("own", 2, ChunkSettings::default())?)?;
/// let text = "The harbour closes in May.";
/// let chunk = StoredChunk { range: 0..text.len(), headings: Vec::new(), header: None, tokens: 6 };
/// let document = NewDocument {
///     id: "a".into(), title: None, text: text.into(), metadata: Metadata::new(), layout: Layout::Plain,
///     hash: "1".into(), chunks: vec![NewChunk { chunk, vector: vec![1.0, 0.0] }],
/// };
/// collection.apply(&Batch { remove: Vec::new(), upsert: vec![document] })?;
/// let query = Query {
///     text: "harbour", vector: &[0.6, 0.8], mode: SearchMode::Hybrid, top_k: 3, filter: None,
///     min_score: None, weights: Weights::default(), diversity: 0.0,
/// };
/// assert_eq!(search(&*collection, &query)?[0].chunk.document.id, "a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    open: Mutex<HashMap<Name, Arc<Collection>>>,
    _lock: File,
}

impl DataDir {
    /// Returns whether the folder holds anything that requires [`DataDir::open`].
    #[must_use]
    pub fn has_collections(root: &Path) -> bool {
        fs::read_dir(root.join(COLLECTIONS)).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Takes the folder, making it on first need.
    ///
    /// # Errors
    /// Another process has it, or it cannot be written.
    pub fn open(root: &Path) -> Result<Self, IndexError> {
        let collections = root.join(COLLECTIONS);
        fs::create_dir_all(&collections).map_err(IndexError::io("create", &collections))?;
        let lock = lock(root)?;
        let unfinished = root.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(IndexError::io("remove", &unfinished))?;
        }
        sync(root)?;
        Ok(Self { root: root.to_owned(), open: Mutex::default(), _lock: lock })
    }

    /// Makes a collection. Once this returns it survives a crash.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    pub fn create(&self, name: &Name, settings: &Settings) -> Result<Arc<Collection>, IndexError> {
        self.check_free(name)?;
        let unfinished = self.unfinished()?;
        Collection::create(&unfinished.folder, settings)?;
        self.publish(name, &unfinished)
    }

    /// Makes a collection of what [`Collection::snapshot`] wrote. Nothing of it is there before all of it is known to
    /// be whole, and once this returns it survives a crash.
    ///
    /// # Errors
    /// There is one of that name, `snapshot` is damaged or none, or the collection cannot be written.
    pub fn restore(&self, name: &Name, snapshot: impl Read + Seek) -> Result<Arc<Collection>, IndexError> {
        self.check_free(name)?;
        let snapshot = Snapshot::open(snapshot)?;
        let unfinished = self.unfinished()?;
        Collection::create_from(&unfinished.folder, snapshot)?;
        // Makes its indexes, which takes a while for many chunks: nobody has to wait for that.
        drop(Collection::open(name.clone(), &unfinished.folder)?);
        let collection = self.publish(name, &unfinished)?;
        collection.maintain();
        Ok(collection)
    }

    /// Checks that a collection can be created under this name.
    ///
    /// # Errors
    /// There is one.
    pub fn check_free(&self, name: &Name) -> Result<(), IndexError> {
        if self.folder(name).exists() { Err(IndexError::Exists(name.clone())) } else { Ok(()) }
    }

    /// A folder that nobody sees.
    fn unfinished(&self) -> Result<Unfinished, IndexError> {
        let folder = self.root.join(UNFINISHED).join(uuid::Uuid::now_v7().to_string());
        fs::create_dir_all(&folder).map_err(IndexError::io("create", &folder))?;
        Ok(Unfinished { folder })
    }

    /// Puts a collection on disk and only then gives it its name.
    fn publish(&self, name: &Name, unfinished: &Unfinished) -> Result<Arc<Collection>, IndexError> {
        let mut open = self.opened();
        // Another may have been quicker.
        self.check_free(name)?;
        let folder = self.folder(name);
        sync(&unfinished.folder)?;
        fs::rename(&unfinished.folder, &folder).map_err(IndexError::io("rename", &unfinished.folder))?;
        sync(&self.root.join(COLLECTIONS))?;
        let collection = Arc::new(Collection::open(name.clone(), &folder)?);
        open.insert(name.clone(), Arc::clone(&collection));
        Ok(collection)
    }

    /// The collection called `name`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn get(&self, name: &Name) -> Result<Arc<Collection>, IndexError> {
        let mut open = self.opened();
        if let Some(collection) = open.get(name) {
            return Ok(Arc::clone(collection));
        }
        let folder = self.folder(name);
        if !folder.is_dir() {
            return Err(IndexError::NotFound(name.clone()));
        }
        let collection = Arc::new(Collection::open(name.clone(), &folder)?);
        open.insert(name.clone(), Arc::clone(&collection));
        drop(open);
        // After a crash there may be much without links.
        collection.maintain();
        Ok(collection)
    }

    /// Names of all collections, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<Name>, IndexError> {
        let folder = self.root.join(COLLECTIONS);
        let entries = fs::read_dir(&folder).map_err(IndexError::io("list", &folder))?;
        let mut names: Vec<Name> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Removes a collection with all that is in it. Whoever still holds it can search it, but change nothing.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn delete(&self, name: &Name) -> Result<(), IndexError> {
        let mut open = self.opened();
        let folder = self.folder(name);
        if !folder.is_dir() {
            return Err(IndexError::NotFound(name.clone()));
        }
        if let Some(collection) = open.remove(name) {
            // Else links that are being made could be written to a new collection of this name.
            collection.retire();
        }
        let trash = self.root.join(UNFINISHED);
        fs::create_dir_all(&trash).map_err(IndexError::io("create", &trash))?;
        let trash = trash.join(uuid::Uuid::now_v7().to_string());
        fs::rename(&folder, &trash).map_err(IndexError::io("rename", &folder))?;
        sync(&self.root.join(COLLECTIONS))?;
        drop(open);
        // It is gone; what is left of its files is removed at the next start at the latest.
        if let Err(error) = fs::remove_dir_all(&trash) {
            tracing::warn!(%error, "cannot remove the files of a deleted collection");
        }
        Ok(())
    }

    fn folder(&self, name: &Name) -> PathBuf {
        self.root.join(COLLECTIONS).join(name.as_str())
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<Name, Arc<Collection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder that is filled; removed when dropped, unless it has got another name by then.
struct Unfinished {
    folder: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It is removed at the next start at the latest.
                tracing::warn!(%error, "cannot remove the files of a collection that was not finished");
            }
            _ => {}
        }
    }
}

/// Takes the folder for this process. The lock is the operating system's: it ends with the process, however that ends.
fn lock(root: &Path) -> Result<File, IndexError> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(IndexError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IndexError::InUse(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(IndexError::io("lock", &path)(source)),
    }
}
