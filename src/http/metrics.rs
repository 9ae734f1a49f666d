//! `GET /metrics`: what the proxy counts, and what the caches did, in the text form of `OpenMetrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::auth;
use super::error::ApiError;
use super::proxy::Sender;
use super::state::AppState;
use crate::engine::{Caches, DatabaseState, TIME_BOUNDS, TransactionTimes};
use crate::keys::KeysState;
use crate::model::cached::CacheStatistics;
use crate::proxy::Gateway;
use crate::shared::SharedState;
use crate::telemetry::names;

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/metrics", get(metrics))
}

/// Returns the counters and gauges of the service in the text format of `OpenMetrics`; for an administrator, where keys are
/// needed.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "application/openmetrics-text", description = "The metrics.")))]
pub(super) async fn metrics(
    State(state): State<Arc<AppState>>,
    caller: Sender,
) -> Result<Response, ApiError> {
    auth::admins_only(caller.as_deref())?;
    let mut registry = registry(&state.engine.caches());
    if let Some(shared) = state.shared() {
        register(&mut registry, &shared.state());
    }
    if let Some(database) = state.engine.database() {
        register_store(&mut registry, &database.state());
    }
    if let Some(keys) = state.keys.as_ref().and_then(|keys| keys.state()) {
        register_keys(&mut registry, &keys);
    }
    let mut text = state.gateway.as_deref().map_or_else(String::new, Gateway::metrics);
    // Writing to a string cannot fail.
    encode_registry(&mut text, &registry).and_then(|()| encode_eof(&mut text)).unwrap_or_default();
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

/// The caches count for themselves, so their figures are read when they are asked for.
fn registry(caches: &Caches) -> Registry {
    let mut registry = Registry::default();
    let lookups = Family::<[(&'static str, &'static str); 2], Counter>::default();
    let bytes = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    for (cache, statistics) in
        [("scores", caches.scores), ("keys_values", caches.keys_values), ("vectors", caches.vectors)]
    {
        let CacheStatistics { hits, kept, misses, .. } = statistics;
        for (outcome, count) in [("hit", hits), ("file", kept), ("miss", misses)] {
            lookups.get_or_create(&[("cache", cache), ("outcome", outcome)]).inc_by(count);
        }
        let size = i64::try_from(statistics.bytes).unwrap_or(i64::MAX);
        bytes.get_or_create(&[("cache", cache)]).set(size);
    }
    registry.register(names::CACHE_LOOKUPS, "Texts that were looked up in a cache", lookups);
    registry.register_with_unit(names::CACHE, "What a cache holds", Unit::Bytes, bytes);
    registry
}

/// Adds what is known of the server that replicas share.
fn register(registry: &mut Registry, shared: &SharedState) {
    let (up, errors) = (Gauge::<i64>::default(), Counter::<u64>::default());
    up.set(i64::from(shared.away.is_none()));
    errors.inc_by(shared.failed);
    registry.register(names::SHARED_UP, "Whether the server that replicas share can be used", up);
    registry.register(
        names::SHARED_ERRORS,
        "Calls of the server that replicas share which failed or could not be made",
        errors,
    );
}

/// Adds what is known of the database that holds collections.
fn register_store(registry: &mut Registry, database: &DatabaseState) {
    let (up, waiting) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    up.set(i64::from(database.away.is_none()));
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    waiting.set(gauge(database.waiting));
    let connections = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    for (state, count) in [("in_use", database.in_use), ("idle", database.idle)] {
        connections.get_or_create(&[("state", state)]).set(gauge(count));
    }
    let errors = Family::<[(&'static str, &'static str); 1], Counter>::default();
    for (reason, count) in database.errors {
        errors.get_or_create(&[("reason", reason)]).inc_by(count);
    }
    let times = [("read", database.reads.clone()), ("write", database.writes.clone())];
    registry.register(names::STORE_UP, "Whether the database that holds collections can be used", up);
    registry.register(names::STORE_CONNECTIONS, "Connections to the database", connections);
    registry.register(names::STORE_WAITING, "Requests that wait for a connection to the database", waiting);
    registry.register(names::STORE_ERRORS, "Transactions in the database that failed", errors);
    registry.register_with_unit(
        names::STORE_TRANSACTIONS,
        "Time of transactions in the database, without the wait for a connection",
        Unit::Seconds,
        Transactions(times),
    );
}

/// A histogram of the times of transactions by their purpose, which were counted elsewhere.
#[derive(Debug)]
struct Transactions([(&'static str, TransactionTimes); 2]);

impl EncodeMetric for Transactions {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        for (access, times) in &self.0 {
            let bounds = TIME_BOUNDS.into_iter().chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(times.counts).collect();
            let labels = [("access", *access)];
            let mut histogram = encoder.encode_family(&labels)?;
            let count = times.counts.iter().sum();
            histogram.encode_histogram::<[(&str, &str); 0]>(
                times.total.as_secs_f64(),
                count,
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Adds what is known of the looks at the keys in a database.
fn register_keys(registry: &mut Registry, keys: &KeysState) {
    let (up, errors) = (Gauge::<i64>::default(), Counter::<u64>::default());
    up.set(i64::from(keys.up));
    errors.inc_by(keys.failed);
    registry.register(names::KEYS_UP, "Whether the keys in the database could be looked at last", up);
    registry.register(names::KEYS_ERRORS, "Looks at the keys in the database that failed", errors);
}
