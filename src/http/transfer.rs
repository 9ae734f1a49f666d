//! Whole collections out of the service and into it: as JSONL, and as snapshots.

use std::fs::File;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::error::ApiError;
use super::extract::PathOf;
use super::failures::Failures;
use super::state::AppState;
use super::{body, file, job};
use crate::engine::collections::api::CollectionInfo;
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;

/// The routes of whole collections.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/collections/{name}/export", get(export))
        .route("/v1/collections/{name}/snapshot", post(snapshot))
        .route("/v1/collections/{name}/restore", post(restore))
}

/// All documents as they are at this moment, as JSONL that `POST /v1/collections/{name}/documents` takes.
#[utoipa::path(get, path = "/v1/collections/{name}/export", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the collection.")),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson", description = "A document a line."),
        Failures,
    ))]
pub(super) async fn export(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, cancel| {
        filled(engine, "application/x-ndjson", |file| engine.collections().export(&name, file, cancel))
    })
    .await
}

/// All that a collection holds at this moment, vectors too, as one file that `POST /v1/collections/{name}/restore`
/// takes. Other requests go on meanwhile. The request needs no body.
#[utoipa::path(post, path = "/v1/collections/{name}/snapshot", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the collection.")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The snapshot."),
        Failures,
    ))]
pub(super) async fn snapshot(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    // It changes nothing and tells its caller alone, so that it may be asked for as a GET may.
    job::run_on(&[], &state, request, move |engine, _, cancel| {
        filled(engine, "application/octet-stream", |file| engine.collections().snapshot(&name, file, cancel))
    })
    .await
}

/// Makes a collection of a snapshot. Nothing of it is there before the whole file was found sound. No model is needed.
///
/// The file may have up to `limits.snapshot_bytes`, and must arrive before the request's deadline.
#[utoipa::path(post, path = "/v1/collections/{name}/restore", tag = "retrieval",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("name" = String, Path, description = "Name of the new collection.")),
    responses((status = 201, body = CollectionInfo, description = "It was made."), Failures))]
pub(super) async fn restore(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let named = name.clone();
    let room = move |engine: &Engine| engine.collections().room_for_snapshot(&named);
    let work = move |engine: &Engine, file: File, cancel: &Cancel| {
        let info = engine.collections().restore(&name, file, cancel)?;
        Ok((StatusCode::CREATED, body::render(&info)?).into_response())
    };
    job::run_on_file(&state, request, room, work).await
}

/// An answer with what `fill` writes. It is made in a file first: a client that reads slowly keeps nothing waiting, and
/// what fails is told as such, not by an answer that breaks off.
fn filled(
    engine: &Engine,
    media_type: &'static str,
    fill: impl FnOnce(&mut File) -> Result<(), EngineError>,
) -> Result<Response, ApiError> {
    let mut file = engine.collections().temporary_file()?;
    fill(&mut file)?;
    file::answer(file, media_type)
}
