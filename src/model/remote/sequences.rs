//! The sequences of tokens that a server reads for jobs: what is longer than the window goes in parts.
//!
//! A job sees what it would see in this process (see the schedule of the local scorer), but for one thing: a part of a long
//! text is read behind the tokens before it anew, for a server keeps no keys and values between requests.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::ScoreJob;

/// First tokens of a text that each of its parts begins with: much of a model's attention rests on them.
const FIRST: usize = 4;

/// A sequence to read, and the jobs that its scores belong to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScoredSequence {
    pub(super) ids: Vec<u32>,
    pub(super) parts: Vec<SequencePart>,
}

/// The places of a sequence whose scores belong to a job, behind those of its earlier parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SequencePart {
    pub(super) job: usize,
    pub(super) places: Range<usize>,
}

/// Returns the sequences that all scores of `jobs` can be read from, with those of a long job in its order.
pub(super) fn sequences(jobs: &[ScoreJob], window: usize) -> Vec<ScoredSequence> {
    let followers = followers(jobs, window);
    let mut taken = vec![false; jobs.len()];
    for &after in followers.values() {
        taken[after] = true;
    }
    let mut found = Vec::new();
    for (i, job) in jobs.iter().enumerate().filter(|(i, job)| !taken[*i] && !job.ids.is_empty()) {
        if let Some(&after) = followers.get(&i) {
            let (first, all) = (job.ids.len(), job.ids.len() + jobs[after].ids.len());
            let parts = [(i, 1..first), (after, first..all)];
            push(&mut found, [&job.ids[..], &jobs[after].ids].concat(), parts);
            continue;
        }
        let prefix = visible_prefix(job, window);
        let (before, all) = (prefix.len(), prefix.len() + job.ids.len());
        if all <= window {
            push(&mut found, [prefix, &job.ids].concat(), [(i, before.max(1)..all)]);
        } else {
            push_long(&mut found, (i, job), prefix, window);
        }
    }
    found
}

/// Adds a sequence, unless nothing of it is scored.
fn push<const N: usize>(found: &mut Vec<ScoredSequence>, ids: Vec<u32>, parts: [(usize, Range<usize>); N]) {
    let parts = parts.into_iter().map(|(job, places)| SequencePart { job, places });
    let parts: Vec<SequencePart> = parts.filter(|part| !part.places.is_empty()).collect();
    if !parts.is_empty() {
        found.push(ScoredSequence { ids, parts });
    }
}

/// Adds the parts of a job that is longer than the window. Each token sees its prefix, or the first tokens, and as many
/// before it as the part is long.
fn push_long(found: &mut Vec<ScoredSequence>, (i, job): (usize, &ScoreJob), prefix: &[u32], window: usize) {
    let head = if prefix.is_empty() { &job.ids[..FIRST.min(job.ids.len())] } else { prefix };
    let stride = (window.saturating_sub(head.len()) / 2).saturating_sub(1).max(1);
    // The first part has nothing before it, and is as long as two.
    let unscored = usize::from(prefix.is_empty());
    let mut done = (2 * stride).min(job.ids.len());
    push(found, [prefix, &job.ids[..done]].concat(), [(i, prefix.len() + unscored..prefix.len() + done)]);
    while done < job.ids.len() {
        let end = (done + stride).min(job.ids.len());
        let ids = [head, &job.ids[done - stride..end]].concat();
        let places = head.len() + stride..ids.len();
        push(found, ids, [(i, places)]);
        done = end;
    }
}

/// Returns the part of a job's prefix that its tokens see: what the text leaves of the window, or half of the window.
fn visible_prefix(job: &ScoreJob, window: usize) -> &[u32] {
    let room = window.saturating_sub(job.ids.len().max(1)).max(window / 2);
    &job.prefix[job.prefix.len().saturating_sub(room)..]
}

/// Finds, for jobs without a prefix, a job whose prefix they are: one sequence serves both.
fn followers(jobs: &[ScoreJob], window: usize) -> HashMap<usize, usize> {
    let alone = jobs.iter().enumerate().filter(|(_, job)| job.prefix.is_empty() && !job.ids.is_empty());
    let by_ids: HashMap<&[u32], usize> = alone.map(|(i, job)| (&job.ids[..], i)).collect();
    let mut followers = HashMap::new();
    for (after, job) in jobs.iter().enumerate().filter(|(_, job)| !job.prefix.is_empty()) {
        if let Some(&first) = by_ids.get(&job.prefix[..])
            && job.prefix.len() + job.ids.len() <= window
        {
            followers.entry(first).or_insert(after);
        }
    }
    followers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(prefix: &[u32], ids: &[u32]) -> ScoreJob {
        ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }
    }

    #[test]
    fn a_question_behind_a_document_is_read_with_it() {
        let jobs =
            [job(&[], &[1, 2, 3]), job(&[1, 2, 3], &[8, 9]), job(&[7], &[1]), job(&[], &[5]), job(&[], &[])];
        let part = |job, places| SequencePart { job, places };
        assert_eq!(
            sequences(&jobs, 16),
            [
                ScoredSequence { ids: vec![1, 2, 3, 8, 9], parts: vec![part(0, 1..3), part(1, 3..5)] },
                ScoredSequence { ids: vec![7, 1], parts: vec![part(2, 1..2)] },
            ]
        );
    }

    #[test]
    fn parts_of_long_texts_fit_the_window_and_score_each_token_once_and_in_order() {
        let long: Vec<u32> = (100..200).collect();
        let prefix: Vec<u32> = (0..40).collect();
        for (prefix, unscored) in [(&[][..], 1), (&[1, 2, 3][..], 0), (&prefix[..], 0)] {
            let found = sequences(&[job(prefix, &long)], 16);
            let mut scored: Vec<u32> = Vec::new();
            for sequence in &found {
                assert!(sequence.ids.len() <= 16, "{sequence:?}");
                for part in &sequence.parts {
                    // A token sees those right before it, and the beginning.
                    assert!(part.places.start >= 1);
                    scored.extend(&sequence.ids[part.places.clone()]);
                    let context = &sequence.ids[..part.places.start];
                    let begins =
                        if prefix.is_empty() { &long[..] } else { &prefix[prefix.len().saturating_sub(8)..] };
                    assert!(begins.starts_with(&context[..context.len().min(3)]), "{sequence:?}");
                }
            }
            assert_eq!(scored, long[unscored..], "{prefix:?}");
        }
    }
}
