//! Starts `whittle` apart from whatever configuration the machine has, and talks to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(10);

/// A command line, run in a folder of its own that holds `whittle.toml` with `config` in it.
pub(crate) struct Whittle {
    pub(crate) folder: Arc<TempDir>,
    command: Command,
}

impl Whittle {
    pub(crate) fn new(arguments: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("whittle.toml"), config).unwrap();
        Self::beside(Arc::new(folder), arguments)
    }

    /// The same in a folder that is there.
    pub(crate) fn beside(folder: Arc<TempDir>, arguments: &[&str]) -> Self {
        Self::run_by(Command::new(env!("CARGO_BIN_EXE_whittle")), folder, arguments)
    }

    /// The same where no file can have more than `blocks` of 512 bytes: as good as a disk that is full.
    pub(crate) fn limited(folder: Arc<TempDir>, arguments: &[&str], blocks: u32) -> Self {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_whittle")]);
        Self::run_by(command, folder, arguments)
    }

    /// The same by a program of its own, `program` in a folder beside the real one.
    pub(crate) fn linked(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let program = folder.path().join("program");
        std::fs::hard_link(env!("CARGO_BIN_EXE_whittle"), &program).unwrap();
        Self::run_by(Command::new(program), Arc::new(folder), arguments)
    }

    fn run_by(mut command: Command, folder: Arc<TempDir>, arguments: &[&str]) -> Self {
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            // The cache alone stays, so that no test fetches a model that is there already.
            if name.to_string_lossy().starts_with("WHITTLE_") && name != "WHITTLE_CACHE" {
                command.env_remove(name);
            }
        }
        // Collections of the machine are no business of tests.
        command.env("WHITTLE_DATA_DIR", folder.path().join("data"));
        on_engines(&mut command, folder.path());
        Self { folder, command }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end. A service whose keys are in a database learns within half a second of what it has changed.
    pub(crate) fn output(mut self) -> Output {
        let output = self.command.output().unwrap();
        let of_keys = self.command.get_args().next().is_some_and(|command| command == "keys");
        if of_keys && database(self.folder.path()).is_some() {
            std::thread::sleep(Duration::from_millis(600));
        }
        output
    }

    /// A command line in a folder of its own whose data stay there, wherever those of other tests are.
    pub(crate) fn local(arguments: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("whittle.toml"), config).unwrap();
        std::fs::write(folder.path().join(LOCAL), "").unwrap();
        Self::beside(Arc::new(folder), arguments)
    }
}

/// A file in a folder whose data stay there.
const LOCAL: &str = "local";

/// Returns the address of the database that has the data of commands in a folder, if one has.
fn database(folder: &std::path::Path) -> Option<String> {
    std::env::var("TEST_POSTGRES_URL").ok().filter(|_| !folder.join(LOCAL).exists())
}

/// Has data kept in the database, and what replicas share in the server, that the environment names, if it does. Each
/// folder has a schema and names of its own.
fn on_engines(command: &mut Command, folder: &std::path::Path) {
    let letters = |byte: u8| [b'a' + byte / 16, b'a' + byte % 16].map(char::from);
    let name: String = folder.to_string_lossy().bytes().flat_map(letters).collect();
    let name = format!("t{}", &name[name.len().saturating_sub(40)..]);
    if let Some(url) = database(folder) {
        command.env("WHITTLE_STORE_KIND", "postgres").env("WHITTLE_STORE_URL", url);
        command.env("WHITTLE_STORE_SCHEMA", &name).env("WHITTLE_STORE_POOL", "3");
        command.env("WHITTLE_STORE_PASSWORD_ENV", "TEST_POSTGRES_PASSWORD");
    }
    if let Ok(url) = std::env::var("TEST_VALKEY_URL") {
        command.env("WHITTLE_SHARED_KIND", "valkey").env("WHITTLE_SHARED_URL", url);
        // A machine that does other things too may take long.
        command.env("WHITTLE_SHARED_PREFIX", format!("{name}:")).env("WHITTLE_SHARED_TIMEOUT_MS", "10000");
    }
}

/// A running `whittle serve`, ended when dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) folder: Arc<TempDir>,
}

/// Starts the service on a free port and waits for its line.
pub(crate) fn serve(config: &str) -> Running {
    run(Whittle::new(SERVE, config))
}

/// Starts one whose data stay in its folder, for tests that look into it.
pub(crate) fn serve_local(config: &str) -> Running {
    run(Whittle::local(SERVE, config))
}

/// Starts it in a folder that is there.
pub(crate) fn serve_again(folder: Arc<TempDir>) -> Running {
    run(Whittle::beside(folder, SERVE))
}

/// The command line of a service on a free port.
pub(crate) const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

/// Starts a service and waits for its line.
pub(crate) fn run(mut whittle: Whittle) -> Running {
    let mut child = whittle.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (found, address) = mpsc::channel();
    // Reads on after the line: a full pipe would stop the service.
    let log = Arc::<Mutex<String>>::default();
    let written = Arc::clone(&log);
    let reader = std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("whittle listening on http://") {
                found.send(address.to_owned()).ok();
            }
            *written.lock().unwrap() += &(line + "\n");
        }
    });
    let address = address.recv_timeout(PATIENCE).expect("the service says where it listens");
    Running { address, child, log, reader: Some(reader), folder: whittle.folder }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, and a test that failed has more to say than this.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Status, headers and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Running {
    /// The folder that it runs in, with its data in `data`.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(|client, base| client.get(format!("{base}{path}")))
    }

    pub(crate) fn get_with(&self, path: &str, header: (&str, &str)) -> Answer {
        self.send(|client, base| client.get(format!("{base}{path}")).header(header.0, header.1))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, &[])
    }

    pub(crate) fn post_with(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(|client, base| {
            let request = client.post(format!("{base}{path}")).header("content-type", "application/json");
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            request.body(body.to_owned())
        })
    }

    pub(crate) fn send<F>(&self, request: F) -> Answer
    where
        F: FnOnce(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    {
        let (status, headers, body) = self.fetch(request);
        assert_eq!(headers["content-type"], "application/json");
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap() }
    }

    /// Status, headers and body of an answer that may be of any type.
    pub(crate) fn fetch<F>(&self, request: F) -> (u16, reqwest::header::HeaderMap, Vec<u8>)
    where
        F: FnOnce(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    {
        // A second installation is refused, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
            let response = request(&client, &format!("http://{}", self.address)).send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            assert!(headers.contains_key("x-request-id"));
            (status, headers, response.bytes().await.unwrap().to_vec())
        })
    }

    /// A command line in its folder, which knows where it listens.
    pub(crate) fn whittle(&self, arguments: &[&str]) -> Whittle {
        Whittle::beside(Arc::clone(&self.folder), arguments).env("WHITTLE_LISTEN", &self.address)
    }

    /// Whether all of its threads sleep, by what Linux tells.
    pub(crate) fn is_asleep(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.map_while(Result::ok).all(|thread| {
            // Behind the name, which may hold anything but a closing bracket at its end. A thread that has ended
            // meanwhile does nothing either.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')').is_none_or(|(_, fields)| fields.trim_start().starts_with('S'))
        })
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order.
    pub(crate) fn terminate_and_end(self) {
        self.terminate();
        assert_eq!(self.end().0.code(), Some(0));
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal, as `kill` names it.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: the exit status and all that was written to stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the service does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        self.reader.take().unwrap().join().unwrap();
        (status, std::mem::take(&mut *self.log.lock().unwrap()))
    }

    /// Takes over another configuration, or does not, and waits for the line in the log that says which.
    pub(crate) fn reload(&self, config: &str, says: &str) {
        std::fs::write(self.folder().join("whittle.toml"), config).unwrap();
        self.log.lock().unwrap().clear();
        self.signal("-HUP");
        let deadline = Instant::now() + PATIENCE;
        while !self.log.lock().unwrap().contains(says) {
            assert!(Instant::now() < deadline, "{}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A service whose model is in the cache already, so that no request waits for a download.
pub(crate) fn serve_with_model(config: &str) -> Running {
    let pulled = Whittle::new(&["models", "pull"], "").output();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let mut whittle = Whittle::new(SERVE, config);
    // A machine that does other things too may take longer than the two minutes that a request has.
    whittle.command.env("WHITTLE_LIMITS_DEADLINE_MS", (PATIENCE.as_millis() - 60_000).to_string());
    run(whittle)
}

/// Status of a deletion.
pub(crate) fn delete(service: &Running, path: &str) -> u16 {
    let url = format!("http://{}{path}", service.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rustls::crypto::ring::default_provider().install_default().ok();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().unwrap();
        client.delete(url).send().await.unwrap().status().as_u16()
    })
}
