//! The table of decoder families: what the pass of each does otherwise than Llama's, by the architecture that a GGUF
//! file names.
//!
//! The table leaves out what a file says by itself: sizes, scales and caps are keys of its metadata, and biases, norms of
//! queries and keys and a head of its own are there where the file has their tensors.

use super::gguf::{GgufError, GgufFile};

/// One architecture of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    /// The name in `general.architecture`, with which the keys of the file begin.
    pub(crate) name: &'static str,
    /// The rows of queries and keys that are rotated together.
    pub(crate) pairs: Pairs,
    /// The place of the norms in a layer.
    pub(crate) norms: Norms,
    /// Norms take the mean away too, where this is set: `LayerNorm` (arXiv 1607.06450) rather than `RMSNorm`.
    pub(crate) layer_norm: bool,
    /// The row that the feed-forward network reads.
    pub(crate) parallel: Parallel,
    /// The function that the gate of the feed-forward network goes through, or all of it where there is no gate.
    pub(crate) activation: Activation,
    /// The direction in which the file states the factor of logits.
    pub(crate) logit_scale: LogitScale,
    /// Embeddings are multiplied by the square root of their width where this is set.
    pub(crate) scaled_embeddings: bool,
    /// The layers that see a window alone, where the file has the key of its width.
    pub(crate) windows: Windows,
    /// Every so many-th layer rotates nothing; none where all do.
    pub(crate) unrotated_every: Option<usize>,
    /// The ends of the ramp of `YaRN`.
    pub(crate) ramp: Ramp,
    /// The way in which attention tells positions apart.
    pub(crate) positions: Positions,
    /// Norms stand inside of attention and feed-forward network too, before their last product.
    pub(crate) inner_norms: bool,
    /// The weights of a token's experts, in families that may have a mixture of them.
    pub(crate) routing: Option<Routing>,
}

/// The row that the feed-forward network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parallel {
    /// The one to which the output of attention was added.
    Never,
    /// The one that attention reads, where the file has one norm for both.
    WithOneNorm,
    /// The one that attention reads, unless the key `use_parallel_residual` says otherwise.
    Stated,
}

/// The way in which attention tells positions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positions {
    /// Queries and keys are rotated (arXiv 2104.09864).
    Rotary,
    /// Scores fall with the distance, in each head by another slope (`ALiBi`, arXiv 2108.12409).
    Alibi,
}

/// The ends of the ramp of `YaRN` (arXiv 2309.00071) between frequencies as they are and stretched ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ramp {
    /// They are rounded outwards to numbers of frequencies.
    Whole,
    /// They lie where the formula has them.
    Exact,
}

/// The order in which a file has the two values that are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// One behind the other.
    Neighbours,
    /// Half a head apart.
    Halves,
}

/// The place of the norms in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norms {
    /// What goes into attention and feed-forward is normed.
    Before,
    /// What comes out of them is normed.
    After,
    /// Both are normed.
    Around,
}

/// The function inside of the feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// The gate goes through `x / (1 + exp(-x))`.
    Silu,
    /// The gate goes through the approximation of `gelu` by the hyperbolic tangent.
    Gelu,
    /// The gate, at most 7, goes through `x / (1 + exp(-1.702 x))`, and one is added to what it is multiplied with.
    ClampedSilu,
    /// There is no gate: all goes through that approximation.
    PlainGelu,
    /// There is no gate: all goes through `gelu` itself.
    PlainErfGelu,
    /// There is no gate: all goes through `max(x, 0)²`.
    PlainSquaredRelu,
}

impl Activation {
    /// Returns whether there is a gate.
    pub(crate) fn gated(self) -> bool {
        matches!(self, Self::Silu | Self::Gelu | Self::ClampedSilu)
    }
}

/// What is done to logits with the factor that a file may state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogitScale {
    /// They are divided by it.
    Divide,
    /// They are multiplied by it.
    Multiply,
}

/// The layers that see a window alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    /// All of them.
    All,
    /// All but every so many-th.
    AllBut {
        /// Every so many-th layer sees everything.
        every: usize,
        /// The base of the rotary frequencies of the others, where it is another one.
        rope_base: Option<u32>,
    },
}

/// The weights of a token's experts, where a file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    /// The weights that a softmax over all experts gives.
    Softmax,
    /// The weights of that softmax divided by their sum, as a softmax over the token's own experts gives them.
    Normalised,
}

const LLAMA: Family = Family {
    name: "llama",
    pairs: Pairs::Neighbours,
    norms: Norms::Before,
    layer_norm: false,
    parallel: Parallel::Never,
    activation: Activation::Silu,
    logit_scale: LogitScale::Divide,
    scaled_embeddings: false,
    windows: Windows::All,
    unrotated_every: None,
    ramp: Ramp::Whole,
    positions: Positions::Rotary,
    inner_norms: false,
    routing: None,
};

const HALVES: Family = Family { pairs: Pairs::Halves, ..LLAMA };

const NORMALISED: Option<Routing> = Some(Routing::Normalised);

const GEMMA: Family =
    Family { norms: Norms::Around, activation: Activation::Gelu, scaled_embeddings: true, ..HALVES };

const LAYER_NORM: Family = Family { layer_norm: true, ..HALVES };

const ALIBI: Family =
    Family { positions: Positions::Alibi, activation: Activation::PlainErfGelu, ..LAYER_NORM };

const COHERE: Family =
    Family { layer_norm: true, parallel: Parallel::WithOneNorm, logit_scale: LogitScale::Multiply, ..LLAMA };

/// All architectures that load.
pub(crate) const FAMILIES: [Family; 26] = [
    Family { routing: NORMALISED, ..LLAMA },
    Family { name: "qwen2", ..HALVES },
    Family { name: "qwen3", ..HALVES },
    Family { name: "qwen2moe", routing: Some(Routing::Softmax), ..HALVES },
    Family { name: "qwen3moe", routing: NORMALISED, ..HALVES },
    Family {
        name: "gpt-oss",
        activation: Activation::ClampedSilu,
        windows: Windows::AllBut { every: 2, rope_base: None },
        ramp: Ramp::Exact,
        routing: NORMALISED,
        ..HALVES
    },
    Family { name: "phi3", ..HALVES },
    Family { name: "gemma", norms: Norms::Before, ..GEMMA },
    Family { name: "gemma2", windows: Windows::AllBut { every: 2, rope_base: None }, ..GEMMA },
    Family { name: "gemma3", windows: Windows::AllBut { every: 6, rope_base: Some(10_000) }, ..GEMMA },
    Family { name: "granite", ..LLAMA },
    Family { name: "granitemoe", routing: NORMALISED, ..LLAMA },
    Family { name: "smollm3", unrotated_every: Some(4), ..LLAMA },
    Family { name: "olmo2", norms: Norms::After, ..HALVES },
    Family { name: "olmoe", routing: Some(Routing::Softmax), ..HALVES },
    Family { name: "stablelm", parallel: Parallel::WithOneNorm, ..LAYER_NORM },
    Family { name: "starcoder2", activation: Activation::PlainGelu, ..LAYER_NORM },
    Family { name: "phi2", parallel: Parallel::WithOneNorm, activation: Activation::PlainGelu, ..LAYER_NORM },
    Family {
        name: "falcon",
        parallel: Parallel::WithOneNorm,
        activation: Activation::PlainErfGelu,
        ..LAYER_NORM
    },
    Family {
        name: "gptneox",
        parallel: Parallel::Stated,
        activation: Activation::PlainErfGelu,
        ..LAYER_NORM
    },
    Family { name: "bloom", activation: Activation::PlainGelu, ..ALIBI },
    Family { name: "mpt", ..ALIBI },
    Family { name: "bitnet", inner_norms: true, ..HALVES },
    Family { name: "nemotron", activation: Activation::PlainSquaredRelu, ..LAYER_NORM },
    Family { name: "command-r", ..COHERE },
    Family {
        name: "cohere2",
        windows: Windows::AllBut { every: 4, rope_base: None },
        unrotated_every: Some(4),
        ..COHERE
    },
];

impl Family {
    /// The plain Llama.
    #[cfg(test)]
    pub(crate) const LLAMA: Self = LLAMA;

    /// Finds the row of the table for a file.
    ///
    /// # Errors
    /// The file names no architecture, or one that is not of the table: the error lists those that are.
    pub(crate) fn of(file: &GgufFile) -> Result<Self, GgufError> {
        let names = FAMILIES.map(|family| family.name);
        file.architecture(&names)?;
        let found = file.str("general.architecture")?;
        FAMILIES.into_iter().find(|family| family.name == found).ok_or_else(|| GgufError::Architecture {
            found: found.to_owned(),
            supported: names.map(str::to_owned).to_vec(),
        })
    }

    /// The key of this architecture's metadata, such as `llama.block_count`.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}
