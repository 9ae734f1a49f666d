//! Row-wise arithmetic: normalisation, activation, rotation, softmax. One body each, compiled for every
//! instruction set that is dispatched to at run time.
//!
//! The bodies are plain Rust over fixed-width lanes, which the compiler turns into vector code for the
//! features that the wrapper enables. On Arm that is NEON, which every 64-bit processor has: nothing needs to be
//! detected, and what runs is the baseline. Sums are kept in [`LANES`] partial sums on every instruction set, so
//! that results differ between them by the rounding of fused multiply-adds alone.
#![expect(clippy::inline_always, reason = "bodies must be compiled for the instruction set of their wrapper")]

/// Partial sums that a reduction keeps.
pub(crate) const LANES: usize = 16;

/// An instruction set that this processor was seen to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 with VNNI, the 8-bit dot product.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The baseline of the target: SSE2, NEON, or nothing.
    Baseline,
}

impl Isa {
    /// The widest instruction set here.
    pub(crate) fn detect() -> Self {
        Self::available()[0]
    }

    /// All instruction sets here, the widest first. Tests compare them.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                if is_x86_feature_detected!("avx512vnni") {
                    levels.push(Self(Level::Avx512Vnni));
                }
                levels.push(Self(Level::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self(Level::Avx2));
            }
        }
        levels.push(Self(Level::Baseline));
        levels
    }

    /// Returns the instruction-set level to compile for.
    pub(crate) fn level(self) -> Level {
        self.0
    }

    /// Has AVX-512F.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx512(self) -> bool {
        matches!(self.0, Level::Avx512Vnni | Level::Avx512)
    }

    /// Has AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_fma(self) -> bool {
        self.0 == Level::Avx2 || self.has_avx512()
    }

    /// Has AVX-512F and AVX-512 VNNI.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_vnni(self) -> bool {
        self.0 == Level::Avx512Vnni
    }
}

/// Defines a method of [`Isa`] that runs `$body` compiled for that instruction set.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?, $body:path) => {
        impl Isa {
            $(#[$doc])*
            #[cfg_attr(
                target_arch = "x86_64",
                expect(unsafe_code, reason = "calling a function compiled for a wider instruction set")
            )]
            pub(crate) fn $name(self, $($arg: $type),*) $(-> $out)? {
                #[cfg(target_arch = "x86_64")]
                use $crate::kernels::Level;
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                match self.level() {
                    // SAFETY: `Isa::available` made this value after it had detected these features.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512Vnni | Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => unsafe { avx2($($arg),*) },
                    #[cfg(target_arch = "x86_64")]
                    Level::Baseline => $body($($arg),*),
                    #[cfg(not(target_arch = "x86_64"))]
                    _ => $body($($arg),*),
                }
            }
        }
    };
}
pub(crate) use dispatched;

dispatched! {
    /// `out = x / sqrt(mean(x²) + eps) * weight` (RMSNorm, arXiv 1910.07467).
    rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]), rms_norm_body
}
dispatched! {
    /// `row = (row - mean) / sqrt(variance + eps) * weight + bias` (arXiv 1607.06450).
    layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32), layer_norm_body
}
dispatched! {
    /// `row += other`.
    add(row: &mut [f32], other: &[f32]), add_body
}
dispatched! {
    /// `row = gelu(row + bias)`, `gelu(x) = x / 2 * (1 + erf(x / sqrt(2)))` (arXiv 1606.08415), within
    /// 3e-7 * (1 + |gelu(x)|).
    gelu(row: &mut [f32], bias: &[f32]), gelu_body
}
dispatched! {
    /// `out = silu(gate) * up`, `silu(x) = x / (1 + exp(-x))` (SwiGLU, arXiv 2002.05202).
    silu_mul(gate: &[f32], up: &[f32], out: &mut [f32]), silu_mul_body
}
dispatched! {
    /// `out = g / (1 + exp(-1.702 g)) * (u + 1)` with `g = min(gate, 7)` and `u` that of `up` within -7 to 7.
    clamped_silu_mul(gate: &[f32], up: &[f32], out: &mut [f32]), clamped_silu_mul_body
}
dispatched! {
    /// `out = gelu(x)`, by the approximation of `gelu_mul`.
    gelu_tanh(x: &[f32], out: &mut [f32]), gelu_tanh_body
}
dispatched! {
    /// `out = gelu(x)`, as [`Isa::gelu`] has it.
    gelu_erf(x: &[f32], out: &mut [f32]), gelu_erf_body
}
dispatched! {
    /// `out = max(x, 0)²` (arXiv 2109.08668).
    squared_relu(x: &[f32], out: &mut [f32]), squared_relu_body
}
dispatched! {
    /// `out = gelu(gate) * up`, by the approximation `gelu(x) = x / (1 + exp(-2 y))` with
    /// `y = sqrt(2 / pi) * (x + 0.044715 x³)` (arXiv 1606.08415, section 2).
    gelu_mul(gate: &[f32], up: &[f32], out: &mut [f32]), gelu_mul_body
}
dispatched! {
    /// `row = cap * tanh(row / cap)`.
    soft_cap(row: &mut [f32], cap: f32), soft_cap_body
}
dispatched! {
    /// Rotates each pair (`row[i]`, `row[i + row.len() / 2]`) by the angle whose cosine and sine are given.
    rotate(row: &mut [f32], cos: &[f32], sin: &[f32]), rotate_body
}
dispatched! {
    /// Turns `scores` into `exp(score - max)` under a maximum that only grows, and adds them to `state`.
    /// Gives the factor by which earlier sums and outputs must be multiplied.
    softmax_step(scores: &mut [f32], state: &mut Softmax) -> f32, softmax_step_body
}
dispatched! {
    /// Computes a step like [`Isa::softmax_step`], for the sum alone.
    log_sum_exp_step(scores: &[f32], state: &mut Softmax), log_sum_exp_step_body
}
dispatched! {
    /// `row *= factor`.
    scale(row: &mut [f32], factor: f32), scale_body
}

dispatched! {
    /// The product of two rows of the same width.
    dot(a: &[f32], b: &[f32]) -> f32, dot_body
}
dispatched! {
    /// The product of two rows of 8-bit integers of the same width, of at most 131,072 values.
    dot_int8(a: &[i8], b: &[i8]) -> i32, dot_int8_body
}
dispatched! {
    /// Rounds `x` to `values` of -127..=127 by its largest magnitude, which it gives: values of that over 127 are 1.
    quantise(x: &[f32], values: &mut [i8]) -> f32, quantise_body
}
dispatched! {
    /// `scores[i]` = the product of `query` with what stands at `i * stride` of `rows`.
    dots(query: &[f32], rows: &[f32], stride: usize, scores: &mut [f32]), dots_body
}
dispatched! {
    /// `out += weights[i] *` what stands at `i * stride` of `rows`, for each `i`.
    add_weighted(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]), add_weighted_body
}

/// Running maximum and sum of exponentials of a row that is seen in pieces (arXiv 1805.02867).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Softmax {
    max: f32,
    sum: f32,
}

impl Softmax {
    /// Nothing seen yet.
    pub(crate) const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// One score seen, whose output is zero.
    pub(crate) fn of(score: f32) -> Self {
        Self { max: score, sum: 1.0 }
    }

    /// Takes a maximum into account; gives that of all, and the factor by which earlier sums and outputs must be
    /// multiplied, as its own sum now is.
    #[inline(always)]
    pub(crate) fn rise(&mut self, max: f32) -> (f32, f32) {
        let max = if max > self.max { max } else { self.max };
        let correction = if self.sum > 0.0 { exp_up_to_88(self.max - max) } else { 0.0 };
        *self = Self { max, sum: self.sum * correction };
        (max, correction)
    }

    /// Adds exponentials under the maximum that [`Softmax::rise`] gave.
    #[inline(always)]
    pub(crate) fn add(&mut self, exponentials: f32) {
        self.sum += exponentials;
    }

    /// `1 / sum of exponentials`.
    pub(crate) fn inverse_sum(self) -> f32 {
        1.0 / self.sum
    }

    /// Adds what `other` has seen; gives the factors by which the outputs of both must be multiplied.
    pub(crate) fn merge(&mut self, other: Self) -> [f32; 2] {
        let max = self.max.max(other.max);
        let factor = |state: Self| if state.sum > 0.0 { exp(state.max - max) } else { 0.0 };
        let factors = [factor(*self), factor(other)];
        *self = Self { max, sum: self.sum * factors[0] + other.sum * factors[1] };
        factors
    }

    /// `log(sum(exp(x)))` of all that was seen.
    pub(crate) fn log_sum_exp(self) -> f32 {
        self.max + self.sum.ln()
    }
}

#[inline(always)]
fn rms_norm_body(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = sum_by(x, |v| v * v) / x.len() as f32;
    let factor = 1.0 / (mean + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * factor * weight;
    }
}

#[inline(always)]
fn layer_norm_body(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let mean = sum_by(row, |v| v) / row.len() as f32;
    let variance = sum_by(row, |v| (v - mean) * (v - mean)) / row.len() as f32;
    let factor = 1.0 / (variance + eps).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * factor * weight + bias;
    }
}

#[inline(always)]
fn add_body(row: &mut [f32], other: &[f32]) {
    for (value, other) in row.iter_mut().zip(other) {
        *value += other;
    }
}

#[inline(always)]
fn gelu_body(row: &mut [f32], bias: &[f32]) {
    for (value, bias) in row.iter_mut().zip(bias) {
        *value = gelu(*value + bias);
    }
}

/// `erfc(z) = t * P(t) * exp(-z²)` with `t = 1 / (1 + 0.3275911 z)` for z >= 0, within 1.5e-7 (Abramowitz and
/// Stegun 7.1.26). Both signs follow from it: `gelu(x) = max(x, 0) - |x| / 2 * erfc(|x| / sqrt(2))`.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let positive = if x > 0.0 { x } else { 0.0 };
    positive - 0.5 * x.abs() * (p * t * exp(-z * z))
}

#[inline(always)]
fn silu_mul_body(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// `x / (1 + exp(-2 y))` with `y = sqrt(2 / pi) * (x + 0.044715 x³)`.
#[inline(always)]
fn gelu_by_tanh(x: f32) -> f32 {
    /// Twice the square root of 2 / pi.
    const SLOPE: f32 = 1.595_769;
    x / (1.0 + exp(-SLOPE * (x + 0.044_715 * x * x * x)))
}

#[inline(always)]
fn gelu_mul_body(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gelu_by_tanh(gate) * up;
    }
}

#[inline(always)]
fn gelu_tanh_body(x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = gelu_by_tanh(x);
    }
}

#[inline(always)]
fn clamped_silu_mul_body(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
        let gate = if gate < 7.0 { gate } else { 7.0 };
        let up = if up < 7.0 { up } else { 7.0 };
        let up = if up > -7.0 { up } else { -7.0 };
        *out = gate / (1.0 + exp(-1.702 * gate)) * (up + 1.0);
    }
}

#[inline(always)]
fn gelu_erf_body(x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = gelu(x);
    }
}

#[inline(always)]
fn squared_relu_body(x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        let positive = if x > 0.0 { x } else { 0.0 };
        *out = positive * positive;
    }
}

#[inline(always)]
fn soft_cap_body(row: &mut [f32], cap: f32) {
    for value in row {
        *value = cap - 2.0 * cap / (exp(2.0 * *value / cap) + 1.0);
    }
}

#[inline(always)]
fn rotate_body(row: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = row.split_at_mut(row.len() / 2);
    for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        let (a, b) = (*low, *high);
        *low = a * cos - b * sin;
        *high = a * sin + b * cos;
    }
}

#[inline(always)]
fn softmax_step_body(scores: &mut [f32], state: &mut Softmax) -> f32 {
    let (max, correction) = state.rise(max_of(scores));
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exp_up_to_88(*score - max);
            *sum += *score;
        }
    }
    let mut sum = sum_of(sums);
    for score in rest {
        *score = exp_up_to_88(*score - max);
        sum += *score;
    }
    state.add(sum);
    correction
}

#[inline(always)]
fn log_sum_exp_step_body(scores: &[f32], state: &mut Softmax) {
    let (max, _) = state.rise(max_of(scores));
    state.add(sum_by(scores, |v| exp_up_to_88(v - max)));
}

#[inline(always)]
fn scale_body(row: &mut [f32], factor: f32) {
    for value in row {
        *value *= factor;
    }
}

#[inline(always)]
fn dots_body(query: &[f32], rows: &[f32], stride: usize, scores: &mut [f32]) {
    for (score, row) in scores.iter_mut().zip(rows.chunks(stride)) {
        *score = dot_body(query, &row[..query.len()]);
    }
}

#[inline(always)]
fn dot_body(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sum_of(sums) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[inline(always)]
fn dot_int8_body(a: &[i8], b: &[i8]) -> i32 {
    let product = |(&a, &b): (&i8, &i8)| i32::from(i16::from(a) * i16::from(b));
    a.iter().zip(b).map(product).sum()
}

#[inline(always)]
pub(crate) fn quantise_body(x: &[f32], values: &mut [i8]) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut maxima = [0.0_f32; LANES];
    for chunk in chunks {
        for (absmax, value) in maxima.iter_mut().zip(chunk) {
            *absmax = if value.abs() > *absmax { value.abs() } else { *absmax };
        }
    }
    let absmax = rest.iter().fold(largest_of(maxima), |absmax, value| absmax.max(value.abs()));
    round_all(x, if absmax > 0.0 { 127.0 / absmax } else { 0.0 }, values);
    absmax
}

/// Rounds `x * factor` to the low 8 bits of integers.
#[inline(always)]
pub(crate) fn round_all(x: &[f32], factor: f32, out: &mut [i8]) {
    for (out, value) in out.iter_mut().zip(x) {
        // The nearest integer stands in the low bits.
        *out = (value * factor + ROUND).to_bits() as i8;
    }
}

#[inline(always)]
fn add_weighted_body(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    let width = out.len();
    let (fours, rest) = weights.as_chunks::<4>();
    // Four at a time: `out` is loaded and stored once for them.
    for (weights, rows) in fours.iter().zip(rows.chunks(4 * stride)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &rows[i * stride..][..width]);
        for i in 0..width {
            out[i] += (weights[0] * a[i] + weights[1] * b[i]) + (weights[2] * c[i] + weights[3] * d[i]);
        }
    }
    for (i, weight) in rest.iter().enumerate() {
        let row = &rows[(4 * fours.len() + i) * stride..][..width];
        for (out, value) in out.iter_mut().zip(row) {
            *out += weight * value;
        }
    }
}

#[inline(always)]
fn sum_by(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f(value);
        }
    }
    sum_of(sums) + rest.iter().map(|&value| f(value)).sum::<f32>()
}

#[inline(always)]
pub(crate) fn max_of(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (max, &value) in maxima.iter_mut().zip(chunk) {
            *max = if value > *max { value } else { *max };
        }
    }
    rest.iter().copied().fold(largest_of(maxima), f32::max)
}

/// Sum of partial sums, in pairs: one after another they would wait for each other.
#[inline(always)]
pub(crate) fn sum_of(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

/// The largest of some partial maxima, in pairs.
#[inline(always)]
pub(crate) fn largest_of(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            let other = lanes[lane + half];
            lanes[lane] = if other > lanes[lane] { other } else { lanes[lane] };
        }
    }
    lanes[0]
}

/// `e^x` within 4e-7 relative for `x` of at most 88: the power of two goes into the exponent bits, the rest into a
/// polynomial. Flushes to 0 below -87.
#[inline(always)]
pub(crate) fn exp_up_to_88(x: f32) -> f32 {
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let p = exp_near_0((clamped - n * LN2_HIGH) - n * LN2_LOW);
    let power = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    if x < -87.0 { 0.0 } else { p * power }
}

/// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
const ROUND: f32 = 12_582_912.0;
/// The upper part of ln(2), split in two so that a small integer times it is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// The Taylor series of `e^r` of degree 6, whose remainder is below 2e-7 for |r| <= ln(2) / 2.
#[inline(always)]
fn exp_near_0(r: f32) -> f32 {
    let mut p = 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p * r + 1.0
}

/// [`exp_up_to_88`] that saturates above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    exp_up_to_88(if x > 88.0 { 88.0 } else { x })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 * 8.0 - 8.0
            })
            .collect()
    }

    fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()))
    }

    #[test]
    fn exp_is_accurate_over_its_range() {
        for i in -87_000..88_000_i32 {
            let x = i as f32 / 1000.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((got - want) / want).abs() < 4e-7, "exp({x}) = {got}, want {want}");
        }
        assert!(exp(-200.0) == 0.0 && exp(f32::NEG_INFINITY) == 0.0 && exp(500.0).is_finite());
    }

    #[test]
    fn every_instruction_set_gives_the_same_within_rounding() {
        for n in [1, 15, 16, 64, 577] {
            let (x, w) = (row(n, 1), row(n, 2));
            let mut results = Vec::new();
            for isa in Isa::available() {
                let (mut norm, mut silu, mut rotated, mut probabilities) =
                    (vec![0.0; n], vec![0.0; n], x.clone(), x.clone());
                let mut activated = x.clone();
                isa.add(&mut activated, &w);
                isa.gelu(&mut activated, &w);
                isa.layer_norm(&mut activated, &w, &x, 1e-12);
                isa.rms_norm(&x, &w, 1e-5, &mut norm);
                isa.silu_mul(&x, &w, &mut silu);
                isa.rotate(&mut rotated, &w, &norm);
                let mut state = Softmax::EMPTY;
                isa.softmax_step(&mut probabilities, &mut state);
                isa.log_sum_exp_step(&w, &mut state);
                isa.scale(&mut probabilities, state.inverse_sum());
                results.push((norm, silu, rotated, probabilities, state.log_sum_exp(), activated));
            }
            for other in &results[1..] {
                assert!(close(&results[0].0, &other.0, 1e-5), "rms_norm, {n}");
                assert!(close(&results[0].1, &other.1, 1e-5), "silu, {n}");
                assert!(close(&results[0].2, &other.2, 1e-5), "rotate, {n}");
                assert!(close(&results[0].3, &other.3, 1e-5), "softmax, {n}");
                assert!(close(&[results[0].4], &[other.4], 1e-5), "log-sum-exp, {n}");
                assert!(close(&results[0].5, &other.5, 1e-5), "add, gelu and layer_norm, {n}");
            }
        }
    }

    /// `erf` by its series of positive terms, which loses nothing to cancellation.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
    }

    #[test]
    fn gelu_is_accurate_over_its_range() {
        let largest = (-12_000..=12_000_i32)
            .map(|i| {
                let x = i as f32 / 1000.0;
                let want = f64::from(x) / 2.0 * (1.0 + erf(f64::from(x) / 2.0_f64.sqrt()));
                (f64::from(gelu(x)) - want).abs() / (1.0 + want.abs())
            })
            .fold(0.0, f64::max);
        assert!(largest < 3e-7, "{largest:e}");
        for x in [0.0, -1e30, 1e30_f32] {
            assert_eq!(gelu(x).to_bits() << 1, x.max(0.0).to_bits() << 1, "the sign of zero aside, {x}");
        }
    }

    #[test]
    fn layer_norm_gives_the_mean_and_variance_that_its_weights_ask_for() {
        for n in [2, 17, 384] {
            // Far from zero, where a variance computed as a difference of squares would be lost.
            let x: Vec<f32> = row(n, 5).iter().map(|v| v + 1000.0).collect();
            let mut out = x.clone();
            Isa::detect().layer_norm(&mut out, &vec![2.0; n], &vec![3.0; n], 1e-12);
            let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
            let mean = wide.iter().sum::<f64>() / n as f64;
            let deviation = (wide.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            for (got, value) in out.iter().zip(&wide) {
                let want = (value - mean) / deviation * 2.0 + 3.0;
                assert!((f64::from(*got) - want).abs() < 1e-3, "{n}: {got}, want {want}");
            }
        }
        let mut constant = [7.0; 20];
        Isa::detect().layer_norm(&mut constant, &[2.0; 20], &[3.0; 20], 1e-12);
        assert!(close(&constant, &[3.0; 20], 0.0), "a row without variance");
    }

    #[test]
    fn a_row_seen_in_pieces_has_the_same_log_sum_exp() {
        let x = row(1000, 3);
        let want = x.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln() as f32;
        let isa = Isa::detect();
        let mut state = Softmax::EMPTY;
        for piece in x.chunks(77) {
            isa.log_sum_exp_step(piece, &mut state);
        }
        assert!((state.log_sum_exp() - want).abs() < 1e-5);
    }

    #[test]
    fn products_with_rows_are_those_by_definition() {
        let (width, stride, rows) = (35, 41, 7);
        let (query, keys, weights) = (row(width, 1), row(rows * stride, 2), row(rows, 3));
        let key = |i: usize| &keys[i * stride..][..width];
        let dot = |i: usize| query.iter().zip(key(i)).map(|(a, b)| a * b).sum::<f32>();
        let expected: Vec<f32> = (0..rows).map(dot).collect();
        let sum = |j: usize| 1.0 + (0..rows).map(|i| weights[i] * key(i)[j]).sum::<f32>();
        let sums: Vec<f32> = (0..width).map(sum).collect();
        for isa in Isa::available() {
            let (mut scores, mut out) = (vec![0.0; rows], vec![1.0; width]);
            // What follows the last row need not be there.
            isa.dots(&query, &keys[..(rows - 1) * stride + width], stride, &mut scores);
            isa.add_weighted(&weights, &keys[..(rows - 1) * stride + width], stride, &mut out);
            assert!(close(&scores, &expected, 1e-4) && close(&out, &sums, 1e-4), "{isa:?}");
            assert!(close(&[isa.dot(&query, key(1))], &expected[1..2], 1e-4), "{isa:?}");
            let bytes: Vec<i8> = (0..100).map(|i| (i * 37 % 255 - 127) as i8).collect();
            let want: i32 =
                bytes[..67].iter().zip(&bytes[33..]).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            assert_eq!(isa.dot_int8(&bytes[..67], &bytes[33..]), want, "{isa:?}");
        }
    }

    #[test]
    fn states_that_are_merged_have_seen_all() {
        let scores = row(100, 9);
        let isa = Isa::detect();
        let state = |scores: &[f32]| {
            let mut state = Softmax::EMPTY;
            isa.log_sum_exp_step(scores, &mut state);
            state
        };
        let mut merged = Softmax::EMPTY;
        assert!(close(&merged.merge(state(&scores[..30])), &[0.0, 1.0], 1e-6));
        merged.merge(state(&scores[30..]));
        assert!((merged.log_sum_exp() - state(&scores).log_sum_exp()).abs() < 1e-5);
    }
}
