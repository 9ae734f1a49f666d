//! `whittle help`: the help of a command, or a guide.

use std::io::Write;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::Cli;
use crate::docs::{GUIDES, Guide};
use crate::engine::EngineError;

/// Print the help of a command, or a guide
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle help
  whittle help compress
  whittle help index search
  whittle help proxy

`whittle help` lists the commands and the guides. No guide has the name of a command.")]
pub(super) struct HelpArgs {
    /// A command, with its subcommand if it has one, or the name of a guide
    #[arg(value_name = "COMMAND|GUIDE")]
    topic: Vec<String>,
}

/// Returns the text below the list of commands.
pub(super) fn after_help() -> String {
    let guides = GUIDES.iter().map(|guide| format!("  {:13} {}\n", guide.name, guide.summary));
    format!(
        "Guides (`whittle help NAME`):\n{}\n\
         The first command that needs a model fetches it into a cache (WHITTLE_CACHE).\n\
         Exit codes: 0 success, 1 failure, 2 wrong usage.",
        guides.collect::<String>()
    )
}

pub(super) fn run(args: &HelpArgs) -> anyhow::Result<()> {
    let guide = match &args.topic[..] {
        [name] => Guide::find(name),
        _ => None,
    };
    match guide {
        Some(guide) => {
            let text = guide.markdown();
            std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
        }
        None => command_help(&args.topic),
    }
}

/// Prints the help of the command that `path` leads to.
fn command_help(path: &[String]) -> anyhow::Result<()> {
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for name in path {
        command = command.find_subcommand_mut(name).ok_or_else(|| {
            let message = format!("there is no command or guide `{}`: `whittle help` lists both", path.join(" "));
            EngineError::invalid("unknown_topic", "topic", message)
        })?;
    }
    command.print_long_help().context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_guide_has_the_name_of_a_command() {
        let root = Cli::command();
        for guide in GUIDES {
            assert!(root.find_subcommand(guide.name).is_none(), "{}", guide.name);
        }
        assert!(root.find_subcommand("help").is_some());
    }
}
