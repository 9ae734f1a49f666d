//! Progress on standard error, where that is a terminal.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::model::store::Progress;
use crate::model::{Cancel, ReadProgress};

/// Work that ends sooner shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `work`; when it takes long, a line on the terminal says what goes on and for how long, and how much of the text
/// models have read where `work` uses the [`Cancel`] that it is given.
pub(super) fn while_working<R: Send>(what: &'static str, work: impl FnOnce(&Cancel) -> R + Send) -> R {
    let start = Instant::now();
    let progress = ReadProgress::default();
    let cancel = Cancel::never().watched_by(progress.clone());
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(&cancel));
        let mut bar: Option<ProgressBar> = None;
        let mut reading: Option<Reading> = None;
        while !worker.is_finished() {
            // Short waits keep quick work quick.
            std::thread::sleep(Duration::from_millis(if start.elapsed() < PATIENCE { 2 } else { 100 }));
            if reading.is_none() && progress.planned() > 0 {
                reading = Some(Reading { progress: progress.clone(), start: Instant::now() });
            }
            if start.elapsed() > PATIENCE && bar.is_none() {
                let spinner = ProgressBar::new_spinner().with_message(what).with_elapsed(start.elapsed());
                let style = ProgressStyle::with_template("{spinner} {msg} … {elapsed}");
                bar = Some(spinner.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())));
            }
            if let Some(bar) = &bar {
                let read = reading.as_ref().and_then(Reading::describe);
                bar.set_message(read.map_or_else(|| what.to_owned(), |read| format!("{what}: {read}")));
                bar.tick();
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The progress of the models, and when they began to read.
struct Reading {
    progress: ReadProgress,
    start: Instant,
}

impl Reading {
    /// Says how much is read, how fast, and when it will be done; none where nothing is read yet or everything is.
    fn describe(&self) -> Option<String> {
        let (read, planned) = (self.progress.read(), self.progress.planned());
        if read == 0 || read >= planned {
            return None;
        }
        let speed = read as f64 / self.start.elapsed().as_secs_f64();
        let left = ((planned - read) as f64 / speed).ceil();
        let (read, planned) = (HumanCount(read), HumanCount(planned));
        Some(format!("read {read} of {planned} tokens, {speed:.0} tokens/s, {left:.0} s left"))
    }
}

/// Runs `work`, which says how many of `total` steps are done; a bar on the terminal shows it.
pub(super) fn counting<R>(what: &'static str, total: u64, work: impl FnOnce(&dyn Fn(usize)) -> R) -> R {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_message(what);
    let result = work(&|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    result
}

/// Shows how far an ingestion is.
pub(super) struct Ingesting {
    bar: ProgressBar,
    start: Instant,
}

impl Ingesting {
    /// Begins with `bytes` to read.
    pub(super) fn begin(bytes: u64) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}, {eta} left");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::new(bytes).with_style(style), start: Instant::now() }
    }

    /// `bytes` more are read; so many documents and chunks are stored in all.
    pub(super) fn advance(&self, bytes: u64, documents: usize, chunks: usize) {
        let speed = chunks as f64 / self.start.elapsed().as_secs_f64();
        self.bar.set_message(format!("{documents} documents, {chunks} chunks, {speed:.0}/s"));
        self.bar.inc(bytes);
    }

    /// Says something above the bar.
    pub(super) fn warn(&self, message: &str) {
        self.bar.suspend(|| anstream::eprintln!("warning: {message}"));
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows downloads; nothing where standard error is no terminal.
#[derive(Debug, Default)]
pub(super) struct DownloadBar(Mutex<Option<ProgressBar>>);

impl DownloadBar {
    fn with(&self, work: impl FnOnce(&mut Option<ProgressBar>)) {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for DownloadBar {
    fn begin(&self, what: &str, total: u64) {
        let (bar, template) = if total == 0 {
            (ProgressBar::new_spinner(), "{spinner} fetching {msg} … {elapsed}")
        } else {
            (ProgressBar::new(total), "fetching {msg} {wide_bar} {bytes}/{total_bytes}, {eta} left")
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style).with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.with(|shown| *shown = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|shown| shown.iter().for_each(|bar| bar.inc(bytes)));
    }

    fn end(&self) {
        self.with(|shown| shown.take().iter().for_each(ProgressBar::finish_and_clear));
    }
}
