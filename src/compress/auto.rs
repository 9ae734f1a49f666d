//! `auto`: which method a prompt is for.
//!
//! A word out of a program, a log or a table says nothing: such parts of documents lose whole lines, rows or records
//! ([`crate::text::segments`]) whatever the method. Where folding alone meets the budget, nothing is lost at all.

use super::{CompressError, Compressed, Method, Mode, Prompt, Target, Tools, lossless};
use crate::text::Kind;

/// What is run for a prompt, and why.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Not [`Method::Auto`].
    pub method: Method,
    /// In words, where it was chosen here.
    pub why: Option<String>,
    /// The result, where choosing took the whole work of the method.
    pub(super) done: Option<Compressed>,
}

impl Choice {
    /// What `method` means for `prompt`: itself, unless it is [`Method::Auto`]. Of `tools` no model is used.
    ///
    /// # Errors
    /// The work was stopped.
    pub fn of(
        prompt: &Prompt,
        target: Target,
        (method, mode): (Method, Mode),
        tools: &Tools,
    ) -> Result<Self, CompressError> {
        match (method, mode) {
            (Method::Auto, Mode::Reference) => {
                Ok(Self::plain(Method::LlmLingua, "`auto` chose `llmlingua`, which the reference has"))
            }
            (Method::Auto, Mode::Exact) => Self::by_content(prompt, target, tools),
            (method, _) => Ok(Self { method, why: None, done: None }),
        }
    }

    fn plain(method: Method, why: &str) -> Self {
        Self { method, why: Some(why.into()), done: None }
    }

    fn by_content(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Self, CompressError> {
        let kinds: Vec<Kind> = prompt.documents.iter().map(|document| Kind::of(&document.text)).collect();
        let whole: Vec<usize> = (0..kinds.len()).filter(|&i| kinds[i].goes_by_lines()).collect();
        let folded = if whole.is_empty() { None } else { folded(prompt, target, tools)? };
        if folded.is_some() {
            let plain = Self::plain(Method::Lossless, "`auto` chose `lossless`, which meets the budget");
            return Ok(Self { done: folded, ..plain });
        }
        let usual = if prompt.question.trim().is_empty() {
            Self::plain(Method::LlmLingua, "`auto` chose `llmlingua`, for there is no question")
        } else {
            Self::plain(Method::Hybrid, "`auto` chose `hybrid`, for there is a question")
        };
        let Some(&first) = whole.first() else { return Ok(usual) };
        let others = match whole.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let why = format!(
            "{}; whole lines, rows or records are kept or dropped of document `{}`, which looks like {}{others}",
            usual.why.as_deref().unwrap_or_default(),
            prompt.documents[first].id,
            kinds[first].name()
        );
        Ok(Self { why: Some(why), ..usual })
    }
}

/// The folded prompt, if folding meets a budget that the prompt as it is exceeds.
fn folded(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Option<Compressed>, CompressError> {
    match lossless::compress(prompt, target, tools) {
        Ok(folded) => Ok(Some(folded).filter(|folded| folded.original_tokens > folded.requested_tokens)),
        Err(CompressError::Infeasible { .. } | CompressError::Unsupported(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
