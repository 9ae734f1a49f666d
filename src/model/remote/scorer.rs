//! [`TokenScorer`] on a model behind a server.

mod listed;
mod peer;
mod sglang;
mod vllm;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::client::{RemoteClient, RemoteOptions, RemoteRequest};
use super::sequences::{ScoredSequence, sequences};
use super::{RemoteError, RemoteHealth, ScorerKind};
use crate::model::local::GgufTokenizer;
use crate::model::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};

/// Longest time to find out what the server has.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer besides what belongs to its tokens.
const ANSWER_BYTES: usize = 256 << 10;
/// Bytes of an answer for each token: its id, its likelihood and its text.
const TOKEN_BYTES: usize = 1024;

/// The options of a scorer behind a server.
pub struct RemoteScorerOptions {
    /// The server, and how it is asked.
    pub remote: RemoteOptions,
    /// The form that it is asked in, any but [`ScorerKind::Local`].
    pub kind: ScorerKind,
    /// The name of the model here, whose tokenizer is `tokenizer`.
    pub model: String,
    /// The name that the server has for it.
    pub served_model: String,
    /// The tokenizer of the model: ids travel, never text.
    pub tokenizer: Arc<GgufTokenizer>,
    /// Sequences of a request.
    pub batch: usize,
}

/// A causal language model behind a server of vLLM or `SGLang`, or behind another whittle.
///
/// Token ids are sent, and those that come back are compared with them. vLLM is asked for `prompt_logprobs`; it
/// generates one token that is thrown away, for it has no way around it, so that the longest text is one token shorter
/// than its `max_model_len`. `SGLang` is asked for `input_token_logprobs`. Another whittle gets the jobs as they are, so
/// that it scores them as this process would.
pub struct RemoteScorer {
    client: RemoteClient,
    options: RemoteScorerOptions,
    served: ServedModel,
}

/// The model that a server was found to have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServedModel {
    /// The text that tells it from others of its name.
    identity: String,
    /// The longest sequence that the server reads at once.
    context: usize,
    /// Most tokens that are looked at together.
    window: usize,
}

impl std::fmt::Debug for RemoteScorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteScorer")
            .field("server", self.client.server())
            .field("served_model", &self.options.served_model)
            .field("context", &self.served.context)
            .finish_non_exhaustive()
    }
}

impl RemoteScorer {
    /// Asks the server for its model and how long a text it reads. `health` hears of how it answers.
    ///
    /// # Errors
    /// The server cannot be asked, or has no such model.
    pub fn connect(options: RemoteScorerOptions, health: Arc<RemoteHealth>) -> Result<Self, ScoreError> {
        let client = RemoteClient::new("scorer", &options.remote, health)?;
        let time = options.remote.timeout.min(CONNECT_TIME);
        let cancel = Cancel::never().within(time);
        let found = match options.kind {
            ScorerKind::Whittle => peer::find(&client, &options, &cancel),
            ScorerKind::Local | ScorerKind::Vllm | ScorerKind::SgLang => {
                listed::find(&client, &options, &cancel)
            }
        };
        let served = found.map_err(|error| match error {
            // The time here is not a caller's: to run out of it is the server's fault.
            ScoreError::Stopped(_) => client.refuse(RemoteError::Late {
                server: client.server().clone(),
                milliseconds: time.as_millis(),
            }),
            error => error,
        })?;
        Ok(Self { client, options, served })
    }

    /// Returns the text that tells scores of this model from those of others. The URL is no part of it.
    #[must_use]
    pub fn identity(&self) -> String {
        let (kind, ServedModel { identity, window, .. }) = (self.options.kind.name(), &self.served);
        format!("{kind} {:?} {identity:?} {window}", self.options.served_model)
    }

    /// Returns the negative log-likelihoods of all tokens of each sequence but the first.
    fn read(&self, sequences: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let (batch, model) = (self.options.batch.max(1), &*self.options.served_model);
        let is_sglang = self.options.kind == ScorerKind::SgLang;
        let request = |batch: &[&[u32]]| {
            let tokens = batch.iter().map(|ids| ids.len()).sum();
            if is_sglang {
                request("/generate", &sglang::GenerateRequest::new(batch), tokens)
            } else {
                request("/completions", &vllm::CompletionRequest::new(model, batch), tokens)
            }
        };
        let requests = sequences.chunks(batch).map(request).collect::<Result<_, _>>()?;
        let bodies = self.client.send(requests, cancel)?;
        let mut scores = Vec::with_capacity(sequences.len());
        for (batch, body) in sequences.chunks(batch).zip(bodies) {
            let server = self.client.server();
            let read = if is_sglang {
                sglang::scores(server, batch, &body)
            } else {
                vllm::scores(server, model, batch, &body)
            };
            scores.extend(read.map_err(|error| self.client.refuse(error))?);
        }
        Ok(scores)
    }

    fn too_long(&self, length: usize) -> ScoreError {
        let reason = format!(
            "{length} tokens are more than the {} that it reads at once; start it with a longer context (vLLM: \
             `--max-model-len`), or give less text",
            self.served.context
        );
        RemoteError::Unsupported { server: self.client.server().clone(), reason }.into()
    }
}

/// Returns the request that posts `body`; a right answer to it tells of so many tokens.
fn request(path: &'static str, body: &impl Serialize, tokens: usize) -> Result<RemoteRequest, ScoreError> {
    let body = serde_json::to_vec(body).map_err(|error| ScoreError::Model(error.to_string()))?;
    Ok(RemoteRequest { path, body: Some(body), most: ANSWER_BYTES + tokens * TOKEN_BYTES })
}

impl TokenScorer for RemoteScorer {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        self.options.tokenizer.encode(text)
    }

    fn splits_at_spaces(&self) -> bool {
        self.options.tokenizer.splits_at_spaces()
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.options.tokenizer.vocabulary())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.options.tokenizer.decode(ids)
    }

    fn window(&self) -> usize {
        self.served.window
    }

    fn context(&self) -> usize {
        self.served.context
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        if self.options.kind == ScorerKind::Whittle {
            return peer::score(&self.client, &self.options, (jobs, false), &self.served, cancel);
        }
        let sequences = sequences(jobs, self.served.window);
        let ids: Vec<&[u32]> = sequences.iter().map(|sequence| &sequence.ids[..]).collect();
        let mut results = vec![Vec::new(); jobs.len()];
        for (ScoredSequence { parts, .. }, scores) in sequences.iter().zip(self.read(&ids, cancel)?) {
            for part in parts {
                // The first token has no score.
                results[part.job].extend_from_slice(&scores[part.places.start - 1..part.places.end - 1]);
            }
        }
        Ok(results)
    }

    fn score_whole(&self, prefix: &[u32], ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        let all = [prefix, ids].concat();
        if all.len() > self.served.context {
            return Err(self.too_long(all.len()));
        }
        if all.len() < 2 {
            return Ok(Vec::new());
        }
        if self.options.kind == ScorerKind::Whittle {
            let job = [ScoreJob { prefix: prefix.into(), ids: ids.to_vec() }];
            let scores = peer::score(&self.client, &self.options, (&job, true), &self.served, cancel);
            return Ok(scores?.pop().unwrap_or_default());
        }
        let mut scores = self.read(&[&all], cancel)?.pop().unwrap_or_default();
        Ok(scores.split_off(prefix.len().saturating_sub(1).min(scores.len())))
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        Box::new(RemoteSession { scorer: self, ids: Vec::new(), has_gap: false })
    }
}

/// A sequence that is fed step by step. The server keeps nothing of it, so that each step sends all of it.
struct RemoteSession<'a> {
    scorer: &'a RemoteScorer,
    ids: Vec<u32>,
    /// Whether tokens were forgotten before others that stay: no server can be asked for that.
    has_gap: bool,
}

impl ScoreSession for RemoteSession<'_> {
    fn cached(&self) -> usize {
        self.ids.len()
    }

    fn extend(&mut self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        cancel.check()?;
        if self.has_gap {
            let reason = "tokens cannot be forgotten before others that stay; use the mode `exact`".into();
            let server = self.scorer.client.server().clone();
            return Err(RemoteError::Unsupported { server, reason }.into());
        }
        let all = [&self.ids, ids].concat();
        if all.len() > self.scorer.served.context {
            return Err(self.scorer.too_long(all.len()));
        }
        let mut scores =
            if ids.len() < 2 { Vec::new() } else { self.scorer.score_whole(&self.ids, ids, cancel)? };
        // The first of a step has no score, whatever stands before it.
        scores.drain(..scores.len().saturating_sub(ids.len().saturating_sub(1)).min(scores.len()));
        self.ids = all;
        Ok(scores)
    }

    fn forget(&mut self, range: Range<usize>) {
        self.has_gap |= range.end < self.ids.len() && !range.is_empty();
        self.ids.drain(range);
    }
}
