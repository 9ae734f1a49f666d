//! Use cases: what a caller can ask for, whatever door it came through.

pub mod align;
pub mod api;
pub mod bench;
mod builder;
pub mod collections;
mod compress;
mod cross;
pub mod embed;
mod error;
pub mod examples;
#[cfg(test)]
pub(crate) mod fakes;
mod fallback;
mod generate;
mod input;
mod model_source;
mod models;
mod options;
pub mod prompt;
mod recover;
mod remote;
mod score;
mod slot;
mod tokenizer_files;

use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "server")]
pub(crate) use crate::index::{DatabaseState, TIME_BOUNDS, TransactionTimes};
pub use builder::EngineBuilder;
#[cfg(feature = "server")]
pub(crate) use collections::STORE_AWAY;
pub use error::{EngineError, ErrorKind, shortened};
#[cfg(feature = "server")]
pub(crate) use model_source::MODEL_LOADING;
pub use models::Caches;
pub use remote::RemoteModel;
pub use slot::Readiness;

use api::{
    CompressRequest, CompressResponse, CountRequest, CountResponse, RecoverRequest, RecoverResponse,
    ScoreRequest, ScoreResponse, TokenScoreRequest, TokenScoreResponse,
};
use collections::{Collections, DataFolder};
use examples::ExampleBanks;
use models::Models;
use prompt::Prompts;

use crate::compress::CutMemory;
use crate::config::Limits;
use crate::index::Postgres;
use crate::model::{Cancel, Completion, Generation, GenerationEvent, Prompt};
use crate::text::{Protector, TokenCounter};

/// Everything that a running whittle consists of. Calls block: run them off the async threads.
///
/// Compression with the real models, which are fetched on first need:
///
/// ```
/// use whittle::environment::ProcessEnv;
/// use whittle::model::{Cancel, store::Silent};
/// use whittle::{CompressRequest, Config, Engine};
///
/// let engine = Engine::new(&Config::default(), &ProcessEnv, Box::new(Silent))?;
/// let request = CompressRequest {
///     context: Some("The harbour closes in May. Lunch was good. Nobody objected.".into()),
///     question: Some("When does the harbour close?".into()),
///     target_tokens: Some(16),
///     ..CompressRequest::default()
/// };
/// let response = engine.compress(request, &Cancel::never())?;
/// assert!(response.prompt.contains("in May") && response.usage.compressed_tokens <= 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Documents that last, and a search among them:
///
/// ```
/// use whittle::engine::collections::api::{CreateRequest, SearchRequest, SourceDocument, UpsertRequest};
/// use whittle::environment::ProcessEnv;
/// use whittle::model::{Cancel, store::Silent};
/// use whittle::{Config, Engine};
///
/// let folder = tempfile::tempdir()?;
/// let engine = Engine::builder()
///     .environment(&Config::default(), &ProcessEnv, Box::new(Silent))?
///     .data_dir(folder.path())
///     .build();
/// let collections = engine.collections();
/// collections.create("minutes", CreateRequest::default())?;
/// let document = |text: &str| SourceDocument { text: text.into(), ..SourceDocument::default() };
/// let documents = vec![document("The harbour closes in May."), document("Lunch was good.")];
/// collections.upsert("minutes", UpsertRequest { documents, ..UpsertRequest::default() }, &Cancel::never())?;
/// let query = SearchRequest { query: "When do ships have to leave?".into(), ..SearchRequest::default() };
/// let found = collections.search("minutes", &query, &Cancel::never())?;
/// assert_eq!(found.results[0].text, "The harbour closes in May.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    models: Models,
    protector: Protector,
    /// Remembers how texts were cut with the engine's protector, not with those of requests.
    cuts: CutMemory,
    collections: DataFolder,
    banks: DataFolder,
}

impl Engine {
    /// Documents that last, and search in them.
    #[must_use]
    pub fn collections(&self) -> Collections<'_> {
        Collections::of(self)
    }

    /// Banks of examples that last.
    #[must_use]
    pub fn banks(&self) -> ExampleBanks<'_> {
        ExampleBanks::of(self)
    }

    /// Prompts from what collections and banks hold about a question.
    #[must_use]
    pub fn prompts(&self) -> Prompts<'_> {
        Prompts::of(self)
    }

    /// Takes the data folder and opens all collections and banks, so that no request need wait for it, or for another
    /// process that has the folder.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open_collections(&self) -> Result<(), EngineError> {
        self.collections.open()?;
        // Banks are in the same database.
        if self.collections.database().is_some() { Ok(()) } else { self.banks.open() }
    }

    /// Fetches models while nobody waits: until a model is there, requests that need it fail at once and say so. For
    /// services, where a request that waits would keep others from their turns.
    #[must_use]
    pub fn with_downloads_in_background(mut self) -> Self {
        self.models.fetch_in_background();
        self
    }

    /// Compresses a prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn compress(
        &self,
        request: CompressRequest,
        cancel: &Cancel,
    ) -> Result<CompressResponse, EngineError> {
        compress::run(self, request, cancel)
    }

    /// Puts the words of the original back into an answer to a compressed prompt. Needs no model.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn recover(&self, request: &RecoverRequest) -> Result<RecoverResponse, EngineError> {
        recover::run(self, request)
    }

    /// Scores a text token by token.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn score(&self, request: &ScoreRequest, cancel: &Cancel) -> Result<ScoreResponse, EngineError> {
        score::run(self, request, score::Reach::Window, cancel)
    }

    /// Scores sequences of token ids, which another whittle may send.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn score_tokens(
        &self,
        request: TokenScoreRequest,
        cancel: &Cancel,
    ) -> Result<TokenScoreResponse, EngineError> {
        score::run_tokens(self, request, cancel)
    }

    /// Scores a text that follows a prefix of which the model is to see everything, as a reader would.
    ///
    /// # Errors
    /// See [`EngineError`]; also when both are longer than the model's context.
    pub fn score_whole(&self, request: &ScoreRequest, cancel: &Cancel) -> Result<ScoreResponse, EngineError> {
        score::run(self, request, score::Reach::Whole, cancel)
    }

    /// Has the small model write an answer; `told` hears of each part as it comes.
    ///
    /// # Errors
    /// See [`EngineError`]; also when the prompt and the longest answer are longer than the model's context.
    pub fn generate(
        &self,
        request: &Generation,
        told: &mut dyn FnMut(GenerationEvent<'_>),
        cancel: &Cancel,
    ) -> Result<Completion, EngineError> {
        generate::run(self, request, told, cancel)
    }

    /// Tokens of what [`Engine::generate`] would put before the model.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn count_prompt(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        generate::count(self, prompt)
    }

    /// The counter of a tokenizer by its name, as requests name it.
    ///
    /// # Errors
    /// There is no such tokenizer, or its model cannot be had.
    pub fn counter(&self, tokenizer: &str) -> Result<Arc<dyn TokenCounter>, EngineError> {
        self.models.counter(Some(tokenizer), None)
    }

    /// Counts the tokens of a text.
    ///
    /// # Errors
    /// There is no such tokenizer, or its model cannot be had.
    pub fn count_tokens(&self, request: &CountRequest) -> Result<CountResponse, EngineError> {
        let counter = self.models.counter(request.tokenizer.as_deref(), request.model.as_deref())?;
        Ok(CountResponse {
            tokens: counter.count(&request.text),
            tokenizer: counter.name().to_owned(),
            approximate: counter.approximate(),
        })
    }

    /// Measures how fast the scorer is. Nothing is remembered between runs; `done` is told after each.
    ///
    /// # Errors
    /// The model cannot be had, or it failed.
    pub fn bench_score(
        &self,
        bench: bench::ScoreBench,
        done: &dyn Fn(usize),
    ) -> Result<bench::ScoreBenchReport, EngineError> {
        bench::score(self, bench, done)
    }

    /// Measures how fast the embedder is on `texts`. Nothing is remembered between runs; `done` is told after each.
    ///
    /// # Errors
    /// There is no text or no run, or the model cannot be had, or it failed.
    pub fn bench_embed(
        &self,
        texts: &[&str],
        runs: usize,
        done: &dyn Fn(usize),
    ) -> Result<bench::EmbedBenchReport, EngineError> {
        bench::embed(self, texts, runs, done)
    }

    /// Compares scores of `texts` in int8 with those in f32; `done` is told how many of twice as many are scored.
    ///
    /// # Errors
    /// There is no text, or the model cannot be had, or it failed.
    pub fn bench_precision(
        &self,
        texts: &[&str],
        done: &dyn Fn(usize),
    ) -> Result<bench::PrecisionReport, EngineError> {
        bench::precision(self, texts, done)
    }

    /// Returns the database that has the collections, where they are not in the data folder.
    #[must_use]
    pub fn database(&self) -> Option<&Postgres> {
        self.collections.database()
    }

    /// Returns the counters of the caches.
    #[must_use]
    pub fn caches(&self) -> Caches {
        self.models.caches()
    }

    /// Returns whether the engine can serve requests.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.models.readiness()
    }
}

fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
