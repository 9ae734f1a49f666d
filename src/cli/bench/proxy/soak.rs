//! `whittle bench soak`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::child::Child;
use super::load::{Asked, Client, Times};
use super::{LARGE_BYTES, TEXT_WORDS, texts, upstream};
use crate::cli::output::Format;
use crate::config::{self, Flags, Places, ProcessEnv};
use crate::proxy::UsageReport;
use crate::upstream::fetch;

/// Time for which requests are sent as fast as they are answered, to see how many that are.
const CAPACITY_SECONDS: u64 = 20;
/// Times that the memory is looked at.
const LOOKS: u32 = 60;

/// Run a mixed load at half of the proxy's maximum rate, and check errors, memory and the ledger
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench soak --seconds 1800
  whittle bench soak --seconds 60 --rate 100 --format json

Of 100 requests, 88 are small, 6 are streams, 2 have an image of 1 MB, 3 have a text that was compressed before
and 1 has a text that is new. How many a second can be answered is measured first, and half of that is sent.")]
pub(in crate::cli::bench) struct SoakArgs {
    /// Duration in seconds
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Requests per second [default: half of the maximum rate]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Number of connections
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The observations of a soak test.
#[derive(Debug, Serialize)]
struct Report {
    seconds: u32,
    /// Requests a second that were answered when they were sent as fast as possible, where that was measured.
    capacity: Option<f64>,
    rate: u32,
    requests: usize,
    errors: usize,
    /// The first error, if there was one.
    first_error: Option<String>,
    /// Requests with a text to compress that went on as they were.
    uncompressed: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// The resident memory in MB after a tenth of the time, at the end, and at most.
    resident_mb: [Option<f64>; 3],
    /// Requests that the ledger has, those before the load included.
    ledger: u64,
    /// Requests that were sent, those before the load included.
    sent: u64,
}

/// The observations of one connection.
#[derive(Default)]
struct Seen {
    times: Times,
    errors: Vec<String>,
    uncompressed: usize,
}

pub(in crate::cli::bench) fn run(args: &SoakArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config.clone(), listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let proxy = Child::start(&config, upstream::start()?, true)?;
    let soak = Soak { address: proxy.address, connections: args.connections, sent: AtomicU32::new(0) };
    // The models are loaded before anything counts.
    soak.send(&mut Client::connect(proxy.address)?, &mut Seen::default(), 0);
    let capacity = if args.rate.is_none() { Some(soak.capacity()?) } else { None };
    let half = capacity.map_or(1, |capacity| (capacity / 2.0).round().max(1.0) as u32);
    let rate = args.rate.unwrap_or(half);
    let (seen, memory) = soak.load(rate, args.seconds, || proxy.resident_mb())?;
    let most = memory.iter().flatten().copied().reduce(f64::max);
    let early = memory.get(memory.len() / 10).copied().flatten();
    let report = Report {
        seconds: args.seconds,
        capacity,
        rate,
        requests: seen.times.count() + seen.errors.len(),
        errors: seen.errors.len(),
        first_error: seen.errors.first().cloned(),
        uncompressed: seen.uncompressed,
        p50_ms: seen.times.quantile(0.5),
        p99_ms: seen.times.quantile(0.99),
        max_ms: seen.times.quantile(1.0),
        resident_mb: [early, memory.last().copied().flatten(), most],
        ledger: ledger(proxy.address)?,
        sent: u64::from(soak.sent.load(Ordering::Relaxed)),
    };
    args.format.print(anstream::stdout().lock(), &report, write_text)
}

struct Soak {
    address: SocketAddr,
    connections: u32,
    /// Requests so far: each new text has its number.
    sent: AtomicU32,
}

impl Soak {
    /// Requests a second that are answered when each connection sends the next one at once.
    fn capacity(&self) -> anyhow::Result<f64> {
        let (begin, time) = (Instant::now(), Duration::from_secs(CAPACITY_SECONDS));
        let seen = self.connections(|client, seen, number| {
            let goes_on = begin.elapsed() < time;
            if goes_on {
                self.send(client, seen, number);
            }
            goes_on
        })?;
        if let Some(error) = seen.errors.first() {
            bail!("a request failed while the capacity was measured: {error}");
        }
        Ok(seen.times.count() as f64 / begin.elapsed().as_secs_f64())
    }

    /// Sends so many requests a second, and returns what `look` observes meanwhile.
    fn load(
        &self,
        rate: u32,
        seconds: u32,
        look: impl Fn() -> Option<f64> + Sync,
    ) -> anyhow::Result<(Seen, Vec<Option<f64>>)> {
        let begin = Instant::now();
        let bar = ProgressBar::new(u64::from(LOOKS));
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let looks = (1..=LOOKS).map(|number| {
                    let due = begin + Duration::from_secs(u64::from(seconds)) * number / LOOKS;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    bar.inc(1);
                    look()
                });
                looks.collect()
            });
            let seen = self.connections(|client, seen, number| {
                let due = begin + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
                if number >= rate.saturating_mul(seconds) {
                    return false;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                self.send(client, seen, number);
                true
            })?;
            let memory = looking.join().map_err(|_| anyhow::anyhow!("looking at the memory panicked"))?;
            bar.finish_and_clear();
            Ok((seen, memory))
        })
    }

    /// Calls `each` on every connection with the numbers from 0 on, until it says that it is enough.
    fn connections(&self, each: impl Fn(&mut Client, &mut Seen, u32) -> bool + Sync) -> anyhow::Result<Seen> {
        let next = AtomicU32::new(0);
        let connection = || -> anyhow::Result<Seen> {
            let (mut client, mut seen) = (Client::connect(self.address)?, Seen::default());
            while each(&mut client, &mut seen, next.fetch_add(1, Ordering::Relaxed)) {}
            Ok(seen)
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..self.connections).map(|_| scope.spawn(connection)).collect();
            let mut all = Seen::default();
            for running in running {
                let seen =
                    running.join().unwrap_or_else(|_| bail!("a thread that sends requests panicked"))?;
                all.times.extend(seen.times);
                all.errors.extend(seen.errors);
                all.uncompressed += seen.uncompressed;
            }
            Ok(all)
        })
    }

    fn send(&self, client: &mut Client, seen: &mut Seen, number: u32) {
        let serial = self.sent.fetch_add(1, Ordering::Relaxed);
        let (body, compressed) = body(number, u64::from(serial));
        let begin = Instant::now();
        match client.ask(body, Asked::Whole) {
            Ok((end, status)) => {
                seen.times.push(end - begin);
                seen.uncompressed += usize::from(compressed && status.as_deref() != Some("compressed"));
            }
            Err(error) => {
                seen.errors.push(format!("{error:#}"));
                // A connection does not outlive an error.
                if let Ok(fresh) = Client::connect(self.address) {
                    *client = fresh;
                }
            }
        }
    }
}

/// The body of a request, and whether it has a text to compress.
fn body(number: u32, serial: u64) -> (Bytes, bool) {
    match number % 100 {
        0 => (texts::document(serial + 1, TEXT_WORDS), true),
        1..=3 => (texts::document(0, TEXT_WORDS), true),
        4..=9 => (texts::body(2048, true), false),
        10 | 11 => (texts::image(LARGE_BYTES), false),
        _ => (texts::body(2048, false), false),
    }
}

/// Requests that the ledger has.
fn ledger(address: SocketAddr) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(fetch(&format!("http://{address}/v1/usage"), &[], None));
    let (status, body) = asked.map_err(|reason| anyhow::anyhow!("cannot ask for the usage: {reason}"))?;
    anyhow::ensure!(status.is_success(), "the usage is answered with {status}");
    let report: UsageReport = serde_json::from_slice(&body).context("the usage is something else")?;
    Ok(report.total.map_or(0, |total| total.requests))
}

fn write_text(out: &mut impl Write, report: &Report) -> anyhow::Result<()> {
    let Report { seconds, rate, requests, errors, uncompressed, p50_ms, p99_ms, max_ms, .. } = report;
    if let Some(capacity) = report.capacity {
        writeln!(out, "{capacity:.0} requests/s are answered when they are sent as fast as possible")?;
    }
    writeln!(out, "{seconds} s at {rate} requests/s: {requests} requests, {errors} errors")?;
    if let Some(error) = &report.first_error {
        writeln!(out, "the first error: {error}")?;
    }
    writeln!(out, "{uncompressed} texts went on as they were")?;
    writeln!(out, "time {p50_ms:.2} ms at p50, {p99_ms:.1} at p99, {max_ms:.0} at most")?;
    let mb = |mb: Option<f64>| mb.map_or("?".into(), |mb| format!("{mb:.0}"));
    let [early, end, most] = report.resident_mb.map(mb);
    writeln!(out, "memory {early} MB after a tenth of the time, {end} at the end, {most} at most")?;
    writeln!(out, "the ledger has {} of {} requests", report.ledger, report.sent)?;
    Ok(())
}
