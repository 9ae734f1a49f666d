//! The encoders, of one description: their files, the forward pass, and the preparation of texts for a tokenizer.

mod config;
mod error;
mod family;
mod forward;
mod head;
mod load;
mod q4_0;
mod relative;
mod tensors;
mod tokenizer;

use std::path::Path;

pub(crate) use self::config::EncoderConfig;
pub use self::error::EncoderError;
pub(crate) use self::forward::{Encoder, Sequence, TokenRows, groups};
pub(crate) use self::head::{KeepHead, ScoreHead};
pub(crate) use self::load::Weights;
pub(crate) use self::q4_0::{BLOCK, BLOCK_BYTES, QuantizedRows};
pub(crate) use self::tensors::Tensors;
pub(crate) use self::tokenizer::{PairTokenizer, Tokens};
use crate::model::store::ModelFiles;

/// Bytes of a text that are tokenised at once, up to the next separator: the tokenizer's own buffers take many
/// times the size of its input, and cancelling is looked at in between.
pub(super) const PIECE: usize = 1 << 16;

/// A model has no file of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model has no {0}")]
pub struct NoFile(pub &'static str);

/// The paths of a model's files.
#[derive(Debug, Clone, Copy)]
pub struct EncoderFiles<'a> {
    /// `config.json`.
    pub config: &'a Path,
    /// `tokenizer.json`.
    pub tokenizer: &'a Path,
    /// `model.safetensors`.
    pub weights: &'a Path,
}

impl<'a> EncoderFiles<'a> {
    /// Picks the parts out of a model's files.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn of(files: &'a ModelFiles) -> Result<Self, NoFile> {
        let named = |name| files.named(name).ok_or(NoFile(name));
        Ok(Self {
            config: named("config.json")?,
            tokenizer: named("tokenizer.json")?,
            weights: named("model.safetensors")?,
        })
    }
}

/// Cuts a text before `separators`, where the tokenizer must end a word in any case; each piece with its place.
pub(super) fn pieces<'t>(
    text: &'t str,
    separators: &'static [char],
) -> impl Iterator<Item = (usize, &'t str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let from = rest.ceil_char_boundary(PIECE);
        let end = rest[from..].find(separators).map_or(rest.len(), |separator| from + separator);
        let piece = (at, &rest[..end]);
        at += end;
        (!piece.1.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text() {
        let text = format!("{} {}é {}", "ab ".repeat(PIECE), "x".repeat(2 * PIECE), "y".repeat(9));
        let mut end = 0;
        for (at, piece) in pieces(&text, &[' ']) {
            assert_eq!(at, end);
            assert!(at == 0 || piece.starts_with(' '));
            end = at + piece.len();
        }
        assert_eq!(end, text.len());
        assert_eq!(pieces("", &[' ']).count(), 0);
    }
}
