//! The changes to a request, and what is reported of them.

use std::sync::Arc;

use super::compress::Fallback;
use super::decision::{Decision, Key};
use super::fold::Folds;
use super::recall_tool::Tool;
use super::retrieve::Inserts;
use super::{RequestReport, Status};

/// The changes to a request's passages. The default leaves all as they are.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) passages: Vec<(Key, Arc<Decision>)>,
    /// What becomes of tools' results.
    pub(super) folds: Folds,
    /// The texts that are put before questions.
    pub(super) inserts: Inserts,
    /// The tool that recalls originals, where the conversation has it.
    pub(super) tool: Option<Tool>,
}

/// The decision on a text, with the reason where it was sent as it came.
pub(super) type Settled = Result<Arc<Decision>, (Arc<Decision>, Fallback)>;

impl Plan {
    /// The plan for passages with these `keys`; `small` says whether there are texts that are too short for one.
    pub(super) fn new(
        keys: &[Key],
        outcomes: Vec<Option<Settled>>,
        mut small: bool,
    ) -> (Self, RequestReport) {
        let mut report = RequestReport::default();
        let mut plan = Vec::with_capacity(keys.len());
        for (key, settled) in keys.iter().zip(outcomes) {
            let (decision, fallback) = match settled.unwrap_or_else(|| Ok(Arc::new(Decision::Unchanged))) {
                Ok(decision) => (decision, None),
                Err((decision, fallback)) => (decision, Some(fallback)),
            };
            match &*decision {
                Decision::Subset { tokens, .. } | Decision::Replaced { tokens, .. } => {
                    report.tokens.before += tokens.before;
                    report.tokens.after += tokens.after;
                    report.status = Status::Compressed;
                }
                Decision::Declined => {
                    // The reason of now says more than that there was one before.
                    report.fallback = fallback.or(report.fallback).or(Some(Fallback::Remembered));
                }
                Decision::Small => small = true,
                Decision::Unchanged
                | Decision::Folded { .. }
                | Decision::Inserted { .. }
                | Decision::Tool => {}
            }
            plan.push((*key, decision));
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
        self.passages
            .iter()
            .map(|(key, _)| *key)
            .chain(self.folds.keys.iter().copied())
            .chain(self.tool.iter().map(|tool| tool.key))
    }
}
