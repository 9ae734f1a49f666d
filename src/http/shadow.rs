//! `GET /v1/shadow`: how alike the answers to originals and to compressed requests were.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::error::ApiError;
use super::extract::QueryOf;
use super::failures::NotSent;
use super::proxy::{Sender, gateway};
use super::state::AppState;
use super::{auth, body};
use crate::proxy::{ShadowParams, ShadowReport};

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/v1/shadow", get(shadow))
}

/// Returns the comparisons of shadow requests, the latest first; for an administrator, where keys are needed. They have
/// no words of any answer.
#[utoipa::path(get, path = "/v1/shadow", tag = "proxy", params(ShadowParams),
    responses((status = 200, body = ShadowReport, description = "The comparisons."), NotSent))]
pub(super) async fn shadow(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    QueryOf(params): QueryOf<ShadowParams>,
) -> Result<Response, ApiError> {
    auth::admins_only(caller.as_deref())?;
    body::render(&gateway(&state)?.comparisons(params).await?)
}
