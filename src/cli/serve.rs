//! `whittle serve`: the HTTP service until a signal ends it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::config::{self, Config, ConfigError, Env, Flags, Loaded, Places, ProcessEnv, SharedConfig};
use crate::engine::Engine;
use crate::http::{Draining, Server};
use crate::keys::{self, Keyring};
use crate::proxy::{Gateway, Parts};
use crate::shared::Shared;
use crate::telemetry;

/// Time that requests have to finish after a signal.
const GRACE: Duration = Duration::from_secs(30);
/// Time that work has to notice, after that, that nobody waits for it.
const STOP_TIME: Duration = Duration::from_secs(1);
/// Time that the start waits for the server that replicas share.
const CONNECT_TIME: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  whittle serve
  whittle serve --listen 127.0.0.1:9000
  whittle serve --config whittle.toml
  WHITTLE_LIMITS_CONCURRENCY=2 WHITTLE_LOG=debug whittle serve

Then:
  curl -H 'Content-Type: application/json' -d '{\"context\": \"...\", \"rate\": 0.5}' \\
    http://127.0.0.1:8787/v1/compress
  curl -H 'Content-Type: application/json' \\
    -d '{\"model\": \"local/smollm2-135m-instruct\", \"messages\": [{\"role\": \"user\", \"content\": \"...\"}]}' \\
    http://127.0.0.1:8787/v1/chat/completions

The scorer's model also answers, in this process, under the name local/NAME, unless [local] enabled = false.
The guides are at http://127.0.0.1:8787/docs.

SIGHUP reloads [proxy], [[upstreams]] and [keys] of the configuration, if it is valid. SIGTERM or Ctrl-C
stops accepting requests, finishes those in progress (at most 30 s) and exits with 0. A second signal exits
at once. More: `whittle help proxy`, `whittle help operations`.";

/// Run the HTTP service
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    #[arg(long, value_name = "ADDRESS:PORT", help = help_of("listen"))]
    listen: Option<SocketAddr>,
    /// Configuration file [default: whittle.toml in this folder, else whittle/config.toml in the
    /// platform's configuration folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the service until a signal ends it.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config, listen: args.listen };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let load = move || config::load(&flags, &Checked, &Places::usual());
    // The last traces go out when this is dropped.
    let _traces = telemetry::init()?;
    let shared = Shared::new(&config.shared, &ProcessEnv)?;
    let data = config::data_dir(&ProcessEnv)?;
    let folder = std::path::absolute(&data).unwrap_or_else(|_| data.clone());
    tracing::info!(folder = %folder.display(), "keeping data");
    let progress = Box::new(super::progress::DownloadBar::default());
    let engine = Engine::new(&config, &ProcessEnv, progress)?.with_downloads_in_background();
    engine.open_collections()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("whittle-http")
        .build()
        .context("cannot start the threads of the HTTP service")?;
    let engine = Arc::new(engine);
    let parts = Parts {
        compressor: Arc::<Engine>::clone(&engine),
        generator: Arc::<Engine>::clone(&engine),
        retriever: Arc::<Engine>::clone(&engine),
        database: engine.database().cloned(),
    };
    let gateway = Gateway::new(&config, &ProcessEnv, parts, &data);
    let gateway = gateway.map_err(anyhow::Error::msg)?;
    let gateway = Arc::new(match &shared {
        Some(shared) => gateway.shared_by(shared.clone()),
        None => gateway,
    });
    gateway.remove_unwanted_originals();
    let ledger = Arc::clone(&gateway);
    let spent = Box::new(move || ledger.spent_today().map_err(|error| error.to_string()));
    let keys = Keyring::of(keys::configured(&config.store, &ProcessEnv, &data)?, config.keys, spent)?;
    let keys = Arc::new(match shared {
        Some(shared) => keys.shared_by(shared).context("no random bits")?,
        None => keys,
    });
    let server = Server::with_gateway(engine, config.limits, Arc::clone(&gateway), Arc::clone(&keys))
        .with_roots(config.mcp.roots.iter().map(PathBuf::from))
        .with_hosts(config.hosts.clone())
        .with_page(config.page.clone());
    let live = Live {
        listen: config.listen,
        shared: config.shared,
        gateway: Arc::clone(&gateway),
        keys: Arc::clone(&keys),
        load,
    };
    runtime.spawn(Arc::clone(&keys).share());
    let outcome = runtime.block_on(serve(server, live));
    // What the last requests took.
    runtime.block_on(async { timeout(STOP_TIME, keys.told()).await }).unwrap_or_default();
    // Ends connections that are still open, which cancels their work, but waits for no thread that does not heed it.
    runtime.shutdown_timeout(STOP_TIME);
    gateway.flush();
    outcome
}

/// The help of a flag that sets a key of the configuration.
fn help_of(path: &str) -> String {
    let key = Config::keys().into_iter().find(|key| key.path == path);
    key.map(|key| key.help()).unwrap_or_default()
}

/// The process's environment for a reload. It names no variables, for they were checked at the start and cannot be
/// changed since: one that was an upstream's key until now must not become an unknown one.
struct Checked;

impl Env for Checked {
    fn value(&self, name: &str) -> Option<OsString> {
        ProcessEnv.value(name)
    }
}

/// The result of loading the current configuration.
type Load = Result<Loaded, ConfigError>;

/// The parts of a running service that a changed configuration is applied to.
struct Live<F> {
    listen: SocketAddr,
    shared: SharedConfig,
    gateway: Arc<Gateway>,
    keys: Arc<Keyring>,
    load: F,
}

impl<F: Fn() -> Load> Live<F> {
    /// Takes over all that can be changed while the service runs, or nothing.
    fn reload(&self) -> Result<(), String> {
        let config = (self.load)().map_err(|error| error.to_string())?.config;
        config.check_listening(self.listen).map_err(|error| error.to_string())?;
        self.gateway.reload(&config, &ProcessEnv)?;
        self.keys.reload(config.keys);
        if config.shared != self.shared {
            tracing::warn!("[shared] has changed: restart the service to have it take effect");
        }
        Ok(())
    }
}

async fn serve(server: Server, live: Live<impl Fn() -> Load + Send + Sync + 'static>) -> anyhow::Result<()> {
    let listen = live.listen;
    if let Some(shared) = live.keys.shared()
        && timeout(CONNECT_TIME, shared.tried()).await.is_err()
    {
        tracing::warn!("the server that replicas share has not answered yet: beginning without it");
    }
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} (`--listen` names another)"))?;
    let address = listener.local_addr().context("cannot read the port that was chosen")?;
    // Before the line that others wait for: from then on a signal ends the service in order.
    let mut signals = Signals::new().context("cannot handle signals")?;
    reload_on_signal(live).context("cannot handle signals")?;
    // A closed stderr is no reason not to serve.
    writeln!(io::stderr(), "whittle listening on http://{address}").ok();

    let draining = server.run(listener, signals.next()).await;
    tracing::info!("stopping: no new connections, finishing requests in progress");
    drain(draining, signals).await;
    Ok(())
}

async fn drain(draining: Draining, mut signals: Signals) {
    tokio::select! {
        () = draining.finished() => tracing::info!("stopped"),
        () = sleep(GRACE) => tracing::warn!("stopped: some requests did not finish in time"),
        () = signals.next() => tracing::warn!("stopped at once by a second signal"),
    }
}

/// Takes over the configuration at each SIGHUP, if it is valid.
#[cfg(unix)]
fn reload_on_signal(live: Live<impl Fn() -> Load + Send + Sync + 'static>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    let live = Arc::new(live);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let live = Arc::clone(&live);
            // Files are read, and the store's writer may be waited for.
            match tokio::task::spawn_blocking(move || live.reload()).await {
                Ok(Ok(())) => {
                    tracing::info!("reloaded [proxy], [[upstreams]] and [keys] of the configuration");
                }
                Ok(Err(error)) => {
                    tracing::error!(error, "the configuration is invalid: the old one stays in effect");
                }
                Err(error) => tracing::error!(%error, "the configuration could not be reloaded"),
            }
        }
    });
    Ok(())
}

/// Does nothing, as this system has no such signal: restart the service instead.
#[cfg(windows)]
fn reload_on_signal(_: Live<impl Fn() -> Load + Send + Sync + 'static>) -> io::Result<()> {
    Ok(())
}

/// The signals that end the service.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signals that end the service.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
