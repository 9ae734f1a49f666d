//! `whittle eval shadow`.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::cells::percent;
use crate::cli::output::Format;
use crate::config::{self, ProcessEnv};
use crate::eval::statistics::Estimate;
use crate::jsonl;
use crate::proxy::{Comparison, SHADOW_FILE};

/// Show how much compression changed the answers, from the proxy's shadow requests
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle eval shadow
  whittle eval shadow --since 2026-11-01 --model gpt-4o --format json

In whittle.toml,
  [proxy.shadow]
  share = 0.01
  usd_per_day = 1.0
has the original of every hundredth compressed request answered too, once its client has its answer, for a
dollar a day at most. It takes upstreams with `api_key_env` and `prices`, or local/ models. Two answers of
a model that samples differ by themselves: measure at temperature 0, or compare with what you see there.")]
pub(super) struct ShadowArgs {
    /// First day (UTC) to count [default: all]
    #[arg(long, value_name = "DAY")]
    since: Option<Date>,
    /// Count only this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Seed of the resampling behind the intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Output format: a table or JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The agreement of answers for one model.
#[derive(Debug, Serialize)]
struct Agreement {
    model: String,
    requests: usize,
    /// Share of the answers that are the same, but for case, punctuation, articles and spaces.
    same: Option<Estimate>,
    /// Words in common, 0 to 1.
    f1: Option<Estimate>,
    /// Tokens of the originals and of what was sent in their place, as the provider counted them.
    input_tokens: [u64; 2],
    /// Dollars that the originals' answers cost.
    cost_usd: f64,
}

pub(super) fn run(args: &ShadowArgs) -> anyhow::Result<()> {
    let path = config::data_dir(&ProcessEnv)?.join(SHADOW_FILE);
    let comparisons: Vec<Comparison> = jsonl::read(&path)
        .context("there are no shadow requests yet: `whittle eval shadow --help` says how to turn them on")?;
    let since = args.since.map(|day| day.to_zoned(TimeZone::UTC)).transpose()?;
    let since = since.map_or(0, |start| start.timestamp().as_millisecond().max(0) as u64);
    let wanted = |comparison: &&Comparison| {
        comparison.milliseconds >= since && args.model.as_ref().is_none_or(|model| *model == comparison.model)
    };
    let mut models: BTreeMap<&str, Vec<&Comparison>> = BTreeMap::new();
    for comparison in comparisons.iter().filter(wanted) {
        models.entry(&comparison.model).or_default().push(comparison);
    }
    let agreements: Vec<Agreement> =
        models.into_iter().map(|(model, all)| agreement(model, &all, args.seed)).collect();
    args.format.print(anstream::stdout().lock(), &agreements, write_text)
}

fn agreement(model: &str, all: &[&Comparison], seed: u64) -> Agreement {
    let of = |value: fn(&Comparison) -> f64| {
        Estimate::of(&all.iter().map(|comparison| value(comparison)).collect::<Vec<_>>(), seed)
    };
    let sum = |value: fn(&Comparison) -> u64| all.iter().map(|comparison| value(comparison)).sum();
    Agreement {
        model: model.to_owned(),
        requests: all.len(),
        same: of(|comparison| f64::from(u8::from(comparison.same))),
        f1: of(|comparison| comparison.f1),
        input_tokens: [sum(|comparison| comparison.input.0), sum(|comparison| comparison.input.1)],
        cost_usd: all.iter().map(|comparison| comparison.cost as f64 / 1e9).sum(),
    }
}

fn write_text(out: &mut impl Write, agreements: &Vec<Agreement>) -> std::io::Result<()> {
    writeln!(out, "answers to the original and to the compressed request; 95% intervals in brackets")?;
    writeln!(
        out,
        "{:28} {:>8}  {:22}  {:22}  {:>22}  {:>9}",
        "model", "requests", "same", "words in common (F1)", "input tokens", "cost $"
    )?;
    for Agreement { model, requests, same, f1, input_tokens: [before, after], cost_usd } in agreements {
        let (same, f1, tokens) = (percent(*same), percent(*f1), format!("{before} -> {after}"));
        writeln!(out, "{model:28} {requests:>8}  {same:22}  {f1:22}  {tokens:>22}  {cost_usd:>9.4}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_of_a_model_are_summed_up() {
        let comparison = |same: bool, f1: f64| Comparison {
            milliseconds: 1,
            request: "r".into(),
            model: "m".into(),
            upstream: "u".into(),
            texts: (10, 5),
            input: (100, 60),
            same,
            f1,
            cost: 2_000_000,
        };
        let all = [comparison(true, 1.0), comparison(false, 0.5)];
        let agreement = agreement("m", &all.iter().collect::<Vec<_>>(), 1);
        assert_eq!((agreement.requests, agreement.input_tokens), (2, [200, 120]));
        assert!(
            (agreement.same.unwrap().mean - 0.5).abs() < 1e-9 && (agreement.cost_usd - 0.004).abs() < 1e-9
        );
        let mut out = Vec::new();
        write_text(&mut out, &vec![agreement]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("75.0%") && text.contains("200 -> 120"), "{text}");
    }
}
