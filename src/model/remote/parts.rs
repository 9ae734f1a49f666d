//! Texts that are longer than a server reads.

use crate::text::TokenCounter;

/// Halves a text at white space near its middle until no part has more than `most` tokens, and appends the parts.
pub(super) fn cut<'t>(text: &'t str, most: usize, counter: &dyn TokenCounter, parts: &mut Vec<&'t str>) {
    // No token is shorter than a byte.
    if text.len() <= most || counter.count(text) <= most {
        parts.push(text);
        return;
    }
    let middle = text.floor_char_boundary(text.len() / 2);
    let space = text[middle..].find(char::is_whitespace).map(|at| middle + at);
    let space = space.filter(|&at| at < text.len() - text.len() / 4);
    let at = space.unwrap_or(middle);
    if at == 0 || at == text.len() {
        parts.push(text);
        return;
    }
    cut(&text[..at], most, counter, parts);
    cut(&text[at..], most, counter, parts);
}
