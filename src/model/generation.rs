//! The input and output types of text generation.

use super::{Cancel, ScoreError};

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever runs the conversation.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// Returns the role's name in chat templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The author of the message.
    pub role: Role,
    /// The text of the message. The spelling of a control token is text here.
    pub text: String,
}

/// The text or conversation that the model continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, put into the form of the model's chat template.
    Chat(Vec<Message>),
    /// A text that is continued as it stands.
    Text(String),
}

/// The parameters by which the next token is sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token; above it, the logits are divided by it.
    pub temperature: f64,
    /// Only the likeliest tokens that together reach this probability are chosen from, above 0 and at most 1.
    pub top_p: f64,
    /// Only so many of the likeliest are chosen from.
    pub top_k: Option<usize>,
    /// The seed of the random numbers; equal seeds give equal choices.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: None, seed: 0 }
    }
}

/// A request for generated text.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The text or conversation to continue.
    pub prompt: Prompt,
    /// Most tokens of the answer, at least 1; by default as many as fit the model's context, and at most
    /// [`Generation::USUAL_MOST`].
    pub max_tokens: Option<usize>,
    /// The sampling parameters.
    pub sampling: Sampling,
    /// Texts that end the answer and are not part of it; none is empty.
    pub stop: Vec<String>,
}

impl Generation {
    /// Most tokens of an answer for which the request names no limit: a small model may not find an end by itself.
    pub const USUAL_MOST: usize = 1024;
}

/// An event that is reported while an answer is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationEvent<'a> {
    /// Tokens of the prompt: the request can be met, and the answer begins.
    Prompt(usize),
    /// The next part of the answer, not empty.
    Text(&'a str),
}

/// The reason why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it.
    End,
    /// The model wrote this text, one of those that end an answer.
    Stop(String),
    /// The answer reached the maximum number of tokens.
    Length,
}

/// An answer that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Tokens of the prompt.
    pub input: usize,
    /// Tokens of the answer, the one that ended it not counted.
    pub output: usize,
    /// The reason why the answer ended.
    pub finish: FinishReason,
}

/// Tokens that a model is to continue.
#[derive(Debug, Clone, Copy)]
pub struct Continuation<'a> {
    /// The tokens that the answer follows, at least one; with `max_tokens` at most the model's context.
    pub prompt: &'a [u32],
    /// The most tokens of the answer.
    pub max_tokens: usize,
    /// The parameters by which they are sampled.
    pub sampling: Sampling,
}

/// An error of rendering a conversation for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The model has no template.
    #[error("the model has no chat template: use `POST /v1/completions`, or another model")]
    NoTemplate,
    /// The template is not one that can be rendered here, or it refuses the messages.
    #[error("the model's chat template cannot be used with these messages: {0}")]
    Template(String),
}

/// A causal language model that continues a sequence of tokens.
pub trait TokenGenerator: Send + Sync {
    /// Returns the most tokens that a prompt and its answer may have together.
    fn context(&self) -> usize;

    /// Tokenises a prompt, a conversation by the model's chat template.
    ///
    /// # Errors
    /// The chat template cannot be used for it.
    fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, ChatError>;

    /// Continues a sequence: `each` gets the bytes of every new token, which may end inside a character, and says
    /// whether to go on. Returns whether the model itself ended the answer.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, else a fault of the model.
    fn generate(
        &self,
        continuation: &Continuation<'_>,
        each: &mut dyn FnMut(&[u8]) -> bool,
        cancel: &Cancel,
    ) -> Result<bool, ScoreError>;
}
