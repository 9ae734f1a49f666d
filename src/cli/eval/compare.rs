//! `whittle eval compare` and `whittle eval gate`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::DataArgs;
use super::cells::{percent, plain};
use super::run::RunArgs;
use crate::eval::compare::{Difference, Finished, compare, gate, read_summary};
use crate::eval::statistics::Estimate;

/// Show which differences between two runs are statistically real
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Folder of a run
    first: PathBuf,
    /// Folder of another run
    second: PathBuf,
    /// Seed of the resampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Fail if the default method is worse than in a baseline, beyond the interval of the difference
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// Folder of the accepted run
    baseline: PathBuf,
    /// Folder of the run to judge [default: run the baseline's suite now with the default method]
    candidate: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run_compare(args: &CompareArgs) -> anyhow::Result<()> {
    let (first, second) = (Finished::read(&args.first)?, Finished::read(&args.second)?);
    table(&compare(&first, &second, args.seed)?)
}

pub(super) fn run_gate(args: GateArgs) -> anyhow::Result<()> {
    let summary = read_summary(&args.baseline)?;
    let baseline = Finished::read(&args.baseline)?;
    let candidate = if let Some(folder) = &args.candidate {
        Finished::read(folder)?
    } else {
        let folder = tempfile::tempdir()?;
        rerun(&baseline, &summary.suite, (summary.questions, summary.seed), folder.path(), args.data)?;
        Finished::read(folder.path())?
    };
    let differences = gate(&baseline, &candidate, summary.seed)?;
    table(&differences)?;
    let worse: Vec<String> = differences.iter().flat_map(Difference::worse).collect();
    if !worse.is_empty() {
        bail!("the default method is worse than {}:\n- {}", args.baseline.display(), worse.join("\n- "));
    }
    Ok(())
}

/// Runs the default method on the questions and rates of `baseline`.
fn rerun(
    baseline: &Finished,
    suite: &str,
    (questions, seed): (usize, u64),
    folder: &Path,
    data: DataArgs,
) -> anyhow::Result<()> {
    let of_default = |(method, _): &(String, f64)| *method == baseline.setting.default_method;
    let rates = baseline.arms().into_iter().filter(of_default).map(|(_, rate)| rate).collect();
    super::run::run(&RunArgs {
        suite: suite.to_owned(),
        methods: vec!["default".into()],
        rates,
        limit: Some(questions),
        seed,
        out: Some(folder.to_owned()),
        reader: Some(baseline.setting.reader.clone()),
        concurrency: 8,
        price: None,
        config: None,
        mode: baseline.setting.mode,
        no_score_cache: false,
        data,
    })
}

fn table(differences: &[Difference]) -> anyhow::Result<()> {
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    writeln!(out, "second less first, paired by question, 95% intervals; * the interval excludes 0")?;
    let differ = |value: fn(&Difference) -> Option<Estimate>| differences.iter().any(|d| value(d).is_some());
    let columns: Vec<_> = COLUMNS.iter().filter(|(_, value, _)| differ(*value)).collect();
    write!(out, "{:24} {:>5} {:>5}", "method", "rate", "n")?;
    columns.iter().try_for_each(|(title, ..)| write!(out, "  {title:24}"))?;
    writeln!(out)?;
    for difference in differences {
        let Difference { methods: [first, second], rate, .. } = difference;
        let method = if first == second { first.clone() } else { format!("{first} -> {second}") };
        let n = columns.iter().find_map(|(_, value, _)| value(difference)).map_or(0, |estimate| estimate.n);
        write!(out, "{method:24} {rate:>5} {n:>5}")?;
        for (_, value, shown) in &columns {
            let mark = if value(difference).is_some_and(|estimate| estimate.is_real()) { "*" } else { "" };
            write!(out, "  {:24}", shown(value(difference)) + mark)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A column's title, what it shows, and how.
type Column = (&'static str, fn(&Difference) -> Option<Estimate>, fn(Option<Estimate>) -> String);

/// The columns that can differ; those without a figure are left out.
const COLUMNS: [Column; 6] = [
    ("retention", |difference| difference.retention, percent),
    ("right", |difference| difference.accuracy, percent),
    ("NLL", |difference| difference.nll, plain),
    ("operands", |difference| difference.all_answers, percent),
    ("evidence", |difference| difference.span, percent),
    ("whole evidence", |difference| difference.whole, percent),
];
