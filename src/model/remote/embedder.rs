//! [`Embedder`] on a model behind a server.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::client::{RemoteClient, RemoteOptions, RemoteRequest};
use super::parts::cut;
use super::tei::{self, TeiInfo};
use super::vectors::{OpenAiAnswer, normalised, parsed};
use super::{EmbedderKind, RemoteError, RemoteHealth};
use crate::model::{Cancel, Embedder, ScoreError};
use crate::text::{TokenCounter, for_model};

/// Longest time to find out what the server has.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Most values of a vector before any is known, which is also the most that an index takes.
const MOST_DIMENSIONS: usize = 65_536;
/// Bytes of an answer besides its vectors.
const ANSWER_BYTES: usize = 64 << 10;
/// Bytes of a value as JSON has it, with white space about it.
const VALUE_BYTES: usize = 32;
/// The text that is embedded to find out how long vectors are.
const PROBE: &str = "whittle";

/// The options of an embedder behind a server.
#[derive(Debug, Clone)]
pub struct RemoteEmbedderOptions {
    /// The server, and how it is asked.
    pub remote: RemoteOptions,
    /// The form that it is asked in, any but [`EmbedderKind::Local`].
    pub kind: EmbedderKind,
    /// The name of the model that it must have.
    pub model: String,
    /// The values of a vector; without it those of the first answer.
    pub dimensions: Option<usize>,
    /// Texts of a request.
    pub batch: usize,
    /// Tokens of the longest text that is sent; a longer one is sent in parts, whose vectors are averaged.
    pub max_tokens: Option<usize>,
    /// The text that is put before a question.
    pub query_prefix: String,
    /// The text that is put before every other text.
    pub text_prefix: String,
}

/// A model behind a server that turns texts into vectors.
///
/// Tokens are counted as the models of `OpenAI` count them, which is about what others do: the server's tokenizer is not
/// at hand. There are no vectors of words ([`Embedder::compare_words`]).
pub struct RemoteEmbedder {
    client: RemoteClient,
    options: RemoteEmbedderOptions,
    identity: ModelIdentity,
    dimensions: usize,
    counter: Arc<dyn TokenCounter>,
}

/// The model that a server says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelIdentity {
    name: String,
    /// The fingerprint or revision, where the server tells it.
    fingerprint: Option<String>,
}

#[derive(Serialize)]
struct OpenAiRequest<'a> {
    model: &'a str,
    input: &'a [Cow<'a, str>],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_type: Option<&'static str>,
}

#[derive(Serialize)]
struct TeiRequest<'a> {
    inputs: &'a [Cow<'a, str>],
    normalize: bool,
    truncate: bool,
}

/// The use of a text: some models read questions otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Query,
    Document,
}

impl std::fmt::Debug for RemoteEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteEmbedder")
            .field("options", &self.options)
            .field("identity", &self.identity)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}

impl RemoteEmbedder {
    /// Asks the server which model it has, and for one vector. `health` hears of how it answers.
    ///
    /// # Errors
    /// The server cannot be asked, or has another model.
    pub fn connect(options: RemoteEmbedderOptions, health: Arc<RemoteHealth>) -> Result<Self, ScoreError> {
        let client = RemoteClient::new("embedder", &options.remote, health)?;
        let name = ModelIdentity { name: options.model.clone(), fingerprint: None };
        let counter = for_model(&options.model);
        let mut embedder = Self { client, options, identity: name, dimensions: 0, counter };
        let cancel = Cancel::never().within(embedder.options.remote.timeout.min(CONNECT_TIME));
        let connected = embedder.find_out(&cancel);
        // The time here is not a caller's: to run out of it is the server's fault.
        connected.map_err(|error| match error {
            ScoreError::Stopped(_) => embedder.client.refuse(RemoteError::Late {
                server: embedder.client.server().clone(),
                milliseconds: embedder.options.remote.timeout.min(CONNECT_TIME).as_millis(),
            }),
            error => error,
        })?;
        Ok(embedder)
    }

    fn find_out(&mut self, cancel: &Cancel) -> Result<(), ScoreError> {
        if self.options.kind == EmbedderKind::Tei {
            let info = self.tei_info(cancel)?;
            let longest = info.longest();
            self.options.max_tokens = Some(self.options.max_tokens.map_or(longest, |most| most.min(longest)));
            self.options.batch = self.options.batch.min(info.max_client_batch_size).max(1);
            self.identity = self.expected(ModelIdentity::of(info))?;
        }
        let body = self.ask(&[PROBE.into()], Use::Document, cancel)?.pop().unwrap_or_default();
        let (vectors, identity) = self.read(&body, 1)?;
        if let Some(identity) = identity {
            self.identity = self.expected(identity)?;
        }
        let came = vectors.first().map_or(0, Vec::len);
        self.dimensions = self.options.dimensions.unwrap_or(came);
        self.checked(vectors, 0)?;
        Ok(())
    }

    /// Returns the text that tells vectors of this model from those of others. The URL is no part of it.
    #[must_use]
    pub fn identity(&self) -> RemoteIdentity {
        let RemoteEmbedderOptions { kind, model, query_prefix, text_prefix, .. } = &self.options;
        if let (EmbedderKind::Whittle, Some(files)) = (kind, &self.identity.fingerprint) {
            return RemoteIdentity::Files(files.clone());
        }
        RemoteIdentity::Described(format!(
            "{} {model:?} {:?} {:?} {} {query_prefix:?} {text_prefix:?}",
            kind.name(),
            self.identity.name,
            self.identity.fingerprint,
            self.dimensions
        ))
    }

    /// Returns the model that was found, if it is the one that is configured.
    fn expected(&self, found: ModelIdentity) -> Result<ModelIdentity, ScoreError> {
        let wanted = &self.options.model;
        let same = match self.options.kind {
            // Such servers answer with a longer name of the same model, or with the one that was asked for.
            EmbedderKind::OpenAi | EmbedderKind::Local => true,
            EmbedderKind::Tei => tei::is_called(&found.name, wanted),
            EmbedderKind::Whittle => found.name == *wanted,
        };
        if same { Ok(found) } else { Err(self.other_model(wanted, &found.name)) }
    }

    fn other_model(&self, wanted: &str, found: &str) -> ScoreError {
        let shown = |name: &str| name.chars().take(100).collect();
        let server = self.client.server().clone();
        self.client.refuse(RemoteError::OtherModel { server, wanted: shown(wanted), found: shown(found) })
    }

    fn tei_info(&self, cancel: &Cancel) -> Result<TeiInfo, ScoreError> {
        tei::info(&self.client, cancel)
    }

    /// Sends texts in batches and returns the bodies of the answers.
    fn ask(&self, texts: &[Cow<'_, str>], role: Use, cancel: &Cancel) -> Result<Vec<Bytes>, ScoreError> {
        let batches = texts.chunks(self.options.batch.max(1));
        let requests = batches.map(|batch| self.request(batch, role)).collect::<Result<_, _>>()?;
        self.client.send(requests, cancel)
    }

    fn request(&self, input: &[Cow<'_, str>], role: Use) -> Result<RemoteRequest, ScoreError> {
        let RemoteEmbedderOptions { kind, model, dimensions, .. } = &self.options;
        let (path, body) = match kind {
            EmbedderKind::Tei => {
                let request = TeiRequest { inputs: input, normalize: true, truncate: false };
                ("/embed", serde_json::to_vec(&request))
            }
            EmbedderKind::Whittle => {
                let input_type = Some(if role == Use::Query { "query" } else { "document" });
                let encoding_format = "base64";
                let request = OpenAiRequest { model, input, encoding_format, dimensions: None, input_type };
                ("/v1/embeddings", serde_json::to_vec(&request))
            }
            EmbedderKind::OpenAi | EmbedderKind::Local => {
                let (encoding_format, dimensions) = ("float", *dimensions);
                let request = OpenAiRequest { model, input, encoding_format, dimensions, input_type: None };
                ("/embeddings", serde_json::to_vec(&request))
            }
        };
        let values = if self.dimensions == 0 { MOST_DIMENSIONS } else { self.dimensions };
        let most = ANSWER_BYTES + input.len() * (values * VALUE_BYTES + ANSWER_BYTES / 64);
        let body = body.map_err(|error| ScoreError::Model(error.to_string()))?;
        Ok(RemoteRequest { path, body: Some(body), most })
    }

    /// Reads an answer to so many texts, and the model that it names.
    fn read(&self, body: &[u8], sent: usize) -> Result<(Vec<Vec<f32>>, Option<ModelIdentity>), ScoreError> {
        let server = self.client.server();
        let read = if self.options.kind == EmbedderKind::Tei {
            parsed::<Vec<Vec<f32>>>(server, body).and_then(|vectors| {
                let came = vectors.len();
                let counted = (came == sent).then_some((vectors, None));
                counted.ok_or_else(|| RemoteError::Count { server: server.clone(), sent, came })
            })
        } else {
            parsed::<OpenAiAnswer>(server, body).and_then(|mut answer| {
                let name = std::mem::take(&mut answer.model);
                // Others may mean something else by it.
                let is_whittle = self.options.kind == EmbedderKind::Whittle;
                let fingerprint = answer.identity.take().filter(|_| is_whittle);
                if fingerprint.as_deref().is_some_and(|text| !is_fingerprint(text)) {
                    let reason = "its `identity` is not a fingerprint in hexadecimal digits".into();
                    return Err(RemoteError::Malformed { server: server.clone(), reason });
                }
                Ok((answer.vectors(server, sent)?, Some(ModelIdentity { name, fingerprint })))
            })
        };
        read.map_err(|error| self.client.refuse(error))
    }

    /// Returns vectors at length 1, of texts from place `first` on.
    fn checked(&self, vectors: Vec<Vec<f32>>, first: usize) -> Result<Vec<Vec<f32>>, ScoreError> {
        let (server, wanted) = (self.client.server(), self.dimensions);
        let check = |(place, values): (usize, Vec<f32>)| {
            if values.len() == wanted && wanted > 0 {
                return normalised(server, values, first + place);
            }
            Err(RemoteError::Dimensions { server: server.clone(), wanted, came: values.len() })
        };
        let checked: Result<_, RemoteError> = vectors.into_iter().enumerate().map(check).collect();
        checked.map_err(|error| self.client.refuse(error))
    }

    /// The vectors of texts that are short enough to be sent as they are.
    fn vectors(
        &self,
        texts: &[Cow<'_, str>],
        role: Use,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        // Its answers do not say which model gave them.
        if self.options.kind == EmbedderKind::Tei {
            self.check_still(&ModelIdentity::of(self.tei_info(cancel)?))?;
        }
        let bodies = self.ask(texts, role, cancel)?;
        let mut vectors = Vec::with_capacity(texts.len());
        for (batch, body) in texts.chunks(self.options.batch.max(1)).zip(bodies) {
            let (read, identity) = self.read(&body, batch.len())?;
            identity.map_or(Ok(()), |identity| self.check_still(&identity))?;
            vectors.extend(self.checked(read, vectors.len())?);
        }
        Ok(vectors)
    }

    /// Fails where the server has another model than at first.
    fn check_still(&self, now: &ModelIdentity) -> Result<(), ScoreError> {
        if *now == self.identity {
            return Ok(());
        }
        let of = |identity: &ModelIdentity| match &identity.fingerprint {
            Some(fingerprint) => format!("{} ({fingerprint})", identity.name),
            None => identity.name.clone(),
        };
        Err(self.other_model(&of(&self.identity), &of(now)))
    }

    fn embed_as(&self, texts: &[&str], role: Use, cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = match role {
            Use::Query => self.options.query_prefix.as_str(),
            Use::Document => self.options.text_prefix.as_str(),
        };
        let (mut parts, mut weights) = (Vec::new(), Vec::new());
        for text in texts {
            let before = parts.len();
            cut(text, self.options.max_tokens.unwrap_or(usize::MAX), &*self.counter, &mut parts);
            let tokens = |part: &&str| self.counter.count(part).max(1) as f64;
            let of_text = &parts[before..];
            weights.push(if of_text.len() == 1 { vec![1.0] } else { of_text.iter().map(tokens).collect() });
        }
        let sent = |part: &&'_ str| match (prefix, part.is_empty()) {
            // Some servers refuse a text without characters; white space is none to a model.
            ("", true) => " ".to_owned().into(),
            ("", false) => Cow::Owned((*part).to_owned()),
            (prefix, _) => format!("{prefix}{part}").into(),
        };
        let sent: Vec<Cow<'_, str>> = parts.iter().map(sent).collect();
        let mut vectors = self.vectors(&sent, role, cancel)?.into_iter();
        let joined = weights.iter().enumerate().map(|(place, weights)| {
            self.averaged(vectors.by_ref().take(weights.len()).collect(), weights, place)
        });
        joined.collect()
    }

    /// The mean of the vectors of a text's parts, at length 1; that of a single part as it is.
    fn averaged(
        &self,
        mut parts: Vec<Vec<f32>>,
        weights: &[f64],
        place: usize,
    ) -> Result<Vec<f32>, ScoreError> {
        if parts.len() == 1 {
            return Ok(parts.pop().unwrap_or_default());
        }
        let mut sum = vec![0.0_f64; self.dimensions];
        for (part, weight) in parts.iter().zip(weights) {
            sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += weight * f64::from(*value));
        }
        let total: f64 = weights.iter().sum();
        let mean = sum.iter().map(|value| (value / total) as f32).collect();
        normalised(self.client.server(), mean, place).map_err(ScoreError::from)
    }
}

/// The text that tells a remote model's vectors from those of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteIdentity {
    /// The fingerprint of the files that another whittle has: the same as with those files in this process.
    Files(String),
    /// The kind of the server, the model's names and revision, the length of vectors and what is put before texts.
    Described(String),
}

impl ModelIdentity {
    fn of(info: TeiInfo) -> Self {
        Self { name: info.model_id, fingerprint: info.model_sha }
    }
}

/// Returns whether a text can be the fingerprint of files: at most 64 hexadecimal digits.
fn is_fingerprint(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Embedder for RemoteEmbedder {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        cancel.check()?;
        Ok(self.counter.count(text))
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.embed_as(texts, Use::Document, cancel)
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        Ok(self.embed_as(&[query], Use::Query, cancel)?.pop().unwrap_or_default())
    }
}
