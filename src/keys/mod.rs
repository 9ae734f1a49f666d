//! Virtual keys: who may call, which models, how often and for how much.
//!
//! A key's secret is 256 random bits, shown once. Its BLAKE3 hash is kept: so many random bits cannot be guessed, so
//! neither a slow hash nor a salt would add anything, and each request is checked within a microsecond.
//!
//! A [`KeyStore`] keeps them. On one machine that is a small file of their own, `keys.toml`. The command line writes it whole
//! and puts it in place at once ([`mod@file`]); a running service looks at each request whether it was replaced
//! ([`Keyring`]), so that a revoked key is refused from the next request on. The proxy's own file could not serve for this,
//! for one process alone can hold it. Where `store.kind` is `postgres`, keys are rows of a table that all replicas look at
//! four times a second. What keys have spent is the ledger's to remember.

mod account;
mod configured;
mod database;
mod error;
pub mod file;
mod keyring;
mod limits;
mod looks;
mod revocations;
mod shared_account;
mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Pattern;
pub use account::Reservation;
pub use configured::configured;
pub use error::KeysError;
pub use keyring::{Caller, Keyring, Purpose, Spent};
pub use limits::RequestCost;
pub use looks::KeysState;
pub use store::{Change, KeyStore, Version};

/// Name of the file with the keys, in the data folder.
pub const FILE: &str = "keys.toml";

/// Longest name of a key.
const NAME_CHARS: usize = 64;
/// The prefix of a secret.
const PREFIX: &str = "whittle-";
/// Hexadecimal digits after it.
const DIGITS: usize = 64;
/// Hexadecimal digits of a key's id.
const ID_DIGITS: usize = 12;

/// A key as it is kept: all but its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Beginning of the hash; names the key in the ledger.
    pub id: String,
    /// The name that its owner gave it.
    pub name: String,
    /// BLAKE3 hash of the secret, in hexadecimal digits.
    pub hash: String,
    /// The time of its creation.
    pub created: String,
    /// The time of its revocation, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// The permissions and limits of the key.
    #[serde(flatten)]
    pub policy: KeyPolicy,
}

/// The permissions and limits of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyPolicy {
    /// Models that it may call, by the name in the request or the upstream's own; all where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Pattern>,
    /// Requests a minute, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, input and output together, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Dollars a day in UTC, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<f64>,
    /// Whether the key may read metrics and the usage of other keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
}

/// A reason for rejecting a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no key.
    #[error(
        "a key is needed: send it as `Authorization: Bearer KEY`, `x-api-key: KEY` or `x-whittle-key: KEY` \
         (`whittle keys create` makes one)"
    )]
    Missing,
    /// No such key is known, or it was revoked.
    #[error("the key is unknown or was revoked: `whittle keys list` shows the valid ones")]
    Unknown,
    /// The key may not call the model.
    #[error("this key may not call the model `{0}`: `whittle keys list` shows its models")]
    Model(String),
    /// The key has a spending limit, but the model's price is unknown.
    #[error(
        "this key has a limit of dollars a day, and no price is known for the model `{0}`: name one under \
         `prices` of its upstream"
    )]
    Unpriced(String),
    /// The request would pass unread, but the key is limited in what it may take.
    #[error(
        "this key has limits, which cannot be enforced on paths that are not read: call a route under /v1"
    )]
    Unread,
    /// The key is not an administrator's.
    #[error("only a key made with `whittle keys create --admin` may see this")]
    AdminOnly,
    /// Too many requests in this minute.
    #[error("this key's limit of {limit} requests per minute is reached: try again in {} s", seconds(.wait))]
    Requests {
        /// The limit.
        limit: u32,
        /// Time until there is room.
        wait: Duration,
    },
    /// Too many tokens in this minute.
    #[error("this key's limit of {limit} tokens per minute is reached: try again in {} s", seconds(.wait))]
    Tokens {
        /// The limit.
        limit: u32,
        /// Time until there is room.
        wait: Duration,
    },
    /// The day's money is spent.
    #[error("this key's limit of {limit} dollars per day is reached: it resets at midnight UTC")]
    Spend {
        /// The limit, in dollars.
        limit: String,
        /// Time until there is room.
        wait: Duration,
    },
    /// The database with the keys cannot be reached.
    #[error(
        "keys cannot be checked, as the database that has them (`store.url`) cannot be reached: try again in {} s",
        seconds(.wait)
    )]
    Unchecked {
        /// Time after which it may be back.
        wait: Duration,
    },
    /// The server with what replicas share cannot be reached.
    #[error(
        "the limits of keys cannot be checked, as the server that replicas share (`shared.url`) cannot be reached: try \
         again in {} s", seconds(.wait)
    )]
    Unavailable {
        /// Time after which it may be back.
        wait: Duration,
    },
}

impl KeyPolicy {
    /// Checks whether a model may be called, given its name in the request, the upstream's own name, and whether its
    /// price is known.
    fn check(&self, [asked, real]: [&str; 2], priced: bool) -> Result<(), Denied> {
        let allowed = |name: &str| self.models.iter().any(|pattern| pattern.matches(name));
        if !self.models.is_empty() && !allowed(asked) && !allowed(real) {
            return Err(Denied::Model(asked.chars().take(100).collect()));
        }
        if self.usd_per_day.is_some() && !priced {
            return Err(Denied::Unpriced(real.chars().take(100).collect()));
        }
        Ok(())
    }
}

impl Denied {
    /// Returns the reason's label in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Model(_) => "model",
            Self::Unpriced(_) => "unpriced",
            Self::Unread => "unread",
            Self::AdminOnly => "admin_only",
            Self::Requests { .. } => "requests",
            Self::Tokens { .. } => "tokens",
            Self::Spend { .. } => "spend",
            Self::Unchecked { .. } => "unchecked",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// Time after which the same request may succeed.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Requests { wait, .. }
            | Self::Tokens { wait, .. }
            | Self::Spend { wait, .. }
            | Self::Unchecked { wait }
            | Self::Unavailable { wait } => Some(*wait),
            _ => None,
        }
    }
}

/// Whole seconds, at least one.
fn seconds(wait: &Duration) -> u64 {
    wait.as_secs_f64().ceil().max(1.0) as u64
}

/// Returns whether `text` has the form of a secret.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    let digits = text.strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A new secret.
///
/// # Errors
/// The system gives no random bits.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bits = [0; DIGITS / 2];
    getrandom::fill(&mut bits)?;
    Ok(format!("{PREFIX}{}", blake3::Hash::from_bytes(bits).to_hex()))
}

/// Returns the hash of a secret that is stored in its place.
fn hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// The time, to the second.
fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string()
}

impl Key {
    /// The key of `secret`.
    #[must_use]
    pub fn new(secret: &str, name: String, policy: KeyPolicy) -> Self {
        let hash = hash(secret);
        Self { id: hash[..ID_DIGITS].to_owned(), name, hash, created: now(), revoked: None, policy }
    }

    /// Returns whether the key may be used.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.revoked.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_known_by_their_form() {
        let secret = new_secret().unwrap();
        assert!(is_secret(&secret) && secret != new_secret().unwrap());
        for other in
            ["", "whittle-", "sk-abc", &secret[1..], &format!("{secret}0"), &secret.replace('-', "_")]
        {
            assert!(!is_secret(other), "{other}");
        }
        let key = Key::new(&secret, "n".into(), KeyPolicy::default());
        let shown = format!("{key:?}{}", toml::to_string(&key).unwrap());
        assert!(!shown.contains(&secret[PREFIX.len()..]), "{shown}");
    }
}
