//! Command line.

mod align;
mod bench;
mod completions;
mod compress;
mod config;
mod eval;
mod examples;
mod help;
mod index;
mod input;
mod keys;
mod mcp;
mod models;
mod options;
mod output;
mod progress;
mod prompt;
mod proxy;
mod recover;
mod run;
mod score;
mod searching;
mod serve;
mod usage;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags, Places, ProcessEnv, load};
use crate::engine::{Engine, EngineBuilder, EngineError, ErrorKind};

/// Status of a program that writes to a pipe nobody reads, as shells report it.
const SIGPIPE: u8 = 128 + 13;

/// Makes prompts smaller without losing what the answer needs.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    max_term_width = 100,
    after_help = help::after_help()
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compress(Box<compress::CompressArgs>),
    Recover(recover::RecoverArgs),
    Score(score::ScoreArgs),
    Serve(serve::ServeArgs),
    Mcp(mcp::McpArgs),
    Run(run::RunArgs),
    Keys(keys::KeysArgs),
    Usage(usage::UsageArgs),
    Proxy(proxy::ProxyArgs),
    Models(models::ModelsArgs),
    Config(config::ConfigArgs),
    Align(align::AlignArgs),
    Bench(bench::BenchArgs),
    Eval(eval::EvalArgs),
    Index(index::IndexArgs),
    Examples(examples::ExamplesArgs),
    Prompt(Box<prompt::PromptArgs>),
    Completions(completions::CompletionsArgs),
    Man(completions::ManArgs),
}

/// Runs the command line: 0 success, 1 failure, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(guide) = help::guide(std::env::args_os().skip(1)) {
        return finish(help::print(guide));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to be done when the terminal itself is gone.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    finish(match cli.command {
        Command::Compress(args) => compress::run(*args),
        Command::Recover(args) => recover::run(&args),
        Command::Score(args) => score::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Mcp(args) => mcp::run(args),
        // Its status is that of the command which it runs.
        Command::Run(args) => return run::run(args).unwrap_or_else(|error| finish(Err(error))),
        Command::Keys(args) => keys::run(args),
        Command::Usage(args) => usage::run(args),
        Command::Proxy(args) => proxy::run(args),
        Command::Models(args) => models::run(args),
        Command::Config(args) => config::run(args),
        Command::Align(args) => align::run(&args),
        Command::Bench(args) => bench::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Index(args) => index::run(args),
        Command::Examples(args) => examples::run(args),
        Command::Prompt(args) => prompt::run(*args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    })
}

/// Reports an error and returns the exit code.
fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read standard output, such as `head`, has enough: no reason to complain.
        Err(error) if is_closed_output(&error) => ExitCode::from(SIGPIPE),
        Err(error) => {
            report(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn is_closed_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn report(error: &anyhow::Error) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error:{style:#} {error:#}");
}

/// 2 where the caller's words are off, else 1.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<EngineError>() {
        Some(EngineError { kind: ErrorKind::Invalid, .. }) => 2,
        _ => 1,
    }
}

/// The engine that the configuration describes, for commands that do their work and end.
fn engine() -> anyhow::Result<Engine> {
    let loaded = load(&Flags::default(), &ProcessEnv, &Places::usual())?;
    engine_of(&loaded.config)
}

/// What [`engine_of`] builds.
fn engine_builder(config: &Config) -> anyhow::Result<EngineBuilder> {
    let progress = Box::new(progress::DownloadBar::default());
    Ok(Engine::builder().environment(config, &ProcessEnv, progress)?.local_files())
}

/// Builds the engine of a configuration that the command has changed.
fn engine_of(config: &Config) -> anyhow::Result<Engine> {
    Ok(engine_builder(config)?.build())
}
