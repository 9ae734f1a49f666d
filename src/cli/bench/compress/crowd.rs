//! Many callers at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::{Prompts, QUESTIONS};
use crate::compress::Method;
use crate::engine::Engine;
use crate::engine::bench::Percentiles;
use crate::model::Cancel;
use crate::telemetry::resident_bytes;

/// One caller alone goes on for this share of the time, to compare with.
const ALONE: u32 = 5;
/// The interval of memory measurements.
const LOOK: Duration = Duration::from_millis(100);

/// Callers of one kind.
pub(super) struct Crowd<'a> {
    pub(super) engine: &'a Engine,
    pub(super) prompts: &'a Prompts,
    pub(super) method: Method,
    pub(super) rate: f64,
}

/// The throughput of many callers against that of one.
#[derive(Debug, Serialize)]
pub(super) struct CrowdReport {
    pub(super) method: Method,
    pub(super) rate: f64,
    pub(super) clients: usize,
    pub(super) seconds: u32,
    pub(super) alone: Load,
    pub(super) together: Load,
    /// The resident memory, where the system tells.
    pub(super) resident: Option<Resident>,
}

/// The counts of what callers got.
#[derive(Debug, Serialize)]
pub(super) struct Load {
    pub(super) calls: usize,
    /// Tokens of their prompts.
    pub(super) tokens_per_second: f64,
    pub(super) milliseconds: Percentiles,
}

/// Bytes of memory of this process while many called.
#[derive(Debug, Serialize)]
pub(super) struct Resident {
    /// The resident memory after a fifth of the time.
    pub(super) early: u64,
    /// The resident memory at the end.
    pub(super) late: u64,
    pub(super) most: u64,
}

/// A call's tokens and time.
struct Call {
    tokens: usize,
    milliseconds: f64,
}

impl Crowd<'_> {
    pub(super) fn measure(&self, clients: usize, seconds: u32) -> anyhow::Result<CrowdReport> {
        let next = AtomicUsize::new(0);
        // Models are loaded by a call that is not counted.
        self.call(&next)?;
        let (alone, _) = self.load(1, Duration::from_secs(seconds.into()) / ALONE, &next)?;
        let (together, memory) = self.load(clients, Duration::from_secs(seconds.into()), &next)?;
        let resident = memory.last().map(|&late| Resident {
            early: memory[memory.len() / 5],
            late,
            most: memory.iter().copied().max().unwrap_or(late),
        });
        let Self { method, rate, .. } = *self;
        Ok(CrowdReport { method, rate, clients, seconds, alone, together, resident })
    }

    /// Callers that ask again as soon as they have an answer, and the memory meanwhile.
    fn load(&self, clients: usize, time: Duration, next: &AtomicUsize) -> anyhow::Result<(Load, Vec<u64>)> {
        let start = Instant::now();
        let client = || -> anyhow::Result<Vec<Call>> {
            let mut calls = Vec::new();
            while start.elapsed() < time {
                calls.push(self.call(next)?);
            }
            Ok(calls)
        };
        let (calls, memory) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
            let mut memory = Vec::new();
            while threads.iter().any(|thread| !thread.is_finished()) {
                memory.extend(resident_bytes(std::process::id()));
                std::thread::sleep(LOOK);
            }
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a caller's thread panicked")));
            (joined.collect::<anyhow::Result<Vec<_>>>(), memory)
        });
        let calls: Vec<Call> = calls?.into_iter().flatten().collect();
        let tokens: usize = calls.iter().map(|call| call.tokens).sum();
        let times = calls.iter().map(|call| call.milliseconds).collect();
        let load = Load {
            calls: calls.len(),
            tokens_per_second: tokens as f64 / start.elapsed().as_secs_f64(),
            milliseconds: Percentiles::of(times).context("no call came to its end")?,
        };
        Ok((load, memory))
    }

    fn call(&self, next: &AtomicUsize) -> anyhow::Result<Call> {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let request = self.prompts.request(n, QUESTIONS[0], self.method, self.rate);
        let start = Instant::now();
        let response = self.engine.compress(request, &Cancel::never())?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        Ok(Call { tokens: response.usage.original_tokens, milliseconds })
    }
}
