//! One token at a time: the pass that writes an answer.
//!
//! A step has one row, so nothing is packed and no block is cut: each product reads all weights once and each head
//! all keys and values, which is what a step costs.

use std::ops::Range;

use rayon::prelude::*;

use super::{HEAD_COLUMNS, KvCache, Llama, Scratch};
use crate::model::local::attention::Heads;
use crate::model::local::kernels::Softmax;
use crate::model::local::linear::Keep;

/// Positions that all heads see before any sees the next: their keys and values stay in a core's cache meanwhile.
const POSITIONS: usize = 64;

impl Llama {
    /// Runs the token `id` after what `cache` holds, and adds it to the cache. `logits` then has one number for each
    /// word: the likelier it comes next, the larger.
    pub(crate) fn step(&self, id: u32, cache: &mut KvCache, logits: &mut Vec<f32>) {
        let mut x = Vec::with_capacity(self.config.width);
        self.embeddings.append(id, self.config.width, &mut x);
        let mut qkv = vec![0.0; self.config.heads.row()];
        let position = cache.len();
        self.with_scratch(|scratch| {
            for layer in 0..self.layers.len() {
                self.project_step((layer, position), &x, &mut qkv, scratch);
                let own = &qkv[self.config.heads.queries * self.config.heads.width..];
                cache.layers[layer].extend_from_slice(own);
                self.attend_step(layer, &mut qkv, cache, scratch);
                let out = &self.layers[layer].attention_out;
                out.apply_row(self.math, &scratch.attended, &mut x, Keep::Sum, &mut scratch.quantised);
                self.feed_forward_step(layer, &mut x, scratch);
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
        self.norm(x, &weights.attention_norm, &mut scratch.normed);
        weights.qkv.apply_row(self.math, &scratch.normed, qkv, Keep::Nothing, &mut scratch.quantised);
        let Heads { queries, keys, width } = self.config.heads;
        let (cos, sin) = self.rope.at(position);
        for head in qkv[..(queries + keys) * width].chunks_mut(width) {
            self.math.isa.rotate(head, cos, sin);
        }
    }

    /// What the row's queries, which `qkv` begins with, see of all that is cached: into `scratch.attended`.
    fn attend_step(&self, layer: usize, qkv: &mut [f32], cache: &KvCache, scratch: &mut Scratch) {
        let Heads { queries, width, .. } = self.config.heads;
        let queries = &mut qkv[..queries * width];
        self.math.isa.scale(queries, 1.0 / (width as f32).sqrt());
        scratch.attended.clear();
        scratch.attended.resize(queries.len(), 0.0);
        let mut states = vec![Softmax::EMPTY; queries.len() / width];
        let length = cache.len();
        for start in (0..length).step_by(POSITIONS) {
            let seen = start..length.min(start + POSITIONS);
            self.attend_positions(
                queries,
                &cache.layers[layer][seen.start * cache.row..],
                seen,
                &mut states,
                scratch,
            );
        }
        for (out, state) in scratch.attended.chunks_mut(width).zip(&states) {
            self.math.isa.scale(out, state.inverse_sum());
        }
    }

    /// The same for the positions `seen`, of which `rows` begins with the keys and values.
    fn attend_positions(
        &self,
        queries: &[f32],
        rows: &[f32],
        seen: Range<usize>,
        states: &mut [Softmax],
        scratch: &mut Scratch,
    ) {
        let (isa, heads) = (self.math.isa, self.config.heads);
        let (width, stride) = (heads.width, 2 * heads.keys * heads.width);
        let mut scores = [0.0; POSITIONS];
        let scores = &mut scores[..seen.len()];
        let outputs = scratch.attended.chunks_mut(width).zip(states);
        for (i, (query, (out, state))) in queries.chunks(width).zip(outputs).enumerate() {
            let at = i * heads.keys / heads.queries * width;
            isa.dots(query, &rows[at..], stride, scores);
            let correction = isa.softmax_step(scores, state);
            if seen.start > 0 {
                isa.scale(out, correction);
            }
            isa.add_weighted(scores, &rows[at + stride / 2..], stride, out);
        }
    }

    /// `x += (silu(gate) * up) * W`.
    fn feed_forward_step(&self, layer: usize, x: &mut [f32], scratch: &mut Scratch) {
        let (weights, hidden) = (&self.layers[layer], self.config.hidden);
        let Scratch { normed, quantised, gate_up, activated, .. } = scratch;
        self.norm(x, &weights.feed_forward_norm, normed);
        gate_up.resize(2 * hidden, 0.0);
        weights.gate_up.apply_row(self.math, normed, gate_up, Keep::Nothing, quantised);
        activated.resize(hidden, 0.0);
        let (gate, up) = gate_up.split_at(hidden);
        self.math.isa.silu_mul(gate, up, activated);
        weights.down.apply_row(self.math, activated, x, Keep::Sum, quantised);
    }

    fn logits(&self, x: &[f32], logits: &mut Vec<f32>, scratch: &mut Scratch) {
        self.norm(x, &self.norm, &mut scratch.normed);
        logits.resize(self.config.vocabulary, 0.0);
        // Once for all pieces of the head.
        if let Some(piece) = self.head.first() {
            piece.quantise(self.math, &scratch.normed, &mut scratch.quantised);
        }
        let (normed, quantised) = (&scratch.normed, &scratch.quantised);
        let pieces = self.head.par_iter().zip(logits.par_chunks_mut(HEAD_COLUMNS));
        pieces.for_each(|(piece, logits)| {
            piece.apply_quantised(self.math, normed, logits, Keep::Nothing, quantised);
        });
    }
}
