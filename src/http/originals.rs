//! `GET /v1/originals/{id}`: what a mark in a tool's result stands for, whole or in part.

use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::error::{ApiError, ErrorEnvelope};
use super::extract::PathOf;
use super::proxy::{Sender, gateway};
use super::state::AppState;

/// The route of originals.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/v1/originals/{id}", get(original))
}

/// The part of a text that a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<usize>),
    /// Nothing of the text.
    Outside,
}

/// Returns the original of a tool's result that the caller's key sent and that was folded: the id is in the marks. It takes
/// `proxy.recall.enabled` in the configuration.
#[utoipa::path(get, path = "/v1/originals/{id}", tag = "proxy",
    params(("id" = String, Path, description = "The id that a mark names behind `recall`."),
        ("range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-999`.")),
    responses(
        (status = 200, content((String = "text/plain")), description = "The original."),
        (status = 206, content((String = "text/plain")), description = "The bytes that `Range` asks for."),
        (status = 401, body = ErrorEnvelope, description = "A key is needed, and there is none, or none that holds."),
        (status = 404, body = ErrorEnvelope, description = "The key has no such original, it has expired, or recall is off."),
        (status = 416, body = ErrorEnvelope, description = "The original has no such bytes."),
        (status = 500, body = ErrorEnvelope, description = "A fault on this side."),
        (status = 503, body = ErrorEnvelope, description = "Too many requests wait."),
    ))]
pub(super) async fn original(
    State(state): State<Arc<AppState>>,
    caller: Sender,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // The text of an id never changes.
    let tag = format!("\"{id}\"");
    let caller = caller.as_ref().map(|axum::Extension(caller)| caller);
    let text = gateway(&state)?.original(caller, id).await?;
    let (length, mut described) = (text.len(), described(&tag));
    match asked(&headers, &tag, length) {
        Asked::Whole => Ok((described, text).into_response()),
        Asked::Part(range) => {
            let content_range = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            described.extend(HeaderValue::try_from(content_range).ok().map(|value| (CONTENT_RANGE, value)));
            // It may begin or end within a character.
            let part = text.as_bytes().get(range).unwrap_or_default().to_vec();
            Ok((StatusCode::PARTIAL_CONTENT, described, part).into_response())
        }
        Asked::Outside => {
            let message = format!("the original has {length} bytes, and none of those that `Range` asks for");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message);
            let mut response = error.with_param("range").into_response();
            let content_range = HeaderValue::try_from(format!("bytes */{length}")).ok();
            response.headers_mut().extend(content_range.map(|value| (CONTENT_RANGE, value)));
            Ok(response)
        }
    }
}

/// The headers of a text and of its parts.
fn described(tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    headers
}

/// The part of a text of `length` bytes that `headers` ask for. As HTTP has it, what is no range of bytes counts for
/// nothing, and neither do several ranges at once, which no server need answer.
fn asked(headers: &HeaderMap, tag: &str, length: usize) -> Asked {
    let of_another = headers.get(IF_RANGE).is_some_and(|wanted| wanted.as_bytes() != tag.as_bytes());
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None, false) = (ranges.next(), ranges.next(), of_another) else { return Asked::Whole };
    range.to_str().ok().and_then(|range| parsed(range, length)).unwrap_or(Asked::Whole)
}

/// Reads the value of a `Range` header. None where it is none that is understood.
fn parsed(range: &str, length: usize) -> Option<Asked> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (first.trim(), last.trim()) {
        ("", count) => length.saturating_sub(number(count)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            first..length.min(last.saturating_add(1))
        }
    };
    Some(if range.is_empty() { Asked::Outside } else { Asked::Part(range) })
}

/// A number of bytes, at most the largest that there is. None where `text` is not digits alone.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (range, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=5-", Asked::Part(5..100)),
            ("bytes=-7", Asked::Part(93..100)),
            ("BYTES= 1 - 1 ", Asked::Part(1..2)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=0-99999999999999999999999999", Asked::Part(0..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=100-200", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=99999999999999999999999999-", Asked::Outside),
            ("bytes=9-5", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            assert_eq!(asked(&headers, "\"x\"", 100), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_text_counts_for_nothing() {
        for (tag, expected) in
            [("\"x\"", Asked::Part(0..10)), ("\"y\"", Asked::Whole), ("W/\"x\"", Asked::Whole)]
        {
            let headers = HeaderMap::from_iter([
                (RANGE, "bytes=0-9".parse().unwrap()),
                (IF_RANGE, tag.parse().unwrap()),
            ]);
            assert_eq!(asked(&headers, "\"x\"", 100), expected, "{tag}");
        }
        assert_eq!(asked(&HeaderMap::new(), "\"x\"", 100), Asked::Whole);
    }
}
