//! Loading of a decoder from a GGUF file.

use std::path::Path;
use std::sync::Arc;

use super::adapter::Adapter;
use super::causal::{
    CausalModel, EmbeddingWeights, ExpertWeights, LayerWeights, LlamaConfig, NormWeights, ProjectionWeights,
};
use super::chat_template::ChatTemplate;
use super::configuration::{Multipliers, Reach, configuration, multipliers, reach};
use super::device;
use super::error::LoadError;
use super::family::{Family, Norms, Pairs};
use super::gguf::{GgufError, GgufFile};
use super::int8::{COLUMNS, GROUP};
use super::linear::Backend;
use super::llama::Llama;
use super::llama_candle::TensorLlama;
use super::tokenizer::{GgufTokenizer, PieceVocabulary, TokenizerError, opens_texts};
use crate::kernels::Isa;
use crate::model::{Device, Precision};

/// The key of the name of the pattern that cuts a text before merges.
const PATTERN: &str = "tokenizer.ggml.pre";

/// A model and how texts become its tokens.
pub(crate) struct Loaded<M = Arc<dyn CausalModel>> {
    pub(crate) llama: M,
    pub(crate) tokenizer: GgufTokenizer,
    pub(crate) chat_template: ChatTemplate,
    /// The token that stands before each text (BOS), where the file asks for one.
    pub(crate) bos: Option<u32>,
}

/// The files of a model: a GGUF file, and perhaps an adapter that changes its weights.
#[derive(Clone, Copy)]
pub(crate) struct WeightFiles<'a> {
    path: &'a Path,
    adapter: Option<&'a Adapter>,
}

impl<'a> WeightFiles<'a> {
    /// Adds an adapter, where there is one, to the file at `path`.
    pub(crate) fn adapted(path: &'a Path, adapter: Option<&'a Adapter>) -> Self {
        Self { path, adapter }
    }
}

impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for WeightFiles<'a> {
    fn from(path: &'a P) -> Self {
        Self::adapted(path.as_ref(), None)
    }
}

/// Reads tokenizer and weights, and packs the weights for this processor or brings them to another device. The model will
/// see at most `window` tokens together most of the time.
pub(crate) fn load<'a>(
    files: impl Into<WeightFiles<'a>>,
    device: Device,
    precision: Precision,
    window: usize,
) -> Result<Loaded, LoadError> {
    match device::open(device)? {
        None => load_for(files, precision, Backend::detect(), window),
        Some(_) if precision == Precision::Int8 => Err(LoadError::Configuration(format!(
            "int8 is for the CPU alone; on {} use precision f32",
            device.name()
        ))),
        Some(device) => load_tensors(files, &device, window),
    }
}

/// Reads tokenizer and weights, and packs the weights for a processor.
pub(crate) fn load_for<'a>(
    files: impl Into<WeightFiles<'a>>,
    precision: Precision,
    backend: Backend,
    window: usize,
) -> Result<Loaded, LoadError> {
    read(files.into(), window, |config, words, layers| {
        check_multiples(&config, precision)?;
        Ok(Arc::new(Llama::pack(config, (precision, backend), words, layers)?) as Arc<dyn CausalModel>)
    })
}

/// Reads tokenizer and weights, and has candle run them on `device`.
pub(crate) fn load_tensors<'a>(
    files: impl Into<WeightFiles<'a>>,
    device: &candle_core::Device,
    window: usize,
) -> Result<Loaded, LoadError> {
    read(files.into(), window, |config, words, layers| {
        Ok(Arc::new(TensorLlama::upload(config, &words, layers, device)?) as Arc<dyn CausalModel>)
    })
}

impl GgufTokenizer {
    /// Reads the tokenizer of a GGUF file alone, whatever model is in it.
    ///
    /// # Errors
    /// The file cannot be read, or its tokenizer is of a kind that this build does not have.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let file = GgufFile::open(path)?;
        let tokens = file.strings("tokenizer.ggml.tokens")?;
        tokenizer(&file, &tokens)
    }
}

/// Layers, read as they are asked for.
pub(crate) type Layers<'a> = &'a mut dyn Iterator<Item = Result<LayerWeights, LoadError>>;

/// Reads a file; `make` makes a model of its weights, into which the adapter is merged.
pub(crate) fn read<M>(
    WeightFiles { path, adapter }: WeightFiles<'_>,
    window: usize,
    make: impl FnOnce(LlamaConfig, EmbeddingWeights, Layers<'_>) -> Result<M, LoadError>,
) -> Result<Loaded<M>, LoadError> {
    let mut file = GgufFile::open(path)?;
    let family = Family::of(&file)?;
    let tokens = file.strings("tokenizer.ggml.tokens")?;
    let tokenizer = tokenizer(&file, &tokens)?;
    let bos = opening_token(&file)?;
    let chat_template = ChatTemplate::new(&file, &tokens, bos)?;
    let mut config = configuration(&file, family, tokenizer.vocabulary())?;
    config.rotary.factors = rope_factors(&mut file, &mut config, window)?;
    adapter.map(|adapter| adapter.check_model(&config)).transpose()?;
    let multipliers = multipliers(&file, &config)?;
    let mut reader = Reader { config: &config.clone(), multipliers, file: &mut file };
    let words = reader.words()?;
    let mut layers = (0..config.layers).map(|i| {
        let mut layer = reader.layer(i)?;
        adapter.map(|adapter| adapter.merge(reader.config, i, &mut layer)).transpose()?;
        Ok(layer)
    });
    let llama = make(config, words, &mut layers)?;
    check_all_read(&file)?;
    Ok(Loaded { llama, tokenizer, chat_template, bos })
}

/// Reads the tokenizer of a file whose vocabulary is `tokens`.
fn tokenizer(file: &GgufFile, tokens: &[String]) -> Result<GgufTokenizer, LoadError> {
    const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
    match tokenizer_kind(file)? {
        "gpt2" => {
            let merges = file.strings("tokenizer.ggml.merges")?;
            Ok(GgufTokenizer::new(tokens, &merges, file.str(PATTERN)?)?)
        }
        "llama" => {
            let scores = file.f32s("tokenizer.ggml.scores")?;
            let kinds = file.u32s("tokenizer.ggml.token_type")?;
            let prefix = if file.has(PREFIX) { file.flag(PREFIX)? } else { true };
            let vocabulary = PieceVocabulary { tokens, scores: &scores, kinds: &kinds, prefix };
            Ok(GgufTokenizer::of_pieces(&vocabulary)?)
        }
        other => Err(TokenizerError::UnsupportedKind(other.to_owned()).into()),
    }
}

/// Returns the kind of a file's tokenizer.
fn tokenizer_kind(file: &GgufFile) -> Result<&str, GgufError> {
    const KIND: &str = "tokenizer.ggml.model";
    if file.has(KIND) { file.str(KIND) } else { Ok("gpt2") }
}

/// Returns the token that stands before each text. Where a file says nothing of it, the kind of tokenizer decides, as it
/// does in llama.cpp.
fn opening_token(file: &GgufFile) -> Result<Option<u32>, GgufError> {
    const WANTED: &str = "tokenizer.ggml.add_bos_token";
    const ID: &str = "tokenizer.ggml.bos_token_id";
    let wanted = if file.has(WANTED) {
        file.flag(WANTED)?
    } else {
        tokenizer_kind(file)? == "llama" || file.has(PATTERN) && opens_texts(file.str(PATTERN)?)
    };
    if wanted && file.has(ID) { file.u32(ID).map(Some) } else { Ok(None) }
}

/// The divisors of the rotary frequencies, where the file has them: for all texts, or for short and for long ones.
fn rope_factors(
    file: &mut GgufFile,
    config: &mut LlamaConfig,
    window: usize,
) -> Result<Option<Arc<[f32]>>, LoadError> {
    const ALL: &str = "rope_freqs.weight";
    const SHORT: &str = "rope_factors_short.weight";
    const LONG: &str = "rope_factors_long.weight";
    let half = config.rotated / 2;
    if file.shape(ALL).is_some() {
        return divisors(file, ALL, half).map(Some);
    }
    if file.shape(SHORT).is_none() && file.shape(LONG).is_none() {
        return Ok(None);
    }
    let (short, long) = (divisors(file, SHORT, half)?, divisors(file, LONG, half)?);
    Ok(Some(match reach(file, config, window)? {
        Reach::Short => short,
        Reach::Long => long,
    }))
}

/// Reads a tensor of numbers that others are divided by.
fn divisors(file: &mut GgufFile, name: &str, count: usize) -> Result<Arc<[f32]>, LoadError> {
    let factors = file.tensor(name, &[count])?;
    match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
        Some(factor) => Err(LoadError::Configuration(format!(
            "{name} holds {factor}, by which nothing can be divided: fetch the file again"
        ))),
        None => Ok(factors.into()),
    }
}

/// A tensor that is left over would have changed the results: a bias, a scaling of the rotation, a layer.
fn check_all_read(file: &GgufFile) -> Result<(), LoadError> {
    let unread = file.unread();
    if let [first, ..] = unread[..] {
        return Err(LoadError::Configuration(format!(
            "the file has {} tensors that this build would ignore, such as {first}; choose a model without",
            unread.len()
        )));
    }
    Ok(())
}

/// 8-bit products take whole groups and panels.
fn check_multiples(config: &LlamaConfig, precision: Precision) -> Result<(), LoadError> {
    let LlamaConfig { width, hidden, heads, vocabulary, .. } = *config;
    let shared = config.mixture.and_then(|mixture| mixture.shared).unwrap_or(hidden);
    let inputs = [width, hidden, shared, heads.queries * heads.width];
    let outputs = [width, heads.row(), config.gate_up(), 2 * shared, vocabulary];
    let whole =
        inputs.iter().all(|n| n.is_multiple_of(GROUP)) && outputs.iter().all(|n| n.is_multiple_of(COLUMNS));
    if precision == Precision::Int8 && !whole {
        return Err(LoadError::Configuration(format!(
            "int8 needs inputs of multiples of {GROUP} and outputs of multiples of {COLUMNS}, not {inputs:?} \
             and {outputs:?}; use precision f32"
        )));
    }
    Ok(())
}

/// Reads tensors as floats.
struct Reader<'a> {
    config: &'a LlamaConfig,
    multipliers: Multipliers,
    file: &'a mut GgufFile,
}

impl Reader<'_> {
    fn layer(&mut self, i: usize) -> Result<LayerWeights, LoadError> {
        let LlamaConfig { width, hidden, heads, family, .. } = *self.config;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let residual = self.multipliers.residual;
        let name = |tensor: &str| format!("blk.{i}.{tensor}");
        let after = family.norms != Norms::Before;
        let [attention, feed_forward] = self.norm_names(i);
        let before = family.norms != Norms::After;
        let mut attention_out = self.projection(&name("attn_output"), [width, queries])?;
        let mut experts = self.experts(i)?;
        let [gate_up, mut down] = match experts {
            Some(_) => <[ProjectionWeights; 2]>::default(),
            None => [self.gate_up(i)?, self.projection(&name("ffn_down"), [width, hidden])?],
        };
        let networks = experts.iter_mut().flat_map(|experts| &mut experts.networks).map(|[_, down]| down);
        for part in [&mut attention_out, &mut down].into_iter().chain(networks) {
            scale(&mut part.rows, residual);
            scale(&mut part.bias, residual);
        }
        Ok(LayerWeights {
            attention_norm: self.norm(&name(attention), width, before)?,
            qkv: ProjectionWeights { rows: self.qkv(i)?, bias: self.qkv_bias(i)? },
            query_norm: self.head_norm(&weight(&name("attn_q_norm")), queries)?,
            key_norm: self.head_norm(&weight(&name("attn_k_norm")), keys)?,
            sinks: self.optional(&weight(&name("attn_sinks")), heads.queries)?,
            heads_norm: self.norm(&name("attn_sub_norm"), queries, family.inner_norms)?,
            attention_out,
            attention_out_norm: self.norm(&name("post_attention_norm"), width, after)?,
            feed_forward_norm: self.norm(&name(feed_forward), width, before)?,
            gate_up,
            hidden_norm: self.norm(&name("ffn_sub_norm"), hidden, family.inner_norms)?,
            down,
            experts,
            down_norm: self.norm(&name("post_ffw_norm"), width, after)?,
        })
    }

    /// The names of the norms before attention and before the feed-forward network of a layer.
    fn norm_names(&self, i: usize) -> [&'static str; 2] {
        let has = |norm: &str| self.file.shape(&format!("blk.{i}.{norm}.weight")).is_some();
        let parallel = self.config.parallel;
        let attention = if parallel && has("attn_norm_2") { "attn_norm_2" } else { "attn_norm" };
        let feed_forward = match (has("ffn_norm"), parallel) {
            (false, true) => "attn_norm",
            (false, false) if self.config.family.norms == Norms::Before && has("post_attention_norm") => {
                "post_attention_norm"
            }
            _ => "ffn_norm",
        };
        [attention, feed_forward]
    }

    /// The rows of queries, keys and values of a layer, which some files have in one tensor.
    fn qkv(&mut self, i: usize) -> Result<Vec<f32>, LoadError> {
        let LlamaConfig { width, heads, .. } = *self.config;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let mut qkv = if self.file.shape(&name("attn_qkv")).is_some() {
            self.rows(&name("attn_qkv"), [queries + 2 * keys, width])?
        } else {
            let mut rows = self.rows(&name("attn_q"), [queries, width])?;
            rows.extend(self.rows(&name("attn_k"), [keys, width])?);
            rows.extend(self.rows(&name("attn_v"), [keys, width])?);
            rows
        };
        self.turn(&mut qkv[..(queries + keys) * width], width);
        scale(&mut qkv[..queries * width], self.multipliers.query);
        Ok(qkv)
    }

    /// Gate and up of a layer, which some files have in one tensor, or up alone.
    fn gate_up(&mut self, i: usize) -> Result<ProjectionWeights, LoadError> {
        let LlamaConfig { width, hidden, family, .. } = *self.config;
        let name = |tensor: &str| format!("blk.{i}.{tensor}");
        let whole = [self.config.gate_up(), width];
        if !family.activation.gated() || self.file.shape(&weight(&name("ffn_up"))) == Some(&whole[..]) {
            return self.projection(&name("ffn_up"), whole);
        }
        let mut rows = self.rows(&weight(&name("ffn_gate")), [hidden, width])?;
        rows.extend(self.rows(&weight(&name("ffn_up")), [hidden, width])?);
        Ok(unbiased(rows))
    }

    /// The mixture of experts of a layer, where the model has one.
    fn experts(&mut self, i: usize) -> Result<Option<ExpertWeights>, LoadError> {
        let LlamaConfig { width, hidden, mixture, .. } = *self.config;
        let Some(mixture) = mixture else { return Ok(None) };
        let experts = mixture.experts;
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let mut router = self.projection(&format!("blk.{i}.ffn_gate_inp"), [experts, width])?;
        let gates = self.file.tensor(&name("ffn_gate_exps"), &[experts, hidden, width])?;
        let ups = self.file.tensor(&name("ffn_up_exps"), &[experts, hidden, width])?;
        let downs = self.file.tensor(&name("ffn_down_exps"), &[experts, width, hidden])?;
        let [gate_bias, up_bias] = [
            self.expert_biases(i, "ffn_gate_exps", [experts, hidden])?,
            self.expert_biases(i, "ffn_up_exps", [experts, hidden])?,
        ];
        let down_bias = self.expert_biases(i, "ffn_down_exps", [experts, width])?;
        let expert = |e: usize| {
            let of = |all: &[f32]| all[all.len() / experts * e..][..all.len() / experts].to_vec();
            let [rows, bias] = [[of(&gates), of(&ups)].concat(), [of(&gate_bias), of(&up_bias)].concat()];
            [ProjectionWeights { rows, bias }, ProjectionWeights { rows: of(&downs), bias: of(&down_bias) }]
        };
        let mut networks: Vec<_> = (0..experts).map(expert).collect();
        if let Some(shared) = mixture.shared {
            let gate = name("ffn_gate_inp_shexp");
            let shape = if self.file.shape(&gate) == Some(&[1, width]) { &[1, width][..] } else { &[width] };
            router.rows.extend(self.file.tensor(&gate, shape)?);
            let mut rows = self.rows(&name("ffn_gate_shexp"), [shared, width])?;
            rows.extend(self.rows(&name("ffn_up_shexp"), [shared, width])?);
            networks.push([rows, self.rows(&name("ffn_down_shexp"), [width, shared])?].map(unbiased));
        }
        Ok(Some(ExpertWeights { router, networks }))
    }

    /// The biases of all experts for a part of a layer; empty where the file has none.
    fn expert_biases(&mut self, i: usize, part: &str, shape: [usize; 2]) -> Result<Vec<f32>, GgufError> {
        let name = format!("blk.{i}.{part}.bias");
        if self.file.shape(&name).is_none() { Ok(Vec::new()) } else { self.file.tensor(&name, &shape) }
    }

    /// The head shares the embeddings' weights where the file has none of its own.
    fn words(&mut self) -> Result<EmbeddingWeights, LoadError> {
        let LlamaConfig { width, vocabulary, .. } = *self.config;
        let mut embeddings = self.rows("token_embd.weight", [vocabulary, width])?;
        let mut lm_head = match self.file.shape("output.weight") {
            Some(_) => Some(self.rows("output.weight", [vocabulary, width])?),
            None => None,
        };
        if self.file.shape("token_embd_norm.weight").is_some() {
            let norm = self.norm("token_embd_norm", width, true)?;
            let plain = embeddings.clone();
            for (row, plain) in embeddings.chunks_exact_mut(width).zip(plain.chunks_exact(width)) {
                norm.apply(Isa::detect(), plain, self.config.norm_eps, row);
            }
            // The head is that of the embeddings as they stand in the file.
            lm_head = lm_head.or(Some(plain));
        }
        let lm_head_bias = self.optional("output.bias", vocabulary)?;
        let mut norm = self.norm("output_norm", width, true)?;
        scale(&mut norm.weight, self.multipliers.logit);
        scale(&mut norm.bias, self.multipliers.logit);
        Ok(EmbeddingWeights { embeddings, lm_head, lm_head_bias, norm })
    }

    /// A product's weights of `shape`, and its bias where the file has one.
    fn projection(&mut self, name: &str, shape: [usize; 2]) -> Result<ProjectionWeights, LoadError> {
        let rows = self.rows(&weight(name), shape)?;
        Ok(ProjectionWeights { rows, bias: self.optional(&bias(name), shape[0])? })
    }

    /// A row that not every file has; empty where this one has none.
    fn optional(&mut self, name: &str, width: usize) -> Result<Vec<f32>, GgufError> {
        if self.file.shape(name).is_none() { Ok(Vec::new()) } else { self.file.tensor(name, &[width]) }
    }

    /// The weights in a tensor of `shape`: rows, and values a row. Ternary files have a factor for all of them.
    fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, GgufError> {
        let mut rows = self.file.tensor(name, &shape)?;
        let factor = self.optional(&name.replace(".weight", ".scale"), 1)?;
        scale(&mut rows, factor.first().copied());
        Ok(rows)
    }

    /// Lays the halves apart that are rotated together, in rows of whole heads of `inputs` values each.
    fn turn(&self, rows: &mut [f32], inputs: usize) {
        if self.config.family.pairs == Pairs::Neighbours {
            let turned = halves_apart(rows, (self.config.heads.width, self.config.rotated), inputs);
            rows.copy_from_slice(&turned);
        }
    }

    /// The weights of a norm of so many values, or nothing where the family has none there.
    fn norm(&mut self, name: &str, width: usize, wanted: bool) -> Result<NormWeights, GgufError> {
        if !wanted {
            return Ok(NormWeights::default());
        }
        let family = self.config.family;
        let mut norm = NormWeights { weight: self.file.tensor(&weight(name), &[width])?, bias: Vec::new() };
        if family.layer_norm {
            norm.bias = self.optional(&bias(name), width)?;
            norm.bias.resize(width, 0.0);
        }
        Ok(norm)
    }

    /// Reads the biases of queries, keys and values: nothing where the file has no tensors for it.
    fn qkv_bias(&mut self, i: usize) -> Result<Vec<f32>, LoadError> {
        let name = |tensor: &str| format!("blk.{i}.{tensor}.bias");
        let heads = self.config.heads;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let mut bias = self.optional(&name("attn_qkv"), queries + 2 * keys)?;
        if bias.is_empty() {
            bias = self.optional(&name("attn_q"), queries)?;
            if bias.is_empty() {
                return Ok(bias);
            }
            bias.extend(self.file.tensor(&name("attn_k"), &[keys])?);
            bias.extend(self.file.tensor(&name("attn_v"), &[keys])?);
        }
        self.turn(&mut bias[..queries + keys], 1);
        scale(&mut bias[..queries], self.multipliers.query);
        Ok(bias)
    }

    /// The norm of queries or of keys, of each head or of `all` together; nothing where the file has none.
    fn head_norm(&mut self, name: &str, all: usize) -> Result<Vec<f32>, LoadError> {
        let head = self.config.heads.width;
        let Some(shape) = self.file.shape(name) else { return Ok(Vec::new()) };
        let expected = if shape == [all] { all } else { head };
        if self.config.family.pairs == Pairs::Neighbours {
            return Err(LoadError::Configuration(format!(
                "the file has {name}, which architecture `{}` has not here: choose another model",
                self.config.family.name
            )));
        }
        Ok(self.file.tensor(name, &[expected])?)
    }
}

/// Multiplies weights, where there is a factor.
fn scale(weights: &mut [f32], factor: Option<f32>) {
    if let Some(factor) = factor {
        for weight in weights.iter_mut() {
            *weight *= factor;
        }
    }
}

/// The weights of a product without a bias.
fn unbiased(rows: Vec<f32>) -> ProjectionWeights {
    ProjectionWeights { rows, bias: Vec::new() }
}

/// The name of the weights of a part of the model.
fn weight(name: &str) -> String {
    format!("{name}.weight")
}

/// The name of its bias.
fn bias(name: &str) -> String {
    format!("{name}.bias")
}

/// GGUF interleaves, for some families, the two halves that rotary positions pair up; this lays them apart again, head
/// by head, so that rotation runs over contiguous lanes. Products of queries and keys do not change. Heads have so many
/// rows, of which the first so many are rotated.
fn halves_apart(rows: &[f32], (head, rotated): (usize, usize), width: usize) -> Vec<f32> {
    let source = |row: usize| {
        let (first, place) = (row - row % head, row % head);
        let half = rotated / 2;
        first
            + match place {
                place if place < half => 2 * place,
                place if place < rotated => 2 * (place - half) + 1,
                place => place,
            }
    };
    (0..rows.len() / width).flat_map(|row| &rows[source(row) * width..][..width]).copied().collect()
}
