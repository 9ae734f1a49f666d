//! Bodies: read within limits of size and time, and parsed with errors that say where.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

use super::error::ApiError;
use crate::engine::collections::files::FileKind;
use crate::engine::shortened;

/// The number of bytes of a rejected body that are still read: closing a connection with unread bytes resets it, and
/// the client may then never see the answer that says why.
const DISCARD_BYTES: usize = 64 << 20;
/// The time limit for reading them.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The format of a body, by its Content-Type.
///
/// That a browser cannot send any of these types to another origin without asking first keeps web pages from calling a
/// service on their reader's machine. `text/plain` alone, one of [`Form::Document`], it would send so, but only by POST:
/// a route that takes it must be a PUT, which a browser always asks leave for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON value.
    Json,
    /// A JSON value a line.
    Lines,
    /// A file that is whittle's own.
    File,
    /// A file that is a document.
    Document(FileKind),
}

impl Form {
    fn of(media_type: &str) -> Option<Self> {
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/jsonl" => Some(Self::Lines),
            "application/octet-stream" => Some(Self::File),
            other => FileKind::of_media_type(other).map(Self::Document),
        }
    }

    /// Returns the format's name and its media types.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("JSON", "application/json"),
            Self::Lines => ("JSONL", "application/x-ndjson"),
            Self::File => ("a file", "application/octet-stream"),
            Self::Document(kind) => (kind.name(), kind.media_type()),
        }
    }
}

/// The form of a body, by its headers, if it is one of `taken`.
pub(super) fn form(headers: &HeaderMap, taken: &[Form]) -> Result<Form, ApiError> {
    let unsupported = |code, message: &str| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message);
    if headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "compressed bodies are not supported: send the body without a Content-Encoding";
        return Err(unsupported("unsupported_content_encoding", message).with_param("content-encoding"));
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let form = Form::of(essence).filter(|form| taken.contains(form)).ok_or_else(|| {
        let (names, types): (Vec<_>, Vec<_>) = taken.iter().map(|form| form.name()).unzip();
        let types = types.join("` or `Content-Type: ");
        let message =
            format!("the body must be {}: send the header `Content-Type: {types}`", names.join(" or "));
        unsupported("unsupported_media_type", &message).with_param("content-type")
    })?;
    // Text in another encoding may well be valid UTF-8 too, and would then be stored as something else.
    let charset =
        parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case("charset"));
    let is_text = matches!(form, Form::Document(kind) if kind.is_utf8());
    if let Some((_, charset)) = charset.filter(|(_, charset)| is_text && !is_utf8(charset)) {
        let charset = shortened(charset);
        let message =
            format!("text in `{charset}` is not read: send it in UTF-8, with `charset=utf-8` or no charset");
        return Err(unsupported("unsupported_charset", &message).with_param("content-type"));
    }
    Ok(form)
}

/// Returns whether text with this charset is UTF-8.
fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim_matches('"');
    ["utf-8", "utf8", "us-ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

/// Reads a body of at most `limit` bytes within `time`.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    time: Duration,
) -> Result<Bytes, ApiError> {
    let declared_too_large = body.size_hint().lower() > limit as u64;
    let too_large = declared_too_large
        || match timeout(time, collect(&mut body, limit)).await {
            Ok(Ok(Some(bytes))) => return Ok(bytes),
            Ok(Ok(None)) => true,
            Ok(Err(error)) => return Err(ApiError::broken_body(&error)),
            Err(_) => false,
        };
    if too_large {
        discard(headers, body).await;
        return Err(ApiError::too_large(limit as u64, "limits.body_bytes"));
    }
    Err(ApiError::slow_body(time))
}

/// The whole body, or none where it is longer than `limit`.
async fn collect(body: &mut Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if data.len() > limit - collected.len() {
                return Ok(None);
            }
            collected.extend_from_slice(&data);
        }
    }
    Ok(Some(collected.into()))
}

/// Reads what is left of a body that is turned away, within reason.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(EXPECT) {
        return; // The client waits for leave to send; reading would give it.
    }
    let rest = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(after) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = after;
        }
    };
    // Nothing hangs on it: the answer is the same however much was read.
    timeout(DISCARD_TIME, rest).await.unwrap_or_default();
}

/// Parses a body. This takes a while for a large one: not for async threads.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let invalid = |code, message| ApiError::new(StatusCode::BAD_REQUEST, code, message);
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("the body is not UTF-8: byte {} begins no character", error.valid_up_to());
        invalid("invalid_utf8", message)
    })?;
    if text.trim_ascii().is_empty() {
        return Err(invalid("empty_body", "the body is empty: send a JSON object".into()));
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        rejected(error.inner(), Some(path).filter(|path| path != "."))
    })?;
    parser.end().map_err(|error| rejected(&error, None))?;
    Ok(parsed)
}

/// Converts a parser's error into an error for the caller. Its text ends in the line and the column.
fn rejected(error: &serde_json::Error, param: Option<String>) -> ApiError {
    let reason = shortened(&error.to_string());
    let (code, message, param) = match error.classify() {
        Category::Data if reason.starts_with("unknown field") => ("unknown_field", reason, param),
        Category::Data => ("invalid_field", reason, param),
        // The path is only how far the parser came: no field is at fault.
        Category::Syntax | Category::Eof | Category::Io => {
            ("invalid_json", format!("the body is not valid JSON: {reason}"), None)
        }
    };
    ApiError { param, ..ApiError::new(StatusCode::BAD_REQUEST, code, message) }
}

/// An answer with `value` as its body.
pub(super) fn render<T: Serialize>(value: &T) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::internal(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
