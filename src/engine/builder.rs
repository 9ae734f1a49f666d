//! Assembling an engine: from models of one's own, from those of a configuration, or from some of both.

use std::path::PathBuf;
use std::sync::Arc;

use super::collections::DataFolder;
use super::model_source::unavailable;
use super::models::{ConfiguredModels, GivenModels, Models};
use super::remote::RemoteKeys;
use super::{Engine, EngineError};
use crate::compress::CutMemory;
use crate::config::{self, Config, Env, Limits};
use crate::index::{IndexError, Postgres};
use crate::model::store::{ModelStore, Progress};
use crate::model::{Embedder, Pruner, Reranker, TokenClassifier, TokenGenerator, TokenScorer};
use crate::text::Protector;

/// Bytes for texts that are remembered in units: six of 128,000 tokens, or 5,000 passages.
const CUT_BYTES: u64 = 64 << 20;

/// Builds an [`Engine`]. Without anything, the engine does what needs neither a model nor a folder; whatever needs one
/// that is missing fails with an error that names it.
#[derive(Default)]
#[must_use]
pub struct EngineBuilder {
    limits: Limits,
    data: Option<PathBuf>,
    given: GivenModels,
    configured: Option<(Config, ModelStore, Box<dyn Progress>)>,
    keys: RemoteKeys,
    database: Option<Postgres>,
    local_files: bool,
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("limits", &self.limits)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Limits how large requests may be.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Keeps collections, banks of examples and scores in `folder`, which is made on first need.
    pub fn data_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self { data: Some(folder.into()), ..self }
    }

    /// Scores tokens by `scorer`.
    pub fn scorer(mut self, scorer: impl TokenScorer + 'static) -> Self {
        self.given.scorer = Some(Arc::new(scorer));
        self
    }

    /// Embeds texts by `embedder`.
    pub fn embedder(mut self, embedder: impl Embedder + 'static) -> Self {
        self.given.embedder = Some(Arc::new(embedder));
        self
    }

    /// Classifies tokens, as the method `llmlingua2` needs it, by `classifier`.
    pub fn classifier(mut self, classifier: impl TokenClassifier + 'static) -> Self {
        self.given.classifier = Some(Arc::new(classifier));
        self
    }

    /// Has `reranker` put in order anew what the embedder ranks highest.
    pub fn reranker(mut self, reranker: impl Reranker + 'static) -> Self {
        self.given.reranker = Some(Arc::new(reranker));
        self
    }

    /// Prunes contexts, as the method `prune` does, by `pruner`.
    pub fn pruner(mut self, pruner: impl Pruner + 'static) -> Self {
        self.given.pruner = Some(Arc::new(pruner));
        self
    }

    /// Writes answers by `generator`.
    pub fn generator(mut self, generator: impl TokenGenerator + 'static) -> Self {
        self.given.generator = Some(Arc::new(generator));
        self
    }

    /// Uses the models of `config` wherever none is given, and its limits. They are fetched into `store` and loaded on
    /// first need; `progress` is told of downloads. Models on other machines are asked without a key, for
    /// [`EngineBuilder::environment`] alone reads keys; and collections are local.
    pub fn configured(self, config: &Config, store: ModelStore, progress: Box<dyn Progress>) -> Self {
        Self { limits: config.limits, configured: Some((config.clone(), store, progress)), ..self }
    }

    /// Uses the models of `config` from the cache of models, and the data folder, that `env` names, and the database that
    /// `config` names for collections.
    ///
    /// # Errors
    /// The model manifest or the cache's place cannot be used, there is no folder for data, or a variable is not set that
    /// holds the key of a model on another machine.
    pub fn environment(
        self,
        config: &Config,
        env: &dyn Env,
        progress: Box<dyn Progress>,
    ) -> Result<Self, EngineError> {
        let store = ModelStore::from_environment(env).map_err(|error| unavailable(&error))?;
        let data = config::data_dir(env).map_err(|error| EngineError::no_data_folder(error.to_string()))?;
        let keys = RemoteKeys::read(config, env)?;
        let database = Postgres::new(&config.store, env).map_err(IndexError::from)?;
        Ok(Self { keys, database, ..self }.configured(config, store, progress).data_dir(data))
    }

    /// Lets requests name tokenizer files of this machine: for callers who may read its files anyway. A service must
    /// not, or any client could make it open files.
    pub fn local_files(self) -> Self {
        Self { local_files: true, ..self }
    }

    /// Returns the engine. No model is loaded and no folder opened before it is needed.
    #[must_use]
    pub fn build(self) -> Engine {
        let Self { limits, data, given, configured, keys, database, local_files } = self;
        let models = |(config, store, progress): (Config, _, _)| {
            ConfiguredModels::new((&config, keys), store, progress, data.as_deref())
        };
        let configured = configured.map(models);
        // Apart, so that no name of theirs meets one of a collection.
        let of_banks = data.as_ref().map(|data| data.join("banks"));
        let (collections, banks) = match database {
            None => (DataFolder::new(data), DataFolder::new(of_banks)),
            Some(database) => (
                DataFolder::in_database(data, database.clone(), database.collections()),
                DataFolder::in_database(of_banks, database.clone(), database.banks()),
            ),
        };
        Engine {
            limits,
            models: Models::new(given, configured, local_files),
            protector: Protector::default(),
            cuts: CutMemory::new(CUT_BYTES),
            banks,
            collections,
        }
    }
}

impl Engine {
    /// Returns a builder without models and without a folder for what lasts.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Returns the engine of `config` with the folders that `env` names. Models load on first need; `progress` is told
    /// of downloads.
    ///
    /// # Errors
    /// As [`EngineBuilder::environment`].
    pub fn new(config: &Config, env: &dyn Env, progress: Box<dyn Progress>) -> Result<Self, EngineError> {
        Ok(Self::builder().environment(config, env, progress)?.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::api::{CompressRequest, ScoreRequest};
    use crate::engine::collections::api::{CreateRequest, SearchRequest, SourceDocument, UpsertRequest};
    use crate::engine::{ErrorKind, fakes};
    use crate::model::{Cancel, Generation, GenerationEvent, Prompt, Sampling};

    #[test]
    fn what_an_engine_lacks_is_named() {
        let engine = Engine::builder().build();
        let context = Some("Some text. Some more.".into());
        let request = CompressRequest { context, rate: Some(0.5), ..CompressRequest::default() };
        let error = engine.compress(request, &Cancel::never()).unwrap_err();
        assert_eq!((error.kind, error.code), (ErrorKind::Unavailable, "model_unavailable"));
        assert!(error.message.contains("builder"), "{error}");
        let error = engine.collections().list().unwrap_err();
        assert_eq!((error.kind, error.code), (ErrorKind::Unavailable, "no_data_folder"));
    }

    #[test]
    fn an_engine_of_ones_own_models_does_everything() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::builder()
            .scorer(fakes::Lengths)
            .embedder(fakes::Letters)
            .generator(fakes::Parrot)
            .data_dir(folder.path())
            .build();
        let never = Cancel::never();
        let score = ScoreRequest { text: "a bb".into(), prefix: Some("c ".into()) };
        assert_eq!(engine.score(&score, &never).unwrap().nll, [Some(2.0), Some(2.0)]);
        assert_eq!(engine.score_whole(&score, &never).unwrap().nll, [Some(2.0), Some(2.0)]);
        let text = "The red house stands by the old sea wall. ".repeat(20);
        let request = CompressRequest { context: Some(text), rate: Some(0.5), ..CompressRequest::default() };
        let response = engine.compress(request, &never).unwrap();
        assert!(response.usage.compressed_tokens <= response.usage.requested_tokens);
        assert!(response.usage.compressed_tokens > 0);

        assert!(engine.collections().create("sea", CreateRequest::default()).unwrap().1);
        let texts = ["the old sea wall", "bread and butter"].map(|text| SourceDocument {
            id: Some(text[..3].into()),
            text: text.into(),
            ..SourceDocument::default()
        });
        let upsert = UpsertRequest { documents: texts.into(), score: false };
        assert_eq!(engine.collections().upsert("sea", upsert, &never).unwrap().ids, ["the", "bre"]);
        let search: SearchRequest = serde_json::from_str(r#"{"query": "wall of the sea"}"#).unwrap();
        let found = engine.collections().search("sea", &search, &never).unwrap();
        assert_eq!(found.results[0].document_id, "the");

        let (prompt, sampling) = (Prompt::Text("so it goes".into()), Sampling::default());
        let request = Generation { prompt, max_tokens: Some(2), sampling, stop: Vec::new() };
        let mut text = String::new();
        let mut told = |told: GenerationEvent<'_>| {
            if let GenerationEvent::Text(part) = told {
                text += part;
            }
        };
        assert_eq!(engine.generate(&request, &mut told, &never).unwrap().output, 2);
        assert_eq!(text, "so it ");
    }
}
