//! The faults of a model on another machine.

use std::fmt;
use std::sync::Arc;

/// A server that a model runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteServer {
    /// The section of the configuration: `embedder`, `scorer` or `reranker`.
    pub role: &'static str,
    /// The base URL.
    pub url: Arc<str>,
}

impl fmt::Display for RemoteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} at {}", self.role, self.url)
    }
}

/// An error of asking a model on another machine. Each names the server and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The client cannot be made or the URL cannot be used.
    #[error("{server} cannot be asked: {reason}")]
    Setup {
        /// The server.
        server: RemoteServer,
        /// The cause, and its remedy.
        reason: String,
    },
    /// The connection failed, or broke before the answer was whole.
    #[error("{server} cannot be reached: {reason}; start it, or correct `{role}.url`", role = server.role)]
    Unreachable {
        /// The server.
        server: RemoteServer,
        /// The cause.
        reason: String,
    },
    /// No whole answer came in time.
    #[error("{server} did not answer within {milliseconds} ms; raise `{role}.timeout_ms`, or lower `{role}.batch`", role = server.role)]
    Late {
        /// The server.
        server: RemoteServer,
        /// The time that it had.
        milliseconds: u128,
    },
    /// The server answered with a status that tells of a fault.
    #[error("{server} answered {status}: {message}; {remedy}", remedy = remedy(server.role, *status))]
    Refused {
        /// The server.
        server: RemoteServer,
        /// The status.
        status: u16,
        /// The message of the answer, shortened.
        message: String,
    },
    /// The answer is longer than any right one.
    #[error("{server} answered with more than {most} bytes; check that `{role}.url` and `{role}.kind` go together", role = server.role)]
    TooLong {
        /// The server.
        server: RemoteServer,
        /// The most bytes that a right answer has.
        most: usize,
    },
    /// The answer is not the JSON that the form has.
    #[error("{server} gave no answer of its form: {reason}; check that `{role}.url` and `{role}.kind` go together", role = server.role)]
    Malformed {
        /// The server.
        server: RemoteServer,
        /// The fault and its place.
        reason: String,
    },
    /// The answer has more or fewer results than were asked for.
    #[error("{server} gave {came} results for {sent} texts; lower `{role}.batch`, or report it to the server's maker", role = server.role)]
    Count {
        /// The server.
        server: RemoteServer,
        /// Texts that were sent.
        sent: usize,
        /// Results that came.
        came: usize,
    },
    /// The places of the results are not those of the texts.
    #[error(
        "{server} gave two results for one place, or one for a place that there is not: {index}; report it to the server's maker"
    )]
    Order {
        /// The server.
        server: RemoteServer,
        /// The place.
        index: usize,
    },
    /// A vector has another length than those before it, or than the configured one.
    #[error(
        "{server} gave a vector of {came} values where {wanted} were expected; correct `embedder.dimensions` or `embedder.model`"
    )]
    Dimensions {
        /// The server.
        server: RemoteServer,
        /// The number of values that was expected.
        wanted: usize,
        /// The number that came.
        came: usize,
    },
    /// A vector has no direction: a value that is not finite, or only zeros.
    #[error(
        "{server} gave a vector that is not finite or has the length 0, for text {place}; run its model in f32, or choose another"
    )]
    NoDirection {
        /// The server.
        server: RemoteServer,
        /// The place of the text in the request, from 0.
        place: usize,
    },
    /// The server has another model than the one that is configured, or than it had before.
    #[error("{server} has the model `{found}`, not `{wanted}`; correct `{role}.model`, or start the server with that model; vectors and scores of two models are never mixed", role = server.role)]
    OtherModel {
        /// The server.
        server: RemoteServer,
        /// The model that was expected.
        wanted: String,
        /// The model that it has.
        found: String,
    },
    /// The server read other tokens than were sent.
    #[error(
        "{server} read other tokens than were sent, from place {place}; set `scorer.model` to the model whose vocabulary it has"
    )]
    OtherTokens {
        /// The server.
        server: RemoteServer,
        /// The first place that differs.
        place: usize,
    },
    /// The server gave no likelihood of a token.
    #[error(
        "{server} gave no likelihood of the token at place {place}; use a server that gives those of a prompt (vLLM: `prompt_logprobs`, SGLang: `input_token_logprobs`), without a proxy that leaves them out"
    )]
    NoLikelihood {
        /// The server.
        server: RemoteServer,
        /// The place of the token.
        place: usize,
    },
    /// A score of a text is not finite, or beyond the range of its form.
    #[error(
        "{server} gave a relevance that is not finite or not from 0 to 1, for text {place}; check that `reranker.url` and `reranker.kind` go together"
    )]
    NoRelevance {
        /// The server.
        server: RemoteServer,
        /// The place of the text, or of a part of one, in the call, from 0.
        place: usize,
    },
    /// The text, or what is done with it, is beyond what the server can do.
    #[error("{server} cannot do this: {reason}")]
    Unsupported {
        /// The server.
        server: RemoteServer,
        /// The reason, and its remedy.
        reason: String,
    },
}

impl RemoteError {
    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &RemoteServer {
        match self {
            Self::Setup { server, .. }
            | Self::Unreachable { server, .. }
            | Self::Late { server, .. }
            | Self::Refused { server, .. }
            | Self::TooLong { server, .. }
            | Self::Malformed { server, .. }
            | Self::Count { server, .. }
            | Self::Order { server, .. }
            | Self::Dimensions { server, .. }
            | Self::NoDirection { server, .. }
            | Self::OtherModel { server, .. }
            | Self::OtherTokens { server, .. }
            | Self::NoLikelihood { server, .. }
            | Self::NoRelevance { server, .. }
            | Self::Unsupported { server, .. } => server,
        }
    }

    /// Returns whether the next request is likely to fail as well: the fault is the server's or the configuration's, not
    /// that of one text, and the server does not merely have too much to do.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status, 400 | 413 | 422 | 429),
            Self::NoDirection { .. } | Self::NoRelevance { .. } | Self::Unsupported { .. } => false,
            _ => true,
        }
    }
}

/// Returns what is to be done about a status.
fn remedy(role: &str, status: u16) -> String {
    match status {
        401 | 403 => format!(
            "put the server's key into an environment variable and its name into `{role}.api_key_env`"
        ),
        404 | 405 => format!("correct `{role}.url`, `{role}.kind` or the name of its model"),
        400 | 413 | 422 if role != "scorer" => {
            format!(
                "texts may be too long for the server: set `{role}.max_tokens` below its limit, or lower `{role}.batch`"
            )
        }
        400 | 413 | 422 => format!("the request may be too large for the server: lower `{role}.batch`"),
        429 | 503 => format!("lower `{role}.concurrency`, or try again later"),
        _ => "see the server's log".into(),
    }
}
