//! The metrics of the proxy, for Prometheus.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::originals::Sizes;
use super::{Fallback, RequestReport, Retrieval, Status};
use crate::telemetry::names;
use crate::wire::Usage;

type Labels = [(&'static str, String); 2];
type Label = [(&'static str, &'static str); 1];
/// A count of failures.
pub(super) type Failures = Counter;

/// Upper ends of the buckets of times, in seconds.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0];

/// Counters of the proxy.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    answers: Family<Labels, Counter>,
    texts: Family<Label, Counter>,
    fallbacks: Family<Label, Counter>,
    compression: Family<Label, Counter>,
    provider: ProviderMetrics,
    seconds: Histogram,
    depths: Family<Label, Gauge>,
    lost: Counter,
    originals: Family<Label, Gauge>,
    originals_lost: Counter,
    denied: Family<Label, Counter>,
    retrievals: Family<Label, Counter>,
    recalls: Counter,
    decision_failures: Failures,
}

/// How many requests had which outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The number of requests by the name of their status.
    pub statuses: Vec<(&'static str, u64)>,
    /// The number of requests that kept a text, by the name of the reason.
    pub reasons: Vec<(&'static str, u64)>,
}

/// The depth of each queue, and the number of requests dropped so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depths {
    /// Requests whose texts are worked on, or wait for their turn.
    pub(super) compression: usize,
    /// Entries of the ledger that are not on disk yet.
    pub(super) ledger: usize,
    /// Entries that never will be.
    pub(super) lost: u64,
    /// The originals of tools' results.
    pub(super) originals: Sizes,
}

/// The counters of how providers' answers end.
#[derive(Debug, Clone, Default)]
pub(super) struct ProviderMetrics {
    /// Tokens that providers counted.
    tokens: Family<Label, Counter>,
    /// Streams that began with success and ended in an error, by upstream.
    failed_streams: Family<[(&'static str, String); 1], Counter>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let (answers, texts, fallbacks) = (Family::default(), Family::default(), Family::default());
        let (compression, provider) = (Family::default(), ProviderMetrics::default());
        let seconds = Histogram::new(SECONDS);
        registry.register(names::ANSWERS, "Answers of upstreams", Family::clone(&answers));
        registry.register(names::REQUESTS, "Requests by what became of their texts", Family::clone(&texts));
        let retrievals = Family::default();
        registry.register(
            names::RETRIEVALS,
            "Requests by what became of the search for documents",
            Family::clone(&retrievals),
        );
        registry.register(
            names::FALLBACKS,
            "Requests that kept a text, by reason",
            Family::clone(&fallbacks),
        );
        registry.register(names::TOKENS, "Tokens of compressed texts", Family::clone(&compression));
        registry.register(names::PROVIDER_TOKENS, "Tokens that providers counted", provider.tokens.clone());
        registry.register(
            names::STREAM_ERRORS,
            "Streams that ended in an error, or broke off",
            provider.failed_streams.clone(),
        );
        registry.register_with_unit(
            names::COMPRESSION,
            "Time of the work on a request's texts",
            Unit::Seconds,
            seconds.clone(),
        );
        let (depths, lost, denied) = (Family::default(), Counter::default(), Family::default());
        registry.register(
            names::DENIED,
            "Requests turned away for their key, by reason",
            Family::clone(&denied),
        );
        registry.register(names::DEPTHS, "Requests and entries that wait", Family::clone(&depths));
        registry.register(names::LOST, "Entries of the ledger that could not be stored", lost.clone());
        let (originals, originals_lost) = (Family::default(), Counter::default());
        registry.register(
            names::ORIGINALS,
            "Bytes of originals of results, kept and waiting to be",
            Family::clone(&originals),
        );
        registry.register(
            names::ORIGINALS_LOST,
            "Originals of results that could not be kept",
            originals_lost.clone(),
        );
        let (recalls, decision_failures) = (Counter::default(), Failures::default());
        registry.register(
            names::DECISION_ERRORS,
            "Calls of the database for decisions on texts which failed or were not made",
            decision_failures.clone(),
        );
        registry.register(
            names::RECALLS,
            "Calls of the tool that recalls originals, answered by the proxy",
            recalls.clone(),
        );
        Self {
            registry,
            answers,
            texts,
            fallbacks,
            compression,
            provider,
            seconds,
            depths,
            lost,
            originals,
            originals_lost,
            denied,
            retrievals,
            recalls,
            decision_failures,
        }
    }

    /// Returns the counter of calls of the database for decisions that failed.
    pub(super) fn decision_failures(&self) -> Failures {
        self.decision_failures.clone()
    }

    /// Counts an answer and what was done to its request.
    pub(super) fn count(&self, upstream: &str, status: u16, report: &RequestReport) {
        let labels = [("upstream", upstream.to_owned()), ("status", status.to_string())];
        self.answers.get_or_create(&labels).inc();
        self.texts.get_or_create(&[("outcome", report.status.name())]).inc();
        if let Some(fallback) = report.fallback {
            self.fallbacks.get_or_create(&[("reason", fallback.name())]).inc();
        }
        if report.status == Status::Compressed {
            self.compression.get_or_create(&[("side", "before")]).inc_by(report.tokens.before as u64);
            self.compression.get_or_create(&[("side", "after")]).inc_by(report.tokens.after as u64);
        }
        let retrieval = match report.retrieval {
            Retrieval::None => None,
            Retrieval::Found { documents: 0, examples: 0 } => Some("nothing"),
            Retrieval::Found { .. } => Some("found"),
            Retrieval::Failed(_) => Some("failed"),
        };
        if let Some(decision) = retrieval {
            self.retrievals.get_or_create(&[("outcome", decision)]).inc();
        }
        if report.time > Duration::ZERO {
            self.seconds.observe(report.time.as_secs_f64());
        }
    }

    /// Returns the number of requests by status, and by the reason why a text was kept.
    pub(super) fn outcomes(&self) -> Outcomes {
        let count = |family: &Family<Label, Counter>, label: &'static str, name: &'static str| {
            family.get(&[(label, name)]).map(|counter| (name, counter.get()))
        };
        let statuses = Status::ALL.iter().filter_map(|status| count(&self.texts, "outcome", status.name()));
        let reasons =
            Fallback::ALL.iter().filter_map(|reason| count(&self.fallbacks, "reason", reason.name()));
        Outcomes { statuses: statuses.collect(), reasons: reasons.collect() }
    }

    /// Counts a request that was turned away for its key.
    pub(super) fn deny(&self, reason: &'static str) {
        self.denied.get_or_create(&[("reason", reason)]).inc();
    }

    /// Returns the counter of calls of the tool that recalls originals.
    pub(super) fn recalls(&self) -> Counter {
        self.recalls.clone()
    }

    pub(super) fn provider(&self) -> ProviderMetrics {
        self.provider.clone()
    }

    /// All of them in the text form of `OpenMetrics`, without the mark of the end, with how many wait now.
    pub(super) fn render(&self, depths: &Depths) -> String {
        let depth = |queue, depth: usize| {
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.depths.get_or_create(&[("queue", queue)]).set(depth);
        };
        depth("compression", depths.compression);
        depth("ledger", depths.ledger);
        let lost = depths.lost.saturating_sub(self.lost.get());
        self.lost.inc_by(lost);
        let Sizes { kept, waiting, lost } = depths.originals;
        for (state, bytes) in [("kept", kept), ("waiting", waiting as u64)] {
            self.originals.get_or_create(&[("state", state)]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        self.originals_lost.inc_by(lost.saturating_sub(self.originals_lost.get()));
        let mut text = String::new();
        // Writing to a string cannot fail.
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

impl ProviderMetrics {
    /// Counts a stream of `upstream` that ended in an error.
    pub(super) fn count_failed_stream(&self, upstream: &str) {
        self.failed_streams.get_or_create(&[("upstream", upstream.to_owned())]).inc();
    }

    /// Counts what one answer said.
    pub(super) fn count(&self, usage: Usage) {
        let Usage { input, output, cache_read, cache_write } = usage;
        for (kind, tokens) in
            [("input", input), ("output", output), ("cache_read", cache_read), ("cache_write", cache_write)]
        {
            self.tokens.get_or_create(&[("kind", kind)]).inc_by(tokens);
        }
    }
}
