//! The schedule of scoring jobs: jobs become forward passes, and no token is run twice where one pass can serve both.
//!
//! - A job whose prefix is another job of the same call (a question after a document that is scored itself)
//!   is one run with it.
//! - A prefix whose keys and values an earlier call left is not run at all.
//! - A prefix that several jobs share (a question before many documents) is run once; its keys and values
//!   are kept for them.
//! - A prefix of one job alone is run together with it, unscored.
//! - What is longer than the window is run part by part, each of which sees the first tokens and the part before it.
//!
//! # Choice for long texts
//! 8,000 tokens, of `eval/texts/incident.md` and of a README, in f32 with a window of 2,048, against one pass over all of
//! them; `cargo test --test parity -- --nocapture beyond` does so for 4,000 and a window of 1,024:
//!
//! | | mean NLL | Spearman | same decision at rate 0.5 | each token is run |
//! |---|---|---|---|---|
//! | windows that overlap by half | +0.109 | 0.964 | 95.8% | twice |
//! | parts behind what earlier ones left | +0.113 | 0.964 | 95.8% | once |

use std::collections::HashMap;
use std::sync::Arc;

use super::prefix_cache::PrefixCache;
use super::worker::{Prefix, Run, SINKS, known};
use crate::model::ScoreJob;

/// The runs for the worker, and the jobs that their scores belong to.
pub(super) struct Schedule {
    pub(super) runs: Vec<Run>,
    /// The jobs that each run's scores belong to, in order.
    pub(super) parts: Vec<Vec<JobScores>>,
    /// The leading tokens of a text without a prefix that have no score: its first, and a BOS token.
    unscored: usize,
}

/// A number of a run's scores that belong to one job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobScores {
    pub(super) job: usize,
    pub(super) scores: usize,
}

impl Schedule {
    /// Schedules jobs for a model that sees at most `window` tokens together, of which `bos` is the first where a text
    /// begins with one.
    pub(super) fn new(jobs: &[ScoreJob], window: usize, bos: Option<u32>, texts: &PrefixCache) -> Self {
        let jobs: Vec<ScoreJob> = jobs.iter().map(|job| visible(job, window, bos)).collect();
        let unscored = 1 + usize::from(bos.is_some());
        let mut schedule = Self { runs: Vec::new(), parts: Vec::new(), unscored };
        let mut uses: HashMap<&[u32], usize> = HashMap::new();
        for job in &jobs {
            *uses.entry(&job.prefix).or_default() += 1;
        }
        let (fused, taken) = fuse(&jobs, window);
        let mut shared: HashMap<&[u32], Arc<Prefix>> = HashMap::new();
        for (i, job) in jobs.iter().enumerate() {
            let prefix = &job.prefix[..];
            if taken[i] {
                continue;
            }
            if let Some(after) = fused.get(&i) {
                schedule.push_pair(&jobs, i, *after, texts);
                continue;
            }
            let worth_caching = worth_caching(prefix, &job.ids, texts);
            let kept = || worth_caching.then(|| texts.get(known(prefix))).flatten();
            if prefix.len() > 1 && uses[prefix] > 1 {
                let fresh = || Arc::new(Prefix::new(prefix, kept()));
                let prefix = shared.entry(prefix).or_insert_with(fresh).clone();
                schedule.push_after(i, job, window, Some(prefix));
            } else if let Some(kept) = kept() {
                let shared = Arc::new(Prefix::new(prefix, Some(kept)));
                schedule.push_after(i, job, window, Some(shared));
            } else if prefix.is_empty() || prefix.len() + job.ids.len() > window {
                let prefix = (!prefix.is_empty()).then(|| Arc::new(Prefix::new(prefix, None)));
                schedule.push_after(i, job, window, prefix);
            } else {
                let ids = [prefix, &job.ids].concat();
                let kept = if worth_caching { known(prefix).len() } else { 0 };
                let run = Run::whole(None, ids, prefix.len()).keeping(kept);
                schedule.push(run, vec![JobScores { job: i, scores: job.ids.len() }]);
            }
        }
        schedule
    }

    fn push(&mut self, run: Run, parts: Vec<JobScores>) {
        if parts.iter().any(|part| part.scores > 0) {
            self.runs.push(run);
            self.parts.push(parts);
        }
    }

    /// Adds one run of job `first` and of job `second`, whose prefix is the first.
    fn push_pair(&mut self, jobs: &[ScoreJob], first: usize, second: usize, texts: &PrefixCache) {
        let (own, after) = (&jobs[first].ids, &jobs[second].ids);
        let parts = vec![
            JobScores { job: first, scores: own.len().saturating_sub(self.unscored) },
            JobScores { job: second, scores: after.len() },
        ];
        let kept = if worth_caching(own, after, texts) { known(own).len() } else { 0 };
        self.push(Run::whole(None, [&own[..], after].concat(), self.unscored).keeping(kept), parts);
    }

    /// Adds a run after a prefix. Where the two are longer than the window, what is in sight of a part is the prefix, or
    /// the first tokens, and the part before it: a token sees nearly half a window, and at most a whole one.
    fn push_after(&mut self, i: usize, job: &ScoreJob, window: usize, prefix: Option<Arc<Prefix>>) {
        let (head, unscored) = prefix.as_ref().map_or((SINKS, self.unscored), |prefix| (prefix.ids.len(), 0));
        let length = job.ids.len();
        let fits = length + prefix.as_ref().map_or(0, |prefix| prefix.ids.len()) <= window;
        let mut run = Run::whole(prefix, job.ids.clone(), unscored);
        if !fits {
            run.stride = ((window - head) / 2).saturating_sub(1).max(1);
        }
        self.push(run, vec![JobScores { job: i, scores: length.saturating_sub(unscored) }]);
    }
}

/// Returns a job with the part of its prefix that its tokens see, `bos` before both.
fn visible(job: &ScoreJob, window: usize, bos: Option<u32>) -> ScoreJob {
    let Some(bos) = bos else {
        let seen = visible_prefix(job, window);
        let prefix = if seen.len() == job.prefix.len() { Arc::clone(&job.prefix) } else { seen.into() };
        return ScoreJob { prefix, ids: job.ids.clone() };
    };
    if job.prefix.is_empty() {
        return ScoreJob { prefix: [].into(), ids: [&[bos], &job.ids[..]].concat() };
    }
    let prefix = [&[bos], visible_prefix(job, window - 1)].concat();
    ScoreJob { prefix: prefix.into(), ids: job.ids.clone() }
}

/// Returns the part of a job's prefix that its tokens see. It may fill what the text leaves of a window, or half of the
/// window; a longer one is truncated to its end, which is next to the text. The result depends on the job alone, for its
/// scores are cached by the whole prefix.
fn visible_prefix(job: &ScoreJob, window: usize) -> &[u32] {
    let room = window.saturating_sub(job.ids.len().max(1)).max(window / 2);
    &job.prefix[job.prefix.len().saturating_sub(room)..]
}

/// Returns whether the keys and values of a prefix are worth caching: a text that costs more than what follows it is
/// likely to be followed by something else, as a document is by the next question.
fn worth_caching(prefix: &[u32], ids: &[u32], texts: &PrefixCache) -> bool {
    prefix.len() > ids.len().max(1) && texts.is_enabled()
}

/// Finds, for jobs without a prefix, a job whose prefix they are; and returns the jobs that are served by it.
fn fuse(jobs: &[ScoreJob], window: usize) -> (HashMap<usize, usize>, Vec<bool>) {
    let alone = jobs.iter().enumerate().filter(|(_, job)| job.prefix.is_empty() && !job.ids.is_empty());
    let by_ids: HashMap<&[u32], usize> = alone.map(|(i, job)| (&job.ids[..], i)).collect();
    let (mut fused, mut taken) = (HashMap::new(), vec![false; jobs.len()]);
    for (second, job) in jobs.iter().enumerate().filter(|(_, job)| !job.prefix.is_empty()) {
        if let Some(&first) = by_ids.get(&job.prefix[..])
            && job.prefix.len() + job.ids.len() <= window
            && !fused.contains_key(&first)
        {
            fused.insert(first, second);
            taken[second] = true;
        }
    }
    (fused, taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Precision;
    use crate::model::local::causal::{KvCache, LlamaConfig};
    use crate::model::local::prefix_cache::KvFormat;

    fn job(prefix: &[u32], ids: &[u32]) -> ScoreJob {
        ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }
    }

    const CONFIG: LlamaConfig = LlamaConfig::TINY;

    fn texts(bytes: u64) -> PrefixCache {
        PrefixCache::new(KvFormat::new(&CONFIG, Precision::Int8), bytes)
    }

    fn schedule(jobs: &[ScoreJob]) -> Schedule {
        Schedule::new(jobs, 16, None, &texts(0))
    }

    #[test]
    fn what_an_earlier_call_left_of_a_document_is_not_run_again() {
        let texts = texts(1 << 20);
        let after = job(&[1, 2, 3, 4], &[9, 8]);
        let first = Schedule::new(&[job(&[], &[1, 2, 3, 4]), after.clone()], 16, None, &texts);
        assert_eq!((first.runs.len(), first.runs[0].kept), (1, 3), "all but the last token");
        let mut cache = KvCache::new(&CONFIG);
        cache.append_rows(0, std::iter::once(&[0.5; 3 * 128][..]));
        texts.put(&[1, 2, 3], cache);
        let next = Schedule::new(&[job(&[1, 2, 3, 4], &[7])], 16, None, &texts);
        let run = &next.runs[0];
        assert_eq!((&run.ids[..], run.kept), (&[7][..], 0));
        assert_eq!(run.prefix.as_ref().map(|prefix| prefix.ids.len()), Some(4));
        // Another document, a prefix shorter than what follows, and one that several jobs share.
        let other = Schedule::new(&[job(&[5, 2, 3, 4], &[7])], 16, None, &texts);
        assert!(other.runs[0].prefix.is_none() && other.runs[0].kept == 3);
        let short = Schedule::new(&[job(&[1, 2], &[7, 8, 9])], 16, None, &texts);
        assert!(short.runs[0].prefix.is_none() && short.runs[0].kept == 0);
        let shared = Schedule::new(&[after, job(&[1, 2, 3, 4], &[6])], 16, None, &texts);
        assert!(shared.runs.iter().all(|run| run.prefix.is_some() && run.kept == 0));
        assert_eq!(texts.statistics().hits, 2);
    }

    fn tokens(schedule: &Schedule) -> usize {
        schedule.runs.iter().map(|run| run.ids.len()).sum()
    }

    #[test]
    fn a_question_after_a_document_is_one_run_with_it() {
        let jobs = [job(&[], &[1, 2, 3]), job(&[], &[4, 5]), job(&[1, 2, 3], &[9, 8]), job(&[4, 5], &[9, 8])];
        let schedule = schedule(&jobs);
        assert_eq!(schedule.runs.len(), 2);
        assert_eq!(schedule.runs[0].ids, [1, 2, 3, 9, 8]);
        assert_eq!(schedule.parts[0], [JobScores { job: 0, scores: 2 }, JobScores { job: 2, scores: 2 }]);
        assert_eq!(tokens(&schedule), 9);
    }

    #[test]
    fn what_a_job_is_conditioned_on_does_not_depend_on_its_company() {
        // More than half of the window.
        let document: Vec<u32> = (0..12).collect();
        let after = job(&document, &[20, 21]);
        let together = schedule(&[job(&[], &document), after.clone()]);
        let alone = schedule(std::slice::from_ref(&after));
        assert_eq!(together.runs[0].ids, alone.runs[0].ids);
        assert_eq!((alone.runs.len(), alone.runs[0].scored_from), (1, 12));
        let longer = job(&(0..40).collect::<Vec<_>>(), &[50, 51, 52]);
        let schedule = schedule(&[longer]);
        assert_eq!(schedule.runs[0].ids, (27..40).chain([50, 51, 52]).collect::<Vec<_>>());
    }

    #[test]
    fn a_shared_prefix_is_run_once_and_a_single_one_with_its_job() {
        let shared = schedule(&[job(&[7, 7], &[1, 2]), job(&[7, 7], &[3])]);
        assert!(shared.runs.iter().all(|run| run.prefix.is_some()));
        assert!(Arc::ptr_eq(
            shared.runs[0].prefix.as_ref().unwrap(),
            shared.runs[1].prefix.as_ref().unwrap()
        ));
        let single = schedule(&[job(&[7, 7], &[1, 2])]);
        assert!(single.runs[0].prefix.is_none() && single.runs[0].scored_from == 2);
        assert_eq!(single.parts[0], [JobScores { job: 0, scores: 2 }]);
    }

    #[test]
    fn a_bos_token_stands_before_each_text_and_has_no_score() {
        let document: Vec<u32> = (10..14).collect();
        let long: Vec<u32> = (10..60).collect();
        let jobs = [
            job(&[], &document),
            job(&document, &[9, 8]),
            job(&[7], &[1, 2]),
            job(&[7], &[3]),
            job(&[], &long),
            job(&long, &[1]),
            job(&[], &[]),
        ];
        let schedule = Schedule::new(&jobs, 16, Some(2), &texts(0));
        let begins = |run: &Run| match &run.prefix {
            Some(prefix) => prefix.ids[0],
            None => run.ids[0],
        };
        assert!(schedule.runs.iter().all(|run| begins(run) == 2));
        assert_eq!(
            (&schedule.runs[0].ids[..], schedule.runs[0].scored_from),
            (&[2, 10, 11, 12, 13, 9, 8][..], 2)
        );
        let scores = |job: usize| -> usize {
            schedule.parts.iter().flatten().filter(|part| part.job == job).map(|part| part.scores).sum()
        };
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(scores), [3, 2, 2, 1, 49, 1, 0]);
        // What follows a long prefix sees the token too, and fits the window.
        let last = schedule.runs.last().unwrap();
        assert_eq!((last.ids.len(), last.ids[0], last.ids[1]), (16, 2, 46));
    }

    #[test]
    fn every_job_gets_all_of_its_scores() {
        let long: Vec<u32> = (0..100).collect();
        let jobs = [
            job(&[], &long),
            job(&long, &long),
            job(&[], &[1]),
            job(&[], &[]),
            job(&[3], &[1]),
            job(&[3], &[2]),
        ];
        let schedule = schedule(&jobs);
        for run in &schedule.runs {
            let head = run.prefix.as_ref().map_or(SINKS, |prefix| prefix.ids.len());
            let parts = run.ids.len().div_ceil(run.stride);
            // A part sees what stays in sight and the part before it, and is run with the last token of that.
            assert!(parts == 1 || head + 2 * run.stride < 16, "{} of {}", run.stride, run.ids.len());
            assert!(parts > 1 || run.ids.len() <= 16);
        }
        for (i, want) in [99, 100, 0, 0, 1, 1].into_iter().enumerate() {
            let got: usize =
                schedule.parts.iter().flatten().filter(|part| part.job == i).map(|part| part.scores).sum();
            assert_eq!(got, want, "job {i}");
        }
    }
}
