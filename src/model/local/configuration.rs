//! The sizes of a decoder, read from a GGUF file's metadata and checked before anything is computed with them.
//!
//! Limits lie well above any model that a processor runs. A value beyond them is damage, and is refused before
//! something is allocated by it.

use std::ops::RangeInclusive;

use super::attention::Heads;
use super::causal::{LlamaConfig, Rotary};
use super::error::LoadError;
use super::experts::Mixture;
use super::family::{Family, LogitScale, Parallel, Ramp, Routing, Windows};
use super::gguf::{GgufError, GgufFile};

/// Most layers.
const MAX_LAYERS: usize = 1 << 10;
/// Widest residual stream.
const MAX_WIDTH: usize = 1 << 16;
/// Widest feed-forward network.
const MAX_HIDDEN: usize = 1 << 19;
/// Most experts of a layer.
const MAX_EXPERTS: usize = 1 << 10;
/// Widest attention head.
const MAX_HEAD: usize = 1 << 10;
/// Shortest and longest context, in tokens. Scoring windows are 16 tokens at least.
const CONTEXT: RangeInclusive<usize> = 16..=1 << 20;
/// Narrowest and widest sliding window, in tokens.
const WINDOW: RangeInclusive<usize> = 1..=1 << 20;
/// Most angles in the table of rotations: 64 MiB of cosines and as many of sines.
const MAX_ANGLES: usize = 1 << 24;

/// The key of the context of the first training, before it was stretched.
const ORIGINAL_CONTEXT: &str = "rope.scaling.original_context_length";
/// The name of a stretch that leaves fast frequencies as they are.
const YARN: &str = "yarn";

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
    keys.check_clamps()?;
    let context = keys.size("context_length", CONTEXT)?;
    let rotated = keys.rotated(heads)?;
    let mixture = keys.mixture()?;
    let scaled = family.scaled_embeddings.then(|| (width as f32).sqrt());
    let pattern = matches!(family.windows, Windows::AllBut { .. });
    Ok(LlamaConfig {
        layers: keys.size("block_count", 1..=MAX_LAYERS)?,
        width,
        hidden: keys.hidden(mixture.is_some())?,
        mixture,
        heads,
        rotated,
        vocabulary,
        // A context that needs a larger table is cut short rather than refused: nothing else depends on it.
        context: context.min(MAX_ANGLES / (rotated / 2)),
        rotary: keys.rotary(rotated, context)?,
        alibi_bias: keys.factor("attention.max_alibi_bias")?.unwrap_or(8.0),
        norm_eps: keys.norm_eps()?,
        family,
        parallel: keys.parallel()?,
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
    let scale = keys.factor("attention.scale")?.or_else(|| large_gemma_scale(config));
    let logit = keys.factor("logit_scale")?;
    Ok(Multipliers {
        query: scale.map(|scale| scale * root),
        residual: keys.factor("residual_scale")?,
        logit: match config.family.logit_scale {
            LogitScale::Divide => logit.map(f32::recip),
            LogitScale::Multiply => logit,
        },
    })
}

/// Returns the factor of queries of Gemma 2 and 3 of 27 billion parameters, which no key states: the residual stream's
/// width stands in it for that of a head. They are known by their layers, as in llama.cpp.
fn large_gemma_scale(config: &LlamaConfig) -> Option<f32> {
    let layers = match config.family.name {
        "gemma2" => 46,
        "gemma3" => 62,
        _ => return None,
    };
    (config.layers == layers).then(|| 1.0 / (config.width as f32 / config.heads.queries as f32).sqrt())
}

/// The lengths, in tokens, for which a model is used: a file may have one rotation for short and one for long texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// At most as long as the texts that the model was first trained on.
    Short,
    /// Longer.
    Long,
}

/// Returns which of two rotations serves texts of up to `window` tokens. With the one for short texts the model's context
/// is as long as these.
///
/// # Errors
/// The key of that length is missing or impossible.
pub(super) fn reach(file: &GgufFile, config: &mut LlamaConfig, window: usize) -> Result<Reach, LoadError> {
    let trained = Keys { file, family: config.family }.size(ORIGINAL_CONTEXT, CONTEXT)?;
    if window > trained {
        return Ok(Reach::Long);
    }
    config.context = config.context.min(trained);
    Ok(Reach::Short)
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

    /// Returns whether the feed-forward network reads what attention reads.
    fn parallel(&self) -> Result<bool, LoadError> {
        Ok(match self.family.parallel {
            Parallel::Never => false,
            Parallel::WithOneNorm => self.file.shape("blk.0.ffn_norm.weight").is_none(),
            Parallel::Stated => {
                optional(self.file.flag(&self.family.key("use_parallel_residual")))?.unwrap_or(true)
            }
        })
    }

    /// Checks that queries, keys and values have no bounds.
    fn check_clamps(&self) -> Result<(), LoadError> {
        match self.factor("attention.clamp_kqv")? {
            Some(bound) => wrong(format!(
                "{} is {bound}; bounds of queries, keys and values are not supported: choose another model",
                self.family.key("attention.clamp_kqv")
            )),
            None => Ok(()),
        }
    }

    /// The mixture of experts, where the file has one.
    fn mixture(&self) -> Result<Option<Mixture>, LoadError> {
        let Some(found) = self.u32("expert_count")?.filter(|&experts| experts > 0) else { return Ok(None) };
        let Some(routing) = self.family.routing else {
            return wrong(format!(
                "{} is {found}; a mixture of experts is not supported for this architecture: choose a model without",
                self.family.key("expert_count")
            ));
        };
        self.only("expert_gating_func", 1)?;
        self.only("expert_group_count", 1)?;
        let experts = self.size("expert_count", 1..=MAX_EXPERTS)?;
        let normalised = self.family.key("expert_weights_norm");
        Ok(Some(Mixture {
            experts,
            used: self.size("expert_used_count", 1..=experts)?,
            shared: match self.u32("expert_shared_feed_forward_length")? {
                None | Some(0) => None,
                Some(_) => Some(self.size("expert_shared_feed_forward_length", 1..=MAX_HIDDEN)?),
            },
            normalised: optional(self.file.flag(&normalised))?.unwrap_or(routing == Routing::Normalised),
            scale: self.factor("expert_weights_scale")?.unwrap_or(1.0),
        }))
    }

    /// Checks that a key that is there has the one value that is supported, or 0.
    fn only(&self, key: &str, supported: u32) -> Result<(), LoadError> {
        match self.u32(key)? {
            Some(found) if found != supported && found != 0 => wrong(format!(
                "{} is {found}; only {supported} is supported: choose another model",
                self.family.key(key)
            )),
            _ => Ok(()),
        }
    }

    /// The width inside the feed-forward network, or inside each expert.
    fn hidden(&self, mixture: bool) -> Result<usize, LoadError> {
        const EXPERT: &str = "expert_feed_forward_length";
        let own = mixture && self.u32(EXPERT)?.is_some_and(|width| width > 0);
        self.size(if own { EXPERT } else { "feed_forward_length" }, 1..=MAX_HIDDEN)
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

    /// The rotation of the leading `rotated` values of heads, of a model with this `context`.
    fn rotary(&self, rotated: usize, context: usize) -> Result<Rotary, LoadError> {
        let base = self.factor_from_one("rope.freq_base")?.unwrap_or(10_000.0);
        let mut rotary = Rotary { stretch: self.stretch()?, ..Rotary::plain(base) };
        for key in ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
            rotary.magnitude *= self.factor(key)?.unwrap_or(1.0);
        }
        if self.scaling()? == Some(YARN) {
            rotary.ramp = Some(self.ramp(base, rotated, context)?);
            // The entropy of attention over a longer context is kept down by this (arXiv 2309.00071, section 3.4).
            rotary.magnitude *= 0.1 * rotary.stretch.ln() + 1.0;
        }
        Ok(rotary)
    }

    /// The frequencies, by number, between which `YaRN` goes over from those of the file's base to stretched ones: those
    /// that turn so often within the context of the first training.
    fn ramp(&self, base: f32, rotated: usize, context: usize) -> Result<(f32, f32), LoadError> {
        let original = match self.u32(ORIGINAL_CONTEXT)? {
            Some(_) => self.size(ORIGINAL_CONTEXT, CONTEXT)?,
            None => context,
        };
        let turns = |key, usual: f32| Ok::<_, LoadError>(self.factor(key)?.unwrap_or(usual));
        let number = |turns: f32| {
            let length = original as f32 / (turns * std::f32::consts::TAU);
            rotated as f32 * length.ln() / (2.0 * base.ln())
        };
        for (key, only) in [("rope.scaling.yarn_ext_factor", 1.0), ("rope.scaling.yarn_log_multiplier", 0.0)]
        {
            let key = self.family.key(key);
            let found = optional(self.file.f32(&key))?.unwrap_or(only);
            if found.total_cmp(&only).is_ne() {
                return wrong(format!("{key} is {found}; only {only} is supported: choose another model"));
            }
        }
        let mut low = number(turns("rope.scaling.yarn_beta_fast", 32.0)?);
        let mut high = number(turns("rope.scaling.yarn_beta_slow", 1.0)?);
        if self.family.ramp == Ramp::Whole {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(rotated as f32 - 1.0));
        if low.is_finite() && high.is_finite() {
            return Ok((low, high));
        }
        wrong(format!("{} is {base}, which turns nothing", self.family.key("rope.freq_base")))
    }

    /// The name of the stretch of the rotation for contexts longer than trained, where the file has one.
    fn scaling(&self) -> Result<Option<&str>, LoadError> {
        Ok(optional(self.file.str(&self.family.key("rope.scaling.type")))?)
    }

    /// A finite number of at least 1, where the file has it.
    fn factor_from_one(&self, key: &str) -> Result<Option<f32>, LoadError> {
        let key = self.family.key(key);
        match optional(self.file.f32(&key))? {
            Some(factor) if !factor.is_finite() || factor < 1.0 => wrong(format!("{key} is {factor}")),
            found => Ok(found),
        }
    }

    /// The divisor of frequencies.
    fn stretch(&self) -> Result<f32, LoadError> {
        match self.scaling()? {
            None | Some("none" | "longrope") => Ok(1.0),
            Some("linear" | YARN) => Ok(self.factor_from_one("rope.scaling.factor")?.unwrap_or(1.0)),
            Some(other) => wrong(format!(
                "{} is `{other}`; only none, linear, yarn and longrope are supported: choose a model with one of these",
                self.family.key("rope.scaling.type")
            )),
        }
    }

    fn norm_eps(&self) -> Result<f32, LoadError> {
        let rms = if self.family.layer_norm { "" } else { "_rms" };
        let key = self.family.key(&format!("attention.layer_norm{rms}_epsilon"));
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

    /// Checks that values are as wide as keys, `head`.
    fn check_head(&self, usual: usize, head: usize) -> Result<(), LoadError> {
        let values = self.u32("attention.value_length")?.map_or(usual, |found| found as usize);
        if values != head {
            return wrong(format!(
                "{} is {values}; only the width of a head, {head}, is supported: choose another model",
                self.family.key("attention.value_length")
            ));
        }
        Ok(())
    }

    /// The leading values of a head that are rotated.
    fn rotated(&self, heads: Heads) -> Result<usize, LoadError> {
        let rotated = self.u32("rope.dimension_count")?.map_or(heads.width, |found| found as usize);
        if !(2..=heads.width).contains(&rotated) || !rotated.is_multiple_of(2) {
            return wrong(format!(
                "{} is {rotated}, not an even part of a head's width of {}",
                self.family.key("rope.dimension_count"),
                heads.width
            ));
        }
        Ok(rotated)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::local::family::FAMILIES;

    #[test]
    fn only_the_largest_gemmas_scale_queries_by_the_width_of_the_model() {
        let scale = |name: &str, layers| {
            let family = FAMILIES.into_iter().find(|family| family.name == name).unwrap();
            let heads = Heads { queries: 32, keys: 16, width: 128 };
            let config = LlamaConfig { family, layers, width: 4608, heads, ..LlamaConfig::TINY };
            large_gemma_scale(&config)
        };
        // The configuration of the original states 144 for it: 4608 / 32.
        assert_eq!(scale("gemma2", 46), Some(1.0 / 12.0));
        assert!(scale("gemma3", 62).is_some());
        for (name, layers) in [("gemma2", 42), ("gemma2", 62), ("gemma3", 46), ("llama", 46), ("gemma", 46)] {
            assert_eq!(scale(name, layers), None, "{name} {layers}");
        }
    }
}
