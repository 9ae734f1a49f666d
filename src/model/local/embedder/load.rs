//! Loading of a BERT model from the files of a checkpoint.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use super::EmbedderError;
use super::bert::{Bert, BertConfig, Layer, Norm, Projection, TokenRows};
use super::packed::PackedModel;
use super::tokenizer::EmbedderTokenizer;
use crate::model::Precision;
use crate::model::local::attention::Heads;
use crate::model::local::linear::{Backend, Linear};

/// The fields of a `config.json` that matter here.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f32,
}

fn gelu() -> String {
    "gelu".into()
}

fn absolute() -> String {
    "absolute".into()
}

/// Reads and checks a `config.json`.
pub(super) fn configuration(path: &Path) -> Result<BertConfig, EmbedderError> {
    let text = std::fs::read_to_string(path).map_err(|e| EmbedderError::file(path, e.to_string()))?;
    let raw: RawConfig = serde_json::from_str(&text).map_err(|e| EmbedderError::file(path, e.to_string()))?;
    raw.checked()
}

impl RawConfig {
    fn checked(self) -> Result<BertConfig, EmbedderError> {
        for (what, value, known) in [
            ("architecture", &self.model_type, "bert"),
            ("activation", &self.hidden_act, "gelu"),
            ("position embedding", &self.position_embedding_type, "absolute"),
        ] {
            if value != known {
                return Err(EmbedderError::Unsupported { what, value: value.clone(), known });
            }
        }
        for (what, size, most) in [
            ("hidden_size", self.hidden_size, 1 << 14),
            ("intermediate_size", self.intermediate_size, 1 << 16),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("vocab_size", self.vocab_size, 1 << 22),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 17),
        ] {
            if !(1..=most).contains(&size) {
                return Err(EmbedderError::Configuration(format!("{what} is {size}, not 1 to {most}")));
            }
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if !width.is_multiple_of(heads) {
            return Err(EmbedderError::Configuration(format!(
                "width {width} does not divide by {heads} heads"
            )));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(EmbedderError::Configuration(format!("layer_norm_eps is {}", self.layer_norm_eps)));
        }
        Ok(BertConfig {
            width,
            hidden: self.intermediate_size,
            heads: Heads { queries: heads, keys: heads, width: width / heads },
            layers: self.num_hidden_layers,
            vocabulary: self.vocab_size,
            positions: self.max_position_embeddings,
            norm_eps: self.layer_norm_eps,
        })
    }
}

/// Reads weights in safetensors and packs them for this processor.
pub(super) fn bert(path: &Path, config: BertConfig, precision: Precision) -> Result<Bert, EmbedderError> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|e| EmbedderError::file(path, e.to_string()))?;
    // Checkpoints of a model with a head on top name the encoder.
    let prefix = if tensors.contains_key("bert.embeddings.LayerNorm.weight") { "bert." } else { "" };
    let mut weights = Weights { backend: Backend::detect(), precision, prefix, tensors };
    let words = weights.take("embeddings.word_embeddings.weight", &[config.vocabulary, config.width])?;
    weights.bert(TokenRows::Floats(words), config)
}

/// Reads a packed model, and packs its weights for this processor.
pub(super) fn packed(path: &Path, precision: Precision) -> Result<(Bert, EmbedderTokenizer), EmbedderError> {
    let bytes = std::fs::read(path).map_err(|e| EmbedderError::file(path, e.to_string()))?;
    let model = PackedModel::parse(&bytes).map_err(|reason| EmbedderError::file(path, reason))?;
    drop(bytes);
    let mut weights = Weights { backend: Backend::detect(), precision, prefix: "", tensors: model.tensors };
    let bert = weights.bert(TokenRows::Quantized(model.words), model.config)?;
    Ok((bert, EmbedderTokenizer::unigram(model.tokenizer, model.ends)))
}

/// Tensors of a file that were not taken yet.
struct Weights<'a> {
    backend: Backend,
    /// The precision of products.
    precision: Precision,
    prefix: &'a str,
    tensors: HashMap<String, Tensor>,
}

impl Weights<'_> {
    /// Builds the model of the tensors around its words.
    fn bert(&mut self, words: TokenRows, config: BertConfig) -> Result<Bert, EmbedderError> {
        let width = config.width;
        let mut positions = self.take("embeddings.position_embeddings.weight", &[config.positions, width])?;
        let segments = self.take("embeddings.token_type_embeddings.weight", &[2, width])?;
        let backend = self.backend;
        positions.chunks_mut(width).for_each(|row| backend.isa.add(row, &segments[..width]));
        Ok(Bert {
            words,
            positions,
            embedding_norm: self.norm("embeddings.LayerNorm", width)?,
            layers: (0..config.layers).map(|i| self.layer(i, &config)).collect::<Result<_, _>>()?,
            backend: self.backend,
            scratch: Mutex::default(),
            config,
        })
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedderError> {
        let name = format!("{}{name}", self.prefix);
        let wrong = |reason: String| EmbedderError::Tensor { name: name.clone(), reason };
        let tensor = self.tensors.remove(&name).ok_or_else(|| wrong("is missing".into()))?;
        if tensor.dims() != shape {
            return Err(wrong(format!("has the shape {:?}, not {shape:?}", tensor.dims())));
        }
        let values = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>())
            .map_err(|e| wrong(format!("cannot be read: {e}")))?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(wrong("holds a value that is not a finite number".into()))
        }
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, EmbedderError> {
        Ok(Norm {
            weight: self.take(&format!("{name}.weight"), &[width])?,
            bias: self.take(&format!("{name}.bias"), &[width])?,
        })
    }

    /// Several projections of the same `inputs` to `outputs` values each, side by side in one product.
    fn projection(
        &mut self,
        names: &[String],
        inputs: usize,
        outputs: usize,
    ) -> Result<Projection, EmbedderError> {
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            rows.extend(self.take(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.take(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Projection {
            linear: Linear::pack_where_it_fits(self.precision, self.backend, &rows, inputs),
            bias,
        })
    }

    fn layer(&mut self, i: usize, config: &BertConfig) -> Result<Layer, EmbedderError> {
        let (width, hidden) = (config.width, config.hidden);
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Layer {
            qkv: self.projection(&qkv, width, width)?,
            attention_out: self.projection(&[name("attention.output.dense")], width, width)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"), width)?,
            up: self.projection(&[name("intermediate.dense")], width, hidden)?,
            down: self.projection(&[name("output.dense")], hidden, width)?,
            output_norm: self.norm(&name("output.LayerNorm"), width)?,
        })
    }
}
