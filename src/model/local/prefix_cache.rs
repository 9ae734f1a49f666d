//! The prefix cache: attention keys and values of texts that others were scored after.
//!
//! Scoring a question after a document costs the document's forward pass, unless its keys and values are cached. In 8
//! bits they take about 12 KB a token with the default model. The positions that the next part of a long text sees are
//! held in this format, too. It is the format in which attention uses keys and values, so a score is the same, bit for
//! bit, whether they were cached or computed. The least recently used entry is evicted first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rayon::prelude::*;

use super::attention::Heads;
use super::causal::{KvCache, LlamaConfig};
use super::int8::GROUP;
use crate::kernels::Isa;
use crate::model::Precision;
use crate::model::cached::CacheStatistics;

/// The bytes that an entry takes besides its keys and values.
const OVERHEAD: usize = 256;

/// A cache of keys and values by the text that they belong to, bounded in bytes.
pub(crate) struct PrefixCache {
    texts: Cache<[u8; 32], Arc<CachedKv>>,
    format: KvFormat,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Keys and values of one text.
pub(crate) enum CachedKv {
    /// The keys and values in 32-bit floats, as they were computed.
    F32(KvCache),
    /// The keys and values in 8 bits, as attention uses them.
    Int8 {
        /// Layer by layer, position by position: keys, then values.
        values: Vec<i8>,
        /// Largest magnitude of each group of keys and of each head's values, in the same order.
        absmax: Vec<f32>,
        format: KvFormat,
    },
}

/// The format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KvFormat {
    layers: usize,
    heads: Heads,
    precision: Precision,
}

impl KvFormat {
    /// Returns the format that attention uses in a model of these sizes.
    pub(crate) fn new(config: &LlamaConfig, precision: Precision) -> Self {
        let precision = config.heads.precision(precision);
        Self { layers: config.layers, heads: config.heads, precision }
    }

    /// Converts keys and values to this format, in parallel.
    pub(crate) fn quantize(self, cache: KvCache) -> CachedKv {
        if self.precision == Precision::F32 {
            return CachedKv::F32(cache);
        }
        let (isa, lengths) = (Isa::detect(), self.lengths().collect::<Vec<_>>());
        let layer = |layer: usize| {
            let rows = cache.layer(layer);
            let (mut values, mut absmax) = (vec![0; rows.len()], Vec::new());
            let mut start = 0;
            for &length in lengths.iter().cycle().take(cache.len() * lengths.len()) {
                let group = start..start + length;
                start = group.end;
                absmax.push(isa.quantise(&rows[group.clone()], &mut values[group]));
            }
            (values, absmax)
        };
        let layers: Vec<_> = (0..self.layers).into_par_iter().map(layer).collect();
        let (values, absmax): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        CachedKv::Int8 { values: values.concat(), absmax: absmax.concat(), format: self }
    }

    /// Returns the lengths of the parts of a row that have scales of their own: groups of keys, then each head's values.
    fn lengths(self) -> impl Iterator<Item = usize> {
        let Heads { keys, width, .. } = self.heads;
        let groups = std::iter::repeat_n(GROUP, keys * width / GROUP);
        groups.chain(std::iter::repeat_n(width, keys))
    }
}

impl CachedKv {
    /// Converts the entry into the floats that a forward pass takes. To quantise them again gives the same integers
    /// and scales: the largest magnitude of each group is exact, and so is its scale.
    pub(crate) fn dequantize(&self) -> KvCache {
        let (values, absmax, format) = match self {
            Self::F32(cache) => return cache.clone(),
            Self::Int8 { values, absmax, format } => (values, absmax, format),
        };
        let lengths = format.lengths().collect::<Vec<_>>();
        let layer = |(values, absmax): (&[i8], &[f32])| {
            let mut floats = Vec::with_capacity(values.len());
            let mut rest = values;
            for (&absmax, &length) in absmax.iter().zip(lengths.iter().cycle()) {
                let (group, others) = rest.split_at(length);
                rest = others;
                floats.extend(group.iter().map(|&q| match q {
                    127 => absmax,
                    -127 => -absmax,
                    q => f32::from(q) * (absmax / 127.0),
                }));
            }
            floats
        };
        let layers = values.par_chunks(values.len() / format.layers);
        let layers = layers.zip(absmax.par_chunks(absmax.len() / format.layers)).map(layer).collect();
        KvCache::from_layers(layers, format.heads)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(cache) => cache.bytes(),
            Self::Int8 { values, absmax, .. } => values.len() + size_of_val(&absmax[..]),
        }
    }
}

impl PrefixCache {
    /// Creates a cache of at most `bytes`; it stays empty where that is 0.
    pub(crate) fn new(format: KvFormat, bytes: u64) -> Self {
        let weight =
            |_: &[u8; 32], kept: &Arc<CachedKv>| u32::try_from(OVERHEAD + kept.bytes()).unwrap_or(u32::MAX);
        Self {
            texts: Cache::builder()
                .max_capacity(bytes)
                .weigher(weight)
                // The next question is about what was asked about last, however often others were.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            format,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Returns the entry for a text, where there is one, and counts the hit or miss.
    pub(crate) fn get(&self, ids: &[u32]) -> Option<Arc<CachedKv>> {
        let kept = self.texts.get(&key(ids));
        let count = if kept.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Adds the keys and values that a pass computed for a text.
    pub(crate) fn put(&self, ids: &[u32], cache: KvCache) {
        self.texts.insert(key(ids), Arc::new(self.format.quantize(cache)));
    }

    /// Returns the format of the entries.
    pub(crate) fn format(&self) -> KvFormat {
        self.format
    }

    /// Returns whether the cache may hold anything.
    pub(crate) fn is_enabled(&self) -> bool {
        self.texts.policy().max_capacity() != Some(0)
    }

    /// Returns the hits and misses since the start, and the size in bytes.
    pub(crate) fn statistics(&self) -> CacheStatistics {
        self.texts.run_pending_tasks();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            kept: 0,
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.texts.weighted_size(),
        }
    }
}

fn key(ids: &[u32]) -> [u8; 32] {
    *blake3::hash(bytemuck::cast_slice(ids)).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::local::int8::tests::numbers;

    const CONFIG: LlamaConfig = LlamaConfig {
        layers: 2,
        width: 256,
        heads: Heads { queries: 2, keys: 2, width: 128 },
        ..LlamaConfig::TINY
    };

    fn cache(positions: usize, seed: u32) -> KvCache {
        let rows = |layer| numbers(positions * CONFIG.heads.keys_and_values(), seed + layer);
        KvCache::from_layers((0..2).map(rows).collect(), CONFIG.heads)
    }

    #[test]
    fn what_is_kept_in_8_bits_is_the_same_again_and_again() {
        let format = KvFormat::new(&CONFIG, Precision::Int8);
        let cache = cache(5, 1);
        let CachedKv::Int8 { values, absmax, .. } = format.quantize(cache.clone()) else {
            panic!("not in 8 bits")
        };
        let dequantized =
            CachedKv::Int8 { values: values.clone(), absmax: absmax.clone(), format }.dequantize();
        assert_eq!(dequantized.len(), 5);
        for layer in 0..2 {
            let pairs = cache.layer(layer).iter().zip(dequantized.layer(layer));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 0.5 / 127.0 + 1e-6));
        }
        let CachedKv::Int8 { values: again, absmax: same, .. } = format.quantize(dequantized) else {
            unreachable!()
        };
        assert!(again == values && same == absmax);
    }

    #[test]
    fn floats_are_kept_as_they_are() {
        let cache = cache(3, 9);
        assert_eq!(KvFormat::new(&CONFIG, Precision::F32).quantize(cache.clone()).dequantize(), cache);
    }

    #[test]
    fn the_limit_of_bytes_holds_and_none_is_none() {
        let format = KvFormat::new(&CONFIG, Precision::Int8);
        for (limit, keeps) in [(0, false), (20_000, true)] {
            let texts = PrefixCache::new(format, limit);
            assert_eq!(texts.is_enabled(), keeps);
            for text in 0..100 {
                texts.put(&[text], cache(4, text));
            }
            let statistics = texts.statistics();
            assert!(statistics.bytes <= limit && (statistics.bytes > 4_000) == keeps, "{statistics:?}");
            assert_eq!(texts.get(&[99]).is_some(), keeps, "the last is there");
            assert!(texts.get(&[0]).is_none(), "the first is not");
            assert_eq!(texts.statistics().hits, u64::from(keeps));
        }
    }
}
