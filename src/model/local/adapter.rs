//! Low-rank adapters (`LoRA`, arXiv 2106.09685): their files, and how they are merged into a model's weights.
//!
//! A file is safetensors. Its tensors are named as PEFT names them, one pair for each product of each layer, and its
//! metadata says what it was made from. Weights are merged in floats when the model is loaded, before anything is
//! quantised, so that every precision and device runs the same weights.

mod error;
mod file;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::causal::{LayerWeights, LlamaConfig};
pub use error::AdapterError;
pub(crate) use file::{Keys, Metadata, Tensors, read, sha256_of, sha256_of_bytes, write};

/// The architectures whose weights adapters are made for and merged into.
pub(crate) const SUPPORTED: [&str; 1] = ["llama"];
/// Highest rank of an adapter.
pub(crate) const MAX_RANK: usize = 1024;

/// A product of a layer that an adapter changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projection {
    /// The queries of attention.
    Query,
    /// The keys of attention.
    Key,
    /// The values of attention.
    Value,
    /// The output of attention.
    AttentionOut,
    /// The gate of the feed-forward network.
    Gate,
    /// The other half of what goes into it.
    Up,
    /// The output of the feed-forward network.
    Down,
}

impl Projection {
    /// All of a layer, in the order in which parameters are counted.
    pub(crate) const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::AttentionOut, Self::Gate, Self::Up, Self::Down];

    /// The name that PEFT has for it in a layer.
    fn name(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::AttentionOut => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The names of its two tensors in a layer's part of the file.
    pub(crate) fn tensors(self, layer: usize) -> [String; 2] {
        ["A", "B"]
            .map(|part| format!("base_model.model.model.layers.{layer}.{}.lora_{part}.weight", self.name()))
    }

    /// Returns its outputs and inputs.
    pub(crate) fn shape(self, config: &LlamaConfig) -> [usize; 2] {
        let LlamaConfig { width, hidden, heads, .. } = *config;
        match self {
            Self::Query => [heads.queries * heads.width, width],
            Self::Key | Self::Value => [heads.keys * heads.width, width],
            Self::AttentionOut => [width, heads.queries * heads.width],
            Self::Gate | Self::Up => [hidden, width],
            Self::Down => [width, hidden],
        }
    }

    /// Its weights among those of a layer.
    pub(crate) fn rows<'a>(self, config: &LlamaConfig, layer: &'a mut LayerWeights) -> &'a mut [f32] {
        let [outputs, inputs] = self.shape(config);
        let [queries, _] = Self::Query.shape(config);
        let [keys, _] = Self::Key.shape(config);
        let (all, first) = match self {
            Self::Query => (&mut layer.qkv.rows, 0),
            Self::Key => (&mut layer.qkv.rows, queries),
            Self::Value => (&mut layer.qkv.rows, queries + keys),
            Self::AttentionOut => (&mut layer.attention_out.rows, 0),
            Self::Gate => (&mut layer.gate_up.rows, 0),
            Self::Up => (&mut layer.gate_up.rows, config.hidden),
            Self::Down => (&mut layer.down.rows, 0),
        };
        &mut all[first * inputs..(first + outputs) * inputs]
    }
}

/// The record of what an adapter was made from, which its file has as metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterOrigin {
    /// The name of the model that it changes.
    pub base_model: String,
    /// The sha256 of that model's file, in hexadecimal digits.
    pub base_sha256: String,
    /// The rank of the changes.
    pub rank: usize,
    /// The factor of the changes, times the rank.
    pub alpha: f64,
    /// The seed of the random numbers that it was made with.
    pub seed: u64,
    /// The sha256 of the file of pairs.
    pub pairs_sha256: String,
    /// The number of pairs that it was trained on.
    pub pairs: usize,
    /// The number of pairs that were held back.
    pub held_pairs: usize,
    /// The steps that were trained, up to the best ones.
    pub steps: usize,
    /// The mean negative log-likelihood of the held answers' tokens before, in nats.
    pub held_loss_before: f64,
    /// The same with the adapter.
    pub held_loss_after: f64,
}

/// One change of a product: `B * A`, times a factor.
#[derive(Debug, Clone, PartialEq)]
struct LowRank {
    /// Rows of the product's inputs, as many as the rank.
    a: Vec<f32>,
    /// Rows of the rank, as many as the product has outputs.
    b: Vec<f32>,
}

/// An adapter that was read from its file.
#[derive(Debug, Clone)]
pub struct Adapter {
    path: PathBuf,
    sha256: String,
    origin: AdapterOrigin,
    tensors: Tensors,
}

impl Adapter {
    /// Reads a file, all of whose values must be finite. Shapes are checked when it is merged.
    ///
    /// # Errors
    /// The file cannot be read, or is no adapter.
    pub fn open(path: &Path) -> Result<Self, AdapterError> {
        let (tensors, metadata, sha256) = read(path)?;
        let origin = AdapterOrigin::parse(path, &metadata)?;
        Ok(Self { path: path.to_owned(), sha256, origin, tensors })
    }

    /// Returns what it was made from.
    #[must_use]
    pub fn origin(&self) -> &AdapterOrigin {
        &self.origin
    }

    /// Returns the sha256 of its file, in hexadecimal digits: equal for equal adapters.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Checks that it was made for the model whose file has this hash.
    ///
    /// # Errors
    /// It was made for another one.
    pub fn check_base(&self, sha256: &str) -> Result<(), AdapterError> {
        if self.origin.base_sha256 == sha256 {
            return Ok(());
        }
        Err(AdapterError::WrongBase {
            path: self.path.clone(),
            base: self.origin.base_model.clone(),
            expected: self.origin.base_sha256.clone(),
            found: sha256.to_owned(),
        })
    }

    /// Checks that the model is of an architecture that adapters are for, and that there is no tensor that none of its
    /// layers would take.
    pub(crate) fn check_model(&self, config: &LlamaConfig) -> Result<(), AdapterError> {
        let found = if config.mixture.is_some() { "a mixture of experts" } else { config.family.name };
        if !SUPPORTED.contains(&found) {
            let supported = SUPPORTED.join(", ");
            return Err(AdapterError::Architecture { path: self.path.clone(), found, supported });
        }
        let known: std::collections::HashSet<String> = (0..config.layers)
            .flat_map(|layer| Projection::ALL.into_iter().flat_map(move |part| part.tensors(layer)))
            .collect();
        match self.tensors.keys().find(|&name| !known.contains(name)) {
            Some(tensor) => {
                Err(AdapterError::UnknownTensor { path: self.path.clone(), tensor: tensor.clone() })
            }
            None => Ok(()),
        }
    }

    /// Adds the changes to the weights of a layer.
    pub(crate) fn merge(
        &self,
        config: &LlamaConfig,
        layer: usize,
        weights: &mut LayerWeights,
    ) -> Result<(), AdapterError> {
        let rank = self.origin.rank;
        let scale = (self.origin.alpha / rank as f64) as f32;
        for part in Projection::ALL {
            let change = self.change(config, layer, part)?;
            let inputs = part.shape(config)[1];
            let rows = part.rows(config, weights).par_chunks_exact_mut(inputs);
            rows.zip(change.b.par_chunks_exact(rank)).for_each(|(row, b)| {
                for (a, b) in change.a.chunks_exact(inputs).zip(b) {
                    let factor = b * scale;
                    row.iter_mut().zip(a).for_each(|(weight, a)| *weight += factor * a);
                }
            });
        }
        Ok(())
    }

    fn change(&self, config: &LlamaConfig, layer: usize, part: Projection) -> Result<LowRank, AdapterError> {
        let ([outputs, inputs], rank) = (part.shape(config), self.origin.rank);
        let [a, b] = part.tensors(layer);
        Ok(LowRank { a: self.tensor(&a, [rank, inputs])?, b: self.tensor(&b, [outputs, rank])? })
    }

    fn tensor(&self, name: &str, expected: [usize; 2]) -> Result<Vec<f32>, AdapterError> {
        let (path, tensor) = (self.path.clone(), name.to_owned());
        match self.tensors.get(name) {
            None => Err(AdapterError::MissingTensor { path, tensor }),
            Some((shape, values)) if *shape == expected => Ok(values.clone()),
            Some((found, _)) => Err(AdapterError::WrongShape {
                path,
                tensor,
                expected: expected.to_vec(),
                found: found.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
