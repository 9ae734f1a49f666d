//! The routes with a fake service behind them, called in process and over real sockets.

mod answers;
mod connections;
mod examples;
mod proxy;
mod requests;
mod retrieval;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::router::router;
use super::state::AppState;
use super::{Server, Service};
use crate::compress::Method;
use crate::config::Limits;
use crate::engine::api::{
    CompressRequest, CompressResponse, RecoverRequest, RecoverResponse, ScoreRequest, ScoreResponse, Timing,
    Usage,
};
use crate::engine::{Caches, EngineError, Readiness};
use crate::model::Cancel;
use crate::model::cached::CacheStatistics;

type Compress = dyn Fn(CompressRequest, &Cancel) -> Result<CompressResponse, EngineError> + Send + Sync;

/// Compresses as it is told to.
struct Fake {
    compress: Box<Compress>,
    readiness: Readiness,
}

impl Service for Fake {
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError> {
        (self.compress)(request, cancel)
    }

    fn recover(&self, request: RecoverRequest) -> Result<RecoverResponse, EngineError> {
        Ok(RecoverResponse { response: request.response, restored: Vec::new() })
    }

    fn score(&self, request: ScoreRequest, _: &Cancel) -> Result<ScoreResponse, EngineError> {
        Ok(ScoreResponse {
            ranges: vec![],
            model: "fake".into(),
            ids: vec![1, 2],
            tokens: vec![request.prefix.unwrap_or_default(), request.text],
            nll: vec![None, Some(0.5)],
            mean_nll: Some(0.5),
            perplexity: Some(0.5_f64.exp()),
            seconds: 0.1,
            tokens_per_second: 20.0,
        })
    }

    fn readiness(&self) -> Readiness {
        self.readiness
    }

    fn caches(&self) -> Caches {
        let scores = CacheStatistics { hits: 3, kept: 1, misses: 2, bytes: 100 };
        Caches { scores, ..Caches::default() }
    }
}

fn fake<F>(compress: F) -> Arc<dyn Service>
where
    F: Fn(CompressRequest, &Cancel) -> Result<CompressResponse, EngineError> + Send + Sync + 'static,
{
    Arc::new(Fake { compress: Box::new(compress), readiness: Readiness::Idle })
}

/// Answers with the context as the prompt.
fn echo() -> Arc<dyn Service> {
    fake(|request, _| Ok(compressed(request.context.unwrap_or_default())))
}

fn compressed(prompt: String) -> CompressResponse {
    CompressResponse {
        id: "c-1".into(),
        prompt,
        method: Method::default(),
        reason: "asked for".into(),
        documents: Vec::new(),
        messages: None,
        usage: Usage {
            original_tokens: 20,
            compressed_tokens: 10,
            requested_tokens: 10,
            rate: 0.5,
            tokenizer: "o200k_base".into(),
            approximate: false,
        },
        timing_ms: Timing::default(),
        left_out: std::collections::BTreeMap::new(),
        warnings: Vec::new(),
    }
}

/// Blocks until the caller leaves or `released` says so. Fails after a while rather than hang the tests.
fn block_until(released: impl Fn() -> bool, cancel: &Cancel) -> Result<(), EngineError> {
    let mut left = 10_000;
    while !released() {
        cancel.check()?;
        left -= 1;
        assert!(left > 0, "nobody released the fake");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// Asserts that this is an error in the envelope, and gives its message.
    #[track_caller]
    fn error(&self, status: u16, code: &str, param: Option<&str>) -> String {
        let error = &self.body["error"];
        assert_eq!((self.status.as_u16(), &error["code"]), (status, &Value::from(code)), "{self:?}");
        assert_eq!(error["param"], Value::from(param), "{self:?}");
        let r#type = if status >= 500 { "server_error" } else { "invalid_request_error" };
        assert_eq!(error["type"], r#type);
        assert_eq!(self.headers["content-type"], "application/json");
        assert!(self.headers.contains_key("x-request-id"));
        error["message"].as_str().expect("an error has a message").to_owned()
    }
}

/// Calls the routes in process.
async fn call(state: AppState, request: Request<Body>) -> Answer {
    answer_of(router(Arc::new(state)), request).await
}

async fn answer_of(router: axum::Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Answer { status: head.status, headers: head.headers, body }
}

fn state(service: Arc<dyn Service>) -> AppState {
    AppState::new(service, Limits::default())
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

fn compress(body: impl Into<Body>) -> Request<Body> {
    post("/v1/compress", body)
}

/// A server on a real socket.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(server: Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        server.run(listener, stopped).await.finished().await;
    });
    Running { address, stop, task }
}

fn client() -> reqwest::Client {
    // A second installation is refused, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Running {
    fn compress(&self, client: &reqwest::Client, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let url = format!("http://{}/v1/compress", self.address);
        client.post(url).header("content-type", "application/json").body(body)
    }
}
