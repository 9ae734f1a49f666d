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
use crate::admission::{BodyMemory, BodyRoom, MemoryFull};
use crate::engine::collections::files::FileKind;
use crate::engine::shortened;

/// The number of bytes of a rejected body that are still read: closing a connection with unread bytes resets it, and
/// the client may then never see the answer that says why.
const DISCARD_BYTES: usize = 64 << 20;
/// The time limit for reading them.
const DISCARD_TIME: Duration = Duration::from_secs(10);
/// The time limit for each piece of them: whoever sends nothing waits for the answer, or will not read it.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

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

/// The bounds within which a body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// The most bytes of this body.
    pub(super) bytes: usize,
    /// The time that its client has to send it.
    pub(super) time: Duration,
    /// The memory that it shares with the bodies of other requests.
    pub(super) memory: &'a BodyMemory,
}

/// Reads a body within `bounds`. Gives it with the room that it takes, which holds only what has arrived: a client that
/// says how much it will send, and then does not, keeps nobody out.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    bounds: Bounds<'_>,
) -> Result<(Bytes, BodyRoom), ApiError> {
    let limit = bounds.bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // One that could not be held now is refused before it is sent.
    let refused = if !bounds.memory.fits(announced.min(limit)) {
        Unread::Full(MemoryFull)
    } else if announced > limit {
        Unread::TooLarge
    } else {
        match timeout(bounds.time, collect(&mut body, limit, bounds.memory.room())).await {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(refused)) => refused,
            Err(_) => return Err(ApiError::slow_body(bounds.time)),
        }
    };
    let error = match refused {
        Unread::Broken(error) => return Err(ApiError::broken_body(&error)),
        Unread::TooLarge => ApiError::too_large(limit as u64, "limits.body_bytes"),
        Unread::Full(full) => full.into(),
    };
    discard(headers, body).await;
    Err(error)
}

/// The reason for which a body was not read to its end.
enum Unread {
    Broken(axum::Error),
    TooLarge,
    Full(MemoryFull),
}

/// The whole body, if it is no longer than `limit`, and its room.
async fn collect(body: &mut Body, limit: usize, mut room: BodyRoom) -> Result<(Bytes, BodyRoom), Unread> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Unread::Broken)?.into_data() {
            if data.len() > limit - collected.len() {
                return Err(Unread::TooLarge);
            }
            room.reserve(&mut collected, data.len(), limit).map_err(Unread::Full)?;
            collected.extend_from_slice(&data);
        }
    }
    collected.shrink_to_fit();
    room.shrink(collected.len());
    Ok((collected.into(), room))
}

/// Reads what is left of a body that is turned away, within reason.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(EXPECT) {
        return; // The client waits for leave to send; reading would give it.
    }
    // Nothing hangs on it: the answer is the same however much was read.
    timeout(DISCARD_TIME, drain(&mut body, DISCARD_PAUSE)).await.unwrap_or_default();
}

/// Reads [`DISCARD_BYTES`] of a body, or up to its end, an error, or a `pause` between two pieces.
async fn drain(body: &mut Body, pause: Duration) {
    let mut left = DISCARD_BYTES;
    while let Ok(Some(Ok(frame))) = timeout(pause, body.frame()).await {
        let Some(after) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = after;
    }
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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// Pieces of 16 MiB, as many as it says, and then nothing for ever.
    struct Stalling(usize);

    impl futures_core::Stream for Stalling {
        type Item = Result<Bytes, std::io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Pending };
            self.0 = left;
            Poll::Ready(Some(Ok(Bytes::from(vec![0; 16 << 20]))))
        }
    }

    /// Pieces of a body that can be read without waiting.
    async fn left(mut body: Body) -> usize {
        let mut pieces = 0;
        while let Ok(Some(Ok(_))) = timeout(Duration::from_millis(1), body.frame()).await {
            pieces += 1;
        }
        pieces
    }

    #[tokio::test]
    async fn what_is_turned_away_is_read_while_it_comes_and_within_reason() {
        let mut body = Body::from_stream(Stalling(3));
        drain(&mut body, Duration::from_millis(1)).await;
        assert_eq!(left(body).await, 0, "all that came was read");
        let mut body = Body::from_stream(Stalling(9));
        drain(&mut body, Duration::from_mins(1)).await;
        assert_eq!(left(body).await, 4, "64 MiB were read, and the piece that was one too many");
    }
}
