//! `whittle score`.

use std::io::Write;
use std::path::PathBuf;

use anstyle::{Ansi256Color, Style};
use clap::Args;

use super::output::Format;
use super::{engine, input, progress};
use crate::engine::api::{ScoreRequest, ScoreResponse};

/// Show the negative log-likelihood of each token of a text
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle score report.txt
  echo 'The capital of France is Paris.' | whittle score --format json
  whittle score answer.txt --prefix 'Question: who wrote it? Answer:'")]
pub(super) struct ScoreArgs {
    /// Text file to score; without it, or with `-`, standard input is read
    file: Option<PathBuf>,
    /// Text before it that conditions the model and is not scored itself
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Output format: a heat map (redder is less likely), or the response of POST /v1/score
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: ScoreArgs) -> anyhow::Result<()> {
    let request = ScoreRequest { text: input::text(args.file.as_deref())?, prefix: args.prefix };
    let engine = engine()?;
    let response = progress::while_working("scoring", |cancel| engine.score(&request, cancel))?;
    let out = anstream::AutoStream::auto(std::io::stdout().lock());
    args.format.print(out, &response, |out, response| write_heat_map(out, &request.text, response))
}

/// Background colours from no surprise to much, of the 256-colour palette.
const HEAT: [u8; 6] = [0, 22, 58, 94, 130, 160];
/// Nats from one colour to the next.
const STEP: f32 = 2.0;

/// Each token on a background by its NLL, then a line of totals. Tokens that end inside a character are
/// joined with those that complete it.
fn write_heat_map(out: &mut impl Write, text: &str, response: &ScoreResponse) -> std::io::Result<()> {
    let mut at = 0;
    let mut surprise = 0.0_f32;
    for (&[_, end], nll) in response.ranges.iter().zip(&response.nll) {
        surprise = surprise.max(nll.unwrap_or(0.0));
        if text.is_char_boundary(end) {
            let level = ((surprise / STEP) as usize).min(HEAT.len() - 1);
            let style = match level {
                0 => Style::new(),
                _ => Style::new().bg_color(Some(Ansi256Color(HEAT[level]).into())),
            };
            write!(out, "{style}{}{style:#}", &text[at..end])?;
            (at, surprise) = (end, 0.0);
        }
    }
    let mean = response.mean_nll.map_or("no score: one token without context".to_owned(), |mean| {
        format!("mean {mean:.3} nats, perplexity {:.1}", mean.exp())
    });
    writeln!(out, "\n\n{} tokens, {mean}, {:.0} tokens/s", response.ids.len(), response.tokens_per_second)
}
