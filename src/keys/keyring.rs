//! The keys that a running service knows, and what each has taken.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::account::Account;
use super::file::{self, KeysError};
use super::revocations::{self, Revocable};
use super::shared_account::{AWAY_WAIT, Errand, Replicas, SharedAccount, run_errands};
use super::{Denied, FILE, Key, RequestCost, Reservation, hash, limits};
use crate::config::WhenAway;
use crate::shared::Shared;

/// The keys that a running service knows.
pub struct Keyring {
    data: PathBuf,
    required: AtomicBool,
    /// Billionths of a dollar that keys had spent today when the service began, by id.
    spent: HashMap<String, i64>,
    known: RwLock<Known>,
    /// The way to what replicas share, where they share something.
    sharing: Option<Sharing>,
}

/// The way to what replicas share.
struct Sharing {
    replicas: Replicas,
    /// The errands that are to be run there, until [`Keyring::share`] takes them.
    errands: Mutex<Option<UnboundedReceiver<Errand>>>,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The request has something done.
    Work,
    /// The request looks how the service is, which must be possible while the server that replicas share is away, too.
    Watch,
}

/// The last known contents of the key file.
struct Known {
    stamp: Option<Stamp>,
    /// Whether the file could not be read. There may be keys that are not known, so nobody goes without one.
    broken: bool,
    /// The callers by the hash of their keys.
    keys: HashMap<String, Caller>,
    /// The ids of keys that other replicas have revoked.
    revoked: HashSet<String>,
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
    account: Account,
    /// The time that the request may still wait for what replicas share.
    patience: Duration,
}

impl Keyring {
    /// The keys in the folder `data`. Where `required`, nobody may call without one; else they may as long as there is
    /// no key at all. `spent` has the billionths of a dollar that keys have spent today, by their ids.
    ///
    /// # Errors
    /// The file with the keys cannot be read.
    pub fn open(data: &Path, required: bool, spent: HashMap<String, i64>) -> Result<Self, KeysError> {
        let stamp = stamp(data);
        let keys = callers(file::read(data)?, &HashMap::new(), (&spent, None));
        let known = Known { stamp, broken: false, keys, revoked: HashSet::new() };
        if required && known.keys.is_empty() {
            tracing::warn!("keys are required and there is none: `whittle keys create` makes one");
        }
        let required = AtomicBool::new(required);
        Ok(Self { data: data.to_owned(), required, spent, known: RwLock::new(known), sharing: None })
    }

    /// Has `shared` count what keys take, in the place of this process, once [`Keyring::share`] runs.
    ///
    /// # Errors
    /// The system gives no random bits.
    pub fn shared_by(mut self, shared: Shared) -> Result<Self, getrandom::Error> {
        let (sender, errands) = unbounded_channel();
        let replicas = Replicas::new(shared, sender)?;
        for caller in self.known.get_mut().unwrap_or_else(PoisonError::into_inner).keys.values_mut() {
            if let Account::Local(local) = &caller.account {
                let account = SharedAccount::new(&caller.key.id, Arc::clone(local), replicas.clone());
                caller.account = Account::Shared(Arc::new(account));
            }
        }
        self.sharing = Some(Sharing { replicas, errands: Mutex::new(Some(errands)) });
        Ok(self)
    }

    /// Returns what replicas share, where they share something.
    #[must_use]
    pub fn shared(&self) -> Option<&Shared> {
        Some(self.sharing.as_ref()?.replicas.shared())
    }

    /// Keeps the connection to what replicas share, tells there what keys take and which are revoked, and learns of keys
    /// that other replicas revoke. This never ends, unless nothing is shared or it runs already.
    pub async fn share(self: Arc<Self>) {
        let Some(sharing) = &self.sharing else { return };
        let errands = sharing.errands.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(errands) = errands else { return };
        let shared = sharing.replicas.shared();
        tokio::join!(shared.clone().keep(), run_errands(errands), revocations::follow(&*self, shared));
    }

    /// Waits until what keys have taken is told to the server that replicas share, or could not be.
    pub async fn told(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.replicas.told().await;
        }
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
        self.are_needed_by(&self.current())
    }

    /// Returns the current contents of the file.
    fn current(&self) -> RwLockReadGuard<'_, Known> {
        self.refresh();
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_needed_by(&self, known: &Known) -> bool {
        self.required.load(Ordering::Relaxed) || known.broken || !known.keys.is_empty()
    }

    /// Lets a request with `secret` in. None where nobody needs a key. It waits for nothing, unless replicas share their
    /// limits.
    ///
    /// # Errors
    /// There is no such key, it has had its requests of this minute, or that cannot be found out.
    pub async fn enter(&self, secret: Option<&str>, purpose: Purpose) -> Result<Option<Caller>, Denied> {
        let start = Instant::now();
        let Some(mut caller) = self.caller(secret)? else { return Ok(None) };
        if let Some(shared) = self.shared() {
            caller.patience = shared.timeout();
            // What other replicas have revoked cannot be found out either.
            if shared.when_away() == WhenAway::Refuse && shared.away().is_some() {
                let denied = Denied::Unavailable { wait: AWAY_WAIT };
                return if purpose == Purpose::Watch { Ok(Some(caller)) } else { Err(denied) };
            }
        }
        caller.account.request(&caller.key.policy, caller.patience).await?;
        caller.patience = caller.patience.saturating_sub(start.elapsed());
        Ok(Some(caller))
    }

    /// The caller with `secret`. None where nobody needs a key.
    fn caller(&self, secret: Option<&str>) -> Result<Option<Caller>, Denied> {
        let known = self.current();
        if !self.are_needed_by(&known) {
            return Ok(None);
        }
        // A table of hashes tells by its times no more than how hashes begin, from which no secret follows.
        let caller = known.keys.get(&hash(secret.ok_or(Denied::Missing)?)).ok_or(Denied::Unknown)?;
        if !caller.key.holds() || known.revoked.contains(&caller.key.id) {
            return Err(Denied::Unknown);
        }
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
                let replicas = self.sharing.as_ref().map(|sharing| &sharing.replicas);
                known.keys = callers(keys, &known.keys, (&self.spent, replicas));
                tracing::info!(keys = known.keys.len(), "reloaded the keys");
            }
            Err(error) => {
                known.broken = true;
                tracing::error!(%error, "the old keys stay");
            }
        }
    }
}

impl Revocable for Keyring {
    fn folder(&self) -> &Path {
        &self.data
    }

    fn revoked(&self) -> Vec<String> {
        let known = self.current();
        let own = known.keys.values().filter(|caller| !caller.key.holds()).map(|caller| &caller.key.id);
        // Those of others are in the file, too, once they are written.
        own.chain(&known.revoked).collect::<HashSet<_>>().into_iter().cloned().collect()
    }

    fn refuse(&self, ids: &[String]) -> Vec<String> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&String> = ids.iter().filter(|id| !known.revoked.contains(*id)).collect();
        let holds =
            |id: &&&String| known.keys.values().any(|caller| caller.key.id == ***id && caller.key.holds());
        let valid = new.iter().filter(holds).map(|id| (*id).clone()).collect();
        known.revoked.extend(new.into_iter().cloned());
        valid
    }

    fn tell_again(&self) {
        for caller in self.current().keys.values() {
            if let Account::Shared(account) = &caller.account
                && caller.key.policy.usd_per_day.is_some()
            {
                account.owe(0.0);
            }
        }
    }
}

/// Keys by their hashes, each with its account: the old one, where there is one.
fn callers(
    keys: Vec<Key>,
    old: &HashMap<String, Caller>,
    (spent, replicas): (&HashMap<String, i64>, Option<&Replicas>),
) -> HashMap<String, Caller> {
    let account = |id: &str| {
        let local = Arc::new(limits::Account::new(spent.get(id).copied().unwrap_or_default()));
        match replicas {
            Some(replicas) => Account::Shared(Arc::new(SharedAccount::new(id, local, replicas.clone()))),
            None => Account::Local(local),
        }
    };
    let caller = |key: Key| {
        let hash = key.hash.clone();
        let account = old.get(&hash).map_or_else(|| account(&key.id), |caller| caller.account.clone());
        (hash, Caller { key: Arc::new(key), account, patience: Duration::ZERO })
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
    pub async fn reserve(&self, cost: &RequestCost<'_>) -> Result<Reservation, Denied> {
        self.account.reserve(&self.key.policy, cost, self.patience).await
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
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::keys::{KeyPolicy, new_secret};

    impl Keyring {
        /// Lets a request in, which waits for nothing where this process alone counts.
        fn admit(&self, secret: Option<&str>) -> Result<Option<Caller>, Denied> {
            let entering = std::pin::pin!(self.enter(secret, Purpose::Work));
            match entering.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => panic!("a request waits"),
            }
        }
    }

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

    #[tokio::test]
    async fn keys_are_refused_or_hold_where_the_server_is_away() {
        use crate::shared::fake::{closed_port, shared_at};
        let folder = tempfile::tempdir().unwrap();
        let (key, secret) = file::create(folder.path(), "a", KeyPolicy::default()).unwrap();
        for when_away in [WhenAway::Refuse, WhenAway::Local] {
            let shared = shared_at(closed_port(), |config| config.when_away = when_away);
            let ring = ring(folder.path(), false).shared_by(shared).unwrap();
            let unavailable = Err(Denied::Unavailable { wait: AWAY_WAIT });
            let entered =
                ring.enter(Some(&secret), Purpose::Work).await.map(|caller| caller.unwrap().id().to_owned());
            assert_eq!(entered, if when_away == WhenAway::Local { Ok(key.id.clone()) } else { unavailable });
            assert!(ring.enter(Some(&secret), Purpose::Watch).await.unwrap().is_some());
            assert_eq!(ring.enter(None, Purpose::Work).await.unwrap_err(), Denied::Missing);
        }
    }

    #[tokio::test]
    async fn what_other_replicas_revoke_is_refused_and_written_and_what_this_one_revokes_is_told() {
        use crate::shared::fake::{FakeServer, bulk, look, recorded, until};
        let folder = tempfile::tempdir().unwrap();
        let (theirs, secret) = file::create(folder.path(), "theirs", KeyPolicy::default()).unwrap();
        let (ours, _) = file::create(folder.path(), "ours", KeyPolicy::default()).unwrap();
        let answer = |version: &'static str, ids: String| {
            move |command: &[String]| {
                let looks = command.iter().any(|word| word.ends_with(":look"));
                if looks { look(version) } else { format!("*2\r\n{}{ids}", bulk(version)) }
            }
        };
        let server = FakeServer::new(answer("1", "*0\r\n".into()));
        let ring = ring(folder.path(), false).shared_by(server.shared(|_| {})).unwrap();
        let ring = Arc::new(ring);
        tokio::spawn(Arc::clone(&ring).share());
        ring.shared().unwrap().tried().await;
        assert!(ring.enter(Some(&secret), Purpose::Work).await.unwrap().is_some());
        server.answers(answer("2", format!("*1\r\n{}", bulk(&theirs.id))));
        until(|| ring.revoked().contains(&theirs.id)).await;
        assert_eq!(ring.enter(Some(&secret), Purpose::Work).await.unwrap_err(), Denied::Unknown);
        until(|| file::read(folder.path()).unwrap().iter().any(|key| key.id == theirs.id && !key.holds()))
            .await;
        let (commands, record) = recorded(answer("2", format!("*1\r\n{}", bulk(&theirs.id))));
        server.answers(record);
        file::revoke(folder.path(), "ours").unwrap();
        until(|| commands.try_iter().any(|command| command.last() == Some(&ours.id))).await;
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
