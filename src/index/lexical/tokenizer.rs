//! Words of any script: runs of letters and digits, folded; of scripts that set no spaces between words, pairs of
//! characters.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use crate::text::{is_accent, is_searched_by_pairs};

/// Cuts a text into words, in the same way on each side but for the single characters of scripts without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WordTokenizer {
    pub(super) side: Side,
    pub(super) accents: Accents,
}

/// Who asks for words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The mode for texts: pairs of characters, and each character, so that a query of one finds it.
    Text,
    /// The mode for queries: pairs of characters, and a character that stands alone.
    Query,
}

/// The treatment of accents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accents {
    Kept,
    Folded,
}

/// The words of a text.
pub(super) struct Words {
    words: std::vec::IntoIter<String>,
    token: Token,
}

impl Words {
    pub(super) fn new(words: Vec<String>) -> Self {
        let token = Token { position: usize::MAX, ..Token::default() };
        Self { words: words.into_iter(), token }
    }
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = Words;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words {
        Words::new(self.words(text))
    }
}

impl TokenStream for Words {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else { return false };
        // Where it stands is of no use: only how often it does is indexed.
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text = word;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

impl WordTokenizer {
    fn words(self, text: &str) -> Vec<String> {
        let folded = folded(text, self.accents);
        let mut words = Vec::new();
        for run in folded.split(|c: char| !(c.is_alphanumeric() || is_combining_mark(c))) {
            let mut rest = run;
            while let Some(first) = rest.chars().next() {
                let unspaced = is_searched_by_pairs(first);
                let end = rest
                    .find(|c| is_searched_by_pairs(c) != unspaced && !is_combining_mark(c))
                    .unwrap_or(rest.len());
                let (part, behind) = rest.split_at(end);
                if unspaced {
                    self.pairs(part, &mut words);
                } else {
                    words.push(part.to_owned());
                }
                rest = behind;
            }
        }
        words
    }

    /// Pairs of characters, as a reader sees them: a vowel sign goes with its consonant.
    fn pairs(self, run: &str, words: &mut Vec<String>) {
        let characters: Vec<&str> = run.graphemes(true).collect();
        words.extend(characters.windows(2).map(<[&str]>::concat));
        if self.side == Side::Text || characters.len() == 1 {
            words.extend(characters.iter().map(|&character| character.to_owned()));
        }
    }
}

/// The text in lower case, without differences of width and ligatures, and of accents where they do not count.
fn folded(text: &str, accents: Accents) -> String {
    let counts = |&c: &char| accents == Accents::Kept || !is_accent(c);
    let plain: String = text.nfkd().filter(counts).nfc().collect();
    plain.to_lowercase()
}

/// A word, in lower case, without accents.
pub(super) fn without_accents(word: &str) -> String {
    word.nfkd().filter(|&c| !is_accent(c)).nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_text(text: &str) -> Vec<String> {
        WordTokenizer { side: Side::Text, accents: Accents::Folded }.words(text)
    }

    fn query(text: &str) -> Vec<String> {
        WordTokenizer { side: Side::Query, accents: Accents::Folded }.words(text)
    }

    #[test]
    fn words_are_folded() {
        assert_eq!(
            query("The Bridge's ﬁrst CAFÉ, 3.5 m² foo_bar"),
            ["the", "bridge", "s", "first", "cafe", "3", "5", "m2", "foo", "bar"]
        );
        assert_eq!(query("ＡＢＣ Ёлка ΆΛΦΑ"), ["abc", "елка", "αλφα"]);
        assert_eq!(query("كِتَاب विश्व"), ["كتاب", "विश्व"]);
        let kept = WordTokenizer { side: Side::Query, accents: Accents::Kept };
        assert_eq!(kept.words("ＣＡＦÉ Cafe\u{301} m²"), ["café", "café", "m2"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_pairs() {
        assert_eq!(query("食堂在哪里？"), ["食堂", "堂在", "在哪", "哪里"]);
        assert_eq!(query("iPhone手机 船"), ["iphone", "手机", "船"]);
        assert_eq!(query("ﾎﾞｰﾄ"), ["ボー", "ート"]);
        assert_eq!(query("식당은"), ["식당", "당은"]);
        assert_eq!(query("ที่จอด"), ["ที่จ", "จอ", "อด"]);
        assert_eq!(of_text("食堂"), ["食堂", "食", "堂"]);
    }

    proptest! {
        #[test]
        fn what_a_query_of_a_part_asks_for_is_in_the_text(text in "[a-z食堂在哪ก-ฮ가나 ]{0,30}") {
            let indexed = of_text(&text);
            for word in query(&text) {
                prop_assert!(indexed.contains(&word), "{word}");
            }
        }
    }
}
