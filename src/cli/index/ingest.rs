//! `whittle index ingest`.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::sources::{self, Item, Source};
use crate::cli::{engine, progress};
use crate::engine::collections::api::{CreateRequest, SourceDocument, UpsertRequest};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::Cancel;

/// Documents that are stored together at most.
const BATCH: usize = 128;
/// Bytes of text that are stored together at most, if it is more than one document.
const BATCH_BYTES: usize = 1 << 20;

/// Store the documents of files and folders in a collection, which is made if there is none
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle index ingest nq passages.jsonl
  whittle index ingest nq passages.jsonl --on-bad skip
  whittle index ingest nq passages.jsonl --score

A JSONL file has a document a line: {\"id\": ..., \"title\": ..., \"text\": ..., \"metadata\": {...}, \"layout\":
\"plain\"|\"markdown\"}, of which `text` alone must be there. Text (.txt) and Markdown (.md) files are a document
each, called by their path; so are HTML (.html, .htm, .xhtml), PDF (.pdf) and Word (.docx) files, which are made
Markdown with their titles and headings, a heading for each page of a PDF. That is done in a process of its own, 60
seconds and 1 GB of memory at most for a file. Of a folder all such files are taken, but for hidden ones.

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
    /// What to do about a line or file that is no document
    #[arg(long, value_enum, default_value_t)]
    on_bad: OnBad,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum OnBad {
    /// Store nothing: all input is checked first
    #[default]
    Refuse,
    /// Say which it is and store the rest
    Skip,
}

/// What became of the documents.
#[derive(Debug, Default)]
struct Totals {
    added: usize,
    updated: usize,
    unchanged: usize,
    chunks: usize,
    /// None where scoring was not asked for.
    scored: Option<usize>,
    bad: usize,
}

impl Totals {
    fn documents(&self) -> usize {
        self.added + self.updated + self.unchanged
    }
}

pub(super) fn run(args: &IngestArgs) -> anyhow::Result<()> {
    let (sources, passed_over) = sources::sources(&args.paths)?;
    if args.on_bad == OnBad::Refuse {
        check(&sources)?;
    }
    let engine = engine()?;
    ensure(&engine, &args.collection)?;
    let mut totals = Totals { scored: args.score.then_some(0), ..Totals::default() };
    let bar = progress::Ingesting::begin(sources::total_bytes(&sources));
    let mut batch = Batch::new(&engine, args);
    for source in &sources {
        for item in sources::items(source)? {
            let Item { document, bytes } = item?;
            match document {
                Ok(document) => batch.add(document, &mut totals)?,
                Err(bad) => {
                    totals.bad += 1;
                    bar.warn(&bad.to_string());
                }
            }
            bar.advance(bytes, totals.documents(), totals.chunks);
        }
    }
    batch.store(&mut totals)?;
    bar.end();
    summarise(&totals, passed_over);
    Ok(())
}

/// The first thing in the way, before anything is stored.
fn check(sources: &[Source]) -> anyhow::Result<()> {
    for source in sources {
        for item in sources::items(source)? {
            if let Err(bad) = item?.document {
                let message =
                    format!("{bad}; nothing was stored: mend it, or leave such out with `--on-bad skip`");
                return Err(EngineError::invalid("invalid_document", "documents", message).into());
            }
        }
    }
    Ok(())
}

/// Makes the collection if there is none.
fn ensure(engine: &Engine, name: &str) -> anyhow::Result<()> {
    match engine.collection(name) {
        Ok(info) => super::tell_mended(&info),
        Err(error) if error.kind == ErrorKind::NotFound => {
            engine.create_collection(name, CreateRequest::default())?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Documents that are stored together.
struct Batch<'a> {
    engine: &'a Engine,
    collection: &'a str,
    score: bool,
    documents: Vec<SourceDocument>,
    ids: HashSet<String>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn new(engine: &'a Engine, args: &'a IngestArgs) -> Self {
        let (collection, score) = (&*args.collection, args.score);
        Self { engine, collection, score, documents: Vec::new(), ids: HashSet::new(), bytes: 0 }
    }

    fn add(&mut self, document: SourceDocument, totals: &mut Totals) -> anyhow::Result<()> {
        // Of two with one id the later one takes the place of the other.
        let repeated = document.id.as_ref().is_some_and(|id| self.ids.contains(id));
        let full = self.documents.len() == BATCH || self.bytes + document.text.len() > BATCH_BYTES;
        if repeated || full {
            self.store(totals)?;
        }
        self.bytes += document.text.len();
        self.ids.extend(document.id.clone());
        self.documents.push(document);
        Ok(())
    }

    fn store(&mut self, totals: &mut Totals) -> anyhow::Result<()> {
        self.ids.clear();
        self.bytes = 0;
        let documents = std::mem::take(&mut self.documents);
        if documents.is_empty() {
            return Ok(());
        }
        let request = UpsertRequest { documents, score: self.score };
        let stored = self.engine.upsert(self.collection, request, &Cancel::never())?;
        totals.added += stored.added;
        totals.updated += stored.updated;
        totals.unchanged += stored.unchanged;
        totals.chunks += stored.chunks;
        totals.scored = totals.scored.map(|scored| scored + stored.scored);
        Ok(())
    }
}

fn summarise(totals: &Totals, passed_over: usize) {
    let Totals { added, updated, unchanged, chunks, scored, bad } = totals;
    let scored = scored.map_or_else(String::new, |scored| format!(", {scored} scored"));
    anstream::eprintln!(
        "{added} documents added, {updated} updated, {unchanged} unchanged; {chunks} chunks embedded{scored}"
    );
    if *bad > 0 {
        anstream::eprintln!("warning: {bad} lines or files were no documents and were left out");
    }
    if passed_over > 0 {
        anstream::eprintln!(
            "warning: {passed_over} files in folders are of a kind that is not read and were left out"
        );
    }
}
