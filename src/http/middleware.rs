//! The layers around every request: an id, one line in the log, and a guard against panics.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::error::{ApiError, client_closed_request};
use crate::telemetry;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("x-whittle-request-id");
/// Longest id that is taken over from a caller.
const ID_BYTES: usize = 128;
/// Longest part of a path without a route that is logged.
const PATH_CHARS: usize = 100;

/// A request's id, among its extensions.
#[derive(Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    pub(super) fn text(&self) -> String {
        self.0.to_str().unwrap_or_default().to_owned()
    }
}

/// Gives the request an id, which the answer carries, and logs one line when it is over.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut line = Line::begin(&request, id.clone());
    let span = tracing::error_span!("request", id = id.to_str().unwrap_or_default());
    telemetry::continue_trace(&span, (line.method.as_str(), &line.path), request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    telemetry::note_status(&span, response.status().as_u16());
    // An upstream's own id is the one that its support asks for: ours then stands beside it.
    if response.headers().contains_key(REQUEST_ID) {
        response.headers_mut().insert(OWN_REQUEST_ID, id);
    } else {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    line.status = Some(response.status());
    response
}

/// The caller's id where it is harmless, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |id: &&HeaderValue| {
        (1..=ID_BYTES).contains(&id.len())
            && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
    };
    headers.get(&REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(Uuid::now_v7().to_string())
            .expect("a UUID has digits, letters and hyphens alone")
    })
}

/// Routes that load balancers ask several times a second: the log tells what they answer only where it is no success.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The log's line of a request. Written when dropped, so that a caller who leaves is seen too.
struct Line {
    method: Method,
    path: String,
    id: HeaderValue,
    start: Instant,
    status: Option<StatusCode>,
}

impl Line {
    fn begin(request: &Request, id: HeaderValue) -> Self {
        let path = match request.extensions().get::<MatchedPath>() {
            Some(route) => route.as_str().to_owned(),
            None => request.uri().path().chars().take(PATH_CHARS).collect(),
        };
        Self { method: request.method().clone(), path, id, start: Instant::now(), status: None }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let status = self.status.unwrap_or_else(client_closed_request);
        let ms = self.start.elapsed().as_secs_f64() * 1e3;
        let (code, id) = (status.as_u16(), self.id.to_str().unwrap_or_default());
        if status.is_success() && PROBES.contains(&self.path.as_str()) {
            tracing::debug!(method = %self.method, path = self.path, status = code, ms, id, "request");
        } else {
            tracing::info!(method = %self.method, path = self.path, status = code, ms, id, "request");
        }
    }
}

/// The answer where a handler panicked. What the panic said may quote a prompt: it goes nowhere.
pub(super) fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    ApiError::internal(&"a handler panicked").into_response()
}
