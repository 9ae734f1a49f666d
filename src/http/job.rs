//! One blocking call for one request: admitted, given a deadline, run off the async threads, stopped when its caller leaves.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use hyper::body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::body::{self, Bounds, Form};
use super::error::ApiError;
use super::file;
use super::state::AppState;
use crate::admission::Ticket;
use crate::config::Limits;
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;

/// Header by which a caller makes its deadline earlier than the service's.
pub(super) const DEADLINE_HEADER: &str = "x-whittle-deadline-ms";

/// [`run_on`] for a body in JSON.
pub(super) async fn run<W>(state: &AppState, request: Request, work: W) -> Result<Response, ApiError>
where
    W: FnOnce(&Engine, Bytes, &Cancel) -> Result<Response, ApiError> + Send + 'static,
{
    run_on(&[Form::Json], state, request, work).await
}

/// Runs `work` on the request's body, which has one of the forms `taken`; where none is, whatever it has.
pub(super) async fn run_on<W>(
    taken: &[Form],
    state: &AppState,
    request: Request,
    work: W,
) -> Result<Response, ApiError>
where
    W: FnOnce(&Engine, Bytes, &Cancel) -> Result<Response, ApiError> + Send + 'static,
{
    let (times, headers, body) = admit(taken, state, request).await?;
    let bounds = Bounds { time: state.body_time.min(times.allowed), ..state.bounds() };
    let (body, room) = body::read(&headers, body, bounds).await?;
    // Only now, so that slow clients take nobody's place.
    let ticket = state.admission.enter()?;
    blocking(state, (ticket, times.deadline), |engine, cancel| {
        let _room = room;
        work(engine, body, cancel)
    })
    .await
}

/// Runs `work` on the request's body, a file, which may be larger than others. It is kept in what `room` gives, if that
/// does not refuse the request before.
pub(super) async fn run_on_file<W>(
    state: &AppState,
    request: Request,
    room: impl FnOnce(&Engine) -> Result<File, EngineError> + Send + 'static,
    work: W,
) -> Result<Response, ApiError>
where
    W: FnOnce(&Engine, File, &Cancel) -> Result<Response, ApiError> + Send + 'static,
{
    let (times, headers, mut body) = admit(&[Form::File], state, request).await?;
    let limit = state.limits.snapshot_bytes;
    let upload = state.uploads.enter();
    let received = async {
        let upload = upload?;
        let engine = Arc::clone(&state.engine);
        let file = tokio::task::spawn_blocking(move || room(&engine)).await;
        let file = file.map_err(|error| ApiError::internal(&error))??;
        let file = if body.size_hint().lower() > limit {
            None
        } else {
            file::receive(&mut body, file, limit, state.body_time).await?
        };
        let file = file.ok_or_else(|| ApiError::too_large(limit, "limits.snapshot_bytes"))?;
        Ok((file, upload))
    };
    match timeout_at(times.deadline, received).await.unwrap_or_else(|_| Err(ApiError::deadline())) {
        Ok((file, upload)) => {
            let ticket = state.admission.enter()?;
            blocking(state, (ticket, times.deadline), |engine, cancel| {
                // The file is on the disk until it has been worked on.
                let _upload = upload;
                work(engine, file, cancel)
            })
            .await
        }
        Err(error) => {
            body::discard(&headers, body).await;
            Err(error)
        }
    }
}

/// Runs `work` off the async threads once there is a permit for it.
async fn blocking<W>(
    state: &AppState,
    (ticket, deadline): (Ticket, Instant),
    work: W,
) -> Result<Response, ApiError>
where
    W: FnOnce(&Engine, &Cancel) -> Result<Response, ApiError> + Send + 'static,
{
    let engine = Arc::clone(&state.engine);
    ticket.run(deadline, move |cancel| work(&engine, cancel)).await?
}

/// [`run`] for a body in JSON that is answered in JSON.
pub(super) async fn answer<T, R>(
    state: &AppState,
    request: Request,
    work: impl FnOnce(&Engine, T, &Cancel) -> Result<R, EngineError> + Send + 'static,
) -> Result<Response, ApiError>
where
    T: DeserializeOwned,
    R: Serialize,
{
    run(state, request, |engine, body, cancel| {
        let parsed = body::parse(&body)?;
        // It may be large, and what it said is known now.
        drop(body);
        body::render(&work(engine, parsed, cancel)?)
    })
    .await
}

/// The time that a request has.
struct Times {
    allowed: Duration,
    deadline: Instant,
}

/// Decides what can be decided before the body is read.
async fn admit(
    taken: &[Form],
    state: &AppState,
    request: Request,
) -> Result<(Times, HeaderMap, Body), ApiError> {
    let start = Instant::now();
    let (head, body) = request.into_parts();
    let admitted = || {
        if !taken.is_empty() && !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) {
            body::form(&head.headers, taken)?;
        }
        let allowed = allowed_time(&head.headers, &state.limits)?;
        // Whoever would be refused then need not send its body.
        if state.admission.is_full() {
            return Err(ApiError::overloaded());
        }
        Ok(Times { allowed, deadline: start + allowed })
    };
    match admitted() {
        Ok(times) => Ok((times, head.headers, body)),
        Err(error) => {
            body::discard(&head.headers, body).await;
            Err(error)
        }
    }
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
