//! Models that run on other machines, behind the same traits as those in this process.
//!
//! A [`RemoteEmbedder`] asks a server in the form of `OpenAI`'s `/v1/embeddings`, of text-embeddings-inference, or of
//! another whittle; a [`RemoteScorer`] asks vLLM, `SGLang` or another whittle for the likelihoods of token ids; a
//! [`RemoteReranker`] asks a server in the form of Cohere, of Jina, of text-embeddings-inference or of another whittle.
//! Answers are bounded in bytes and checked before anything is made of them: see [`RemoteError`]. Requests run on a
//! thread of the model's own, so that a caller who leaves ends them at once.

#[cfg(feature = "retrieval")]
mod client;
#[cfg(feature = "retrieval")]
mod embedder;
mod error;
#[cfg(feature = "retrieval")]
mod health;
mod kind;
#[cfg(feature = "retrieval")]
mod parts;
#[cfg(feature = "retrieval")]
mod reranker;
#[cfg(feature = "retrieval")]
mod scorer;
#[cfg(feature = "retrieval")]
mod sequences;
#[cfg(feature = "retrieval")]
mod tei;
#[cfg(feature = "retrieval")]
#[cfg(test)]
mod tests;
#[cfg(feature = "retrieval")]
mod vectors;

#[cfg(feature = "retrieval")]
pub use client::RemoteOptions;
#[cfg(feature = "retrieval")]
pub use embedder::{RemoteEmbedder, RemoteEmbedderOptions, RemoteIdentity};
pub use error::{RemoteError, RemoteServer};
#[cfg(feature = "retrieval")]
pub use health::{RemoteHealth, RemoteState};
pub use kind::{EmbedderKind, RerankerKind, ScorerKind};
#[cfg(feature = "retrieval")]
pub use reranker::{RemoteReranker, RemoteRerankerOptions};
#[cfg(feature = "retrieval")]
pub use scorer::{RemoteScorer, RemoteScorerOptions};
