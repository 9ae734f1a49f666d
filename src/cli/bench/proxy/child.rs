//! The proxy that is measured: `whittle serve` as it is, in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::config::{Config, KeysConfig, Pattern, UpstreamConfig};
use crate::telemetry::resident_bytes;
use crate::wire::Dialect;

/// Time that it has to start.
const START: Duration = Duration::from_secs(30);
/// Variables that say where models are, and what is logged; all others the configuration has taken in already.
const KEPT: [&str; 5] =
    ["WHITTLE_CACHE", "WHITTLE_MODELS", "WHITTLE_OFFLINE", "WHITTLE_LOG", "WHITTLE_LOG_FORMAT"];

/// A running proxy, ended when dropped.
pub(super) struct Child {
    pub(super) address: SocketAddr,
    process: std::process::Child,
    _folder: TempDir,
}

impl Child {
    /// Starts one that does as `config` says, in front of `upstream` alone.
    pub(super) fn start(config: &Config, upstream: SocketAddr, compressing: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the proxy")?;
        let file = folder.path().join("whittle.toml");
        let config = toml::to_string(&configuration(config.clone(), upstream, compressing))?;
        std::fs::write(&file, config).context("cannot write the proxy's configuration")?;
        let mut command = Command::new(std::env::current_exe().context("cannot tell where whittle is")?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("WHITTLE_") && !KEPT.contains(&&*name) {
                command.env_remove(&*name);
            }
        }
        command.env("WHITTLE_DATA_DIR", folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot start the proxy")?;
        let stderr = process.stderr.take().context("the proxy has no standard error")?;
        // From here on it is ended whatever happens.
        let mut child = Self { address: upstream, process, _folder: folder };
        child.address = address(stderr)?;
        Ok(child)
    }

    /// Megabytes of memory that it has, where the system tells.
    pub(super) fn resident_mb(&self) -> Option<f64> {
        resident_bytes(self.process.id()).map(|bytes| bytes as f64 / 1e6)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Reads the line that says where it listens, and all that comes after it, for a full pipe would stop it.
fn address(stderr: impl std::io::Read + Send + 'static) -> anyhow::Result<SocketAddr> {
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        let mut told = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match line.split_once("listening on http://") {
                Some((_, address)) => found.send(Ok(address.to_owned())).unwrap_or_default(),
                None if told.len() < 2000 => told = format!("{told}\n{line}"),
                None => {}
            }
        }
        found.send(Err(told)).unwrap_or_default();
    });
    match address.recv_timeout(START) {
        Ok(Ok(address)) => address.parse().context("the proxy does not say where it listens"),
        Ok(Err(told)) => anyhow::bail!("the proxy ended:{told}"),
        Err(_) => anyhow::bail!("the proxy did not start within {} s", START.as_secs()),
    }
}

fn configuration(config: Config, upstream: SocketAddr, compressing: bool) -> Config {
    let mut config = Config {
        keys: KeysConfig::default(),
        upstreams: vec![UpstreamConfig {
            name: "bench".into(),
            dialect: Dialect::OpenAi,
            base_url: format!("http://{upstream}/v1"),
            api_key_env: None,
            models: vec![Pattern::new("*")],
            aliases: std::collections::BTreeMap::new(),
            fallback: None,
            connect_ms: 5000,
            first_byte_ms: 60_000,
            idle_ms: 60_000,
            retries: 0,
            prices: Vec::new(),
        }],
        ..config
    };
    config.proxy.compress.enabled = compressing;
    // The first text waits for the model.
    config.proxy.compress.deadline_ms = 60_000;
    config
}
