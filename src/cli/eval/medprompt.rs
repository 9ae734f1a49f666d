//! `whittle eval medprompt`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::DataArgs;
use super::cells::percent;
use super::run::{made_by, models, price};
use crate::cli::progress::DownloadBar;
use crate::config::{Flags, Places, ProcessEnv, load};
use crate::engine::Engine;
use crate::eval::dataset::Files;
use crate::eval::medprompt::summary::{Ladder, Step, summarise};
use crate::eval::medprompt::task::Task;
use crate::eval::medprompt::{self, Means, Row, Setting, Watch};
use crate::eval::reader::{ChatModel, TokenPrice};

/// Measure what dynamic few-shot prompting adds, step by step, with whole and with compressed examples
///
/// The model writes chains of thought for the training questions. Those that led to the right answer become
/// examples. Then each question is asked without examples, with random ones, with the nearest, with their thoughts,
/// and in several orders of its choices with a majority vote (Medprompt, Nori et al. 2023).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle eval medprompt medqa --limit 20 --bank-size 60 --data ./data
  whittle eval medprompt bbh/logical_deduction_five_objects --reader gpt-4o-mini --concurrency 16
  whittle eval medprompt exam.jsonl --bank solved.jsonl --examples 3 --votes 3

A .jsonl file has one object a line with `question`, `options` (an object of labels and texts), `answer` (a
label) and perhaps `id`. A run that is stopped goes on where it was.")]
pub(super) struct MedpromptArgs {
    /// `medqa`, `bbh/TASK`, or a .jsonl file of your own
    task: String,
    /// .jsonl file of training questions [default: every second line of your own file]
    #[arg(long, value_name = "FILE")]
    bank: Option<PathBuf>,
    /// Maximum number of training questions
    #[arg(long, value_name = "N", default_value_t = 100)]
    bank_size: usize,
    /// Maximum number of questions to ask
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Number of examples before a question
    #[arg(long, value_name = "K", default_value_t = 5)]
    examples: usize,
    /// Number of orders of the choices in the majority vote
    #[arg(long, value_name = "N", default_value_t = 5)]
    votes: usize,
    /// Share of the tokens to keep of a compressed example's question and thought
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    rate: f64,
    /// Model that answers at temperature 0: local/smollm2-135m-instruct, or a model of an upstream in the configuration
    #[arg(long, value_name = "MODEL", default_value = "local/smollm2-135m-instruct")]
    reader: String,
    /// Number of concurrent requests to an upstream
    #[arg(long, value_name = "N", default_value_t = 8)]
    concurrency: usize,
    /// Dollars per million tokens, INPUT or INPUT,OUTPUT [default: the upstream's price in the configuration]
    #[arg(long, value_name = "INPUT,OUTPUT", value_parser = price)]
    price: Option<TokenPrice>,
    /// Seed for questions, random examples, orders of choices and resampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the results [default: eval/results/medprompt-TASK]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Configuration file with [[upstreams]]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &MedpromptArgs) -> anyhow::Result<()> {
    ensure!(args.rate > 0.0 && args.rate <= 1.0, "--rate must be above 0 and at most 1");
    let files = Files::new(args.data.data.clone(), &ProcessEnv);
    let task = Task::load(&args.task, args.bank.as_deref(), &files)?;
    let task = task.drawn(args.bank_size, args.limit, args.seed);
    ensure!(!task.questions.is_empty(), "the task `{}` has no question to ask", task.name);
    let flags = Flags { file: args.config.clone(), ..Flags::default() };
    let config = load(&flags, &ProcessEnv, &Places::usual())?.config;
    let models = models(&config)?;
    let engine = Engine::new(&config, &ProcessEnv, Box::new(DownloadBar::default()))?;
    let identity = blake3::hash(models.join("\n").as_bytes()).to_hex()[..16].to_owned();
    let setting = Setting {
        task: task.name.clone(),
        reader: args.reader.clone(),
        models: identity.clone(),
        examples: args.examples,
        votes: args.votes,
        rate: args.rate,
        bank: task.bank.len(),
        seed: args.seed,
    };
    let usual =
        || PathBuf::from("eval/results").join(format!("medprompt-{}", task.name.replace(['/', '.'], "-")));
    let folder = args.out.clone().unwrap_or_else(usual);
    let model = ChatModel::open(&args.reader, &engine, (&config, &ProcessEnv), (&folder, &identity))?;
    let means = Means { engine: &engine, model: &model, at_once: model.at_once(args.concurrency) };
    let mut bar = StageBar::default();
    let outcome = medprompt::run(&task, &setting, means, &folder, &mut bar)?;
    bar.bar.finish_and_clear();
    let ladder = summarise(&setting, &outcome, args.price.or_else(|| model.price()), made_by(models));
    let path = folder.join("summary.json");
    std::fs::write(&path, serde_json::to_string_pretty(&ladder)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    table(&ladder, &mut anstream::AutoStream::auto(std::io::stdout().lock()))?;
    anstream::eprintln!("{}", path.display());
    Ok(())
}

/// Progress of a stage, with the running share of right answers.
struct StageBar {
    bar: ProgressBar,
    right: usize,
    of: usize,
}

impl Default for StageBar {
    fn default() -> Self {
        Self { bar: ProgressBar::hidden(), right: 0, of: 0 }
    }
}

impl Watch for StageBar {
    fn stage(&mut self, what: &str, steps: usize, done: usize) {
        self.bar.finish_and_clear();
        let style =
            ProgressStyle::with_template("{prefix} {pos}/{len} {wide_bar} {msg} {elapsed}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(steps as u64).with_style(style).with_position(done as u64);
        self.bar.set_prefix(what.to_owned());
        self.bar.reset_eta();
    }

    fn step(&mut self, row: Option<&Row>) {
        self.bar.inc(1);
        if let Some(row) = row {
            self.right += usize::from(row.correct);
            self.of += 1;
            self.bar.set_message(format!("{:.1}% right", 100.0 * self.right as f64 / self.of as f64));
        }
    }
}

fn table(ladder: &Ladder, out: &mut impl Write) -> anyhow::Result<()> {
    let Ladder { setting, questions, bank: (all, solved), .. } = ladder;
    writeln!(
        out,
        "{}: {questions} questions, asked of {}; {} of {all} questions to learn from led it to the right answer; \
         {} examples, {} votes, seed {}; 95% intervals in brackets",
        setting.task, setting.reader, solved, setting.examples, setting.votes, setting.seed
    )?;
    writeln!(
        out,
        "{:20} {:11} {:22} {:22} {:22} {:>10} {:>8} {:>9}",
        "",
        "examples",
        "right",
        "gain over the rung",
        "against whole examples",
        "no choice",
        "tokens",
        "$ / 1,000"
    )?;
    for Step { arm, accuracy, gain, against_whole, unanswered, input_tokens, dollars } in &ladder.steps {
        let examples = match (arm.rung, arm.compressed) {
            (medprompt::Rung::ZeroShot, _) => "none".to_owned(),
            (_, false) => "whole".to_owned(),
            (_, true) => format!("at {}", setting.rate),
        };
        writeln!(
            out,
            "{:20} {examples:11} {:22} {:22} {:22} {:>9.1}% {:>8} {:>9}",
            arm.rung.name(),
            percent(*accuracy),
            percent(*gain),
            percent(*against_whole),
            100.0 * unanswered,
            input_tokens.map_or_else(String::new, |tokens| format!("{:.0}", tokens.mean)),
            dollars.map_or_else(String::new, |dollars| format!("{dollars:.3}")),
        )?;
    }
    Ok(())
}
