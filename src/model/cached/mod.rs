//! Caches in front of scorers and embedders.
//!
//! A score depends on the model's file, its precision, the tokens before and the tokens themselves, and a vector on the
//! model's file, its precision and the text; their blake3 hash is the key. Texts that were read once by themselves cost
//! nothing when they come with another question, rate or method: from memory, or from a file where there is one.

mod file;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Cancel, Embedder, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer, WordMatch};
pub use file::CacheFile;

/// Bytes that an entry takes besides its scores.
const OVERHEAD: usize = 160;

/// Remembers the scores of another scorer, within a limit of bytes; what was not used for longest goes first.
#[derive(Debug)]
pub struct CachedScorer<S> {
    scorer: S,
    /// Everything that scores depend on besides the tokens.
    identity: [u8; 32],
    results: Results,
}

/// The results that are written to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Only scores that are requested through [`CachedScorer::keep`].
    Asked,
    /// All.
    All,
}

/// Counters of a cache since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Questions answered from memory.
    pub hits: u64,
    /// Questions answered from a file.
    pub kept: u64,
    /// Questions whose answer had to be computed.
    pub misses: u64,
    /// Bytes held now, about.
    pub bytes: u64,
}

impl<S: TokenScorer> CachedScorer<S> {
    /// Remembers up to `bytes` of scores of `scorer`. `identity` names what scores depend on besides tokens:
    /// the model's file and its precision.
    #[must_use]
    pub fn new(scorer: S, identity: &str, bytes: u64) -> Self {
        let identity = *blake3::hash(identity.as_bytes()).as_bytes();
        Self { scorer, identity, results: Results::new(bytes) }
    }

    /// Adds `file` as a second level, which is read where memory has no entry.
    #[must_use]
    pub fn with_file(mut self, file: Arc<CacheFile>, keep: Keep) -> Self {
        self.results.file = Some((file, keep));
        self
    }

    /// Keeps the scores of jobs in the file, for calls that come later. Gives how many of them it did not hold yet.
    ///
    /// # Errors
    /// As [`TokenScorer::score`].
    pub fn keep(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<usize, ScoreError> {
        let Some((file, _)) = &self.results.file else { return Ok(self.score(jobs, cancel)?.len()) };
        let keys: Vec<Key> = jobs.iter().map(|job| self.key(job)).collect();
        let known = file.get(&keys);
        let missing: Vec<usize> = (0..jobs.len()).filter(|&i| known[i].is_none()).collect();
        let jobs: Vec<ScoreJob> = missing.iter().map(|&i| jobs[i].clone()).collect();
        let scores = self.score(&jobs, cancel)?;
        let entries = missing.iter().zip(&scores).map(|(&i, scores)| (keys[i], &scores[..]));
        file.put(&entries.collect::<Vec<_>>());
        Ok(missing.len())
    }

    /// Hits, misses and bytes since the start.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.results.statistics()
    }

    /// Returns the fingerprint of all that scores depend on besides tokens.
    #[must_use]
    pub fn identity(&self) -> String {
        blake3::Hash::from_bytes(self.identity).to_hex().to_string()
    }

    fn key(&self, job: &ScoreJob) -> Key {
        let mut hasher = blake3::Hasher::new_keyed(&self.identity);
        hasher.update(&(job.prefix.len() as u64).to_le_bytes());
        for id in job.prefix.iter().chain(&job.ids) {
            hasher.update(&id.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

impl<S: TokenScorer> TokenScorer for CachedScorer<S> {
    fn name(&self) -> &str {
        self.scorer.name()
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        self.scorer.encode(text)
    }

    fn splits_at_spaces(&self) -> bool {
        self.scorer.splits_at_spaces()
    }

    fn vocabulary(&self) -> Option<usize> {
        self.scorer.vocabulary()
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.scorer.decode(ids)
    }

    fn window(&self) -> usize {
        self.scorer.window()
    }

    fn context(&self) -> usize {
        self.scorer.context()
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let keys: Vec<Key> = jobs.iter().map(|job| self.key(job)).collect();
        self.results.recall(&keys, |missing| {
            let jobs: Vec<ScoreJob> = missing.iter().map(|&i| jobs[i].clone()).collect();
            self.scorer.score(&jobs, cancel)
        })
    }

    /// Not remembered: what is scored so is seldom scored twice.
    fn score_whole(&self, prefix: &[u32], ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        self.scorer.score_whole(prefix, ids, cancel)
    }

    fn prefix_statistics(&self) -> CacheStatistics {
        self.scorer.prefix_statistics()
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        self.scorer.session()
    }
}

/// Remembers the vectors of another embedder, within a limit of bytes.
#[derive(Debug)]
pub struct CachedEmbedder<E> {
    embedder: E,
    identity: String,
    /// Everything that vectors depend on besides the text.
    keys: [u8; 32],
    results: Results,
}

impl<E: Embedder> CachedEmbedder<E> {
    /// Remembers up to `bytes` of vectors of `embedder`. `identity` names what vectors depend on besides the text: the
    /// model's files.
    #[must_use]
    pub fn new(embedder: E, identity: &str, bytes: u64) -> Self {
        Self::identified(embedder, blake3::hash(identity.as_bytes()).to_hex().to_string(), bytes)
    }

    /// Creates the same for an embedder whose [`CachedEmbedder::identity`] is known: another process told it.
    #[must_use]
    pub fn identified(embedder: E, identity: String, bytes: u64) -> Self {
        let keys = *blake3::hash(identity.as_bytes()).as_bytes();
        Self { embedder, identity, keys, results: Results::new(bytes) }
    }

    /// Adds `file` as a second level, which is read where memory has no entry and keeps all vectors. `arithmetic` names
    /// what the last digits of vectors depend on besides the model's files: the file outlives this process.
    #[must_use]
    pub fn with_file(mut self, file: Arc<CacheFile>, arithmetic: &str) -> Self {
        self.keys = *blake3::keyed_hash(&self.keys, arithmetic.as_bytes()).as_bytes();
        self.results.file = Some((file, Keep::All));
        self
    }

    fn key(&self, text: &str) -> Key {
        *blake3::keyed_hash(&self.keys, text.as_bytes()).as_bytes()
    }

    /// Tells this embedder's files from others of the same name: 64 hexadecimal digits.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Hits, misses and bytes since the start.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.results.statistics()
    }
}

impl<E: Embedder> Embedder for CachedEmbedder<E> {
    fn name(&self) -> &str {
        self.embedder.name()
    }

    fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        self.embedder.count(text, cancel)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let keys: Vec<Key> = texts.iter().map(|text| self.key(text)).collect();
        self.results.recall(&keys, |missing| {
            let texts: Vec<&str> = missing.iter().map(|&i| texts[i]).collect();
            self.embedder.embed(&texts, cancel)
        })
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        cancel.check()?;
        let key = *blake3::keyed_hash(&self.key("query"), query.as_bytes()).as_bytes();
        let found = self.results.recall(&[key], |_| Ok(vec![self.embedder.embed_query(query, cancel)?]));
        Ok(found?.pop().unwrap_or_default())
    }

    /// Not remembered: it depends on all texts.
    fn compare_words(
        &self,
        query: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<Vec<WordMatch>>, ScoreError> {
        self.embedder.compare_words(query, texts, cancel)
    }
}

/// Hash of all that a result depends on.
type Key = [u8; 32];

/// Results by their keys: of at most so many bytes in memory, and behind them in a file where there is one.
#[derive(Debug)]
struct Results {
    memory: Cache<Key, Arc<[f32]>>,
    file: Option<(Arc<CacheFile>, Keep)>,
    hits: AtomicU64,
    kept: AtomicU64,
    misses: AtomicU64,
}

impl Results {
    fn new(bytes: u64) -> Self {
        let weight = |_: &Key, values: &Arc<[f32]>| {
            u32::try_from(OVERHEAD + size_of_val::<[f32]>(values)).unwrap_or(u32::MAX)
        };
        Self {
            memory: Cache::builder()
                .max_capacity(bytes)
                .weigher(weight)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            file: None,
            hits: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// A result for each key; `compute` is asked for those, by their places, that neither memory nor the file has.
    fn recall(
        &self,
        keys: &[Key],
        compute: impl FnOnce(&[usize]) -> Result<Vec<Vec<f32>>, ScoreError>,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        let known: Vec<Option<Arc<[f32]>>> = keys.iter().map(|key| self.memory.get(key)).collect();
        // Of equal ones the first alone is asked for.
        let mut asked: HashMap<&Key, usize> = HashMap::new();
        let mut missing = Vec::new();
        for i in (0..keys.len()).filter(|&i| known[i].is_none()) {
            asked.entry(&keys[i]).or_insert_with(|| {
                missing.push(i);
                missing.len() - 1
            });
        }
        self.hits.fetch_add((keys.len() - missing.len()) as u64, Ordering::Relaxed);
        let fresh = if missing.is_empty() { Vec::new() } else { self.fetch(keys, &missing, compute)? };
        for (&i, values) in missing.iter().zip(&fresh) {
            self.memory.insert(keys[i], values.as_slice().into());
        }
        let result = |(key, known): (&Key, Option<Arc<[f32]>>)| match known {
            Some(values) => values.to_vec(),
            None => asked.get(key).and_then(|&place| fresh.get(place)).cloned().unwrap_or_default(),
        };
        Ok(keys.iter().zip(known).map(result).collect())
    }

    /// The results of the keys at `places`, which are not in memory: from the file, else computed.
    fn fetch(
        &self,
        keys: &[Key],
        places: &[usize],
        compute: impl FnOnce(&[usize]) -> Result<Vec<Vec<f32>>, ScoreError>,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        let wanted: Vec<Key> = places.iter().map(|&i| keys[i]).collect();
        let mut known =
            self.file.as_ref().map_or_else(|| vec![None; wanted.len()], |(file, _)| file.get(&wanted));
        let missing: Vec<usize> = (0..wanted.len()).filter(|&i| known[i].is_none()).collect();
        self.kept.fetch_add((wanted.len() - missing.len()) as u64, Ordering::Relaxed);
        self.misses.fetch_add(missing.len() as u64, Ordering::Relaxed);
        if !missing.is_empty() {
            let fresh = compute(&missing.iter().map(|&i| places[i]).collect::<Vec<_>>())?;
            if let Some((file, Keep::All)) = &self.file {
                let entries = missing.iter().zip(&fresh).map(|(&i, values)| (wanted[i], &values[..]));
                file.put(&entries.collect::<Vec<_>>());
            }
            for (i, values) in missing.into_iter().zip(fresh) {
                known[i] = Some(values);
            }
        }
        Ok(known.into_iter().map(Option::unwrap_or_default).collect())
    }

    fn statistics(&self) -> CacheStatistics {
        self.memory.run_pending_tasks();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.memory.weighted_size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Scores a token by its id and the length of its prefix, and counts the jobs.
    #[derive(Default)]
    struct Counting(Mutex<usize>);

    impl TokenScorer for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }
        fn encode(&self, _: &str) -> Vec<Token> {
            Vec::new()
        }
        fn decode(&self, _: &[u32]) -> String {
            String::new()
        }
        fn window(&self) -> usize {
            8
        }
        fn context(&self) -> usize {
            8
        }
        fn score(&self, jobs: &[ScoreJob], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            *self.0.lock().unwrap() += jobs.len();
            let score =
                |job: &ScoreJob| job.ids.iter().map(|&id| id as f32 + job.prefix.len() as f32).collect();
            Ok(jobs.iter().map(score).collect())
        }
        fn session(&self) -> Box<dyn ScoreSession + '_> {
            unreachable!("no test opens a session")
        }
    }

    fn job(prefix: &[u32], ids: &[u32]) -> ScoreJob {
        ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }
    }

    #[test]
    fn what_was_scored_is_not_scored_again() {
        let cached = CachedScorer::new(Counting::default(), "m", 1 << 20);
        let cancel = Cancel::never();
        let first = cached.score(&[job(&[], &[1, 2]), job(&[1], &[2])], &cancel).unwrap();
        let again = cached.score(&[job(&[1], &[2]), job(&[], &[5]), job(&[], &[1, 2])], &cancel).unwrap();
        assert_eq!(again, [first[1].clone(), vec![5.0], first[0].clone()]);
        assert_eq!(*cached.scorer.0.lock().unwrap(), 3);
        let statistics = cached.statistics();
        assert_eq!((statistics.hits, statistics.misses), (2, 3));
        assert!(statistics.bytes > 3 * OVERHEAD as u64);
    }

    #[test]
    fn what_comes_twice_in_a_call_is_computed_once() {
        let cached = CachedScorer::new(Counting::default(), "m", 0);
        let jobs = [job(&[], &[1, 2]), job(&[], &[3]), job(&[], &[1, 2])];
        let scores = cached.score(&jobs, &Cancel::never()).unwrap();
        assert_eq!(scores, [vec![1.0, 2.0], vec![3.0], vec![1.0, 2.0]]);
        assert_eq!(*cached.scorer.0.lock().unwrap(), 2);
    }

    /// Embeds a text as its length, and counts the texts.
    #[derive(Default)]
    struct Lengths(Mutex<usize>);

    impl Embedder for Lengths {
        fn name(&self) -> &'static str {
            "lengths"
        }
        fn dimensions(&self) -> usize {
            1
        }
        fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
            Ok(text.len())
        }
        fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            *self.0.lock().unwrap() += texts.len();
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    #[test]
    fn what_was_embedded_is_not_embedded_again() {
        let cached = CachedEmbedder::new(Lengths::default(), "lengths", 1 << 20);
        let cancel = Cancel::never();
        cached.embed(&["a", "bb"], &cancel).unwrap();
        assert_eq!(cached.embed(&["ccc", "bb", "a"], &cancel).unwrap(), [[3.0], [2.0], [1.0]]);
        assert_eq!(*cached.embedder.0.lock().unwrap(), 3);
        let statistics = cached.statistics();
        assert_eq!((statistics.hits, statistics.kept, statistics.misses), (2, 0, 3));
    }

    #[test]
    fn kept_scores_outlive_the_process_and_others_do_not_unless_all_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.redb");
        let open = |identity, keep| {
            let file = Arc::new(CacheFile::new(path.clone(), 1 << 20));
            CachedScorer::new(Counting::default(), identity, 1 << 20).with_file(file, keep)
        };
        let asked = |cached: &CachedScorer<Counting>, jobs: &[ScoreJob]| {
            cached.score(jobs, &Cancel::never()).unwrap();
            *cached.scorer.0.lock().unwrap()
        };
        let [kept, seen, all] = [job(&[], &[1, 2]), job(&[], &[3, 4]), job(&[9], &[5])];
        let first = open("m", Keep::Asked);
        assert_eq!(first.keep(std::slice::from_ref(&kept), &Cancel::never()).unwrap(), 1);
        assert_eq!(first.keep(std::slice::from_ref(&kept), &Cancel::never()).unwrap(), 0, "it is there");
        assert_eq!(asked(&first, std::slice::from_ref(&seen)), 2);
        drop(first);
        let second = open("m", Keep::All);
        let scores = second.score(&[all.clone(), kept.clone(), seen.clone()], &Cancel::never()).unwrap();
        assert_eq!(
            scores,
            Counting::default().score(&[all.clone(), kept.clone(), seen.clone()], &Cancel::never()).unwrap()
        );
        assert_eq!(*second.scorer.0.lock().unwrap(), 2, "all but the kept one");
        let statistics = second.statistics();
        assert_eq!((statistics.hits, statistics.kept, statistics.misses), (0, 1, 2));
        drop(second);
        assert_eq!(asked(&open("m", Keep::Asked), &[kept.clone(), seen, all]), 0);
        assert_eq!(asked(&open("another model", Keep::Asked), &[kept]), 1);
    }

    #[test]
    fn vectors_outlive_the_process_and_are_those_of_one_model() {
        let folder = tempfile::tempdir().unwrap();
        let computed = |identity, arithmetic| {
            let file = Arc::new(CacheFile::new(folder.path().join("vectors.redb"), 1 << 20));
            let cached = CachedEmbedder::new(Lengths::default(), identity, 1 << 20);
            let (cached, cancel) = (cached.with_file(file, arithmetic), Cancel::never());
            assert_eq!(cached.embed(&["a", "bb"], &cancel).unwrap(), [[1.0], [2.0]]);
            assert_eq!(cached.embed_query("a", &cancel).unwrap(), [1.0]);
            *cached.embedder.0.lock().unwrap()
        };
        // A question is another thing than a text of the same words.
        assert_eq!([computed("m", "int8"), computed("m", "int8")], [3, 0]);
        assert_eq!([computed("m", "f32"), computed("another", "int8")], [3, 3]);
    }

    #[test]
    fn the_limit_of_bytes_holds() {
        let cached = CachedScorer::new(Counting::default(), "m", 10_000);
        for id in 0..1000 {
            cached.score(&[job(&[], &[id; 16])], &Cancel::never()).unwrap();
        }
        assert!(cached.statistics().bytes <= 10_000);
    }

    #[test]
    fn a_stopped_call_asks_nothing() {
        let cached = CachedScorer::new(Counting::default(), "m", 1 << 20);
        let cancel = Cancel::never();
        cancel.cancel();
        assert!(cached.score(&[job(&[], &[1])], &cancel).is_err());
        assert_eq!(*cached.scorer.0.lock().unwrap(), 0);
    }
}
