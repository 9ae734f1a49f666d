//! [`Embedder`] on an encoder in this process: what is pooled of the vectors of a text's tokens, scaled to length 1.

mod decoder;
mod head;
mod load;
mod packed;
mod static_vectors;
#[cfg(test)]
mod tests;
mod tokenizer;
mod unigram;

use std::path::Path;

use parking_lot::FairMutex;
use rayon::ThreadPool;
use rayon::prelude::*;

pub use self::decoder::DecoderEmbedder;
pub use self::head::EmbedderFiles;
use self::head::{Head, Pooling, Prefixes};
use self::tokenizer::EmbedderTokenizer;
use super::encoder::{Encoder, EncoderError, Sequence, groups};
use crate::kernels::Isa;
use crate::model::{Cancel, Embedder, Precision, ScoreError, WordMatch};

/// Tokens that a caller gets the threads for before it is another one's turn: about a fifth of a second on two cores.
/// By 4,096 a call of 150,000 tokens takes no longer than undivided (10.37 s and 10.44 s, medians of three in turns); a
/// call of 1,500 beside it took 20.4 s before there were turns, and 0.45 s now.
const TURN_TOKENS: usize = 4096;

/// The treatment of a text that is longer than the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongText {
    /// The text is read in windows of similar length, and the mean is taken over the tokens of them all; over their first
    /// or last ones where the model pools those.
    #[default]
    Pool,
    /// The text is truncated to its first window.
    Truncate,
}

/// The options of an embedder.
#[derive(Debug, Clone)]
pub struct EmbedderOptions {
    /// Threads of the model; by default one a core.
    pub threads: Option<usize>,
    /// The arithmetic of the products with weights; attention is in 32-bit floats.
    pub precision: Precision,
    /// Most tokens that are read together, the two that mark beginning and end included. At least 8, and at
    /// most the model's own positions.
    pub window: usize,
    /// The treatment of longer texts.
    pub long: LongText,
    /// Text that is put before each question, in the place of what the model's files say.
    pub query_prefix: Option<String>,
    /// Text that is put before each other text, in the place of what the model's files say.
    pub text_prefix: Option<String>,
    /// Values of a vector, the first ones of the model's (arXiv 2205.13147); by default all.
    pub dimensions: Option<usize>,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        Self {
            threads: None,
            precision: Precision::F32,
            window: 256,
            long: LongText::default(),
            query_prefix: None,
            text_prefix: None,
            dimensions: None,
        }
    }
}

/// A model in this process, with its own threads.
pub struct LocalEmbedder {
    name: String,
    tokenizer: EmbedderTokenizer,
    encoder: Encoder,
    pool: ThreadPool,
    /// The lock that gives the threads to one call at a time. Threads of rayon see to one call to its end before they
    /// look at the next.
    turn: FairMutex<()>,
    /// The number of calls that began to wait for a turn.
    #[cfg(test)]
    queued: std::sync::atomic::AtomicUsize,
    window: usize,
    long: LongText,
    pooling: Pooling,
    prefixes: Prefixes,
    /// Values of a vector.
    dimensions: usize,
}

impl std::fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEmbedder")
            .field("name", &self.name)
            .field("window", &self.window)
            .field("long", &self.long)
            .finish_non_exhaustive()
    }
}

impl LocalEmbedder {
    /// Loads an encoder in safetensors: a BERT or `NomicBERT`, or any that cross-encoders may be, with the files of
    /// sentence-transformers beside it.
    ///
    /// # Errors
    /// A file cannot be read or describes a model that this build does not run, or no thread could be started.
    pub fn load<'a>(
        name: &str,
        files: impl Into<EmbedderFiles<'a>>,
        options: &EmbedderOptions,
    ) -> Result<Self, EncoderError> {
        let files = files.into();
        let (path, head) = (files.encoder.config, Head::read(&files)?);
        let config = load::configuration(path, head.is_some())?;
        if config.positions < 8 {
            let reason = format!("it has only {} positions", config.positions);
            return Err(EncoderError::file(path, reason));
        }
        let pool = threads(options)?;
        let own = config.clone();
        let (encoder, tokenizer) = pool.join(
            || load::encoder(files.encoder.weights, own, options.precision),
            || EmbedderTokenizer::load(files.encoder.tokenizer, &config),
        );
        Self::new(name, (encoder?, tokenizer?), pool, head.unwrap_or_default(), options)
    }

    /// Loads a multilingual E5 that is packed into one file.
    ///
    /// # Errors
    /// The file cannot be read or is no such model, or no thread could be started.
    pub fn load_packed(name: &str, path: &Path, options: &EmbedderOptions) -> Result<Self, EncoderError> {
        let pool = threads(options)?;
        let parts = pool.install(|| load::packed(path, options.precision))?;
        let prefixes = Prefixes { query: "query: ".into(), passage: "passage: ".into() };
        Self::new(name, parts, pool, Head { prefixes, ..Head::default() }, options)
    }

    fn new(
        name: &str,
        (encoder, tokenizer): (Encoder, EmbedderTokenizer),
        pool: ThreadPool,
        Head { pooling, prefixes, window }: Head,
        options: &EmbedderOptions,
    ) -> Result<Self, EncoderError> {
        let width = encoder.config.width;
        let dimensions = options.dimensions.unwrap_or(width);
        if !(1..=width).contains(&dimensions) {
            let (what, value) = ("number of dimensions", dimensions.to_string());
            return Err(EncoderError::Unsupported { what, value, known: format!("1 to {width}") });
        }
        let window = window.map_or(options.window, |window| window.min(options.window));
        Ok(Self {
            name: name.to_owned(),
            window: window.max(8).min(encoder.config.positions),
            tokenizer,
            encoder,
            pool,
            turn: FairMutex::default(),
            #[cfg(test)]
            queued: std::sync::atomic::AtomicUsize::new(0),
            long: options.long,
            pooling,
            prefixes: prefixes.replaced(options),
            dimensions,
        })
    }

    /// The vectors of texts, each read after `prefix`.
    fn embed_after(
        &self,
        prefix: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let read = |text: &&str| match prefix {
            "" => self.windows(text, cancel),
            prefix => self.windows(&format!("{prefix}{text}"), cancel),
        };
        let windows: Vec<Vec<Vec<u32>>> =
            self.pool.install(|| texts.par_iter().map(read).collect::<Result<_, _>>())?;
        let sequences: Vec<Sequence> = windows.iter().flatten().map(|ids| Sequence::of(ids)).collect();
        let mut sums = self.token_sums(&sequences, cancel)?.into_iter();
        windows.iter().map(|windows| self.pooled(sums.by_ref().take(windows.len()))).collect()
    }

    /// The token ids that are run for `text`, window by window, with those that mark beginning and end.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the tokenizer.
    pub fn windows(&self, text: &str, cancel: &Cancel) -> Result<Vec<Vec<u32>>, ScoreError> {
        match self.long {
            LongText::Pool => self.tokenizer.windows(text, self.window, cancel),
            LongText::Truncate => Ok(vec![self.tokenizer.first_window(text, self.window, cancel)?]),
        }
    }

    /// The sums of all tokens of each sequence that are pooled, in turns with other callers.
    fn token_sums(&self, sequences: &[Sequence], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let tokens = |sequences: &[Sequence]| sequences.iter().map(Sequence::len).sum();
        cancel.will_read(tokens(sequences));
        let mut sums = Vec::with_capacity(sequences.len());
        for part in groups(sequences, TURN_TOKENS) {
            #[cfg(test)]
            self.queued.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _turn = self.turn.lock();
            let sum = |rows: &mut [f32]| self.sum(rows);
            sums.extend(self.pool.install(|| self.encoder.read(part, cancel, sum))?);
            cancel.has_read(tokens(part));
        }
        Ok(sums)
    }

    /// The sum of those rows of a sequence that are pooled.
    fn sum(&self, rows: &mut [f32]) -> Vec<f32> {
        let width = self.encoder.config.width;
        let last = rows.len() - width;
        let pooled = match self.pooling {
            Pooling::Mean => rows,
            Pooling::First => &mut rows[..width],
            Pooling::Last => &mut rows[last..],
        };
        self.encoder.finish(pooled);
        self.encoder.sum(pooled)
    }

    /// The mean over all windows at length 1, which is the sum at length 1.
    fn pooled(&self, sums: impl Iterator<Item = Vec<f32>>) -> Result<Vec<f32>, ScoreError> {
        unit(self.encoder.backend.isa, sums, self.dimensions)
    }
}

impl Embedder for LocalEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        self.tokenizer.count(text, cancel)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.embed_after(&self.prefixes.passage, texts, cancel)
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        Ok(self.embed_after(&self.prefixes.query, &[query], cancel)?.pop().unwrap_or_default())
    }

    fn compare_words(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<Vec<WordMatch>>, ScoreError> {
        let query = self.tokenizer.ids(query, usize::MAX, cancel)?;
        let share = texts.len().div_ceil(self.pool.current_num_threads()).max(1);
        let ids = |texts: &[&str]| self.tokenizer.ids_by_words(texts, cancel);
        let (ids, cosines) = self.pool.install(|| {
            let ids = texts.par_chunks(share).map(ids).collect::<Result<Vec<_>, _>>()?.concat();
            let cosines = static_vectors::cosines(&query, &ids, &self.encoder);
            Ok::<_, ScoreError>((ids, cosines))
        })?;
        let matched = ids.iter().zip(cosines).map(|(ids, cosine)| WordMatch { cosine, tokens: ids.len() });
        Ok(Some(matched.collect()))
    }
}

/// The first values of the sum of some vectors, at length 1.
fn unit(
    isa: Isa,
    vectors: impl Iterator<Item = Vec<f32>>,
    dimensions: usize,
) -> Result<Vec<f32>, ScoreError> {
    let mut total = vectors.fold(Vec::new(), |mut total: Vec<f32>, vector| {
        total.resize(vector.len(), 0.0);
        isa.add(&mut total, &vector);
        total
    });
    total.truncate(dimensions);
    let length = total.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(ScoreError::Model(format!("an embedding has the length {length}")));
    }
    isa.scale(&mut total, (1.0 / length) as f32);
    Ok(total)
}

fn threads(options: &EmbedderOptions) -> Result<ThreadPool, EncoderError> {
    pool_of(options).map_err(EncoderError::Threads)
}

fn pool_of(options: &EmbedderOptions) -> Result<ThreadPool, String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(super::threads(options.threads))
        .thread_name(|i| format!("whittle-embed-{i}"))
        .build()
        .map_err(|e| e.to_string())
}
