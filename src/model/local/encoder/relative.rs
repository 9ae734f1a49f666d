//! Attention to distances (`DeBERTa`, arXiv 2006.03654, sections 3.1 and 3.2, and 2111.09543).
//!
//! The score of query `i` and key `j` is `(q[i] * k[j] + q[i] * K[r] + k[j] * Q[r]) / sqrt(3 * width)` with the width of a
//! head, where `r` is the row for the distance `i - j`, and `K` and `Q` are what projections of keys and queries make of the
//! rows for distances. A model may lack one of the two terms with `r`; then it has 2 in place of 3.

use std::ops::Range;

use rten_gemm::{GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensorView;

use crate::model::local::attention::{Heads, ScoreBias};
use crate::model::local::linear::{Accumulate, Backend, FloatMatrix};

/// The distances that a model tells apart, and what it compares them with.
#[derive(Debug, Clone)]
pub(crate) struct RelativePositions {
    /// Half of the rows for distances.
    pub(crate) span: usize,
    /// The distance from which on all have the same row.
    pub(crate) farthest: usize,
    /// Distances of more than half a span share rows, the more the farther.
    pub(crate) has_buckets: bool,
    /// Distances have the projections of contents, else their own.
    pub(crate) is_shared: bool,
    /// The rows are normed.
    pub(crate) is_normed: bool,
    pub(crate) terms: Vec<Term>,
}

/// A comparison with a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    /// A query is compared.
    ContentToPosition,
    /// A key is compared.
    PositionToContent,
}

impl RelativePositions {
    /// The factor of queries besides `1 / sqrt(width)`.
    pub(crate) fn query_factor(&self) -> f32 {
        1.0 / ((1 + self.terms.len()) as f32).sqrt()
    }

    /// The row for a distance.
    fn row(&self, distance: isize) -> usize {
        let span = self.span.cast_signed();
        (self.bucket(distance) + span).clamp(0, 2 * span - 1) as usize
    }

    /// In 32-bit floats, for by these were models trained, up to which distance a bucket goes.
    fn bucket(&self, distance: isize) -> isize {
        let (away, middle) = (distance.unsigned_abs(), self.span / 2);
        if !self.has_buckets || away <= middle {
            return distance;
        }
        let most = ((self.farthest - 1) as f64 / middle as f64) as f32;
        let far = (away as f32 / middle as f32).ln() / most.ln();
        let bucket = (far * (middle - 1) as f32).ceil() as isize + middle.cast_signed();
        bucket * distance.signum()
    }
}

/// The rows for the distances between so many positions.
pub(crate) struct Distances {
    /// By the place of the key less that of the query, from that of the first key and the last query on. They fall.
    rows: Vec<u32>,
    positions: usize,
    /// The first row of all in the file, which is 0 here.
    first: usize,
}

impl Distances {
    pub(crate) fn new(relative: &RelativePositions, positions: usize) -> Self {
        let last = positions.cast_signed() - 1;
        let first = relative.row(-last);
        let row = |ahead: isize| (relative.row(-ahead) - first) as u32;
        Self { rows: (-last..=last).map(row).collect(), positions, first }
    }

    /// The rows of the file that are needed.
    pub(crate) fn needed(&self) -> Range<usize> {
        let all = self.range(self.positions);
        self.first + all.start..self.first + all.end
    }

    /// The rows for the distances between the first `length` positions.
    pub(crate) fn range(&self, length: usize) -> Range<usize> {
        let (here, last) = (self.positions - 1, length - 1);
        self.rows[here + last] as usize..self.rows[here - last] as usize + 1
    }

    /// The rows for `count` keys from the one at `first` on.
    fn of(&self, query: usize, first: usize, count: usize) -> &[u32] {
        &self.rows[self.positions - 1 + first - query..][..count]
    }
}

/// The rows for distances as the projections of a layer make them, with the factor of scores.
#[derive(Default)]
pub(crate) struct PositionTables {
    /// The rows that queries are compared with, where the model compares them.
    pub(crate) keys: Option<Vec<f32>>,
    /// The rows that keys are compared with, where the model compares them.
    pub(crate) queries: Option<Vec<f32>>,
}

/// `(rows * W + bias) * factor` for rows as wide as the bias.
pub(crate) fn project(
    backend: Backend,
    rows: &[f32],
    (weights, bias): (&[f32], &[f32]),
    factor: f32,
) -> Vec<f32> {
    let mut out = bias.repeat(rows.len() / bias.len());
    FloatMatrix::pack(backend, weights, bias.len()).apply(backend, rows, &mut out, Accumulate::Add);
    backend.isa.scale(&mut out, factor);
    out
}

/// Buffers that are reused between sequences.
#[derive(Default)]
pub(crate) struct RelativeScratch {
    /// Products of each query with the rows for distances.
    queries: Vec<f32>,
    /// Products of each key with them.
    keys: Vec<f32>,
}

/// The additions to the scores of a sequence by distances.
pub(crate) struct RelativeBias<'a> {
    pub(crate) backend: Backend,
    pub(crate) heads: Heads,
    pub(crate) distances: &'a Distances,
    pub(crate) tables: &'a PositionTables,
    pub(crate) scratch: &'a mut RelativeScratch,
    /// The rows that the distances of the sequence have.
    pub(crate) rows: Range<usize>,
}

impl ScoreBias for RelativeBias<'_> {
    fn prepare(&mut self, head: usize, own: &[f32]) {
        let Heads { queries, width, .. } = self.heads;
        let length = own.len() / self.heads.row();
        let own = NdTensorView::from_data([length, self.heads.row()], own);
        let products = |table: &Option<Vec<f32>>, at: usize, out: &mut Vec<f32>| {
            let Some(table) = table else { return };
            let table =
                NdTensorView::from_data([table.len() / (queries * width), queries * width], &table[..]);
            let table = table.slice((self.rows.clone(), head * width..(head + 1) * width));
            let own = own.slice((.., at * width..(at + 1) * width));
            out.resize(length * self.rows.len(), 0.0);
            let (own, table) = (GemmInputA::Unpacked(own), GemmInputB::Unpacked(table.transposed()));
            let product = self.backend.gemm.gemm(out, own, table, GemmOptions::default());
            product.expect("both are as wide as a head");
        };
        products(&self.tables.keys, head, &mut self.scratch.queries);
        products(&self.tables.queries, queries + head, &mut self.scratch.keys);
    }

    fn add(&self, query: usize, first: usize, scores: &mut [f32]) {
        let (width, start) = (self.rows.len(), self.rows.start);
        let rows = self.distances.of(query, first, scores.len());
        if self.tables.keys.is_some() {
            let products = &self.scratch.queries[query * width..][..width];
            for (score, &row) in scores.iter_mut().zip(rows) {
                *score += products[row as usize - start];
            }
        }
        if self.tables.queries.is_some() {
            let products = self.scratch.keys[first * width..].chunks_exact(width);
            for ((score, &row), products) in scores.iter_mut().zip(rows).zip(products) {
                *score += products[row as usize - start];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(span: usize, farthest: usize, has_buckets: bool) -> RelativePositions {
        let terms = vec![Term::ContentToPosition];
        RelativePositions { span, farthest, has_buckets, is_shared: true, is_normed: false, terms }
    }

    #[test]
    fn far_distances_share_rows_and_near_ones_do_not() {
        let (buckets, plain) = (relative(256, 512, true), relative(4, 4, false));
        // By the definition: 128 + ceil(ln(d / 128) / ln(511 / 128) * 127).
        for (distance, row) in
            [(0, 256), (-128, 128), (128, 384), (129, 385), (200, 425), (-511, 1), (511, 511), (9999, 511)]
        {
            assert_eq!(buckets.row(distance), row, "{distance}");
        }
        assert_eq!(
            (-6..=6).map(|d| plain.row(d)).collect::<Vec<_>>(),
            [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7]
        );
    }

    #[test]
    fn a_query_has_the_rows_for_its_distances() {
        let distances = Distances::new(&relative(4, 4, false), 3);
        assert_eq!(distances.needed(), 2..7);
        assert_eq!((distances.range(3), distances.range(1)), (0..5, 2..3));
        assert_eq!((distances.of(2, 0, 3), distances.of(0, 1, 2)), (&[4, 3, 2][..], &[1, 0][..]));
    }
}
