//! The proxy between a real client and an upstream that does as it is told.

mod admission;
mod bad_results;
mod compression;
mod conversation;
mod dialects;
mod faults;
mod folding;
mod holdout;
mod ledger;
mod local;
mod passing;
mod recall;
mod retrieval;
mod shadow;
mod status;
mod upstream;

use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};

use local::Parrot;
use retrieval::Librarian;
use upstream::{Seen, Step, Upstream, end, events, json, reply, send};

use super::*;
use crate::admission::Admission;
use crate::compress::Method;
use crate::config::{Config, Env, Places, load};
use crate::engine::EngineError;
use crate::engine::api::{CompressRequest, CompressResponse, DocumentOutput, Timing, Usage};
use crate::proxy::{Compressor, Gateway, Parts};

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The workers that began a text which begins with `meet`: 1 the compressor, 2 the retriever, 3 both.
static MET: AtomicUsize = AtomicUsize::new(0);

/// Keeps the words at even places, which halves a text whatever counts it.
#[derive(Default)]
struct Halving {
    calls: AtomicUsize,
    questions: std::sync::Mutex<Vec<Option<String>>>,
    /// Milliseconds that it takes.
    takes: AtomicUsize,
    /// Fails instead.
    fails: std::sync::atomic::AtomicBool,
}

impl Compressor for Halving {
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.questions.lock().unwrap().push(request.question.clone());
        let start = std::time::Instant::now();
        let takes = Duration::from_millis(self.takes.load(Ordering::SeqCst) as u64);
        block_until(|| start.elapsed() >= takes, cancel)?;
        if self.fails.load(Ordering::SeqCst) {
            return Err(EngineError::internal("no reason"));
        }
        let text = request.documents.unwrap().remove(0).text;
        if text.starts_with("meet") {
            MET.fetch_or(1, Ordering::SeqCst);
            block_until(|| MET.load(Ordering::SeqCst) == 3, cancel)?;
        }
        let (output, kept) = halved(&text);
        let document = DocumentOutput {
            id: "0".into(),
            text: output,
            left_out: std::collections::BTreeMap::new(),
            kept: Some(kept),
            rank: None,
            score: None,
            scores: None,
            words: None,
            metadata: None,
        };
        Ok(compressed(document))
    }
}

fn compressed(document: DocumentOutput) -> CompressResponse {
    let tokenizer = "o200k_base".into();
    CompressResponse {
        id: "c-1".into(),
        prompt: String::new(),
        method: Method::default(),
        reason: "asked for".into(),
        documents: vec![document],
        messages: None,
        usage: Usage {
            original_tokens: 20,
            compressed_tokens: 10,
            requested_tokens: 10,
            rate: 0.5,
            tokenizer,
            approximate: false,
        },
        timing_ms: Timing::default(),
        left_out: std::collections::BTreeMap::new(),
        warnings: Vec::new(),
    }
}

/// Returns the part of a text that [`Halving`] leaves.
fn halved(text: &str) -> (String, Vec<[usize; 2]>) {
    let mut at = 0;
    let words = text.split_inclusive(' ').map(|word| {
        at += word.len();
        [at - word.len(), at]
    });
    let kept: Vec<_> = words.step_by(2).collect();
    (kept.iter().map(|&[start, end]| &text[start..end]).collect(), kept)
}

struct Keys;

impl Env for Keys {
    fn value(&self, name: &str) -> Option<OsString> {
        (name == "TEST_KEY").then(|| "sk-of-the-upstream".into())
    }
}

/// A proxy in front of an upstream.
struct Proxy {
    running: Running,
    upstream: Upstream,
    compressor: Arc<Halving>,
    client: reqwest::Client,
    data: tempfile::TempDir,
    admission: Admission,
    gateway: Arc<Gateway>,
}

/// The configuration that `text` describes; `UPSTREAM` in it stands for an upstream's address.
fn config(text: &str, upstream: &Upstream) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.toml");
    std::fs::write(&file, text.replace("UPSTREAM", &format!("http://{}", upstream.address))).unwrap();
    let flags = crate::config::Flags { file: Some(file), listen: None };
    load(&flags, &Keys, &Places::default()).unwrap().config
}

/// Both dialects, with results of tools compressed as other texts are.
const BOTH: &str = "\
    [proxy.compress]\nmin_tokens = 50\ntool_results = 'compress'\ndeadline_ms = 5000\n\
    [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n\
    [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nretries = 0\n";

impl Proxy {
    async fn start() -> Self {
        Self::with(BOTH).await
    }

    async fn with(text: &str) -> Self {
        let upstream = Upstream::start().await;
        let compressor = Arc::new(Halving::default());
        let data = tempfile::tempdir().unwrap();
        let (running, admission, gateway) = run(&config(text, &upstream), &compressor, data.path()).await;
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        super::client();
        Self {
            running,
            upstream,
            compressor,
            client: client.timeout(PATIENCE).build().unwrap(),
            data,
            admission,
            gateway,
        }
    }

    /// Ends the proxy in order and starts it again: nothing is left of the first one but its folder.
    async fn restarted(self) -> Self {
        self.restarted_as(BOTH).await
    }

    /// Restarts the proxy with the configuration that `text` describes.
    async fn restarted_as(self, text: &str) -> Self {
        let Self { running, upstream, data, client, gateway, .. } = self;
        drop(gateway);
        running.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, running.task).await.unwrap().unwrap();
        let compressor = Arc::new(Halving::default());
        let (running, admission, gateway) = run(&config(text, &upstream), &compressor, data.path()).await;
        Self { running, upstream, compressor, client, data, admission, gateway }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.running.address))
    }

    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::POST, path).header("content-type", "application/json").body(body)
    }

    fn calls(&self) -> usize {
        self.compressor.calls.load(Ordering::SeqCst)
    }

    /// Posts a body and gives what the upstream saw of it, and the status header.
    async fn forwarded(&self, path: &str, body: &str) -> (Seen, String) {
        self.upstream.will([json(200, "{}")]);
        let response = self.post(path, body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let status = response.headers()["x-whittle-status"].to_str().unwrap().to_owned();
        (self.upstream.only(), status)
    }
}

/// Starts a proxy as `config` describes it.
async fn run(
    config: &Config,
    compressor: &Arc<Halving>,
    data: &std::path::Path,
) -> (Running, Admission, Arc<Gateway>) {
    let state = state_of(config, compressor, data);
    let admission = state.admission.clone();
    let gateway = state.gateway.clone().expect("it was just made with one");
    (super::start(Server::with_state(state)).await, admission, gateway)
}

fn state_of(config: &Config, compressor: &Arc<Halving>, data: &std::path::Path) -> AppState {
    let parts = Parts {
        compressor: Arc::<Halving>::clone(compressor),
        generator: Arc::new(Parrot),
        retriever: Arc::new(Librarian),
        database: None,
    };
    let gateway = Gateway::new(config, &Keys, parts, data).unwrap();
    AppState::new(engine(), config.limits).with_gateway(Arc::new(gateway))
}

/// A text of `count` words, each unlike the others.
fn words(count: usize) -> String {
    (0..count).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ")
}

async fn body_of(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}
