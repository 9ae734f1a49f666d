//! Attention over rows of queries, keys and values, in blocks: no length x length matrix.
//!
//! Grouped heads (arXiv 2305.13245): `heads / kv_heads` query heads share a key head, so their queries are
//! stacked and multiplied with it together. Softmax runs over blocks of keys with a running maximum and sum
//! (arXiv 2205.14135).

use rten_gemm::GemmInputB;
use rten_tensor::NdTensorView;

use super::kernels::Softmax;
use super::linear::{Keep, Math, multiply};

/// Queries that are handled together.
const QUERY_BLOCK: usize = 64;
/// Keys that are handled together.
const KEY_BLOCK: usize = 512;

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

/// Buffers that are reused between calls.
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
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
    /// Attends from rows `rows` of `own` (rows of [`Heads::row`] values: queries, keys, values) to all of
    /// `past` and to the rows of `own` that are in sight. `out` gets a row of all query heads for each.
    pub(crate) fn run(
        &self,
        own: &[f32],
        rows: std::ops::Range<usize>,
        past: Option<KeyValues>,
        out: &mut [f32],
        scratch: &mut AttentionScratch,
    ) {
        let width = self.heads.queries * self.heads.width;
        let mut start = rows.start;
        for out in out.chunks_mut(QUERY_BLOCK * width) {
            let block = start..start + out.len() / width;
            start = block.end;
            for head in 0..self.heads.keys {
                self.gather_queries(own, block.clone(), head, scratch);
                if let Some(past) = past {
                    self.attend(past, head, Visible::All, scratch);
                }
                let (end, visible) = match self.sight {
                    Sight::Backwards => (block.end, Visible::UpTo(block.start)),
                    Sight::Everything => (own.len() / self.heads.row(), Visible::All),
                };
                self.attend(self.own_keys(own, end), head, visible, scratch);
                self.scatter_outputs(head, out, scratch);
            }
        }
    }

    fn own_keys<'r>(&self, own: &'r [f32], end: usize) -> KeyValues<'r> {
        let Heads { queries, keys, width } = self.heads;
        let stride = self.heads.row();
        KeyValues {
            rows: &own[..end * stride],
            stride,
            keys_at: queries * width,
            values_at: (queries + keys) * width,
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

    fn attend(&self, kv: KeyValues, head: usize, visible: Visible, s: &mut AttentionScratch) {
        let width = self.heads.width;
        let stacked = s.states.len();
        let rows = stacked / self.heads.group();
        for start in (0..kv.len()).step_by(KEY_BLOCK) {
            let n = KEY_BLOCK.min(kv.len() - start);
            let at = start * kv.stride + head * width;
            let keys = strided(&kv.rows[at + kv.keys_at..], n, width, kv.stride);
            let values = strided(&kv.rows[at + kv.values_at..], n, width, kv.stride);
            s.scores.resize(stacked * n, 0.0);
            let queries = NdTensorView::from_data([stacked, width], &s.queries[..]);
            let keys = GemmInputB::Unpacked(keys.transposed());
            multiply(self.math.gemm, queries, keys, &mut s.scores, Keep::Nothing);
            for (i, ((scores, output), state)) in
                s.scores.chunks_mut(n).zip(s.outputs.chunks_mut(width)).zip(&mut s.states).enumerate()
            {
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
            let weights = NdTensorView::from_data([stacked, n], &s.scores[..]);
            multiply(self.math.gemm, weights, GemmInputB::Unpacked(values), &mut s.outputs, Keep::Sum);
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
    All,
    /// Its own row and those before; the first query of the block is this row.
    UpTo(usize),
}

impl Visible {
    /// How many keys query `row` of the block sees, counted from the first.
    fn of(self, row: usize) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::UpTo(first) => first + row + 1,
        }
    }
}

fn strided(data: &[f32], rows: usize, cols: usize, stride: usize) -> NdTensorView<'_, f32, 2> {
    let used = &data[..(rows - 1) * stride + cols];
    NdTensorView::from_data_with_strides([rows, cols], used, [stride, 1])
        .expect("the slice ends with the last row")
}
