//! [`TokenScorer`] on a model in this process.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rayon::ThreadPool;

use super::adapter::{Adapter, sha256_of};
use super::causal::{CausalModel, ForwardOutput, KvCache, Sequence};
use super::chat_template::ChatTemplate;
use super::error::LoadError;
use super::gguf::GgufError;
use super::load::{Loaded, WeightFiles, load};
use super::prefix_cache::{KvFormat, PrefixCache};
use super::roofline::operations_per_second;
use super::schedule::Schedule;
use super::tokenizer::GgufTokenizer;
use super::worker::{Run, Turns, Worker, panicked};
use crate::kernels::Isa;
use crate::model::cached::CacheStatistics;
use crate::model::{Cancel, Device, Precision, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};

/// The options of a scorer.
#[derive(Debug, Clone)]
pub struct ScorerOptions {
    /// Arithmetic of the matrix products.
    pub precision: Precision,
    /// The device that the model runs on.
    pub device: Device,
    /// Threads of the model; by default one a physical core.
    pub threads: Option<usize>,
    /// Most tokens that are looked at together; of a longer text each sees nearly half of it or more. At most the
    /// model's own context.
    pub window: usize,
    /// Bytes of keys and values that are kept of texts that others were scored after, for the next that follows them;
    /// 0 keeps none.
    pub kv_cache_bytes: u64,
    /// The file of an adapter that is merged into the weights ([`align`](super::align)).
    pub adapter: Option<PathBuf>,
}

impl Default for ScorerOptions {
    fn default() -> Self {
        Self {
            precision: Precision::default(),
            device: Device::default(),
            threads: None,
            window: 2048,
            kv_cache_bytes: 0,
            adapter: None,
        }
    }
}

/// A model in this process, with its own threads.
///
/// The file comes from the cache, or is fetched on first need:
///
/// ```
/// use whittle::environment::ProcessEnv;
/// use whittle::model::local::{LocalScorer, ScorerOptions};
/// use whittle::model::store::{ModelStore, Silent};
/// use whittle::model::{Cancel, ScoreJob, TokenScorer};
///
/// let files = ModelStore::from_environment(&ProcessEnv)?.ensure("smollm2-135m-instruct", &Silent)?;
/// let file = files.single("gguf").ok_or("the model has no GGUF file")?;
/// let scorer = LocalScorer::load("smollm2", file, &ScorerOptions::default())?;
/// let ids = scorer.encode("The sky is blue").iter().map(|token| token.id).collect();
/// let nll = scorer.score(&[ScoreJob { prefix: [].into(), ids }], &Cancel::never())?;
/// assert!(nll[0].iter().all(|nll| nll.is_finite()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LocalScorer {
    name: String,
    pub(super) tokenizer: Arc<GgufTokenizer>,
    pub(super) chat_template: Arc<ChatTemplate>,
    pub(super) llama: Arc<dyn CausalModel>,
    pool: Arc<ThreadPool>,
    pub(super) worker: Worker,
    texts: Arc<PrefixCache>,
    device: Device,
    window: usize,
    /// The sha256 of the adapter's file, where there is one.
    adapter: Option<String>,
    /// The token that stands before each text, where the file asks for one.
    bos: Option<u32>,
}

impl std::fmt::Debug for LocalScorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalScorer")
            .field("name", &self.name)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl LocalScorer {
    /// Loads a GGUF file of the Llama family.
    ///
    /// # Errors
    /// The file cannot be read or describes a model that this build does not run, the adapter is not for it, or no thread
    /// could be started.
    pub fn load(name: &str, path: &Path, options: &ScorerOptions) -> Result<Self, LoadError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(super::threads(options.threads))
            .thread_name(|i| format!("whittle-compute-{i}"))
            .build()
            .map_err(|e| LoadError::Threads(e.to_string()))?;
        let adapter = options.adapter.as_deref().map(|file| adapter_for(path, file)).transpose()?;
        let files = WeightFiles::adapted(path, adapter.as_ref());
        let Loaded { llama, tokenizer, chat_template, bos } =
            pool.install(|| load(files, options.device, options.precision, options.window))?;
        let pool = Arc::new(pool);
        let form = KvFormat::new(llama.config(), options.precision);
        let texts = Arc::new(PrefixCache::new(form, options.kv_cache_bytes));
        let worker = Worker::start(llama.clone(), pool.clone(), texts.clone())
            .map_err(|e| LoadError::Threads(e.to_string()))?;
        let window = options.window.clamp(16, llama.config().context);
        Ok(Self {
            name: name.to_owned(),
            tokenizer: Arc::new(tokenizer),
            chat_template: Arc::new(chat_template),
            llama,
            pool,
            worker,
            texts,
            device: options.device,
            window,
            adapter: adapter.map(|adapter| adapter.sha256().to_owned()),
            bos,
        })
    }

    /// Returns the sha256 of the adapter that is merged into the weights, where there is one. Scores of models with
    /// different adapters are different.
    #[must_use]
    pub fn adapter_sha256(&self) -> Option<&str> {
        self.adapter.as_deref()
    }

    /// Operations (a multiplication and an addition are two) of the products with the model's weights, for one
    /// token whose likelihood is wanted.
    #[must_use]
    pub fn operations_per_token(&self) -> f64 {
        self.llama.config().operations_per_token()
    }

    /// Operations a second that all threads together reach in a loop of nothing but multiply-adds, measured for
    /// about `time`; none where another device computes.
    #[must_use]
    pub fn arithmetic_peak(&self, precision: Precision, time: Duration) -> Option<f64> {
        if self.device != Device::Cpu {
            return None;
        }
        let isa = Isa::detect();
        let peak = self.pool.broadcast(|_| operations_per_second(isa, precision, time)).into_iter().sum();
        Some(peak)
    }

    /// Threads that compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The model's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<GgufTokenizer> {
        &self.tokenizer
    }
}

/// Reads an adapter that must be one for the model at `path`.
fn adapter_for(path: &Path, file: &Path) -> Result<Adapter, LoadError> {
    let adapter = Adapter::open(file)?;
    adapter.check_base(&sha256_of(path).map_err(GgufError::from)?)?;
    Ok(adapter)
}

impl TokenScorer for LocalScorer {
    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        self.tokenizer.encode(text)
    }

    fn splits_at_spaces(&self) -> bool {
        self.tokenizer.splits_at_spaces()
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.tokenizer.vocabulary())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids)
    }

    fn window(&self) -> usize {
        self.window
    }

    fn context(&self) -> usize {
        self.llama.config().context - self.bos.iter().len()
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let schedule = Schedule::new(jobs, self.window, self.bos, &self.texts);
        let scores = self.worker.score(schedule.runs, cancel)?;
        let mut results = vec![Vec::new(); jobs.len()];
        for (parts, scores) in schedule.parts.iter().zip(scores) {
            let mut rest = &scores[..];
            for part in parts {
                let (own, others) = rest.split_at(part.scores);
                results[part.job].extend_from_slice(own);
                rest = others;
            }
        }
        Ok(results)
    }

    fn score_whole(&self, prefix: &[u32], ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        let context = self.llama.config().context;
        let bos = self.bos.as_slice();
        let length = bos.len() + prefix.len() + ids.len();
        if length > context {
            let message = format!("{length} tokens are more than its context of {context}");
            return Err(ScoreError::Model(message));
        }
        // The first token of all has no score, whatever stands before it.
        let scored_from = bos.len() + prefix.len().max(1);
        let run = Run::whole(None, [bos, prefix, ids].concat(), scored_from);
        Ok(self.worker.score(vec![run], cancel)?.pop().unwrap_or_default())
    }

    fn prefix_statistics(&self) -> CacheStatistics {
        self.texts.statistics()
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        Box::new(Session { scorer: self, cache: KvCache::new(self.llama.config()) })
    }
}

/// A sequence that is fed step by step.
struct Session<'a> {
    scorer: &'a LocalScorer,
    cache: KvCache,
}

impl ScoreSession for Session<'_> {
    fn cached(&self) -> usize {
        self.cache.len().saturating_sub(self.scorer.bos.iter().len())
    }

    fn extend(&mut self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let config = self.scorer.llama.config();
        let bos = if self.cache.len() == 0 { self.scorer.bos.as_slice() } else { &[] };
        if self.cache.len() + bos.len() + ids.len() > config.context {
            return Err(ScoreError::Model("the sequence is longer than the model's context".into()));
        }
        let (reply, answer) = channel();
        let cache = std::mem::replace(&mut self.cache, KvCache::new(config));
        // The first token of all has no score, whatever stands before it.
        let scored_from = if bos.is_empty() { 0 } else { bos.len() + 1 };
        let step =
            SessionStep { ids: [bos, ids].concat(), scored_from, cache, cancel: cancel.clone(), reply };
        self.scorer.worker.take_turns(step)?;
        let (cache, scores) = answer.recv().map_err(|_| panicked())?;
        self.cache = cache;
        scores
    }

    fn forget(&mut self, range: Range<usize>) {
        // What was never extended has no BOS token either.
        if range.is_empty() {
            return;
        }
        let bos = self.scorer.bos.iter().len();
        self.cache.forget(range.start + bos..range.end + bos);
    }
}

/// The next tokens of a session, which are run in one turn.
struct SessionStep {
    ids: Vec<u32>,
    scored_from: usize,
    cache: KvCache,
    cancel: Cancel,
    reply: Sender<(KvCache, Result<Vec<f32>, ScoreError>)>,
}

impl Turns for SessionStep {
    fn advance(&mut self, model: &dyn CausalModel) -> bool {
        let mut cache = std::mem::replace(&mut self.cache, KvCache::new(model.config()));
        let past = (cache.len() > 0).then_some(&cache);
        let scored_from = self.scored_from;
        let sequence = Sequence { ids: &self.ids, past, scored_from, kept: self.ids.len() };
        let scores = model.forward_one(sequence, &self.cancel).map(|ForwardOutput { nll, kept }| {
            cache.append(&kept);
            nll
        });
        // The caller may be gone; then nobody reads it.
        self.reply.send((cache, scores)).ok();
        false
    }
}
