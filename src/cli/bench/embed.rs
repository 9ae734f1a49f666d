//! `whittle bench embed`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{at_least, retrieval};
use crate::cli::output::Format;
use crate::cli::{engine, progress};
use crate::engine::bench::EmbedBenchReport;

/// Measure the speed of the embedder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench embed --passages passages.jsonl
  whittle bench embed --passages passages.jsonl --runs 3 --format json

All texts are embedded in one call, without titles. Nothing is cached between runs. `whittle models list`
shows the speed.")]
pub(super) struct BenchEmbedArgs {
    /// JSONL file of documents with `text`
    #[arg(long, value_name = "FILE.jsonl")]
    passages: PathBuf,
    /// Number of runs
    #[arg(long, default_value_t = 5, value_parser = at_least::<1>)]
    runs: usize,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &BenchEmbedArgs) -> anyhow::Result<()> {
    let &BenchEmbedArgs { ref passages, runs, format } = args;
    let passages = retrieval::passages(passages)?;
    let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
    let engine = engine()?;
    let report = progress::counting("measuring", runs as u64, |done| {
        engine.bench_embed(&texts, runs, &|run| done(run))
    })?;
    format.print(anstream::stdout().lock(), &report, write)
}

fn write(out: &mut impl Write, report: &EmbedBenchReport) -> std::io::Result<()> {
    let EmbedBenchReport { model, passages, tokens, runs, seconds, .. } = report;
    writeln!(out, "{model}, {passages} passages, {tokens} tokens, runs: {runs}, {seconds:.2} s each")?;
    for (name, speed) in
        [("passages/s", &report.passages_per_second), ("tokens/s", &report.tokens_per_second)]
    {
        writeln!(out, "{name:10}  {:.1} (median), {:.1} to {:.1}", speed.median, speed.min, speed.max)?;
    }
    let memory = report.resident_bytes.map_or("unknown".into(), |bytes| format!("{} MB", bytes >> 20));
    writeln!(out, "memory      {memory}")
}
