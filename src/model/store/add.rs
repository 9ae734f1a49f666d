//! Adding models that no manifest knows, and taking them away again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;
use tempfile::NamedTempFile;

use super::manifest::plain_name;
use super::{Manifest, Model, ModelStore, Progress, Source, StoreError, fetch, hub, lock, own};

/// The ending of a decoder's file.
const GGUF: &str = ".gguf";

/// The origin of a model that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A GGUF file of this machine, or a folder with an encoder's files.
    Path(PathBuf),
    /// A repository of the model hub: `hf:OWNER/NAME`, with `@REVISION` and `:FILE` where they are needed.
    Hub {
        /// `owner/name`.
        repository: String,
        /// The branch, tag or commit.
        revision: String,
        /// The file, where the repository has several models.
        file: Option<String>,
    },
    /// An address of a GGUF file, from where the settings allow it: see [`Sources::urls`](super::Sources::urls).
    Url(String),
    /// A model that Ollama has fetched: `ollama:NAME`, with `:TAG` where it is not `latest`.
    Ollama {
        /// The name, with its owner where it has one.
        name: String,
        /// The tag.
        tag: String,
    },
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = |path: &str| !path.is_empty() && path.split('/').all(plain_name);
        if let Some(rest) = text.strip_prefix("hf:") {
            let (rest, file) = rest.split_once(':').map_or((rest, None), |(rest, file)| (rest, Some(file)));
            let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
            let is_whole = repository.split('/').count() == 2 && is_path(repository) && plain_name(revision);
            if !is_whole || file.is_some_and(|file| !plain_name(file)) {
                return Err("write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME:FILE.gguf".into());
            }
            let [repository, revision] = [repository, revision].map(str::to_owned);
            return Ok(Self::Hub { repository, revision, file: file.map(str::to_owned) });
        }
        if let Some(rest) = text.strip_prefix("ollama:") {
            let (name, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
            if !is_path(name) || !plain_name(tag) {
                return Err("write ollama:NAME or ollama:NAME:TAG".into());
            }
            return Ok(Self::Ollama { name: name.to_owned(), tag: tag.to_owned() });
        }
        if text.contains("://") {
            let is_web = text.starts_with("https://") || text.starts_with("http://");
            if !is_web || !text.ends_with(GGUF) || text.contains(['?', '#']) {
                return Err(format!("an address begins with https:// and ends in {GGUF}"));
            }
            return Ok(Self::Url(text.to_owned()));
        }
        Ok(Self::Path(text.into()))
    }
}

impl Origin {
    /// The name that the model gets where none is asked for.
    fn name(&self) -> String {
        match self {
            Self::Path(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                let last = if path.is_dir() { whole.file_name() } else { whole.file_stem() };
                own::plain(&last.unwrap_or_default().to_string_lossy())
            }
            Self::Hub { file: Some(file), .. } => own::plain(file.trim_end_matches(GGUF)),
            Self::Url(url) => own::plain(url.rsplit('/').next().unwrap_or(url).trim_end_matches(GGUF)),
            Self::Hub { repository, .. } => own::plain(repository.rsplit('/').next().unwrap_or(repository)),
            Self::Ollama { name, tag } => own::plain(&format!("{name}-{tag}")),
        }
    }
}

impl ModelStore {
    /// Adds the model of `origin` to the user's manifest, as `name` where one is given. `found` hears what it is before its
    /// files are fetched or copied. Returns it once its files are in the cache and verified.
    ///
    /// # Errors
    /// It cannot be had, is no model that this build can use, or its name is taken.
    pub fn add(
        &self,
        origin: &Origin,
        name: Option<&str>,
        found: &dyn Fn(&Model),
        progress: &dyn Progress,
    ) -> Result<Model, StoreError> {
        let name = name.map_or_else(|| origin.name(), str::to_owned);
        if !plain_name(&name) || self.manifest.models.iter().any(|model| model.name == name) {
            return Err(StoreError::NameTaken { name });
        }
        // What is downloaded to see what it is goes away behind its second name in the cache.
        let downloaded;
        let (model, paths) = match origin {
            Origin::Path(path) => own::inspect(path, name)?,
            Origin::Ollama { name: model, tag } => {
                own::inspect(&ollama_blob(&self.sources.ollama, model, tag)?, name)?
            }
            Origin::Hub { repository, revision, file } => {
                if self.sources.offline {
                    return Err(StoreError::Offline { model: repository.clone() });
                }
                let model = hub::model(&self.sources, repository, revision, file.as_deref())?;
                (Model { name, ..model }, Vec::new())
            }
            Origin::Url(url) => {
                downloaded = self.download(url, &name, progress)?;
                let (model, paths) = own::inspect(downloaded.path(), name)?;
                (Model { sources: vec![Source::Url { url: url.clone() }], ..model }, paths)
            }
        };
        found(&model);
        let folder = self.model_folder(&model);
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        {
            let _lock = lock(&folder)?;
            for (file, path) in model.files.iter().zip(&paths) {
                link_or_copy(path, &folder, file, progress)?;
            }
        }
        let manifest = Manifest { models: vec![model.clone()] };
        Self::new(&self.cache, manifest, self.sources.clone()).ensure(&model.name, progress)?;
        self.change_own(|models| models.push(model.clone()))?;
        Ok(model)
    }

    /// Downloads the file at `url` into the folder of the model `name`.
    fn download(&self, url: &str, name: &str, progress: &dyn Progress) -> Result<NamedTempFile, StoreError> {
        if self.sources.offline {
            return Err(StoreError::Offline { model: url.to_owned() });
        }
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(|e| StoreError::io("create", &folder, e))?;
        let file = self.sources.download(url, (&folder, GGUF), progress);
        if file.is_err() {
            // Only an empty folder can be removed so, and nothing is lost if it stays.
            fs::remove_dir(&folder).ok();
        }
        file
    }

    /// Takes a model that was added away, with its files in the cache.
    ///
    /// # Errors
    /// No model of this name was added, or its files cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let own = Manifest::read_if_there(&Manifest::of_user(&self.cache))?;
        if own.model(name).is_err() {
            return Err(StoreError::NotAdded { name: name.to_owned() });
        }
        self.change_own(|models| models.retain(|model| model.name != name))?;
        let folder = self.folder.join(name);
        fs::remove_dir_all(&folder).map_err(|e| StoreError::io("remove", &folder, e))
    }

    /// Changes the user's manifest: a file beside the models in the cache.
    fn change_own(&self, change: impl FnOnce(&mut Vec<Model>)) -> Result<(), StoreError> {
        fs::create_dir_all(&self.folder).map_err(|e| StoreError::io("create", &self.folder, e))?;
        let _lock = lock(&self.folder)?;
        let path = Manifest::of_user(&self.cache);
        let mut manifest = Manifest::read_if_there(&path)?;
        change(&mut manifest.models);
        manifest.write(&path)
    }
}

/// Puts the file at `path` into `folder`: as a second name of the same file where the disk allows that, for models are large.
fn link_or_copy(
    path: &Path,
    folder: &Path,
    file: &super::ModelFile,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let path = path.canonicalize().map_err(|e| StoreError::io("read", path, e))?;
    let target = folder.join(&file.name);
    if let Some(inside) = target.parent() {
        fs::create_dir_all(inside).map_err(|e| StoreError::io("create", inside, e))?;
    }
    if fs::hard_link(&path, &target).is_ok() {
        return Ok(());
    }
    let mut source = File::open(&path).map_err(|e| StoreError::io("read", &path, e))?;
    fetch::install(&mut source, file, folder, progress)
}

/// The file of a model that Ollama has: its manifest names the layers of a model by their hashes.
fn ollama_blob(root: &Path, name: &str, tag: &str) -> Result<PathBuf, StoreError> {
    let owned = if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
    let path = root.join("manifests/registry.ollama.ai").join(owned).join(tag);
    let refused = |reason: &str| StoreError::NoModel { path: path.clone(), reason: reason.to_owned() };
    let text = fs::read_to_string(&path).map_err(|e| StoreError::io("read Ollama's manifest", &path, e))?;
    let manifest: Value = serde_json::from_str(&text).map_err(|error| refused(&error.to_string()))?;
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_model = |layer: &&Value| layer["mediaType"] == "application/vnd.ollama.image.model";
    let digest = layers.iter().find(is_model).and_then(|layer| layer["digest"].as_str());
    let digest = digest.and_then(|digest| digest.strip_prefix("sha256:")).filter(|hex| plain_name(hex));
    Ok(root.join("blobs").join(format!("sha256-{}", digest.ok_or_else(|| refused("it names no model"))?)))
}
