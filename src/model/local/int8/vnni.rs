//! 8-bit kernels for AVX-512 VNNI.
#![expect(unsafe_code, reason = "AVX-512 VNNI intrinsics and their loads")]
#![expect(
    clippy::needless_range_loop,
    reason = "iterators over registers are not inlined at every level of optimization"
)]

use std::arch::x86_64::{
    __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_fmsub_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_max_ps, _mm512_maskz_loadu_ps, _mm512_maskz_scalef_ps,
    _mm512_max_ps, _mm512_mul_ps, _mm512_reduce_add_epi32, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_roundscale_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{GROUP, LANES, NOTHING, OFFSET, TILE_PANELS, TILE_ROWS, Tile, Unsigned, WeightRow};
use crate::kernels::{Isa, Softmax};

/// Registers of a group of floats.
const REGISTERS: usize = GROUP / LANES;

/// See [`super::Quantised::fill`].
pub(super) fn quantise(isa: Isa, x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    assert!(isa.has_vnni());
    // SAFETY: the processor has AVX-512F.
    unsafe { quantise_groups(x, values, scales, sums) }
}

/// Quantises group by group.
///
/// # Safety
/// The processor must have AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn quantise_groups(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
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
        for (floats, values) in floats.into_iter().zip(values.as_chunks_mut().0) {
            let rounded = _mm512_cvtps_epi32(_mm512_mul_ps(floats, inverse));
            total = _mm512_add_epi32(total, rounded);
            store_bytes(rounded, values);
        }
        *scale = max / 127.0;
        *sum = _mm512_reduce_add_epi32(total);
    }
}

/// The low bytes of integers.
#[target_feature(enable = "avx512f")]
fn store_bytes(integers: __m512i, out: &mut [i8; LANES]) {
    // SAFETY: `out` has a byte for each lane.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(integers)) };
}

/// See [`super::Quantised::weigh`].
pub(super) fn weigh(
    isa: Isa,
    (scores, seen): (&[f32], usize),
    value_scales: &[f32],
    out: WeightRow<'_>,
    state: &mut Softmax,
) -> f32 {
    assert!(isa.has_vnni() && value_scales.len() >= scores.len());
    // SAFETY: the processor has AVX-512F.
    unsafe { weigh_row(scores, seen, value_scales, out, state) }
}

/// # Safety
/// The processor must have AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn weigh_row(
    scores: &[f32],
    seen: usize,
    value_scales: &[f32],
    out: WeightRow<'_>,
    state: &mut Softmax,
) -> f32 {
    let (max, correction) = state.rise(largest(&scores[..seen]));
    let (to_powers, max) = (_mm512_set1_ps(LOG2_E), _mm512_set1_ps(max * LOG2_E));
    let mut sum = _mm512_setzero_ps();
    let groups = scores.as_chunks::<GROUP>().0.iter().zip(value_scales.as_chunks::<GROUP>().0);
    let out = out.values.as_chunks_mut::<GROUP>().0.iter_mut().zip(out.scales);
    for (i, ((scores, value_scales), (values, scale))) in groups.zip(out).enumerate() {
        let seen = seen.saturating_sub(i * GROUP).min(GROUP);
        if seen == 0 {
            *scale = 0.0;
            values.fill(0);
            continue;
        }
        // The lowest bits stand for the first positions.
        let visible = u64::MAX >> (GROUP - seen);
        let mut weights = [_mm512_setzero_ps(); REGISTERS];
        let mut absmax = _mm512_setzero_ps();
        for (i, weights) in weights.iter_mut().enumerate() {
            // SAFETY: a group holds `REGISTERS` registers of floats.
            let (score, value_scale) = unsafe {
                let at = i * LANES;
                (_mm512_loadu_ps(scores.as_ptr().add(at)), _mm512_loadu_ps(value_scales.as_ptr().add(at)))
            };
            let weight = exp2(_mm512_fmsub_ps(score, to_powers, max), (visible >> (i * LANES)) as u16);
            sum = _mm512_add_ps(sum, weight);
            *weights = _mm512_mul_ps(weight, value_scale);
            absmax = _mm512_max_ps(absmax, *weights);
        }
        let absmax = _mm512_reduce_max_ps(absmax);
        let inverse = _mm512_set1_ps(if absmax > NOTHING { 255.0 / absmax } else { 0.0 });
        for (weights, values) in weights.into_iter().zip(values.as_chunks_mut().0) {
            store_bytes(_mm512_cvtps_epi32(_mm512_mul_ps(weights, inverse)), values);
        }
        *scale = absmax / 255.0;
    }
    state.add(_mm512_reduce_add_ps(sum));
    correction
}

/// The largest of `x`.
#[target_feature(enable = "avx512f")]
fn largest(x: &[f32]) -> f32 {
    let mut max = _mm512_set1_ps(f32::NEG_INFINITY);
    for x in x.chunks(LANES) {
        let mask = u16::MAX >> (LANES - x.len());
        // SAFETY: lanes that the mask leaves out are not read.
        max = unsafe { _mm512_mask_max_ps(max, mask, max, _mm512_maskz_loadu_ps(mask, x.as_ptr())) };
    }
    _mm512_reduce_max_ps(max)
}

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// `2^x` within 3e-7 relative in the lanes of `mask`, 0 in the others: the power of two by its own instruction, the rest
/// by the Taylor series of `e^(r ln 2)` of degree 6 for |r| <= 1/2.
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512, mask: u16) -> __m512 {
    const LN_2: f32 = std::f32::consts::LN_2;
    /// The rounding mode: to the nearest integer, without exceptions.
    const NEAREST: i32 = 0x08;
    let n = _mm512_roundscale_ps::<NEAREST>(x);
    let r = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(LN_2 * LN_2 * LN_2 * LN_2 * LN_2 * LN_2 / 720.0);
    for coefficient in [
        LN_2 * LN_2 * LN_2 * LN_2 * LN_2 / 120.0,
        LN_2 * LN_2 * LN_2 * LN_2 / 24.0,
        LN_2 * LN_2 * LN_2 / 6.0,
        LN_2 * LN_2 / 2.0,
        LN_2,
        1.0,
    ] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(coefficient));
    }
    _mm512_maskz_scalef_ps(mask, p, n)
}

/// See [`Tile::run`], which has checked the lengths.
pub(super) fn run(isa: Isa, tile: &Tile, rows: usize, out: &mut [f32]) {
    assert!(isa.has_vnni() && rows <= TILE_ROWS);
    // SAFETY: the processor has AVX-512 VNNI, and the lengths are as `tile_rows` demands.
    unsafe {
        match tile.unsigned {
            Unsigned::Weights => run_rows::<false>(tile, rows, out),
            Unsigned::Activations => run_rows::<true>(tile, rows, out),
        }
    }
}

/// # Safety
/// As [`tile_rows`].
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn run_rows<const UNSIGNED_X: bool>(tile: &Tile, rows: usize, out: &mut [f32]) {
    // SAFETY: as this function's own contract; each arm's row count is `rows`.
    unsafe {
        match rows {
            1 => tile_rows::<1, UNSIGNED_X>(tile, out),
            2 => tile_rows::<2, UNSIGNED_X>(tile, out),
            3 => tile_rows::<3, UNSIGNED_X>(tile, out),
            4 => tile_rows::<4, UNSIGNED_X>(tile, out),
            5 => tile_rows::<5, UNSIGNED_X>(tile, out),
            _ => tile_rows::<TILE_ROWS, UNSIGNED_X>(tile, out),
        }
    }
}

/// Places are stepped through rather than computed, and registers are counted rather than iterated over: with checks for
/// overflow in the innermost loop, or calls that are not inlined, the sums would not stay in registers, which takes six
/// times as long.
///
/// # Safety
/// The processor must have AVX-512F and AVX-512 VNNI, and the slices of `tile` and `out` the lengths that
/// [`Tile::run`] checks for `R` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn tile_rows<const R: usize, const UNSIGNED_X: bool>(tile: &Tile, out: &mut [f32]) {
    let groups = tile.inputs / GROUP;
    let (panel_bytes, panel_scales) = (tile.q.len() / TILE_PANELS, tile.scales.len() / TILE_PANELS);
    let (mut q, mut scales) = (tile.q.as_ptr(), tile.scales.as_ptr());
    let (mut x, mut x_scales, mut x_sums) = (tile.x.as_ptr(), tile.x_scales.as_ptr(), tile.x_sums.as_ptr());
    let mut sums: [[__m512; TILE_PANELS]; R] = [[_mm512_setzero_ps(); TILE_PANELS]; R];
    for _ in 0..groups {
        let mut dots: [[__m512i; TILE_PANELS]; R] = [[_mm512_setzero_si512(); TILE_PANELS]; R];
        if !UNSIGNED_X {
            let mut x_sum = x_sums;
            for r in 0..R {
                // SAFETY: `x_sums` holds `R * groups` integers.
                let sum = unsafe { *x_sum };
                dots[r] = [_mm512_set1_epi32(sum.wrapping_mul(-OFFSET)); TILE_PANELS];
                x_sum = x_sum.wrapping_add(groups);
            }
            x_sums = x_sums.wrapping_add(1);
        }
        for _ in 0..GROUP / 4 {
            let mut weights = [_mm512_setzero_si512(); TILE_PANELS];
            let mut panel = q;
            for p in 0..TILE_PANELS {
                // SAFETY: `q` holds `TILE_PANELS` panels of `inputs * LANES` bytes or more.
                weights[p] = unsafe { _mm512_loadu_si512(panel.cast()) };
                panel = panel.wrapping_add(panel_bytes);
            }
            let mut row = x;
            for r in 0..R {
                // SAFETY: `x` holds `R * inputs` bytes; the read is unaligned.
                let values = _mm512_set1_epi32(unsafe { row.cast::<i32>().read_unaligned() });
                for p in 0..TILE_PANELS {
                    dots[r][p] = if UNSIGNED_X {
                        _mm512_dpbusd_epi32(dots[r][p], values, weights[p])
                    } else {
                        _mm512_dpbusd_epi32(dots[r][p], weights[p], values)
                    };
                }
                row = row.wrapping_add(tile.inputs);
            }
            (q, x) = (q.wrapping_add(4 * LANES), x.wrapping_add(4));
        }
        let mut panel = scales;
        for p in 0..TILE_PANELS {
            // SAFETY: `scales` holds `TILE_PANELS` panels of `LANES` floats for each group of a row, or more.
            let scale = unsafe { _mm512_loadu_ps(panel) };
            let mut x_scale = x_scales;
            for r in 0..R {
                // SAFETY: `x_scales` holds `R * groups` floats.
                let of_row = _mm512_set1_ps(unsafe { *x_scale });
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[r][p]), scale);
                sums[r][p] = _mm512_fmadd_ps(scaled, of_row, sums[r][p]);
                x_scale = x_scale.wrapping_add(groups);
            }
            panel = panel.wrapping_add(panel_scales);
        }
        (scales, x_scales) = (scales.wrapping_add(LANES), x_scales.wrapping_add(1));
    }
    let mut out = out.as_mut_ptr();
    for r in 0..R {
        let mut place = out;
        for p in 0..TILE_PANELS {
            // SAFETY: `out` holds `(R - 1) * stride + COLUMNS` floats.
            unsafe {
                let sum =
                    if tile.add { _mm512_add_ps(sums[r][p], _mm512_loadu_ps(place)) } else { sums[r][p] };
                _mm512_storeu_ps(place, sum);
            }
            place = place.wrapping_add(LANES);
        }
        out = out.wrapping_add(tile.stride);
    }
}
