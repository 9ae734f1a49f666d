//! Binary data that is written as text.

use std::ops::Range;

use super::lines::Line;
use crate::text::{Mark, MarkStyle, Noun};

/// Fewest bytes of a blob that is cut.
const LEAST: usize = 240;
/// Bytes that stay of its beginning.
const STAY: usize = 64;

pub(super) fn fold(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    lines
        .into_iter()
        .map(|line| if line.text.len() < LEAST || line.is_mark { line } else { shortened(line) })
        .collect()
}

fn shortened(line: Line<'_>) -> Line<'_> {
    let text: &str = &line.text;
    let (mut short, mut at) = (String::new(), 0);
    for blob in blobs(text) {
        let mark = Mark { detail: Some("encoded data".into()), ..Mark::new(blob.len() - STAY, Noun::Bytes) };
        short += &text[at..blob.start + STAY];
        short += &MarkStyle::default().write(&mark);
        at = blob.end;
    }
    if at == 0 {
        return line;
    }
    short += &text[at..];
    Line { text: short.into(), ..line }
}

/// The blobs of a line, in their order.
fn blobs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_coded = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            let start = at + rest.iter().position(is_coded)?;
            let length = text.as_bytes()[start..].iter().take_while(|byte| is_coded(byte)).count();
            at = start + length;
            if length >= LEAST && is_encoded(&text.as_bytes()[start..at]) {
                return Some(start..at);
            }
        }
        None
    })
}

/// Whether `run` looks like base64 or hexadecimal, and not like a word, a path or a rule of one character.
fn is_encoded(run: &[u8]) -> bool {
    let share = |is: fn(&u8) -> bool| run.iter().filter(|byte| is(byte)).count() * 100 / run.len().max(1);
    let (digits, upper, lower) =
        (share(u8::is_ascii_digit), share(u8::is_ascii_uppercase), share(u8::is_ascii_lowercase));
    let is_hex = share(u8::is_ascii_hexdigit) == 100 && digits > 20 && digits < 95;
    is_hex || (digits >= 5 && upper >= 15 && lower >= 15)
}
