//! The sizes of a Llama, read from a GGUF file's metadata and checked before anything is computed with them.
//!
//! Limits lie well above any model that a processor runs. A value beyond them is damage, and is refused before
//! something is allocated by it.

use std::ops::RangeInclusive;

use super::attention::Heads;
use super::causal::LlamaConfig;
use super::error::LoadError;
use super::gguf::{GgufError, GgufFile};

/// Most layers.
const MAX_LAYERS: u32 = 1 << 10;
/// Widest residual stream.
const MAX_WIDTH: usize = 1 << 16;
/// Widest feed-forward network.
const MAX_HIDDEN: usize = 1 << 19;
/// Widest attention head.
const MAX_HEAD: usize = 1 << 10;
/// Shortest and longest context, in tokens. Scoring windows are 16 tokens at least.
const CONTEXT: RangeInclusive<usize> = 16..=1 << 20;
/// Most angles in the table of rotations: 64 MiB of cosines and as many of sines.
const MAX_ANGLES: usize = 1 << 24;

/// Reads the sizes of a model whose tokenizer has `vocabulary` tokens.
///
/// # Errors
/// A size is missing, impossible, contradicts another, or asks for what this build does not compute.
pub(super) fn configuration(file: &GgufFile, vocabulary: usize) -> Result<LlamaConfig, LoadError> {
    let width = size(file, "embedding_length", 1..=MAX_WIDTH)?;
    let heads = heads(file, width)?;
    check_vocabulary(file, vocabulary)?;
    check_unscaled(file)?;
    let context = size(file, "context_length", CONTEXT)?;
    Ok(LlamaConfig {
        layers: layer_count(file)?,
        width,
        hidden: size(file, "feed_forward_length", 1..=MAX_HIDDEN)?,
        heads,
        vocabulary,
        // A context that needs a larger table is cut short rather than refused: nothing else depends on it.
        context: context.min(MAX_ANGLES / (heads.width / 2)),
        rope_base: rope_base(file)?,
        norm_eps: norm_eps(file)?,
    })
}

/// Layers of the model, from 1 to 1024.
///
/// # Errors
/// The number is missing or outside that range.
fn layer_count(file: &GgufFile) -> Result<usize, LoadError> {
    let layers = file.u32("llama.block_count")?;
    if !(1..=MAX_LAYERS).contains(&layers) {
        return wrong(format!("llama.block_count is {layers}, not within 1 to {MAX_LAYERS}"));
    }
    Ok(layers as usize)
}

fn wrong<T>(what: String) -> Result<T, LoadError> {
    Err(LoadError::Configuration(what))
}

/// Turns a key that is not there, but no other fault, into nothing.
fn optional<T>(found: Result<T, GgufError>) -> Result<Option<T>, GgufError> {
    match found {
        Err(GgufError::MissingKey(_)) => Ok(None),
        other => other.map(Some),
    }
}

fn size(file: &GgufFile, key: &str, sound: RangeInclusive<usize>) -> Result<usize, LoadError> {
    let key = format!("llama.{key}");
    let size = file.u32(&key)? as usize;
    if !sound.contains(&size) {
        return wrong(format!("{key} is {size}, not within {} to {}", sound.start(), sound.end()));
    }
    Ok(size)
}

fn rope_base(file: &GgufFile) -> Result<f32, LoadError> {
    let base = optional(file.f32("llama.rope.freq_base"))?.unwrap_or(10_000.0);
    if !base.is_finite() || base < 1.0 {
        return wrong(format!("llama.rope.freq_base is {base}"));
    }
    Ok(base)
}

fn norm_eps(file: &GgufFile) -> Result<f32, LoadError> {
    let eps = file.f32("llama.attention.layer_norm_rms_epsilon")?;
    if !(eps > 0.0 && eps < 1.0) {
        return wrong(format!("llama.attention.layer_norm_rms_epsilon is {eps}"));
    }
    Ok(eps)
}

fn heads(file: &GgufFile, width: usize) -> Result<Heads, LoadError> {
    let queries = size(file, "attention.head_count", 1..=width)?;
    let shared = file.has("llama.attention.head_count_kv");
    let keys = if shared { size(file, "attention.head_count_kv", 1..=queries)? } else { queries };
    if !queries.is_multiple_of(keys) || !width.is_multiple_of(2 * queries) {
        return wrong(format!(
            "{queries} query heads, {keys} key heads and width {width} do not go together"
        ));
    }
    let heads = Heads { queries, keys, width: width / queries };
    if heads.width > MAX_HEAD {
        return wrong(format!("attention heads are {} wide, more than {MAX_HEAD}", heads.width));
    }
    for key in ["rope.dimension_count", "attention.key_length", "attention.value_length"] {
        let found = optional(file.u32(&format!("llama.{key}")))?;
        if let Some(found) = found.filter(|&found| found as usize != heads.width) {
            return wrong(format!(
                "llama.{key} is {found}; only the width of a head, {}, is supported",
                heads.width
            ));
        }
    }
    Ok(heads)
}

/// Checks that tokenizer, metadata and embeddings agree on the size of the vocabulary.
fn check_vocabulary(file: &GgufFile, vocabulary: usize) -> Result<(), LoadError> {
    if let Some(rows) = file.shape("token_embd.weight").and_then(|shape| shape.first())
        && *rows != vocabulary
    {
        return wrong(format!("the tokenizer has {vocabulary} tokens, but token_embd.weight {rows} rows"));
    }
    if let Some(claimed) = optional(file.u32("llama.vocab_size"))?
        && claimed as usize != vocabulary
    {
        return wrong(format!("the tokenizer has {vocabulary} tokens, but llama.vocab_size is {claimed}"));
    }
    for key in ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"] {
        if let Some(id) = optional(file.u32(key))?
            && id as usize >= vocabulary
        {
            return wrong(format!("{key} is {id}, but the tokenizer has {vocabulary} tokens"));
        }
    }
    Ok(())
}

/// Rotations are computed as trained, without a stretch for longer contexts.
fn check_unscaled(file: &GgufFile) -> Result<(), LoadError> {
    match optional(file.str("llama.rope.scaling.type"))? {
        None | Some("none") => Ok(()),
        Some(kind) => wrong(format!("rope scaling `{kind}` is not supported; choose a model without")),
    }
}
