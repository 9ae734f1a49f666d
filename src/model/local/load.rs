//! Loading of a model of the Llama family from a GGUF file.

use std::path::Path;
use std::sync::Arc;

use super::causal::{CausalModel, EmbeddingWeights, LayerWeights, LlamaConfig};
use super::chat_template::ChatTemplate;
use super::configuration::configuration;
use super::device;
use super::error::LoadError;
use super::gguf::{GgufError, GgufFile};
use super::int8::{COLUMNS, GROUP};
use super::linear::Backend;
use super::llama::Llama;
use super::llama_candle::TensorLlama;
use super::tokenizer::GgufTokenizer;
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

/// Layers, read as they are asked for.
type Layers<'a> = &'a mut dyn Iterator<Item = Result<LayerWeights, LoadError>>;

/// Reads a file; `make` makes a model of its weights.
fn read(
    path: &Path,
    make: impl FnOnce(LlamaConfig, EmbeddingWeights, Layers<'_>) -> Result<Arc<dyn CausalModel>, LoadError>,
) -> Result<Loaded, LoadError> {
    let mut file = GgufFile::open(path)?;
    file.architecture(&["llama"])?;
    let tokens = file.strings("tokenizer.ggml.tokens")?;
    let merges = file.strings("tokenizer.ggml.merges")?;
    let tokenizer = GgufTokenizer::new(&tokens, &merges, file.str("tokenizer.ggml.pre")?)?;
    let chat_template = ChatTemplate::new(&file, &tokens)?;
    let config = configuration(&file, tokenizer.vocabulary())?;
    let mut reader = Reader { config: &config.clone(), file: &mut file };
    let words = reader.words()?;
    let mut layers = (0..config.layers).map(|i| reader.layer(i));
    let llama = make(config, words, &mut layers)?;
    check_all_read(&file)?;
    Ok(Loaded { llama, tokenizer, chat_template })
}

/// A tensor that is left over would have changed the results: a bias, a scaling of the rotation, a layer.
fn check_all_read(file: &GgufFile) -> Result<(), LoadError> {
    let unread = file.unread();
    if let [first, ..] = unread[..] {
        return Err(LoadError::Configuration(format!(
            "the file has {} tensors that this build would ignore, such as {first}; choose a plain Llama model",
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
    file: &'a mut GgufFile,
}

impl Reader<'_> {
    fn layer(&mut self, i: usize) -> Result<LayerWeights, LoadError> {
        let LlamaConfig { width, hidden, heads, .. } = *self.config;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let mut qkv = halves_apart(&self.rows(&name("attn_q"), [queries, width])?, self.config);
        qkv.extend(halves_apart(&self.rows(&name("attn_k"), [keys, width])?, self.config));
        qkv.extend(self.rows(&name("attn_v"), [keys, width])?);
        let mut gate_up = self.rows(&name("ffn_gate"), [hidden, width])?;
        gate_up.extend(self.rows(&name("ffn_up"), [hidden, width])?);
        Ok(LayerWeights {
            attention_norm: self.file.tensor(&name("attn_norm"), &[width])?,
            qkv,
            attention_out: self.rows(&name("attn_output"), [width, queries])?,
            feed_forward_norm: self.file.tensor(&name("ffn_norm"), &[width])?,
            gate_up,
            down: self.rows(&name("ffn_down"), [width, hidden])?,
        })
    }

    /// The head shares the embeddings' weights where the file has none of its own.
    fn words(&mut self) -> Result<EmbeddingWeights, LoadError> {
        let LlamaConfig { width, vocabulary, .. } = *self.config;
        let embeddings = self.rows("token_embd.weight", [vocabulary, width])?;
        let lm_head = match self.file.shape("output.weight") {
            Some(_) => Some(self.rows("output.weight", [vocabulary, width])?),
            None => None,
        };
        Ok(EmbeddingWeights { embeddings, lm_head, norm: self.file.tensor("output_norm.weight", &[width])? })
    }

    /// A tensor of `shape`: rows, and values a row.
    fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, GgufError> {
        self.file.tensor(name, &shape)
    }
}

/// GGUF interleaves the two halves that rotary positions pair up; this lays them apart again, head by head,
/// so that rotation runs over contiguous lanes. Products of queries and keys do not change.
fn halves_apart(rows: &[f32], config: &LlamaConfig) -> Vec<f32> {
    let (head, width) = (config.heads.width, config.width);
    let source = |row: usize| {
        let (first, place) = (row - row % head, row % head);
        first + if place < head / 2 { 2 * place } else { 2 * (place - head / 2) + 1 }
    };
    (0..rows.len() / width).flat_map(|row| &rows[source(row) * width..][..width]).copied().collect()
}
