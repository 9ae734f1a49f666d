//! Work that waits for somebody else, done at once.

/// Applies `work` to each of `items` and returns the results in order, each on a thread of its own; a single one on
/// this thread.
pub(super) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let Some((last, others)) = items.split_last() else { return Vec::new() };
    std::thread::scope(|scope| {
        let running: Vec<_> = others.iter().map(|item| scope.spawn(|| work(item))).collect();
        let last = work(last);
        let join = |handle: std::thread::ScopedJoinHandle<'_, R>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).chain([last]).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let pause = |&n: &u64| {
            std::thread::sleep(std::time::Duration::from_millis(10 - n));
            n * n
        };
        assert_eq!(each(&[1, 5, 9], pause), [1, 25, 81]);
        assert!(each(&[], pause).is_empty());
    }
}
