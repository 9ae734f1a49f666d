//! The configuration as it is written: every key optional, unknown ones rejected.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

use super::price::Price;
use super::tool_results::ToolResults;
use super::{Device, Precision};
use crate::compress::Method;
use crate::compress::fold::Rule;
use crate::wire::Dialect;

/// One layer: a file, the environment or the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<SocketAddr>,
    pub(super) allow_remote: Option<bool>,
    pub(super) scorer: RawScorer,
    pub(super) embedder: RawEmbedder,
    pub(super) classifier: RawClassifier,
    pub(super) local: RawLocal,
    pub(super) limits: RawLimits,
    pub(super) keys: RawKeys,
    pub(super) proxy: RawProxy,
    pub(super) upstreams: Vec<RawUpstream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawScorer {
    pub(super) model: Option<String>,
    pub(super) device: Option<Device>,
    pub(super) precision: Option<Precision>,
    pub(super) threads: Option<usize>,
    pub(super) cache_bytes: Option<u64>,
    pub(super) kv_cache_bytes: Option<u64>,
    pub(super) disk_cache: Option<bool>,
    pub(super) disk_cache_bytes: Option<u64>,
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
    pub(super) device: Option<Device>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLocal {
    pub(super) enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) body_bytes: Option<usize>,
    pub(super) snapshot_bytes: Option<u64>,
    pub(super) documents: Option<usize>,
    pub(super) tokens: Option<usize>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) concurrency: Option<usize>,
    pub(super) queue: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawKeys {
    pub(super) required: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProxy {
    pub(super) deadline_ms: Option<u64>,
    pub(super) body_memory_bytes: Option<usize>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_days: Option<u64>,
    pub(super) ledger_days: Option<u64>,
    pub(super) compute_price: Option<f64>,
    pub(super) holdout: Option<f64>,
    pub(super) compress: RawCompress,
    pub(super) shadow: RawShadow,
    pub(super) retrieve: RawRetrieve,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRetrieve {
    pub(super) collections: Vec<String>,
    pub(super) banks: Vec<String>,
    pub(super) examples: Option<usize>,
    pub(super) always: Option<bool>,
    pub(super) tokens: Option<usize>,
    pub(super) top_k: Option<usize>,
    pub(super) deadline_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawShadow {
    pub(super) share: Option<f64>,
    pub(super) usd_per_day: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCompress {
    pub(super) enabled: Option<bool>,
    pub(super) method: Option<Method>,
    pub(super) rate: Option<f64>,
    pub(super) min_tokens: Option<usize>,
    pub(super) tool_results: Option<ToolResults>,
    pub(super) fold_without: Vec<Rule>,
    pub(super) fold_min_tokens: Option<usize>,
    pub(super) deadline_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    pub(super) base_url: String,
    pub(super) api_key_env: Option<String>,
    pub(super) models: Option<Vec<String>>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) fallback: Option<String>,
    pub(super) connect_ms: Option<u64>,
    pub(super) first_byte_ms: Option<u64>,
    pub(super) idle_ms: Option<u64>,
    pub(super) retries: Option<u32>,
    #[serde(default)]
    pub(super) prices: Vec<Price>,
}

impl RawConfig {
    /// This layer where it says something, else `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            allow_remote: self.allow_remote.or(below.allow_remote),
            scorer: RawScorer {
                model: self.scorer.model.or(below.scorer.model),
                device: self.scorer.device.or(below.scorer.device),
                precision: self.scorer.precision.or(below.scorer.precision),
                threads: self.scorer.threads.or(below.scorer.threads),
                cache_bytes: self.scorer.cache_bytes.or(below.scorer.cache_bytes),
                kv_cache_bytes: self.scorer.kv_cache_bytes.or(below.scorer.kv_cache_bytes),
                disk_cache: self.scorer.disk_cache.or(below.scorer.disk_cache),
                disk_cache_bytes: self.scorer.disk_cache_bytes.or(below.scorer.disk_cache_bytes),
            },
            embedder: RawEmbedder {
                model: self.embedder.model.or(below.embedder.model),
                threads: self.embedder.threads.or(below.embedder.threads),
                cache_bytes: self.embedder.cache_bytes.or(below.embedder.cache_bytes),
            },
            classifier: RawClassifier {
                model: self.classifier.model.or(below.classifier.model),
                device: self.classifier.device.or(below.classifier.device),
            },
            local: RawLocal { enabled: self.local.enabled.or(below.local.enabled) },
            limits: RawLimits {
                body_bytes: self.limits.body_bytes.or(below.limits.body_bytes),
                snapshot_bytes: self.limits.snapshot_bytes.or(below.limits.snapshot_bytes),
                documents: self.limits.documents.or(below.limits.documents),
                tokens: self.limits.tokens.or(below.limits.tokens),
                deadline_ms: self.limits.deadline_ms.or(below.limits.deadline_ms),
                concurrency: self.limits.concurrency.or(below.limits.concurrency),
                queue: self.limits.queue.or(below.limits.queue),
            },
            keys: RawKeys { required: self.keys.required.or(below.keys.required) },
            proxy: self.proxy.over(&below.proxy),
            // A list cannot be put together from two layers: whoever gives one gives all of it.
            upstreams: if self.upstreams.is_empty() { below.upstreams } else { self.upstreams },
        }
    }
}

impl RawProxy {
    fn over(self, below: &Self) -> Self {
        Self {
            deadline_ms: self.deadline_ms.or(below.deadline_ms),
            body_memory_bytes: self.body_memory_bytes.or(below.body_memory_bytes),
            memory_bytes: self.memory_bytes.or(below.memory_bytes),
            memory_days: self.memory_days.or(below.memory_days),
            ledger_days: self.ledger_days.or(below.ledger_days),
            compute_price: self.compute_price.or(below.compute_price),
            holdout: self.holdout.or(below.holdout),
            compress: RawCompress {
                enabled: self.compress.enabled.or(below.compress.enabled),
                method: self.compress.method.or(below.compress.method),
                rate: self.compress.rate.or(below.compress.rate),
                min_tokens: self.compress.min_tokens.or(below.compress.min_tokens),
                tool_results: self.compress.tool_results.or(below.compress.tool_results),
                fold_without: if self.compress.fold_without.is_empty() {
                    below.compress.fold_without.clone()
                } else {
                    self.compress.fold_without
                },
                fold_min_tokens: self.compress.fold_min_tokens.or(below.compress.fold_min_tokens),
                deadline_ms: self.compress.deadline_ms.or(below.compress.deadline_ms),
            },
            shadow: RawShadow {
                share: self.shadow.share.or(below.shadow.share),
                usd_per_day: self.shadow.usd_per_day.or(below.shadow.usd_per_day),
            },
            retrieve: RawRetrieve {
                collections: if self.retrieve.collections.is_empty() {
                    below.retrieve.collections.clone()
                } else {
                    self.retrieve.collections
                },
                banks: if self.retrieve.banks.is_empty() {
                    below.retrieve.banks.clone()
                } else {
                    self.retrieve.banks
                },
                examples: self.retrieve.examples.or(below.retrieve.examples),
                always: self.retrieve.always.or(below.retrieve.always),
                tokens: self.retrieve.tokens.or(below.retrieve.tokens),
                top_k: self.retrieve.top_k.or(below.retrieve.top_k),
                deadline_ms: self.retrieve.deadline_ms.or(below.retrieve.deadline_ms),
            },
        }
    }
}
