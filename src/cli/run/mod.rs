//! `whittle run`: a command behind a proxy of its own.

mod child;
mod environment;
mod summary;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::{self, Config, Env, Flags, Places, ProcessEnv};
use crate::engine::Engine;
use crate::http::Server;
use crate::model::store::Silent;
use crate::proxy::{Gateway, Parts, UsageParams, usage_at_rest};
use crate::telemetry;

/// Time that requests have to finish after the command has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Run a command, such as an agent, behind a proxy of its own
///
/// The proxy listens on a free port of this machine for as long as the command runs, with the configuration of
/// `whittle serve`. The command finds it by `ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL` and their like. At the end, standard
/// error says what was saved. The exit status is the command's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  whittle run -- claude
  whittle run -- aider --model sonnet
  whittle run -- python agent.py

Upstreams are those of the configuration. For a dialect without one, it is the address that ANTHROPIC_BASE_URL,
OPENAI_BASE_URL, GOOGLE_GEMINI_BASE_URL, AZURE_OPENAI_ENDPOINT, OLLAMA_HOST or CO_API_URL had before, else the
public one of its provider, or this machine's Ollama. CO_API_URL stays as it was. The command's own keys are passed
on. Other programs of this machine can reach the proxy, too, while the command runs.

More: `whittle help agents`.")]
pub(super) struct RunArgs {
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say nothing at the end
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command and returns its exit status.
pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { file: args.config, listen: None };
    let mut config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    for warning in environment::complete(&mut config.upstreams, &ProcessEnv)? {
        writeln!(std::io::stderr(), "whittle: {warning}").ok();
    }
    // The command has the terminal: only what is broken is worth a line in between.
    let _traces = telemetry::init_at("error")?;
    let data = Data::take(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("whittle-run")
        .build()
        .context("cannot start the threads of the proxy")?;
    let begun = Timestamp::now();
    let (gateway, status) = behind_a_proxy(&runtime, &config, data.folder(), &args.command)?;
    gateway.flush();
    if !args.quiet {
        let since = UsageParams { since: Some(begun.to_string()), ..UsageParams::default() };
        let usage = runtime.block_on(gateway.usage(since))?;
        // A closed stderr is no reason to have failed.
        summary::write(&mut std::io::stderr().lock(), &usage, &gateway.outcomes()).ok();
    }
    Ok(status)
}

/// Starts the proxy, runs the command and stops the proxy.
fn behind_a_proxy(
    runtime: &Runtime,
    config: &Config,
    data: &Path,
    command: &[OsString],
) -> anyhow::Result<(Arc<Gateway>, ExitCode)> {
    let engine = Engine::builder().environment(config, &ProcessEnv, Box::new(Silent))?.data_dir(data).build();
    let engine = Arc::new(engine.with_downloads_in_background());
    let parts = Parts {
        compressor: Arc::<Engine>::clone(&engine),
        generator: Arc::<Engine>::clone(&engine),
        retriever: Arc::<Engine>::clone(&engine),
        // What it saved is told at its end: its ledger is its own.
        database: None,
    };
    let gateway = Gateway::new(config, &ProcessEnv, parts, data).map_err(anyhow::Error::msg)?;
    let gateway = Arc::new(gateway);
    let server = Server::without_keys(engine, config.limits, Arc::clone(&gateway))
        .with_roots(config.mcp.roots.iter().map(PathBuf::from));
    let status = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a free port")?;
        let address = listener.local_addr().context("cannot read the port that was chosen")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(listener, async { stopped.await.unwrap_or_default() }));
        let status = child::run(command, environment::of(address, &config.upstreams, &ProcessEnv)).await;
        drop(stop);
        // What the command left unread may be cut off, what it waited for is over.
        if let Ok(draining) = serving.await {
            timeout(GRACE, draining.finished()).await.ok();
        }
        status
    })?;
    Ok((gateway, status))
}

/// The folder that the proxy keeps its data in.
enum Data {
    Lasting(PathBuf),
    /// One for this run alone, since another process has the lasting one.
    Passing(TempDir),
}

impl Data {
    fn take(config: &Config) -> anyhow::Result<Self> {
        let data = config::data_dir(&ProcessEnv)?;
        let asked = usage_at_rest(&config.proxy, &data, &UsageParams::default());
        if !matches!(asked, Err(crate::proxy::UsageError::Store(crate::proxy::StoreError::InUse(_)))) {
            return Ok(Self::Lasting(data));
        }
        let folder = tempfile::tempdir().context("cannot make a folder for the data of this run")?;
        writeln!(
            std::io::stderr(),
            "whittle: another process has the data folder {}: the ledger of this run goes with it",
            data.display()
        )
        .ok();
        Ok(Self::Passing(folder))
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Lasting(folder) => folder,
            Self::Passing(folder) => folder.path(),
        }
    }
}

/// Reads a variable that is set to something.
fn set(env: &dyn Env, name: &str) -> Option<String> {
    env.get(name).filter(|value| !value.trim().is_empty())
}
