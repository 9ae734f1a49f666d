//! Refuses requests that a proxy in front may have understood otherwise (request smuggling).
//!
//! Where two servers in a row disagree on where a request ends or whom it is for, a caller can hide a second one in the
//! first. `hyper` refuses lengths that differ and transfer codings whose last one is not `chunked`. A length beside a
//! transfer coding it takes out of the headers, follows the coding, and closes the connection behind the answer, so
//! that nothing hidden is read. What it lets pass besides is refused here.

use axum::extract::Request;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// Answers a request whose headers can be read in two ways with an error, and closes its connection.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let Err(error) = checked(request.headers()) else { return next.run(request).await };
    let mut response = error.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn checked(headers: &HeaderMap) -> Result<(), ApiError> {
    let invalid = |param: &'static str, message: &'static str| {
        Err(ApiError::new(StatusCode::BAD_REQUEST, "ambiguous_request", message).with_param(param))
    };
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return invalid("host", "the request has more than one Host header; send one");
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !chunked(coding)) || codings.next().is_some() {
        let message = "Transfer-Encoding must be `chunked`, once; send the body so, or with a Content-Length";
        return invalid("transfer-encoding", message);
    }
    Ok(())
}
