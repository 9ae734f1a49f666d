//! [`Reranker`] and [`Pruner`] on an encoder in this process that reads a question and a text together.

use std::ops::Range;
use std::path::Path;

use parking_lot::FairMutex;
use rayon::ThreadPool;
use rayon::prelude::*;
use serde_json::Value;

use super::encoder::{
    Encoder, EncoderConfig, EncoderError, EncoderFiles, KeepHead, PairTokenizer, ScoreHead, Sequence, Tokens,
    Weights, groups,
};
use crate::model::{Cancel, KEEP_THRESHOLD, Precision, Pruner, Pruning, Reranker, ScoreError};

/// Tokens that a caller gets the threads for before it is another one's turn.
const TURN_TOKENS: usize = 4096;
/// Fewest tokens that may be read together.
const LEAST_WINDOW: usize = 16;
/// Starts that the names of all tensors of a pruner may have.
const ROOTS: [&str; 1] = ["ranking_model."];

/// The options of a model that reads a question and a text together.
#[derive(Debug, Clone)]
pub struct CrossEncoderOptions {
    /// Threads of the model; by default one a core.
    pub threads: Option<usize>,
    /// The arithmetic of the products with weights; attention is in 32-bit floats.
    pub precision: Precision,
    /// Most tokens that are read together, the question and all that marks beginning and end included. At most the
    /// model's own positions. Of a question half of them are read at most; a longer text is read in parts.
    pub window: usize,
    /// Most tokens that compression has it read for one prompt.
    pub most_tokens: usize,
    /// The mean keep probability from which on a sentence is kept; by default what the model's configuration says.
    pub threshold: Option<f32>,
}

impl Default for CrossEncoderOptions {
    fn default() -> Self {
        Self { threads: None, precision: Precision::F32, window: 512, most_tokens: 8192, threshold: None }
    }
}

/// A model in this process, with its own threads.
pub struct LocalCrossEncoder {
    name: String,
    tokenizer: PairTokenizer,
    encoder: Encoder,
    score: ScoreHead,
    /// There where the model prunes.
    keep: Option<KeepHead>,
    pool: ThreadPool,
    /// The lock that gives the threads to one call at a time.
    turn: FairMutex<()>,
    window: usize,
    most_tokens: usize,
    threshold: f32,
}

impl std::fmt::Debug for LocalCrossEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalCrossEncoder")
            .field("name", &self.name)
            .field("window", &self.window)
            .field("prunes", &self.prunes())
            .finish_non_exhaustive()
    }
}

/// A sequence that is read: its tokens, and where the second segment and the text begin.
struct Read {
    ids: Vec<u32>,
    second: usize,
    /// The text's own tokens.
    text: Range<usize>,
}

impl LocalCrossEncoder {
    /// Loads a model in safetensors that has one score for a pair of texts, and perhaps a head that prunes.
    ///
    /// # Errors
    /// A file cannot be read or describes a model that this build does not run, or no thread could be started.
    pub fn load(
        name: &str,
        files: EncoderFiles<'_>,
        options: &CrossEncoderOptions,
    ) -> Result<Self, EncoderError> {
        let (config, json) = EncoderConfig::read(files.config)?;
        let window = options.window.min(config.positions);
        let tokenizer = PairTokenizer::load(files.tokenizer, &config)?;
        if window < LEAST_WINDOW.max(2 * tokenizer.around()) {
            let reason = format!("it has only {} positions", config.positions);
            return Err(EncoderError::file(files.config, reason));
        }
        let config = config.within(window);
        let pool = threads(options.threads)?;
        let mut weights = Weights::read(files.weights, &config, &ROOTS, options.precision)?;
        let score = ScoreHead::take(&mut weights, &config)?;
        let keep = KeepHead::take(&mut weights, &config, json["base_model_config"].is_object())?;
        let encoder = pool.install(|| weights.encoder_with_words(config))?;
        Ok(Self {
            name: name.to_owned(),
            tokenizer,
            encoder,
            score,
            keep,
            pool,
            turn: FairMutex::default(),
            window,
            most_tokens: options.most_tokens,
            threshold: threshold(files.config, &json, options)?,
        })
    }

    /// Returns whether the model has a head that prunes.
    #[must_use]
    pub fn prunes(&self) -> bool {
        self.keep.is_some()
    }

    /// The token ids that are run for a question and a text that fit the window, with control tokens.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the tokenizer.
    pub fn sequence(&self, question: &str, text: &str, cancel: &Cancel) -> Result<Vec<u32>, ScoreError> {
        let question = self.question(question, cancel)?;
        let tokens = self.tokenizer.tokens(text, cancel)?;
        Ok(self.reads(&question, &tokens).swap_remove(0).ids)
    }

    /// The tokens of a question that are read.
    fn question(&self, question: &str, cancel: &Cancel) -> Result<Vec<u32>, ScoreError> {
        let mut ids = self.tokenizer.tokens(question, cancel)?.ids;
        ids.truncate(self.window / 2 - self.tokenizer.around());
        Ok(ids)
    }

    /// The sequences in which a text is read, of like length.
    fn reads(&self, question: &[u32], text: &Tokens) -> Vec<Read> {
        let room = self.window - self.tokenizer.around() - question.len();
        let count = text.ids.len().div_ceil(room).max(1);
        let part = |i: usize| i * text.ids.len() / count..(i + 1) * text.ids.len() / count;
        (0..count).map(|i| self.read(question, text, part(i))).collect()
    }

    fn read(&self, question: &[u32], text: &Tokens, range: Range<usize>) -> Read {
        let own = &text.ids[range];
        if self.prunes() {
            // Pruners are trained on one segment, whatever the encoder was trained on.
            let (ids, first) = self.tokenizer.joined(question, own);
            return Read { second: ids.len(), ids, text: first..first + own.len() };
        }
        let (ids, second) = self.tokenizer.pair(question, own);
        Read { ids, second, text: 0..0 }
    }

    /// Reads a question and texts, and has `take` see the rows of each sequence, in turns with other callers. The outcomes
    /// are by text.
    fn each<R: Send>(
        &self,
        question: &str,
        texts: &[&str],
        cancel: &Cancel,
        take: impl Fn(&Read, &mut [f32]) -> R + Sync,
    ) -> Result<Vec<(Tokens, Vec<R>)>, ScoreError> {
        cancel.check()?;
        let question = self.question(question, cancel)?;
        let tokens = |text: &&str| self.tokenizer.tokens(text, cancel);
        let tokens: Vec<Tokens> =
            self.pool.install(|| texts.par_iter().map(tokens).collect::<Result<_, _>>())?;
        let reads: Vec<Vec<Read>> = tokens.iter().map(|tokens| self.reads(&question, tokens)).collect();
        let flat: Vec<&Read> = reads.iter().flatten().collect();
        let sequences: Vec<Sequence> =
            flat.iter().map(|read| Sequence { ids: &read.ids, second: read.second }).collect();
        let count = |part: &[Sequence]| part.iter().map(Sequence::len).sum();
        cancel.will_read(count(&sequences));
        let mut outcomes = Vec::with_capacity(flat.len());
        for part in groups(&sequences, TURN_TOKENS) {
            let _turn = self.turn.lock();
            let done = outcomes.len();
            let rows = self.pool.install(|| self.encoder.read(part, cancel, |rows| rows.to_vec()))?;
            let mut taken: Vec<R> = self.pool.install(|| {
                let own = rows.into_par_iter().zip(&flat[done..done + part.len()]);
                own.map(|(mut rows, read)| take(read, &mut rows)).collect()
            });
            outcomes.append(&mut taken);
            cancel.has_read(count(part));
        }
        let mut outcomes = outcomes.into_iter();
        let of_text = |(tokens, reads): (Tokens, &Vec<Read>)| {
            (tokens, outcomes.by_ref().take(reads.len()).collect::<Vec<R>>())
        };
        Ok(tokens.into_iter().zip(&reads).map(of_text).collect())
    }

    /// The score of a sequence by the rows that the last layer left.
    fn score_of(&self, rows: &mut [f32]) -> f32 {
        self.encoder.finish(rows);
        self.score.score(self.encoder.backend.isa, rows)
    }
}

impl Reranker for LocalCrossEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        Ok(self.tokenizer.tokens(text, cancel)?.ids.len())
    }

    fn rerank(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        let scores = self.each(question, texts, cancel, |_, rows| self.score_of(rows))?;
        scores.into_iter().map(|(_, scores)| best(&scores)).collect()
    }

    fn most_tokens(&self) -> usize {
        self.most_tokens
    }
}

impl Pruner for LocalCrossEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn threshold(&self) -> f32 {
        self.threshold
    }

    fn prune(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<Pruning>, ScoreError> {
        let Some(head) = &self.keep else {
            return Err(ScoreError::Model(format!("`{}` has no head that prunes", self.name)));
        };
        let judge = |read: &Read, rows: &mut [f32]| {
            let width = self.encoder.config.width;
            let own = &rows[read.text.start * width..read.text.end * width];
            // That head reads the last layer's rows as they are, before the norm behind it.
            let keep = head.probabilities(self.encoder.backend.isa, own);
            (self.score_of(rows), keep)
        };
        let judged = self.each(question, texts, cancel, judge)?;
        let pruning = |(tokens, parts): (Tokens, Vec<(f32, Vec<f32>)>)| {
            let (scores, keep): (Vec<f32>, Vec<Vec<f32>>) = parts.into_iter().unzip();
            let keep = keep.concat();
            if !keep.iter().all(|probability| probability.is_finite()) {
                return Err(ScoreError::Model("a keep probability is not a number".into()));
            }
            Ok(Pruning { score: best(&scores)?, tokens: tokens.ranges, keep })
        };
        judged.into_iter().map(pruning).collect()
    }
}

/// The best of the scores of a text's parts.
fn best(scores: &[f32]) -> Result<f32, ScoreError> {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if scores.iter().all(|score| score.is_finite()) && best.is_finite() {
        return Ok(best);
    }
    Err(ScoreError::Model("a score of relevance is not a number".into()))
}

fn threshold(path: &Path, json: &Value, options: &CrossEncoderOptions) -> Result<f32, EncoderError> {
    // The misspelling is that of the files.
    let own = ["default_threadshold", "default_threshold"].into_iter().find_map(|key| json[key].as_f64());
    let threshold = options.threshold.unwrap_or_else(|| own.map_or(KEEP_THRESHOLD, |own| own as f32));
    if (0.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(EncoderError::file(path, format!("default_threadshold is {threshold}, not 0 to 1")))
}

fn threads(wanted: Option<usize>) -> Result<ThreadPool, EncoderError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(super::threads(wanted))
        .thread_name(|i| format!("whittle-rerank-{i}"))
        .build()
        .map_err(|e| EncoderError::Threads(e.to_string()))
}
