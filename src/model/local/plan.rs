//! From jobs to runs of the model: nothing is run twice that one run can give.
//!
//! - A job whose prefix is another job of the same call (a question after a document that is scored itself)
//!   is one run with it.
//! - A prefix that several jobs share (a question before many documents) is run once; its keys and values
//!   are kept for them.
//! - A prefix of one job alone is run together with it, unscored.
//! - What is longer than the window is cut into overlapping windows.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::windows::windows;
use super::worker::{Prefix, Run};
use crate::model::ScoreJob;

/// Runs for the worker, and where their scores belong.
pub(super) struct Plan {
    pub(super) runs: Vec<Run>,
    /// For each run, the jobs that its scores belong to, in their order.
    pub(super) parts: Vec<Vec<Part>>,
}

/// So many scores of a run belong to a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) job: usize,
    pub(super) scores: usize,
}

impl Plan {
    pub(super) fn new(jobs: &[ScoreJob], window: usize) -> Self {
        let mut plan = Self { runs: Vec::new(), parts: Vec::new() };
        let mut uses: HashMap<&[u32], usize> = HashMap::new();
        for job in jobs {
            *uses.entry(kept_prefix(job, window)).or_default() += 1;
        }
        let (fused, taken) = fuse(jobs, window);
        let mut shared: HashMap<&[u32], Arc<Prefix>> = HashMap::new();
        for (i, job) in jobs.iter().enumerate() {
            let prefix = kept_prefix(job, window);
            if taken[i] {
                continue;
            }
            if let Some(after) = fused.get(&i) {
                plan.push_pair(jobs, i, *after);
            } else if prefix.len() > 1 && uses[prefix] > 1 {
                let fresh = || Arc::new(Prefix { ids: prefix.to_vec(), cache: OnceLock::new() });
                let prefix = shared.entry(prefix).or_insert_with(fresh).clone();
                plan.push_windows(i, job, window - prefix.ids.len(), Some(&prefix));
            } else if prefix.is_empty() || prefix.len() + job.ids.len() > window {
                let prefix = (!prefix.is_empty())
                    .then(|| Arc::new(Prefix { ids: prefix.to_vec(), cache: OnceLock::new() }));
                let room = window - prefix.as_ref().map_or(0, |prefix| prefix.ids.len());
                plan.push_windows(i, job, room, prefix.as_ref());
            } else {
                let ids = [prefix, &job.ids].concat();
                let scored_from = prefix.len();
                plan.push(
                    Run { prefix: None, ids, scored_from },
                    vec![Part { job: i, scores: job.ids.len() }],
                );
            }
        }
        plan
    }

    fn push(&mut self, run: Run, parts: Vec<Part>) {
        if parts.iter().any(|part| part.scores > 0) {
            self.runs.push(run);
            self.parts.push(parts);
        }
    }

    /// One run of job `first` and of job `second`, whose prefix is the first.
    fn push_pair(&mut self, jobs: &[ScoreJob], first: usize, second: usize) {
        let (own, after) = (&jobs[first].ids, &jobs[second].ids);
        let parts =
            vec![Part { job: first, scores: own.len() - 1 }, Part { job: second, scores: after.len() }];
        self.push(Run { prefix: None, ids: [&own[..], after].concat(), scored_from: 0 }, parts);
    }

    fn push_windows(
        &mut self,
        job: usize,
        ScoreJob { ids, .. }: &ScoreJob,
        size: usize,
        prefix: Option<&Arc<Prefix>>,
    ) {
        for window in windows(ids.len(), size, size / 2) {
            let scored_from = window.scored_from - window.tokens.start;
            let unscored = usize::from(prefix.is_none() && scored_from == 0);
            let scores = window.tokens.len() - scored_from - unscored;
            let run = Run { prefix: prefix.cloned(), ids: ids[window.tokens].to_vec(), scored_from };
            self.push(run, vec![Part { job, scores }]);
        }
    }
}

/// A prefix may fill what the text leaves of a window, or half of it; of a longer one the end is kept, which is next to
/// the text. What is kept depends on the job alone, for its scores are remembered by the whole prefix.
fn kept_prefix(job: &ScoreJob, window: usize) -> &[u32] {
    let room = window.saturating_sub(job.ids.len().max(1)).max(window / 2);
    &job.prefix[job.prefix.len().saturating_sub(room)..]
}

/// For jobs without a prefix, a job whose prefix they are; and which jobs are taken care of so.
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

    fn job(prefix: &[u32], ids: &[u32]) -> ScoreJob {
        ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }
    }

    fn tokens(plan: &Plan) -> usize {
        plan.runs.iter().map(|run| run.ids.len()).sum()
    }

    #[test]
    fn a_question_after_a_document_is_one_run_with_it() {
        let jobs = [job(&[], &[1, 2, 3]), job(&[], &[4, 5]), job(&[1, 2, 3], &[9, 8]), job(&[4, 5], &[9, 8])];
        let plan = Plan::new(&jobs, 16);
        assert_eq!(plan.runs.len(), 2);
        assert_eq!(plan.runs[0].ids, [1, 2, 3, 9, 8]);
        assert_eq!(plan.parts[0], [Part { job: 0, scores: 2 }, Part { job: 2, scores: 2 }]);
        assert_eq!(tokens(&plan), 9);
    }

    #[test]
    fn what_a_job_is_conditioned_on_does_not_depend_on_its_company() {
        // More than half of the window.
        let document: Vec<u32> = (0..12).collect();
        let after = job(&document, &[20, 21]);
        let together = Plan::new(&[job(&[], &document), after.clone()], 16);
        let alone = Plan::new(std::slice::from_ref(&after), 16);
        assert_eq!(together.runs[0].ids, alone.runs[0].ids);
        assert_eq!((alone.runs.len(), alone.runs[0].scored_from), (1, 12));
        let longer = job(&(0..40).collect::<Vec<_>>(), &[50, 51, 52]);
        let plan = Plan::new(&[longer], 16);
        assert_eq!(plan.runs[0].ids, (27..40).chain([50, 51, 52]).collect::<Vec<_>>());
    }

    #[test]
    fn a_shared_prefix_is_run_once_and_a_single_one_with_its_job() {
        let shared = Plan::new(&[job(&[7, 7], &[1, 2]), job(&[7, 7], &[3])], 16);
        assert!(shared.runs.iter().all(|run| run.prefix.is_some()));
        assert!(Arc::ptr_eq(
            shared.runs[0].prefix.as_ref().unwrap(),
            shared.runs[1].prefix.as_ref().unwrap()
        ));
        let single = Plan::new(&[job(&[7, 7], &[1, 2])], 16);
        assert!(single.runs[0].prefix.is_none() && single.runs[0].scored_from == 2);
        assert_eq!(single.parts[0], [Part { job: 0, scores: 2 }]);
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
        let plan = Plan::new(&jobs, 16);
        assert!(
            plan.runs.iter().all(|run| run.ids.len() + run.prefix.as_ref().map_or(0, |p| p.ids.len()) <= 16)
        );
        for (i, want) in [99, 100, 0, 0, 1, 1].into_iter().enumerate() {
            let got: usize =
                plan.parts.iter().flatten().filter(|part| part.job == i).map(|part| part.scores).sum();
            assert_eq!(got, want, "job {i}");
        }
    }
}
