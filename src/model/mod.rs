//! Models behind traits: what a method may ask of a language model, and nothing about how it is run.
//!
//! The traits here are what the compression methods see; [`local`] runs models in this process, and [`remote`] asks those
//! on other machines.
//! A fake scorer in a test is an implementation of [`TokenScorer`] and needs no weights.

pub mod cached;
mod cancel;
mod ensemble;
mod generation;
pub mod local;
mod names;
pub mod remote;
mod reranker;
pub mod store;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use cached::CacheStatistics;
pub use cancel::{Cancel, CancelOnDrop, ReadProgress, Stopped};
pub use ensemble::EnsembleEmbedder;
pub use generation::{
    ChatError, Completion, Continuation, FinishReason, Generation, GenerationEvent, Message, Prompt, Role,
    Sampling, TokenGenerator,
};
pub use names::{display_name, is_path, parts_of};
pub use remote::{EmbedderKind, RemoteError, RemoteServer, RerankerKind, ScorerKind};
pub use reranker::{KEEP_THRESHOLD, Pruner, Pruning, Reranker};

/// A token of a text: its vocabulary id and the bytes of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Vocabulary id.
    pub id: u32,
    /// Byte range in the text that was tokenised. A token may end inside a character: byte-level
    /// vocabularies split rare characters into several tokens.
    pub range: Range<usize>,
}

/// Arithmetic of the matrix products of a model.
///
/// int8 is the default: weights and activations in 8 bits, in groups of 64. Against f32 on 3,107 tokens of prose
/// (`cargo test --test parity -- --nocapture int8`) the mean differs by 0.013 nats, the rank correlation of the
/// tokens is 0.9986, and 97.8% of tokens fall on the same side of the median; it is about three times as fast
/// (`whittle bench score`) and takes a third of the memory. On 200 passages of Natural Questions, 22,864 tokens: 0.009
/// nats, 0.9985 and 98.5% (`whittle bench precision`, which takes texts of one's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the reference.
    F32,
    /// 8-bit integers, weights and activations in groups of 64.
    #[default]
    Int8,
}

impl Precision {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

/// A device that a model computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor, by this project's own kernels.
    #[default]
    Cpu,
    /// The first NVIDIA GPU, where the build has the feature `cuda`.
    Cuda,
    /// The first GPU of a Mac, where the build has the feature `metal`.
    Metal,
}

impl Device {
    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }

    /// The arithmetic that is used on it where none is named: int8 exists on the CPU alone.
    #[must_use]
    pub fn default_precision(self) -> Precision {
        match self {
            Self::Cpu => Precision::default(),
            Self::Cuda | Self::Metal => Precision::F32,
        }
    }
}

/// A request to score the tokens `ids` after `prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreJob {
    /// Tokens that condition the scores and are not scored themselves. May be empty.
    pub prefix: Arc<[u32]>,
    /// Tokens to score.
    pub ids: Vec<u32>,
}

/// A causal language model that tells how surprising each token is.
///
/// A scorer of one's own, for a test or for a model that runs elsewhere:
///
/// ```
/// use whittle::model::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};
/// use whittle::text::{Protector, for_name};
/// use whittle::{Document, Method, Mode, Prompt, Target, Tools};
///
/// /// Finds long words surprising.
/// struct Length;
///
/// impl TokenScorer for Length {
///     fn name(&self) -> &str { "length" }
///     fn encode(&self, text: &str) -> Vec<Token> {
///         let words = text.split_inclusive(' ').scan(0, |at, word| { *at += word.len(); Some((*at, word.len())) });
///         words.map(|(end, length)| Token { id: length as u32, range: end - length..end }).collect()
///     }
///     fn decode(&self, ids: &[u32]) -> String { format!("{ids:?}") }
///     fn window(&self) -> usize { 512 }
///     fn context(&self) -> usize { 8192 }
///     fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
///         cancel.check()?;
///         let first = |job: &ScoreJob| usize::from(job.prefix.is_empty());
///         Ok(jobs.iter().map(|job| job.ids.iter().skip(first(job)).map(|&id| id as f32).collect()).collect())
///     }
///     fn session(&self) -> Box<dyn ScoreSession + '_> { unreachable!("only the reference mode opens one") }
/// }
///
/// let text = "After a long talk about many small things they all agreed that the harbour would be closed in May.";
/// let document = Document { id: "minutes".into(), title: None, text: text.into() };
/// let prompt = Prompt { documents: vec![document], ..Prompt::default() };
/// let counter = for_name("o200k_base")?;
/// let (protector, cancel) = (Protector::default(), Cancel::never());
/// let tools = Tools { scorer: Some(&Length), ..Tools::bare(&*counter, &protector, &cancel) };
/// let smaller = whittle::compress::compress(&prompt, Target::Rate(0.5), Method::LlmLingua, Mode::Exact, &tools)?;
/// assert!(smaller.compressed_tokens <= smaller.requested_tokens);
/// assert!(smaller.prompt.contains("harbour"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TokenScorer: Send + Sync {
    /// Name of the model, as in the manifest.
    fn name(&self) -> &str;

    /// Tokenises `text` as plain text: the spelling of a control token is text too.
    fn encode(&self, text: &str) -> Vec<Token>;

    /// Whether no token goes on from a letter of ASCII to a space behind it, so that the tokens of a text are those of
    /// its words one by one.
    fn splits_at_spaces(&self) -> bool {
        false
    }

    /// Returns how many tokens the vocabulary has, whose ids are all below; nothing where that is not known.
    fn vocabulary(&self) -> Option<usize> {
        None
    }

    /// Text of `ids`; bytes that are not UTF-8 become U+FFFD.
    fn decode(&self, ids: &[u32]) -> String;

    /// Most tokens that [`TokenScorer::score`] looks at together.
    fn window(&self) -> usize;

    /// Most tokens that the model was trained for: the longest [`TokenScorer::session`].
    fn context(&self) -> usize;

    /// Negative log-likelihood, in nats, of each token of each job given all the tokens before it.
    ///
    /// The answer has one vector a job: of `ids.len()` values where the job has a prefix, else of
    /// `ids.len() - 1`, for the first token of a text has nothing to be predicted from. Of jobs
    /// longer than the window each token sees nearly half a window before it, or more, and the first tokens.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the model.
    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError>;

    /// Returns the negative log-likelihood, in nats, of each of `ids` after the whole of `prefix`, however long the
    /// window: the two together may fill the context. Without a prefix the first token has none.
    ///
    /// # Errors
    /// As [`TokenScorer::score`]; also when the two are longer than the context.
    fn score_whole(&self, prefix: &[u32], ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        let mut scores = self.session().extend(&[prefix, ids].concat(), cancel)?;
        // The first token of all has no score.
        Ok(scores.split_off(prefix.len().saturating_sub(1).min(scores.len())))
    }

    /// Returns what was found and kept of keys and values since the start; nothing where the model keeps none.
    fn prefix_statistics(&self) -> CacheStatistics {
        CacheStatistics::default()
    }

    /// Opens an empty cache of attention keys and values to feed step by step.
    fn session(&self) -> Box<dyn ScoreSession + '_>;
}

/// Implements [`TokenScorer`] for a pointer to one.
macro_rules! scorer_behind {
    ($pointer:ty) => {
        impl<S: TokenScorer + ?Sized> TokenScorer for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }

            fn encode(&self, text: &str) -> Vec<Token> {
                (**self).encode(text)
            }

            fn splits_at_spaces(&self) -> bool {
                (**self).splits_at_spaces()
            }

            fn vocabulary(&self) -> Option<usize> {
                (**self).vocabulary()
            }

            fn decode(&self, ids: &[u32]) -> String {
                (**self).decode(ids)
            }

            fn window(&self) -> usize {
                (**self).window()
            }

            fn context(&self) -> usize {
                (**self).context()
            }

            fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
                (**self).score(jobs, cancel)
            }

            fn score_whole(
                &self,
                prefix: &[u32],
                ids: &[u32],
                cancel: &Cancel,
            ) -> Result<Vec<f32>, ScoreError> {
                (**self).score_whole(prefix, ids, cancel)
            }

            fn prefix_statistics(&self) -> CacheStatistics {
                (**self).prefix_statistics()
            }

            fn session(&self) -> Box<dyn ScoreSession + '_> {
                (**self).session()
            }
        }
    };
}

scorer_behind!(&S);
scorer_behind!(Arc<S>);

/// A growing sequence whose keys and values are kept: what iterative compression feeds.
pub trait ScoreSession {
    /// Tokens in the cache.
    fn cached(&self) -> usize;

    /// Appends `ids` and gives the negative log-likelihood of each of them but the first.
    ///
    /// # Errors
    /// As [`TokenScorer::score`].
    fn extend(&mut self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError>;

    /// Forgets the cached positions in `range`; later ones move up and keep the rotation that they had.
    fn forget(&mut self, range: Range<usize>);
}

/// A model that turns a text into a vector, near in angle to those of texts that mean the same.
///
/// ```
/// use whittle::compress::rank;
/// use whittle::model::{Cancel, Embedder, ScoreError};
/// use whittle::{Document, Prompt};
///
/// /// Counts letters.
/// struct Letters;
///
/// impl Embedder for Letters {
///     fn name(&self) -> &str { "letters" }
///     fn dimensions(&self) -> usize { 26 }
///     fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> { Ok(text.split_whitespace().count()) }
///     fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
///         let letters = |text: &&str| (b'a'..=b'z').map(|c| text.bytes().filter(|&b| b == c).count() as f32).collect();
///         let vectors = texts.iter().map(letters).map(|vector: Vec<f32>| {
///             let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1.0);
///             vector.iter().map(|value| value / length).collect()
///         });
///         Ok(vectors.collect())
///     }
/// }
///
/// let document = |id: &str, text: &str| Document { id: id.into(), title: None, text: text.into() };
/// let documents = vec![document("a", "Xylophones fizz."), document("b", "The harbour closed in May.")];
/// let prompt = Prompt { documents, question: "When was the harbour closed?".into(), ..Prompt::default() };
/// let ranking = rank(&prompt, &Letters, &Cancel::never())?;
/// assert_eq!(ranking[0].0, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Embedder: Send + Sync {
    /// Name of the model, as in the manifest.
    fn name(&self) -> &str;

    /// Values in a vector.
    fn dimensions(&self) -> usize;

    /// Tokens of a text, without those that open and close a window.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError>;

    /// One vector of length 1 for each text, in their order. A text has the same vector whatever it is
    /// embedded with; the spelling of a control token is text too, and a text may be empty.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the model.
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError>;

    /// The vector of a question that is compared with those of texts. Some models read the two differently.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        Ok(self.embed(&[query], cancel)?.pop().unwrap_or_default())
    }

    /// Compares each text with a question by the meanings of their words alone, which takes next to no time beside
    /// [`Embedder::embed`]. A word counts the more, the fewer of the texts it stands in, so that the result depends on
    /// all of them. None where the model cannot tell.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    fn compare_words(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<Vec<WordMatch>>, ScoreError> {
        let _ = (query, texts, cancel);
        Ok(None)
    }
}

/// The comparison of a text with a question by their words alone: see [`Embedder::compare_words`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WordMatch {
    /// The cosine of the means of both texts' words, -1 to 1; 0 where a text has no word.
    pub cosine: f64,
    /// The tokens of the text, as by [`Embedder::count`].
    pub tokens: usize,
}

impl<E: Embedder + ?Sized> Embedder for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn dimensions(&self) -> usize {
        (**self).dimensions()
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        (**self).count(text, cancel)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        (**self).embed(texts, cancel)
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        (**self).embed_query(query, cancel)
    }

    fn compare_words(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<Vec<WordMatch>>, ScoreError> {
        (**self).compare_words(query, texts, cancel)
    }
}

/// A model that tells which tokens of a text to keep.
pub trait TokenClassifier: Send + Sync {
    /// Name of the model, as in the manifest.
    fn name(&self) -> &str;

    /// Tokenises `text` as plain text, without the tokens that open and close a sequence. Ranges may overlap:
    /// a character can have several tokens.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the tokenizer.
    fn encode(&self, text: &str, cancel: &Cancel) -> Result<Vec<Token>, ScoreError>;

    /// Most tokens that [`TokenClassifier::keep`] takes.
    fn window(&self) -> usize;

    /// Probability, 0 to 1, that each token is to be kept, given all of `ids`.
    ///
    /// # Errors
    /// As [`TokenScorer::score`].
    fn keep(&self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError>;
}

/// An error of scoring.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScoreError {
    /// The caller left or ran out of time.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The model failed: its worker is gone or it produced a value that is not a number.
    #[error("the scoring model failed: {0}")]
    Model(String),
    /// A model on another machine cannot be asked, or its answer cannot be used.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
