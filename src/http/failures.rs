//! How routes fail, as `/openapi.json` describes it.

use utoipa::IntoResponses;

use super::error::ErrorEnvelope;

/// The error answers of a route that works on a request.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described, never made")]
pub(super) enum Failures {
    /// The request is malformed or contradicts itself.
    #[response(status = 400)]
    Invalid(ErrorEnvelope),
    /// The resource that the request names does not exist.
    #[response(status = 404)]
    NotFound(ErrorEnvelope),
    /// A resource of that name exists already with other settings.
    #[response(status = 409)]
    Conflict(ErrorEnvelope),
    /// The body did not arrive in time.
    #[response(status = 408)]
    SlowBody(ErrorEnvelope),
    /// The body, the number of documents or the prompt is over a limit.
    #[response(status = 413)]
    TooLarge(ErrorEnvelope),
    /// The body is not declared as what the route takes.
    #[response(status = 415)]
    OtherType(ErrorEnvelope),
    /// The request is well formed but cannot be met: the budget is below what must be kept, or the file cannot be read.
    #[response(status = 422)]
    Infeasible(ErrorEnvelope),
    /// A fault on this side.
    #[response(status = 500)]
    Internal(ErrorEnvelope),
    /// Too many requests wait, or a model cannot be had.
    #[response(status = 503)]
    Unavailable(ErrorEnvelope),
    /// The deadline passed.
    #[response(status = 504)]
    Deadline(ErrorEnvelope),
}

/// The proxy's own error answers, where a request does not reach an upstream, in the dialect of its endpoint. What an
/// upstream answers passes as it comes.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described, never made")]
pub(super) enum NotSent {
    /// The body cannot be read, or asks whittle for what it does not know.
    #[response(status = 400)]
    Invalid(ErrorEnvelope),
    /// A key is needed, and there is none, or none that holds.
    #[response(status = 401)]
    NoKey(ErrorEnvelope),
    /// The key may not call this model.
    #[response(status = 403)]
    Forbidden(ErrorEnvelope),
    /// No upstream has the model.
    #[response(status = 404)]
    NotFound(ErrorEnvelope),
    /// The body did not arrive in time.
    #[response(status = 408)]
    SlowBody(ErrorEnvelope),
    /// The body is over the limit.
    #[response(status = 413)]
    TooLarge(ErrorEnvelope),
    /// The key has had its requests, tokens or dollars.
    #[response(status = 429)]
    Limited(ErrorEnvelope),
    /// The upstream cannot be reached.
    #[response(status = 502)]
    Unreachable(ErrorEnvelope),
    /// Too many bodies are held already.
    #[response(status = 503)]
    Overloaded(ErrorEnvelope),
    /// The upstream did not answer in time.
    #[response(status = 504)]
    Late(ErrorEnvelope),
}
