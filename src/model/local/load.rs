//! From a GGUF file of the Llama family to a model ready to run.

use std::path::Path;
use std::sync::Mutex;

use super::chat::Chat;
use super::configuration::{configuration, layer_count};
use super::gguf::{GgufError, GgufFile};
use super::int8::{COLUMNS, GROUP, QuantRows};
use super::linear::{Linear, Math};
use super::llama::{Embeddings, HEAD_COLUMNS, Layer, Llama, LlamaConfig, Rope};
use super::tokenizer::{GgufTokenizer, TokenizerError};
use crate::model::Precision;

/// Why a model file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// Its tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its sizes contradict each other or exceed what this build runs.
    #[error("the model's configuration is unusable: {0}")]
    Configuration(String),
    /// No thread could be started for the model.
    #[error("no thread could be started for the model: {0}")]
    Threads(String),
}

/// A model and how texts become its tokens.
pub(crate) struct Loaded {
    pub(crate) llama: Llama,
    pub(crate) tokenizer: GgufTokenizer,
    pub(crate) chat: Chat,
}

/// Reads tokenizer and weights, and packs the weights for this processor.
pub(crate) fn load(path: &Path, precision: Precision) -> Result<Loaded, LoadError> {
    let mut file = GgufFile::open(path)?;
    file.architecture(&["llama"])?;
    let tokens = file.strings("tokenizer.ggml.tokens")?;
    let merges = file.strings("tokenizer.ggml.merges")?;
    let tokenizer = GgufTokenizer::new(&tokens, &merges, file.str("tokenizer.ggml.pre")?)?;
    let chat = Chat::new(&file, &tokens)?;
    let config = configuration(&file, tokenizer.vocabulary())?;
    let layers = layer_count(&file)?;
    let mut loader = Loader { math: Math::detect(), config: &config, precision, file: &mut file };
    loader.check_multiples()?;
    let layers = (0..layers).map(|i| loader.layer(i)).collect::<Result<_, _>>()?;
    let (embeddings, head) = loader.embeddings_and_head()?;
    let llama = Llama {
        norm: loader.file.tensor("output_norm.weight", &[config.width])?,
        math: loader.math,
        rope: Rope::new(&config),
        scratch: Mutex::default(),
        embeddings,
        layers,
        head,
        config,
    };
    check_all_read(&file)?;
    Ok(Loaded { llama, tokenizer, chat })
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

/// Reads and packs tensors.
struct Loader<'a> {
    math: Math,
    config: &'a LlamaConfig,
    precision: Precision,
    file: &'a mut GgufFile,
}

impl Loader<'_> {
    /// 8-bit products take whole groups and panels.
    fn check_multiples(&self) -> Result<(), LoadError> {
        let LlamaConfig { width, hidden, heads, vocabulary, .. } = *self.config;
        let inputs = [width, hidden, heads.queries * heads.width];
        let outputs = [width, heads.row(), 2 * hidden, vocabulary];
        let whole = inputs.iter().all(|n| n.is_multiple_of(GROUP))
            && outputs.iter().all(|n| n.is_multiple_of(COLUMNS));
        if self.precision == Precision::Int8 && !whole {
            return Err(LoadError::Configuration(format!(
                "int8 needs inputs of multiples of {GROUP} and outputs of multiples of {COLUMNS}, not {inputs:?} \
                 and {outputs:?}; use precision f32"
            )));
        }
        Ok(())
    }

    fn layer(&mut self, i: u32) -> Result<Layer, LoadError> {
        let LlamaConfig { width, hidden, heads, .. } = *self.config;
        let (queries, keys) = (heads.queries * heads.width, heads.keys * heads.width);
        let name = |tensor: &str| format!("blk.{i}.{tensor}.weight");
        let mut qkv = halves_apart(&self.rows(&name("attn_q"), [queries, width])?, self.config);
        qkv.extend(halves_apart(&self.rows(&name("attn_k"), [keys, width])?, self.config));
        qkv.extend(self.rows(&name("attn_v"), [keys, width])?);
        let mut gate_up = self.rows(&name("ffn_gate"), [hidden, width])?;
        gate_up.extend(self.rows(&name("ffn_up"), [hidden, width])?);
        let attention_out = self.rows(&name("attn_output"), [width, queries])?;
        let down = self.rows(&name("ffn_down"), [width, hidden])?;
        Ok(Layer {
            attention_norm: self.file.tensor(&name("attn_norm"), &[width])?,
            qkv: self.pack(&qkv, width),
            attention_out: self.pack(&attention_out, queries),
            feed_forward_norm: self.file.tensor(&name("ffn_norm"), &[width])?,
            gate_up: self.pack(&gate_up, width),
            down: self.pack(&down, hidden),
        })
    }

    /// The head shares the embeddings' weights where the file has none of its own.
    fn embeddings_and_head(&mut self) -> Result<(Embeddings, Vec<Linear>), LoadError> {
        let LlamaConfig { width, vocabulary, .. } = *self.config;
        let embeddings = self.rows("token_embd.weight", [vocabulary, width])?;
        let own = match self.file.shape("output.weight") {
            Some(_) => Some(self.rows("output.weight", [vocabulary, width])?),
            None => None,
        };
        let head = own.as_ref().unwrap_or(&embeddings);
        match self.precision {
            Precision::F32 => {
                let pieces = head.chunks(HEAD_COLUMNS * width);
                let head = pieces.map(|rows| Linear::pack(self.math, rows, width)).collect();
                Ok((Embeddings::Floats(embeddings), head))
            }
            Precision::Int8 => {
                let quantised = |rows: &[f32]| QuantRows::from_floats(self.math.isa, rows, width);
                let pieces = head.chunks(HEAD_COLUMNS * width);
                let head = pieces.map(|rows| Linear::pack_int8(&quantised(rows))).collect();
                Ok((Embeddings::Quantised(quantised(&embeddings)), head))
            }
        }
    }

    /// A tensor of `shape`: rows, and values a row.
    fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, GgufError> {
        self.file.tensor(name, &shape)
    }

    fn pack(&self, rows: &[f32], inputs: usize) -> Linear {
        Linear::pack_as(self.precision, self.math, rows, inputs)
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
