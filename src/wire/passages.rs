//! The extraction of the texts of a conversation that may be compressed, and of its question.
//!
//! A *run* is what a user says between two answers of the model. Its question is its last short text; where it has
//! none, the writer's own words around what they pasted. A tool's result belongs to the question that was asked
//! before the tool was called. What is decided about a message depends on its own run and those before it alone, so
//! it stays as it is while the conversation grows.

use std::ops::Range;
use std::sync::Arc;

use super::injected::own_words;
use super::json::{Duplicate, Value, inside_quotes};
use super::shown::{Listing, Shown, Speaker};
use super::split::{Split, split};
use super::{Edit, Endpoint};
use crate::text::{spelling_of, spelt_at};

/// Longest question, in bytes, that is handed on. Of a longer one the end counts.
const QUESTION_BYTES: usize = 4000;

/// A text of a body that may be compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
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

impl Passage {
    /// The edit that leaves those parts of the text in `body` that `kept` names by byte offsets, in order.
    #[must_use]
    pub fn keep(&self, body: &str, kept: &[Range<usize>]) -> Edit {
        let spelling = body.get(self.place.clone()).unwrap_or_default();
        Edit { range: self.place.clone(), with: spelling_of(spelling, kept) }
    }

    /// The edit that puts another text in its place.
    #[must_use]
    pub fn replace(&self, text: &str) -> Edit {
        Edit { range: self.place.clone(), with: inside_quotes(text) }
    }
}

impl Asked {
    /// The edit that puts `text` before what is asked, in the text that asks it, which begins at `place`.
    #[must_use]
    pub fn insert(place: usize, text: &str) -> Edit {
        Edit { range: place..place, with: inside_quotes(text) }
    }
}

/// A question of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
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
    pub passages: Vec<Passage>,
    /// The users' questions, in order.
    pub asked: Vec<Asked>,
    /// All texts that folding looks at, in order.
    pub shown: Vec<Shown>,
}

/// The passages of a conversation that have at least `least` bytes each, and what it asks.
pub(super) fn collect(endpoint: Endpoint, conversation: Value, least: usize, all_marked: bool) -> Texts {
    let (passages, asked) = (Vec::new(), Vec::new());
    let mut collector = Collector {
        least,
        run: Vec::new(),
        question: None,
        passages,
        asked,
        listing: Listing::default(),
        found: Vec::new(),
        turn: 0,
    };
    match endpoint {
        Endpoint::Embeddings => {}
        Endpoint::Completions => collector.user(conversation),
        Endpoint::Responses if conversation.is_string() => collector.user(conversation),
        Endpoint::Responses => collector.all(conversation, Collector::item),
        Endpoint::Chat => collector.all(conversation, Collector::chat),
        Endpoint::Messages | Endpoint::CountTokens => collector.all(conversation, Collector::message),
    }
    let before = collector.asked.len();
    collector.end_run();
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
    Texts { passages: collector.passages, asked: collector.asked, shown: collector.listing.shown }
}

struct Collector<'a> {
    least: usize,
    /// Texts of the user since the model last spoke.
    run: Vec<Value<'a>>,
    /// The question of the last run that had one.
    question: Option<Arc<str>>,
    passages: Vec<Passage>,
    asked: Vec<Asked>,
    listing: Listing,
    /// Results of the message that is read.
    found: Vec<Value<'a>>,
    /// Where the model's last message ends.
    turn: usize,
}

/// Reads one message. One that has a key twice is left alone, for nobody knows which of the two counts.
type Read<'a> = fn(&mut Collector<'a>, Value<'a>) -> Result<(), Duplicate>;

impl<'a> Collector<'a> {
    fn all(&mut self, messages: Value<'a>, read: Read<'a>) {
        for message in messages.elements() {
            read(self, message).unwrap_or_default();
        }
    }

    /// A message of chat completions.
    fn chat(&mut self, message: Value<'a>) -> Result<(), Duplicate> {
        let [role, content, id, calls] = message.fields(["role", "content", "tool_call_id", "tool_calls"])?;
        let role = role.and_then(Value::string);
        if role.as_deref() == Some("assistant") || content.is_none() {
            self.answered(message);
            for call in calls.iter().flat_map(|calls| calls.elements()) {
                let [id, function] = call.fields(["id", "function"])?;
                let Some(function) = function else { continue };
                let [name, arguments] = function.fields(["name", "arguments"])?;
                self.listing.call(id, name, arguments);
            }
            return Ok(());
        }
        let Some(content) = content else { return Ok(()) };
        match role.as_deref() {
            Some("user") => self.texts(content, &["text"], Self::user),
            Some("tool" | "function") => self.results(id, content, &["text"]),
            _ => {}
        }
        Ok(())
    }

    /// An item of a response's input.
    fn item(&mut self, item: Value<'a>) -> Result<(), Duplicate> {
        let [kind, role, content, output, id] =
            item.fields(["type", "role", "content", "output", "call_id"])?;
        let kind = kind.and_then(Value::string);
        let role = role.and_then(Value::string);
        match (kind.as_deref().unwrap_or("message"), role.as_deref(), content, output) {
            ("message", Some("user"), Some(content), _) => self.texts(content, &["input_text"], Self::user),
            ("message", Some("system" | "developer"), ..) => {}
            ("function_call_output" | "custom_tool_call_output", _, _, Some(output)) => {
                self.results(id, output, &["input_text"]);
            }
            ("function_call" | "custom_tool_call" | "mcp_call", ..) => {
                self.answered(item);
                let [name, arguments, input] = item.fields(["name", "arguments", "input"])?;
                self.listing.call(id, name, arguments.or(input));
            }
            _ => self.answered(item),
        }
        Ok(())
    }

    /// A message of Anthropic's.
    fn message(&mut self, message: Value<'a>) -> Result<(), Duplicate> {
        let [role, content] = message.fields(["role", "content"])?;
        match (role.and_then(Value::string).as_deref(), content) {
            (Some("user"), Some(content)) if content.is_string() => self.user(content),
            (Some("user"), Some(content)) => self.all(content, Self::block),
            (Some("system"), _) => {}
            (_, content) => {
                self.answered(message);
                for block in content.iter().flat_map(|content| content.elements()) {
                    let [kind, id, name, input] = block.fields(["type", "id", "name", "input"])?;
                    if kind.and_then(Value::string).as_deref() == Some("tool_use") {
                        self.listing.call(id, name, input);
                    }
                }
            }
        }
        Ok(())
    }

    /// A block of a user's message of Anthropic's.
    fn block(&mut self, block: Value<'a>) -> Result<(), Duplicate> {
        let [kind, text, content, source, citations, id] =
            block.fields(["type", "text", "content", "source", "citations", "tool_use_id"])?;
        match (kind.and_then(Value::string).as_deref(), text, content, source) {
            (Some("text"), Some(text), ..) => self.user(text),
            (Some("tool_result"), _, Some(content), _) => self.results(id, content, &["text"]),
            (Some("search_result"), _, Some(content), _) if citations.is_none() => {
                self.texts(content, &["text"], Self::document);
            }
            // Citations count the characters of the document: it must stay as it is.
            (Some("document"), .., Some(source)) if citations.is_none() => {
                let [kind, data] = source.fields(["type", "data"])?;
                if let (Some("text"), Some(data)) = (kind.and_then(Value::string).as_deref(), data) {
                    self.document(data);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The texts of a content: the one that it is, or those of its parts of the `kinds` named.
    fn texts(&mut self, content: Value<'a>, kinds: &[&str], take: fn(&mut Self, Value<'a>)) {
        if content.is_string() {
            return take(self, content);
        }
        for part in content.elements() {
            let Ok([Some(kind), Some(text)]) = part.fields(["type", "text"]) else { continue };
            if kind.string().is_some_and(|kind| kinds.contains(&&*kind)) {
                take(self, text);
            }
        }
    }

    /// The model spoke: the user's run has ended, and what follows is a new turn.
    fn answered(&mut self, message: Value<'a>) {
        self.end_run();
        self.turn = message.range().end;
    }

    /// The results of the call `id`.
    fn results(&mut self, id: Option<Value<'a>>, content: Value<'a>, kinds: &[&str]) {
        let before = self.found.len();
        self.texts(content, kinds, |collector, text| collector.found.push(text));
        for text in self.found.split_off(before) {
            self.listing.result(id, text);
            self.tool(text);
        }
    }

    fn large(&self, text: Value) -> bool {
        text.is_string() && text.range().len() >= self.least.saturating_add(2)
    }

    fn user(&mut self, text: Value<'a>) {
        // A large text may be compressed, so that nothing can refer to it.
        if !self.large(text) {
            self.listing.say(Speaker::User, text);
        }
        self.run.push(text);
    }

    /// A tool's result: nobody's own words, so all of it may be compressed.
    fn tool(&mut self, text: Value<'a>) {
        self.pasted(text, self.question.clone(), true);
    }

    /// A document, for which the end of its run would bring the question. Its own place in the order does not
    /// matter, so the question is that of the texts around it only where they come before it.
    fn document(&mut self, text: Value<'a>) {
        let question = self.run_question().or_else(|| self.question.clone());
        self.pasted(text, question, false);
    }

    fn pasted(&mut self, text: Value<'a>, question: Option<Arc<str>>, from_tool: bool) {
        if !self.large(text) {
            return;
        }
        if let (Some((place, _)), Some(text)) = (text.inside(), text.string()) {
            self.passages.push(Passage {
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
            let [start, end] = spelt_at(spelling, [pasted.start, pasted.end]);
            if pasted.len() >= self.least {
                self.passages.push(Passage {
                    text: text[pasted].to_owned(),
                    question: run_question.clone().or_else(|| guessed.clone()),
                    frozen: false,
                    from_tool: false,
                    place: inside.start + start..inside.start + end,
                });
            }
        }
        self.asked.extend(placed.or(placed_guess).map(|(question, place)| Asked {
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
fn last_breakpoint(conversation: Value) -> usize {
    // Inside a string the quotes would be escaped, so this is a key, if only of a tool's argument: then too much is
    // left alone, which does no harm.
    const KEY: &[u8] = b"\"cache_control\"";
    let marks = |value: &Value| {
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
