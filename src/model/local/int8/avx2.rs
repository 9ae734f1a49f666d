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
        for group in 0..groups {
            // SAFETY: `group` is one of the groups of the columns and of the `R` rows of `tile`.
            let (dots, scale) = unsafe {
                let dots = if UNSIGNED_X {
                    self.by_halves::<R>(tile, group)
                } else {
                    self.by_signs::<R>(tile, group)
                };
                (dots, _mm256_loadu_ps(self.scales.as_ptr().add(group * LANES)))
            };
            for (row, (sum, dots)) in sums.iter_mut().zip(dots).enumerate() {
                let x_scale = _mm256_set1_ps(tile.x_scales[row * groups + group]);
                *sum = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dots), scale), x_scale, *sum);
            }
        }
        for (row, sum) in sums.into_iter().enumerate() {
            // SAFETY: `out` holds `(R - 1) * stride + COLUMNS` floats.
            unsafe { store(sum, tile.add, out.as_mut_ptr().add(row * tile.stride)) };
        }
    }

    /// The sums of products of a group with signed activations.
    ///
    /// # Safety
    /// The processor and the slices must be as [`Columns::run`] demands, and `group` be one of the groups.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn by_signs<const R: usize>(&self, tile: &Tile, group: usize) -> [__m256i; R] {
        let (ones, offset) = (_mm256_set1_epi16(1), _mm256_set1_epi8(i8::MIN));
        let mut dots = [_mm256_setzero_si256(); R];
        for quad in group * QUADS..(group + 1) * QUADS {
            // SAFETY: `quad` is below `inputs / 4`.
            let weights = _mm256_xor_si256(unsafe { self.weights(quad) }, offset);
            let magnitudes = _mm256_abs_epi8(weights);
            for (row, dots) in dots.iter_mut().enumerate() {
                // SAFETY: as above, and `row` is below `R`.
                let values = _mm256_sign_epi8(unsafe { activations(tile, row, quad) }, weights);
                let pairs = _mm256_maddubs_epi16(magnitudes, values);
                *dots = _mm256_add_epi32(*dots, _mm256_madd_epi16(pairs, ones));
            }
        }
        dots
    }

    /// The sums of products of a group with unsigned activations.
    ///
    /// # Safety
    /// The processor and the slices must be as [`Columns::run`] demands, and `group` be one of the groups.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn by_halves<const R: usize>(&self, tile: &Tile, group: usize) -> [__m256i; R] {
        let low_bits = _mm256_set1_epi8(15);
        let (ones, sixteens) = (_mm256_set1_epi16(1), _mm256_set1_epi16(16));
        let mut dots = [_mm256_setzero_si256(); R];
        for first in (group * QUADS..(group + 1) * QUADS).step_by(HALVES) {
            let mut halves = [[_mm256_setzero_si256(); 2]; R];
            for quad in first..first + HALVES {
                // SAFETY: `quad` is below `inputs / 4`.
                let weights = unsafe { self.weights(quad) };
                for (row, [low, high]) in halves.iter_mut().enumerate() {
                    // SAFETY: as above, and `row` is below `R`.
                    let values = unsafe { activations(tile, row, quad) };
                    let (a, b) = (values, _mm256_srli_epi16::<4>(values));
                    *low =
                        _mm256_add_epi16(*low, _mm256_maddubs_epi16(_mm256_and_si256(a, low_bits), weights));
                    *high =
                        _mm256_add_epi16(*high, _mm256_maddubs_epi16(_mm256_and_si256(b, low_bits), weights));
                }
            }
            for (dots, [low, high]) in dots.iter_mut().zip(halves) {
                let sum = _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, sixteens));
                *dots = _mm256_add_epi32(*dots, sum);
            }
        }
        dots
    }

    /// The weights of four inputs.
    ///
    /// # Safety
    /// The processor must have AVX2, and `quad` be below the inputs over 4.
    #[target_feature(enable = "avx2")]
    unsafe fn weights(&self, quad: usize) -> __m256i {
        // SAFETY: `q` ends not before the register of the last four inputs does.
        unsafe { _mm256_loadu_si256(self.q.as_ptr().add(quad * 4 * LANES).cast()) }
    }
}

/// Four activations of a row, in every lane.
///
/// # Safety
/// The processor must have AVX2, `tile` hold more rows than `row`, and `quad` be below its inputs over 4.
#[target_feature(enable = "avx2")]
unsafe fn activations(tile: &Tile, row: usize, quad: usize) -> __m256i {
    // SAFETY: each row holds `inputs` bytes; the read is unaligned.
    _mm256_set1_epi32(unsafe {
        tile.x.as_ptr().add(row * tile.inputs + quad * 4).cast::<i32>().read_unaligned()
    })
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
