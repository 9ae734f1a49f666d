//! The sizes of a decoder, read from a GGUF file's metadata and checked before anything is computed with them.
//!
//! Limits lie well above any model that a processor runs. A value beyond them is damage, and is refused before
//! something is allocated by it.

use std::ops::RangeInclusive;

use super::attention::Heads;
use super::causal::{LlamaConfig, Rotary};
use super::error::LoadError;
use super::family::{Family, Windows};
use super::gguf::{GgufError, GgufFile};

/// Most layers.
const MAX_LAYERS: usize = 1 << 10;
/// Widest residual stream.
const MAX_WIDTH: usize = 1 << 16;
/// Widest feed-forward network.
const MAX_HIDDEN: usize = 1 << 19;
/// Widest attention head.
const MAX_HEAD: usize = 1 << 10;
/// Shortest and longest context, in tokens. Scoring windows are 16 tokens at least.
const CONTEXT: RangeInclusive<usize> = 16..=1 << 20;
/// Narrowest and widest sliding window, in tokens.
const WINDOW: RangeInclusive<usize> = 1..=1 << 20;
/// Most angles in the table of rotations: 64 MiB of cosines and as many of sines.
const MAX_ANGLES: usize = 1 << 24;

/// The largest factor that a file may multiply or divide by.
const MAX_SCALE: f32 = 1e6;

/// The metadata of a file under the keys of its architecture.
struct Keys<'a> {
    file: &'a GgufFile,
    family: Family,
}

/// Multipliers that weights take on when they are read, so that the pass knows nothing of them; none is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Multipliers {
    /// The factor of queries, beside one over the square root of a head's width.
    pub(super) query: Option<f32>,
    /// The factor of what attention and feed-forward give.
    pub(super) residual: Option<f32>,
    /// The factor of logits.
    pub(super) logit: Option<f32>,
}

/// Reads the sizes of a model of `family` whose tokenizer has `vocabulary` tokens.
///
/// # Errors
/// A size is missing, impossible, contradicts another, or asks for what this build does not compute.
pub(super) fn configuration(
    file: &GgufFile,
    family: Family,
    vocabulary: usize,
) -> Result<LlamaConfig, LoadError> {
    let keys = Keys { file, family };
    let width = keys.size("embedding_length", 1..=MAX_WIDTH)?;
    let heads = keys.heads(width)?;
    keys.check_vocabulary(vocabulary)?;
    let context = keys.size("context_length", CONTEXT)?;
    let scaled = family.scaled_embeddings.then(|| (width as f32).sqrt());
    let pattern = matches!(family.windows, Windows::AllBut { .. });
    Ok(LlamaConfig {
        layers: keys.layer_count()?,
        width,
        hidden: keys.size("feed_forward_length", 1..=MAX_HIDDEN)?,
        heads,
        vocabulary,
        // A context that needs a larger table is cut short rather than refused: nothing else depends on it.
        context: context.min(MAX_ANGLES / (heads.width / 2)),
        rotary: keys.rotary()?,
        norm_eps: keys.norm_eps()?,
        family,
        window: if pattern { Some(keys.size("attention.sliding_window", WINDOW)?) } else { keys.window()? },
        attention_cap: keys.factor("attn_logit_softcapping")?,
        logit_cap: keys.factor("final_logit_softcapping")?,
        embedding_scale: keys.factor("embedding_scale")?.or(scaled),
    })
}

/// Reads the multipliers that a file may have.
///
/// # Errors
/// One of them is impossible.
pub(super) fn multipliers(file: &GgufFile, config: &LlamaConfig) -> Result<Multipliers, LoadError> {
    let keys = Keys { file, family: config.family };
    let root = (config.heads.width as f32).sqrt();
    Ok(Multipliers {
        query: keys.factor("attention.scale")?.map(|scale| scale * root),
        residual: keys.factor("residual_scale")?,
        logit: keys.factor("logit_scale")?.map(f32::recip),
    })
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

impl Keys<'_> {
    fn u32(&self, key: &str) -> Result<Option<u32>, GgufError> {
        optional(self.file.u32(&self.family.key(key)))
    }

    fn size(&self, key: &str, sound: RangeInclusive<usize>) -> Result<usize, LoadError> {
        let key = self.family.key(key);
        let size = self.file.u32(&key)? as usize;
        if !sound.contains(&size) {
            return wrong(format!("{key} is {size}, not within {} to {}", sound.start(), sound.end()));
        }
        Ok(size)
    }

    /// Layers of the model, from 1 to 1024.
    fn layer_count(&self) -> Result<usize, LoadError> {
        /// Layers of Gemma 2 and 3 of 27 billion parameters.
        const LARGEST_GEMMAS: [usize; 2] = [46, 62];
        let layers = self.size("block_count", 1..=MAX_LAYERS)?;
        if self.family.scaled_embeddings && LARGEST_GEMMAS.contains(&layers) {
            let name = self.family.name;
            return wrong(format!(
                "a {name} of {layers} layers scales its queries by a factor that no key states: choose a smaller one"
            ));
        }
        Ok(layers)
    }

    /// A factor or a bound, where the file has it; 0 means that it has none.
    fn factor(&self, key: &str) -> Result<Option<f32>, LoadError> {
        let key = self.family.key(key);
        let found = optional(self.file.f32(&key))?.filter(|&factor| factor != 0.0);
        match found {
            Some(factor) if !(1.0 / MAX_SCALE..=MAX_SCALE).contains(&factor) => {
                wrong(format!("{key} is {factor}, not within {} to {MAX_SCALE}", 1.0 / MAX_SCALE))
            }
            found => Ok(found),
        }
    }

    /// The width of the window, where the file has one.
    fn window(&self) -> Result<Option<usize>, LoadError> {
        match self.u32("attention.sliding_window")? {
            None | Some(0) => Ok(None),
            Some(_) => self.size("attention.sliding_window", WINDOW).map(Some),
        }
    }

    fn rotary(&self) -> Result<Rotary, LoadError> {
        let base = self.factor_from_one("rope.freq_base")?.unwrap_or(10_000.0);
        let stretch = self.stretch()?;
        Ok(Rotary { base, stretch, factors: None })
    }

    /// A finite number of at least 1, where the file has it.
    fn factor_from_one(&self, key: &str) -> Result<Option<f32>, LoadError> {
        let key = self.family.key(key);
        match optional(self.file.f32(&key))? {
            Some(factor) if !factor.is_finite() || factor < 1.0 => wrong(format!("{key} is {factor}")),
            found => Ok(found),
        }
    }

    /// The stretch of the rotation for contexts longer than trained: none, or linear.
    fn stretch(&self) -> Result<f32, LoadError> {
        let kind = self.family.key("rope.scaling.type");
        match optional(self.file.str(&kind))? {
            None | Some("none") => Ok(1.0),
            Some("linear") => Ok(self.factor_from_one("rope.scaling.factor")?.unwrap_or(1.0)),
            Some(other) => wrong(format!(
                "{kind} is `{other}`; only none and linear are supported, and factors in rope_freqs.weight: \
                 choose a model with one of these"
            )),
        }
    }

    fn norm_eps(&self) -> Result<f32, LoadError> {
        let key = self.family.key("attention.layer_norm_rms_epsilon");
        let eps = self.file.f32(&key)?;
        if !(eps > 0.0 && eps < 1.0) {
            return wrong(format!("{key} is {eps}"));
        }
        Ok(eps)
    }

    fn heads(&self, width: usize) -> Result<Heads, LoadError> {
        let queries = self.size("attention.head_count", 1..=width)?;
        let shared = self.file.has(&self.family.key("attention.head_count_kv"));
        let keys = if shared { self.size("attention.head_count_kv", 1..=queries)? } else { queries };
        let head = match self.u32("attention.key_length")? {
            Some(_) => self.size("attention.key_length", 2..=MAX_HEAD)?,
            None if width.is_multiple_of(queries) => width / queries,
            None => 0,
        };
        if !queries.is_multiple_of(keys) || head == 0 || !head.is_multiple_of(2) {
            return wrong(format!(
                "{queries} query heads, {keys} key heads and width {width} do not go together"
            ));
        }
        if head > MAX_HEAD {
            return wrong(format!("attention heads are {head} wide, more than {MAX_HEAD}"));
        }
        self.check_head(width / queries, head)?;
        Ok(Heads { queries, keys, width: head })
    }

    /// Checks that values are as wide as keys, `head`, and that the whole of a head is rotated.
    fn check_head(&self, usual: usize, head: usize) -> Result<(), LoadError> {
        let values = self.u32("attention.value_length")?.map_or(usual, |found| found as usize);
        let rotated = self.u32("rope.dimension_count")?.map_or(head, |found| found as usize);
        for (key, found) in [("attention.value_length", values), ("rope.dimension_count", rotated)] {
            if found != head {
                return wrong(format!(
                    "{} is {found}; only the width of a head, {head}, is supported: choose another model",
                    self.family.key(key)
                ));
            }
        }
        Ok(())
    }

    /// Checks that tokenizer, metadata and embeddings agree on the size of the vocabulary.
    fn check_vocabulary(&self, vocabulary: usize) -> Result<(), LoadError> {
        if let Some(rows) = self.file.shape("token_embd.weight").and_then(|shape| shape.first())
            && *rows != vocabulary
        {
            return wrong(format!(
                "the tokenizer has {vocabulary} tokens, but token_embd.weight {rows} rows"
            ));
        }
        if let Some(claimed) = self.u32("vocab_size")?
            && claimed as usize != vocabulary
        {
            let key = self.family.key("vocab_size");
            return wrong(format!("the tokenizer has {vocabulary} tokens, but {key} is {claimed}"));
        }
        for key in ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"] {
            if let Some(id) = optional(self.file.u32(key))?
                && id as usize >= vocabulary
            {
                return wrong(format!("{key} is {id}, but the tokenizer has {vocabulary} tokens"));
            }
        }
        Ok(())
    }
}
