//! Cutting a long text into overlapping windows, each token scored where it has most context.

use std::ops::Range;

/// One run of the model over part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Tokens of the text that are run.
    pub(crate) tokens: Range<usize>,
    /// The first of them whose score is taken; those before are context.
    pub(crate) scored_from: usize,
}

/// Windows of at most `size` tokens over a text of `len`. The first scores all of its tokens; each later
/// one reaches back `overlap` tokens for context and scores the rest.
pub(crate) fn windows(len: usize, size: usize, overlap: usize) -> Vec<Window> {
    debug_assert!(overlap < size);
    let mut windows = Vec::new();
    let mut scored = 0;
    while scored < len {
        let start = if scored == 0 { 0 } else { scored - overlap };
        let end = (start + size).min(len);
        windows.push(Window { tokens: start..end, scored_from: scored });
        scored = end;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_scored_once_with_enough_context() {
        for (len, size, overlap) in
            [(0, 8, 2), (1, 8, 2), (8, 8, 2), (9, 8, 2), (1000, 128, 64), (129, 128, 127)]
        {
            let windows = windows(len, size, overlap);
            let mut scored = 0;
            for window in &windows {
                assert_eq!(window.scored_from, scored);
                assert!(window.tokens.len() <= size && window.tokens.end > scored);
                assert!(scored == 0 || scored - window.tokens.start == overlap);
                scored = window.tokens.end;
            }
            assert_eq!(scored, len);
        }
    }
}
