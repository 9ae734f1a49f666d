//! Accepts connections until it is told to stop, then lets those that are open finish.
//!
//! This is `axum::serve` with two things more: a time limit for headers, without which a client can hold a connection
//! for ever by sending nothing, and a drain that the caller can bound.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use super::hosts::Hosts;
use super::router::router;
use super::state::AppState;
use crate::config::{Limits, PageConfig};
use crate::engine::Engine;
use crate::keys::Keyring;
use crate::proxy::Gateway;

/// Time that a client has to send a request's headers, also on a connection that is kept open.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Pause where no connection can be accepted, such as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP service.
///
/// A proxy in a test, before an upstream that answers one request:
///
/// ```
/// use std::io::{Read, Write};
/// use std::sync::Arc;
///
/// use tokio::net::TcpListener;
/// use whittle::config::{Flags, Places, ProcessEnv, load};
/// use whittle::http::Server;
/// use whittle::keys::Keyring;
/// use whittle::model::store::Silent;
/// use whittle::proxy::{Gateway, Parts};
/// use whittle::Engine;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let upstream = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("whittle.toml");
/// let address = upstream.local_addr()?;
/// let text = format!("[[upstreams]]\nname = 'u'\ndialect = 'openai'\nbase_url = 'http://{address}/v1'\n");
/// std::fs::write(&file, text)?;
/// std::thread::spawn(move || {
///     let (mut stream, _) = upstream.accept()?;
///     let _ = stream.read(&mut [0; 4096])?;
///     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{\"id\":\"1\"}")
/// });
///
/// let flags = Flags { file: Some(file), ..Flags::default() };
/// let config = load(&flags, &ProcessEnv, &Places::default())?.config;
/// let builder = Engine::builder().environment(&config, &ProcessEnv, Box::new(Silent))?;
/// let engine = builder.data_dir(folder.path()).build();
/// let engine = Arc::new(engine);
/// let parts = Parts {
///     compressor: engine.clone(),
///     generator: engine.clone(),
///     retriever: engine.clone(),
///     database: None,
/// };
/// let gateway = Arc::new(Gateway::new(&config, &ProcessEnv, parts, folder.path())?);
/// let keys = Arc::new(Keyring::open(folder.path(), false, gateway.spent_today()?)?);
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
/// let server = Server::with_gateway(engine, config.limits, gateway, keys);
/// tokio::spawn(server.run(listener, std::future::pending::<()>()));
///
/// let body = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}"#;
/// let answer = reqwest::Client::builder().no_proxy().build()?.post(url).body(body).send().await?;
/// assert_eq!(answer.text().await?, "{\"id\":\"1\"}");
/// # Ok(())
/// # }
/// ```
pub struct Server {
    state: AppState,
    header_time: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("header_time", &self.header_time).finish_non_exhaustive()
    }
}

/// Connections that are still open after a server stopped.
#[derive(Debug)]
pub struct Draining(GracefulShutdown);

impl Draining {
    /// Waits until all requests that had begun are answered. There is no limit: bound it from outside.
    pub async fn finished(self) {
        self.0.shutdown().await;
    }
}

impl Server {
    /// A server that answers by `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        Self::with_state(AppState::new(engine, limits))
    }

    /// Starts a service with a proxy in it, for the callers that `keys` admits.
    #[must_use]
    pub fn with_gateway(
        engine: Arc<Engine>,
        limits: Limits,
        gateway: Arc<Gateway>,
        keys: Arc<Keyring>,
    ) -> Self {
        Self::with_state(AppState::new(engine, limits).with_gateway(gateway).with_keys(keys))
    }

    /// Starts a service with a proxy in it that anybody who reaches it may call.
    #[must_use]
    pub fn without_keys(engine: Arc<Engine>, limits: Limits, gateway: Arc<Gateway>) -> Self {
        Self::with_state(AppState::new(engine, limits).with_gateway(gateway))
    }

    pub(super) fn with_state(state: AppState) -> Self {
        Self { state, header_time: HEADER_TIME }
    }

    /// Serves the page for people at `/`, too, where `page` says so, and the evaluations that it names.
    #[must_use]
    pub fn with_page(self, page: PageConfig) -> Self {
        Self { state: self.state.with_page(page), ..self }
    }

    #[cfg(test)]
    pub(super) fn header_time(self, header_time: Duration) -> Self {
        Self { header_time, ..self }
    }

    /// Names hosts that the service is also reached under, besides those of this machine, as `hosts` of the configuration
    /// does.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Vec<String>) -> Self {
        self.state.hosts = Hosts::default().listed(hosts);
        self
    }

    /// Lets a tool of the MCP server read files below `folders`, as `mcp.roots` of the configuration does.
    #[must_use]
    pub fn with_roots(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.state.mcp = self.state.mcp.with_roots(folders);
        self
    }

    /// Accepts connections until `stop` is ready. The listener is closed when this returns.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Draining {
        let Self { mut state, header_time } = self;
        if let Ok(address) = listener.local_addr() {
            state.hosts = state.hosts.listening_on(address.ip());
        }
        let stopping = state.stopping.clone();
        let connections = Connections { router: router(Arc::new(state)), header_time };
        let open = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => {
                    stopping.send_replace(true);
                    return Draining(open);
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => connections.connect(stream, &open),
                    Err(error) => pause(&error).await,
                },
            }
        }
    }
}

/// What each connection is served by.
struct Connections {
    router: Router,
    header_time: Duration,
}

impl Connections {
    /// Serves one connection on a task of its own.
    fn connect(&self, stream: TcpStream, open: &GracefulShutdown) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot turn off the delay of small packets");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_time)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router.clone()));
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // The client's doing: it left, was too slow or does not speak HTTP.
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

/// A connection that its client gave up while it waited is nothing; anything else must not become a busy loop.
async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
