//! A service that can be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running service, killed when dropped.
pub(crate) struct Service {
    child: Arc<Mutex<Child>>,
    address: String,
    client: reqwest::blocking::Client,
    log: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts one on the data in `folder` and waits until it listens.
    pub(crate) fn start(folder: &Path) -> Self {
        // A second installation is refused, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut child = spawn(folder);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it did not start: {log}")).unwrap();
            if let Some(address) = line.strip_prefix("whittle listening on ") {
                break address.to_owned();
            }
            log += &(line + "\n");
        };
        // Reads on: a full pipe would stop the service.
        let log = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { child: Arc::new(Mutex::new(child)), address, client, log: Some(log) }
    }

    /// Starts one and kills it after a while, wherever it is.
    pub(crate) fn start_and_kill(folder: &Path, after: Duration) {
        let mut child = spawn(folder);
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGKILL after a while.
    pub(crate) fn kill_after(&self, delay: Duration) -> JoinHandle<()> {
        let child = Arc::clone(&self.child);
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            child.lock().unwrap().kill().unwrap();
        })
    }

    /// Body of the answer, null where it has none; none where the service died. Any other failure fails the test.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().ok()?;
        let status = answer.status();
        // An answer that broke off was not heard: it counts as none.
        let text = answer.text().ok()?;
        assert!(status.is_success(), "{path}: {status} {text}");
        Some(if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // It may be dead already.
        child.kill().ok();
        child.wait().ok();
        if let Some(log) = self.log.take() {
            log.join().ok();
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whittle"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        // The cache alone stays, so that no test fetches a model that is there already.
        if name.to_string_lossy().starts_with("WHITTLE_") && name != "WHITTLE_CACHE" {
            command.env_remove(name);
        }
    }
    command.env("WHITTLE_DATA_DIR", folder.join("data")).env("WHITTLE_LOG", "warn");
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}
