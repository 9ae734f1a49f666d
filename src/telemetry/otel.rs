//! Traces: a request's span continues its caller's trace, the stages are spans below it, what goes to an upstream carries
//! the trace on, and all of it is exported by OTLP over HTTP, where the environment names a collector.

use std::collections::HashMap;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::Stage;

/// Either names the collector; the first one is the address of all signals, without the path of traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// The headers of W3C's Trace Context.
const HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// Exports what is left of the traces when dropped.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to export, where the environment names a collector.
    pub(super) fn start() -> anyhow::Result<Self> {
        let set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let Some(name) = ENDPOINTS.iter().find(|name| set(name)) else { return Ok(Self(None)) };
        // Installing it a second time fails, and the first one serves.
        rustls::crypto::ring::default_provider().install_default().ok();
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build();
        let exporter = exporter
            .map_err(|error| anyhow::anyhow!("cannot export traces to what {name} names: {error}"))?;
        let resource = Resource::builder();
        let named = set(&"OTEL_SERVICE_NAME");
        let resource = if named { resource } else { resource.with_service_name("whittle") }.build();
        let provider =
            SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Ok(Self(Some(provider)))
    }

    /// Returns the layer that hands the spans of this crate to the exporter.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer("whittle");
        let layer =
            tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        Some(layer.with_filter(filter_fn(|metadata| {
            metadata.is_span() && metadata.target().starts_with(env!("CARGO_PKG_NAME"))
        })))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

impl Stage {
    /// A span below the current one.
    pub(crate) fn span(self) -> Span {
        match self {
            Self::Receive => tracing::error_span!("receive"),
            Self::Compress => tracing::error_span!("compress"),
            Self::Upstream => tracing::error_span!("upstream", otel.kind = "client"),
            Self::Stream => tracing::error_span!("stream"),
        }
    }
}

/// Makes `span`, which is that of a request, go on with the trace that its headers tell of.
pub(crate) fn continue_trace(span: &Span, (method, route): (&str, &str), headers: &HeaderMap) {
    let text = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.to_owned()));
    let told: HashMap<String, String> = HEADERS.into_iter().filter_map(text).collect();
    // Without an exporter there is no trace to go on with.
    span.set_parent(TraceContextPropagator::new().extract(&told)).unwrap_or_default();
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
}

/// Notes the status that a request was answered with.
pub(crate) fn note_status(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
}

/// Puts the trace of the current span in the place of the caller's, where there is one.
pub(crate) fn carry_trace(headers: &mut HeaderMap) {
    let mut told = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut told);
    if told.is_empty() {
        return;
    }
    for name in HEADERS.map(HeaderName::from_static) {
        let value = told.get(name.as_str()).filter(|value| !value.is_empty());
        match value.and_then(|value| HeaderValue::try_from(value).ok()) {
            Some(value) => _ = headers.insert(name, value),
            None => _ = headers.remove(name),
        }
    }
}
