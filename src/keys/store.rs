//! The trait of what keeps keys, and what is done with keys wherever they are.

use std::time::{Duration, SystemTime};

use super::{Key, KeyPolicy, KeysError, NAME_CHARS, new_secret};
use crate::index::IndexError;

/// A place that keeps keys: the file in a data folder, or a database that several replicas share. Calls block.
pub trait KeyStore: Send + Sync {
    /// Returns what tells one content of the store from another; none where nothing is there.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn version(&self) -> Result<Option<Version>, KeysError>;

    /// Returns all keys in the order in which they were made, revoked ones too.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self) -> Result<Vec<Key>, KeysError>;

    /// Changes the keys, one process at a time, or nothing where `change` or the store fails. Keys can be added behind the
    /// others and revoked. Whoever reads meanwhile sees all of the old ones or all of the new ones.
    ///
    /// # Errors
    /// The error of `change`, or that of the store.
    fn change(&self, change: &mut Change<'_>) -> Result<(), KeysError>;

    /// Returns the time between two looks at the store; none where a look is so quick that each request takes one.
    fn pause(&self) -> Option<Duration>;

    /// Returns the name of the place, for messages.
    fn place(&self) -> String;
}

/// A change of all keys.
pub type Change<'a> = dyn FnMut(&mut Vec<Key>) -> Result<(), KeysError> + 'a;

/// Tells one content of a store from another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// The time of the last change, where the store has no better number.
    pub(super) modified: Option<SystemTime>,
    /// The number of bytes of a file.
    pub(super) length: u64,
    /// A number that is another one after each change.
    pub(super) number: u64,
}

impl dyn KeyStore + '_ {
    /// Makes a key and returns it with its secret, which is nowhere else.
    ///
    /// # Errors
    /// See [`KeysError`]; then nothing was changed.
    pub fn create(&self, name: &str, policy: KeyPolicy) -> Result<(Key, String), KeysError> {
        check(name, &policy).map_err(|reason| KeysError::Invalid(reason.to_owned()))?;
        let secret = new_secret().map_err(|error| KeysError::Invalid(format!("no random bits: {error}")))?;
        let key = Key::new(&secret, name.to_owned(), policy);
        self.change(&mut |keys| {
            check_free(keys, name)?;
            keys.push(key.clone());
            Ok(())
        })?;
        Ok((key, secret))
    }

    /// Revokes the key with that id or name.
    ///
    /// # Errors
    /// See [`KeysError`]; then nothing was changed.
    pub fn revoke(&self, id_or_name: &str) -> Result<Key, KeysError> {
        let none = || KeysError::NoSuchKey(id_or_name.chars().take(NAME_CHARS).collect());
        let mut revoked = None;
        self.change(&mut |keys| {
            let named = |key: &&mut Key| key.holds() && (key.id == id_or_name || key.name == id_or_name);
            let key = keys.iter_mut().find(named).ok_or_else(none)?;
            key.revoked = Some(super::now());
            revoked = Some(key.clone());
            Ok(())
        })?;
        revoked.ok_or_else(none)
    }

    /// Revokes the keys with those ids that are valid still.
    ///
    /// # Errors
    /// See [`KeysError`]; then nothing was changed.
    pub(super) fn revoke_all(&self, ids: &[String]) -> Result<(), KeysError> {
        self.change(&mut |keys| {
            for key in keys.iter_mut().filter(|key| key.holds() && ids.contains(&key.id)) {
                key.revoked = Some(super::now());
            }
            Ok(())
        })
    }

    /// Adds keys that were made elsewhere, and returns how many were not there yet. A key that was revoked there is
    /// revoked here, too; none becomes valid again.
    ///
    /// # Errors
    /// Another valid key has the name of one of them; also see [`KeysError`]. Then nothing was changed.
    pub fn add(&self, others: &[Key]) -> Result<usize, KeysError> {
        let mut added = 0;
        self.change(&mut |keys| {
            added = 0;
            for other in others {
                if let Some(known) = keys.iter_mut().find(|key| key.hash == other.hash) {
                    known.revoked = known.revoked.take().or_else(|| other.revoked.clone());
                    continue;
                }
                if other.holds() {
                    check_free(keys, &other.name)?;
                }
                keys.push(other.clone());
                added += 1;
            }
            Ok(())
        })?;
        Ok(added)
    }
}

/// Checks what a new key is called and may do.
fn check(name: &str, policy: &KeyPolicy) -> Result<(), &'static str> {
    let fits = (1..=NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !fits || name.trim() != name {
        return Err(
            "a key's name must have 1 to 64 characters, none of them a control character or at its ends a space",
        );
    }
    if policy.models.iter().any(|pattern| pattern.as_str().is_empty()) {
        return Err("the name of a model is empty: leave it out for any model");
    }
    if policy.requests_per_minute == Some(0) || policy.tokens_per_minute == Some(0) {
        return Err("a limit a minute must be at least 1: leave it out for none");
    }
    if policy.usd_per_day.is_some_and(|dollars| !(dollars.is_finite() && dollars > 0.0)) {
        return Err("a limit of dollars a day must be above 0: leave it out for none");
    }
    Ok(())
}

/// Checks that no valid key has the name.
fn check_free(keys: &[Key], name: &str) -> Result<(), KeysError> {
    if keys.iter().any(|other| other.holds() && other.name == name) {
        let reason = format!("a key called `{name}` exists already: revoke it, or choose another name");
        return Err(KeysError::Invalid(reason));
    }
    Ok(())
}

impl KeysError {
    /// Returns whether the keys are there, but their database cannot be used at the moment.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Database(IndexError::Postgres(_)))
    }
}
