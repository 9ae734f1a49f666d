//! [`TokenScorer`] on a model behind a server of vLLM.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{RemoteClient, RemoteOptions, RemoteRequest};
use super::sequences::{ScoredSequence, sequences};
use super::vectors::{in_order, parsed};
use super::{RemoteError, RemoteHealth};
use crate::model::local::{GgufTokenizer, ScorerOptions};
use crate::model::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};

/// Longest time to find out what the server has.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer besides what belongs to its tokens.
const ANSWER_BYTES: usize = 256 << 10;
/// Bytes of an answer for each token: its id, its likelihood and its text.
const TOKEN_BYTES: usize = 1024;
/// The smallest context that can be worked with.
const SMALLEST_CONTEXT: usize = 16;

/// The options of a scorer behind a server.
pub struct RemoteScorerOptions {
    /// The server, and how it is asked.
    pub remote: RemoteOptions,
    /// The name of the model here, whose tokenizer is `tokenizer`.
    pub model: String,
    /// The name that the server has for it.
    pub served_model: String,
    /// The tokenizer of the model: ids travel, never text.
    pub tokenizer: Arc<GgufTokenizer>,
    /// Sequences of a request.
    pub batch: usize,
}

/// A causal language model behind a server of vLLM.
///
/// It sends token ids to `/completions` and reads `prompt_logprobs`. One token is generated and thrown away, for vLLM
/// has no way around it, so that the longest text is one token shorter than the server's `max_model_len`.
pub struct RemoteScorer {
    client: RemoteClient,
    options: RemoteScorerOptions,
    root: String,
    context: usize,
    window: usize,
}

/// The models that a server lists.
#[derive(Deserialize)]
struct ModelList {
    data: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    id: String,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    max_model_len: Option<usize>,
}

#[derive(Serialize)]
struct CompletionRequest<'a> {
    model: &'a str,
    prompt: Vec<&'a [u32]>,
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

impl std::fmt::Debug for RemoteScorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteScorer")
            .field("server", self.client.server())
            .field("served_model", &self.options.served_model)
            .field("context", &self.context)
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
        let request = RemoteRequest { path: "/models", body: None, most: ANSWER_BYTES };
        let body =
            client.send(vec![request], &Cancel::never().within(time)).map_err(|error| match error {
                // The time here is not a caller's: to run out of it is the server's fault.
                ScoreError::Stopped(_) => client.refuse(RemoteError::Late {
                    server: client.server().clone(),
                    milliseconds: time.as_millis(),
                }),
                error => error,
            })?;
        let server = client.server().clone();
        let list: ModelList = parsed(&server, &body.concat()).map_err(|error| client.refuse(error))?;
        let wanted = &options.served_model;
        let names = list.data.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join("`, `");
        let Some(found) = list.data.into_iter().find(|model| model.id == *wanted) else {
            let found = names.chars().take(100).collect();
            let wanted = wanted.clone();
            return Err(client.refuse(RemoteError::OtherModel { server, wanted, found }));
        };
        let context = found.max_model_len.unwrap_or_default().saturating_sub(1);
        if context < SMALLEST_CONTEXT {
            let reason = format!(
                "its list of models gives `{wanted}` no `max_model_len` of more than {SMALLEST_CONTEXT}, as vLLM does"
            );
            return Err(client.refuse(RemoteError::Malformed { server, reason }));
        }
        let window = ScorerOptions::default().window.min(context);
        Ok(Self { client, root: found.root.unwrap_or_default(), options, context, window })
    }

    /// Returns the text that tells scores of this model from those of others. The URL is no part of it.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("vllm {:?} {:?} {}", self.options.served_model, self.root, self.window)
    }

    /// Returns the negative log-likelihoods of all tokens of each sequence but the first.
    fn read(&self, sequences: &[&[u32]], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let batch = self.options.batch.max(1);
        let requests = sequences.chunks(batch).map(|batch| self.request(batch));
        let bodies = self.client.send(requests.collect::<Result<_, _>>()?, cancel)?;
        let mut scores = Vec::with_capacity(sequences.len());
        for (batch, body) in sequences.chunks(batch).zip(bodies) {
            scores.extend(self.scores(batch, &body).map_err(|error| self.client.refuse(error))?);
        }
        Ok(scores)
    }

    fn request(&self, sequences: &[&[u32]]) -> Result<RemoteRequest, ScoreError> {
        let request = CompletionRequest {
            model: &self.options.served_model,
            prompt: sequences.to_vec(),
            max_tokens: 1,
            temperature: 0.0,
            prompt_logprobs: 0,
            return_token_ids: true,
            add_special_tokens: false,
        };
        let body = serde_json::to_vec(&request).map_err(|error| ScoreError::Model(error.to_string()))?;
        let tokens: usize = sequences.iter().map(|ids| ids.len()).sum();
        Ok(RemoteRequest {
            path: "/completions",
            body: Some(body),
            most: ANSWER_BYTES + tokens * TOKEN_BYTES,
        })
    }

    /// Reads the answer to some sequences.
    fn scores(&self, sequences: &[&[u32]], body: &[u8]) -> Result<Vec<Vec<f32>>, RemoteError> {
        let server = self.client.server();
        let CompletionAnswer { model, choices } = parsed(server, body)?;
        let wanted = &self.options.served_model;
        if model != *wanted {
            let found = model.chars().take(100).collect();
            return Err(RemoteError::OtherModel { server: server.clone(), wanted: wanted.clone(), found });
        }
        let choices = choices.into_iter().map(|choice| (choice.index, choice));
        let choices = in_order(server, choices, sequences.len())?;
        choices.into_iter().zip(sequences).map(|(choice, ids)| self.likelihoods(choice, ids)).collect()
    }

    /// Reads the likelihoods of one sequence, which the server must have read as it was sent.
    fn likelihoods(&self, choice: CompletionChoice, ids: &[u32]) -> Result<Vec<f32>, RemoteError> {
        let server = self.client.server().clone();
        let read = choice.prompt_token_ids.unwrap_or_default();
        if read != ids {
            let place = read.iter().zip(ids).take_while(|(read, sent)| read == sent).count();
            return Err(RemoteError::OtherTokens { server, place });
        }
        let logprobs = choice.prompt_logprobs.unwrap_or_default();
        let likelihood = |(place, id): (usize, &u32)| {
            let found = logprobs.get(place).and_then(Option::as_ref).and_then(|found| found.get(id));
            let found = found.map(|found| -found.logprob).filter(|nll| nll.is_finite());
            found.ok_or_else(|| RemoteError::NoLikelihood { server: server.clone(), place })
        };
        ids.iter().enumerate().skip(1).map(likelihood).collect()
    }

    fn too_long(&self, length: usize) -> ScoreError {
        let reason = format!(
            "{length} tokens are more than the {} that it reads at once; start it with a longer `--max-model-len`, or give \
             less text",
            self.context
        );
        RemoteError::Unsupported { server: self.client.server().clone(), reason }.into()
    }
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

    fn decode(&self, ids: &[u32]) -> String {
        self.options.tokenizer.decode(ids)
    }

    fn window(&self) -> usize {
        self.window
    }

    fn context(&self) -> usize {
        self.context
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let sequences = sequences(jobs, self.window);
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
        if all.len() > self.context {
            return Err(self.too_long(all.len()));
        }
        if all.len() < 2 {
            return Ok(Vec::new());
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
        let before = self.ids.len();
        let all = [&self.ids, ids].concat();
        if all.len() > self.scorer.context {
            return Err(self.scorer.too_long(all.len()));
        }
        let scores = if ids.len() < 2 {
            Vec::new()
        } else {
            self.scorer.read(&[&all], cancel)?.pop().unwrap_or_default().split_off(before)
        };
        self.ids = all;
        Ok(scores)
    }

    fn forget(&mut self, range: Range<usize>) {
        self.has_gap |= range.end < self.ids.len() && !range.is_empty();
        self.ids.drain(range);
    }
}
