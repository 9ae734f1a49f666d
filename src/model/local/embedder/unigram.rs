//! `SentencePiece`'s unigram model, as XLM-RoBERTa and multilingual E5 read text.

use std::collections::HashMap;

use tokenizers::Model;
use tokenizers::models::unigram::Unigram;

/// Stands for the space before a word.
const WORD_START: char = '\u{2581}';

/// A tokenizer that reads any text as plain text.
pub(super) struct UnigramTokenizer {
    model: Unigram,
    /// What the characters become that are not read as they are.
    replacements: HashMap<char, Box<str>>,
}

impl UnigramTokenizer {
    /// Builds a tokenizer from pieces with their log-probabilities, by id. The ids in `control` are never produced.
    pub(super) fn new(
        pieces: Vec<(String, f64)>,
        control: &[usize],
        unknown: usize,
        replacements: HashMap<char, Box<str>>,
    ) -> Result<Self, String> {
        let mut pieces = pieces;
        for &id in control {
            let (piece, _) = pieces.get_mut(id).ok_or_else(|| format!("control token {id} is no piece"))?;
            // A word has no line end, so this spelling is never met.
            piece.insert(0, '\n');
        }
        let model = Unigram::from(pieces, Some(unknown), false).map_err(|e| e.to_string())?;
        Ok(Self { model, replacements })
    }

    /// Appends the ids of `text` to `ids`.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        for word in self.normalized(text).split(char::is_whitespace).filter(|word| !word.is_empty()) {
            let tokens = self.model.tokenize(&format!("{WORD_START}{word}")).map_err(|e| e.to_string())?;
            ids.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }

    fn normalized(&self, text: &str) -> String {
        let mut normalized = String::with_capacity(text.len());
        for c in text.chars() {
            match self.replacements.get(&c) {
                Some(replacement) => normalized.push_str(replacement),
                None => normalized.push(c),
            }
        }
        normalized
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> UnigramTokenizer {
        let pieces = [("<s>", 0.0), ("<unk>", 0.0), ("\u{2581}", -4.0), ("a", -5.0), ("\u{2581}ab", -3.0)];
        let pieces = pieces.into_iter().chain([("b", -5.0), ("fi", -6.0)]);
        let replacements = HashMap::from([('ﬁ', "fi".into()), ('\u{1}', "".into()), ('\n', " ".into())]);
        UnigramTokenizer::new(pieces.map(|(p, s)| (p.to_owned(), s)).collect(), &[0, 1], 1, replacements)
            .unwrap()
    }

    fn ids(text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenizer().encode(text, &mut ids).unwrap();
        ids
    }

    #[test]
    fn the_likeliest_pieces_are_found_word_by_word() {
        assert_eq!(ids("ab  ab\nba"), [4, 4, 2, 5, 3]);
        assert_eq!(ids("a\u{1}b ﬁ"), [4, 2, 6]);
        assert_eq!(ids(" \n "), [] as [u32; 0]);
    }

    #[test]
    fn control_tokens_are_text_and_unknown_characters_one_token() {
        assert_eq!(ids("<s>"), [2, 1]);
        assert_eq!(ids("a<unk>b"), [2, 3, 1, 5]);
    }

    #[test]
    fn a_control_token_beyond_the_pieces_is_refused() {
        let refused = UnigramTokenizer::new(vec![("a".into(), 0.0)], &[1], 0, HashMap::new());
        assert!(refused.err().unwrap().contains("control token 1"));
    }
}
