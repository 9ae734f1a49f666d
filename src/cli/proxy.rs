//! `whittle proxy`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::output::Format;
use crate::config::{self, Flags, Places, ProcessEnv};
use crate::proxy::{Figures, Kept, ReplayReport, replay};

/// Try what the proxy does without a service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle proxy replay ~/.claude/projects/PROJECT/SESSION.jsonl
  whittle proxy replay ~/.codex/sessions/2026/11/01/*.jsonl --json

Each conversation is sent turn by turn, as its agent sent it, by the code that folds requests of the service.
The figures say what is saved of tools' results, and whether what the agent quotes later, lines of edits,
identifiers, paths and numbers, can still be seen. Nothing is sent anywhere and nothing is stored.

`whittle serve` starts the proxy; `whittle help proxy` shows its guide.")]
pub(super) struct ProxyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(ReplayArgs),
}

/// Play recorded conversations through folding, offline
#[derive(Debug, Args)]
struct ReplayArgs {
    /// Session log of Claude Code or Codex, or a JSONL file of conversations with `messages`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Model whose tokens are counted
    #[arg(long, value_name = "NAME", default_value = "gpt-4o")]
    model: String,
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ProxyArgs) -> anyhow::Result<()> {
    let Command::Replay(args) = args.command;
    let flags = Flags { file: args.config, listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        anyhow::Ok((name, text))
    };
    let logs = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let report = replay(&logs, &config.proxy, &args.model)?;
    let format = if args.json { Format::Json } else { Format::Text };
    format.print(anstream::stdout().lock(), &report, write_text)
}

fn write_text(out: &mut impl Write, report: &ReplayReport) -> std::io::Result<()> {
    let ReplayReport { conversations, turns, all, rules } = report;
    writeln!(out, "{conversations} conversations, {turns} requests")?;
    writeln!(
        out,
        "saved of results:  {:.1}% of {} characters, {:.1}% of {} tokens; {} changed, {} marked",
        100.0 * all.characters_saved,
        all.characters,
        100.0 * all.tokens_saved,
        all.tokens,
        all.changed,
        all.marked
    )?;
    let kept = |Kept { kept, of }: Kept| format!("{kept}/{of}");
    writeln!(
        out,
        "later quotes kept: {} of {}: lines of edits {}, calls {}, answers {}",
        percent(all.quotes),
        all.quotes.of,
        kept(all.lines),
        kept(all.ids),
        kept(all.answers)
    )?;
    writeln!(
        out,
        "blocks whole {}; edits with a lost line {}/{}; JSON broken {}/{}; prefixes broken {}/{turns}",
        kept(all.blocks),
        all.edits_with_a_lost_line,
        all.edits,
        all.json_broken,
        all.json,
        all.prefixes_broken
    )?;
    writeln!(out, "\n{:10}  {:^31}  {:^31}", "", "this rule alone", "all but this rule")?;
    writeln!(out, "{:10}  {HEAD}  {HEAD}", "rule", HEAD = " chars %  tokens %  quotes kept")?;
    for line in rules {
        writeln!(out, "{:10}  {}  {}", line.rule.name(), cells(&line.alone), cells(&line.without))?;
    }
    Ok(())
}

fn cells(figures: &Figures) -> String {
    let [characters, tokens] = [figures.characters_saved, figures.tokens_saved].map(|share| 100.0 * share);
    format!("{characters:>8.1}  {tokens:>8.1}  {:>11}", percent(figures.quotes))
}

fn percent(kept: Kept) -> String {
    format!("{:.2}%", 100.0 * kept.kept as f64 / kept.of.max(1) as f64)
}
