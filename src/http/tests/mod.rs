//! The routes in front of an engine of small models, called in process and over real sockets.

mod answers;
mod connections;
mod examples;
mod framing;
mod proxy;
mod requests;
mod retrieval;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::Server;
use super::router::router;
use super::state::AppState;
use crate::config::Limits;
use crate::engine::Engine;
use crate::engine::fakes::{Lengths, Letters};
use crate::model::{Cancel, Embedder, ScoreError, Stopped};

/// An engine of small models, with a folder of its own.
fn engine() -> Arc<Engine> {
    hooked(|_, _| Ok(()))
}

/// The same; `hook` sees each text whose vector is asked for, off the async threads, and may wait or fail.
fn hooked<F>(hook: F) -> Arc<Engine>
where
    F: Fn(&str, &Cancel) -> Result<(), ScoreError> + Send + Sync + 'static,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let embedder = Hooked { hook, _folder: folder };
    Arc::new(Engine::builder().scorer(Lengths).embedder(embedder).data_dir(path).build())
}

/// Embeds as [`Letters`] does, after a hook. It keeps the engine's folder, which goes with it.
struct Hooked<F> {
    hook: F,
    _folder: TempDir,
}

impl<F> Embedder for Hooked<F>
where
    F: Fn(&str, &Cancel) -> Result<(), ScoreError> + Send + Sync,
{
    fn name(&self) -> &str {
        Letters.name()
    }

    fn dimensions(&self) -> usize {
        Letters.dimensions()
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        (self.hook)(text, cancel)?;
        Letters.count(text, cancel)
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        Letters.embed(texts, cancel)
    }
}

/// Blocks until the caller leaves or `released` says so. Fails after a while rather than hang the tests.
fn block_until(released: impl Fn() -> bool, cancel: &Cancel) -> Result<(), Stopped> {
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

fn state(engine: &Arc<Engine>) -> AppState {
    AppState::new(Arc::clone(engine), Limits::default())
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

/// Asks for the vector of a text, which [`hooked`] engines see.
fn embed(text: &str) -> Request<Body> {
    post("/v1/embeddings", json!({"input": text}).to_string())
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
    fn post(&self, client: &reqwest::Client, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let url = format!("http://{}/v1/embeddings", self.address);
        client.post(url).header("content-type", "application/json").body(body)
    }

    fn embed(&self, client: &reqwest::Client, text: &str) -> reqwest::RequestBuilder {
        self.post(client, json!({"input": text}).to_string())
    }
}
