//! The thread that runs the model: one queue, batches by token budget, fair between callers.
//!
//! Callers hand over all their runs at once and wait. Each batch takes runs from the waiting calls in
//! turn until [`BATCH_TOKENS`] are together, so a short call does not wait for the end of a long one, and
//! short documents of several calls share a pass. A text that is longer than the window is run part by part,
//! each token once. Calls whose caller left are dropped between batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};

use rayon::ThreadPool;

use super::causal::{CausalModel, KvCache, LlamaConfig, Passed, Sequence};
use super::kept::{Kept, KeptTexts};
use crate::model::{Cancel, ScoreError};

/// Tokens that a batch aims at: enough to fill the caches of all cores, few enough to stay fair.
const BATCH_TOKENS: usize = 1024;

/// A run of the model: `ids` after a shared prefix.
pub(crate) struct Run {
    /// The prefix of the call that the run follows.
    pub(crate) prefix: Option<Arc<Prefix>>,
    /// Tokens to run.
    pub(crate) ids: Vec<u32>,
    /// The first of them whose score is wanted.
    pub(crate) scored_from: usize,
    /// The number of leading tokens that other runs may follow: their keys and values are cached.
    pub(crate) kept: usize,
    /// The number of tokens that are run at a time, at least one. What is run later sees the prefix, or else the first
    /// [`SINKS`], and the part before its own.
    pub(crate) stride: usize,
    progress: Progress,
}

/// The first tokens of a text get much of the attention of all that follow, whatever they are: without them in sight
/// the scores of a long text fall apart (arXiv 2309.17453, which finds four to be enough).
pub(crate) const SINKS: usize = 4;

/// The progress of a run.
#[derive(Default)]
struct Progress {
    done: usize,
    past: Option<Past>,
}

/// The keys and values that the next part of a run sees.
struct Past {
    /// The positions that stay in sight, and all of the previous part but its last token, which is run again to
    /// predict the next.
    kept: Kept,
    /// The number of leading positions that always stay in sight (an attention sink).
    head: usize,
}

impl Run {
    /// A run of all tokens at once.
    pub(crate) fn whole(prefix: Option<Arc<Prefix>>, ids: Vec<u32>, scored_from: usize) -> Self {
        let stride = ids.len().max(1);
        Self { prefix, ids, scored_from, kept: 0, stride, progress: Progress::default() }
    }

    /// Has the keys and values of the first `kept` tokens cached, for runs that begin with the same text.
    pub(crate) fn keeping(self, kept: usize) -> Self {
        Self { kept, ..self }
    }

    /// Returns the range of tokens to run next.
    fn part(&self) -> Range<usize> {
        let start = self.progress.done;
        start..self.ids.len().min(start + self.stride)
    }

    /// Returns the share of a batch's budget that the next part takes. Keys and values that were kept of a prefix
    /// exist in floats, in which they take four times as much, while the batch runs: so they count by half.
    fn cost(&self) -> usize {
        let kept = |prefix: &Arc<Prefix>| prefix.kept.as_ref().map_or(0, |_| prefix.ids.len());
        self.part().len() + self.prefix.as_ref().map_or(0, kept) / 2
    }

    /// The token before that part.
    fn lead(&self) -> Option<u32> {
        match self.progress.done.checked_sub(1) {
            Some(last) => Some(self.ids[last]),
            None => self.prefix.as_ref().and_then(|prefix| prefix.ids.last()).copied(),
        }
    }

    /// Returns the keys and values that the first part sees.
    fn prefix(&self) -> Option<&KvCache> {
        self.prefix.as_ref().and_then(|prefix| prefix.cache.get())
    }

    /// Returns the next part as input of a forward pass: `ids` are its tokens after the previous part, `past` is what
    /// it sees.
    fn sequence<'a>(&self, ids: &'a [u32], past: Option<&'a KvCache>) -> Sequence<'a> {
        let part = self.part();
        let lead = ids.len() - part.len();
        let last = part.end == self.ids.len();
        Sequence {
            ids,
            past,
            scored_from: self.scored_from.saturating_sub(part.start) + lead,
            kept: if last { self.kept } else { ids.len() - 1 },
        }
    }

    /// Returns what the following part sees, given that a pass after `before` returned `kept`, and the number of
    /// leading positions that stay in sight.
    fn behind(&self, before: Option<&KvCache>, mut kept: KvCache, config: &LlamaConfig) -> (KvCache, usize) {
        let Some(before) = before else {
            // The first part of a text without a prefix holds what is to stay in sight.
            let head = SINKS.min(kept.len());
            return (kept, head);
        };
        let head = self.progress.past.as_ref().map_or(before.len(), |past| past.head);
        kept.move_back(before.len() - head, config);
        let mut past = before.first(head);
        past.append(&kept);
        (past, head)
    }
}

/// Tokens that several runs follow; their keys and values are computed once, or were in an earlier call.
pub(crate) struct Prefix {
    pub(crate) ids: Vec<u32>,
    kept: Option<Arc<Kept>>,
    cache: OnceLock<KvCache>,
}

impl Prefix {
    /// Creates a prefix of tokens of which an earlier call may have cached some.
    pub(crate) fn new(ids: &[u32], kept: Option<Arc<Kept>>) -> Self {
        Self { ids: ids.to_vec(), kept, cache: OnceLock::new() }
    }

    /// The positions before the last token, which goes with each run, for it predicts the first token.
    fn known(&self) -> &[u32] {
        known(&self.ids)
    }
}

/// Returns the tokens of a text that are worth caching: all but the last, which is run with what follows.
pub(crate) fn known(ids: &[u32]) -> &[u32] {
    ids.split_last().map_or(&[], |(_, known)| known)
}

/// All that one caller wants scored.
pub(crate) struct Call {
    runs: VecDeque<(usize, Run)>,
    /// One vector of scores for each run.
    results: Vec<Vec<f32>>,
    cancel: Cancel,
    reply: Sender<Result<Vec<Vec<f32>>, ScoreError>>,
}

/// Handle of the model's thread.
pub(crate) struct Worker {
    calls: Sender<Call>,
}

impl Worker {
    /// Starts the thread. It ends when the handle is dropped.
    pub(crate) fn start(
        llama: Arc<dyn CausalModel>,
        pool: Arc<ThreadPool>,
        texts: Arc<KeptTexts>,
    ) -> std::io::Result<Self> {
        let (calls, queue) = channel();
        let engine = Engine { llama, texts };
        std::thread::Builder::new()
            .name("whittle-model".into())
            .spawn(move || serve(&engine, &pool, &queue))?;
        Ok(Self { calls })
    }

    /// Scores the wanted tokens of each run, in the order of `runs`; without a prefix, a first token has no
    /// score.
    pub(crate) fn score(&self, runs: Vec<Run>, cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let gone = || ScoreError::Model("its thread has ended".into());
        let (reply, answer) = channel();
        let results = vec![Vec::new(); runs.len()];
        let runs = runs.into_iter().enumerate().collect();
        self.calls.send(Call { runs, results, cancel: cancel.clone(), reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn serve(engine: &Engine, pool: &ThreadPool, queue: &Receiver<Call>) {
    let mut calls: VecDeque<Call> = VecDeque::new();
    loop {
        if calls.is_empty() {
            match queue.recv() {
                Ok(call) => calls.push_back(call),
                Err(_) => return,
            }
        }
        loop {
            match queue.try_recv() {
                Ok(call) => calls.push_back(call),
                Err(TryRecvError::Disconnected) if calls.is_empty() => return,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        drop_stopped(&mut calls);
        let batch = take_batch(&mut calls);
        let stop = batch_cancel(&calls, &batch);
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.install(|| engine.run(&batch, &stop))));
        match outcome {
            Ok(outcome) => settle(&mut calls, batch, outcome),
            Err(_) => fail(&mut calls, &batch, &panicked()),
        }
    }
}

/// A run of a batch and where its scores go.
struct Item {
    call: usize,
    slot: usize,
    run: Run,
}

fn drop_stopped(calls: &mut VecDeque<Call>) {
    calls.retain(|call| match call.cancel.check() {
        Ok(()) => true,
        Err(stopped) => {
            // The caller may be gone; then nobody reads the answer.
            call.reply.send(Err(stopped.into())).ok();
            false
        }
    });
}

/// One run of each call in turn, or its next part, until the budget is full. At least one, whatever its length.
fn take_batch(calls: &mut VecDeque<Call>) -> Vec<Item> {
    let (mut batch, mut tokens) = (Vec::new(), 0);
    loop {
        let before = batch.len();
        for (call, waiting) in calls.iter_mut().enumerate() {
            let fits = |run: &Run| batch.is_empty() || tokens + run.cost() <= BATCH_TOKENS;
            if waiting.runs.front().is_some_and(|(_, run)| fits(run))
                && let Some((slot, run)) = waiting.runs.pop_front()
            {
                tokens += run.cost();
                batch.push(Item { call, slot, run });
            }
        }
        if batch.len() == before {
            return batch;
        }
    }
}

/// A batch of one call stops with it; a shared one runs to its end.
fn batch_cancel(calls: &VecDeque<Call>, batch: &[Item]) -> Cancel {
    match batch.first() {
        Some(first) if batch.iter().all(|item| item.call == first.call) => calls[first.call].cancel.clone(),
        _ => Cancel::never(),
    }
}

/// The result of one item of a batch.
struct Done {
    scores: Vec<f32>,
    /// The remaining part of the run, where there is one.
    next: Option<Progress>,
}

/// The model, threads and cache that batches run on.
struct Engine {
    llama: Arc<dyn CausalModel>,
    texts: Arc<KeptTexts>,
}

impl Engine {
    fn run(&self, batch: &[Item], cancel: &Cancel) -> Result<Vec<Done>, ScoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        for prefix in batch.iter().filter_map(|item| item.run.prefix.as_ref()) {
            self.fill(prefix, cancel)?;
        }
        let with_lead = |Item { run, .. }: &Item| {
            run.lead().into_iter().chain(run.ids[run.part()].iter().copied()).collect::<Vec<u32>>()
        };
        let ids: Vec<Vec<u32>> = batch.iter().map(with_lead).collect();
        let expand = |Item { run, .. }: &Item| run.progress.past.as_ref().map(|past| past.kept.expand());
        let expanded: Vec<Option<KvCache>> = batch.iter().map(expand).collect();
        let pasts: Vec<Option<&KvCache>> =
            batch.iter().zip(&expanded).map(|(item, past)| past.as_ref().or(item.run.prefix())).collect();
        let sequences: Vec<Sequence> = batch
            .iter()
            .zip(&ids)
            .zip(&pasts)
            .map(|((item, ids), past)| item.run.sequence(ids, *past))
            .collect();
        let passed = self.llama.forward(&sequences, cancel)?;
        let done = batch.iter().zip(pasts).zip(passed);
        Ok(done.map(|((item, past), passed)| self.done(&item.run, past, passed)).collect())
    }

    fn done(&self, run: &Run, before: Option<&KvCache>, Passed { nll, kept }: Passed) -> Done {
        let done = run.part().end;
        if done < run.ids.len() {
            let (past, head) = run.behind(before, kept, self.llama.config());
            let past = Past { kept: self.texts.form().keep(past), head };
            return Done { scores: nll, next: Some(Progress { done, past: Some(past) }) };
        }
        if run.kept > 0 {
            self.texts.put(&run.ids[..run.kept], kept);
        }
        Done { scores: nll, next: None }
    }

    /// Has the keys and values of a prefix: those that were kept, else computed.
    fn fill(&self, prefix: &Prefix, cancel: &Cancel) -> Result<(), ScoreError> {
        let ids = prefix.known();
        if prefix.cache.get().is_some() || ids.is_empty() {
            return Ok(());
        }
        let cache = if let Some(kept) = &prefix.kept {
            kept.expand()
        } else {
            let sequence = Sequence { ids, past: None, scored_from: ids.len(), kept: ids.len() };
            self.llama.forward_one(sequence, cancel)?.kept
        };
        // Only this thread fills prefixes, so it was empty.
        prefix.cache.set(cache).ok();
        Ok(())
    }
}

/// Hands out the scores of a batch and answers the calls that are complete.
fn settle(calls: &mut VecDeque<Call>, batch: Vec<Item>, outcome: Result<Vec<Done>, ScoreError>) {
    match outcome {
        Ok(done) => {
            // From the last on, so that what goes back to the front is in order.
            for (Item { call, slot, mut run }, Done { scores, next }) in batch.into_iter().zip(done).rev() {
                let call = &mut calls[call];
                call.results[slot].extend(scores);
                if let Some(progress) = next {
                    run.progress = progress;
                    call.runs.push_front((slot, run));
                }
            }
        }
        // The batch was of one call, and the next look at its flag drops it.
        Err(ScoreError::Stopped(_)) => return,
        Err(fault @ ScoreError::Model(_)) => return fail(calls, &batch, &fault),
    }
    let first_is_complete = calls.front().is_some_and(|call| call.runs.is_empty());
    calls.retain_mut(|call| {
        if call.runs.is_empty() {
            call.reply.send(checked(std::mem::take(&mut call.results))).ok();
        }
        !call.runs.is_empty()
    });
    // The call that was served first goes last, so that a full batch does not favour it for ever. Where it is gone, the
    // one behind it, which may have got nothing yet, is the first.
    if !first_is_complete && calls.len() > 1 {
        calls.rotate_left(1);
    }
}

fn panicked() -> ScoreError {
    ScoreError::Model("a computation panicked; this is a defect".into())
}

/// Answers the calls of a batch that failed; the thread lives on for the others.
fn fail(calls: &mut VecDeque<Call>, batch: &[Item], fault: &ScoreError) {
    let mut number = 0;
    calls.retain(|call| {
        let failed = batch.iter().any(|item| item.call == number);
        number += 1;
        if failed {
            call.reply.send(Err(fault.clone())).ok();
        }
        !failed
    });
}

fn checked(scores: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, ScoreError> {
    if scores.iter().flatten().all(|score| score.is_finite()) {
        Ok(scores)
    } else {
        Err(ScoreError::Model("a score is not a finite number".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::local::attention::Heads;

    type Answer = Receiver<Result<Vec<Vec<f32>>, ScoreError>>;

    /// A call of runs of so many tokens.
    fn call(lengths: &[usize], cancel: &Cancel) -> (Call, Answer) {
        let run = |&length: &usize| Run::whole(None, vec![0; length], 0);
        let (reply, answer) = channel();
        let runs = lengths.iter().map(run).enumerate().collect();
        let results = vec![Vec::new(); lengths.len()];
        (Call { runs, results, cancel: cancel.clone(), reply }, answer)
    }

    /// Serves one batch; each run's score is its length.
    fn serve_batch(calls: &mut VecDeque<Call>) -> usize {
        let batch = take_batch(calls);
        let lengths: Vec<usize> = batch.iter().map(|item| item.run.part().len()).collect();
        let done = batch.iter().map(|Item { run, .. }| {
            let Range { start, end } = run.part();
            let next = (end < run.ids.len()).then(|| Progress { done: end, ..Progress::default() });
            Done { scores: vec![(end - start) as f32], next }
        });
        let done = done.collect();
        settle(calls, batch, Ok(done));
        lengths.iter().sum()
    }

    #[test]
    fn short_documents_of_several_calls_share_a_batch_up_to_its_budget() {
        let (mut calls, mut answers) = (VecDeque::new(), Vec::new());
        for lengths in [&[300, 300, 300][..], &[200], &[100, 100]] {
            let (call, answer) = call(lengths, &Cancel::never());
            calls.push_back(call);
            answers.push(answer);
        }
        assert_eq!(serve_batch(&mut calls), 300 + 200 + 100 + 300 + 100);
        assert_eq!(answers[1].try_recv().unwrap().unwrap(), [[200.0]]);
        assert_eq!(answers[2].try_recv().unwrap().unwrap(), [[100.0], [100.0]]);
        assert!(answers[0].try_recv().is_err(), "not complete yet");
        serve_batch(&mut calls);
        assert_eq!(answers[0].try_recv().unwrap().unwrap(), [[300.0], [300.0], [300.0]]);
    }

    #[test]
    fn a_call_of_long_runs_is_served_beside_callers_that_keep_coming() {
        let (mut calls, mut answers) = (VecDeque::new(), Vec::new());
        let mut come = |calls: &mut VecDeque<Call>, lengths: &[usize]| {
            let (call, answer) = call(lengths, &Cancel::never());
            calls.push_back(call);
            answers.push(answer);
        };
        // Enough short ones to fill a batch are always there before the long one is looked at.
        (0..8).for_each(|_| come(&mut calls, &[150]));
        come(&mut calls, &[2048, 2048]);
        let (mut batches, mut long) = (0, 0);
        while long < 2 && batches < 40 {
            if serve_batch(&mut calls) >= 2048 {
                long += 1;
            }
            batches += 1;
            (calls.len()..10).for_each(|_| come(&mut calls, &[150]));
        }
        assert!(long == 2, "{long} of 2 after {batches} batches");
    }

    #[test]
    fn a_long_run_goes_on_part_by_part_and_others_come_between() {
        let (mut long, answer) = call(&[2500], &Cancel::never());
        long.runs[0].1.stride = 1000;
        let (short, other) = call(&[20, 30], &Cancel::never());
        let mut calls = VecDeque::from([long, short]);
        assert_eq!(serve_batch(&mut calls), 1000 + 20);
        // The other call is the first now.
        assert_eq!(serve_batch(&mut calls), 30);
        assert_eq!(other.try_recv().unwrap().unwrap(), [[20.0], [30.0]]);
        assert_eq!((serve_batch(&mut calls), serve_batch(&mut calls)), (1000, 500));
        assert_eq!(answer.try_recv().unwrap().unwrap(), [[1000.0, 1000.0, 500.0]]);
    }

    #[test]
    fn what_was_kept_before_a_run_counts_by_half() {
        let heads = Heads { queries: 1, keys: 1, width: 64 };
        let kept = Arc::new(Kept::Floats(KvCache::from_layers(Vec::new(), heads)));
        let prefix = Arc::new(Prefix::new(&[0; 1000], Some(kept)));
        let (mut one, _answer) = call(&[20, 20, 20], &Cancel::never());
        one.runs.iter_mut().for_each(|(_, run)| run.prefix = Some(Arc::clone(&prefix)));
        let mut calls = VecDeque::from([one]);
        assert_eq!(serve_batch(&mut calls), 20);
        let fresh = Arc::new(Prefix::new(&[0; 1000], None));
        calls[0].runs.iter_mut().for_each(|(_, run)| run.prefix = Some(Arc::clone(&fresh)));
        assert_eq!(serve_batch(&mut calls), 20 + 20);
    }

    #[test]
    fn what_was_left_is_dropped_and_said_so() {
        let cancel = Cancel::never().within(std::time::Duration::ZERO);
        let ((left, answer), (kept, _)) = (call(&[10], &cancel), call(&[10], &Cancel::never()));
        let mut calls = VecDeque::from([left, kept]);
        drop_stopped(&mut calls);
        assert_eq!(calls.len(), 1);
        assert!(matches!(answer.try_recv().unwrap(), Err(ScoreError::Stopped(_))));
    }

    #[test]
    fn calls_of_a_batch_that_panicked_fail_and_the_others_go_on() {
        let ((big, answer), (other, _)) = (call(&[1024], &Cancel::never()), call(&[1024], &Cancel::never()));
        let mut calls = VecDeque::from([big, other]);
        let batch = take_batch(&mut calls);
        fail(&mut calls, &batch, &panicked());
        assert!(matches!(answer.try_recv().unwrap(), Err(ScoreError::Model(_))));
        assert_eq!((calls.len(), serve_batch(&mut calls)), (1, 1024));
    }
}
