//! The model in this process, as one more that can answer: in turns, a few at once, and only while its client waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::ProxyError;
use crate::config::{Config, Pattern, Price};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::{Cancel, CancelOnDrop, Generation, Prompt, Stopped, Told, Written};
use crate::upstream::{Answer, Body, HeaderMap, HeaderValue, StatusCode, streamed};
use crate::wire::Endpoint;
use crate::wire::local::{Answering, Ask, counted};

/// What the names of models in this process begin with.
pub(super) const LOCAL: &str = "local/";

/// What answers in this process: the engine, or a fake in tests. The calls block.
pub trait Generator: Send + Sync + 'static {
    /// Writes an answer; `told` hears of each part as it comes, of the prompt first.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn generate(
        &self,
        request: &Generation,
        told: &mut dyn FnMut(Told<'_>),
        cancel: &Cancel,
    ) -> Result<Written, EngineError>;

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
        told: &mut dyn FnMut(Told<'_>),
        cancel: &Cancel,
    ) -> Result<Written, EngineError> {
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
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("model", &self.model).finish_non_exhaustive()
    }
}

/// The right to be answered, given back when the work has ended.
type Turn = [OwnedSemaphorePermit; 2];

impl Local {
    /// Time between two pieces of an answer: far more than a token takes.
    pub(super) const IDLE: Duration = Duration::from_mins(5);

    /// As many answers are written at once as `config` lets requests be worked on, and as many wait.
    pub(super) fn new(config: &Config, generator: Arc<dyn Generator>) -> Self {
        let limits = &config.limits;
        let model = Pattern::new("*");
        Self {
            generator,
            model: format!("{LOCAL}{}", config.scorer.model),
            embedder: format!("{LOCAL}{}", config.embedder.model),
            price: Price { model, input: 0.0, output: 0.0, cache_read: None, cache_write: None },
            places: Arc::new(Semaphore::new(limits.concurrency + limits.queue)),
            turns: Arc::new(Semaphore::new(limits.concurrency)),
        }
    }

    /// Its name, as requests have it.
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

    /// What it costs: nothing.
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
        let turn = self.turn(deadline).await?;
        let cancel = Cancel::never();
        // Dropped with this future or, later, with the body: whenever nobody waits any more.
        let guard = cancel.on_drop();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let answering = ask.answering(&self.model, &Uuid::now_v7().simple().to_string(), since.as_secs());
        let work = Work { generator: Arc::clone(&self.generator), ask, answering, cancel, _turn: turn };
        if endpoint == Endpoint::CountTokens {
            return by(deadline, tokio::task::spawn_blocking(move || work.count())).await.map(json);
        }
        if !work.ask.stream {
            return by(deadline, tokio::task::spawn_blocking(move || work.whole())).await.map(json);
        }
        let (sender, receiver) = unbounded_channel();
        let (begin, begun) = oneshot::channel();
        tokio::task::spawn_blocking(move || work.stream(&sender, begin));
        by(deadline, begun).await?;
        let body = streamed(Events { receiver, ended: false, _guard: guard });
        Ok(answer("text/event-stream; charset=utf-8", body))
    }

    async fn turn(&self, deadline: Instant) -> Result<Turn, ProxyError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ProxyError::Overloaded)?;
        let turn = timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| late())?;
        // Only a closed semaphore refuses, and nothing closes this one.
        Ok([place, turn.map_err(|error| ProxyError::Internal(error.to_string()))?])
    }
}

fn late() -> ProxyError {
    EngineError::from(Stopped::Deadline).into()
}

/// What comes of blocking work, by the deadline.
async fn by<T, E>(
    deadline: Instant,
    work: impl Future<Output = Result<Result<T, EngineError>, E>>,
) -> Result<T, ProxyError> {
    match timeout_at(deadline, work).await {
        Ok(Ok(outcome)) => Ok(outcome?),
        // The hook has logged where it was.
        Ok(Err(_)) => Err(ProxyError::Internal("writing an answer panicked".into())),
        Err(_) => Err(late()),
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

/// A request with its turn.
struct Work {
    generator: Arc<dyn Generator>,
    ask: Ask,
    answering: Answering,
    cancel: Cancel,
    _turn: Turn,
}

impl Work {
    fn count(self) -> Result<String, EngineError> {
        Ok(counted(self.generator.count(&self.ask.generation.prompt)?))
    }

    fn whole(self) -> Result<String, EngineError> {
        let mut text = String::new();
        let mut told = |told: Told<'_>| match told {
            Told::Prompt(_) => {}
            Told::Text(part) => text += part,
        };
        let written = self.generator.generate(&self.ask.generation, &mut told, &self.cancel)?;
        Ok(self.answering.whole(&text, &written))
    }

    /// Sends events as they come; `begin` hears whether there will be any.
    fn stream(mut self, events: &UnboundedSender<Event>, begin: oneshot::Sender<Result<(), EngineError>>) {
        let mut begin = Some(begin);
        let answering = &mut self.answering;
        // Nobody may be there any more: then the cancellation ends the work.
        let send = |event: String| {
            if !event.is_empty() {
                events.send(Event::Bytes(event.into())).ok();
            }
        };
        let mut told = |told: Told<'_>| match told {
            Told::Prompt(tokens) => {
                if let Some(begin) = begin.take() {
                    begin.send(Ok(())).ok();
                }
                send(answering.begin(tokens));
            }
            Told::Text(part) => send(answering.part(part)),
        };
        match self.generator.generate(&self.ask.generation, &mut told, &self.cancel) {
            Ok(written) => {
                send(self.answering.end(&written));
                events.send(Event::End).ok();
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

/// What goes from the thread that writes to the body. There is no bound, so that a slow reader keeps no turn: an answer
/// is at most as long as the model's context.
enum Event {
    Bytes(Bytes),
    End,
}

/// A stream's body. Whoever drops it ends the work.
struct Events {
    receiver: UnboundedReceiver<Event>,
    ended: bool,
    _guard: CancelOnDrop,
}

/// The model failed after its answer had begun.
#[derive(Debug, thiserror::Error)]
#[error("the model in this process failed while it wrote")]
struct Broken;

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let event = ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(event, Some(Event::Bytes(_)));
        Poll::Ready(match event {
            Some(Event::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Event::End) => None,
            None => Some(Err(Broken)),
        })
    }
}
