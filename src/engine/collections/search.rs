//! Search in a collection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::api::{SearchRequest, SearchResponse, SearchResult};
use crate::engine::api::{Timing, Warning};
use crate::engine::models::Embedder;
use crate::engine::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::index::Collection;
use crate::model::{Cancel, Embedder as _};
use crate::retrieve::{self, Filter, Hit, Query, SearchMode};

/// Most results.
const MOST: usize = 1000;
/// Longest query, in bytes: it is embedded whole.
const QUERY_BYTES: usize = 64 << 10;

impl Engine {
    /// The chunks of a collection that answer a query best.
    ///
    /// # Errors
    /// There is no such collection; also see [`EngineError`].
    pub fn search(
        &self,
        name: &str,
        request: &SearchRequest,
        cancel: &Cancel,
    ) -> Result<SearchResponse, EngineError> {
        let start = Instant::now();
        check(request)?;
        let collection = self.collections.get(name)?;
        let vector = match request.mode {
            SearchMode::Lexical => Vec::new(),
            SearchMode::Dense | SearchMode::Hybrid => {
                let embedder = self.embedder_of(&collection)?;
                embedder.embed(&[&request.query], cancel)?.pop().unwrap_or_default()
            }
        };
        let mut timing = Timing::default();
        timing.stages.insert("embed", milliseconds_since(start));
        let searched = Instant::now();
        let query = Query {
            text: &request.query,
            vector: &vector,
            mode: request.mode,
            top_k: request.top_k,
            filter: request.filter.as_ref(),
            min_score: request.min_score,
            weights: request.weights,
            diversity: request.diversity,
        };
        let hits = retrieve::search(&collection, &query)?;
        timing.stages.insert("search", milliseconds_since(searched));
        let warnings = request.filter.as_ref().map_or_else(Vec::new, |filter| warnings(&collection, filter));
        timing.total = milliseconds_since(start);
        Ok(SearchResponse { results: hits.into_iter().map(result).collect(), warnings, timing_ms: timing })
    }

    /// The embedder, if it is the one that made the collection's vectors.
    pub(super) fn embedder_of(&self, collection: &Collection) -> Result<Arc<Embedder>, EngineError> {
        let (embedder, settings) = (self.models.embedder()?, collection.settings());
        if embedder.name() == settings.embedder && embedder.dimensions() == settings.dimensions {
            return Ok(embedder);
        }
        let message = format!(
            "the vectors of `{}` were made by `{}` with {} values, and `embedder.model` is `{}` with {}: configure \
             that model, or export the collection and ingest it into a new one",
            collection.name(),
            settings.embedder,
            settings.dimensions,
            embedder.name(),
            embedder.dimensions()
        );
        Err(EngineError { kind: ErrorKind::Conflict, code: "other_embedder", param: None, message })
    }
}

fn check(request: &SearchRequest) -> Result<(), EngineError> {
    let invalid = |code, param, message: String| Err(EngineError::invalid(code, param, message));
    if request.query.trim().is_empty() {
        return invalid("empty_query", "query", "`query` is empty: say what to look for".into());
    }
    if request.query.len() > QUERY_BYTES {
        let message = format!("`query` has {} bytes; at most {QUERY_BYTES} are taken", request.query.len());
        return invalid("query_too_long", "query", message);
    }
    if !(1..=MOST).contains(&request.top_k) {
        let message = format!("`top_k` is {}; it must be from 1 to {MOST}", request.top_k);
        return invalid("invalid_top_k", "top_k", message);
    }
    let weights = [request.weights.lexical, request.weights.dense];
    if !weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) || weights == [0.0, 0.0] {
        let message = "each of `weights` must be at least 0, and one must be above it";
        return invalid("invalid_weights", "weights", message.into());
    }
    if !(0.0..=1.0).contains(&request.diversity) {
        let message = format!("`diversity` is {}; it must be from 0 to 1", request.diversity);
        return invalid("invalid_diversity", "diversity", message);
    }
    Ok(())
}

/// A filter on a field that no document has is most often a misspelt one.
fn warnings(collection: &Collection, filter: &Filter) -> Vec<Warning> {
    let missing = |field: &&str| collection.matching(&|metadata| Filter::has(metadata, field)).is_empty();
    filter
        .fields()
        .into_iter()
        .filter(missing)
        .map(|field| Warning {
            code: "unknown_field",
            message: format!("no document of the collection has the metadata field `{field}`"),
        })
        .collect()
}

fn result(hit: Hit) -> SearchResult {
    let scores = [("lexical", hit.lexical), ("dense", hit.dense)];
    let scores: BTreeMap<&'static str, f64> =
        scores.into_iter().filter_map(|(name, score)| Some((name, f64::from(score?)))).collect();
    let chunk_id = hit.chunk.id();
    let (document, chunk) = (hit.chunk.document, hit.chunk.chunk);
    SearchResult {
        document_id: document.id,
        chunk_id,
        title: document.title,
        headings: chunk.headings,
        text: hit.chunk.text,
        range: [chunk.range.start, chunk.range.end],
        metadata: document.metadata,
        score: hit.score,
        scores,
    }
}
