//! `SGLang`'s `/generate` with `return_logprob`.

use serde::{Deserialize, Serialize};

use super::vllm::same_tokens;
use crate::model::remote::vectors::parsed;
use crate::model::remote::{RemoteError, RemoteServer};

#[derive(Serialize)]
pub(super) struct GenerateRequest<'a> {
    input_ids: &'a [&'a [u32]],
    sampling_params: SamplingParams,
    return_logprob: bool,
    /// The first token that has a likelihood in the answer; by default there are likelihoods of the answer alone.
    logprob_start_len: usize,
    top_logprobs_num: usize,
    stream: bool,
}

#[derive(Serialize)]
struct SamplingParams {
    max_new_tokens: usize,
    temperature: f32,
}

#[derive(Deserialize)]
struct GenerateAnswer {
    meta_info: MetaInfo,
}

#[derive(Deserialize)]
struct MetaInfo {
    #[serde(default)]
    input_token_logprobs: Option<Vec<InputLogprob>>,
}

/// The likelihood of a token, which the first has none of; its id; and its text, which nobody asked for.
#[derive(Deserialize)]
struct InputLogprob(
    Option<f32>,
    u32,
    #[expect(dead_code, reason = "the form has a third part")] Option<String>,
);

impl<'a> GenerateRequest<'a> {
    pub(super) fn new(input_ids: &'a [&'a [u32]]) -> Self {
        Self {
            input_ids,
            sampling_params: SamplingParams { max_new_tokens: 0, temperature: 0.0 },
            return_logprob: true,
            logprob_start_len: 0,
            top_logprobs_num: 0,
            stream: false,
        }
    }
}

/// Reads the answer to some sequences: the negative log-likelihoods of all tokens of each but the first. Answers are in the
/// order of the sequences.
pub(super) fn scores(
    server: &RemoteServer,
    sequences: &[&[u32]],
    body: &[u8],
) -> Result<Vec<Vec<f32>>, RemoteError> {
    let answers: Vec<GenerateAnswer> = parsed(server, body)?;
    let (sent, came) = (sequences.len(), answers.len());
    if sent != came {
        return Err(RemoteError::Count { server: server.clone(), sent, came });
    }
    answers.into_iter().zip(sequences).map(|(answer, ids)| likelihoods(server, answer, ids)).collect()
}

fn likelihoods(server: &RemoteServer, answer: GenerateAnswer, ids: &[u32]) -> Result<Vec<f32>, RemoteError> {
    let missing = |place| RemoteError::NoLikelihood { server: server.clone(), place };
    let logprobs = answer.meta_info.input_token_logprobs.ok_or_else(|| missing(1))?;
    let read: Vec<u32> = logprobs.iter().map(|logprob| logprob.1).collect();
    same_tokens(server, &read, ids)?;
    let likelihood = |(place, InputLogprob(logprob, ..)): (usize, &InputLogprob)| {
        logprob.map(|logprob| -logprob).filter(|nll| nll.is_finite()).ok_or_else(|| missing(place))
    };
    logprobs.iter().enumerate().skip(1).map(likelihood).collect()
}
