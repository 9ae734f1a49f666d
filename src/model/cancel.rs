//! Stopping work in progress, and hearing how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A reason for stopping work before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The caller no longer waits.
    #[error("cancelled: the caller left")]
    Cancelled,
    /// The deadline passed.
    #[error("the deadline passed before the work was done")]
    Deadline,
}

/// Tells work in progress whether it is still wanted, and hears how far it is. Clones share one flag and one progress.
///
/// ```
/// use std::time::Duration;
/// use whittle::model::{Cancel, Stopped};
///
/// let cancel = Cancel::never();
/// assert!(cancel.check().is_ok());
/// assert_eq!(cancel.within(Duration::ZERO).check(), Err(Stopped::Deadline));
/// cancel.cancel();
/// assert_eq!(cancel.check(), Err(Stopped::Cancelled));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
    progress: Option<ReadProgress>,
}

impl Cancel {
    /// Never stops by itself; [`Cancel::cancel`] still does.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Stops at `deadline` at the latest.
    #[must_use]
    pub fn at(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }

    /// Has `progress` hear what models read from now on.
    #[must_use]
    pub fn watched_by(self, progress: ReadProgress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Says that a model is about to read so many tokens more.
    pub fn will_read(&self, tokens: usize) {
        if let Some(ReadProgress(counts)) = &self.progress {
            counts.planned.fetch_add(tokens as u64, Ordering::Relaxed);
        }
    }

    /// Says that a model has read so many tokens more.
    pub fn has_read(&self, tokens: usize) {
        if let Some(ReadProgress(counts)) = &self.progress {
            counts.read.fetch_add(tokens as u64, Ordering::Relaxed);
        }
    }

    /// Stops when this one does, and after `time` at the latest.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        let end = Instant::now() + time;
        let deadline = self.deadline.map_or(end, |deadline| deadline.min(end));
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// Returns the time at which it stops by itself, if there is one.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells all clones to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// A guard whose end tells all clones to stop: for whoever waits, and may be dropped while it does.
    #[must_use]
    pub fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// Returns an error if the work was cancelled or its deadline has passed.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.flag.load(Ordering::Relaxed) {
            return Err(Stopped::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Stopped::Deadline),
            _ => Ok(()),
        }
    }
}

/// Stops the work when it is dropped; see [`Cancel::on_drop`].
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The progress of the models of one call. Clones share it.
///
/// ```
/// use whittle::model::{Cancel, ReadProgress};
///
/// let progress = ReadProgress::default();
/// let cancel = Cancel::never().watched_by(progress.clone());
/// cancel.will_read(448);
/// cancel.has_read(64);
/// assert_eq!((progress.read(), progress.planned()), (64, 448));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ReadProgress(Arc<ReadCounts>);

#[derive(Debug, Default)]
struct ReadCounts {
    read: AtomicU64,
    planned: AtomicU64,
}

impl ReadProgress {
    /// Returns the number of tokens that models have read so far. What a cache has is not read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Returns the number of tokens that models are known to have to read, those that they have read included. It grows
    /// where a method needs one model after another.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.0.planned.load(Ordering::Relaxed)
    }
}
