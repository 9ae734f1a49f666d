//! Figures of each set of questions.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::run::{LEVELS, Row, WHOLE, groups};
use super::statistics::Estimate;

/// All questions together, as a set.
pub const ALL: &str = "all";

/// Figures of one set of questions by one method at one rate: shares of the questions that need such. What was refused
/// counts as lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetFigures {
    /// Name of the set, or [`ALL`] for the questions of all sets.
    pub set: String,
    /// Name of the method.
    pub method: String,
    /// Share of the tokens asked for.
    pub rate: f64,
    /// Questions.
    pub questions: usize,
    /// Prompts that the method refused.
    pub refused: usize,
    /// Results of more tokens than were asked for.
    pub over: usize,
    /// One of the answers is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Estimate>,
    /// All operands of a calculation are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_answers: Option<Estimate>,
    /// Share of the evidence's characters that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Estimate>,
    /// All evidence is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Estimate>,
}

/// A figure of [`Evidence`]: its name, its value in a result, and its estimate for a set.
pub type Measure = (&'static str, fn(&Evidence) -> Option<f64>, fn(&SetFigures) -> Option<Estimate>);

/// All figures of [`Evidence`].
pub const MEASURES: [Measure; 4] = [
    ("answer", |e| e.answer.map(share), |f| f.answer),
    ("all_answers", |e| e.all_answers.map(share), |f| f.all_answers),
    ("span", |e| e.span, |f| f.span),
    ("whole", |e| e.whole.map(share), |f| f.whole),
];

fn share(whether: bool) -> f64 {
    f64::from(u8::from(whether))
}

/// Sums up rows by set, method and rate: sets by name, [`ALL`] last where there are several.
pub(super) fn figures(rows: &[Row], seed: u64) -> Vec<SetFigures> {
    // What the uncompressed prompt holds is what a question needs.
    let needed: HashMap<&str, Evidence> = rows
        .iter()
        .filter(|row| row.method == WHOLE)
        .filter_map(|row| Some((&*row.question, row.measured()?.evidence?)))
        .collect();
    let mut sets: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let compressed = rows.iter().filter(|row| !LEVELS.contains(&&*row.method));
    for row in compressed.clone() {
        if let Some(set) = &row.set {
            sets.entry(set).or_default().push(row);
        }
    }
    let all = (sets.len() > 1).then(|| (ALL, compressed.filter(|row| row.set.is_some()).collect()));
    let named = sets.into_iter().chain(all);
    named.flat_map(|(set, rows)| by_method(set, &rows, &needed, seed)).collect()
}

fn by_method(set: &str, rows: &[&Row], needed: &HashMap<&str, Evidence>, seed: u64) -> Vec<SetFigures> {
    let of_group = |group: &Vec<&Row>| {
        let of = |value: fn(&Evidence) -> Option<f64>| {
            let found = |row: &&Row| {
                value(needed.get(&*row.question)?)?;
                let evidence = row.measured().and_then(|measured| measured.evidence.as_ref());
                Some(evidence.and_then(value).unwrap_or(0.0))
            };
            Estimate::of(&group.iter().filter_map(found).collect::<Vec<_>>(), seed)
        };
        let [answer, all_answers, span, whole] = MEASURES.map(|(_, value, _)| of(value));
        let measured = || group.iter().filter_map(|row| row.measured());
        SetFigures {
            set: set.to_owned(),
            method: group[0].method.clone(),
            rate: group[0].rate,
            questions: group.len(),
            refused: group.len() - measured().count(),
            over: measured().filter(|m| m.compressed_tokens > m.requested_tokens.max(1)).count(),
            answer,
            all_answers,
            span,
            whole,
        }
    };
    groups(rows.iter().copied()).iter().map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::run::{Measured, Outcome};

    fn row(question: &str, set: &str, method: &str, outcome: Result<Evidence, &str>) -> Row {
        let measured = |evidence| Measured {
            original_tokens: 100,
            compressed_tokens: 30,
            requested_tokens: 25,
            evidence: Some(evidence),
            milliseconds: 1.0,
            ..Measured::default()
        };
        let outcome = outcome.map_or_else(
            |code| Outcome::Refused(code.to_owned()),
            |evidence| Outcome::Measured(Box::new(measured(evidence))),
        );
        let (question, set, model) = (question.into(), Some(set.into()), "m".into());
        Row { question, set, method: method.into(), rate: 0.25, model, outcome }
    }

    #[test]
    fn each_set_has_its_figures_and_what_was_refused_is_lost() {
        let answered = |answer| Evidence { answer: Some(answer), ..Evidence::default() };
        let spanned =
            |share| Evidence { span: Some(share), whole: Some(share > 0.98), ..Evidence::default() };
        let rows = [
            row("1", "logs", WHOLE, Ok(answered(true))),
            row("1", "logs", "auto", Ok(answered(true))),
            row("2", "logs", WHOLE, Ok(answered(true))),
            row("2", "logs", "auto", Err("budget_infeasible")),
            row("3", "code", WHOLE, Ok(spanned(1.0))),
            row("3", "code", "auto", Ok(spanned(0.5))),
        ];
        let figures = figures(&rows, 1);
        let names: Vec<_> = figures.iter().map(|f| (&*f.set, f.questions, f.refused, f.over)).collect();
        assert_eq!(names, [("code", 1, 0, 1), ("logs", 2, 1, 1), (ALL, 3, 1, 2)]);
        let mean = |estimate: Option<Estimate>| estimate.map(|estimate| (estimate.mean, estimate.n));
        assert_eq!(mean(figures[0].span), Some((0.5, 1)));
        assert_eq!((mean(figures[0].whole), mean(figures[0].answer)), (Some((0.0, 1)), None));
        assert_eq!((mean(figures[1].answer), mean(figures[1].span)), (Some((0.5, 2)), None));
        assert_eq!((mean(figures[2].answer), mean(figures[2].span)), (Some((0.5, 2)), Some((0.5, 1))));
        assert_eq!(super::figures(&rows[..4], 1).len(), 1, "one set alone needs no sum");
    }
}
