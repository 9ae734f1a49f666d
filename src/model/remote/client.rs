//! Requests to the server of a model: several at once, bounded in time and bytes, and ended when the caller leaves.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::{RemoteError, RemoteHealth, RemoteServer};
use crate::model::{Cancel, ScoreError};
use crate::outbound::{Secret, is_loopback, retry};
use crate::telemetry::{carry_trace, chain};

/// Time between two looks at whether the caller still waits.
const POLL: Duration = Duration::from_millis(10);
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Time after which a connection that is not used is closed.
const POOL_TIME: Duration = Duration::from_mins(1);
/// Bytes of an answer that tells of a fault which are read.
const FAULT_BYTES: usize = 64 << 10;
/// Characters of a server's message that are passed on.
const MESSAGE_CHARS: usize = 200;

/// The options of asking a model on another machine.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// The base URL.
    pub url: String,
    /// The key that is sent as a bearer token.
    pub api_key: Option<Secret>,
    /// The time that each attempt has.
    pub timeout: Duration,
    /// Further attempts after one that failed and may succeed later.
    pub retries: usize,
    /// Requests that run at once.
    pub concurrency: usize,
}

/// A request to the server.
pub(super) struct RemoteRequest {
    /// The path below the base URL.
    pub(super) path: &'static str,
    /// The JSON to post; without it the path is read.
    pub(super) body: Option<Vec<u8>>,
    /// The most bytes that a right answer has.
    pub(super) most: usize,
}

/// A server's client, with a thread of its own.
pub(super) struct RemoteClient {
    exchange: Arc<Exchange>,
    /// Missing only while this is dropped.
    runtime: Option<Runtime>,
}

/// All that a request needs while it runs.
struct Exchange {
    client: reqwest::Client,
    server: RemoteServer,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    retries: usize,
    permits: Semaphore,
    health: Arc<RemoteHealth>,
}

impl RemoteClient {
    /// Creates the client of the model in a `role`, which is the section of the configuration. Nothing is sent.
    ///
    /// # Errors
    /// The URL or the key cannot be used, or there is no thread.
    pub(super) fn new(
        role: &'static str,
        options: &RemoteOptions,
        health: Arc<RemoteHealth>,
    ) -> Result<Self, RemoteError> {
        // Installing it a second time fails, and the first one serves.
        rustls::crypto::ring::default_provider().install_default().ok();
        let server = RemoteServer { role, url: options.url.trim_end_matches('/').into() };
        let setup = |reason: String| RemoteError::Setup { server: server.clone(), reason };
        let url =
            Url::parse(&options.url).map_err(|error| setup(format!("{error}; correct `{role}.url`")))?;
        let authorization = options.api_key.as_ref().map(|key| {
            let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
            let mut value =
                value.map_err(|_| setup("its key has characters that no header can hold".into()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT.min(options.timeout))
            .pool_idle_timeout(POOL_TIME);
        // What the environment says of proxies is not meant for this machine itself.
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| setup(chain(&error)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("whittle-{role}"))
            .enable_all()
            .build()
            .map_err(|error| setup(format!("no thread: {error}")))?;
        let exchange = Exchange {
            client,
            server: server.clone(),
            authorization: authorization.transpose()?,
            timeout: options.timeout,
            retries: options.retries,
            permits: Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            health,
        };
        Ok(Self { exchange: Arc::new(exchange), runtime: Some(runtime) })
    }

    pub(super) fn server(&self) -> &RemoteServer {
        &self.exchange.server
    }

    /// Notes that an answer, which came whole, is not a right one.
    pub(super) fn refuse(&self, error: RemoteError) -> ScoreError {
        self.exchange.health.failed(&error);
        error.into()
    }

    /// Sends all `requests` and returns the bodies of their answers, in their order.
    ///
    /// # Errors
    /// The first failure, which ends the other requests, or [`ScoreError::Stopped`] when `cancel` says so.
    pub(super) fn send(
        &self,
        requests: Vec<RemoteRequest>,
        cancel: &Cancel,
    ) -> Result<Vec<Bytes>, ScoreError> {
        cancel.check()?;
        let Some(runtime) = &self.runtime else { return Err(ended()) };
        let mut headers = HeaderMap::new();
        carry_trace(&mut headers);
        let (sender, receiver) = channel();
        let count = requests.len();
        let mut tasks = Tasks(Vec::with_capacity(count));
        for (place, request) in requests.into_iter().enumerate() {
            let (exchange, sender, headers) = (Arc::clone(&self.exchange), sender.clone(), headers.clone());
            let deadline = cancel.deadline();
            let task = runtime.spawn(async move {
                let answer = exchange.answer(&request, headers, deadline).await;
                // The caller may be gone.
                sender.send((place, answer)).ok();
            });
            tasks.0.push(task.abort_handle());
        }
        drop(sender);
        let mut answers = vec![Bytes::new(); count];
        for _ in 0..count {
            let (place, answer) = wait(&receiver, cancel)?;
            answers[place] = match answer {
                Ok(answer) => answer,
                // Out of time is out of time, whatever the last attempt came to.
                Err(error) => return Err(cancel.check().map_or_else(ScoreError::from, |()| error.into())),
            };
        }
        Ok(answers)
    }
}

impl Drop for RemoteClient {
    fn drop(&mut self) {
        // It may be dropped where a thread must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Requests that end when nobody waits for them any more.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Waits for the next of several results as long as the caller does.
fn wait<T>(receiver: &Receiver<T>, cancel: &Cancel) -> Result<T, ScoreError> {
    loop {
        match receiver.recv_timeout(POLL) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(ended()),
        }
    }
}

fn ended() -> ScoreError {
    ScoreError::Model("the thread that asks the server has ended".into())
}

/// An attempt that failed, and how long to wait before another, where one may succeed.
struct FailedAttempt {
    error: RemoteError,
    wait: Option<Duration>,
}

impl Exchange {
    /// Returns the body of a right answer, after as many attempts as are allowed until `deadline`.
    async fn answer(
        &self,
        request: &RemoteRequest,
        headers: HeaderMap,
        deadline: Option<Instant>,
    ) -> Result<Bytes, RemoteError> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(self.unreachable("its client is closed".into()));
        };
        let mut attempt = 1;
        let answer = loop {
            let failed = match self.attempt(request, headers.clone(), deadline, attempt).await {
                Ok(answer) => break Ok(answer),
                Err(failed) => failed,
            };
            let in_time = |wait: &Duration| deadline.is_none_or(|deadline| Instant::now() + *wait < deadline);
            let wait = failed.wait.filter(|_| attempt as usize <= self.retries).filter(in_time);
            let Some(wait) = wait else { break Err(failed.error) };
            sleep(wait).await;
            attempt += 1;
        };
        match &answer {
            Ok(_) => self.health.succeeded(),
            // Who has no time left says nothing about the server.
            Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {}
            Err(error) => self.health.failed(error),
        }
        answer
    }

    async fn attempt(
        &self,
        request: &RemoteRequest,
        headers: HeaderMap,
        deadline: Option<Instant>,
        number: u32,
    ) -> Result<Bytes, FailedAttempt> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let time = left.map_or(self.timeout, |left| left.min(self.timeout));
        let exchange = timeout(time, self.exchange(request, headers, number));
        exchange.await.unwrap_or_else(|_| {
            let error = RemoteError::Late { server: self.server.clone(), milliseconds: time.as_millis() };
            Err(FailedAttempt { error, wait: None })
        })
    }

    async fn exchange(
        &self,
        request: &RemoteRequest,
        headers: HeaderMap,
        number: u32,
    ) -> Result<Bytes, FailedAttempt> {
        let url = format!("{}{}", self.server.url, request.path);
        let mut call = match &request.body {
            Some(body) => self.client.post(url).body(body.clone()).header(CONTENT_TYPE, "application/json"),
            None => self.client.get(url),
        };
        call = call.headers(headers);
        if let Some(key) = &self.authorization {
            call = call.header(AUTHORIZATION, key);
        }
        let broke = |error: reqwest::Error| FailedAttempt {
            error: self.unreachable(chain(&error.without_url())),
            wait: retry::wait(number, None),
        };
        let response = call.send().await.map_err(broke)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            let body = self.read(response, request.most).await.map_err(broke)?;
            return body.ok_or_else(|| {
                let error = RemoteError::TooLong { server: self.server.clone(), most: request.most };
                FailedAttempt { error, wait: None }
            });
        }
        let body = self.read(response, FAULT_BYTES).await.map_err(broke)?;
        let again = retry::may_succeed_later(status, &headers);
        let wait = if again { retry::wait(number, Some(&headers)) } else { None };
        let message = message(status, &body.unwrap_or_default());
        let error = RemoteError::Refused { server: self.server.clone(), status: status.as_u16(), message };
        Err(FailedAttempt { error, wait })
    }

    /// Reads a body of at most so many bytes; nothing where it has more.
    async fn read(&self, mut response: Response, most: usize) -> Result<Option<Bytes>, reqwest::Error> {
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Ok(None);
        }
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await? {
            if body.len() + part.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&part);
        }
        Ok(Some(body.freeze()))
    }

    fn unreachable(&self, reason: String) -> RemoteError {
        RemoteError::Unreachable { server: self.server.clone(), reason }
    }
}

/// Returns what an answer says of its fault. Only texts that are meant as a message are passed on: other parts of an
/// answer may repeat the request.
fn message(status: StatusCode, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let places = ["/error/message", "/error", "/message", "/detail"];
    let found = places.iter().find_map(|place| json.pointer(place)?.as_str());
    match found {
        Some(found) => {
            found.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS).collect()
        }
        None => status.canonical_reason().unwrap_or("no message").to_owned(),
    }
}
