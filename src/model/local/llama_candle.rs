//! The pass of [`Llama`](super::llama::Llama) in candle's tensors, for devices that are no CPU.
//!
//! In 32-bit floats. Rows of all sequences go through products and norms together; attention is computed sequence by
//! sequence and in blocks of queries, and the head in blocks of rows, so that nothing grows with the square of the
//! length or with length times vocabulary. Keys and values come from the host and go back to it.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::{layer_norm, rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope_thd;

use super::attention::Heads;
use super::causal::{
    CausalModel, EmbeddingWeights, ExpertWeights, ForwardOutput, KvCache, LayerWeights, LlamaConfig,
    NormWeights, ProjectionWeights, Sequence, Turn,
};
use super::error::LoadError;
use super::experts::Mixture;
use super::family::Activation;
use crate::model::{Cancel, ScoreError};

/// Queries of a sequence whose products with all keys exist at once.
const QUERY_BLOCK: usize = 512;
/// Rows whose logits exist at once.
const HEAD_ROWS: usize = 256;

/// A model on a device.
pub(crate) struct TensorLlama {
    config: LlamaConfig,
    device: Device,
    embeddings: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
    lm_head: Tensor,
    lm_head_bias: Option<Tensor>,
    /// The rotations of every position.
    rope: Rope,
    /// The rotations of layers that see a window, where they are others.
    window_rope: Option<Rope>,
    /// The slopes of [`LlamaConfig::slopes`] as heads x 1 x 1, where there are any.
    slopes: Option<Tensor>,
    /// The causal mask of a block: minus infinity for positions that a query must not see.
    hidden: Tensor,
}

/// Weights of a layer. Norms of queries and keys that the model has not are none.
struct Layer {
    attention_norm: Norm,
    qkv: Projection,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    /// A score of each query head, as heads x 1 x 1, where the model has them.
    sinks: Option<Tensor>,
    heads_norm: Norm,
    attention_out: Projection,
    attention_out_norm: Norm,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
    down_norm: Norm,
}

/// The feed-forward part of a layer.
enum FeedForward {
    Dense(Network),
    Experts {
        mixture: Mixture,
        router: Projection,
        /// The experts, and the shared network as the last.
        networks: Vec<Network>,
    },
}

/// A feed-forward network.
struct Network {
    gate_up: Projection,
    hidden_norm: Norm,
    down: Projection,
}

impl Network {
    fn upload(
        [gate_up, down]: [&ProjectionWeights; 2],
        hidden_norm: &NormWeights,
        width: usize,
        device: &Device,
    ) -> Result<Self> {
        let hidden = down.rows.len() / width;
        Ok(Self {
            gate_up: Projection::upload(gate_up, width, device)?,
            hidden_norm: Norm::upload(hidden_norm, device)?,
            down: Projection::upload(down, hidden, device)?,
        })
    }
}

/// Weights and biases of a norm; none where there is none, and no biases where it takes no mean away.
struct Norm {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl Norm {
    fn upload(weights: &NormWeights, device: &Device) -> Result<Self> {
        Ok(Self { weight: row(&weights.weight, device)?, bias: row(&weights.bias, device)? })
    }

    /// Norms rows, where there are weights for it.
    fn apply(&self, x: &Tensor, eps: f32) -> Result<Tensor> {
        match (&self.weight, &self.bias) {
            (Some(weight), Some(bias)) => layer_norm(&x.contiguous()?, weight, bias, eps),
            (Some(weight), None) => rms_norm(&x.contiguous()?, weight, eps),
            (None, _) => Ok(x.clone()),
        }
    }
}

/// Weights of a product, one row an output, and its biases.
struct Projection {
    weights: Tensor,
    bias: Option<Tensor>,
}

impl Projection {
    fn upload(rows: &ProjectionWeights, inputs: usize, device: &Device) -> Result<Self> {
        let weights = Tensor::from_slice(&rows.rows, (rows.rows.len() / inputs, inputs), device)?;
        Ok(Self { weights, bias: row(&rows.bias, device)? })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        with_bias(x.matmul(&self.weights.t()?)?, self.bias.as_ref())
    }
}

/// Adds a bias to rows, where there is one.
fn with_bias(rows: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => rows.broadcast_add(bias),
        None => Ok(rows),
    }
}

/// Brings a row to a device; none where it is empty.
fn row(row: &[f32], device: &Device) -> Result<Option<Tensor>> {
    (!row.is_empty()).then(|| Tensor::from_slice(row, row.len(), device)).transpose()
}

/// Cosines and sines of positions, in rows of half the width that is rotated.
struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    fn upload(config: &LlamaConfig, turn: Turn, device: &Device) -> Result<Self> {
        let half = config.rotated / 2;
        let (cos, sin) = config.rope_table(turn);
        let table = |rows: Vec<f32>| Tensor::from_vec(rows, (config.context, half), device);
        Ok(Self { cos: table(cos)?, sin: table(sin)? })
    }

    /// Selects the rows of some positions.
    fn at(&self, positions: &Tensor) -> Result<Self> {
        Ok(Self { cos: self.cos.index_select(positions, 0)?, sin: self.sin.index_select(positions, 0)? })
    }
}

/// The rotations of a batch's rows, by the kind of layer.
struct Turns {
    whole: Rope,
    window: Option<Rope>,
}

/// Keys and values of a sequence and of what came before it: key heads x positions x head width.
struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

impl From<candle_core::Error> for ScoreError {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.to_string())
    }
}

impl TensorLlama {
    /// Brings weights, given layer by layer, to a device.
    ///
    /// # Errors
    /// Those of `layers` and of the device.
    pub(crate) fn upload(
        config: LlamaConfig,
        words: &EmbeddingWeights,
        layers: &mut dyn Iterator<Item = std::result::Result<LayerWeights, LoadError>>,
        device: &Device,
    ) -> std::result::Result<Self, LoadError> {
        let failed = |e: candle_core::Error| LoadError::Upload(e.to_string());
        let layers = layers
            .map(|rows| Layer::upload(&config, &rows?, device).map_err(failed))
            .collect::<std::result::Result<_, _>>()?;
        Self::with_layers(config, words, layers, device).map_err(failed)
    }

    fn with_layers(
        config: LlamaConfig,
        words: &EmbeddingWeights,
        layers: Vec<Layer>,
        device: &Device,
    ) -> Result<Self> {
        let table = |rows: &[f32], width| Tensor::from_slice(rows, (rows.len() / width, width), device);
        let embeddings = table(&words.embeddings, config.width)?;
        let lm_head = match &words.lm_head {
            Some(rows) => table(rows, config.width)?,
            None => embeddings.clone(),
        };
        let hidden = |i: usize| if i % QUERY_BLOCK > i / QUERY_BLOCK { f32::NEG_INFINITY } else { 0.0 };
        let hidden: Vec<f32> = (0..QUERY_BLOCK * QUERY_BLOCK).map(hidden).collect();
        Ok(Self {
            norm: Norm::upload(&words.norm, device)?,
            lm_head_bias: row(&words.lm_head_bias, device)?,
            rope: Rope::upload(&config, Turn::Whole, device)?,
            window_rope: (0..config.layers)
                .any(|layer| config.turn(layer) == Turn::Window)
                .then(|| Rope::upload(&config, Turn::Window, device))
                .transpose()?,
            slopes: row(&config.slopes(), device)?.map(|slopes| slopes.reshape(((), 1, 1))).transpose()?,
            hidden: table(&hidden, QUERY_BLOCK)?,
            device: device.clone(),
            config,
            embeddings,
            layers,
            lm_head,
        })
    }

    /// The residual stream behind the last layer, a row a token, and the keys and values that are wanted.
    fn run(
        &self,
        sequences: &[Sequence],
        cancel: &Cancel,
    ) -> std::result::Result<(Tensor, Vec<KvCache>), ScoreError> {
        let ids: Vec<u32> = sequences.iter().flat_map(|sequence| sequence.ids).copied().collect();
        let positions = sequences.iter().flat_map(|s| (s.offset()..).take(s.ids.len())).map(|i| i as u32);
        let positions = Tensor::from_iter(positions, &self.device)?;
        let turns = Turns {
            whole: self.rope.at(&positions)?,
            window: self.window_rope.as_ref().map(|rope| rope.at(&positions)).transpose()?,
        };
        let mut kept = vec![KvCache::new(&self.config); sequences.len()];
        let mut x = self.embeddings.index_select(&Tensor::new(ids, &self.device)?, 0)?;
        if let Some(factor) = self.config.embedding_scale {
            x = (x * f64::from(factor))?;
        }
        for (layer, weights) in self.layers.iter().enumerate() {
            cancel.check()?;
            let rotation = match self.config.turn(layer) {
                Turn::Nothing => None,
                Turn::Whole => Some(&turns.whole),
                Turn::Window => turns.window.as_ref(),
            };
            let rows = self.project(weights, &x, rotation)?;
            let mut attended = Vec::with_capacity(sequences.len());
            let mut start = 0;
            for (sequence, kept) in sequences.iter().zip(&mut kept) {
                let own = rows.narrow(0, start, sequence.ids.len())?;
                start += sequence.ids.len();
                self.keep(layer, &own, sequence.kept, kept)?;
                attended.push(self.attend(layer, &own, sequence)?);
            }
            let (entering, eps) = (x.clone(), self.config.norm_eps);
            let attended = weights.heads_norm.apply(&Tensor::cat(&attended, 0)?, eps)?;
            let given = weights.attention_out.apply(&attended)?;
            x = (x + weights.attention_out_norm.apply(&given, eps)?)?;
            let given = self.feed_forward(weights, if self.config.parallel { &entering } else { &x })?;
            x = (x + weights.down_norm.apply(&given, eps)?)?;
        }
        Ok((self.norm.apply(&x, self.config.norm_eps)?, kept))
    }

    /// Norms heads where there are weights for it: in pieces as wide as these.
    fn norm_heads(&self, x: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        let Some(weight) = weight else { return Ok(x.clone()) };
        let pieces = x.contiguous()?.reshape(((), weight.elem_count()))?;
        rms_norm(&pieces, weight, self.config.norm_eps)?.reshape(x.shape())
    }

    /// Rows of rotated queries, rotated keys, and values.
    fn project(&self, weights: &Layer, x: &Tensor, rotation: Option<&Rope>) -> Result<Tensor> {
        let Heads { queries, keys, width } = self.config.heads;
        let normed = weights.attention_norm.apply(x, self.config.norm_eps)?;
        let qkv = weights.qkv.apply(&normed)?;
        let rows = qkv.dim(0)?;
        let own = self.norm_heads(&qkv.narrow(1, 0, queries * width)?, weights.query_norm.as_ref())?;
        let shared = qkv.narrow(1, queries * width, keys * width)?;
        let shared = self.norm_heads(&shared, weights.key_norm.as_ref())?;
        let mut turned = Tensor::cat(&[own, shared], 1)?;
        if let Some(Rope { cos, sin }) = rotation {
            let heads = turned.reshape((1, rows, queries + keys, width))?;
            let rotated = self.config.rotated;
            turned = rope_thd(&heads.narrow(3, 0, rotated)?.contiguous()?, cos, sin)?;
            if rotated < width {
                turned = Tensor::cat(&[turned, heads.narrow(3, rotated, width - rotated)?], 3)?;
            }
        }
        let turned = turned.reshape((rows, (queries + keys) * width))?;
        Tensor::cat(&[turned, qkv.narrow(1, (queries + keys) * width, keys * width)?], 1)
    }

    /// Fetches the keys and values of the first positions that are wanted.
    fn keep(&self, layer: usize, own: &Tensor, wanted: usize, kept: &mut KvCache) -> Result<()> {
        if wanted > 0 {
            let heads = self.config.heads;
            let rows = own.narrow(0, 0, wanted)?;
            let rows = rows.narrow(1, heads.queries * heads.width, heads.keys_and_values())?;
            let rows: Vec<f32> = rows.flatten_all()?.to_vec1()?;
            kept.append_rows(layer, std::iter::once(&rows[..]));
        }
        Ok(())
    }

    /// Attends from the rows of a sequence to it and to what came before, and returns a row of all query heads for
    /// each.
    fn attend(&self, layer: usize, own: &Tensor, sequence: &Sequence) -> Result<Tensor> {
        let heads = self.config.heads;
        let all = self.keys_and_values(layer, own, sequence)?;
        let queries = own.narrow(1, 0, heads.queries * heads.width)?;
        let queries = (queries / (heads.width as f64).sqrt())?;
        let (length, offset) = (sequence.ids.len(), sequence.offset());
        let blocks = (0..length).step_by(QUERY_BLOCK).map(|start| {
            let rows = QUERY_BLOCK.min(length - start);
            let window = self.config.layer_window(layer);
            let sinks = self.layers[layer].sinks.as_ref();
            self.attend_block(&queries.narrow(0, start, rows)?, &all, (offset + start, window), sinks)
        });
        Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 0)
    }

    fn keys_and_values(&self, layer: usize, own: &Tensor, sequence: &Sequence) -> Result<KeysValues> {
        let Heads { queries, keys, width } = self.config.heads;
        let own = own.narrow(1, queries * width, 2 * keys * width)?;
        let rows = match sequence.past {
            Some(past) => {
                let shape = (past.len(), 2 * keys * width);
                Tensor::cat(&[Tensor::from_slice(past.layer(layer), shape, &self.device)?, own], 0)?
            }
            None => own,
        };
        let heads = |first| {
            let rows = rows.narrow(1, first, keys * width)?;
            rows.reshape(((), keys, width))?.transpose(0, 1)?.contiguous()
        };
        Ok(KeysValues { keys: heads(0)?, values: heads(keys * width)? })
    }

    /// Attends from a block of rows, the first of which has `before` positions before it, to as many as `window` holds.
    fn attend_block(
        &self,
        queries: &Tensor,
        all: &KeysValues,
        (before, window): (usize, Option<usize>),
        sinks: Option<&Tensor>,
    ) -> Result<Tensor> {
        let Heads { queries: heads, keys, width } = self.config.heads;
        let (rows, group) = (queries.dim(0)?, heads / keys);
        let stacked = queries.reshape((rows, heads, width))?.transpose(0, 1)?.contiguous()?;
        let stacked = stacked.reshape((keys, group * rows, width))?;
        let seen = before + rows;
        let scores = stacked.matmul(&all.keys.narrow(1, 0, seen)?.t()?)?.reshape((heads, rows, seen))?;
        let mut scores = soft_cap(scores, self.config.attention_cap)?;
        if let Some(slopes) = &self.slopes {
            // The distance to the first position is the same for all keys of a row, and changes no weight.
            let positions = Tensor::arange(0.0, seen as f32, &self.device)?.reshape((1, 1, seen))?;
            scores = scores.broadcast_add(&slopes.broadcast_mul(&positions)?)?;
        }
        let hidden = match window.filter(|&window| window < seen) {
            Some(window) => self.window_mask((before, rows), window)?,
            None => self.hidden.narrow(0, 0, rows)?.narrow(1, 0, rows)?.pad_with_zeros(1, before, 0)?,
        };
        let mut scores = scores.broadcast_add(&hidden)?;
        if let Some(sinks) = sinks {
            scores = Tensor::cat(&[scores, sinks.broadcast_as((heads, rows, 1))?.contiguous()?], 2)?;
        }
        let weights = softmax_last_dim(&scores)?.narrow(2, 0, seen)?.contiguous()?;
        let weights = weights.reshape((keys, group * rows, seen))?;
        let outputs = weights.matmul(&all.values.narrow(1, 0, seen)?.contiguous()?)?;
        outputs.reshape((heads, rows, width))?.transpose(0, 1)?.reshape((rows, heads * width))
    }

    /// The mask of rows, the first of which has `before` positions before it, that see a window.
    fn window_mask(&self, (before, rows): (usize, usize), window: usize) -> Result<Tensor> {
        let seen = before + rows;
        let mask = (0..rows * seen).map(|i| {
            let (row, key) = (before + i / seen, i % seen);
            if key <= row && row - key < window { 0.0 } else { f32::NEG_INFINITY }
        });
        Tensor::from_iter(mask, &self.device)?.reshape((rows, seen))
    }

    /// What the feed-forward part of a layer gives.
    fn feed_forward(&self, weights: &Layer, x: &Tensor) -> Result<Tensor> {
        let normed = weights.feed_forward_norm.apply(x, self.config.norm_eps)?;
        let (mixture, router, networks) = match &weights.feed_forward {
            FeedForward::Dense(network) => return self.network(network, &normed),
            FeedForward::Experts { mixture, router, networks } => (mixture, router, networks),
        };
        let logits: Vec<f32> = router.apply(&normed)?.flatten_all()?.to_vec1()?;
        let mut sum = normed.zeros_like()?;
        for routes in mixture.routes(&logits).chunk_by(|a, b| a.network == b.network) {
            let rows = Tensor::from_iter(routes.iter().map(|route| route.row as u32), &self.device)?;
            let factors = Tensor::from_iter(routes.iter().map(|route| route.weight), &self.device)?;
            let given = self.network(&networks[routes[0].network], &normed.index_select(&rows, 0)?)?;
            sum = sum.index_add(&rows, &given.broadcast_mul(&factors.unsqueeze(1)?)?, 0)?;
        }
        Ok(sum)
    }

    /// `(silu(gate) * up) * W`, or that of another activation.
    fn network(&self, network: &Network, normed: &Tensor) -> Result<Tensor> {
        let gate_up = network.gate_up.apply(normed)?;
        let hidden = network.down.weights.dim(1)?;
        let gate = gate_up.narrow(1, 0, hidden)?;
        let up = || gate_up.narrow(1, hidden, hidden);
        let activated = match self.config.family.activation {
            Activation::Silu => (silu(&gate)? * up()?)?,
            Activation::Gelu => (gate.gelu()? * up()?)?,
            Activation::ClampedSilu => {
                let gate = gate.minimum(7.0)?;
                let gate = (candle_nn::ops::sigmoid(&(&gate * 1.702)?)? * gate)?;
                (gate * (up()?.clamp(-7.0, 7.0)? + 1.0)?)?
            }
            Activation::PlainGelu => gate.gelu()?,
            Activation::PlainErfGelu => gate.gelu_erf()?,
            Activation::PlainSquaredRelu => gate.relu()?.sqr()?,
        };
        network.down.apply(&network.hidden_norm.apply(&activated, self.config.norm_eps)?)
    }

    /// The logits of normed rows.
    fn logits(&self, normed: &Tensor) -> Result<Tensor> {
        let logits = with_bias(normed.matmul(&self.lm_head.t()?)?, self.lm_head_bias.as_ref())?;
        soft_cap(logits, self.config.logit_cap)
    }

    /// Negative log-likelihood of the wanted tokens, sequence by sequence.
    fn lm_head(&self, normed: &Tensor, sequences: &[Sequence]) -> Result<Vec<f32>> {
        let mut start = 0;
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for sequence in sequences {
            for target in sequence.targets() {
                // The row before a token predicts it.
                rows.push((start + target - 1) as u32);
                targets.push(sequence.ids[target]);
            }
            start += sequence.ids.len();
        }
        let mut nll = Vec::with_capacity(rows.len());
        for (rows, targets) in rows.chunks(HEAD_ROWS).zip(targets.chunks(HEAD_ROWS)) {
            let logits = self.logits(&normed.index_select(&Tensor::new(rows, &self.device)?, 0)?)?;
            let own = logits.gather(&Tensor::new(targets, &self.device)?.unsqueeze(1)?, 1)?.squeeze(1)?;
            nll.extend((logits.log_sum_exp(D::Minus1)? - own)?.to_vec1::<f32>()?);
        }
        Ok(nll)
    }
}

/// `cap * tanh(values / cap)`, where there is a cap.
fn soft_cap(values: Tensor, cap: Option<f32>) -> Result<Tensor> {
    match cap.map(f64::from) {
        Some(cap) => (values / cap)?.tanh()? * cap,
        None => Ok(values),
    }
}

impl Layer {
    fn upload(config: &LlamaConfig, rows: &LayerWeights, device: &Device) -> Result<Self> {
        let table = |rows: &ProjectionWeights, inputs| Projection::upload(rows, inputs, device);
        let norm = |weights: &NormWeights| Norm::upload(weights, device);
        let network = |parts| Network::upload(parts, &rows.hidden_norm, config.width, device);
        let feed_forward = match (&rows.experts, config.mixture) {
            (Some(ExpertWeights { router, networks }), Some(mixture)) => FeedForward::Experts {
                mixture,
                router: Projection::upload(router, config.width, device)?,
                networks: networks.iter().map(|parts| network(parts.each_ref())).collect::<Result<_>>()?,
            },
            _ => FeedForward::Dense(network([&rows.gate_up, &rows.down])?),
        };
        Ok(Self {
            attention_norm: norm(&rows.attention_norm)?,
            qkv: table(&rows.qkv, config.width)?,
            query_norm: row(&rows.query_norm, device)?,
            key_norm: row(&rows.key_norm, device)?,
            sinks: row(&rows.sinks, device)?.map(|sinks| sinks.reshape(((), 1, 1))).transpose()?,
            heads_norm: norm(&rows.heads_norm)?,
            attention_out: table(&rows.attention_out, config.heads.queries * config.heads.width)?,
            attention_out_norm: norm(&rows.attention_out_norm)?,
            feed_forward_norm: norm(&rows.feed_forward_norm)?,
            feed_forward,
            down_norm: norm(&rows.down_norm)?,
        })
    }
}

impl CausalModel for TensorLlama {
    fn config(&self) -> &LlamaConfig {
        &self.config
    }

    fn forward(
        &self,
        sequences: &[Sequence],
        cancel: &Cancel,
    ) -> std::result::Result<Vec<ForwardOutput>, ScoreError> {
        let (normed, kept) = self.run(sequences, cancel)?;
        cancel.check()?;
        let mut nll = self.lm_head(&normed, sequences)?.into_iter();
        let passed = sequences.iter().zip(kept).map(|(sequence, kept)| ForwardOutput {
            nll: nll.by_ref().take(sequence.targets().len()).collect(),
            kept,
        });
        Ok(passed.collect())
    }

    fn step(
        &self,
        id: u32,
        cache: &mut KvCache,
        logits: &mut Vec<f32>,
    ) -> std::result::Result<(), ScoreError> {
        let past = (cache.len() > 0).then_some(&*cache);
        let sequence = Sequence { ids: &[id], past, scored_from: 1, kept: 1 };
        let (normed, kept) = self.run(&[sequence], &Cancel::never())?;
        *logits = self.logits(&normed)?.squeeze(0)?.to_vec1()?;
        if let [kept] = &kept[..] {
            cache.append(kept);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::{Loaded, load, load_tensors};
    use super::*;
    use crate::model::Precision;
    use crate::model::store::{ModelStore, Silent};

    /// The tiny model of `gguf::tests` is compared with the definition; this one is the real one.
    #[test]
    fn the_default_model_scores_as_on_the_processor() {
        let files = ModelStore::from_environment(&crate::environment::ProcessEnv)
            .unwrap()
            .ensure("smollm2-135m-instruct", &Silent)
            .unwrap();
        let path = files.single("gguf").unwrap();
        let own = load(path, crate::model::Device::Cpu, Precision::F32, 0).unwrap();
        let tensors = load_tensors(path, &Device::Cpu, 0).unwrap();
        let text = include_str!("../../../eval/texts/incident.md");
        let ids: Vec<u32> = own.tokenizer.encode(text).iter().map(|token| token.id).collect();
        let sequences =
            [&ids[..700], &ids[700..760]].map(|ids| Sequence { ids, past: None, scored_from: 0, kept: 0 });
        let nll = |Loaded { llama, .. }: &Loaded| {
            let passed = llama.forward(&sequences, &Cancel::never()).unwrap();
            passed.into_iter().flat_map(|passed| passed.nll).collect::<Vec<_>>()
        };
        let (own, tensors) = (nll(&own), nll(&tensors));
        assert_eq!((own.len(), tensors.len()), (699 + 59, 699 + 59));
        let largest = own.iter().zip(&tensors).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 0.01, "{largest}");
    }
}
