//! `whittle prompt`.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{engine, progress};
use crate::compress::Method;
use crate::engine::prompt::api::{PromptFormat, PromptRequest, PromptResponse};
use crate::model::Cancel;
use crate::retrieve::{Filter, SearchMode};

/// Make a prompt from a question, what collections hold about it and solved examples like it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle index ingest notes ./notes
  whittle prompt 'How is the cache invalidated?' --collection notes --target-tokens 600
  whittle prompt 'Who wrote it?' --collection notes,mails --target-tokens 800 --format messages
  whittle prompt 'Who wrote it?' --collection notes --bank solved --examples 3 --target-tokens 1200
  whittle prompt 'Who wrote it?' --collection notes --target-tokens 800 --template own.j2

The budget holds for the whole prompt. The prompt goes to standard output; what its citations stand for, and where its
tokens went, to standard error.")]
pub(super) struct PromptArgs {
    /// What is to be answered
    question: String,
    /// Collections to answer it from
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "bank")]
    collection: Vec<String>,
    /// Banks that solved examples are taken from
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    bank: Vec<String>,
    /// Examples that are shown at most [default: 5]
    #[arg(long, value_name = "N", requires = "bank")]
    examples: Option<usize>,
    /// Most tokens of the whole prompt
    #[arg(long, value_name = "N")]
    target_tokens: usize,
    /// What the model is told besides
    #[arg(long, value_name = "TEXT")]
    instruction: Option<String>,
    /// What is searched by
    #[arg(long, value_enum, default_value_t)]
    mode: SearchMode,
    /// Chunks that are taken from each collection at most [default: 10]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Which documents count, as JSON: '{"field": "year", "gte": 1990}'
    #[arg(long, value_name = "JSON", value_parser = super::searching::filter)]
    filter: Option<Filter>,
    /// How what was found is compressed
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// `answer`, or a minijinja file, which may name `question`, `instruction`, `documents` (each with `number`,
    /// `title`, `text`) and `examples` (each with `question`, `choices`, `thought`, `answer`)
    #[arg(long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// Tokenizer to count with: `o200k_base`, `cl100k_base`, `scorer`, or the path of a tokenizer.json
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    tokenizer: String,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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
        examples: args.examples,
        target_tokens: args.target_tokens,
        instruction: args.instruction,
        mode: args.mode,
        top_k: args.top_k,
        filter: args.filter,
        method: Some(args.method),
        template: args.template,
        format: if messages { PromptFormat::Messages } else { PromptFormat::Text },
        model: None,
        tokenizer: Some(args.tokenizer),
    };
    let engine = engine()?;
    let response = progress::while_working("prompting", || engine.prompt(&request, &Cancel::never()))?;
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
