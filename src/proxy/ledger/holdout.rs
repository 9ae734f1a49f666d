//! Held-out conversations, compared with the others.
//!
//! All conversations of the experiment count, those with nothing to change included: which of the held-out ones would
//! have been changed is not known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Entry;
use super::entry::Trial;
use crate::random::statistics::Estimate;

/// Seed of the resamples: the same ledger gives the same intervals.
const SEED: u64 = 19;

/// A comparison of held-out conversations with the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HoldoutReport {
    /// Conversations whose texts were changed where that saves something.
    pub changed: ArmFigures,
    /// Conversations that went on as they came.
    pub held_out: ArmFigures,
    /// The means of changed conversations less those of held-out ones, with their 95% intervals by resampling.
    pub difference: ArmMeans,
}

/// The figures of one group of conversations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArmFigures {
    /// Conversations.
    pub conversations: usize,
    /// Requests of these conversations.
    pub requests: u64,
    /// The number of requests that were not answered with success.
    pub errors: u64,
    /// Means of a conversation, with their 95% intervals: by resampling, that of `failed` by Wilson.
    #[serde(flatten)]
    pub means: ArmMeans,
}

/// Means over conversations. What there is no sample of is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArmMeans {
    /// Dollars; conversations of models without a price do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Mean>,
    /// Tokens of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<Mean>,
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<Mean>,
    /// Share of the conversations that have an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Mean>,
}

/// A mean with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Conversations that it is made of.
    pub n: usize,
}

impl From<Estimate> for Mean {
    fn from(Estimate { mean, low, high, n }: Estimate) -> Self {
        Self { mean, low, high, n }
    }
}

/// Sums by conversation while they are made.
#[derive(Debug, Default)]
pub(super) struct Trials(BTreeMap<Trial, Sum>);

#[derive(Debug, Default)]
struct Sum {
    requests: u64,
    errors: u64,
    input: u64,
    /// Billionths of a dollar; none where any request has no price.
    cost: Option<i64>,
}

impl Trials {
    pub(super) fn add(&mut self, entry: &Entry) -> bool {
        if let Some(trial) = entry.more.trial {
            let sum = self.0.entry(trial).or_insert(Sum { cost: Some(0), ..Sum::default() });
            sum.requests += 1;
            sum.errors += u64::from(!(200..300).contains(&entry.status));
            sum.input = sum.input.saturating_add(entry.usage.input);
            sum.cost = sum.cost.zip(entry.cost).map(|(sum, cost)| sum.saturating_add(cost));
        }
        true
    }

    pub(super) fn report(&self) -> HoldoutReport {
        let of = |held_out| {
            Values::new(self.0.iter().filter(|(it, _)| it.held_out == held_out).map(|(_, sum)| sum))
        };
        let (changed, held_out) = (of(false), of(true));
        let less = |a: &[f64], b: &[f64]| Estimate::of_difference(a, b, SEED).map(Mean::from);
        let difference = ArmMeans {
            cost_usd: less(&changed.cost, &held_out.cost),
            input_tokens: less(&changed.input, &held_out.input),
            turns: less(&changed.turns, &held_out.turns),
            failed: less(&changed.failed, &held_out.failed),
        };
        HoldoutReport { changed: changed.figures(), held_out: held_out.figures(), difference }
    }
}

/// The values of conversations.
#[derive(Debug, Default)]
struct Values {
    requests: u64,
    errors: u64,
    cost: Vec<f64>,
    input: Vec<f64>,
    turns: Vec<f64>,
    failed: Vec<f64>,
}

impl Values {
    fn new<'s>(sums: impl Iterator<Item = &'s Sum>) -> Self {
        let mut values = Self::default();
        for sum in sums {
            values.requests += sum.requests;
            values.errors += sum.errors;
            values.cost.extend(sum.cost.map(|cost| cost as f64 / 1e9));
            values.input.push(sum.input as f64);
            values.turns.push(sum.requests as f64);
            values.failed.push(if sum.errors > 0 { 1.0 } else { 0.0 });
        }
        values
    }

    fn figures(&self) -> ArmFigures {
        let mean = |values: &[f64]| Estimate::of(values, SEED).map(Mean::from);
        let failed = self.failed.iter().filter(|failed| **failed > 0.0).count();
        ArmFigures {
            conversations: self.turns.len(),
            requests: self.requests,
            errors: self.errors,
            means: ArmMeans {
                cost_usd: mean(&self.cost),
                input_tokens: mean(&self.input),
                turns: mean(&self.turns),
                failed: Estimate::of_share(failed, self.failed.len()).map(Mean::from),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ledger::entry::More;
    use crate::wire::Usage;

    #[test]
    fn conversations_are_compared_not_requests() {
        let mut trials = Trials::default();
        for n in 0..80_u64 {
            let held_out = n % 4 == 0;
            for turn in 0..2 + n % 3 {
                let input = if held_out { 1000 } else { 700 };
                let entry = Entry {
                    status: if n == 7 && turn == 0 { 500 } else { 200 },
                    usage: Usage { input, ..Usage::default() },
                    cost: (n != 9).then_some(input.cast_signed() * 1000),
                    more: More { trial: Some(Trial { conversation: n, held_out }), ..More::default() },
                    ..Entry::default()
                };
                assert!(trials.add(&entry));
            }
        }
        trials.add(&Entry::default());
        let report = trials.report();
        let (changed, held_out) = (&report.changed, &report.held_out);
        assert_eq!((changed.conversations, held_out.conversations), (60, 20));
        assert_eq!((changed.errors, held_out.errors, changed.requests + held_out.requests), (1, 0, 239));
        assert_eq!(changed.means.cost_usd.unwrap().n, 59, "one has no price");
        let failed = changed.means.failed.unwrap();
        assert!(
            (failed.mean - 1.0 / 60.0).abs() < 1e-12 && failed.low > 0.0 && failed.high < 0.1,
            "{failed:?}"
        );
        let [cost, turns] = [report.difference.cost_usd.unwrap(), report.difference.turns.unwrap()];
        assert!(cost.high < 0.0, "the saving is seen: {cost:?}");
        assert!(turns.low < 0.0 && turns.high > 0.0, "turns are alike: {turns:?}");
        assert_eq!(trials.report(), report);
        let none = Trials::default().report();
        assert_eq!((none.changed.conversations, none.difference.turns), (0, None));
    }
}
