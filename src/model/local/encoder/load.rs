//! Loading of encoders from the files of a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::config::EncoderConfig;
use super::error::EncoderError;
use super::family::Norms;
use super::forward::{Convolution, Encoder, Layer, Norm, Projection, Rotation, TokenRows};
use super::relative::{Distances, PositionTables, RelativePositions, Term, project};
use super::tensors::{TensorFile, Tensors};
use crate::model::Precision;
use crate::model::local::linear::{Backend, Linear};

/// The rows for positions and segments.
struct Places {
    positions: Vec<f32>,
    first_segment: Vec<f32>,
    second_segment: Vec<f32>,
}

/// Weights of a product, and what is added to it.
struct Rows {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

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
        let name = format!("{}.weight", config.family.tensors.words);
        let words = self.own(&name, &[config.vocabulary, config.width])?;
        self.encoder(TokenRows::Floats(words), config)
    }

    /// Builds the model of the tensors around its words.
    pub(crate) fn encoder(
        &mut self,
        words: TokenRows,
        config: EncoderConfig,
    ) -> Result<Encoder, EncoderError> {
        let names = config.family.tensors;
        let Places { positions, first_segment, second_segment } = self.places(&config)?;
        let embedding_norm = self.norm(names.embedding_norm, &config)?;
        let relative = config.relative.as_ref();
        let distances = relative.map(|relative| Distances::new(relative, config.positions));
        let rows = relative.zip(distances.as_ref());
        let rows = rows.map(|(relative, distances)| self.distance_rows(relative, distances, &config));
        let rows = rows.transpose()?;
        let layer = |i: usize| self.layer(i, rows.as_deref(), &config);
        let layers = (0..config.layers.len()).map(layer).collect::<Result<_, _>>()?;
        let final_norm = names.final_norm.map(|name| self.norm(name, &config)).transpose()?;
        let convolution = config.convolution.map(|taps| self.convolution(taps, &config)).transpose()?;
        let half = config.heads.width / 2;
        let rotations = config
            .family
            .positions
            .is_rotary()
            .then(|| config.rotary.map(|base| Rotation::new(base, half, config.positions)));
        debug_assert!(positions.is_empty() || positions.len() == config.positions * config.width);
        Ok(Encoder {
            words,
            positions,
            first_segment,
            second_segment,
            embedding_norm,
            rotations,
            distances,
            convolution,
            layers,
            final_norm,
            backend: self.backend,
            scratch: Mutex::default(),
            config,
        })
    }

    /// The rows of positions, with that of the first segment where there are any, and what the second segment adds to them.
    fn places(&mut self, config: &EncoderConfig) -> Result<Places, EncoderError> {
        let (width, isa) = (config.width, self.backend.isa);
        let name = "embeddings.position_embeddings.weight";
        let mut positions = match config.first_position {
            Some(first) => self.own(name, &[first + config.positions, width])?.split_off(first * width),
            None => Vec::new(),
        };
        if config.segments == 0 {
            return Ok(Places { positions, first_segment: Vec::new(), second_segment: Vec::new() });
        }
        let segments = self.own("embeddings.token_type_embeddings.weight", &[config.segments, width])?;
        let (first, others) = segments.split_at(width);
        positions.chunks_mut(width).for_each(|row| isa.add(row, first));
        let second_segment = others.iter().take(width).zip(first).map(|(second, first)| second - first);
        let second_segment = second_segment.collect();
        let first_segment = if positions.is_empty() { first.to_vec() } else { Vec::new() };
        Ok(Places { positions, first_segment, second_segment })
    }

    /// The rows for the distances that a sequence can have.
    fn distance_rows(
        &mut self,
        relative: &RelativePositions,
        distances: &Distances,
        config: &EncoderConfig,
    ) -> Result<Vec<f32>, EncoderError> {
        let width = config.width;
        let mut rows = self.own("encoder.rel_embeddings.weight", &[2 * relative.span, width])?;
        let needed = distances.needed();
        rows.truncate(needed.end * width);
        rows.drain(..needed.start * width);
        if relative.is_normed {
            let Norm { weight, bias } = self.norm("encoder.LayerNorm", config)?;
            let isa = self.backend.isa;
            rows.chunks_mut(width).for_each(|row| isa.layer_norm(row, &weight, &bias, config.norm_eps));
        }
        Ok(rows)
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

    /// The weights of projections of the same `inputs` to `outputs` values in all, side by side in one product.
    fn rows(
        &mut self,
        names: &[String],
        (inputs, outputs): (usize, usize),
        has_bias: bool,
    ) -> Result<Rows, EncoderError> {
        let (mut weights, mut bias, each) = (Vec::new(), Vec::new(), outputs / names.len());
        for name in names {
            weights.append(&mut self.own(&format!("{name}.weight"), &[each, inputs])?);
            if has_bias {
                bias.append(&mut self.own(&format!("{name}.bias"), &[each])?);
            }
        }
        bias.resize(outputs, 0.0);
        Ok(Rows { weights, bias })
    }

    fn pack(&self, Rows { weights, bias }: Rows, inputs: usize) -> Projection {
        let linear = Linear::pack_where_it_fits(self.precision, self.backend, &weights, inputs);
        Projection { linear, bias }
    }

    /// Packs what [`Weights::rows`] gives.
    fn projection(
        &mut self,
        names: &[String],
        (inputs, outputs): (usize, usize),
        has_bias: bool,
    ) -> Result<Projection, EncoderError> {
        let rows = self.rows(names, (inputs, outputs), has_bias)?;
        Ok(self.pack(rows, inputs))
    }

    /// The layer `i`; `distances` are the rows for distances, where there are any.
    fn layer(
        &mut self,
        i: usize,
        distances: Option<&[f32]>,
        config: &EncoderConfig,
    ) -> Result<Layer, EncoderError> {
        let (width, hidden, biases, family) = (config.width, config.hidden, config.biases, config.family);
        let (names, inside) = (&family.tensors, family.feed_forward.inside(hidden));
        let name = |part: &str| format!("{}.{i}.{part}", names.layer);
        let all = |parts: &[&str]| parts.iter().map(|part| name(part)).collect::<Vec<_>>();
        let mut qkv = self.rows(&all(names.qkv), (width, 3 * width), biases.attention)?;
        let tables = distances.zip(config.relative.as_ref());
        let tables = tables
            .map(|(rows, relative)| self.tables(&name("attention.self"), &mut qkv, (rows, relative), config));
        // What the first layer reads was normed as an embedding.
        let is_normed = i > 0 || family.norms == Norms::Behind;
        Ok(Layer {
            sight: config.layers[i],
            qkv: self.pack(qkv, width),
            tables: tables.transpose()?,
            attention_out: self.projection(&[name(names.attention_out)], (width, width), biases.attention)?,
            attention_norm: is_normed.then(|| self.norm(&name(names.attention_norm), config)).transpose()?,
            up: self.projection(&all(names.up), (width, inside), biases.feed_forward)?,
            down: self.projection(&[name(names.down)], (hidden, width), biases.feed_forward)?,
            output_norm: self.norm(&name(names.output_norm), config)?,
        })
    }

    /// Projects the rows for distances as a layer does. Its queries get the factor that scores have for them.
    fn tables(
        &mut self,
        name: &str,
        qkv: &mut Rows,
        (rows, relative): (&[f32], &RelativePositions),
        config: &EncoderConfig,
    ) -> Result<PositionTables, EncoderError> {
        let (width, backend) = (config.width, self.backend);
        let (of_queries, scale) = (relative.query_factor(), 1.0 / (config.heads.width as f32).sqrt());
        backend.isa.scale(&mut qkv.weights[..width * width], of_queries);
        backend.isa.scale(&mut qkv.bias[..width], of_queries);
        let mut tables = PositionTables::default();
        for term in &relative.terms {
            // Queries come first in the product, then keys.
            let (own, at, factor, table) = match term {
                Term::ContentToPosition => ("pos_key_proj", 1, 1.0, &mut tables.keys),
                Term::PositionToContent => ("pos_query_proj", 0, of_queries, &mut tables.queries),
            };
            *table = Some(if relative.is_shared {
                let weights = &qkv.weights[at * width * width..][..width * width];
                project(backend, rows, (weights, &qkv.bias[at * width..][..width]), scale)
            } else {
                let Rows { weights, bias } = self.rows(&[format!("{name}.{own}")], (width, width), true)?;
                project(backend, rows, (&weights, &bias), scale * factor)
            });
        }
        Ok(tables)
    }

    /// A convolution over so many rows: the file has a row of taps for each output and input.
    fn convolution(&mut self, taps: usize, config: &EncoderConfig) -> Result<Convolution, EncoderError> {
        let width = config.width;
        let by_input = self.own("encoder.conv.conv.weight", &[width, width, taps])?;
        let bias = self.own("encoder.conv.conv.bias", &[width])?;
        let mut weights = Vec::with_capacity(by_input.len());
        for output in by_input.chunks(width * taps) {
            weights.extend((0..taps).flat_map(|tap| output[tap..].iter().step_by(taps)));
        }
        Ok(Convolution {
            taps,
            projection: self.pack(Rows { weights, bias }, taps * width),
            norm: self.norm("encoder.conv.LayerNorm", config)?,
        })
    }
}
