//! The escapes of JSON strings: the mapping between the decoded text and its encoded form.

use std::ops::Range;

/// Returns, for each character of an encoded string, the number of bytes of its encoded form and of itself.
fn spellings(inside: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut rest = inside;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (spelt, said) = if first == '\\' { escape(rest) } else { (first.len_utf8(), first.len_utf8()) };
        rest = rest.get(spelt..).unwrap_or_default();
        Some((spelt, said))
    })
}

/// Bytes of the escape sequence that `text` begins with, and of the character that it stands for.
fn escape(text: &str) -> (usize, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match (text.as_bytes().get(1), unit(2)) {
        // The first half of a surrogate pair: the string is known to be sound, so the second follows.
        (Some(b'u'), Some(0xD800..=0xDBFF)) => (12, 4),
        (Some(b'u'), Some(unit)) => (6, char::from_u32(unit).map_or(3, char::len_utf8)),
        _ => (2, 1),
    }
}

/// Turns offsets of what a string says, which must ascend, into those of its spelling.
#[must_use]
pub fn escaped_offsets<const N: usize>(inside: &str, said: [usize; N]) -> [usize; N] {
    if !inside.contains('\\') {
        return said;
    }
    let (mut at, mut passed, mut units) = (0, 0, spellings(inside));
    said.map(|wanted| {
        while passed < wanted {
            let Some((spelt, said)) = units.next() else { break };
            at += spelt;
            passed += said;
        }
        at
    })
}

/// Maps `kept`, ranges of the decoded string, to ranges of its encoded form. Both are sorted and apart from each
/// other.
#[must_use]
pub fn escaped_ranges(inside: &str, kept: &[Range<usize>]) -> Vec<Range<usize>> {
    if !inside.contains('\\') {
        return kept.to_vec();
    }
    let (mut spelt, mut at, mut passed, mut units) = (Vec::new(), 0, 0, spellings(inside));
    let mut advance = |wanted: usize| {
        while passed < wanted {
            let Some((spelt, said)) = units.next() else { break };
            at += spelt;
            passed += said;
        }
        at
    };
    for range in kept {
        spelt.push(advance(range.start)..advance(range.end));
    }
    spelt
}

/// The spelling of those parts of a string that `kept` names by offsets of what the string says.
#[must_use]
pub fn escaped(inside: &str, kept: &[Range<usize>]) -> String {
    escaped_ranges(inside, kept).into_iter().filter_map(|range| inside.get(range)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn kept_parts_keep_their_spelling(parts in prop::collection::vec((any::<String>(), any::<bool>(), 0..3_u8), 0..8)) {
            let spell = |text: &str, how: u8| match how {
                0 => serde_json::to_string(text).unwrap()[1..].strip_suffix('"').unwrap().to_owned(),
                _ => text.encode_utf16().flat_map(|unit| format!("\\u{unit:04x}").into_bytes()).map(char::from).collect(),
            };
            let (mut inside, mut said, mut kept, mut expected) = (String::new(), 0, Vec::new(), String::new());
            for (text, keep, how) in &parts {
                let spelt = spell(text, *how);
                prop_assert_eq!(escaped_offsets(&format!("{inside}{spelt}"), [said]), [inside.len()]);
                if *keep {
                    kept.push(said..said + text.len());
                    expected += &spelt;
                }
                inside += &spelt;
                said += text.len();
            }
            prop_assert_eq!(escaped(&inside, &kept), expected);
        }
    }
}
