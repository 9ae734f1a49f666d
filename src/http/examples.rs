//! `/v1/example-banks`: examples that last, and which of them to show before a question.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::collections::PageQuery;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::failures::Failures;
use super::state::AppState;
use super::{body, job};
use crate::engine::Engine;
use crate::engine::collections::api::DeleteResponse;
use crate::engine::examples::Example;
use crate::engine::examples::api::{
    AddRequest, AddResponse, BankInfo, BankList, ExamplePage, SelectRequest, SelectResponse,
};
use crate::model::Cancel;

/// The routes of banks.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/example-banks", get(list_banks))
        .route("/v1/example-banks/{name}", get(describe_bank).delete(remove_bank))
        .route("/v1/example-banks/{name}/examples", post(add_examples).get(list_examples))
        .route("/v1/example-banks/{name}/examples/{*id}", get(example).delete(delete_example))
        .route("/v1/example-banks/{name}/select", post(select_examples))
}

/// All banks of examples.
#[utoipa::path(get, path = "/v1/example-banks", tag = "retrieval",
    responses((status = 200, body = BankList, description = "All banks."), Failures))]
pub(super) async fn list_banks(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, |engine, _, _| body::render(&engine.banks().list()?)).await
}

/// Describes a bank.
#[utoipa::path(get, path = "/v1/example-banks/{name}", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the bank.")),
    responses((status = 200, body = BankInfo, description = "The bank."), Failures))]
pub(super) async fn describe_bank(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| body::render(&engine.banks().get(&name)?)).await
}

/// Removes a bank with all that is in it.
#[utoipa::path(delete, path = "/v1/example-banks/{name}", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the bank.")),
    responses((status = 204, description = "It is gone."), Failures))]
pub(super) async fn remove_bank(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| {
        engine.banks().delete(&name)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Stores examples, all or none, in a bank, which is made if there is none. Once this answers they survive a crash.
#[utoipa::path(post, path = "/v1/example-banks/{name}/examples", tag = "retrieval", request_body = AddRequest,
    params(("name" = String, Path, description = "1 to 64 of a-z, 0-9, - and _.")),
    responses((status = 200, body = AddResponse, description = "What became of them."), Failures))]
pub(super) async fn add_examples(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let work = move |engine: &Engine, request: AddRequest, cancel: &Cancel| {
        engine.banks().add(&name, request, cancel)
    };
    job::answer(&state, request, work).await
}

/// Examples in the order in which they were stored, page by page.
#[utoipa::path(get, path = "/v1/example-banks/{name}/examples", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the bank."), PageQuery),
    responses((status = 200, body = ExamplePage, description = "Some examples."), Failures))]
pub(super) async fn list_examples(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    QueryOf(page): QueryOf<PageQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| {
        body::render(&engine.banks().examples(&name, page.from, page.limit)?)
    })
    .await
}

/// An example.
#[utoipa::path(get, path = "/v1/example-banks/{name}/examples/{id}", tag = "retrieval",
    params(
        ("name" = String, Path, description = "Name of the bank."),
        ("id" = String, Path, description = "Id of the example."),
    ),
    responses((status = 200, body = Example, description = "The example."), Failures))]
pub(super) async fn example(
    State(state): State<Arc<AppState>>,
    PathOf((name, id)): PathOf<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| body::render(&engine.banks().example(&name, &id)?)).await
}

/// Removes an example.
#[utoipa::path(delete, path = "/v1/example-banks/{name}/examples/{id}", tag = "retrieval",
    params(
        ("name" = String, Path, description = "Name of the bank."),
        ("id" = String, Path, description = "Id of the example."),
    ),
    responses((status = 200, body = DeleteResponse, description = "It is gone."), Failures))]
pub(super) async fn delete_example(
    State(state): State<Arc<AppState>>,
    PathOf((name, id)): PathOf<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| body::render(&engine.banks().delete_example(&name, &id)?))
        .await
}

/// The examples to show before a question, the most similar one last.
#[utoipa::path(post, path = "/v1/example-banks/{name}/select", tag = "retrieval", request_body = SelectRequest,
    params(("name" = String, Path, description = "Name of the bank.")),
    responses((status = 200, body = SelectResponse, description = "The chosen examples."), Failures))]
pub(super) async fn select_examples(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let work = move |engine: &Engine, request: SelectRequest, cancel: &Cancel| {
        engine.banks().select(&name, &request, cancel)
    };
    job::answer(&state, request, work).await
}
