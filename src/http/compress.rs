//! `POST /v1/compress`, `POST /v1/recover`, `POST /v1/score` and `POST /v1/score/tokens`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::error::ApiError;
use super::failures::Failures;
use super::state::AppState;
use super::{body, events, job};
use crate::engine::api::{
    CompressRequest, CompressResponse, RecoverRequest, RecoverResponse, ScoreRequest, ScoreResponse,
    TokenScoreRequest, TokenScoreResponse,
};
use crate::model::ReadProgress;

/// Time after which an answer that is not there yet becomes a stream, where the client takes one.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) const ORIGINAL_TOKENS: HeaderName = HeaderName::from_static("x-whittle-original-tokens");
pub(super) const COMPRESSED_TOKENS: HeaderName = HeaderName::from_static("x-whittle-compressed-tokens");

/// Compresses a prompt. Where `Accept` has `text/event-stream`, an answer that takes longer than half a second is a stream:
/// events `progress` with `tokens_read` and `tokens_planned` of the models, then one event `result` with what is else the
/// body, or `error` with what is else the body of an error.
#[utoipa::path(
    post, path = "/v1/compress", tag = "compression", request_body = CompressRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses(
        (status = 200, content(
            (CompressResponse = "application/json"),
            (String = "text/event-stream"),
        ), description = "The compressed prompt, or a stream of progress that ends with it.", headers(
            ("x-whittle-original-tokens" = usize, description = "Tokens of the prompt as it was sent."),
            ("x-whittle-compressed-tokens" = usize, description = "Tokens of the compressed prompt."),
        )),
        Failures,
    )
)]
pub(super) async fn compress(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let takes_events = events::are_wanted(request.headers());
    let progress = ReadProgress::default();
    let job = compressed(state, request, progress.clone());
    if !takes_events {
        return job.await;
    }
    let mut job = Box::pin(job);
    // What is quick, or refused at once, has an answer with a status of its own.
    if let Ok(answer) = timeout(PATIENCE, &mut job).await {
        return answer;
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // The work is stopped where the client left.
        tokio::select! {
            () = sender.closed() => {}
            () = send_progress(job, &progress, &sender) => {}
        }
    });
    Ok(events::answer(receiver))
}

async fn compressed(
    state: Arc<AppState>,
    request: Request,
    progress: ReadProgress,
) -> Result<Response, ApiError> {
    let most_documents = state.limits.documents;
    job::run(&state, request, move |engine, body, cancel| {
        let request: CompressRequest = body::parse(&body)?;
        drop(body);
        check_documents(&request, most_documents)?;
        let answer = engine.compress(request, &cancel.clone().watched_by(progress))?;
        let mut response = body::render(&answer)?;
        let headers = response.headers_mut();
        headers.insert(ORIGINAL_TOKENS, answer.usage.original_tokens.into());
        headers.insert(COMPRESSED_TOKENS, answer.usage.compressed_tokens.into());
        Ok(response)
    })
    .await
}

/// Sends how far `job` is each time that it got further, and its answer at last.
async fn send_progress(
    job: impl Future<Output = Result<Response, ApiError>>,
    progress: &ReadProgress,
    sender: &mpsc::Sender<Event>,
) {
    let (mut job, mut pause, mut last) = (pin!(job), interval(PAUSE), 0);
    let answer = loop {
        tokio::select! {
            answer = &mut job => break answer.into_response(),
            _ = pause.tick() => {}
        }
        let read = progress.read();
        if read == last {
            continue;
        }
        last = read;
        let data = serde_json::json!({ "tokens_read": read, "tokens_planned": progress.planned() });
        let event = Event::default().event("progress").data(data.to_string());
        if sender.send(event).await.is_err() {
            return;
        }
    };
    let name = if answer.status().is_success() { "result" } else { "error" };
    // An answer in JSON has no line breaks, and is in memory as a whole.
    let Ok(body) = to_bytes(answer.into_body(), usize::MAX).await else { return };
    let event = Event::default().event(name).data(String::from_utf8_lossy(&body));
    // The client may be gone; then nobody reads it.
    sender.send(event).await.ok();
}

/// Puts the words of the original back into an answer to a compressed prompt.
#[utoipa::path(
    post, path = "/v1/recover", tag = "compression", request_body = RecoverRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = RecoverResponse, description = "The restored response."), Failures)
)]
pub(super) async fn recover(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: RecoverRequest, _| engine.recover(&request)).await
}

/// Scores a text token by token.
#[utoipa::path(
    post, path = "/v1/score", tag = "compression", request_body = ScoreRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = ScoreResponse, description = "A score for each token."), Failures)
)]
pub(super) async fn score(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: ScoreRequest, cancel| engine.score(&request, cancel)).await
}

/// Scores tokens by their ids, as another whittle does that has its scorer here.
#[utoipa::path(
    post, path = "/v1/score/tokens", tag = "compression", request_body = TokenScoreRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = TokenScoreResponse, description = "A score for each token."), Failures)
)]
pub(super) async fn score_tokens(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: TokenScoreRequest, cancel| {
        engine.score_tokens(request, cancel)
    })
    .await
}

fn check_documents(request: &CompressRequest, most: usize) -> Result<(), ApiError> {
    let count = request.documents.as_ref().map_or(0, Vec::len);
    if count <= most {
        return Ok(());
    }
    let message = format!("{count} documents are more than the limit of {most} (`limits.documents`)");
    let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_documents", message);
    Err(error.with_param("documents"))
}
