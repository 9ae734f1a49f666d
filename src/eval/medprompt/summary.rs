//! The ladder as a table.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Arm, Outcome, Row, Setting};
use crate::eval::reader::TokenPrice;
use crate::eval::statistics::Estimate;
use crate::eval::summary::MadeBy;

/// `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// The settings of the run.
    pub setting: Setting,
    /// Questions that were asked.
    pub questions: usize,
    /// Questions that there were to learn from, and those of them whose thought led to the right answer.
    pub bank: (usize, usize),
    /// The steps from the bottom up.
    pub steps: Vec<Step>,
    /// The software and machine of the run.
    pub made_by: MadeBy,
}

/// A rung, with examples as they are or compressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The arm of the step.
    #[serde(flatten)]
    pub arm: Arm,
    /// Share of the answers that are right.
    pub accuracy: Option<Estimate>,
    /// The gain over the rung below with examples of the same kind, question by question.
    pub gain: Option<Estimate>,
    /// The gain of compressed examples over uncompressed ones, question by question.
    pub against_whole: Option<Estimate>,
    /// Share of the questions for which no choice was named.
    pub unanswered: f64,
    /// Tokens that a question takes to ask, all its votes together.
    pub input_tokens: Option<Estimate>,
    /// Dollars for a thousand questions, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars: Option<f64>,
}

/// Sums up a run.
#[must_use]
pub fn summarise(setting: &Setting, outcome: &Outcome, price: Option<TokenPrice>, made_by: MadeBy) -> Ladder {
    let rows = |arm: Arm| outcome.rows.iter().filter(move |row| row.arm == arm);
    let steps = Arm::ALL.map(|arm| {
        let own: Vec<&Row> = rows(arm).collect();
        let of = |value: fn(&Row) -> f64| {
            Estimate::of(&own.iter().map(|row| value(row)).collect::<Vec<_>>(), setting.seed)
        };
        let over = |other: Option<Arm>| {
            let other: HashMap<&str, &Row> = rows(other?).map(|row| (&*row.question, row)).collect();
            let difference = |row: &&Row| Some(right(row) - right(other.get(&*row.question)?));
            Estimate::of(&own.iter().filter_map(difference).collect::<Vec<_>>(), setting.seed)
        };
        let unanswered = own.iter().filter(|row| row.answer.is_none()).count();
        let cost = |row: &&Row, price: TokenPrice| {
            (row.input_tokens as f64 * price.input + row.output_tokens as f64 * price.output) / 1e3
        };
        let count = own.len().max(1) as f64;
        Step {
            arm,
            accuracy: of(right),
            gain: over(below(arm)),
            against_whole: over(arm.compressed.then_some(Arm { compressed: false, ..arm })),
            unanswered: unanswered as f64 / count,
            input_tokens: of(|row| row.input_tokens as f64),
            dollars: price.map(|price| own.iter().map(|row| cost(row, price)).sum::<f64>() / count),
        }
    });
    Ladder {
        setting: setting.clone(),
        questions: rows(Arm::ALL[0]).count(),
        bank: outcome.bank,
        steps: steps.into(),
        made_by,
    }
}

fn right(row: &Row) -> f64 {
    f64::from(u8::from(row.correct))
}

/// The rung below, with examples of the same kind where it has any.
fn below(arm: Arm) -> Option<Arm> {
    let mut same_kind = Arm::ALL.into_iter().filter(|other| other.compressed == arm.compressed);
    same_kind.rfind(|other| other.rung < arm.rung).or_else(|| {
        let bottom = Arm::ALL[0];
        (bottom.rung < arm.rung).then_some(bottom)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Rung;
    use super::*;

    #[test]
    fn each_rung_is_compared_with_the_one_below() {
        let row = |question: usize, arm: Arm| Row {
            question: question.to_string(),
            arm,
            votes: vec![Some("A".into())],
            answer: Some("A".into()),
            // One question more is right on each rung.
            correct: question <= arm.rung as usize,
            input_tokens: if arm.compressed { 50 } else { 100 },
            output_tokens: 1,
            milliseconds: 1.0,
        };
        let rows = (0..10).flat_map(|question| Arm::ALL.map(|arm| row(question, arm))).collect();
        let setting = Setting {
            task: "t".into(),
            reader: "r".into(),
            models: "m".into(),
            examples: 5,
            votes: 3,
            rate: 0.5,
            bank: 4,
            seed: 1,
        };
        let made_by =
            MadeBy { version: "1".into(), git_revision: None, models: Vec::new(), machine: "m".into() };
        let price = Some(TokenPrice { input: 2.0, output: 0.0 });
        let ladder = summarise(&setting, &Outcome { bank: (4, 2), rows }, price, made_by);
        assert_eq!((ladder.questions, ladder.steps.len()), (10, 9));
        let mean = |estimate: Option<Estimate>| (estimate.unwrap().mean * 10.0).round() as i64;
        let gains: Vec<_> =
            ladder.steps.iter().map(|step| step.gain.map(|gain| (gain.mean * 10.0).round() as i64)).collect();
        assert_eq!(gains[0], None);
        assert!(gains[1..].iter().all(|gain| *gain == Some(1)), "{gains:?}");
        let top = ladder.steps.last().unwrap();
        assert_eq!((top.arm.rung, mean(top.accuracy), mean(top.against_whole)), (Rung::Ensemble, 5, 0));
        assert!((top.dollars.unwrap() - 0.1).abs() < 1e-9);
    }
}
