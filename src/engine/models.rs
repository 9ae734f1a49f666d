//! Models, loaded on first need and shared from then on.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{EngineError, ErrorKind};
use crate::config::ScorerConfig;
use crate::model::TokenScorer;
use crate::model::cached::CachedScorer;
use crate::model::local::{LocalScorer, ScorerOptions};
use crate::model::store::{ModelStore, Progress, StoreError};
use crate::telemetry::chain;
use crate::text::{self, TokenCounter};

/// What the engine scores with.
type Scorer = CachedScorer<LocalScorer>;

/// Name by which a caller counts in the scorer's own tokens.
const SCORER_TOKENIZER: &str = "scorer";

/// Whether the engine can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Models are loaded.
    Ready,
    /// Models load on first need.
    Idle,
    /// The last attempt to load a model failed; the next request tries again.
    Failed,
}

/// The models that this engine uses.
pub(super) struct Models {
    config: ScorerConfig,
    store: ModelStore,
    progress: Box<dyn Progress>,
    scorer: Mutex<State>,
    /// Whether a request may name a tokenizer file.
    files: bool,
}

enum State {
    Idle,
    Ready(Arc<Scorer>),
    Failed,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Models {
    pub(super) fn new(config: &ScorerConfig, progress: Box<dyn Progress>) -> Result<Self, EngineError> {
        let store = ModelStore::from_environment().map_err(|e| unavailable(&e))?;
        Ok(Self { config: config.clone(), store, progress, scorer: Mutex::new(State::Idle), files: false })
    }

    pub(super) fn allow_files(&mut self) {
        self.files = true;
    }

    /// The scorer, fetched and loaded if this is the first need. Others wait meanwhile.
    pub(super) fn scorer(&self) -> Result<Arc<Scorer>, EngineError> {
        let mut state = self.state();
        if let State::Ready(scorer) = &*state {
            return Ok(scorer.clone());
        }
        let loaded = self.load();
        *state = loaded.as_ref().map_or(State::Failed, |scorer| State::Ready(scorer.clone()));
        loaded
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.scorer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Result<Arc<Scorer>, EngineError> {
        let name = &self.config.model;
        let files = self.store.ensure(name, self.progress.as_ref()).map_err(|e| unavailable(&e))?;
        let path = files.single("gguf").ok_or_else(|| {
            EngineError::unavailable(format!("model `{name}` has no GGUF file, so it cannot score"))
        })?;
        let options = ScorerOptions {
            precision: self.config.precision,
            threads: self.config.threads,
            ..ScorerOptions::default()
        };
        let scorer = LocalScorer::load(name, path, &options)
            .map_err(|e| EngineError::unavailable(format!("cannot load {}: {e}", path.display())))?;
        // The store has verified that the file has the manifest's hash.
        let identity = format!("{} {:?}", files.identity(), self.config.precision);
        Ok(Arc::new(CachedScorer::new(scorer, &identity, self.config.cache_bytes)))
    }

    /// Never blocks: while a model is being loaded it is not there yet.
    pub(super) fn readiness(&self) -> Readiness {
        match self.scorer.try_lock().as_deref() {
            Ok(State::Ready(_)) => Readiness::Ready,
            Ok(State::Failed) => Readiness::Failed,
            Ok(State::Idle) | Err(_) => Readiness::Idle,
        }
    }

    /// The counter that a request names, or the one of the model that the prompt is for.
    pub(super) fn counter(
        &self,
        tokenizer: Option<&str>,
        model: Option<&str>,
    ) -> Result<Arc<dyn TokenCounter>, EngineError> {
        match (tokenizer, model) {
            (Some(SCORER_TOKENIZER), _) => Ok(Arc::new(ScorerCounter(self.scorer()?))),
            (Some(name), _) if !self.files && Path::new(name).extension().is_some() => {
                let message = "files are read for the command line alone: name an encoding, or `scorer`";
                Err(EngineError::invalid("tokenizer_file_refused", "tokenizer", message))
            }
            (Some(name), _) => text::for_name(name)
                .map_err(|e| EngineError::invalid("unknown_tokenizer", "tokenizer", e.to_string())),
            (None, Some(model)) => Ok(text::for_model(model)),
            (None, None) => Ok(text::for_model("gpt-4o")),
        }
    }
}

fn unavailable(error: &StoreError) -> EngineError {
    EngineError::unavailable(chain(error))
}

impl EngineError {
    /// A model or file that is needed cannot be had.
    fn unavailable(message: impl Into<String>) -> Self {
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
