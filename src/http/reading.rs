//! `PUT /v1/extract`: the text of a file, which is stored nowhere.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Form};
use super::error::ApiError;
use super::extract::QueryOf;
use super::failures::Failures;
use super::job;
use super::state::AppState;
use crate::engine::EngineError;
use crate::engine::collections::files::{FileKind, document};

/// The query parameters of reading a file.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExtractQuery {
    /// Whether navigation, notices about cookies and footers of an HTML page are kept.
    whole: bool,
}

/// Answer of `PUT /v1/extract`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExtractResponse {
    /// The title that the file itself has.
    title: Option<String>,
    /// The text: that of the file as it is, or Markdown.
    text: String,
}

/// Returns the text of a file, and stores nothing.
///
/// The body is the file as it is, of the formats that `PUT /v1/collections/{name}/documents/{id}` takes, and it is read in
/// the same way.
#[utoipa::path(put, path = "/v1/extract", tag = "compression",
    request_body(content(
        (String = "text/plain"), (String = "text/markdown"), (String = "text/html"), (Vec<u8> = "application/pdf"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    )),
    params(ExtractQuery),
    responses((status = 200, body = ExtractResponse, description = "The text of the file."), Failures))]
pub(super) async fn extract(
    State(state): State<Arc<AppState>>,
    QueryOf(ExtractQuery { whole }): QueryOf<ExtractQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let forms = FileKind::ALL.map(Form::Document);
    let form = body::form(request.headers(), &forms);
    job::run_on(&forms, &state, request, move |_, body, cancel| {
        let Form::Document(kind) = form? else {
            return Err(ApiError::internal(&"a form that is no document's"));
        };
        if body.is_empty() {
            let message = "the body is empty: send the file as the body";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "empty_body", message));
        }
        let read = document(kind, whole, &body, cancel).map_err(EngineError::from)?;
        body::render(&ExtractResponse { title: read.title, text: read.text })
    })
    .await
}
