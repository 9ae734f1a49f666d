//! Loading of encoders from the files of a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::error::EncoderError;
use super::family::{EncoderConfig, Positions};
use super::forward::{Encoder, Layer, Norm, Projection, Rotation, TokenRows};
use super::tensors::{TensorFile, Tensors};
use crate::model::Precision;
use crate::model::local::linear::{Backend, Linear};

/// Tensors of a file that were not taken yet.
pub(crate) struct Weights {
    backend: Backend,
    /// The precision of products.
    precision: Precision,
    path: PathBuf,
    /// The start of the names of all tensors.
    root: &'static str,
    /// The start of the names of the encoder's own.
    prefix: String,
    tensors: Tensors,
}

impl Weights {
    /// Reads a file in safetensors. `roots` are starts that the names of all tensors may have.
    pub(crate) fn read(
        path: &Path,
        config: &EncoderConfig,
        roots: &[&'static str],
        precision: Precision,
    ) -> Result<Self, EncoderError> {
        let cut = |reason: String| EncoderError::file(path, format!("{reason}: fetch the file again"));
        let tensors = Tensors::File(TensorFile::open(path).map_err(cut)?);
        let root = roots.iter().copied().find(|root| tensors.any_starts(root)).unwrap_or_default();
        // Checkpoints of a model with a head on top name the encoder.
        let named = format!("{root}{}", config.family.prefix);
        let prefix = if tensors.any_starts(&named) { named } else { root.to_owned() };
        Ok(Self { root, prefix, ..Self::of(path, tensors, precision) })
    }

    /// Tensors of the file at `path`, whose names have no common start.
    pub(crate) fn of(path: &Path, tensors: Tensors, precision: Precision) -> Self {
        let (backend, path) = (Backend::detect(), path.to_owned());
        Self { backend, precision, path, root: "", prefix: String::new(), tensors }
    }

    /// Returns whether there is a tensor of this name that was not taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.shape(name).is_some()
    }

    /// Builds the encoder of a configuration with the rows of its vocabulary among the tensors.
    pub(crate) fn encoder_with_words(&mut self, config: EncoderConfig) -> Result<Encoder, EncoderError> {
        let name = if config.family.is_modern {
            "embeddings.tok_embeddings.weight"
        } else {
            "embeddings.word_embeddings.weight"
        };
        let words = self.own(name, &[config.vocabulary, config.width])?;
        self.encoder(TokenRows::Floats(words), config)
    }

    /// Builds the model of the tensors around its words.
    pub(crate) fn encoder(
        &mut self,
        words: TokenRows,
        config: EncoderConfig,
    ) -> Result<Encoder, EncoderError> {
        let (first, width) = (config.family.is_modern, config.width);
        let (positions, second_segment) = self.places(&config)?;
        let embedding_norm = if first { "embeddings.norm" } else { "embeddings.LayerNorm" };
        let embedding_norm = self.norm(embedding_norm, &config)?;
        let layer =
            |i: usize| if first { self.modern_layer(i, &config) } else { self.bert_layer(i, &config) };
        let layers = (0..config.layers.len()).map(layer).collect::<Result<_, _>>()?;
        let final_norm = if first { Some(self.norm("final_norm", &config)?) } else { None };
        let half = config.heads.width / 2;
        let rotations = (config.family.positions == Positions::Rotary)
            .then(|| config.rotary.map(|base| Rotation::new(base, half, config.positions)));
        debug_assert!(positions.is_empty() || positions.len() == config.positions * width);
        Ok(Encoder {
            words,
            positions,
            second_segment,
            embedding_norm,
            rotations,
            layers,
            final_norm,
            backend: self.backend,
            scratch: Mutex::default(),
            config,
        })
    }

    /// The rows of positions, with that of the first segment, and what the second segment adds to them.
    fn places(&mut self, config: &EncoderConfig) -> Result<(Vec<f32>, Vec<f32>), EncoderError> {
        if config.family.positions == Positions::Rotary {
            return Ok((Vec::new(), Vec::new()));
        }
        let (width, first) = (config.width, config.first_position);
        let name = "embeddings.position_embeddings.weight";
        let mut positions = self.own(name, &[first + config.positions, width])?.split_off(first * width);
        if config.segments == 0 {
            return Ok((positions, Vec::new()));
        }
        let segments = self.own("embeddings.token_type_embeddings.weight", &[config.segments, width])?;
        let isa = self.backend.isa;
        positions.chunks_mut(width).for_each(|row| isa.add(row, &segments[..width]));
        let second = segments[width..].iter().take(width);
        Ok((positions, second.zip(&segments).map(|(second, first)| second - first).collect()))
    }

    /// A tensor of the encoder.
    fn own(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        self.take(&format!("{}{name}", self.prefix), shape)
    }

    /// A tensor of a head, whose name starts where the encoder's does.
    pub(crate) fn head(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        self.take(&format!("{}{name}", self.root), shape)
    }

    /// A tensor of the encoder's pooler, whose name is among the encoder's own.
    pub(crate) fn pooler(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        self.own(name, shape)
    }

    /// The number of rows of a head's matrix, of which nothing else is known.
    pub(crate) fn rows_of_head(&self, name: &str) -> Option<usize> {
        self.tensors.shape(&format!("{}{name}", self.root))?.first().copied()
    }

    /// A tensor by its whole name.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        let wrong = |reason: String| {
            Err(EncoderError::Tensor { path: self.path.clone(), name: name.to_owned(), reason })
        };
        match self.tensors.shape(name) {
            None => return wrong("is missing: the file is not of this config.json, or was cut off".into()),
            Some(found) if found != shape => {
                return wrong(format!("has the shape {found:?}, not {shape:?}"));
            }
            Some(_) => {}
        }
        match self.tensors.take(name) {
            Ok(values) if values.iter().all(|value| value.is_finite()) => Ok(values),
            Ok(_) => wrong("holds a value that is not a finite number: fetch the file again".into()),
            Err(reason) => wrong(reason),
        }
    }

    fn norm(&mut self, name: &str, config: &EncoderConfig) -> Result<Norm, EncoderError> {
        let width = config.width;
        let weight = self.own(&format!("{name}.weight"), &[width])?;
        let bias =
            if config.biases.norms { self.own(&format!("{name}.bias"), &[width])? } else { vec![0.0; width] };
        Ok(Norm { weight, bias })
    }

    /// Several projections of the same `inputs` to `outputs` values each, side by side in one product.
    fn projection(
        &mut self,
        names: &[String],
        (inputs, outputs): (usize, usize),
        has_bias: bool,
    ) -> Result<Projection, EncoderError> {
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            rows.extend(self.own(&format!("{name}.weight"), &[outputs, inputs])?);
            if has_bias {
                bias.extend(self.own(&format!("{name}.bias"), &[outputs])?);
            }
        }
        bias.resize(names.len() * outputs, 0.0);
        Ok(Projection {
            linear: Linear::pack_where_it_fits(self.precision, self.backend, &rows, inputs),
            bias,
        })
    }

    fn bert_layer(&mut self, i: usize, config: &EncoderConfig) -> Result<Layer, EncoderError> {
        let (width, hidden) = (config.width, config.hidden);
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Layer {
            sight: config.layers[i],
            qkv: self.projection(&qkv, (width, width), true)?,
            attention_out: self.projection(&[name("attention.output.dense")], (width, width), true)?,
            attention_norm: Some(self.norm(&name("attention.output.LayerNorm"), config)?),
            up: self.projection(&[name("intermediate.dense")], (width, hidden), true)?,
            down: self.projection(&[name("output.dense")], (hidden, width), true)?,
            output_norm: self.norm(&name("output.LayerNorm"), config)?,
        })
    }

    fn modern_layer(&mut self, i: usize, config: &EncoderConfig) -> Result<Layer, EncoderError> {
        let (width, hidden, biases) = (config.width, config.hidden, config.biases);
        let name = |part: &str| format!("layers.{i}.{part}");
        // What the first layer reads was normed as an embedding.
        let attention_norm = if i == 0 { None } else { Some(self.norm(&name("attn_norm"), config)?) };
        let feed_forward = biases.feed_forward;
        Ok(Layer {
            sight: config.layers[i],
            qkv: self.projection(&[name("attn.Wqkv")], (width, 3 * width), biases.attention)?,
            attention_out: self.projection(&[name("attn.Wo")], (width, width), biases.attention)?,
            attention_norm,
            up: self.projection(&[name("mlp.Wi")], (width, 2 * hidden), feed_forward)?,
            down: self.projection(&[name("mlp.Wo")], (hidden, width), feed_forward)?,
            output_norm: self.norm(&name("mlp_norm"), config)?,
        })
    }
}
