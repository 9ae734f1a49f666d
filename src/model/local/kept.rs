//! Keys and values of texts that others were scored after, kept for the next question about them.
//!
//! A question after a document costs the document's forward pass, unless its keys and values are there. In 8 bits they
//! take about 12 KB a token with the default model. What the next part of a long text sees waits for it in this form,
//! too. They are kept in the form in which attention uses them, so a score
//! is the same, bit for bit, whether they were kept or computed. What was not used for longest goes first.

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

/// Bytes that an entry takes besides its keys and values.
const OVERHEAD: usize = 256;

/// Keys and values by the text that they are of, of at most so many bytes.
pub(crate) struct KeptTexts {
    texts: Cache<[u8; 32], Arc<Kept>>,
    form: Form,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Keys and values of one text.
pub(crate) enum Kept {
    /// The keys and values in 32-bit floats, as they were computed.
    Floats(KvCache),
    /// The keys and values in 8 bits, as attention uses them.
    Integers {
        /// Layer by layer, position by position: keys, then values.
        values: Vec<i8>,
        /// Largest magnitude of each group of keys and of each head's values, in the same order.
        peaks: Vec<f32>,
        form: Form,
    },
}

/// The format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    layers: usize,
    heads: Heads,
    precision: Precision,
}

impl Form {
    /// Returns the format that attention uses in a model of these sizes.
    pub(crate) fn new(config: &LlamaConfig, precision: Precision) -> Self {
        let precision = config.heads.precision(precision);
        Self { layers: config.layers, heads: config.heads, precision }
    }

    /// Puts keys and values into this form, in parallel.
    pub(crate) fn keep(self, cache: KvCache) -> Kept {
        if self.precision == Precision::F32 {
            return Kept::Floats(cache);
        }
        let (isa, lengths) = (Isa::detect(), self.lengths().collect::<Vec<_>>());
        let layer = |layer: usize| {
            let rows = cache.layer(layer);
            let (mut values, mut peaks) = (vec![0; rows.len()], Vec::new());
            let mut start = 0;
            for &length in lengths.iter().cycle().take(cache.len() * lengths.len()) {
                let group = start..start + length;
                start = group.end;
                peaks.push(isa.quantise(&rows[group.clone()], &mut values[group]));
            }
            (values, peaks)
        };
        let layers: Vec<_> = (0..self.layers).into_par_iter().map(layer).collect();
        let (values, peaks): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
        Kept::Integers { values: values.concat(), peaks: peaks.concat(), form: self }
    }

    /// Lengths of what has a scale of its own in a row: groups of keys, then each head's values.
    fn lengths(self) -> impl Iterator<Item = usize> {
        let Heads { keys, width, .. } = self.heads;
        let groups = std::iter::repeat_n(GROUP, keys * width / GROUP);
        groups.chain(std::iter::repeat_n(width, keys))
    }
}

impl Kept {
    /// Converts the entry into the floats that a forward pass takes. To quantise them again gives the same integers
    /// and scales: the largest magnitude of each group is exact, and so is its scale.
    pub(crate) fn expand(&self) -> KvCache {
        let (values, peaks, form) = match self {
            Self::Floats(cache) => return cache.clone(),
            Self::Integers { values, peaks, form } => (values, peaks, form),
        };
        let lengths = form.lengths().collect::<Vec<_>>();
        let layer = |(values, peaks): (&[i8], &[f32])| {
            let mut floats = Vec::with_capacity(values.len());
            let mut rest = values;
            for (&peak, &length) in peaks.iter().zip(lengths.iter().cycle()) {
                let (group, others) = rest.split_at(length);
                rest = others;
                floats.extend(group.iter().map(|&q| match q {
                    127 => peak,
                    -127 => -peak,
                    q => f32::from(q) * (peak / 127.0),
                }));
            }
            floats
        };
        let layers = values.par_chunks(values.len() / form.layers);
        let layers = layers.zip(peaks.par_chunks(peaks.len() / form.layers)).map(layer).collect();
        KvCache::from_layers(layers, form.heads)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Floats(cache) => cache.bytes(),
            Self::Integers { values, peaks, .. } => values.len() + size_of_val(&peaks[..]),
        }
    }
}

impl KeptTexts {
    /// Creates a cache of at most `bytes`; it stays empty where that is 0.
    pub(crate) fn new(form: Form, bytes: u64) -> Self {
        let weight =
            |_: &[u8; 32], kept: &Arc<Kept>| u32::try_from(OVERHEAD + kept.bytes()).unwrap_or(u32::MAX);
        Self {
            texts: Cache::builder()
                .max_capacity(bytes)
                .weigher(weight)
                // The next question is about what was asked about last, however often others were.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            form,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Returns the entry for a text, where there is one, and counts the hit or miss.
    pub(crate) fn get(&self, ids: &[u32]) -> Option<Arc<Kept>> {
        let kept = self.texts.get(&key(ids));
        let count = if kept.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Keeps what a pass gave of a text.
    pub(crate) fn put(&self, ids: &[u32], cache: KvCache) {
        self.texts.insert(key(ids), Arc::new(self.form.keep(cache)));
    }

    /// Returns the format of the entries.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Returns whether the cache may hold anything.
    pub(crate) fn keeps(&self) -> bool {
        self.texts.policy().max_capacity() != Some(0)
    }

    /// Hits, misses and bytes since the start.
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
        hidden: 64,
        heads: Heads { queries: 2, keys: 2, width: 128 },
        vocabulary: 32,
        context: 16,
        rope_base: 1e4,
        norm_eps: 1e-5,
    };

    fn cache(positions: usize, seed: u32) -> KvCache {
        let rows = |layer| numbers(positions * CONFIG.heads.keys_and_values(), seed + layer);
        KvCache::from_layers((0..2).map(rows).collect(), CONFIG.heads)
    }

    #[test]
    fn what_is_kept_in_8_bits_is_the_same_again_and_again() {
        let form = Form::new(&CONFIG, Precision::Int8);
        let cache = cache(5, 1);
        let Kept::Integers { values, peaks, .. } = form.keep(cache.clone()) else { panic!("not in 8 bits") };
        let expanded = Kept::Integers { values: values.clone(), peaks: peaks.clone(), form }.expand();
        assert_eq!(expanded.len(), 5);
        for layer in 0..2 {
            let pairs = cache.layer(layer).iter().zip(expanded.layer(layer));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 0.5 / 127.0 + 1e-6));
        }
        let Kept::Integers { values: again, peaks: same, .. } = form.keep(expanded) else { unreachable!() };
        assert!(again == values && same == peaks);
    }

    #[test]
    fn floats_are_kept_as_they_are() {
        let cache = cache(3, 9);
        assert_eq!(Form::new(&CONFIG, Precision::F32).keep(cache.clone()).expand(), cache);
    }

    #[test]
    fn the_limit_of_bytes_holds_and_none_is_none() {
        let form = Form::new(&CONFIG, Precision::Int8);
        for (limit, keeps) in [(0, false), (20_000, true)] {
            let texts = KeptTexts::new(form, limit);
            assert_eq!(texts.keeps(), keeps);
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
