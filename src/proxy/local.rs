//! The model in this process, as one more that can answer, and only while its client waits.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::ProxyError;
use super::pieces::{Piece, Pieces};
use crate::admission::{Admission, JobError};
use crate::config::{Config, Pattern, Price};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::{Cancel, Completion, Generation, GenerationEvent, Prompt, Stopped, display_name};
use crate::upstream::{Answer, Body, HeaderMap, HeaderValue, StatusCode, streamed};
use crate::wire::Endpoint;
use crate::wire::local::{Answering, Ask, counted};

/// The prefix of names of models in this process.
pub(super) const LOCAL: &str = "local/";

/// The error of a stream in which the model fails.
const BROKEN: &str = "the model in this process failed while it generated the answer";

/// The interface to the model in this process: the engine, or a fake in tests. The calls block.
pub trait Generator: Send + Sync + 'static {
    /// Writes an answer; `told` hears of each part as it comes, of the prompt first.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn generate(
        &self,
        request: &Generation,
        told: &mut dyn FnMut(GenerationEvent<'_>),
        cancel: &Cancel,
    ) -> Result<Completion, EngineError>;

    /// Tokens of a prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn count(&self, prompt: &Prompt) -> Result<usize, EngineError>;
}

impl Generator for Engine {
    fn generate(
        &self,
        request: &Generation,
        told: &mut dyn FnMut(GenerationEvent<'_>),
        cancel: &Cancel,
    ) -> Result<Completion, EngineError> {
        Self::generate(self, request, told, cancel)
    }

    fn count(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        self.count_prompt(prompt)
    }
}

/// The model in this process.
pub(super) struct Local {
    generator: Arc<dyn Generator>,
    model: String,
    embedder: String,
    price: Price,
    admission: Admission,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Local {
    /// Time between two pieces of an answer: far more than a token takes.
    pub(super) const IDLE: Duration = Duration::from_mins(5);

    /// The model that `config` names, written by `generator` on permits of `admission`.
    pub(super) fn new(config: &Config, generator: Arc<dyn Generator>, admission: Admission) -> Self {
        let model = Pattern::new("*");
        Self {
            generator,
            model: format!("{LOCAL}{}", display_name(&config.scorer.model)),
            embedder: format!("{LOCAL}{}", display_name(&config.embedder.model)),
            price: Price { model, input: 0.0, output: 0.0, cache_read: None, cache_write: None },
            admission,
        }
    }

    /// Returns the model's name in requests.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Name of the embedder in this process, as lists of models have it.
    pub(super) fn embedder(&self) -> &str {
        &self.embedder
    }

    /// Whether `model` names the embedder in this process, with or without `local/` before it.
    pub(super) fn embeds_as(&self, model: &str) -> bool {
        model == self.embedder || Some(model) == self.embedder.strip_prefix(LOCAL)
    }

    /// Returns the model's price, which is nothing.
    pub(super) fn price(&self) -> &Price {
        &self.price
    }

    /// Answers a request. A whole answer is there by `deadline`, a stream has begun by then.
    ///
    /// # Errors
    /// Too many wait, time is up, or the engine fails.
    pub(super) async fn answer(
        &self,
        (endpoint, ask): (Endpoint, Ask),
        deadline: Instant,
    ) -> Result<Answer, ProxyError> {
        let ticket = self.admission.enter()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let answering = ask.answering(&self.model, &Uuid::now_v7().simple().to_string(), since.as_secs());
        let work = Work { generator: Arc::clone(&self.generator), ask, answering };
        if endpoint.only_counts() {
            return Ok(json(ticket.run(deadline, move |_| work.count()).await??));
        }
        if !work.ask.stream {
            return Ok(json(ticket.run(deadline, move |cancel| work.whole(cancel)).await??));
        }
        let permit = ticket.permit(deadline).await?;
        let cancel = Cancel::never();
        // Dropped with this future or, later, with the body: whenever nobody waits any more.
        let guard = cancel.on_drop();
        // There is no bound, so that a slow reader keeps no turn: an answer is at most as long as the model's context.
        let (sender, receiver) = unbounded_channel();
        let (begin, begun) = oneshot::channel();
        permit.spawn(move || work.stream(&sender, begin, &cancel));
        beginning(deadline, begun).await?;
        let body = streamed(Pieces::new(receiver, BROKEN, guard));
        Ok(answer("text/event-stream; charset=utf-8", body))
    }
}

impl From<JobError> for ProxyError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Deadline => EngineError::from(Stopped::Deadline).into(),
            JobError::Panicked => Self::Internal(error.to_string()),
        }
    }
}

/// Waits until a stream has begun, or cannot begin.
async fn beginning(
    deadline: Instant,
    begun: oneshot::Receiver<Result<(), EngineError>>,
) -> Result<(), ProxyError> {
    match timeout_at(deadline, begun).await {
        Ok(Ok(decision)) => Ok(decision?),
        Ok(Err(_)) => Err(JobError::Panicked.into()),
        Err(_) => Err(JobError::Deadline.into()),
    }
}

fn json(body: String) -> Answer {
    answer("application/json", body.into())
}

fn answer(kind: &'static str, body: Body) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    Answer { status: StatusCode::OK, headers, body, attempts: 1 }
}

/// A request that is to be answered.
struct Work {
    generator: Arc<dyn Generator>,
    ask: Ask,
    answering: Answering,
}

impl Work {
    fn count(self) -> Result<String, EngineError> {
        Ok(counted(self.generator.count(&self.ask.generation.prompt)?))
    }

    fn whole(self, cancel: &Cancel) -> Result<String, EngineError> {
        let mut text = String::new();
        let mut told = |told: GenerationEvent<'_>| match told {
            GenerationEvent::Prompt(_) => {}
            GenerationEvent::Text(part) => text += part,
        };
        let written = self.generator.generate(&self.ask.generation, &mut told, cancel)?;
        Ok(self.answering.whole(&text, &written))
    }

    /// Sends events as they come; `begin` hears whether there will be any.
    fn stream(
        mut self,
        events: &UnboundedSender<Piece>,
        begin: oneshot::Sender<Result<(), EngineError>>,
        cancel: &Cancel,
    ) {
        let mut begin = Some(begin);
        let answering = &mut self.answering;
        // Nobody may be there any more: then the cancellation ends the work.
        let send = |event: String| {
            if !event.is_empty() {
                events.send(Piece::Bytes(event.into())).ok();
            }
        };
        let mut told = |told: GenerationEvent<'_>| match told {
            GenerationEvent::Prompt(tokens) => {
                if let Some(begin) = begin.take() {
                    begin.send(Ok(())).ok();
                }
                send(answering.begin(tokens));
            }
            GenerationEvent::Text(part) => send(answering.part(part)),
        };
        match self.generator.generate(&self.ask.generation, &mut told, cancel) {
            Ok(written) => {
                send(self.answering.end(&written));
                events.send(Piece::End).ok();
            }
            Err(error) => match begin {
                Some(begin) => _ = begin.send(Err(error)),
                // The stream breaks off, and its relay says so.
                None if error.kind == ErrorKind::Cancelled => {
                    tracing::debug!("a client left before its answer's end");
                }
                None => tracing::warn!(code = error.code, "an answer broke off"),
            },
        }
    }
}
