//! One upstream: its connections, its limits of time, its key.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::headers::{KEY_HEADERS, without_query_key};
use super::health::{UpstreamHealth, Watch};
use crate::config::{Env, UpstreamConfig};
use crate::outbound::{Secret, is_loopback, retry};
use crate::telemetry::{Stage, carry_trace, chain};
use crate::wire::Dialect;

/// Time after which a connection that is not used is closed.
const POOL_TIME: Duration = Duration::from_mins(1);

/// An upstream that requests can be sent to.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    key: Option<Secret>,
    client: reqwest::Client,
    watch: Watch,
}

/// A request to send to an upstream.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Path below the base URL with its query, from its first slash.
    pub path: String,
    /// Headers, already free of those that must not go on.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// A response: the head, and a body that is still arriving.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Attempts that it took, from 1.
    pub attempts: u32,
}

impl Answer {
    /// Returns whether another upstream may do better: what it says of retries is about this one alone.
    #[must_use]
    pub fn is_temporary_failure(&self) -> bool {
        retry::is_temporary(self.status)
    }
}

/// An error of a request without a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The path leads out of what the base URL spans.
    #[error("the path leads out of the upstream `{0}`: leave out `..`, also where it is percent-encoded")]
    Path(String),
    /// The connection failed, or broke before a response began.
    #[error("the upstream `{name}` cannot be reached: {reason}")]
    Unreachable {
        /// The upstream.
        name: String,
        /// The cause.
        reason: String,
    },
    /// No answer began in time.
    #[error("the upstream `{name}` did not answer within {milliseconds} ms")]
    Late {
        /// The upstream.
        name: String,
        /// Time that it had.
        milliseconds: u128,
    },
}

/// A reason why an exchange gave no response.
enum Failed {
    Broke(reqwest::Error),
    /// It changes to another protocol, which nobody asked for.
    Switched,
    /// The time limit that passed.
    Late(Duration),
}

/// Returns whether the other side closed the connection before any byte of a response.
fn was_closed(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message();
        }
        cause = error.source();
    }
    false
}

impl Upstream {
    /// The upstream that `config` describes. `key` is the one that its configuration names.
    ///
    /// # Errors
    /// No client can be made, or the key cannot be sent in a header.
    pub fn new(config: &UpstreamConfig, key: Option<Secret>) -> Result<Self, String> {
        // Installing it a second time fails, and the first one serves.
        rustls::crypto::ring::default_provider().install_default().ok();
        if let Some(key) = &key {
            credential(config.dialect, key).ok_or_else(|| {
                format!("the key of the upstream `{}` has characters that no header can hold", config.name)
            })?;
        }
        let url = Url::parse(&config.base_url).map_err(|error| error.to_string())?;
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(Duration::from_millis(config.connect_ms))
            .pool_idle_timeout(POOL_TIME);
        // What the environment says of proxies is not meant for this machine itself.
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { config: config.clone(), key, client, watch: Watch::default() })
    }

    /// The upstream that `config` describes, with the key that `env` holds.
    ///
    /// # Errors
    /// The key is not set; also as [`Upstream::new`].
    pub fn with_env(config: &UpstreamConfig, env: &dyn Env) -> Result<Self, String> {
        let key = config.api_key_env.as_ref().map(|name| {
            let set = env.get(name).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
            set.map(Secret::new).ok_or_else(|| {
                format!(
                    "the upstream `{}` takes its key from the environment variable {name}, which is not set: set \
                     it, or leave out `api_key_env` to pass on the clients' own keys",
                    config.name
                )
            })
        });
        Self::new(config, key.transpose()?)
    }

    /// Returns the configuration of this upstream.
    #[must_use]
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Returns whether the upstream has a key of its own, so that no client's is needed.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns how it has answered.
    #[must_use]
    pub fn health(&self) -> UpstreamHealth {
        self.watch.read()
    }

    /// Time between two pieces of an answer.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.config.idle_ms)
    }

    /// Sends `call`, and again where a failure may pass, until `deadline`.
    ///
    /// # Errors
    /// See [`UpstreamError`]. An answer that says that the upstream failed is an answer.
    pub async fn send(&self, call: &Call, deadline: Instant) -> Result<Answer, UpstreamError> {
        let url = self.url(&call.path)?;
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(&url, call, deadline).await;
            let wait = match &outcome {
                Ok(answer) if !retry::may_succeed_later(answer.status, &answer.headers) => None,
                Ok(answer) => retry::wait(attempt, Some(&answer.headers)),
                Err(UpstreamError::Unreachable { .. }) => retry::wait(attempt, None),
                Err(_) => None,
            };
            let wait =
                wait.filter(|wait| attempt <= self.config.retries && Instant::now() + *wait < deadline);
            let Some(wait) = wait else {
                return outcome.map(|answer| Answer { attempts: attempt, ..answer });
            };
            drop(outcome);
            sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, url: &Url, call: &Call, deadline: Instant) -> Result<Answer, UpstreamError> {
        let exchange = || {
            let body = Body::from(call.body.clone());
            self.exchange(
                self.client.request(call.method.clone(), url.clone()).body(body),
                &call.headers,
                deadline,
            )
        };
        match exchange().await {
            // Some servers close a connection that they said they would keep, and that is seen only when it is used
            // again. The request may have been processed all the same, so that only one that may be repeated without
            // harm is sent again here; any other is up to `retries`.
            Err(Failed::Broke(error)) if call.method.is_idempotent() && was_closed(&error) => {
                exchange().await.map_err(|failed| self.named(failed))
            }
            other => other.map_err(|failed| self.named(failed)),
        }
    }

    /// Sends a body as it arrives. That can be done once only.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn stream(
        &self,
        (method, path): (Method, &str),
        headers: HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Answer, UpstreamError> {
        let request = self.client.request(method, self.url(path)?).body(body);
        self.exchange(request, &headers, deadline).await.map_err(|failed| self.named(failed))
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        headers: &HeaderMap,
        deadline: Instant,
    ) -> Result<Answer, Failed> {
        let began = Instant::now();
        let answered = self.send_once(request, headers, deadline).await;
        self.watch.note(answered.as_ref().ok().map(|answer| answer.status), began.elapsed());
        answered
    }

    async fn send_once(
        &self,
        request: RequestBuilder,
        headers: &HeaderMap,
        deadline: Instant,
    ) -> Result<Answer, Failed> {
        let mut headers = headers.clone();
        self.authorise(&mut headers);
        let left = deadline.saturating_duration_since(Instant::now());
        let time = Duration::from_millis(self.config.first_byte_ms).min(left);
        let answered = async {
            carry_trace(&mut headers);
            request.headers(headers).send().await
        };
        let sent = timeout(time, answered.instrument(Stage::Upstream.span())).await;
        let response = sent.map_err(|_| Failed::Late(time))?.map_err(Failed::Broke)?;
        let (status, headers) = (response.status(), response.headers().clone());
        // The client would take what follows for an answer, or for those to requests that it sends next.
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failed::Switched);
        }
        Ok(Answer { status, headers, body: response.into(), attempts: 1 })
    }

    fn named(&self, failed: Failed) -> UpstreamError {
        let name = self.config.name.clone();
        match failed {
            Failed::Broke(error) => UpstreamError::Unreachable { name, reason: chain(&error.without_url()) },
            Failed::Switched => {
                let reason = "it answered 101 (Switching Protocols), which was not asked for".into();
                UpstreamError::Unreachable { name, reason }
            }
            Failed::Late(time) => UpstreamError::Late { name, milliseconds: time.as_millis() },
        }
    }

    /// The place of `path`, which must lie below the base URL once all of its `..` are resolved, also those that are so
    /// encoded that only the upstream may see them.
    fn url(&self, path: &str) -> Result<Url, UpstreamError> {
        let base = &self.config.base_url;
        // A key of its own takes the place of the client's wherever that is, which with Gemini may be here.
        let path = without_query_key(path, |_| self.has_key() && self.config.dialect == Dialect::Gemini);
        let url = path.starts_with('/').then(|| Url::parse(&format!("{base}{path}")).ok()).flatten();
        url.filter(|url| url.as_str().strip_prefix(base).is_some_and(|rest| rest.starts_with('/')))
            .filter(|url| !hides_parent(url.path()))
            .ok_or_else(|| UpstreamError::Path(self.config.name.clone()))
    }

    /// Puts the upstream's own key in the place of the client's, where it has one.
    fn authorise(&self, headers: &mut HeaderMap) {
        let Some((name, value)) = self.key.as_ref().and_then(|key| credential(self.config.dialect, key))
        else {
            return;
        };
        without_keys(headers);
        headers.insert(name, value);
    }

    /// Returns whether a client's key that was meant for `other` may be sent here too.
    #[must_use]
    pub fn shares_origin(&self, other: &Self) -> bool {
        let origin = |upstream: &Self| Url::parse(&upstream.config.base_url).map(|url| url.origin()).ok();
        origin(self) == origin(other)
    }
}

/// Returns whether a path has a `..` once its percent signs, or those that stand for others, are decoded. Some servers
/// cut a segment at a semicolon, or take a backslash for a slash.
fn hides_parent(path: &str) -> bool {
    const LAYERS: usize = 4;
    let mut path = path.as_bytes().to_vec();
    (0..LAYERS).any(|_| {
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        let found = segments.any(|segment| segment == b".." || segment.starts_with(b"..;"));
        path = percent_encoding::percent_decode(&path).collect();
        found
    })
}

impl Call {
    /// Returns the call without the client's key, which clients of Gemini alone have in a query.
    #[must_use]
    pub fn without_keys(mut self, dialect: Dialect) -> Self {
        without_keys(&mut self.headers);
        self.path = without_query_key(&self.path, |_| dialect == Dialect::Gemini);
        self
    }
}

fn without_keys(headers: &mut HeaderMap) {
    for name in KEY_HEADERS {
        headers.remove(name);
    }
}

/// The header that carries a key.
fn credential(dialect: Dialect, key: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let (name, text) = match dialect {
        Dialect::OpenAi | Dialect::Ollama | Dialect::Cohere => {
            (AUTHORIZATION, format!("Bearer {}", key.reveal()))
        }
        Dialect::Azure => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
        Dialect::Anthropic => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
        Dialect::Gemini => (HeaderName::from_static("x-goog-api-key"), key.reveal().to_owned()),
    };
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// A body that is sent on as it arrives.
#[must_use]
pub fn streamed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Body::wrap(Shared(Mutex::new(body)))
}

/// A body that may be shared between threads, as the client asks, though only one ever polls it.
struct Shared<B>(Mutex<B>);

impl<B> HttpBody for Shared<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let body = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
