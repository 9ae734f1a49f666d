//! Options of a search, the same for every command that searches collections.

use clap::Args;

use crate::engine::collections::api::{RerankBy, SearchRequest};
use crate::retrieve::{Filter, SearchMode, Weights};

/// How collections are searched, but for what is looked for and how much of it is taken.
#[derive(Debug, Args)]
pub(super) struct SearchOptions {
    /// Ranking to search with
    #[arg(long, value_enum, default_value_t)]
    mode: SearchMode,
    /// Condition on metadata, as JSON: '{"field": "year", "gte": 1990}'; `and`, `or`, `not` combine conditions
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Filter>,
    /// Leave out results with a lower score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f64>,
    /// Weight of the lexical ranking in `hybrid`
    #[arg(long, value_name = "W", default_value_t = Weights::default().lexical)]
    lexical_weight: f64,
    /// Weight of the dense ranking in `hybrid`
    #[arg(long, value_name = "W", default_value_t = Weights::default().dense)]
    dense_weight: f64,
    /// Penalty for results that resemble a better one, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t)]
    diversity: f64,
    /// Number of best results to rerank, at most 100
    #[arg(long, value_name = "N", default_value_t)]
    rerank: usize,
    /// Criterion for reranking
    #[arg(long, value_enum, default_value_t, requires = "rerank")]
    rerank_by: RerankBy,
    /// Milliseconds for reranking; if it takes longer, the first order stays and a warning says so
    #[arg(long, value_name = "MS", requires = "rerank")]
    rerank_deadline_ms: Option<u64>,
}

impl SearchOptions {
    /// The search for `query`, of at most `top_k` results.
    pub(super) fn request(self, query: String, top_k: usize) -> SearchRequest {
        SearchRequest {
            query,
            mode: self.mode,
            top_k,
            filter: self.filter,
            min_score: self.min_score,
            weights: Weights { lexical: self.lexical_weight, dense: self.dense_weight },
            diversity: self.diversity,
            rerank: self.rerank,
            rerank_by: self.rerank_by,
            rerank_deadline_ms: self.rerank_deadline_ms,
        }
    }
}

/// A filter as JSON.
fn filter(json: &str) -> Result<Filter, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}
