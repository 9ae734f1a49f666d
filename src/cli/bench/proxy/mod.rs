//! `whittle bench proxy`.

mod child;
mod load;
pub(super) mod soak;
mod texts;
mod upstream;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::output::Format;
use crate::config::{self, Config, Flags, Places, ProcessEnv};
use child::Child;
use load::{Asked, Load, Times};

/// Measure the latency that the proxy adds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle bench proxy --case off --case stream --case large
  whittle bench proxy --rate 500 --bytes 8192 --seconds 10
  whittle bench proxy --case fold --case folded
  whittle bench proxy --case long --case long-again
  whittle bench proxy --format json

An upstream on loopback answers at once. The same requests go to it directly and through `whittle serve`,
a process of its own, in turns. Requests are sent at a fixed rate, whether or not earlier ones are answered,
and timed from when they were due. Cases that compress (`warm`, `cold`, `long`, `long-again`) need the models.
Of long texts it says how many were smaller when they went on: new ones within the deadline of the proxy, the same
one again within a minute for the first time.")]
pub(super) struct BenchProxyArgs {
    /// Case to measure (repeatable) [default: all]
    #[arg(long = "case", value_enum)]
    cases: Vec<Case>,
    /// Requests per second in the cases `off` and `warm`
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Bytes per body in the case `off`
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(100..=1 << 24))]
    bytes: u32,
    /// Number of turns of direct and proxied requests
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: u32,
    /// Seconds per turn, direct and through the proxy
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
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

/// A case to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Case {
    /// Compression off
    Off,
    /// Time to the first event of a stream
    Stream,
    /// Bodies of 1 MB, 20 per second
    Large,
    /// Compression of a text that was compressed before
    Warm,
    /// Compression of new texts, one after another
    Cold,
    /// Compression of new texts of 100,000 tokens, one after another
    Long,
    /// Compression of a text of 100,000 tokens that was compressed before
    LongAgain,
    /// Folding of 100,000 tokens of tool results, all of them new
    Fold,
    /// Folding of results that were folded before
    Folded,
}

const ALL: [Case; 9] = [
    Case::Off,
    Case::Stream,
    Case::Large,
    Case::Fold,
    Case::Folded,
    Case::Warm,
    Case::Cold,
    Case::Long,
    Case::LongAgain,
];
const LARGE_BYTES: usize = 1_000_000;
const LARGE_RATE: u32 = 20;
const STREAM_RATE: u32 = 100;
/// New texts that are compressed.
const COLD_TEXTS: u64 = 20;
/// Requests whose results are folded.
const FOLDS: u64 = 200;
/// Tokens of their results.
const FOLD_TOKENS: usize = 100_000;
/// Words of a text that is compressed.
const TEXT_WORDS: usize = 1500;
/// Words of a long one, each of which is a token, or two with the full stop.
const LONG_WORDS: usize = 92_000;

/// The work of a proxy that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    /// Folding, which takes no model.
    Folding,
    Compressing,
}

impl Case {
    fn work(self) -> Work {
        match self {
            Self::Off | Self::Stream | Self::Large => Work::None,
            Self::Fold | Self::Folded => Work::Folding,
            Self::Warm | Self::Cold | Self::Long | Self::LongAgain => Work::Compressing,
        }
    }

    /// Returns whether requests are sent one after another, not at a rate.
    fn is_in_turn(self) -> bool {
        !matches!(self, Self::Off | Self::Stream | Self::Large | Self::Warm)
    }

    /// Returns whether each request is the same.
    fn repeats(self) -> bool {
        matches!(self, Self::Folded | Self::LongAgain)
    }

    /// Returns whether the deadline may come before a text is smaller.
    fn may_be_late(self) -> bool {
        matches!(self, Self::Long | Self::LongAgain)
    }
}

/// The measurements.
#[derive(Debug, Serialize)]
struct Report {
    case: Case,
    requests: usize,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    /// Requests that were smaller within the deadline, where some may not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_time: Option<usize>,
    /// The others, by the reason that the proxy gave: `deadline`, `declined` or `remembered`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    late: BTreeMap<String, usize>,
    direct_ms: Quantiles,
    proxied_ms: Quantiles,
    added_ms: Added,
    /// Memory of the proxy's process afterwards, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_mb: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Added {
    p50: f64,
    p99: f64,
}

pub(super) fn run(args: &BenchProxyArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config.clone(), listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let upstream = upstream::start()?;
    let cases = if args.cases.is_empty() { &ALL[..] } else { &args.cases };
    let bench = Bench { args, config, upstream };
    let mut reports = Vec::new();
    for work in [Work::None, Work::Folding, Work::Compressing] {
        let cases: Vec<Case> = cases.iter().filter(|case| case.work() == work).copied().collect();
        if !cases.is_empty() {
            bench.run(&cases, work, &mut reports)?;
        }
    }
    args.format.print(anstream::stdout().lock(), &reports, |out, reports| write_text(out, reports))
}

/// Times of the requests of a case.
#[derive(Default)]
struct Measured {
    direct: Times,
    proxied: Times,
    /// Requests that were smaller when they went on, of those that are sent one after another.
    in_time: usize,
    /// The others, by the reason that the proxy gave.
    late: BTreeMap<String, usize>,
}

struct Bench<'a> {
    args: &'a BenchProxyArgs,
    config: Config,
    upstream: SocketAddr,
}

impl Bench<'_> {
    /// Measures `cases` with one proxy.
    fn run(&self, cases: &[Case], work: Work, reports: &mut Vec<Report>) -> anyhow::Result<()> {
        let proxy = Child::start(&self.config, self.upstream, work != Work::None)?;
        // Connections are opened, and models loaded, by requests that do not count.
        let first = match work {
            Work::None => texts::body(100, false),
            Work::Folding => texts::results(u64::MAX, FOLD_TOKENS),
            Work::Compressing => texts::document(u64::MAX, TEXT_WORDS),
        };
        load::ask_once(proxy.address, first)?;
        for &case in cases {
            let measured = if case.is_in_turn() {
                self.in_turn(case, proxy.address)?
            } else {
                self.turns(case, proxy.address)?
            };
            reports.push(self.report(case, &measured, proxy.resident_mb()));
        }
        Ok(())
    }

    /// One of the bodies of a case, and how many a second are sent.
    fn load(&self, case: Case, number: u64) -> (bytes::Bytes, u32) {
        let body = match case {
            Case::Off => texts::body(self.args.bytes as usize, false),
            Case::Stream => return (texts::body(self.args.bytes as usize, true), STREAM_RATE),
            Case::Large => return (texts::body(LARGE_BYTES, false), LARGE_RATE),
            Case::Warm | Case::Cold => texts::document(number, TEXT_WORDS),
            Case::Long => texts::urgent_document(number, LONG_WORDS, self.config.proxy.compress.deadline_ms),
            // Of another text than those before, which may have been late, and are remembered so.
            Case::LongAgain => texts::document(u64::MAX - 1, LONG_WORDS),
            Case::Fold | Case::Folded => texts::results(number, FOLD_TOKENS),
        };
        (body, self.args.rate)
    }

    fn turns(&self, case: Case, proxy: SocketAddr) -> anyhow::Result<Measured> {
        let (body, rate) = self.load(case, 0);
        let expected = (case == Case::Warm).then_some("compressed");
        if case == Case::Warm {
            load::ask_once(proxy, body.clone())?;
        }
        let load = |target, expected| Load {
            target,
            body: body.clone(),
            rate,
            seconds: self.args.seconds,
            connections: self.args.connections,
            asked: if case == Case::Stream { Asked::First } else { Asked::Whole },
            expected,
        };
        let mut measured = Measured::default();
        for _ in 0..self.args.turns {
            measured.direct.extend(load(self.upstream, None).run()?);
            measured.proxied.extend(load(proxy, expected).run()?);
        }
        Ok(measured)
    }

    /// Requests one after another, each with texts of its own or all the same: how many a second depends on the work. The
    /// first does not count.
    fn in_turn(&self, case: Case, proxy: SocketAddr) -> anyhow::Result<Measured> {
        let mut measured = Measured::default();
        let last = if case.work() == Work::Folding { FOLDS } else { COLD_TEXTS };
        for number in 0..=last {
            let (body, _) = self.load(case, if case.repeats() { 0 } else { number });
            let direct = load::ask_once(self.upstream, body.clone())?.0;
            let (proxied, status) = load::ask_once(proxy, body)?;
            let status = status.unwrap_or_default();
            let is_smaller = status == "compressed";
            let reason = status.strip_prefix("original; reason=");
            let is_late =
                case.may_be_late() && matches!(reason, Some("deadline" | "declined" | "remembered"));
            anyhow::ensure!(
                is_smaller || is_late,
                "the proxy says `{status}` of a request instead of `compressed`"
            );
            if number > 0 {
                measured.direct.push(direct);
                measured.proxied.push(proxied);
                measured.in_time += usize::from(is_smaller);
                if let Some(reason) = reason {
                    *measured.late.entry(reason.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(measured)
    }

    fn report(&self, case: Case, measured: &Measured, resident_mb: Option<f64>) -> Report {
        let quantiles = |times: &Times| Quantiles {
            p50: times.quantile(0.5),
            p99: times.quantile(0.99),
            max: times.quantile(1.0),
        };
        let (direct_ms, proxied_ms) = (quantiles(&measured.direct), quantiles(&measured.proxied));
        let (body, rate) = self.load(case, 0);
        Report {
            case,
            requests: measured.proxied.count(),
            bytes: body.len(),
            rate: (!case.is_in_turn()).then_some(rate),
            in_time: case.may_be_late().then_some(measured.in_time),
            late: measured.late.clone(),
            added_ms: Added { p50: proxied_ms.p50 - direct_ms.p50, p99: proxied_ms.p99 - direct_ms.p99 },
            direct_ms,
            proxied_ms,
            resident_mb,
        }
    }
}

fn write_text(out: &mut impl Write, reports: &[Report]) -> anyhow::Result<()> {
    writeln!(
        out,
        "{:12}{:>9}{:>9}{:>10}{:>18}{:>18}{:>18}{:>10}",
        "case", "requests", "bytes", "per s", "direct p50 p99", "proxied p50 p99", "added p50 p99", "RSS MB"
    )?;
    for report in reports {
        let Report { direct_ms, proxied_ms, added_ms, .. } = report;
        let pair = |p50: f64, p99: f64| format!("{p50:.3} {p99:.3}");
        let name = report.case.to_possible_value().context("every case has a name")?;
        writeln!(
            out,
            "{:12}{:>9}{:>9}{:>10}{:>18}{:>18}{:>18}{:>10}",
            name.get_name(),
            report.requests,
            report.bytes,
            report.rate.map_or("-".into(), |rate| rate.to_string()),
            pair(direct_ms.p50, direct_ms.p99),
            pair(proxied_ms.p50, proxied_ms.p99),
            pair(added_ms.p50, added_ms.p99),
            report.resident_mb.map_or("-".into(), |mb| format!("{mb:.0}")),
        )?;
        if let Some(in_time) = report.in_time {
            write!(out, "{:12}{in_time} of {} were smaller in time", "", report.requests)?;
            for (reason, count) in &report.late {
                write!(out, ", {count} {reason}")?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "times in milliseconds; of the case `stream`, until the first event")?;
    Ok(())
}
