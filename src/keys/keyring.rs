//! The keys that a running service knows, and what each has taken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::file::{self, KeysError};
use super::limits::{Account, Clock};
use super::{Denied, FILE, Key, RequestCost, Reservation, hash};

/// The keys that a running service knows.
pub struct Keyring {
    data: PathBuf,
    required: AtomicBool,
    /// Billionths of a dollar that keys had spent today when the service began, by id.
    spent: HashMap<String, i64>,
    known: RwLock<Known>,
}

/// The last known contents of the key file.
struct Known {
    stamp: Option<Stamp>,
    /// Whether the file could not be read. There may be keys that are not known, so nobody goes without one.
    broken: bool,
    /// The callers by the hash of their keys.
    keys: HashMap<String, Caller>,
}

/// Tells one content of the file from another: it is always replaced by a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    key: Arc<Key>,
    account: Arc<Account>,
}

impl Keyring {
    /// The keys in the folder `data`. Where `required`, nobody may call without one; else they may as long as there is
    /// no key at all. `spent` has the billionths of a dollar that keys have spent today, by their ids.
    ///
    /// # Errors
    /// The file with the keys cannot be read.
    pub fn open(data: &Path, required: bool, spent: HashMap<String, i64>) -> Result<Self, KeysError> {
        let stamp = stamp(data);
        let known = Known { stamp, broken: false, keys: callers(file::read(data)?, &HashMap::new(), &spent) };
        if required && known.keys.is_empty() {
            tracing::warn!("keys are required and there is none: `whittle keys create` makes one");
        }
        let required = AtomicBool::new(required);
        Ok(Self { data: data.to_owned(), required, spent, known: RwLock::new(known) })
    }

    /// Returns the folder with the file of the keys.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.data
    }

    /// Sets whether a key is required even where none exists.
    pub fn require(&self, required: bool) {
        self.required.store(required, Ordering::Relaxed);
    }

    /// Returns whether nobody may call without a key.
    #[must_use]
    pub fn are_needed(&self) -> bool {
        self.refresh();
        self.are_needed_by(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn are_needed_by(&self, known: &Known) -> bool {
        self.required.load(Ordering::Relaxed) || known.broken || !known.keys.is_empty()
    }

    /// Lets a request with `secret` in. None where nobody needs a key.
    ///
    /// # Errors
    /// There is no such key, or it has had its requests of this minute.
    pub fn admit(&self, secret: Option<&str>) -> Result<Option<Caller>, Denied> {
        self.refresh();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if !self.are_needed_by(&known) {
            return Ok(None);
        }
        // A table of hashes tells by its times no more than how hashes begin, from which no secret follows.
        let caller = known.keys.get(&hash(secret.ok_or(Denied::Missing)?)).ok_or(Denied::Unknown)?;
        if !caller.key.holds() {
            return Err(Denied::Unknown);
        }
        caller.account.request(&caller.key.policy, Clock::now())?;
        Ok(Some(caller.clone()))
    }

    /// Reads the file again where it was replaced. If it cannot be read the old keys stay: to forget them would let
    /// everybody in.
    fn refresh(&self) {
        let now = stamp(&self.data);
        if now == self.known.read().unwrap_or_else(PoisonError::into_inner).stamp {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been first.
        if now == known.stamp {
            return;
        }
        known.stamp = now;
        match file::read(&self.data) {
            Ok(_) if now.is_none() => {
                tracing::error!("the file with the keys is gone: the old keys stay until the service ends");
            }
            Ok(keys) => {
                known.broken = false;
                known.keys = callers(keys, &known.keys, &self.spent);
                tracing::info!(keys = known.keys.len(), "reloaded the keys");
            }
            Err(error) => {
                known.broken = true;
                tracing::error!(%error, "the old keys stay");
            }
        }
    }
}

/// Keys by their hashes, each with its account.
fn callers(
    keys: Vec<Key>,
    old: &HashMap<String, Caller>,
    spent: &HashMap<String, i64>,
) -> HashMap<String, Caller> {
    let caller = |key: Key| {
        let hash = key.hash.clone();
        let account = old.get(&hash).map_or_else(
            || Arc::new(Account::new(spent.get(&key.id).copied().unwrap_or_default())),
            |caller| Arc::clone(&caller.account),
        );
        (hash, Caller { key: Arc::new(key), account })
    };
    keys.into_iter().map(caller).collect()
}

fn stamp(data: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(data.join(FILE)).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { modified: metadata.modified().ok()?, length: metadata.len(), inode })
}

impl Caller {
    /// Id of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.key.id
    }

    /// Returns whether the key is an administrator's.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.key.policy.admin
    }

    /// Sets aside what a request is thought to take.
    ///
    /// # Errors
    /// The key may not have it, or not now.
    pub fn reserve(&self, cost: &RequestCost) -> Result<Reservation, Denied> {
        self.account.reserve(&self.key.policy, cost, Clock::now())
    }

    /// Checks whether the caller may use a model, given its name in requests, the upstream's own name, and whether its
    /// price is known.
    #[must_use]
    pub fn may_call(&self, models: [&str; 2], priced: bool) -> bool {
        self.key.policy.check(models, priced).is_ok()
    }

    /// Lets a request pass of which nothing is known.
    ///
    /// # Errors
    /// The key is limited in what it may take.
    pub fn pass(&self) -> Result<(), Denied> {
        let policy = &self.key.policy;
        let limited =
            !policy.models.is_empty() || policy.tokens_per_minute.is_some() || policy.usd_per_day.is_some();
        if limited { Err(Denied::Unread) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyPolicy, new_secret};

    fn ring(data: &Path, required: bool) -> Keyring {
        Keyring::open(data, required, HashMap::new()).unwrap()
    }

    #[test]
    fn nobody_needs_a_key_until_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path(), false);
        assert!(ring.admit(None).unwrap().is_none());
        let (key, secret) = file::create(folder.path(), "a", KeyPolicy::default()).unwrap();
        assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing);
        assert_eq!(ring.admit(Some(&new_secret().unwrap())).unwrap_err(), Denied::Unknown);
        assert_eq!(ring.admit(Some(&secret)).unwrap().unwrap().id(), key.id);
        file::revoke(folder.path(), "a").unwrap();
        assert_eq!(ring.admit(Some(&secret)).unwrap_err(), Denied::Unknown);
        // That no key holds any more is no reason to let everybody in.
        assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing);
    }

    #[test]
    fn required_keys_are_required_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path(), true);
        assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing);
        ring.require(false);
        assert!(ring.admit(None).unwrap().is_none());
        ring.require(true);
        assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing);
    }

    #[test]
    fn a_file_that_breaks_or_goes_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path(), false);
        let (_, secret) = file::create(folder.path(), "a", KeyPolicy::default()).unwrap();
        assert!(ring.admit(Some(&secret)).unwrap().is_some());
        for broken in [Some("version = 1\nkeys = ["), Some(""), None] {
            match broken {
                Some(text) => std::fs::write(folder.path().join(FILE), text).unwrap(),
                None => std::fs::remove_file(folder.path().join(FILE)).unwrap(),
            }
            assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing, "{broken:?}");
            assert!(ring.admit(Some(&secret)).unwrap().is_some());
        }
    }

    #[test]
    fn a_first_file_that_cannot_be_read_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path(), false);
        assert!(ring.admit(None).unwrap().is_none());
        std::fs::write(folder.path().join(FILE), "version = ").unwrap();
        assert_eq!(ring.admit(None).unwrap_err(), Denied::Missing);
        std::fs::write(folder.path().join(FILE), "version = 1").unwrap();
        assert!(ring.admit(None).unwrap().is_none());
    }

    #[test]
    fn what_was_taken_is_known_after_the_file_changed() {
        let folder = tempfile::tempdir().unwrap();
        let policy = KeyPolicy { requests_per_minute: Some(1), ..KeyPolicy::default() };
        let (key, secret) = file::create(folder.path(), "a", policy).unwrap();
        let ring = Keyring::open(folder.path(), false, [(key.id, 5)].into()).unwrap();
        ring.admit(Some(&secret)).unwrap();
        file::create(folder.path(), "b", KeyPolicy::default()).unwrap();
        assert!(matches!(ring.admit(Some(&secret)), Err(Denied::Requests { .. })));
    }
}
