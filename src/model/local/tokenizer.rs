//! The tokenizer that a GGUF file describes, built from its vocabulary and merges.
//!
//! Byte-level BPE of the GPT-2 kind: text is cut into pieces by a pattern, each piece becomes bytes, each
//! byte a printable stand-in character, and merges join them by rank. `tokenizer.ggml.pre` names the
//! pattern; `smollm` cuts off every digit (`\p{N}`) by itself before GPT-2's pattern, adds no leading
//! space and no begin-of-text token. The patterns of Llama 3 and Qwen 2 differ in how many digits stay together.

mod pieces;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use crate::model::Token;
pub(crate) use pieces::PieceVocabulary;
use pieces::{Pieces, bytes_of};

/// An error of building a tokenizer from a file's metadata.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenizerError {
    /// The pattern has no implementation here.
    #[error("unsupported pre-tokenizer `{0}`: choose a model with {names}", names = known_patterns())]
    UnsupportedPattern(String),
    /// The kind of tokenizer has no implementation here.
    #[error("unsupported tokenizer `{0}` in tokenizer.ggml.model: choose a model with `gpt2` or `llama`")]
    UnsupportedKind(String),
    /// Vocabulary and merges contradict each other.
    #[error("the vocabulary is unusable: {0}")]
    Vocabulary(String),
}

/// A tokenizer that knows which bytes each token stands for.
pub struct GgufTokenizer {
    algorithm: Algorithm,
    /// Bytes of each vocabulary entry.
    bytes: Vec<Box<[u8]>>,
}

/// The algorithm by which texts become tokens.
enum Algorithm {
    Bytes(Box<ByteLevelBpe>),
    Pieces(Pieces),
}

/// Byte-level BPE of the GPT-2 kind.
struct ByteLevelBpe {
    pattern: PreTokenizerWrapper,
    model: BPE,
    /// Bytes that are a token by themselves. The model passes over the others without a word.
    known: [bool; 256],
}

impl std::fmt::Debug for GgufTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GgufTokenizer").field("vocabulary", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl GgufTokenizer {
    /// Builds a tokenizer of scored pieces, as `SentencePiece` makes them.
    ///
    /// # Errors
    /// The vocabulary contradicts itself, or a byte has no token.
    pub(crate) fn of_pieces(vocabulary: &PieceVocabulary) -> Result<Self, TokenizerError> {
        let algorithm = Algorithm::Pieces(Pieces::new(vocabulary)?);
        let tokens = vocabulary.tokens.iter().zip(vocabulary.kinds);
        Ok(Self { algorithm, bytes: tokens.map(|(token, &kind)| bytes_of(token, kind)).collect() })
    }

    /// Builds a tokenizer from `tokenizer.ggml.tokens`, `.merges` and `.pre`.
    ///
    /// # Errors
    /// The pattern is not known, or a merge names tokens that the vocabulary lacks.
    pub fn new(tokens: &[String], merges: &[String], pre: &str) -> Result<Self, TokenizerError> {
        let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
        let merges = merges.iter().map(|merge| split_merge(merge)).collect::<Result<Vec<_>, _>>()?;
        // The builder panics over a merge that makes more bytes than the longest token has.
        if let Some((left, right)) = merges.iter().find(|(l, r)| !vocabulary.contains_key(&format!("{l}{r}")))
        {
            return Err(TokenizerError::Vocabulary(format!("`{left} {right}` makes a token that it lacks")));
        }
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .ignore_merges(Pattern::of(pre)? == Pattern::Llama3)
            .build()
            .map_err(|e| TokenizerError::Vocabulary(e.to_string()))?;
        let bytes: Vec<Box<[u8]>> = tokens.iter().map(|t| stand_ins_to_bytes(t)).collect();
        let mut known = [false; 256];
        for &byte in bytes.iter().filter(|bytes| bytes.len() == 1).flat_map(|bytes| bytes.iter()) {
            known[usize::from(byte)] = true;
        }
        let pattern = Pattern::of(pre)?.splitter()?;
        let algorithm = Algorithm::Bytes(Box::new(ByteLevelBpe { pattern, model, known }));
        Ok(Self { algorithm, bytes })
    }

    /// Tokens of `text` with the bytes that each stands for. Control tokens are never produced: merges
    /// cannot reach them, so their spelling comes out as ordinary text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<Token> {
        match &self.algorithm {
            Algorithm::Bytes(bpe) => self.encode_bytes(bpe, text),
            Algorithm::Pieces(pieces) => {
                pieces.encode(text).into_iter().map(|(id, range)| Token { id, range }).collect()
            }
        }
    }

    fn encode_bytes(&self, bpe: &ByteLevelBpe, text: &str) -> Vec<Token> {
        let mut places = (0..).zip(text.bytes()).filter(|&(_, byte)| bpe.known[usize::from(byte)]);
        let mut end = 0;
        bpe.ids(text)
            .into_iter()
            .map(|id| {
                let mut own = places.by_ref().take(self.bytes[id as usize].len()).map(|(place, _)| place);
                let start = own.next().unwrap_or(end);
                end = own.last().unwrap_or(start) + 1;
                Token { id, range: start..end }
            })
            .collect()
    }

    /// Whether no token goes on from a letter to a space behind it: each pattern that is known cuts there, before
    /// merges. Scored pieces may be joined across it.
    #[must_use]
    pub fn splits_at_spaces(&self) -> bool {
        matches!(self.algorithm, Algorithm::Bytes(_))
    }

    /// Words in the vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of a token; empty for ids beyond the vocabulary.
    #[must_use]
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// Text of `ids`; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl ByteLevelBpe {
    fn ids(&self, text: &str) -> Vec<u32> {
        let mut pieces = PreTokenizedString::from(text);
        let encoded = self
            .pattern
            .pre_tokenize(&mut pieces)
            .and_then(|()| pieces.tokenize(|piece| tokenizers::Model::tokenize(&self.model, piece.get())));
        debug_assert!(encoded.is_ok(), "splitting and merging bytes cannot fail: {encoded:?}");
        pieces
            .get_splits(OffsetReferential::Original, OffsetType::None)
            .into_iter()
            .flat_map(|(_, _, tokens)| tokens.iter().flatten().map(|token| token.id))
            .collect()
    }
}

/// The way in which a text is cut before merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Gpt2,
    /// GPT-2's, behind a cut around every digit.
    Digits,
    /// Digits in groups of at most three; a piece that is a token by itself is not built from merges.
    Llama3,
    /// Every digit by itself.
    Qwen2,
    /// Words by their capitals, with contractions behind them, and digits in groups of at most three.
    Gpt4o,
    /// GPT-2's behind a cut around punctuation, and digits in groups of three.
    Falcon,
    /// Words and the space before them; nothing else is told apart but commas, full stops and brackets.
    Bloom,
}

/// The names that `tokenizer.ggml.pre` has for each pattern.
const PATTERNS: [(Pattern, &[&str]); 7] = [
    (Pattern::Gpt2, &["gpt-2", "olmo", "jais", "mpt", "phi-2"]),
    (Pattern::Digits, &["smollm", "refact", "starcoder", "codeshell", "command-r"]),
    (Pattern::Llama3, &["llama-bpe", "llama3", "llama-v3", "smaug-bpe", "dbrx"]),
    (Pattern::Qwen2, &["qwen2", "deepseek-r1-qwen", "stablelm2"]),
    (Pattern::Gpt4o, &["gpt-4o", "llama4"]),
    (Pattern::Falcon, &["falcon"]),
    (Pattern::Bloom, &["bloom"]),
];

/// Returns whether texts begin with a BOS token under the pattern of this name, where a file does not say.
pub(crate) fn opens_texts(pre: &str) -> bool {
    matches!(pre, "llama-bpe" | "llama3" | "llama-v3")
}

/// The names of all patterns, for a message.
fn known_patterns() -> String {
    let names: Vec<_> =
        PATTERNS.iter().flat_map(|(_, names)| names.iter().map(|name| format!("`{name}`"))).collect();
    names.join(" or ")
}

impl Pattern {
    fn of(pre: &str) -> Result<Self, TokenizerError> {
        let found = PATTERNS.into_iter().find(|(_, names)| names.contains(&pre));
        found.map(|(pattern, _)| pattern).ok_or_else(|| TokenizerError::UnsupportedPattern(pre.to_owned()))
    }

    fn splitter(self) -> Result<PreTokenizerWrapper, TokenizerError> {
        let gpt2 = PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, true));
        Ok(match self {
            Self::Gpt2 => gpt2,
            Self::Digits => {
                let digits = PreTokenizerWrapper::Digits(Digits::new(true));
                PreTokenizerWrapper::Sequence(Sequence::new(vec![digits, gpt2]))
            }
            Self::Llama3 => split_by("\\p{N}{1,3}")?,
            Self::Qwen2 => split_by("\\p{N}")?,
            Self::Gpt4o => bytes_behind(split(&gpt4o())?),
            Self::Falcon => PreTokenizerWrapper::Sequence(Sequence::new(vec![
                PreTokenizerWrapper::Punctuation(Punctuation::new(SplitDelimiterBehavior::Contiguous)),
                gpt2,
                PreTokenizerWrapper::Digits(Digits::new(false)),
                split("[0-9][0-9][0-9]")?,
            ])),
            Self::Bloom => bytes_behind(split(" ?[^(\\s|.,!?…。，、।۔،)]+")?),
        })
    }
}

/// Cuts out contractions, words with one character before them, `digits`, punctuation with the line ends behind it, line
/// ends, and other white space, the last of which goes to the word behind it.
fn split_by(digits: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    let pattern = format!(
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*\
         |\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    );
    split(&pattern).map(bytes_behind)
}

/// The pattern of `o200k`: small letters behind capitals, or capitals alone, each with one character before them.
fn gpt4o() -> String {
    const UPPER: &str = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
    const LOWER: &str = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
    const BEFORE: &str = "[^\\r\\n\\p{L}\\p{N}]?";
    const BEHIND: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
    format!(
        "{BEFORE}{UPPER}*{LOWER}+{BEHIND}|{BEFORE}{UPPER}+{LOWER}*{BEHIND}|\\p{{N}}{{1,3}}\
         | ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    )
}

/// Cuts out what a pattern matches.
fn split(pattern: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
    split.map(PreTokenizerWrapper::Split).map_err(|e| TokenizerError::Vocabulary(e.to_string()))
}

/// Turns bytes into their stand-ins behind a cut.
fn bytes_behind(cut: PreTokenizerWrapper) -> PreTokenizerWrapper {
    let bytes = PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false));
    PreTokenizerWrapper::Sequence(Sequence::new(vec![cut, bytes]))
}

fn split_merge(merge: &str) -> Result<(String, String), TokenizerError> {
    merge
        .split_once(' ')
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .ok_or_else(|| TokenizerError::Vocabulary(format!("`{merge}` is not a pair of tokens")))
}

/// The byte that a stand-in character of byte-level BPE means: printable Latin-1 means itself, the other
/// 68 bytes are numbered upwards from U+0100.
fn stand_in_to_byte(stand_in: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let code = u32::from(stand_in);
    match u8::try_from(code) {
        Ok(byte) if printable(byte) => Some(byte),
        Ok(_) => None,
        Err(_) => (0..=u8::MAX).filter(|&byte| !printable(byte)).nth(code as usize - 0x100),
    }
}

fn stand_ins_to_bytes(token: &str) -> Box<[u8]> {
    token.chars().map(stand_in_to_byte).collect::<Option<_>>().unwrap_or_else(|| token.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::PieceCounts;

    #[test]
    fn stand_ins_cover_every_byte_once() {
        let mut seen: Vec<u8> = (0..0x180).filter_map(char::from_u32).filter_map(stand_in_to_byte).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(stand_in_to_byte('Ġ'), Some(b' '));
        assert_eq!(stand_in_to_byte('Ċ'), Some(b'\n'));
    }

    fn bytes_only(pre: &str) -> GgufTokenizer {
        let tokens: Vec<String> = (0..0x180)
            .filter_map(char::from_u32)
            .filter(|&c| stand_in_to_byte(c).is_some())
            .map(String::from)
            .chain(["<|endoftext|>".to_owned(), "ab".to_owned()])
            .collect();
        GgufTokenizer::new(&tokens, &["a b".to_owned()], pre).unwrap()
    }

    #[test]
    fn bytes_that_the_vocabulary_lacks_move_no_range() {
        let tokens = ["a", "b", "c", "ab"].map(String::from);
        let tokenizer = GgufTokenizer::new(&tokens, &["a b".to_owned()], "gpt-2").unwrap();
        let ranges = |text: &str| tokenizer.encode(text).into_iter().map(|t| t.range).collect::<Vec<_>>();
        assert_eq!(ranges("c\u{4}c"), [0..1, 2..3]);
        assert_eq!(ranges("\u{4}\u{6}ab\u{4}c\u{4}"), [2..4, 5..6]);
        assert!(ranges("\u{4}").is_empty());
    }

    #[test]
    fn control_tokens_are_text_and_ranges_cover_it() {
        let tokenizer = bytes_only("smollm");
        let text = "ab<|endoftext|> 12½\u{0} 👩\u{200d}👧\r\n";
        let tokens = tokenizer.encode(text);
        assert_eq!(tokens.last().unwrap().range.end, text.len());
        assert!(tokens.iter().all(|token| token.range.len() <= 2));
        assert_eq!(tokens[0].range, 0..2);
        assert_eq!(tokenizer.decode(&tokens.iter().map(|t| t.id).collect::<Vec<_>>()), text);
    }

    #[test]
    fn unknown_patterns_and_broken_merges_are_named() {
        assert!(
            matches!(GgufTokenizer::new(&[], &[], "tekken"), Err(TokenizerError::UnsupportedPattern(p)) if p == "tekken")
        );
        assert!(matches!(
            GgufTokenizer::new(&[], &["ab".into()], "gpt-2"),
            Err(TokenizerError::Vocabulary(_))
        ));
        let tokens = ["aa".to_owned(), "b".to_owned()];
        assert!(matches!(
            GgufTokenizer::new(&tokens, &["aa b".into()], "gpt-2"),
            Err(TokenizerError::Vocabulary(_))
        ));
    }

    proptest! {
        #[test]
        fn words_add_up_to_the_text(
            parts in prop::collection::vec("[ab]{0,3}|[ \t]{1,2}|\n|[/.'é日0-9\u{301}\u{a0}]|'s|\\PC", 0..40),
        ) {
            let text = parts.concat();
            let bytes = (0..0x180).filter_map(char::from_u32).filter(|&c| stand_in_to_byte(c).is_some());
            // Merges would join a letter and the space behind it.
            let joined = ["aĠ", "bĠ", "Ġa", "ab", "ĠĠ", "aĠa"].map(String::from);
            let tokens: Vec<String> = bytes.map(String::from).chain(joined).collect();
            let merges = ["a Ġ", "b Ġ", "Ġ a", "a b", "Ġ Ġ", "aĠ a"].map(String::from);
            for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2", "falcon", "bloom", "gpt-4o"] {
                let tokenizer = GgufTokenizer::new(&tokens, &merges, pre).unwrap();
                prop_assert!(tokenizer.splits_at_spaces());
                let count = |word: &str| Ok::<_, ()>(tokenizer.encode(word).len());
                let counted = PieceCounts::default().sum_of_words(&text, count);
                prop_assert_eq!(counted, Ok(tokenizer.encode(&text).len()));
            }
        }
    }
}
