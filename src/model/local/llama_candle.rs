//! The pass of [`Llama`](super::llama::Llama) in candle's tensors, for devices that are no CPU.
//!
//! In 32-bit floats. Rows of all sequences go through products and norms together; attention is computed sequence by
//! sequence and in blocks of queries, and the head in blocks of rows, so that nothing grows with the square of the
//! length or with length times vocabulary. Keys and values come from the host and go back to it.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope_thd;

use super::attention::Heads;
use super::causal::{
    CausalModel, EmbeddingWeights, ForwardOutput, KvCache, LayerWeights, LlamaConfig, Sequence,
};
use super::error::LoadError;
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
    norm: Tensor,
    lm_head: Tensor,
    /// The cosines of every position, in rows of half a head's width.
    cos: Tensor,
    sin: Tensor,
    /// The causal mask of a block: minus infinity for positions that a query must not see.
    hidden: Tensor,
}

/// Weights of a layer, one row an output.
struct Layer {
    attention_norm: Tensor,
    qkv: Tensor,
    attention_out: Tensor,
    feed_forward_norm: Tensor,
    gate_up: Tensor,
    down: Tensor,
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
        let (cos, sin) = config.rotations(0..config.context);
        let half = config.heads.width / 2;
        let hidden = |i: usize| if i % QUERY_BLOCK > i / QUERY_BLOCK { f32::NEG_INFINITY } else { 0.0 };
        let hidden: Vec<f32> = (0..QUERY_BLOCK * QUERY_BLOCK).map(hidden).collect();
        Ok(Self {
            norm: Tensor::from_slice(&words.norm, words.norm.len(), device)?,
            cos: table(&cos, half)?,
            sin: table(&sin, half)?,
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
        let rotation = (self.cos.index_select(&positions, 0)?, self.sin.index_select(&positions, 0)?);
        let mut kept = vec![KvCache::new(&self.config); sequences.len()];
        let mut x = self.embeddings.index_select(&Tensor::new(ids, &self.device)?, 0)?;
        for (layer, weights) in self.layers.iter().enumerate() {
            cancel.check()?;
            let rows = self.project(weights, &x, &rotation)?;
            let mut attended = Vec::with_capacity(sequences.len());
            let mut start = 0;
            for (sequence, kept) in sequences.iter().zip(&mut kept) {
                let own = rows.narrow(0, start, sequence.ids.len())?;
                start += sequence.ids.len();
                self.keep(layer, &own, sequence.kept, kept)?;
                attended.push(self.attend(layer, &own, sequence)?);
            }
            x = (x + Tensor::cat(&attended, 0)?.matmul(&weights.attention_out.t()?)?)?;
            x = (&x + self.feed_forward(weights, &x)?)?;
        }
        Ok((rms_norm(&x, &self.norm, self.config.norm_eps)?, kept))
    }

    /// Rows of rotated queries, rotated keys, and values.
    fn project(&self, weights: &Layer, x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
        let Heads { queries, keys, width } = self.config.heads;
        let normed = rms_norm(x, &weights.attention_norm, self.config.norm_eps)?;
        let qkv = normed.matmul(&weights.qkv.t()?)?;
        let rows = qkv.dim(0)?;
        let turned = qkv.narrow(1, 0, (queries + keys) * width)?.reshape((1, rows, queries + keys, width))?;
        let turned = rope_thd(&turned, cos, sin)?.reshape((rows, (queries + keys) * width))?;
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
            self.attend_block(&queries.narrow(0, start, rows)?, &all, offset + start)
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

    /// Attends from a block of rows, the first of which has `before` positions before it.
    fn attend_block(&self, queries: &Tensor, all: &KeysValues, before: usize) -> Result<Tensor> {
        let Heads { queries: heads, keys, width } = self.config.heads;
        let (rows, group) = (queries.dim(0)?, heads / keys);
        let stacked = queries.reshape((rows, heads, width))?.transpose(0, 1)?.contiguous()?;
        let stacked = stacked.reshape((keys, group * rows, width))?;
        let seen = before + rows;
        let scores = stacked.matmul(&all.keys.narrow(1, 0, seen)?.t()?)?.reshape((heads, rows, seen))?;
        let hidden = self.hidden.narrow(0, 0, rows)?.narrow(1, 0, rows)?;
        let hidden = hidden.pad_with_zeros(1, before, 0)?;
        let weights =
            softmax_last_dim(&scores.broadcast_add(&hidden)?)?.reshape((keys, group * rows, seen))?;
        let outputs = weights.matmul(&all.values.narrow(1, 0, seen)?.contiguous()?)?;
        outputs.reshape((heads, rows, width))?.transpose(0, 1)?.reshape((rows, heads * width))
    }

    /// `(silu(gate) * up) * W`.
    fn feed_forward(&self, weights: &Layer, x: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(x, &weights.feed_forward_norm, self.config.norm_eps)?;
        let gate_up = normed.matmul(&weights.gate_up.t()?)?;
        let hidden = self.config.hidden;
        let activated = (silu(&gate_up.narrow(1, 0, hidden)?)? * gate_up.narrow(1, hidden, hidden)?)?;
        activated.matmul(&weights.down.t()?)
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
            let logits =
                normed.index_select(&Tensor::new(rows, &self.device)?, 0)?.matmul(&self.lm_head.t()?)?;
            let own = logits.gather(&Tensor::new(targets, &self.device)?.unsqueeze(1)?, 1)?.squeeze(1)?;
            nll.extend((logits.log_sum_exp(D::Minus1)? - own)?.to_vec1::<f32>()?);
        }
        Ok(nll)
    }
}

impl Layer {
    fn upload(config: &LlamaConfig, rows: &LayerWeights, device: &Device) -> Result<Self> {
        let table = |rows: &[f32], inputs| Tensor::from_slice(rows, (rows.len() / inputs, inputs), device);
        let row = |row: &[f32]| Tensor::from_slice(row, row.len(), device);
        Ok(Self {
            attention_norm: row(&rows.attention_norm)?,
            qkv: table(&rows.qkv, config.width)?,
            attention_out: table(&rows.attention_out, config.heads.queries * config.heads.width)?,
            feed_forward_norm: row(&rows.feed_forward_norm)?,
            gate_up: table(&rows.gate_up, config.width)?,
            down: table(&rows.down, config.hidden)?,
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
        *logits = normed.matmul(&self.lm_head.t()?)?.squeeze(0)?.to_vec1()?;
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
        let own = load(path, crate::model::Device::Cpu, Precision::F32).unwrap();
        let tensors = load_tensors(path, &Device::Cpu).unwrap();
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
