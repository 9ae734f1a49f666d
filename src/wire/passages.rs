//! The extraction of the texts of a conversation that may be compressed, and of its question.
//!
//! A *run* is what a user says between two answers of the model. Its question is its last short text; where it has
//! none, the writer's own words around what they pasted. A tool's result belongs to the question that was asked
//! before the tool was called. What is decided about a message depends on its own run and those before it alone, so
//! it stays as it is while the conversation grows.

use std::ops::Range;
use std::sync::Arc;

use super::conversation_texts::{ConversationText, Listing, Speaker};
use super::finder::{By, Found, Piece, find, find_documents};
use super::injected::own_words;
use super::split::{Split, split};
use super::{Edit, Endpoint};
use crate::text::{JsonValue, inside_quotes};
use crate::text::{escaped, escaped_offsets};

/// Longest question, in bytes, that is handed on. Of a longer one the end counts.
const QUESTION_BYTES: usize = 4000;

/// A text of a body that may be compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSpan {
    /// The decoded text.
    pub text: String,
    /// The question about it.
    pub question: Option<Arc<str>>,
    /// Whether it stands at or before a cache breakpoint in an earlier turn, so that it must be sent as it was sent
    /// before.
    pub frozen: bool,
    /// Whether it is a tool's result.
    pub from_tool: bool,
    /// The range of its encoded form in the body.
    place: Range<usize>,
}

impl TextSpan {
    /// The edit that leaves those parts of the text in `body` that `kept` names by byte offsets, in order.
    #[must_use]
    pub fn keep(&self, body: &str, kept: &[Range<usize>]) -> Edit {
        let spelling = body.get(self.place.clone()).unwrap_or_default();
        Edit { range: self.place.clone(), with: escaped(spelling, kept) }
    }

    /// The edit that puts another text in its place.
    #[must_use]
    pub fn replace(&self, text: &str) -> Edit {
        Edit { range: self.place.clone(), with: inside_quotes(text) }
    }
}

impl Question {
    /// The edit that puts `text` before what is asked, in the text that asks it, which begins at `place`.
    #[must_use]
    pub fn insert(place: usize, text: &str) -> Edit {
        Edit { range: place..place, with: inside_quotes(text) }
    }
}

/// A question of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The text of the question.
    pub question: Arc<str>,
    /// The position in the body, inside the quotes, where the question's text begins.
    pub place: usize,
    /// Whether it is at or before a cache breakpoint.
    pub frozen: bool,
    /// Whether the conversation ends with it, so that it is still to be answered.
    pub last: bool,
}

/// The texts of a conversation.
#[derive(Debug, Default)]
pub struct Texts {
    /// The texts that may be compressed, in order.
    pub passages: Vec<TextSpan>,
    /// The users' questions, in order.
    pub asked: Vec<Question>,
    /// All texts that folding looks at, in order.
    pub shown: Vec<ConversationText>,
    /// Whether there are texts of users, besides questions, that are too short for a passage.
    pub small: bool,
    /// The same of tools' results.
    pub small_results: bool,
}

/// The passages of a conversation that have at least `least` bytes each, and what it asks.
pub(super) fn collect(
    endpoint: Endpoint,
    (conversation, documents): (JsonValue, Option<JsonValue>),
    least: usize,
    all_marked: bool,
) -> Texts {
    let (passages, asked) = (Vec::new(), Vec::new());
    let mut collector = Collector {
        least,
        run: Vec::new(),
        question: None,
        passages,
        asked,
        listing: Listing::default(),
        turn: 0,
        small: false,
        small_results: false,
    };
    match endpoint {
        Endpoint::Embeddings => {}
        Endpoint::Completions | Endpoint::OllamaGenerate => collector.user(conversation),
        Endpoint::Responses if conversation.is_string() => collector.user(conversation),
        Endpoint::Responses
        | Endpoint::Chat
        | Endpoint::Messages
        | Endpoint::CountTokens
        | Endpoint::Contents
        | Endpoint::CountContents
        | Endpoint::OllamaChat
        | Endpoint::CohereChat => {
            for message in conversation.elements() {
                find(message, &mut |piece| collector.read(message, &piece)).unwrap_or_default();
            }
        }
    }
    let before = collector.asked.len();
    collector.end_run();
    // Those that stand beside the conversation are shown anew with each turn, and to the last question.
    if let Some(documents) = documents {
        find_documents(documents, &mut |piece| collector.read(documents, &piece));
    }
    // What stands in the last turn was never sent before, whatever stands behind it.
    let breakpoint = if all_marked { usize::MAX } else { last_breakpoint(conversation) }.min(collector.turn);
    for passage in &mut collector.passages {
        passage.frozen = passage.place.start < breakpoint;
    }
    for (number, asked) in collector.asked.iter_mut().enumerate() {
        asked.frozen = asked.place < breakpoint;
        asked.last = number >= before;
    }
    for shown in &mut collector.listing.shown {
        shown.is_new = shown.place.start >= collector.turn;
    }
    let Collector { passages, asked, listing, small, small_results, .. } = collector;
    Texts { passages, asked, shown: listing.shown, small, small_results }
}

struct Collector<'a> {
    least: usize,
    /// Texts of the user since the model last spoke.
    run: Vec<JsonValue<'a>>,
    /// The question of the last run that had one.
    question: Option<Arc<str>>,
    passages: Vec<TextSpan>,
    asked: Vec<Question>,
    listing: Listing,
    /// Where the model's last message ends.
    turn: usize,
    small: bool,
    small_results: bool,
}

impl<'a> Collector<'a> {
    /// Takes what `message` has.
    fn read(&mut self, message: JsonValue<'a>, piece: &Piece<'a>) {
        match *piece {
            // The user's run has ended, and what follows is a new turn.
            Piece::Answer => {
                self.end_run();
                self.turn = message.range().end;
                self.listing.model_speaks();
            }
            Piece::Call { id, name, input } => self.listing.call(id, name, input),
            Piece::Result { id, name } => self.listing.result(id, name),
            Piece::Text(Found { by, value, .. }) => match by {
                By::Role => {}
                By::User => self.user(value),
                By::Document => self.document(value),
                By::Tool => {
                    let call = self.listing.tool(value);
                    if !call.is_some_and(|call| call.recalls()) {
                        self.tool(value);
                    }
                }
            },
        }
    }

    fn large(&self, text: JsonValue) -> bool {
        text.is_string() && text.range().len() >= self.least.saturating_add(2)
    }

    fn user(&mut self, text: JsonValue<'a>) {
        // A large text may be compressed, so that nothing can refer to it.
        if !self.large(text) {
            self.listing.say(Speaker::User, text);
        }
        self.run.push(text);
    }

    /// A tool's result: nobody's own words, so all of it may be compressed.
    fn tool(&mut self, text: JsonValue<'a>) {
        self.pasted(text, self.question.clone(), true);
    }

    /// A document, for which the end of its run would bring the question. Its own place in the order does not
    /// matter, so the question is that of the texts around it only where they come before it.
    fn document(&mut self, text: JsonValue<'a>) {
        let question = self.run_question().or_else(|| self.question.clone());
        self.pasted(text, question, false);
    }

    fn pasted(&mut self, text: JsonValue<'a>, question: Option<Arc<str>>, from_tool: bool) {
        if !self.large(text) {
            let small = if from_tool { &mut self.small_results } else { &mut self.small };
            *small = true;
            return;
        }
        if let (Some((place, _)), Some(text)) = (text.inside(), text.string()) {
            self.passages.push(TextSpan {
                text: text.into_owned(),
                question,
                frozen: false,
                from_tool,
                place,
            });
        }
    }

    /// The last short text of the run.
    fn run_question(&self) -> Option<Arc<str>> {
        self.placed_question().map(|(question, _)| question)
    }

    /// The last short text of the run, and where it begins.
    fn placed_question(&self) -> Option<(Arc<str>, usize)> {
        let texts = self.run.iter().rev().filter_map(|text| Some((text.inside()?.0.start, text.string()?)));
        texts
            .map(|(place, text)| (place, own_words(&text).into_owned()))
            .filter(|(_, own)| own.len() < self.least)
            .find_map(|(place, own)| Some((question(&own)?, place)))
    }

    fn end_run(&mut self) {
        let placed = self.placed_question();
        let run_question = placed.as_ref().map(|(question, _)| Arc::clone(question));
        let mut placed_guess = None;
        let mut guessed = None;
        for value in std::mem::take(&mut self.run) {
            if !self.large(value) {
                let asks = placed.as_ref().is_some_and(|(_, place)| value.range().contains(place));
                self.small |= value.is_string() && !asks;
                continue;
            }
            let (Some((inside, spelling)), Some(text)) = (value.inside(), value.string()) else { continue };
            // What a client put in goes on as it is where the user's own words are few.
            if own_words(&text).len() < self.least {
                continue;
            }
            let Split { pasted, question: own } = split(&text);
            if let Some(own) = own.and_then(|range| question(&own_words(&text[range]))) {
                placed_guess = Some((Arc::clone(&own), inside.start));
                guessed = Some(own);
            }
            let [start, end] = escaped_offsets(spelling, [pasted.start, pasted.end]);
            if pasted.len() >= self.least {
                self.passages.push(TextSpan {
                    text: text[pasted].to_owned(),
                    question: run_question.clone().or_else(|| guessed.clone()),
                    frozen: false,
                    from_tool: false,
                    place: inside.start + start..inside.start + end,
                });
            } else {
                self.small = true;
            }
        }
        self.asked.extend(placed.or(placed_guess).map(|(question, place)| Question {
            question,
            place,
            frozen: false,
            last: false,
        }));
        self.question = run_question.or(guessed).or(self.question.take());
    }
}

/// `text` as a question, unless it is blank.
fn question(text: &str) -> Option<Arc<str>> {
    let text = text.trim();
    let start = (text.len().saturating_sub(QUESTION_BYTES)..text.len()).find(|at| text.is_char_boundary(*at));
    start.map(|start| text[start..].into())
}

/// The end of the last part of `conversation` that marks a cache breakpoint, or 0.
fn last_breakpoint(conversation: JsonValue) -> usize {
    // Inside a string the quotes would be escaped, so this is a key, if only of a tool's argument: then too much is
    // left alone, which does no harm.
    const KEY: &[u8] = b"\"cache_control\"";
    let marks = |value: &JsonValue| {
        let raw = value.raw().as_bytes();
        memchr::memmem::find_iter(raw, KEY).any(|at| {
            let rest = raw.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
            let set = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
            set.is_some_and(|value| !value.starts_with(b"null"))
        })
    };
    let Some(message) = conversation.elements().filter(marks).last() else { return 0 };
    let content = message.fields(["content"]).ok().and_then(|[content]| content);
    let part = content.and_then(|content| content.elements().filter(marks).last());
    part.unwrap_or(message).range().end
}
