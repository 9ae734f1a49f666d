//! Scores that were computed before: a scorer in front of a scorer.
//!
//! A score depends on the model's file, its precision, the tokens before and the tokens themselves; their
//! blake3 hash is the key. Texts that were scored once by themselves cost nothing when they come with another
//! question, rate or method.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use super::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};

/// Bytes that an entry takes besides its scores.
const OVERHEAD: usize = 160;

/// Remembers the scores of another scorer, within a limit of bytes; what was not used for longest goes first.
#[derive(Debug)]
pub struct CachedScorer<S> {
    scorer: S,
    /// Everything that scores depend on besides the tokens.
    identity: [u8; 32],
    scores: Cache<[u8; 32], Arc<[f32]>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Jobs answered from memory.
    pub hits: u64,
    /// Jobs that the model ran.
    pub misses: u64,
    /// Bytes held now, about.
    pub bytes: u64,
}

impl<S: TokenScorer> CachedScorer<S> {
    /// Remembers up to `bytes` of scores of `scorer`. `identity` names what scores depend on besides tokens:
    /// the model's file and its precision.
    #[must_use]
    pub fn new(scorer: S, identity: &str, bytes: u64) -> Self {
        let weight = |_: &[u8; 32], scores: &Arc<[f32]>| {
            u32::try_from(OVERHEAD + size_of_val::<[f32]>(scores)).unwrap_or(u32::MAX)
        };
        Self {
            scorer,
            identity: *blake3::hash(identity.as_bytes()).as_bytes(),
            scores: Cache::builder().max_capacity(bytes).weigher(weight).build(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Hits, misses and bytes since the start.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.scores.run_pending_tasks();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.scores.weighted_size(),
        }
    }

    fn key(&self, job: &ScoreJob) -> [u8; 32] {
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
        let keys: Vec<[u8; 32]> = jobs.iter().map(|job| self.key(job)).collect();
        let known: Vec<Option<Arc<[f32]>>> = keys.iter().map(|key| self.scores.get(key)).collect();
        let unknown: Vec<usize> = (0..jobs.len()).filter(|&i| known[i].is_none()).collect();
        self.hits.fetch_add((jobs.len() - unknown.len()) as u64, Ordering::Relaxed);
        self.misses.fetch_add(unknown.len() as u64, Ordering::Relaxed);
        let missing: Vec<ScoreJob> = unknown.iter().map(|&i| jobs[i].clone()).collect();
        let fresh = if missing.is_empty() { Vec::new() } else { self.scorer.score(&missing, cancel)? };
        let mut results: Vec<Vec<f32>> =
            known.into_iter().map(|scores| scores.map_or_else(Vec::new, |scores| scores.to_vec())).collect();
        for (i, scores) in unknown.into_iter().zip(fresh) {
            self.scores.insert(keys[i], scores.clone().into());
            results[i] = scores;
        }
        Ok(results)
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        self.scorer.session()
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
