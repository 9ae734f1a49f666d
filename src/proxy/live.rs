//! The part of the proxy that a new configuration replaces, and the sending of requests by it.

use std::sync::Arc;

use tokio::time::Instant;

use super::local::Local;
use super::originals::Originals;
use super::prepare::Prepared;
use super::recall_tool::LateCalls;
use super::route::{Route, Routes, Target};
use super::{Plan, ProxyError};
use crate::config::{Config, Env, ProxyConfig, UpstreamConfig};
use crate::upstream::{Answer, Call};

/// The state that depends on the configuration.
pub(super) struct Live {
    pub(super) routes: Routes,
    pub(super) config: ProxyConfig,
    /// The originals of tools' results, where they are kept.
    pub(super) originals: Option<Arc<Originals>>,
    /// The calls of the tool that recalls them which wait for the next request of their conversation.
    pub(super) late: LateCalls,
}

impl Live {
    pub(super) fn new(config: &Config, env: &dyn Env, local: Option<Arc<Local>>) -> Result<Self, String> {
        let routes = Routes::new(&config.upstreams, env, local)?;
        let without = |upstream: &&UpstreamConfig| !upstream.dialect.has_recall_tool();
        for upstream in config.upstreams.iter().filter(without).filter(|_| config.proxy.recall.tool) {
            let (upstream, dialect) = (&upstream.name, upstream.dialect.name());
            tracing::warn!(upstream, dialect, "`proxy.recall.tool` adds no tool to requests of this dialect");
        }
        Ok(Self { routes, config: config.proxy.clone(), originals: None, late: LateCalls::default() })
    }

    /// The call to `route`, without the client's key where that was meant for another host.
    pub(super) fn call(prepared: &Prepared, plan: &Plan, route: &Route) -> Call {
        let call = prepared.call(route, plan);
        match (&prepared.route.place, &route.place) {
            (Target::Upstream(first), Target::Upstream(second)) if !second.shares_origin(first) => {
                call.without_keys(first.config().dialect)
            }
            _ => call,
        }
    }

    /// Sends a request to who is to answer, and to an upstream's fallback where that one fails. Where the fallback does
    /// not succeed either, the client gets the first one's answer or error: it is about the upstream that was asked for
    /// and says whether to try again, while a fallback's refusal of its own key or model would only mislead.
    pub(super) async fn send(
        &self,
        prepared: &Prepared,
        plan: &Plan,
        deadline: Instant,
    ) -> Result<(Route, Answer), ProxyError> {
        let route = prepared.route.clone();
        let upstream = match &route.place {
            Target::Upstream(upstream) => upstream,
            Target::Local(local) => {
                let answer = local.answer(prepared.ask(plan)?, deadline).await?;
                return Ok((route, answer));
            }
        };
        let call = prepared.call(&route, plan);
        let decision = upstream.send(&call, deadline).await;
        let failed = decision.as_ref().map_or(true, Answer::is_temporary_failure);
        let fallback = self.routes.fallback(upstream).filter(|_| failed && Instant::now() < deadline);
        let Some(fallback) = fallback else { return Ok((route, decision?)) };
        tracing::warn!(upstream = route.name(), fallback = fallback.config().name, "falling back");
        let second = Route::on(fallback, &route.model);
        let call = Self::call(prepared, plan, &second);
        match fallback.send(&call, deadline).await {
            Ok(answer) if answer.status.is_success() => Ok((second, answer)),
            Ok(answer) => {
                let (name, status) = (second.name(), answer.status.as_u16());
                tracing::warn!(upstream = name, status, "the fallback failed, too");
                Ok((route, decision?))
            }
            Err(error) => {
                tracing::warn!(upstream = second.name(), %error, "the fallback failed, too");
                Ok((route, decision?))
            }
        }
    }
}
