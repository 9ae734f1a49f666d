//! `whittle align`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::progress::DownloadBar;
use crate::config::{Flags, Places, ProcessEnv, load};
use crate::engine::align::{AlignEvent, AlignFiles, AlignOptions, AlignReport, align};
use crate::model::store::ModelStore;
use crate::model::{Cancel, ScorerKind, display_name};

/// Tune the scorer towards the model that reads the prompts, by that model's own answers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle align answers.jsonl --out gpt-4o
  whittle align answers.jsonl --out gpt-4o --cut --epochs 1
  whittle align answers.jsonl --out ./gpt-4o.safetensors --rank 4 --seed 7
  WHITTLE_SCORER_ADAPTER=gpt-4o whittle compress report.txt --method llmlingua --rate 0.5

PAIRS has one JSON object a line, in one of these forms:
  {\"prompt\": \"Name a river.\", \"answer\": \"The Rhine.\"}
  {\"instruction\": \"Add.\", \"input\": \"1, 2\", \"output\": \"3\"}
  {\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello.\"}]}
Other names of `answer` are `completion` and `response`. Of messages, the last is the answer, and those
before it are the prompt. Only tokens of answers count.

The model is that of `scorer.model`, whose weights stay as they are: what is made is a file of a few MB
that `scorer.adapter` names. A tenth of the pairs is held back; training ends when their loss has stopped
falling, and the best state is written. A run that was stopped goes on when it is started again. The same
pairs, options and seed give the same file. More: `whittle help models`.")]
pub(super) struct AlignArgs {
    /// JSONL file of prompts and answers
    #[arg(value_name = "PAIRS.jsonl")]
    pairs: PathBuf,
    /// Name of the adapter, or path of its file
    #[arg(long, value_name = "NAME")]
    out: String,
    /// Rank of the changes, 1 to 1,024
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().rank)]
    rank: usize,
    /// Factor of the changes, times the rank
    #[arg(long, value_name = "X", default_value_t = AlignOptions::default().alpha)]
    alpha: f64,
    /// Largest learning rate
    #[arg(long, value_name = "X", default_value_t = AlignOptions::default().learning_rate)]
    learning_rate: f64,
    /// Number of times that all pairs are learned from, at most
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().epochs)]
    epochs: usize,
    /// Number of pairs of a step
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().batch)]
    batch: usize,
    /// Maximum number of tokens of a pair
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().length)]
    length: usize,
    /// Cut longer pairs: the beginning of the prompt and the end of the answer
    #[arg(long)]
    cut: bool,
    /// Share of the pairs that is held back
    #[arg(long, value_name = "SHARE", default_value_t = AlignOptions::default().held)]
    held: f64,
    /// Number of steps from one measurement and checkpoint to the next [default: a quarter of an epoch]
    #[arg(long, value_name = "N")]
    measure_every: Option<usize>,
    /// Number of measurements without a gain after which training ends
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().patience)]
    patience: usize,
    /// Seed of what is held back, of the order and of the first changes
    #[arg(long, value_name = "N", default_value_t = AlignOptions::default().seed)]
    seed: u64,
    /// Forget an earlier run of this name, finished or not
    #[arg(long)]
    restart: bool,
}

pub(super) fn run(args: &AlignArgs) -> anyhow::Result<()> {
    let config = load(&Flags::default(), &ProcessEnv, &Places::usual())?.config.scorer;
    if config.kind != ScorerKind::Local {
        bail!(
            "the scorer runs on another machine: set `scorer.kind` to `local` to align one in this process"
        );
    }
    let store = ModelStore::from_environment(&ProcessEnv)?;
    let out = store.adapter(&args.out)?;
    let files = store.ensure(&config.model, &DownloadBar::default())?;
    let name = display_name(&config.model);
    let Some(model) = files.single("gguf") else {
        bail!("model `{name}` has no GGUF file, so it cannot score")
    };
    let files = AlignFiles { name, model, pairs: &args.pairs, out: &out };
    let options = AlignOptions {
        rank: args.rank,
        alpha: args.alpha,
        learning_rate: args.learning_rate,
        epochs: args.epochs,
        batch: args.batch,
        length: args.length,
        cut: args.cut,
        held: args.held,
        measure_every: args.measure_every,
        patience: args.patience,
        seed: args.seed,
        restart: args.restart,
        device: config.device,
        threads: config.threads,
    };
    let report = align(files, &options, &mut |event| show(&event), &Cancel::never())?;
    write(&mut anstream::stdout().lock(), &args.out, &report)?;
    Ok(())
}

/// Writes progress to standard error.
fn show(event: &AlignEvent) {
    match *event {
        AlignEvent::Step { step, steps, loss, tokens, seconds } => {
            let speed = tokens as f64 / seconds;
            anstream::eprintln!("step {step} of {steps}: loss {loss:.4}, {speed:.0} tokens/s");
        }
        AlignEvent::Measured { step, loss, best } => {
            anstream::eprintln!("held loss after step {step}: {loss:.4}, best {best:.4}");
        }
    }
}

fn write(out: &mut impl Write, name: &str, report: &AlignReport) -> std::io::Result<()> {
    let AlignReport { path, origin, cut, steps, tokens, seconds } = report;
    writeln!(out, "held loss  {:.4} before, {:.4} after", origin.held_loss_before, origin.held_loss_after)?;
    writeln!(out, "pairs      {} learned from, {} held back, {cut} cut", origin.pairs, origin.held_pairs)?;
    writeln!(out, "steps      {steps}, the best state after {}", origin.steps)?;
    writeln!(out, "tokens     {tokens} in {seconds:.0} s")?;
    writeln!(out, "adapter    {}", path.display())?;
    writeln!(out, "use it     scorer.adapter = \"{name}\"")
}
