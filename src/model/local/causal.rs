//! A causal language model of the Llama family, whatever computes it: its sizes, what it is asked, what it gives.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::attention::Heads;
use super::experts::Mixture;
use super::family::{Family, Positions, Windows};
use crate::kernels::Isa;
use crate::model::{Cancel, ScoreError};

/// Sizes and constants of a model.
#[derive(Debug, Clone)]
pub(crate) struct LlamaConfig {
    /// Layers.
    pub(crate) layers: usize,
    /// Width of the residual stream.
    pub(crate) width: usize,
    /// Width inside the feed-forward network, or inside each expert.
    pub(crate) hidden: usize,
    /// The mixture of experts in the place of one network.
    pub(crate) mixture: Option<Mixture>,
    /// Attention heads.
    pub(crate) heads: Heads,
    /// The leading values of a head that are rotated.
    pub(crate) rotated: usize,
    /// Words in the vocabulary.
    pub(crate) vocabulary: usize,
    /// Most positions the model was trained for.
    pub(crate) context: usize,
    /// The rotation of queries and keys by their position.
    pub(crate) rotary: Rotary,
    /// The last of the slopes of [`Positions::Alibi`] is two to the power of minus this.
    pub(crate) alibi_bias: f32,
    /// Added to the mean square in norms.
    pub(crate) norm_eps: f32,
    /// The row of the table of families.
    pub(crate) family: Family,
    /// The feed-forward network reads what attention reads.
    pub(crate) parallel: bool,
    /// The positions that the layers of [`Family::windows`] see, their own included; none where they see all.
    pub(crate) window: Option<usize>,
    /// The bound of a query's product with a key: `cap * tanh(product / cap)`.
    pub(crate) attention_cap: Option<f32>,
    /// The bound of logits, in the same way.
    pub(crate) logit_cap: Option<f32>,
    /// The factor of embeddings.
    pub(crate) embedding_scale: Option<f32>,
}

/// The rotation of queries and keys by their position (arXiv 2104.09864).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotary {
    /// Base of the frequencies.
    pub(crate) base: f32,
    /// The divisor of frequencies: stretches the context.
    pub(crate) stretch: f32,
    /// The frequencies, by number, from the last that is not stretched to the first that is so wholly (`YaRN`, arXiv
    /// 2309.00071); none where all are.
    pub(crate) ramp: Option<(f32, f32)>,
    /// A divisor for each frequency, where the file has them.
    pub(crate) factors: Option<Arc<[f32]>>,
    /// The factor of what is rotated.
    pub(crate) magnitude: f32,
}

impl Rotary {
    /// The rotation by a base alone.
    pub(crate) const fn plain(base: f32) -> Self {
        Self { base, stretch: 1.0, ramp: None, factors: None, magnitude: 1.0 }
    }

    /// Returns cosines, then sines, of some positions: rows of `half` the width that is rotated.
    fn turns(&self, half: usize, positions: Range<usize>) -> (Vec<f32>, Vec<f32>) {
        let frequencies: Vec<f64> = (0..half).map(|i| self.frequency(i, half)).collect();
        let angles = positions.flat_map(|position| frequencies.iter().map(move |by| position as f64 * by));
        angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
    }

    /// Returns frequency `i` of `half` of them.
    fn frequency(&self, i: usize, half: usize) -> f64 {
        let factor = self.factors.as_ref().and_then(|factors| factors.get(i)).map_or(1.0, |&f| f64::from(f));
        let own = 1.0 / (f64::from(self.base).powf(i as f64 / half as f64) * factor);
        let stretched = own / f64::from(self.stretch);
        match self.ramp {
            Some((low, high)) => {
                let share = (i as f64 - f64::from(low)) / f64::from((high - low).max(0.001));
                own + (stretched - own) * share.clamp(0.0, 1.0)
            }
            None => stretched,
        }
    }
}

/// The rotation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing is rotated: positions are told apart by the mask alone.
    Nothing,
    /// The rotation of [`LlamaConfig::rotary`].
    Whole,
    /// The frequencies of the layers that see a window.
    Window,
}

impl LlamaConfig {
    /// The sizes of a model for tests that run none.
    #[cfg(test)]
    pub(crate) const TINY: Self = Self {
        layers: 1,
        width: 64,
        hidden: 64,
        mixture: None,
        heads: Heads { queries: 1, keys: 1, width: 64 },
        rotated: 64,
        vocabulary: 64,
        context: 64,
        rotary: Rotary { base: 1e4, stretch: 1.0, ramp: None, factors: None, magnitude: 1.0 },
        alibi_bias: 8.0,
        norm_eps: 1e-5,
        family: Family::LLAMA,
        parallel: false,
        window: None,
        attention_cap: None,
        logit_cap: None,
        embedding_scale: None,
    };

    /// Operations (a multiplication and an addition are two) of the products with weights for one row, the head
    /// included.
    pub(crate) fn operations_per_token(&self) -> f64 {
        let queries = self.heads.queries * self.heads.width;
        let gated = if self.family.activation.gated() { 3 } else { 2 };
        let hidden = match self.mixture {
            Some(mixture) => self.hidden * mixture.used + mixture.shared.unwrap_or(0),
            None => self.hidden,
        };
        let router = self.mixture.map_or(0, |mixture| mixture.logits());
        let layer = self.width * (self.heads.row() + queries + gated * hidden + router);
        2.0 * (self.layers * layer + self.width * self.vocabulary) as f64
    }

    /// Width of a row of gate and up, or of up alone where there is no gate.
    pub(crate) fn gate_up(&self) -> usize {
        if self.family.activation.gated() { 2 * self.hidden } else { self.hidden }
    }

    /// Returns cosines, then sines, of some positions: rows of half the width that is rotated; nothing where nothing is.
    fn rotations(&self, turn: Turn, positions: Range<usize>) -> (Vec<f32>, Vec<f32>) {
        let half = self.rotated / 2;
        match (turn, self.window_base()) {
            (Turn::Nothing, _) => (Vec::new(), Vec::new()),
            (Turn::Window, Some(base)) => Rotary::plain(base).turns(half, positions),
            _ => self.rotary.turns(half, positions),
        }
    }

    /// Returns the cosines, then sines, by which queries and keys of every position are multiplied.
    pub(crate) fn rope_table(&self, turn: Turn) -> (Vec<f32>, Vec<f32>) {
        let (mut cos, mut sin) = self.rotations(turn, 0..self.context);
        if turn == Turn::Whole {
            cos.iter_mut().chain(&mut sin).for_each(|value| *value *= self.rotary.magnitude);
        }
        (cos, sin)
    }

    /// The base of the frequencies of layers that see a window, where it is one of their own.
    fn window_base(&self) -> Option<f32> {
        match self.family.windows {
            Windows::AllBut { rope_base, .. } => rope_base.map(|base| base as f32),
            Windows::All => None,
        }
    }

    /// The rotation of a layer.
    pub(crate) fn turn(&self, layer: usize) -> Turn {
        match self.family.unrotated_every {
            _ if self.family.positions == Positions::Alibi => Turn::Nothing,
            Some(every) if (layer + 1).is_multiple_of(every) => Turn::Nothing,
            _ if self.window_base().is_some() && self.layer_window(layer).is_some() => Turn::Window,
            _ => Turn::Whole,
        }
    }

    /// Returns for each query head the slope by which scores fall with the distance (arXiv 2108.12409, section 3); nothing
    /// where they do not.
    pub(crate) fn slopes(&self) -> Vec<f32> {
        let heads = self.heads.queries;
        if self.family.positions != Positions::Alibi {
            return Vec::new();
        }
        // Heads beyond a power of two have the odd ones of twice as many slopes.
        let whole = 1 << heads.ilog2();
        let slope = |number: usize, of: usize| (-self.alibi_bias * number as f32 / of as f32).exp2();
        let slopes = (1..=whole).map(|i| slope(i, whole));
        slopes.chain((1..).step_by(2).map(|i| slope(i, 2 * whole))).take(heads).collect()
    }

    /// The positions that a layer sees, its own included; none where it sees all.
    pub(crate) fn layer_window(&self, layer: usize) -> Option<usize> {
        match self.family.windows {
            Windows::AllBut { every, .. } if (layer + 1).is_multiple_of(every) => None,
            _ => self.window,
        }
    }
}

/// The weights of a norm; empty where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct NormWeights {
    pub(crate) weight: Vec<f32>,
    /// The bias of a `LayerNorm`, zeros where its file has none; empty where it is an `RMSNorm`.
    pub(crate) bias: Vec<f32>,
}

impl NormWeights {
    /// Writes a row to `out`, normed where there are weights for it.
    pub(crate) fn apply(&self, isa: Isa, x: &[f32], eps: f32, out: &mut [f32]) {
        if !self.weight.is_empty() && self.bias.is_empty() {
            return isa.rms_norm(x, &self.weight, eps, out);
        }
        out.copy_from_slice(x);
        if !self.weight.is_empty() {
            isa.layer_norm(out, &self.weight, &self.bias, eps);
        }
    }
}

/// The weights of a product: rows of as many values as it has inputs.
#[derive(Default)]
pub(crate) struct ProjectionWeights {
    pub(crate) rows: Vec<f32>,
    /// The bias of each row; empty where there are none.
    pub(crate) bias: Vec<f32>,
}

/// The weights of one layer in floats, as they are read.
///
/// Weights that a family lacks are empty.
pub(crate) struct LayerWeights {
    pub(crate) attention_norm: NormWeights,
    /// Queries, keys and values in one product.
    pub(crate) qkv: ProjectionWeights,
    /// The norm of queries: of each head, or of all together where it is as wide as they are.
    pub(crate) query_norm: Vec<f32>,
    /// The norm of keys, likewise.
    pub(crate) key_norm: Vec<f32>,
    /// A score for each query head that competes with those of all positions and gives nothing.
    pub(crate) sinks: Vec<f32>,
    /// The norm of what all heads give together.
    pub(crate) heads_norm: NormWeights,
    pub(crate) attention_out: ProjectionWeights,
    /// The norm of what attention gives.
    pub(crate) attention_out_norm: NormWeights,
    pub(crate) feed_forward_norm: NormWeights,
    /// Gate, then up, in one product; up alone where there is no gate.
    pub(crate) gate_up: ProjectionWeights,
    /// The norm of what goes into `down`.
    pub(crate) hidden_norm: NormWeights,
    pub(crate) down: ProjectionWeights,
    /// The mixture of experts, where it stands in the place of `gate_up` and `down`.
    pub(crate) experts: Option<ExpertWeights>,
    /// The norm of what the feed-forward network gives.
    pub(crate) down_norm: NormWeights,
}

/// The weights of a layer's mixture of experts.
pub(crate) struct ExpertWeights {
    /// The router: a row an expert, and one for the shared network where there is one.
    pub(crate) router: ProjectionWeights,
    /// Gate and up, and down, of each expert; the shared network is the last.
    pub(crate) networks: Vec<[ProjectionWeights; 2]>,
}

/// The weights outside of the layers in floats.
pub(crate) struct EmbeddingWeights {
    /// One row a word.
    pub(crate) embeddings: Vec<f32>,
    /// The output head, where it is another one than the embeddings.
    pub(crate) lm_head: Option<Vec<f32>>,
    /// The biases of logits; empty where there are none.
    pub(crate) lm_head_bias: Vec<f32>,
    pub(crate) norm: NormWeights,
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

    /// Runs several sequences like [`CausalModel::forward`], and gives the row of the last token of each, behind the last
    /// norm.
    ///
    /// # Errors
    /// The errors of [`CausalModel::forward`], or that the device has no such pass.
    fn last_rows(&self, sequences: &[Sequence], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let _ = (sequences, cancel);
        Err(ScoreError::Model("it gives no embeddings on this device".into()))
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
        let (isa, Heads { keys, width, .. }) = (Isa::detect(), config.heads);
        self.layers.par_iter_mut().enumerate().for_each(|(i, layer)| {
            let (cos, sin) = config.rotations(config.turn(i), by..by + 1);
            if cos.is_empty() {
                return;
            }
            let sin: Vec<f32> = sin.iter().map(|sin| -sin).collect();
            for row in layer.chunks_exact_mut(2 * keys * width) {
                for key in row[..keys * width].chunks_exact_mut(width) {
                    isa.rotate(&mut key[..config.rotated], &cos, &sin);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_halve_from_head_to_head_and_go_between_where_heads_are_no_power_of_two() {
        let of = |queries| {
            let family = Family { positions: Positions::Alibi, ..Family::LLAMA };
            LlamaConfig { heads: Heads { queries, keys: 1, width: 8 }, family, ..LlamaConfig::TINY }.slopes()
        };
        // Section 3 of the paper has these for 8 heads.
        let eight: Vec<f32> = (1..=8).map(|i| 0.5_f32.powi(i)).collect();
        assert_eq!(of(8), eight);
        assert_eq!(of(6), [0.25, 0.0625, 0.015_625, 0.003_906_25, 0.5, 0.125]);
        assert!(LlamaConfig::TINY.slopes().is_empty());
    }
}
