//! Tests of the order in which the model's thread works.

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
    let kept = Arc::new(CachedKv::F32(KvCache::from_layers(Vec::new(), heads)));
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

const CONFIG: LlamaConfig = LlamaConfig { context: 4096, ..LlamaConfig::TINY };

/// A model that writes down what it is asked for, and waits with its first pass until it is let go.
struct Diary {
    passes: Sender<String>,
    start: parking_lot::Mutex<Option<Receiver<()>>>,
}

impl CausalModel for Diary {
    fn config(&self) -> &LlamaConfig {
        &CONFIG
    }

    fn forward(&self, sequences: &[Sequence], _: &Cancel) -> Result<Vec<ForwardOutput>, ScoreError> {
        if let Some(start) = self.start.lock().take() {
            self.passes.send("first".into()).ok();
            start.recv().ok();
        }
        let tokens: usize = sequences.iter().map(|sequence| sequence.ids.len()).sum();
        self.passes.send(format!("{tokens} scored")).ok();
        let output = |sequence: &Sequence| ForwardOutput {
            nll: vec![1.0; sequence.targets().len()],
            kept: KvCache::new(&CONFIG),
        };
        Ok(sequences.iter().map(output).collect())
    }

    fn step(&self, id: u32, _: &mut KvCache, _: &mut Vec<f32>) -> Result<(), ScoreError> {
        self.passes.send(format!("{id} written")).ok();
        Ok(())
    }
}

/// Writes a token a turn, and panics where none is left.
struct Writer {
    ids: Vec<u32>,
    panics: bool,
    _alive: Sender<()>,
}

impl Turns for Writer {
    fn advance(&mut self, model: &dyn CausalModel) -> bool {
        assert!(!self.panics || !self.ids.is_empty(), "a defect");
        model.step(self.ids.remove(0), &mut KvCache::new(&CONFIG), &mut Vec::new()).unwrap();
        self.panics || !self.ids.is_empty()
    }
}

#[test]
fn answers_grow_between_batches_and_one_that_panics_ends_alone() {
    let ((passes, diary), (go, start)) = (channel(), channel());
    let model = Diary { passes, start: parking_lot::Mutex::new(Some(start)) };
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let form = super::super::prefix_cache::KvFormat::new(&CONFIG, crate::model::Precision::F32);
    let worker = Worker::start(Arc::new(model), pool, Arc::new(PrefixCache::new(form, 0))).unwrap();
    let score = |lengths: &[usize]| {
        let (call, answer) = call(lengths, &Cancel::never());
        worker.send(Work::Score(call)).unwrap();
        answer
    };
    let gate = score(&[9]);
    assert_eq!(diary.recv().unwrap(), "first");
    // The thread waits in its first pass, so that all of these are there when it goes on.
    let scored = score(&[1000, 1000, 1000]);
    let (alive, over) = channel();
    for (ids, panics) in [(vec![1, 2, 3], false), (vec![7, 8], true)] {
        worker.take_turns(Writer { ids, panics, _alive: alive.clone() }).unwrap();
    }
    drop(alive);
    go.send(()).unwrap();
    assert_eq!(gate.recv().unwrap().unwrap().len(), 1);
    assert_eq!(scored.recv().unwrap().unwrap().len(), 3);
    assert!(over.recv().is_err(), "both are gone");
    assert_eq!(score(&[5]).recv().unwrap().unwrap(), [[1.0; 4]]);
    drop(worker);
    let order: Vec<String> = diary.iter().collect();
    let expected = [
        "9 scored",
        "1000 scored",
        "1 written",
        "7 written",
        "1000 scored",
        "2 written",
        "8 written",
        "1000 scored",
        "3 written",
        "5 scored",
    ];
    assert_eq!(order, expected);
}
