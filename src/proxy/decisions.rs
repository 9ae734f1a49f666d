//! The decisions on texts, so that a later request with the same text sends the same bytes.
//!
//! A text is remembered by a hash of itself, its question and the settings. What is kept of it is remembered as ranges
//! of the text, which every later request brings along: no word of a prompt is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::timeout;

use super::decision::{Decision, Key};
use super::shared_decisions::SharedDecisions;
use super::store::{Store, seconds_now};

/// The time from its last use that a text stays uncompressed that was sent so only because time or room was short:
/// providers forget a prefix within an hour, and then nothing is lost by compressing it.
const PIN_TIME: Duration = Duration::from_hours(1);

/// Time after which a pin that is in use is stored anew, so that the file knows of its use.
const RENEWAL: u64 = 600;

/// The longest time that a request waits until what it needs to have written is on disk. A disk that needs longer is not
/// worth it.
pub(super) const DISK_TIME: Duration = Duration::from_secs(1);

/// Remembers outcomes: in memory within a limit of bytes, and in a file, where there is one. Clones share both.
#[derive(Clone)]
pub(super) struct Decisions {
    lasting: Cache<Key, Arc<Decision>>,
    /// Each with the seconds since the epoch at which it was last stored.
    pins: Cache<Key, u64>,
    store: Option<Arc<Store>>,
    /// The decisions of all replicas, where they share them: in each store that has them, the quickest first.
    shared: Vec<SharedDecisions>,
    /// Whether a decision that a request has asked for or made was not on disk then.
    unwritten: Arc<AtomicBool>,
}

impl Decisions {
    pub(super) fn new(bytes: u64, store: Option<Arc<Store>>) -> Self {
        Self {
            lasting: Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, decision: &Arc<Decision>| decision.weight())
                .build(),
            // A pin is small: a tenth of the room holds a great many.
            pins: Cache::builder().max_capacity(bytes / 10 / 100).time_to_idle(PIN_TIME).build(),
            store,
            shared: Vec::new(),
            unwritten: Arc::default(),
        }
    }

    /// Returns the same decisions, which replicas share in `stores`, the quickest first.
    pub(super) fn shared_in(self, stores: impl IntoIterator<Item = SharedDecisions>) -> Self {
        Self { shared: stores.into_iter().collect(), ..self }
    }

    /// Returns the same decisions for one request, which can wait until its own are on disk.
    pub(super) fn of_request(&self) -> Self {
        let shared = self.shared.iter().map(SharedDecisions::of_request).collect();
        Self { unwritten: Arc::default(), shared, ..self.clone() }
    }

    /// Waits until the decisions that this request has asked for and made are on disk, and those that it has made are told
    /// to other replicas: once an upstream has seen what came of them, they must not change, not even by a crash. One that
    /// all were on disk for does not wait.
    pub(super) async fn written(&self) {
        tokio::join!(self.on_disk(), async {
            for shared in &self.shared {
                shared.send().await;
            }
        });
    }

    async fn on_disk(&self) {
        let Some(store) = self.store.as_ref().filter(|_| self.unwritten.load(Ordering::Relaxed)) else {
            return;
        };
        if timeout(DISK_TIME, store.written()).await.is_err() {
            tracing::warn!("a request does not wait any longer for its decisions: the disk is too slow");
        }
    }

    /// Notes that a request depends on the decision on this text.
    fn note(&self, key: &Key) {
        if self.store.as_ref().is_some_and(|store| store.is_pending(key)) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
    }

    /// Returns what is remembered of each of `keys`. What is not in memory is read from the file, off the async threads,
    /// and then asked of other replicas.
    pub(super) async fn get_all(&self, keys: &[Key]) -> Vec<Option<Arc<Decision>>> {
        let mut known = self.get_own(keys).await;
        for shared in &self.shared {
            let unknown: Vec<usize> = (0..keys.len()).filter(|&i| known[i].is_none()).collect();
            if unknown.is_empty() {
                break;
            }
            let wanted: Vec<Key> = unknown.iter().map(|&i| keys[i]).collect();
            for (i, found) in unknown.into_iter().zip(shared.get(&wanted).await) {
                known[i] = found.and_then(|(decision, stored)| self.adopt(&keys[i], decision, stored));
            }
        }
        known
    }

    /// Remembers what another replica has decided.
    fn adopt(&self, key: &Key, decision: Decision, stored: u64) -> Option<Arc<Decision>> {
        let adopted = self.remember(key, decision, stored)?;
        if let Some(store) = &self.store {
            store.put_decision_of(*key, &adopted, stored);
            self.note(key);
        }
        Some(adopted)
    }

    async fn get_own(&self, keys: &[Key]) -> Vec<Option<Arc<Decision>>> {
        let mut known: Vec<_> = keys.iter().map(|key| self.get(key)).collect();
        let unknown: Vec<usize> = (0..keys.len()).filter(|&i| known[i].is_none()).collect();
        if unknown.is_empty() || self.store.is_none() {
            return known;
        }
        let (decisions, wanted) = (self.clone(), unknown.iter().map(|&i| keys[i]).collect::<Vec<_>>());
        let read = move || wanted.iter().map(|key| decisions.recall(key)).collect::<Vec<_>>();
        // Where reading panics, which the hook has logged, nothing is known.
        let recalled = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        for (i, decision) in unknown.into_iter().zip(recalled) {
            known[i] = decision;
        }
        known
    }

    /// Returns what is remembered of a text. This reads the disk where nothing is in memory.
    pub(super) fn get_blocking(&self, key: &Key) -> Option<Arc<Decision>> {
        self.get(key).or_else(|| self.recall(key))
    }

    /// Returns what is in memory of a text.
    fn get(&self, key: &Key) -> Option<Arc<Decision>> {
        self.note(key);
        // What was pinned stays so, whatever was found out about it for another conversation since.
        match self.pins.get(key) {
            Some(stored) => {
                if seconds_now().abs_diff(stored) > RENEWAL {
                    self.pin(*key);
                }
                Some(Arc::new(Decision::Declined))
            }
            None => self.lasting.get(key),
        }
    }

    /// Returns what the file knows of a text. This reads the disk.
    fn recall(&self, key: &Key) -> Option<Arc<Decision>> {
        let (decision, stored) = self.store.as_ref()?.decision(key)?;
        self.remember(key, decision, stored)
    }

    /// Has a decision in memory that was stored at a time, unless it holds no longer.
    fn remember(&self, key: &Key, decision: Decision, stored: u64) -> Option<Arc<Decision>> {
        if decision != Decision::Declined {
            return Some(self.lasting.entry(*key).or_insert_with(|| Arc::new(decision)).into_value());
        }
        // Nor is it fresh where the clock was far ahead when it was stored.
        let fresh = seconds_now().abs_diff(stored) < PIN_TIME.as_secs();
        fresh.then(|| {
            self.pins.insert(*key, stored);
            Arc::new(Decision::Declined)
        })
    }

    /// Remembers what became of a text that [`Decisions::get_all`] did not know, unless another request was first meanwhile.
    /// Gives what holds.
    pub(super) fn settle(&self, key: Key, decision: Decision) -> Arc<Decision> {
        if let Some(earlier) = self.get(&key) {
            return earlier;
        }
        if decision == Decision::Declined {
            self.pin(key);
            return Arc::new(decision);
        }
        let settled = self.lasting.entry(key).or_insert_with(|| Arc::new(decision)).into_value();
        self.store(key, &settled, false);
        settled
    }

    /// Remembers what was put before a question, in the place of what was put there before.
    pub(super) fn replace(&self, key: Key, decision: Decision) -> Arc<Decision> {
        let decision = Arc::new(decision);
        self.lasting.insert(key, Arc::clone(&decision));
        self.store(key, &decision, true);
        decision
    }

    /// Makes a text go on as it is from now on, whatever was remembered.
    pub(super) fn pin(&self, key: Key) {
        self.pins.insert(key, seconds_now());
        self.store(key, &Decision::Declined, true);
    }

    fn store(&self, key: Key, decision: &Decision, replaces: bool) {
        for shared in &self.shared {
            shared.put(&key, decision, seconds_now(), replaces);
        }
        if let Some(store) = &self.store {
            store.put_decision(key, decision);
            self.note(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Method;
    use crate::proxy::decision::Tokens;
    use crate::proxy::settings::Settings;
    use crate::proxy::store::Retention;

    fn kept(after: usize) -> Decision {
        Decision::Subset { ranges: [0..1, 2..after].into(), tokens: Tokens { before: 10, after } }
    }

    #[test]
    fn the_first_outcome_holds_until_it_is_pinned() {
        let decisions = Decisions::new(1 << 20, None);
        let key = Key([1; 32]);
        assert_eq!(decisions.get(&key), None);
        assert_eq!(*decisions.settle(key, kept(3)), kept(3));
        assert_eq!(*decisions.settle(key, kept(4)), kept(3));
        assert_eq!(*decisions.settle(key, Decision::Declined), kept(3));
        decisions.pin(key);
        assert_eq!(*decisions.settle(key, kept(3)), Decision::Declined);
        let other = Key([2; 32]);
        assert_eq!(*decisions.settle(other, Decision::Declined), Decision::Declined);
        assert_eq!(*decisions.settle(other, kept(3)), Decision::Declined);
    }

    #[tokio::test]
    async fn a_pin_of_a_clock_that_was_far_ahead_or_behind_holds_no_longer() {
        const DAY: u64 = 86_400;
        let folder = tempfile::tempdir().unwrap();
        let keep = Duration::from_hours(24 * 30);
        let retention = Retention { outcomes: keep, entries: keep };
        let store = Arc::new(Store::open(&folder.path().join("proxy.redb"), retention).unwrap());
        let now = seconds_now();
        for (number, at, held) in
            [(1, now, true), (2, now + 60, true), (3, now + DAY, false), (4, now - DAY, false)]
        {
            let key = Key([number; 32]);
            store.put_decision_of(key, &Decision::Declined, at);
            store.flush();
            let decisions = Decisions::new(1 << 20, Some(Arc::clone(&store)));
            assert_eq!(decisions.get_all(&[key]).await[0].is_some(), held, "{number}");
        }
    }

    #[tokio::test]
    async fn replicas_share_decisions_in_each_store_and_the_first_one_holds() {
        use std::sync::atomic::Ordering::SeqCst;

        use crate::proxy::shared_decisions::fake::MemoryStore;
        let stores = [Arc::<MemoryStore>::default(), Arc::<MemoryStore>::default()];
        let replica = || Decisions::new(1 << 20, None).shared_in(stores.iter().map(MemoryStore::decisions));
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let found = async |key| replica().of_request().get_all(&[other, key]).await.remove(1);
        let first = replica().of_request();
        first.settle(key, kept(3));
        assert_eq!(found(key).await, None, "it is sent before the request is forwarded");
        first.written().await;
        assert_eq!((stores[0].len(), stores[1].len()), (1, 1));
        assert_eq!(found(key).await.as_deref(), Some(&kept(3)));
        // The second one knows what the first one has lost, or while it is away.
        stores[0].away.store(true, SeqCst);
        assert_eq!(found(key).await.as_deref(), Some(&kept(3)));
        stores[1].away.store(true, SeqCst);
        assert_eq!(found(key).await, None);
        for store in &stores {
            store.away.store(false, SeqCst);
        }
        // A request that decided at the same time leaves what is there, and one that takes it back does not.
        let late = replica().of_request();
        late.settle(key, kept(4));
        late.written().await;
        assert_eq!(found(key).await.as_deref(), Some(&kept(3)));
        let refused = replica().of_request();
        refused.pin(key);
        refused.written().await;
        assert_eq!(found(key).await.as_deref(), Some(&Decision::Declined));
    }

    /// The text that the decisions in `indexes/format-1/proxy.redb.gz` are about.
    fn fixture_text() -> String {
        let piers = (0..12).map(|i| {
            format!(
                "Pier {i} holds the boats of row {} and the ropes that were bought in {}.",
                i + 3,
                1900 + i
            )
        });
        let piers: Vec<String> = piers.collect();
        format!("The harbour office opens at nine and closes at six. {}", piers.join(" "))
    }

    #[tokio::test]
    async fn decisions_in_a_file_of_format_1_are_found() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let packed = std::fs::read("indexes/format-1/proxy.redb.gz").unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let ever = Duration::from_hours(24 * 36_500);
        let store = Arc::new(Store::open(&file, Retention { outcomes: ever, entries: ever }).unwrap());
        let decisions = Decisions::new(1 << 20, Some(store));
        let (text, question) = (fixture_text(), Some("When does the harbour office open?"));
        for method in [
            None,
            Some(Method::Auto),
            Some(Method::Hybrid),
            Some(Method::Extractive),
            Some(Method::LlmLingua),
            Some(Method::LongLlmLingua),
            Some(Method::SelectiveContext),
        ] {
            let settings = Settings { method, rate: 0.5, min_tokens: 50, ..Settings::default() };
            let found = decisions.get_all(&[Key::of_text((&text, question), "m", &settings)]).await;
            let Some(Decision::Subset { ranges, tokens }) = found[0].as_deref() else {
                panic!("{method:?}: {found:?}")
            };
            assert!(ranges.iter().all(|range| text.get(range.clone()).is_some()), "{method:?}");
            assert!(tokens.after < tokens.before, "{method:?}: {tokens:?}");
        }
    }

    #[test]
    fn memory_stays_within_its_limit() {
        let decisions = Decisions::new(100_000, None);
        for number in 0..1000_u16 {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&number.to_le_bytes());
            let text = "x".repeat(1000).into();
            decisions.settle(Key(key), Decision::Replaced { text, tokens: Tokens::default() });
        }
        decisions.lasting.run_pending_tasks();
        assert!(decisions.lasting.weighted_size() <= 100_000);
    }
}
