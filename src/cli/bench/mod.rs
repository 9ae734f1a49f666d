//! `whittle bench`.

mod compress;
mod embed;
mod precision;
mod proxy;
mod retrieval;
mod score;

use clap::{Args, Subcommand};

/// Measure speed on this machine
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compress(compress::BenchCompressArgs),
    Embed(embed::BenchEmbedArgs),
    Precision(precision::BenchPrecisionArgs),
    Proxy(proxy::BenchProxyArgs),
    Score(score::BenchScoreArgs),
    Retrieval(retrieval::BenchRetrievalArgs),
    Soak(proxy::soak::SoakArgs),
}

pub(super) fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Compress(args) => compress::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Precision(args) => precision::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Retrieval(args) => retrieval::run(&args),
        Command::Soak(args) => proxy::soak::run(&args),
    }
}

/// A number from `LEAST` to a million.
fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    let value: usize = text.parse().map_err(|e| format!("{e}"))?;
    let fits = (LEAST..=MOST).contains(&value);
    fits.then_some(value).ok_or_else(|| format!("must be from {LEAST} to {MOST}"))
}
