//! `whittle prompt`.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::searching::SearchOptions;
use super::{engine, progress};
use crate::compress::Method;
use crate::engine::collections::api::SearchRequest;
use crate::engine::examples::Selection;
use crate::engine::examples::api::SelectRequest;
use crate::engine::prompt::api::{PromptFormat, PromptRequest, PromptResponse};

/// Build a prompt from a question, relevant chunks of collections and similar solved examples
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle prompt 'How is the cache invalidated?' --collection notes --target-tokens 600
  whittle prompt 'Who wrote it?' --collection notes,mails --target-tokens 800 --format messages
  whittle prompt 'Who wrote it?' --collection notes --bank solved --examples 3 --target-tokens 1200
  whittle prompt 'Who wrote it?' --collection notes --rerank 20 --diversity 0.3 --target-tokens 800
  whittle prompt 'Who wrote it?' --collection notes --target-tokens 800 --template own.j2

The budget holds for the whole prompt. The prompt goes to standard output; its sources and token counts go to standard
error. More: `whittle help retrieval`.")]
pub(super) struct PromptArgs {
    /// The question
    question: String,
    /// Collections to search, comma-separated
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "bank")]
    collection: Vec<String>,
    /// Banks of solved examples, comma-separated
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    bank: Vec<String>,
    /// Maximum number of examples
    #[arg(long, value_name = "N", default_value_t = Selection::default().count, requires = "bank")]
    examples: usize,
    #[command(flatten)]
    selection: SelectionOptions,
    /// Maximum number of tokens of the whole prompt
    #[arg(long, value_name = "N")]
    target_tokens: usize,
    /// Further instruction for the model
    #[arg(long, value_name = "TEXT")]
    instruction: Option<String>,
    /// Maximum number of chunks from each collection
    #[arg(long, value_name = "N", default_value_t = SearchRequest::default().top_k)]
    top_k: usize,
    #[command(flatten)]
    search: SearchOptions,
    /// Compression method
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// `answer`, or a minijinja file with the variables `question`, `instruction`, `documents` (each with `number`,
    /// `title`, `text`) and `examples` (each with `question`, `choices`, `thought`, `answer`)
    #[arg(long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// Tokenizer to count with: `o200k_base`, `cl100k_base`, `scorer`, or the path of a tokenizer.json
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    tokenizer: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Options of the selection of examples. Those whose names a search uses too begin with `example`.
#[derive(Debug, Args)]
struct SelectionOptions {
    /// Leave out examples at this cosine similarity or above: they ask the same question
    #[arg(long, value_name = "COSINE", default_value_t = Selection::default().duplicate, requires = "bank")]
    duplicate: f32,
    /// Penalty for examples that resemble one already chosen, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t, requires = "bank")]
    example_diversity: f32,
    /// Limit how often the same answer occurs
    #[arg(long, requires = "bank")]
    balance: bool,
    /// Shuffle the choices of each example with this seed; thoughts are then left out
    #[arg(long, value_name = "SEED", requires = "bank")]
    shuffle: Option<u64>,
}

impl SelectionOptions {
    /// The selection of `count` examples for the question that is asked.
    fn request(self, count: usize) -> SelectRequest {
        let Self { duplicate, example_diversity: diversity, balance, shuffle } = self;
        SelectRequest { question: String::new(), count, duplicate, diversity, balance, shuffle }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The prompt
    #[default]
    Text,
    /// Chat messages as JSON
    Messages,
    /// The answer of POST /v1/prompt
    Json,
}

pub(super) fn run(args: PromptArgs) -> anyhow::Result<()> {
    let messages = args.format == Format::Messages;
    let request = PromptRequest {
        question: args.question,
        collections: args.collection,
        banks: args.bank,
        selection: Some(args.selection.request(args.examples)),
        target_tokens: args.target_tokens,
        instruction: args.instruction,
        search: Some(args.search.request(String::new(), args.top_k)),
        method: Some(args.method),
        template: args.template,
        format: if messages { PromptFormat::Messages } else { PromptFormat::Text },
        tokenizer: Some(args.tokenizer),
        ..PromptRequest::default()
    };
    let engine = engine()?;
    let response = progress::while_working("prompting", |cancel| engine.prompts().build(&request, cancel))?;
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => writeln!(out, "{}", response.prompt.as_deref().unwrap_or_default())?,
        Format::Messages => writeln!(out, "{}", serde_json::to_string_pretty(&response.messages)?)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&response)?)?,
    }
    out.flush().context("cannot write to standard output")?;
    summarise(&response);
    Ok(())
}

fn summarise(response: &PromptResponse) {
    for citation in &response.citations {
        let ranges: Vec<String> =
            citation.ranges.iter().map(|[start, end]| format!("{start}..{end}")).collect();
        let (number, collection, document) = (citation.number, &citation.collection, &citation.document_id);
        anstream::eprintln!("[{number}] {collection}: {document} {}", ranges.join(" "));
    }
    let (ledger, tokens) = (&response.ledger, &response.ledger.tokens);
    if !ledger.examples.is_empty() {
        let shown = ledger.chosen_examples();
        let (found, tokens) = (ledger.examples.len(), tokens.examples);
        anstream::eprintln!("{shown} of {found} examples, {tokens} tokens");
    }
    anstream::eprintln!(
        "{} of {} chunks, {} -> {} tokens of documents; in all {} of at most {} ({}); {:.0} ms",
        ledger.chosen,
        ledger.candidates.len(),
        ledger.found_tokens,
        tokens.documents,
        tokens.total,
        ledger.requested_tokens,
        ledger.tokenizer,
        response.timing_ms.total
    );
    for warning in &response.warnings {
        anstream::eprintln!("warning: {} ({})", warning.message, warning.code);
    }
}
