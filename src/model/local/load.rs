//! Loading of a decoder from a GGUF file.

use std::path::Path;
use std::sync::Arc;

use super::causal::{CausalModel, EmbeddingWeights, LayerWeights, LlamaConfig};
use super::chat_template::ChatTemplate;
use super::configuration::{Multipliers, configuration, multipliers};
use super::device;
use super::error::LoadError;
use super::family::{Family, Norms, Pairs};
use super::gguf::{GgufError, GgufFile};
use super::int8::{COLUMNS, GROUP};
use super::linear::Backend;
use super::llama::Llama;
use super::llama_candle::TensorLlama;
use super::tokenizer::{GgufTokenizer, PieceVocabulary, TokenizerError};
use crate::model::{Device, Precision};

/// A model and how texts become its tokens.
pub(crate) struct Loaded {
    pub(crate) llama: Arc<dyn CausalModel>,
    pub(crate) tokenizer: GgufTokenizer,
    pub(crate) chat_template: ChatTemplate,
}

/// Reads tokenizer and weights, and packs the weights for this processor or brings them to another device.
pub(crate) fn load(path: &Path, device: Device, precision: Precision) -> Result<Loaded, LoadError> {
    match device::open(device)? {
        None => load_for(path, precision, Backend::detect()),
        Some(_) if precision == Precision::Int8 => Err(LoadError::Configuration(format!(
            "int8 is for the CPU alone; on {} use precision f32",
            device.name()
        ))),
        Some(device) => load_tensors(path, &device),
    }
}

/// Reads tokenizer and weights, and packs the weights for a processor.
pub(crate) fn load_for(path: &Path, precision: Precision, backend: Backend) -> Result<Loaded, LoadError> {
    read(path, |config, words, layers| {
        check_multiples(&config, precision)?;
        Ok(Arc::new(Llama::pack(config, (precision, backend), words, layers)?))
    })
}

/// Reads tokenizer and weights, and has candle run them on `device`.
pub(crate) fn load_tensors(path: &Path, device: &candle_core::Device) -> Result<Loaded, LoadError> {
    read(path, |config, words, layers| Ok(Arc::new(TensorLlama::upload(config, &words, layers, device)?)))
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
type Layers<'a> = &'a mut dyn Iterator<Item = Result<LayerWeights, LoadError>>;

/// Reads a file; `make` makes a model of its weights.
fn read(
    path: &Path,
    make: impl FnOnce(LlamaConfig, EmbeddingWeights, Layers<'_>) -> Result<Arc<dyn CausalModel>, LoadError>,
) -> Result<Loaded, LoadError> {
    let mut file = GgufFile::open(path)?;
    let family = Family::of(&file)?;
    let tokens = file.strings("tokenizer.ggml.tokens")?;
    let tokenizer = tokenizer(&file, &tokens)?;
    let chat_template = ChatTemplate::new(&file, &tokens)?;
    let mut config = configuration(&file, family, tokenizer.vocabulary())?;
    config.rotary.factors = rope_factors(&mut file, config.heads.width / 2)?;
    let multipliers = multipliers(&file, &config)?;
    let mut reader = Reader { config: &config.clone(), multipliers, file: &mut file };
    let words = reader.words()?;
    let mut layers = (0..config.layers).map(|i| reader.layer(i));
    let llama = make(config, words, &mut layers)?;
    check_all_read(&file)?;
    Ok(Loaded { llama, tokenizer, chat_template })
}

/// Reads the tokenizer of a file whose vocabulary is `tokens`.
fn tokenizer(file: &GgufFile, tokens: &[String]) -> Result<GgufTokenizer, LoadError> {
    const KIND: &str = "tokenizer.ggml.model";
    const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
    match if file.has(KIND) { file.str(KIND)? } else { "gpt2" } {
        "gpt2" => {
            let merges = file.strings("tokenizer.ggml.merges")?;
            Ok(GgufTokenizer::new(tokens, &merges, file.str("tokenizer.ggml.pre")?)?)
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

/// The divisors of the rotary frequencies, where the file has them.
fn rope_factors(file: &mut GgufFile, half: usize) -> Result<Option<Arc<[f32]>>, LoadError> {
    const NAME: &str = "rope_freqs.weight";
    if file.shape(NAME).is_none() {
        return Ok(None);
    }
    let factors = file.tensor(NAME, &[half])?;
    match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
        Some(factor) => Err(LoadError::Configuration(format!(
            "{NAME} holds {factor}, by which nothing can be divided: fetch the file again"
        ))),
        None => Ok(Some(factors.into())),
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
    let inputs = [width, hidden, heads.queries * heads.width];
    let outputs = [width, heads.row(), 2 * hidden, vocabulary];
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
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let [mut attention_out, mut down] = [
            self.rows(&name("attn_output"), [width, queries])?,
            self.rows(&name("ffn_down"), [width, hidden])?,
        ];
        scale(&mut attention_out, residual);
        scale(&mut down, residual);
        let (before, after) = (family.norms != Norms::After, family.norms != Norms::Before);
        Ok(LayerWeights {
            attention_norm: self.norm(&name("attn_norm"), before)?,
            qkv: self.qkv(i)?,
            qkv_bias: self.bias(i)?,
            query_norm: self.head_norm(&name("attn_q_norm"), queries)?,
            key_norm: self.head_norm(&name("attn_k_norm"), keys)?,
            attention_out,
            attention_out_norm: self.norm(&name("post_attention_norm"), after)?,
            feed_forward_norm: self.norm(&name("ffn_norm"), before)?,
            gate_up: self.gate_up(i)?,
            down,
            down_norm: self.norm(&name("post_ffw_norm"), after)?,
        })
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

    /// The rows of gate and up of a layer, which some files have in one tensor.
    fn gate_up(&mut self, i: usize) -> Result<Vec<f32>, LoadError> {
        let LlamaConfig { width, hidden, .. } = *self.config;
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let fused = [2 * hidden, width];
        if self.file.shape(&name("ffn_up")) == Some(&fused[..]) {
            return Ok(self.rows(&name("ffn_up"), fused)?);
        }
        let mut rows = self.rows(&name("ffn_gate"), [hidden, width])?;
        rows.extend(self.rows(&name("ffn_up"), [hidden, width])?);
        Ok(rows)
    }

    /// The head shares the embeddings' weights where the file has none of its own.
    fn words(&mut self) -> Result<EmbeddingWeights, LoadError> {
        let LlamaConfig { width, vocabulary, .. } = *self.config;
        let embeddings = self.rows("token_embd.weight", [vocabulary, width])?;
        let lm_head = match self.file.shape("output.weight") {
            Some(_) => Some(self.rows("output.weight", [vocabulary, width])?),
            None => None,
        };
        let mut norm = self.file.tensor("output_norm.weight", &[width])?;
        scale(&mut norm, self.multipliers.logit);
        Ok(EmbeddingWeights { embeddings, lm_head, norm })
    }

    /// A tensor of `shape`: rows, and values a row.
    fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, GgufError> {
        self.file.tensor(name, &shape)
    }

    /// Lays the halves apart that are rotated together, in rows of whole heads of `inputs` values each.
    fn turn(&self, rows: &mut [f32], inputs: usize) {
        if self.config.family.pairs == Pairs::Neighbours {
            let turned = halves_apart(rows, self.config.heads.width, inputs);
            rows.copy_from_slice(&turned);
        }
    }

    /// The weights of a norm, or nothing where the family has none there.
    fn norm(&mut self, name: &str, wanted: bool) -> Result<Vec<f32>, GgufError> {
        if wanted { self.file.tensor(name, &[self.config.width]) } else { Ok(Vec::new()) }
    }

    /// Reads the biases of queries, keys and values: nothing where the file has no tensors for it.
    fn bias(&mut self, i: usize) -> Result<Vec<f32>, LoadError> {
        let name = |tensor: &str| format!("blk.{i}.{tensor}.bias");
        if self.file.shape(&name("attn_q")).is_none() {
            return Ok(Vec::new());
        }
        let heads = self.config.heads;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let mut bias = self.file.tensor(&name("attn_q"), &[queries])?;
        bias.extend(self.file.tensor(&name("attn_k"), &[keys])?);
        self.turn(&mut bias, 1);
        scale(&mut bias[..queries], self.multipliers.query);
        bias.extend(self.file.tensor(&name("attn_v"), &[keys])?);
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

/// GGUF interleaves, for some families, the two halves that rotary positions pair up; this lays them apart again, head
/// by head, so that rotation runs over contiguous lanes. Products of queries and keys do not change.
fn halves_apart(rows: &[f32], head: usize, width: usize) -> Vec<f32> {
    let source = |row: usize| {
        let (first, place) = (row - row % head, row % head);
        first + if place < head / 2 { 2 * place } else { 2 * (place - head / 2) + 1 }
    };
    (0..rows.len() / width).flat_map(|row| &rows[source(row) * width..][..width]).copied().collect()
}
