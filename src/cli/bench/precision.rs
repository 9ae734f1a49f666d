//! `whittle bench precision`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::retrieval;
use crate::cli::output::Format;
use crate::cli::{engine, progress};
use crate::engine::bench::{Agreement, PrecisionReport};

/// Compare scores in int8 with scores in f32 on your own texts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench precision --passages passages.jsonl
  whittle bench precision --passages passages.jsonl --limit 200 --format json

Each text is scored by itself in both precisions. A decision is whether a token is among the least likely half.")]
pub(super) struct BenchPrecisionArgs {
    /// JSONL file of documents with `text`
    #[arg(long, value_name = "FILE.jsonl")]
    passages: PathBuf,
    /// Maximum number of documents
    #[arg(long)]
    limit: Option<usize>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &BenchPrecisionArgs) -> anyhow::Result<()> {
    let passages = retrieval::passages(&args.passages)?;
    let texts = passages.iter().map(|passage| passage.text.as_str());
    let texts: Vec<&str> = texts.take(args.limit.unwrap_or(usize::MAX)).collect();
    let engine = engine()?;
    let report = progress::counting("scoring", 2 * texts.len() as u64, |done| {
        engine.bench_precision(&texts, &|texts| done(texts))
    })?;
    args.format.print(anstream::stdout().lock(), &report, write)
}

fn write(out: &mut impl Write, report: &PrecisionReport) -> std::io::Result<()> {
    let PrecisionReport { model, texts, agreement } = report;
    let Agreement { tokens, mean_difference, spearman, same_decisions } = agreement;
    writeln!(out, "{model}, int8 against f32, texts: {texts}, tokens: {tokens}")?;
    writeln!(out, "mean difference  {mean_difference:+.4} nats")?;
    writeln!(out, "Spearman         {spearman:.4}")?;
    writeln!(out, "same decisions   {:.1}% at rate 0.5", 100.0 * same_decisions)
}
