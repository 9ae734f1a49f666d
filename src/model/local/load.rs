//! From a GGUF file of the Llama family to a model ready to run.

use std::path::Path;
use std::sync::Mutex;

use rten_gemm::GemmExecutor;

use super::attention::Heads;
use super::gguf::{GgufError, GgufFile};
use super::kernels::Isa;
use super::linear::Linear;
use super::llama::{HEAD_COLUMNS, Layer, Llama, LlamaConfig, Rope};
use super::tokenizer::{GgufTokenizer, TokenizerError};

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

/// Reads tokenizer and weights. Weights are dequantised to f32 and packed for this processor.
pub(crate) fn load(path: &Path) -> Result<(Llama, GgufTokenizer), LoadError> {
    let mut file = GgufFile::open(path)?;
    let tokenizer = tokenizer(&file)?;
    let config = configuration(&file, &tokenizer)?;
    // Lives as long as the process, like the model in nearly every use; a few bytes for each load.
    let gemm: &'static GemmExecutor = Box::leak(Box::new(GemmExecutor::new()));
    let layers = (0..file.u32("llama.block_count")?)
        .map(|i| layer(&mut file, &config, gemm, i))
        .collect::<Result<_, _>>()?;
    let embeddings = file.tensor("token_embd.weight")?;
    let tied = file.tensor("output.weight").ok();
    let head_rows = tied.as_deref().unwrap_or(&embeddings);
    let head = head_rows
        .chunks(HEAD_COLUMNS * config.width)
        .map(|rows| Linear::pack(gemm, rows, config.width))
        .collect();
    let llama = Llama {
        norm: file.tensor("output_norm.weight")?,
        rope: Rope::new(&config),
        isa: Isa::detect(),
        scratch: Mutex::default(),
        embeddings,
        layers,
        head,
        gemm,
        config,
    };
    Ok((llama, tokenizer))
}

fn tokenizer(file: &GgufFile) -> Result<GgufTokenizer, LoadError> {
    let tokens = file.strings("tokenizer.ggml.tokens")?;
    let merges = file.strings("tokenizer.ggml.merges")?;
    Ok(GgufTokenizer::new(&tokens, &merges, file.str("tokenizer.ggml.pre")?)?)
}

fn configuration(file: &GgufFile, tokenizer: &GgufTokenizer) -> Result<LlamaConfig, LoadError> {
    let size = |key: &str| file.u32(&format!("llama.{key}")).map(|n| n as usize);
    let width = size("embedding_length")?;
    let queries = size("attention.head_count")?;
    let keys = size("attention.head_count_kv").unwrap_or(queries);
    let wrong = |what: String| Err(LoadError::Configuration(what));
    if queries == 0 || keys == 0 || !queries.is_multiple_of(keys) || !width.is_multiple_of(2 * queries) {
        return wrong(format!("{queries} query heads, {keys} key heads, width {width}"));
    }
    let heads = Heads { queries, keys, width: width / queries };
    let rotated = size("rope.dimension_count").unwrap_or(heads.width);
    if rotated != heads.width {
        return wrong(format!("{rotated} of {} dimensions rotated; only all are supported", heads.width));
    }
    Ok(LlamaConfig {
        width,
        hidden: size("feed_forward_length")?,
        heads,
        vocabulary: tokenizer.vocabulary(),
        context: size("context_length")?,
        rope_base: file.f32("llama.rope.freq_base").unwrap_or(10_000.0),
        norm_eps: file.f32("llama.attention.layer_norm_rms_epsilon")?,
    })
}

fn layer(file: &mut GgufFile, config: &LlamaConfig, gemm: &GemmExecutor, i: u32) -> Result<Layer, LoadError> {
    let mut tensor = |name: &str| file.tensor(&format!("blk.{i}.{name}.weight"));
    let mut qkv = halves_apart(&tensor("attn_q")?, config);
    qkv.extend(halves_apart(&tensor("attn_k")?, config));
    qkv.extend(tensor("attn_v")?);
    let mut gate_up = tensor("ffn_gate")?;
    gate_up.extend(tensor("ffn_up")?);
    Ok(Layer {
        attention_norm: tensor("attn_norm")?,
        qkv: Linear::pack(gemm, &qkv, config.width),
        attention_out: Linear::pack(gemm, &tensor("attn_output")?, config.width),
        feed_forward_norm: tensor("ffn_norm")?,
        gate_up: Linear::pack(gemm, &gate_up, config.width),
        down: Linear::pack(gemm, &tensor("ffn_down")?, config.hidden),
    })
}

/// GGUF interleaves the two halves that rotary positions pair up; this lays them apart again, head by
/// head, so that rotation runs over contiguous lanes. Products of queries and keys do not change.
fn halves_apart(rows: &[f32], config: &LlamaConfig) -> Vec<f32> {
    let head = config.heads.width * config.width;
    rows.chunks(head)
        .flat_map(|head| {
            let row = |i: usize| &head[i * config.width..(i + 1) * config.width];
            let half = config.heads.width / 2;
            (0..half).map(move |i| row(2 * i)).chain((0..half).map(move |i| row(2 * i + 1)))
        })
        .flatten()
        .copied()
        .collect()
}
