//! `whittle recover`.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::output::Format;
use super::{engine, input};
use crate::engine::EngineError;
use crate::engine::api::{DocumentInput, RecoverDocument, RecoverRequest};

/// Restore shortened names and numbers in an answer to a compressed prompt
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle compress report.txt --rate 0.3 --format json > compressed.json
  whittle recover report.txt --compressed compressed.json --response answer.txt
  echo 'It was Ellen Whitfield.' | whittle recover --documents passages.jsonl --compressed compressed.json

Names and numbers that the compressed prompt shortened become those of the original again.")]
pub(super) struct RecoverArgs {
    /// The original text
    #[arg(required_unless_present = "documents")]
    file: Option<PathBuf>,
    /// The original documents: JSONL with `id`, `title`, `text`
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "file")]
    documents: Option<PathBuf>,
    /// The output of `whittle compress --format json`
    #[arg(long, value_name = "FILE.json")]
    compressed: PathBuf,
    /// The model's answer; without it, or with `-`, standard input is read
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// Output format: the restored answer, or the response of POST /v1/recover
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What matters of the answer to a compression.
#[derive(Deserialize)]
struct Compressed {
    documents: Vec<CompressedDocument>,
}

#[derive(Deserialize)]
struct CompressedDocument {
    id: String,
    kept: Vec<[usize; 2]>,
}

pub(super) fn run(args: &RecoverArgs) -> anyhow::Result<()> {
    let documents = if let Some(path) = &args.documents {
        input::documents(path)?
    } else {
        let text = input::text(args.file.as_deref())?;
        vec![DocumentInput { text, ..DocumentInput::default() }]
    };
    let compressed = input::text(Some(&args.compressed))?;
    let compressed: Compressed = serde_json::from_str(&compressed).map_err(|error| {
        let message = format!(
            "{} is not the output of `whittle compress --format json` with kept ranges: {error}",
            args.compressed.display()
        );
        EngineError::invalid("invalid_compressed", "compressed", message)
    })?;
    let response = input::text(args.response.as_deref())?;
    let documents = with_kept(documents, compressed)?;
    let answer = engine()?.recover(&RecoverRequest { response, documents })?;
    args.format.print(std::io::stdout().lock(), &answer, |out, answer| write!(out, "{}", answer.response))
}

/// Each document with what the answer says was kept of it.
fn with_kept(documents: Vec<DocumentInput>, compressed: Compressed) -> anyhow::Result<Vec<RecoverDocument>> {
    let mut kept: HashMap<String, Vec<[usize; 2]>> =
        compressed.documents.into_iter().map(|document| (document.id, document.kept)).collect();
    let pair = |(i, document): (usize, DocumentInput)| {
        let id = document.id.unwrap_or_else(|| i.to_string());
        let kept = kept.remove(&id).ok_or_else(|| {
            let message = format!("the compressed output has no document with the id `{id}`");
            EngineError::invalid("unknown_document", "compressed", message)
        })?;
        Ok(RecoverDocument { id: Some(id), text: document.text, kept })
    };
    documents.into_iter().enumerate().map(pair).collect()
}
