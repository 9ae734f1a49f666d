//! What the script of a character says about words.

/// Returns whether `c` is of a script that sets no spaces between words: Thai, Lao, Burmese, Khmer, kana, Bopomofo, Han.
#[must_use]
pub const fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{E00}'..='\u{EFF}' // Thai, Lao
        | '\u{1000}'..='\u{109F}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}' // Burmese
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{312F}' | '\u{31A0}'..='\u{31FF}' // kana, Bopomofo
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' // Han
    )
}

/// Returns whether `c` is Hangul: Korean sets spaces between words with their particles, so that a word's beginning
/// tells more than the whole.
const fn is_hangul(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}')
}

/// Returns whether words in the script of `c` are searched for by pairs of characters.
#[must_use]
pub const fn is_searched_by_pairs(c: char) -> bool {
    is_unspaced(c) || is_hangul(c)
}

/// Returns whether `c`, of a decomposed text, is a mark that many writers leave out: an accent of Latin, Greek or
/// Cyrillic, a vowel point of Hebrew or Arabic, or the stroke that lengthens Arabic words.
#[must_use]
pub const fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{610}'..='\u{61A}' | '\u{640}' | '\u{64B}'..='\u{65F}'
        | '\u{670}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_told() {
        for c in "ไລမខあア漢ㄅ".chars() {
            assert!(is_unspaced(c) && is_searched_by_pairs(c), "{c}");
        }
        assert!(!is_unspaced('한') && is_searched_by_pairs('한'));
        for c in "aяعא1हª。".chars() {
            assert!(!is_searched_by_pairs(c), "{c}");
        }
        assert!(is_accent('\u{301}') && is_accent('\u{64e}') && !is_accent('e'));
    }
}
