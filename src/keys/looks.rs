//! Looks at a store of keys that is too far away to be looked at by each request: again and again in the background, and at
//! once where a request waits for one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// The least time between two looks: guesses of keys cannot make more of them.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// The longest time that a request with an unknown key waits for a look.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// The state of the looks at keys that are in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysState {
    /// Whether the last look succeeded.
    pub up: bool,
    /// Looks that failed since the service began.
    pub failed: u64,
}

/// The looks of a process.
#[derive(Debug, Default)]
pub(super) struct Looks {
    wanted: Notify,
    count: watch::Sender<Count>,
    failed: AtomicU64,
}

/// How many looks have begun and ended.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    begun: u64,
    ended: u64,
}

impl Looks {
    /// Has `look` run again and again, each time on a thread that may block, for ever.
    pub(super) async fn run(&self, pause: Duration, look: impl Fn() + Clone + Send + 'static) {
        loop {
            self.count.send_modify(|count| count.begun += 1);
            // A panic is logged by its hook; the next look may do better.
            tokio::task::spawn_blocking(look.clone()).await.unwrap_or_default();
            self.count.send_modify(|count| count.ended = count.begun);
            sleep(LEAST_PAUSE).await;
            timeout(pause.saturating_sub(LEAST_PAUSE), self.wanted.notified()).await.unwrap_or_default();
        }
    }

    /// Waits until a look is over that begins from now on. Returns whether it was in time.
    pub(super) async fn next(&self) -> bool {
        let mut count = self.count.subscribe();
        let next = count.borrow().begun + 1;
        self.wanted.notify_one();
        timeout(LOOK_TIME, count.wait_for(|count| count.ended >= next)).await.is_ok_and(|over| over.is_ok())
    }

    /// Counts a look that failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many looks have failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_gets_a_look_that_began_later_and_many_share_it() {
        let (looks, seen) = (Arc::new(Looks::default()), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&seen);
        let look = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let running = Arc::clone(&looks);
        tokio::spawn(async move { running.run(Duration::from_hours(1), look).await });
        for _ in 0..3 {
            let before = seen.load(Ordering::SeqCst);
            let waiting: Vec<_> = (0..100)
                .map(|_| {
                    let looks = Arc::clone(&looks);
                    tokio::spawn(async move { looks.next().await })
                })
                .collect();
            for waits in waiting {
                assert!(waits.await.unwrap());
            }
            let looked = seen.load(Ordering::SeqCst) - before;
            assert!((1..=3).contains(&looked), "{looked} looks for 100 requests");
        }
    }
}
