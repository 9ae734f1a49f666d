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
//! begins at `-128 * sum(a)` to make up for it. Elsewhere it is plain Rust over the same layout, which the
//! compiler vectorises.
//!
//! # Choice of the group
//! Larger groups cost fewer conversions and lose more. Measured on the default model, 3,107 tokens against f32
//! (`cargo test --test parity -- --nocapture int8`) and one thread at 512 tokens (`whittle bench score`), both with
//! attention in floats; with attention in 8 bits too, 64 gives 0.007, 0.9985 and 98.0%:
//!
//! | group | difference of the mean NLL | Spearman | same decision at rate 0.5 | share of the peak |
//! |---|---|---|---|---|
//! | 32 | 0.010 | 0.9992 | 98.5% | 0.41 |
//! | 64 | 0.008 | 0.9987 | 97.9% | 0.45 |
//! | 96 | 0.011 | 0.9984 | 98.0% | 0.47 |
//! | 192 | 0.024 | 0.9974 | 98.2% | 0.48 |
#![expect(unsafe_code, reason = "AVX-512 VNNI intrinsics and their loads")]
#![expect(clippy::inline_always, reason = "bodies must be compiled for the instruction set of their wrapper")]

use rayon::prelude::*;

use super::kernels::Isa;

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

/// Weights as rows of quantised groups, before packing.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuantRows {
    q: Vec<i8>,
    /// One a group.
    scales: Vec<f32>,
    inputs: usize,
}

/// Weights packed into panels of [`LANES`] columns.
pub(crate) struct Int8Matrix {
    /// For each panel, group and four inputs: 16 columns of 4 values, offset by [`OFFSET`].
    q: Vec<u8>,
    /// For each panel and group: 16 scales.
    scales: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// Activations in 8 bits. Reused between products.
#[derive(Debug, Default)]
pub(crate) struct Quantised {
    values: Vec<i8>,
    /// Scale of each group of each row.
    scales: Vec<f32>,
    /// `sum(values)` of each group of each row.
    sums: Vec<i32>,
}

impl Quantised {
    /// Quantises rows of a multiple of [`GROUP`] values to -127..=127, each group by its largest magnitude.
    pub(crate) fn fill(&mut self, isa: Isa, x: &[f32]) {
        let groups = x.len() / GROUP;
        self.values.resize(x.len(), 0);
        self.scales.resize(groups, 0.0);
        self.sums.resize(groups, 0);
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            // SAFETY: the processor has AVX-512F.
            return unsafe { vnni::quantise(x, &mut self.values, &mut self.scales, &mut self.sums) };
        }
        isa.quantise(x, &mut self.values, &mut self.scales, &mut self.sums);
    }
}

/// Quantises group by group; see [`Quantised::fill`].
#[inline(always)]
pub(super) fn quantise_body(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    /// Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let (groups, _) = x.as_chunks::<GROUP>();
    let (outputs, _) = values.as_chunks_mut::<GROUP>();
    for (((group, out), scale), sum) in groups.iter().zip(outputs).zip(scales).zip(sums) {
        let mut maxima = [0.0_f32; LANES];
        for chunk in group.as_chunks::<LANES>().0 {
            for (max, value) in maxima.iter_mut().zip(chunk) {
                *max = if value.abs() > *max { value.abs() } else { *max };
            }
        }
        let max = maxima.into_iter().fold(0.0, |max, v| if v > max { v } else { max });
        let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
        let mut totals = [0_i32; LANES];
        for (out, chunk) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(group.as_chunks::<LANES>().0) {
            for ((out, &value), total) in out.iter_mut().zip(chunk).zip(&mut totals) {
                let rounded = (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
                *out = rounded as i8;
                *total += rounded;
            }
        }
        *scale = max / 127.0;
        *sum = totals.iter().sum();
    }
}

impl Int8Matrix {
    /// Packs rows, one an output; their number must be a multiple of [`COLUMNS`].
    pub(crate) fn pack(rows: &QuantRows) -> Self {
        let inputs = rows.inputs;
        let outputs = rows.q.len() / inputs;
        let (groups, panels) = (inputs / GROUP, outputs / LANES);
        let mut q = Vec::with_capacity(rows.q.len());
        let mut scales = Vec::with_capacity(rows.scales.len());
        for panel in 0..panels {
            let row = |lane: usize| panel * LANES + lane;
            for quad in 0..inputs / 4 {
                for lane in 0..LANES {
                    let weights = &rows.q[row(lane) * inputs + 4 * quad..][..4];
                    q.extend(weights.iter().map(|&q| (i32::from(q) + OFFSET) as u8));
                }
            }
            for group in 0..groups {
                scales.extend((0..LANES).map(|lane| rows.scales[row(lane) * groups + group]));
            }
        }
        Self { q, scales, inputs, outputs }
    }

    /// Inputs and outputs.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.inputs, self.outputs)
    }

    /// `out = x * W`, or `out += x * W` where `add`, for rows of activations.
    pub(crate) fn apply(&self, isa: Isa, x: &Quantised, out: &mut [f32], add: bool) {
        let (groups, outputs) = (self.inputs / GROUP, self.outputs);
        let rows = out.len() / outputs;
        debug_assert_eq!(x.values.len(), rows * self.inputs);
        for pair in 0..outputs / COLUMNS {
            for first in (0..rows).step_by(TILE_ROWS) {
                let tile = Tile {
                    x: &x.values[first * self.inputs..],
                    x_scales: &x.scales[first * groups..],
                    x_sums: &x.sums[first * groups..],
                    add,
                    ..self.tile(pair, x)
                };
                let out = &mut out[first * outputs + pair * COLUMNS..];
                tile.run(isa, TILE_ROWS.min(rows - first), out);
            }
        }
    }

    /// The same for one row, whose outputs are shared out between the threads.
    pub(crate) fn apply_row(&self, isa: Isa, x: &Quantised, out: &mut [f32], add: bool) {
        debug_assert_eq!((x.values.len(), out.len()), (self.inputs, self.outputs));
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
        }
    }
}

/// [`TILE_PANELS`] panels of weights and some rows of activations.
struct Tile<'a> {
    q: &'a [u8],
    scales: &'a [f32],
    x: &'a [i8],
    x_scales: &'a [f32],
    x_sums: &'a [i32],
    inputs: usize,
    /// Distance between rows of the output.
    stride: usize,
    add: bool,
}

impl Tile<'_> {
    /// Computes `rows` rows of [`COLUMNS`] columns; `out` starts at the first.
    fn run(&self, isa: Isa, rows: usize, out: &mut [f32]) {
        let groups = self.inputs / GROUP;
        assert!(
            rows <= TILE_ROWS
                && self.q.len() == self.inputs * COLUMNS
                && self.scales.len() == groups * COLUMNS
                && self.x.len() >= rows * self.inputs
                && self.x_scales.len() >= rows * groups
                && self.x_sums.len() >= rows * groups
                && out.len() >= (rows - 1) * self.stride + COLUMNS
        );
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            // SAFETY: the processor has AVX-512 VNNI, and the lengths were checked just above.
            return unsafe { vnni::run(self, rows, out) };
        }
        let panels = self.q.chunks_exact(self.inputs * LANES).zip(self.scales.chunks_exact(groups * LANES));
        for (panel, weights) in panels.enumerate() {
            for row in 0..rows {
                let mut sums = [0.0; LANES];
                isa.int8_row(
                    weights,
                    &self.x[row * self.inputs..][..self.inputs],
                    (&self.x_scales[row * groups..][..groups], &self.x_sums[row * groups..][..groups]),
                    &mut sums,
                );
                let out = &mut out[row * self.stride + panel * LANES..][..LANES];
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = if self.add { *out + sum } else { sum };
                }
            }
        }
    }
}

/// One row of activations times a panel, in plain Rust.
#[inline(always)]
pub(super) fn int8_row_body(
    (q, scales): (&[u8], &[f32]),
    x: &[i8],
    (x_scales, x_sums): (&[f32], &[i32]),
    out: &mut [f32; LANES],
) {
    let (q_groups, _) = q.as_chunks::<GROUP_BYTES>();
    let (x_groups, _) = x.as_chunks::<GROUP>();
    let (scales, _) = scales.as_chunks::<LANES>();
    for ((((q, x), scales), x_scale), x_sum) in
        q_groups.iter().zip(x_groups).zip(scales).zip(x_scales).zip(x_sums)
    {
        let mut dots = [-OFFSET * x_sum; LANES];
        let (quads, _) = q.as_chunks::<{ 4 * LANES }>();
        let (x_quads, _) = x.as_chunks::<4>();
        for (quad, x) in quads.iter().zip(x_quads) {
            let (columns, _) = quad.as_chunks::<4>();
            for (dot, column) in dots.iter_mut().zip(columns) {
                for i in 0..4 {
                    *dot += i32::from(column[i]) * i32::from(x[i]);
                }
            }
        }
        for lane in 0..LANES {
            out[lane] += dots[lane] as f32 * scales[lane] * x_scale;
        }
    }
}

/// The same with AVX-512 VNNI.
#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{
        __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps,
        _mm512_cvtepi32_epi8, _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_dpbusd_epi32, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_epi32,
        _mm512_reduce_max_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
        _mm512_storeu_ps,
    };

    use super::{GROUP, LANES, OFFSET, TILE_PANELS, Tile};

    /// Registers of a group of floats.
    const REGISTERS: usize = GROUP / LANES;

    /// Quantises group by group; see [`super::Quantised::fill`].
    ///
    /// # Safety
    /// The processor must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn quantise(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
        let groups = x.as_chunks::<GROUP>().0.iter().zip(values.as_chunks_mut::<GROUP>().0);
        for (((x, values), scale), sum) in groups.zip(scales).zip(sums) {
            let mut floats = [_mm512_setzero_ps(); REGISTERS];
            let mut max = _mm512_setzero_ps();
            for (i, floats) in floats.iter_mut().enumerate() {
                // SAFETY: a group holds `REGISTERS` registers of floats.
                *floats = unsafe { _mm512_loadu_ps(x.as_ptr().add(i * LANES)) };
                max = _mm512_max_ps(max, _mm512_abs_ps(*floats));
            }
            let max = _mm512_reduce_max_ps(max);
            let inverse = _mm512_set1_ps(if max > 0.0 { 127.0 / max } else { 0.0 });
            let mut total = _mm512_setzero_si512();
            for (i, floats) in floats.into_iter().enumerate() {
                let rounded = _mm512_cvtps_epi32(_mm512_mul_ps(floats, inverse));
                total = _mm512_add_epi32(total, rounded);
                // SAFETY: a group holds `REGISTERS` times as many bytes as a register has lanes.
                unsafe {
                    _mm_storeu_si128(
                        values.as_mut_ptr().add(i * LANES).cast(),
                        _mm512_cvtepi32_epi8(rounded),
                    );
                };
            }
            *scale = max / 127.0;
            *sum = _mm512_reduce_add_epi32(total);
        }
    }

    /// # Safety
    /// The processor must have AVX-512F and AVX-512 VNNI, and the slices of `tile` and `out` the lengths that
    /// [`Tile::run`] checks for `rows`.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) unsafe fn run(tile: &Tile, rows: usize, out: &mut [f32]) {
        // SAFETY: as this function's own contract; each arm's row count is `rows`.
        unsafe {
            match rows {
                1 => tile_rows::<1>(tile, out),
                2 => tile_rows::<2>(tile, out),
                3 => tile_rows::<3>(tile, out),
                4 => tile_rows::<4>(tile, out),
                5 => tile_rows::<5>(tile, out),
                _ => tile_rows::<6>(tile, out),
            }
        }
    }

    /// # Safety
    /// As [`run`], for `R` rows.
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn tile_rows<const R: usize>(tile: &Tile, out: &mut [f32]) {
        let groups = tile.inputs / GROUP;
        let (q, scales) = (tile.q.as_ptr(), tile.scales.as_ptr());
        let (x, x_scales, x_sums) = (tile.x.as_ptr(), tile.x_scales.as_ptr(), tile.x_sums.as_ptr());
        let panel_bytes = tile.inputs * LANES;
        let mut sums: [[__m512; TILE_PANELS]; R] = [[_mm512_setzero_ps(); TILE_PANELS]; R];
        for group in 0..groups {
            let mut dots: [[__m512i; TILE_PANELS]; R] = [[_mm512_setzero_si512(); TILE_PANELS]; R];
            for (row, dots) in dots.iter_mut().enumerate() {
                // SAFETY: `x_sums` holds `R * groups` integers.
                let sum = unsafe { *x_sums.add(row * groups + group) };
                *dots = [_mm512_set1_epi32(-OFFSET * sum); TILE_PANELS];
            }
            for quad in 0..GROUP / 4 {
                let at = group * GROUP + quad * 4;
                let mut weights = [_mm512_setzero_si512(); TILE_PANELS];
                for (panel, weights) in weights.iter_mut().enumerate() {
                    // SAFETY: `at + 4 <= inputs`, and `q` holds `TILE_PANELS` panels of `inputs * LANES` bytes.
                    *weights = unsafe { _mm512_loadu_si512(q.add(panel * panel_bytes + at * LANES).cast()) };
                }
                for (row, dots) in dots.iter_mut().enumerate() {
                    // SAFETY: `x` holds `R * inputs` bytes; the read is unaligned.
                    let values = unsafe { x.add(row * tile.inputs + at).cast::<i32>().read_unaligned() };
                    let values = _mm512_set1_epi32(values);
                    for (dot, weights) in dots.iter_mut().zip(weights) {
                        *dot = _mm512_dpbusd_epi32(*dot, weights, values);
                    }
                }
            }
            for panel in 0..TILE_PANELS {
                // SAFETY: `scales` holds `TILE_PANELS` panels of `LANES` floats a group.
                let scale = unsafe { _mm512_loadu_ps(scales.add((panel * groups + group) * LANES)) };
                for row in 0..R {
                    // SAFETY: `x_scales` holds `R * groups` floats.
                    let x_scale = unsafe { *x_scales.add(row * groups + group) };
                    let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[row][panel]), scale);
                    sums[row][panel] = _mm512_fmadd_ps(scaled, _mm512_set1_ps(x_scale), sums[row][panel]);
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (panel, sum) in sums.into_iter().enumerate() {
                // SAFETY: `out` holds `(R - 1) * stride + COLUMNS` floats.
                unsafe {
                    let out = out.as_mut_ptr().add(row * tile.stride + panel * LANES);
                    let sum = if tile.add { _mm512_add_ps(sum, _mm512_loadu_ps(out)) } else { sum };
                    _mm512_storeu_ps(out, sum);
                }
            }
        }
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
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
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
    fn a_group_of_zeros_stays_zero() {
        let mut quantised = Quantised::default();
        quantised.fill(Isa::detect(), &[0.0; GROUP]);
        assert!(quantised.values.iter().all(|&v| v == 0) && quantised.scales.iter().all(|&s| s == 0.0));
    }
}
