//! Counting tokens as a target model would.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// Counts the tokens of a text as a target model would.
pub trait TokenCounter: Send + Sync {
    /// Name, such as `o200k_base`.
    fn name(&self) -> &str;

    /// Tokens of `text`, read as plain text: the spelling of a control token is counted as text.
    fn count(&self, text: &str) -> usize;

    /// Tokens of `text`, like [`TokenCounter::count`]. Pieces that were counted with the same `known` before may be taken
    /// from it; see [`CachedCounter`].
    fn count_with(&self, text: &str, _known: &mut PieceCounts) -> usize {
        self.count(text)
    }

    /// Returns whether the count is an estimate, because the target's tokenizer is not public.
    fn approximate(&self) -> bool {
        false
    }
}

/// A counter that counts again only what it has not counted before, for texts that have most words in common, such as a
/// prompt and what may be kept of it. It grows with what it counts, and is meant for one request.
pub struct CachedCounter {
    counter: Arc<dyn TokenCounter>,
    known: Mutex<PieceCounts>,
}

impl CachedCounter {
    /// A counter that asks `counter`, and has asked nothing yet.
    #[must_use]
    pub fn new(counter: Arc<dyn TokenCounter>) -> Self {
        Self { counter, known: Mutex::default() }
    }
}

impl TokenCounter for CachedCounter {
    fn name(&self) -> &str {
        self.counter.name()
    }

    fn count(&self, text: &str) -> usize {
        self.counter.count_with(text, &mut self.known.lock())
    }

    fn approximate(&self) -> bool {
        self.counter.approximate()
    }
}

/// Tokens of pieces of text that one counter has counted.
#[derive(Debug, Default)]
pub struct PieceCounts {
    hashes: RandomState,
    tokens: HashMap<u64, usize>,
}

impl PieceCounts {
    /// The sum over the pieces of `text` that encodings of OpenAI's cut it into, each counted by `count` where it is new.
    fn sum(&mut self, text: &str, count: impl Fn(&str) -> usize) -> usize {
        let counted = self.sum_of(text, piece_end, |piece| Ok::<_, Infallible>(count(piece)));
        counted.unwrap_or_else(|never| match never {})
    }

    /// The sum over the words of `text`, each with the white space and the marks around it, counted by `count` where it
    /// is new: the tokens of `text` where no token goes on from a letter to the space behind it.
    ///
    /// # Errors
    /// What `count` says.
    pub(crate) fn sum_of_words<E>(
        &mut self,
        text: &str,
        count: impl Fn(&str) -> Result<usize, E>,
    ) -> Result<usize, E> {
        self.sum_of(text, word_end, count)
    }

    fn sum_of<E>(
        &mut self,
        text: &str,
        end: impl Fn(&str) -> usize,
        count: impl Fn(&str) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut tokens = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(end(rest));
            tokens += match self.tokens.entry(self.hashes.hash_one(piece)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(count(piece)?),
            };
            rest = behind;
        }
        Ok(tokens)
    }
}

/// The end of the first word of `text`, before the space behind its last letter.
fn word_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = |&at: &usize| at > 0 && bytes[at - 1].is_ascii_alphabetic();
    memchr::memchr_iter(b' ', bytes).find(ends).unwrap_or(text.len())
}

/// The end of the first piece of `text` whose tokens are its own, whatever stands beside it: a word, or a line and what
/// belongs to its break.
///
/// Encodings of OpenAI's split a text by a pattern first. Nothing that it matches goes on from a letter to a space, nor
/// from a line break to anything but white space and slashes.
fn piece_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ends = |at: usize| match bytes[at] {
        b' ' => at > 0 && bytes[at - 1].is_ascii_alphabetic(),
        _ => text[at + 1..].chars().next().is_some_and(|c| !c.is_whitespace() && c != '/'),
    };
    let end = memchr::memchr2_iter(b' ', b'\n', bytes).find(|&at| ends(at));
    end.map_or(text.len(), |at| at + usize::from(bytes[at] == b'\n'))
}

/// An error of loading a tokenizer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenizerError {
    /// No tokenizer has this name.
    #[error(
        "unknown tokenizer `{0}`: use `o200k_base`, `cl100k_base`, `scorer`, `approximate`, or the path of a tokenizer.json"
    )]
    Unknown(String),
    /// The file is not a tokenizer.
    #[error("cannot read the tokenizer {file}: {reason}")]
    File {
        /// The file as named by the caller.
        file: String,
        /// The description of the fault.
        reason: String,
    },
}

/// The tokenizer called `name`: an encoding of OpenAI's, or `approximate`.
///
/// ```
/// let counter = whittle::text::for_name("o200k_base")?;
/// assert_eq!(counter.count("hello world"), 2);
/// # Ok::<(), whittle::text::TokenizerError>(())
/// ```
///
/// # Errors
/// The name is unknown.
pub fn for_name(name: &str) -> Result<Arc<dyn TokenCounter>, TokenizerError> {
    match name {
        "o200k_base" => Ok(Arc::new(OpenAi { name: "o200k_base", tokenizer: bpe_openai::o200k_base() })),
        "cl100k_base" => Ok(Arc::new(OpenAi { name: "cl100k_base", tokenizer: bpe_openai::cl100k_base() })),
        "approximate" => Ok(Arc::new(Approximation(bpe_openai::o200k_base()))),
        _ => Err(TokenizerError::Unknown(name.to_owned())),
    }
}

/// The tokenizer of the model called `model`; of models whose tokenizer is not public, an approximation.
///
/// A provider before the name (`openai/gpt-4o`) and the mark of a fine-tuned model (`ft:gpt-4o`) do not matter.
#[must_use]
pub fn for_model(model: &str) -> Arc<dyn TokenCounter> {
    let model = model.rsplit('/').next().unwrap_or(model);
    let model = model.strip_prefix("ft:").unwrap_or(model);
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
    if starts(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4", "gpt-oss"]) {
        Arc::new(OpenAi { name: "o200k_base", tokenizer: bpe_openai::o200k_base() })
    } else if starts(&["gpt-4", "gpt-3.5", "text-embedding-3", "text-embedding-ada"]) {
        Arc::new(OpenAi { name: "cl100k_base", tokenizer: bpe_openai::cl100k_base() })
    } else {
        Arc::new(Approximation(bpe_openai::o200k_base()))
    }
}

/// The text that OpenAI's clients of embeddings send as `ids`, in `cl100k_base`. None where an id is unknown, or the
/// bytes are not UTF-8.
#[must_use]
pub fn decode_cl100k(ids: &[u32]) -> Option<String> {
    let tokenizer = bpe_openai::cl100k_base();
    // An id that is unknown to it makes it panic.
    let known = |&id: &u32| (id as usize) < tokenizer.bpe.num_tokens();
    if ids.iter().all(known) { tokenizer.decode(ids) } else { None }
}

/// An encoding of OpenAI's; its ranks are compiled in.
struct OpenAi {
    name: &'static str,
    tokenizer: &'static bpe_openai::Tokenizer,
}

impl TokenCounter for OpenAi {
    fn name(&self) -> &str {
        self.name
    }

    fn count(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    fn count_with(&self, text: &str, known: &mut PieceCounts) -> usize {
        known.sum(text, |piece| self.tokenizer.count(piece))
    }
}

/// `o200k_base` plus a fifth: a cautious estimate for tokenizers that are not public, meant to overstate
/// rather than to overshoot a budget.
struct Approximation(&'static bpe_openai::Tokenizer);

impl TokenCounter for Approximation {
    fn name(&self) -> &'static str {
        "o200k_base + 20%"
    }

    fn count(&self, text: &str) -> usize {
        with_margin(self.0.count(text))
    }

    fn count_with(&self, text: &str, known: &mut PieceCounts) -> usize {
        with_margin(known.sum(text, |piece| self.0.count(piece)))
    }

    fn approximate(&self) -> bool {
        true
    }
}

const fn with_margin(tokens: usize) -> usize {
    tokens + tokens.div_ceil(5)
}

/// A Hugging Face `tokenizer.json`.
struct JsonTokenizer {
    name: String,
    tokenizer: tokenizers::Tokenizer,
}

/// The tokenizer that `json`, the text of a Hugging Face `tokenizer.json`, describes; it is called `name`.
///
/// # Errors
/// The text describes no tokenizer.
pub fn from_tokenizer_json(name: &str, json: &str) -> Result<Arc<dyn TokenCounter>, TokenizerError> {
    let wrong = |error: &dyn std::fmt::Display| TokenizerError::File {
        file: name.to_owned(),
        reason: error.to_string(),
    };
    let mut json: Value = serde_json::from_str(json).map_err(|error| wrong(&error))?;
    read_control_tokens_as_text(&mut json);
    let tokenizer = json.to_string().parse().map_err(|error: tokenizers::Error| wrong(&error))?;
    Ok(Arc::new(JsonTokenizer { name: name.to_owned(), tokenizer }))
}

/// Changes a tokenizer so that it finds no control tokens in a text, and counts all of a text.
///
/// Without its added tokens it looks for none before it splits a text. A Unigram model would still find those
/// that are pieces of its vocabulary (the other models reach a piece by merges, or split it first), so there
/// they are spelt with noncharacters.
pub(crate) fn read_control_tokens_as_text(json: &mut Value) {
    let Some(object) = json.as_object_mut() else { return };
    object.remove("truncation");
    object.remove("padding");
    let added = object.insert("added_tokens".into(), Value::Array(Vec::new()));
    let added = added.as_ref().and_then(Value::as_array).into_iter().flatten();
    let special: Vec<&str> = added
        .filter(|token| token["special"] == true)
        .filter_map(|token| token["content"].as_str())
        .collect();
    // Unigram's vocabulary alone is an array: of pieces, each with its score.
    let pieces =
        object.get_mut("model").and_then(|model| model.get_mut("vocab")).and_then(Value::as_array_mut);
    for piece in pieces.into_iter().flatten().filter_map(|entry| entry.get_mut(0)) {
        if let Some(name) = piece.as_str().filter(|name| special.contains(name)) {
            *piece = format!("\u{fdd0}\u{10ffff}{name}\u{10ffff}").into();
        }
    }
}

impl TokenCounter for JsonTokenizer {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self, text: &str) -> usize {
        // A model without an unknown token refuses characters that it lacks: then every byte counts.
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_those_of_the_published_encodings() {
        let o200k = for_name("o200k_base").unwrap();
        let cl100k = for_name("cl100k_base").unwrap();
        assert_eq!(o200k.count("hello world"), 2);
        assert_eq!(cl100k.count("hello world"), 2);
        assert_eq!(cl100k.count("tiktoken is great!"), 6);
        assert!(o200k.count("<|endoftext|><|im_start|>") > 2, "control tokens are text");
        assert_eq!(o200k.count(""), 0);
    }

    #[test]
    fn models_map_to_their_tokenizers() {
        assert_eq!(for_model("gpt-4o-mini").name(), "o200k_base");
        assert_eq!(for_model("gpt-4-turbo").name(), "cl100k_base");
        for model in ["gpt-4.1", "gpt-5-mini", "o1", "o3-mini", "openai/gpt-4o", "ft:gpt-4o:org::id"] {
            assert_eq!(for_model(model).name(), "o200k_base", "{model}");
        }
        for model in ["gpt-4", "gpt-3.5-turbo", "text-embedding-3-small"] {
            assert_eq!(for_model(model).name(), "cl100k_base", "{model}");
        }
        assert!(for_model("gemini-2.5-pro").approximate() && for_model("").approximate());
        let claude = for_model("claude-sonnet-4-5");
        assert!(claude.approximate() && claude.count("hello world") == 3);
        assert!(matches!(for_name("p50k"), Err(TokenizerError::Unknown(name)) if name == "p50k"));
        assert!(matches!(from_tokenizer_json("x.json", "{}"), Err(TokenizerError::File { .. })));
    }

    fn tokenizer(added: &[&str], model: &Value) -> Value {
        let added = added.iter().enumerate().map(|(id, content)| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        });
        serde_json::json!({
            "version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": null, "normalizer": null, "post_processor": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
            "added_tokens": added.collect::<Vec<_>>(), "model": model,
        })
    }

    #[test]
    fn a_tokenizer_json_counts_plain_text() {
        let word_level = serde_json::json!({
            "type": "WordLevel", "vocab": {"<s>": 0, "a": 1, "[UNK]": 2}, "unk_token": "[UNK]"});
        let unigram = serde_json::json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
            "vocab": [["<unk>", 0.0], ["<s>", 0.0], ["<", -3.0], ["s", -3.0], [">", -3.0], ["a", -3.0]]});
        for (model, want) in [(word_level, 3), (unigram, 6)] {
            let json = tokenizer(&["<unk>", "<s>"], &model).to_string();
            let counter = from_tokenizer_json("t.json", &json).unwrap();
            assert_eq!(counter.count("a <s>a a"), want, "{model}");
        }
    }

    #[test]
    fn long_lines_are_counted_quickly() {
        let start = std::time::Instant::now();
        for text in ["x".repeat(2 << 20), "a1".repeat(1 << 20), "\0".repeat(2 << 20)] {
            for name in ["o200k_base", "cl100k_base", "approximate"] {
                assert!(for_name(name).unwrap().count(&text) > text.len() / 10);
            }
        }
        let seconds = start.elapsed().as_secs();
        assert!(seconds < 30, "{seconds} s");
    }

    #[test]
    fn pieces_in_common_are_counted_once() {
        let asked = std::cell::RefCell::new(Vec::new());
        let count = |piece: &str| {
            asked.borrow_mut().push(piece.to_owned());
            piece.len()
        };
        let mut known = PieceCounts::default();
        assert_eq!(known.sum("one two,  3\n\n  in\n/x\none two\n", count), 29);
        assert_eq!(asked.take(), ["one", " two,  3\n\n  in\n/x\n", " two\n"]);
        assert_eq!(known.sum("one four", count), 8);
        assert_eq!(asked.take(), [" four"]);
        let counted = known.sum_of_words(" one 2 three\nfour five", |word| Ok::<_, ()>(count(word)));
        assert_eq!(counted, Ok(22));
        assert_eq!(asked.take(), [" one", " 2 three\nfour", " five"]);
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_text(
            parts in prop::collection::vec("[a-zA-Z]{0,3}|[ \t]{1,2}|\n|\r\n|[/.;)'é日0-9\u{301}\u{a0}]|'s|\\PC", 0..40),
        ) {
            let text = parts.concat();
            for name in ["o200k_base", "cl100k_base", "approximate"] {
                let counter = for_name(name).unwrap();
                let cached = CachedCounter::new(Arc::clone(&counter));
                for _ in 0..2 {
                    prop_assert_eq!(cached.count(&text), counter.count(&text), "{} {:?}", name, text);
                }
            }
        }

        #[test]
        fn any_text_is_counted(text in any::<String>()) {
            for name in ["o200k_base", "cl100k_base", "approximate"] {
                prop_assert_eq!(for_name(name).unwrap().count(&text) == 0, text.is_empty());
            }
        }
    }
}
