//! Activations in 8 bits.

use super::{GROUP, LANES, NOTHING, WeightRow};
use crate::kernels::{
    Isa, Softmax, dispatched, exp_up_to_88, largest_of, max_of, quantise_body, round_all, sum_of,
};

/// Activations in 8 bits. Reused between products.
#[derive(Debug, Default)]
pub(crate) struct Quantised {
    /// The values: signed after [`Quantised::fill`], unsigned after [`Quantised::weigh`].
    pub(super) values: Vec<i8>,
    /// Scale of each group of each row.
    pub(super) scales: Vec<f32>,
    /// `sum(values)` of each group of each row, where they have a sign.
    pub(super) sums: Vec<i32>,
}

impl Quantised {
    /// Quantises rows of a multiple of [`GROUP`] values to -127..=127, each group by its largest magnitude.
    pub(crate) fn fill(&mut self, isa: Isa, x: &[f32]) {
        self.make_signed_room(x.len());
        self.fill_from(isa, 0, x);
    }

    /// Makes room for so many values, a multiple of [`GROUP`]: for [`Quantised::fill_from`].
    pub(crate) fn make_signed_room(&mut self, values: usize) {
        if self.values.len() < values || self.sums.len() < values / GROUP {
            self.values.resize(values, 0);
            self.scales.resize(values / GROUP, 0.0);
            self.sums.resize(values / GROUP, 0);
        }
    }

    /// Quantises like [`Quantised::fill`], from value `first` on, a multiple of [`GROUP`]; there must be room.
    pub(crate) fn fill_from(&mut self, isa: Isa, first: usize, x: &[f32]) {
        let (end, groups) = (first + x.len(), first / GROUP..(first + x.len()) / GROUP);
        let (scales, sums) = (&mut self.scales[groups.clone()], &mut self.sums[groups]);
        let values = &mut self.values[first..end];
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            return super::vnni::quantise(isa, x, values, scales, sums);
        }
        isa.quantise_groups(x, values, scales, sums);
    }

    /// Makes room for `rows` rows of `columns` weights, a multiple of [`GROUP`].
    pub(crate) fn make_room(&mut self, rows: usize, columns: usize) {
        let groups = rows * columns / GROUP;
        if self.scales.len() < groups {
            self.values.resize(groups * GROUP, 0);
            self.scales.resize(groups, 0.0);
        }
    }

    /// Turns the first `seen` of `scores` into `exp(score - max)` under a maximum that only grows, adds them to
    /// `state`, and makes row `row` hold them, each multiplied with the scale of its value and then quantised to
    /// 0..=255 with its group, and zeros for the rest. Gives the factor by which earlier sums and outputs must be
    /// multiplied.
    pub(crate) fn weigh(
        &mut self,
        isa: Isa,
        row: usize,
        (scores, seen): (&[f32], usize),
        value_scales: &[f32],
        state: &mut Softmax,
    ) -> f32 {
        let (columns, groups) = (scores.len(), scores.len() / GROUP);
        let out = WeightRow {
            values: &mut self.values[row * columns..][..columns],
            scales: &mut self.scales[row * groups..][..groups],
        };
        #[cfg(target_arch = "x86_64")]
        if isa.has_vnni() {
            return super::vnni::weigh(isa, (scores, seen), value_scales, out, state);
        }
        isa.weigh(scores, seen, value_scales, out, state)
    }
}

dispatched! {
    /// Quantises group by group; see [`Quantised::fill`].
    quantise_groups(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]), quantise_groups_body
}
dispatched! {
    /// See [`Quantised::weigh`].
    weigh(scores: &[f32], seen: usize, value_scales: &[f32], out: WeightRow<'_>, state: &mut Softmax) -> f32,
    weigh_body
}

#[inline(always)]
fn quantise_groups_body(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    let groups = x.as_chunks::<GROUP>().0.iter().zip(values.as_chunks_mut::<GROUP>().0);
    for (((group, out), scale), sum) in groups.zip(scales).zip(sums) {
        *scale = quantise_body(group, out) / 127.0;
        *sum = out.iter().map(|&value| i32::from(value)).sum();
    }
}

#[inline(always)]
fn weigh_body(
    scores: &[f32],
    seen: usize,
    value_scales: &[f32],
    out: WeightRow<'_>,
    state: &mut Softmax,
) -> f32 {
    let (max, correction) = state.rise(max_of(&scores[..seen]));
    let mut sums = [0.0; LANES];
    let groups = scores.as_chunks::<GROUP>().0.iter().zip(value_scales.as_chunks::<GROUP>().0);
    let out = out.values.as_chunks_mut::<GROUP>().0.iter_mut().zip(out.scales);
    for (i, ((scores, value_scales), (values, scale))) in groups.zip(out).enumerate() {
        let seen = seen.saturating_sub(i * GROUP);
        let (mut weights, mut absmax) = (*scores, [0.0; LANES]);
        if seen < GROUP {
            weights[seen..].fill(f32::NEG_INFINITY);
        }
        for (weights, value_scales) in weights.as_chunks_mut().0.iter_mut().zip(value_scales.as_chunks().0) {
            weigh_lanes(weights, value_scales, max, &mut sums, &mut absmax);
        }
        let absmax = largest_of(absmax);
        round_all(&weights, if absmax > NOTHING { 255.0 / absmax } else { 0.0 }, values);
        *scale = absmax / 255.0;
    }
    state.add(sum_of(sums));
    correction
}

#[inline(always)]
fn weigh_lanes(
    scores: &mut [f32; LANES],
    value_scales: &[f32; LANES],
    max: f32,
    sums: &mut [f32; LANES],
    absmax: &mut [f32; LANES],
) {
    for lane in 0..LANES {
        let weight = exp_up_to_88(scores[lane] - max);
        sums[lane] += weight;
        scores[lane] = weight * value_scales[lane];
        absmax[lane] = if scores[lane] > absmax[lane] { scores[lane] } else { absmax[lane] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::local::int8::tests::numbers;

    #[test]
    fn a_group_of_zeros_stays_zero() {
        let mut quantised = Quantised::default();
        quantised.fill(Isa::detect(), &[0.0; GROUP]);
        assert!(quantised.values.iter().all(|&v| v == 0) && quantised.scales.iter().all(|&s| s == 0.0));
    }

    #[test]
    fn weights_are_those_of_a_softmax_on_every_instruction_set() {
        let (columns, first) = (3 * GROUP, GROUP + 17);
        let scores: Vec<f32> = numbers(2 * columns, 5).iter().map(|v| 12.0 * v).collect();
        let value_scales: Vec<f32> = numbers(columns, 6).iter().map(|v| v.abs() + 0.01).collect();
        for isa in Isa::available() {
            // A row in two parts, of the first of which some positions are hidden.
            let (mut quantised, mut state) = (Quantised::default(), Softmax::EMPTY);
            quantised.make_room(2, columns);
            let none = quantised.weigh(isa, 1, (&scores[..columns], first), &value_scales, &mut state);
            let some = quantised.weigh(isa, 0, (&scores[columns..], columns), &value_scales, &mut state);
            let seen = scores[..first].iter().chain(&scores[columns..]);
            let max = seen.clone().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = seen.map(|score| (score - max).exp()).sum();
            assert!((state.inverse_sum() * sum - 1.0).abs() < 1e-4, "{isa:?}");
            assert!(none == 0.0 && some <= 1.0);
            for (i, &score) in scores.iter().enumerate() {
                let (row, hidden) = (1 - i / columns, (first..columns).contains(&i));
                let at = row * columns + i % columns;
                let correction = if row == 1 { some } else { 1.0 };
                let weight = f32::from(quantised.values[at].cast_unsigned()) * quantised.scales[at / GROUP];
                let want = if hidden { 0.0 } else { (score - max).exp() * value_scales[i % columns] };
                let step = quantised.scales[at / GROUP] * correction;
                assert!((weight * correction - want).abs() <= 0.51 * step + 1e-6, "{isa:?}, {i}");
            }
        }
    }

    #[test]
    fn a_row_that_sees_nothing_changes_nothing() {
        for isa in Isa::available() {
            let (mut quantised, mut state) = (Quantised::default(), Softmax::EMPTY);
            quantised.make_room(1, GROUP);
            quantised.weigh(isa, 0, (&[1.0; GROUP], GROUP), &[1.0; GROUP], &mut state);
            let before = state;
            let correction = quantised.weigh(isa, 0, (&[9.0; GROUP], 0), &[1.0; GROUP], &mut state);
            assert!((correction - 1.0).abs() < 1e-6 && state == before, "{isa:?}");
            assert!(quantised.values.iter().all(|&v| v == 0) && quantised.scales == [0.0]);
        }
    }
}
