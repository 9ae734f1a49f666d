//! `whittle bench`.

mod compress;
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
    Proxy(proxy::BenchProxyArgs),
    Score(score::BenchScoreArgs),
    Retrieval(retrieval::BenchRetrievalArgs),
    Soak(proxy::soak::SoakArgs),
}

pub(super) fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Compress(args) => compress::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Retrieval(args) => retrieval::run(&args),
        Command::Soak(args) => proxy::soak::run(&args),
    }
}
