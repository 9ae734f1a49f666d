//! What a provider says that a request took, read from its answer as it passes.

use serde::{Deserialize, Serialize};

/// Longest line of a stream, and longest answer, that is read for its usage.
const MOST_BYTES: usize = 4 << 20;

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

/// What an answer told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it said that the request took.
    pub usage: Option<Usage>,
    /// About as many tokens as came back, for answers that do not say: one for each event of a stream, or for four
    /// bytes of a whole answer.
    pub output: u64,
    /// What it says, where that was asked for and it is not longer than [`MOST_TEXT`].
    pub text: Option<String>,
}

/// Longest text of an answer that is kept, in bytes.
pub const MOST_TEXT: usize = 256 << 10;

/// Reads the usage out of an answer's pieces.
#[derive(Debug, Default)]
pub struct UsageReader {
    /// Whether the answer is a stream of events.
    events: bool,
    /// The line, or the answer, so far.
    pending: Vec<u8>,
    /// Whether the line is too long to be read.
    skipping: bool,
    /// Events with data, or bytes of a whole answer.
    pieces: u64,
    found: Option<RawUsage>,
    /// What the answer says so far, where that was asked for.
    text: Option<String>,
}

impl UsageReader {
    /// Reads an answer that is a stream of server-sent events, or one JSON value.
    #[must_use]
    pub fn new(events: bool) -> Self {
        Self { events, ..Self::default() }
    }

    /// Keeps what the answer says, too.
    #[must_use]
    pub fn with_text(self) -> Self {
        Self { text: Some(String::new()), ..self }
    }

    /// The next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        if self.events {
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

    fn keep(&mut self, piece: &[u8]) {
        self.skipping |= self.pending.len() + piece.len() > MOST_BYTES;
        if self.skipping {
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.pending);
        let skipped = std::mem::take(&mut self.skipping);
        self.pieces += u64::from(skipped || line.starts_with(b"data:"));
        if let Some(data) = line.strip_prefix(b"data:").filter(|_| !skipped) {
            self.read(data);
        }
        // Its room serves the next line.
        self.pending = line;
        self.pending.clear();
    }

    fn read(&mut self, json: &[u8]) {
        if let Some(text) = &mut self.text
            && text.len() <= MOST_TEXT
        {
            super::said::append(text, json, self.events);
        }
        // Most events of a stream say nothing of it, and need not be parsed.
        if memchr::memmem::find(json, b"\"usage\"").is_none() {
            return;
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(json) else { return };
        let nested = [answer.message, answer.response].into_iter().flatten().find_map(|part| part.usage);
        if let Some(usage) = answer.usage.or(nested) {
            self.found = Some(usage.over(self.found.take().unwrap_or_default()));
        }
    }

    /// What the answer said, once it is over.
    #[must_use]
    pub fn finish(mut self) -> Reading {
        if self.events {
            self.end_line();
        } else if !self.skipping {
            let answer = std::mem::take(&mut self.pending);
            self.read(&answer);
        }
        let output = if self.events { self.pieces } else { self.pieces / 4 };
        let text = self.text.filter(|text| text.len() <= MOST_TEXT);
        Reading { usage: self.found.map(Usage::from), output, text }
    }
}

#[derive(Deserialize)]
struct Answer {
    usage: Option<RawUsage>,
    /// Of Anthropic's `message_start`.
    message: Option<Part>,
    /// Of the events of `OpenAI`'s responses.
    response: Option<Part>,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl RawUsage {
    /// Later events of a stream say more, and leave out what an earlier one said.
    fn over(self, earlier: Self) -> Self {
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
        }
    }
}

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        let details = raw.prompt_tokens_details.or(raw.input_tokens_details).unwrap_or_default();
        let (read, write) = (raw.cache_read_input_tokens, raw.cache_creation_input_tokens);
        // Anthropic counts the input without what came from or went to the cache.
        let apart = read.unwrap_or(0).saturating_add(write.unwrap_or(0));
        Self {
            input: raw.prompt_tokens.or(raw.input_tokens).unwrap_or(0).saturating_add(apart),
            output: raw.completion_tokens.or(raw.output_tokens).unwrap_or(0),
            cache_read: read.or(details.cached_tokens).unwrap_or(0),
            cache_write: write.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, tests::mutated};

    fn usage(events: bool, answer: &str, size: usize) -> Option<Usage> {
        let mut reader = UsageReader::new(events);
        answer.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
        reader.finish().usage
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
        let mut reader = UsageReader::new(true);
        reader.feed(messages.as_bytes());
        assert_eq!(reader.finish().output, 2);
        let mut reader = UsageReader::new(false);
        reader.feed(b"12345");
        reader.feed(b"67890");
        assert_eq!(reader.finish(), Reading { usage: None, output: 2, text: None });
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

    #[test]
    fn of_a_mutated_stream_the_same_is_read_whatever_pieces_it_comes_in() {
        let valid = "event: message_start\r\ndata: {\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"Caf\\u00e9 é\"}}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let (mut random, mut found) = (Random::new(8), 0);
        for number in 0..5_000 {
            let mutant = mutated(valid.as_bytes(), &mut random);
            let read = |size: usize| {
                let mut reader = UsageReader::new(number % 8 != 0).with_text();
                mutant.chunks(size).for_each(|piece| reader.feed(piece));
                reader.finish()
            };
            let whole = read(mutant.len().max(1));
            found += usize::from(whole.usage.is_some());
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
            let mut reader = UsageReader::new(events).with_text();
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
