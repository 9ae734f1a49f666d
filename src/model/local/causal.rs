//! A causal language model of the Llama family, whatever computes it: its sizes, what it is asked, what it gives.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::Heads;
use crate::kernels::Isa;
use crate::model::{Cancel, ScoreError};

/// Sizes and constants of a model.
#[derive(Debug, Clone)]
pub(crate) struct LlamaConfig {
    /// Layers.
    pub(crate) layers: usize,
    /// Width of the residual stream.
    pub(crate) width: usize,
    /// Width inside the feed-forward network.
    pub(crate) hidden: usize,
    /// Attention heads.
    pub(crate) heads: Heads,
    /// Words in the vocabulary.
    pub(crate) vocabulary: usize,
    /// Most positions the model was trained for.
    pub(crate) context: usize,
    /// Base of the rotary frequencies.
    pub(crate) rope_base: f32,
    /// Added to the mean square in norms.
    pub(crate) norm_eps: f32,
}

impl LlamaConfig {
    /// The sizes of a model for tests that run none.
    #[cfg(test)]
    pub(crate) const TINY: Self = Self {
        layers: 1,
        width: 64,
        hidden: 64,
        heads: Heads { queries: 1, keys: 1, width: 64 },
        vocabulary: 64,
        context: 64,
        rope_base: 1e4,
        norm_eps: 1e-5,
    };

    /// Operations (a multiplication and an addition are two) of the products with weights for one row, the head
    /// included.
    pub(crate) fn operations_per_token(&self) -> f64 {
        let queries = self.heads.queries * self.heads.width;
        let layer = self.width * (self.heads.row() + queries + 3 * self.hidden);
        2.0 * (self.layers * layer + self.width * self.vocabulary) as f64
    }

    /// Cosines, then sines, of some positions: rows of half a head's width.
    pub(crate) fn rotations(&self, positions: Range<usize>) -> (Vec<f32>, Vec<f32>) {
        let half = self.heads.width / 2;
        let angles = positions.flat_map(|position| {
            (0..half).map(move |i| {
                let exponent = i as f64 / half as f64;
                position as f64 / f64::from(self.rope_base).powf(exponent)
            })
        });
        angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
    }
}

/// The weights of one layer in floats, as they are read: rows of as many values as the product has inputs.
pub(crate) struct LayerWeights {
    pub(crate) attention_norm: Vec<f32>,
    /// Queries, keys and values in one product.
    pub(crate) qkv: Vec<f32>,
    pub(crate) attention_out: Vec<f32>,
    pub(crate) feed_forward_norm: Vec<f32>,
    /// Gate, then up, in one product.
    pub(crate) gate_up: Vec<f32>,
    pub(crate) down: Vec<f32>,
}

/// The weights outside of the layers in floats.
pub(crate) struct EmbeddingWeights {
    /// One row a word.
    pub(crate) embeddings: Vec<f32>,
    /// The output head, where it is another one than the embeddings.
    pub(crate) lm_head: Option<Vec<f32>>,
    pub(crate) norm: Vec<f32>,
}

/// One sequence of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Sequence<'a> {
    /// Tokens to run, at least one.
    pub(crate) ids: &'a [u32],
    /// The keys and values of the positions before the sequence.
    pub(crate) past: Option<&'a KvCache>,
    /// The first of `ids` whose likelihood is wanted. The first token has none, for nothing here predicts it.
    pub(crate) scored_from: usize,
    /// The number of leading `ids` whose keys and values are returned.
    pub(crate) kept: usize,
}

impl Sequence<'_> {
    /// The tokens whose likelihood is wanted.
    pub(crate) fn targets(&self) -> Range<usize> {
        self.scored_from.clamp(1, self.ids.len())..self.ids.len()
    }

    /// Positions before it.
    pub(crate) fn offset(&self) -> usize {
        self.past.map_or(0, KvCache::len)
    }
}

/// The output of a forward pass for one sequence.
#[derive(Debug, Clone)]
pub(crate) struct ForwardOutput {
    /// Negative log-likelihood, in nats, of the wanted tokens.
    pub(crate) nll: Vec<f32>,
    /// The keys and values of the requested positions.
    pub(crate) kept: KvCache,
}

/// A model that is loaded, on whatever device.
pub(crate) trait CausalModel: Send + Sync {
    /// Returns the model's configuration.
    fn config(&self) -> &LlamaConfig;

    /// Runs several sequences together: the order is kept, and none sees another.
    ///
    /// # Errors
    /// When `cancel` says so, else a fault of the device.
    fn forward(&self, sequences: &[Sequence], cancel: &Cancel) -> Result<Vec<ForwardOutput>, ScoreError>;

    /// Runs [`CausalModel::forward`] on one sequence.
    ///
    /// # Errors
    /// As there.
    fn forward_one(&self, sequence: Sequence, cancel: &Cancel) -> Result<ForwardOutput, ScoreError> {
        let passed = self.forward(&[sequence], cancel)?;
        passed.into_iter().next().ok_or_else(|| ScoreError::Model("a pass gave nothing".into()))
    }

    /// Runs the token `id` after what `cache` holds, and adds it to the cache. `logits` then has one number for each
    /// word: the likelier it comes next, the larger.
    ///
    /// # Errors
    /// A fault of the device.
    fn step(&self, id: u32, cache: &mut KvCache, logits: &mut Vec<f32>) -> Result<(), ScoreError>;
}

/// Keys and values of some positions, for each layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KvCache {
    /// Rows of keys then values, [`Heads::keys_and_values`] each.
    layers: Vec<Vec<f32>>,
    row: usize,
}

impl KvCache {
    /// Creates an empty cache.
    pub(crate) fn new(config: &LlamaConfig) -> Self {
        Self { layers: vec![Vec::new(); config.layers], row: config.heads.keys_and_values() }
    }

    /// Creates a cache from rows of keys then values for each layer.
    pub(crate) fn from_layers(layers: Vec<Vec<f32>>, heads: Heads) -> Self {
        Self { layers, row: heads.keys_and_values() }
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| size_of_val(&layer[..])).sum()
    }

    /// Positions that are cached.
    pub(crate) fn len(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.len() / self.row)
    }

    /// Rows of keys then values of a layer.
    pub(crate) fn layer(&self, layer: usize) -> &[f32] {
        &self.layers[layer]
    }

    /// Adds rows of keys then values to a layer.
    pub(crate) fn append_rows<'a>(&mut self, layer: usize, rows: impl Iterator<Item = &'a [f32]>) {
        rows.for_each(|row| self.layers[layer].extend_from_slice(row));
    }

    /// The first `positions` alone, or all where there are fewer.
    pub(crate) fn first(&self, positions: usize) -> Self {
        let end = positions.min(self.len()) * self.row;
        Self { layers: self.layers.iter().map(|layer| layer[..end].to_vec()).collect(), row: self.row }
    }

    /// Has each key the rotation of a position that is smaller by `by`: what a query sees of it depends on their
    /// distance alone (arXiv 2104.09864).
    pub(crate) fn move_back(&mut self, by: usize, config: &LlamaConfig) {
        if by == 0 {
            return;
        }
        let (cos, sin) = config.rotations(by..by + 1);
        let sin: Vec<f32> = sin.iter().map(|sin| -sin).collect();
        let (isa, Heads { keys, width, .. }) = (Isa::detect(), config.heads);
        self.layers.par_iter_mut().for_each(|layer| {
            for row in layer.chunks_exact_mut(2 * keys * width) {
                row[..keys * width].chunks_exact_mut(width).for_each(|key| isa.rotate(key, &cos, &sin));
            }
        });
    }

    /// Appends what a forward pass kept.
    pub(crate) fn append(&mut self, fresh: &Self) {
        for (layer, fresh) in self.layers.iter_mut().zip(&fresh.layers) {
            layer.extend_from_slice(fresh);
        }
    }

    /// Forgets the positions in `range`; later ones keep their rotation.
    pub(crate) fn forget(&mut self, range: Range<usize>) {
        for layer in &mut self.layers {
            layer.drain(range.start * self.row..range.end * self.row);
        }
    }
}
