//! `whittle examples`: banks of solved examples.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::output::Format;
use super::{engine, input, progress};
use crate::engine::EngineError;
use crate::engine::collections::api::Unreadable;
use crate::engine::examples::api::{AddRequest, BankInfo, BankList, SelectRequest, SelectResponse};
use crate::engine::examples::{Example, Selection};
use crate::model::Cancel;

/// Examples that are stored together, or read at once for a list.
const BATCH: usize = 128;

/// Store solved examples, and select those to show before a question
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle examples add medicine solved.jsonl
  whittle examples list
  whittle examples list medicine --format json > solved.jsonl
  whittle examples select medicine 'Which nerve moves the diaphragm?' --count 3
  whittle examples select medicine 'Which nerve moves the diaphragm?' --balance --shuffle 7 --format json
  whittle examples delete medicine q17 q18
  whittle examples delete medicine

Banks are stored in the data folder (WHITTLE_DATA_DIR), apart from collections. Only one process at a time uses it:
while `whittle serve` runs, use its HTTP routes. More: `whittle help retrieval`.")]
pub(super) struct ExamplesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(AddArgs),
    List(ListArgs),
    Select(SelectArgs),
    Delete(DeleteArgs),
}

/// Store the examples of JSONL files in a bank; a missing bank is created
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle examples add medicine solved.jsonl more.jsonl
  generate-examples | whittle examples add medicine -

A file has one example per line: {\"id\": ..., \"question\": ..., \"thought\": ..., \"answer\": ..., \"choices\":
[{\"label\": \"A\", \"text\": ...}, ...], \"metadata\": {...}}, of which `question` and `answer` are required. With
choices the answer is the label of the right choice. An example without an id gets a hash of its content as id.

All lines are checked before anything is stored. Examples that are stored already are skipped: after an
interruption run the same command again.")]
struct AddArgs {
    /// Name of the bank: a-z, 0-9, `-` and `_`
    bank: String,
    /// JSONL files; `-` reads standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// List the banks, or the examples of one bank
#[derive(Debug, Args)]
struct ListArgs {
    /// Name of the bank
    bank: Option<String>,
    /// Output format: text, or JSON: the response of the HTTP route for all banks, JSONL that `add` reads for one bank
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Select the examples to show before a question: the most similar ones, the most similar last
#[derive(Debug, Args)]
struct SelectArgs {
    /// Name of the bank
    bank: String,
    /// The question
    question: String,
    /// Number of examples, 1 to 100
    #[arg(long, value_name = "N", default_value_t = Selection::default().count)]
    count: usize,
    /// Leave out examples at this cosine similarity or above: they ask the same question
    #[arg(long, value_name = "COSINE", default_value_t = Selection::default().duplicate)]
    duplicate: f32,
    /// Penalty for examples that resemble one already chosen, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t)]
    diversity: f32,
    /// Limit how often the same answer occurs
    #[arg(long)]
    balance: bool,
    /// Shuffle the choices of each example with this seed; thoughts are then left out
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Output format: text, or the response of the HTTP route
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Delete examples by id, or without ids the whole bank
#[derive(Debug, Args)]
struct DeleteArgs {
    /// Name of the bank
    bank: String,
    /// Ids of examples; unknown ids are ignored
    ids: Vec<String>,
}

pub(super) fn run(args: ExamplesArgs) -> anyhow::Result<()> {
    match args.command {
        Command::Add(args) => add(&args),
        Command::List(ListArgs { bank: None, format }) => list_banks(format),
        Command::List(ListArgs { bank: Some(bank), format }) => list(&bank, format),
        Command::Select(args) => select(args),
        Command::Delete(args) => delete(args),
    }
}

fn add(args: &AddArgs) -> anyhow::Result<()> {
    let mut examples = Vec::new();
    let mut ids = HashSet::new();
    for file in &args.files {
        examples.extend(input::lines(file, |line| parsed(line, &mut ids))?);
    }
    if examples.is_empty() {
        let message = "the files contain no example";
        return Err(EngineError::invalid("empty_input", "examples", message).into());
    }
    let engine = engine()?;
    let (mut added, mut updated, mut unchanged) = (0, 0, 0);
    progress::counting("adding", examples.len() as u64, |done| -> anyhow::Result<()> {
        for batch in examples.chunks(BATCH) {
            let request = AddRequest { examples: batch.to_vec() };
            let stored = engine.banks().add(&args.bank, request, &Cancel::never())?;
            added += stored.added;
            updated += stored.updated;
            unchanged += stored.unchanged;
            done(added + updated + unchanged);
        }
        Ok(())
    })?;
    tell_mended(&engine.banks().get(&args.bank)?);
    anstream::eprintln!("{added} examples added, {updated} updated, {unchanged} unchanged");
    Ok(())
}

/// The example of a line; `ids` has those of the lines before.
fn parsed(line: &str, ids: &mut HashSet<String>) -> Result<Example, String> {
    let example: Example = serde_json::from_str(line).map_err(|error| error.to_string())?;
    example.check()?;
    if !example.id.is_empty() && !ids.insert(example.id.clone()) {
        return Err(format!("the id `{}` occurs twice", example.id));
    }
    Ok(example)
}

fn list_banks(format: Format) -> anyhow::Result<()> {
    let list = engine()?.banks().list()?;
    for Unreadable { name, reason } in &list.unreadable {
        anstream::eprintln!("warning: the bank `{name}` cannot be read: {reason}");
    }
    list.banks.iter().for_each(tell_mended);
    format.print(std::io::stdout().lock(), &list, |out, list: &BankList| {
        list.banks.iter().try_for_each(|bank| {
            writeln!(out, "{}\t{} examples\t{} bytes", bank.name, bank.examples, bank.bytes)
        })
    })
}

fn list(bank: &str, format: Format) -> anyhow::Result<()> {
    let engine = engine()?;
    tell_mended(&engine.banks().get(bank)?);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut next = Some(0);
    while let Some(from) = next {
        let page = engine.banks().examples(bank, from, BATCH)?;
        for example in page.examples {
            if let Format::Json = format {
                writeln!(out, "{}", serde_json::to_string(&example)?)?;
            } else {
                writeln!(out, "{}", example.id)?;
                write_example(&mut out, &example)?;
            }
        }
        next = page.next;
    }
    out.flush().context("cannot write to standard output")
}

fn select(args: SelectArgs) -> anyhow::Result<()> {
    let SelectArgs { bank, question, count, duplicate, diversity, balance, shuffle, format } = args;
    let request = SelectRequest { question, count, duplicate, diversity, balance, shuffle };
    let engine = engine()?;
    tell_mended(&engine.banks().get(&bank)?);
    let response =
        progress::while_working("choosing", |cancel| engine.banks().select(&bank, &request, cancel))?;
    format.print(std::io::stdout().lock(), &response, write_selection)
}

fn write_selection(out: &mut impl Write, response: &SelectResponse) -> std::io::Result<()> {
    for selected in &response.examples {
        writeln!(out, "{:.4}  {}", selected.similarity, selected.example.id)?;
        write_example(out, &selected.example)?;
    }
    Ok(())
}

/// The parts of an example, each on a line of its own.
fn write_example(out: &mut impl Write, example: &Example) -> std::io::Result<()> {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    writeln!(out, "    {}", line(&example.question))?;
    for choice in &example.choices {
        writeln!(out, "    {}. {}", choice.label, line(&choice.text))?;
    }
    if let Some(thought) = &example.thought {
        writeln!(out, "    thought: {}", line(thought))?;
    }
    writeln!(out, "    answer: {}", line(&example.answer))
}

fn delete(args: DeleteArgs) -> anyhow::Result<()> {
    let engine = engine()?;
    if args.ids.is_empty() {
        return Ok(engine.banks().delete(&args.bank)?);
    }
    let response = engine.banks().delete_examples(&args.bank, args.ids)?;
    anstream::eprintln!("{} examples deleted", response.deleted);
    Ok(())
}

/// Says what was found damaged, if anything was.
fn tell_mended(info: &BankInfo) {
    for report in &info.mended {
        anstream::eprintln!("warning: {report}");
    }
}
