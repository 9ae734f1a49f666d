//! What models cost, by patterns of their names.

use serde::{Deserialize, Serialize};

use super::section::list_entry;

list_entry! {
    /// The price of models, in dollars per million tokens.
    Price at "upstreams.prices." {
        /// The names of the models, in which each `*` stands for any characters.
        model: Pattern,
        /// Dollars per million tokens of input.
        input: f64,
        /// Dollars per million tokens of output.
        output: f64,
        /// Dollars per million tokens of input that was in the provider's cache; by default as other input.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_read: Option<f64>,
        /// Dollars per million tokens of input that went into the provider's cache; by default as other input.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_write: Option<f64>,
    }
}

impl Price {
    /// Returns whether all prices are numbers of dollars.
    pub(super) fn is_sound(&self) -> bool {
        let all = [Some(self.input), Some(self.output), self.cache_read, self.cache_write];
        all.iter().flatten().all(|price| price.is_finite() && *price >= 0.0)
    }
}

/// A name in which each `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that is written `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it matches the whole of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(start) else { return false };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
        }
        name.ends_with(end)
    }

    /// Returns whether it matches one name alone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }
}
