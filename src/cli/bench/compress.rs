//! `whittle bench compress`.

mod crowd;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use clap::Args;
use serde::Serialize;

use self::crowd::{Crowd, CrowdReport};
use crate::cli::output::Format;
use crate::cli::{engine_of, progress};
use crate::compress::Method;
use crate::config::{Flags, Places, ProcessEnv, load};
use crate::engine::Engine;
use crate::engine::api::{CompressRequest, DocumentInput, Timing};
use crate::eval::dataset::{self, Files};
use crate::eval::suite::name_of;
use crate::model::Cancel;

/// Questions about other things than the documents are as good as any to measure time with.
const QUESTIONS: [&str; 2] = ["Who restarted the ledger first?", "How many customers were charged twice?"];
/// Bytes of a document at most.
const DOCUMENT_BYTES: usize = 520;
/// The dataset that is embedded in this program.
const TEXTS: &str = "embedded";

/// Measure the time of whole compressions, without and with cached scores and vectors
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench compress
  whittle bench compress --methods llmlingua --rates 0.5 --documents 10 --format json
  whittle bench compress --clients 16 --seconds 60

The texts are part of this program, about 125 tokens per document. Nothing is cached in the first call. `again` is the
same request once more, and `other question` the same documents with another question.")]
pub(super) struct BenchCompressArgs {
    /// Methods, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["hybrid", "llmlingua", "longllmlingua"])]
    methods: Vec<Method>,
    /// Shares of the tokens to keep, comma-separated
    #[arg(long, value_delimiter = ',', default_values_t = [0.5, 0.25])]
    rates: Vec<f64>,
    /// Number of documents per prompt
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    documents: u16,
    /// Number of runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// Number of concurrent callers to compare with a single one, with the first method and rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=256))]
    clients: Option<u16>,
    /// Seconds that they run
    #[arg(long, default_value_t = 30, requires = "clients", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The durations of whole calls.
#[derive(Debug, Serialize)]
struct Report {
    documents: usize,
    /// The tokens of the whole prompt, as the scorer counts.
    tokens: usize,
    runs: u16,
    calls: Vec<CallTimes>,
}

/// Milliseconds of one kind of call; of each the run in the middle.
#[derive(Debug, Serialize)]
struct CallTimes {
    method: Method,
    rate: f64,
    /// Nothing is remembered.
    first: Timing,
    /// The timing of a request that was made before.
    again: Timing,
    /// The timing of a request whose documents were sent before, with another question.
    other_question: Timing,
}

pub(super) fn run(args: &BenchCompressArgs) -> anyhow::Result<()> {
    let prompts = Prompts::new(usize::from(args.documents))?;
    let engines = Engines::new()?;
    if let Some(clients) = args.clients {
        let (method, rate) = (args.methods[0], args.rates[0]);
        let crowd = Crowd { engine: &engines.forgetful, prompts: &prompts, method, rate };
        let work = || crowd.measure(clients.into(), args.seconds);
        let report = progress::while_working("measuring", |_| work())?;
        return args.format.print(anstream::stdout().lock(), &report, write_crowd);
    }
    let cases: Vec<(Method, f64)> =
        args.methods.iter().flat_map(|&method| args.rates.iter().map(move |&rate| (method, rate))).collect();
    let report = progress::counting("measuring", cases.len() as u64, |done| {
        let mut calls = Vec::new();
        for (number, &case) in cases.iter().enumerate() {
            // No case meets the texts of another.
            let first = 1 + number * usize::from(args.runs);
            calls.push(engines.times(&prompts, case, first..first + usize::from(args.runs))?);
            done(calls.len());
        }
        let tokens = engines.tokens(&prompts)?;
        anyhow::Ok(Report { documents: prompts.size, tokens, runs: args.runs, calls })
    })?;
    args.format.print(anstream::stdout().lock(), &report, write_times)
}

/// Prompts of the embedded documents.
struct Prompts {
    documents: Vec<DocumentInput>,
    size: usize,
}

impl Prompts {
    fn new(size: usize) -> anyhow::Result<Self> {
        let questions = Files::new(None, &ProcessEnv).questions(&dataset::by_name(TEXTS)?)?;
        // The questions share their documents.
        let mut documents: BTreeMap<String, DocumentInput> = BTreeMap::new();
        for source in questions.into_iter().flat_map(|question| question.documents) {
            let text = source.text.chars().take(DOCUMENT_BYTES).collect();
            let document = DocumentInput { title: Some(source.title), text, ..DocumentInput::default() };
            documents.insert(source.id, document);
        }
        Ok(Self { documents: documents.into_values().collect(), size })
    }

    /// The `n`th prompt: its documents begin at another place, and each begins with a number of its own.
    fn request(&self, n: usize, question: &str, method: Method, rate: f64) -> CompressRequest {
        let documents = self.documents.iter().cycle().skip(n % self.documents.len()).take(self.size);
        let numbered = |(i, document): (usize, &DocumentInput)| DocumentInput {
            text: format!("{}. {}", n * self.size + i, document.text),
            ..document.clone()
        };
        CompressRequest {
            documents: Some(documents.enumerate().map(numbered).collect()),
            question: Some(question.to_owned()),
            method: Some(method),
            rate: Some(rate),
            tokenizer: Some("scorer".into()),
            ..CompressRequest::default()
        }
    }
}

/// One that remembers nothing and one that remembers all.
struct Engines {
    forgetful: Engine,
    mindful: Engine,
}

impl Engines {
    fn new() -> anyhow::Result<Self> {
        let mut config = load(&Flags::default(), &ProcessEnv, &Places::usual())?.config;
        let mindful = engine_of(&config)?;
        config.scorer.forget();
        config.embedder.cache_bytes = 0;
        Ok(Self { forgetful: engine_of(&config)?, mindful })
    }

    fn tokens(&self, prompts: &Prompts) -> anyhow::Result<usize> {
        let request = prompts.request(0, QUESTIONS[0], Method::Lossless, 1.0);
        Ok(self.mindful.compress(request, &Cancel::never())?.usage.original_tokens)
    }

    fn times(&self, prompts: &Prompts, case: (Method, f64), runs: Range<usize>) -> anyhow::Result<CallTimes> {
        let call = |engine: &Engine, n: usize, question: &str| {
            let request = prompts.request(n, question, case.0, case.1);
            engine.compress(request, &Cancel::never()).map(|response| response.timing_ms)
        };
        // Models are loaded, and their buffers made, by a call that is not counted.
        call(&self.forgetful, 0, QUESTIONS[0])?;
        let (mut first, mut again, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for n in runs {
            first.push(call(&self.forgetful, n, QUESTIONS[0])?);
            call(&self.mindful, n, QUESTIONS[0])?;
            again.push(call(&self.mindful, n, QUESTIONS[0])?);
            other.push(call(&self.mindful, n, &format!("{} ({n})", QUESTIONS[1]))?);
        }
        let (first, again, other_question) = (middle(first), middle(again), middle(other));
        Ok(CallTimes { method: case.0, rate: case.1, first, again, other_question })
    }
}

/// The one whose total is in the middle.
fn middle(mut timings: Vec<Timing>) -> Timing {
    timings.sort_by(|a, b| a.total.total_cmp(&b.total));
    let place = timings.len() / 2;
    if place < timings.len() { timings.swap_remove(place) } else { Timing::default() }
}

fn write_times(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let Report { documents, tokens, runs, calls } = report;
    writeln!(out, "{documents} documents, {tokens} tokens; milliseconds, the middle one of {runs} runs")?;
    writeln!(
        out,
        "{:18} {:>5} {:>9} {:>9} {:>15}  stages of the first",
        "method", "rate", "first", "again", "other question"
    )?;
    for CallTimes { method, rate, first, again, other_question } in calls {
        let stages: Vec<String> =
            first.stages.iter().map(|(stage, time)| format!("{stage} {time:.0}")).collect();
        let (method, stages) = (name_of(*method), stages.join(", "));
        let (first, again, other) = (first.total, again.total, other_question.total);
        writeln!(out, "{method:18} {rate:>5} {first:>9.0} {again:>9.1} {other:>15.0}  {stages}")?;
    }
    Ok(())
}

fn write_crowd(out: &mut impl Write, report: &CrowdReport) -> std::io::Result<()> {
    let CrowdReport { method, rate, clients, seconds, alone, together, resident, .. } = report;
    writeln!(out, "{} at {rate}, prompts that nothing is remembered of", name_of(*method))?;
    writeln!(out, "{:>8} {:>8} {:>10} {:>10} {:>10}", "clients", "calls", "tokens/s", "p50 ms", "p99 ms")?;
    for (clients, load) in [(&1, alone), (clients, together)] {
        let (speed, times) = (load.tokens_per_second, load.milliseconds);
        writeln!(
            out,
            "{clients:>8} {:>8} {speed:>10.0} {:>10.0} {:>10.0}",
            load.calls, times.p50, times.p99
        )?;
    }
    let Some(resident) = resident else { return Ok(()) };
    let [early, late, most] = [resident.early, resident.late, resident.most].map(|bytes| bytes / 1_000_000);
    writeln!(out, "memory: {early} MB after a fifth of {seconds} s, {late} MB at the end, {most} MB at most")
}
