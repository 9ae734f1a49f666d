//! vLLM's `/completions` with `prompt_logprobs`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::model::remote::vectors::{in_order, parsed};
use crate::model::remote::{RemoteError, RemoteServer};

#[derive(Serialize)]
pub(super) struct CompletionRequest<'a> {
    model: &'a str,
    prompt: &'a [&'a [u32]],
    max_tokens: usize,
    temperature: f32,
    prompt_logprobs: usize,
    return_token_ids: bool,
    add_special_tokens: bool,
}

#[derive(Deserialize)]
struct CompletionAnswer {
    #[serde(default)]
    model: String,
    choices: Vec<CompletionChoice>,
}

#[derive(Deserialize)]
struct CompletionChoice {
    index: usize,
    #[serde(default)]
    prompt_token_ids: Option<Vec<u32>>,
    /// A map for each token but the first: with the token itself, and perhaps with more likely ones.
    #[serde(default)]
    prompt_logprobs: Option<Vec<Option<HashMap<u32, TokenLogprob>>>>,
}

#[derive(Deserialize)]
struct TokenLogprob {
    logprob: f32,
}

impl<'a> CompletionRequest<'a> {
    pub(super) fn new(model: &'a str, prompt: &'a [&'a [u32]]) -> Self {
        Self {
            model,
            prompt,
            max_tokens: 1,
            temperature: 0.0,
            prompt_logprobs: 0,
            return_token_ids: true,
            add_special_tokens: false,
        }
    }
}

/// Reads the answer to some sequences: the negative log-likelihoods of all tokens of each but the first.
pub(super) fn scores(
    server: &RemoteServer,
    wanted: &str,
    sequences: &[&[u32]],
    body: &[u8],
) -> Result<Vec<Vec<f32>>, RemoteError> {
    let CompletionAnswer { model, choices } = parsed(server, body)?;
    if model != wanted {
        let (wanted, found) = (wanted.to_owned(), model.chars().take(100).collect());
        return Err(RemoteError::OtherModel { server: server.clone(), wanted, found });
    }
    let choices = choices.into_iter().map(|choice| (choice.index, choice));
    let choices = in_order(server, choices, sequences.len())?;
    choices.into_iter().zip(sequences).map(|(choice, ids)| likelihoods(server, choice, ids)).collect()
}

/// Reads the likelihoods of one sequence, which the server must have read as it was sent.
fn likelihoods(
    server: &RemoteServer,
    choice: CompletionChoice,
    ids: &[u32],
) -> Result<Vec<f32>, RemoteError> {
    same_tokens(server, &choice.prompt_token_ids.unwrap_or_default(), ids)?;
    let logprobs = choice.prompt_logprobs.unwrap_or_default();
    let likelihood = |(place, id): (usize, &u32)| {
        let found = logprobs.get(place).and_then(Option::as_ref).and_then(|found| found.get(id));
        let found = found.map(|found| -found.logprob).filter(|nll| nll.is_finite());
        found.ok_or_else(|| RemoteError::NoLikelihood { server: server.clone(), place })
    };
    ids.iter().enumerate().skip(1).map(likelihood).collect()
}

/// Checks that the server read the tokens that were sent.
pub(super) fn same_tokens(server: &RemoteServer, read: &[u32], sent: &[u32]) -> Result<(), RemoteError> {
    if read == sent {
        return Ok(());
    }
    let place = read.iter().zip(sent).take_while(|(read, sent)| read == sent).count();
    Err(RemoteError::OtherTokens { server: server.clone(), place })
}
