//! What becomes of a text and of a search, and by what name that is remembered.

use std::ops::Range;

use super::conversation::Conversation;
use super::settings::Settings;
use crate::compress::Method;
use crate::compress::fold::Origin;
use crate::text;
use crate::wire::TextSpan;

/// The result of the search for documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Retrieval {
    /// Nothing was to be found.
    #[default]
    None,
    /// The documents and tokens that were put before the last question.
    Found {
        /// Documents that are cited.
        documents: usize,
        /// Solved examples.
        examples: usize,
    },
    /// The search failed for this reason, and the request was forwarded without.
    Failed(&'static str),
}

/// Names a text with its question, model and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

/// Version of the names of texts. Files hold them: what they are made of must not change without another version, and
/// without a search for the names of the version before.
const VERSION: &str = "1";

/// Name of a method in [`Key`]s, which never changes, whatever the method is called elsewhere.
const fn stored_name(method: Method) -> &'static str {
    match method {
        Method::Auto => "Auto",
        Method::Hybrid => "Hybrid",
        Method::Extractive => "Extractive",
        Method::LlmLingua => "LlmLingua",
        Method::LongLlmLingua => "LongLlmLingua",
        Method::LlmLingua2 => "LlmLingua2",
        Method::SelectiveContext => "SelectiveContext",
        Method::Prune => "Prune",
        Method::Lossless => "Lossless",
    }
}

/// A decision on a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The text does not get smaller: it is always sent as it is.
    Unchanged,
    /// The text has fewer tokens than the least number: it is always sent as it is.
    Small,
    /// The text was sent as it is because compression failed. For a while it stays so.
    Declined,
    /// The text was compressed to these parts.
    Subset { ranges: Box<[Range<usize>]>, tokens: Tokens },
    /// Something else went on in its place.
    Replaced { text: Box<str>, tokens: Tokens },
    /// The text is a tool's result of this kind, and went on folded, with the id of its original in the marks or not.
    Folded { tokens: Tokens, kind: ResultKind, recall: bool },
    /// The text is a question that this was put before, with these citations.
    Inserted { text: Box<str>, citations: Box<str> },
    /// The conversation has the tool that recalls originals.
    Tool,
}

/// Tokens before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the texts that were compressed, as they were sent.
    pub before: usize,
    /// Of what went on in their place.
    pub after: usize,
}

/// A kind of result, for the ledger and the store of decisions, which hold their positions: new ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ResultKind {
    Prose,
    Code,
    Json,
    Log,
    Diff,
    Table,
    Chat,
    Search,
}

impl ResultKind {
    /// All kinds, at the positions that files hold.
    const ALL: [Self; 8] =
        [Self::Prose, Self::Code, Self::Json, Self::Log, Self::Diff, Self::Table, Self::Chat, Self::Search];

    /// The kind at a position.
    pub(super) fn at(position: usize) -> Option<Self> {
        Self::ALL.get(position).copied()
    }

    pub(super) fn of(text: &str, origin: Origin) -> Self {
        if origin == Origin::Search {
            return Self::Search;
        }
        match text::Kind::of(text) {
            text::Kind::Prose => Self::Prose,
            text::Kind::Code => Self::Code,
            text::Kind::Json => Self::Json,
            text::Kind::Log => Self::Log,
            text::Kind::Diff => Self::Diff,
            text::Kind::Table => Self::Table,
            text::Kind::Chat => Self::Chat,
        }
    }

    /// The name in the ledger and its reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Prose => "prose",
            Self::Code => "code",
            Self::Json => "json",
            Self::Log => "log",
            Self::Diff => "diff",
            Self::Table => "table",
            Self::Chat => "chat",
            Self::Search => "search",
        }
    }
}

/// A hasher of `parts`, each with its length, so that no two sets of parts read the same.
fn hasher_of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}

impl Key {
    pub(super) fn new(passage: &TextSpan, model: &str, settings: &Settings) -> Self {
        Self::of_text((&passage.text, passage.question.as_deref()), model, settings)
    }

    pub(super) fn of_text((text, question): (&str, Option<&str>), model: &str, settings: &Settings) -> Self {
        let method = settings.method.map_or("", stored_name);
        let parts = [VERSION, method, model, question.unwrap_or_default(), text];
        let mut hasher = hasher_of(parts.map(str::as_bytes));
        hasher.update(&settings.rate.to_le_bytes());
        hasher.update(&(settings.min_tokens as u64).to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// Names a result of a conversation with its folded form, which follows from the texts that it refers to and from the
    /// rules. What was decided holds for another model, too.
    pub(super) fn of_fold(text: &str, folded: &str, conversation: Option<Conversation>) -> Self {
        let conversation = conversation.as_ref().map(Conversation::bytes).unwrap_or_default();
        let hasher = hasher_of([b"fold.2", conversation, text.as_bytes(), folded.as_bytes()]);
        Self(*hasher.finalize().as_bytes())
    }

    /// Names the question whether a conversation of `owner` has the tool that recalls originals.
    pub(super) fn of_tool(conversation: Conversation, owner: &str) -> Self {
        let hasher = hasher_of([b"tool.1", conversation.bytes(), owner.as_bytes()]);
        Self(*hasher.finalize().as_bytes())
    }

    /// Names the same again, where it stands in a request so many times before.
    pub(super) fn again(self, times: u64) -> Self {
        if times == 0 {
            return self;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(&times.to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// Names the last of a conversation's questions, for which `collections` and `banks` are searched, by a hash of all of
    /// them.
    pub(super) fn of_questions(
        questions: &blake3::Hash,
        model: &str,
        [collections, banks]: [&[String]; 2],
    ) -> Self {
        let (question, kind) = (questions.to_hex(), format!("questions.2 {}", collections.len()));
        let names = collections.iter().chain(banks).map(String::as_str);
        let parts = [kind.as_str(), question.as_str(), model].into_iter().chain(names);
        Self(*hasher_of(parts.map(str::as_bytes)).finalize().as_bytes())
    }
}

impl Decision {
    /// Bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> u32 {
        const BASE: usize = 120;
        let size = match self {
            Self::Unchanged | Self::Small | Self::Declined | Self::Folded { .. } | Self::Tool => 0,
            Self::Subset { ranges, .. } => std::mem::size_of_val(&**ranges),
            Self::Replaced { text, .. } => text.len(),
            Self::Inserted { text, citations } => text.len() + citations.len(),
        };
        u32::try_from(BASE + size).unwrap_or(u32::MAX)
    }
}
