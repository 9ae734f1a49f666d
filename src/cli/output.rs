//! Answers on standard output.

use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

/// The format of printed answers.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
}

impl Format {
    /// Prints `answer` to `out`: as `text` writes it, or as JSON.
    pub(super) fn print<W: Write, A: Serialize, E: Into<anyhow::Error>>(
        self,
        mut out: W,
        answer: &A,
        text: impl FnOnce(&mut W, &A) -> Result<(), E>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Text => text(&mut out, answer).map_err(Into::into)?,
            Self::Json => writeln!(out, "{}", serde_json::to_string_pretty(answer)?)?,
        }
        out.flush().context("cannot write to standard output")
    }
}
