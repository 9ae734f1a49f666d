//! The configuration as it is written: every key optional, unknown ones rejected.

use std::net::SocketAddr;

use serde::Deserialize;

use super::Precision;

/// One layer: a file, the environment or the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<SocketAddr>,
    pub(super) allow_remote: Option<bool>,
    pub(super) scorer: RawScorer,
    pub(super) embedder: RawEmbedder,
    pub(super) classifier: RawClassifier,
    pub(super) limits: RawLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawScorer {
    pub(super) model: Option<String>,
    pub(super) precision: Option<Precision>,
    pub(super) threads: Option<usize>,
    pub(super) cache_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmbedder {
    pub(super) model: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) cache_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawClassifier {
    pub(super) model: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) body_bytes: Option<usize>,
    pub(super) documents: Option<usize>,
    pub(super) tokens: Option<usize>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) concurrency: Option<usize>,
    pub(super) queue: Option<usize>,
}

impl RawConfig {
    /// This layer where it says something, else `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            allow_remote: self.allow_remote.or(below.allow_remote),
            scorer: RawScorer {
                model: self.scorer.model.or(below.scorer.model),
                precision: self.scorer.precision.or(below.scorer.precision),
                threads: self.scorer.threads.or(below.scorer.threads),
                cache_bytes: self.scorer.cache_bytes.or(below.scorer.cache_bytes),
            },
            embedder: RawEmbedder {
                model: self.embedder.model.or(below.embedder.model),
                threads: self.embedder.threads.or(below.embedder.threads),
                cache_bytes: self.embedder.cache_bytes.or(below.embedder.cache_bytes),
            },
            classifier: RawClassifier { model: self.classifier.model.or(below.classifier.model) },
            limits: RawLimits {
                body_bytes: self.limits.body_bytes.or(below.limits.body_bytes),
                documents: self.limits.documents.or(below.limits.documents),
                tokens: self.limits.tokens.or(below.limits.tokens),
                deadline_ms: self.limits.deadline_ms.or(below.limits.deadline_ms),
                concurrency: self.limits.concurrency.or(below.limits.concurrency),
                queue: self.limits.queue.or(below.limits.queue),
            },
        }
    }
}
