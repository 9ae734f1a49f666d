//! Names: what a folder may be called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a collection: 1 to 64 of `a`-`z`, `0`-`9`, `-` and `_`, the first a letter or digit. No such
/// name leads out of its folder or means something else to an operating system that ignores case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A name that no collection can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid name: {reason}")]
pub struct NameError {
    /// The name as given, or its start.
    pub name: String,
    /// The description of the fault.
    pub reason: &'static str,
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let reason = if name.is_empty() || name.len() > 64 {
            "it must have 1 to 64 characters"
        } else if !name.bytes().all(|byte| plain(byte) || b"-_".contains(&byte)) {
            "it may hold a-z, 0-9, `-` and `_` alone"
        } else if !plain(name.as_bytes()[0]) {
            "it must begin with a letter or digit"
        } else if is_device(name) {
            "some operating systems have a device of this name"
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(NameError { name: name.chars().take(80).collect(), reason })
    }
}

fn is_device(name: &str) -> bool {
    matches!(name, "con" | "prn" | "aux" | "nul")
        || name
            .strip_prefix("com")
            .or(name.strip_prefix("lpt"))
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for name in ["a", "0", "nq-2024_v1", &"x".repeat(64), "company", "com10"] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "../a",
            "a/b",
            "a\\b",
            "A",
            "-a",
            "_a",
            "a b",
            "é",
            "a\0",
            "nul",
            "com1",
            &"x".repeat(65),
        ] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
    }
}
