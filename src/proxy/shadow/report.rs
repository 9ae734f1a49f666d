//! The comparisons of shadow requests, as `GET /v1/shadow` lists them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Comparison;
use crate::jsonl;
use crate::proxy::ProxyError;
use crate::proxy::ledger::time;

/// Comparisons of an answer: by default, and at most.
const PAGE: (usize, usize) = (100, 1000);

/// A question for comparisons, as the query of `GET /v1/shadow` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShadowParams {
    /// The most comparisons to list, 1 to 1,000; by default 100.
    pub limit: Option<usize>,
}

/// The comparisons of shadow requests.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShadowReport {
    /// Sums over all comparisons that are stored, by model.
    pub models: Vec<ShadowModel>,
    /// Single comparisons, the latest first.
    pub comparisons: Vec<ShadowLine>,
}

/// The comparisons of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ShadowModel {
    /// The model.
    pub model: String,
    /// Requests that were compared.
    pub requests: u64,
    /// Those whose answers are equal but for case, punctuation, articles and spaces.
    pub same: u64,
    /// Mean of the words in common, 0 to 1, as SQuAD counts them.
    pub f1: f64,
    /// Dollars that the answers to the originals cost.
    pub cost_usd: f64,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShadowLine {
    /// The time of the request, in UTC.
    pub time: String,
    /// The id of the request, as in the ledger.
    pub request_id: String,
    /// The model.
    pub model: String,
    /// The upstream that answered.
    pub upstream: String,
    /// Tokens of the original request, as the provider counted them.
    pub original_tokens: u64,
    /// Tokens of the compressed request, as the provider counted them.
    pub compressed_tokens: u64,
    /// Whether both answers are equal but for case, punctuation, articles and spaces.
    pub same: bool,
    /// Words in common, 0 to 1, as SQuAD counts them.
    pub f1: f64,
    /// Dollars that the answer to the original cost.
    pub cost_usd: f64,
}

impl ShadowParams {
    /// The number of comparisons to list.
    pub(in crate::proxy) fn limit(self) -> Result<usize, ProxyError> {
        let (default, most) = PAGE;
        let limit = self.limit.unwrap_or(default);
        if (1..=most).contains(&limit) {
            return Ok(limit);
        }
        Err(ProxyError::Option { param: "limit", reason: format!("must be 1 to {most}, not {limit}") })
    }
}

impl ShadowReport {
    /// Reads the file at `path`, which lists nothing where it does not exist.
    pub(in crate::proxy) fn read(path: &Path, limit: usize) -> Result<Self, ProxyError> {
        let comparisons: Vec<Comparison> = if path.exists() {
            jsonl::read(path).map_err(|error| ProxyError::Internal(format!("{error:#}")))?
        } else {
            Vec::new()
        };
        Ok(Self {
            models: models(&comparisons),
            comparisons: comparisons.iter().rev().take(limit).map(ShadowLine::from).collect(),
        })
    }
}

fn models(comparisons: &[Comparison]) -> Vec<ShadowModel> {
    let mut models = BTreeMap::<&str, ShadowModel>::new();
    for Comparison { model, same, f1, cost, .. } in comparisons {
        let sums = models.entry(model).or_default();
        sums.requests += 1;
        sums.same += u64::from(*same);
        sums.f1 += f1;
        sums.cost_usd += dollars(*cost);
    }
    let mean = |(model, sums): (&str, ShadowModel)| {
        let f1 = sums.f1 / sums.requests as f64;
        ShadowModel { model: model.to_owned(), f1, ..sums }
    };
    models.into_iter().map(mean).collect()
}

impl From<&Comparison> for ShadowLine {
    fn from(comparison: &Comparison) -> Self {
        let (original_tokens, compressed_tokens) = comparison.input;
        Self {
            time: time(comparison.milliseconds),
            request_id: comparison.request.clone(),
            model: comparison.model.clone(),
            upstream: comparison.upstream.clone(),
            original_tokens,
            compressed_tokens,
            same: comparison.same,
            f1: comparison.f1,
            cost_usd: dollars(comparison.cost),
        }
    }
}

fn dollars(billionths: i64) -> f64 {
    billionths as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_come_first_and_sums_are_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow.jsonl");
        assert_eq!(
            ShadowReport::read(&path, 5).unwrap(),
            ShadowReport { models: vec![], comparisons: vec![] }
        );
        let line = |n: u64| Comparison {
            milliseconds: 1000 * n,
            request: format!("r{n}"),
            model: if n < 3 { "a" } else { "b" }.into(),
            upstream: "u".into(),
            texts: (10, 5),
            input: (20, 15),
            same: n.is_multiple_of(2),
            f1: n as f64 / 4.0,
            cost: 2_000_000,
        };
        let text: String = (0..4).map(|n| serde_json::to_string(&line(n)).unwrap() + "\n").collect();
        std::fs::write(&path, text + "{\"half").unwrap();
        let report = ShadowReport::read(&path, 2).unwrap();
        let ids: Vec<&str> = report.comparisons.iter().map(|line| &*line.request_id).collect();
        assert_eq!(ids, ["r3", "r2"]);
        assert_eq!(report.comparisons[0].time, "1970-01-01T00:00:03Z");
        assert_eq!((report.models[0].requests, report.models[0].same), (3, 2));
        assert!(
            (report.models[0].f1 - 0.25).abs() < 1e-12 && (report.models[1].cost_usd - 0.002).abs() < 1e-12
        );
    }

    #[test]
    fn a_limit_is_of_its_range() {
        assert_eq!(ShadowParams::default().limit().unwrap(), 100);
        for limit in [0, 1001] {
            let said = ShadowParams { limit: Some(limit) }.limit().unwrap_err().to_string();
            assert!(said.contains("1 to 1000"), "{said}");
        }
    }
}
