//! Compression: pure and synchronous. Prompts in, kept byte ranges out.
//!
//! Nothing here does I/O or awaits. A method asks a [`TokenScorer`] and a
//! [`TokenCounter`], both given to it, so every method can be tested with fakes.

mod answer_spans;
mod assemble;
mod auto;
mod constraints;
mod cuts;
mod error;
mod extractive;
pub mod fold;
mod hybrid;
mod llmlingua;
mod llmlingua2;
mod longllmlingua;
pub mod lossless;
mod prune;
pub mod recover;
pub mod reference;
mod relevance;
mod select;
mod selective_context;
mod statistics;
mod structure;
mod surprise;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use auto::Choice;
pub use constraints::{
    Constraints, ContextBudget, ContextBudgetError, Place, RankBy, Reorder, Section, Share,
};
pub use cuts::CutMemory;
pub use error::CompressError;
pub use longllmlingua::rank_by_likelihood;
pub use relevance::{rank, rank_by_reranker};

use crate::model::{Cancel, Embedder, Pruner, Reranker, TokenClassifier, TokenScorer};
use crate::text::{Noun, Protector, TokenCounter};

/// One document of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Names the document in the answer; unique in its prompt.
    pub id: String,
    /// Put on a line of its own before the text, and kept whole as long as any of the text is kept.
    pub title: Option<String>,
    /// The text to compress.
    pub text: String,
}

/// A prompt to compress: instruction, documents and question, joined by blank lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// Kept whole, first. May be empty.
    pub instruction: String,
    /// Compressed.
    pub documents: Vec<Document>,
    /// Kept whole, last. May be empty.
    pub question: String,
    /// The constraints on which parts of the documents are kept, and in which order.
    pub constraints: Constraints,
}

/// The target size of the whole prompt, counted in the target tokenizer, joins included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Share of the original's tokens that may be kept, above 0 and at most 1. 4x is 0.25.
    Rate(f64),
    /// Most tokens of the result.
    Tokens(usize),
}

/// A compression method.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `hybrid` where there is a question, else `llmlingua`. Of programs, logs, diffs, tables and JSON whole lines go;
    /// where folding them meets the budget, `lossless`.
    #[default]
    Auto,
    /// Whole sentences near to the question, then the telling words of the next ones. Needs a question.
    Hybrid,
    /// The whole sentences that are nearest to the question (arXiv 2407.08892). Needs a question.
    Extractive,
    /// Coarse ranking by perplexity, then token-level selection (arXiv 2310.05736).
    #[value(name = "llmlingua")]
    LlmLingua,
    /// Documents and words chosen by what the question makes of them (arXiv 2310.06839). Needs a question.
    #[value(name = "longllmlingua")]
    LongLlmLingua,
    /// The words that a token classifier would keep (arXiv 2403.12968). Its model has to be imported.
    #[value(name = "llmlingua2")]
    LlmLingua2,
    /// The phrases with the most information, or words or sentences (arXiv 2310.06201).
    #[serde(rename = "selective-context")]
    #[value(name = "selective-context")]
    SelectiveContext,
    /// The whole sentences that a context pruner would keep (arXiv 2501.16214), even where all would fit. Needs a question,
    /// and a model that is configured for it.
    Prune,
    /// Folds what can be folded without loss: JSON, repeated lines, blank lines. Not a sub-sequence.
    Lossless,
}

impl Method {
    /// Does it need a scorer? Of [`Method::Auto`] ask what it is resolved to.
    #[must_use]
    pub const fn scores(self) -> bool {
        match self {
            Self::LlmLingua | Self::LongLlmLingua | Self::SelectiveContext => true,
            Self::Auto
            | Self::Hybrid
            | Self::Extractive
            | Self::LlmLingua2
            | Self::Prune
            | Self::Lossless => false,
        }
    }

    /// Does it need an embedder? Of [`Method::Auto`] ask what it is resolved to.
    #[must_use]
    pub const fn embeds(self) -> bool {
        match self {
            Self::Hybrid | Self::Extractive => true,
            Self::Auto
            | Self::LlmLingua
            | Self::LongLlmLingua
            | Self::LlmLingua2
            | Self::SelectiveContext
            | Self::Prune
            | Self::Lossless => false,
        }
    }

    /// Returns whether the method needs a context pruner.
    #[must_use]
    pub const fn prunes(self) -> bool {
        matches!(self, Self::Prune)
    }

    /// Returns whether the method needs a token classifier.
    #[must_use]
    pub const fn classifies(self) -> bool {
        matches!(self, Self::LlmLingua2)
    }
}

/// The fidelity to a method's first implementation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Whole words, protected spans and a hard budget.
    #[default]
    Exact,
    /// Reproduces llmlingua 0.2.2, defects included, for parity alone. Keeps none of the promises of `exact`.
    Reference,
}

/// A compressed document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptDocument {
    /// The id as in the prompt.
    pub id: String,
    /// The compressed text.
    pub text: String,
    /// Byte ranges of the original text that were kept, in order, not touching each other. Their slices are
    /// `text` without its marks, but where a text was folded ([`lossless`]): there they are a sub-sequence of it.
    pub kept: Vec<Range<usize>>,
    /// Marks in `text` for what was left out as a whole, with the bytes of the original text that each stands before.
    pub marks: Vec<(usize, String)>,
    /// The amounts that were left out as a whole: lines, rows, records, turns, bytes of blobs.
    pub left_out: BTreeMap<Noun, usize>,
    /// Place in the method's ranking of the documents, from 0 for the most valuable.
    pub rank: Option<usize>,
    /// The score that the document was ranked by.
    pub score: Option<f64>,
    /// The document's words in order; empty where the prompt fit and was not split into words.
    pub words: Vec<KeptWord>,
}

/// The decision on a word.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptWord {
    /// Byte range of the original text, without the white space before it.
    pub range: Range<usize>,
    /// Whether the word is in the result.
    pub kept: bool,
    /// The score of the word, higher is better. None where its document was not weighed.
    pub score: Option<f32>,
}

/// The models and counters that a method works with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Tells how surprising tokens are. Needed where [`Method::scores`] says so.
    pub scorer: Option<&'a dyn TokenScorer>,
    /// Tells what a text is about. Needed where [`Method::embeds`] says so.
    pub embedder: Option<&'a dyn Embedder>,
    /// Tells which tokens to keep. Needed where [`Method::classifies`] says so.
    pub classifier: Option<&'a dyn TokenClassifier>,
    /// The model that puts what the embedder ranks highest in order anew, where there is one.
    pub reranker: Option<&'a dyn Reranker>,
    /// The model that tells which sentences a question needs. Needed where [`Method::prunes`] says so.
    pub pruner: Option<&'a dyn Pruner>,
    /// Counts as the target model does.
    pub counter: &'a dyn TokenCounter,
    /// Finds what is kept or dropped whole.
    pub protector: &'a Protector,
    /// Remembers how texts were cut with this protector, where there is a memory.
    pub cuts: Option<&'a CutMemory>,
    /// Tells whether the work is still wanted.
    pub cancel: &'a Cancel,
}

impl<'a> Tools<'a> {
    /// The tools without any model.
    #[must_use]
    pub fn bare(counter: &'a dyn TokenCounter, protector: &'a Protector, cancel: &'a Cancel) -> Self {
        Self {
            scorer: None,
            embedder: None,
            classifier: None,
            reranker: None,
            pruner: None,
            counter,
            protector,
            cuts: None,
            cancel,
        }
    }

    fn scorer(&self) -> Result<&'a dyn TokenScorer, CompressError> {
        self.scorer.ok_or(CompressError::Missing("a scorer"))
    }

    fn embedder(&self) -> Result<&'a dyn Embedder, CompressError> {
        self.embedder.ok_or(CompressError::Missing("an embedder"))
    }

    fn classifier(&self) -> Result<&'a dyn TokenClassifier, CompressError> {
        self.classifier.ok_or(CompressError::Missing("a token classifier"))
    }

    fn pruner(&self) -> Result<&'a dyn Pruner, CompressError> {
        self.pruner.ok_or(CompressError::Missing("a context pruner"))
    }
}

/// A compressed prompt with the proof of what was kept.
#[derive(Debug, Clone)]
pub struct Compressed {
    /// Instruction, what is left of the documents, question.
    pub prompt: String,
    /// The documents in the order of the given prompt.
    pub documents: Vec<KeptDocument>,
    /// Tokens of the prompt given, joins included.
    pub original_tokens: usize,
    /// Tokens of `prompt`.
    pub compressed_tokens: usize,
    /// Tokens asked for at most.
    pub requested_tokens: usize,
    /// The reason for the depth of the result.
    pub reason: String,
    /// Milliseconds by stage.
    pub stages: Stages,
}

/// Milliseconds by stage.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    /// The durations in milliseconds by stage.
    pub milliseconds: BTreeMap<&'static str, f64>,
}

impl Stages {
    /// Runs `work` and adds its time to `stage`.
    fn time<R>(&mut self, stage: &'static str, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        *self.milliseconds.entry(stage).or_default() += start.elapsed().as_secs_f64() * 1000.0;
        result
    }

    /// Adds the times of another call.
    pub fn add(&mut self, other: &Self) {
        for (stage, milliseconds) in &other.milliseconds {
            *self.milliseconds.entry(stage).or_default() += milliseconds;
        }
    }
}

/// Compresses `prompt` to `target`.
///
/// In [`Mode::Exact`] the result without its marks ([`crate::text::MarkStyle`]) is a sub-sequence of the prompt as it
/// was sent (instruction, documents, question, joined by blank lines), but for [`Method::Lossless`], which folds, and for documents put in
/// another order; it holds at most the target's tokens as `tools.counter` counts them, and is the same for the
/// same input.
///
/// # Errors
/// [`CompressError::Infeasible`] when instruction, question and the smallest part of the documents exceed
/// the target; [`CompressError::Score`] when the model fails or the work is stopped.
pub fn compress(
    prompt: &Prompt,
    target: Target,
    method: Method,
    mode: Mode,
    tools: &Tools,
) -> Result<Compressed, CompressError> {
    let choice = Choice::of(prompt, target, (method, mode), tools)?;
    compress_as(prompt, target, &choice, mode, tools)
}

/// [`compress`] with a choice that was made before for the same prompt and target.
///
/// # Errors
/// As [`compress`].
pub fn compress_as(
    prompt: &Prompt,
    target: Target,
    choice: &Choice,
    mode: Mode,
    tools: &Tools,
) -> Result<Compressed, CompressError> {
    let Choice { method, why, done } = choice;
    let mut compressed = match done {
        Some(done) => done.clone(),
        None => run(prompt, target, *method, mode, tools)?,
    };
    if let Some(why) = why {
        compressed.reason = format!("{why}; {}", compressed.reason);
    }
    Ok(compressed)
}

fn run(
    prompt: &Prompt,
    target: Target,
    method: Method,
    mode: Mode,
    tools: &Tools,
) -> Result<Compressed, CompressError> {
    if method == Method::LongLlmLingua && prompt.question.trim().is_empty() {
        return Err(CompressError::Unsupported(
            "`longllmlingua` ranks by the question: give one, or use `llmlingua`".into(),
        ));
    }
    match (mode, method) {
        (Mode::Exact, Method::Hybrid) => hybrid::compress(prompt, target, tools),
        (Mode::Exact, Method::Extractive) => extractive::compress(prompt, target, tools),
        (Mode::Exact, Method::Auto | Method::LlmLingua) => llmlingua::compress(prompt, target, tools),
        (Mode::Exact, Method::LongLlmLingua) => longllmlingua::compress(prompt, target, tools),
        (Mode::Exact, Method::LlmLingua2) => llmlingua2::compress(prompt, target, tools),
        (Mode::Exact, Method::SelectiveContext) => selective_context::compress(prompt, target, tools),
        (Mode::Exact, Method::Prune) => prune::compress(prompt, target, tools),
        (Mode::Exact, Method::Lossless) => lossless::compress(prompt, target, tools),
        (
            Mode::Reference,
            Method::Hybrid
            | Method::Extractive
            | Method::LlmLingua2
            | Method::SelectiveContext
            | Method::Prune
            | Method::Lossless,
        ) => {
            let message = "reference mode reproduces `llmlingua` and `longllmlingua` of llmlingua 0.2.2; use exact mode";
            Err(CompressError::Unsupported(message.into()))
        }
        (Mode::Reference, Method::Auto | Method::LlmLingua) => {
            let settings = reference::Settings::default().with(&prompt.constraints)?;
            reference::compress(prompt, target, &settings, tools)
        }
        (Mode::Reference, Method::LongLlmLingua) => {
            let settings = reference::Settings::question_aware().with(&prompt.constraints)?;
            reference::compress(prompt, target, &settings, tools)
        }
    }
}

impl Target {
    /// Most tokens of a result, for a prompt of `original` tokens.
    #[must_use]
    pub fn tokens(self, original: usize) -> usize {
        match self {
            Self::Rate(rate) => (original as f64 * rate).floor() as usize,
            Self::Tokens(tokens) => tokens,
        }
    }
}
