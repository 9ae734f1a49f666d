//! The summary of rows in figures.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::reader::TokenPrice;
use super::run::{LEVELS, Measured, Outcome, Plan, Row, Setting, WHOLE, groups};
use super::sets::{self, SetFigures};
use super::statistics::Estimate;

/// `summary.json`. All but `timing` and `made_by` is the same for the same data, models, code and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the suite.
    pub suite: String,
    /// Draws of questions and resamples.
    pub seed: u64,
    /// Questions.
    pub questions: usize,
    /// The settings of the rows.
    pub setting: Setting,
    /// The price of a reader's tokens, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<TokenPrice>,
    /// The figures, one for each method and rate.
    pub figures: Vec<Figures>,
    /// The figures of each set, where the dataset consists of sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetFigures>,
    /// Milliseconds of the compressor, by the same names; empty where scores were remembered between results.
    pub timing: Vec<Times>,
    /// The software and machine of the run.
    pub made_by: MadeBy,
}

/// The software and machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The version of this program.
    pub version: String,
    /// The revision of the repository that it ran in, followed by `+` where files differed; `None` outside a
    /// repository.
    pub git_revision: Option<String>,
    /// Each with the sha256 of its files and its arithmetic.
    pub models: Vec<String>,
    /// System, processor and its cores.
    pub machine: String,
}

/// Figures of one method at one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Name of the method.
    pub method: String,
    /// Share of the tokens asked for.
    pub rate: f64,
    /// Results; the others were refused.
    pub measured: usize,
    /// Prompts that the method refused.
    pub refused: usize,
    /// Share of the tokens that was kept.
    pub achieved_rate: Option<Estimate>,
    /// Tokens of the prompts as they were.
    pub original_tokens: Option<Estimate>,
    /// Tokens of the results.
    pub compressed_tokens: Option<Estimate>,
    /// Share of the contexts that hold an answer.
    pub retention: Option<Estimate>,
    /// Nats a token of the answer.
    pub nll: Option<Estimate>,
    /// The difference to the whole context's, question by question: below 0 is better than the whole context.
    pub nll_against_whole: Option<Estimate>,
    /// Nats a token of the text that is left, for the scorer; that of the whole context is the original's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_nll: Option<Estimate>,
    /// Share of the units of which something is left that are broken: see [`Broken`](super::readability::Broken).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Estimate>,
    /// Share of the answers of a model that are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Estimate>,
    /// The difference to the whole context's, question by question: above 0 is better than the whole context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_against_whole: Option<Estimate>,
    /// Share of the answers of a model that equal a right one, normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<Estimate>,
    /// Words that answers of a model have in common with the right ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<Estimate>,
    /// Dollars for a thousand questions: the tokens that a model read and wrote, or those of the prompts where none
    /// was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars: Option<Estimate>,
    /// Share of the different numbers and dates that are left.
    pub numbers: Option<Estimate>,
    /// Share of the different names that are left.
    pub names: Option<Estimate>,
    /// Share of the digits that are left.
    #[serde(default)]
    pub digits: Option<Estimate>,
    /// Share of the words with a capital that are left.
    #[serde(default)]
    pub capitals: Option<Estimate>,
    /// Different numbers in a result that its original does not have.
    #[serde(default)]
    pub altered_numbers: Option<Estimate>,
}

/// Times of one method at one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Name of the method.
    pub method: String,
    /// Share of the tokens asked for.
    pub rate: f64,
    /// Milliseconds of the compressor; none where nothing was compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<Estimate>,
    /// Milliseconds of the compressor and of the model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_to_end: Option<Estimate>,
}

impl Row {
    /// The figures, unless it was refused.
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Refused(_) => None,
        }
    }
}

/// Sums up the rows of a run.
#[must_use]
pub fn summarise(plan: &Plan, setting: &Setting, rows: &[Row], made_by: MadeBy) -> Summary {
    let whole: HashMap<&str, &Measured> = rows
        .iter()
        .filter(|row| row.method == WHOLE)
        .filter_map(|row| Some((&*row.question, row.measured()?)))
        .collect();
    let groups = groups(rows.iter());
    // Remembered scores make all but the first rate of a method look free.
    let timed = groups.iter().filter(|_| !setting.score_cache);
    let timing = timed.filter_map(|group| times(group, plan.seed)).collect();
    Summary {
        suite: plan.suite.clone(),
        seed: plan.seed,
        questions: rows.iter().filter(|row| row.method == WHOLE).count(),
        setting: setting.clone(),
        price: plan.price,
        figures: groups.iter().map(|group| figures(group, &whole, plan)).collect(),
        sets: sets::figures(rows, plan.seed),
        timing,
        made_by,
    }
}

fn figures(group: &[&Row], whole: &HashMap<&str, &Measured>, plan: &Plan) -> Figures {
    let seed = plan.seed;
    let measured: Vec<&Measured> = group.iter().filter_map(|row| row.measured()).collect();
    let of = |value: &dyn Fn(&Measured) -> Option<f64>| {
        Estimate::of(&measured.iter().filter_map(|measured| value(measured)).collect::<Vec<_>>(), seed)
    };
    let against_whole = |value: &dyn Fn(&Measured) -> Option<f64>| {
        let difference = |row: &&Row| Some(value(row.measured()?)? - value(whole.get(&*row.question)?)?);
        Estimate::of(&group.iter().filter_map(difference).collect::<Vec<_>>(), seed)
    };
    Figures {
        method: group[0].method.clone(),
        rate: group[0].rate,
        measured: measured.len(),
        refused: group.len() - measured.len(),
        achieved_rate: of(&|m| Some(m.compressed_tokens as f64 / m.original_tokens.max(1) as f64)),
        original_tokens: of(&|m| Some(m.original_tokens as f64)),
        compressed_tokens: of(&|m| Some(m.compressed_tokens as f64)),
        retention: of(&|m| m.retained.map(|retained| f64::from(u8::from(retained)))),
        nll: of(&|m| m.nll),
        nll_against_whole: against_whole(&|m| m.nll),
        text_nll: of(&|m| m.text_nll),
        broken: of(&|m| m.broken?.share()),
        accuracy: of(&correct),
        accuracy_against_whole: against_whole(&correct),
        exact_match: of(&|m| m.reading.as_ref().map(|reading| f64::from(u8::from(reading.exact)))),
        f1: of(&|m| m.reading.as_ref().map(|reading| reading.f1)),
        dollars: of(&|m| plan.price.map(|price| 1000.0 * dollars(m, price))),
        numbers: of(&|m| m.numbers.share()),
        names: of(&|m| m.names.share()),
        digits: of(&|m| m.digits.share()),
        capitals: of(&|m| m.capitals.share()),
        altered_numbers: of(&|m| Some(m.altered_numbers as f64)),
    }
}

/// 1 where a model's answer is right, 0 where it is not.
pub(super) fn correct(measured: &Measured) -> Option<f64> {
    measured.reading.as_ref().map(|reading| f64::from(u8::from(reading.correct)))
}

fn dollars(measured: &Measured, price: TokenPrice) -> f64 {
    let (input, output) =
        measured.reading.as_ref().map_or((measured.compressed_tokens as f64, 0.0), |reading| {
            (reading.input_tokens as f64, reading.output_tokens as f64)
        });
    (input * price.input + output * price.output) / 1e6
}

fn times(group: &[&Row], seed: u64) -> Option<Times> {
    let (method, rate) = (group[0].method.clone(), group[0].rate);
    let of = |value: &dyn Fn(&Measured) -> Option<f64>| {
        Estimate::of(&group.iter().filter_map(|row| value(row.measured()?)).collect::<Vec<_>>(), seed)
    };
    let compressed = !LEVELS.contains(&&*method);
    let milliseconds = of(&|m| compressed.then_some(m.milliseconds));
    let end_to_end = of(&|m| Some(m.milliseconds + m.reading.as_ref()?.milliseconds));
    (milliseconds.is_some() || end_to_end.is_some()).then_some(Times {
        method,
        rate,
        milliseconds,
        end_to_end,
    })
}
