//! The errors of the use cases, each with a stable code for callers.

use std::io;

use crate::model::Stopped;

/// Longest text of a parser's error that is handed on: it may quote a whole document.
const REASON_CHARS: usize = 300;

/// Classes of errors: each door maps a class to its own status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is malformed or contradicts itself (400).
    Invalid,
    /// The resource that the request names does not exist (404).
    NotFound,
    /// The request contradicts what there is already (409).
    Conflict,
    /// The request is larger than a limit (413).
    TooLarge,
    /// The request is well formed but cannot be met (422).
    Infeasible,
    /// The caller left (499).
    Cancelled,
    /// Out of time (504).
    Deadline,
    /// A model or file that is needed cannot be had (503).
    Unavailable,
    /// A defect or fault on this side (500).
    Internal,
}

impl ErrorKind {
    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Infeasible => 422,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Deadline => 504,
        }
    }
}

/// A failed use case.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Class.
    pub kind: ErrorKind,
    /// Stable name, such as `budget_infeasible`.
    pub code: &'static str,
    /// Field of the request that is at fault.
    pub param: Option<&'static str>,
    /// The message for people; names the remedy.
    pub message: String,
}

impl EngineError {
    /// A malformed request.
    pub fn invalid(code: &'static str, param: &'static str, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, code, param: Some(param), message: message.into() }
    }

    /// A request for what lasts, or an engine that should keep it, without a folder for it.
    pub(super) fn no_data_folder(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unavailable, code: "no_data_folder", param: None, message: message.into() }
    }

    /// A request beyond the limit of its documents.
    pub(super) fn too_many_documents(param: &'static str, message: String) -> Self {
        Self { kind: ErrorKind::TooLarge, code: "too_many_documents", param: Some(param), message }
    }

    /// A request whose `what` have more tokens than `most`; in its field `param`, if it is one.
    pub(super) fn too_many_tokens(
        what: &str,
        tokens: usize,
        most: usize,
        param: Option<&'static str>,
    ) -> Self {
        let message = format!("{what} {tokens} tokens; at most {most} are allowed (`limits.tokens`)");
        Self { kind: ErrorKind::TooLarge, code: "too_many_tokens", param, message }
    }

    /// A file could not be worked with: `message` says which and why.
    #[must_use]
    pub fn of_file(error: &io::Error, message: String) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if !matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) {
            return Self::internal(message);
        }
        let message = format!("{message}: make room on the disk and try again");
        Self { kind: ErrorKind::Unavailable, code: "disk_failed", param: None, message }
    }

    /// A fault on this side.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Internal, code: "internal_error", param: None, message: message.into() }
    }
}

impl From<Stopped> for EngineError {
    fn from(stopped: Stopped) -> Self {
        let (kind, code) = match stopped {
            Stopped::Cancelled => (ErrorKind::Cancelled, "cancelled"),
            Stopped::Deadline => (ErrorKind::Deadline, "deadline_exceeded"),
        };
        Self { kind, code, param: None, message: stopped.to_string() }
    }
}

/// Leaves out the middle of a text that is too long to hand on.
#[must_use]
pub fn shortened(text: &str) -> String {
    let half = REASON_CHARS / 2;
    let start = text.char_indices().nth(half).map_or(text.len(), |(at, _)| at);
    let end = text.char_indices().rev().nth(half).map_or(0, |(at, _)| at);
    if start >= end { text.to_owned() } else { format!("{} [...] {}", &text[..start], &text[end..]) }
}
