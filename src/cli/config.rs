//! `whittle config`: what holds, and whether it is valid.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use crate::config::{self, Flags, Loaded, Places, ProcessEnv};

const EXAMPLES: &str = "\
Examples:
  whittle config check
  whittle config check --config whittle.toml
  whittle config show > whittle.toml
  WHITTLE_LIMITS_QUEUE=8 whittle config show

The file overrides the defaults, and WHITTLE_* environment variables override the file. `limits.queue` in
the file is WHITTLE_LIMITS_QUEUE in the environment. More: `whittle help operations`.";

/// Check or show the configuration
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Validate the configuration
    Check(FileArgs),
    /// Print the configuration in effect, defaults included, as a file
    Show(FileArgs),
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// Configuration file [default: whittle.toml in this folder, else whittle/config.toml in the
    /// platform's configuration folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Check or show the configuration
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<()> {
    let text = match args.command {
        ConfigCommand::Check(file) => checked(&load(file)?),
        ConfigCommand::Show(file) => {
            toml::to_string_pretty(&load(file)?.config).context("cannot write the configuration as TOML")?
        }
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

fn load(args: FileArgs) -> anyhow::Result<Loaded> {
    let flags = Flags { file: args.config, listen: None };
    Ok(config::load(&flags, &ProcessEnv, &Places::usual())?)
}

fn checked(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => format!("the configuration is valid: {}\n", file.display()),
        None => "the configuration is valid: there is no file, so the defaults apply\n".into(),
    }
}
