//! `GET /v1/status`: the state of models, queues, upstreams and stores, once or as it changes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorEnvelope};
use super::proxy::Sender;
use super::state::AppState;
use super::{auth, body, events};
use crate::engine::{Caches, DatabaseState, Readiness, RemoteModel};
use crate::model::cached::CacheStatistics;
use crate::proxy::{Gateway, QueueStatus, UpstreamStatus};
use crate::shared::{Shared, SharedState};

/// Time between two looks at the state.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after which a stream says something although nothing changed, so that a client that is gone is noticed.
const SILENCE: Duration = Duration::from_secs(15);
/// Time after which a stream ends. Clients of event streams connect again by themselves.
const LONGEST: Duration = Duration::from_mins(10);

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/v1/status", get(status))
}

/// The state of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ServiceStatus {
    /// Version of whittle.
    version: &'static str,
    /// `ready`; `idle` where the models load with the first request; `failed` where one could not be had.
    models: &'static str,
    /// The models on other machines; missing where all run in this process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_models: Vec<RemoteModel>,
    /// The work on requests.
    work: WorkStatus,
    /// The upstreams, in the order of the configuration.
    upstreams: Vec<UpstreamStatus>,
    /// What waits to be stored; missing where there is no proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    stores: Option<QueueStatus>,
    /// The server that replicas share; missing where they share none.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<SharedStatus>,
    /// The database that holds collections; missing where they are in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseStatus>,
    /// The caches.
    caches: Vec<CacheStatus>,
}

/// The server that replicas share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct SharedStatus {
    /// Host and port.
    server: String,
    /// True if it can be used now.
    up: bool,
    /// The reason why it cannot, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Calls that failed or could not be made, since the service began.
    errors: u64,
}

impl SharedStatus {
    fn of(shared: &Shared) -> Self {
        let SharedState { address, away, failed } = shared.state();
        let reason = away.map(|away| away.to_string());
        Self { server: address, up: reason.is_none(), reason, errors: failed }
    }
}

/// The database that holds collections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct DatabaseStatus {
    /// Host, port and database.
    server: String,
    /// True if it can be used now.
    up: bool,
    /// The reason why it cannot, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Connections that are in use.
    in_use: usize,
    /// Requests that wait for a connection.
    waiting: usize,
    /// Transactions that failed, since the service began.
    errors: u64,
}

impl DatabaseStatus {
    fn of(database: DatabaseState) -> Self {
        let reason = database.away.map(|away| away.to_string());
        Self {
            server: database.address,
            up: reason.is_none(),
            reason,
            in_use: database.in_use,
            waiting: database.waiting,
            errors: database.errors.iter().map(|(_, count)| count).sum(),
        }
    }
}

/// The work on requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct WorkStatus {
    /// Requests that are worked on or wait for their turn now.
    requests: usize,
    /// Most that are worked on at once, `limits.concurrency`.
    concurrency: usize,
    /// Most that may wait, `limits.queue`.
    queue: usize,
}

/// A cache, since the service began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct CacheStatus {
    /// `scores`, `keys_values` or `vectors`.
    name: &'static str,
    /// Texts that were found, in memory or on disk.
    hits: u64,
    /// Texts that were not.
    misses: u64,
    /// Bytes in memory.
    bytes: u64,
}

impl ServiceStatus {
    fn of(state: &AppState) -> Self {
        let gateway = state.gateway.as_deref();
        let models = match state.engine.readiness() {
            Readiness::Ready => "ready",
            Readiness::Idle => "idle",
            Readiness::Failed => "failed",
        };
        let work = WorkStatus {
            requests: state.admission.requests(),
            concurrency: state.limits.concurrency,
            queue: state.limits.queue,
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            models,
            remote_models: state.engine.remote_models(),
            work,
            upstreams: gateway.map(Gateway::upstreams).unwrap_or_default(),
            stores: gateway.map(Gateway::queues),
            shared: state.shared().map(SharedStatus::of),
            database: state.engine.database().map(|database| DatabaseStatus::of(database.state())),
            caches: caches(&state.engine.caches()),
        }
    }
}

fn caches(caches: &Caches) -> Vec<CacheStatus> {
    let of = |(name, statistics): (&'static str, CacheStatistics)| {
        let CacheStatistics { hits, kept, misses, bytes, .. } = statistics;
        CacheStatus { name, hits: hits + kept, misses, bytes }
    };
    let all = [("scores", caches.scores), ("keys_values", caches.keys_values), ("vectors", caches.vectors)];
    all.into_iter().map(of).collect()
}

/// Returns the state of models, queues, upstreams and stores; for an administrator, where keys are needed. Where `Accept`
/// asks for `text/event-stream`, an event each time that something changed, at most one a second, for ten minutes.
#[utoipa::path(get, path = "/v1/status", tag = "operations",
    responses(
        (status = 200, content(
            (ServiceStatus = "application/json"),
            (String = "text/event-stream"),
        ), description = "The state, or a stream of it: each event's data is the state as JSON."),
        (status = 403, body = ErrorEnvelope, description = "The key is no administrator's."),
    ))]
pub(super) async fn status(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    auth::admins_only(caller.as_deref())?;
    if !events::are_wanted(&headers) {
        return body::render(&ServiceStatus::of(&state));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(watch(state, sender));
    Ok(events::answer(receiver))
}

/// Sends the state each time that it changed, until the client leaves, the service stops, or the stream is old.
async fn watch(state: Arc<AppState>, sender: mpsc::Sender<Event>) {
    let mut stopping = state.stopping.subscribe();
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = sender.closed() => {}
        () = sleep(LONGEST) => {}
        () = send_changes(&state, &sender) => {}
    }
}

/// Sends the state each time that it changed, for ever, to a client that reads.
async fn send_changes(state: &AppState, sender: &mpsc::Sender<Event>) {
    let mut pause = interval(PAUSE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut said) = (None, Instant::now());
    loop {
        pause.tick().await;
        let now = ServiceStatus::of(state);
        let changed = last.as_ref() != Some(&now);
        let event = match serde_json::to_string(&now) {
            Ok(data) if changed => Event::default().event("status").data(data),
            _ if said.elapsed() >= SILENCE => Event::default().comment(""),
            _ => continue,
        };
        (last, said) = (Some(now), Instant::now());
        if sender.send(event).await.is_err() {
            return;
        }
    }
}
