//! The forward pass of decoders, for scoring: every position's negative log-likelihood.
//!
//! Several sequences go through together as one ragged batch of rows. Rows are cut into blocks, and a block
//! goes through a whole layer on one thread while its activations stay in that core's cache; threads meet
//! once a layer, when all keys and values of the next layer are there. Of the output head only one number
//! a row leaves the block: logits exist for [`HEAD_COLUMNS`] words at a time.
//!
//! Architecture: RMSNorm, grouped-query attention with rotary positions (arXiv 2104.09864), `SwiGLU`. What other
//! families do beyond that (see [`Family`](super::family::Family)) is done where there are weights for it.

mod experts;
mod layer;
mod step;

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::attention::{Attention, AttentionMask, AttentionScratch, Heads, PackedKeyValues};
use super::causal::{
    CausalModel, EmbeddingWeights, ForwardOutput, KvCache, LayerWeights, LlamaConfig, NormWeights, Sequence,
    Turn,
};
use super::family::Activation;
use super::linear::{Accumulate, Backend, Inputs, Linear};
use crate::kernels::Softmax;
use crate::model::{Cancel, Precision, ScoreError};
use layer::{Embeddings, FeedForward, Layer, Network, Product, Projection, Rope, add_bias};

/// Most rows that go through a layer together on one thread.
const ROW_BLOCK: usize = 128;
/// Words of the vocabulary whose logits exist at once, for each row of a block.
const HEAD_COLUMNS: usize = 1024;

/// A model ready to run.
pub(crate) struct Llama {
    config: LlamaConfig,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    norm: NormWeights,
    /// The output head, in pieces of [`HEAD_COLUMNS`] words.
    lm_head: Vec<Linear>,
    /// The biases of logits; empty where the model has none.
    lm_head_bias: Vec<f32>,
    rope: Rope,
    /// The rotations of layers that see a window, where they are others.
    window_rope: Option<Rope>,
    /// The slopes of [`LlamaConfig::slopes`].
    slopes: Vec<f32>,
    backend: Backend,
    scratch: Mutex<Vec<Scratch>>,
}

/// Buffers of one block of rows, reused between blocks and calls.
#[derive(Default)]
struct Scratch {
    inputs: Inputs,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    logits: Vec<f32>,
    /// The rows that a layer began with, where both of its parts read them.
    entering: Vec<f32>,
    /// The output of a part before it is normed.
    given: Vec<f32>,
    normed: Vec<f32>,
    /// The normed rows that a router sends to experts, and what an expert gives.
    routed: Vec<f32>,
    outputs: Vec<f32>,
    attention: AttentionScratch,
}

/// Some rows of a batch on their way through a layer.
struct Block<'a> {
    layer: usize,
    layout: &'a Layout<'a>,
    rows: Range<usize>,
}

/// Rows of a batch: where each sequence lies.
struct Layout<'a> {
    sequences: &'a [Sequence<'a>],
    /// First row of each sequence, and the total at the end.
    starts: Vec<usize>,
    block: usize,
}

/// Rows of a block: as many blocks as there are threads, or a multiple of that, so that none waits for the others.
fn block_of(rows: usize, threads: usize) -> usize {
    let blocks = rows.div_ceil(ROW_BLOCK).next_multiple_of(threads);
    rows.div_ceil(blocks.max(1)).max(1)
}

impl<'a> Layout<'a> {
    fn new(sequences: &'a [Sequence<'a>], threads: usize) -> Self {
        let mut starts = vec![0];
        starts.extend(sequences.iter().scan(0, |rows, sequence| {
            *rows += sequence.ids.len();
            Some(*rows)
        }));
        let block = block_of(starts[sequences.len()], threads);
        Self { sequences, starts, block }
    }

    /// Returns sequence `i`'s share of `values`, which have the same number for each row.
    fn own<'r>(&self, i: usize, values: &'r [f32]) -> &'r [f32] {
        let row = values.len() / self.rows();
        &values[self.starts[i] * row..self.starts[i + 1] * row]
    }

    fn rows(&self) -> usize {
        self.starts[self.sequences.len()]
    }

    /// The sequences that lie in `rows`, each with its number and its own rows that do.
    fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = self.starts.partition_point(|&start| start <= rows.start) - 1;
        (first..self.sequences.len()).take_while(move |&i| self.starts[i] < rows.end).map(move |i| {
            let start = self.starts[i];
            let end = self.starts[i + 1].min(rows.end);
            (i, rows.start.max(start) - start..end - start)
        })
    }
}

impl CausalModel for Llama {
    fn config(&self) -> &LlamaConfig {
        &self.config
    }

    fn forward(&self, sequences: &[Sequence], cancel: &Cancel) -> Result<Vec<ForwardOutput>, ScoreError> {
        let layout = Layout::new(sequences, rayon::current_num_threads());
        let (x, kept) = self.run(&layout, cancel)?;
        let nll = self.lm_head(&layout, &x);
        Ok(nll.into_iter().zip(kept).map(|(nll, kept)| ForwardOutput { nll, kept }).collect())
    }

    fn last_rows(&self, sequences: &[Sequence], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let layout = Layout::new(sequences, rayon::current_num_threads());
        let (x, _) = self.run(&layout, cancel)?;
        let width = self.config.width;
        let row = |&end: &usize| {
            let mut out = vec![0.0; width];
            let last = &x[(end - 1) * width..end * width];
            self.norm.apply(self.backend.isa, last, self.config.norm_eps, &mut out);
            out
        };
        Ok(layout.starts[1..].iter().map(row).collect())
    }

    fn step(&self, id: u32, cache: &mut KvCache, logits: &mut Vec<f32>) -> Result<(), ScoreError> {
        self.write_step(id, cache, logits);
        Ok(())
    }
}

impl Llama {
    /// Packs weights, given layer by layer, for the processor that `backend` is for.
    ///
    /// # Errors
    /// Those of `layers`.
    pub(crate) fn pack<E>(
        config: LlamaConfig,
        (precision, backend): (Precision, Backend),
        words: EmbeddingWeights,
        layers: &mut dyn Iterator<Item = Result<LayerWeights, E>>,
    ) -> Result<Self, E> {
        let width = config.width;
        let pack = |rows: &[f32], inputs| Linear::pack(precision, backend, rows, inputs);
        let layer = |rows| Layer::pack(&config, (precision, backend), rows);
        let lm_head = words.lm_head.as_ref().unwrap_or(&words.embeddings);
        Ok(Self {
            layers: layers.map(|rows| rows.map(layer)).collect::<Result<_, _>>()?,
            lm_head: lm_head.chunks(HEAD_COLUMNS * width).map(|rows| pack(rows, width)).collect(),
            embeddings: Embeddings::new(precision, backend, words.embeddings, width),
            norm: words.norm,
            lm_head_bias: words.lm_head_bias,
            rope: Rope::new(&config, Turn::Whole),
            window_rope: (0..config.layers)
                .any(|layer| config.turn(layer) == Turn::Window)
                .then(|| Rope::new(&config, Turn::Window)),
            slopes: config.slopes(),
            scratch: Mutex::default(),
            backend,
            config,
        })
    }

    /// The rows that the last layer leaves, and what is kept of keys and values.
    fn run(&self, layout: &Layout, cancel: &Cancel) -> Result<(Vec<f32>, Vec<KvCache>), ScoreError> {
        let mut kept = vec![KvCache::new(&self.config); layout.sequences.len()];
        let mut x = self.embed(layout);
        let row = self.config.heads.row();
        let (mut qkv, mut next) = (vec![0.0; layout.rows() * row], vec![0.0; layout.rows() * row]);
        self.for_blocks(layout, &mut x, &mut qkv, row, |rows, x, qkv, scratch| {
            self.project_qkv(&Block { layer: 0, layout, rows }, x, qkv, scratch);
        });
        for layer in 0..self.layers.len() {
            cancel.check()?;
            self.keep(layer, layout, &qkv, &mut kept);
            let packed = self.pack_attention(layer, layout, &qkv);
            self.for_blocks(layout, &mut x, &mut next, row, |rows, x, next, scratch| {
                let block = Block { layer, layout, rows };
                self.enter(x, scratch);
                self.attend(&block, &qkv, &packed, x, scratch);
                self.feed_forward(layer, x, scratch, Projection::apply);
                if layer + 1 < self.layers.len() {
                    self.project_qkv(&Block { layer: layer + 1, ..block }, x, next, scratch);
                }
            });
            std::mem::swap(&mut qkv, &mut next);
        }
        cancel.check()?;
        Ok((x, kept))
    }

    /// Keeps what is wanted of keys and values.
    fn keep(&self, layer: usize, layout: &Layout, qkv: &[f32], kept: &mut [KvCache]) {
        let Heads { queries, width, .. } = self.config.heads;
        for (i, (sequence, kept)) in layout.sequences.iter().zip(kept).enumerate() {
            let rows = layout.own(i, qkv).chunks_exact(self.config.heads.row()).take(sequence.kept);
            kept.append_rows(layer, rows.map(|row| &row[queries * width..]));
        }
    }

    fn embed(&self, layout: &Layout) -> Vec<f32> {
        let mut x = Vec::with_capacity(layout.rows() * self.config.width);
        for &id in layout.sequences.iter().flat_map(|sequence| sequence.ids) {
            self.embeddings.append(id, self.config.width, &mut x);
        }
        self.scale_embeddings(&mut x);
        x
    }

    fn scale_embeddings(&self, x: &mut [f32]) {
        if let Some(factor) = self.config.embedding_scale {
            self.backend.isa.scale(x, factor);
        }
    }

    /// Runs `work` on every block of rows of `x` and `y` in parallel.
    fn for_blocks(
        &self,
        layout: &Layout,
        x: &mut [f32],
        y: &mut [f32],
        y_row: usize,
        work: impl Fn(Range<usize>, &mut [f32], &mut [f32], &mut Scratch) + Sync,
    ) {
        let width = self.config.width;
        let blocks = x.par_chunks_mut(layout.block * width).zip(y.par_chunks_mut(layout.block * y_row));
        blocks.enumerate().for_each(|(i, (x, y))| {
            let start = i * layout.block;
            self.with_scratch(|scratch| work(start..start + x.len() / width, x, y, scratch));
        });
    }

    /// Lends out buffers that no other block uses.
    fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let pool = || self.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        let result = work(&mut scratch);
        pool().push(scratch);
        result
    }

    /// Has `inputs` hold the rows of `x`, normed where there are weights for it, as `into` takes them.
    fn norm(&self, x: &[f32], norm: &NormWeights, into: &Linear, inputs: &mut Inputs) {
        let width = self.config.width;
        into.take(self.backend, x.len() / width, inputs, |i, out| {
            norm.apply(self.backend.isa, &x[i * width..][..width], self.config.norm_eps, out);
        });
    }

    /// Adds what `product` gives to the rows of `x`, normed where there are weights for it.
    fn add_given(
        &self,
        norm: &NormWeights,
        x: &mut [f32],
        (given, normed): (&mut Vec<f32>, &mut Vec<f32>),
        product: impl FnOnce(&mut [f32], Accumulate),
    ) {
        if norm.weight.is_empty() {
            return product(x, Accumulate::Add);
        }
        let width = self.config.width;
        given.resize(x.len(), 0.0);
        normed.resize(width, 0.0);
        product(given, Accumulate::Overwrite);
        for (x, given) in x.chunks_exact_mut(width).zip(given.chunks_exact(width)) {
            norm.apply(self.backend.isa, given, self.config.norm_eps, normed);
            self.backend.isa.add(x, normed);
        }
    }

    /// Remembers the rows that a layer begins with, where its feed-forward network reads them as attention does.
    fn enter(&self, x: &[f32], scratch: &mut Scratch) {
        if self.config.parallel {
            scratch.entering.clear();
            scratch.entering.extend_from_slice(x);
        }
    }

    /// Norms and rotates a row of queries, keys and values, where there is something for it.
    fn finish_row(&self, layer: usize, position: usize, qkv: &mut [f32], normed: &mut Vec<f32>) {
        let (isa, Heads { queries, keys, width }) = (self.backend.isa, self.config.heads);
        let weights = &self.layers[layer];
        let (own, shared) = qkv[..(queries + keys) * width].split_at_mut(queries * width);
        for (rows, norm) in [(own, &weights.query_norm), (shared, &weights.key_norm)] {
            if norm.is_empty() {
                continue;
            }
            normed.resize(norm.len(), 0.0);
            for row in rows.chunks_exact_mut(norm.len()) {
                isa.rms_norm(row, norm, self.config.norm_eps, normed);
                row.copy_from_slice(normed);
            }
        }
        if let Some(rope) = self.rope(layer) {
            let (cos, sin) = rope.at(position);
            for head in qkv[..(queries + keys) * width].chunks_mut(width) {
                isa.rotate(&mut head[..self.config.rotated], cos, sin);
            }
        }
    }

    /// The rotations of a layer, where it has any.
    fn rope(&self, layer: usize) -> Option<&Rope> {
        match self.config.turn(layer) {
            Turn::Nothing => None,
            Turn::Whole => Some(&self.rope),
            Turn::Window => self.window_rope.as_ref(),
        }
    }

    fn project_qkv(&self, block: &Block, x: &[f32], qkv: &mut [f32], scratch: &mut Scratch) {
        let Block { layer, layout, ref rows } = *block;
        let weights = &self.layers[layer];
        self.norm(x, &weights.attention_norm, &weights.qkv.weights, &mut scratch.inputs);
        weights.qkv.apply(self.backend, &scratch.inputs, qkv, Accumulate::Overwrite);
        let mut out = qkv.chunks_mut(self.config.heads.row());
        for (i, piece) in layout.pieces(rows.clone()) {
            let past = layout.sequences[i].offset();
            for (row, qkv) in piece.zip(&mut out) {
                self.finish_row(layer, past + row, qkv, &mut scratch.normed);
            }
        }
    }

    /// Packs keys and values of each sequence and of what came before it.
    fn pack_attention(&self, layer: usize, layout: &Layout, qkv: &[f32]) -> Vec<PackedKeyValues> {
        let (precision, heads) = (self.embeddings.precision(), self.config.heads);
        let pack = |i: usize| {
            let past = layout.sequences[i].past.map_or(&[][..], |past| past.layer(layer));
            PackedKeyValues::new(precision, self.backend, heads, past, layout.own(i, qkv))
        };
        (0..layout.sequences.len()).into_par_iter().map(pack).collect()
    }

    /// `x += attention(rows) * W`.
    fn attend(
        &self,
        block: &Block,
        qkv: &[f32],
        packed: &[PackedKeyValues],
        x: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Block { layer, layout, ref rows } = *block;
        let heads = self.config.heads;
        let out_row = heads.queries * heads.width;
        scratch.attended.resize(rows.len() * out_row, 0.0);
        let mask = self.config.layer_window(layer).map_or(AttentionMask::Causal, AttentionMask::Window);
        let (backend, cap, slopes) = (self.backend, self.config.attention_cap, &self.slopes[..]);
        let attention = Attention { backend, heads, mask, cap, slopes, sinks: &self.layers[layer].sinks };
        let mut at = 0;
        for (i, piece) in layout.pieces(rows.clone()) {
            let own = layout.own(i, qkv);
            let out = &mut scratch.attended[at..at + piece.len() * out_row];
            at += out.len();
            attention.run(own, piece, &packed[i], out, &mut scratch.attention);
        }
        let Layer { heads_norm, attention_out, attention_out_norm, .. } = &self.layers[layer];
        let Scratch { attended, inputs, given, normed, .. } = scratch;
        attention_out.weights.take(self.backend, rows.len(), inputs, |i, row| {
            let attended = &attended[i * out_row..][..out_row];
            heads_norm.apply(self.backend.isa, attended, self.config.norm_eps, row);
        });
        self.add_given(attention_out_norm, x, (given, normed), |out, accumulate| {
            attention_out.apply(self.backend, inputs, out, accumulate);
        });
    }

    /// `x += (silu(gate) * up) * W`, or that of each row's experts.
    fn feed_forward(&self, layer: usize, x: &mut [f32], scratch: &mut Scratch, product: Product) {
        let Layer { feed_forward_norm, feed_forward, down_norm, .. } = &self.layers[layer];
        let network = match feed_forward {
            FeedForward::Dense(network) => network,
            FeedForward::Experts(experts) => {
                return self.mix(experts, [feed_forward_norm, down_norm], x, scratch, product);
            }
        };
        let Network { gate_up, down, .. } = network;
        let rows = x.len() / self.config.width;
        let Scratch { inputs, entering, gate_up: activations, given, normed, .. } = scratch;
        let read = if self.config.parallel { &entering[..] } else { &*x };
        self.norm(read, feed_forward_norm, &gate_up.weights, inputs);
        activations.resize(rows * self.config.gate_up(), 0.0);
        product(gate_up, self.backend, inputs, activations, Accumulate::Overwrite);
        self.activate(network, rows, activations, inputs);
        self.add_given(down_norm, x, (given, normed), |out, accumulate| {
            product(down, self.backend, inputs, out, accumulate);
        });
    }

    /// Has `inputs` hold `silu(gate) * up`, or that of another activation, of each row, as `down` takes it.
    fn activate(&self, network: &Network, rows: usize, gate_up: &mut [f32], inputs: &mut Inputs) {
        let Network { hidden_norm, down, .. } = network;
        let into = &down.weights;
        let (isa, hidden, both) = (self.backend.isa, into.inputs(), gate_up.len() / rows);
        into.take(self.backend, rows, inputs, |i, out| {
            // Without a gate all of the row is the first of these.
            let (gate, up) = gate_up[i * both..][..both].split_at_mut(hidden);
            match self.config.family.activation {
                Activation::Silu => isa.silu_mul(gate, up, out),
                Activation::Gelu => isa.gelu_mul(gate, up, out),
                Activation::ClampedSilu => isa.clamped_silu_mul(gate, up, out),
                Activation::PlainGelu => isa.gelu_tanh(gate, out),
                Activation::PlainErfGelu => isa.gelu_erf(gate, out),
                Activation::PlainSquaredRelu => isa.squared_relu(gate, out),
            }
            if !hidden_norm.weight.is_empty() {
                gate.copy_from_slice(out);
                hidden_norm.apply(isa, gate, self.config.norm_eps, out);
            }
        });
    }

    /// Negative log-likelihood of every row's next token, by sequence.
    fn lm_head(&self, layout: &Layout, x: &[f32]) -> Vec<Vec<f32>> {
        let targets: Vec<(usize, u32)> = layout
            .sequences
            .iter()
            .zip(&layout.starts)
            .flat_map(|(sequence, &start)| {
                // The row before a token predicts it.
                sequence.targets().map(move |i| (start + i - 1, sequence.ids[i]))
            })
            .collect();
        let block = block_of(targets.len(), rayon::current_num_threads());
        let nll: Vec<f32> = targets
            .par_chunks(block)
            .flat_map_iter(|targets| self.with_scratch(|scratch| self.head_block(targets, x, scratch)))
            .collect();
        let mut rest = &nll[..];
        layout
            .sequences
            .iter()
            .map(|sequence| {
                let (own, others) = rest.split_at(sequence.targets().len());
                rest = others;
                own.to_vec()
            })
            .collect()
    }

    /// Finishes the logits of the words from `first` on: adds the biases, and bounds them, where there is something for
    /// it. Rows have logits of `words` words.
    fn finish_logits(&self, first: usize, words: usize, logits: &mut [f32]) {
        if let Some(bias) = self.lm_head_bias.get(first..first + words) {
            add_bias(self.backend.isa, bias, logits);
        }
        if let Some(cap) = self.config.logit_cap {
            self.backend.isa.soft_cap(logits, cap);
        }
    }

    fn head_block(&self, targets: &[(usize, u32)], x: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let width = self.config.width;
        // Once for all pieces of the head.
        if let Some(piece) = self.lm_head.first() {
            piece.take(self.backend, targets.len(), &mut scratch.inputs, |i, out| {
                let x = &x[targets[i].0 * width..][..width];
                self.norm.apply(self.backend.isa, x, self.config.norm_eps, out);
            });
        }
        let mut states = vec![Softmax::EMPTY; targets.len()];
        let mut target_logits = vec![0.0; targets.len()];
        for (columns, head) in self.lm_head.iter().enumerate() {
            let first = columns * HEAD_COLUMNS;
            scratch.logits.resize(targets.len() * head.outputs(), 0.0);
            head.apply(self.backend, &scratch.inputs, &mut scratch.logits, Accumulate::Overwrite);
            self.finish_logits(first, head.outputs(), &mut scratch.logits);
            for (i, logits) in scratch.logits.chunks(head.outputs()).enumerate() {
                self.backend.isa.log_sum_exp_step(logits, &mut states[i]);
                if let Some(&logit) = (targets[i].1 as usize).checked_sub(first).and_then(|at| logits.get(at))
                {
                    target_logits[i] = logit;
                }
            }
        }
        states.iter().zip(&target_logits).map(|(state, logit)| state.log_sum_exp() - logit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::load;
    use super::*;
    use crate::model::Device;
    use crate::model::store::{ModelStore, Silent};

    /// Checks the memory of a pass: a buffer of length x length, or of length x vocabulary, would take several times
    /// as much.
    #[test]
    fn a_pass_makes_no_buffer_that_grows_with_more_than_the_length() {
        const TOKENS: usize = 1024;
        let files = ModelStore::from_environment(&crate::environment::ProcessEnv)
            .unwrap()
            .ensure("smollm2-135m-instruct", &Silent)
            .unwrap();
        let ids: Vec<u32> = (0..TOKENS as u32).map(|i| 100 + i * 37 % 4000).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for precision in [Precision::F32, Precision::Int8] {
            let llama = load(files.single("gguf").unwrap(), Device::Cpu, precision, 0).unwrap().llama;
            let sequences = [Sequence { ids: &ids, past: None, scored_from: 0, kept: 0 }];
            let pass = || llama.forward(&sequences, &Cancel::never()).unwrap();
            // Bytes are counted on one thread, behind a pass that made the buffers that stay.
            let used = pool.install(|| {
                pass();
                allocation_counter::measure(|| drop(pass()))
            });
            let LlamaConfig { width, heads, .. } = *llama.config();
            let rows = (TOKENS * (width + 2 * heads.row()) * size_of::<f32>()) as u64;
            // The residual stream, queries, keys and values of two layers; packed keys and values are the rest.
            assert!((rows..rows + rows / 4).contains(&used.bytes_max), "{precision:?}: {used:?}, {rows}");
        }
    }
}
