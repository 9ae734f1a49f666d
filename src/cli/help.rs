//! `whittle help GUIDE`. The help of commands is clap's.

use std::ffi::OsString;
use std::io::Write;

use anyhow::Context;

use crate::docs::{GUIDES, Guide};

/// Returns the text below the list of commands.
pub(super) fn after_help() -> String {
    let guides = GUIDES.iter().map(|guide| format!("  {:13} {}\n", guide.name, guide.summary));
    format!(
        "Guides (`whittle help NAME`):\n{}\n\
         The first command that needs a model downloads it into a cache (WHITTLE_CACHE).\n\
         Exit codes: 0 success, 1 failure, 2 wrong usage.",
        guides.collect::<String>()
    )
}

/// Returns the guide that the command line `help GUIDE` asks for. Where a command has the same name, its
/// own help is that of `COMMAND --help`, and names the guide.
pub(super) fn guide(mut arguments: impl Iterator<Item = OsString>) -> Option<&'static Guide> {
    let (help, name) = (arguments.next()?, arguments.next()?);
    let more = arguments.next().is_some();
    if help == "help" && !more { Guide::find(name.to_str()?) } else { None }
}

/// Prints a guide as Markdown.
pub(super) fn print(guide: &Guide) -> anyhow::Result<()> {
    let written = std::io::stdout().write_all(guide.markdown().as_bytes());
    written.context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_command_with_the_name_of_a_guide_names_it() {
        let mut root = Cli::command();
        for guide in GUIDES {
            if let Some(command) = root.find_subcommand_mut(guide.name) {
                let help = command.render_long_help().to_string();
                assert!(help.contains(&format!("whittle help {}", guide.name)), "{help}");
            }
        }
    }

    #[test]
    fn only_help_with_the_name_of_a_guide_asks_for_one() {
        let asked = |line: &str| guide(line.split(' ').map(OsString::from)).map(|guide| guide.name);
        assert_eq!(asked("help proxy"), Some("proxy"));
        for other in
            ["help", "help compress", "proxy", "index help proxy", "help proxy search", "help ../proxy"]
        {
            assert_eq!(asked(other), None, "{other}");
        }
    }
}
