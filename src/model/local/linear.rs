//! Matrix products with the model's weights, packed once at load for the processor at hand.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

use super::int8::{Int8Matrix, QuantRows, Quantised};
use crate::kernels::Isa;
use crate::model::Precision;

/// What products run on.
#[derive(Clone, Copy)]
pub(crate) struct Math {
    /// Products of floats. Executors may be shared between threads but not sent, hence the reference.
    pub(crate) gemm: &'static GemmExecutor,
    /// Everything else.
    pub(crate) isa: Isa,
}

impl Math {
    /// For the processor at hand.
    pub(crate) fn detect() -> Self {
        // Lives as long as the process, as models nearly always do; a few bytes for each load.
        Self { gemm: Box::leak(Box::new(GemmExecutor::new())), isa: Isa::detect() }
    }
}

/// A weight matrix of `inputs` x `outputs`: `out = x * W`.
pub(crate) struct Linear {
    weights: Weights,
    inputs: usize,
    outputs: usize,
}

enum Weights {
    F32(PackedBMatrix<f32>),
    Int8(Int8Matrix),
}

impl Linear {
    /// Packs weights that are stored as `outputs` rows of `inputs` values, as GGUF and PyTorch do.
    pub(crate) fn pack(math: Math, rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        let weights = NdTensorView::from_data([outputs, inputs], rows);
        Self { weights: Weights::F32(math.gemm.prepack_b(weights.transposed())), inputs, outputs }
    }

    /// Packs weights that are stored as rows of `outputs` values, one an input.
    pub(crate) fn pack_transposed(math: Math, rows: &[f32], outputs: usize) -> Self {
        let inputs = rows.len() / outputs;
        let weights = NdTensorView::from_data([inputs, outputs], rows);
        Self { weights: Weights::F32(math.gemm.prepack_b(weights)), inputs, outputs }
    }

    /// Packs quantised weights, of which [`Int8Matrix::pack`] demands certain multiples.
    pub(crate) fn pack_int8(rows: &QuantRows) -> Self {
        let matrix = Int8Matrix::pack(rows);
        let (inputs, outputs) = matrix.shape();
        Self { weights: Weights::Int8(matrix), inputs, outputs }
    }

    /// Packs for products of this precision; of 8-bit weights [`Int8Matrix::pack`] demands certain multiples.
    pub(crate) fn pack_as(precision: Precision, math: Math, rows: &[f32], inputs: usize) -> Self {
        match precision {
            Precision::F32 => Self::pack(math, rows, inputs),
            Precision::Int8 => Self::pack_int8(&QuantRows::from_floats(math.isa, rows, inputs)),
        }
    }

    /// Columns of the product.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `out = x * W (+ out)`; `x` holds rows of `inputs` values, `out` as many rows of `outputs`.
    pub(crate) fn apply(
        &self,
        math: Math,
        x: &[f32],
        out: &mut [f32],
        keep: Keep,
        quantised: &mut Quantised,
    ) {
        self.quantise(math, x, quantised);
        self.apply_quantised(math, x, out, keep, quantised);
    }

    /// As [`Linear::apply`] for one row, whose outputs are shared out between the threads.
    pub(crate) fn apply_row(
        &self,
        math: Math,
        x: &[f32],
        out: &mut [f32],
        keep: Keep,
        quantised: &mut Quantised,
    ) {
        self.quantise(math, x, quantised);
        match &self.weights {
            // The library shares them out by itself.
            Weights::F32(_) => self.apply_quantised(math, x, out, keep, quantised),
            Weights::Int8(matrix) => matrix.apply_row(math.isa, quantised, out, keep == Keep::Sum),
        }
    }

    /// Makes `quantised` hold `x`, if this matrix needs it so.
    pub(crate) fn quantise(&self, math: Math, x: &[f32], quantised: &mut Quantised) {
        if let Weights::Int8(_) = self.weights {
            quantised.fill(math.isa, x);
        }
    }

    /// As [`Linear::apply`] where `quantised` holds `x` already, if this matrix needs it so.
    pub(crate) fn apply_quantised(
        &self,
        math: Math,
        x: &[f32],
        out: &mut [f32],
        keep: Keep,
        quantised: &Quantised,
    ) {
        match &self.weights {
            Weights::F32(packed) => {
                let x = NdTensorView::from_data([x.len() / self.inputs, self.inputs], x);
                let beta = if keep == Keep::Sum { 1.0 } else { 0.0 };
                let options = GemmOptions { beta, ..GemmOptions::default() };
                math.gemm
                    .gemm(out, GemmInputA::Unpacked(x), GemmInputB::Packed(packed), options)
                    .expect("the shapes were checked against the model's configuration when it was loaded");
            }
            Weights::Int8(matrix) => matrix.apply(math.isa, quantised, out, keep == Keep::Sum),
        }
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
