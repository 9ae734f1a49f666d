//! The batches of a thread that writes to a file: what comes within a moment is written by one commit.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Time that a message waits for others to be written with it.
const LINGER: Duration = Duration::from_millis(100);

/// Messages that are written at once.
pub(super) trait Batch: Default {
    /// The type of its messages.
    type Message;

    /// Takes a message in.
    fn take(&mut self, message: Self::Message);

    /// Returns whether it is to be written now: it is full, or somebody waits for it.
    fn is_due(&self) -> bool;

    /// Returns whether it takes no more.
    fn is_full(&self) -> bool;
}

/// Waits for the next batch, which is empty where nothing comes for `longest`. None where all senders are gone.
pub(super) fn next<B: Batch>(received: &Receiver<B::Message>, longest: Duration) -> Option<B> {
    let mut batch = B::default();
    match received.recv_timeout(longest) {
        Ok(first) => batch.take(first),
        Err(RecvTimeoutError::Timeout) => return Some(batch),
        Err(RecvTimeoutError::Disconnected) => return None,
    }
    let end = Instant::now() + LINGER;
    while !batch.is_due() {
        match received.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(message) => batch.take(message),
            Err(_) => break,
        }
    }
    // What is there already, and whoever waits for it, shares the commit.
    while !batch.is_full()
        && let Ok(message) = received.try_recv()
    {
        batch.take(message);
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Due with a zero, full with three numbers.
    #[derive(Default)]
    struct Numbers(Vec<u32>);

    impl Batch for Numbers {
        type Message = u32;

        fn take(&mut self, number: u32) {
            self.0.push(number);
        }

        fn is_due(&self) -> bool {
            self.0.contains(&0) || self.is_full()
        }

        fn is_full(&self) -> bool {
            self.0.len() == 3
        }
    }

    #[test]
    fn a_batch_ends_when_it_is_due_or_nothing_comes() {
        let (sender, received) = channel();
        let take = || next::<Numbers>(&received, Duration::ZERO).map(|batch| batch.0);
        assert_eq!(take(), Some(vec![]));
        (1..6).for_each(|number| sender.send(number).unwrap());
        assert_eq!(take(), Some(vec![1, 2, 3]));
        assert_eq!(take(), Some(vec![4, 5]));
        for number in [0, 7] {
            sender.send(number).unwrap();
        }
        assert_eq!(take(), Some(vec![0, 7]), "what is due takes along what is there");
        sender.send(5).unwrap();
        drop(sender);
        assert_eq!(take(), Some(vec![5]));
        assert_eq!(take(), None);
    }
}
