//! JSON without white space, or with the keys of like objects written once.

use crate::compress::lossless;

/// Whether `text` is one JSON value in brackets, whose lines must not be taken out.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The shortest form of `text` with the same data. None where it is short already.
pub(super) fn fold(text: &str) -> Option<String> {
    lossless::fold_json(text)
}
