//! Admission: how much blocking work runs at once in the whole process, and how much may wait for it.
//!
//! Every route that blocks goes through one [`Admission`]: a bounded queue, which refuses at once what does not fit,
//! a semaphore of `limits.concurrency` permits, a deadline, and cancellation of work whose caller has left. The work
//! runs off the async threads and holds its permit until it has ended, also when its caller has given up before: the
//! machine is busy until then.

mod memory;

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::model::Cancel;
pub use memory::{BodyMemory, BodyRoom, MemoryFull};

/// Bounds the blocking work of a process. Clones share the bound.
#[derive(Debug, Clone)]
pub struct Admission {
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    capacity: usize,
}

/// The queue is full: the caller should be told to try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting already; try again in a moment")]
pub struct QueueFull;

/// A reason why admitted work gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The deadline passed, in the queue or during the work.
    #[error("the deadline passed before the work was done")]
    Deadline,
    /// The work panicked. The panic hook has logged where; its text may quote a prompt and is not repeated.
    #[error("the work panicked")]
    Panicked,
}

impl Admission {
    /// Runs at most `concurrency` jobs at once while at most `queue` requests wait.
    #[must_use]
    pub fn new(concurrency: usize, queue: usize) -> Self {
        let capacity = concurrency.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        let permits = Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS));
        Self { places: Arc::new(Semaphore::new(capacity)), permits: Arc::new(permits), capacity }
    }

    /// Takes a place for one request, which is held until the ticket and all jobs that were run on it are gone.
    ///
    /// A place is taken once a request's body is here, a permit once its work can begin, so that slow clients keep
    /// nobody from working. The bodies have a bound of their own, [`BodyMemory`].
    ///
    /// # Errors
    /// [`QueueFull`], at once, where as many requests as may run and wait are there already.
    pub fn enter(&self) -> Result<Ticket, QueueFull> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueueFull)?;
        Ok(Ticket { place: Arc::new(place), permits: Arc::clone(&self.permits) })
    }

    /// Returns whether a request would be refused now, so that it can be told before its body is read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Returns a ticket for one request that is not taken before it is needed.
    #[must_use]
    pub fn lazy(&self) -> LazyTicket<'_> {
        LazyTicket { admission: self, ticket: OnceLock::new() }
    }

    /// Returns the number of requests that are worked on or wait.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.capacity - self.places.available_permits()
    }
}

/// A request's place among those that are worked on or wait. Clones share the place, so that one request can run
/// several jobs at once, each on a permit of its own.
#[derive(Debug, Clone)]
pub struct Ticket {
    place: Arc<OwnedSemaphorePermit>,
    permits: Arc<Semaphore>,
}

impl Ticket {
    /// Waits for a permit to run one job.
    ///
    /// # Errors
    /// [`JobError::Deadline`] where none is free in time.
    pub async fn permit(&self, deadline: Instant) -> Result<Permit, JobError> {
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
        // Only a closed semaphore refuses, and nothing closes this one.
        let permit = permit.map_err(|_| JobError::Deadline)?.map_err(|_| JobError::Deadline)?;
        Ok(Permit { _permit: permit, _place: Arc::clone(&self.place) })
    }

    /// Runs `work` on a blocking thread once there is a permit and returns its result, by `deadline`. The work is told
    /// to stop at the deadline, and when the future is dropped because its caller left.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn run<T, W>(&self, deadline: Instant, work: W) -> Result<T, JobError>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> T + Send + 'static,
    {
        let permit = self.permit(deadline).await?;
        let cancel = Cancel::at(deadline.into_std());
        let _guard = cancel.on_drop();
        match timeout_at(deadline, permit.spawn(move || work(&cancel))).await {
            Ok(Ok(result)) => Ok(result),
            // The task is never aborted, so that it ends early only by a panic.
            Ok(Err(_)) => Err(JobError::Panicked),
            Err(_) => Err(JobError::Deadline),
        }
    }
}

/// A request's ticket that is taken with its first job, so that requests without one take no place.
#[derive(Debug)]
pub struct LazyTicket<'a> {
    admission: &'a Admission,
    ticket: OnceLock<Result<Ticket, QueueFull>>,
}

impl LazyTicket<'_> {
    /// Returns the ticket, the same each time.
    ///
    /// # Errors
    /// As [`Admission::enter`].
    pub fn get(&self) -> Result<&Ticket, QueueFull> {
        self.ticket.get_or_init(|| self.admission.enter()).as_ref().map_err(|&full| full)
    }
}

/// The right to run one job, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Permit {
    /// Runs `work` on a blocking thread, within the caller's span. The permit is given back when the work has ended.
    pub fn spawn<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _held = self;
            span.in_scope(work)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::model::Stopped;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// Waits until `cancel` says stop, and returns why.
    fn until_stopped(cancel: &Cancel) -> Option<Stopped> {
        for _ in 0..20_000 {
            if let Err(stopped) = cancel.check() {
                return Some(stopped);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn at_most_as_many_jobs_as_permits_run_at_once() {
        let admission = Admission::new(3, 97);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..50).map(|_| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let ticket = admission.enter().unwrap();
            tokio::spawn(async move {
                // Two jobs of one request count as two.
                let work = || {
                    let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                    move |_: &Cancel| {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(1));
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                };
                let both = tokio::join!(ticket.run(later(), work()), ticket.run(later(), work()));
                assert_eq!(both, (Ok(()), Ok(())));
            })
        });
        for job in jobs.collect::<Vec<_>>() {
            job.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!(admission.requests(), 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_deadline_passes_in_the_queue() {
        let admission = Admission::new(1, 1);
        let (working, waiting) = (admission.enter().unwrap(), admission.enter().unwrap());
        let permit = working.permit(later()).await.unwrap();
        assert_eq!((admission.requests(), admission.enter().unwrap_err()), (2, QueueFull));
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(waiting.run(soon, |_| ()).await, Err(JobError::Deadline));
        // The place is held for as long as something of the request is.
        drop(working);
        assert_eq!(admission.requests(), 2);
        drop((permit, waiting));
        assert_eq!(admission.requests(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_whose_caller_left_is_stopped_and_gives_its_permit_back() {
        let admission = Admission::new(1, 0);
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let ticket = admission.enter().unwrap();
        let job = tokio::spawn(async move {
            let work = move |cancel: &Cancel| {
                begin.send(()).unwrap();
                end.send(until_stopped(cancel)).unwrap();
            };
            ticket.run(later(), work).await
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        assert_eq!(admission.enter().unwrap_err(), QueueFull);
        job.abort();
        assert!(job.await.unwrap_err().is_cancelled());
        let stopped = tokio::task::spawn_blocking(move || ended.recv().unwrap()).await.unwrap();
        assert_eq!(stopped, Some(Stopped::Cancelled));
        while admission.requests() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.enter().unwrap().run(later(), |_| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_outlasts_its_deadline_keeps_its_permit_until_it_ends() {
        let admission = Admission::new(1, 0);
        let (release, released) = mpsc::channel::<()>();
        let soon = Instant::now() + Duration::from_millis(5);
        let late = admission.enter().unwrap().run(soon, move |_| released.recv().unwrap_or_default()).await;
        assert_eq!(late, Err(JobError::Deadline));
        assert_eq!(admission.enter().unwrap_err(), QueueFull);
        release.send(()).unwrap();
        while admission.requests() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_permit_comes_back() {
        let admission = Admission::new(1, 0);
        let panicked = admission.enter().unwrap().run(later(), |_| panic!("of a test")).await;
        assert_eq!(panicked, Err::<(), _>(JobError::Panicked));
        assert_eq!(admission.enter().unwrap().run(later(), Cancel::check).await, Ok(Ok(())));
    }
}
