//! Heads of encoders: the score of a sequence, and the probability that each token is to be kept.

use super::config::EncoderConfig;
use super::error::EncoderError;
use super::family::{FAMILIES, HeadKind};
use super::load::Weights;
use crate::kernels::Isa;

/// A product with a matrix of one row an output.
struct Dense {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    fn apply(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        let rows = self.weights.chunks(x.len()).zip(&self.bias);
        rows.map(|(row, bias)| isa.dot(row, x) + bias).collect()
    }
}

/// The layers between an encoder and the score of a sequence.
pub(crate) struct ScoreHead {
    kind: HeadKind,
    /// Whether it reads the mean of all tokens, else the first one.
    pools_mean: bool,
    dense: Dense,
    /// Weights and biases of the norm behind it.
    norm: Option<(Vec<f32>, Vec<f32>)>,
    norm_eps: f32,
    out: Dense,
}

impl ScoreHead {
    /// Takes the head's tensors out of a checkpoint.
    pub(crate) fn take(weights: &mut Weights, config: &EncoderConfig) -> Result<Self, EncoderError> {
        let Some(kind) = config.family.head else {
            let known = FAMILIES.iter().filter(|family| family.head.is_some()).map(|family| family.name);
            let known = known.collect::<Vec<_>>().join("`, `");
            let value = config.family.name.to_owned();
            return Err(EncoderError::Unsupported { what: "architecture of a reranker", value, known });
        };
        let (width, bias) = (config.width, config.biases.head);
        let square = [width, width];
        let or_zeros = |bias: Option<Vec<f32>>| bias.unwrap_or_else(|| vec![0.0; width]);
        let (dense, out) = match kind {
            HeadKind::Pooler => {
                let dense = weights.pooler("pooler.dense.weight", &square)?;
                (Dense { weights: dense, bias: weights.pooler("pooler.dense.bias", &[width])? }, "classifier")
            }
            HeadKind::ContextPooler => {
                let dense = weights.head("pooler.dense.weight", &square)?;
                (Dense { weights: dense, bias: weights.head("pooler.dense.bias", &[width])? }, "classifier")
            }
            HeadKind::Classifier => {
                let dense = weights.head("classifier.dense.weight", &square)?;
                let bias = weights.head("classifier.dense.bias", &[width])?;
                (Dense { weights: dense, bias }, "classifier.out_proj")
            }
            HeadKind::Prediction => {
                let dense = weights.head("head.dense.weight", &square)?;
                let bias = bias.then(|| weights.head("head.dense.bias", &[width])).transpose()?;
                (Dense { weights: dense, bias: or_zeros(bias) }, "classifier")
            }
        };
        let norm = if kind == HeadKind::Prediction {
            let weight = weights.head("head.norm.weight", &[width])?;
            let bias = config.biases.norms.then(|| weights.head("head.norm.bias", &[width])).transpose()?;
            Some((weight, or_zeros(bias)))
        } else {
            None
        };
        let labels = weights.rows_of_head(&format!("{out}.weight"));
        if let Some(labels) = labels.filter(|&labels| labels != 1) {
            let (what, value) = ("number of labels", labels.to_string());
            return Err(EncoderError::Unsupported { what, value, known: "1".into() });
        }
        let out = Dense {
            weights: weights.head(&format!("{out}.weight"), &[1, width])?,
            bias: weights.head(&format!("{out}.bias"), &[1])?,
        };
        Ok(Self { kind, pools_mean: config.pools_mean, dense, norm, norm_eps: config.norm_eps, out })
    }

    /// The score of a sequence by the rows of its tokens: the higher, the better, without bounds.
    pub(crate) fn score(&self, isa: Isa, rows: &[f32]) -> f32 {
        let width = self.dense.bias.len();
        let mut pooled = rows[..width].to_vec();
        if self.pools_mean {
            rows[width..].chunks(width).for_each(|row| isa.add(&mut pooled, row));
            isa.scale(&mut pooled, width as f32 / rows.len() as f32);
        }
        let mut hidden = self.dense.apply(isa, &pooled);
        match self.kind {
            HeadKind::Pooler | HeadKind::Classifier => {
                for value in &mut hidden {
                    *value = value.tanh();
                }
            }
            HeadKind::Prediction | HeadKind::ContextPooler => isa.gelu(&mut hidden, &vec![0.0; width]),
        }
        if let Some((weight, bias)) = &self.norm {
            isa.layer_norm(&mut hidden, weight, bias, self.norm_eps);
        }
        self.out.apply(isa, &hidden)[0]
    }
}

/// The probability that a token is to be kept, by its row.
pub(crate) struct KeepHead(Dense);

impl KeepHead {
    /// The layer's name in the form of `OpenProvence`, which any architecture may have.
    const NAME: &str = "pruning_head.classifier";

    /// Takes the head's tensors out of a checkpoint; none where there is no such head and none is needed.
    pub(crate) fn take(
        weights: &mut Weights,
        config: &EncoderConfig,
        is_needed: bool,
    ) -> Result<Option<Self>, EncoderError> {
        let is_there = is_needed || weights.has(&format!("{}.weight", Self::NAME));
        let Some(name) = config.family.keep.or(is_there.then_some(Self::NAME)) else { return Ok(None) };
        Ok(Some(Self(Dense {
            weights: weights.take(&format!("{name}.weight"), &[2, config.width])?,
            bias: weights.take(&format!("{name}.bias"), &[2])?,
        })))
    }

    /// The probability of each row, 0 to 1.
    pub(crate) fn probabilities(&self, isa: Isa, rows: &[f32]) -> Vec<f32> {
        let width = self.0.weights.len() / 2;
        let keep = |row: &[f32]| {
            let classes = self.0.apply(isa, row);
            1.0 / (1.0 + (classes[0] - classes[1]).exp())
        };
        rows.chunks(width).map(keep).collect()
    }
}
