//! The decisions on texts, so that a later request with the same text sends the same bytes.
//!
//! A text is remembered by a hash of itself, its question and the settings. What is kept of it is remembered as ranges
//! of the text, which every later request brings along: no word of a prompt is stored.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::settings::Settings;
use super::store::{Store, seconds_now};
use crate::compress::Method;
use crate::compress::fold::Rules;
use crate::wire::Passage;

/// The time from its last use that a text stays uncompressed that was sent so only because time or room was short:
/// providers forget a prefix within an hour, and then nothing is lost by compressing it.
const PIN_TIME: Duration = Duration::from_hours(1);

/// Names a text with its question, model and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

/// Version of the names of texts. Files hold them: what they are made of must not change without another version, and
/// without a search for the names of the version before.
const VERSION: &str = "1";

/// Name of a method in [`Key`]s, which never changes, whatever the method is called elsewhere.
const fn stored_name(method: Method) -> &'static str {
    match method {
        Method::Auto => "Auto",
        Method::Hybrid => "Hybrid",
        Method::Extractive => "Extractive",
        Method::LlmLingua => "LlmLingua",
        Method::LongLlmLingua => "LongLlmLingua",
        Method::LlmLingua2 => "LlmLingua2",
        Method::SelectiveContext => "SelectiveContext",
        Method::Lossless => "Lossless",
    }
}

/// A decision on a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The text is small, or does not get smaller: it is always sent as it is.
    Whole,
    /// The text was sent as it is because compression failed. For a while it stays so.
    Pinned,
    /// The text was compressed to these parts.
    Kept { ranges: Box<[Range<usize>]>, tokens: Tokens },
    /// Something else went on in its place.
    Replaced { text: Box<str>, tokens: Tokens },
    /// The text is a tool's result, and went on folded.
    Folded { tokens: Tokens },
    /// The text is a question that this was put before, with these citations.
    Inserted { text: Box<str>, citations: Box<str> },
}

/// Tokens before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The tokens of the texts before compression.
    pub before: usize,
    /// The tokens of the texts after compression.
    pub after: usize,
}

impl Key {
    pub(super) fn new(passage: &Passage, model: &str, settings: &Settings) -> Self {
        Self::of_text((&passage.text, passage.question.as_deref()), model, settings)
    }

    fn of_text((text, question): (&str, Option<&str>), model: &str, settings: &Settings) -> Self {
        let mut hasher = blake3::Hasher::new();
        let method = settings.method.map_or("", stored_name);
        // Each part with its length, so that no two sets of parts read the same.
        for part in [VERSION, method, model, question.unwrap_or_default(), text] {
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

/// Remembers outcomes: in memory within a limit of bytes, and in a file, where there is one. Clones share both.
#[derive(Clone)]
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

    /// Returns what is remembered of each of `keys`. What is not in memory is read from the file, off the async threads.
    pub(super) async fn get_all(&self, keys: &[Key]) -> Vec<Option<Arc<Outcome>>> {
        let mut known: Vec<_> = keys.iter().map(|key| self.get(key)).collect();
        let unknown: Vec<usize> = (0..keys.len()).filter(|&i| known[i].is_none()).collect();
        if unknown.is_empty() || self.store.is_none() {
            return known;
        }
        let (memory, wanted) = (self.clone(), unknown.iter().map(|&i| keys[i]).collect::<Vec<_>>());
        let read = move || wanted.iter().map(|key| memory.recall(key)).collect::<Vec<_>>();
        // Where reading panics, which the hook has logged, nothing is known.
        let recalled = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        for (i, outcome) in unknown.into_iter().zip(recalled) {
            known[i] = outcome;
        }
        known
    }

    /// Returns what is remembered of a text. This reads the disk where nothing is in memory.
    pub(super) fn get_blocking(&self, key: &Key) -> Option<Arc<Outcome>> {
        self.get(key).or_else(|| self.recall(key))
    }

    /// Returns what is in memory of a text.
    fn get(&self, key: &Key) -> Option<Arc<Outcome>> {
        // What was pinned stays so, whatever was found out about it for another conversation since.
        match self.pins.get(key) {
            Some(stored) => {
                if seconds_now().abs_diff(stored) > RENEWAL {
                    self.pin(*key);
                }
                Some(Arc::new(Outcome::Pinned))
            }
            None => self.lasting.get(key),
        }
    }

    /// Returns what the file knows of a text. This reads the disk.
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

    /// Remembers what became of a text that [`Memory::get_all`] did not know, unless another request was first meanwhile.
    /// Gives what holds.
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
            store.put_outcome_of(key, &Outcome::Pinned, at);
            store.flush();
            let memory = Memory::new(1 << 20, Some(Arc::clone(&store)));
            assert_eq!(memory.get_all(&[key]).await[0].is_some(), held, "{number}");
        }
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

    #[test]
    fn decisions_in_a_file_of_format_1_are_found() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let packed = std::fs::read("indexes/format-1/proxy.redb.gz").unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut bytes).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let ever = Duration::from_hours(24 * 36_500);
        let store = Arc::new(Store::open(&file, Retention { outcomes: ever, entries: ever }).unwrap());
        let memory = Memory::new(1 << 20, Some(store));
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
            let found = memory.get(&Key::of_text((&text, question), "m", &settings));
            let Some(Outcome::Kept { ranges, tokens }) = found.as_deref() else {
                panic!("{method:?}: {found:?}")
            };
            assert!(ranges.iter().all(|range| text.get(range.clone()).is_some()), "{method:?}");
            assert!(tokens.after < tokens.before, "{method:?}: {tokens:?}");
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
