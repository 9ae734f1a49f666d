//! Search in a collection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Collections;
use super::api::{RerankBy, SearchRequest, SearchResponse, SearchResult};
use crate::compress::{self, CompressError, Document, Prompt};
use crate::engine::api::{Timing, Warning};
use crate::engine::models::Embedder;
use crate::engine::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::index::{DocumentStore, IndexError};
use crate::model::{Cancel, Embedder as _, ScoreError};
use crate::retrieve::{self, Filter, Hit, Query, SearchMode};

/// Most results.
const MOST: usize = 1000;
/// Most results that are put in order anew.
const MOST_RERANKED: usize = 100;
/// Longest query, in bytes: it is embedded whole.
const QUERY_BYTES: usize = 64 << 10;

impl Collections<'_> {
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
        let collection = self.engine.collections.get(name)?;
        let vector = match request.mode {
            SearchMode::Lexical => Vec::new(),
            SearchMode::Dense | SearchMode::Hybrid => {
                let embedder = self.engine.embedder_of(&*collection)?;
                embedder.embed_query(&request.query, cancel)?
            }
        };
        let mut timing = Timing::default();
        timing.stages.insert("embed", milliseconds_since(start));
        let searched = Instant::now();
        let query = Query {
            text: &request.query,
            vector: &vector,
            mode: request.mode,
            top_k: request.top_k.max(request.rerank),
            filter: request.filter.as_ref(),
            min_score: request.min_score,
            weights: request.weights,
            diversity: request.diversity,
        };
        let hits = retrieve::search(&*collection, &query)?;
        timing.stages.insert("search", milliseconds_since(searched));
        let filter = request.filter.as_ref();
        let unknown = filter.map(|filter| unknown_fields(&*collection, filter)).transpose()?;
        let mut warnings: Vec<Warning> = unknown.into_iter().flatten().map(unknown_field).collect();
        let mut results: Vec<SearchResult> = hits.into_iter().map(result).collect();
        if request.rerank > 0 {
            let reranked = Instant::now();
            warnings.extend(self.rerank_results(request, &mut results, cancel)?);
            timing.stages.insert("rerank", milliseconds_since(reranked));
        }
        results.truncate(request.top_k);
        timing.total = milliseconds_since(start);
        Ok(SearchResponse { results, warnings, timing_ms: timing })
    }

    /// Puts the first results in order anew.
    fn rerank_results(
        &self,
        request: &SearchRequest,
        results: &mut Vec<SearchResult>,
        cancel: &Cancel,
    ) -> Result<Vec<Warning>, EngineError> {
        let rest = results.split_off(request.rerank.min(results.len()));
        let document = |(i, result): (usize, &SearchResult)| Document {
            id: i.to_string(),
            title: result.title.clone(),
            text: result.text.clone(),
        };
        let documents = results.iter().enumerate().map(document).collect();
        let prompt = Prompt { documents, question: request.query.clone(), ..Prompt::default() };
        let time = request.rerank_deadline_ms.map(Duration::from_millis);
        let own = time.map_or_else(|| cancel.clone(), |time| cancel.within(time));
        let in_time = |ranking: Result<Vec<(usize, f64)>, CompressError>| match ranking {
            Err(CompressError::Score(ScoreError::Stopped(_))) if cancel.check().is_ok() => Ok(None),
            ranking => ranking.map(Some),
        };
        let models = &self.engine.models;
        let (ranking, other) = match (request.rerank_by, models.reranker_name()) {
            (RerankBy::Relevance, Some(_)) => models.rerank_whole(|reranker| match reranker {
                Some(reranker) => in_time(compress::rank_by_reranker(&prompt, reranker, &own)),
                None => Ok(None),
            })?,
            (RerankBy::Relevance, None) => {
                (in_time(compress::rank(&prompt, &*models.embedder()?, &own))?, None)
            }
            (RerankBy::Likelihood, _) => {
                let ranking = compress::rank_by_likelihood(&prompt, &*models.scorer()?, &own);
                let share = |(place, nll): (usize, f64)| (place, (-nll).exp());
                (in_time(ranking.map(|ranking| ranking.into_iter().map(share).collect()))?, None)
            }
        };
        let late = ranking.is_none().then(|| Warning {
            code: "rerank_late",
            message:
                "there was no time to put the results in order anew: raise `rerank_deadline_ms`, or lower \
                      `rerank`"
                    .into(),
        });
        let mut taken: Vec<Option<SearchResult>> = std::mem::take(results).into_iter().map(Some).collect();
        for (place, worth) in ranking.into_iter().flatten() {
            results.extend(taken[place].take().map(|mut result| {
                result.scores.insert("rerank", worth);
                result
            }));
        }
        results.extend(taken.into_iter().flatten().chain(rest));
        Ok(late.into_iter().chain(other).collect())
    }
}

impl Engine {
    /// The embedder, if it is the one that made the collection's vectors.
    pub(in crate::engine) fn embedder_of(
        &self,
        collection: &dyn DocumentStore,
    ) -> Result<Arc<Embedder>, EngineError> {
        let (embedder, settings) = (self.models.embedder()?, collection.settings());
        let same = embedder.name() == settings.embedder && embedder.dimensions() == settings.dimensions;
        if same && settings.identity.as_ref().is_none_or(|identity| identity == embedder.identity()) {
            return Ok(embedder);
        }
        let message = format!(
            "the vectors of `{}` were made by `{}` with {} values, and `embedder.model` is `{}` with {}{}: configure \
             that model, or export what is in it and store it anew under another name",
            collection.name(),
            settings.embedder,
            settings.dimensions,
            embedder.name(),
            embedder.dimensions(),
            if same { ", but other files or another server" } else { "" },
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
        let message = format!("`query` has {} bytes; at most {QUERY_BYTES} are allowed", request.query.len());
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
    if request.rerank > MOST_RERANKED {
        let message = format!("`rerank` is {}; it must be from 0 to {MOST_RERANKED}", request.rerank);
        return invalid("invalid_rerank", "rerank", message);
    }
    if request.rerank == 0 && request.rerank_by != RerankBy::default() {
        let message = "`rerank_by` is given, and `rerank`, how many results are put in order anew, is 0";
        return invalid("invalid_rerank", "rerank", message.into());
    }
    if !(0.0..=1.0).contains(&request.diversity) {
        let message = format!("`diversity` is {}; it must be from 0 to 1", request.diversity);
        return invalid("invalid_diversity", "diversity", message);
    }
    Ok(())
}

/// Fields of a filter that no document has. They are misspelt most often.
pub(super) fn unknown_fields<'a>(
    collection: &dyn DocumentStore,
    filter: &'a Filter,
) -> Result<Vec<&'a str>, IndexError> {
    let mut unknown = Vec::new();
    for field in filter.fields() {
        if !collection.has_field(field)? {
            unknown.push(field);
        }
    }
    Ok(unknown)
}

/// Says that no document has a field.
pub(super) fn unknown_field(field: &str) -> Warning {
    let message = format!("no document of the collection has the metadata field `{field}`");
    Warning { code: "unknown_field", message }
}

fn result(hit: Hit) -> SearchResult {
    let scores = [("lexical", hit.lexical), ("dense", hit.dense)];
    let scores: BTreeMap<&'static str, f64> =
        scores.into_iter().filter_map(|(name, score)| Some((name, f64::from(score?)))).collect();
    let (chunk_id, text) = (hit.chunk.id(), hit.chunk.readable());
    let (document, chunk) = (hit.chunk.document, hit.chunk.chunk);
    SearchResult {
        document_id: document.id,
        chunk_id,
        title: document.title,
        headings: chunk.headings,
        text,
        range: [chunk.range.start, chunk.range.end],
        header: chunk.header.map(|header| [header.start, header.end]),
        metadata: document.metadata,
        score: hit.score,
        scores,
    }
}
