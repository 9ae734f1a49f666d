//! A replacement for tracing where the feature `otel` is off: trace headers are forwarded like any other.

use hyper::HeaderMap;
use tracing::Span;
use tracing_subscriber::layer::Identity;

use super::Stage;

/// Nothing to export.
pub(crate) struct Traces;

impl Traces {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
    pub(super) fn start() -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "with the feature it is needed")]
    pub(super) fn layer(&self) -> Identity {
        Identity::new()
    }
}

impl Stage {
    /// Returns a disabled span, as nobody would see it.
    #[expect(clippy::unused_self, reason = "with the feature it names the span")]
    pub(crate) fn span(self) -> Span {
        Span::none()
    }
}

pub(crate) fn continue_trace(_: &Span, _: (&str, &str), _: &HeaderMap) {}

pub(crate) fn note_status(_: &Span, _: u16) {}

pub(crate) fn carry_trace(_: &mut HeaderMap) {}
