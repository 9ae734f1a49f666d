//! One token at a time: the pass that writes an answer.
//!
//! A step has one row, so nothing is packed and no block is cut: each product reads all weights once and each head
//! all keys and values, which is what a step costs.

use rayon::prelude::*;

use super::layer::{Layer, Projection};
use super::{HEAD_COLUMNS, Llama, Scratch};
use crate::kernels::Softmax;
use crate::model::local::attention::{Heads, fall};
use crate::model::local::causal::KvCache;
use crate::model::local::linear::Accumulate;

/// Positions that all heads see before any sees the next: their keys and values stay in a core's cache meanwhile.
const POSITIONS: usize = 64;
/// Positions that one thread sees at a time.
const PART: usize = 256;

/// The outputs and running softmax of queries over some positions.
struct Seen {
    /// The outputs by query head, not yet divided by the sums of the weights.
    outputs: Vec<f32>,
    states: Vec<Softmax>,
}

impl Llama {
    /// See [`CausalModel::step`](crate::model::local::causal::CausalModel::step).
    pub(super) fn write_step(&self, id: u32, cache: &mut KvCache, logits: &mut Vec<f32>) {
        let mut x = Vec::with_capacity(self.config.width);
        self.embeddings.append(id, self.config.width, &mut x);
        self.scale_embeddings(&mut x);
        let mut qkv = vec![0.0; self.config.heads.row()];
        let position = cache.len();
        self.with_scratch(|scratch| {
            for layer in 0..self.layers.len() {
                self.project_step((layer, position), &x, &mut qkv, scratch);
                let own = &qkv[self.config.heads.queries * self.config.heads.width..];
                cache.append_rows(layer, std::iter::once(own));
                self.enter(&x, scratch);
                self.attend_step(layer, &mut qkv, cache, &mut scratch.attended);
                let Scratch { attended, inputs, given, normed, .. } = &mut *scratch;
                let Layer { heads_norm, attention_out, attention_out_norm, .. } = &self.layers[layer];
                attention_out.weights.take(self.backend, 1, inputs, |_, row| {
                    heads_norm.apply(self.backend.isa, attended, self.config.norm_eps, row);
                });
                self.add_given(attention_out_norm, &mut x, (given, normed), |out, accumulate| {
                    attention_out.apply_row(self.backend, inputs, out, accumulate);
                });
                self.feed_forward(layer, &mut x, scratch, Projection::apply_row);
            }
            self.logits(&x, logits, scratch);
        });
    }

    /// Queries, keys and values of the row, rotated to their position.
    fn project_step(
        &self,
        (layer, position): (usize, usize),
        x: &[f32],
        qkv: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let weights = &self.layers[layer];
        self.norm(x, &weights.attention_norm, &weights.qkv.weights, &mut scratch.inputs);
        weights.qkv.apply_row(self.backend, &scratch.inputs, qkv, Accumulate::Overwrite);
        self.finish_row(layer, position, qkv, &mut scratch.normed);
    }

    /// Attends from the row's queries, which `qkv` begins with, to all cached positions, and writes the result to
    /// `attended`.
    fn attend_step(&self, layer: usize, qkv: &mut [f32], cache: &KvCache, attended: &mut Vec<f32>) {
        let Heads { queries, width, .. } = self.config.heads;
        let queries = &mut qkv[..queries * width];
        self.backend.isa.scale(queries, 1.0 / (width as f32).sqrt());
        attended.clear();
        attended.resize(queries.len(), 0.0);
        let mut states = vec![Softmax::EMPTY; queries.len() / width];
        for (state, &sink) in states.iter_mut().zip(&self.layers[layer].sinks) {
            *state = Softmax::of(sink);
        }
        let queries = &*queries;
        // The parts are the same however many threads there are, and are added in order: so is the sum.
        let row = self.config.heads.keys_and_values();
        let window = self.config.layer_window(layer).unwrap_or(usize::MAX);
        let in_sight = &cache.layer(layer)[cache.len().saturating_sub(window) * row..];
        let parts = in_sight.par_chunks(PART * row).enumerate();
        let last = in_sight.len() / row - 1;
        let seen: Vec<_> = parts.map(|(i, rows)| self.attend_part(queries, rows, last - i * PART)).collect();
        for part in seen {
            let parts = part.outputs.chunks(width).zip(part.states);
            for ((out, state), (other, seen)) in attended.chunks_mut(width).zip(&mut states).zip(parts) {
                let [own, factor] = state.merge(seen);
                self.backend.isa.scale(out, own);
                self.backend.isa.add_weighted(&[factor], other, width, out);
            }
        }
        for (out, state) in attended.chunks_mut(width).zip(&states) {
            self.backend.isa.scale(out, state.inverse_sum());
        }
    }

    /// Attends from the queries to the positions whose keys and values are in `rows`. The first of them is `distance`
    /// positions away.
    fn attend_part(&self, queries: &[f32], rows: &[f32], distance: usize) -> Seen {
        let (isa, heads) = (self.backend.isa, self.config.heads);
        let (width, stride) = (heads.width, 2 * heads.keys * heads.width);
        let mut outputs = vec![0.0; queries.len()];
        let mut states = vec![Softmax::EMPTY; heads.queries];
        let mut scores = [0.0; POSITIONS];
        for (chunk, rows) in rows.chunks(POSITIONS * stride).enumerate() {
            let scores = &mut scores[..rows.len() / stride];
            let outputs = outputs.chunks_mut(width).zip(&mut states);
            for (i, (query, (out, state))) in queries.chunks(width).zip(outputs).enumerate() {
                let at = i * heads.keys / heads.queries * width;
                isa.dots(query, &rows[at..], stride, scores);
                if let Some(cap) = self.config.attention_cap {
                    isa.soft_cap(scores, cap);
                }
                if let Some(slope) = self.slopes.get(i) {
                    fall(scores, *slope, distance - chunk * POSITIONS);
                }
                let correction = isa.softmax_step(scores, state);
                isa.scale(out, correction);
                isa.add_weighted(scores, &rows[at + stride / 2..], stride, out);
            }
        }
        Seen { outputs, states }
    }

    fn logits(&self, x: &[f32], logits: &mut Vec<f32>, scratch: &mut Scratch) {
        logits.resize(self.config.vocabulary, 0.0);
        // Once for all pieces of the head.
        if let Some(piece) = self.lm_head.first() {
            self.norm(x, &self.norm, piece, &mut scratch.inputs);
        }
        let inputs = &scratch.inputs;
        let pieces = self.lm_head.par_iter().zip(logits.par_chunks_mut(HEAD_COLUMNS)).enumerate();
        pieces.for_each(|(i, (piece, logits))| {
            piece.apply(self.backend, inputs, logits, Accumulate::Overwrite);
            self.finish_logits(i * HEAD_COLUMNS, logits.len(), logits);
        });
    }
}
