//! The changes to a request, and what is reported of them.

use std::sync::Arc;

use super::compress::Fallback;
use super::fold::Folds;
use super::outcome::{Key, Outcome};
use super::retrieve::Inserts;
use super::{Report, Status};

/// The changes to a request's passages. The default leaves all as they are.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) passages: Vec<(Key, Arc<Outcome>)>,
    /// What becomes of tools' results.
    pub(super) folds: Folds,
    /// The texts that are put before questions.
    pub(super) inserts: Inserts,
}

/// The decision on a text, with the reason where it was sent as it came.
pub(super) type Settled = Result<Arc<Outcome>, (Arc<Outcome>, Fallback)>;

impl Plan {
    /// The plan for passages with these `keys`; `small` says whether there are texts that are too short for one.
    pub(super) fn new(keys: &[Key], outcomes: Vec<Option<Settled>>, mut small: bool) -> (Self, Report) {
        let mut report = Report::default();
        let mut plan = Vec::with_capacity(keys.len());
        for (key, settled) in keys.iter().zip(outcomes) {
            let (outcome, fallback) = match settled.unwrap_or_else(|| Ok(Arc::new(Outcome::Whole))) {
                Ok(outcome) => (outcome, None),
                Err((outcome, fallback)) => (outcome, Some(fallback)),
            };
            match &*outcome {
                Outcome::Kept { tokens, .. } | Outcome::Replaced { tokens, .. } => {
                    report.tokens.before += tokens.before;
                    report.tokens.after += tokens.after;
                    report.status = Status::Compressed;
                }
                Outcome::Pinned => {
                    // The reason of now says more than that there was one before.
                    report.fallback = fallback.or(report.fallback).or(Some(Fallback::Remembered));
                }
                Outcome::Small => small = true,
                Outcome::Whole | Outcome::Folded { .. } | Outcome::Inserted { .. } => {}
            }
            plan.push((*key, outcome));
        }
        if report.status == Status::Unchanged {
            match report.fallback {
                Some(_) => report.status = Status::Original,
                None => report.fallback = small.then_some(Fallback::Small),
            }
        }
        (Self { passages: plan, ..Self::default() }, report)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.passages.iter().map(|(key, _)| *key).chain(self.folds.keys.iter().copied())
    }
}
