//! Errors as callers see them: a status and an envelope, as `OpenAI`'s API has it or that of the dialect, decided in this
//! one place.

use std::fmt::Display;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admission::{JobError, MemoryFull, QueueFull};
use crate::engine::{EngineError, ErrorKind, MODEL_LOADING, STORE_AWAY};
use crate::keys::Denied;
use crate::model::Stopped;
use crate::proxy::{ProxyError, StoreError};
use crate::upstream::UpstreamError;
use crate::wire::local::AskError;
use crate::wire::{Dialect, Framing, WireError};

/// Longest wait after which a client is meant to try again by itself.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The time that a caller is told to wait for a model that is being fetched.
const MODEL_WAIT: Duration = Duration::from_secs(5);
/// The time that a caller is told to wait for the database with the collections.
pub(super) const STORE_WAIT: Duration = Duration::from_secs(1);

/// Body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorEnvelope {
    error: ErrorBody,
}

/// The error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// The message for people; names the remedy.
    message: String,
    /// `invalid_request_error` where the caller can mend it, else `server_error`.
    r#type: &'static str,
    /// Field or header of the request that is at fault.
    param: Option<String>,
    /// Stable name.
    code: &'static str,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) param: Option<String>,
    pub(super) message: String,
    /// Time after which the same request may succeed.
    pub(super) retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, param: None, message: message.into(), retry_after: None }
    }

    pub(super) fn with_param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// Too many requests are being worked on and wait.
    pub(super) fn overloaded() -> Self {
        let message = "too many requests are waiting; try again in a moment";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }

    /// The body has more bytes than `key` of the configuration allows.
    pub(super) fn too_large(limit: u64, key: &str) -> Self {
        let message = format!("the body is larger than the limit of {limit} bytes (`{key}`)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// The body took longer than `time`.
    pub(super) fn slow_body(time: Duration) -> Self {
        let message = format!("the body did not arrive within {} ms", time.as_millis());
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    /// The body ended before its end.
    pub(super) fn broken_body(error: &dyn Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_broken", format!("the body broke off: {error}"))
    }

    /// The request ran out of time.
    pub(super) fn deadline() -> Self {
        EngineError::from(Stopped::Deadline).into()
    }

    /// A fault on this side: `detail` goes to the log, never to the caller. It must hold nothing of a prompt.
    pub(super) fn internal(detail: &dyn Display) -> Self {
        tracing::error!(%detail, "internal error");
        let message = "internal error; the server's log says more under this answer's x-request-id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }
}

impl From<QueueFull> for ApiError {
    fn from(_: QueueFull) -> Self {
        Self::overloaded()
    }
}

impl From<MemoryFull> for ApiError {
    fn from(_: MemoryFull) -> Self {
        Self::overloaded()
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Deadline => Self::deadline(),
            JobError::Panicked => Self::internal(&"a request's work panicked"),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        if error.kind == ErrorKind::Internal {
            return Self::internal(&error.message);
        }
        let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let retry_after = match error.code {
            MODEL_LOADING => Some(MODEL_WAIT),
            STORE_AWAY => Some(STORE_WAIT),
            _ => None,
        };
        let param = error.param.map(Into::into);
        Self { param, retry_after, ..Self::new(status, error.code, error.message) }
    }
}

/// A request that failed on a route of a dialect.
pub(super) struct DialectError {
    pub(super) error: ApiError,
    pub(super) dialect: Dialect,
    /// The request's id, which the envelopes of Anthropic and Cohere carry.
    pub(super) request_id: String,
}

impl IntoResponse for DialectError {
    fn into_response(self) -> Response {
        let Self { error, dialect, request_id } = self;
        let body = match dialect {
            Dialect::OpenAi | Dialect::Azure => return error.into_response(),
            Dialect::Anthropic => anthropic_envelope(&error.message, error.status, Some(&request_id)),
            Dialect::Gemini => gemini_envelope(&error.message, error.status),
            Dialect::Ollama => serde_json::json!({ "error": error.message }).to_string(),
            Dialect::Cohere => serde_json::json!({ "id": request_id, "message": error.message }).to_string(),
        };
        rendered(error.status, error.retry_after, body)
    }
}

/// The piece that ends a stream which broke off for the reason `message`: framed as the stream is, with what its dialect
/// says of errors.
pub(super) fn last_event(framing: Framing, dialect: Dialect, message: &str) -> String {
    let status = StatusCode::BAD_GATEWAY;
    let (name, says) = match dialect {
        Dialect::OpenAi | Dialect::Azure => {
            let error = serde_json::json!({"error": {
                "message": message, "type": "server_error", "param": null, "code": "upstream_broken"}});
            (None, error.to_string())
        }
        Dialect::Anthropic => (Some("error"), anthropic_envelope(message, status, None)),
        Dialect::Gemini => (None, gemini_envelope(message, status)),
        Dialect::Ollama => (None, serde_json::json!({ "error": message }).to_string()),
        Dialect::Cohere => {
            let delta = serde_json::json!({"error": message, "finish_reason": "ERROR"});
            let end = serde_json::json!({"type": "message-end", "delta": delta});
            (Some("message-end"), end.to_string())
        }
    };
    match (framing, name) {
        (Framing::Events, Some(name)) => format!("event: {name}\ndata: {says}\n\n"),
        (Framing::Events, None) => format!("data: {says}\n\n"),
        (Framing::Lines | Framing::Whole, _) => format!("{says}\n"),
    }
}

/// Google's envelope of an error.
fn gemini_envelope(message: &str, status: StatusCode) -> String {
    let name = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        501.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    };
    let error = serde_json::json!({"code": status.as_u16(), "message": message, "status": name});
    serde_json::json!({ "error": error }).to_string()
}

/// Anthropic's envelope of an error.
fn anthropic_envelope(message: &str, status: StatusCode, request_id: Option<&str>) -> String {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let error = serde_json::json!({"type": kind, "message": message});
    match request_id {
        Some(id) => serde_json::json!({"type": "error", "error": error, "request_id": id}).to_string(),
        None => serde_json::json!({"type": "error", "error": error}).to_string(),
    }
}

impl From<ProxyError> for ApiError {
    fn from(error: ProxyError) -> Self {
        let (status, code, param) = match &error {
            ProxyError::Denied(denied) => return denied.clone().into(),
            ProxyError::Body(WireError::Encoding(_)) => (StatusCode::BAD_REQUEST, "invalid_utf8", None),
            ProxyError::Body(WireError::Json(_)) => (StatusCode::BAD_REQUEST, "invalid_json", None),
            ProxyError::Body(WireError::Duplicate(key)) => {
                (StatusCode::BAD_REQUEST, "duplicate_key", Some(*key))
            }
            ProxyError::Body(WireError::NoModel) => (StatusCode::BAD_REQUEST, "missing_model", Some("model")),
            ProxyError::Encoding(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", Some("content-encoding"))
            }
            ProxyError::Undecodable { .. } => (StatusCode::BAD_REQUEST, "invalid_encoding", None),
            ProxyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", None),
            ProxyError::Option { param, .. } => (StatusCode::BAD_REQUEST, "invalid_option", Some(*param)),
            ProxyError::RecallOff => (StatusCode::NOT_FOUND, "recall_off", None),
            ProxyError::NoOriginal => (StatusCode::NOT_FOUND, "original_not_found", Some("id")),
            ProxyError::NoUpstreams | ProxyError::NoUpstreamOf(_) => {
                (StatusCode::NOT_FOUND, "no_upstreams", None)
            }
            ProxyError::UnknownModel(_) | ProxyError::UnknownLocal { .. } => {
                (StatusCode::NOT_FOUND, "model_not_found", Some("model"))
            }
            ProxyError::Ask(AskError::Invalid { param, .. }) => {
                (StatusCode::BAD_REQUEST, "invalid_value", Some(*param))
            }
            ProxyError::Ask(AskError::Unsupported { param, .. }) => {
                (StatusCode::BAD_REQUEST, "unsupported_parameter", Some(*param))
            }
            ProxyError::Engine(error) => return error.clone().into(),
            ProxyError::Overloaded(_) | ProxyError::MemoryFull(_) => return Self::overloaded(),
            ProxyError::OtherDialect { .. } => (StatusCode::BAD_REQUEST, "other_dialect", Some("model")),
            ProxyError::UnknownUpstream(_) => (StatusCode::NOT_FOUND, "upstream_not_found", None),
            ProxyError::Upstream(UpstreamError::Path(_)) => (StatusCode::BAD_REQUEST, "invalid_path", None),
            ProxyError::Upstream(UpstreamError::Unreachable { .. }) => {
                (StatusCode::BAD_GATEWAY, "upstream_unreachable", None)
            }
            ProxyError::Upstream(UpstreamError::Late { .. }) => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", None)
            }
            ProxyError::Broken(_) => (StatusCode::BAD_GATEWAY, "upstream_broken", None),
            ProxyError::Ledger(StoreError::Database(_)) => {
                let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, STORE_AWAY, error.to_string());
                return Self { retry_after: Some(STORE_WAIT), ..error };
            }
            ProxyError::Ledger(error) => return Self::internal(error),
            ProxyError::Internal(message) => return Self::internal(message),
        };
        Self { param: param.map(Into::into), ..Self::new(status, code, error.to_string()) }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let (status, code, param) = match &denied {
            Denied::Missing | Denied::Unknown => (StatusCode::UNAUTHORIZED, "invalid_api_key", None),
            Denied::Model(_) => (StatusCode::FORBIDDEN, "model_not_allowed", Some("model")),
            Denied::Unpriced(_) => (StatusCode::FORBIDDEN, "model_without_price", Some("model")),
            Denied::Unread => (StatusCode::FORBIDDEN, "path_not_allowed", None),
            Denied::AdminOnly => (StatusCode::FORBIDDEN, "admin_only", None),
            Denied::Requests { .. } | Denied::Tokens { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", None)
            }
            Denied::Spend { .. } => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", None),
            Denied::Unchecked { .. } => (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", None),
            Denied::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "limits_unavailable", None),
        };
        let error = Self::new(status, code, denied.to_string());
        Self { param: param.map(Into::into), retry_after: denied.wait(), ..error }
    }
}

/// 499, nginx's status for a caller that left before its answer. Only logs ever see it.
pub(super) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let r#type = match self.status.as_u16() {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = ErrorBody { message: self.message, r#type, param: self.param, code: self.code };
        let body = serde_json::to_string(&ErrorEnvelope { error })
            .expect("strings under constant names always have a JSON form");
        rendered(self.status, self.retry_after, body)
    }
}

fn rendered(status: StatusCode, retry_after: Option<Duration>, body: String) -> Response {
    let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
    let headers = response.headers_mut();
    if let Some(wait) = retry_after {
        headers.insert(RETRY_AFTER, (wait.as_secs_f64().ceil().max(1.0) as u64).into());
    }
    if retry_after.is_some_and(|wait| wait > LONGEST_WAIT) {
        // The official clients would not wait as long, and ask again at once.
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}
