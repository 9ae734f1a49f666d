//! `whittle eval run`.

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::DataArgs;
use super::cells::{of, percent, plain, share};
use crate::cli::progress::DownloadBar;
use crate::compress::{Method, Mode};
use crate::config::{Config, Flags, Places, ProcessEnv, load};
use crate::engine::align::adapter_sha256;
use crate::engine::{Engine, RemoteModel};
use crate::eval::dataset::Files;
use crate::eval::folder;
use crate::eval::reader::{ChatModel, TokenPrice};
use crate::eval::report::Texts;
use crate::eval::run::{self as runs, Means, Overrides, Plan, Reader, Row, Setting, Watch};
use crate::eval::suite::{Suite, name_of};
use crate::eval::summary::{Figures, MadeBy, Summary, summarise};
use crate::model::store::ModelStore;
use crate::model::{display_name, is_path, parts_of};

/// Run a suite: every question with every method at every rate
///
/// Results are written to rows.jsonl and summary.json in a folder. A run that was stopped continues where it was.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// `smoke`, `kinds`, `domains` or one of its sets, `nq`, `gsm8k`, `bbh`, `medqa`, a .toml suite or .jsonl rows of your
    /// own
    pub(super) suite: String,
    /// Methods, comma-separated; `default` is the default method
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) methods: Vec<String>,
    /// Shares of the tokens to keep, comma-separated
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub(super) rates: Vec<f64>,
    /// Maximum number of questions
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Seed for questions and resampling
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Folder of the results [default: eval/results/SUITE]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Reader of the prompts: `likelihood` (the scorer's likelihood of the right answer), `none`, or a model that
    /// answers at temperature 0: local/smollm2-135m-instruct, or a model of an upstream in the configuration
    /// [default: the suite's, else likelihood]
    #[arg(long, value_name = "READER", value_parser = |name: &str| Ok::<_, Infallible>(Reader::from(name.to_owned())))]
    pub(super) reader: Option<Reader>,
    /// Number of concurrent requests to an upstream
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(super) concurrency: usize,
    /// Dollars per million tokens, INPUT or INPUT,OUTPUT [default: the upstream's price in the configuration]
    #[arg(long, value_name = "INPUT,OUTPUT", value_parser = price)]
    pub(super) price: Option<TokenPrice>,
    /// Configuration file with [[upstreams]]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// `exact`, or `reference` for the behaviour of llmlingua 0.2.2, which has no hard budget
    #[arg(long, value_enum, default_value_t)]
    pub(super) mode: Mode,
    /// Do not cache scores between results: times are those of a first request, and the run takes longer
    #[arg(long)]
    pub(super) no_score_cache: bool,
    #[command(flatten)]
    pub(super) data: DataArgs,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let files = Files::new(args.data.data.clone(), &ProcessEnv);
    let suite = Suite::by_name(&args.suite, &files)?;
    let manifest = files.dataset(&suite.dataset)?;
    let reader = args.reader.clone().or_else(|| suite.reader.clone().map(Reader::from)).unwrap_or_default();
    let overrides = Overrides {
        methods: args.methods.clone(),
        rates: args.rates.clone(),
        limit: args.limit,
        seed: args.seed,
        price: args.price,
    };
    let mut plan = Plan::new(&suite, manifest, &overrides)?;
    let questions = files.questions(&plan.manifest)?;
    let flags = Flags { file: args.config.clone(), ..Flags::default() };
    let mut config = load(&flags, &ProcessEnv, &Places::usual())?.config;
    if args.no_score_cache {
        config.scorer.forget();
        config.embedder.cache_bytes = 0;
    }
    let setting = Setting {
        dataset: plan.manifest.name.clone(),
        files: plan.manifest.files.iter().map(|f| (f.path.clone(), f.sha256.clone())).collect(),
        answer: plan.manifest.answer,
        default_method: name_of(Method::default()),
        score_cache: !args.no_score_cache,
        reader: reader.clone(),
        mode: args.mode,
        tokenizer: plan.manifest.tokenizer.clone(),
    };
    let models = models(&config)?;
    let engine = Engine::new(&config, &ProcessEnv, Box::new(DownloadBar::default()))?;
    let name = &plan.suite;
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("eval/results").join(name));
    let model = blake3::hash(models.join("\n").as_bytes()).to_hex()[..16].to_owned();
    let chat = match &reader {
        Reader::Model(name) => {
            folder::agree(&folder, &setting)?;
            Some(ChatModel::open(name, &engine, (&config, &ProcessEnv), (&folder, &model))?)
        }
        Reader::Likelihood | Reader::None => None,
    };
    plan.price = plan.price.or_else(|| chat.as_ref()?.price());
    let at_once = chat.as_ref().map_or(1, |chat| chat.at_once(args.concurrency));
    let means = Means { engine: &engine, model: &model, chat: chat.as_ref(), at_once };
    let mut bar = RunBar::default();
    let rows = runs::run(&plan, &questions, &setting, means, &folder, &mut bar)?;
    bar.finish();
    let summary = summarise(&plan, &setting, &rows, made_by(models));
    let path = folder.join("summary.json");
    std::fs::write(&path, serde_json::to_string_pretty(&summary)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    super::report::write(&folder, &summary, Some(Texts { rows: &rows, questions: &questions }))?;
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    table(&summary, &mut out)?;
    super::sets::table(&summary.sets, &mut out)?;
    anstream::eprintln!("{} rows in {}", rows.len(), folder.display());
    Ok(())
}

pub(super) fn price(text: &str) -> Result<TokenPrice, String> {
    let dollars = |text: &str| {
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        value.ok_or_else(|| format!("`{text}` is not a price: give dollars per million tokens, 0 or more"))
    };
    let (input, output) = text.split_once(',').unwrap_or((text, "0"));
    Ok(TokenPrice { input: dollars(input)?, output: dollars(output)? })
}

/// Returns scorer and embedder with the hashes of their files, or with their servers.
pub(super) fn models(config: &Config) -> anyhow::Result<Vec<String>> {
    let store = ModelStore::from_environment(&ProcessEnv)?;
    let named = |name: &str| -> anyhow::Result<String> {
        let mut hashes = Vec::new();
        for part in parts_of(name) {
            if is_path(part) {
                hashes.push(store.ensure(part, &())?.identity());
            } else {
                let files = &store.manifest().model(part)?.files;
                hashes.extend(files.iter().map(|file| file.sha256.clone()));
            }
        }
        Ok(format!("{} {}", display_name(name), hashes.join(" ")))
    };
    let remotes = RemoteModel::of(config);
    let remote = |role: &str| {
        let found = remotes.iter().find(|model| model.role == role);
        found.map(|model| format!("{} ({} at {})", model.model, model.kind, model.url))
    };
    let local = || -> anyhow::Result<String> {
        let adapter = match &config.scorer.adapter {
            Some(name) => format!(" with {name} {}", adapter_sha256(&store.adapter(name)?)?),
            None => String::new(),
        };
        let model = named(&config.scorer.model)?.to_lowercase();
        Ok(format!("{model}{adapter} {}", config.scorer.precision.name()))
    };
    let scorer = remote("scorer").map_or_else(local, Ok)?;
    let embedder = remote("embedder").map_or_else(|| named(&config.embedder.model), Ok)?;
    Ok(vec![scorer, embedder])
}

pub(super) fn made_by(models: Vec<String>) -> MadeBy {
    MadeBy {
        version: env!("CARGO_PKG_VERSION").into(),
        git_revision: git_revision(),
        models,
        machine: machine(),
    }
}

fn git_revision() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
    Some(if changed { revision + "+" } else { revision })
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = model.map_or("processor not known", |(_, name)| name);
    format!("{} {}, {processor}, {cores} cores", std::env::consts::OS, std::env::consts::ARCH)
}

/// Progress with the running share of right or retained answers, where standard error is a terminal.
#[derive(Default)]
struct RunBar {
    bar: Option<ProgressBar>,
    right: Share,
    retained: Share,
}

/// A part of a whole, both as counts.
#[derive(Default)]
struct Share {
    yes: usize,
    of: usize,
}

impl Share {
    fn count(&mut self, yes: bool) {
        self.yes += usize::from(yes);
        self.of += 1;
    }

    fn shown(&self, what: &str) -> Option<String> {
        (self.of > 0).then(|| format!("{:.1}% {what}", 100.0 * self.yes as f64 / self.of as f64))
    }
}

impl RunBar {
    fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

impl Watch for RunBar {
    fn begin(&mut self, total: usize, done: usize) {
        let style = ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg} {elapsed}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total as u64).with_style(style).with_position(done as u64);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn row(&mut self, row: &Row) {
        if let Some(measured) = row.measured().filter(|_| !runs::LEVELS.contains(&&*row.method)) {
            measured.retained.iter().for_each(|&retained| self.retained.count(retained));
            measured.reading.iter().for_each(|reading| self.right.count(reading.correct));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
            let shares = [self.right.shown("right"), self.retained.shown("retained")];
            bar.set_message(shares.into_iter().flatten().collect::<Vec<_>>().join(", "));
        }
    }
}

/// A column of the table.
struct Column {
    title: &'static str,
    width: usize,
    cell: fn(&Figures) -> String,
}

/// The columns that are printed for each method and rate; those without a figure are left out.
const COLUMNS: [Column; 17] = [
    Column { title: "achieved", width: 9, cell: |f| of(f.achieved_rate, |rate| format!("{:.3}", rate.mean)) },
    Column { title: "n", width: 5, cell: |f| f.measured.to_string() },
    Column {
        title: "refused",
        width: 8,
        cell: |f| if f.refused > 0 { f.refused.to_string() } else { String::new() },
    },
    Column { title: "right", width: 22, cell: |f| percent(f.accuracy) },
    Column { title: "against whole", width: 22, cell: |f| percent(f.accuracy_against_whole) },
    Column { title: "exact", width: 7, cell: |f| share(f.exact_match) },
    Column { title: "F1", width: 7, cell: |f| share(f.f1) },
    Column { title: "$ for 1,000", width: 12, cell: |f| of(f.dollars, |d| format!("{:.3}", d.mean)) },
    Column { title: "retention", width: 22, cell: |f| percent(f.retention) },
    Column { title: "NLL", width: 21, cell: |f| plain(f.nll) },
    Column { title: "NLL against whole", width: 23, cell: |f| plain(f.nll_against_whole) },
    Column { title: "NLL of the text", width: 21, cell: |f| plain(f.text_nll) },
    Column { title: "broken", width: 18, cell: |f| percent(f.broken) },
    Column { title: "numbers", width: 8, cell: |f| share(f.numbers) },
    Column { title: "digits", width: 8, cell: |f| share(f.digits) },
    Column { title: "capitals", width: 8, cell: |f| share(f.capitals) },
    Column {
        title: "altered",
        width: 8,
        cell: |f| of(f.altered_numbers, |count| format!("{:.2}", count.mean)),
    },
];

fn table(summary: &Summary, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{}: {} questions of {}, seed {}; 95% intervals in brackets",
        summary.suite, summary.questions, summary.setting.dataset, summary.seed
    )?;
    let filled = |column: &&Column| summary.figures.iter().any(|figures| !(column.cell)(figures).is_empty());
    let columns: Vec<&Column> = COLUMNS.iter().filter(filled).collect();
    let row = |out: &mut dyn Write, method: &str, rate: &str, cells: &dyn Fn(&Column) -> String| {
        write!(out, "{method:18} {rate:>5}")?;
        for column in &columns {
            write!(out, " {:>width$}", cells(column), width = column.width)?;
        }
        writeln!(out)
    };
    row(out, "method", "rate", &|column| column.title.to_owned())?;
    for figures in &summary.figures {
        row(out, &figures.method, &figures.rate.to_string(), &|column| (column.cell)(figures))?;
    }
    Ok(())
}
