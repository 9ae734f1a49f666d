//! `bench`: how fast the scorer is, against what the processor could do, and how fast the embedder.

mod precision;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Engine, EngineError};
use crate::model::local::LocalScorer;
use crate::model::{Cancel, Embedder as _, Precision, ScoreJob, TokenScorer};
use crate::telemetry::resident_bytes;
pub(super) use precision::compare as precision;
pub use precision::{Agreement, PrecisionReport};

/// Text that is scored; written for the project.
const TEXT: &str = include_str!("../../../eval/texts/incident.md");
/// Tokens of the text whose speed is kept, so that models are compared on the same.
pub const USUAL_TOKENS: usize = 512;
/// Texts that are embedded before anything is measured.
const FIRST: usize = 32;
/// The time that the roofline is measured for before each run.
const PEAK_TIME: Duration = Duration::from_millis(50);

/// The settings of a scoring benchmark.
#[derive(Debug, Clone, Copy)]
pub struct ScoreBench {
    /// Tokens of a text, at least 2.
    pub tokens: usize,
    /// Texts that are scored together, at least 1.
    pub batch: usize,
    /// The precision; by default that of the configuration.
    pub precision: Option<Precision>,
    /// Times that it is measured, at least 1.
    pub runs: usize,
}

/// The speed of the scorer.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreBenchReport {
    /// Model that scored.
    pub model: String,
    /// The precision of its arithmetic.
    pub precision: Precision,
    /// Threads that computed.
    pub threads: usize,
    /// Tokens of a text.
    pub tokens: usize,
    /// Texts that were scored together.
    pub batch: usize,
    /// Times that it was measured.
    pub runs: usize,
    /// The tokens per second of the runs.
    pub tokens_per_second: Spread,
    /// Billions of operations a second that all threads reached in a loop of nothing but multiply-adds of this
    /// precision; the median of measurements between the runs. Of a GPU none is measured.
    pub peak_gops: Option<f64>,
    /// Seconds that a run took, of the median.
    pub seconds: f64,
    /// Bytes of memory that this process has after the runs, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Median of the tokens a second, times the operations of a token's products with the model's weights, over
    /// the peak. Attention, norms and tokenising are in the time, not in the operations.
    pub ratio_to_peak: Option<f64>,
}

/// The speed of the embedder.
#[derive(Debug, Clone, Serialize)]
pub struct EmbedBenchReport {
    /// Model that embedded.
    pub model: String,
    /// Texts of a run.
    pub passages: usize,
    /// Tokens of them, without those that open and close a window.
    pub tokens: usize,
    /// Times that it was measured.
    pub runs: usize,
    /// The passages per second of the runs, tokenization included.
    pub passages_per_second: Spread,
    /// The tokens per second of the runs, tokenization included.
    pub tokens_per_second: Spread,
    /// Seconds that a run took, of the median.
    pub seconds: f64,
    /// Bytes of memory that this process has after the runs, where the system tells.
    pub resident_bytes: Option<u64>,
}

/// Several measurements of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Returns the summary of at least one measurement.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

/// Percentiles of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them are no larger.
    pub p50: f64,
    /// 99 in 100 are no larger.
    pub p99: f64,
}

impl Percentiles {
    /// Returns the summary of at least one value: each figure is a value that was measured.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at =
            |share: f64| values.get(((values.len().max(1) - 1) as f64 * share).round() as usize).copied();
        Some(Self { p50: at(0.5)?, p99: at(0.99)? })
    }
}

pub(super) fn score(
    engine: &Engine,
    bench: ScoreBench,
    done: &dyn Fn(usize),
) -> Result<ScoreBenchReport, EngineError> {
    let (scorer, precision) = engine.models.fresh_scorer(bench.precision)?;
    let jobs = jobs(&scorer, bench);
    let once = || scorer.score(&jobs, &Cancel::never());
    // The first call makes buffers and brings the weights into memory.
    once()?;
    let (mut rates, mut peaks) = (Vec::new(), Vec::new());
    for run in 0..bench.runs {
        peaks.extend(scorer.arithmetic_peak(precision, PEAK_TIME));
        let start = Instant::now();
        once()?;
        rates.push((bench.tokens * bench.batch) as f64 / start.elapsed().as_secs_f64());
        done(run + 1);
    }
    let none = || EngineError::invalid("invalid_runs", "runs", "`runs` must be at least 1");
    let tokens_per_second = Spread::of(rates).ok_or_else(none)?;
    if bench.tokens == USUAL_TOKENS && bench.batch == 1 {
        engine.models.record_scorer_speed(precision, tokens_per_second.median);
    }
    let peak = Spread::of(peaks).map(|peaks| peaks.median);
    Ok(ScoreBenchReport {
        model: scorer.name().to_owned(),
        precision,
        threads: scorer.threads(),
        tokens: bench.tokens,
        batch: bench.batch,
        runs: bench.runs,
        tokens_per_second,
        seconds: (bench.tokens * bench.batch) as f64 / tokens_per_second.median,
        resident_bytes: resident_bytes(std::process::id()),
        peak_gops: peak.map(|peak| peak / 1e9),
        ratio_to_peak: peak.map(|peak| tokens_per_second.median * scorer.operations_per_token() / peak),
    })
}

pub(super) fn embed(
    engine: &Engine,
    texts: &[&str],
    runs: usize,
    done: &dyn Fn(usize),
) -> Result<EmbedBenchReport, EngineError> {
    if texts.is_empty() {
        return Err(EngineError::invalid("empty_input", "passages", "there is no text to embed"));
    }
    let embedder = engine.models.fresh_embedder()?;
    let cancel = Cancel::never();
    let tokens: usize = texts.iter().map(|text| embedder.count(text, &cancel)).sum::<Result<_, _>>()?;
    // The first call brings the weights into memory.
    embedder.embed(&texts[..FIRST.min(texts.len())], &cancel)?;
    let mut times = Vec::new();
    for run in 0..runs {
        let start = Instant::now();
        embedder.embed(texts, &cancel)?;
        times.push(start.elapsed().as_secs_f64());
        done(run + 1);
    }
    let none = || EngineError::invalid("invalid_runs", "runs", "`runs` must be at least 1");
    let per_second = |count: usize| times.iter().map(|seconds| count as f64 / seconds).collect();
    let tokens_per_second = Spread::of(per_second(tokens)).ok_or_else(none)?;
    engine.models.record_embedder_speed(tokens_per_second.median);
    Ok(EmbedBenchReport {
        model: embedder.name().to_owned(),
        passages: texts.len(),
        tokens,
        runs,
        passages_per_second: Spread::of(per_second(texts.len())).ok_or_else(none)?,
        tokens_per_second,
        seconds: Spread::of(times.clone()).ok_or_else(none)?.median,
        resident_bytes: resident_bytes(std::process::id()),
    })
}

/// Texts that differ from each other by where they begin.
fn jobs(scorer: &LocalScorer, bench: ScoreBench) -> Vec<ScoreJob> {
    let ids: Vec<u32> = scorer.encode(TEXT).iter().map(|token| token.id).collect();
    let text = |i: usize| ids.iter().cycle().skip(37 * i).take(bench.tokens).copied().collect();
    (0..bench.batch).map(|i| ScoreJob { prefix: [].into(), ids: text(i) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = Percentiles::of((0..=100).rev().map(f64::from).collect());
        assert_eq!(values, Some(Percentiles { p50: 50.0, p99: 99.0 }));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of(vec![7.0]).unwrap(), Spread { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
