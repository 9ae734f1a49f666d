//! Authentication, which every route asks except those that report the service's health.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::body;
use super::dialects::dialect_at;
use super::error::{ApiError, DialectError};
use super::middleware::RequestId;
use super::proxy::{UPSTREAMS, dialect_of};
use super::state::AppState;
use crate::keys::{Caller, Denied, Purpose, is_secret};
use crate::upstream::{KEY_HEADERS, secret_in, secret_in_query};
use crate::wire::Dialect;

/// Carries a key of whittle where another header carries the upstream's.
const OWN_KEY: HeaderName = HeaderName::from_static("x-whittle-key");

/// Lets a request through that may pass, with its [`Caller`] among its extensions where keys are needed.
pub(super) async fn check(State(state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let Some(keys) = &state.keys else { return next.run(request).await };
    let purpose = match request.uri().path() {
        "/metrics" | "/v1/status" => Purpose::Watch,
        _ => Purpose::Work,
    };
    let entered = keys.enter(secret(&state, &request).as_deref(), purpose).await;
    match entered {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(denied) => turned_away(&state, request, denied).await,
    }
}

async fn turned_away(state: &AppState, request: Request, denied: Denied) -> Response {
    if let Some(gateway) = &state.gateway {
        gateway.denied(&denied);
    }
    refused(request, denied.into()).await
}

/// The answer to a request that is not let in, in the dialect of its route.
pub(super) async fn refused(request: Request, error: ApiError) -> Response {
    let (head, body) = request.into_parts();
    body::discard(&head.headers, body).await;
    let request_id = head.extensions.get::<RequestId>().map(RequestId::text).unwrap_or_default();
    let dialect = dialect_at(&head.method, head.uri.path()).unwrap_or_else(|| dialect_of(&head.headers));
    DialectError { error, dialect, request_id }.into_response()
}

/// Only an administrator, or anybody where nobody needs a key.
pub(super) fn admins_only(caller: Option<&Caller>) -> Result<(), Denied> {
    if caller.is_none_or(Caller::is_admin) { Ok(()) } else { Err(Denied::AdminOnly) }
}

/// The key that a request came with: that of whittle's own header, else one of the usual headers or the query, one in
/// whittle's form before any other.
fn secret<'r>(state: &AppState, request: &'r Request) -> Option<Cow<'r, str>> {
    let headers = request.headers();
    let text = |name: &HeaderName| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    if headers.contains_key(&OWN_KEY) {
        return Some(text(&OWN_KEY).next().map(secret_in).unwrap_or_default().into());
    }
    let names = KEY_HEADERS;
    let of_headers = names.iter().flat_map(text).map(|value| Cow::from(secret_in(value)));
    let mut usual: Vec<Cow<str>> = of_headers.chain(query_key(state, request)).collect();
    let place = usual.iter().position(|secret| is_secret(secret)).unwrap_or(0);
    (place < usual.len()).then(|| usual.swap_remove(place))
}

/// The key in a query, which clients of Gemini may send and no others.
fn query_key<'r>(state: &AppState, request: &'r Request) -> Option<Cow<'r, str>> {
    let query = request.uri().query()?;
    let path = request.uri().path();
    let named = path.strip_prefix(UPSTREAMS).and_then(|rest| rest.split('/').next());
    let dialect = match (named, &state.gateway) {
        (Some(upstream), Some(gateway)) => gateway.dialect_of(upstream).ok(),
        // Several dialects have this path.
        _ if path == "/v1/models" => Some(dialect_of(request.headers())),
        _ => dialect_at(request.method(), path),
    };
    (dialect == Some(Dialect::Gemini)).then(|| secret_in_query(query)).flatten()
}
