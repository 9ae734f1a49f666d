//! The input and output types of text generation.

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
pub struct Turn {
    /// The author of the message.
    pub role: Role,
    /// The text of the message. The spelling of a control token is text here.
    pub text: String,
}

/// The text or conversation that the model continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A conversation, put into the form of the model's chat template.
    Chat(Vec<Turn>),
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
    pub most: Option<usize>,
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
pub enum Told<'a> {
    /// Tokens of the prompt: the request can be met, and the answer begins.
    Prompt(usize),
    /// The next part of the answer, not empty.
    Text(&'a str),
}

/// The reason why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// The model wrote this text, one of those that end an answer.
    Stop(String),
    /// The answer reached the maximum number of tokens.
    Length,
}

/// An answer that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Tokens of the prompt.
    pub input: usize,
    /// Tokens of the answer, the one that ended it not counted.
    pub output: usize,
    /// The reason why the answer ended.
    pub finish: Finish,
}
