//! Attention over rows of queries, keys and values, in blocks: no length x length matrix.
//!
//! Grouped heads (arXiv 2305.13245): `heads / kv_heads` query heads share a key head, so their queries are
//! stacked and multiplied with it together. Softmax runs over blocks of keys with a running maximum and sum
//! (arXiv 2205.14135). A sequence's own keys and values are packed once for all query blocks, in the arithmetic of
//! the weights: in 8-bit integers queries and keys share a scale over a head's width, weights of keys and values one
//! over [`GROUP`] positions.
//!
//! # Choice of the blocks
//! Tokens a second of one text in int8, two threads, one run (`whittle bench score`):
//!
//! | queries | positions | 512 tokens | 2,048 tokens |
//! |---|---|---|---|
//! | 64 | 128 | 3,312 | 2,419 |
//! | 64 | 256 | 3,452 | 2,411 |
//! | 64 | 512 | 2,995 | 2,379 |
//! | 128 | 256 | 3,342 | 2,553 |

use rayon::prelude::*;
use rten_gemm::GemmInputB;
use rten_tensor::NdTensorView;

use super::int8::{GROUP, Quantised};
use super::kernels::Softmax;
use super::linear::{Keep, Linear, Math, multiply};
use crate::model::Precision;

/// Queries that are handled together.
const QUERY_BLOCK: usize = 128;
/// Keys of what came before a sequence that are handled together.
const KEY_BLOCK: usize = 512;
/// Positions that are packed together.
const PACKED_BLOCK: usize = 256;

/// Sizes of the attention heads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) queries: usize,
    /// Key and value heads; divides `queries`.
    pub(crate) keys: usize,
    /// Width of a head.
    pub(crate) width: usize,
}

impl Heads {
    /// Width of a row that holds all queries, then all keys, then all values.
    pub(crate) fn row(self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    /// One head of some rows, which starts at `at` in each, and zeros up to a number of `positions`.
    fn gathered(self, rows: &[&[f32]], at: usize, positions: usize) -> Vec<f32> {
        let mut gathered = Vec::with_capacity(positions * self.width);
        for row in rows {
            gathered.extend_from_slice(&row[at..at + self.width]);
        }
        gathered.resize(positions * self.width, 0.0);
        gathered
    }

    /// Query heads that share a key head.
    fn group(self) -> usize {
        self.queries / self.keys
    }
}

/// Keys and values of consecutive positions, one row a position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyValues<'a> {
    /// Rows of `stride` values.
    pub(crate) rows: &'a [f32],
    /// Distance between rows.
    pub(crate) stride: usize,
    /// Where the first key head starts in a row.
    pub(crate) keys_at: usize,
    /// Where the first value head starts in a row.
    pub(crate) values_at: usize,
}

impl KeyValues<'_> {
    fn len(&self) -> usize {
        self.rows.len() / self.stride
    }
}

/// Keys and values of a sequence, packed for products with queries: each query block uses them again.
pub(crate) struct PackedKeyValues {
    /// By key head, and then by position.
    blocks: Vec<PackedBlock>,
    /// Blocks of a head.
    of_head: usize,
    /// Positions of a block; those of the last one that there are none for hold zeros.
    positions: usize,
}

struct PackedBlock {
    /// Head width x positions.
    keys: Linear,
    /// Positions x head width.
    values: Linear,
}

impl PackedKeyValues {
    /// Of the rows of a sequence ([`Heads::row`] values each: queries, keys, values), in parallel.
    pub(crate) fn new(precision: Precision, math: Math, heads: Heads, own: &[f32]) -> Self {
        let rows: Vec<&[f32]> = own.chunks_exact(heads.row()).collect();
        // 8-bit products take whole groups.
        let precision = if heads.width.is_multiple_of(GROUP) { precision } else { Precision::F32 };
        let whole = if precision == Precision::Int8 { GROUP } else { 1 };
        let positions = PACKED_BLOCK.min(rows.len().next_multiple_of(whole));
        let of_head = rows.len().div_ceil(positions);
        let pack = |i: usize| {
            let (head, first) = (i / of_head, i % of_head * positions);
            let rows = &rows[first..rows.len().min(first + positions)];
            let keys_at = (heads.queries + head) * heads.width;
            let keys = heads.gathered(rows, keys_at, positions);
            let values = heads.gathered(rows, keys_at + heads.keys * heads.width, positions);
            PackedBlock {
                keys: Linear::pack_as(precision, math, &keys, heads.width),
                values: Linear::pack_as(precision, math, &transposed(&values, heads.width), positions),
            }
        };
        Self { blocks: (0..heads.keys * of_head).into_par_iter().map(pack).collect(), of_head, positions }
    }

    /// The blocks of a head that hold its first `end` positions.
    fn of(&self, head: usize, end: usize) -> &[PackedBlock] {
        &self.blocks[head * self.of_head..][..end.div_ceil(self.positions)]
    }
}

/// Keys and values that rows attend to.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// Of what came before the rows' own sequence.
    pub(crate) past: Option<KeyValues<'a>>,
    /// Of all of the sequence.
    pub(crate) own: &'a PackedKeyValues,
}

/// Buffers that are reused between calls.
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
    quantised_queries: Quantised,
    quantised_weights: Quantised,
    queries: Vec<f32>,
    scores: Vec<f32>,
    outputs: Vec<f32>,
    states: Vec<Softmax>,
}

/// The arithmetic that attention runs on.
#[derive(Clone, Copy)]
pub(crate) struct Attention {
    /// Products and row-wise kernels.
    pub(crate) math: Math,
    /// Head sizes.
    pub(crate) heads: Heads,
    /// What a row sees of its own sequence.
    pub(crate) sight: Sight,
}

/// What a row sees of its own sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Itself and the rows before it: a language model.
    Backwards,
    /// Every row: an encoder.
    Everything,
}

impl Attention {
    /// Attends from rows `rows` of `own` (rows of [`Heads::row`] values: queries, keys, values) to what came
    /// before and to the rows of `own` that are in sight. `out` gets a row of all query heads for each.
    pub(crate) fn run(
        &self,
        own: &[f32],
        rows: std::ops::Range<usize>,
        keys: Seen,
        out: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let width = self.heads.queries * self.heads.width;
        let length = own.len() / self.heads.row();
        let mut start = rows.start;
        for out in out.chunks_mut(QUERY_BLOCK * width) {
            let block = start..start + out.len() / width;
            start = block.end;
            for head in 0..self.heads.keys {
                self.gather_queries(own, block.clone(), head, scratch);
                if let Some(past) = keys.past {
                    self.attend_past(past, head, scratch);
                }
                let (end, visible) = match self.sight {
                    Sight::Backwards => (block.end, Visible::UpTo(block.start)),
                    Sight::Everything => (length, Visible::First(length)),
                };
                self.attend_packed(keys.own.of(head, end), keys.own.positions, visible, scratch);
                self.scatter_outputs(head, out, scratch);
            }
        }
    }

    /// Stacks the scaled queries of a group of heads: head by head, row by row.
    fn gather_queries(
        &self,
        own: &[f32],
        rows: std::ops::Range<usize>,
        head: usize,
        s: &mut AttentionScratch,
    ) {
        let Heads { width, .. } = self.heads;
        let group = self.heads.group();
        let factor = 1.0 / (width as f32).sqrt();
        s.queries.clear();
        for query in head * group..(head + 1) * group {
            for row in rows.clone() {
                let at = row * self.heads.row() + query * width;
                s.queries.extend_from_slice(&own[at..at + width]);
            }
        }
        self.math.isa.scale(&mut s.queries, factor);
        s.outputs.clear();
        s.outputs.resize(s.queries.len(), 0.0);
        s.states.clear();
        s.states.resize(rows.len() * group, Softmax::EMPTY);
    }

    fn attend_packed(
        &self,
        blocks: &[PackedBlock],
        positions: usize,
        visible: Visible,
        s: &mut AttentionScratch,
    ) {
        let Some(first) = blocks.first() else { return };
        first.keys.quantise(self.math, &s.queries, &mut s.quantised_queries);
        s.scores.resize(s.states.len() * positions, 0.0);
        for (i, PackedBlock { keys, values }) in blocks.iter().enumerate() {
            keys.apply_quantised(self.math, &s.queries, &mut s.scores, Keep::Nothing, &s.quantised_queries);
            self.weigh(i * positions, positions, visible, s);
            values.apply(self.math, &s.scores, &mut s.outputs, Keep::Sum, &mut s.quantised_weights);
        }
    }

    fn attend_past(&self, past: KeyValues, head: usize, s: &mut AttentionScratch) {
        let width = self.heads.width;
        let stacked = s.states.len();
        for start in (0..past.len()).step_by(KEY_BLOCK) {
            let n = KEY_BLOCK.min(past.len() - start);
            let at = start * past.stride + head * width;
            let keys = strided(&past.rows[at + past.keys_at..], n, width, past.stride);
            let values = strided(&past.rows[at + past.values_at..], n, width, past.stride);
            s.scores.resize(stacked * n, 0.0);
            let queries = NdTensorView::from_data([stacked, width], &s.queries[..]);
            let keys = GemmInputB::Unpacked(keys.transposed());
            multiply(self.math.gemm, queries, keys, &mut s.scores, Keep::Nothing);
            self.weigh(start, n, Visible::First(past.len()), s);
            let weights = NdTensorView::from_data([stacked, n], &s.scores[..]);
            multiply(self.math.gemm, weights, GemmInputB::Unpacked(values), &mut s.outputs, Keep::Sum);
        }
    }

    /// Turns scores of `n` keys, of which the first is `start`, into weights, and corrects what was summed
    /// with the weights of earlier ones.
    fn weigh(&self, start: usize, n: usize, visible: Visible, s: &mut AttentionScratch) {
        let rows = s.states.len() / self.heads.group();
        let outputs = s.outputs.chunks_mut(self.heads.width).zip(&mut s.states);
        for (i, (scores, (output, state))) in s.scores.chunks_mut(n).zip(outputs).enumerate() {
            let seen = visible.of(i % rows).saturating_sub(start).min(n);
            let (seen, hidden) = scores.split_at_mut(seen);
            hidden.fill(0.0);
            if !seen.is_empty() {
                let correction = self.math.isa.softmax_step(seen, state);
                if start > 0 || correction > 0.0 {
                    self.math.isa.scale(output, correction);
                }
            }
        }
    }

    fn scatter_outputs(&self, head: usize, out: &mut [f32], s: &mut AttentionScratch) {
        let Heads { queries, width, .. } = self.heads;
        let group = self.heads.group();
        let rows = s.states.len() / group;
        for (i, (output, state)) in s.outputs.chunks_mut(width).zip(&s.states).enumerate() {
            self.math.isa.scale(output, state.inverse_sum());
            let at = (i % rows) * queries * width + (head * group + i / rows) * width;
            out[at..at + width].copy_from_slice(output);
        }
    }
}

/// Keys that a query may see.
#[derive(Debug, Clone, Copy)]
enum Visible {
    /// So many from the first on.
    First(usize),
    /// Its own row and those before; the first query of the block is this row.
    UpTo(usize),
}

impl Visible {
    /// How many keys query `row` of the block sees, counted from the first.
    fn of(self, row: usize) -> usize {
        match self {
            Self::First(keys) => keys,
            Self::UpTo(first) => first + row + 1,
        }
    }
}

/// Rows of `width` values as columns.
fn transposed(rows: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| rows.iter().skip(column).step_by(width).copied()).collect()
}

fn strided(data: &[f32], rows: usize, cols: usize, stride: usize) -> NdTensorView<'_, f32, 2> {
    let used = &data[..(rows - 1) * stride + cols];
    NdTensorView::from_data_with_strides([rows, cols], used, [stride, 1])
        .expect("the slice ends with the last row")
}
