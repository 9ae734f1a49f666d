//! The keys that a running service knows, and what each has taken.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::account::Account;
use super::file::KeyFile;
use super::looks::{KeysState, Looks};
use super::revocations::{self, Revocable};
use super::shared_account::{AWAY_WAIT, Errand, Replicas, SharedAccount, run_errands};
use super::store::{KeyStore, Version};
use super::{Denied, Key, KeyPolicy, KeysError, RequestCost, Reservation, hash, limits};
use crate::config::{KeysConfig, WhenAway};
use crate::shared::Shared;

/// Reads the billionths of a dollar that keys have spent today, by their ids.
pub type Spent = Box<dyn Fn() -> Result<HashMap<String, i64>, String> + Send + Sync>;

/// The keys that a running service knows.
pub struct Keyring {
    store: Arc<dyn KeyStore>,
    required: AtomicBool,
    /// Milliseconds that keys stay valid while the store cannot be looked at.
    stale: AtomicU64,
    spending: Spent,
    /// What keys had spent today when the service first knew of keys.
    spent: OnceLock<HashMap<String, i64>>,
    known: RwLock<Known>,
    /// Held while the keys are read, so that nobody puts older ones in the place of newer ones.
    reading: Mutex<()>,
    looks: Looks,
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

/// The last known contents of the store.
#[derive(Default)]
struct Known {
    version: Option<Version>,
    /// Whether the keys could not be read. There may be keys that are not known, so nobody goes without one.
    broken: bool,
    /// Whether the last look at the store failed.
    away: bool,
    /// The beginning of the last look that succeeded.
    at: Option<Instant>,
    /// The callers by the hash of their keys.
    keys: HashMap<String, Caller>,
    /// The ids of keys that other replicas have revoked.
    revoked: HashSet<String>,
}

/// The refusal of a request whose key cannot be looked up.
const UNCHECKED: Denied = Denied::Unchecked { wait: AWAY_WAIT };

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
        let config = KeysConfig { required, ..KeysConfig::default() };
        Self::of(Arc::new(KeyFile::new(data)), config, Box::new(move || Ok(spent.clone())))
    }

    /// The keys in `store`. `spending` reads what keys have spent today, which is done once, before the first of them is
    /// let in. While a database cannot be reached, keys that are known stay valid for `keys.stale_ms`, and then, or where
    /// none is known yet, requests are refused. Blocks.
    ///
    /// # Errors
    /// The keys cannot be read, and are in no database that may be there later.
    pub fn of(store: Arc<dyn KeyStore>, config: KeysConfig, spending: Spent) -> Result<Self, KeysError> {
        let ring = Self {
            store,
            required: AtomicBool::new(config.required),
            stale: AtomicU64::new(config.stale_ms),
            spending,
            spent: OnceLock::new(),
            known: RwLock::default(),
            reading: Mutex::default(),
            looks: Looks::default(),
            sharing: None,
        };
        match ring.first_look() {
            Err(error) if ring.store.pause().is_some() => ring.missed(&error),
            other => other?,
        }
        let known = ring.known();
        if config.required && known.keys.is_empty() && !known.away {
            tracing::warn!("keys are required and there is none: `whittle keys create` makes one");
        }
        drop(known);
        Ok(ring)
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

    /// Looks at keys that are in a database, and learns there of new and revoked ones. Also keeps the connection to what
    /// replicas share, tells there what keys take and which are revoked, and learns of keys that other replicas revoke. This
    /// never ends, unless there is nothing of all this to do or it runs already.
    pub async fn share(self: Arc<Self>) {
        let looking = async {
            if let Some(pause) = self.store.pause() {
                let ring = Arc::clone(&self);
                self.looks.run(pause, move || ring.look()).await;
            }
        };
        tokio::join!(looking, self.share_limits());
    }

    async fn share_limits(&self) {
        let Some(sharing) = &self.sharing else { return };
        let errands = sharing.errands.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(errands) = errands else { return };
        let shared = sharing.replicas.shared();
        tokio::join!(shared.clone().keep(), run_errands(errands), revocations::follow(self, shared));
    }

    /// Waits until what keys have taken is told to the server that replicas share, or could not be.
    pub async fn told(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.replicas.told().await;
        }
    }

    /// Returns the state of the looks at the keys, where they are in a database.
    #[must_use]
    pub fn state(&self) -> Option<KeysState> {
        self.store.pause()?;
        Some(KeysState { up: !self.known().away, failed: self.looks.failed() })
    }

    /// Returns all keys in the order in which they were made, revoked ones too. Blocks.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn list(&self) -> Result<Vec<Key>, KeysError> {
        self.store.read()
    }

    /// Makes a key, which is known from the next request on, and returns it with its secret. Blocks.
    ///
    /// # Errors
    /// See [`KeysError`]; then nothing was changed.
    pub fn create(&self, name: &str, policy: KeyPolicy) -> Result<(Key, String), KeysError> {
        let made = self.store.create(name, policy)?;
        self.look();
        Ok(made)
    }

    /// Revokes the key with that id or name, which is refused from the next request on. Blocks.
    ///
    /// # Errors
    /// See [`KeysError`]; then nothing was changed.
    pub fn revoke(&self, id_or_name: &str) -> Result<Key, KeysError> {
        let revoked = self.store.revoke(id_or_name)?;
        self.look();
        Ok(revoked)
    }

    /// Takes over what the configuration says.
    pub fn reload(&self, config: KeysConfig) {
        self.require(config.required);
        self.stale.store(config.stale_ms, Ordering::Relaxed);
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

    /// Returns the current contents of the store, or those of the last look at it.
    fn current(&self) -> RwLockReadGuard<'_, Known> {
        if self.store.pause().is_none() {
            self.look();
        }
        self.known()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_known(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_needed_by(&self, known: &Known) -> bool {
        self.required.load(Ordering::Relaxed) || known.broken || !known.keys.is_empty()
    }

    /// Lets a request with `secret` in. None where nobody needs a key. It waits for nothing, unless replicas share their
    /// limits, or keys are in a database and this one is unknown: another replica may have made it a moment ago.
    ///
    /// # Errors
    /// There is no such key, it has had its requests of this minute, or that cannot be found out.
    pub async fn enter(&self, secret: Option<&str>, purpose: Purpose) -> Result<Option<Caller>, Denied> {
        let start = Instant::now();
        let caller = match self.caller(secret, purpose) {
            Err(Denied::Unknown) if self.store.pause().is_some() => {
                if self.looks.next().await {
                    self.caller(secret, purpose)
                } else {
                    Err(UNCHECKED)
                }
            }
            caller => caller,
        };
        let Some(mut caller) = caller? else { return Ok(None) };
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
    fn caller(&self, secret: Option<&str>, purpose: Purpose) -> Result<Option<Caller>, Denied> {
        let known = self.current();
        if self.is_stale(&known, purpose) {
            return Err(UNCHECKED);
        }
        if !self.are_needed_by(&known) {
            return Ok(None);
        }
        // A table of hashes tells by its times no more than how hashes begin, from which no secret follows.
        let caller = known.keys.get(&hash(secret.ok_or(Denied::Missing)?));
        let caller = caller.ok_or(if known.away { UNCHECKED } else { Denied::Unknown })?;
        if !caller.key.holds() || known.revoked.contains(&caller.key.id) {
            return Err(Denied::Unknown);
        }
        Ok(Some(caller.clone()))
    }

    /// Returns whether too long ago is when the keys were looked at, if they ever were.
    fn is_stale(&self, known: &Known, purpose: Purpose) -> bool {
        if self.store.pause().is_none() {
            return false;
        }
        let longest = Duration::from_millis(self.stale.load(Ordering::Relaxed));
        known.at.is_none_or(|at| purpose == Purpose::Work && at.elapsed() > longest)
    }

    fn first_look(&self) -> Result<(), KeysError> {
        let start = Instant::now();
        let version = self.store.version()?;
        let keys = self.store.read()?;
        self.replace(version, keys, start)
    }

    /// Reads the keys again where they have changed. If they cannot be read the old ones stay: to forget them would let
    /// everybody in.
    fn look(&self) {
        let start = Instant::now();
        match self.store.version() {
            Ok(version) if version == self.known().version => self.confirm(start),
            Ok(version) => self.read_again(version, start),
            Err(error) => self.missed(&error),
        }
    }

    fn read_again(&self, version: Option<Version>, start: Instant) {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been first.
        if version == self.known().version {
            return;
        }
        match self.store.read() {
            Ok(_) if version.is_none() => {
                self.change_known().version = version;
                tracing::error!("the file with the keys is gone: the old keys stay until the service ends");
            }
            Ok(keys) => match self.replace(version, keys, start) {
                Ok(()) => tracing::info!(keys = self.known().keys.len(), "reloaded the keys"),
                Err(error) => self.missed(&error),
            },
            Err(error) if self.store.pause().is_some() => self.missed(&error),
            Err(error) => {
                let mut known = self.change_known();
                (known.version, known.broken) = (version, true);
                tracing::error!(%error, "the old keys stay");
            }
        }
    }

    fn replace(&self, version: Option<Version>, keys: Vec<Key>, start: Instant) -> Result<(), KeysError> {
        let spent = if let Some(spent) = self.spent.get() {
            spent
        } else {
            let spent = (self.spending)().map_err(KeysError::Spending)?;
            self.spent.get_or_init(|| spent)
        };
        let replicas = self.sharing.as_ref().map(|sharing| &sharing.replicas);
        let mut known = self.change_known();
        known.keys = callers(keys, &known.keys, (spent, replicas));
        (known.version, known.broken) = (version, false);
        drop(known);
        self.confirm(start);
        Ok(())
    }

    /// Notes that what is known is what the store had at `start`.
    fn confirm(&self, start: Instant) {
        if self.store.pause().is_none() {
            return;
        }
        let mut known = self.change_known();
        known.at = known.at.max(Some(start));
        if std::mem::take(&mut known.away) {
            tracing::info!("the database with the keys can be used again");
        }
    }

    /// Notes that the store could not be looked at, on one line of the log for each time that it is lost.
    fn missed(&self, error: &KeysError) {
        self.looks.fail();
        if !std::mem::replace(&mut self.change_known().away, true) {
            let stale_ms = self.stale.load(Ordering::Relaxed);
            tracing::error!(%error, stale_ms, "keys that are known stay valid for a while, others are refused");
        }
    }
}

impl Revocable for Keyring {
    fn store(&self) -> Arc<dyn KeyStore> {
        Arc::clone(&self.store)
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
    use crate::keys::{FILE, file, new_secret};

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

    /// Keys far away, which may be away altogether.
    #[derive(Default)]
    struct FarStore(Mutex<(Vec<Key>, u64)>, AtomicBool);

    impl FarStore {
        fn keys(&self) -> Result<std::sync::MutexGuard<'_, (Vec<Key>, u64)>, KeysError> {
            let away = || KeysError::Spending("away".into());
            if self.1.load(Ordering::SeqCst) { Err(away()) } else { Ok(self.0.lock().unwrap()) }
        }
    }

    impl KeyStore for FarStore {
        fn version(&self) -> Result<Option<Version>, KeysError> {
            Ok(Some(Version { number: self.keys()?.1, ..Version::default() }))
        }

        fn read(&self) -> Result<Vec<Key>, KeysError> {
            Ok(self.keys()?.0.clone())
        }

        fn change(&self, change: &mut crate::keys::Change<'_>) -> Result<(), KeysError> {
            let mut keys = self.keys()?;
            change(&mut keys.0)?;
            keys.1 += 1;
            Ok(())
        }

        fn pause(&self) -> Option<Duration> {
            Some(Duration::from_millis(60))
        }

        fn place(&self) -> String {
            "far away".into()
        }
    }

    #[tokio::test]
    async fn keys_far_away_are_known_at_once_and_hold_for_a_while() {
        use crate::shared::fake::until;
        let far = Arc::new(FarStore(Mutex::default(), AtomicBool::new(true)));
        let store: Arc<dyn KeyStore> = Arc::<FarStore>::clone(&far);
        let config = |stale_ms| KeysConfig { stale_ms, ..KeysConfig::default() };
        let ring = Keyring::of(Arc::clone(&store), config(86_400_000), Box::new(|| Ok(HashMap::new())));
        let ring = Arc::new(ring.unwrap());
        let enter = async |secret: Option<&str>, purpose| {
            ring.enter(secret, purpose).await.map(|caller| caller.map(|caller| caller.id().to_owned()))
        };
        // There may be keys that are not known, so nobody gets in.
        for purpose in [Purpose::Work, Purpose::Watch] {
            assert_eq!(enter(None, purpose).await, Err(UNCHECKED));
        }
        assert_eq!(ring.state(), Some(KeysState { up: false, failed: 1 }));
        tokio::spawn(Arc::clone(&ring).share());
        far.1.store(false, Ordering::SeqCst);
        until(|| ring.state().unwrap().up).await;
        assert_eq!(enter(None, Purpose::Work).await, Ok(None));
        // Made by another process: known to the first request that has it.
        let (key, secret) = store.create("first", KeyPolicy::default()).unwrap();
        until(|| ring.are_needed()).await;
        let (other, other_secret) = store.create("second", KeyPolicy::default()).unwrap();
        assert_eq!(enter(Some(&other_secret), Purpose::Work).await, Ok(Some(other.id)));
        let unknown = new_secret().unwrap();
        assert_eq!(enter(Some(&unknown), Purpose::Work).await, Err(Denied::Unknown));
        // Revoked by this process, and by another one.
        ring.revoke("second").unwrap();
        assert_eq!(enter(Some(&other_secret), Purpose::Work).await, Err(Denied::Unknown));
        let (third, third_secret) = ring.create("third", KeyPolicy::default()).unwrap();
        store.revoke(&third.id).unwrap();
        until(|| ring.caller(Some(&third_secret), Purpose::Work).is_err()).await;

        far.1.store(true, Ordering::SeqCst);
        until(|| !ring.state().unwrap().up).await;
        let id = Ok(Some(key.id));
        assert_eq!(enter(Some(&secret), Purpose::Work).await, id);
        assert_eq!(enter(Some(&unknown), Purpose::Work).await, Err(UNCHECKED));
        ring.reload(config(0));
        assert_eq!(enter(Some(&secret), Purpose::Work).await, Err(UNCHECKED));
        assert_eq!(enter(Some(&secret), Purpose::Watch).await, id);
        ring.reload(config(86_400_000));
        far.1.store(false, Ordering::SeqCst);
        until(|| ring.state().unwrap().up).await;
        assert_eq!(enter(Some(&unknown), Purpose::Work).await, Err(Denied::Unknown));
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
