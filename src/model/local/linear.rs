//! Matrix products with the model's weights, packed once at load for the processor at hand.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

use super::int8::{COLUMNS, GROUP, Int8Matrix, QuantRows, Quantised};
use crate::kernels::Isa;
use crate::model::Precision;

/// The kernels that products run on.
#[derive(Clone, Copy)]
pub(crate) struct Backend {
    /// Products of floats. Executors may be shared between threads but not sent, hence the reference.
    pub(crate) gemm: &'static GemmExecutor,
    /// Everything else.
    pub(crate) isa: Isa,
}

impl Backend {
    /// Detects the kernels for this processor.
    pub(crate) fn detect() -> Self {
        Self::on(Isa::detect())
    }

    /// Selects the kernels for this instruction set; products of floats choose theirs themselves.
    pub(crate) fn on(isa: Isa) -> Self {
        // Lives as long as the process, as models nearly always do; a few bytes for each load.
        Self { gemm: Box::leak(Box::new(GemmExecutor::new())), isa }
    }
}

/// A weight matrix of `inputs` x `outputs` in floats: `out = x * W`.
pub(crate) struct FloatMatrix {
    packed: PackedBMatrix<f32>,
    inputs: usize,
    outputs: usize,
}

impl FloatMatrix {
    /// Packs weights that are stored as `outputs` rows of `inputs` values, as GGUF and PyTorch do.
    pub(crate) fn pack(backend: Backend, rows: &[f32], inputs: usize) -> Self {
        let outputs = rows.len() / inputs;
        let weights = NdTensorView::from_data([outputs, inputs], rows);
        Self { packed: backend.gemm.prepack_b(weights.transposed()), inputs, outputs }
    }

    /// Packs weights that are stored as rows of `outputs` values, one an input.
    pub(crate) fn pack_transposed(backend: Backend, rows: &[f32], outputs: usize) -> Self {
        let inputs = rows.len() / outputs;
        let weights = NdTensorView::from_data([inputs, outputs], rows);
        Self { packed: backend.gemm.prepack_b(weights), inputs, outputs }
    }

    /// Columns of the product.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `out = x * W (+ out)`; `x` holds rows of `inputs` values, `out` as many rows of `outputs`.
    pub(crate) fn apply(&self, backend: Backend, x: &[f32], out: &mut [f32], accumulate: Accumulate) {
        let x = NdTensorView::from_data([x.len() / self.inputs, self.inputs], x);
        let beta = if accumulate == Accumulate::Add { 1.0 } else { 0.0 };
        let options = GemmOptions { beta, ..GemmOptions::default() };
        backend
            .gemm
            .gemm(out, GemmInputA::Unpacked(x), GemmInputB::Packed(&self.packed), options)
            .expect("the shapes were checked against the model's configuration when it was loaded");
    }
}

/// A weight matrix in the precision that the model was loaded for.
pub(crate) enum Linear {
    Floats(FloatMatrix),
    Int8(Int8Matrix),
}

/// Rows on their way into a product, in the form that its weights take.
#[derive(Default)]
pub(crate) struct Inputs {
    /// All rows, or the one that is about to be quantised.
    floats: Vec<f32>,
    quantised: Quantised,
}

impl Linear {
    /// Packs rows of `inputs` weights; in 8 bits [`Int8Matrix::pack`] demands certain multiples.
    pub(crate) fn pack(precision: Precision, backend: Backend, rows: &[f32], inputs: usize) -> Self {
        match precision {
            Precision::F32 => Self::Floats(FloatMatrix::pack(backend, rows, inputs)),
            Precision::Int8 => {
                Self::Int8(Int8Matrix::pack(&QuantRows::from_floats(backend.isa, rows, inputs)))
            }
        }
    }

    /// Packs rows of `inputs` weights like [`Linear::pack`], in floats where 8 bits cannot take a matrix of this shape.
    pub(crate) fn pack_where_it_fits(
        precision: Precision,
        backend: Backend,
        rows: &[f32],
        inputs: usize,
    ) -> Self {
        let fits = inputs.is_multiple_of(GROUP) && (rows.len() / inputs).is_multiple_of(COLUMNS);
        Self::pack(if fits { precision } else { Precision::F32 }, backend, rows, inputs)
    }

    /// Rows of the matrix and columns of the product.
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Floats(matrix) => (matrix.inputs, matrix.outputs),
            Self::Int8(matrix) => matrix.shape(),
        }
    }

    /// Columns of the product.
    pub(crate) fn outputs(&self) -> usize {
        self.shape().1
    }

    /// Values of a row that goes in.
    pub(crate) fn inputs(&self) -> usize {
        self.shape().0
    }

    /// Has `inputs` hold so many rows, each of which `write` is asked for. In 8 bits a row is quantised while it is in
    /// the first cache.
    pub(crate) fn take(
        &self,
        backend: Backend,
        rows: usize,
        inputs: &mut Inputs,
        mut write: impl FnMut(usize, &mut [f32]),
    ) {
        let width = self.shape().0;
        match self {
            Self::Floats(_) => {
                inputs.floats.resize(rows * width, 0.0);
                inputs.floats.chunks_exact_mut(width).enumerate().for_each(|(i, row)| write(i, row));
            }
            Self::Int8(_) => {
                inputs.floats.resize(width, 0.0);
                inputs.quantised.make_signed_room(rows * width);
                for i in 0..rows {
                    write(i, &mut inputs.floats);
                    inputs.quantised.fill_from(backend.isa, i * width, &inputs.floats);
                }
            }
        }
    }

    /// `out = x * W (+ out)` for the rows that [`Linear::take`] of these weights, or of others of the same inputs, took.
    pub(crate) fn apply(&self, backend: Backend, inputs: &Inputs, out: &mut [f32], accumulate: Accumulate) {
        match self {
            Self::Floats(matrix) => matrix.apply(backend, &inputs.floats, out, accumulate),
            Self::Int8(matrix) => {
                matrix.apply(backend.isa, &inputs.quantised, out, accumulate == Accumulate::Add);
            }
        }
    }

    /// Applies the product to one row like [`Linear::apply`], its outputs divided among the threads.
    pub(crate) fn apply_row(
        &self,
        backend: Backend,
        inputs: &Inputs,
        out: &mut [f32],
        accumulate: Accumulate,
    ) {
        match self {
            // The library shares them out by itself.
            Self::Floats(matrix) => matrix.apply(backend, &inputs.floats, out, accumulate),
            Self::Int8(matrix) => {
                matrix.apply_row(backend.isa, &inputs.quantised, out, accumulate == Accumulate::Add);
            }
        }
    }
}

/// The treatment of values that the output already holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accumulate {
    /// The product overwrites them.
    Overwrite,
    /// The product is added to them.
    Add,
}
