//! Matrix products with the model's weights, packed once at load for the processor at hand.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

/// A weight matrix of `inputs` x `outputs`: `out = x * W`.
pub(crate) struct Linear {
    packed: PackedBMatrix<f32>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// Packs weights that are stored as `outputs` rows of `inputs` values, as GGUF and PyTorch do.
    pub(crate) fn pack(gemm: &GemmExecutor, rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        let weights = NdTensorView::from_data([outputs, inputs], rows);
        Self { packed: gemm.prepack_b(weights.transposed()), inputs, outputs }
    }

    /// Columns of the product.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `out = x * W + keep * out`; `x` holds rows of `inputs` values, `out` as many rows of `outputs`.
    pub(crate) fn apply(&self, gemm: &GemmExecutor, x: &[f32], out: &mut [f32], keep: Keep) {
        let x = NdTensorView::from_data([x.len() / self.inputs, self.inputs], x);
        multiply(gemm, x, GemmInputB::Packed(&self.packed), out, keep);
    }
}

/// What becomes of the values that the output held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Overwritten.
    Nothing,
    /// The product is added to them.
    Sum,
}

/// `out = a * b (+ out)`.
pub(crate) fn multiply(
    gemm: &GemmExecutor,
    a: NdTensorView<f32, 2>,
    b: GemmInputB<f32>,
    out: &mut [f32],
    keep: Keep,
) {
    let beta = if keep == Keep::Sum { 1.0 } else { 0.0 };
    let options = GemmOptions { beta, ..GemmOptions::default() };
    gemm.gemm(out, GemmInputA::Unpacked(a), b, options)
        .expect("the shapes were checked against the model's configuration when it was loaded");
}
