//! One blocking call for one request: admitted, given a deadline, run off the async threads, stopped when its caller leaves.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::Service;
use super::body;
use super::error::ApiError;
use super::state::{AppState, Ticket};
use crate::config::Limits;
use crate::engine::EngineError;
use crate::model::Cancel;

/// Header by which a caller makes its deadline earlier than the service's.
pub(super) const DEADLINE_HEADER: &str = "x-whittle-deadline-ms";

/// Runs `work` on the request's body. Its place and turn are held until it has ended, even when its caller is told
/// earlier that time is up: the machine is busy until then.
pub(super) async fn run<W>(state: &AppState, request: Request, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(&dyn Service, Bytes, &Cancel) -> Result<Response, ApiError> + Send + 'static,
{
    let start = Instant::now();
    let (head, body) = request.into_parts();
    let (ticket, allowed) = match admit(state, &head.method, &head.headers) {
        Ok(admitted) => admitted,
        Err(error) => {
            body::discard(&head.headers, body).await;
            return Err(error);
        }
    };
    let deadline = start + allowed;
    let time = state.body_time.min(allowed);
    let body = body::read(&head.headers, body, state.limits.body_bytes, time).await?;
    let turn = timeout_at(deadline, state.turn(ticket)).await.map_err(|_| ApiError::deadline())??;

    let cancel = Cancel::at(deadline.into_std());
    // A handler is dropped when its client disconnects: this passes the news on to the blocking work.
    let _guard = cancel.on_drop();
    let service = Arc::clone(&state.service);
    let span = tracing::Span::current();
    let task = tokio::task::spawn_blocking(move || {
        let _held = turn;
        span.in_scope(|| work(&*service, body, &cancel))
    });
    match timeout_at(deadline, task).await {
        Ok(Ok(answer)) => answer,
        // The panic's own text may quote a prompt, so it stays out of the log; the hook has logged where it was.
        Ok(Err(error)) if error.is_panic() => Err(ApiError::internal(&"a request's work panicked")),
        Ok(Err(error)) => Err(ApiError::internal(&error)),
        Err(_) => Err(ApiError::deadline()),
    }
}

/// [`run`] for a body in JSON that is answered in JSON.
pub(super) async fn answer<T, R>(
    state: &AppState,
    request: Request,
    work: impl FnOnce(&dyn Service, T, &Cancel) -> Result<R, EngineError> + Send + 'static,
) -> Result<Response, ApiError>
where
    T: DeserializeOwned,
    R: Serialize,
{
    run(state, request, |service, body, cancel| {
        let parsed = body::parse(&body)?;
        // It may be large, and what it said is known now.
        drop(body);
        body::render(&work(service, parsed, cancel)?)
    })
    .await
}

/// What can be decided before the body is read.
fn admit(state: &AppState, method: &Method, headers: &HeaderMap) -> Result<(Ticket, Duration), ApiError> {
    if !matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
        body::check_headers(headers)?;
    }
    let allowed = allowed_time(headers, &state.limits)?;
    Ok((state.admit()?, allowed))
}

/// The service's deadline, or the caller's where that is earlier.
fn allowed_time(headers: &HeaderMap, limits: &Limits) -> Result<Duration, ApiError> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(limits.deadline()) };
    match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(asked) if asked > 0 => Ok(limits.deadline().min(Duration::from_millis(asked))),
        _ => {
            let message = format!("`{DEADLINE_HEADER}` must be a whole number of milliseconds from 1");
            let error = ApiError::new(StatusCode::BAD_REQUEST, "invalid_deadline", message);
            Err(error.with_param(DEADLINE_HEADER))
        }
    }
}
