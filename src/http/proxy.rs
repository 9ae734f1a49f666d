//! Requests to the APIs, passed on to the upstreams.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use hyper::body::Body as _;
use tracing::Instrument;

use super::body;
use super::compress::{COMPRESSED_TOKENS, ORIGINAL_TOKENS};
use super::error::{ApiError, DialectError};
use super::extract::{PathOf, QueryOf};
use super::failures::NotSent;
use super::middleware::RequestId;
use super::relay::{Counted, Relay};
use super::state::AppState;
use crate::admission::BodyRoom;
use crate::keys::{Caller, Denied};
use crate::proxy::{
    Gateway, Passthrough, ProxyError, ProxyRequest, ProxyResponse, RequestReport, Retrieval, Status,
    UsageParams, UsageReport,
};
use crate::telemetry::Stage;
use crate::upstream;
use crate::wire::{Address, Dialect, Framing, UsageReader};

const STATUS: HeaderName = HeaderName::from_static("x-whittle-status");
const RETRIEVAL: HeaderName = HeaderName::from_static("x-whittle-retrieval");
const CITATIONS: HeaderName = HeaderName::from_static("x-whittle-citations");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const COHERE_CLIENT: HeaderName = HeaderName::from_static("x-fern-sdk-name");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// Headers that clients of Gemini alone send.
const GEMINI_CLIENT: [HeaderName; 2] = [GOOGLE_KEY, HeaderName::from_static("x-goog-api-client")];

/// Beginning of the paths that name an upstream.
pub(super) const UPSTREAMS: &str = "/upstreams/";

/// The routes of the proxy beside those of the APIs' own.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/usage", get(usage))
        .route("/upstreams/{upstream}/{*path}", any(below))
}

/// A request in `dialect` to a path below the base URL of its clients: an endpoint that is known, or anything else, which
/// passes unread to the first upstream of the dialect.
pub(super) async fn forward(
    State(state): State<Arc<AppState>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    (dialect, path): (Dialect, String),
) -> Result<Response, DialectError> {
    let answered = async {
        let is_post = request.method() == Method::POST;
        if let Some(address) = Address::read(dialect, &path).filter(|_| is_post) {
            return answer(&state, request, address, None, &id).await;
        }
        let gateway = gateway(&state)?;
        let upstream = gateway.upstream_of(dialect)?;
        let outgoing = pass(gateway, request, (upstream, &path), &id).await?;
        Ok(respond(outgoing, dialect))
    };
    answered.await.map_err(|error| DialectError { error, dialect, request_id: id.text() })
}

/// A request to a path below an upstream's name: an endpoint that is known, or anything else, which passes unread.
#[utoipa::path(method(get, post, put, patch, delete), path = "/upstreams/{upstream}/{path}", tag = "proxy",
    params(("upstream" = String, Path, description = "Its name in the configuration."),
        ("path" = String, Path, description = "What is asked of it, below its base URL.")),
    responses((status = 200, body = Object, description = "Whatever the upstream answers."), NotSent))]
pub(super) async fn below(
    State(state): State<Arc<AppState>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, DialectError> {
    let dialect = dialect_of(request.headers());
    // As it was written: what is decoded could not be told from what was not.
    let written = request.uri().path().strip_prefix(UPSTREAMS).unwrap_or_default();
    let (upstream, path) = written.split_at(written.find('/').unwrap_or(written.len()));
    let (upstream, path) = (upstream.to_owned(), path.to_owned());
    let answered = async {
        let gateway = gateway(&state)?;
        let dialect = gateway.dialect_of(&upstream)?;
        let known = Address::read(dialect, &path);
        match known.filter(|_| request.method() == Method::POST) {
            Some(address) => answer(&state, request, address, Some(upstream), &id).await,
            None => pass(gateway, request, (upstream, &path), &id)
                .await
                .map(|outgoing| respond(outgoing, dialect)),
        }
    };
    answered.await.map_err(|error| DialectError { error, dialect, request_id: id.text() })
}

async fn pass(
    gateway: &Gateway,
    request: Request,
    (upstream, path): (String, &str),
    id: &RequestId,
) -> Result<ProxyResponse, ApiError> {
    let (head, body) = request.into_parts();
    let path = format!("{path}{}", query_of(head.uri.query()));
    // An empty body must not be announced as one that arrives in pieces.
    let body = if body.is_end_stream() { upstream::Body::from("") } else { upstream::streamed(body) };
    let (method, headers) = (head.method, head.headers);
    let caller = head.extensions.get().cloned();
    Ok(gateway.pass(Passthrough { id: id.text(), caller, upstream, method, path, headers, body }).await?)
}

async fn answer(
    state: &AppState,
    request: Request,
    address: Address,
    upstream: Option<String>,
    id: &RequestId,
) -> Result<Response, ApiError> {
    let gateway = gateway(state)?;
    let received = Received::new(state, request).await?;
    received.forward(gateway, address, upstream, id).await
}

/// A request whose body is here, as it came, with the room in memory that it takes.
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) room: BodyRoom,
}

impl Received {
    pub(super) async fn new(state: &AppState, request: Request) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let read = body::read(&head.headers, body, state.bounds());
        let (body, room) = read.instrument(Stage::Receive.span()).await?;
        Ok(Self { head, body, room })
    }

    /// Forwards the request to the upstream of that name, or to that of its model.
    pub(super) async fn forward(
        self,
        gateway: &Gateway,
        address: Address,
        upstream: Option<String>,
        id: &RequestId,
    ) -> Result<Response, ApiError> {
        let Self { head, body, room } = self;
        let query = query_of(head.uri.query());
        let (id, caller, headers) = (id.text(), head.extensions.get().cloned(), head.headers);
        let dialect = address.dialect;
        let incoming = ProxyRequest { id, caller, address, upstream, query, headers, body, room };
        Ok(respond(gateway.answer(incoming).await?, dialect))
    }
}

pub(super) fn gateway(state: &AppState) -> Result<&Gateway, ApiError> {
    state.gateway.as_deref().ok_or_else(|| ProxyError::NoUpstreams.into())
}

/// The query string as upstreams get it, with its question mark.
fn query_of(query: Option<&str>) -> String {
    query.map(|query| upstream::query_for_upstream(&format!("?{query}"))).unwrap_or_default()
}

/// Returns the dialect of a client by its headers, for paths that several dialects have: Anthropic's clients always say
/// which version of the API they speak, Gemini's have headers of their own, and Cohere's say what they are.
pub(super) fn dialect_of(headers: &HeaderMap) -> Dialect {
    if headers.contains_key(ANTHROPIC_VERSION) {
        Dialect::Anthropic
    } else if GEMINI_CLIENT.iter().any(|name| headers.contains_key(name)) {
        Dialect::Gemini
    } else if headers.get(COHERE_CLIENT).is_some_and(is_cohere) {
        Dialect::Cohere
    } else {
        Dialect::OpenAi
    }
}

/// Returns whether one of Cohere's clients names itself: `cohere` in Python, `cohere-ai` in TypeScript, and others with
/// the name of their package.
fn is_cohere(name: &HeaderValue) -> bool {
    memchr::memmem::find(name.as_bytes(), b"cohere").is_some()
}

/// The upstream's answer as the client gets it.
fn respond(outgoing: ProxyResponse, dialect: Dialect) -> Response {
    let ProxyResponse { answer, idle, record, report } = outgoing;
    let mut headers = upstream::for_client(&answer.headers);
    let readable = !headers.contains_key(CONTENT_ENCODING);
    let framing = headers.get(CONTENT_TYPE).and_then(|value| Framing::of(value.as_bytes()));
    let framing = framing.filter(|_| readable);
    let events = framing.filter(|framing| *framing != Framing::Whole).map(|framing| (framing, dialect));
    if events.is_some() {
        // Its end may become longer than the upstream said.
        headers.remove(CONTENT_LENGTH);
        headers.entry("x-accel-buffering").or_insert(HeaderValue::from_static("no"));
    }
    describe(&mut headers, &report);
    describe_retrieval(&mut headers, &report);
    let reader = framing.map(|framing| {
        let reader = UsageReader::new(framing);
        if record.wants_text() { reader.with_text() } else { reader }
    });
    let mut response =
        Relay::new(answer.body, idle, events, Some(Counted::new(reader, record))).into_body().into_response();
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

/// Says in headers what was done.
fn describe(headers: &mut HeaderMap, report: &RequestReport) {
    let status = match report.fallback {
        Some(fallback) => format!("{}; reason={}", report.status.name(), fallback.name()),
        None => report.status.name().to_owned(),
    };
    headers.extend(HeaderValue::try_from(status).ok().map(|status| (STATUS, status)));
    if report.status == Status::Compressed {
        headers.insert(ORIGINAL_TOKENS, report.tokens.before.into());
        headers.insert(COMPRESSED_TOKENS, report.tokens.after.into());
    }
}

/// Says which documents stand before the question, if any were to be found.
fn describe_retrieval(headers: &mut HeaderMap, report: &RequestReport) {
    let found = match &report.retrieval {
        Retrieval::None => return,
        Retrieval::Found { documents, examples } => {
            format!("found; documents={documents}; examples={examples}")
        }
        Retrieval::Failed(reason) => format!("failed; reason={reason}"),
    };
    headers.extend(HeaderValue::try_from(found).ok().map(|found| (RETRIEVAL, found)));
    let citations = report.citations.as_ref().and_then(|citations| HeaderValue::try_from(&**citations).ok());
    headers.extend(citations.map(|citations| (CITATIONS, citations)));
}

/// The models of all upstreams of the caller's dialect, and the one in this process, as far as the caller's key may
/// call them. The header `anthropic-version` asks for the form of Anthropic's API, `x-goog-api-key` or
/// `x-goog-api-client` for that of Gemini's, and `x-fern-sdk-name` with `cohere` in it for that of Cohere's.
#[utoipa::path(get, path = "/v1/models", tag = "proxy",
    responses((status = 200, body = Object, description = "The models, in the form of the caller's API."), NotSent))]
pub(super) async fn models(
    state: State<Arc<AppState>>,
    id: Extension<RequestId>,
    request: Request,
) -> Result<Response, DialectError> {
    let dialect = dialect_of(request.headers());
    listed(state, id, request, dialect).await
}

/// One of these models, as the list has it.
#[utoipa::path(get, path = "/v1/models/{call}", tag = "proxy",
    params(("call" = String, Path, description = "The model.")),
    responses((status = 200, body = Object, description = "The model, in the form of the caller's API."), NotSent))]
pub(super) async fn model(
    State(state): State<Arc<AppState>>,
    Extension(id): Extension<RequestId>,
    PathOf(name): PathOf<String>,
    request: Request,
) -> Result<Response, DialectError> {
    let dialect = dialect_of(request.headers());
    let found = async {
        let (caller, headers) = asker(request, dialect);
        let entry = gateway(&state)?.model(dialect, &headers, (caller.as_ref(), &name)).await?;
        Ok(as_json(entry))
    };
    found.await.map_err(|error| DialectError { error, dialect, request_id: id.text() })
}

/// The models of a dialect, in its form.
pub(super) async fn listed(
    State(state): State<Arc<AppState>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    dialect: Dialect,
) -> Result<Response, DialectError> {
    let listed = async {
        let (caller, headers) = asker(request, dialect);
        Ok(as_json(gateway(&state)?.models(dialect, &headers, caller.as_ref()).await?))
    };
    listed.await.map_err(|error| DialectError { error, dialect, request_id: id.text() })
}

/// The sender of a request, where keys are needed, and the headers. Upstreams get a key of Gemini's by its header,
/// wherever it came.
fn asker(request: Request, dialect: Dialect) -> (Option<Caller>, HeaderMap) {
    let (mut head, _) = request.into_parts();
    let key = head.uri.query().filter(|_| dialect == Dialect::Gemini).and_then(upstream::secret_in_query);
    if let Some(mut key) = key.and_then(|key| HeaderValue::try_from(&*key).ok()) {
        key.set_sensitive(true);
        head.headers.entry(GOOGLE_KEY).or_insert(key);
    }
    (head.extensions.remove(), head.headers)
}

fn as_json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], Body::from(text)).into_response()
}

/// The sender of a request, where keys are needed.
pub(super) type Sender = Option<Extension<Caller>>;

/// Returns the usage of requests: all of them for an administrator, the caller's own for any other key.
#[utoipa::path(get, path = "/v1/usage", tag = "proxy", params(UsageParams),
    responses((status = 200, body = UsageReport, description = "Sums, or the requests themselves."), NotSent))]
pub(super) async fn usage(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    QueryOf(mut params): QueryOf<UsageParams>,
) -> Result<Response, ApiError> {
    if let Some(Extension(caller)) = caller.filter(|Extension(caller)| !caller.is_admin()) {
        if params.key.as_ref().is_some_and(|key| key != caller.id()) {
            return Err(Denied::AdminOnly.into());
        }
        params.key = Some(caller.id().to_owned());
    }
    body::render(&gateway(&state)?.usage(params).await?)
}
