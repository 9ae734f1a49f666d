//! The compute roofline of the processor: what a loop of nothing but multiply-adds reaches, for comparison.
//!
//! Twelve independent sums hide the latency of the units that add to them; nothing is loaded in the loop.
#![expect(unsafe_code, reason = "vector intrinsics")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::int8::{GROUP, signed_row};
use crate::kernels::Isa;
use crate::model::Precision;

/// Independent sums, of a register each.
const SUMS: usize = 12;
/// Lanes of 32 bits in the widest register.
const LANES: usize = 16;
/// Rounds of the loop between two looks at the clock.
const ROUNDS: usize = 20_000;

/// Operations a second (a multiplication and an addition are two) of one thread within about `time`.
pub(crate) fn operations_per_second(isa: Isa, precision: Precision, time: Duration) -> f64 {
    let start = Instant::now();
    let mut operations = 0.0;
    while start.elapsed() < time {
        operations += match precision {
            Precision::F32 => floats(isa),
            Precision::Int8 => integers(isa),
        };
    }
    operations / start.elapsed().as_secs_f64()
}

/// Runs the loop of floats; gives its operations.
fn floats(isa: Isa) -> f64 {
    let (factor, term) = (black_box(0.5), black_box(1.0));
    #[cfg(target_arch = "x86_64")]
    {
        if isa.has_avx512() {
            // SAFETY: the processor has AVX-512F.
            unsafe { avx512(factor, term) };
            return (2 * ROUNDS * SUMS * LANES) as f64;
        }
        if isa.has_fma() {
            // SAFETY: the processor has AVX2 and FMA.
            unsafe { avx2(factor, term) };
            return (2 * ROUNDS * SUMS * LANES / 2) as f64;
        }
    }
    // As many lanes as eight registers of 128 bits have.
    let mut sums = [0.0_f32; 32];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = *sum * factor + term;
        }
    }
    black_box(sums);
    (2 * ROUNDS * sums.len()) as f64
}

/// # Safety
/// The processor must have AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(factor: f32, term: f32) {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps, _mm512_setzero_ps};
    let (factor, term) = (_mm512_set1_ps(factor), _mm512_set1_ps(term));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
}

/// # Safety
/// The processor must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(factor: f32, term: f32) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps};
    let (factor, term) = (_mm256_set1_ps(factor), _mm256_set1_ps(term));
    let mut sums = [_mm256_setzero_ps(); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    black_box(sums);
}

/// Runs the loop of 8-bit integers; gives its operations.
fn integers(isa: Isa) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if isa.has_vnni() {
        // SAFETY: the processor has AVX-512F and AVX-512 VNNI.
        unsafe { vnni(black_box(3), black_box(5)) };
        return (2 * ROUNDS * SUMS * LANES * 4) as f64;
    }
    #[cfg(target_arch = "x86_64")]
    if isa.has_fma() {
        // SAFETY: the processor has AVX2.
        unsafe { bytes_avx2(black_box(3), black_box(5)) };
        return (2 * ROUNDS * SUMS * LANES / 2 * 4) as f64;
    }
    // Elsewhere the products of bytes are the compiler's work: what it makes of them from the first cache.
    let (weights, x) = ([3_u8; GROUP * LANES], [5_i8; GROUP]);
    let mut sums = [0.0; LANES];
    for _ in 0..ROUNDS / GROUP {
        signed_row((black_box(&weights), &[1.0; LANES]), black_box(&x), (&[1.0], &[0]), &mut sums);
    }
    black_box(sums);
    (2 * (ROUNDS / GROUP) * GROUP * LANES) as f64
}

/// Adds products of bytes as `int8::avx2` does.
///
/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn bytes_avx2(weight: i8, value: i8) {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_setzero_si256, _mm256_sign_epi8,
    };
    let (magnitudes, values) = (_mm256_set1_epi8(weight), _mm256_set1_epi8(value));
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(values, *sum));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    black_box(sums);
}

/// # Safety
/// The processor must have AVX-512F and AVX-512 VNNI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn vnni(weight: i32, value: i32) {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_setzero_si512};
    let (weights, values) = (_mm512_set1_epi32(weight), _mm512_set1_epi32(value));
    let mut sums = [_mm512_setzero_si512(); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, weights, values);
        }
    }
    black_box(sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_has_a_peak() {
        for isa in Isa::available() {
            for precision in [Precision::F32, Precision::Int8] {
                let peak = operations_per_second(isa, precision, Duration::from_millis(1));
                assert!(peak.is_finite() && peak > 0.0, "{isa:?} {precision:?}: {peak}");
            }
        }
    }
}
