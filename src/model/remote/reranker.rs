//! [`Reranker`] on a model behind a server.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::client::{RemoteClient, RemoteOptions, RemoteRequest};
use super::parts::cut;
use super::tei;
use super::vectors::{in_order, parsed};
use super::{RemoteError, RemoteHealth, RerankerKind};
use crate::model::{Cancel, Reranker, ScoreError};
use crate::text::{TokenCounter, for_model};

/// Bytes of an answer besides its scores.
const ANSWER_BYTES: usize = 64 << 10;
/// Bytes of an answer for each text besides the text itself, which some servers send back.
const SCORE_BYTES: usize = 1024;
/// Tokens, as they are counted here, that Cohere's models read of a question and a text; what is longer they cut off
/// without a word.
const COHERE_TOKENS: usize = 3_000;
/// The distance of a relevance from 0 or 1 below which it counts as this: a score has no bounds, but must be finite.
const SMALLEST: f64 = 1e-7;

/// The options of a reranker behind a server.
#[derive(Debug, Clone)]
pub struct RemoteRerankerOptions {
    /// The server, and how it is asked.
    pub remote: RemoteOptions,
    /// The form that it is asked in, any but [`RerankerKind::Local`].
    pub kind: RerankerKind,
    /// The name of the model that it must have.
    pub model: String,
    /// Texts of a request.
    pub batch: usize,
    /// Tokens of a question and the longest text that is sent with it; of a longer one the best part counts.
    pub max_tokens: Option<usize>,
    /// Most tokens that compression has it read for one prompt.
    pub most_tokens: usize,
}

/// A model behind a server that tells how far a text answers a question.
///
/// Tokens are counted as the models of `OpenAI` count them, which is about what others do: the server's tokenizer is not
/// at hand. The servers of Cohere and of another whittle answer with a relevance from 0 to 1, of which the log-odds are
/// the score. Servers in the form of Jina differ: what is beyond 0 and 1 stays beyond all that is within.
pub struct RemoteReranker {
    client: RemoteClient,
    options: RemoteRerankerOptions,
    counter: Arc<dyn TokenCounter>,
}

/// Bounds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    batch: usize,
    max_tokens: usize,
}

/// The request in the form of Cohere, of Jina and of another whittle.
#[derive(Serialize)]
struct RerankRequest<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [&'a str],
    top_n: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_documents: Option<bool>,
}

#[derive(Serialize)]
struct TeiRequest<'a> {
    query: &'a str,
    texts: &'a [&'a str],
    raw_scores: bool,
    return_text: bool,
    truncate: bool,
}

#[derive(Deserialize)]
struct RerankAnswer {
    #[serde(default)]
    model: Option<String>,
    results: Vec<RerankResult>,
}

#[derive(Deserialize)]
struct RerankResult {
    index: usize,
    relevance_score: f64,
}

#[derive(Deserialize)]
struct TeiResult {
    index: usize,
    score: f64,
}

impl std::fmt::Debug for RemoteReranker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteReranker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RemoteReranker {
    /// Creates the client of the server, which is asked on first need. `health` hears of how it answers.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub fn new(options: RemoteRerankerOptions, health: Arc<RemoteHealth>) -> Result<Self, RemoteError> {
        let client = RemoteClient::new("reranker", &options.remote, health)?;
        let counter = for_model(&options.model);
        Ok(Self { client, options, counter })
    }

    /// Returns how much a request may have; a server of text-embeddings-inference says it, and must have the model.
    fn bounds(&self, cancel: &Cancel) -> Result<Bounds, ScoreError> {
        let RemoteRerankerOptions { kind, batch, max_tokens, model, .. } = &self.options;
        let (batch, own) = ((*batch).max(1), max_tokens.unwrap_or(usize::MAX));
        if *kind == RerankerKind::Cohere {
            return Ok(Bounds { batch, max_tokens: max_tokens.unwrap_or(COHERE_TOKENS) });
        }
        if *kind != RerankerKind::Tei {
            return Ok(Bounds { batch, max_tokens: own });
        }
        let info = tei::info(&self.client, cancel)?;
        if !tei::is_called(&info.model_id, model) {
            return Err(self.client.refuse(self.other_model(&info.model_id)));
        }
        let batch = batch.min(info.max_client_batch_size).max(1);
        Ok(Bounds { batch, max_tokens: own.min(info.longest()) })
    }

    fn other_model(&self, found: &str) -> RemoteError {
        let shown = |name: &str| name.chars().take(100).collect();
        let server = self.client.server().clone();
        RemoteError::OtherModel { server, wanted: shown(&self.options.model), found: shown(found) }
    }

    fn request(&self, query: &str, texts: &[&str]) -> Result<RemoteRequest, ScoreError> {
        let RemoteRerankerOptions { kind, model, .. } = &self.options;
        let (path, body) = if *kind == RerankerKind::Tei {
            let request = TeiRequest { query, texts, raw_scores: true, return_text: false, truncate: false };
            ("/rerank", serde_json::to_vec(&request))
        } else {
            // Cohere's second version has no such member.
            let return_documents = (*kind != RerankerKind::Cohere).then_some(false);
            let path = if *kind == RerankerKind::Whittle { "/v1/rerank" } else { "/rerank" };
            let request =
                RerankRequest { model, query, documents: texts, top_n: texts.len(), return_documents };
            (path, serde_json::to_vec(&request))
        };
        let body = body.map_err(|error| ScoreError::Model(error.to_string()))?;
        // The texts may come back, each byte as an escape of six.
        let sent: usize = texts.iter().map(|text| 6 * text.len() + SCORE_BYTES).sum();
        Ok(RemoteRequest { path, body: Some(body), most: ANSWER_BYTES + sent })
    }

    /// Reads the scores of so many texts, of which the first is at place `first` of all.
    fn read(&self, body: &[u8], (first, sent): (usize, usize)) -> Result<Vec<f32>, RemoteError> {
        let server = self.client.server();
        let values: Vec<f64> = if self.options.kind == RerankerKind::Tei {
            let results: Vec<TeiResult> = parsed(server, body)?;
            in_order(server, results.into_iter().map(|result| (result.index, result.score)), sent)?
        } else {
            let RerankAnswer { model, results } = parsed(server, body)?;
            // Others answer with a longer name of the same model, or with none.
            let is_whittle = self.options.kind == RerankerKind::Whittle;
            if let Some(found) = model.filter(|found| is_whittle && *found != self.options.model) {
                return Err(self.other_model(&found));
            }
            in_order(server, results.into_iter().map(|result| (result.index, result.relevance_score)), sent)?
        };
        let score = |(place, value): (usize, f64)| {
            let score = self.score(value).map(|score| score as f32).filter(|score| score.is_finite());
            score.ok_or_else(|| RemoteError::NoRelevance { server: server.clone(), place: first + place })
        };
        values.into_iter().enumerate().map(score).collect()
    }

    /// Returns the score without bounds that a value of an answer stands for, if it can stand for one.
    fn score(&self, value: f64) -> Option<f64> {
        let log_odds = |share: f64| {
            let share = share.clamp(SMALLEST, 1.0 - SMALLEST);
            (share / (1.0 - share)).ln()
        };
        match self.options.kind {
            RerankerKind::Tei | RerankerKind::Local => Some(value),
            _ if (0.0..=1.0).contains(&value) => Some(log_odds(value)),
            RerankerKind::Jina if value < 0.0 => Some(log_odds(0.0) + value),
            RerankerKind::Jina if value > 1.0 => Some(log_odds(1.0) + (value - 1.0)),
            _ => None,
        }
    }
}

impl Reranker for RemoteReranker {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        cancel.check()?;
        Ok(self.counter.count(text))
    }

    fn rerank(&self, question: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        cancel.check()?;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let Bounds { batch, max_tokens } = self.bounds(cancel)?;
        // A long question leaves a quarter to the text.
        let room = max_tokens.saturating_sub(self.counter.count(question)).max(max_tokens / 4).max(1);
        let (mut parts, mut counts) = (Vec::new(), Vec::with_capacity(texts.len()));
        for text in texts {
            let before = parts.len();
            cut(text, room, &*self.counter, &mut parts);
            counts.push(parts.len() - before);
        }
        // Some servers refuse a text without characters; white space is none to a model.
        let sent: Vec<&str> = parts.iter().map(|part| if part.is_empty() { " " } else { *part }).collect();
        let requests = sent.chunks(batch).map(|texts| self.request(question, texts));
        let bodies = self.client.send(requests.collect::<Result<_, _>>()?, cancel)?;
        let mut scores = Vec::with_capacity(sent.len());
        for (texts, body) in sent.chunks(batch).zip(bodies) {
            let read = self.read(&body, (scores.len(), texts.len()));
            scores.extend(read.map_err(|error| self.client.refuse(error))?);
        }
        let mut scores = scores.into_iter();
        let best = |count: usize| scores.by_ref().take(count).fold(f32::NEG_INFINITY, f32::max);
        Ok(counts.into_iter().map(best).collect())
    }

    fn most_tokens(&self) -> usize {
        self.options.most_tokens
    }
}
