//! The printed figures of each set of questions.

use std::io::Write;

use super::cells::percent;
use crate::eval::sets::{MEASURES, Measure, SetFigures};

/// Prints a line for each set, method and rate; nothing where there are no sets. Columns without a figure are left out.
pub(super) fn table(sets: &[SetFigures], out: &mut impl Write) -> anyhow::Result<()> {
    if sets.is_empty() {
        return Ok(());
    }
    let columns: Vec<&Measure> =
        MEASURES.iter().filter(|(_, _, value)| sets.iter().any(|set| value(set).is_some())).collect();
    let width = sets.iter().map(|figures| figures.set.chars().count()).max().unwrap_or_default();
    writeln!(out, "\nby set; what was refused counts as lost")?;
    write!(out, "{:width$} {:18} {:>5} {:>5} {:>7}", "set", "method", "rate", "n", "refused")?;
    columns.iter().try_for_each(|(name, ..)| write!(out, " {name:>22}"))?;
    writeln!(out)?;
    for figures in sets {
        let SetFigures { set, method, rate, questions, refused, .. } = figures;
        write!(out, "{set:width$} {method:18} {rate:>5} {questions:>5} {refused:>7}")?;
        columns.iter().try_for_each(|(_, _, value)| write!(out, " {:>22}", percent(value(figures))))?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::statistics::Estimate;

    #[test]
    fn each_set_has_a_line_and_empty_columns_are_left_out() {
        let figures = SetFigures {
            set: "logs".into(),
            method: "auto".into(),
            rate: 0.25,
            questions: 4,
            refused: 1,
            over: 0,
            answer: Some(Estimate { mean: 0.75, low: 0.5, high: 1.0, n: 4 }),
            all_answers: None,
            span: None,
            whole: Some(Estimate { mean: 0.5, low: 0.25, high: 0.75, n: 4 }),
        };
        let mut out = Vec::new();
        table(&[figures], &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("answer") && out.contains("whole") && !out.contains("all_answers"), "{out}");
        assert!(out.contains("logs auto") && out.contains("75.0% [50.0, 100.0]"), "{out}");
        let mut none = Vec::new();
        table(&[], &mut none).unwrap();
        assert!(none.is_empty());
    }
}
