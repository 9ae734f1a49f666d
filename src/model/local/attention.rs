//! Attention over rows of queries, keys and values, in blocks: no length x length matrix.
//!
//! Grouped heads (arXiv 2305.13245): `heads / kv_heads` query heads share a key head, so their queries are
//! stacked and multiplied with it together. Softmax runs over blocks of keys with a running maximum and sum
//! (arXiv 2205.14135). Keys and values of a sequence, and of what came before it, are packed once for all query blocks,
//! in the arithmetic of the weights. In 8-bit integers queries and keys share a scale over [`GROUP`] of a head's width,
//! each position's value has one of its own, and the softmax's weights are multiplied with that before they are
//! quantised, [`GROUP`] positions together. So a token's outcome depends on nothing but the tokens before it, bit for
//! bit: it is the same alone, before another text, and behind a prefix that others share.
//!
//! # Choice of the blocks
//! Milliseconds of [`Attention::run`] for one layer over one text of 2,048 tokens in int8 on one thread, medians of
//! three runs in turns:
//!
//! | queries | positions | |
//! |---|---|---|
//! | 32 | 256 | 23.4 |
//! | 48 | 512 | 23.1 |
//! | 64 | 128 | 24.6 |
//! | 64 | 256 | 23.7 |
//! | 128 | 256 | 24.2 |
//! | 128 | 512 | 23.5 |
//!
//! With softmax and quantisation in passes of their own, and blocks always multiplied whole, it takes 1.3 times as long
//! (43.1 against 32.8, in turns, the machine being busier than above).

use rayon::prelude::*;

use super::int8::{GROUP, Int8Matrix, QuantRows, Quantised};
use super::linear::{Accumulate, Backend, FloatMatrix};
use crate::kernels::Softmax;
use crate::model::Precision;

/// Queries that are handled together.
const QUERY_BLOCK: usize = 64;
/// Positions that are packed together.
const PACKED_BLOCK: usize = 256;

/// The score of a position that lies before the window: finite, since a row may see nothing else of a block, and so low
/// that its weight becomes zero with the first score of a position in sight. A power of two, whose products with the
/// logarithm of a base are exact: a row of these alone differs from its maximum by nothing, in fused arithmetic too.
const HIDDEN: f32 = -65_536.0;

/// Sizes of the attention heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Width of a row that holds all keys, then all values.
    pub(crate) fn keys_and_values(self) -> usize {
        2 * self.keys * self.width
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

    /// The arithmetic of attention where products with weights have `precision`: 8-bit products take whole groups.
    pub(crate) fn precision(self, precision: Precision) -> Precision {
        if self.width.is_multiple_of(GROUP) { precision } else { Precision::F32 }
    }

    /// Query heads that share a key head.
    fn group(self) -> usize {
        self.queries / self.keys
    }
}

/// Keys and values of a sequence and of what came before it, packed for products with queries: each query block uses
/// them again.
pub(crate) struct PackedKeyValues {
    /// The blocks, ordered by key head and then by position.
    blocks: Vec<PackedBlock>,
    /// Blocks of a head.
    of_head: usize,
    /// Positions of a block; those of the last one that there are none for hold zeros.
    positions: usize,
    /// Positions before the sequence's own.
    past: usize,
}

/// Keys are head width x positions, values positions x head width.
enum PackedBlock {
    Floats {
        keys: FloatMatrix,
        values: FloatMatrix,
    },
    Integers {
        keys: Int8Matrix,
        values: Int8Matrix,
        /// The scales of the values, one for each position.
        value_scales: Vec<f32>,
    },
}

impl PackedKeyValues {
    /// Packs `past` rows of [`Heads::keys_and_values`] values each and the rows of a sequence ([`Heads::row`] values
    /// each: queries, keys, values; at least one row) in parallel.
    pub(crate) fn new(
        precision: Precision,
        backend: Backend,
        heads: Heads,
        past: &[f32],
        own: &[f32],
    ) -> Self {
        let own = own.chunks_exact(heads.row()).map(|row| &row[heads.queries * heads.width..]);
        let rows: Vec<&[f32]> = past.chunks_exact(heads.keys_and_values()).chain(own).collect();
        let precision = heads.precision(precision);
        let whole = if precision == Precision::Int8 { GROUP } else { 1 };
        let positions = PACKED_BLOCK.min(rows.len().next_multiple_of(whole));
        let of_head = rows.len().div_ceil(positions);
        let pack = |i: usize| {
            let (head, first) = (i / of_head, i % of_head * positions);
            let rows = &rows[first..rows.len().min(first + positions)];
            let keys = heads.gathered(rows, head * heads.width, positions);
            let values = heads.gathered(rows, (heads.keys + head) * heads.width, positions);
            PackedBlock::new(precision, backend, heads.width, &keys, &values)
        };
        let past = past.len() / heads.keys_and_values();
        Self {
            blocks: (0..heads.keys * of_head).into_par_iter().map(pack).collect(),
            of_head,
            positions,
            past,
        }
    }

    /// The blocks of a head that hold its first `end` positions.
    fn of(&self, head: usize, end: usize) -> &[PackedBlock] {
        &self.blocks[head * self.of_head..][..end.div_ceil(self.positions)]
    }
}

impl PackedBlock {
    /// Packs the keys and values of one head, `width` of each per position.
    fn new(precision: Precision, backend: Backend, width: usize, keys: &[f32], values: &[f32]) -> Self {
        match precision {
            Precision::F32 => Self::Floats {
                keys: FloatMatrix::pack(backend, keys, width),
                values: FloatMatrix::pack_transposed(backend, values, width),
            },
            Precision::Int8 => {
                let keys = Int8Matrix::pack(&QuantRows::from_floats(backend.isa, keys, width));
                let (values, value_scales) = Int8Matrix::pack_transposed(backend.isa, values, width);
                Self::Integers { keys, values, value_scales }
            }
        }
    }
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
pub(crate) struct Attention<'a> {
    /// Products and row-wise kernels.
    pub(crate) backend: Backend,
    /// Head sizes.
    pub(crate) heads: Heads,
    /// The mask over the sequence's own rows.
    pub(crate) mask: AttentionMask,
    /// The bound of a query's product with a key, where there is one: `cap * tanh(product / cap)`.
    pub(crate) cap: Option<f32>,
    /// The slopes by which scores fall with the distance, one for each query head; empty where they do not.
    pub(crate) slopes: &'a [f32],
    /// Scores that compete with those of all positions and give nothing, one for each query head; empty where there are
    /// none.
    pub(crate) sinks: &'a [f32],
}

/// The mask over a sequence's own rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttentionMask {
    /// Itself and the rows before it: a language model.
    Causal,
    /// Itself and the rows before it, so many in all.
    Window(usize),
    /// Every row: an encoder.
    Full,
    /// The rows at most so far before or behind itself.
    Near(usize),
}

/// An addition to the score of a query and a key by their places, in each head by itself.
pub(crate) trait ScoreBias {
    /// Gets ready for a head of the sequence `own`, in rows as [`Attention::run_biased`] has them.
    fn prepare(&mut self, head: usize, own: &[f32]);

    /// Adds to the scores of a query with the keys from `first` on.
    fn add(&self, query: usize, first: usize, scores: &mut [f32]);
}

/// Queries that are handled together.
struct QueryBlock {
    rows: std::ops::Range<usize>,
    visible: Visible,
    /// The number of keys, counted from the first, that any of them sees.
    end: usize,
}

impl Attention<'_> {
    /// Attends from rows `rows` of `own` (rows of [`Heads::row`] values: queries, keys, values) to what came
    /// before and to the rows of `own` that are in sight. `out` gets a row of all query heads for each.
    pub(crate) fn run(
        &self,
        own: &[f32],
        rows: std::ops::Range<usize>,
        keys: &PackedKeyValues,
        out: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let width = self.heads.queries * self.heads.width;
        let mut start = rows.start;
        for out in out.chunks_mut(QUERY_BLOCK * width) {
            let block = self.block(own, start..start + out.len() / width, keys);
            start = block.rows.end;
            for head in 0..self.heads.keys {
                self.run_head(own, (&block, head), keys, None, scratch);
                self.scatter_outputs(head, out, scratch);
            }
        }
    }

    /// Attends like [`Attention::run`] from all rows of a sequence that nothing came before, with as many key heads as
    /// query heads, and adds `bias` to the scores.
    pub(crate) fn run_biased(
        &self,
        own: &[f32],
        keys: &PackedKeyValues,
        bias: &mut impl ScoreBias,
        out: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let width = self.heads.queries * self.heads.width;
        for head in 0..self.heads.keys {
            bias.prepare(head, own);
            for (i, out) in out.chunks_mut(QUERY_BLOCK * width).enumerate() {
                let start = i * QUERY_BLOCK;
                let block = self.block(own, start..start + out.len() / width, keys);
                self.run_head(own, (&block, head), keys, Some(&*bias), scratch);
                self.scatter_outputs(head, out, scratch);
            }
        }
    }

    fn block(&self, own: &[f32], rows: std::ops::Range<usize>, keys: &PackedKeyValues) -> QueryBlock {
        let length = keys.past + own.len() / self.heads.row();
        let (visible, end) = match self.mask {
            AttentionMask::Causal | AttentionMask::Window(_) => {
                (Visible::UpTo(keys.past + rows.start), keys.past + rows.end)
            }
            AttentionMask::Full => (Visible::First(length), length),
            AttentionMask::Near(distance) => {
                let (first, end) = (keys.past + rows.start, length.min(keys.past + rows.end + distance));
                (Visible::Near { first, distance, keys: length }, end)
            }
        };
        QueryBlock { rows, visible, end }
    }

    /// Has `s` hold what a block of queries gets from a key head.
    fn run_head(
        &self,
        own: &[f32],
        (block, head): (&QueryBlock, usize),
        keys: &PackedKeyValues,
        bias: Option<&dyn ScoreBias>,
        s: &mut AttentionScratch,
    ) {
        self.gather_queries(own, block.rows.clone(), head, s);
        let bias = bias.map(|bias| (bias, block.rows.start));
        for (i, packed) in keys.of(head, block.end).iter().enumerate() {
            let start = i * keys.positions;
            let used = keys.positions.min(block.end - start);
            let head = head * self.heads.group();
            self.attend(packed, Span { head, start, used, visible: block.visible, bias }, s);
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
        self.backend.isa.scale(&mut s.queries, factor);
        s.outputs.clear();
        s.outputs.resize(s.queries.len(), 0.0);
        s.states.clear();
        for query in head * group..(head + 1) * group {
            let empty = self.sinks.get(query).map_or(Softmax::EMPTY, |&sink| Softmax::of(sink));
            s.states.extend(std::iter::repeat_n(empty, rows.len()));
        }
    }

    /// Adds what the stacked queries see of a block.
    fn attend(&self, block: &PackedBlock, span: Span<'_>, s: &mut AttentionScratch) {
        let (stacked, isa) = (s.states.len(), self.backend.isa);
        match block {
            PackedBlock::Floats { keys, values } => {
                let scores = room(&mut s.scores, stacked * keys.outputs());
                keys.apply(self.backend, &s.queries, scores, Accumulate::Overwrite);
                self.weigh(span, keys.outputs(), s, |_, _, scores, seen, state| {
                    scores[seen..].fill(0.0);
                    isa.softmax_step(&mut scores[..seen], state)
                });
                let weights = &s.scores[..stacked * keys.outputs()];
                values.apply(self.backend, weights, &mut s.outputs, Accumulate::Add);
            }
            PackedBlock::Integers { keys, values, value_scales } => {
                if span.start == 0 {
                    s.quantised_queries.fill(isa, &s.queries);
                }
                let columns = span.used.next_multiple_of(GROUP);
                let scores = room(&mut s.scores, stacked * columns);
                let shape = (self.heads.width, columns);
                keys.apply_first(shape, isa, &s.quantised_queries, scores, false);
                s.quantised_weights.make_room(stacked, columns);
                self.weigh(span, columns, s, |weights, row, scores, seen, state| {
                    weights.weigh(isa, row, (scores, seen), &value_scales[..columns], state)
                });
                let shape = (columns, self.heads.width);
                values.apply_first(shape, isa, &s.quantised_weights, &mut s.outputs, true);
            }
        }
    }

    /// Has `step` turn the scores of each row, of which it sees so many, into weights, and corrects what was summed
    /// with the weights of earlier ones.
    fn weigh(
        &self,
        span: Span<'_>,
        columns: usize,
        s: &mut AttentionScratch,
        step: impl Fn(&mut Quantised, usize, &mut [f32], usize, &mut Softmax) -> f32,
    ) {
        let stacked = s.states.len();
        let rows = stacked / self.heads.group();
        let outputs = s.outputs.chunks_mut(self.heads.width).zip(&mut s.states);
        for (i, (scores, (output, state))) in s.scores.chunks_mut(columns).zip(outputs).enumerate() {
            let end = span.visible.of(i % rows);
            let seen = end.saturating_sub(span.start).min(span.used);
            if let Some(cap) = self.cap {
                self.backend.isa.soft_cap(&mut scores[..seen], cap);
            }
            if let Some(slope) = self.slopes.get(span.head + i / rows) {
                fall(&mut scores[..seen], *slope, (end - 1).saturating_sub(span.start));
            }
            if let Some((bias, first)) = span.bias {
                bias.add(first + i % rows, span.start, &mut scores[..seen]);
            }
            let before = match self.mask {
                AttentionMask::Window(window) => end.saturating_sub(window),
                _ => span.visible.before(i % rows),
            };
            scores[..before.saturating_sub(span.start).min(seen)].fill(HIDDEN);
            let correction = step(&mut s.quantised_weights, i, scores, seen, state);
            if span.start > 0 && correction < 1.0 {
                self.backend.isa.scale(output, correction);
            }
        }
    }

    fn scatter_outputs(&self, head: usize, out: &mut [f32], s: &mut AttentionScratch) {
        let Heads { queries, width, .. } = self.heads;
        let group = self.heads.group();
        let rows = s.states.len() / group;
        for (i, (output, state)) in s.outputs.chunks_mut(width).zip(&s.states).enumerate() {
            self.backend.isa.scale(output, state.inverse_sum());
            let at = (i % rows) * queries * width + (head * group + i / rows) * width;
            out[at..at + width].copy_from_slice(output);
        }
    }
}

/// Lessens scores by their distance times a slope; the first is so many positions away, and each other one less.
pub(crate) fn fall(scores: &mut [f32], slope: f32, first: usize) {
    for (i, score) in scores.iter_mut().enumerate() {
        *score -= slope * (first - i) as f32;
    }
}

/// The first `n` values of a buffer that only grows.
fn room(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

/// Positions of a block on their way through attention.
#[derive(Clone, Copy)]
struct Span<'a> {
    /// The first of the query heads.
    head: usize,
    /// The first.
    start: usize,
    /// The number of positions that any query sees.
    used: usize,
    visible: Visible,
    /// The addition to scores, and the place of the first query.
    bias: Option<(&'a dyn ScoreBias, usize)>,
}

/// Keys that a query may see.
#[derive(Debug, Clone, Copy)]
enum Visible {
    /// The given number of keys, counted from the first.
    First(usize),
    /// A causal mask: each query sees its own row and the rows before it; the first query of the block is this row.
    UpTo(usize),
    /// Each query sees the rows at most `distance` from its own, of so many `keys`; the first query of the block is row
    /// `first`.
    Near { first: usize, distance: usize, keys: usize },
}

impl Visible {
    /// Returns the number of keys, counted from the first, that query `row` of the block sees.
    fn of(self, row: usize) -> usize {
        match self {
            Self::First(keys) => keys,
            Self::UpTo(first) => first + row + 1,
            Self::Near { first, distance, keys } => (first + row + distance + 1).min(keys),
        }
    }

    /// Returns the number of keys, counted from the first, that stand too far before query `row` of the block.
    fn before(self, row: usize) -> usize {
        match self {
            Self::First(_) | Self::UpTo(_) => 0,
            Self::Near { first, distance, .. } => (first + row).saturating_sub(distance),
        }
    }
}
