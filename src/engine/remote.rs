//! Models on other machines: who they are, with which key they are asked, and how they answered.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Engine, EngineError, ErrorKind};
use crate::config::{Config, EmbedderConfig, Env, RerankerConfig, ScorerConfig};
use crate::model::cached::{CachedEmbedder, CachedScorer};
use crate::model::local::GgufTokenizer;
use crate::model::remote::{
    RemoteEmbedder, RemoteEmbedderOptions, RemoteHealth, RemoteIdentity, RemoteOptions, RemoteReranker,
    RemoteRerankerOptions, RemoteScorer, RemoteScorerOptions, RemoteState,
};
use crate::model::store::ModelFiles;
use crate::model::{
    self, Cancel, Embedder as _, EmbedderKind, RemoteError, RerankerKind, ScorerKind, TokenScorer,
};
use crate::outbound::Secret;

/// The code of an error of a model on another machine.
pub(super) const REMOTE_FAILED: &str = "remote_model_failed";

/// The keys of models on other machines.
#[derive(Debug, Clone, Default)]
pub(super) struct RemoteKeys {
    scorer: Option<Secret>,
    embedder: Option<Secret>,
    reranker: Option<Secret>,
}

impl RemoteKeys {
    /// Reads the keys that `config` names from `env`.
    ///
    /// # Errors
    /// A variable is not set.
    pub(super) fn read(config: &Config, env: &dyn Env) -> Result<Self, EngineError> {
        let read = |role: &str, name: &Option<String>| {
            let Some(name) = name else { return Ok(None) };
            let set = env.get(name).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
            set.map(|key| Some(Secret::new(key))).ok_or_else(|| {
                EngineError::unavailable(format!(
                    "the {role} takes its key from the environment variable {name}, which is not set: set it, or leave \
                     out `{role}.api_key_env`"
                ))
            })
        };
        Ok(Self {
            scorer: read("scorer", &config.scorer.api_key_env)?,
            embedder: read("embedder", &config.embedder.api_key_env)?,
            reranker: read("reranker", &config.reranker.api_key_env)?,
        })
    }
}

/// The models of a configuration that run on other machines.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    keys: RemoteKeys,
    scorer: Arc<RemoteHealth>,
    embedder: Arc<RemoteHealth>,
    reranker: Arc<RemoteHealth>,
}

/// A model on another machine, as it is configured and as it last answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RemoteModel {
    /// The use of the model: `scorer`, `embedder` or `reranker`.
    pub role: &'static str,
    /// The form that its server is asked in.
    pub kind: &'static str,
    /// The name that the server has for it.
    pub model: String,
    /// The base URL of the server.
    pub url: String,
    /// The state: `ready`; `idle` where it was not asked yet, or failed some time ago; `failed` where it failed within the
    /// last ten seconds.
    pub state: &'static str,
    /// The local model that takes its place in rankings, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

impl RemoteModel {
    /// Returns whether requests fail because of it.
    #[must_use]
    pub fn fails_requests(&self) -> bool {
        self.state == "failed" && self.fallback.is_none()
    }

    /// Returns the models of `config` that run on other machines, as long as nobody has asked them.
    #[must_use]
    pub fn of(config: &Config) -> Vec<Self> {
        Remotes::default().models(&config.scorer, &config.embedder, &config.reranker)
    }
}

impl Remotes {
    pub(super) fn new(keys: RemoteKeys) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Describes the models that run on other machines.
    pub(super) fn models(
        &self,
        scorer: &ScorerConfig,
        embedder: &EmbedderConfig,
        reranker: &RerankerConfig,
    ) -> Vec<RemoteModel> {
        let of_scorer = (scorer.kind != ScorerKind::Local).then(|| RemoteModel {
            role: "scorer",
            kind: scorer.kind.name(),
            model: scorer.served().to_owned(),
            url: scorer.url.clone().unwrap_or_default(),
            state: state(&self.scorer),
            fallback: None,
        });
        let of_embedder = (embedder.kind != EmbedderKind::Local).then(|| RemoteModel {
            role: "embedder",
            kind: embedder.kind.name(),
            model: embedder.model.clone(),
            url: embedder.url.clone().unwrap_or_default(),
            state: state(&self.embedder),
            fallback: embedder.fallback.clone(),
        });
        let of_reranker = (reranker.kind != RerankerKind::Local).then(|| RemoteModel {
            role: "reranker",
            kind: reranker.kind.name(),
            model: reranker.model.clone().unwrap_or_default(),
            url: reranker.url.clone().unwrap_or_default(),
            state: state(&self.reranker),
            fallback: reranker.fallback.clone(),
        });
        of_scorer.into_iter().chain(of_embedder).chain(of_reranker).collect()
    }

    /// Creates the client of the reranker's server.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub(super) fn reranker(&self, config: &RerankerConfig) -> Result<RemoteReranker, EngineError> {
        let remote = RemoteOptions {
            url: config.url.clone().unwrap_or_default(),
            api_key: self.keys.reranker.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            retries: config.retries,
            concurrency: config.concurrency,
        };
        let options = RemoteRerankerOptions {
            remote,
            kind: config.kind,
            model: config.model.clone().unwrap_or_default(),
            batch: config.batch,
            max_tokens: config.max_tokens,
            most_tokens: config.most_tokens,
        };
        Ok(RemoteReranker::new(options, Arc::clone(&self.reranker))?)
    }

    /// Connects to the embedder's server.
    ///
    /// # Errors
    /// It cannot be asked, or could not a moment ago, or has another model.
    pub(super) fn embedder(&self, config: &EmbedderConfig) -> Result<RemoteEmbedder, EngineError> {
        if let Some(error) = self.embedder.recent_failure() {
            return Err(error.into());
        }
        let remote = RemoteOptions {
            url: config.url.clone().unwrap_or_default(),
            api_key: self.keys.embedder.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            retries: config.retries,
            concurrency: config.concurrency,
        };
        let options = RemoteEmbedderOptions {
            remote,
            kind: config.kind,
            model: config.model.clone(),
            dimensions: config.dimensions,
            batch: config.batch,
            max_tokens: config.max_tokens,
            query_prefix: config.query_prefix.clone(),
            text_prefix: config.text_prefix.clone(),
        };
        Ok(RemoteEmbedder::connect(options, Arc::clone(&self.embedder))?)
    }

    /// Connects to the scorer's server; `files` are those of the model here, which has the tokenizer.
    ///
    /// # Errors
    /// It cannot be asked, or could not a moment ago, or has no such model, or the tokenizer cannot be read.
    pub(super) fn scorer(
        &self,
        config: &ScorerConfig,
        files: &ModelFiles,
    ) -> Result<RemoteScorer, EngineError> {
        if let Some(error) = self.scorer.recent_failure() {
            return Err(error.into());
        }
        let name = &config.model;
        let path = files.single("gguf").ok_or_else(|| {
            EngineError::unavailable(format!("model `{name}` has no GGUF file, so it has no tokenizer"))
        })?;
        let tokenizer = GgufTokenizer::load(path).map_err(|error| {
            EngineError::unavailable(format!("cannot read the tokenizer of {}: {error}", path.display()))
        })?;
        let remote = RemoteOptions {
            url: config.url.clone().unwrap_or_default(),
            api_key: self.keys.scorer.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            retries: config.retries,
            concurrency: config.concurrency,
        };
        let options = RemoteScorerOptions {
            remote,
            kind: config.kind,
            model: name.clone(),
            served_model: config.served().to_owned(),
            tokenizer: Arc::new(tokenizer),
            batch: config.batch,
        };
        Ok(RemoteScorer::connect(options, Arc::clone(&self.scorer))?)
    }
}

/// Puts the cache of vectors in front of a remote embedder.
pub(super) fn cached_embedder(
    embedder: RemoteEmbedder,
    bytes: u64,
) -> CachedEmbedder<Arc<dyn model::Embedder>> {
    let identity = embedder.identity();
    let embedder: Arc<dyn model::Embedder> = Arc::new(embedder);
    match identity {
        RemoteIdentity::Files(identity) => CachedEmbedder::identified(embedder, identity, bytes),
        RemoteIdentity::Described(identity) => CachedEmbedder::new(embedder, &identity, bytes),
    }
}

/// Puts the cache of scores in memory in front of a remote scorer.
pub(super) fn cached_scorer(
    scorer: RemoteScorer,
    files: &ModelFiles,
    bytes: u64,
) -> CachedScorer<Arc<dyn TokenScorer>> {
    let identity = format!("{} {}", scorer.identity(), files.identity());
    let scorer: Arc<dyn TokenScorer> = Arc::new(scorer);
    CachedScorer::new(scorer, &identity, bytes)
}

fn state(health: &RemoteHealth) -> &'static str {
    match health.state() {
        RemoteState::Ready => "ready",
        RemoteState::Idle => "idle",
        RemoteState::Failed => "failed",
    }
}

impl Engine {
    /// Describes the models that run on other machines, and how they last answered.
    #[must_use]
    pub fn remote_models(&self) -> Vec<RemoteModel> {
        self.models.remotes()
    }

    /// Asks the server of each model that runs on another machine, and says in words what it has.
    #[must_use]
    pub fn ask_remote_models(&self) -> Vec<(RemoteModel, Result<String, EngineError>)> {
        let ask = |model: &RemoteModel| {
            Ok(match model.role {
                "scorer" => format!("answers; reads up to {} tokens", self.models.scorer()?.context()),
                "reranker" => {
                    if let Some(reranker) = self.models.reranker()? {
                        reranker.rerank("whittle", &["whittle"], &Cancel::never())?;
                    }
                    "answers".into()
                }
                _ => format!("answers; its vectors have {} values", self.models.embedder()?.dimensions()),
            })
        };
        self.models.remotes().into_iter().map(|model| (model.clone(), ask(&model))).collect()
    }
}

impl From<RemoteError> for EngineError {
    fn from(error: RemoteError) -> Self {
        let (kind, code) = match &error {
            RemoteError::Unsupported { .. } => (ErrorKind::Infeasible, "remote_model_unsupported"),
            _ => (ErrorKind::Unavailable, REMOTE_FAILED),
        };
        Self { kind, code, param: None, message: error.to_string() }
    }
}
