//! `whittle index ingest`.

use std::path::PathBuf;

use clap::Args;

use super::sources::{self, Item, Source};
use crate::cli::{engine, progress};
use crate::engine::collections::api::{CreateRequest, OnBad, SourceDocument, UpsertResponse};
use crate::engine::collections::lines::{Ids, Import, refused};
use crate::engine::{Engine, ErrorKind};
use crate::model::Cancel;

/// Store the documents of files and folders in a collection; a missing collection is created
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle index ingest nq passages.jsonl
  whittle index ingest nq passages.jsonl --on-bad skip
  whittle index ingest nq passages.jsonl --score

A JSONL file (.jsonl, .ndjson) has one document per line: {\"id\": ..., \"title\": ..., \"text\": ..., \"metadata\": {...},
\"layout\": \"plain\"|\"markdown\"|\"code\"}, of which only `text` is required. A JSON file (.json) is one such document, a
list of them, or an object with the list `documents`. Ids must be unique.

Text (.txt), Markdown (.md), code (.rs, .py, .js, .yaml and others), HTML (.html, .htm, .xhtml), PDF (.pdf), Word (.docx),
rich text (.rtf), CSV and TSV (.csv, .tsv, .tab), spreadsheets (.xlsx, .xlsm, .ods), slides (.pptx), books (.epub) and
e-mails (.eml) are one
document each, with their path as id. All but text, Markdown and code are converted to Markdown with their titles,
headings and tables, and a heading for each page, sheet or slide, in a separate process with at most 60 seconds and 1 GB
of memory per file. Of an HTML page navigation, notices about cookies and footers are left out; --whole keeps them. All
such files in a folder are read, except hidden ones.

Documents that are stored already are skipped: after an interruption run the same command again. --score also scores
stored documents that have no scores yet.")]
pub(super) struct IngestArgs {
    /// Name of the collection: a-z, 0-9, `-` and `_`
    collection: String,
    /// Files and folders to read
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Also score the chunks, those of unchanged documents included, so that `llmlingua` needs no model for them later
    #[arg(long)]
    score: bool,
    /// Keep navigation, notices about cookies and footers of HTML pages
    #[arg(long)]
    whole: bool,
    /// Treatment of a line or file that is not a document, or whose id occurred before
    #[arg(long, value_enum, default_value_t)]
    on_bad: OnBad,
}

pub(super) fn run(args: &IngestArgs) -> anyhow::Result<()> {
    let (sources, passed_over) = sources::sources(&args.paths)?;
    if args.on_bad == OnBad::Refuse {
        check(&sources, args.whole)?;
    }
    let engine = engine()?;
    ensure(&engine, &args.collection)?;
    let bar = progress::Ingesting::begin(sources::total_bytes(&sources));
    let never = Cancel::never();
    let mut import = Import::new(&engine, &args.collection, args.score, &never);
    let (mut ids, mut bad) = (Ids::default(), 0);
    for source in &sources {
        for item in sources::items(source, args.whole)? {
            let item = item?;
            let bytes = item.bytes;
            match admitted(item, &mut ids) {
                Ok(document) => import.add(document)?,
                Err(told) => {
                    bad += 1;
                    bar.warn(&told);
                }
            }
            let UpsertResponse { added, updated, unchanged, chunks, .. } = import.done();
            bar.advance(bytes, added + updated + unchanged, *chunks);
        }
    }
    let done = import.finish()?;
    bar.end();
    summarise(&done, args.score, bad, passed_over);
    Ok(())
}

/// The document of `item` that comes after those with `ids`, or what is wrong with it and where it is.
fn admitted(item: Item<'_>, ids: &mut Ids) -> Result<SourceDocument, String> {
    let Item { place, document, .. } = item;
    document
        .and_then(|document| ids.admit(&document).map(|()| document))
        .map_err(|reason| format!("{place}: {reason}"))
}

/// The first thing in the way, before anything is stored.
fn check(sources: &[Source], whole: bool) -> anyhow::Result<()> {
    let mut ids = Ids::default();
    for source in sources {
        for item in sources::items(source, whole)? {
            admitted(item?, &mut ids).map_err(|bad| refused(&bad, "--on-bad skip"))?;
        }
    }
    Ok(())
}

/// Makes the collection if there is none.
fn ensure(engine: &Engine, name: &str) -> anyhow::Result<()> {
    match engine.collections().get(name) {
        Ok(info) => super::tell_mended(&info),
        Err(error) if error.kind == ErrorKind::NotFound => {
            engine.collections().create(name, CreateRequest::default())?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn summarise(done: &UpsertResponse, score: bool, bad: usize, passed_over: usize) {
    let UpsertResponse { added, updated, unchanged, chunks, scored, .. } = done;
    let scored = if score { format!(", {scored} scored") } else { String::new() };
    anstream::eprintln!(
        "{added} documents added, {updated} updated, {unchanged} unchanged; {chunks} chunks embedded{scored}"
    );
    if bad > 0 {
        anstream::eprintln!("warning: {bad} lines or files are not documents and were skipped");
    }
    if passed_over > 0 {
        anstream::eprintln!(
            "warning: {passed_over} files in folders have an unsupported type and were skipped"
        );
    }
}
