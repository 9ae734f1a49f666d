//! `whittle index ingest`.

use std::path::PathBuf;

use clap::Args;

use super::sources::{self, Item, Source};
use crate::cli::{engine, progress};
use crate::engine::collections::api::{CreateRequest, OnBad, SourceDocument, UpsertResponse};
use crate::engine::collections::lines::{Ids, Import, refused};
use crate::engine::{Engine, ErrorKind};
use crate::model::Cancel;

/// Store the documents of files and folders in a collection, which is made if there is none
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle index ingest nq passages.jsonl
  whittle index ingest nq passages.jsonl --on-bad skip
  whittle index ingest nq passages.jsonl --score

A JSONL file (.jsonl, .ndjson) has a document a line: {\"id\": ..., \"title\": ..., \"text\": ..., \"metadata\": {...},
\"layout\": \"plain\"|\"markdown\"}, of which `text` alone must be there. A JSON file (.json) is one such document, a
list of them, or an object with the list `documents`. No two documents may have the same id.

Text (.txt) and Markdown (.md) files are a document each, called by their path; so are HTML (.html, .htm, .xhtml), PDF
(.pdf) and Word (.docx) files, which are made Markdown with their titles and headings, a heading for each page of a PDF.
That is done in a process of its own, 60 seconds and 1 GB of memory at most for a file. Of a folder all such files are
taken, but for hidden ones.

What is stored already, just as it is, is left alone: after an interruption run the same command again. With
--score it is scored if it was not before.")]
pub(super) struct IngestArgs {
    /// Name of the collection: a-z, 0-9, `-` and `_`
    collection: String,
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Score chunks too, those of unchanged documents included, so that compressing what is found takes no model later
    /// (`llmlingua`)
    #[arg(long)]
    score: bool,
    /// What to do about a line or file that is no document, or has the id of one before it
    #[arg(long, value_enum, default_value_t)]
    on_bad: OnBad,
}

pub(super) fn run(args: &IngestArgs) -> anyhow::Result<()> {
    let (sources, passed_over) = sources::sources(&args.paths)?;
    if args.on_bad == OnBad::Refuse {
        check(&sources)?;
    }
    let engine = engine()?;
    ensure(&engine, &args.collection)?;
    let bar = progress::Ingesting::begin(sources::total_bytes(&sources));
    let never = Cancel::never();
    let mut import = Import::new(&engine, &args.collection, args.score, &never);
    let (mut ids, mut bad) = (Ids::default(), 0);
    for source in &sources {
        for item in sources::items(source)? {
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
fn check(sources: &[Source]) -> anyhow::Result<()> {
    let mut ids = Ids::default();
    for source in sources {
        for item in sources::items(source)? {
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
        anstream::eprintln!("warning: {bad} lines or files were no documents and were left out");
    }
    if passed_over > 0 {
        anstream::eprintln!(
            "warning: {passed_over} files in folders are of a kind that is not read and were left out"
        );
    }
}
