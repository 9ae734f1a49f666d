//! The weights of a model as they are packed for a processor, and what is done with rows of them alone.

use crate::kernels::Isa;
use crate::model::Precision;
use crate::model::local::causal::{
    ExpertWeights, LayerWeights, LlamaConfig, NormWeights, ProjectionWeights, Turn,
};
use crate::model::local::experts::Mixture;
use crate::model::local::int8::QuantRows;
use crate::model::local::linear::{Accumulate, Backend, FloatMatrix, Inputs, Linear};

/// The weights of one layer, in the order of their use. Biases and norms that the model has not are empty.
pub(super) struct Layer {
    pub(super) attention_norm: NormWeights,
    /// Queries, keys and values in one product.
    pub(super) qkv: Projection,
    pub(super) query_norm: Vec<f32>,
    pub(super) key_norm: Vec<f32>,
    pub(super) sinks: Vec<f32>,
    pub(super) heads_norm: NormWeights,
    pub(super) attention_out: Projection,
    pub(super) attention_out_norm: NormWeights,
    pub(super) feed_forward_norm: NormWeights,
    pub(super) feed_forward: FeedForward,
    pub(super) down_norm: NormWeights,
}

/// The feed-forward part of a layer.
pub(super) enum FeedForward {
    Dense(Network),
    Experts(Experts),
}

/// A feed-forward network.
pub(super) struct Network {
    /// Gate, then up, in one product; up alone in families without a gate.
    pub(super) gate_up: Projection,
    pub(super) hidden_norm: NormWeights,
    pub(super) down: Projection,
}

/// A mixture of experts.
pub(super) struct Experts {
    pub(super) mixture: Mixture,
    /// In floats in every precision: it decides.
    pub(super) router: FloatMatrix,
    pub(super) router_bias: Vec<f32>,
    /// The experts, and the shared network as the last.
    pub(super) networks: Vec<Network>,
}

impl Layer {
    /// Packs the weights of a layer.
    pub(super) fn pack(
        config: &LlamaConfig,
        (precision, backend): (Precision, Backend),
        rows: LayerWeights,
    ) -> Self {
        let pack = |rows: ProjectionWeights, inputs| Projection {
            weights: Linear::pack(precision, backend, &rows.rows, inputs),
            bias: rows.bias,
        };
        let network = |gate_up, hidden_norm, down: ProjectionWeights| {
            let hidden = down.rows.len() / config.width;
            Network { gate_up: pack(gate_up, config.width), hidden_norm, down: pack(down, hidden) }
        };
        let feed_forward = match (rows.experts, config.mixture) {
            (Some(ExpertWeights { router, networks }), Some(mixture)) => FeedForward::Experts(Experts {
                mixture,
                router: FloatMatrix::pack(backend, &router.rows, config.width),
                router_bias: router.bias,
                networks: networks
                    .into_iter()
                    .map(|[gate_up, down]| network(gate_up, NormWeights::default(), down))
                    .collect(),
            }),
            _ => FeedForward::Dense(network(rows.gate_up, rows.hidden_norm, rows.down)),
        };
        Self {
            attention_norm: rows.attention_norm,
            qkv: pack(rows.qkv, config.width),
            query_norm: rows.query_norm,
            key_norm: rows.key_norm,
            sinks: rows.sinks,
            heads_norm: rows.heads_norm,
            attention_out: pack(rows.attention_out, config.heads.queries * config.heads.width),
            attention_out_norm: rows.attention_out_norm,
            feed_forward_norm: rows.feed_forward_norm,
            feed_forward,
            down_norm: rows.down_norm,
        }
    }
}

/// A product with weights, and the bias that is added to its rows.
pub(super) struct Projection {
    pub(super) weights: Linear,
    bias: Vec<f32>,
}

/// The way in which a product is applied: [`Projection::apply`] to many rows, or [`Projection::apply_row`] to one.
pub(super) type Product = fn(&Projection, Backend, &Inputs, &mut [f32], Accumulate);

impl Projection {
    /// Applies the product like [`Linear::apply`] and adds the bias.
    pub(super) fn apply(&self, backend: Backend, inputs: &Inputs, out: &mut [f32], accumulate: Accumulate) {
        self.weights.apply(backend, inputs, out, accumulate);
        add_bias(backend.isa, &self.bias, out);
    }

    /// Applies the product to one row like [`Linear::apply_row`] and adds the bias.
    pub(super) fn apply_row(
        &self,
        backend: Backend,
        inputs: &Inputs,
        out: &mut [f32],
        accumulate: Accumulate,
    ) {
        self.weights.apply_row(backend, inputs, out, accumulate);
        add_bias(backend.isa, &self.bias, out);
    }
}

/// Adds a bias, where there is one, to rows that are as wide.
pub(super) fn add_bias(isa: Isa, bias: &[f32], rows: &mut [f32]) {
    if !bias.is_empty() {
        rows.chunks_exact_mut(bias.len()).for_each(|row| isa.add(row, bias));
    }
}

/// The embeddings, one row a word.
pub(super) enum Embeddings {
    Floats(Vec<f32>),
    Quantised(QuantRows),
}

impl Embeddings {
    pub(super) fn new(precision: Precision, backend: Backend, rows: Vec<f32>, width: usize) -> Self {
        match precision {
            Precision::F32 => Self::Floats(rows),
            Precision::Int8 => Self::Quantised(QuantRows::from_floats(backend.isa, &rows, width)),
        }
    }

    /// The arithmetic that the model was loaded for.
    pub(super) fn precision(&self) -> Precision {
        match self {
            Self::Floats(_) => Precision::F32,
            Self::Quantised(_) => Precision::Int8,
        }
    }

    /// Appends the row of word `id` to `x`.
    pub(super) fn append(&self, id: u32, width: usize, x: &mut Vec<f32>) {
        match self {
            Self::Floats(rows) => x.extend_from_slice(&rows[id as usize * width..][..width]),
            Self::Quantised(rows) => rows.append_row(id as usize, x),
        }
    }
}

/// Cosines and sines of every position.
pub(super) struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    pub(super) fn new(config: &LlamaConfig, turn: Turn) -> Self {
        let (cos, sin) = config.rope_table(turn);
        Self { cos, sin, half: config.rotated / 2 }
    }

    pub(super) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}
