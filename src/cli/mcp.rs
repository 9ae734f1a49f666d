//! `whittle mcp`: the MCP server on standard input and output.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use crate::admission::Admission;
use crate::config::{self, Config, Flags, Places, ProcessEnv};
use crate::engine::Engine;
use crate::mcp::McpServer;
use crate::proxy::{Gateway, Parts};
use crate::telemetry;

/// Serve the tools of whittle to an agent, by MCP on standard input and output
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples of a client's configuration:
  claude mcp add whittle -- whittle mcp --root .
  codex mcp add whittle -- whittle mcp --root .
  {\"mcpServers\": {\"whittle\": {\"command\": \"whittle\", \"args\": [\"mcp\", \"--root\", \"/path/of/a/project\"]}}}

Tools: compress, read_file_compressed, search, ingest, prompt, examples_select, count_tokens, recall.
Standard output belongs to the protocol; logs go to standard error.

One process at a time has the data folder. Beside a running service, let the client use the service's own
server, which has the same tools: http://127.0.0.1:8787/mcp. More: `whittle help agents`.")]
pub(super) struct McpArgs {
    /// Folder whose files the tool `read_file_compressed` may read, besides `mcp.roots` (repeatable)
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves one client until it closes standard input.
pub(super) fn run(args: McpArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config, listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let _traces = telemetry::init()?;
    let progress = Box::new(super::progress::DownloadBar::default());
    let engine = Arc::new(Engine::new(&config, &ProcessEnv, progress)?);
    let limits = config.limits;
    let admission = Admission::new(limits.concurrency, limits.queue);
    let roots = config.mcp.roots.iter().map(PathBuf::from).chain(args.root).collect::<Vec<_>>();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("whittle-mcp")
        .build()
        .context("cannot start the threads of the MCP server")?;
    let server = McpServer::new(Arc::clone(&engine), limits, admission)
        .with_roots(roots)
        .with_originals(move || gateway(&config, &engine));
    let outcome = runtime.block_on(server.serve_stdio());
    // Nobody is there to be told of what still runs.
    runtime.shutdown_background();
    Ok(outcome?)
}

/// Opens the originals that a service has kept.
fn gateway(config: &Config, engine: &Arc<Engine>) -> Result<Arc<Gateway>, String> {
    let parts = Parts {
        compressor: Arc::<Engine>::clone(engine),
        generator: Arc::<Engine>::clone(engine),
        retriever: Arc::<Engine>::clone(engine),
        // It books nothing.
        database: None,
    };
    let data = config::data_dir(&ProcessEnv).map_err(|error| error.to_string())?;
    if config.upstreams.is_empty() && !config.local.enabled {
        return Err("the configuration names no upstream".into());
    }
    let gateway = Gateway::new(config, &ProcessEnv, parts, &data)?;
    if config.proxy.recall.enabled && !gateway.keeps_originals() {
        let folder = data.display();
        return Err(format!("another whittle has the data folder {folder}"));
    }
    Ok(Arc::new(gateway))
}
