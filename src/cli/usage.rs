//! `whittle usage`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::output::Format;
use crate::config::{self, Config, Env, Flags, Places, ProcessEnv};
use crate::proxy::{
    self, ArmFigures, FoldingLine, HoldoutReport, Mean, Numbers, StoreError, UsageError, UsageParams,
    UsageReport,
};
use crate::upstream::{Secret, StatusCode, fetch};

/// Variable with the key that a running service is asked with.
const KEY: &str = "WHITTLE_KEY";

/// Show tokens, cost and savings of proxied requests
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle usage
  whittle usage --since 2026-11-01 --group-by model,key
  whittle usage --group-by request --limit 20 --format json
  whittle usage --holdout

A running service is asked over HTTP, with the key in WHITTLE_KEY if it requires one. Otherwise the ledger
in WHITTLE_DATA_DIR is read. A ledger in PostgreSQL (`store.kind`) is read there. Savings are net: the
omitted tokens at the price of the other input, less `proxy.compute_price` for the work. Days and times are
UTC.")]
pub(super) struct UsageArgs {
    /// Start: a day, or a time such as 2026-11-01T12:00:00Z [default: 30 days ago]
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// End, exclusive [default: now]
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Count only the key with this id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Count only this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// `day`, `model`, `key`, `upstream`, `reason`, a comma-separated list of these, or `request`
    #[arg(long, value_name = "NAMES", default_value = "day")]
    group_by: String,
    /// Compare held-out conversations (`proxy.holdout`) with the others
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    holdout: bool,
    /// Requests per page, 1 to 1000 [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// The value of `next` on the previous page
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Service to ask [default: the address in the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format: a table, or the response of GET /v1/usage
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: UsageArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config, listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let params = UsageParams {
        since: args.since,
        until: args.until,
        key: args.key,
        model: args.model,
        group_by: Some(args.group_by),
        limit: args.limit,
        after: args.after,
        holdout: args.holdout.then_some(true),
    };
    let report = match args.url {
        Some(url) => ask(&url, &params)?,
        None => at_rest_or_running(&config, &params)?,
    };
    args.format.print(anstream::stdout().lock(), &report, write_text)
}

/// One process alone can hold the file: where a service does, it is asked. A database is read by many.
fn at_rest_or_running(config: &Config, params: &UsageParams) -> anyhow::Result<UsageReport> {
    match proxy::usage(config, &ProcessEnv, &config::data_dir(&ProcessEnv)?, params) {
        Err(UsageError::Store(StoreError::InUse(_))) => ask(&format!("http://{}", config.listen), params),
        other => Ok(other?),
    }
}

fn ask(base: &str, params: &UsageParams) -> anyhow::Result<UsageReport> {
    let key = ProcessEnv.get(KEY).filter(|key| !key.is_empty()).map(Secret::new);
    let url = format!("{}/v1/usage", base.trim_end_matches('/'));
    let given = [
        ("since", &params.since),
        ("until", &params.until),
        ("key", &params.key),
        ("model", &params.model),
        ("group_by", &params.group_by),
        ("limit", &params.limit),
        ("after", &params.after),
    ];
    let asked = params.holdout.map(|_| ("holdout", "true"));
    let query: Vec<_> =
        given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).chain(asked).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime
        .block_on(fetch(&url, &query, key.as_ref()))
        .map_err(|reason| anyhow::anyhow!("cannot ask {url}: {reason} (`--url` names another service)"))?;
    if status == StatusCode::UNAUTHORIZED {
        bail!("{url} answers {status}: {}; this command sends the key in {KEY}", message(&body));
    }
    if !status.is_success() {
        bail!("{url} answers {status}: {}", message(&body));
    }
    serde_json::from_slice(&body).with_context(|| format!("{url} does not answer like whittle"))
}

/// Returns the message of an error's body.
fn message(body: &[u8]) -> String {
    let error: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    error["error"]["message"].as_str().unwrap_or("no reason").to_owned()
}

/// The report as tables.
fn write_text(out: &mut impl Write, report: &UsageReport) -> std::io::Result<()> {
    if let Some(holdout) = &report.holdout {
        return write_holdout(out, holdout);
    }
    let mut rows = vec![
        [
            "", "requests", "errors", "input", "output", "cached", "texts", "saved", "work ms", "cost $",
            "net $",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for group in report.groups.iter().flatten() {
        let named = |name: &Option<String>| match name.as_deref() {
            Some("") => Some("-".to_owned()),
            name => name.map(str::to_owned),
        };
        let names: Vec<_> = [&group.day, &group.model, &group.key, &group.upstream, &group.reason]
            .into_iter()
            .filter_map(named)
            .collect();
        rows.push(row(names.join(" "), &group.numbers));
    }
    rows.extend(report.total.as_ref().map(|total| row("total".into(), total)));
    for request in report.requests.iter().flatten() {
        let key = request.key.as_deref().unwrap_or("-");
        let name = format!("{} {} {key} {}", request.time, request.status, request.model);
        rows.push(row(name, &request.numbers));
    }
    write_rows(out, &rows)?;
    write_folding(out, report.folding.as_deref().unwrap_or_default())?;
    if let Some(next) = &report.next {
        writeln!(out, "more: --after {next}")?;
    }
    if report.lost > 0 {
        writeln!(out, "{} requests could not be stored and are missing", report.lost)?;
    }
    Ok(())
}

/// Columns, each as wide as its widest cell.
fn write_rows(out: &mut impl Write, rows: &[Vec<String>]) -> std::io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    for row in rows {
        write!(out, "{:<width$}", row[0], width = widths[0])?;
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(out, "  {cell:>width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The figures of both groups of conversations and their difference, with 95% intervals.
fn write_holdout(out: &mut impl Write, report: &HoldoutReport) -> std::io::Result<()> {
    let HoldoutReport { changed, held_out, difference } = report;
    let count = |figures: &ArmFigures| {
        format!(
            "{} conversations, {} requests, {} errors",
            figures.conversations, figures.requests, figures.errors
        )
    };
    writeln!(out, "changed:  {}", count(changed))?;
    writeln!(out, "held out: {}", count(held_out))?;
    if changed.conversations == 0 || held_out.conversations == 0 {
        return writeln!(out, "nothing to compare yet: `proxy.holdout` says what share is held out");
    }
    let mut rows =
        vec![["per conversation", "changed", "held out", "difference"].map(str::to_owned).to_vec()];
    let (a, b) = (&changed.means, &held_out.means);
    for (name, means, digits) in [
        ("cost $", [a.cost_usd, b.cost_usd, difference.cost_usd], 6),
        ("input tokens", [a.input_tokens, b.input_tokens, difference.input_tokens], 0),
        ("turns", [a.turns, b.turns, difference.turns], 2),
        ("share with an error", [a.failed, b.failed, difference.failed], 4),
    ] {
        let cell = |mean: Option<Mean>| {
            mean.map_or("?".into(), |Mean { mean, low, high, n }| {
                format!("{mean:.digits$} [{low:.digits$}, {high:.digits$}] n={n}")
            })
        };
        rows.push([vec![name.to_owned()], means.map(cell).to_vec()].concat());
    }
    write_rows(out, &rows)?;
    writeln!(out, "in brackets: 95% intervals")
}

/// The savings of folding, where there are any.
fn write_folding(out: &mut impl Write, lines: &[FoldingLine]) -> std::io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["folded by", "kind", "requests", "saved", "net $"].map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(|line| {
        let numbers = [line.requests.to_string(), line.saved_tokens.to_string()];
        [
            vec![line.rule.clone(), line.kind.clone()],
            numbers.to_vec(),
            vec![format!("{:.6}", line.saving_usd)],
        ]
        .concat()
    }));
    writeln!(out)?;
    write_rows(out, &rows)
}

fn row(name: String, numbers: &Numbers) -> Vec<String> {
    let spared = numbers.text_tokens_before.saturating_sub(numbers.text_tokens_after);
    let dollars = |value: f64| {
        if numbers.unpriced == numbers.requests { "?".into() } else { format!("{value:.6}") }
    };
    vec![
        name,
        numbers.requests.to_string(),
        numbers.errors.to_string(),
        numbers.input_tokens.to_string(),
        numbers.output_tokens.to_string(),
        numbers.cache_read_tokens.to_string(),
        numbers.text_tokens_before.to_string(),
        spared.to_string(),
        format!("{:.0}", numbers.compressor_ms),
        dollars(numbers.cost_usd),
        dollars(numbers.saving_usd),
    ]
}
