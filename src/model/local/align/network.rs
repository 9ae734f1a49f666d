//! The pass of a Llama for training, in candle's tensors: frozen weights, and changes of low rank that have gradients.

use std::sync::Arc;

use candle_core::{D, Device, Result, Tensor, Var};

use super::frozen::Frozen;
use super::gradient::{attention_weights, frozen, negative_log_likelihood, norm, rotate};
use super::parameters::Parameters;
use crate::model::local::adapter::Projection;
use crate::model::local::attention::Heads;
use crate::model::local::causal::{EmbeddingWeights, LayerWeights, LlamaConfig, Turn};
use crate::model::local::error::LoadError;
use crate::model::local::linear::Backend;
use crate::model::local::load::Layers;

/// A text to learn from: what comes before its answer, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// The tokens of both.
    pub(super) ids: Vec<u32>,
    /// The index of the answer's first token whose likelihood counts, at least 1.
    pub(super) scored_from: usize,
}

impl Example {
    /// The number of tokens whose likelihood counts.
    pub(super) fn targets(&self) -> usize {
        self.ids.len() - self.scored_from
    }
}

/// A model whose weights are frozen, on a device.
pub(super) struct Network {
    config: LlamaConfig,
    device: Device,
    embeddings: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    lm_head: Frozen,
    /// The rows of the head, where they are others than the embeddings.
    head_rows: Option<Tensor>,
    cos: Tensor,
    sin: Tensor,
    /// The causal mask of the longest example.
    hidden: Tensor,
}

/// The weights of a layer: products in the order of [`Projection::ALL`].
struct Layer {
    attention_norm: Tensor,
    feed_forward_norm: Tensor,
    products: Vec<Arc<Frozen>>,
}

/// The change of a product on a device.
pub(super) struct Change {
    pub(super) a: Var,
    pub(super) b: Var,
}

/// The changes of all products: layer by layer, in the order of [`Projection::ALL`].
pub(super) struct Changes {
    pub(super) all: Vec<Change>,
    /// The factor of each.
    scale: f64,
}

/// The pass is for training, so that it is remembered, or for a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Gradients are wanted.
    Training,
    /// The result alone is wanted.
    Measuring,
}

impl Changes {
    /// Brings parameters to a device.
    pub(super) fn upload(parameters: &Parameters, scale: f64, device: &Device) -> Result<Self> {
        let all = parameters.products().map(|(product, [a, b])| {
            let [outputs, inputs] = product.shape;
            let var = |values: &[f32], shape: (usize, usize)| Var::from_slice(values, shape, device);
            Ok(Change { a: var(a, (product.rank, inputs))?, b: var(b, (outputs, product.rank))? })
        });
        Ok(Self { all: all.collect::<Result<_>>()?, scale })
    }

    /// Gives the variables the values of parameters.
    pub(super) fn set(&self, parameters: &Parameters) -> Result<()> {
        for (change, (_, [a, b])) in self.all.iter().zip(parameters.products()) {
            for (var, values) in [(&change.a, a), (&change.b, b)] {
                var.set(&Tensor::from_slice(values, var.shape(), var.device())?)?;
            }
        }
        Ok(())
    }
}

impl Network {
    /// Brings weights, given layer by layer, to a device, for examples of at most `length` tokens.
    pub(super) fn upload(
        config: LlamaConfig,
        words: &EmbeddingWeights,
        layers: Layers<'_>,
        (device, length): (&Device, usize),
    ) -> std::result::Result<Self, LoadError> {
        check(&config, words)?;
        let backend = Backend::detect();
        let failed = |e: candle_core::Error| LoadError::Upload(e.to_string());
        let layers = layers
            .map(|rows| Layer::upload(&config, rows?, (backend, device)))
            .collect::<std::result::Result<_, _>>()?;
        Self::with_layers(config, words, layers, (backend, device, length)).map_err(failed)
    }

    fn with_layers(
        config: LlamaConfig,
        words: &EmbeddingWeights,
        layers: Vec<Layer>,
        (backend, device, length): (Backend, &Device, usize),
    ) -> Result<Self> {
        let table = |rows: &[f32], width| Tensor::from_slice(rows, (rows.len() / width, width), device);
        let embeddings = table(&words.embeddings, config.width)?;
        let head_rows = words.lm_head.as_ref().map(|rows| table(rows, config.width)).transpose()?;
        let lm_head = words.lm_head.as_ref().unwrap_or(&words.embeddings);
        let lm_head = Frozen::upload(lm_head, config.width, backend, device)?;
        let (cos, sin) = config.rope_table(Turn::Whole);
        let half = config.rotated / 2;
        let hidden = |i: usize| if i % length > i / length { f32::NEG_INFINITY } else { 0.0 };
        let hidden: Vec<f32> = (0..length * length).map(hidden).collect();
        Ok(Self {
            norm: Tensor::from_slice(&words.norm.weight, words.norm.weight.len(), device)?,
            cos: table(&cos, half)?,
            sin: table(&sin, half)?,
            hidden: table(&hidden, length)?,
            device: device.clone(),
            config,
            embeddings,
            layers,
            lm_head,
            head_rows,
        })
    }

    /// The device that it is on.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Sizes of the model.
    pub(super) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Negative log-likelihood, in nats, of each token of the example's answer.
    pub(super) fn nll(&self, example: &Example, changes: &Changes, purpose: Purpose) -> Result<Tensor> {
        let Example { ids, scored_from } = example;
        let (eps, per_layer) = (self.config.norm_eps, Projection::ALL.len());
        let (cos, sin) = (self.cos.narrow(0, 0, ids.len())?, self.sin.narrow(0, 0, ids.len())?);
        let mut x = self.embeddings.index_select(&Tensor::new(&ids[..], &self.device)?, 0)?;
        for (layer, changes_of) in self.layers.iter().zip(changes.all.chunks(per_layer)) {
            let products = Products { layer, changes: changes_of, scale: changes.scale, purpose };
            let normed = norm(&x, &layer.attention_norm, eps)?;
            let attended = self.attend(&products, &normed, (&cos, &sin))?;
            x = (x + products.apply(Projection::AttentionOut, &attended)?)?;
            let normed = norm(&x, &layer.feed_forward_norm, eps)?;
            let gate = products.apply(Projection::Gate, &normed)?.silu()?;
            let inner = (gate * products.apply(Projection::Up, &normed)?)?;
            x = (x + products.apply(Projection::Down, &inner)?)?;
        }
        // The row before a token predicts it.
        let rows = x.narrow(0, scored_from - 1, example.targets())?;
        let head = (&self.lm_head, self.head_rows.as_ref().unwrap_or(&self.embeddings));
        negative_log_likelihood(&norm(&rows, &self.norm, eps)?, head, &ids[*scored_from..])
    }

    /// Attends from all rows to those before them, and returns a row of all query heads for each.
    fn attend(&self, products: &Products, normed: &Tensor, turns: (&Tensor, &Tensor)) -> Result<Tensor> {
        let Heads { queries: heads, keys, width } = self.config.heads;
        let (rows, group) = (normed.dim(0)?, heads / keys);
        let apart = |product, heads| products.apply(product, normed)?.reshape((rows, heads, width));
        let queries = (self.rotate(&apart(Projection::Query, heads)?, turns)? / (width as f64).sqrt())?;
        let by_head = |x: Tensor| x.transpose(0, 1)?.contiguous();
        let all_keys = by_head(self.rotate(&apart(Projection::Key, keys)?, turns)?)?;
        let values = by_head(apart(Projection::Value, keys)?)?;
        let stacked = by_head(queries)?.reshape((keys, group * rows, width))?;
        let seen = stacked.matmul(&all_keys.t()?)?.reshape((heads, rows, rows))?;
        let hidden = self.hidden.narrow(0, 0, rows)?.narrow(1, 0, rows)?;
        let weights = attention_weights(&seen, &hidden)?.reshape((keys, group * rows, rows))?;
        let outputs = weights.matmul(&values)?.reshape((heads, rows, width))?;
        outputs.transpose(0, 1)?.reshape((rows, heads * width))
    }

    /// Rotates the leading values of heads, as many as the model does.
    fn rotate(&self, x: &Tensor, turns: (&Tensor, &Tensor)) -> Result<Tensor> {
        let (rotated, width) = (self.config.rotated, self.config.heads.width);
        if rotated == width {
            return rotate(x, turns);
        }
        let turned = rotate(&x.narrow(D::Minus1, 0, rotated)?, turns)?;
        Tensor::cat(&[turned, x.narrow(D::Minus1, rotated, width - rotated)?], D::Minus1)
    }
}

/// The products of a layer with their changes.
struct Products<'a> {
    layer: &'a Layer,
    changes: &'a [Change],
    scale: f64,
    purpose: Purpose,
}

impl Products<'_> {
    /// Applies weights and change to rows.
    fn apply(&self, product: Projection, x: &Tensor) -> Result<Tensor> {
        let at = product as usize;
        let Change { a, b } = &self.changes[at];
        let [a, b] = match self.purpose {
            Purpose::Training => [a.as_tensor().clone(), b.as_tensor().clone()],
            Purpose::Measuring => [a.as_detached_tensor(), b.as_detached_tensor()],
        };
        let inner = (x.matmul(&a.t()?)? * self.scale)?;
        frozen(x, &self.layer.products[at])? + inner.matmul(&b.t()?)?
    }
}

impl Layer {
    fn upload(
        config: &LlamaConfig,
        mut rows: LayerWeights,
        (backend, device): (Backend, &Device),
    ) -> std::result::Result<Self, LoadError> {
        let biases = [&rows.qkv.bias, &rows.attention_out.bias, &rows.gate_up.bias, &rows.down.bias];
        if biases.iter().any(|bias| !bias.is_empty()) {
            return refuse("biases of its products");
        }
        let failed = |e: candle_core::Error| LoadError::Upload(e.to_string());
        let products = Projection::ALL.map(|product| {
            let inputs = product.shape(config)[1];
            Frozen::upload(product.rows(config, &mut rows), inputs, backend, device).map(Arc::new)
        });
        let row = |weights: &[f32]| Tensor::from_slice(weights, weights.len(), device).map_err(failed);
        Ok(Self {
            attention_norm: row(&rows.attention_norm.weight)?,
            feed_forward_norm: row(&rows.feed_forward_norm.weight)?,
            products: products.into_iter().collect::<Result<_>>().map_err(failed)?,
        })
    }
}

/// Checks that the model has nothing that the pass leaves out; its architecture was checked before.
fn check(config: &LlamaConfig, words: &EmbeddingWeights) -> std::result::Result<(), LoadError> {
    if config.window.is_some() {
        return refuse("a sliding window");
    }
    if config.mixture.is_some() {
        return refuse("a mixture of experts");
    }
    if config.attention_cap.is_some() || config.logit_cap.is_some() {
        return refuse("bounds of logits");
    }
    if config.embedding_scale.is_some() {
        return refuse("a factor of embeddings");
    }
    if words.lm_head_bias.is_empty() { Ok(()) } else { refuse("biases of logits") }
}

fn refuse<T>(what: &str) -> std::result::Result<T, LoadError> {
    Err(LoadError::Configuration(format!(
        "it has {what}, which cannot be trained through: choose another model"
    )))
}
