//! The tokens of a JSON text as byte ranges of it.

use std::ops::Range;

use super::{skip_space, string_end};

/// The kind of a JSON token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// A string before a colon, with its quotes.
    Key,
    /// Any other string, with its quotes.
    String,
    /// A number, `true`, `false` or `null`.
    Literal,
}

/// A token of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonToken {
    /// The kind of the token.
    pub kind: JsonKind,
    /// The bytes of the token.
    pub range: Range<usize>,
}

/// The position where a text stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no JSON from byte {0} on")]
pub struct JsonError(pub usize);

/// The tokens that may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// The state after `[`.
    ValueOrEnd,
    Key,
    /// The state after `{`.
    KeyOrEnd,
    Colon,
    /// The state after a value inside an object or array.
    CommaOrEnd,
    Nothing,
}

/// The tokens of one JSON value (RFC 8259), which is all of `text` but white space. Depth takes memory, not
/// stack: there is no limit to it.
///
/// ```
/// use whittle::text::{JsonKind, json_tokens};
///
/// let text = r#"{"rate": 1e400}"#;
/// let tokens = json_tokens(text)?;
/// let number = tokens.iter().find(|token| token.kind == JsonKind::Literal).ok_or("no number")?;
/// assert_eq!(&text[number.range.clone()], "1e400");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The text is not one JSON value.
pub fn json_tokens(text: &str) -> Result<Vec<JsonToken>, JsonError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    // For each open bracket, is it an object's?
    let mut open: Vec<bool> = Vec::new();
    let (mut at, mut next) = (0, Next::Value);
    loop {
        at = skip_space(bytes, at);
        if at == bytes.len() {
            break;
        }
        let (kind, end) = token(text, at, next)?;
        next = match kind {
            JsonKind::ObjectStart | JsonKind::ArrayStart => {
                open.push(kind == JsonKind::ObjectStart);
                if kind == JsonKind::ObjectStart { Next::KeyOrEnd } else { Next::ValueOrEnd }
            }
            JsonKind::ObjectEnd | JsonKind::ArrayEnd => {
                if open.pop() != Some(kind == JsonKind::ObjectEnd) {
                    return Err(JsonError(at));
                }
                if open.is_empty() { Next::Nothing } else { Next::CommaOrEnd }
            }
            JsonKind::Comma if open.last() == Some(&true) => Next::Key,
            JsonKind::Comma | JsonKind::Colon => Next::Value,
            JsonKind::Key => Next::Colon,
            JsonKind::String | JsonKind::Literal if open.is_empty() => Next::Nothing,
            JsonKind::String | JsonKind::Literal => Next::CommaOrEnd,
        };
        tokens.push(JsonToken { kind, range: at..end });
        at = end;
    }
    if next == Next::Nothing { Ok(tokens) } else { Err(JsonError(text.len())) }
}

/// The token that begins at `at`, where `next` may come, with its end.
fn token(text: &str, at: usize, next: Next) -> Result<(JsonKind, usize), JsonError> {
    let wrong = Err(JsonError(at));
    let value = matches!(next, Next::Value | Next::ValueOrEnd);
    let key = matches!(next, Next::Key | Next::KeyOrEnd);
    match text.as_bytes()[at] {
        b'{' if value => Ok((JsonKind::ObjectStart, at + 1)),
        b'[' if value => Ok((JsonKind::ArrayStart, at + 1)),
        b'}' if matches!(next, Next::KeyOrEnd | Next::CommaOrEnd) => Ok((JsonKind::ObjectEnd, at + 1)),
        b']' if matches!(next, Next::ValueOrEnd | Next::CommaOrEnd) => Ok((JsonKind::ArrayEnd, at + 1)),
        b',' if next == Next::CommaOrEnd => Ok((JsonKind::Comma, at + 1)),
        b':' if next == Next::Colon => Ok((JsonKind::Colon, at + 1)),
        b'"' if value => Ok((JsonKind::String, checked_string_end(text, at)?)),
        b'"' if key => Ok((JsonKind::Key, checked_string_end(text, at)?)),
        _ if value => {
            let rest = &text[at..];
            let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
            let len = word.map(str::len).or_else(|| number_length(rest.as_bytes()));
            len.map_or(wrong, |len| Ok((JsonKind::Literal, at + len)))
        }
        _ => wrong,
    }
}

/// Returns the end of the string that begins at `start`, which holds no control character and no unknown escape.
fn checked_string_end(text: &str, start: usize) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let end = string_end(bytes, start);
    let inside = &bytes[..end.map_or(bytes.len(), |end| end - 1)];
    let mut at = start + 1;
    while let Some(&byte) = inside.get(at) {
        at += match byte {
            b'\\' => escape_length(&inside[at..]).ok_or(JsonError(at))?,
            0x20.. => 1,
            _ => return Err(JsonError(at)),
        };
    }
    end.ok_or(JsonError(bytes.len()))
}

/// Bytes of the escape that `bytes` begin with.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Bytes of the number that `bytes` begin with.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(end);
    if whole == 0 || (whole > 1 && bytes[end] == b'0') {
        return None;
    }
    end += whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        end = (fraction > 0).then_some(end + 1 + fraction)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        end = (exponent > 0).then_some(end + 1 + sign + exponent)?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Random, tests::mutated};

    #[test]
    fn tokens_are_those_of_the_standard() {
        let text = " {\"a\\\"\": [1, -2.5e+3, true, null, {}], \"b\":\"<x>\"}\n";
        let tokens: Vec<&str> =
            json_tokens(text).unwrap().into_iter().map(|token| &text[token.range]).collect();
        let want = [
            "{",
            "\"a\\\"\"",
            ":",
            "[",
            "1",
            ",",
            "-2.5e+3",
            ",",
            "true",
            ",",
            "null",
            ",",
            "{",
            "}",
            "]",
            ",",
            "\"b\"",
            ":",
            "\"<x>\"",
            "}",
        ];
        assert_eq!(tokens, want);
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "nul",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a",
            "\"\n\"",
            "[}",
            "{]",
            "1 1",
            "{\"a\"}",
            "{\"a\":}",
            "[,1]",
            "]",
            "NaN",
            "'a'",
        ] {
            assert!(json_tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(json_tokens(&deep).unwrap().len(), 200_001);
        assert_eq!(json_tokens(&"{\"a\":".repeat(10_000)), Err(JsonError(50_000)));
    }

    #[test]
    fn mutated_json_is_cut_into_tokens_or_refused_at_a_place_in_it() {
        let valid =
            br#"{"name": "caf\u00e9 \"x\"", "list": [1, -2.5e3, true, null, {}], "deep": {"a": [[]]}}"#;
        let (mut random, mut taken) = (Random::new(21), 0);
        for _ in 0..20_000 {
            let mutant = mutated(valid, &mut random);
            let text = String::from_utf8_lossy(&mutant);
            match json_tokens(&text) {
                Ok(tokens) => {
                    taken += 1;
                    assert!(tokens.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{text}");
                    assert!(tokens.iter().all(|token| text.get(token.range.clone()).is_some()), "{text}");
                }
                Err(JsonError(at)) => assert!(at <= text.len(), "{text}"),
            }
        }
        assert!((500..15_000).contains(&taken), "{taken} of 20,000 taken");
    }

    proptest! {
        #[test]
        fn what_serde_json_takes_is_taken_and_the_other_way_round(text in "[\\[\\]{}:,\"a\\\\u0-9.eE+\\- tnl]{0,14}|\\PC{0,12}") {
            // Unlike serde_json, this reads no code units, and has no largest number.
            let codes = text.contains("\\u") || text.contains(['e', 'E']);
            let known = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert!(codes || known.is_ok() == json_tokens(&text).is_ok(), "{known:?}");
        }
    }
}
