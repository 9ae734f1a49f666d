//! Models that run in this process: on the CPU, or by candle on a GPU.

mod adapter;
pub mod align;
mod attention;
mod causal;
mod chat_template;
mod classifier;
mod configuration;
mod cross_encoder;
mod device;
mod embedder;
mod encoder;
mod error;
mod experts;
mod family;
mod generate;
pub(crate) mod gguf;
mod gguf_summary;
mod int8;
mod linear;
mod llama;
mod llama_candle;
mod load;
mod prefix_cache;
mod roofline;
mod sample;
mod schedule;
mod scorer;
mod tokenizer;
mod worker;

pub use adapter::{Adapter, AdapterError, AdapterOrigin};
pub use classifier::{ClassifierError, LocalClassifier};
pub use cross_encoder::{CrossEncoderOptions, LocalCrossEncoder};
pub use device::NoDevice;
pub use embedder::{DecoderEmbedder, EmbedderFiles, EmbedderOptions, LocalEmbedder, LongText};
pub use encoder::{EncoderError, EncoderFiles, NoFile};
pub use error::LoadError;
pub use gguf::GgufError;
pub(crate) use gguf_summary::GgufSummary;
pub use scorer::{LocalScorer, ScorerOptions};
pub use tokenizer::{GgufTokenizer, TokenizerError};

/// The revision of the scorer. Raise it with each change after which the same tokens have other scores, if only by
/// rounding, so that scores that an earlier build wrote to disk are not used.
pub const SCORER_REVISION: u32 = 4;

/// The revision of the embedder, in the same way: raise it with each change after which the same text has another vector.
pub const EMBEDDER_REVISION: u32 = 1;

/// Threads of a model: as many as are wanted, else one a physical core, for two on one core share the units that its
/// products are limited by; never more than the process may use.
fn threads(wanted: Option<usize>) -> usize {
    let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.unwrap_or_else(|| num_cpus::get_physical().clamp(1, usable))
}
