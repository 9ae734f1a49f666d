//! The forward pass of BERT (arXiv 1810.04805), for embeddings.
//!
//! Sequences are cut into groups, and a group goes through all layers on one thread while its activations stay
//! in that core's cache: rows of different sequences meet in attention alone, where each sequence looks at
//! itself. So there is no padding, whatever the lengths, and threads never wait for each other.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::q4_0::QuantizedRows;
use crate::model::local::attention::{Attention, AttentionMask, AttentionScratch, Heads, PackedKeyValues};
use crate::model::local::linear::{Accumulate, Backend, Inputs, Linear};
use crate::model::{Cancel, Precision, Stopped};

/// Rows that a group aims at.
const GROUP_ROWS: usize = 256;

/// Sizes and constants of a model.
#[derive(Debug, Clone)]
pub(crate) struct BertConfig {
    /// Width of the residual stream, and of an embedding.
    pub(crate) width: usize,
    /// Width inside the feed-forward network.
    pub(crate) hidden: usize,
    /// Attention heads.
    pub(crate) heads: Heads,
    /// Layers.
    pub(crate) layers: usize,
    /// Words in the vocabulary.
    pub(crate) vocabulary: usize,
    /// Most positions of a sequence.
    pub(crate) positions: usize,
    /// Added to the variance in norms.
    pub(crate) norm_eps: f32,
}

/// Weights of a layer norm.
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// `x * W + b`.
pub(crate) struct Projection {
    pub(crate) linear: Linear,
    pub(crate) bias: Vec<f32>,
}

/// The weights of one layer, in the order of their use.
pub(crate) struct Layer {
    /// Queries, keys and values in one product.
    pub(crate) qkv: Projection,
    pub(crate) attention_out: Projection,
    pub(crate) attention_norm: Norm,
    pub(crate) up: Projection,
    pub(crate) down: Projection,
    pub(crate) output_norm: Norm,
}

/// The embeddings of the vocabulary, one row a word.
pub(crate) enum TokenRows {
    /// 32-bit floats.
    Floats(Vec<f32>),
    /// Four bits a value.
    Quantized(QuantizedRows),
}

impl TokenRows {
    /// Appends the row of a word to `out`.
    pub(super) fn append(&self, id: u32, width: usize, out: &mut Vec<f32>) {
        match self {
            Self::Floats(rows) => out.extend_from_slice(&rows[id as usize * width..][..width]),
            Self::Quantized(rows) => rows.append(id as usize, out),
        }
    }
}

/// A model ready to run.
pub(crate) struct Bert {
    pub(crate) config: BertConfig,
    pub(crate) words: TokenRows,
    /// One row a position; the row of the first segment, the only one here, is added to each.
    pub(crate) positions: Vec<f32>,
    pub(crate) embedding_norm: Norm,
    pub(crate) layers: Vec<Layer>,
    pub(crate) backend: Backend,
    pub(crate) scratch: Mutex<Vec<Scratch>>,
}

/// Buffers of one group, reused between groups and calls.
#[derive(Default)]
pub(crate) struct Scratch {
    x: Vec<f32>,
    /// Queries, keys and values, then the inside of the feed-forward network.
    wide: Vec<f32>,
    attended: Vec<f32>,
    /// The rows that go into a product.
    inputs: Inputs,
    attention: AttentionScratch,
}

impl Bert {
    /// The sum of the vectors of all tokens of each sequence. Sequences have 1 to `positions` tokens of the
    /// vocabulary.
    ///
    /// # Errors
    /// When `cancel` says so.
    pub(crate) fn token_sums(&self, sequences: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>, Stopped> {
        let run = |group: &[&[u32]]| {
            cancel.check()?;
            Ok(self.with_scratch(|scratch| self.run_group(group, scratch)))
        };
        let rows: usize = sequences.iter().map(|ids| ids.len()).sum();
        // Threads that would have no work get a smaller share.
        let groups = groups(sequences, rows.div_ceil(rayon::current_num_threads()).min(GROUP_ROWS));
        let sums: Vec<_> = groups.into_par_iter().map(run).collect::<Result<_, Stopped>>()?;
        Ok(sums.into_iter().flatten().collect())
    }

    fn run_group(&self, sequences: &[&[u32]], s: &mut Scratch) -> Vec<Vec<f32>> {
        self.embed(sequences, &mut s.x);
        for layer in &self.layers {
            self.attend(layer, sequences, s);
            self.feed_forward(layer, s);
        }
        let mut rows = s.x.chunks(self.config.width);
        let sum = |sequence: &&[u32]| {
            let mut sum = vec![0.0; self.config.width];
            rows.by_ref().take(sequence.len()).for_each(|row| self.backend.isa.add(&mut sum, row));
            sum
        };
        sequences.iter().map(sum).collect()
    }

    fn embed(&self, sequences: &[&[u32]], x: &mut Vec<f32>) {
        let width = self.config.width;
        x.clear();
        for (&id, position) in sequences.iter().flat_map(|ids| ids.iter().zip(self.positions.chunks(width))) {
            let start = x.len();
            self.words.append(id, width, x);
            self.backend.isa.add(&mut x[start..], position);
        }
        self.norm(&self.embedding_norm, x);
    }

    /// `x = norm(x + attention(x) * W + b)`.
    fn attend(&self, layer: &Layer, sequences: &[&[u32]], s: &mut Scratch) {
        let heads = self.config.heads;
        let rows = s.x.len() / self.config.width;
        s.wide.resize(rows * heads.row(), 0.0);
        let width = self.config.width;
        let write = |i: usize, out: &mut [f32]| out.copy_from_slice(row(&s.x, width, i));
        layer.qkv.linear.take(self.backend, rows, &mut s.inputs, write);
        layer.qkv.linear.apply(self.backend, &s.inputs, &mut s.wide, Accumulate::Overwrite);
        s.wide.chunks_mut(heads.row()).for_each(|row| self.backend.isa.add(row, &layer.qkv.bias));
        s.attended.resize(s.x.len(), 0.0);
        let attention = Attention { backend: self.backend, heads, mask: AttentionMask::Full, cap: None };
        let mut start = 0;
        for end in sequences.iter().scan(0, |end, ids| {
            *end += ids.len();
            Some(*end)
        }) {
            let own = &s.wide[start * heads.row()..end * heads.row()];
            let out = &mut s.attended[start * self.config.width..end * self.config.width];
            let packed = PackedKeyValues::new(Precision::F32, self.backend, heads, &[], own);
            attention.run(own, 0..end - start, &packed, out, &mut s.attention);
            start = end;
        }
        let write = |i: usize, out: &mut [f32]| out.copy_from_slice(row(&s.attended, width, i));
        layer.attention_out.linear.take(self.backend, rows, &mut s.inputs, write);
        self.add_product(&layer.attention_out, &s.inputs, &mut s.x);
        self.norm(&layer.attention_norm, &mut s.x);
    }

    /// `x = norm(x + gelu(x * U + a) * D + b)`.
    fn feed_forward(&self, layer: &Layer, s: &mut Scratch) {
        let (width, hidden) = (self.config.width, self.config.hidden);
        let rows = s.x.len() / width;
        s.wide.resize(rows * hidden, 0.0);
        let write = |i: usize, out: &mut [f32]| out.copy_from_slice(row(&s.x, width, i));
        layer.up.linear.take(self.backend, rows, &mut s.inputs, write);
        layer.up.linear.apply(self.backend, &s.inputs, &mut s.wide, Accumulate::Overwrite);
        let activate = |i: usize, out: &mut [f32]| {
            out.copy_from_slice(row(&s.wide, hidden, i));
            self.backend.isa.gelu(out, &layer.up.bias);
        };
        layer.down.linear.take(self.backend, rows, &mut s.inputs, activate);
        self.add_product(&layer.down, &s.inputs, &mut s.x);
        self.norm(&layer.output_norm, &mut s.x);
    }

    /// `out += x * W + b`.
    fn add_product(&self, by: &Projection, x: &Inputs, out: &mut [f32]) {
        out.chunks_mut(by.bias.len()).for_each(|row| self.backend.isa.add(row, &by.bias));
        by.linear.apply(self.backend, x, out, Accumulate::Add);
    }

    fn norm(&self, norm: &Norm, x: &mut [f32]) {
        for row in x.chunks_mut(self.config.width) {
            self.backend.isa.layer_norm(row, &norm.weight, &norm.bias, self.config.norm_eps);
        }
    }

    /// Lends out buffers that no other group uses.
    fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        let result = work(&mut scratch);
        pool().push(scratch);
        result
    }
}

/// Row `i` of the rows of `width` values that lie in `values` one after the other.
fn row(values: &[f32], width: usize, i: usize) -> &[f32] {
    &values[i * width..][..width]
}

/// Consecutive sequences of up to `most` tokens together; a longer one is alone.
pub(super) fn groups<'a, 'b>(sequences: &'a [&'b [u32]], most: usize) -> Vec<&'a [&'b [u32]]> {
    let (mut groups, mut start, mut filled) = (Vec::new(), 0, 0);
    for (i, ids) in sequences.iter().enumerate() {
        if i > start && filled + ids.len() > most {
            groups.push(&sequences[start..i]);
            (start, filled) = (i, 0);
        }
        filled += ids.len();
    }
    if start < sequences.len() {
        groups.push(&sequences[start..]);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_the_sequences_in_order_and_stay_small() {
        let long = vec![0; 3 * GROUP_ROWS];
        for (lengths, most) in
            [(vec![], 2), (vec![5], 4), (vec![5, 5, 5, 5], 10), (vec![700, 2, 2, 255, 1, 300], GROUP_ROWS)]
        {
            let sequences: Vec<&[u32]> = lengths.iter().map(|&n: &usize| &long[..n]).collect();
            let groups = groups(&sequences, most);
            assert_eq!(groups.concat(), sequences);
            for group in groups {
                let rows: usize = group.iter().map(|ids| ids.len()).sum();
                assert!(group.len() == 1 || rows <= most, "{lengths:?}");
            }
        }
        assert_eq!(groups(&[&long[..5]; 4], 10).len(), 2);
    }
}
