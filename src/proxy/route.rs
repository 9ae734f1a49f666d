//! The routing of requests: to an upstream, or to the model in this process. The configuration decides it by the
//! model's name; a request cannot.

use std::sync::Arc;
use std::time::Duration;

use super::ProxyError;
use super::local::{LOCAL, Local};
use crate::config::{Env, Price, UpstreamConfig};
use crate::upstream::Upstream;
use crate::wire::Dialect;

/// All upstreams, and the model in this process.
#[derive(Debug)]
pub(super) struct Routes {
    upstreams: Vec<Arc<Upstream>>,
    local: Option<Arc<Local>>,
}

/// The route of a request.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) place: Target,
    /// The target's own name of the model.
    pub(super) model: String,
}

/// The target that answers.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Upstream(Arc<Upstream>),
    Local(Arc<Local>),
}

impl Routes {
    /// Makes the upstreams, with the keys that `env` holds.
    pub(super) fn new(
        configs: &[UpstreamConfig],
        env: &dyn Env,
        local: Option<Arc<Local>>,
    ) -> Result<Self, String> {
        let upstreams = configs.iter().map(|config| Upstream::with_env(config, env).map(Arc::new));
        Ok(Self { upstreams: upstreams.collect::<Result<_, _>>()?, local })
    }

    /// Returns whether there is no upstream.
    pub(super) fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// The model in this process.
    pub(super) fn local(&self) -> Option<&Arc<Local>> {
        self.local.as_ref()
    }

    /// Returns all upstreams, in the order of the configuration.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.iter()
    }

    pub(super) fn of_dialect(&self, dialect: Dialect) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.iter().filter(move |upstream| upstream.config().dialect == dialect)
    }

    pub(super) fn named(&self, name: &str) -> Result<&Arc<Upstream>, ProxyError> {
        let found = self.upstreams.iter().find(|upstream| upstream.config().name == name);
        found.ok_or_else(|| ProxyError::UnknownUpstream(name.chars().take(64).collect()))
    }

    /// The upstream that `upstream` falls back on.
    pub(super) fn fallback(&self, upstream: &Upstream) -> Option<&Arc<Upstream>> {
        upstream.config().fallback.as_ref().and_then(|name| self.named(name).ok())
    }

    /// The model in this process, where its name begins as it does; else the first upstream of `dialect` that has the
    /// model, by an alias or a pattern.
    pub(super) fn find(&self, dialect: Dialect, model: &str) -> Result<Route, ProxyError> {
        if let Some(local) = self.local.as_ref().filter(|_| model.starts_with(LOCAL)) {
            if model == local.model() {
                return Ok(Route { place: Target::Local(Arc::clone(local)), model: model.to_owned() });
            }
            let model = model.chars().take(100).collect();
            return Err(ProxyError::UnknownLocal { model, known: local.model().to_owned() });
        }
        if self.is_empty() {
            return Err(ProxyError::NoUpstreams);
        }
        let has = |upstream: &Upstream| upstream.config().has(model);
        if let Some(upstream) = self.of_dialect(dialect).find(|upstream| has(upstream)) {
            return Ok(Route::on(upstream, model));
        }
        let model = model.chars().take(100).collect();
        if let Some(other) = self.upstreams.iter().find(|upstream| has(upstream)) {
            return Err(ProxyError::OtherDialect { model, routes: other.config().dialect.routes() });
        }
        Err(ProxyError::UnknownModel(model))
    }
}

impl Route {
    /// Returns the route to `upstream`, whatever models it has.
    pub(super) fn on(upstream: &Arc<Upstream>, model: &str) -> Self {
        let model = upstream.config().own_name(model).to_owned();
        Self { place: Target::Upstream(Arc::clone(upstream)), model }
    }

    /// Name of who answers, in the ledger and the metrics.
    pub(super) fn name(&self) -> &str {
        match &self.place {
            Target::Upstream(upstream) => &upstream.config().name,
            Target::Local(_) => "local",
        }
    }

    /// Returns the price of a model there, where the configuration has one; in this process it is nothing.
    pub(super) fn price(&self, model: &str) -> Option<&Price> {
        match &self.place {
            Target::Upstream(upstream) => upstream.config().price(model),
            Target::Local(local) => Some(local.price()),
        }
    }

    /// Longest time between two pieces of an answer.
    pub(super) fn idle(&self) -> Duration {
        match &self.place {
            Target::Upstream(upstream) => upstream.idle(),
            Target::Local(_) => Local::IDLE,
        }
    }
}
