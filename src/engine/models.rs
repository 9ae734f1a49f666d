//! Models, loaded on first need and shared from then on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::model_source::{MODEL_LOADING, ModelSource, unavailable};
use super::tokenizer_files::TokenizerFiles;
use super::{EngineError, ErrorKind};
use crate::config::{ClassifierConfig, Config, EmbedderConfig, ScorerConfig};
use crate::model::cached::{CacheStatistics, CachedEmbedder, CachedScorer, Keep, ScoreFile};
use crate::model::local::{
    ClassifierError, EmbedderError, EmbedderOptions, EncoderFiles, LocalClassifier, LocalEmbedder,
    LocalScorer, SCORER_REVISION, ScorerOptions,
};
use crate::model::store::{ModelFiles, ModelStore, Progress};
use crate::model::{Device, Precision, TokenScorer};
use crate::text::{self, TokenCounter};

/// The scorer of the engine.
pub(super) type Scorer = CachedScorer<LocalScorer>;

/// The embedder of the engine.
pub(super) type Embedder = CachedEmbedder<LocalEmbedder>;

/// File of the data folder that scores are kept in.
const SCORES: &str = "scores.redb";

/// Name by which a caller counts in the scorer's own tokens.
const SCORER_TOKENIZER: &str = "scorer";

/// The readiness of the engine to serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Models are loaded.
    Ready,
    /// Models load on first need.
    Idle,
    /// The last attempt to load a model failed; the next request tries again.
    Failed,
}

/// The counters of all caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caches {
    /// Likelihoods of tokens.
    pub scores: CacheStatistics,
    /// Keys and values of documents that questions were scored after.
    pub keys_values: CacheStatistics,
    /// Vectors of texts.
    pub vectors: CacheStatistics,
}

/// The models that this engine uses.
pub(super) struct Models {
    files: ModelSource,
    scorer: Slot<Scorer>,
    scorer_config: ScorerConfig,
    /// Name of a file that is made on first need.
    scores: PathBuf,
    embedder: Slot<Embedder>,
    embedder_config: EmbedderConfig,
    classifier: Slot<LocalClassifier>,
    classifier_config: ClassifierConfig,
    tokenizer_files: TokenizerFiles,
    /// Whether a request may name files of this machine.
    local_files: bool,
}

/// A model, loaded on first need.
pub(super) struct Slot<M>(Mutex<State<M>>);

enum State<M> {
    Idle,
    Ready(Arc<M>),
    Failed,
}

impl<M> Slot<M> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Idle))
    }

    /// The model, loaded if this is the first need or the last attempt failed. Others wait meanwhile.
    pub(super) fn get(&self, load: impl FnOnce() -> Result<M, EngineError>) -> Result<Arc<M>, EngineError> {
        let mut state = self.state();
        if let State::Ready(model) = &*state {
            return Ok(model.clone());
        }
        let loaded = load().map(Arc::new);
        *state = match &loaded {
            Ok(model) => State::Ready(Arc::clone(model)),
            Err(error) if error.code == MODEL_LOADING => State::Idle,
            Err(_) => State::Failed,
        };
        loaded
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks.
    fn loaded(&self) -> Option<Arc<M>> {
        match self.0.try_lock().as_deref() {
            Ok(State::Ready(model)) => Some(Arc::clone(model)),
            Ok(State::Idle | State::Failed) | Err(_) => None,
        }
    }

    /// Never blocks: while a model is being loaded it is not there yet.
    fn readiness(&self) -> Readiness {
        match self.0.try_lock().as_deref() {
            Ok(State::Ready(_)) => Readiness::Ready,
            Ok(State::Failed) => Readiness::Failed,
            Ok(State::Idle) | Err(_) => Readiness::Idle,
        }
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models")
            .field("scorer", &self.scorer_config)
            .field("embedder", &self.embedder_config)
            .field("classifier", &self.classifier_config)
            .finish_non_exhaustive()
    }
}

impl Models {
    pub(super) fn new(
        config: &Config,
        data: &Path,
        progress: Box<dyn Progress>,
    ) -> Result<Self, EngineError> {
        let store = ModelStore::from_environment().map_err(|e| unavailable(&e))?;
        Ok(Self {
            files: ModelSource::new(store, progress),
            scorer: Slot::new(),
            scorer_config: config.scorer.clone(),
            scores: data.join(SCORES),
            embedder: Slot::new(),
            embedder_config: config.embedder.clone(),
            classifier: Slot::new(),
            classifier_config: config.classifier.clone(),
            tokenizer_files: TokenizerFiles::default(),
            local_files: false,
        })
    }

    /// Keeps scores in another folder.
    pub(super) fn keep_in(&mut self, data: &Path) {
        self.scores = data.join(SCORES);
    }

    /// Makes downloads run in the background: no caller waits for one from now on.
    pub(super) fn fetch_in_background(&mut self) {
        self.files.fetch_in_background();
    }

    pub(super) fn allow_files(&mut self) {
        self.local_files = true;
    }

    pub(super) fn allows_files(&self) -> bool {
        self.local_files
    }

    /// The scorer, fetched and loaded if this is the first need.
    pub(super) fn scorer(&self) -> Result<Arc<Scorer>, EngineError> {
        self.scorer.get(|| {
            let config = &self.scorer_config;
            let file = ScoreFile::new(self.scores.clone(), config.disk_cache_bytes);
            let keep = if config.disk_cache { Keep::All } else { Keep::Asked };
            Ok(load_scorer(config, &self.files)?.with_file(Arc::new(file), keep))
        })
    }

    /// A scorer of the caller's own that remembers nothing, and its precision: that of the configuration unless
    /// another is named.
    pub(super) fn fresh_scorer(
        &self,
        precision: Option<Precision>,
    ) -> Result<(LocalScorer, Precision), EngineError> {
        let precision = precision.unwrap_or(self.scorer_config.precision);
        let config = ScorerConfig { precision, kv_cache_bytes: 0, ..self.scorer_config.clone() };
        Ok((run_scorer(&config, &self.files.ensure(&config.model)?)?, precision))
    }

    /// The embedder, fetched and loaded if this is the first need.
    pub(super) fn embedder(&self) -> Result<Arc<Embedder>, EngineError> {
        self.embedder.get(|| load_embedder(&self.embedder_config, &self.files))
    }

    /// An embedder of the caller's own that remembers nothing.
    pub(super) fn fresh_embedder(&self) -> Result<LocalEmbedder, EngineError> {
        let config = &self.embedder_config;
        run_embedder(config, &self.files.ensure(&config.model)?)
    }

    /// The token classifier, loaded if this is the first need.
    pub(super) fn classifier(&self) -> Result<Arc<LocalClassifier>, EngineError> {
        self.classifier.get(|| load_classifier(&self.classifier_config, &self.files))
    }

    /// Returns the counters of the caches of scores and of vectors, for the models that are loaded.
    pub(super) fn caches(&self) -> Caches {
        let scorer = self.scorer.loaded();
        let of = |statistics: fn(&Scorer) -> CacheStatistics| {
            scorer.as_deref().map(statistics).unwrap_or_default()
        };
        Caches {
            scores: of(Scorer::statistics),
            keys_values: of(|scorer| scorer.uncached().kv_statistics()),
            vectors: self.embedder.loaded().map_or_else(CacheStatistics::default, |model| model.statistics()),
        }
    }

    /// Failed where any model's last load failed, else ready where any is; never blocks.
    pub(super) fn readiness(&self) -> Readiness {
        let all = [self.scorer.readiness(), self.embedder.readiness(), self.classifier.readiness()];
        let first = |readiness| all.contains(&readiness).then_some(readiness);
        first(Readiness::Failed).or(first(Readiness::Ready)).unwrap_or(Readiness::Idle)
    }

    /// The counter that a request names, or the one of the model that the prompt is for.
    pub(super) fn counter(
        &self,
        tokenizer: Option<&str>,
        model: Option<&str>,
    ) -> Result<Arc<dyn TokenCounter>, EngineError> {
        match (tokenizer, model) {
            (Some(SCORER_TOKENIZER), _) => Ok(Arc::new(ScorerCounter(self.scorer()?))),
            (Some(name), _) if !self.local_files && Path::new(name).extension().is_some() => {
                let message = "files are read for the command line alone: name an encoding, or `scorer`";
                Err(EngineError::invalid("tokenizer_file_refused", "tokenizer", message))
            }
            (Some(name), _) => {
                let is_path = TokenizerFiles::is_path(name);
                let counter = if is_path { self.tokenizer_files.get(name) } else { text::for_name(name) };
                counter.map_err(|e| EngineError::invalid("unknown_tokenizer", "tokenizer", e.to_string()))
            }
            (None, Some(model)) => Ok(text::for_model(model)),
            (None, None) => Ok(text::for_model("gpt-4o")),
        }
    }
}

fn load_scorer(config: &ScorerConfig, source: &ModelSource) -> Result<Scorer, EngineError> {
    let files = source.ensure(&config.model)?;
    let scorer = run_scorer(config, &files)?;
    // The store has verified that the file has the manifest's hash.
    let identity = scorer_identity(&files.identity(), config.precision, config.device);
    Ok(CachedScorer::new(scorer, &identity, config.cache_bytes))
}

/// Names all that scores depend on besides the tokens. Files of scores are kept by it, so that it must not change as long
/// as the scores do not; least of all because something is called differently here.
fn scorer_identity(files: &str, precision: Precision, device: Device) -> String {
    let precision = match precision {
        Precision::F32 => "F32",
        Precision::Int8 => "Int8",
    };
    let device = match device {
        Device::Cpu => "Cpu",
        Device::Cuda => "Cuda",
        Device::Metal => "Metal",
    };
    format!("{files} {precision} {device} {SCORER_REVISION}")
}

fn run_scorer(config: &ScorerConfig, files: &ModelFiles) -> Result<LocalScorer, EngineError> {
    let name = &config.model;
    let path = files.single("gguf").ok_or_else(|| {
        EngineError::unavailable(format!("model `{name}` has no GGUF file, so it cannot score"))
    })?;
    let options = ScorerOptions {
        precision: config.precision,
        device: config.device,
        threads: config.threads,
        kv_cache_bytes: config.kv_cache_bytes,
        ..ScorerOptions::default()
    };
    LocalScorer::load(name, path, &options)
        .map_err(|e| EngineError::unavailable(format!("cannot load {}: {e}", path.display())))
}

fn load_embedder(config: &EmbedderConfig, source: &ModelSource) -> Result<Embedder, EngineError> {
    let files = source.ensure(&config.model)?;
    Ok(CachedEmbedder::new(run_embedder(config, &files)?, &files.identity(), config.cache_bytes))
}

fn run_embedder(config: &EmbedderConfig, files: &ModelFiles) -> Result<LocalEmbedder, EngineError> {
    let name = &config.model;
    let options = EmbedderOptions { threads: config.threads, ..EmbedderOptions::default() };
    let loaded = match files.single("bin") {
        Some(packed) => LocalEmbedder::load_packed(name, packed, &options),
        None => EncoderFiles::of(files)
            .map_err(EmbedderError::from)
            .and_then(|parts| LocalEmbedder::load(name, parts, &options)),
    };
    loaded.map_err(|e| EngineError::unavailable(format!("cannot load model `{name}`: {e}")))
}

fn load_classifier(config: &ClassifierConfig, source: &ModelSource) -> Result<LocalClassifier, EngineError> {
    let name = &config.model;
    let files = source.ensure(name)?;
    EncoderFiles::of(&files)
        .map_err(ClassifierError::from)
        .and_then(|parts| LocalClassifier::load(name, parts, config.device))
        .map_err(|e| EngineError::unavailable(format!("cannot load model `{name}`: {e}")))
}

impl EngineError {
    /// A model or file that is needed cannot be had.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unavailable, code: "model_unavailable", param: None, message: message.into() }
    }
}

/// Counts in the tokens of the model that scores.
struct ScorerCounter(Arc<Scorer>);

impl TokenCounter for ScorerCounter {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn count(&self, text: &str) -> usize {
        self.0.encode(text).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_were_kept_by_an_earlier_version_are_found() {
        let identity = |precision, device| scorer_identity("b179c952", precision, device);
        assert_eq!(identity(Precision::Int8, Device::Cpu), format!("b179c952 Int8 Cpu {SCORER_REVISION}"));
        assert_eq!(identity(Precision::F32, Device::Cuda), format!("b179c952 F32 Cuda {SCORER_REVISION}"));
        assert_eq!(identity(Precision::F32, Device::Metal), format!("b179c952 F32 Metal {SCORER_REVISION}"));
    }
}
