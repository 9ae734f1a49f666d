//! JSON as places in its text: nothing is decoded that is not asked for, so that what is kept stays as it was spelt.
//!
//! [`json_tokens`] checks a text and cuts it into tokens; [`JsonValue`] finds single values of a text that is known to be
//! JSON by skipping the others; the rest maps between what a string says and its spelling. None of them recurses.

mod escape;
mod tokens;
mod value;

pub use escape::{escaped, escaped_offsets, escaped_ranges};
pub use tokens::{JsonError, JsonKind, JsonToken, json_tokens};
pub(crate) use value::{DuplicateKey, JsonMember, JsonValue, inside_quotes};

/// Returns the position of the first byte from `at` on that is no white space of JSON.
fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Returns the end of the string whose opening quote stands at `start`, behind its closing quote; `None` where nothing
/// closes it. What stands between the quotes is not checked.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}
