//! `whittle completions` and `whittle man`: what a package puts beside the program.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

/// Write the completions of this command line for a shell to standard output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  whittle completions bash > ~/.local/share/bash-completion/completions/whittle
  whittle completions zsh > ~/.zfunc/_whittle        with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  whittle completions fish > ~/.config/fish/completions/whittle.fish")]
pub(super) struct CompletionsArgs {
    /// Shell that completes
    shell: Shell,
}

/// Write the manual pages, one a command, to a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  whittle man ~/.local/share/man/man1
  man whittle-compress")]
pub(super) struct ManArgs {
    /// Folder of the pages, made where it is missing
    folder: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    // Written at once: the generator panics where a write fails.
    std::io::stdout().write_all(&script(args.shell)).context("cannot write to standard output")
}

/// The script that completes this command line in `shell`.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "whittle", &mut script);
    script
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let to = || format!("cannot write manual pages to {}", args.folder.display());
    std::fs::create_dir_all(&args.folder).with_context(to)?;
    clap_mangen::generate_to(super::Cli::command(), &args.folder).with_context(to)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in super::super::Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { folder: folder.path().join("man1") };
        man(&args).unwrap();
        for command in super::super::Cli::command().get_subcommands() {
            let page = args.folder.join(format!("whittle-{}.1", command.get_name()));
            assert!(std::fs::read_to_string(page).unwrap().contains(".SH NAME"), "{}", command.get_name());
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(man(&ManArgs { folder: file }).is_err());
    }
}
