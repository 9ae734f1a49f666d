//! What became of each text, so that a later request with the same text sends the same bytes.
//!
//! A text is remembered by a hash of itself, its question and the settings. What is kept of it is remembered as ranges
//! of the text, which every later request brings along: no word of a prompt is stored.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::settings::Settings;
use super::store::{Store, seconds_now};
use crate::compress::fold::Rules;
use crate::wire::Passage;

/// How long a text that went on as it was, only because time or room was short, goes on as it was, from its last use
/// on: providers forget a prefix within an hour, and then nothing is lost by compressing it.
const PIN_TIME: Duration = Duration::from_hours(1);

/// Names a text with its question, model and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is small, or does not get smaller: it always goes on as it is.
    Whole,
    /// It went on as it was because compression failed. For a while it stays so.
    Pinned,
    /// These parts of it went on.
    Kept { ranges: Box<[Range<usize>]>, tokens: Tokens },
    /// Something else went on in its place.
    Replaced { text: Box<str>, tokens: Tokens },
    /// It is a tool's result, and went on folded.
    Folded { tokens: Tokens },
    /// It is a question, and this was put before it, which cites so.
    Inserted { text: Box<str>, citations: Box<str> },
}

/// Tokens before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the texts that were compressed, as they were sent.
    pub before: usize,
    /// Of what went on in their place.
    pub after: usize,
}

impl Key {
    pub(super) fn new(passage: &Passage, model: &str, settings: &Settings) -> Self {
        let mut hasher = blake3::Hasher::new();
        let method = settings.method.map(|method| format!("{method:?}")).unwrap_or_default();
        let question = passage.question.as_deref().unwrap_or_default();
        // Each part with its length, so that no two sets of parts read the same.
        for part in ["1", &method, model, question, &passage.text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&settings.rate.to_le_bytes());
        hasher.update(&(settings.min_tokens as u64).to_le_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

impl Key {
    /// Names a result with its folded form, which follows from the texts that it refers to.
    pub(super) fn of_fold(text: &str, folded: &str, model: &str, rules: Rules) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in ["fold.1", model, text, folded] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&[rules.to_byte()]);
        Self(*hasher.finalize().as_bytes())
    }

    /// Names the last of a conversation's questions, for which `collections` and `banks` are searched, by a hash of all of
    /// them.
    pub(super) fn of_questions(
        questions: &blake3::Hash,
        model: &str,
        [collections, banks]: [&[String]; 2],
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let (question, kind) = (questions.to_hex(), format!("questions.2 {}", collections.len()));
        let names = collections.iter().chain(banks).map(String::as_str);
        for part in [kind.as_str(), question.as_str(), model].into_iter().chain(names) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// Time after which a pin that is in use is stored anew, so that the file knows of its use.
const RENEWAL: u64 = 600;

/// Remembers outcomes: in memory within a limit of bytes, and in a file, where there is one.
pub(super) struct Memory {
    lasting: Cache<Key, Arc<Outcome>>,
    /// Each with the seconds since the epoch at which it was last stored.
    pins: Cache<Key, u64>,
    store: Option<Arc<Store>>,
}

impl Memory {
    pub(super) fn new(bytes: u64, store: Option<Arc<Store>>) -> Self {
        Self {
            lasting: Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, outcome: &Arc<Outcome>| outcome.weight())
                .build(),
            // A pin is small: a tenth of the room holds a great many.
            pins: Cache::builder().max_capacity(bytes / 10 / 100).time_to_idle(PIN_TIME).build(),
            store,
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Outcome>> {
        // What was pinned stays so, whatever was found out about it for another conversation since.
        match self.pins.get(key) {
            Some(stored) => {
                if seconds_now().abs_diff(stored) > RENEWAL {
                    self.pin(*key);
                }
                Some(Arc::new(Outcome::Pinned))
            }
            None => self.lasting.get(key).or_else(|| self.recall(key)),
        }
    }

    /// What the file knows.
    fn recall(&self, key: &Key) -> Option<Arc<Outcome>> {
        let (outcome, stored) = self.store.as_ref()?.outcome(key)?;
        if outcome != Outcome::Pinned {
            return Some(self.lasting.entry(*key).or_insert_with(|| Arc::new(outcome)).into_value());
        }
        // Nor is it fresh where the clock was far ahead when it was stored.
        let fresh = seconds_now().abs_diff(stored) < PIN_TIME.as_secs();
        fresh.then(|| {
            self.pins.insert(*key, stored);
            Arc::new(Outcome::Pinned)
        })
    }

    /// Remembers what became of a text, unless another request was first. Gives what holds.
    pub(super) fn settle(&self, key: Key, outcome: Outcome) -> Arc<Outcome> {
        if let Some(earlier) = self.get(&key) {
            return earlier;
        }
        if outcome == Outcome::Pinned {
            self.pin(key);
            return Arc::new(outcome);
        }
        let settled = self.lasting.entry(key).or_insert_with(|| Arc::new(outcome)).into_value();
        if let Some(store) = &self.store {
            store.put_outcome(key, &settled);
        }
        settled
    }

    /// Remembers what was put before a question, in the place of what was put there before.
    pub(super) fn replace(&self, key: Key, outcome: Outcome) -> Arc<Outcome> {
        let outcome = Arc::new(outcome);
        self.lasting.insert(key, Arc::clone(&outcome));
        if let Some(store) = &self.store {
            store.put_outcome(key, &outcome);
        }
        outcome
    }

    /// Makes a text go on as it is from now on, whatever was remembered.
    pub(super) fn pin(&self, key: Key) {
        self.pins.insert(key, seconds_now());
        if let Some(store) = &self.store {
            store.put_outcome(key, &Outcome::Pinned);
        }
    }
}

impl Outcome {
    fn weight(&self) -> u32 {
        const BASE: usize = 120;
        let size = match self {
            Self::Whole | Self::Pinned | Self::Folded { .. } => 0,
            Self::Kept { ranges, .. } => std::mem::size_of_val(&**ranges),
            Self::Replaced { text, .. } => text.len(),
            Self::Inserted { text, citations } => text.len() + citations.len(),
        };
        u32::try_from(BASE + size).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::store::Retention;

    fn kept(after: usize) -> Outcome {
        Outcome::Kept { ranges: [0..1, 2..after].into(), tokens: Tokens { before: 10, after } }
    }

    #[test]
    fn the_first_outcome_holds_until_it_is_pinned() {
        let memory = Memory::new(1 << 20, None);
        let key = Key([1; 32]);
        assert_eq!(memory.get(&key), None);
        assert_eq!(*memory.settle(key, kept(3)), kept(3));
        assert_eq!(*memory.settle(key, kept(4)), kept(3));
        assert_eq!(*memory.settle(key, Outcome::Pinned), kept(3));
        memory.pin(key);
        assert_eq!(*memory.settle(key, kept(3)), Outcome::Pinned);
        let other = Key([2; 32]);
        assert_eq!(*memory.settle(other, Outcome::Pinned), Outcome::Pinned);
        assert_eq!(*memory.settle(other, kept(3)), Outcome::Pinned);
    }

    #[test]
    fn a_pin_of_a_clock_that_was_far_ahead_or_behind_holds_no_longer() {
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
            store.put_outcome_of(key, &Outcome::Pinned, at);
            store.flush();
            let memory = Memory::new(1 << 20, Some(Arc::clone(&store)));
            assert_eq!(memory.get(&key).is_some(), held, "{number}");
        }
    }

    #[test]
    fn memory_stays_within_its_limit() {
        let memory = Memory::new(100_000, None);
        for number in 0..1000_u16 {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&number.to_le_bytes());
            let text = "x".repeat(1000).into();
            memory.settle(Key(key), Outcome::Replaced { text, tokens: Tokens::default() });
        }
        memory.lasting.run_pending_tasks();
        assert!(memory.lasting.weighted_size() <= 100_000);
    }
}
