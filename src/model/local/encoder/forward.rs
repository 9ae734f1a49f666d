//! The forward pass of encoders: BERT (arXiv 1810.04805), `RoBERTa` (arXiv 1907.11692), `ModernBERT`
//! (arXiv 2412.13663), `DeBERTa` (arXiv 2006.03654) and `NomicBERT` (arXiv 2402.01613).
//!
//! Sequences are cut into groups, and a group goes through all layers on one thread while its activations stay
//! in that core's cache: rows of different sequences meet in attention alone, where each sequence looks at
//! itself. So there is no padding, whatever the lengths, and threads never wait for each other.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::config::{EncoderConfig, Sight};
use super::family::{FeedForward, Norms};
use super::q4_0::QuantizedRows;
use super::relative::{Distances, PositionTables, RelativeBias, RelativeScratch};
use crate::model::local::attention::{Attention, AttentionMask, AttentionScratch, PackedKeyValues};
use crate::model::local::linear::{Accumulate, Backend, Inputs, Linear};
use crate::model::{Cancel, Precision, Stopped};

/// Rows that a group aims at.
const GROUP_ROWS: usize = 256;

/// The tokens of a sequence: 1 to [`EncoderConfig::positions`] of the vocabulary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence<'a> {
    pub(crate) ids: &'a [u32],
    /// The place of the first token of the second segment; behind the last one where there is none.
    pub(crate) second: usize,
}

impl<'a> Sequence<'a> {
    /// A sequence of one segment.
    pub(crate) fn of(ids: &'a [u32]) -> Self {
        Self { ids, second: ids.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
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
    pub(crate) sight: Sight,
    /// Queries, keys and values in one product.
    pub(crate) qkv: Projection,
    /// There where attention looks at distances.
    pub(crate) tables: Option<PositionTables>,
    pub(crate) attention_out: Projection,
    /// The norm of what attention gives, or reads; the first layer of `ModernBERT` has none.
    pub(crate) attention_norm: Option<Norm>,
    /// Of a gated network, what is activated and then the gates.
    pub(crate) up: Projection,
    pub(crate) down: Projection,
    /// The norm of what the feed-forward network gives, or reads.
    pub(crate) output_norm: Norm,
}

/// A convolution beside the first layer: what it gives of the embeddings is added to what the layer gives, and normed.
pub(crate) struct Convolution {
    /// The rows that are read together, the one in their middle and as many on either side.
    pub(crate) taps: usize,
    pub(crate) projection: Projection,
    pub(crate) norm: Norm,
}

/// Cosines and sines of each position, in rows of half a head's width.
pub(crate) struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    /// The rotations of a head of `2 * half` values by frequencies of this base.
    pub(crate) fn new(base: f64, half: usize, positions: usize) -> Self {
        let frequencies: Vec<f32> = (0..half).map(|i| base.powf(-(i as f64) / half as f64) as f32).collect();
        let angles = (0..positions).flat_map(|at| frequencies.iter().map(move |f| at as f32 * f));
        let (sin, cos) = angles.map(f32::sin_cos).unzip();
        Self { cos, sin }
    }
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
    pub(crate) fn append(&self, id: u32, width: usize, out: &mut Vec<f32>) {
        match self {
            Self::Floats(rows) => out.extend_from_slice(&rows[id as usize * width..][..width]),
            Self::Quantized(rows) => rows.append(id as usize, out),
        }
    }
}

/// A model ready to run.
pub(crate) struct Encoder {
    pub(crate) config: EncoderConfig,
    pub(crate) words: TokenRows,
    /// One row a position, to which that of the first segment is added; none where positions have no rows.
    pub(crate) positions: Vec<f32>,
    /// The row of the first segment where positions have no rows; empty where there are no segments.
    pub(crate) first_segment: Vec<f32>,
    /// The row of the second segment without that of the first; empty where a model knows only one.
    pub(crate) second_segment: Vec<f32>,
    pub(crate) embedding_norm: Norm,
    /// The rotations of layers that see everything, and of the others.
    pub(crate) rotations: Option<[Rotation; 2]>,
    /// There where attention looks at distances.
    pub(crate) distances: Option<Distances>,
    pub(crate) convolution: Option<Convolution>,
    pub(crate) layers: Vec<Layer>,
    /// The norm behind the last layer.
    pub(crate) final_norm: Option<Norm>,
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
    relative: RelativeScratch,
    /// The outputs of the convolution.
    convolved: Vec<f32>,
}

impl Encoder {
    /// What `take` makes of the rows of each sequence, one a token, as the last layer left them: see
    /// [`Encoder::finish`].
    ///
    /// # Errors
    /// When `cancel` says so.
    pub(crate) fn read<R: Send>(
        &self,
        sequences: &[Sequence],
        cancel: &Cancel,
        take: impl Fn(&mut [f32]) -> R + Sync,
    ) -> Result<Vec<R>, Stopped> {
        let run = |group: &[Sequence]| {
            cancel.check()?;
            Ok(self.with_scratch(|scratch| {
                self.run_group(group, scratch);
                let mut rest = scratch.x.as_mut_slice();
                let mut taken = Vec::with_capacity(group.len());
                for sequence in group {
                    let (own, others) = rest.split_at_mut(sequence.len() * self.config.width);
                    taken.push(take(own));
                    rest = others;
                }
                taken
            }))
        };
        let rows: usize = sequences.iter().map(Sequence::len).sum();
        // Threads that would have no work get a smaller share.
        let groups = groups(sequences, rows.div_ceil(rayon::current_num_threads()).min(GROUP_ROWS));
        // Each group is given out by itself: threads that take several at once may leave another without work at the end.
        let taken: Vec<_> =
            groups.into_par_iter().with_max_len(1).map(run).collect::<Result<_, Stopped>>()?;
        Ok(taken.into_iter().flatten().collect())
    }

    /// Norms rows that the last layer left, where the architecture has a norm behind it.
    pub(crate) fn finish(&self, rows: &mut [f32]) {
        if let Some(norm) = &self.final_norm {
            self.norm(norm, rows);
        }
    }

    /// The sum of some rows.
    pub(crate) fn sum(&self, rows: &[f32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.config.width];
        rows.chunks(self.config.width).for_each(|row| self.backend.isa.add(&mut sum, row));
        sum
    }

    fn run_group(&self, sequences: &[Sequence], s: &mut Scratch) {
        self.embed(sequences, &mut s.x);
        for (i, layer) in self.layers.iter().enumerate() {
            let convolution = self.convolution.as_ref().filter(|_| i == 0);
            if let Some(convolution) = convolution {
                self.convolve(convolution, sequences, s);
            }
            self.attend(layer, sequences, s);
            self.feed_forward(layer, s);
            if let Some(convolution) = convolution {
                self.backend.isa.add(&mut s.x, &s.convolved);
                self.norm(&convolution.norm, &mut s.x);
            }
        }
    }

    /// `convolved = gelu(x * W + b)`, where a row of `x` is read with its neighbours.
    fn convolve(&self, by: &Convolution, sequences: &[Sequence], s: &mut Scratch) {
        let (width, reach) = (self.config.width, by.taps / 2);
        s.convolved.resize(s.x.len(), 0.0);
        let mut start = 0;
        for sequence in sequences {
            let end = start + sequence.len();
            let own = &s.x[start * width..end * width];
            let write = |i: usize, out: &mut [f32]| {
                for (tap, out) in out.chunks_mut(width).enumerate() {
                    match (i + tap).checked_sub(reach).filter(|&at| at < sequence.len()) {
                        Some(at) => out.copy_from_slice(row(own, width, at)),
                        None => out.fill(0.0),
                    }
                }
            };
            let Projection { linear, bias } = &by.projection;
            linear.take(self.backend, sequence.len(), &mut s.inputs, write);
            let out = &mut s.convolved[start * width..end * width];
            linear.apply(self.backend, &s.inputs, out, Accumulate::Overwrite);
            out.chunks_mut(width).for_each(|row| self.backend.isa.gelu(row, bias));
            start = end;
        }
    }

    fn embed(&self, sequences: &[Sequence], x: &mut Vec<f32>) {
        let width = self.config.width;
        x.clear();
        for Sequence { ids, second } in sequences {
            for (i, &id) in ids.iter().enumerate() {
                let start = x.len();
                self.words.append(id, width, x);
                let own = &mut x[start..];
                if !self.positions.is_empty() {
                    self.backend.isa.add(own, row(&self.positions, width, i));
                } else if !self.first_segment.is_empty() {
                    self.backend.isa.add(own, &self.first_segment);
                }
                if i >= *second && !self.second_segment.is_empty() {
                    self.backend.isa.add(own, &self.second_segment);
                }
            }
        }
        self.norm(&self.embedding_norm, x);
    }

    /// `x = norm(x + attention(x) * W + b)`, or `x += attention(norm(x)) * W + b`.
    fn attend(&self, layer: &Layer, sequences: &[Sequence], s: &mut Scratch) {
        let (heads, width) = (self.config.heads, self.config.width);
        let rows = s.x.len() / width;
        s.wide.resize(rows * heads.row(), 0.0);
        let (first, last) = self.norms(layer.attention_norm.as_ref());
        let write = |i: usize, out: &mut [f32]| self.copy(row(&s.x, width, i), first, out);
        layer.qkv.linear.take(self.backend, rows, &mut s.inputs, write);
        layer.qkv.linear.apply(self.backend, &s.inputs, &mut s.wide, Accumulate::Overwrite);
        s.wide.chunks_mut(heads.row()).for_each(|row| self.backend.isa.add(row, &layer.qkv.bias));
        s.attended.resize(s.x.len(), 0.0);
        let mask = match layer.sight {
            Sight::Whole => AttentionMask::Full,
            Sight::Near(distance) => AttentionMask::Near(distance),
        };
        let attention = Attention { backend: self.backend, heads, mask, cap: None, slopes: &[], sinks: &[] };
        let mut start = 0;
        for sequence in sequences {
            let end = start + sequence.len();
            let own = &mut s.wide[start * heads.row()..end * heads.row()];
            self.rotate(layer.sight, own);
            let out = &mut s.attended[start * width..end * width];
            let packed = PackedKeyValues::new(Precision::F32, self.backend, heads, &[], own);
            if let Some((distances, tables)) = self.distances.as_ref().zip(layer.tables.as_ref()) {
                let rows = distances.range(sequence.len());
                let scratch = &mut s.relative;
                let mut bias =
                    RelativeBias { backend: self.backend, heads, distances, tables, scratch, rows };
                attention.run_biased(own, &packed, &mut bias, out, &mut s.attention);
            } else {
                attention.run(own, 0..end - start, &packed, out, &mut s.attention);
            }
            start = end;
        }
        let write = |i: usize, out: &mut [f32]| out.copy_from_slice(row(&s.attended, width, i));
        layer.attention_out.linear.take(self.backend, rows, &mut s.inputs, write);
        self.add_product(&layer.attention_out, &s.inputs, &mut s.x);
        if let Some(norm) = last {
            self.norm(norm, &mut s.x);
        }
    }

    /// Rotates the queries and keys of a sequence, where positions are rotations.
    fn rotate(&self, sight: Sight, qkv: &mut [f32]) {
        let Some([whole, near]) = &self.rotations else { return };
        let rotation = if sight == Sight::Whole { whole } else { near };
        let (heads, half) = (self.config.heads, self.config.heads.width / 2);
        for (i, row) in qkv.chunks_mut(heads.row()).enumerate() {
            let place = i * half..(i + 1) * half;
            for head in row[..(heads.queries + heads.keys) * heads.width].chunks_mut(heads.width) {
                self.backend.isa.rotate(head, &rotation.cos[place.clone()], &rotation.sin[place.clone()]);
            }
        }
    }

    /// `x = norm(x + gelu(x * U + a) * D + b)`, or `x += (gelu(norm(x) * U) * (norm(x) * G)) * D` with biases, or the like
    /// with another activation.
    fn feed_forward(&self, layer: &Layer, s: &mut Scratch) {
        let (width, hidden) = (self.config.width, self.config.hidden);
        let rows = s.x.len() / width;
        let inside = layer.up.bias.len();
        s.wide.resize(rows * inside, 0.0);
        let (first, last) = self.norms(Some(&layer.output_norm));
        let write = |i: usize, out: &mut [f32]| self.copy(row(&s.x, width, i), first, out);
        layer.up.linear.take(self.backend, rows, &mut s.inputs, write);
        layer.up.linear.apply(self.backend, &s.inputs, &mut s.wide, Accumulate::Overwrite);
        let isa = self.backend.isa;
        let is_swiglu = self.config.family.feed_forward == FeedForward::Swiglu;
        if is_swiglu && self.config.biases.feed_forward {
            s.wide.chunks_mut(inside).for_each(|row| isa.add(row, &layer.up.bias));
        }
        let activate = |i: usize, out: &mut [f32]| {
            let (own, gates) = row(&s.wide, inside, i).split_at(hidden);
            if is_swiglu {
                return isa.silu_mul(own, gates, out);
            }
            out.copy_from_slice(own);
            isa.gelu(out, &layer.up.bias[..hidden]);
            for (value, (gate, bias)) in out.iter_mut().zip(gates.iter().zip(&layer.up.bias[hidden..])) {
                *value *= gate + bias;
            }
        };
        layer.down.linear.take(self.backend, rows, &mut s.inputs, activate);
        self.add_product(&layer.down, &s.inputs, &mut s.x);
        if let Some(norm) = last {
            self.norm(norm, &mut s.x);
        }
    }

    /// The norm before a part of a layer, and the one behind it: the architecture has one of them.
    fn norms<'a>(&self, norm: Option<&'a Norm>) -> (Option<&'a Norm>, Option<&'a Norm>) {
        if self.config.family.norms == Norms::Before { (norm, None) } else { (None, norm) }
    }

    fn copy(&self, row: &[f32], norm: Option<&Norm>, out: &mut [f32]) {
        out.copy_from_slice(row);
        if let Some(norm) = norm {
            self.norm(norm, out);
        }
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
pub(crate) fn groups<'a, 'b>(sequences: &'a [Sequence<'b>], most: usize) -> Vec<&'a [Sequence<'b>]> {
    let (mut groups, mut start, mut filled) = (Vec::new(), 0, 0);
    for (i, sequence) in sequences.iter().enumerate() {
        if i > start && filled + sequence.len() > most {
            groups.push(&sequences[start..i]);
            (start, filled) = (i, 0);
        }
        filled += sequence.len();
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
            let sequences: Vec<_> = lengths.iter().map(|&n: &usize| Sequence::of(&long[..n])).collect();
            let groups = groups(&sequences, most);
            let of_groups: Vec<usize> = groups.concat().iter().map(Sequence::len).collect();
            assert_eq!(of_groups, lengths);
            for group in groups {
                let rows: usize = group.iter().map(Sequence::len).sum();
                assert!(group.len() == 1 || rows <= most, "{lengths:?}");
            }
        }
        assert_eq!(groups(&[Sequence::of(&long[..5]); 4], 10).len(), 2);
    }
}
