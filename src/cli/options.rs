//! The options of `whittle compress` as flags.

use clap::{Args, ValueEnum};

use crate::compress::{RankBy, Reorder};
use crate::engine::api::CompressOptions;
use crate::text::{Granularity, Protection};

/// Flags that control what is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct OptionArgs {
    /// Kinds of text that are kept or dropped whole, such as `numbers,dates`; `none` turns protection off [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = protection)]
    protect: Option<Vec<Option<Protection>>>,
    /// Regular expression whose matches are also kept or dropped whole (repeatable)
    #[arg(long, value_name = "REGEX")]
    protect_pattern: Vec<String>,
    /// Id of a document that keeps some text whatever its rank (repeatable)
    #[arg(long, value_name = "ID")]
    force_document: Vec<String>,
    /// Word or phrase to keep wherever it occurs (repeatable)
    #[arg(long, value_name = "TEXT")]
    force_word: Vec<String>,
    /// Keep every word that contains a digit
    #[arg(long)]
    force_numbers: bool,
    /// Number of sentences to keep at the start of each document
    #[arg(long, value_name = "N", default_value_t)]
    keep_first_sentences: usize,
    /// Number of sentences to keep at the end of each document
    #[arg(long, value_name = "N", default_value_t)]
    keep_last_sentences: usize,
    /// Minimum number of tokens to keep of each document
    #[arg(long, value_name = "N", default_value_t)]
    min_document_tokens: usize,
    /// Smallest unit that is kept or dropped [default: token, a word; for `selective-context`: phrase]
    #[arg(long, value_enum)]
    unit: Option<Granularity>,
    /// Put no marks such as `[12 lines left out]` in place of lines, rows, code and turns that are left out
    #[arg(long)]
    no_marks: bool,
    /// Order of the documents in the prompt
    #[arg(long, value_enum, default_value_t)]
    reorder: Reorder,
    /// Tokens of documents that pass the coarse filter, relative to the budget: `+100`, `*1.5`
    #[arg(long, value_name = "BUDGET", allow_hyphen_values = true)]
    context_budget: Option<String>,
    /// Spread of keep rates, 0 to 1, between the best document and the average one (`longllmlingua`)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    dynamic_ratio: Option<f64>,
    /// Condition that documents are ranked by (`longllmlingua`) [default: after]
    #[arg(long, value_enum, value_name = "CONDITION")]
    rank_by: Option<RankBy>,
}

/// A kind of protection, or none for the word `none`.
fn protection(name: &str) -> Result<Option<Protection>, String> {
    if name == "none" {
        return Ok(None);
    }
    Protection::from_str(name, false).map(Some).map_err(|_| {
        let known: Vec<String> = Protection::ALL
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        format!("known are {}, none", known.join(", "))
    })
}

impl OptionArgs {
    /// The options as a request has them.
    pub(super) fn into_options(self) -> CompressOptions {
        CompressOptions {
            protect: self.protect.map(|kinds| kinds.into_iter().flatten().collect()),
            protect_patterns: self.protect_pattern,
            force_documents: self.force_document,
            force_words: self.force_word,
            force_numbers: self.force_numbers,
            keep_first_sentences: self.keep_first_sentences,
            keep_last_sentences: self.keep_last_sentences,
            min_document_tokens: self.min_document_tokens,
            unit: self.unit,
            marks: self.no_marks.then_some(false),
            reorder: self.reorder,
            context_budget: self.context_budget,
            dynamic_ratio: self.dynamic_ratio,
            rank_by: self.rank_by,
        }
    }
}
