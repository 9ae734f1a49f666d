//! Logs, to stderr, never with text of a prompt; traces, with the feature `otel`; and what a process takes.

use std::panic::PanicHookInfo;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

#[cfg(feature = "otel")]
mod otel;
#[cfg(not(feature = "otel"))]
mod untraced;

#[cfg(feature = "otel")]
pub(crate) use otel::{Traces, carry_trace, continue_trace, note_status};
#[cfg(not(feature = "otel"))]
pub(crate) use untraced::{Traces, carry_trace, continue_trace, note_status};

/// A stage of a proxied request. Each is a span of its trace.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// The request's body arrives.
    Receive,
    /// The request's texts are compressed.
    Compress,
    /// An attempt to send it to an upstream, until the answer begins.
    Upstream,
    /// The answer's body passes.
    Stream,
}

/// Starts logging: at `info`, or as `WHITTLE_LOG` says (`debug`, `whittle=debug,hyper=warn`), as text or, where
/// `WHITTLE_LOG_FORMAT` is `json`, as JSON lines. What comes back must live as long as there are traces.
///
/// # Errors
/// A variable that cannot be understood, or logging that was started before.
pub(crate) fn init() -> anyhow::Result<Traces> {
    init_at("info")
}

/// Starts logging as [`init`] does, at `level` where `WHITTLE_LOG` says nothing.
///
/// # Errors
/// See [`init`].
pub(crate) fn init_at(level: &str) -> anyhow::Result<Traces> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let directives = set("WHITTLE_LOG").unwrap_or_else(|| level.into());
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        anyhow::anyhow!("the environment variable WHITTLE_LOG is `{directives}`: {error}")
    })?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        // A closed stderr must not bring the service down.
        .log_internal_errors(false);
    let lines = match set("WHITTLE_LOG_FORMAT").as_deref() {
        Some("json") => lines.json().boxed(),
        None | Some("text") => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(colour && set("NO_COLOR").is_none()).boxed()
        }
        Some(other) => anyhow::bail!(
            "the environment variable WHITTLE_LOG_FORMAT is `{other}`: expected `text` or `json`"
        ),
    };
    let traces = Traces::start()?;
    let started = registry().with(lines.with_filter(filter)).with(traces.layer()).try_init();
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(traces)
}

/// Bytes of memory that a process has, where the system tells.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Logs where a panic was. What it says is left out: a failed slice quotes the text that it was cut from.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, thread = std::thread::current().name(), "panic");
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Names of all metrics. Prometheus adds units and `_total`.
pub(crate) mod names {
    /// Answers of upstreams, by upstream and status.
    pub(crate) const ANSWERS: &str = "whittle_upstream_answers";
    /// Requests, by what became of their texts.
    pub(crate) const REQUESTS: &str = "whittle_proxy_requests";
    /// Requests of which a text went on as it was, by reason.
    pub(crate) const FALLBACKS: &str = "whittle_proxy_fallbacks";
    pub(crate) const RETRIEVALS: &str = "whittle_proxy_retrievals";
    /// Tokens of compressed texts, before and after.
    pub(crate) const TOKENS: &str = "whittle_proxy_text_tokens";
    /// Tokens that providers counted, by kind.
    pub(crate) const PROVIDER_TOKENS: &str = "whittle_provider_tokens";
    /// Streams that ended in an error, by upstream.
    pub(crate) const STREAM_ERRORS: &str = "whittle_upstream_stream_errors";
    /// Requests and entries that wait, by queue.
    pub(crate) const DEPTHS: &str = "whittle_queue_depth";
    /// Requests that were turned away for their key, by reason.
    pub(crate) const DENIED: &str = "whittle_denied_requests";
    /// Entries of the ledger that could not be stored.
    pub(crate) const LOST: &str = "whittle_ledger_lost";
    /// Calls of the tool that recalls originals.
    pub(crate) const RECALLS: &str = "whittle_recalls";
    /// Bytes of originals of results, by state.
    pub(crate) const ORIGINALS: &str = "whittle_originals_bytes";
    /// Originals of results that could not be kept.
    pub(crate) const ORIGINALS_LOST: &str = "whittle_originals_lost";
    /// Texts that were looked up in a cache, by cache and outcome.
    pub(crate) const CACHE_LOOKUPS: &str = "whittle_cache_lookups";
    /// The gauge of the size of each cache.
    pub(crate) const CACHE: &str = "whittle_cache";
    /// The gauge of whether the server that replicas share can be used.
    pub(crate) const SHARED_UP: &str = "whittle_shared_up";
    /// Calls of the server that replicas share which failed.
    pub(crate) const SHARED_ERRORS: &str = "whittle_shared_errors";
    /// The gauge of whether the database that holds collections can be used.
    pub(crate) const STORE_UP: &str = "whittle_store_up";
    /// Connections to the database, by state.
    pub(crate) const STORE_CONNECTIONS: &str = "whittle_store_connections";
    /// Requests that wait for a connection to the database.
    pub(crate) const STORE_WAITING: &str = "whittle_store_waiting";
    /// Transactions that failed, by reason.
    pub(crate) const STORE_ERRORS: &str = "whittle_store_errors";
    /// Time of transactions in the database.
    pub(crate) const STORE_TRANSACTIONS: &str = "whittle_store_transaction";
    /// Calls of the database for decisions on texts that failed.
    pub(crate) const DECISION_ERRORS: &str = "whittle_decisions_errors";
    /// The gauge of whether the keys in a database could be looked at last.
    pub(crate) const KEYS_UP: &str = "whittle_keys_up";
    /// Looks at the keys in a database that failed.
    pub(crate) const KEYS_ERRORS: &str = "whittle_keys_errors";
    /// Time of the work on a request's texts.
    pub(crate) const COMPRESSION: &str = "whittle_proxy_compression";
}
