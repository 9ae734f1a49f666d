//! Model files: a manifest of what exists, a cache of what was fetched, and proof that they are the same.
//!
//! A file enters the cache under its final name only complete, flushed and with the right hash; everything
//! before that is a temporary file beside it. One lock file a model keeps processes that start together from
//! fetching twice. A stamp beside each file (`name.ok`) records the size, time and hash of the last
//! verification, so that a start need not hash a file that has not changed since.

mod add;
mod fetch;
mod hub;
mod manifest;
mod own;
mod speed;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use add::Origin;
pub use fetch::{Silent, Sources, fetch_file};
pub use manifest::{Manifest, Model, ModelFile, Role, Source};
use sha2::{Digest, Sha256};
pub use speed::MeasuredSpeed;

use crate::environment::Env;
use crate::model::is_path;

/// Told of long downloads.
pub trait Progress: Send + Sync {
    /// A download of `total` bytes begins; 0 where the size is not known.
    fn begin(&self, what: &str, total: u64);
    /// Reports that so many more bytes have arrived.
    fn advance(&self, bytes: u64);
    /// The download is over, well or not.
    fn end(&self);
}

/// Reports nothing.
impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// An error of fetching or opening a model's files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The manifest has no such model.
    #[error(
        "unknown model `{name}`: known are {known}; give the path of a file, or add it: `whittle models add`"
    )]
    UnknownModel {
        /// The requested name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// No model of this name was added.
    #[error("no model `{name}` was added; `whittle models list` shows those that were")]
    NotAdded {
        /// The requested name.
        name: String,
    },
    /// What is to be added has a name that is taken, or that no model can have.
    #[error(
        "a model cannot be added as `{name}`: the name is taken, or has other characters than letters, digits, `.`, `-` and `_`; choose another with `--name`"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// An adapter has a name that no file can have.
    #[error(
        "`{name}` is not a valid name of an adapter: use letters, digits, `.`, `-` and `_`, or give the path of a file"
    )]
    AdapterName {
        /// The name.
        name: String,
    },
    /// The settings do not allow models from an address.
    #[error(
        "models are not fetched from {url}: set WHITTLE_MODEL_URLS to the beginnings of addresses that they may come from, separated by spaces"
    )]
    NotAllowed {
        /// The address.
        url: String,
    },
    /// What is there is no model that this build can use.
    #[error("{} is no model that can be used: {reason}", path.display())]
    NoModel {
        /// The path or repository.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A manifest is invalid.
    #[error("{file}: {reason}")]
    Manifest {
        /// The manifest.
        file: String,
        /// The description of the fault.
        reason: String,
    },
    /// A file or folder cannot be used.
    #[error("cannot {action} {}{}", path.display(), remedy(source))]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The path that it failed on.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The source sent a file that differs from the one in the manifest.
    #[error(
        "{file}: {what}; it was not kept, run the command again or import the right file with `whittle models import`"
    )]
    WrongContent {
        /// Name of the file.
        file: String,
        /// The difference.
        what: String,
    },
    /// One source failed.
    #[error("{0}")]
    Source(String),
    /// No source could give the file.
    #[error(
        "cannot fetch model `{model}`:{}\nremedy: check the network or the package client's settings, or import the file by hand: whittle models import PATH",
        listed(failures)
    )]
    AllSourcesFailed {
        /// The model.
        model: String,
        /// One line a source.
        failures: Vec<String>,
    },
    /// Fetching is switched off.
    #[error(
        "model `{model}` is not in the cache and WHITTLE_OFFLINE is set; unset it, or import the file: whittle models import PATH"
    )]
    Offline {
        /// The model.
        model: String,
    },
    /// The manifest does not know what the model's files hash to, so they are not fetched.
    #[error(
        "model `{model}` is missing and cannot be downloaded, because the manifest has no hashes of {}: download them{from}, check them, and import each with `whittle models import PATH --model {model}`",
        files.join(", ")
    )]
    Unverified {
        /// The model.
        model: String,
        /// The files that are missing.
        files: Vec<String>,
        /// The sources that have the files.
        from: String,
    },
    /// The platform names no cache folder.
    #[error("no folder for the model cache: set WHITTLE_CACHE")]
    NoCacheFolder,
}

impl StoreError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// Returns what the caller can do, in brackets; the error's own text follows as its cause.
fn remedy(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or set WHITTLE_CACHE to a folder on a larger disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "set WHITTLE_CACHE to a folder that you may write"
        }
        _ => return String::new(),
    };
    format!(" ({remedy})")
}

fn listed(failures: &[String]) -> String {
    failures.iter().fold(String::new(), |list, failure| list + "\n  - " + failure)
}

/// Verified files of a model.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    paths: Vec<PathBuf>,
    hashes: Vec<String>,
}

impl ModelFiles {
    /// The one file with this extension.
    #[must_use]
    pub fn single(&self, extension: &str) -> Option<&Path> {
        let mut found = self.paths.iter().filter(|path| path.extension().is_some_and(|e| e == extension));
        found.next().filter(|_| found.next().is_none()).map(PathBuf::as_path)
    }

    /// The hashes of all files: equal for equal models.
    #[must_use]
    pub fn identity(&self) -> String {
        self.hashes.join(" ")
    }

    /// The file called `name`, behind its folder within the model's where it is in one.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Path> {
        // A file of the same name in a folder has a longer path.
        let named = self.paths.iter().filter(|path| path.ends_with(name));
        named.min_by_key(|path| path.components().count()).map(PathBuf::as_path)
    }
}

/// State of a model's files in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All files are there with the right hash.
    Verified,
    /// A file is not there.
    Missing,
    /// A file is there but is not the one that the manifest describes.
    Corrupt,
}

/// The cache of model files.
#[derive(Debug)]
pub struct ModelStore {
    cache: PathBuf,
    /// The folder of models in the cache.
    folder: PathBuf,
    manifest: Manifest,
    sources: Sources,
}

impl ModelStore {
    /// The store that `env` describes: `WHITTLE_CACHE` (else the platform's cache folder), `WHITTLE_MODELS`, and what
    /// [`Sources::from_environment`] reads.
    ///
    /// # Errors
    /// The manifest is invalid, or there is no folder for a cache.
    pub fn from_environment(env: &dyn Env) -> Result<Self, StoreError> {
        let cache =
            env.path("WHITTLE_CACHE").or_else(|| dirs::cache_dir().map(|folder| folder.join("whittle")));
        let cache = cache.ok_or(StoreError::NoCacheFolder)?;
        let manifest = Manifest::load(&cache, env.path("WHITTLE_MODELS").as_deref())?;
        Ok(Self::new(&cache, manifest, Sources::from_environment(env)))
    }

    /// A store in the folder `cache`, which is made on first need.
    #[must_use]
    pub fn new(cache: &Path, mut manifest: Manifest, sources: Sources) -> Self {
        let folder = cache.join("models");
        for model in &mut manifest.models {
            let own = folder.join(&model.name);
            let known: Vec<ModelFile> =
                model.unverified.iter().filter_map(|name| recorded(&own, name)).collect();
            model.unverified.retain(|name| known.iter().all(|file| file.name != *name));
            model.files.extend(known);
        }
        Self { cache: cache.to_owned(), folder, manifest, sources }
    }

    /// The models that can be asked for.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Verified files of the model called `name`, fetched if they are not there; or the files at the path `name` as they
    /// are ([`is_path`]).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn ensure(&self, name: &str, progress: &dyn Progress) -> Result<ModelFiles, StoreError> {
        if is_path(name) {
            return own::files(Path::new(name), &self.folder.join(".paths"));
        }
        let model = self.manifest.model(name)?;
        if self.state(model)? == State::Verified {
            return Ok(self.files(model));
        }
        if !model.unverified.is_empty() {
            let hub = model.sources.iter().find_map(|source| match source {
                Source::Hub { repository, revision } => Some((repository, revision)),
                Source::Wheel { .. } | Source::Url { .. } => None,
            });
            let from =
                hub.map(|(name, revision)| format!(" from `{name}` on the hub (revision `{revision}`)"));
            let (model, files) = (model.name.clone(), model.unverified.clone());
            return Err(StoreError::Unverified { model, files, from: from.unwrap_or_default() });
        }
        let folder = self.model_folder(model);
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let _lock = lock(&folder)?;
        // Another process may have fetched it while this one waited for the lock.
        let missing: Vec<&ModelFile> = self.select(model, |state| state != State::Verified)?;
        if !missing.is_empty() {
            remove_leftovers(&folder)?;
            self.set_corrupt_aside(model)?;
            self.sources.fetch(model, &missing, &folder, progress)?;
        }
        for file in missing {
            if check(&folder.join(&file.name), file)? != State::Verified {
                let what = "the file changed after it was fetched".to_owned();
                return Err(StoreError::WrongContent { file: file.name.clone(), what });
            }
        }
        Ok(self.files(model))
    }

    /// Returns the path of the adapter called `name`, or `name` itself where it is a path ([`is_path`]) or ends in
    /// `.safetensors`. Adapters lie in the folder `adapters` of the cache.
    ///
    /// # Errors
    /// The name is neither a path nor one that a file can have.
    pub fn adapter(&self, name: &str) -> Result<PathBuf, StoreError> {
        if is_path(name) || Path::new(name).extension().is_some_and(|end| end == "safetensors") {
            return Ok(name.into());
        }
        if !manifest::plain_name(name) {
            return Err(StoreError::AdapterName { name: name.to_owned() });
        }
        Ok(self.cache.join("adapters").join(format!("{name}.safetensors")))
    }

    /// Copies a file into the cache under the model whose file it is, by its hash; gives the model's name.
    ///
    /// # Errors
    /// No model has a file with this hash, or the file cannot be copied.
    pub fn import(&self, path: &Path) -> Result<String, StoreError> {
        let hash = hash(path)?;
        let files =
            self.manifest.models.iter().flat_map(|model| model.files.iter().map(move |file| (model, file)));
        let Some((model, file)) = files.into_iter().find(|(_, file)| file.sha256 == hash) else {
            let what = format!(
                "its sha256 {hash} is not in the manifest; add the model to a manifest of your own and name it in WHITTLE_MODELS"
            );
            return Err(StoreError::WrongContent { file: path.display().to_string(), what });
        };
        let folder = self.model_folder(model);
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let _lock = lock(&folder)?;
        let mut source = File::open(path).map_err(|e| StoreError::io("read", path, e))?;
        fetch::install(&mut source, file, &folder, &fetch::Silent)?;
        Ok(model.name.clone())
    }

    /// Copies a file whose hash the manifest does not know into the cache, under its own name and that of `model`.
    /// Its hash is recorded: from now on the file is held to it.
    ///
    /// # Errors
    /// The model has no such file without a hash, or the file cannot be copied.
    pub fn import_unverified(&self, path: &Path, model: &str) -> Result<(), StoreError> {
        let model = self.manifest.model(model)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !model.unverified.contains(&name) {
            let what = format!(
                "model `{}` takes no file of this name without a known hash; it takes: {}",
                model.name,
                model.unverified.join(", ")
            );
            return Err(StoreError::WrongContent { file: path.display().to_string(), what });
        }
        let size = fs::metadata(path).map_err(|e| StoreError::io("read", path, e))?.len();
        let file = ModelFile { name, sha256: hash(path)?, size };
        let folder = self.model_folder(model);
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let _lock = lock(&folder)?;
        let mut source = File::open(path).map_err(|e| StoreError::io("read", path, e))?;
        fetch::install(&mut source, &file, &folder, &fetch::Silent)?;
        let record = record_path(&folder, &file.name);
        fs::write(&record, format!("{} {}", file.sha256, file.size))
            .map_err(|e| StoreError::io("write", &record, e))
    }

    /// Returns whether the files of `model` are present and correct. Hashes files that changed since the last time.
    ///
    /// # Errors
    /// A file is there but cannot be read.
    pub fn state(&self, model: &Model) -> Result<State, StoreError> {
        if !model.unverified.is_empty() {
            return Ok(State::Missing);
        }
        let folder = self.model_folder(model);
        let mut states = model.files.iter().map(|file| check(&folder.join(&file.name), file));
        states.try_fold(State::Verified, |all, state| {
            Ok(match (all, state?) {
                (State::Corrupt, _) | (_, State::Corrupt) => State::Corrupt,
                (State::Missing, _) | (_, State::Missing) => State::Missing,
                _ => State::Verified,
            })
        })
    }

    /// Returns the same as [`ModelStore::state`], but hashes every file even where a hash is on record.
    ///
    /// # Errors
    /// A file is there but cannot be read.
    pub fn verify(&self, model: &Model) -> Result<State, StoreError> {
        for file in &model.files {
            let path = self.model_folder(model).join(&file.name);
            if path.exists() && hash(&path)? != file.sha256 {
                return Ok(State::Corrupt);
            }
        }
        self.state(model)
    }

    fn select<'m>(
        &self,
        model: &'m Model,
        wanted: impl Fn(State) -> bool,
    ) -> Result<Vec<&'m ModelFile>, StoreError> {
        let folder = self.model_folder(model);
        let mut selected = Vec::new();
        for file in &model.files {
            if wanted(check(&folder.join(&file.name), file)?) {
                selected.push(file);
            }
        }
        Ok(selected)
    }

    /// Renames corrupt files to `name.corrupt`, where a person can look at them.
    fn set_corrupt_aside(&self, model: &Model) -> Result<(), StoreError> {
        for file in self.select(model, |state| state == State::Corrupt)? {
            let path = self.model_folder(model).join(&file.name);
            let aside = with_suffix(&path, ".corrupt");
            tracing::warn!(
                "{} does not have the manifest's hash; moved to {}",
                path.display(),
                aside.display()
            );
            fs::rename(&path, &aside).map_err(|e| StoreError::io("rename", &path, e))?;
            remove_if_there(&stamp_path(&path))?;
        }
        Ok(())
    }

    fn files(&self, model: &Model) -> ModelFiles {
        let folder = self.model_folder(model);
        ModelFiles {
            paths: model.files.iter().map(|file| folder.join(&file.name)).collect(),
            hashes: model.files.iter().map(|file| file.sha256.clone()).collect(),
        }
    }

    fn model_folder(&self, model: &Model) -> PathBuf {
        self.folder.join(&model.name)
    }
}

/// Waits until no other process changes the model's folder. The lock ends with the value.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(|e| StoreError::io("create", &path, e))?;
    file.lock().map_err(|e| StoreError::io("lock", &path, e))?;
    Ok(file)
}

/// Removes temporary files of processes that ended early. Called under the lock.
fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(folder).map_err(|e| StoreError::io("list", folder, e))?;
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().ends_with(fetch::TEMPORARY) {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|e| StoreError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path, e)),
        _ => Ok(()),
    }
}

fn check(path: &Path, file: &ModelFile) -> Result<State, StoreError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(e) => return Err(StoreError::io("read", path, e)),
    };
    if metadata.len() != file.size {
        return Ok(State::Corrupt);
    }
    let stamp = format!("{} {}", file.sha256, size_and_time(&metadata));
    let stamped = stamp_path(path);
    if fs::read_to_string(&stamped).is_ok_and(|known| known == stamp) {
        return Ok(State::Verified);
    }
    if hash(path)? != file.sha256 {
        return Ok(State::Corrupt);
    }
    // Without its stamp a file is hashed again next time; no more is lost.
    fs::write(&stamped, stamp).ok();
    Ok(State::Verified)
}

/// Tells one content of a file from another without reading it: its bytes, and when it was changed.
fn size_and_time(metadata: &fs::Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", metadata.len(), modified.map_or(0, |time| time.as_nanos()))
}

/// Returns the path where the hash of an imported file is recorded that has none in the manifest.
fn record_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.imported"))
}

/// An imported file, as it was then.
fn recorded(folder: &Path, name: &str) -> Option<ModelFile> {
    let record = fs::read_to_string(record_path(folder, name)).ok()?;
    let (sha256, size) = record.split_once(' ')?;
    Some(ModelFile { name: name.to_owned(), sha256: sha256.to_owned(), size: size.parse().ok()? })
}

fn stamp_path(path: &Path) -> PathBuf {
    with_suffix(path, ".ok")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn hash(path: &Path) -> Result<String, StoreError> {
    let failed = |e| StoreError::io("read", path, e);
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(failed)?;
    io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(failed)?;
    Ok(hex(&hasher.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
