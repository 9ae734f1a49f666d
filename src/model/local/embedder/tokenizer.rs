//! Tokenization of texts for encoders, window by window.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use moka::sync::Cache;
use serde_json::Value;

use super::unigram::UnigramTokenizer;
use crate::model::local::encoder::{EncoderConfig, EncoderError, PairTokenizer, pieces};
use crate::model::{Cancel, ScoreError};
use crate::text::read_control_tokens_as_text;

/// The characters at which this tokenizer always ends a word.
const SEPARATORS: &[char] = &[' ', '\n'];

/// The pre-tokenizers besides BERT's that end a word before each space.
const OTHERS: [&str; 4] = ["ByteLevel", "Metaspace", "Sequence", "WhitespaceSplit"];

/// The longest word, in bytes, whose ids are remembered, and the number of such words.
const WORD: usize = 24;
const WORDS: u64 = 50_000;

/// A tokenizer that reads any text as plain text. It remembers words, which texts have in common.
pub(crate) struct EmbedderTokenizer {
    words: Words,
    known: Cache<Box<str>, Arc<[u32]>>,
    /// Opens each window.
    first: u32,
    /// Closes each window.
    last: u32,
}

/// How a text becomes the ids of its words' parts.
enum Words {
    WordPiece(Box<tokenizers::Tokenizer>),
    Unigram(Box<UnigramTokenizer>),
    /// Any other, which is not asked for words by themselves.
    Whole(Box<PairTokenizer>),
}

impl Words {
    /// Appends the ids of `text` to `ids`.
    fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), ScoreError> {
        match self {
            Self::WordPiece(tokenizer) => {
                let encoding =
                    tokenizer.encode_fast(text, false).map_err(|e| ScoreError::Model(e.to_string()))?;
                ids.extend_from_slice(encoding.get_ids());
                Ok(())
            }
            Self::Unigram(tokenizer) => tokenizer.encode(text, ids).map_err(ScoreError::Model),
            Self::Whole(tokenizer) => {
                ids.extend(tokenizer.tokens(text, &Cancel::never())?.ids);
                Ok(())
            }
        }
    }
}

impl EmbedderTokenizer {
    /// `ends` open and close a window.
    fn new(words: Words, [first, last]: [u32; 2]) -> Self {
        Self { words, known: Cache::new(WORDS), first, last }
    }

    /// Wraps a unigram tokenizer; `ends` open and close a window.
    pub(super) fn unigram(tokenizer: UnigramTokenizer, ends: [u32; 2]) -> Self {
        Self::new(Words::Unigram(Box::new(tokenizer)), ends)
    }

    /// Reads a `tokenizer.json` for a model of this configuration.
    pub(crate) fn load(path: &Path, config: &EncoderConfig) -> Result<Self, EncoderError> {
        let text = std::fs::read_to_string(path).map_err(|e| EncoderError::file(path, e.to_string()))?;
        let wrong = |reason: String| EncoderError::file(path, reason);
        let json: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if !OTHERS.iter().any(|kind| json["pre_tokenizer"]["type"] == *kind) {
            return Self::parse(&text, config.vocabulary).map_err(wrong);
        }
        let tokenizer = PairTokenizer::load(path, config)?;
        let ends = tokenizer.ends().map_err(wrong)?;
        Ok(Self::new(Words::Whole(Box::new(tokenizer)), ends))
    }

    fn parse(text: &str, vocabulary: usize) -> Result<Self, String> {
        let mut json: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let kind = json["pre_tokenizer"]["type"].as_str().unwrap_or("none");
        // Others may join words over a space, where texts are cut into pieces.
        if kind != "BertPreTokenizer" {
            return Err(format!("unsupported pre-tokenizer `{kind}`: this build knows BertPreTokenizer"));
        }
        // Windows are cut and closed here, not by what the file says of truncation, padding and templates.
        read_control_tokens_as_text(&mut json);
        if let Some(object) = json.as_object_mut() {
            object.remove("post_processor");
        }
        let tokenizer: tokenizers::Tokenizer =
            json.to_string().parse().map_err(|e: tokenizers::Error| e.to_string())?;
        let largest = tokenizer.get_vocab(false).into_values().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(format!("token {largest} is beyond the model's vocabulary of {vocabulary}"));
        }
        let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("it has no token {token}"));
        // What stands for words that the vocabulary lacks; without it such a word is an error.
        id("[UNK]")?;
        let ends = [id("[CLS]")?, id("[SEP]")?];
        Ok(Self::new(Words::WordPiece(Box::new(tokenizer)), ends))
    }

    /// Ids of `text`, without those that open and close a window; after `most`, the rest is left out.
    pub(super) fn ids(&self, text: &str, most: usize, cancel: &Cancel) -> Result<Vec<u32>, ScoreError> {
        let mut ids = Vec::new();
        if let Words::Whole(tokenizer) = &self.words {
            ids = tokenizer.tokens(text, cancel)?.ids;
            ids.truncate(most);
            return Ok(ids);
        }
        for (_, piece) in pieces(text, SEPARATORS) {
            cancel.check()?;
            self.words.encode(piece, &mut ids)?;
            if ids.len() >= most {
                ids.truncate(most);
                break;
            }
        }
        Ok(ids)
    }

    /// Ids of each text as [`Self::ids`] gives them, by a look-up of each word once: most words come often.
    pub(super) fn ids_by_words(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<u32>>, ScoreError> {
        if let Words::Whole(_) = &self.words {
            return texts.iter().map(|text| self.ids(text, usize::MAX, cancel)).collect();
        }
        let mut known: HashMap<&str, Arc<[u32]>> = HashMap::new();
        let mut found = Vec::with_capacity(texts.len());
        for text in texts {
            cancel.check()?;
            let mut ids = Vec::new();
            for word in text.split_inclusive(SEPARATORS) {
                let own = match known.entry(word) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(self.word(word)?),
                };
                ids.extend_from_slice(own);
            }
            found.push(ids);
        }
        Ok(found)
    }

    /// The ids of one word.
    fn word(&self, word: &str) -> Result<Arc<[u32]>, ScoreError> {
        if let Some(ids) = self.known.get(word) {
            return Ok(ids);
        }
        let mut ids = Vec::new();
        self.words.encode(word, &mut ids)?;
        let ids: Arc<[u32]> = ids.into();
        if word.len() <= WORD {
            self.known.insert(word.into(), Arc::clone(&ids));
        }
        Ok(ids)
    }

    /// Tokens of `text`, without those that open and close a window.
    pub(crate) fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        if text.len() <= WORD {
            cancel.check()?;
            return Ok(self.word(text)?.len());
        }
        Ok(self.ids(text, usize::MAX, cancel)?.len())
    }

    /// The first window of `text`, of at most `size` tokens, as the model reads it.
    pub(crate) fn first_window(
        &self,
        text: &str,
        size: usize,
        cancel: &Cancel,
    ) -> Result<Vec<u32>, ScoreError> {
        Ok(self.closed(&self.ids(text, size - 2, cancel)?))
    }

    /// The whole of `text` in windows of at most `size` tokens, at least one. They are of like length, so that
    /// no window is a tail without context.
    pub(crate) fn windows(
        &self,
        text: &str,
        size: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u32>>, ScoreError> {
        let ids = self.ids(text, usize::MAX, cancel)?;
        let count = ids.len().div_ceil(size - 2).max(1);
        Ok((0..count)
            .map(|i| self.closed(&ids[i * ids.len() / count..(i + 1) * ids.len() / count]))
            .collect())
    }

    fn closed(&self, ids: &[u32]) -> Vec<u32> {
        [&[self.first], ids, &[self.last]].concat()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::local::encoder::PIECE;

    /// A tokenizer of the words `a`, `b`, `##c` and some punctuation, with the settings that real files have.
    pub(crate) fn file() -> Value {
        let control = |id: u32, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        json!({
            "version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 5}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": [control(0, "[PAD]"), control(2, "[CLS]"), control(3, "[SEP]")],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "##c": 6, "[": 7,
                    "]": 8, "cls": 9}}
        })
    }

    fn tokenizer() -> EmbedderTokenizer {
        EmbedderTokenizer::parse(&file().to_string(), 10).unwrap()
    }

    fn ids(text: &str) -> Vec<u32> {
        tokenizer().ids(text, usize::MAX, &Cancel::never()).unwrap()
    }

    #[test]
    fn text_is_plain_whatever_it_spells() {
        assert_eq!(ids("A bc  Ác 预算"), [4, 5, 6, 4, 6, 1, 1]);
        assert_eq!(ids("[CLS] [SEP]"), [7, 9, 8, 7, 1, 8]);
        assert_eq!(ids(" \u{0} \n"), [] as [u32; 0]);
    }

    #[test]
    fn cutting_into_pieces_changes_no_token() {
        let one = "a bc\n\na\u{b}b  \u{85}ac é\u{301} ";
        let many = one.repeat(3 * PIECE / one.len());
        let cut: Vec<&str> = pieces(&many, SEPARATORS).map(|(_, piece)| piece).collect();
        assert!(cut.len() == 3 && cut.concat() == many);
        assert_eq!(ids(&many), ids(one).repeat(3 * PIECE / one.len()));
        let by_words = tokenizer().ids_by_words(&[one, &many], &Cancel::never());
        assert_eq!(by_words.unwrap(), [ids(one), ids(&many)]);
        assert_eq!(pieces(&"ac".repeat(PIECE), SEPARATORS).count(), 1, "no place to cut");
    }

    #[test]
    fn reading_words_by_themselves_changes_no_token() {
        let tokenizer = tokenizer();
        for text in [
            "",
            "a bc\n\na\u{b}b  \u{85}ac é\u{301} ",
            " A bc  Ác 预算\n",
            &"ac".repeat(WORD),
            "[CLS]\n [SEP]",
        ] {
            let mut whole = Vec::new();
            tokenizer.words.encode(text, &mut whole).unwrap();
            // Once read, and once known.
            for _ in 0..2 {
                assert_eq!(tokenizer.ids(text, usize::MAX, &Cancel::never()).unwrap(), whole, "{text:?}");
                assert_eq!(tokenizer.count(text, &Cancel::never()).unwrap(), whole.len());
            }
            let by_words = tokenizer.ids_by_words(&[text, text], &Cancel::never());
            assert_eq!(by_words.unwrap(), [whole.clone(), whole]);
        }
    }

    #[test]
    fn words_are_remembered_and_long_ones_are_not() {
        let tokenizer = tokenizer();
        let text = format!("a bc a bc {}", "ac".repeat(WORD));
        tokenizer.ids_by_words(&[&text], &Cancel::never()).unwrap();
        tokenizer.known.run_pending_tasks();
        assert_eq!(tokenizer.known.entry_count(), 2);
    }

    #[test]
    fn windows_are_even_closed_and_cover_the_text() {
        let tokenizer = tokenizer();
        for (words, lengths) in [(0, vec![2]), (6, vec![8]), (7, vec![5, 6]), (13, vec![6, 6, 7])] {
            let text = "a b ".repeat(words)[..2 * words].to_owned();
            let windows = tokenizer.windows(&text, 8, &Cancel::never()).unwrap();
            assert_eq!(windows.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
            assert!(windows.iter().all(|w| w[0] == 2 && w[w.len() - 1] == 3));
            let inside: Vec<u32> = windows.iter().flat_map(|w| &w[1..w.len() - 1]).copied().collect();
            assert_eq!(inside, ids(&text));
            let first = tokenizer.first_window(&text, 8, &Cancel::never()).unwrap();
            assert_eq!(first[1..first.len() - 1], inside[..inside.len().min(6)]);
        }
    }

    #[test]
    fn unusable_files_are_named_by_what_is_wrong() {
        let parse = |key: &str, value: Value, vocabulary: usize| {
            let mut file = file();
            *file.pointer_mut(key).unwrap() = value;
            EmbedderTokenizer::parse(&file.to_string(), vocabulary).err().unwrap()
        };
        assert!(parse("/pre_tokenizer", json!({"type": "Whitespace"}), 10).contains("`Whitespace`"));
        assert!(parse("/pre_tokenizer", json!(null), 10).contains("`none`"));
        assert!(parse("/version", json!("1.0"), 9).contains("token 9 is beyond"));
        assert!(parse("/model/vocab", json!({"[UNK]": 0}), 10).contains("no token [CLS]"));
    }
}
