//! `whittle bench score`.

use std::io::Write;

use clap::Args;

use super::at_least;
use crate::cli::output::Format;
use crate::cli::{engine, progress};
use crate::engine::bench::{ScoreBench, ScoreBenchReport, USUAL_TOKENS};
use crate::model::Precision;

/// Measure the speed of the scorer and its share of this processor's arithmetic peak
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench score
  whittle bench score --tokens 2048 --precision f32
  whittle bench score --tokens 128 --batch 16 --format json
  whittle bench score --tokens 256,512,1024,2048,4096,8192,16384,32768 --runs 3

The peak is measured between the runs by a loop of multiply-adds on as many threads, so that other work on
the machine slows both alike. `whittle models list` shows the speed of one text of 512 tokens.")]
pub(super) struct BenchScoreArgs {
    /// Number of tokens per text; a comma-separated list gives a table
    #[arg(long, value_delimiter = ',', default_values_t = [USUAL_TOKENS], value_parser = at_least::<2>)]
    tokens: Vec<usize>,
    /// Number of texts per batch
    #[arg(long, default_value_t = 1, value_parser = at_least::<1>)]
    batch: usize,
    /// Precision [default: `scorer.precision` of the configuration]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Number of runs
    #[arg(long, default_value_t = 10, value_parser = at_least::<1>)]
    runs: usize,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &BenchScoreArgs) -> anyhow::Result<()> {
    let &BenchScoreArgs { ref tokens, batch, precision, runs, format } = args;
    let engine = engine()?;
    let reports = progress::counting("measuring", (runs * tokens.len()) as u64, |done| {
        let measure = |(i, &tokens): (usize, &usize)| {
            let bench = ScoreBench { tokens, batch, precision, runs };
            engine.bench_score(bench, &|run| done(i * runs + run))
        };
        tokens.iter().enumerate().map(measure).collect::<Result<Vec<_>, _>>()
    })?;
    let out = anstream::stdout().lock();
    match &reports[..] {
        [report] => format.print(out, report, write_one),
        _ => format.print(out, &reports, |out, reports| write_table(out, reports)),
    }
}

fn write_one(out: &mut impl Write, report: &ScoreBenchReport) -> std::io::Result<()> {
    write_setting(out, report)?;
    let speed = &report.tokens_per_second;
    writeln!(out, "text      {} tokens", report.tokens)?;
    writeln!(out, "tokens/s  {:.0} (median), {:.0} to {:.0}", speed.median, speed.min, speed.max)?;
    if let (Some(peak), Some(ratio)) = (report.peak_gops, report.ratio_to_peak) {
        writeln!(out, "peak      {peak:.0} G operations/s, measured between the runs")?;
        writeln!(out, "reached   {ratio:.2} of the peak in products with the model's weights")?;
    }
    Ok(())
}

fn write_table(out: &mut impl Write, reports: &[ScoreBenchReport]) -> std::io::Result<()> {
    if let Some(first) = reports.first() {
        write_setting(out, first)?;
    }
    writeln!(
        out,
        "{:>8} {:>10} {:>10} {:>14} {:>10}",
        "tokens", "seconds", "tokens/s", "share of peak", "MB"
    )?;
    for report in reports {
        let ScoreBenchReport { tokens, seconds, tokens_per_second, ratio_to_peak, .. } = report;
        let memory = report.resident_bytes.map_or("-".into(), |bytes| (bytes / 1_000_000).to_string());
        let speed = tokens_per_second.median;
        let ratio = ratio_to_peak.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        writeln!(out, "{tokens:>8} {seconds:>10.3} {speed:>10.0} {ratio:>14} {memory:>10}")?;
    }
    Ok(())
}

fn write_setting(out: &mut impl Write, report: &ScoreBenchReport) -> std::io::Result<()> {
    let ScoreBenchReport { model, precision, threads, batch, runs, .. } = report;
    let precision = precision.name();
    writeln!(out, "{model}, {precision}, threads: {threads}, texts at once: {batch}, runs: {runs}")
}
