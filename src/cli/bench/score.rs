//! `whittle bench score`.

use std::io::Write;

use clap::Args;

use crate::cli::output::Format;
use crate::cli::{engine, progress};
use crate::engine::bench::{ScoreBench, ScoreBenchReport};
use crate::model::Precision;

/// Measure how fast the scorer is, and how near to this processor's arithmetic peak
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench score
  whittle bench score --tokens 2048 --precision f32
  whittle bench score --tokens 128 --batch 16 --format json

The peak is measured between the runs, by a loop of nothing but multiply-adds on as many threads, so that
other work on the machine slows both alike.")]
pub(super) struct BenchScoreArgs {
    /// Tokens of a text
    #[arg(long, default_value_t = 512, value_parser = at_least::<2>)]
    tokens: usize,
    /// Texts that are scored together
    #[arg(long, default_value_t = 1, value_parser = at_least::<1>)]
    batch: usize,
    /// Arithmetic; by default as configured (`scorer.precision`)
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Times to measure
    #[arg(long, default_value_t = 10, value_parser = at_least::<1>)]
    runs: usize,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    let value: usize = text.parse().map_err(|e| format!("{e}"))?;
    let fits = (LEAST..=MOST).contains(&value);
    fits.then_some(value).ok_or_else(|| format!("must be from {LEAST} to {MOST}"))
}

pub(super) fn run(args: &BenchScoreArgs) -> anyhow::Result<()> {
    let &BenchScoreArgs { tokens, batch, precision, runs, format } = args;
    let engine = engine()?;
    let report = progress::counting("measuring", runs as u64, |done| {
        engine.bench_score(ScoreBench { tokens, batch, precision, runs }, done)
    })?;
    format.print(anstream::stdout().lock(), &report, write_text)
}

fn write_text(out: &mut impl Write, report: &ScoreBenchReport) -> std::io::Result<()> {
    let ScoreBenchReport { model, precision, threads, tokens, batch, runs, .. } = report;
    let precision = precision.name();
    let speed = &report.tokens_per_second;
    writeln!(
        out,
        "{model}, {precision}, threads: {threads}, texts: {batch} of {tokens} tokens, runs: {runs}"
    )?;
    writeln!(out, "tokens/s  {:.0} (median), {:.0} to {:.0}", speed.median, speed.min, speed.max)?;
    writeln!(out, "peak      {:.0} G operations/s, measured between the runs", report.peak_gops)?;
    writeln!(out, "reached   {:.2} of the peak in products with the model's weights", report.ratio_to_peak)
}
