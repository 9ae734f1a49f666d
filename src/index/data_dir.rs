//! The folder that all collections and banks are in. One process at a time has it.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generation::sync;
use super::{Collection, IndexError, Kind, Name, Settings};

/// Folders of collections that are being made or removed.
const UNFINISHED: &str = ".unfinished";

/// The data folder where no other is named: `indexes/data` below `working` where that has a folder `indexes`, as a
/// checkout has, else `whittle` in the platform's folder for data.
#[must_use]
pub fn default_data_dir(working: &Path, platform: Option<PathBuf>) -> PathBuf {
    let beside = working.join("indexes");
    match platform {
        Some(platform) if !beside.is_dir() => platform.join("whittle"),
        _ => beside.join("data"),
    }
}

/// All collections and banks of a machine's folder, opened on first need. No other process can open it meanwhile.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    open: Mutex<HashMap<(Kind, Name), Arc<Collection>>>,
    _lock: File,
}

impl DataDir {
    /// Takes the folder, making it on first need.
    ///
    /// # Errors
    /// Another process has it, or it cannot be written.
    pub fn open(root: &Path) -> Result<Self, IndexError> {
        fs::create_dir_all(root).map_err(IndexError::io("create", root))?;
        let path = root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(IndexError::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IndexError::InUse(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(IndexError::io("lock", &path)(source)),
        }
        let unfinished = root.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(IndexError::io("remove", &unfinished))?;
        }
        for kind in [Kind::Collection, Kind::Bank] {
            let folder = root.join(kind.folder());
            fs::create_dir_all(&folder).map_err(IndexError::io("create", &folder))?;
        }
        sync(root)?;
        Ok(Self { root: root.to_owned(), open: Mutex::default(), _lock: file })
    }

    /// Makes a collection or bank. Once this returns it survives a crash.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    pub fn create(&self, name: &Name, settings: &Settings) -> Result<Arc<Collection>, IndexError> {
        self.install(name, settings, |folder| Collection::create(folder, settings))
    }

    /// Makes a copy of `source` as it is at this moment, while it serves on.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    pub fn copy(&self, source: &Collection, name: &Name) -> Result<Arc<Collection>, IndexError> {
        let settings = Settings { id: uuid::Uuid::now_v7().to_string(), ..source.settings().clone() };
        self.install(name, &settings, |folder| source.copy_store(folder, &settings))
    }

    /// Fills a folder that nobody sees, puts it on disk and gives it its name.
    fn install(
        &self,
        name: &Name,
        settings: &Settings,
        fill: impl FnOnce(&Path) -> Result<(), IndexError>,
    ) -> Result<Arc<Collection>, IndexError> {
        let folder = self.folder(settings.kind, name);
        let exists = || IndexError::Exists { kind: settings.kind, name: name.to_string() };
        if folder.exists() {
            return Err(exists());
        }
        let unfinished = self.root.join(UNFINISHED).join(&settings.id);
        fs::create_dir_all(&unfinished).map_err(IndexError::io("create", &unfinished))?;
        fill(&unfinished)?;
        sync(&unfinished)?;
        let mut open = self.opened();
        // Another request may have made it meanwhile.
        if folder.exists() {
            fs::remove_dir_all(&unfinished).map_err(IndexError::io("remove", &unfinished))?;
            return Err(exists());
        }
        fs::rename(&unfinished, &folder).map_err(IndexError::io("rename", &unfinished))?;
        sync(&self.root.join(settings.kind.folder()))?;
        let collection = Arc::new(Collection::open(name.clone(), &folder)?);
        open.insert((settings.kind, name.clone()), Arc::clone(&collection));
        Ok(collection)
    }

    /// The collection or bank called `name`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn get(&self, kind: Kind, name: &Name) -> Result<Arc<Collection>, IndexError> {
        let mut open = self.opened();
        if let Some(collection) = open.get(&(kind, name.clone())) {
            return Ok(Arc::clone(collection));
        }
        let folder = self.folder(kind, name);
        if !folder.is_dir() {
            return Err(IndexError::NotFound { kind, name: name.to_string() });
        }
        let collection = Arc::new(Collection::open(name.clone(), &folder)?);
        open.insert((kind, name.clone()), Arc::clone(&collection));
        drop(open);
        // After a crash there may be much without links.
        collection.maintain();
        Ok(collection)
    }

    /// Names of all collections or banks, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self, kind: Kind) -> Result<Vec<Name>, IndexError> {
        let folder = self.root.join(kind.folder());
        let entries = fs::read_dir(&folder).map_err(IndexError::io("list", &folder))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut names: Vec<Name> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Removes a collection or bank with all that is in it. What works on it at this moment may still end.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn delete(&self, kind: Kind, name: &Name) -> Result<(), IndexError> {
        let mut open = self.opened();
        let folder = self.folder(kind, name);
        if !folder.is_dir() {
            return Err(IndexError::NotFound { kind, name: name.to_string() });
        }
        open.remove(&(kind, name.clone()));
        let trash = self.root.join(UNFINISHED);
        fs::create_dir_all(&trash).map_err(IndexError::io("create", &trash))?;
        let trash = trash.join(uuid::Uuid::now_v7().to_string());
        fs::rename(&folder, &trash).map_err(IndexError::io("rename", &folder))?;
        sync(&self.root.join(kind.folder()))?;
        drop(open);
        // It is gone; what is left of its files is removed at the next start at the latest.
        if let Err(error) = fs::remove_dir_all(&trash) {
            tracing::warn!(%error, "cannot remove the files of a deleted collection");
        }
        Ok(())
    }

    fn folder(&self, kind: Kind, name: &Name) -> PathBuf {
        self.root.join(kind.folder()).join(name.as_str())
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<(Kind, Name), Arc<Collection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
