//! The check of `Host` and `Origin`, which every route has.
//!
//! A service on a reader's own machine that needs no key is within reach of each web page that the reader opens: by a
//! request to `http://127.0.0.1` from another site, or by a name of the page's own that is made to mean 127.0.0.1 (DNS
//! rebinding), after which its requests are of one origin and no browser asks for leave. The browser names both truthfully,
//! the page in `Origin` and the name that it called in `Host`, so both must be names of this service.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::auth;
use super::state::AppState;

/// Lets a request through that was sent to a host of this service, and by no page of another site.
pub(super) async fn check(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let keyed = state.keys.as_ref().is_some_and(|keys| keys.are_needed());
    match state.hosts.check(request.headers(), request.uri(), keyed) {
        Ok(()) => next.run(request).await,
        Err(error) => auth::refused(request, error).await,
    }
}
