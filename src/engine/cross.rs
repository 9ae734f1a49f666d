//! The models that read a question and a text together: the reranker and the pruner.

use std::sync::Arc;

use super::EngineError;
use super::model_source::ModelSource;
use super::remote::Remotes;
use super::slot::{Readiness, Slot};
use crate::config::{Config, PrunerConfig, RerankerConfig};
use crate::model::local::{CrossEncoderOptions, EncoderError, EncoderFiles, LocalCrossEncoder};
use crate::model::{Pruner, Reranker, RerankerKind, display_name};

/// The models of both roles, loaded on first need. Where both are the same, it is loaded once.
pub(super) struct CrossEncoders {
    reranker: Slot<dyn Reranker>,
    /// The local reranker that ranks where a remote one cannot.
    fallback: Slot<dyn Reranker>,
    pruner: Slot<dyn Pruner>,
    /// The model of the configured pruner.
    local: Slot<LocalCrossEncoder>,
}

impl CrossEncoders {
    /// The models that are given; those of a configuration are loaded later.
    pub(super) fn given(reranker: Option<Arc<dyn Reranker>>, pruner: Option<Arc<dyn Pruner>>) -> Self {
        let (reranker, pruner) = (Slot::given(reranker), Slot::given(pruner));
        Self { reranker, fallback: Slot::new(), pruner, local: Slot::new() }
    }
}

/// The configuration of both roles.
#[derive(Debug, Clone)]
pub(super) struct CrossConfig {
    reranker: RerankerConfig,
    pruner: PrunerConfig,
}

impl CrossConfig {
    pub(super) fn of(config: &Config) -> Self {
        Self { reranker: config.reranker.clone(), pruner: config.pruner.clone() }
    }

    pub(super) fn reranker(&self) -> &RerankerConfig {
        &self.reranker
    }

    /// Returns whether both roles have the same model.
    fn is_one(&self) -> bool {
        let (reranker, pruner) = (&self.reranker, &self.pruner);
        reranker.kind == RerankerKind::Local
            && reranker.model == pruner.model
            && reranker.precision == pruner.precision
            && reranker.threads == pruner.threads
    }

    fn options_of_reranker(&self) -> CrossEncoderOptions {
        let &RerankerConfig { precision, threads, most_tokens, .. } = &self.reranker;
        CrossEncoderOptions { threads, precision, most_tokens, ..CrossEncoderOptions::default() }
    }

    fn options_of_pruner(&self) -> CrossEncoderOptions {
        let &PrunerConfig { precision, threads, threshold, .. } = &self.pruner;
        let threshold = threshold.map(|threshold| threshold as f32);
        let most_tokens = self.reranker.most_tokens;
        CrossEncoderOptions { threads, precision, most_tokens, threshold, ..CrossEncoderOptions::default() }
    }
}

impl CrossEncoders {
    /// The reranker, loaded if this is the first need; none where none is given or configured.
    pub(super) fn reranker(
        &self,
        configured: Option<(&CrossConfig, &ModelSource, &Remotes)>,
    ) -> Result<Option<Arc<dyn Reranker>>, EngineError> {
        let given = self.reranker.ready();
        let Some((config, files, remotes)) = configured.filter(|_| given.is_none()) else { return Ok(given) };
        let Some(name) = &config.reranker.model else { return Ok(None) };
        let load = || -> Result<Arc<dyn Reranker>, EngineError> {
            if config.reranker.kind != RerankerKind::Local {
                return Ok(Arc::new(remotes.reranker(&config.reranker)?));
            }
            if config.is_one() {
                return Ok(self.shared(name, config, files)?);
            }
            Ok(Arc::new(load(name, files, &config.options_of_reranker())?))
        };
        self.reranker.get(load).map(Some)
    }

    /// The local reranker that ranks where the remote one cannot, loaded if this is the first need.
    pub(super) fn fallback(
        &self,
        config: &CrossConfig,
        files: &ModelSource,
    ) -> Result<Option<Arc<dyn Reranker>>, EngineError> {
        let Some(name) = &config.reranker.fallback else { return Ok(None) };
        self.fallback.get(|| Ok(Arc::new(load(name, files, &config.options_of_reranker())?))).map(Some)
    }

    /// The pruner, loaded if this is the first need.
    pub(super) fn pruner<'a>(
        &self,
        configured: impl FnOnce() -> Result<(&'a CrossConfig, &'a ModelSource), EngineError>,
    ) -> Result<Arc<dyn Pruner>, EngineError> {
        if let Some(loaded) = self.pruner.ready() {
            return Ok(loaded);
        }
        let (config, files) = configured()?;
        // A request for what was never configured is no failure of this service.
        let Some(name) = &config.pruner.model else { return Err(not_configured()) };
        self.pruner.get(|| {
            let model = self.shared(name, config, files)?;
            if model.prunes() { Ok(model) } else { Err(headless(name)) }
        })
    }

    /// The name of the reranker that there is, without loading it.
    pub(super) fn reranker_name(&self, config: Option<&CrossConfig>) -> Option<String> {
        let configured = || {
            let RerankerConfig { kind, model, .. } = &config?.reranker;
            let name = model.as_deref()?;
            // A name on a server may have a slash, and is no path.
            Some(if *kind == RerankerKind::Local { display_name(name) } else { name }.to_owned())
        };
        self.reranker.ready().map(|reranker| reranker.name().to_owned()).or_else(configured)
    }

    /// Returns whether the reranker and the pruner can serve requests.
    pub(super) fn readiness(&self) -> [Readiness; 2] {
        [self.reranker.readiness(), self.pruner.readiness()]
    }

    /// The model of the configured pruner, which may be that of the reranker, too.
    fn shared(
        &self,
        name: &str,
        config: &CrossConfig,
        files: &ModelSource,
    ) -> Result<Arc<LocalCrossEncoder>, EngineError> {
        self.local.get(|| Ok(Arc::new(load(name, files, &config.options_of_pruner())?)))
    }
}

fn headless(name: &str) -> EngineError {
    let message =
        format!("model `{name}` has no head that prunes: set it as `reranker.model` alone, or name another");
    EngineError::unavailable(message)
}

fn not_configured() -> EngineError {
    let message = "no context pruner is configured: set `pruner.model` to one, such as a model in the form of \
                   OpenProvence, or use another method";
    EngineError::unavailable(message)
}

fn load(
    name: &str,
    source: &ModelSource,
    options: &CrossEncoderOptions,
) -> Result<LocalCrossEncoder, EngineError> {
    let files = source.ensure(name)?;
    let name = display_name(name);
    EncoderFiles::of(&files)
        .map_err(EncoderError::from)
        .and_then(|parts| LocalCrossEncoder::load(name, parts, options))
        .map_err(|e| EngineError::unavailable(format!("cannot load model `{name}`: {e}")))
}
