//! `whittle bench retrieval`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use crate::cli::output::Format;
use crate::cli::{engine_builder, input, progress};
use crate::config::{Flags, Places, ProcessEnv, load};
use crate::engine::collections::api::SourceDocument;
use crate::engine::collections::bench::{Judged, QualityReport, ScaleReport, Task};
use crate::retrieve::Weights;

/// Measure recall and speed of searches, also among many chunks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench retrieval --passages passages.jsonl --questions questions.jsonl
  whittle bench retrieval --passages passages.jsonl --questions questions.jsonl --lexical-weights 0.1,0.3,1
  whittle bench retrieval --passages passages.jsonl --questions questions.jsonl --chunks 100000

Passages have `id`, `title` and `text`. Questions have `question`, `gold` (the id of the passage that answers it) and
optionally `answers`, because another passage may contain one too. All data is stored in a folder that is removed at the end; with \
store.kind = \"postgres\", in a collection `whittle-bench` there.")]
pub(super) struct BenchRetrievalArgs {
    /// JSONL file of documents with `id`, `title`, `text`
    #[arg(long, value_name = "FILE.jsonl")]
    passages: PathBuf,
    /// JSONL file of questions with `question`, `gold`
    #[arg(long, value_name = "FILE.jsonl")]
    questions: PathBuf,
    /// Weights of the lexical ranking to try in hybrid search, comma-separated; the dense ranking has weight 1
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',', default_values_t = [Weights::default().lexical])]
    lexical_weights: Vec<f64>,
    /// Instead of recall, measure a collection of this many chunks made from the passages
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Deserialize)]
struct Line {
    question: String,
    gold: String,
    #[serde(default)]
    answers: Vec<String>,
}

pub(super) fn run(args: &BenchRetrievalArgs) -> anyhow::Result<()> {
    let passages = passages(&args.passages)?;
    let questions = questions(&args.questions)?;
    let task = Task { passages: &passages, questions: &questions };
    let folder = tempfile::tempdir().context("cannot make a folder for the collection")?;
    let config = load(&Flags::default(), &ProcessEnv, &Places::usual())?.config;
    let engine = engine_builder(&config)?.data_dir(folder.path().join("data")).build();
    if let Some(chunks) = args.chunks {
        let scale = || engine.bench_scale(task, chunks, &folder.path().join("scale"));
        let report = progress::while_working("measuring", |_| scale())?;
        return args.format.print(std::io::stdout().lock(), &report, write_scale);
    }
    let quality = || engine.bench_quality(task, &args.lexical_weights);
    let report = progress::while_working("measuring", |_| quality())?;
    args.format.print(std::io::stdout().lock(), &report, write_quality)
}

pub(super) fn passages(path: &Path) -> anyhow::Result<Vec<SourceDocument>> {
    let documents = input::documents(path)?;
    let passage = |document: crate::engine::api::DocumentInput| SourceDocument {
        id: document.id,
        title: document.title,
        text: document.text,
        ..SourceDocument::default()
    };
    anyhow::ensure!(!documents.is_empty(), "{} holds no passages", path.display());
    Ok(documents.into_iter().map(passage).collect())
}

fn questions(path: &Path) -> anyhow::Result<Vec<Judged>> {
    let text = input::text(Some(path))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let question = |(i, line): (usize, &str)| {
        let Line { question, gold, answers } =
            serde_json::from_str(line).with_context(|| format!("{} line {}", path.display(), i + 1))?;
        Ok(Judged { question, gold, answers })
    };
    let questions: Vec<Judged> = lines.map(question).collect::<anyhow::Result<_>>()?;
    anyhow::ensure!(!questions.is_empty(), "{} holds no questions", path.display());
    Ok(questions)
}

fn write_quality(out: &mut impl Write, report: &QualityReport) -> std::io::Result<()> {
    let QualityReport { documents, chunks, chunks_per_second, rows, linked_recall_at_10 } = report;
    writeln!(out, "{documents} documents, {chunks} chunks, {chunks_per_second:.0} chunks/s ingested")?;
    writeln!(out, "mode      weight  reranked  recall@1     @5    @10  answered@1   p50 ms  p99 ms")?;
    for row in rows {
        let weight = row.lexical_weight.map_or_else(String::new, |weight| format!("{weight}"));
        let mode = format!("{:?}", row.mode).to_lowercase();
        let answered = row.answered_at_1.map_or_else(String::new, |share| format!("{share:.3}"));
        writeln!(
            out,
            "{mode:8}  {weight:>6}  {:>8}  {:8.3}  {:5.3}  {:5.3}  {answered:>10}   {:7.2} {:7.2}",
            row.reranked,
            row.recall_at_1,
            row.recall_at_5,
            row.recall_at_10,
            row.milliseconds.p50,
            row.milliseconds.p99
        )?;
    }
    writeln!(out, "dense recall@10 by way of links {linked_recall_at_10:.4}, against comparing with each")
}

fn write_scale(out: &mut impl Write, report: &ScaleReport) -> std::io::Result<()> {
    let (dense, hybrid) = (&report.dense_milliseconds, &report.hybrid_milliseconds);
    writeln!(out, "{} chunks, {:.0}/s stored", report.chunks, report.stored_per_second)?;
    writeln!(out, "links     {:.1} s", report.link_seconds)?;
    writeln!(out, "opening   {:.2} s", report.open_seconds)?;
    writeln!(out, "recall@10 {:.4} against comparing with each", report.recall_at_10)?;
    writeln!(out, "dense     p50 {:.2} ms, p99 {:.2} ms, 4 at a time", dense.p50, dense.p99)?;
    writeln!(out, "hybrid    p50 {:.2} ms, p99 {:.2} ms, 4 at a time", hybrid.p50, hybrid.p99)?;
    let memory =
        report.resident_bytes.map_or_else(|| "unknown".into(), |bytes| format!("{} MB", bytes >> 20));
    writeln!(out, "memory    {memory}; {} MB on disk", report.disk_bytes >> 20)
}
