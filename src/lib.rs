//! Whittle makes prompts smaller without losing what the answer needs.
//!
//! # Architecture
//!
//! Dependencies point downwards only; `tests/tidy.rs` holds the direction.
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`cli`] | the command line | all |
//! | [`http`] | the only place that knows axum: routes, limits, errors | engine, proxy, keys, config, model |
//! | [`eval`] | datasets, runs, metrics: compression ratio against accuracy | engine, compress, upstream, config, model, text |
//! | [`admission`] | how much blocking work runs and waits at once in the whole process | model (types) |
//! | [`engine`] | use cases: checks a request, assembles parts, describes the result | compress, retrieve, index, model, text, config |
//! | [`retrieve`] | search by words, by vectors or both; filters | index |
//! | [`index`] | collections on disk: the store, which is the truth, and two indexes that are caches of it | kernels, storage, text |
//! | [`compress`] | the methods: prompts in, kept byte ranges out; pure, synchronous | model (traits), text |
//! | [`model`] | traits of models, score cache, model files; `model::local` runs models on the CPU, to score and to write | kernels, random, storage, text |
//! | [`wire`] | bodies of OpenAI's and Anthropic's APIs: which texts may be replaced, and how; answers of the model here | model (types) |
//! | [`proxy`] | from a client's request to an answer, an upstream's or that of the model here: what is compressed, remembered and booked | engine, keys, storage, upstream, wire |
//! | [`keys`] | virtual keys: the file that holds them, what each may take | config |
//! | [`upstream`] | the only place that sends requests: connections, time limits, retries | config, wire |
//! | [`config`] | file, environment, flags; strict | compress, model, wire |
//! | [`text`] | token counts, protected spans, words | nothing |
//! | [`storage`] | the only opener of redb files: checked after an unclean stop, set aside where damaged and renewable | nothing |
//! | `kernels` | row-wise arithmetic for every instruction set that the processor may have | nothing |
//! | [`journal`] | files of JSON lines that only grow | nothing |
//! | [`docs`] | the guides, which `whittle help` and the service show | nothing |
//! | [`random`] | random numbers that are the same in each run | nothing |
//!
//! # Features
//!
//! All are on by default. Without any there are [`compress`], [`model`] and [`text`]: compression by functions, with
//! models of this crate or of one's own ([`model::TokenScorer`]).
//!
//! | feature | what it adds |
//! |---|---|
//! | `retrieval` | [`engine`], [`index`], [`retrieve`], [`config`], [`wire`] |
//! | `eval` | [`eval`], and `retrieval` |
//! | `server` | [`http`], [`proxy`], [`keys`], and `retrieval` |
//! | `cli` | [`cli`] and the binary, and all others |
//!
//! # Invariants
//!
//! - In [`compress::Mode::Exact`], a result is a sub-sequence of the prompt as it was sent and holds at most
//!   the tokens asked for; the same input gives the same bytes.
//! - `compress` and `text` do no I/O and await nothing. Model work runs on the model's own threads.
//! - Prompts never reach a log, nor a request's words the file system.
//! - What a collection acknowledged survives a crash; an index that is damaged is made anew from the store.
//! - `unsafe` stands in `kernels`, and in `model::local`'s 8-bit products and measured peak, alone.

#[cfg(feature = "server")]
pub mod admission;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compress;
#[cfg(feature = "retrieval")]
pub mod config;
pub mod docs;
#[cfg(feature = "retrieval")]
pub mod engine;
#[cfg(feature = "eval")]
pub mod eval;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "retrieval")]
pub mod index;
#[cfg(feature = "upstream")]
pub mod journal;
mod kernels;
#[cfg(feature = "upstream")]
pub mod keys;
pub mod model;
#[cfg(feature = "server")]
pub mod proxy;
pub mod random;
#[cfg(feature = "retrieval")]
pub mod retrieve;
pub mod storage;
mod telemetry;
pub mod text;
#[cfg(feature = "upstream")]
pub mod upstream;
#[cfg(feature = "retrieval")]
pub mod wire;

pub use compress::{Compressed, Document, Method, Mode, Prompt, Target, Tools};
#[cfg(feature = "retrieval")]
pub use config::Config;
#[cfg(feature = "retrieval")]
pub use engine::{
    Engine, EngineError,
    api::{CompressRequest, CompressResponse},
};
#[cfg(feature = "server")]
pub use {http::Server, proxy::Gateway};

/// Compiles the library's example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
