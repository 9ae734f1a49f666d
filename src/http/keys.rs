//! `/v1/keys`: the keys of callers, for administrators. What `whittle keys` does, over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, STORE_WAIT};
use super::extract::PathOf;
use super::failures::Failures;
use super::proxy::Sender;
use super::state::AppState;
use super::{auth, body, job};
use crate::config::Pattern;
use crate::engine::STORE_AWAY;
use crate::keys::{Caller, Key, KeyPolicy, Keyring, KeysError};

/// The routes of keys.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/v1/keys", get(list).post(create)).route("/v1/keys/{id}", delete(revoke))
}

/// A key, all but its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyInfo {
    /// The id, which names the key in the ledger.
    id: String,
    /// The name that its owner gave it.
    name: String,
    /// The time of its creation.
    created: String,
    /// The time of its revocation, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    /// Models that it may call, in whose names `*` stands for any characters; all where there is none.
    models: Vec<String>,
    /// Requests a minute, at least 1.
    requests_per_minute: Option<u32>,
    /// Tokens a minute, input and output together, at least 1.
    tokens_per_minute: Option<u32>,
    /// Dollars a day in UTC, above 0.
    usd_per_day: Option<f64>,
    /// Whether the key may read metrics and the usage of other keys, and change keys.
    admin: bool,
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyList {
    /// The keys in the order in which they were made, revoked ones included.
    keys: Vec<KeyInfo>,
}

/// Body of `POST /v1/keys`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequest {
    /// The name, 1 to 64 characters.
    name: String,
    /// Models that it may call, in whose names `*` stands for any characters; all where there is none.
    #[serde(default)]
    models: Vec<String>,
    /// Requests a minute, at least 1.
    requests_per_minute: Option<u32>,
    /// Tokens a minute, input and output together, at least 1.
    tokens_per_minute: Option<u32>,
    /// Dollars a day in UTC, above 0.
    usd_per_day: Option<f64>,
    /// Whether the key may read metrics and the usage of other keys, and change keys.
    #[serde(default)]
    admin: bool,
}

/// Answer of `POST /v1/keys`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyCreated {
    /// The secret that callers send, which is stored nowhere and told this once.
    secret: String,
    /// The key.
    key: KeyInfo,
}

impl From<Key> for KeyInfo {
    fn from(key: Key) -> Self {
        let KeyPolicy { models, requests_per_minute, tokens_per_minute, usd_per_day, admin } = key.policy;
        let models = models.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        Self {
            id: key.id,
            name: key.name,
            created: key.created,
            revoked: key.revoked,
            models,
            requests_per_minute,
            tokens_per_minute,
            usd_per_day,
            admin,
        }
    }
}

impl KeyRequest {
    fn policy(self) -> KeyPolicy {
        KeyPolicy {
            models: self.models.into_iter().map(Pattern::new).collect(),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            usd_per_day: self.usd_per_day,
            admin: self.admin,
        }
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        let (message, away) = (error.to_string(), error.is_away());
        match error {
            KeysError::Database(_) if away => {
                let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, STORE_AWAY, message);
                Self { retry_after: Some(STORE_WAIT), ..error }
            }
            KeysError::Invalid(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_key", message),
            KeysError::NoSuchKey(_) => Self::new(StatusCode::NOT_FOUND, "unknown_key", message),
            KeysError::File { .. }
            | KeysError::Malformed { .. }
            | KeysError::Database(_)
            | KeysError::Spending(_) => Self::internal(&message),
        }
    }
}

/// All keys, without their secrets; for an administrator, where keys are needed.
#[utoipa::path(get, path = "/v1/keys", tag = "operations",
    responses((status = 200, body = KeyList, description = "All keys, revoked ones included."), Failures))]
pub(super) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    request: Request,
) -> Result<Response, ApiError> {
    let keys = keyring(&state, caller.as_deref())?;
    job::run(&state, request, move |_, _, _| {
        let keys = keys.list()?.into_iter().map(KeyInfo::from).collect();
        body::render(&KeyList { keys })
    })
    .await
}

/// Makes a key, and tells its secret this once; for an administrator, where keys are needed.
///
/// As soon as there is a key, every caller needs one.
#[utoipa::path(post, path = "/v1/keys", tag = "operations", request_body = KeyRequest,
    responses((status = 201, body = KeyCreated, description = "The key and its secret."), Failures))]
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    request: Request,
) -> Result<Response, ApiError> {
    let keys = keyring(&state, caller.as_deref())?;
    job::run(&state, request, move |_, sent, _| {
        let mut wanted: KeyRequest = body::parse(&sent)?;
        let name = std::mem::take(&mut wanted.name);
        let (key, secret) = keys.create(&name, wanted.policy())?;
        let answer = body::render(&KeyCreated { secret, key: key.into() })?;
        Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], answer).into_response())
    })
    .await
}

/// Revokes a key, which is refused from the next request on; for an administrator, where keys are needed.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "operations",
    params(("id" = String, Path, description = "Id or name of the key.")),
    responses((status = 200, body = KeyInfo, description = "The key, which is revoked now."), Failures))]
pub(super) async fn revoke(
    State(state): State<Arc<AppState>>,
    PathOf(id): PathOf<String>,
    caller: Sender,
    request: Request,
) -> Result<Response, ApiError> {
    let keys = keyring(&state, caller.as_deref())?;
    job::run(&state, request, move |_, _, _| body::render(&KeyInfo::from(keys.revoke(&id)?))).await
}

/// The keys, for who may change them.
fn keyring(state: &AppState, caller: Option<&Caller>) -> Result<Arc<Keyring>, ApiError> {
    auth::admins_only(caller)?;
    state.keys.clone().ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no_keys", "this service has no keys: `whittle serve` has")
    })
}
