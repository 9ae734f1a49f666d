//! `whittle compress`.

use std::io::Write;
use std::path::PathBuf;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::{Args, ValueEnum};

use super::options::OptionArgs;
use super::{engine, input, progress};
use crate::compress::{Method, Mode};
use crate::engine::api::{CompressRequest, CompressResponse, DocumentInput, JsonInput, KeyRule, Return};
use crate::text::Mark;

/// Compress a context to a token budget
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle compress report.txt --rate 0.5 > smaller.txt
  whittle compress report.pdf --question 'Who signed the contract?' --target-tokens 600
  whittle compress --documents passages.jsonl --question 'When was it built?' --rate 0.25 --format json
  cat log.txt | whittle compress - --rate 0.3 --format diff
  whittle compress report.txt --rate 0.3 --force-word ACME --keep-first-sentences 1 --protect numbers,dates
  whittle compress prompt.txt --tags
  whittle compress ticket.json --json --key body=0.3 --key notes=removable --rate 0.5
  whittle compress chat.json --messages --rate 0.5

The budget holds for the whole prompt: instruction, documents and question, joined by blank lines.
The prompt goes to standard output, a summary to standard error. More: `whittle help compressing`.")]
pub(super) struct CompressArgs {
    /// File to compress: text, or a PDF, DOCX, XLSX, ODS, RTF, PPTX, EPUB or EML by its name; without it, or with `-`, text
    /// from standard input
    file: Option<PathBuf>,
    /// JSONL file of documents to compress instead, with `id`, `title`, `text`
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "file")]
    documents: Option<PathBuf>,
    /// Read llmlingua's tags: `<llmlingua, rate=0.4>text</llmlingua>`, `<llmlingua, compress=False>text</llmlingua>`
    #[arg(long)]
    tags: bool,
    /// The text is JSON: shorten its strings and keep its structure
    #[arg(long, conflicts_with_all = ["documents", "tags"])]
    json: bool,
    /// Rule for the strings under a key (repeatable): `NAME=RATE`, `NAME=keep` or `NAME=removable`; `*` names all other keys
    #[arg(long = "key", value_name = "NAME=RULE", requires = "json", value_parser = key_rule)]
    keys: Vec<(String, KeyRule)>,
    /// The text is a JSON array of chat messages: shorten their texts and print the array
    #[arg(long, conflicts_with_all = ["documents", "tags", "json"])]
    messages: bool,
    /// Roles whose messages are compressed [default: user,assistant,tool]
    #[arg(long, value_name = "ROLES", value_delimiter = ',', requires = "messages")]
    roles: Option<Vec<String>>,
    /// Instruction before the text, kept whole
    #[arg(long, value_name = "TEXT")]
    instruction: Option<String>,
    /// Question after the text, kept whole; it decides what is relevant
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,
    /// Share of the tokens to keep, above 0 and at most 1: 0.25 means 4x compression. Not needed where every part has a rate
    /// of its own
    #[arg(
        long,
        conflicts_with = "target_tokens",
        required_unless_present_any = ["target_tokens", "documents", "tags"],
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// Maximum number of tokens of the whole prompt
    #[arg(long, value_name = "N")]
    target_tokens: Option<usize>,
    /// Compression method
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// `exact`, or `reference` to reproduce llmlingua 0.2.2 with its defects
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Tokenizer to count with: `o200k_base`, `cl100k_base`, `scorer`, or the path of a tokenizer.json
    #[arg(long, value_name = "NAME", default_value = "o200k_base")]
    tokenizer: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Details of the JSON response: `ranges` (default), `scores`, `words`
    #[arg(long = "return", value_enum, value_name = "PARTS", value_delimiter = ',')]
    returns: Option<Vec<Return>>,
    #[command(flatten)]
    options: OptionArgs,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// The prompt
    #[default]
    Text,
    /// The response of POST /v1/compress
    Json,
    /// The original with dropped text struck out in red, or in `[-brackets-]` without colours
    Diff,
}

pub(super) fn run(args: CompressArgs) -> anyhow::Result<()> {
    if args.messages && matches!(args.format, Format::Diff) {
        anyhow::bail!("messages have no diff: use `--format json`, whose `documents` have the kept ranges");
    }
    let documents = if let Some(path) = &args.documents {
        input::documents(path)?
    } else {
        let text = input::text(args.file.as_deref())?;
        vec![DocumentInput { text, ..DocumentInput::default() }]
    };
    let text = || documents.first().map_or_else(String::new, |document| document.text.clone());
    let messages =
        args.messages.then(|| serde_json::from_str(&text()).context("the text is not a JSON array"));
    let keys = args.keys.into_iter().collect();
    let request = CompressRequest {
        documents: (!args.json && !args.messages).then(|| documents.clone()),
        json: args.json.then(|| JsonInput { text: text(), keys }),
        messages: messages.transpose()?,
        roles: args.roles,
        tags: args.tags,
        instruction: args.instruction,
        question: args.question,
        rate: args.rate,
        target_tokens: args.target_tokens,
        method: Some(args.method),
        mode: Some(args.mode),
        tokenizer: Some(args.tokenizer),
        options: args.options.into_options(),
        returns: args.returns.map(|returns| with_ranges(returns, args.format)),
        ..CompressRequest::default()
    };
    let engine = engine()?;
    let response = progress::while_working("compressing", |cancel| engine.compress(request, cancel))?;
    let coloured = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    // Not through a stream that adapts colours: it takes out the control characters of the text as well.
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Text => match &response.messages {
            Some(messages) => writeln!(out, "{}", serde_json::to_string(messages)?)?,
            None => writeln!(out, "{}", response.prompt)?,
        },
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&response)?)?,
        Format::Diff if coloured => {
            write_diff(&mut AutoStream::auto(&mut out), &documents, &response, &Marks::coloured())?;
        }
        Format::Diff => write_diff(&mut out, &documents, &response, &Marks::plain())?,
    }
    out.flush().context("cannot write to standard output")?;
    summarise(&response);
    Ok(())
}

/// A key of JSON and what becomes of the strings under it.
fn key_rule(text: &str) -> Result<(String, KeyRule), String> {
    let wrong = || "expected `NAME=RATE`, `NAME=keep` or `NAME=removable`, such as `body=0.3`".to_owned();
    let (name, rule) = text.rsplit_once('=').ok_or_else(wrong)?;
    let rule = match rule {
        "keep" => KeyRule { compress: false, ..KeyRule::default() },
        "removable" => KeyRule { removable: true, ..KeyRule::default() },
        rate => KeyRule { rate: Some(rate.parse().map_err(|_| wrong())?), ..KeyRule::default() },
    };
    Ok((name.to_owned(), rule))
}

/// A diff is drawn from the kept ranges.
fn with_ranges(mut returns: Vec<Return>, format: Format) -> Vec<Return> {
    if matches!(format, Format::Diff) {
        returns.push(Return::Ranges);
    }
    returns
}

/// The escape codes around dropped text, and around a document's name.
struct Marks {
    dropped: (String, String),
    name: (String, String),
}

impl Marks {
    fn coloured() -> Self {
        let around = |style: Style| (style.render().to_string(), style.render_reset().to_string());
        let dropped = Style::new().fg_color(Some(AnsiColor::Red.into())).strikethrough();
        Self { dropped: around(dropped), name: around(Style::new().bold()) }
    }

    fn plain() -> Self {
        Self { dropped: ("[-".into(), "-]".into()), name: (String::new(), String::new()) }
    }
}

/// Each document with kept text plain and dropped text marked.
fn write_diff(
    out: &mut impl Write,
    documents: &[DocumentInput],
    response: &CompressResponse,
    marks: &Marks,
) -> std::io::Result<()> {
    let Marks { dropped: (from, to), name: (before, after) } = marks;
    for (source, result) in documents.iter().zip(&response.documents) {
        if documents.len() > 1 {
            let title = source.title.as_deref().unwrap_or_default();
            writeln!(out, "{before}[{}] {title}{after}", result.id)?;
        }
        let mut at = 0;
        let end = [source.text.len(); 2];
        for &[start, next] in result.kept.iter().flatten().chain([&end]) {
            if start > at {
                write!(out, "{from}{}{to}", &source.text[at..start])?;
            }
            write!(out, "{}", &source.text[start..next])?;
            at = next;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn summarise(response: &CompressResponse) {
    let usage = &response.usage;
    let scoring = response.timing_ms.stages.get("score").copied().unwrap_or_default();
    let speed = match scoring {
        0.0 => String::new(),
        ms => format!(", scoring {:.0} tokens/s", usage.original_tokens as f64 / ms * 1000.0),
    };
    anstream::eprintln!(
        "{} -> {} tokens ({}), rate {:.3} (asked for at most {}), {:.2} s{speed}",
        usage.original_tokens,
        usage.compressed_tokens,
        usage.tokenizer,
        usage.rate,
        usage.requested_tokens,
        response.timing_ms.total / 1000.0,
    );
    if !response.left_out.is_empty() {
        let counts: Vec<String> =
            response.left_out.iter().map(|(&noun, &count)| Mark::new(count, noun).to_string()).collect();
        anstream::eprintln!("{}", counts.join(", "));
    }
    for warning in &response.warnings {
        anstream::eprintln!("warning: {} ({})", warning.message, warning.code);
    }
}
