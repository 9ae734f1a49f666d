//! Which upstream a request goes to. The configuration decides it by the model's name; a request cannot.

use std::sync::Arc;

use super::ProxyError;
use crate::config::{Env, UpstreamConfig};
use crate::upstream::{Secret, Upstream};
use crate::wire::Dialect;

/// All upstreams.
#[derive(Debug)]
pub(super) struct Routes(Vec<Arc<Upstream>>);

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) upstream: Arc<Upstream>,
    /// What the upstream calls the model.
    pub(super) model: String,
}

impl Routes {
    /// Makes the upstreams, with the keys that `env` holds.
    pub(super) fn new(configs: &[UpstreamConfig], env: &dyn Env) -> Result<Self, String> {
        let upstreams = configs.iter().map(|config| {
            let key = config.api_key_env.as_ref().map(|name| {
                let set = env.get(name).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
                set.map(Secret::new).ok_or_else(|| {
                    format!(
                        "the upstream `{}` takes its key from the environment variable {name}, which is not \
                         set: set it, or leave out `api_key_env` to pass on the clients' own keys",
                        config.name
                    )
                })
            });
            Upstream::new(config, key.transpose()?).map(Arc::new)
        });
        Ok(Self(upstreams.collect::<Result<_, _>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of_dialect(&self, dialect: Dialect) -> impl Iterator<Item = &Arc<Upstream>> {
        self.0.iter().filter(move |upstream| upstream.config().dialect == dialect)
    }

    pub(super) fn named(&self, name: &str) -> Result<&Arc<Upstream>, ProxyError> {
        let found = self.0.iter().find(|upstream| upstream.config().name == name);
        found.ok_or_else(|| ProxyError::UnknownUpstream(name.chars().take(64).collect()))
    }

    /// The upstream that `upstream` falls back on.
    pub(super) fn fallback(&self, upstream: &Upstream) -> Option<&Arc<Upstream>> {
        upstream.config().fallback.as_ref().and_then(|name| self.named(name).ok())
    }

    /// The first upstream of `dialect` that has the model, by an alias or a pattern.
    pub(super) fn find(&self, dialect: Dialect, model: &str) -> Result<Route, ProxyError> {
        if self.is_empty() {
            return Err(ProxyError::NoUpstreams);
        }
        let has = |upstream: &&Arc<Upstream>| {
            let config = upstream.config();
            config.aliases.contains_key(model) || config.models.iter().any(|pattern| pattern.matches(model))
        };
        if let Some(upstream) = self.of_dialect(dialect).find(has) {
            return Ok(Route::on(upstream, model));
        }
        let model = model.chars().take(100).collect();
        if self.0.iter().any(|upstream| has(&upstream)) {
            let routes = match dialect {
                Dialect::Anthropic => "POST /v1/chat/completions, /v1/responses or /v1/completions",
                Dialect::OpenAi => "POST /v1/messages",
            };
            return Err(ProxyError::OtherDialect { model, routes });
        }
        Err(ProxyError::UnknownModel(model))
    }
}

impl Route {
    /// To `upstream`, whatever models it has.
    pub(super) fn on(upstream: &Arc<Upstream>, model: &str) -> Self {
        let real = upstream.config().aliases.get(model).map_or(model, String::as_str);
        Self { upstream: Arc::clone(upstream), model: real.to_owned() }
    }
}
