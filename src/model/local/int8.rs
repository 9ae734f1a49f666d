//! Matrix products in 8-bit integers, in groups along the inner dimension.
//!
//! A weight is `scale * q` and an activation `scale * a`, `q` and `a` integers of -127..=127 that share a scale
//! with the [`GROUP`] values of their group in a row. A product is
//!
//! ```text
//! sum over groups: weight.scale * activation.scale * sum(q * a)
//! ```
//!
//! where `sum(q * a)` is exact in 32-bit integers on every instruction set. Weights are stored as `q + 128`,
//! for `vpdpbusd`, the innermost step on x86-64 with AVX-512 VNNI, multiplies unsigned by signed bytes; the sum
//! begins at `-128 * sum(a)` to make up for it. With AVX2 the same layout is read by other instructions (`avx2`).
//! Elsewhere it is plain Rust, which the compiler vectorises.
//!
//! In attention, keys are weights of this kind. Values are too, but with one scale a position, which the softmax's
//! weights are multiplied with before they are quantised: what a position holds then does not depend on those behind
//! it, and a text has the same scores alone and before another one.
//!
//! # Choice of the group
//! Larger groups cost fewer conversions and lose more. Measured on the default model, 3,107 tokens against f32
//! (`cargo test --test parity -- --nocapture int8`) and one thread at 512 tokens (`whittle bench score`), both with
//! attention in floats; with attention in 8 bits too, 64 gives 0.012, 0.9986 and 97.9%:
//!
//! | group | difference of the mean NLL | Spearman | same decision at rate 0.5 | share of the peak |
//! |---|---|---|---|---|
//! | 32 | 0.010 | 0.9992 | 98.5% | 0.41 |
//! | 64 | 0.008 | 0.9987 | 97.9% | 0.45 |
//! | 96 | 0.011 | 0.9984 | 98.0% | 0.47 |
//! | 192 | 0.024 | 0.9974 | 98.2% | 0.48 |
#![expect(clippy::inline_always, reason = "bodies must be compiled for the instruction set of their wrapper")]

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod vnni;

use rayon::prelude::*;

pub(crate) use activations::Quantised;

use crate::kernels::Isa;

/// Values along the inner dimension that share a scale.
pub(crate) const GROUP: usize = 64;
/// Output columns of a panel: 32-bit lanes of a 512-bit register.
const LANES: usize = 16;
/// Panels that are computed together: each activation that is loaded is used for all of them.
const TILE_PANELS: usize = 2;
/// Outputs of a matrix come in multiples of this.
pub(crate) const COLUMNS: usize = LANES * TILE_PANELS;
/// Rows of activations that are multiplied with panels together: with two panels of sums in floats and in
/// integers, what 32 registers hold.
const TILE_ROWS: usize = 6;
/// Bytes of a group of a panel.
const GROUP_BYTES: usize = GROUP * LANES;
/// Added to weights to make them unsigned.
const OFFSET: i32 = 128;
/// A group of smaller weights of a softmax than this is nothing beside the largest, which is 1.
const NOTHING: f32 = 1e-30;

/// A row of softmax weights.
pub(crate) struct WeightRow<'a> {
    values: &'a mut [i8],
    scales: &'a mut [f32],
}

/// Weights as rows of quantised groups, before packing.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuantRows {
    q: Vec<i8>,
    /// The scales, one for each group.
    scales: Vec<f32>,
    inputs: usize,
}

/// Weights packed into panels of [`LANES`] columns.
pub(crate) struct Int8Matrix {
    /// The weights: for each panel, group and four inputs, 16 columns of 4 values, offset by [`OFFSET`] where
    /// `unsigned` says so.
    q: Vec<u8>,
    /// The scales: 16 for each panel and group.
    scales: Vec<f32>,
    inputs: usize,
    outputs: usize,
    unsigned: Unsigned,
}

/// The side of a product that is stored without a sign, since the processor multiplies unsigned with signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsigned {
    /// Weights are offset.
    Weights,
    /// Activations are none below 0.
    Activations,
}

impl Int8Matrix {
    /// Packs rows, one an output; their number must be a multiple of [`COLUMNS`].
    pub(crate) fn pack(rows: &QuantRows) -> Self {
        let inputs = rows.inputs;
        let outputs = rows.q.len() / inputs;
        let (groups, panels) = (inputs / GROUP, outputs / LANES);
        let mut q = vec![0; rows.q.len()];
        let mut scales = Vec::with_capacity(rows.scales.len());
        for (panel, q) in q.chunks_exact_mut(inputs * LANES).enumerate() {
            let row = |lane: usize| panel * LANES + lane;
            for lane in 0..LANES {
                let row = &rows.q[row(lane) * inputs..][..inputs];
                for (quad, weights) in row.as_chunks::<4>().0.iter().enumerate() {
                    q[(quad * LANES + lane) * 4..][..4].copy_from_slice(&weights.map(offset));
                }
            }
            for group in 0..groups {
                scales.extend((0..LANES).map(|lane| rows.scales[row(lane) * groups + group]));
            }
        }
        debug_assert_eq!(q.len(), panels * inputs * LANES);
        Self { q, scales, inputs, outputs, unsigned: Unsigned::Weights }
    }

    /// Packs the transpose of rows of `outputs` values, one an input: their number must be a multiple of [`GROUP`].
    /// Each row has a scale of its own, which is not in the matrix but given back. For activations from
    /// [`Quantised::weigh`].
    pub(crate) fn pack_transposed(isa: Isa, rows: &[f32], outputs: usize) -> (Self, Vec<f32>) {
        let inputs = rows.len() / outputs;
        let mut values = vec![0; rows.len()];
        let quantised = rows.chunks_exact(outputs).zip(values.chunks_exact_mut(outputs));
        let scales = quantised.map(|(row, values)| isa.quantise(row, values) / 127.0).collect();
        let mut q = vec![0; rows.len()];
        for (panel, q) in q.chunks_exact_mut(inputs * LANES).enumerate() {
            for (rows, q) in values.chunks_exact(4 * outputs).zip(q.as_chunks_mut::<{ 4 * LANES }>().0) {
                let part = |i: usize| &rows[i * outputs + panel * LANES..][..LANES];
                let [a, b, c, d] = [0, 1, 2, 3].map(part);
                for lane in 0..LANES {
                    q[4 * lane..][..4]
                        .copy_from_slice(&[a[lane], b[lane], c[lane], d[lane]].map(i8::cast_unsigned));
                }
            }
        }
        let ones = vec![1.0; inputs / GROUP * outputs];
        (Self { q, scales: ones, inputs, outputs, unsigned: Unsigned::Activations }, scales)
    }

    /// Inputs and outputs.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.inputs, self.outputs)
    }

    /// `out = x * W`, or `out += x * W` where `add`, for rows of activations.
    pub(crate) fn apply(&self, isa: Isa, x: &Quantised, out: &mut [f32], add: bool) {
        self.apply_first((self.inputs, self.outputs), isa, x, out, add);
    }

    /// Applies the weights of the first inputs (a multiple of [`GROUP`]) and outputs (a multiple of [`COLUMNS`])
    /// alone.
    pub(crate) fn apply_first(
        &self,
        (inputs, outputs): (usize, usize),
        isa: Isa,
        x: &Quantised,
        out: &mut [f32],
        add: bool,
    ) {
        let groups = inputs / GROUP;
        let rows = out.len() / outputs;
        debug_assert!(x.values.len() >= rows * inputs);
        for pair in 0..outputs / COLUMNS {
            for first in (0..rows).step_by(TILE_ROWS) {
                let tile = Tile {
                    x: &x.values[first * inputs..],
                    x_scales: &x.scales[first * groups..],
                    x_sums: x.sums.get(first * groups..).unwrap_or_default(),
                    inputs,
                    stride: outputs,
                    add,
                    ..self.tile(pair, x)
                };
                let out = &mut out[first * outputs + pair * COLUMNS..];
                tile.run(isa, TILE_ROWS.min(rows - first), out);
            }
        }
    }

    /// Applies the weights to one row, whose outputs are divided among the threads.
    pub(crate) fn apply_row(&self, isa: Isa, x: &Quantised, out: &mut [f32], add: bool) {
        debug_assert!(x.values.len() >= self.inputs && out.len() == self.outputs);
        let pairs = (self.outputs / COLUMNS).div_ceil(rayon::current_num_threads());
        out.par_chunks_mut(pairs * COLUMNS).enumerate().for_each(|(part, out)| {
            for (pair, out) in out.chunks_exact_mut(COLUMNS).enumerate() {
                Tile { add, ..self.tile(part * pairs + pair, x) }.run(isa, 1, out);
            }
        });
    }

    /// The weights of a pair of panels, and all activations.
    fn tile<'a>(&'a self, pair: usize, x: &'a Quantised) -> Tile<'a> {
        let (q, scales) = (self.inputs * COLUMNS, self.inputs / GROUP * COLUMNS);
        Tile {
            q: &self.q[pair * q..][..q],
            scales: &self.scales[pair * scales..][..scales],
            x: &x.values,
            x_scales: &x.scales,
            x_sums: &x.sums,
            inputs: self.inputs,
            stride: self.outputs,
            add: false,
            unsigned: self.unsigned,
        }
    }
}

/// Returns a weight in the unsigned form in which it is stored.
#[inline(always)]
fn offset(q: i8) -> u8 {
    (i32::from(q) + OFFSET) as u8
}

/// [`TILE_PANELS`] panels of weights and some rows of activations.
struct Tile<'a> {
    q: &'a [u8],
    scales: &'a [f32],
    x: &'a [i8],
    x_scales: &'a [f32],
    x_sums: &'a [i32],
    /// The number of values in each row of activations; the weights may have more inputs.
    inputs: usize,
    /// Distance between rows of the output.
    stride: usize,
    add: bool,
    unsigned: Unsigned,
}

impl Tile<'_> {
    /// Computes `rows` rows of [`COLUMNS`] columns; `out` starts at the first.
    fn run(&self, isa: Isa, rows: usize, out: &mut [f32]) {
        let groups = self.inputs / GROUP;
        assert!(
            (1..=TILE_ROWS).contains(&rows)
                && self.q.len() >= self.inputs * COLUMNS
                && self.scales.len() >= groups * COLUMNS
                && self.x.len() >= rows * self.inputs
                && self.x_scales.len() >= rows * groups
                && (self.unsigned == Unsigned::Activations || self.x_sums.len() >= rows * groups)
                && out.len() >= (rows - 1) * self.stride + COLUMNS
        );
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            return vnni::run(isa, self, rows, out);
        }
        #[cfg(target_arch = "x86_64")]
        if isa.has_fma() {
            return avx2::run(isa, self, rows, out);
        }
        self.run_plain(rows, out);
    }

    /// Computes what [`Tile::run`] does without vector instructions of its own.
    fn run_plain(&self, rows: usize, out: &mut [f32]) {
        let groups = self.inputs / GROUP;
        let (panel_bytes, panel_scales) = (self.q.len() / TILE_PANELS, self.scales.len() / TILE_PANELS);
        let panels = self.q.chunks_exact(panel_bytes).zip(self.scales.chunks_exact(panel_scales));
        for (panel, (q, scales)) in panels.enumerate() {
            for row in 0..rows {
                let mut sums = [0.0; LANES];
                let weights = (&q[..self.inputs * LANES], &scales[..groups * LANES]);
                let x = &self.x[row * self.inputs..][..self.inputs];
                let x_scales = &self.x_scales[row * groups..][..groups];
                match self.unsigned {
                    Unsigned::Weights => {
                        let x_sums = &self.x_sums[row * groups..][..groups];
                        signed_row(weights, x, (x_scales, x_sums), &mut sums);
                    }
                    Unsigned::Activations => unsigned_row(weights, x, x_scales, &mut sums),
                }
                let out = &mut out[row * self.stride + panel * LANES..][..LANES];
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = if self.add { *out + sum } else { sum };
                }
            }
        }
    }
}

/// Adds one row of 8-bit activations times a panel of 8-bit weights, which are offset, to `out`.
pub(super) fn signed_row(
    (q, scales): (&[u8], &[f32]),
    x: &[i8],
    (x_scales, x_sums): (&[f32], &[i32]),
    out: &mut [f32; LANES],
) {
    let groups =
        q.as_chunks().0.iter().zip(scales.as_chunks().0).zip(x.as_chunks().0).zip(x_scales).zip(x_sums);
    for ((((q, scales), x), x_scale), x_sum) in groups {
        add_group(
            q,
            x,
            [-OFFSET * x_sum; LANES],
            |q, x| i32::from(q) * i32::from(x),
            (scales, *x_scale),
            out,
        );
    }
}

/// Adds a row from weights that are not offset and unsigned activations to `out`.
fn unsigned_row((q, scales): (&[u8], &[f32]), x: &[i8], x_scales: &[f32], out: &mut [f32; LANES]) {
    let groups = q.as_chunks().0.iter().zip(scales.as_chunks().0).zip(x.as_chunks().0).zip(x_scales);
    let product = |q: u8, x: i8| i32::from(q.cast_signed()) * i32::from(x.cast_unsigned());
    for (((q, scales), x), x_scale) in groups {
        add_group(q, x, [0; LANES], product, (scales, *x_scale), out);
    }
}

/// Adds the product of a group of weights and one of activations to `out`; `dots` is what its sums begin at.
#[inline(always)]
fn add_group(
    q: &[u8; GROUP_BYTES],
    x: &[i8; GROUP],
    mut dots: [i32; LANES],
    product: impl Fn(u8, i8) -> i32,
    (scales, x_scale): (&[f32; LANES], f32),
    out: &mut [f32; LANES],
) {
    let (quads, _) = q.as_chunks::<{ 4 * LANES }>();
    let (x_quads, _) = x.as_chunks::<4>();
    for (quad, x) in quads.iter().zip(x_quads) {
        let (columns, _) = quad.as_chunks::<4>();
        for (dot, column) in dots.iter_mut().zip(columns) {
            for i in 0..4 {
                *dot += product(column[i], x[i]);
            }
        }
    }
    for lane in 0..LANES {
        out[lane] += dots[lane] as f32 * scales[lane] * x_scale;
    }
}

impl QuantRows {
    /// Quantises rows of `inputs` values, a multiple of [`GROUP`].
    pub(crate) fn from_floats(isa: Isa, rows: &[f32], inputs: usize) -> Self {
        let mut quantised = Quantised::default();
        quantised.fill(isa, rows);
        Self { q: quantised.values, scales: quantised.scales, inputs }
    }

    /// Appends row `row`, as floats, to `out`.
    pub(crate) fn append_row(&self, row: usize, out: &mut Vec<f32>) {
        let groups = self.q[row * self.inputs..][..self.inputs].as_chunks::<GROUP>().0;
        for (group, scale) in groups.iter().zip(&self.scales[row * self.inputs / GROUP..]) {
            out.extend(group.iter().map(|&q| scale * f32::from(q)));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::Softmax;

    pub(in super::super) fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next() * next()).collect()
    }

    #[test]
    fn products_agree_with_floats_on_every_instruction_set() {
        let (inputs, outputs) = (3 * GROUP, 64);
        let weights = numbers(inputs * outputs, 1);
        let packed = Int8Matrix::pack(&QuantRows::from_floats(Isa::detect(), &weights, inputs));
        for rows in [1, 5, 12, 13, 31] {
            let x = numbers(rows * inputs, rows as u32);
            let mut per_isa = Vec::new();
            for isa in Isa::available() {
                let mut quantised = Quantised::default();
                quantised.fill(isa, &x);
                let mut out = vec![1.0; rows * outputs];
                packed.apply(isa, &quantised, &mut out, false);
                packed.apply(isa, &quantised, &mut out, true);
                per_isa.push(out);
            }
            for row in 0..rows {
                for column in 0..outputs {
                    let (x, w) = (&x[row * inputs..][..inputs], &weights[column * inputs..][..inputs]);
                    let want = 2.0 * x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
                    let got = per_isa[0][row * outputs + column];
                    assert!((got - want).abs() < 0.1, "{rows} rows: {got} against {want}");
                }
            }
            for other in &per_isa[1..] {
                assert!(per_isa[0].iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn weighted_values_agree_with_floats_on_every_instruction_set() {
        let (positions, width, rows) = (2 * GROUP, 64, 7);
        let values = numbers(positions * width, 3);
        let scores: Vec<f32> = numbers(rows * positions, 4).iter().map(|v| 8.0 * v).collect();
        for isa in Isa::available() {
            let (matrix, scales) = Int8Matrix::pack_transposed(isa, &values, width);
            let mut weights = Quantised::default();
            weights.make_room(rows, positions);
            let mut states = vec![Softmax::EMPTY; rows];
            for (row, (scores, state)) in scores.chunks(positions).zip(&mut states).enumerate() {
                weights.weigh(isa, row, (scores, positions - row), &scales, state);
            }
            let mut out = vec![1.0; rows * width];
            matrix.apply_first((positions, width), isa, &weights, &mut out, true);
            for (row, scores) in scores.chunks(positions).enumerate() {
                let seen = &scores[..positions - row];
                let max = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for column in 0..width {
                    let value = |i: usize| values[i * width + column];
                    let want: f32 = (0..seen.len()).map(|i| (seen[i] - max).exp() * value(i)).sum();
                    let got = out[row * width + column] - 1.0;
                    assert!((got - want).abs() < 0.05, "{isa:?}, row {row}: {got} against {want}");
                }
            }
        }
    }
}
