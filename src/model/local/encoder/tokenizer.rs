//! Tokenization of a question and a text that an encoder reads together.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use tokenizers::{Encoding, Token, Tokenizer};

use super::config::EncoderConfig;
use super::error::EncoderError;
use super::pieces;
use crate::model::{Cancel, ScoreError};
use crate::text::read_control_tokens_as_text;

/// The characters at which these tokenizers always end a word.
const SEPARATORS: &[char] = &[' '];
/// Ids that stand for the question and for the text while a template is read.
const PLACES: [u32; 2] = [u32::MAX - 1, u32::MAX];

/// A tokenizer that reads any text as plain text.
pub(crate) struct PairTokenizer {
    tokenizer: Tokenizer,
    template: Template,
}

/// The control tokens around a question and a text.
#[derive(Debug, PartialEq, Eq)]
struct Template {
    before: Vec<u32>,
    between: Vec<u32>,
    after: Vec<u32>,
    /// Whether the text, and what is behind it, is a second segment.
    is_typed: bool,
}

/// The tokens of a text.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    /// The bytes of the text that each token stands for.
    pub(crate) ranges: Vec<Range<usize>>,
}

impl PairTokenizer {
    /// Reads a `tokenizer.json` for a model of this configuration.
    pub(crate) fn load(path: &Path, config: &EncoderConfig) -> Result<Self, EncoderError> {
        let text = std::fs::read_to_string(path).map_err(|e| EncoderError::file(path, e.to_string()))?;
        Self::parse(&text, config).map_err(|reason| EncoderError::file(path, reason))
    }

    fn parse(text: &str, config: &EncoderConfig) -> Result<Self, String> {
        let mut json: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let words = added_words(&json);
        read_control_tokens_as_text(&mut json);
        json["added_tokens"] = words.clone().into();
        let tokenizer: Tokenizer = json.to_string().parse().map_err(|e: tokenizers::Error| e.to_string())?;
        for word in &words {
            let name = word["content"].as_str().unwrap_or_default();
            if tokenizer.token_to_id(name).map(u64::from) != word["id"].as_u64() {
                return Err(format!("its added token {} has another id than the file says", word["id"]));
            }
        }
        let mut template = Template::of(&tokenizer)?;
        template.is_typed &= config.segments > 1;
        let control = [&template.before, &template.between, &template.after].into_iter().flatten().copied();
        let largest = tokenizer.get_vocab(true).into_values().chain(control).max().unwrap_or_default();
        if largest as usize >= config.vocabulary {
            let vocabulary = config.vocabulary;
            return Err(format!(
                "token {largest} is beyond the model's vocabulary of {vocabulary}: it is another model's tokenizer"
            ));
        }
        Ok(Self { tokenizer, template })
    }

    /// The tokens of a text, without control tokens.
    pub(crate) fn tokens(&self, text: &str, cancel: &Cancel) -> Result<Tokens, ScoreError> {
        let mut tokens = Tokens::default();
        for (start, piece) in pieces(text, SEPARATORS) {
            cancel.check()?;
            let encoding =
                self.tokenizer.encode(piece, false).map_err(|e| ScoreError::Model(e.to_string()))?;
            tokens.ids.extend_from_slice(encoding.get_ids());
            let ranges = encoding.get_offsets().iter();
            tokens.ranges.extend(ranges.map(|&(from, to)| start + from..start + to));
        }
        Ok(tokens)
    }

    /// The tokens that open and close a text by itself.
    pub(crate) fn ends(&self) -> Result<[u32; 2], String> {
        match (&self.template.before[..], &self.template.after[..]) {
            (&[first], &[last]) => Ok([first, last]),
            _ => Err("its post_processor puts other than one token before a text, and one behind".into()),
        }
    }

    /// Control tokens of a sequence.
    pub(crate) fn around(&self) -> usize {
        let Template { before, between, after, .. } = &self.template;
        // A single segment has a separator in any case.
        before.len() + between.len().max(1) + after.len()
    }

    /// A question and a text as a pair, and the place of the first token of the second segment.
    pub(crate) fn pair(&self, question: &[u32], text: &[u32]) -> (Vec<u32>, usize) {
        let Template { before, between, after, is_typed } = &self.template;
        let ids = [before, question, between, text, after].concat();
        let second = if *is_typed { before.len() + question.len() + between.len() } else { ids.len() };
        (ids, second)
    }

    /// A question and a text as one segment with a separator between them, and the place of the text's first token.
    pub(crate) fn joined(&self, question: &[u32], text: &[u32]) -> (Vec<u32>, usize) {
        let Template { before, after, .. } = &self.template;
        let separator = &after[..after.len().min(1)];
        let first = before.len() + question.len() + separator.len();
        ([before, question, separator, text, after].concat(), first)
    }
}

/// The tokens that a tokenizer was given besides its vocabulary. Control tokens among them keep their ids, which are
/// counted, under names that no text has.
fn added_words(json: &Value) -> Vec<Value> {
    let known: HashSet<&str> = match &json["model"]["vocab"] {
        Value::Object(vocabulary) => vocabulary.keys().map(String::as_str).collect(),
        Value::Array(vocabulary) => vocabulary.iter().filter_map(|piece| piece[0].as_str()).collect(),
        _ => HashSet::new(),
    };
    let added = json["added_tokens"].as_array().into_iter().flatten();
    let word = |token: &Value| {
        let name = token["content"].as_str().unwrap_or_default();
        if token["special"] != true {
            return Some(token.clone());
        }
        (!known.contains(name)).then(|| {
            let mut token = token.clone();
            token["content"] = format!("\u{fdd0}\u{10ffff}{name}\u{10ffff}").into();
            token["special"] = false.into();
            token["normalized"] = false.into();
            token
        })
    };
    added.filter_map(word).collect()
}

impl Template {
    /// Has the tokenizer put its control tokens around a question and a text.
    fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let [question, text] =
            PLACES.map(|id| Encoding::from_tokens(vec![Token::new(id, "a".into(), (0, 1))], 0));
        let encoding = tokenizer.post_process(question, Some(text), true).map_err(|e| e.to_string())?;
        let (ids, types) = (encoding.get_ids(), encoding.get_type_ids());
        let places = PLACES.map(|place| ids.iter().position(|&id| id == place));
        let [Some(question), Some(text)] = places else {
            return Err("its post_processor makes no pair of a question and a text".into());
        };
        if question >= text || text + 1 == ids.len() || question == 0 {
            return Err("its post_processor has no control tokens around a question and a text".into());
        }
        let is_typed = types[text] == 1;
        let expected = |i: usize| u32::from(is_typed && i >= text);
        if types.iter().enumerate().any(|(i, &kind)| kind != expected(i)) {
            return Err(format!("its post_processor gives the segments {types:?}, not 0 and then 1"));
        }
        let [before, between, after] =
            [0..question, question + 1..text, text + 1..ids.len()].map(|range| ids[range].to_vec());
        Ok(Self { before, between, after, is_typed })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::local::attention::Heads;

    fn file(processor: &Value) -> Value {
        let control = |id: u32, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [control(0, "[CLS]"), control(1, "[SEP]")],
            "normalizer": null, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": processor, "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "a": 3, "b": 4, "[": 5, "]": 6, "SEP": 7}}
        })
    }

    fn bert() -> Value {
        json!({"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]})
    }

    fn parse(processor: &Value, vocabulary: usize, segments: usize) -> Result<PairTokenizer, String> {
        let heads = Heads { queries: 1, keys: 1, width: 8 };
        let config = EncoderConfig { vocabulary, segments, ..EncoderConfig::bert(8, 8, heads, 1) };
        PairTokenizer::parse(&file(processor).to_string(), &config)
    }

    #[test]
    fn a_pair_has_the_control_tokens_and_segments_of_its_tokenizer() {
        let tokenizer = parse(&bert(), 8, 2).unwrap();
        let tokens = tokenizer.tokens("b [SEP]", &Cancel::never()).unwrap();
        assert_eq!((&*tokens.ids, &tokens.ranges[1]), (&[4, 5, 7, 6][..], &(2..3)));
        assert_eq!(tokenizer.pair(&[3], &tokens.ids), (vec![0, 3, 1, 4, 5, 7, 6, 1], 3));
        assert_eq!(tokenizer.joined(&[3, 3], &[4]), (vec![0, 3, 3, 1, 4, 1], 4));
        assert_eq!(parse(&bert(), 8, 1).unwrap().pair(&[3], &[4]), (vec![0, 3, 1, 4, 1], 5));
        let roberta = json!({"type": "RobertaProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0],
            "trim_offsets": true, "add_prefix_space": false});
        let tokenizer = parse(&roberta, 8, 2).unwrap();
        assert_eq!(tokenizer.pair(&[3], &[4]), (vec![0, 3, 1, 1, 4, 1], 6));
        assert_eq!((tokenizer.joined(&[3], &[4]), tokenizer.around()), ((vec![0, 3, 1, 4, 1], 3), 4));
    }

    #[test]
    fn added_tokens_keep_their_ids_and_control_tokens_are_no_words() {
        let added = |id: u32, content: &str, special: bool| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special})
        };
        let config = EncoderConfig {
            vocabulary: 10,
            ..EncoderConfig::bert(8, 8, Heads { queries: 1, keys: 1, width: 8 }, 1)
        };
        let mut file = file(&bert());
        file["added_tokens"].as_array_mut().unwrap().extend([added(8, "[Q]", true), added(9, "foo", false)]);
        let tokenizer = PairTokenizer::parse(&file.to_string(), &config).unwrap();
        let ids = |text| tokenizer.tokens(text, &Cancel::never()).unwrap().ids;
        assert_eq!(ids("a foo"), [3, 9]);
        assert!(!ids("a [Q]").contains(&8));
        file["added_tokens"][3]["id"] = 7.into();
        let refused = PairTokenizer::parse(&file.to_string(), &config).err().unwrap();
        assert!(refused.contains("another id"), "{refused}");
    }

    #[test]
    fn unusable_files_are_named_by_what_is_wrong() {
        let refused = |processor: &Value, vocabulary| parse(processor, vocabulary, 2).err().unwrap();
        assert!(refused(&bert(), 7).contains("token 7 is beyond"));
        assert!(refused(&json!(null), 8).contains("no control tokens"));
    }
}
