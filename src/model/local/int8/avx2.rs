//! 8-bit products for AVX2, which has no instruction that adds products of bytes to 32-bit sums.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds neighbours in 16 bits, saturating. Neither side may thus be
//! larger than 127 where the other is: a weight is taken by its magnitude and its sign moved to the activation
//! (2 * 127 * 127 fits), and activations of 0..=255 are taken in two halves of 4 bits (2 * 15 * 127 fits eight times).
//! All sums are exact, as on the other instruction sets.
//!
//! Measured on one core of an AMD EPYC without AVX-512, 6 rows of 576 values: 85 G operations/s by signs, 71 by halves
//! for weights, too, and 12 by what the compiler makes of the plain loop.
#![expect(unsafe_code, reason = "AVX2 intrinsics and their loads")]
#![expect(
    clippy::needless_range_loop,
    reason = "iterators over registers are not inlined at every level of optimization"
)]

use std::arch::x86_64::{
    __m256, __m256i, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_srli_epi16,
    _mm256_storeu_ps, _mm256_xor_si256,
};

use super::{GROUP, LANES, TILE_PANELS, TILE_ROWS, Tile, Unsigned};
use crate::kernels::Isa;

/// Columns of a register: its 32-bit lanes.
const COLUMNS: usize = 8;
/// Registers of the columns of a panel.
const PARTS: usize = LANES / COLUMNS;
/// Products of a half of 4 bits, in pairs, that 16 bits hold the sum of.
const HALVES: usize = 8;
/// Steps of four inputs in a group.
const QUADS: usize = GROUP / 4;

/// Computes `rows` rows of a tile, whose lengths [`Tile::run`] has checked.
pub(super) fn run(isa: Isa, tile: &Tile, rows: usize, out: &mut [f32]) {
    assert!(isa.has_fma() && (1..=TILE_ROWS).contains(&rows));
    for panel in 0..TILE_PANELS {
        for part in 0..PARTS {
            let columns = Columns::of(tile, panel, part);
            let out = &mut out[panel * LANES + part * COLUMNS..];
            // SAFETY: the processor has AVX2 and FMA, and the lengths are as `Columns::run` demands.
            unsafe {
                match tile.unsigned {
                    Unsigned::Weights => columns.rows::<false>(tile, rows, out),
                    Unsigned::Activations => columns.rows::<true>(tile, rows, out),
                }
            }
        }
    }
}

/// The weights of [`COLUMNS`] columns: for each four inputs a register of them, at a distance of `4 * LANES` bytes, and
/// for each group a register of scales, at a distance of `LANES`.
struct Columns<'a> {
    q: &'a [u8],
    scales: &'a [f32],
}

impl<'a> Columns<'a> {
    fn of(tile: &'a Tile, panel: usize, part: usize) -> Self {
        let (bytes, scales) = (tile.q.len() / TILE_PANELS, tile.scales.len() / TILE_PANELS);
        Self {
            q: &tile.q[panel * bytes + part * 4 * COLUMNS..],
            scales: &tile.scales[panel * scales + part * COLUMNS..],
        }
    }

    /// Computes the columns for `rows` rows.
    ///
    /// # Safety
    /// The processor and the slices must be as [`Columns::run`] demands for `rows` rows.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn rows<const UNSIGNED_X: bool>(&self, tile: &Tile, rows: usize, out: &mut [f32]) {
        // SAFETY: as this function's own contract; each arm's row count is `rows`.
        unsafe {
            match rows {
                1 => self.run::<1, UNSIGNED_X>(tile, out),
                2 => self.run::<2, UNSIGNED_X>(tile, out),
                3 => self.run::<3, UNSIGNED_X>(tile, out),
                4 => self.run::<4, UNSIGNED_X>(tile, out),
                5 => self.run::<5, UNSIGNED_X>(tile, out),
                _ => self.run::<TILE_ROWS, UNSIGNED_X>(tile, out),
            }
        }
    }

    /// Computes the columns for `R` rows.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA, and the slices of `tile` the lengths that [`Tile::run`] checks for `R`
    /// rows; `out` must hold `(R - 1) * stride + COLUMNS` floats.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<const R: usize, const UNSIGNED_X: bool>(&self, tile: &Tile, out: &mut [f32]) {
        let groups = tile.inputs / GROUP;
        let mut sums = [_mm256_setzero_ps(); R];
        let (mut q, mut scales) = (self.q.as_ptr(), self.scales.as_ptr());
        let (mut x, mut x_scales) = (tile.x.as_ptr(), tile.x_scales.as_ptr());
        for _ in 0..groups {
            // SAFETY: `q`, `x` and the scales are those of one of the groups of the columns and of the `R` rows.
            let (dots, scale) = unsafe {
                let place = Place { q, x, inputs: tile.inputs };
                let dots = if UNSIGNED_X { place.by_halves::<R>() } else { place.by_signs::<R>() };
                (dots, _mm256_loadu_ps(scales))
            };
            let mut x_scale = x_scales;
            for r in 0..R {
                // SAFETY: `x_scales` holds `R * groups` floats.
                let of_row = _mm256_set1_ps(unsafe { *x_scale });
                sums[r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dots[r]), scale), of_row, sums[r]);
                x_scale = x_scale.wrapping_add(groups);
            }
            (q, x) = (q.wrapping_add(GROUP * LANES), x.wrapping_add(GROUP));
            (scales, x_scales) = (scales.wrapping_add(LANES), x_scales.wrapping_add(1));
        }
        let mut out = out.as_mut_ptr();
        for r in 0..R {
            // SAFETY: `out` holds `(R - 1) * stride + COLUMNS` floats.
            unsafe { store(sums[r], tile.add, out) };
            out = out.wrapping_add(tile.stride);
        }
    }
}

/// A group: its weights, and its activations in the first row of several of `inputs` bytes each. Places behind it are
/// stepped to rather than computed: checks for overflow would keep the sums out of registers.
#[derive(Clone, Copy)]
struct Place {
    q: *const u8,
    x: *const i8,
    inputs: usize,
}

impl Place {
    /// The sums of products with signed activations.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA, the group have its [`QUADS`] registers of weights, and its activations be
    /// there in `R` rows.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn by_signs<const R: usize>(mut self) -> [__m256i; R] {
        let (ones, offset) = (_mm256_set1_epi16(1), _mm256_set1_epi8(i8::MIN));
        let mut dots = [_mm256_setzero_si256(); R];
        for _ in 0..QUADS {
            // SAFETY: as this function's own contract.
            let weights = _mm256_xor_si256(unsafe { _mm256_loadu_si256(self.q.cast()) }, offset);
            let magnitudes = _mm256_abs_epi8(weights);
            let mut row = self.x;
            for r in 0..R {
                // SAFETY: as above; the read is unaligned.
                let values = _mm256_set1_epi32(unsafe { row.cast::<i32>().read_unaligned() });
                let values = _mm256_sign_epi8(values, weights);
                let pairs = _mm256_maddubs_epi16(magnitudes, values);
                dots[r] = _mm256_add_epi32(dots[r], _mm256_madd_epi16(pairs, ones));
                row = row.wrapping_add(self.inputs);
            }
            (self.q, self.x) = (self.q.wrapping_add(4 * LANES), self.x.wrapping_add(4));
        }
        dots
    }

    /// The sums of products with unsigned activations.
    ///
    /// # Safety
    /// The processor and the group must be as [`Place::by_signs`] demands.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn by_halves<const R: usize>(mut self) -> [__m256i; R] {
        let low_bits = _mm256_set1_epi8(15);
        let (ones, sixteens) = (_mm256_set1_epi16(1), _mm256_set1_epi16(16));
        let mut dots = [_mm256_setzero_si256(); R];
        for _ in 0..QUADS / HALVES {
            let (mut low, mut high) = ([_mm256_setzero_si256(); R], [_mm256_setzero_si256(); R]);
            for _ in 0..HALVES {
                // SAFETY: as this function's own contract.
                let weights = unsafe { _mm256_loadu_si256(self.q.cast()) };
                let mut row = self.x;
                for r in 0..R {
                    // SAFETY: as above; the read is unaligned.
                    let values = _mm256_set1_epi32(unsafe { row.cast::<i32>().read_unaligned() });
                    let a = _mm256_and_si256(values, low_bits);
                    let b = _mm256_and_si256(_mm256_srli_epi16::<4>(values), low_bits);
                    low[r] = _mm256_add_epi16(low[r], _mm256_maddubs_epi16(a, weights));
                    high[r] = _mm256_add_epi16(high[r], _mm256_maddubs_epi16(b, weights));
                    row = row.wrapping_add(self.inputs);
                }
                (self.q, self.x) = (self.q.wrapping_add(4 * LANES), self.x.wrapping_add(4));
            }
            for r in 0..R {
                let (low, high) = (_mm256_madd_epi16(low[r], ones), _mm256_madd_epi16(high[r], sixteens));
                dots[r] = _mm256_add_epi32(dots[r], _mm256_add_epi32(low, high));
            }
        }
        dots
    }
}

/// Stores sums, or adds them to what is there.
///
/// # Safety
/// The processor must have AVX2, and `out` point to [`COLUMNS`] floats.
#[target_feature(enable = "avx2")]
unsafe fn store(sum: __m256, add: bool, out: *mut f32) {
    // SAFETY: `out` points to `COLUMNS` floats.
    unsafe {
        let sum = if add { _mm256_add_ps(sum, _mm256_loadu_ps(out)) } else { sum };
        _mm256_storeu_ps(out, sum);
    }
}
