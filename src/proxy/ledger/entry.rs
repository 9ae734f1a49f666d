//! What the ledger has of a request.

use serde::{Deserialize, Serialize};

use crate::wire::Usage;

/// What is known of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::proxy) struct Entry {
    /// When it came, in milliseconds since the epoch.
    pub(in crate::proxy) milliseconds: u64,
    /// Its id.
    pub(in crate::proxy) request: String,
    /// Id of the key that it came with.
    pub(in crate::proxy) key: Option<String>,
    /// What the upstream calls the model; empty where the request passed unread.
    pub(in crate::proxy) model: String,
    /// The upstream that answered, or that was asked last.
    pub(in crate::proxy) upstream: String,
    /// Status of the answer; 499 where the client left before there was one, 502 where a stream ended in an error.
    pub(in crate::proxy) status: u16,
    /// Tokens of the texts that were compressed, before and after.
    pub(in crate::proxy) texts: (u64, u64),
    /// Tokens that the provider counted.
    pub(in crate::proxy) usage: Usage,
    /// Whether the provider did not say, or not at the end, and [`Entry::usage`] is made of what came through.
    pub(in crate::proxy) estimated: bool,
    /// Microseconds of work on its texts.
    pub(in crate::proxy) compressor: u64,
    /// What it cost, in billionths of a dollar; none where no price is configured.
    pub(in crate::proxy) cost: Option<i64>,
    /// What compression saved, less what it cost: below 0 where that was more.
    pub(in crate::proxy) saving: Option<i64>,
    /// The part that later versions added.
    #[serde(skip)]
    pub(in crate::proxy) more: More,
    /// The name of the reason why texts went on as they came, if there is one; `unchanged` and `bypassed` are names of
    /// [`Status`](crate::proxy::Status). A name outlives the reason that has it.
    #[serde(skip)]
    pub(in crate::proxy) reason: Option<String>,
    /// A random number, by which it is told from all others of its millisecond, whichever process made them; none where an
    /// earlier version stored it.
    #[serde(skip)]
    pub(in crate::proxy) serial: Option<u64>,
}

/// The part that is stored behind an [`Entry`]: files of the first versions do not have it, and those versions do not
/// read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::proxy) struct More {
    /// Tokens that folding took out.
    pub(in crate::proxy) folded: Vec<Part>,
    /// The conversation, while a share of conversations is held out.
    pub(in crate::proxy) trial: Option<Trial>,
}

/// A conversation of an experiment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::proxy) struct Trial {
    /// A keyed hash of its first message.
    pub(in crate::proxy) conversation: u64,
    /// True where the conversation goes on as it came.
    pub(in crate::proxy) held_out: bool,
}

/// Tokens that a rule of folding took out of results of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::proxy) struct Part {
    /// Name of the rule. A name outlives the rule that has it.
    pub(in crate::proxy) rule: String,
    /// Name of the kind.
    pub(in crate::proxy) kind: String,
    /// The tokens.
    pub(in crate::proxy) tokens: u64,
}
