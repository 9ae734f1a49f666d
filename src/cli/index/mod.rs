//! `whittle index`: collections of documents.

mod ingest;
mod sources;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::output::Format;
use super::searching::SearchOptions;
use super::{engine, progress};
use crate::config::StoreKind;
use crate::engine::collections::api::{
    CollectionInfo, CreateRequest, SearchResponse, Unreadable, WordLanguage, WordSettings,
};
use crate::engine::collections::{Copied, files};
use crate::model::Cancel;
use crate::text::ChunkSettings;

/// Characters of a result that are shown.
const SHOWN: usize = 300;

/// Store documents in collections and search them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle index search notes 'how is the cache invalidated?'
  whittle index search notes 'outage' --mode lexical --top-k 3 --filter '{\"field\": \"year\", \"gte\": 2024}'
  whittle index search notes 'outage' --rerank 20 --rerank-by likelihood --rerank-deadline-ms 500
  whittle index stats notes
  whittle index export notes > notes.jsonl
  whittle index snapshot notes notes.snapshot
  whittle index restore notes-again notes.snapshot
  whittle index copy notes --from local --to postgres

Collections are stored in the data folder (WHITTLE_DATA_DIR). Only one process at a time uses it: while `whittle
serve` runs, use its HTTP routes. With store.kind = \"postgres\" they are in a database, which many may use. More: `whittle help retrieval`.")]
pub(super) struct IndexArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(CreateArgs),
    /// List the collections
    List,
    /// Delete a collection with everything in it
    Delete(NameArgs),
    Ingest(ingest::IngestArgs),
    #[command(hide = true)]
    Parse(ParseArgs),
    Search(Box<SearchArgs>),
    Stats(StatsArgs),
    /// Print the documents of a collection as JSONL that `ingest` can read
    Export(NameArgs),
    /// Write a collection with its vectors to a file that `restore` can read without a model
    Snapshot(FileArgs),
    /// Create a collection from a snapshot, after the whole file was verified
    Restore(FileArgs),
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Name of the collection
    collection: String,
}

#[derive(Debug, Args)]
struct FileArgs {
    /// Name of the collection
    collection: String,
    /// Snapshot file
    file: PathBuf,
}

/// Copy a collection with its vectors between the data folder and PostgreSQL, and compare the two
///
/// A copy that was cut off goes on where it ended when the command is run again. Needs `store.kind = "postgres"` and no
/// service that uses the data folder.
#[derive(Debug, Args)]
struct CopyArgs {
    /// Name of the collection
    collection: String,
    /// The place that it is in
    #[arg(long)]
    from: StoreKind,
    /// The place that it is copied to
    #[arg(long)]
    to: StoreKind,
}

/// Create a collection with settings of its own
#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the collection: a-z, 0-9, `-` and `_`
    collection: String,
    /// Maximum number of tokens per chunk, counted by the embedder's tokenizer
    #[arg(long, value_name = "N", default_value_t = ChunkSettings::default().tokens)]
    chunk_tokens: usize,
    /// Maximum number of tokens that a chunk repeats from the previous one
    #[arg(long, value_name = "N", default_value_t = ChunkSettings::default().overlap)]
    overlap: usize,
    /// Language whose endings are taken off words in searches, so that one form finds the others
    #[arg(long, value_enum, default_value_t)]
    language: WordLanguage,
    /// Tell words with accents from those without
    #[arg(long)]
    accents: bool,
}

/// Read a file of another format from standard input and print its title and text as JSON: how each is read apart
#[derive(Debug, Args)]
struct ParseArgs {
    format: files::Format,
    /// Keep navigation, notices about cookies and footers of HTML pages
    #[arg(long)]
    whole: bool,
}

/// Find the chunks that match a query best
#[derive(Debug, Args)]
struct SearchArgs {
    /// Name of the collection
    collection: String,
    /// The query
    query: String,
    /// Maximum number of results, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = 5)]
    top_k: usize,
    #[command(flatten)]
    options: SearchOptions,
    /// Output format: text, or the response of the HTTP route
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Show size and settings of a collection
#[derive(Debug, Args)]
struct StatsArgs {
    /// Name of the collection
    collection: String,
    /// Output format: text, or the response of the HTTP route
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: IndexArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Create(args) => create(&args),
        Command::List => list(),
        Command::Delete(NameArgs { collection }) => Ok(engine()?.collections().delete(&collection)?),
        Command::Ingest(args) => ingest::run(&args),
        Command::Parse(ParseArgs { format, whole }) => Ok(files::child(format, whole)?),
        Command::Search(args) => search(*args),
        Command::Stats(args) => stats(&args),
        Command::Export(NameArgs { collection }) => export(&collection),
        Command::Snapshot(args) => snapshot(&args),
        Command::Restore(args) => restore(&args),
        Command::Copy(args) => copy(&args),
    }
}

fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let chunking = ChunkSettings { tokens: args.chunk_tokens, overlap: args.overlap };
    let words = WordSettings { language: args.language, accents: args.accents };
    let request = CreateRequest { chunking, words };
    let (info, new) = engine()?.collections().create(&args.collection, request)?;
    if !new {
        anstream::eprintln!("the collection `{}` exists already with these settings", info.name);
    }
    Ok(())
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let list = engine()?.collections().list()?;
    for Unreadable { name, reason } in &list.unreadable {
        anstream::eprintln!("warning: the collection `{name}` cannot be read: {reason}");
    }
    for info in list.collections {
        tell_mended(&info);
        writeln!(
            out,
            "{}\t{} documents\t{} chunks\t{} bytes",
            info.name, info.documents, info.chunks, info.bytes
        )?;
    }
    out.flush().context("cannot write to standard output")
}

fn stats(args: &StatsArgs) -> anyhow::Result<()> {
    let info = engine()?.collections().get(&args.collection)?;
    tell_mended(&info);
    args.format.print(std::io::stdout().lock(), &info, write_stats)
}

fn write_stats(out: &mut impl Write, info: &CollectionInfo) -> std::io::Result<()> {
    let CollectionInfo { documents, chunks, bytes, embedder, dimensions, chunking, words, index, .. } = info;
    writeln!(out, "{documents} documents, {chunks} chunks, {bytes} bytes")?;
    writeln!(out, "vectors of {dimensions} values by {embedder}")?;
    writeln!(out, "chunks of at most {} tokens, overlap {}", chunking.tokens, chunking.overlap)?;
    let language = words.language.to_possible_value();
    let language = language.as_ref().map_or("none", |language| language.get_name());
    let accents = if words.accents { ", accents count" } else { "" };
    writeln!(out, "endings of words: {language}{accents}")?;
    let (lexical, linked, dead, fresh) = (index.lexical, index.linked, index.dead, index.fresh);
    writeln!(out, "by words: {lexical}; by vectors: {linked} linked, {dead} of them gone, {fresh} compared")
}

/// Says what was found damaged, if anything was.
fn tell_mended(info: &CollectionInfo) {
    for report in &info.mended {
        anstream::eprintln!("warning: {report}");
    }
}

fn search(args: SearchArgs) -> anyhow::Result<()> {
    let request = args.options.request(args.query, args.top_k);
    let engine = engine()?;
    tell_mended(&engine.collections().get(&args.collection)?);
    let response = progress::while_working("searching", |cancel| {
        engine.collections().search(&args.collection, &request, cancel)
    })?;
    args.format.print(std::io::stdout().lock(), &response, write_results)?;
    for warning in &response.warnings {
        anstream::eprintln!("warning: {} ({})", warning.message, warning.code);
    }
    Ok(())
}

fn write_results(out: &mut impl Write, response: &SearchResponse) -> std::io::Result<()> {
    for result in &response.results {
        let [start, end] = result.range;
        let titles = result.title.iter().chain(&result.headings).map(String::as_str).collect::<Vec<_>>();
        writeln!(
            out,
            "{:.4}  {} [{start}..{end}]  {}",
            result.score,
            result.document_id,
            titles.join(" > ")
        )?;
        let text: String = result.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = text.chars().take(SHOWN).collect();
        let more = if shown.len() < text.len() { " …" } else { "" };
        writeln!(out, "    {shown}{more}")?;
    }
    Ok(())
}

fn export(collection: &str) -> anyhow::Result<()> {
    Ok(engine()?.collections().export(collection, &mut std::io::stdout().lock(), &Cancel::never())?)
}

fn snapshot(FileArgs { collection, file }: &FileArgs) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Under its name it is whole or not there.
    let mut unfinished = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    let engine = engine()?;
    progress::while_working("writing the snapshot", |cancel| {
        engine.collections().snapshot(collection, unfinished.as_file_mut(), cancel)
    })?;
    unfinished.as_file().sync_all().with_context(cannot)?;
    unfinished.persist(file).with_context(cannot)?;
    Ok(())
}

fn copy(CopyArgs { collection, from, to }: &CopyArgs) -> anyhow::Result<()> {
    let engine = engine()?;
    let copied = progress::while_working("copying", |cancel| {
        engine.collections().copy(collection, (*from, *to), cancel)
    })?;
    let Copied { copied, unchanged } = copied;
    anstream::eprintln!(
        "{copied} documents copied, {unchanged} were there already; both places hold the same"
    );
    Ok(())
}

fn restore(FileArgs { collection, file }: &FileArgs) -> anyhow::Result<()> {
    let snapshot = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = engine()?;
    let info = progress::while_working("restoring", |cancel| {
        engine.collections().restore(collection, snapshot, cancel)
    })?;
    anstream::eprintln!("{} documents, {} chunks restored", info.documents, info.chunks);
    Ok(())
}
