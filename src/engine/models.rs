//! Models, loaded on first need and shared from then on.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cross::{CrossConfig, CrossEncoders};
use super::model_source::ModelSource;
use super::remote::{self, RemoteKeys, RemoteModel, Remotes};
use super::slot::{Readiness, Slot};
use super::tokenizer_files::TokenizerFiles;
use super::{EngineError, ErrorKind};
use crate::config::{ClassifierConfig, Config, EmbedderConfig, ScorerConfig};
use crate::model::cached::{CacheFile, CacheStatistics, CachedEmbedder, CachedScorer, Keep};
use crate::model::local::{
    ClassifierError, DecoderEmbedder, EMBEDDER_REVISION, EmbedderFiles, EmbedderOptions, EncoderError,
    EncoderFiles, LocalClassifier, LocalEmbedder, LocalScorer, SCORER_REVISION, ScorerOptions,
};
use crate::model::store::{MeasuredSpeed, ModelFiles, ModelStore, Progress};
use crate::model::{
    self, Device, EmbedderKind, EnsembleEmbedder, Precision, Pruner, Reranker, ScoreError, ScorerKind,
    TokenClassifier, TokenGenerator, TokenScorer, display_name, parts_of,
};
use crate::telemetry::chain;
use crate::text::{self, PieceCounts, TokenCounter};

/// The scorer of the engine.
pub(super) type Scorer = CachedScorer<Arc<dyn TokenScorer>>;

/// The embedder of the engine.
pub(super) type Embedder = CachedEmbedder<Arc<dyn model::Embedder>>;

/// Files of the data folder that scores and vectors are kept in.
const SCORES: &str = "scores.redb";
const VECTORS: &str = "vectors.redb";

/// Name by which a caller counts in the scorer's own tokens.
const SCORER_TOKENIZER: &str = "scorer";

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

/// The models that this engine uses: those that it was given, and for the other roles those of a configuration.
pub(super) struct Models {
    configured: Option<ConfiguredModels>,
    scorer: Slot<Scorer>,
    generator: Slot<dyn TokenGenerator>,
    /// The configured scorer, which generates too.
    local: Slot<LocalModel>,
    embedder: Slot<Embedder>,
    /// The local embedder that ranks where a remote one cannot.
    fallback: Slot<Embedder>,
    classifier: Slot<dyn TokenClassifier>,
    cross: CrossEncoders,
    tokenizer_files: TokenizerFiles,
    /// Whether a request may name files of this machine.
    local_files: bool,
}

/// Models of a configuration, which are fetched and loaded on first need.
pub(super) struct ConfiguredModels {
    files: ModelSource,
    scorer: ScorerConfig,
    embedder: EmbedderConfig,
    classifier: ClassifierConfig,
    cross: CrossConfig,
    remotes: Remotes,
    /// The data folder, in whose file scores are kept.
    data: Option<PathBuf>,
    /// The file that vectors are kept in.
    vectors: Option<Arc<CacheFile>>,
}

/// Models that an engine is given instead of configured ones.
#[derive(Default)]
pub(super) struct GivenModels {
    pub(super) scorer: Option<Arc<dyn TokenScorer>>,
    pub(super) generator: Option<Arc<dyn TokenGenerator>>,
    pub(super) embedder: Option<Arc<dyn model::Embedder>>,
    pub(super) classifier: Option<Arc<dyn TokenClassifier>>,
    pub(super) reranker: Option<Arc<dyn Reranker>>,
    pub(super) pruner: Option<Arc<dyn Pruner>>,
}

/// A model in this process, and what tells its files from others.
struct LocalModel {
    model: Arc<LocalScorer>,
    identity: String,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut models = f.debug_struct("Models");
        if let Some(ConfiguredModels { scorer, embedder, classifier, .. }) = &self.configured {
            models.field("scorer", scorer).field("embedder", embedder).field("classifier", classifier);
        }
        models.finish_non_exhaustive()
    }
}

impl ConfiguredModels {
    /// The models of `config`. Their files come from `store`, and `progress` hears of downloads; scores and vectors are
    /// kept in the folder `data`, where there is one. Those on other machines are asked with `keys`.
    pub(super) fn new(
        (config, keys): (&Config, RemoteKeys),
        store: ModelStore,
        progress: Box<dyn Progress>,
        data: Option<&Path>,
    ) -> Self {
        Self {
            files: ModelSource::new(store, progress),
            scorer: config.scorer.clone(),
            embedder: config.embedder.clone(),
            classifier: config.classifier.clone(),
            cross: CrossConfig::of(config),
            remotes: Remotes::new(keys),
            data: data.map(Path::to_owned),
            vectors: data
                .filter(|_| config.embedder.disk_cache)
                .map(|data| Arc::new(CacheFile::new(data.join(VECTORS), config.embedder.disk_cache_bytes))),
        }
    }

    /// The scorer's cache in front of `local`.
    fn cached(&self, local: &LocalModel) -> Scorer {
        let ScorerConfig { precision, device, cache_bytes, .. } = &self.scorer;
        let identity = scorer_identity(&local.identity, *precision, *device);
        let scorer: Arc<dyn TokenScorer> = Arc::<LocalScorer>::clone(&local.model);
        self.with_scores_on_disk(CachedScorer::new(scorer, &identity, *cache_bytes))
    }

    /// Connects to the scorer's server, with the cache in front of it.
    fn remote_scorer(&self) -> Result<Scorer, EngineError> {
        if self.scorer.adapter.is_some() {
            let message = "`scorer.adapter` is for a model in this process: leave it out, and have the server of \
                           `scorer.url` merge the adapter";
            return Err(EngineError::invalid("adapter_of_remote_scorer", "scorer.adapter", message));
        }
        let files = self.files.ensure(&self.scorer.model)?;
        let scorer = self.remotes.scorer(&self.scorer, &files)?;
        Ok(self.with_scores_on_disk(remote::cached_scorer(scorer, &files, self.scorer.cache_bytes)))
    }

    /// Adds the file of scores, where there is a folder for it.
    fn with_scores_on_disk(&self, scorer: Scorer) -> Scorer {
        let ScorerConfig { disk_cache, disk_cache_bytes, .. } = &self.scorer;
        let Some(scores) = self.data.as_ref().map(|data| data.join(SCORES)) else { return scorer };
        let keep = if *disk_cache { Keep::All } else { Keep::Asked };
        scorer.with_file(Arc::new(CacheFile::new(scores, *disk_cache_bytes)), keep)
    }

    /// The embedder of this process that `config` names, with the cache in front of it.
    fn cached_embedder(&self, config: &EmbedderConfig) -> Result<Embedder, EngineError> {
        let (embedder, identity) = self.local_embedder(config)?;
        let embedder = CachedEmbedder::new(embedder, &identity, config.cache_bytes);
        let arithmetic = format!("{} {EMBEDDER_REVISION}", config.precision.name());
        Ok(self.with_vectors_on_disk(embedder, &arithmetic))
    }

    /// Adds the file of vectors, where they are kept; `arithmetic` as in [`CachedEmbedder::with_file`].
    fn with_vectors_on_disk(&self, embedder: Embedder, arithmetic: &str) -> Embedder {
        match &self.vectors {
            Some(file) => embedder.with_file(Arc::clone(file), arithmetic),
            None => embedder,
        }
    }

    /// The embedder of this process that `config` names, and what tells its files from others. Several are one.
    fn local_embedder(
        &self,
        config: &EmbedderConfig,
    ) -> Result<(Arc<dyn model::Embedder>, String), EngineError> {
        let (mut embedders, mut identities) = (Vec::<Arc<dyn model::Embedder>>::new(), Vec::new());
        for name in parts_of(&config.model) {
            let files = self.files.ensure(name)?;
            embedders.push(run_embedder(name, config, &files)?);
            identities.push(vectors_identity(&files.identity(), config));
        }
        let embedder = match <[_; 1]>::try_from(embedders) {
            Ok([one]) => one,
            Err(several) => {
                let unavailable = |error: ScoreError| EngineError::unavailable(chain(&error));
                Arc::new(EnsembleEmbedder::new(several).map_err(unavailable)?)
            }
        };
        Ok((embedder, identities.join("+")))
    }
}

impl Models {
    /// The models that are `given`, each by itself in front of those that are `configured`.
    pub(super) fn new(given: GivenModels, configured: Option<ConfiguredModels>, local_files: bool) -> Self {
        let GivenModels { scorer, generator, embedder, classifier, reranker, pruner } = given;
        // Nothing is known of such a model but its name, so that nothing of it is kept in a file.
        let scores = ScorerConfig::default().cache_bytes;
        let scorer = scorer.map(|scorer| (scorer.name().to_owned(), scorer));
        let scorer = scorer.map(|(name, scorer)| Arc::new(CachedScorer::new(scorer, &name, scores)));
        let vectors = EmbedderConfig::default().cache_bytes;
        let embedder = embedder.map(|embedder| (embedder.name().to_owned(), embedder));
        let embedder =
            embedder.map(|(name, embedder)| Arc::new(CachedEmbedder::new(embedder, &name, vectors)));
        Self {
            configured,
            scorer: Slot::given(scorer),
            generator: Slot::given(generator),
            local: Slot::new(),
            embedder: Slot::given(embedder),
            fallback: Slot::new(),
            classifier: Slot::given(classifier),
            cross: CrossEncoders::given(reranker, pruner),
            tokenizer_files: TokenizerFiles::default(),
            local_files,
        }
    }

    fn configured(&self, role: &str) -> Result<&ConfiguredModels, EngineError> {
        self.configured.as_ref().ok_or_else(|| {
            let message =
                format!("this engine has no {role}: give its builder one, or the models of a configuration");
            EngineError::unavailable(message)
        })
    }

    /// Makes downloads run in the background: no caller waits for one from now on.
    pub(super) fn fetch_in_background(&mut self) {
        if let Some(configured) = &mut self.configured {
            configured.files.fetch_in_background();
        }
    }

    pub(super) fn allows_files(&self) -> bool {
        self.local_files
    }

    /// The scorer, fetched and loaded if this is the first need.
    pub(super) fn scorer(&self) -> Result<Arc<Scorer>, EngineError> {
        self.scorer.get(|| {
            let configured = self.configured("scorer")?;
            let scorer = match configured.scorer.kind {
                ScorerKind::Local => configured.cached(&*self.local("scorer")?),
                _ => configured.remote_scorer()?,
            };
            Ok(Arc::new(scorer))
        })
    }

    /// The model that generates, fetched and loaded if this is the first need.
    pub(super) fn generator(&self) -> Result<Arc<dyn TokenGenerator>, EngineError> {
        self.generator.get(|| Ok(Arc::<LocalScorer>::clone(&self.local("generator")?.model)))
    }

    fn local(&self, role: &str) -> Result<Arc<LocalModel>, EngineError> {
        let configured = self.configured(role)?;
        self.local.get(|| {
            let config = &configured.scorer;
            let files = configured.files.ensure(&config.model)?;
            let model = Arc::new(run_scorer(config, &files, &configured.files)?);
            // The store has verified that the file has the manifest's hash.
            let identity = weights_identity(&files.identity(), model.adapter_sha256());
            Ok(Arc::new(LocalModel { model, identity }))
        })
    }

    /// A scorer of the caller's own that remembers nothing, and its precision: that of the configuration unless
    /// another is named.
    pub(super) fn fresh_scorer(
        &self,
        precision: Option<Precision>,
    ) -> Result<(LocalScorer, Precision), EngineError> {
        let configured = self.configured("configured scorer")?;
        if configured.scorer.kind != ScorerKind::Local {
            let message = "this measures a model in this process: set `scorer.kind` to `local`";
            return Err(EngineError::invalid("remote_scorer", "scorer.kind", message));
        }
        let precision = precision.unwrap_or(configured.scorer.precision);
        let config = ScorerConfig { precision, kv_cache_bytes: 0, ..configured.scorer.clone() };
        let source = &configured.files;
        Ok((run_scorer(&config, &source.ensure(&config.model)?, source)?, precision))
    }

    /// The embedder, fetched and loaded if this is the first need.
    pub(super) fn embedder(&self) -> Result<Arc<Embedder>, EngineError> {
        text::prepare();
        self.embedder.get(|| {
            let configured = self.configured("embedder")?;
            let ConfiguredModels { embedder: config, remotes, .. } = configured;
            let embedder = match config.kind {
                EmbedderKind::Local => configured.cached_embedder(config)?,
                _ => configured.with_vectors_on_disk(
                    remote::cached_embedder(remotes.embedder(config)?, config.cache_bytes),
                    config.kind.name(),
                ),
            };
            Ok(Arc::new(embedder))
        })
    }

    /// The local embedder that ranks where the remote one cannot, if one is configured.
    pub(super) fn fallback_embedder(&self) -> Result<Option<Arc<Embedder>>, EngineError> {
        let Some(configured) = &self.configured else { return Ok(None) };
        let Some(model) = configured.embedder.fallback.clone() else { return Ok(None) };
        // What is said of a remote model's vectors is not said of those of another model.
        let (dimensions, query_prefix, text_prefix) = Default::default();
        let remote = configured.embedder.clone();
        let config = EmbedderConfig { model, dimensions, query_prefix, text_prefix, ..remote };
        self.fallback.get(|| configured.cached_embedder(&config).map(Arc::new)).map(Some)
    }

    /// Describes the configured models that run on other machines.
    pub(super) fn remotes(&self) -> Vec<RemoteModel> {
        let Some(ConfiguredModels { scorer, embedder, cross, remotes, .. }) = &self.configured else {
            return Vec::new();
        };
        remotes.models(scorer, embedder, cross.reranker())
    }

    /// An embedder of the caller's own that remembers nothing.
    pub(super) fn fresh_embedder(&self) -> Result<Arc<dyn model::Embedder>, EngineError> {
        let configured = self.configured("configured embedder")?;
        let config = &configured.embedder;
        Ok(match config.kind {
            EmbedderKind::Local => configured.local_embedder(config)?.0,
            _ => Arc::new(configured.remotes.embedder(config)?),
        })
    }

    /// Keeps a speed of the configured scorer for the list of models.
    pub(super) fn record_scorer_speed(&self, precision: Precision, tokens_per_second: f64) {
        if let Some(ConfiguredModels { files, scorer, .. }) = &self.configured {
            files.store().record_speed(&scorer.model, &MeasuredSpeed { tokens_per_second, precision });
        }
    }

    /// Keeps a speed of the configured embedder for the list of models. That of one on another machine is not kept.
    pub(super) fn record_embedder_speed(&self, tokens_per_second: f64) {
        if let Some(ConfiguredModels { files, embedder, .. }) = &self.configured
            && embedder.kind == EmbedderKind::Local
        {
            let precision = embedder.precision;
            files.store().record_speed(&embedder.model, &MeasuredSpeed { tokens_per_second, precision });
        }
    }

    /// The token classifier, loaded if this is the first need.
    pub(super) fn classifier(&self) -> Result<Arc<dyn TokenClassifier>, EngineError> {
        self.classifier.get(|| {
            let configured = self.configured("token classifier")?;
            Ok(Arc::new(load_classifier(&configured.classifier, &configured.files)?))
        })
    }

    /// The name of the reranker that there is, without loading it.
    pub(super) fn reranker_name(&self) -> Option<String> {
        self.cross.reranker_name(self.configured.as_ref().map(|configured| &configured.cross))
    }

    /// The reranker, loaded if this is the first need; none where none is given or configured.
    pub(super) fn reranker(&self) -> Result<Option<Arc<dyn Reranker>>, EngineError> {
        let configured = self.configured.as_ref();
        self.cross.reranker(configured.map(|models| (&models.cross, &models.files, &models.remotes)))
    }

    /// The local reranker that ranks where the remote one cannot, if one is configured.
    pub(super) fn fallback_reranker(&self) -> Result<Option<Arc<dyn Reranker>>, EngineError> {
        let Some(configured) = &self.configured else { return Ok(None) };
        self.cross.fallback(&configured.cross, &configured.files)
    }

    /// The context pruner, loaded if this is the first need.
    pub(super) fn pruner(&self) -> Result<Arc<dyn Pruner>, EngineError> {
        self.cross.pruner(|| {
            let configured = self.configured("context pruner")?;
            Ok((&configured.cross, &configured.files))
        })
    }

    /// Returns the counters of the caches of scores and of vectors, for the models that are loaded.
    pub(super) fn caches(&self) -> Caches {
        let scorer = self.scorer.loaded();
        let of = |statistics: fn(&Scorer) -> CacheStatistics| {
            scorer.as_deref().map(statistics).unwrap_or_default()
        };
        Caches {
            scores: of(Scorer::statistics),
            keys_values: of(TokenScorer::prefix_statistics),
            vectors: self.embedder.loaded().map_or_else(CacheStatistics::default, |model| model.statistics()),
        }
    }

    /// Failed where a model's last load failed, or a remote one failed just now and has no fallback, else ready where any is; never blocks. The token classifier has to be
    /// imported before it can be used, so a request for one that is not there says nothing about the others.
    pub(super) fn readiness(&self) -> Readiness {
        let [reranker, pruner] = self.cross.readiness();
        let others = [self.generator.readiness(), self.embedder.readiness(), reranker, pruner];
        let needed = [&[self.scorer.readiness()][..], &others].concat();
        let is_ready = |readiness: &Readiness| *readiness == Readiness::Ready;
        let remote_failed = self.remotes().iter().any(RemoteModel::fails_requests);
        if remote_failed || needed.contains(&Readiness::Failed) {
            Readiness::Failed
        } else if needed.iter().chain([&self.classifier.readiness()]).any(is_ready) {
            Readiness::Ready
        } else {
            Readiness::Idle
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

/// Names the weights of a model that may have an adapter merged into them.
fn weights_identity(files: &str, adapter: Option<&str>) -> String {
    adapter.map_or_else(|| files.to_owned(), |adapter| format!("{files}+{adapter}"))
}

/// Names all that the vectors of an embedder's files depend on besides the texts and the arithmetic. Files of vectors are
/// kept by it, so that it is the files' own where nothing is set.
fn vectors_identity(files: &str, config: &EmbedderConfig) -> String {
    let EmbedderConfig { query_prefix, text_prefix, dimensions, .. } = config;
    if query_prefix.is_empty() && text_prefix.is_empty() && dimensions.is_none() {
        return files.to_owned();
    }
    format!("{files} {query_prefix:?} {text_prefix:?} {dimensions:?}")
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

fn run_scorer(
    config: &ScorerConfig,
    files: &ModelFiles,
    source: &ModelSource,
) -> Result<LocalScorer, EngineError> {
    let name = display_name(&config.model);
    let path = files.single("gguf").ok_or_else(|| {
        EngineError::unavailable(format!("model `{name}` has no GGUF file, so it cannot score"))
    })?;
    let options = ScorerOptions {
        precision: config.precision,
        device: config.device,
        threads: config.threads,
        kv_cache_bytes: config.kv_cache_bytes,
        adapter: config.adapter.as_deref().map(|name| source.adapter(name)).transpose()?,
        ..ScorerOptions::default()
    };
    LocalScorer::load(name, path, &options)
        .map_err(|e| EngineError::unavailable(format!("cannot load {}: {e}", path.display())))
}

fn run_embedder(
    name: &str,
    config: &EmbedderConfig,
    files: &ModelFiles,
) -> Result<Arc<dyn model::Embedder>, EngineError> {
    let name = display_name(name);
    let &EmbedderConfig { threads, precision, dimensions, .. } = config;
    let prefix = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let options = EmbedderOptions {
        threads,
        precision,
        query_prefix: prefix(&config.query_prefix),
        text_prefix: prefix(&config.text_prefix),
        dimensions,
        ..EmbedderOptions::default()
    };
    let unavailable =
        |reason: String| EngineError::unavailable(format!("cannot load model `{name}`: {reason}"));
    if let Some(path) = files.single("gguf") {
        let loaded = DecoderEmbedder::load(name, path, &options);
        return Ok(Arc::new(loaded.map_err(|e| unavailable(e.to_string()))?));
    }
    let loaded = match files.single("bin") {
        Some(packed) => LocalEmbedder::load_packed(name, packed, &options),
        None => EmbedderFiles::of(files)
            .map_err(EncoderError::from)
            .and_then(|parts| LocalEmbedder::load(name, parts, &options)),
    };
    Ok(Arc::new(loaded.map_err(|e| unavailable(e.to_string()))?))
}

fn load_classifier(config: &ClassifierConfig, source: &ModelSource) -> Result<LocalClassifier, EngineError> {
    let name = display_name(&config.model);
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

    fn count_with(&self, text: &str, known: &mut PieceCounts) -> usize {
        if !self.0.splits_at_spaces() {
            return self.count(text);
        }
        let counted = known.sum_of_words(text, |word| Ok::<_, Infallible>(self.count(word)));
        counted.unwrap_or_else(|never| match never {})
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

    #[test]
    fn prefixes_and_dimensions_tell_vectors_apart() {
        let config = EmbedderConfig::default();
        assert_eq!(vectors_identity("f00d", &config), "f00d", "those on disk are found again");
        let cut = EmbedderConfig { dimensions: Some(64), ..config.clone() };
        let asked = EmbedderConfig { query_prefix: "q: ".into(), ..config.clone() };
        let told = EmbedderConfig { text_prefix: "q: ".into(), ..config };
        let names = [cut, asked, told].map(|config| vectors_identity("f00d", &config));
        assert!(names.iter().all(|name| name.starts_with("f00d ")), "{names:?}");
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    }

    #[test]
    fn scores_with_an_adapter_are_those_of_another_model() {
        let identities = [None, Some("aa"), Some("bb")].map(|adapter| weights_identity("b179c952", adapter));
        assert_eq!(identities, ["b179c952", "b179c952+aa", "b179c952+bb"]);
    }
}
