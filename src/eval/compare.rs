//! The comparison of two runs on the same questions, paired.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

use super::evidence::Evidence;
use super::run::{ROWS, Row, Setting, groups};
use super::statistics::Estimate;
use super::summary::{Summary, correct};
use crate::jsonl;

/// A run that was made: its folder's files, read.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The settings of its rows.
    pub setting: Setting,
    /// The rows of the models that wrote last.
    pub rows: Vec<Row>,
}

impl Finished {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// A file is missing or is no run's.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("run.json");
        let bytes = std::fs::read(&path)
            .with_context(|| format!("{} holds no run: cannot read {}", folder.display(), path.display()))?;
        let setting = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        let mut rows: Vec<Row> = jsonl::read(&folder.join(ROWS))?;
        let model = rows.last().map(|row| row.model.clone());
        rows.retain(|row| Some(&row.model) == model.as_ref());
        Ok(Self { setting, rows })
    }

    /// The rows of a method at a rate, by question.
    fn arm(&self, method: &str, rate: f64) -> BTreeMap<&str, &Row> {
        let rows =
            self.rows.iter().filter(|row| row.method == method && row.rate.to_bits() == rate.to_bits());
        rows.map(|row| (&*row.question, row)).collect()
    }

    /// Methods with their rates, in the order in which they first appear.
    #[must_use]
    pub fn arms(&self) -> Vec<(String, f64)> {
        groups(self.rows.iter()).iter().map(|group| (group[0].method.clone(), group[0].rate)).collect()
    }
}

/// The summary in a run's folder.
///
/// # Errors
/// There is none, or it is none.
pub fn read_summary(folder: &Path) -> anyhow::Result<Summary> {
    let path = folder.join("summary.json");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

/// The difference between two runs at one method and rate; above 0 the second is higher.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The method in the first run and in the second.
    pub methods: [String; 2],
    /// Share of the tokens asked for.
    pub rate: f64,
    /// Retention, 0 to 1; what was refused is not retained.
    pub retention: Option<Estimate>,
    /// Nats a token of the answer, over questions that both measured: lower is better.
    pub nll: Option<Estimate>,
    /// Share of a model's answers that are right; what was refused is not.
    pub accuracy: Option<Estimate>,
    /// Share of the questions all of whose operands are left, of those that need some.
    pub all_answers: Option<Estimate>,
    /// Share of the evidence's characters that is left.
    pub span: Option<Estimate>,
    /// Share of the questions all of whose evidence is left, of those that have some.
    pub whole: Option<Estimate>,
}

impl Difference {
    fn between(methods: [String; 2], rate: f64, pairs: &[(&Row, &Row)], seed: u64) -> Self {
        // What was refused counts as lost where the other one was measured.
        let shares = |value: &dyn Fn(&Row) -> Option<f64>| {
            let known = pairs.iter().filter(|(a, b)| value(a).or(value(b)).is_some());
            let share = |row| value(row).unwrap_or(0.0);
            let differences = known.map(|(a, b)| share(b) - share(a));
            Estimate::of(&differences.collect::<Vec<_>>(), seed)
        };
        let nll: Vec<f64> =
            pairs.iter().filter_map(|(a, b)| Some(b.measured()?.nll? - a.measured()?.nll?)).collect();
        Self {
            methods,
            rate,
            retention: shares(&|row| Some(share_of(row.measured()?.retained?))),
            nll: Estimate::of(&nll, seed),
            accuracy: shares(&|row| correct(row.measured()?)),
            all_answers: shares(&|row| Some(share_of(evidence(row)?.all_answers?))),
            span: shares(&|row| evidence(row)?.span),
            whole: shares(&|row| Some(share_of(evidence(row)?.whole?))),
        }
    }

    fn is_empty(&self) -> bool {
        self.nll.is_none() && self.shares().iter().all(|(_, share)| share.is_none())
    }

    /// The differences of shares, higher is better, with their names.
    fn shares(&self) -> [(&'static str, Option<Estimate>); 5] {
        [
            ("retention", self.retention),
            ("accuracy", self.accuracy),
            ("operands", self.all_answers),
            ("evidence", self.span),
            ("whole evidence", self.whole),
        ]
    }

    /// Returns, in words, the figures that got worse beyond their interval.
    #[must_use]
    pub fn worse(&self) -> Vec<String> {
        let mut worse = Vec::new();
        let at = format!("{} at rate {}", self.methods[1], self.rate);
        for (what, difference) in self.shares() {
            if let Some(Estimate { mean, low, high, n }) = difference.filter(|estimate| estimate.high < 0.0) {
                let [mean, low, high] = [mean, low, high].map(|share| 100.0 * share);
                worse.push(format!("{at}: {what} by {mean:.1} points [{low:.1}, {high:.1}], n = {n}"));
            }
        }
        if let Some(Estimate { mean, low, high, n }) = self.nll.filter(|estimate| estimate.low > 0.0) {
            worse.push(format!("{at}: NLL by +{mean:.3} nats a token [{low:.3}, {high:.3}], n = {n}"));
        }
        worse
    }
}

fn evidence(row: &Row) -> Option<Evidence> {
    row.measured()?.evidence
}

fn share_of(whether: bool) -> f64 {
    f64::from(u8::from(whether))
}

/// Differences of `second` to `first`, method by method and rate by rate.
///
/// # Errors
/// The two have other data or no question in common.
pub fn compare(first: &Finished, second: &Finished, seed: u64) -> anyhow::Result<Vec<Difference>> {
    let arms = first.arms().into_iter().map(|(method, rate)| ([method.clone(), method], rate));
    differences(first, second, arms.collect(), seed)
}

/// Compares the default method of `candidate` with that of `baseline`, at each of its rates.
///
/// # Errors
/// The two have other data, or a rate of the baseline's default is missing.
pub fn gate(baseline: &Finished, candidate: &Finished, seed: u64) -> anyhow::Result<Vec<Difference>> {
    let methods = [baseline.setting.default_method.clone(), candidate.setting.default_method.clone()];
    let arms: Vec<_> = baseline.arms().into_iter().filter(|(method, _)| *method == methods[0]).collect();
    for (_, rate) in &arms {
        let (wanted, there) = (baseline.arm(&methods[0], *rate), candidate.arm(&methods[1], *rate));
        let missing = wanted.keys().filter(|question| !there.contains_key(*question)).count();
        if missing > 0 {
            bail!(
                "the candidate lacks {missing} of {} questions of `{}` at rate {rate}",
                wanted.len(),
                methods[1]
            );
        }
    }
    differences(
        baseline,
        candidate,
        arms.into_iter().map(|(_, rate)| (methods.clone(), rate)).collect(),
        seed,
    )
}

fn differences(
    first: &Finished,
    second: &Finished,
    arms: Vec<([String; 2], f64)>,
    seed: u64,
) -> anyhow::Result<Vec<Difference>> {
    if first.setting.files != second.setting.files || first.setting.dataset != second.setting.dataset {
        bail!("the runs are of other data: `{}` and `{}`", first.setting.dataset, second.setting.dataset);
    }
    let differences: Vec<Difference> = arms
        .into_iter()
        .map(|(methods, rate)| {
            let (a, b) = (first.arm(&methods[0], rate), second.arm(&methods[1], rate));
            let pairs: Vec<(&Row, &Row)> =
                a.iter().filter_map(|(question, row)| Some((*row, *b.get(question)?))).collect();
            Difference::between(methods, rate, &pairs, seed)
        })
        .filter(|difference| !difference.is_empty())
        .collect();
    if differences.is_empty() {
        bail!("the runs have no question, method and rate in common");
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Mode;
    use crate::eval::dataset::{AnswerKind, scorer};
    use crate::eval::grading::judge;
    use crate::eval::metrics::Recall;
    use crate::eval::reader::Reply;
    use crate::eval::run::{Measured, Outcome, Reader};

    /// 60 questions, of which the first `lost` are lost.
    fn finished(default: &str, lost: usize, nll: f64) -> Finished {
        let recall = Recall { kept: 1, of: 1 };
        let row = |i: usize| Row {
            question: format!("q{i}"),
            set: None,
            method: default.into(),
            rate: 0.25,
            model: "m".into(),
            outcome: Outcome::Measured(Box::new(Measured {
                original_tokens: 100,
                compressed_tokens: 25,
                requested_tokens: 25,
                retained: Some(i >= lost),
                nll: Some(nll + (i % 7) as f64),
                numbers: recall,
                names: recall,
                digits: recall,
                capitals: recall,
                milliseconds: 1.0,
                ..Measured::default()
            })),
        };
        let setting = Setting {
            dataset: "d".into(),
            files: BTreeMap::new(),
            answer: AnswerKind::Extract,
            default_method: default.into(),
            score_cache: true,
            reader: Reader::Likelihood,
            mode: Mode::Exact,
            tokenizer: scorer(),
        };
        Finished { setting, rows: (0..60).map(row).collect() }
    }

    fn worse(baseline: &Finished, candidate: &Finished) -> Vec<String> {
        gate(baseline, candidate, 1).unwrap().iter().flat_map(Difference::worse).collect()
    }

    #[test]
    fn the_gate_sees_a_planted_regression_and_nothing_else() {
        let baseline = finished("a", 6, 3.0);
        assert!(worse(&baseline, &finished("a", 6, 3.0)).is_empty());
        assert!(worse(&baseline, &finished("a", 7, 3.0)).is_empty(), "one of sixty may be chance");
        assert!(worse(&baseline, &finished("a", 0, 2.0)).is_empty());
        let lost = worse(&baseline, &finished("a", 16, 3.0));
        assert!(
            lost.len() == 1 && lost[0].starts_with("a at rate 0.25: retention by -16.7 points"),
            "{lost:?}"
        );
        let dearer = worse(&baseline, &finished("a", 6, 3.2));
        assert!(dearer.len() == 1 && dearer[0].contains("NLL by +0.200"), "{dearer:?}");
        // Another default is held to what the last one did.
        assert_eq!(worse(&baseline, &finished("b", 16, 3.2)).len(), 2);
    }

    #[test]
    fn wrong_answers_of_a_model_are_a_regression_too() {
        let with_readings = |wrong: usize| {
            let mut run = finished("a", 0, 3.0);
            for (i, row) in run.rows.iter_mut().enumerate() {
                let Outcome::Measured(measured) = &mut row.outcome else { continue };
                let reply = Reply { text: "7".into(), input_tokens: 1, output_tokens: 1, milliseconds: 1.0 };
                let right = if i < wrong { "8" } else { "7" };
                measured.reading = Some(judge(AnswerKind::Number, reply, &[right.to_owned()]));
            }
            run
        };
        assert!(worse(&with_readings(5), &with_readings(5)).is_empty());
        let said = worse(&with_readings(5), &with_readings(25));
        assert!(said.len() == 1 && said[0].contains("accuracy by -33.3 points"), "{said:?}");
    }

    #[test]
    fn lost_evidence_is_a_regression_too() {
        let baseline = finished("a", 0, 3.0);
        let with = |lost: usize| {
            let mut run = baseline.clone();
            for (i, row) in run.rows.iter_mut().enumerate() {
                let Outcome::Measured(measured) = &mut row.outcome else { continue };
                // Every third question is one of operands.
                let all_answers = (i % 3 == 0).then_some(i >= lost);
                measured.evidence =
                    Some(Evidence { all_answers, whole: Some(i >= lost), ..Evidence::default() });
            }
            run
        };
        assert!(worse(&with(3), &with(3)).is_empty());
        let said = worse(&with(0), &with(20));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("operands by -35.0 points") && said[0].contains("n = 20"), "{said:?}");
        assert!(said[1].contains("whole evidence by -33.3 points") && said[1].contains("n = 60"), "{said:?}");
    }

    #[test]
    fn refusing_is_losing() {
        let baseline = finished("a", 0, 3.0);
        let mut candidate = baseline.clone();
        for row in &mut candidate.rows[..20] {
            row.outcome = Outcome::Refused("budget_infeasible".into());
        }
        assert_eq!(worse(&baseline, &candidate).len(), 1);
    }

    #[test]
    fn runs_that_cannot_be_compared_are_refused() {
        let baseline = finished("a", 0, 3.0);
        let mut other = baseline.clone();
        other.rows.pop();
        assert!(gate(&baseline, &other, 1).unwrap_err().to_string().contains("lacks 1 of 60"));
        other.rows.clear();
        assert!(compare(&baseline, &other, 1).unwrap_err().to_string().contains("in common"));
        other.setting.dataset = "e".into();
        assert!(compare(&baseline, &other, 1).unwrap_err().to_string().contains("other data"));
    }
}
