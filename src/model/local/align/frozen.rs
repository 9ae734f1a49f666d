//! Weights that do not change, and products with them in both directions.

use candle_core::{Device, Result, Tensor};

use crate::model::local::linear::{Accumulate, Backend, FloatMatrix};

/// A matrix of weights: rows of as many values as a product has inputs.
///
/// On a processor products are those of the scorer's kernels: candle's own take several times as long there.
pub(super) enum Frozen {
    /// On the processor.
    Packed {
        /// The product of rows with the transposed weights.
        forward: Box<FloatMatrix>,
        /// The product of gradients with the weights.
        backward: Box<FloatMatrix>,
        /// Outputs and inputs.
        shape: [usize; 2],
        backend: Backend,
    },
    /// On another device.
    Tensor(Tensor),
}

impl Frozen {
    /// Brings rows of `inputs` weights to a device.
    pub(super) fn upload(rows: &[f32], inputs: usize, backend: Backend, device: &Device) -> Result<Self> {
        let shape = [rows.len() / inputs, inputs];
        if !device.is_cpu() {
            return Tensor::from_slice(rows, (shape[0], inputs), device).map(Self::Tensor);
        }
        let forward = Box::new(FloatMatrix::pack(backend, rows, inputs));
        let backward = Box::new(FloatMatrix::pack_transposed(backend, rows, inputs));
        Ok(Self::Packed { forward, backward, shape, backend })
    }

    /// `x * W^T`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed { forward, shape: [outputs, _], backend, .. } => {
                product(*backend, forward, x, *outputs)
            }
            Self::Tensor(weights) => x.matmul(&weights.t()?),
        }
    }

    /// `x * W`.
    pub(super) fn backward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Packed { backward, shape: [_, inputs], backend, .. } => {
                product(*backend, backward, x, *inputs)
            }
            Self::Tensor(weights) => x.contiguous()?.matmul(weights),
        }
    }
}

fn product(backend: Backend, matrix: &FloatMatrix, x: &Tensor, outputs: usize) -> Result<Tensor> {
    let rows = x.dim(0)?;
    let mut out = vec![0.0; rows * outputs];
    matrix.apply(backend, &x.flatten_all()?.to_vec1::<f32>()?, &mut out, Accumulate::Overwrite);
    Tensor::from_vec(out, (rows, outputs), x.device())
}
