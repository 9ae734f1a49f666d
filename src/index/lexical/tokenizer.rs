//! Words of any script: runs of letters and digits, folded; of scripts that set no spaces between words, pairs of
//! characters.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Cuts a text into words, in the same way on each side but for the single characters of scripts without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordTokenizer {
    /// For texts: pairs of characters, and each character, so that a query of one finds it.
    Text,
    /// For queries: pairs of characters, and a character that stands alone.
    Query,
}

/// The words of a text.
pub(super) struct Words {
    words: std::vec::IntoIter<String>,
    token: Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = Words;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words {
        let token = Token { position: usize::MAX, ..Token::default() };
        Words { words: self.words(text).into_iter(), token }
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
        let folded = folded(text);
        let mut words = Vec::new();
        for run in folded.split(|c: char| !(c.is_alphanumeric() || is_combining_mark(c))) {
            let mut rest = run;
            while let Some(first) = rest.chars().next() {
                let unspaced = is_unspaced(first);
                let end =
                    rest.find(|c| is_unspaced(c) != unspaced && !is_combining_mark(c)).unwrap_or(rest.len());
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
        if self == Self::Text || characters.len() == 1 {
            words.extend(characters.iter().map(|&character| character.to_owned()));
        }
    }
}

/// The text in lower case, without differences of width, ligatures and accents.
fn folded(text: &str) -> String {
    let plain: String = text.nfkd().filter(|&c| !is_accent(c)).nfc().collect();
    plain.to_lowercase()
}

/// Marks that many writers leave out: accents of Latin, Greek and Cyrillic, vowel points of Hebrew and Arabic, and the
/// stroke that lengthens Arabic words.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{610}'..='\u{61A}' | '\u{640}' | '\u{64B}'..='\u{65F}' | '\u{670}')
}

/// Is the character of a script that sets no spaces between words, or, as Korean, spaces between words with their
/// particles?
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{E00}'..='\u{EFF}' // Thai, Lao
        | '\u{1000}'..='\u{109F}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}' // Burmese
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}' // Hangul
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{312F}' | '\u{31A0}'..='\u{31FF}' // kana, Bopomofo
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' // Han
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> Vec<String> {
        WordTokenizer::Query.words(text)
    }

    #[test]
    fn words_are_folded() {
        assert_eq!(
            query("The Bridge's ﬁrst CAFÉ, 3.5 m² foo_bar"),
            ["the", "bridge", "s", "first", "cafe", "3", "5", "m2", "foo", "bar"]
        );
        assert_eq!(query("ＡＢＣ Ёлка ΆΛΦΑ"), ["abc", "елка", "αλφα"]);
        assert_eq!(query("كِتَاب विश्व"), ["كتاب", "विश्व"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_pairs() {
        assert_eq!(query("食堂在哪里？"), ["食堂", "堂在", "在哪", "哪里"]);
        assert_eq!(query("iPhone手机 船"), ["iphone", "手机", "船"]);
        assert_eq!(query("ﾎﾞｰﾄ"), ["ボー", "ート"]);
        assert_eq!(query("식당은"), ["식당", "당은"]);
        assert_eq!(query("ที่จอด"), ["ที่จ", "จอ", "อด"]);
        assert_eq!(WordTokenizer::Text.words("食堂"), ["食堂", "食", "堂"]);
    }

    proptest! {
        #[test]
        fn what_a_query_of_a_part_asks_for_is_in_the_text(text in "[a-z食堂在哪ก-ฮ가나 ]{0,30}") {
            let indexed = WordTokenizer::Text.words(&text);
            for word in query(&text) {
                prop_assert!(indexed.contains(&word), "{word}");
            }
        }
    }
}
