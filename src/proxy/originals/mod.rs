//! The originals of tools' results that went on with marks, encrypted, for those who sent them.
//!
//! One file, which one process holds, and one thread that encrypts and writes. What is to be stored waits in memory for a
//! moment, so that no request waits for the disk; how much may wait is bounded, and whoever finds no room is told so
//! before anything is left out of a text.

mod cipher;
mod key_file;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::oneshot;

use super::batch;
use super::store::seconds_now;
use crate::config::RecallPolicy;
use crate::storage::DatabaseFile;
use crate::telemetry::chain;
use cipher::{Cipher, Owner, Place};
use table::{Kept, Limits, Writing};

/// The name of the file with the originals, in the data folder.
const FILE: &str = "originals.redb";
/// The name of the file with the secret, in the data folder, where the configuration names no other.
const KEY_FILE: &str = "originals.key";
/// Bytes of the file that are held in memory.
const CACHE_BYTES: usize = 4 << 20;
/// Most bytes of one commit, about.
const BATCH_BYTES: usize = 16 << 20;
/// Most messages that wait for the writer.
const WAITING: usize = 4096;
/// Most bytes of texts that wait for the writer.
const WAITING_BYTES: usize = 64 << 20;
/// Time between two looks for originals that are too old.
const SWEEP: Duration = Duration::from_mins(10);
/// Time after which a text that is sent again is noted again, so that the file knows of its use. It must be well below the
/// shortest lifetime.
const RENEWAL: Duration = Duration::from_mins(10);
/// Most texts that are known to have been noted lately.
const RECENT: u64 = 100_000;

/// The file with the originals.
pub(super) struct Originals {
    database: Arc<DatabaseFile>,
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// The file with the secret.
    key_file: PathBuf,
}

/// The state that requests and the writer share.
struct Shared {
    cipher: Cipher,
    limits: Mutex<Limits>,
    /// The places of texts that were handed over lately.
    recent: Cache<Place, ()>,
    waiting_bytes: AtomicUsize,
    kept: Mutex<Kept>,
    lost: AtomicU64,
}

/// Says that something is written.
type Done = Box<dyn FnOnce() + Send>;

/// A message to the writer.
enum Message {
    Put(Place, Owner, Box<str>),
    /// Forget what is too old or too much.
    Sweep,
    /// Write what has come before, and say so.
    Flush(Done),
    /// The file is to be closed.
    End,
}

/// The sizes of what is kept, waits, and could not be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes in the file, encrypted.
    pub(super) kept: u64,
    /// Bytes that wait to be written.
    pub(super) waiting: usize,
    /// Texts that could not be stored since the file was opened.
    pub(super) lost: u64,
}

impl Originals {
    /// Opens the file in the folder `data`, or begins it. One that is damaged is set aside and begun anew.
    ///
    /// # Errors
    /// The file or that with its secret cannot be used; the text names the remedy.
    pub(super) fn open(data: &Path, policy: &RecallPolicy) -> Result<Self, String> {
        let key_file = key_file(data, policy);
        let cipher = Cipher::new(&key_file::read_or_make(&key_file)?);
        let path = data.join(FILE);
        let prepare = |database: &redb::Database| table::prepare(database, cipher.check());
        let opened = DatabaseFile::open_or_renew(&path, CACHE_BYTES, prepare);
        let database = Arc::new(opened.map_err(|error| chain(&error))?.file);
        let unusable = |reason: String| format!("cannot use {}: {reason}", path.display());
        let kept = table::kept(&database).map_err(|error| unusable(chain(&error)))?;
        let shared = Arc::new(Shared {
            cipher,
            limits: Mutex::new(limits(policy)),
            recent: Cache::builder().max_capacity(RECENT).time_to_live(RENEWAL).build(),
            waiting_bytes: AtomicUsize::new(0),
            kept: Mutex::new(kept),
            lost: AtomicU64::new(0),
        });
        let (messages, received) = sync_channel(WAITING);
        let writer = Writer { database: Arc::clone(&database), shared: Arc::clone(&shared) };
        let writer = std::thread::Builder::new()
            .name("whittle-originals".into())
            .spawn(move || writer.run(&received))
            .map_err(|error| unusable(error.to_string()))?;
        let originals = Self { database, messages, shared, writer: Some(writer), key_file };
        // What has become too old while no service ran.
        originals.tell(Message::Sweep);
        Ok(originals)
    }

    /// Whether `policy` asks for the same file and secret in the folder `data`.
    pub(super) fn serves(&self, data: &Path, policy: &RecallPolicy) -> bool {
        policy.enabled && self.key_file == key_file(data, policy)
    }

    /// Keeps as much and as long as `policy` says from now on. This blocks where the writer is far behind.
    pub(super) fn limit(&self, policy: &RecallPolicy) {
        *self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits(policy);
        self.tell(Message::Sweep);
    }

    /// Hands over a text of `owner` to be kept under `id`, or notes that it is sent again. False where there is no room for
    /// it: it will not be kept.
    pub(super) fn keep(&self, owner: &str, id: &str, text: &str) -> bool {
        let place = self.shared.cipher.place(owner, id);
        if self.shared.recent.contains_key(&place) {
            return true;
        }
        let waiting = self.shared.waiting_bytes.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        let fits = waiting <= WAITING_BYTES && text.len() as u64 <= self.shared.limits().bytes / 2;
        if fits
            && self
                .messages
                .try_send(Message::Put(place, self.shared.cipher.owner(owner), text.into()))
                .is_ok()
        {
            self.shared.recent.insert(place, ());
            return true;
        }
        self.shared.waiting_bytes.fetch_sub(text.len(), Ordering::Relaxed);
        self.shared.lose(1);
        false
    }

    /// Returns what `owner` stored under `id`, if it is still kept. This reads the disk.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn get(&self, owner: &str, id: &str) -> Result<Option<String>, String> {
        let place = self.shared.cipher.place(owner, id);
        let read = || table::get(&self.database, &place, self.shared.limits(), seconds_now());
        let mut sealed = read().map_err(|error| chain(&error))?;
        if sealed.is_none() && self.sizes().waiting > 0 {
            self.flush();
            sealed = read().map_err(|error| chain(&error))?;
        }
        let opened = sealed.as_ref().and_then(|sealed| self.shared.cipher.open(&place, sealed));
        if sealed.is_some() && opened.is_none() {
            return Err("an original cannot be decrypted: the file was changed".into());
        }
        Ok(opened)
    }

    /// Waits until all that was to be stored is on disk, or cannot be written. Where too much waits already, it returns at
    /// once.
    pub(super) async fn written(&self) {
        if self.sizes().waiting == 0 {
            return;
        }
        let (done, wait) = oneshot::channel();
        let done = Message::Flush(Box::new(move || done.send(()).unwrap_or_default()));
        if self.messages.try_send(done).is_ok() {
            // As below.
            wait.await.unwrap_or_default();
        }
    }

    /// Waits until all that was to be stored is on disk. This blocks.
    pub(super) fn flush(&self) {
        let (done, wait) = channel();
        self.tell(Message::Flush(Box::new(move || done.send(()).unwrap_or_default())));
        // The writer is gone only after a panic, which is logged; then there is nothing to wait for.
        wait.recv().unwrap_or_default();
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            kept: self.shared.kept().bytes,
            waiting: self.shared.waiting_bytes.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
        }
    }

    /// Hands over what must not be lost.
    fn tell(&self, message: Message) {
        // The writer ends only with the file.
        self.messages.send(message).unwrap_or_default();
    }
}

impl Drop for Originals {
    fn drop(&mut self) {
        self.tell(Message::End);
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap_or_default();
        }
    }
}

/// Removes all originals from the folder `data`, those in files that were set aside too, and the secret that was made for
/// them there, without which no copy of them can be read.
pub(super) fn remove(data: &Path, policy: &RecallPolicy) {
    // The same file may be written in two ways.
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    let keep = policy.key_file.as_ref().and_then(|file| same(Path::new(file)));
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(FILE) || name == KEY_FILE);
        let path = entry.path();
        if !ours || (keep.is_some() && keep == same(&path)) {
            continue;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "recall is off: removed"),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "recall is off, but this cannot be removed");
            }
        }
    }
}

fn key_file(data: &Path, policy: &RecallPolicy) -> PathBuf {
    policy.key_file.as_ref().map_or_else(|| data.join(KEY_FILE), PathBuf::from)
}

fn limits(policy: &RecallPolicy) -> Limits {
    Limits { seconds: policy.hours.saturating_mul(60 * 60), bytes: policy.bytes }
}

impl Shared {
    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, count: usize) {
        if self.lost.fetch_add(count as u64, Ordering::Relaxed) == 0 {
            tracing::error!("originals of results are not kept: the disk is too slow, or fails");
        }
    }
}

/// The thread that writes.
struct Writer {
    database: Arc<DatabaseFile>,
    shared: Arc<Shared>,
}

/// A batch that is written at once.
#[derive(Default)]
struct Batch {
    texts: Vec<(Place, Owner, Box<str>)>,
    bytes: usize,
    /// Whether something may have become too old or too much.
    sweep: bool,
    /// The callers that wait until the batch is written.
    waiting: Vec<Done>,
    /// Whether it is the last batch.
    last: bool,
}

impl Writer {
    fn run(self, received: &Receiver<Message>) {
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            let longest = next_sweep.saturating_duration_since(Instant::now());
            let Some(mut batch) = batch::next::<Batch>(received, longest) else { return };
            if Instant::now() >= next_sweep {
                next_sweep = Instant::now() + SWEEP;
                batch.sweep = true;
            }
            if !batch.texts.is_empty() || batch.sweep {
                self.write(&batch);
            }
            for done in std::mem::take(&mut batch.waiting) {
                done();
            }
            if batch.last {
                return;
            }
        }
    }

    fn write(&self, batch: &Batch) {
        match self.written(batch) {
            Ok((kept, gone)) => {
                *self.shared.kept() = kept;
                // What is sent again is to be stored again.
                for place in &gone {
                    self.shared.recent.invalidate(place);
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot write originals");
                for (place, ..) in &batch.texts {
                    self.shared.recent.invalidate(place);
                }
                self.shared.lose(batch.texts.len());
            }
        }
        self.shared.waiting_bytes.fetch_sub(batch.bytes, Ordering::Relaxed);
    }

    /// Gives what is kept now, and the places of what was forgotten.
    fn written(&self, batch: &Batch) -> Result<(Kept, Vec<Place>), redb::Error> {
        let (now, kept) = (seconds_now(), self.shared.kept().clone());
        let mut writing = Writing::begin(&self.database, kept)?;
        for (place, owner, text) in &batch.texts {
            writing.put((place, *owner), now, || self.shared.cipher.seal(place, text))?;
        }
        let gone = writing.forget(self.shared.limits(), now)?;
        Ok((writing.commit()?, gone))
    }
}

impl batch::Batch for Batch {
    type Message = Message;

    fn is_due(&self) -> bool {
        !self.waiting.is_empty() || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.last || self.bytes >= BATCH_BYTES
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Put(place, owner, text) => {
                self.bytes += text.len();
                self.texts.push((place, owner, text));
            }
            Message::Sweep => self.sweep = true,
            Message::Flush(done) => self.waiting.push(done),
            Message::End => self.last = true,
        }
    }
}

#[cfg(test)]
mod tests;
