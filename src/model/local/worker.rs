//! The thread that runs the model: one queue, batches by token budget, fair between callers.
//!
//! Callers hand over all their runs at once and wait. Each batch takes runs from the waiting calls in
//! turn until [`BATCH_TOKENS`] are together, so a short call does not wait for the end of a long one, and
//! short documents of several calls share a pass. A text that is longer than the window is run part by part,
//! each token once. Calls whose caller left are dropped between batches. Sequences that grow step by step, answers and
//! sessions, advance by one turn each between two batches ([`Turns`]).

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};

use rayon::ThreadPool;

use super::causal::{CausalModel, ForwardOutput, KvCache, LlamaConfig, Sequence};
use super::prefix_cache::{CachedKv, PrefixCache};
use crate::model::{Cancel, ScoreError};

/// Tokens that a batch aims at: enough to fill the caches of all cores, few enough to stay fair.
const BATCH_TOKENS: usize = 1024;

/// A sequence to score: `ids` after a shared prefix. It takes several passes where it is longer than the window.
pub(crate) struct Run {
    /// The prefix of the call that the run follows.
    pub(crate) prefix: Option<Arc<Prefix>>,
    /// The tokens to run.
    pub(crate) ids: Vec<u32>,
    /// The index of the first token whose score is wanted.
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
    kept: CachedKv,
    /// The number of leading positions that always stay in sight (an attention sink).
    head: usize,
}

impl Run {
    /// Creates a run of all tokens in one pass.
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

    /// Returns the token before the next part.
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
    kept: Option<Arc<CachedKv>>,
    cache: OnceLock<KvCache>,
}

impl Prefix {
    /// Creates a prefix of tokens of which an earlier call may have cached some.
    pub(crate) fn new(ids: &[u32], kept: Option<Arc<CachedKv>>) -> Self {
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

/// The runs of one caller.
pub(crate) struct Call {
    runs: VecDeque<(usize, Run)>,
    /// One vector of scores for each run.
    results: Vec<Vec<f32>>,
    cancel: Cancel,
    reply: Sender<Result<Vec<Vec<f32>>, ScoreError>>,
}

/// Work that a caller's own sequence needs, in turns.
pub(crate) trait Turns: Send {
    /// Does the next turn, which should take about as long as a batch or less; returns whether there are more. What
    /// the caller waits for is sent to it over a channel, whose end tells the caller of a panic.
    fn advance(&mut self, model: &dyn CausalModel) -> bool;
}

/// A request to the model's thread.
enum Work {
    Score(Call),
    Turns(Box<dyn Turns>),
}

/// A handle to the model's thread.
pub(crate) struct Worker {
    queue: Sender<Work>,
}

impl Worker {
    /// Starts the thread. It ends when the handle is dropped.
    pub(crate) fn start(
        llama: Arc<dyn CausalModel>,
        pool: Arc<ThreadPool>,
        prefixes: Arc<PrefixCache>,
    ) -> std::io::Result<Self> {
        let (queue, work) = channel();
        let engine = Engine { llama, prefixes };
        std::thread::Builder::new()
            .name("whittle-model".into())
            .spawn(move || serve(&engine, &pool, &work))?;
        Ok(Self { queue })
    }

    /// Scores the wanted tokens of each run, in the order of `runs`; without a prefix, a first token has no
    /// score.
    pub(crate) fn score(&self, runs: Vec<Run>, cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let (reply, answer) = channel();
        let results = vec![Vec::new(); runs.len()];
        cancel.will_read(runs.iter().map(|run| run.ids.len()).sum());
        let runs = runs.into_iter().enumerate().collect();
        self.send(Work::Score(Call { runs, results, cancel: cancel.clone(), reply }))?;
        answer.recv().map_err(|_| gone())?
    }

    /// Has a caller's turns done, each between two batches.
    pub(crate) fn take_turns(&self, turns: impl Turns + 'static) -> Result<(), ScoreError> {
        self.send(Work::Turns(Box::new(turns)))
    }

    fn send(&self, work: Work) -> Result<(), ScoreError> {
        self.queue.send(work).map_err(|_| gone())
    }
}

fn gone() -> ScoreError {
    ScoreError::Model("its thread has ended".into())
}

fn serve(engine: &Engine, pool: &ThreadPool, queue: &Receiver<Work>) {
    let mut waiting = Waiting::default();
    loop {
        if waiting.is_empty() {
            match queue.recv() {
                Ok(work) => waiting.push(work),
                Err(_) => return,
            }
        }
        loop {
            match queue.try_recv() {
                Ok(work) => waiting.push(work),
                Err(TryRecvError::Disconnected) if waiting.is_empty() => return,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let Waiting { calls, turns } = &mut waiting;
        drop_stopped(calls);
        let batch = take_batch(calls);
        let stop = batch_cancel(calls, &batch);
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.install(|| engine.run(&batch, &stop))));
        match outcome {
            Ok(outcome) => settle(calls, batch, outcome),
            Err(_) => fail(calls, &batch, &panicked()),
        }
        // What panicked is dropped, and its channel with it.
        turns.retain_mut(|turns| {
            let advance = || pool.install(|| turns.advance(&*engine.llama));
            catch_unwind(AssertUnwindSafe(advance)).unwrap_or(false)
        });
    }
}

/// The work that is not done yet.
#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    turns: Vec<Box<dyn Turns>>,
}

impl Waiting {
    fn push(&mut self, work: Work) {
        match work {
            Work::Score(call) => self.calls.push_back(call),
            Work::Turns(turns) => self.turns.push(turns),
        }
    }

    fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.turns.is_empty()
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
    prefixes: Arc<PrefixCache>,
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
        let dequantize =
            |Item { run, .. }: &Item| run.progress.past.as_ref().map(|past| past.kept.dequantize());
        let dequantized: Vec<Option<KvCache>> = batch.iter().map(dequantize).collect();
        let pasts: Vec<Option<&KvCache>> =
            batch.iter().zip(&dequantized).map(|(item, past)| past.as_ref().or(item.run.prefix())).collect();
        let sequences: Vec<Sequence> = batch
            .iter()
            .zip(&ids)
            .zip(&pasts)
            .map(|((item, ids), past)| item.run.sequence(ids, *past))
            .collect();
        let outputs = self.llama.forward(&sequences, cancel)?;
        let done = batch.iter().zip(pasts).zip(outputs);
        Ok(done.map(|((item, past), outputs)| self.done(&item.run, past, outputs)).collect())
    }

    fn done(&self, run: &Run, before: Option<&KvCache>, ForwardOutput { nll, kept }: ForwardOutput) -> Done {
        let done = run.part().end;
        if done < run.ids.len() {
            let (past, head) = run.behind(before, kept, self.llama.config());
            let past = Past { kept: self.prefixes.format().quantize(past), head };
            return Done { scores: nll, next: Some(Progress { done, past: Some(past) }) };
        }
        if run.kept > 0 {
            self.prefixes.put(&run.ids[..run.kept], kept);
        }
        Done { scores: nll, next: None }
    }

    /// Fills the keys and values of a prefix: from the cache where they are there, else by a pass.
    fn fill(&self, prefix: &Prefix, cancel: &Cancel) -> Result<(), ScoreError> {
        let ids = prefix.known();
        if prefix.cache.get().is_some() || ids.is_empty() {
            return Ok(());
        }
        let cache = if let Some(kept) = &prefix.kept {
            kept.dequantize()
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
                call.cancel.has_read(run.part().len());
                call.results[slot].extend(scores);
                if let Some(progress) = next {
                    run.progress = progress;
                    call.runs.push_front((slot, run));
                }
            }
        }
        // The batch was of one call, and the next look at its flag drops it.
        Err(ScoreError::Stopped(_)) => return,
        Err(fault @ (ScoreError::Model(_) | ScoreError::Remote(_))) => return fail(calls, &batch, &fault),
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

pub(super) fn panicked() -> ScoreError {
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
mod tests;
