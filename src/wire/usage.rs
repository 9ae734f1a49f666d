//! The usage that a provider reports, read from the answer as it passes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line of a stream, and longest answer, that is read for its usage.
const MOST_BYTES: usize = 4 << 20;
/// The end of a longer answer that is read, for that is where its usage stands.
const END_BYTES: usize = 64 << 10;
/// Members of an answer that hold its usage.
const HOLDERS: [&[u8]; 4] = [b"\"usageMetadata\"", b"\"usage\"", b"\"meta\"", b"\"prompt_eval_count\""];

/// Tokens that a provider counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the input, those from and to the cache included.
    pub input: u64,
    /// Tokens of the output.
    pub output: u64,
    /// Tokens of the input that the provider had in its cache.
    pub cache_read: u64,
    /// Tokens of the input that the provider put into its cache.
    pub cache_write: u64,
}

/// The usage that a provider has reported so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReportedUsage {
    /// Nothing.
    #[default]
    Missing,
    /// The usage at some point of a stream that was not read to its end: the input is known, while the output is a
    /// placeholder or the count up to there.
    Partial(Usage),
    /// The usage of the whole request.
    Final(Usage),
}

impl ReportedUsage {
    /// The last count, final or not.
    #[must_use]
    pub fn latest(self) -> Option<Usage> {
        match self {
            Self::Missing => None,
            Self::Partial(usage) | Self::Final(usage) => Some(usage),
        }
    }
}

/// The data that were read from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The usage that the answer reports.
    pub usage: ReportedUsage,
    /// Whether it is a stream that ended in an error, or broke off.
    pub failed: bool,
    /// About as many tokens as came back, for answers that do not say: one for each event of a stream, or for four
    /// bytes of a whole answer.
    pub output: u64,
    /// The text of the answer, where it was requested and is not longer than [`MOST_TEXT`].
    pub text: Option<String>,
}

/// Longest text of an answer that is kept, in bytes.
pub const MOST_TEXT: usize = 256 << 10;

/// The way in which an answer comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// One JSON value. An array of them, of which each says more, is one of Gemini's streams.
    #[default]
    Whole,
    /// Server-sent events.
    Events,
    /// JSON values, one a line.
    Lines,
}

impl Framing {
    /// Returns the way in which an answer of a content type comes, if it can be read.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let kinds = [
            ("text/event-stream", Self::Events),
            ("application/x-ndjson", Self::Lines),
            ("application/json", Self::Whole),
        ];
        kinds
            .into_iter()
            .find(|(kind, _)| content_type.starts_with(kind.as_bytes()))
            .map(|(_, framing)| framing)
    }
}

/// Reads the usage out of an answer's pieces.
#[derive(Debug, Default)]
pub struct UsageReader {
    framing: Framing,
    /// The line, or the answer, so far.
    pending: Vec<u8>,
    /// Whether the line is too long to be read, or the answer to be read but for its end.
    skipping: bool,
    /// Events with data, or bytes of a whole answer.
    pieces: u64,
    found: Option<RawUsage>,
    certainty: Certainty,
    end: End,
    /// The text of the answer so far, where it was requested.
    text: Option<String>,
}

/// The way in which a stream ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// The stream goes on.
    #[default]
    Open,
    /// The provider ended or closed it.
    Whole,
    /// The stream ended in an error.
    Failed,
}

/// The certainty of the usage that was found last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Certainty {
    /// A placeholder, such as that of Anthropic's `message_start`.
    #[default]
    Placeholder,
    /// Counted so far; final if it is the last one of a stream that ended.
    Running,
    Final,
}

impl UsageReader {
    /// Reads an answer that comes so.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    fn is_stream(&self) -> bool {
        self.framing != Framing::Whole
    }

    /// Keeps what the answer says, too.
    #[must_use]
    pub fn with_text(self) -> Self {
        Self { text: Some(String::new()), ..self }
    }

    /// The next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if self.is_stream() {
            while let Some(end) = memchr::memchr(b'\n', piece) {
                self.keep(&piece[..end]);
                self.end_line();
                piece = &piece[end + 1..];
            }
        } else {
            self.pieces += piece.len() as u64;
        }
        self.keep(piece);
    }

    /// Notes that the answer is over, by its provider's will.
    pub fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Whole;
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let is_full = self.pending.len() + piece.len() > MOST_BYTES;
        self.skipping |= is_full;
        if self.skipping && self.is_stream() {
            self.pending.clear();
            return;
        }
        self.pending.extend_from_slice(piece);
        if is_full {
            self.pending.drain(..self.pending.len().saturating_sub(END_BYTES));
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.pending);
        let skipped = std::mem::take(&mut self.skipping);
        let data = match self.framing {
            Framing::Lines => Some(&line[..]).filter(|line| !line.trim_ascii().is_empty()),
            Framing::Whole | Framing::Events => line.strip_prefix(b"data:"),
        };
        self.pieces += u64::from(skipped || data.is_some());
        if let Some(data) = data.filter(|_| !skipped) {
            self.read(data);
        }
        // Its room serves the next line.
        self.pending = line;
        self.pending.clear();
    }

    fn read(&mut self, json: &[u8]) {
        let stream = self.is_stream();
        if let Some(text) = &mut self.text
            && text.len() <= MOST_TEXT
        {
            super::answer_text::append(text, json, stream);
        }
        if stream && json.trim_ascii() == b"[DONE]" {
            self.end();
        }
        let parts = !stream && json.trim_ascii_start().starts_with(b"[");
        // Most events of a stream say nothing of usage or errors, and need not be parsed.
        let says = |name: &[u8]| memchr::memmem::find(json, name).is_some();
        let failure =
            (stream || parts) && (says(b"\"error\"") || says(b"\"response.failed\"") || says(b"\"ERROR\""));
        if !failure && !says(b"\"usage") && !says(b"eval_count\"") && !says(b"\"billed_units\"") {
            return;
        }
        let answers = if parts {
            serde_json::from_slice::<Vec<Answer>>(json).unwrap_or_default()
        } else {
            serde_json::from_slice(json).into_iter().collect()
        };
        for answer in answers {
            if failure && answer.is_error() {
                self.end = End::Failed;
            }
            self.note(answer);
        }
    }

    /// Reads the end of a whole answer that is too long: from the last member on that holds its usage.
    fn read_end(&mut self, bytes: &[u8]) {
        let end = bytes.get(bytes.len().saturating_sub(END_BYTES)..).unwrap_or_default();
        // Inside a string the quotes would be escaped.
        let Some(place) = HOLDERS.iter().filter_map(|name| memchr::memmem::rfind(end, name)).max() else {
            return;
        };
        let rest = [b"{", end.get(place..).unwrap_or_default()].concat();
        let mut answers = serde_json::Deserializer::from_slice(&rest).into_iter::<Answer>();
        if let Some(Ok(answer)) = answers.next() {
            self.note(answer);
        }
    }

    fn note(&mut self, answer: Answer) {
        if let Some((usage, certainty)) = answer.usage(self.is_stream()) {
            self.found = Some(usage.over(self.found.take().unwrap_or_default()));
            self.certainty = certainty;
        }
    }

    fn reported(&mut self) -> ReportedUsage {
        let Some(usage) = self.found.take().map(Usage::from) else { return ReportedUsage::Missing };
        match self.certainty {
            Certainty::Final => ReportedUsage::Final(usage),
            Certainty::Running if self.end == End::Whole => ReportedUsage::Final(usage),
            Certainty::Running | Certainty::Placeholder => ReportedUsage::Partial(usage),
        }
    }

    /// Returns the data that were read, once the answer is over.
    #[must_use]
    pub fn finish(mut self) -> Reading {
        if self.is_stream() {
            self.end_line();
        } else {
            let answer = std::mem::take(&mut self.pending);
            if self.skipping { self.read_end(&answer) } else { self.read(&answer) }
        }
        let output = if self.is_stream() { self.pieces } else { self.pieces / 4 };
        let (usage, failed) = (self.reported(), self.end == End::Failed);
        let text = self.text.filter(|text| text.len() <= MOST_TEXT);
        Reading { usage, failed, output, text }
    }
}

#[derive(Deserialize)]
struct Answer {
    /// The type of the event, in Anthropic's API and in `OpenAI`'s responses.
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    error: Value,
    /// The choices of chat completions: empty in the event that has the usage of the whole.
    #[serde(default)]
    choices: Value,
    usage: Option<RawUsage>,
    /// What Gemini counted up to this part of an answer.
    #[serde(rename = "usageMetadata")]
    usage_metadata: Option<RawUsage>,
    /// What an event adds, which is a text in some dialects; that of Cohere's last event has the usage.
    #[serde(default)]
    delta: Value,
    /// What Cohere says about its vectors, what it charges for included.
    #[serde(default)]
    meta: Value,
    /// What Ollama counted of the input, and of the output.
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    /// The message of Anthropic's `message_start`.
    message: Option<Part>,
    /// The response in the events of `OpenAI`'s Responses API; in Ollama's answers it is a text.
    #[serde(default)]
    response: Value,
}

impl Answer {
    /// Whether an event says that the answer failed.
    fn is_error(&self) -> bool {
        let of_delta = !self.delta["error"].is_null() || self.delta["finish_reason"] == "ERROR";
        !self.error.is_null() || of_delta || self.kind == "error" || self.kind == "response.failed"
    }

    /// Returns the usage that it reports, and its certainty.
    fn usage(mut self, event: bool) -> Option<(RawUsage, Certainty)> {
        let within = |part: Option<Part>| part.and_then(|part| part.usage);
        if let Some(usage) = self.usage {
            let continues = self.choices.as_array().is_some_and(|choices| !choices.is_empty());
            return Some((usage, if event && continues { Certainty::Running } else { Certainty::Final }));
        }
        if let Some(usage) = self.usage_metadata {
            return Some((usage, if event { Certainty::Running } else { Certainty::Final }));
        }
        if self.prompt_eval_count.or(self.eval_count).is_some() {
            let (prompt_tokens, completion_tokens) = (self.prompt_eval_count, self.eval_count);
            let usage = RawUsage { prompt_tokens, completion_tokens, ..RawUsage::default() };
            return Some((usage, Certainty::Final));
        }
        let billed = self.meta.get_mut("billed_units").map(Value::take);
        if let Some(billed_units) = billed.filter(Value::is_object) {
            return Some((RawUsage { billed_units, ..RawUsage::default() }, Certainty::Final));
        }
        if self.kind == "message-end" {
            let delta: Option<Part> = serde_json::from_value(self.delta).ok();
            return within(delta).map(|usage| (usage, Certainty::Final));
        }
        let whole = within(serde_json::from_value(self.response).ok()).map(|usage| (usage, Certainty::Final));
        whole.or_else(|| within(self.message).map(|usage| (usage, Certainty::Placeholder)))
    }
}

#[derive(Deserialize)]
struct Part {
    usage: Option<RawUsage>,
}

/// All that the dialects call it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    #[serde(rename = "promptTokenCount")]
    prompt_token_count: Option<u64>,
    /// The results of tools that Gemini runs itself.
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates_token_count: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts_token_count: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached_content_token_count: Option<u64>,
    /// What Cohere charges for, and what its model saw, which is more. Other servers may mean something else by the names.
    billed_units: Value,
    tokens: Value,
    cached_tokens: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl RawUsage {
    /// Later events of a stream say more, and leave out what an earlier one said.
    fn over(self, earlier: Self) -> Self {
        let later = |later: Value, earlier: Value| if later.is_null() { earlier } else { later };
        Self {
            prompt_tokens: self.prompt_tokens.or(earlier.prompt_tokens),
            completion_tokens: self.completion_tokens.or(earlier.completion_tokens),
            input_tokens: self.input_tokens.or(earlier.input_tokens),
            output_tokens: self.output_tokens.or(earlier.output_tokens),
            cache_read_input_tokens: self.cache_read_input_tokens.or(earlier.cache_read_input_tokens),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(earlier.cache_creation_input_tokens),
            prompt_tokens_details: self.prompt_tokens_details.or(earlier.prompt_tokens_details),
            input_tokens_details: self.input_tokens_details.or(earlier.input_tokens_details),
            prompt_token_count: self.prompt_token_count.or(earlier.prompt_token_count),
            tool_use_prompt_token_count: self
                .tool_use_prompt_token_count
                .or(earlier.tool_use_prompt_token_count),
            candidates_token_count: self.candidates_token_count.or(earlier.candidates_token_count),
            thoughts_token_count: self.thoughts_token_count.or(earlier.thoughts_token_count),
            cached_content_token_count: self
                .cached_content_token_count
                .or(earlier.cached_content_token_count),
            billed_units: later(self.billed_units, earlier.billed_units),
            tokens: later(self.tokens, earlier.tokens),
            cached_tokens: later(self.cached_tokens, earlier.cached_tokens),
        }
    }
}

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        let details = raw.prompt_tokens_details.or(raw.input_tokens_details).unwrap_or_default();
        let (read, write) = (raw.cache_read_input_tokens, raw.cache_creation_input_tokens);
        // Anthropic counts the input without what came from or went to the cache, Gemini without the results of its own
        // tools, and the output without thoughts.
        let sum = |counts: &[Option<u64>]| {
            counts.iter().flatten().fold(0_u64, |sum, count| sum.saturating_add(*count))
        };
        let units = if raw.billed_units.is_object() { &raw.billed_units } else { &raw.tokens };
        // They need not be spelt as whole numbers.
        let whole = |count: &Value| count.as_f64().map(|count| count as u64);
        let input = raw.prompt_tokens.or(raw.input_tokens).or(raw.prompt_token_count);
        let input = input.or_else(|| whole(&units["input_tokens"]));
        let output = raw.completion_tokens.or(raw.output_tokens).or(raw.candidates_token_count);
        let output = output.or_else(|| whole(&units["output_tokens"]));
        let cached = raw.cached_content_token_count.or_else(|| whole(&raw.cached_tokens));
        Self {
            input: sum(&[input, read, write, raw.tool_use_prompt_token_count]),
            output: sum(&[output, raw.thoughts_token_count]),
            cache_read: read.or(details.cached_tokens).or(cached).unwrap_or(0),
            cache_write: write.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, tests::mutated};

    fn framing(events: bool) -> Framing {
        if events { Framing::Events } else { Framing::Whole }
    }

    fn usage(events: bool, answer: &str, size: usize) -> Option<Usage> {
        let mut reader = UsageReader::new(framing(events));
        answer.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
        reader.finish().usage.latest()
    }

    #[test]
    fn every_dialect_is_read_whatever_pieces_it_comes_in() {
        let chat = "data: {\"choices\":[],\"usage\":null}\r\n\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
            \"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\r\n\r\ndata: [DONE]\r\n\r\n";
        let responses = "event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":9,\
            \"output_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":4}}}}\n\n";
        let messages = ": hello\nevent: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1,\
            \"cache_read_input_tokens\":4,\"cache_creation_input_tokens\":2}}}\n\n\
            event: message_delta\ndata: {\"usage\":{\"output_tokens\":2}}";
        let expected = Usage { input: 9, output: 2, cache_read: 4, cache_write: 0 };
        let mut reader = UsageReader::new(Framing::Events);
        reader.feed(messages.as_bytes());
        assert_eq!(reader.finish().output, 2);
        let mut reader = UsageReader::new(Framing::Whole);
        reader.feed(b"12345");
        reader.feed(b"67890");
        assert_eq!(reader.finish(), Reading { output: 2, ..Reading::default() });
        for size in [1, 7, 10_000] {
            assert_eq!(usage(true, chat, size), Some(expected));
            assert_eq!(usage(true, responses, size), Some(expected));
            assert_eq!(usage(true, messages, size), Some(Usage { cache_write: 2, ..expected }));
            assert_eq!(
                usage(false, r#"{"usage": {"input_tokens": 5, "output_tokens": 1}}"#, size).unwrap().input,
                5
            );
        }
    }

    fn reading(stream: &str, over: bool) -> Reading {
        let mut reader = UsageReader::new(Framing::Events);
        stream.as_bytes().chunks(9).for_each(|piece| reader.feed(piece));
        if over {
            reader.end();
        }
        reader.finish()
    }

    #[test]
    fn a_stream_that_was_left_early_has_no_final_usage() {
        let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n";
        let counted = |output| Usage { input: 70, output, ..Usage::default() };
        // A provider that ends without its last count has not said it either.
        for over in [false, true] {
            assert_eq!(reading(start, over).usage, ReportedUsage::Partial(counted(1)));
        }
        let whole =
            format!("{start}data: {{\"type\":\"message_delta\",\"usage\":{{\"output_tokens\":9}}}}\n\n");
        assert_eq!(reading(&whole, false).usage, ReportedUsage::Final(counted(9)));
        // Counts in every event, as some servers of chat completions send them.
        let piece = |output| {
            format!(
                "data: {{\"choices\":[{{}}],\"usage\":{{\"prompt_tokens\":70,\"completion_tokens\":{output}}}}}\n\n"
            )
        };
        let running = [piece(1), piece(2)].concat();
        assert_eq!(reading(&running, false).usage, ReportedUsage::Partial(counted(2)));
        assert_eq!(reading(&running, true).usage, ReportedUsage::Final(counted(2)));
        let done = format!("{running}data: [DONE]\n\n");
        assert_eq!(reading(&done, false).usage, ReportedUsage::Final(counted(2)));
    }

    #[test]
    fn what_cohere_charges_for_is_counted() {
        let usage = r#""usage":{"billed_units":{"input_tokens":9.0,"output_tokens":2},"tokens":{"input_tokens":70},"cached_tokens":4}"#;
        let end = format!(
            "event: message-end\ndata: {{\"type\":\"message-end\",\"delta\":{{\"finish_reason\":\"COMPLETE\",{usage}}}}}\n\n"
        );
        let expected = Usage { input: 9, output: 2, cache_read: 4, cache_write: 0 };
        let counted = |events, answer: &str| self::usage(events, answer, 7);
        assert_eq!(counted(true, &end), Some(expected));
        assert_eq!(counted(false, &format!("{{{usage}}}")), Some(expected));
        let odd = r#"{"usage":{"prompt_tokens":9,"completion_tokens":2,"tokens":11,"cached_tokens":4}}"#;
        assert_eq!(counted(false, odd), Some(expected));
        let failed = end.replace("COMPLETE", "ERROR");
        let mut reader = UsageReader::new(Framing::Events);
        reader.feed(failed.as_bytes());
        assert!(reader.finish().failed);
    }

    #[test]
    fn what_cohere_charges_for_vectors_is_counted() {
        let answer = r#"{"id":"x","embeddings":{"float":[[0.1]]},"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":9}}}"#;
        assert_eq!(usage(false, answer, 7), Some(Usage { input: 9, ..Usage::default() }));
        assert_eq!(usage(false, r#"{"meta":{"billed_units":7}}"#, 7), None);
    }

    #[test]
    fn usage_at_the_end_of_a_long_answer_is_found() {
        let image = format!(r#""parts":[{{"inlineData":{{"data":"{}"}}}}]"#, "A".repeat(2 * MOST_BYTES));
        let counted = r#""usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2},"modelVersion":"m""#;
        let expected = Some(Usage { input: 9, output: 2, ..Usage::default() });
        let whole = format!("{{{image},\"text\":\"\\\"usage\\\":{{}}\",{counted}}}");
        let array = format!("[{{{image}}},{{{counted}}}]");
        for size in [1_000, 1 << 20, usize::MAX] {
            assert_eq!(usage(false, &whole, size.min(whole.len())), expected, "{size}");
            assert_eq!(usage(false, &array, size.min(array.len())), expected, "{size}");
        }
        for none in
            [format!("{{{image}}}"), format!("{{{counted},{image}}}"), format!("{{{image},\"usage\":")]
        {
            assert_eq!(usage(false, &none, 1 << 20), None);
        }
    }

    #[test]
    fn lines_of_json_are_read_as_events_are() {
        let said = |last: &str| {
            let lines = format!("{{\"message\":{{\"content\":\"Hi\"}},\"done\":false}}\n{last}\n\n");
            let mut reader = UsageReader::new(Framing::Lines).with_text();
            lines.as_bytes().chunks(5).for_each(|piece| reader.feed(piece));
            reader.finish()
        };
        let done = said(r#"{"response":" all","done":true,"prompt_eval_count":9,"eval_count":2}"#);
        let counted = Usage { input: 9, output: 2, ..Usage::default() };
        assert_eq!((done.usage, done.failed), (ReportedUsage::Final(counted), false));
        assert_eq!((done.text.as_deref(), done.output), (Some("Hi all"), 2));
        let failed = said(r#"{"error":"no room"}"#);
        assert_eq!((failed.usage, failed.failed), (ReportedUsage::Missing, true));
    }

    #[test]
    fn errors_in_a_stream_are_told_from_talk_of_errors() {
        for failed in [
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
            "data: {\"error\":{\"message\":\"no\"}}\n\n",
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"x\"}}}\n\n",
        ] {
            assert!(reading(failed, true).failed, "{failed}");
        }
        for fine in [
            "data: {\"error\":null,\"usage\":{\"prompt_tokens\":1}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\": 1}\"}}]}\n\n",
            "data: {\"type\":\"response.completed\",\"response\":{\"error\":null}}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"error\"}}]}\n\n",
        ] {
            assert!(!reading(fine, true).failed, "{fine}");
        }
    }

    #[test]
    fn of_a_mutated_stream_the_same_is_read_whatever_pieces_it_comes_in() {
        let valid = "event: message_start\r\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"Caf\\u00e9 é\"}}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let (mut random, mut found) = (Random::new(8), 0);
        for number in 0..5_000 {
            let mutant = mutated(valid.as_bytes(), &mut random);
            let read = |size: usize| {
                let mut reader = UsageReader::new(framing(number % 8 != 0)).with_text();
                mutant.chunks(size).for_each(|piece| reader.feed(piece));
                reader.finish()
            };
            let whole = read(mutant.len().max(1));
            found += usize::from(whole.usage.latest().is_some());
            assert_eq!(read(1), whole, "{}", String::from_utf8_lossy(&mutant));
            assert_eq!(read(1 + random.below(40)), whole, "{}", String::from_utf8_lossy(&mutant));
        }
        assert!((1_000..4_900).contains(&found), "{found} of 5,000 tell their usage");
    }

    #[test]
    fn what_an_answer_says_is_read_where_it_is_asked_for() {
        let chat = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"Paris\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\" is.\"}}]}\n\ndata: [DONE]\n\n";
        let messages = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\
            \"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Paris is.\"}}\n\n";
        let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Paris is.\"}\n\n\
            event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"Paris is.\"}\n\n\
            event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"Paris is.\"}]}]}}\n\n";
        let whole = [
            r#"{"id":"x","choices":[{"message":{"role":"assistant","content":"Paris is."}}]}"#,
            r#"{"id":"x","choices":[{"text":"Paris is.","finish_reason":"stop"}]}"#,
            r#"{"id":"x","model":"m","content":[{"type":"text","text":"Paris is."}]}"#,
            r#"{"id":"x","output":[{"type":"message","content":[{"type":"output_text","text":"Paris is."}]}]}"#,
            r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"Paris is."}}]}}]}"#,
        ];
        let said = |events: bool, answer: &str| {
            let mut reader = UsageReader::new(framing(events)).with_text();
            answer.as_bytes().chunks(7).for_each(|piece| reader.feed(piece));
            reader.finish().text
        };
        for stream in [chat, messages, responses] {
            assert_eq!(said(true, stream).as_deref(), Some("Paris is."), "{stream}");
        }
        for answer in whole {
            assert_eq!(said(false, answer).as_deref(), Some("Paris is."), "{answer}");
        }
        assert_eq!(said(false, "not JSON").as_deref(), Some(""));
        let long = serde_json::json!({"content": [{"text": "x".repeat(MOST_TEXT + 1)}]}).to_string();
        assert_eq!(said(false, &long), None);
    }

    #[test]
    fn answers_without_usage_and_endless_lines_are_nothing() {
        for answer in
            ["", "{}", "not json \"usage\"", "{\"usage\": \"much\"}", "{\"usage\":{\"prompt_tokens\":-1}}"]
        {
            assert_eq!(usage(false, answer, 5), None, "{answer}");
        }
        let long = format!("data: {}\ndata: {{\"usage\":{{\"prompt_tokens\":1}}}}\n", "x".repeat(MOST_BYTES));
        assert_eq!(usage(true, &long, 1 << 16).unwrap().input, 1);
    }
}
