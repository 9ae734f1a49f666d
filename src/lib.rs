//! Whittle makes prompts smaller without losing what the answer needs.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | token | an entry of a model's vocabulary; prompts are counted in the tokens of their target model |
//! | segment | a part of a text with a kind of its own: a sentence, a heading, a row, a line of code, a turn, a record |
//! | unit | a word, phrase, line or sentence that is kept or dropped as a whole; a part of a segment, or all of it |
//! | document | a text of a request or collection, with an id and perhaps a title and metadata |
//! | budget | the tokens that the whole compressed prompt may have; a rate is the same as a share of the original |
//! | surprise | the negative log-likelihood (NLL) of a token given the text before it, in nats |
//! | adapter | changes of low rank of the scorer's weights, which alignment makes and which are merged when it is loaded |
//! | relevance | how much a document or sentence has to do with the question, by embeddings and BM25 |
//! | constraint | what a result must keep or may drop, whatever its score: protected spans, forced words, sections |
//! | mark | a short text that stands for what was left out, and counts it |
//! | chunk | a passage of a document in a collection, with an embedding of its own |
//! | collection | documents and their chunks, on disk or in PostgreSQL, searched by words (BM25), by vectors (HNSW) or by both |
//! | bank | a collection of solved examples, from which few-shot prompts are made |
//! | upstream | a provider's API that the proxy sends requests to; its dialect is that of OpenAI, Azure, Anthropic, Gemini, Ollama or Cohere |
//! | question | the user's own last words in a conversation, by which the relevance of texts is judged |
//! | folding | making a tool's result smaller by rules, without a model: repeats, progress, terminal codes, JSON |
//! | decision | what the proxy did with a text; it is on disk, as a hash and byte ranges, before the request is forwarded, so that the same text is sent as the same bytes again |
//! | original, recall | a tool's result as it was before folding, encrypted on disk if that is switched on; recall returns it by the id in a mark |
//! | recovery | giving an answer the words back that compression took from what it quotes (LongLLMLingua, section 4.4) |
//! | shadow, holdout | requests that are also sent, or only sent, as they came, to compare answers and costs |
//! | ledger | the proxy's record of what each request took, cost and saved |
//!
//! # The way of a proxied request
//!
//! 1. `http::proxy` reads the body within its limits; `http::auth` checks the key.
//! 2. `proxy::prepare` finds the upstream, and by [`wire`] the texts that may be changed and the question.
//! 3. `proxy::plan` looks up the decision on each text; new texts go to `proxy::fold` (tools' results) or, through
//!    [`engine`], to [`compress`] (other texts). `proxy::retrieve` searches for documents at the same time.
//! 4. New decisions and originals are written to disk. [`wire::splice`] puts the new texts into the body as it came.
//! 5. [`upstream`] sends it. `http::relay` streams the answer to the client and reads its usage; calls of the recall tool
//!    are answered on the way (`proxy::rounds`).
//! 6. The ledger records the request.
//!
//! # Architecture
//!
//! Dependencies point downwards only; `tests/tidy` holds the direction, and that no files of a folder import each other in a circle.
//! The table says where a module uses types or traits of another alone.
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`cli`] | the command line | admission, compress, config, docs, engine, eval, http, jsonl, keys, mcp, model, proxy, retrieve, shared, telemetry, text, upstream, wire |
//! | [`http`] | the only place that knows axum: routes, limits, errors, response headers; `http::proxy` writes those of proxied answers, `http::relay` streams their bodies | admission, config, docs, engine, keys, mcp, model, proxy, shared, telemetry, upstream, wire |
//! | [`eval`] | datasets, runs, metrics: compression ratio against accuracy | compress, config, engine, jsonl, model, random, text, upstream, wire |
//! | [`mcp`] | a server of the Model Context Protocol: the engine's use cases as tools, resources and prompts of an agent; the only place that knows rmcp | admission, compress, config, engine, keys, model, proxy, retrieve, text |
//! | [`admission`] | how much blocking work runs and waits at once in the whole process | model (types) |
//! | [`engine`] | use cases: checks a request, assembles parts, describes the result; reads files into documents (`collections::files`) | compress, config, index, model, outbound, random, retrieve, telemetry, text, wire |
//! | [`retrieve`] | search by words, by vectors or both; filters | index |
//! | [`index`] | collections: on disk a store, which is the truth, and two indexes that are caches of it, words for BM25 (`lexical`) and vectors (`hnsw`); or in PostgreSQL (`index::postgres`), the only place that knows it | config, kernels, storage, text |
//! | [`compress`] | the methods: prompts in, kept byte ranges out; pure, synchronous | model (traits), text |
//! | [`model`] | traits of models, score cache, model files; `model::local` runs models on the CPU, to score and to write, and `model::remote` asks those on other machines | environment, kernels, outbound, random, storage, telemetry, text |
//! | [`wire`] | bodies and paths of LLM APIs: which texts may be replaced, and how; answers of the model in this process | model (types), text |
//! | [`proxy`] | from a client's request to an answer, an upstream's or that of the model in this process: what is compressed, remembered and recorded | admission, compress, config, engine, index, jsonl, keys, model, random, shared, storage, telemetry, text, upstream, wire |
//! | [`keys`] | virtual keys: the file or the database that holds them, what each may take, in this process or in all replicas | config, index, shared |
//! | [`shared`] | the state that several replicas share: the connection to Valkey or Redis, and the scripts that run there | config |
//! | [`upstream`] | the only place that sends requests to providers of LLM APIs: connections, time limits, retries | config, keys, outbound, telemetry, wire |
//! | [`config`] | file, environment, flags; strict | compress, environment, model, wire |
//! | [`text`] | token counters of target models, sentences, chunks, protected spans; `segments` cuts every kind of text into parts, and says which need which (rows their header, settings their section) | nothing |
//! | [`outbound`] | what requests to other services share: keys that nobody sees, when to try again | nothing |
//! | [`storage`] | the only opener of redb files: checked after an unclean stop, set aside where damaged and renewable | telemetry |
//! | `kernels` | arithmetic on rows of `f32` for every instruction set that the processor may have; products of 8-bit numbers are in `model::local::int8` | nothing |
//! | `telemetry` | logs, traces (OpenTelemetry) and process metrics; the proxy's own metrics are in [`proxy`] | nothing |
//! | [`jsonl`] | files of JSON lines that only grow | nothing |
//! | [`docs`] | the guides, which `whittle help` and the service show | nothing |
//! | [`environment`] | environment variables, as an input of the modules that may read them | nothing |
//! | [`random`] | random numbers that are the same in each run; means with intervals | nothing |
//! | `main` | the binary: arguments in, exit code out | cli |
//!
//! # Features
//!
//! All are on by default. Without any there are [`compress`], [`model`] and [`text`]: compression by functions, with
//! models of this crate or of one's own ([`model::TokenScorer`]).
//!
//! | feature | what it adds |
//! |---|---|
//! | `retrieval` | [`engine`], [`index`], [`retrieve`], [`config`], [`outbound`], [`wire`], and `model::remote` |
//! | `eval` | [`eval`], and `retrieval` |
//! | `server` | [`admission`], [`http`], [`mcp`], [`proxy`], and `retrieval` |
//! | `cli` | [`cli`] and the binary, and all others |
//! | `upstream` | [`upstream`], [`keys`], [`shared`] and [`jsonl`]; comes with `eval` and `server`, and is not named by itself |
//!
//! # Invariants
//!
//! - In [`compress::Mode::Exact`], a result without its marks is a sub-sequence of the prompt as it was sent and holds at most
//!   the tokens asked for; the same input gives the same bytes.
//! - `compress` and `text` do no I/O and await nothing. Model work runs on the model's own threads.
//! - No part of a prompt is ever logged, nor written to disk unless recall is on, which encrypts it. Decisions and cached
//!   scores are hashes, byte ranges and numbers.
//! - What a collection acknowledged survives a crash; an index that is damaged is rebuilt from the store.
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
pub mod environment;
#[cfg(feature = "eval")]
pub mod eval;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "retrieval")]
pub mod index;
#[cfg(feature = "upstream")]
pub mod jsonl;
#[cfg_attr(not(feature = "retrieval"), expect(dead_code, reason = "the rest is for vectors of an index"))]
mod kernels;
#[cfg(feature = "upstream")]
pub mod keys;
#[cfg(feature = "server")]
pub mod mcp;
pub mod model;
#[cfg(feature = "retrieval")]
pub mod outbound;
#[cfg(feature = "server")]
pub mod proxy;
pub mod random;
#[cfg(feature = "retrieval")]
pub mod retrieve;
#[cfg(feature = "upstream")]
pub mod shared;
pub mod storage;
#[cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "the rest is for the service, which the command line starts")
)]
#[cfg_attr(not(feature = "server"), expect(unused_imports, reason = "the rest is for the service"))]
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
