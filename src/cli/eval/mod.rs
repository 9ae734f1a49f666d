//! `whittle eval`.

mod cells;
mod compare;
mod datasets;
mod medprompt;
mod report;
mod run;
mod sets;
mod shadow;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Measure compression ratio against accuracy
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle eval run smoke
  whittle eval run nq --methods default,longllmlingua --rates 0.25,0.1 --limit 50 --data ./data
  whittle eval run kinds                               # twelve kinds of text in six languages
  whittle eval run domains --data ./data               # every set in ./data/domains; or name one of them
  whittle eval run my-rows.jsonl --rates 0.3
  whittle eval run gsm8k --methods default --rates 0.5 --limit 20 --reader local/smollm2-135m-instruct
  whittle eval run nq --reader gpt-4o-mini --concurrency 16    # a model of an upstream in whittle.toml
  whittle eval compare eval/results/before eval/results/after
  whittle eval gate eval/baselines/smoke
  whittle eval medprompt medqa --limit 20 --data ./data
  whittle eval datasets list

A .jsonl file of your own has one object per line with `id`, `question`, `answers` and `documents`, each of
which has `text` and optionally `id` and `title`. More: `whittle help evaluation`.")]
pub(super) struct EvalArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Compare(compare::CompareArgs),
    Gate(compare::GateArgs),
    Report(report::ReportArgs),
    Medprompt(medprompt::MedpromptArgs),
    Shadow(shadow::ShadowArgs),
    Datasets(datasets::DatasetsArgs),
}

/// The options for finding datasets.
#[derive(Debug, Args)]
struct DataArgs {
    /// Folder of datasets, searched before the cache
    #[arg(long, value_name = "DIR", env = "WHITTLE_DATA")]
    data: Option<PathBuf>,
}

pub(super) fn run(args: EvalArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Run(args) => run::run(&args),
        Command::Compare(args) => compare::run_compare(&args),
        Command::Gate(args) => compare::run_gate(args),
        Command::Report(args) => report::run(args),
        Command::Medprompt(args) => medprompt::run(&args),
        Command::Shadow(args) => shadow::run(&args),
        Command::Datasets(args) => datasets::run(args),
    }
}
