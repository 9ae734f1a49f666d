//! Matrix products in 8-bit integers, in blocks of 32 along the inner dimension.
//!
//! A weight is `scale * q + min` with an unsigned 8-bit `q`, scale and min shared by a block of 32 in a row,
//! which holds the 4-bit and 8-bit blocks of a GGUF file exactly: weights lose nothing against the file. An
//! activation is `scale * a` with a signed 8-bit `a`, the scale shared by a block of 32 in a row. A product is
//!
//! ```text
//! sum over blocks: weight.scale * activation.scale * sum(q * a)  +  weight.min * activation.scale * sum(a)
//! ```
//!
//! where `sum(q * a)` is exact in 32-bit integers on every instruction set. On x86-64 with AVX-512 VNNI the
//! innermost step is `vpdpbusd` with the activation broadcast from memory; elsewhere plain Rust over the same
//! layout, which the compiler vectorises.
#![expect(unsafe_code, reason = "AVX-512 VNNI intrinsics and their loads")]
#![expect(clippy::inline_always, reason = "bodies must be compiled for the instruction set of their wrapper")]

use super::kernels::Isa;

/// Values along the inner dimension that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Output columns of a panel: 32-bit lanes of a 512-bit register.
const LANES: usize = 16;
/// Panels that are computed together: each activation that is loaded is used for all of them.
const TILE_PANELS: usize = 2;
/// Outputs of a matrix come in multiples of this.
pub(crate) const COLUMNS: usize = LANES * TILE_PANELS;
/// Rows of activations that are multiplied with panels together: with two panels of sums in floats and in
/// integers, what 32 registers hold.
const TILE_ROWS: usize = 6;
/// Bytes of a block of a panel.
const BLOCK_BYTES: usize = BLOCK * LANES;

/// Weights as rows of quantised blocks, before packing.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuantRows {
    /// `inputs` values a row.
    pub(crate) q: Vec<u8>,
    /// `inputs / 32` values a row.
    pub(crate) scales: Vec<f32>,
    /// As `scales`.
    pub(crate) mins: Vec<f32>,
}

/// Weights packed into panels of [`LANES`] columns.
pub(crate) struct Int8Matrix {
    /// For each panel, block and four inputs: 16 columns of 4 values.
    q: Vec<u8>,
    /// For each panel and block: 16 scales, then 16 mins.
    scales: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// Activations in 8 bits. Reused between products.
#[derive(Debug, Default)]
pub(crate) struct Quantised {
    values: Vec<i8>,
    /// Scale of each block of each row.
    scales: Vec<f32>,
    /// `scale * sum(values)` of each block of each row.
    sums: Vec<f32>,
}

impl Quantised {
    /// Quantises rows of a multiple of [`BLOCK`] values to -127..=127, each block by its largest magnitude.
    pub(crate) fn fill(&mut self, isa: Isa, x: &[f32]) {
        let blocks = x.len() / BLOCK;
        self.values.resize(x.len(), 0);
        self.scales.resize(blocks, 0.0);
        self.sums.resize(blocks, 0.0);
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            // SAFETY: the processor has AVX-512F.
            return unsafe { vnni::quantise(x, &mut self.values, &mut self.scales, &mut self.sums) };
        }
        isa.quantise(x, &mut self.values, &mut self.scales, &mut self.sums);
    }
}

/// Quantises block by block; see [`Quantised::fill`].
#[inline(always)]
pub(super) fn quantise_body(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [f32]) {
    /// Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let (blocks, _) = x.as_chunks::<BLOCK>();
    let (outputs, _) = values.as_chunks_mut::<BLOCK>();
    for (((block, out), scale), sum) in blocks.iter().zip(outputs).zip(scales).zip(sums) {
        let mut max = 0.0_f32;
        for &value in block {
            max = if value.abs() > max { value.abs() } else { max };
        }
        let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
        let mut total = 0_i32;
        for (out, &value) in out.iter_mut().zip(block) {
            let rounded = (value * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
            *out = rounded as i8;
            total += rounded;
        }
        *scale = max / 127.0;
        *sum = *scale * total as f32;
    }
}

impl Int8Matrix {
    /// Packs rows (one an output) for products with `inputs` values, a multiple of [`BLOCK`]. The number of
    /// outputs must be a multiple of [`COLUMNS`].
    pub(crate) fn pack(rows: &QuantRows, inputs: usize) -> Self {
        let outputs = rows.q.len() / inputs;
        let (blocks, panels) = (inputs / BLOCK, outputs / LANES);
        let mut q = Vec::with_capacity(rows.q.len());
        let mut scales = Vec::with_capacity(2 * rows.scales.len());
        for panel in 0..panels {
            let row = |lane: usize| panel * LANES + lane;
            for quad in 0..inputs / 4 {
                for lane in 0..LANES {
                    q.extend_from_slice(&rows.q[row(lane) * inputs + 4 * quad..][..4]);
                }
            }
            for block in 0..blocks {
                scales.extend((0..LANES).map(|lane| rows.scales[row(lane) * blocks + block]));
                scales.extend((0..LANES).map(|lane| rows.mins[row(lane) * blocks + block]));
            }
        }
        Self { q, scales, inputs, outputs }
    }

    /// `out = x * W`, or `out += x * W` where `add`, for rows of activations.
    pub(crate) fn apply(&self, isa: Isa, x: &Quantised, out: &mut [f32], add: bool) {
        let (blocks, outputs) = (self.inputs / BLOCK, self.outputs);
        let rows = out.len() / outputs;
        debug_assert_eq!(x.values.len(), rows * self.inputs);
        let panels =
            self.q.chunks_exact(self.inputs * COLUMNS).zip(self.scales.chunks_exact(blocks * 2 * COLUMNS));
        for (pair, (q, scales)) in panels.enumerate() {
            for first in (0..rows).step_by(TILE_ROWS) {
                let tile = Tile {
                    q,
                    scales,
                    x: &x.values[first * self.inputs..],
                    x_scales: &x.scales[first * blocks..],
                    x_sums: &x.sums[first * blocks..],
                    inputs: self.inputs,
                    stride: outputs,
                    add,
                };
                let out = &mut out[first * outputs + pair * COLUMNS..];
                tile.run(isa, TILE_ROWS.min(rows - first), out);
            }
        }
    }
}

/// [`TILE_PANELS`] panels of weights and some rows of activations.
struct Tile<'a> {
    q: &'a [u8],
    scales: &'a [f32],
    x: &'a [i8],
    x_scales: &'a [f32],
    x_sums: &'a [f32],
    inputs: usize,
    /// Distance between rows of the output.
    stride: usize,
    add: bool,
}

impl Tile<'_> {
    /// Computes `rows` rows of [`COLUMNS`] columns; `out` starts at the first.
    fn run(&self, isa: Isa, rows: usize, out: &mut [f32]) {
        let blocks = self.inputs / BLOCK;
        assert!(
            rows <= TILE_ROWS
                && self.q.len() == self.inputs * COLUMNS
                && self.scales.len() == blocks * 2 * COLUMNS
                && self.x.len() >= rows * self.inputs
                && self.x_scales.len() >= rows * blocks
                && self.x_sums.len() >= rows * blocks
                && out.len() >= (rows - 1) * self.stride + COLUMNS
        );
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            // SAFETY: the processor has AVX-512 VNNI, and the lengths were checked just above.
            return unsafe { vnni::run(self, rows, out) };
        }
        let panels =
            self.q.chunks_exact(self.inputs * LANES).zip(self.scales.chunks_exact(blocks * 2 * LANES));
        for (panel, weights) in panels.enumerate() {
            for row in 0..rows {
                let mut sums = [0.0; LANES];
                isa.int8_row(
                    weights,
                    &self.x[row * self.inputs..][..self.inputs],
                    (&self.x_scales[row * blocks..][..blocks], &self.x_sums[row * blocks..][..blocks]),
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
    (x_scales, x_sums): (&[f32], &[f32]),
    out: &mut [f32; LANES],
) {
    let (q_blocks, _) = q.as_chunks::<BLOCK_BYTES>();
    let (x_blocks, _) = x.as_chunks::<BLOCK>();
    let (scales, _) = scales.as_chunks::<{ 2 * LANES }>();
    for ((((q, x), scales), x_scale), x_sum) in
        q_blocks.iter().zip(x_blocks).zip(scales).zip(x_scales).zip(x_sums)
    {
        let mut dots = [0_i32; LANES];
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
            out[lane] += dots[lane] as f32 * scales[lane] * x_scale + scales[LANES + lane] * x_sum;
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

    use super::{BLOCK, LANES, TILE_PANELS, Tile};

    /// Quantises block by block; see [`super::Quantised::fill`].
    ///
    /// # Safety
    /// The processor must have AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn quantise(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [f32]) {
        let blocks = x.as_chunks::<BLOCK>().0.iter().zip(values.as_chunks_mut::<BLOCK>().0);
        for (((x, values), scale), sum) in blocks.zip(scales).zip(sums) {
            // SAFETY: a block holds two registers of floats.
            let (low, high) =
                unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(LANES))) };
            let max = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
            let inverse = _mm512_set1_ps(if max > 0.0 { 127.0 / max } else { 0.0 });
            let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
            let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
            // SAFETY: a block holds 32 bytes.
            unsafe {
                _mm_storeu_si128(values.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(low));
                _mm_storeu_si128(values.as_mut_ptr().add(LANES).cast(), _mm512_cvtepi32_epi8(high));
            }
            *scale = max / 127.0;
            *sum = *scale * _mm512_reduce_add_epi32(_mm512_add_epi32(low, high)) as f32;
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
        let blocks = tile.inputs / BLOCK;
        let (q, scales) = (tile.q.as_ptr(), tile.scales.as_ptr());
        let (x, x_scales, x_sums) = (tile.x.as_ptr(), tile.x_scales.as_ptr(), tile.x_sums.as_ptr());
        let panel_bytes = tile.inputs * LANES;
        let panel_scales = blocks * 2 * LANES;
        let mut sums: [[__m512; TILE_PANELS]; R] = [[_mm512_setzero_ps(); TILE_PANELS]; R];
        for block in 0..blocks {
            let mut dots: [[__m512i; TILE_PANELS]; R] = [[_mm512_setzero_si512(); TILE_PANELS]; R];
            for quad in 0..BLOCK / 4 {
                let at = block * BLOCK + quad * 4;
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
                // SAFETY: `scales` holds `TILE_PANELS` panels of `2 * LANES` floats a block.
                let (scale, min) = unsafe {
                    let at = scales.add(panel * panel_scales + block * 2 * LANES);
                    (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(LANES)))
                };
                for row in 0..R {
                    // SAFETY: both hold `R * blocks` floats.
                    let (x_scale, x_sum) =
                        unsafe { (*x_scales.add(row * blocks + block), *x_sums.add(row * blocks + block)) };
                    let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[row][panel]), scale);
                    let sum = _mm512_fmadd_ps(scaled, _mm512_set1_ps(x_scale), sums[row][panel]);
                    sums[row][panel] = _mm512_fmadd_ps(min, _mm512_set1_ps(x_sum), sum);
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
    /// Quantises floats, `inputs` a row: 7 bits a weight, scale and min by the range of each block.
    pub(crate) fn from_floats(rows: &[f32]) -> Self {
        let mut quantised = Self::default();
        for block in rows.as_chunks::<BLOCK>().0 {
            let (min, max) =
                block.iter().fold((f32::MAX, f32::MIN), |(min, max), &v| (min.min(v), max.max(v)));
            let scale = (max - min) / 255.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            quantised.q.extend(block.iter().map(|v| ((v - min) * inverse).round() as u8));
            quantised.scales.push(scale);
            quantised.mins.push(min);
        }
        quantised
    }

    /// Reads GGUF `Q4_1` blocks: scale and min in half precision, then 32 values of 4 bits, the low halves of
    /// the bytes first.
    pub(crate) fn from_q4_1(bytes: &[u8]) -> Self {
        let mut quantised = Self::default();
        for block in bytes.as_chunks::<20>().0 {
            quantised.scales.push(half_at(block, 0));
            quantised.mins.push(half_at(block, 2));
            quantised.q.extend(block[4..].iter().map(|byte| byte & 15));
            quantised.q.extend(block[4..].iter().map(|byte| byte >> 4));
        }
        quantised
    }

    /// Reads GGUF `Q8_0` blocks: a scale in half precision, then 32 signed values.
    pub(crate) fn from_q8_0(bytes: &[u8]) -> Self {
        let mut quantised = Self::default();
        for block in bytes.as_chunks::<34>().0 {
            let scale = half_at(block, 0);
            quantised.scales.push(scale);
            quantised.mins.push(-128.0 * scale);
            quantised.q.extend(block[2..].iter().map(|byte| byte.wrapping_add(128)));
        }
        quantised
    }

    /// Appends row `row`, as floats, to `out`.
    pub(crate) fn append_row(&self, row: usize, inputs: usize, out: &mut Vec<f32>) {
        let blocks = self.q[row * inputs..][..inputs].as_chunks::<BLOCK>().0;
        for (i, block) in (row * inputs / BLOCK..).zip(blocks) {
            out.extend(block.iter().map(|&q| self.scales[i] * f32::from(q) + self.mins[i]));
        }
    }

    /// Appends the rows of another matrix of the same width.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.q.append(&mut other.q);
        self.scales.append(&mut other.scales);
        self.mins.append(&mut other.mins);
    }

    /// The rows in another order.
    pub(crate) fn reordered(&self, inputs: usize, order: impl Iterator<Item = usize>) -> Self {
        let blocks = inputs / BLOCK;
        let mut rows = Self::default();
        for row in order {
            rows.q.extend_from_slice(&self.q[row * inputs..][..inputs]);
            rows.scales.extend_from_slice(&self.scales[row * blocks..][..blocks]);
            rows.mins.extend_from_slice(&self.mins[row * blocks..][..blocks]);
        }
        rows
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
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
        let (inputs, outputs) = (96, 64);
        let weights = numbers(inputs * outputs, 1);
        let packed = Int8Matrix::pack(&QuantRows::from_floats(&weights), inputs);
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
    fn a_block_of_zeros_stays_zero() {
        let mut quantised = Quantised::default();
        quantised.fill(Isa::detect(), &[0.0; 64]);
        assert!(quantised.values.iter().all(|&v| v == 0) && quantised.scales.iter().all(|&s| s == 0.0));
    }
}
