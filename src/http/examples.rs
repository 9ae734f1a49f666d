//! `/v1/example-banks`: examples that last, and which of them to show before a question.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::Service;
use super::collections::PageQuery;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::operations::Failures;
use super::state::AppState;
use super::{body, job};
use crate::engine::collections::api::DeleteResponse;
use crate::engine::examples::Example;
use crate::engine::examples::api::{
    AddRequest, AddResponse, BankInfo, BankList, ExamplePage, SelectRequest, SelectResponse,
};
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;

/// Banks of examples: the engine's, or a fake's in tests. The calls block, and each fails with an [`EngineError`].
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait Banks {
    /// All banks.
    fn banks(&self) -> Result<BankList, EngineError>;

    /// Describes a bank.
    fn bank(&self, name: &str) -> Result<BankInfo, EngineError>;

    /// Removes a bank.
    fn delete_bank(&self, name: &str) -> Result<(), EngineError>;

    /// Stores examples, all or none, in a bank, which is made if there is none.
    fn add_examples(
        &self,
        name: &str,
        request: AddRequest,
        cancel: &Cancel,
    ) -> Result<AddResponse, EngineError>;

    /// An example.
    fn example(&self, name: &str, id: &str) -> Result<Example, EngineError>;

    /// Up to `limit` examples, 1 to 1,000, from [`ExamplePage::next`] on.
    fn examples(&self, name: &str, from: u64, limit: usize) -> Result<ExamplePage, EngineError>;

    /// Removes an example.
    fn delete_example(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError>;

    /// The examples to show before a question.
    fn select_examples(
        &self,
        name: &str,
        request: &SelectRequest,
        cancel: &Cancel,
    ) -> Result<SelectResponse, EngineError>;
}

impl Banks for Engine {
    fn banks(&self) -> Result<BankList, EngineError> {
        Self::banks(self)
    }

    fn bank(&self, name: &str) -> Result<BankInfo, EngineError> {
        Self::bank(self, name)
    }

    fn delete_bank(&self, name: &str) -> Result<(), EngineError> {
        Self::delete_bank(self, name)
    }

    fn add_examples(
        &self,
        name: &str,
        request: AddRequest,
        cancel: &Cancel,
    ) -> Result<AddResponse, EngineError> {
        Self::add_examples(self, name, request, cancel)
    }

    fn example(&self, name: &str, id: &str) -> Result<Example, EngineError> {
        Self::example(self, name, id)
    }

    fn examples(&self, name: &str, from: u64, limit: usize) -> Result<ExamplePage, EngineError> {
        Self::examples(self, name, from, limit)
    }

    fn delete_example(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        Self::delete_example(self, name, id)
    }

    fn select_examples(
        &self,
        name: &str,
        request: &SelectRequest,
        cancel: &Cancel,
    ) -> Result<SelectResponse, EngineError> {
        Self::select_examples(self, name, request, cancel)
    }
}

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
    job::run(&state, request, |service, _, _| body::render(&service.banks()?)).await
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
    job::run(&state, request, move |service, _, _| body::render(&service.bank(&name)?)).await
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
    job::run(&state, request, move |service, _, _| {
        service.delete_bank(&name)?;
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
    let work = move |service: &dyn Service, request: AddRequest, cancel: &Cancel| {
        service.add_examples(&name, request, cancel)
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
    job::run(&state, request, move |service, _, _| {
        body::render(&service.examples(&name, page.from, page.limit)?)
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
    job::run(&state, request, move |service, _, _| body::render(&service.example(&name, &id)?)).await
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
    job::run(&state, request, move |service, _, _| body::render(&service.delete_example(&name, &id)?)).await
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
    let work = move |service: &dyn Service, request: SelectRequest, cancel: &Cancel| {
        service.select_examples(&name, &request, cancel)
    };
    job::answer(&state, request, work).await
}
