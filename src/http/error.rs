//! Errors as callers see them: a status and an envelope, as `OpenAI`'s API has it, decided in this one place.

use std::fmt::Display;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{EngineError, ErrorKind};
use crate::model::Stopped;

/// Body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorEnvelope {
    error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// For people; names the remedy.
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
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, param: None, message: message.into() }
    }

    pub(super) fn with_param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// Too many requests are being worked on and wait.
    pub(super) fn overloaded() -> Self {
        let message = "too many requests are waiting already; try again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, message)
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

/// The one code that a client should try again after at once.
const OVERLOADED: &str = "overloaded";

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let status = match error.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Infeasible => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Cancelled => client_closed_request(),
            ErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => return Self::internal(&error.message),
        };
        Self { status, code: error.code, param: error.param.map(Into::into), message: error.message }
    }
}

/// 499, nginx's status for a caller that left before its answer. Only logs ever see it.
pub(super) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let r#type = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let retry = self.code == OVERLOADED;
        let error = ErrorBody { message: self.message, r#type, param: self.param, code: self.code };
        let body = serde_json::to_string(&ErrorEnvelope { error })
            .expect("strings under constant names always have a JSON form");
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], body).into_response();
        if retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
