//! `/v1/collections`: documents that last, and search in them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::{self, Form};
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::failures::Failures;
use super::job;
use super::state::AppState;
use crate::engine::collections::api::{
    CollectionInfo, CollectionList, CreateRequest, DeleteRequest, DeleteResponse, DocumentInfo, DocumentPage,
    ImportOptions, OnBad, SearchRequest, SearchResponse, SourceFile, UpsertRequest, UpsertResponse,
};
use crate::engine::collections::files::FileKind;
use crate::engine::{Engine, shortened};
use crate::model::Cancel;

/// The routes of collections.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/collections", get(list))
        .route("/v1/collections/{name}", put(create).get(describe).delete(remove))
        .route("/v1/collections/{name}/documents", post(upsert).get(documents))
        .route("/v1/collections/{name}/documents/{*id}", get(document).put(put_file).delete(delete_document))
        .route("/v1/collections/{name}/delete", post(delete_documents))
        .route("/v1/collections/{name}/search", post(search))
}

/// All collections.
#[utoipa::path(get, path = "/v1/collections", tag = "retrieval",
    responses((status = 200, body = CollectionList, description = "All collections."), Failures))]
pub(super) async fn list(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    job::run(&state, request, |engine, _, _| body::render(&engine.collections().list()?)).await
}

/// Makes a collection, unless there is one with these settings already.
#[utoipa::path(put, path = "/v1/collections/{name}", tag = "retrieval", request_body = CreateRequest,
    params(("name" = String, Path, description = "1 to 64 of a-z, 0-9, - and _.")),
    responses(
        (status = 201, body = CollectionInfo, description = "It was made."),
        (status = 200, body = CollectionInfo, description = "There is one with these settings already."),
        Failures,
    ))]
pub(super) async fn create(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, body, _| {
        let (info, new) = engine.collections().create(&name, body::parse(&body)?)?;
        let status = if new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, body::render(&info)?).into_response())
    })
    .await
}

/// Describes a collection.
#[utoipa::path(get, path = "/v1/collections/{name}", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the collection.")),
    responses((status = 200, body = CollectionInfo, description = "The collection."), Failures))]
pub(super) async fn describe(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| body::render(&engine.collections().get(&name)?)).await
}

/// Removes a collection with all that is in it.
#[utoipa::path(delete, path = "/v1/collections/{name}", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the collection.")),
    responses((status = 204, description = "It is gone."), Failures))]
pub(super) async fn remove(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| {
        engine.collections().delete(&name)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// The query parameters of an import of documents in JSONL.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// The treatment of a line that is no document; for JSONL alone. `refuse`, the default, stores nothing; `skip`
    /// stores the rest and names the line in `bad`.
    on_bad: Option<OnBad>,
    /// Whether to score the chunks, like `score` in JSON; for JSONL alone.
    score: Option<bool>,
}

/// Stores documents. Once this answers they survive a crash.
///
/// JSON is stored as a whole or not at all. JSONL, a document a line, is stored in batches once all lines are found
/// good or `on_bad` is `skip`; if that breaks off, such as at the deadline, what is stored stays, and sending the same
/// again goes on from there.
#[utoipa::path(post, path = "/v1/collections/{name}/documents", tag = "retrieval",
    request_body(content((UpsertRequest = "application/json"), (String = "application/x-ndjson"))),
    params(("name" = String, Path, description = "Name of the collection."), ImportQuery),
    responses((status = 200, body = UpsertResponse, description = "What became of them."), Failures))]
pub(super) async fn upsert(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    QueryOf(ImportQuery { on_bad, score }): QueryOf<ImportQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    if body::form(request.headers(), &[Form::Lines]).is_ok() {
        let options = ImportOptions { on_bad: on_bad.unwrap_or_default(), score: score.unwrap_or_default() };
        let work = move |engine: &Engine, body: Bytes, cancel: &Cancel| {
            body::render(&engine.collections().import(&name, &body, options, cancel)?)
        };
        return job::run_on(&[Form::Lines], &state, request, work).await;
    }
    job::run_on(&[Form::Json, Form::Lines], &state, request, move |engine, body, cancel| {
        if on_bad.is_some() || score.is_some() {
            let message =
                "`on_bad` and `score` in the query are for JSONL: in JSON, `score` is a field of the body";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message));
        }
        let parsed: UpsertRequest = body::parse(&body)?;
        // It may be large, and what it said is known now.
        drop(body);
        body::render(&engine.collections().upsert(&name, parsed, cancel)?)
    })
    .await
}

/// The query parameters of a page of documents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next` of the page before; 0 for the first.
    pub(super) from: u64,
    /// Most documents, 1 to 1,000.
    pub(super) limit: usize,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { from: 0, limit: 100 }
    }
}

/// Documents in the order in which they were stored, page by page.
#[utoipa::path(get, path = "/v1/collections/{name}/documents", tag = "retrieval",
    params(("name" = String, Path, description = "Name of the collection."), PageQuery),
    responses((status = 200, body = DocumentPage, description = "Some documents."), Failures))]
pub(super) async fn documents(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    QueryOf(page): QueryOf<PageQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| {
        body::render(&engine.collections().documents(&name, page.from, page.limit)?)
    })
    .await
}

/// A document.
#[utoipa::path(get, path = "/v1/collections/{name}/documents/{id}", tag = "retrieval",
    params(
        ("name" = String, Path, description = "Name of the collection."),
        ("id" = String, Path, description = "Id of the document."),
    ),
    responses((status = 200, body = DocumentInfo, description = "The document."), Failures))]
pub(super) async fn document(
    State(state): State<Arc<AppState>>,
    PathOf((name, id)): PathOf<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| body::render(&engine.collections().document(&name, &id)?))
        .await
}

/// The query parameters of storing a file.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FileQuery {
    /// Searched for as the text is; by default the title that the file itself has.
    title: Option<String>,
    /// Free data, which filters look at: a JSON object.
    metadata: Option<String>,
    /// Whether to score the chunks, like `score` in the JSON of `POST /v1/collections/{name}/documents`.
    score: bool,
    /// Whether navigation, notices about cookies and footers of an HTML page are kept.
    whole: bool,
}

/// Stores a file as a document, in the place of the one with its id, if there is one.
///
/// The body is the file as it is: text, Markdown, code, HTML, CSV or TSV in UTF-8, or a PDF, DOCX, XLSX, ODS, PPTX, EPUB
/// or EML. All but text, Markdown and code are made Markdown, with their headings and tables and a heading for each page,
/// sheet or slide, by a process of its own; one file takes it a minute and 1 GB of memory at most. Once this answers the
/// document survives a crash.
#[utoipa::path(put, path = "/v1/collections/{name}/documents/{id}", tag = "retrieval",
    request_body(content(
        (String = "text/plain"), (String = "text/markdown"), (String = "text/x-source"), (String = "text/html"),
        (Vec<u8> = "application/pdf"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"), (String = "text/csv"),
        (String = "text/tab-separated-values"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (Vec<u8> = "application/vnd.oasis.opendocument.spreadsheet"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        (Vec<u8> = "application/epub+zip"), (Vec<u8> = "message/rfc822"),
    )),
    params(
        ("name" = String, Path, description = "Name of the collection."),
        ("id" = String, Path, description = "Id of the document, 1 to 512 bytes."),
        FileQuery,
    ),
    responses((status = 200, body = UpsertResponse, description = "What became of it."), Failures))]
pub(super) async fn put_file(
    State(state): State<Arc<AppState>>,
    PathOf((name, id)): PathOf<(String, String)>,
    QueryOf(FileQuery { title, metadata, score, whole }): QueryOf<FileQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    let forms = FileKind::ALL.map(Form::Document);
    let form = body::form(request.headers(), &forms);
    job::run_on(&forms, &state, request, move |engine, body, cancel| {
        let Form::Document(kind) = form? else {
            return Err(ApiError::internal(&"a form that is no document's"));
        };
        let invalid = |code, message: &str| ApiError::new(StatusCode::BAD_REQUEST, code, message);
        if body.is_empty() {
            return Err(invalid("empty_body", "the body is empty: send the file as the body"));
        }
        let metadata = metadata.map_or(Ok(serde_json::Map::new()), |json| serde_json::from_str(&json));
        let metadata = metadata.map_err(|error| {
            let reason = shortened(&error.to_string());
            invalid("invalid_query", &format!("`metadata` must be a JSON object: {reason}"))
                .with_param("metadata")
        })?;
        let file = SourceFile { id, kind, whole, bytes: &body, title, metadata, score };
        body::render(&engine.collections().put_file(&name, file, cancel)?)
    })
    .await
}

/// Removes a document.
#[utoipa::path(delete, path = "/v1/collections/{name}/documents/{id}", tag = "retrieval",
    params(
        ("name" = String, Path, description = "Name of the collection."),
        ("id" = String, Path, description = "Id of the document."),
    ),
    responses((status = 200, body = DeleteResponse, description = "It is gone."), Failures))]
pub(super) async fn delete_document(
    State(state): State<Arc<AppState>>,
    PathOf((name, id)): PathOf<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, move |engine, _, _| {
        body::render(&engine.collections().delete_document(&name, &id)?)
    })
    .await
}

/// Removes documents by id or by metadata, all or none.
#[utoipa::path(post, path = "/v1/collections/{name}/delete", tag = "retrieval", request_body = DeleteRequest,
    params(("name" = String, Path, description = "Name of the collection.")),
    responses((status = 200, body = DeleteResponse, description = "They are gone."), Failures))]
pub(super) async fn delete_documents(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let work = move |engine: &Engine, request: DeleteRequest, _: &Cancel| {
        engine.collections().delete_documents(&name, request)
    };
    job::answer(&state, request, work).await
}

/// The chunks of a collection that answer a query best.
#[utoipa::path(post, path = "/v1/collections/{name}/search", tag = "retrieval", request_body = SearchRequest,
    params(("name" = String, Path, description = "Name of the collection.")),
    responses((status = 200, body = SearchResponse, description = "The best chunks, best first."), Failures))]
pub(super) async fn search(
    State(state): State<Arc<AppState>>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let work = move |engine: &Engine, request: SearchRequest, cancel: &Cancel| {
        engine.collections().search(&name, &request, cancel)
    };
    job::answer(&state, request, work).await
}
