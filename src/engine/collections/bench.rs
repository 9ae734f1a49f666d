//! `bench retrieval`: what searches find, how fast, and how that holds for many chunks.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::api::{CreateRequest, SearchRequest, SourceDocument, UpsertRequest};
use crate::engine::bench::Percentiles;
use crate::engine::{Engine, EngineError, milliseconds_since};
use crate::index::{
    Batch, CollectionStore, DataDir, DocumentStore, Lookup, Metadata, NewChunk, NewDocument, Scored,
    Settings, StoredChunk,
};
use crate::model::{Cancel, Embedder as _};
use crate::random::Random;
use crate::retrieve::{self, Query, SearchMode, Weights};
use crate::telemetry::resident_bytes;
use crate::text::{ChunkSettings, Layout, contains};

/// Documents that are stored together.
const BATCH: usize = 128;
/// The number of documents in a batch where nothing has to be embedded.
const LARGE_BATCH: usize = 1000;
/// Results of a search.
const TOP_K: usize = 10;
/// Results that are put in order anew, in one of the ways to search.
const RERANKED: usize = 20;
/// Clients that search at once.
const CLIENTS: usize = 4;
/// Queries that are also answered by comparing with each chunk.
const COMPARED: usize = 200;
/// The distance that vectors are moved for chunks that resemble others: the cosine to the original is 1 / sqrt(1 +
/// this^2).
const MOVED: f32 = 0.5;

/// A question and the document that answers it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The question.
    pub question: String,
    /// Id of the document.
    pub gold: String,
    /// Right answers, where they are known: another document may hold one, too.
    pub answers: Vec<String>,
}

/// The documents to search and the questions to search for.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Documents with ids.
    pub passages: &'a [SourceDocument],
    /// The questions, at least one.
    pub questions: &'a [Judged],
}

/// The quality and speed of the search.
#[derive(Debug, Clone, Serialize)]
pub struct QualityReport {
    /// Documents that were ingested.
    pub documents: usize,
    /// Chunks of them.
    pub chunks: usize,
    /// Chunks that were cut, embedded and stored in a second.
    pub chunks_per_second: f64,
    /// One row for each way to search, as it is right after ingestion.
    pub rows: Vec<QualityRow>,
    /// Share of the ten nearest chunks that a search by vectors finds by way of links, once all chunks are linked.
    pub linked_recall_at_10: f64,
}

/// The recall: how often the right document is among the first.
#[derive(Debug, Clone, Serialize)]
pub struct QualityRow {
    /// The ranking that was searched by.
    pub mode: SearchMode,
    /// Weight of the ranking by words against 1 for that by vectors, where both were used.
    pub lexical_weight: Option<f64>,
    /// Results that were put in order anew.
    pub reranked: usize,
    /// Share of the questions whose document is the first one.
    pub recall_at_1: f64,
    /// Share of the questions whose document is among the first five.
    pub recall_at_5: f64,
    /// Share of the questions whose document is among the first ten.
    pub recall_at_10: f64,
    /// Share of the questions with known answers of which the first result holds one.
    pub answered_at_1: Option<f64>,
    /// Milliseconds of a search, one at a time, without the embedding of the question.
    pub milliseconds: Percentiles,
}

/// The performance of a collection of many chunks.
#[derive(Debug, Clone, Serialize)]
pub struct ScaleReport {
    /// Chunks in it: passages with some words changed, their vectors moved by as much at random.
    pub chunks: usize,
    /// Chunks stored in a second, without embedding and links.
    pub stored_per_second: f64,
    /// Seconds for the links of all.
    pub link_seconds: f64,
    /// Seconds to open it after a clean stop.
    pub open_seconds: f64,
    /// Share of the ten nearest chunks that a search by vectors finds.
    pub recall_at_10: f64,
    /// Milliseconds of a search by vectors, four at a time.
    pub dense_milliseconds: Percentiles,
    /// Milliseconds of a hybrid search, four at a time.
    pub hybrid_milliseconds: Percentiles,
    /// Bytes of the process in memory while it is open, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

impl Engine {
    /// Ingests passages into a new collection and searches for the questions in each way; `lexical_weights` are tried
    /// in hybrid search.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn bench_quality(
        &self,
        task: Task<'_>,
        lexical_weights: &[f64],
    ) -> Result<QualityReport, EngineError> {
        const NAME: &str = "whittle-bench";
        self.collections().create(NAME, CreateRequest::default())?;
        let start = Instant::now();
        for documents in task.passages.chunks(BATCH) {
            self.collections().upsert(
                NAME,
                UpsertRequest { documents: documents.to_vec(), score: false },
                &Cancel::never(),
            )?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let info = self.collections().get(NAME)?;
        let ways = [(SearchMode::Lexical, None, 0), (SearchMode::Dense, None, 0)];
        let weighted = lexical_weights.iter().map(|&weight| (SearchMode::Hybrid, Some(weight), 0));
        let reranked = (SearchMode::Hybrid, Some(Weights::default().lexical), RERANKED);
        let rows = ways.into_iter().chain(weighted).chain([reranked]).map(|(mode, weight, rerank)| {
            let weights = weight.map_or_else(Weights::default, |lexical| Weights { lexical, dense: 1.0 });
            let request =
                SearchRequest { mode, weights, rerank, top_k: 2 * TOP_K, ..SearchRequest::default() };
            self.quality(NAME, task.questions, &request, weight)
        });
        let rows = rows.collect::<Result<_, _>>()?;
        let collection = self.collections.get(NAME)?;
        // So few chunks are compared one by one otherwise.
        collection.optimise()?;
        let questions: Vec<&str> = task.questions.iter().map(|judged| judged.question.as_str()).collect();
        let report = QualityReport {
            documents: info.documents as usize,
            chunks: info.chunks as usize,
            chunks_per_second: info.chunks as f64 / seconds,
            rows,
            linked_recall_at_10: recall(&*collection, &self.vectors(&questions, &Cancel::never())?)?,
        };
        if self.collections.database().is_some() {
            self.collections().delete(NAME)?;
        }
        Ok(report)
    }

    fn quality(
        &self,
        name: &str,
        questions: &[Judged],
        request: &SearchRequest,
        lexical_weight: Option<f64>,
    ) -> Result<QualityRow, EngineError> {
        let (mut places, mut times, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        for Judged { question, gold, answers } in questions {
            let request = SearchRequest { query: question.clone(), ..request.clone() };
            let response = self.collections().search(name, &request, &Cancel::never())?;
            let stage = |name| response.timing_ms.stages.get(name).copied().unwrap_or_default();
            times.push(stage("search") + stage("rerank"));
            if !answers.is_empty() {
                answered.push(response.results.first().is_some_and(|first| contains(&first.text, answers)));
            }
            let mut documents: Vec<&str> = Vec::new();
            for result in &response.results {
                if !documents.contains(&result.document_id.as_str()) {
                    documents.push(&result.document_id);
                }
            }
            places.push(documents.iter().position(|id| id == gold));
        }
        let recall = |k: usize| {
            let found = places.iter().filter(|place| place.is_some_and(|place| place < k)).count();
            found as f64 / places.len() as f64
        };
        Ok(QualityRow {
            mode: request.mode,
            lexical_weight,
            reranked: request.rerank,
            recall_at_1: recall(1),
            recall_at_5: recall(5),
            recall_at_10: recall(10),
            answered_at_1: (!answered.is_empty()).then(|| {
                answered.iter().filter(|&&answered| answered).count() as f64 / answered.len() as f64
            }),
            milliseconds: percentiles(times)?,
        })
    }

    /// Fills a collection in `folder` with `chunks` chunks made from the passages, and searches it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn bench_scale(
        &self,
        task: Task<'_>,
        chunks: usize,
        folder: &Path,
    ) -> Result<ScaleReport, EngineError> {
        let embedder = self.models.embedder()?;
        let vectors = |texts: Vec<&str>| embedder.embed(&texts, &Cancel::never());
        let bases = vectors(task.passages.iter().map(|passage| passage.text.as_str()).collect())?;
        let queries = vectors(task.questions.iter().map(|judged| judged.question.as_str()).collect())?;
        let settings = Settings::new(embedder.name(), embedder.dimensions(), ChunkSettings::default())?;
        let name = "whittle-bench".parse()?;
        let data = self.scale_store(folder)?;
        let collection = data.create(&name, &settings)?;
        let stored_per_second = fill(&*collection, task.passages, &bases, chunks)?;
        let start = Instant::now();
        collection.optimise()?;
        let link_seconds = start.elapsed().as_secs_f64();
        drop((collection, data));
        let start = Instant::now();
        let data = self.scale_store(folder)?;
        let collection = data.get(&name)?;
        let open_seconds = start.elapsed().as_secs_f64();
        let dense = |i: usize| collection.rank(&by_vector(&queries[i])).map(drop);
        let hybrid = |i: usize| {
            let query = Query {
                text: &task.questions[i].question,
                vector: &queries[i],
                mode: SearchMode::Hybrid,
                top_k: TOP_K,
                filter: None,
                min_score: None,
                weights: Weights::default(),
                diversity: 0.0,
            };
            retrieve::search(&*collection, &query).map(drop)
        };
        let report = ScaleReport {
            chunks,
            stored_per_second,
            link_seconds,
            open_seconds,
            recall_at_10: recall(&*collection, &queries)?,
            dense_milliseconds: at_once(queries.len(), &dense)?,
            hybrid_milliseconds: at_once(queries.len(), &hybrid)?,
            resident_bytes: resident_bytes(std::process::id()),
            disk_bytes: collection.statistics()?.bytes,
        };
        if self.collections.database().is_some() {
            data.delete(&name)?;
        }
        Ok(report)
    }

    /// Returns where many chunks are stored: in the folder, which the caller removes, or in the database.
    fn scale_store(&self, folder: &Path) -> Result<Arc<dyn CollectionStore>, EngineError> {
        match self.collections.database() {
            Some(_) => self.collections.data(),
            None => Ok(Arc::new(DataDir::open(folder)?)),
        }
    }
}

/// Chunks stored in a second.
fn fill(
    collection: &dyn DocumentStore,
    passages: &[SourceDocument],
    bases: &[Vec<f32>],
    chunks: usize,
) -> Result<f64, EngineError> {
    let start = Instant::now();
    let numbers: Vec<usize> = (0..chunks).collect();
    for some in numbers.chunks(LARGE_BATCH) {
        let upsert = some.iter().map(|&i| like(i, passages, bases)).collect();
        collection.apply(&Batch { remove: Vec::new(), upsert })?;
    }
    Ok(chunks as f64 / start.elapsed().as_secs_f64())
}

/// The `i`th document: a passage in which every fifth word is one of another passage, and whose vector is moved.
fn like(i: usize, passages: &[SourceDocument], bases: &[Vec<f32>]) -> NewDocument {
    let place = i % passages.len();
    let mut random = Random::new(i as u64);
    let mut other = |word| {
        let words: Vec<&str> = passages[random.below(passages.len())].text.split_whitespace().collect();
        words.get(random.below(words.len().max(1))).copied().unwrap_or(word)
    };
    let words = passages[place].text.split_whitespace().enumerate();
    let text: Vec<&str> = words.map(|(j, word)| if j % 5 == i % 5 { other(word) } else { word }).collect();
    let text = text.join(" ");
    let range = 0..text.len();
    NewDocument {
        id: i.to_string(),
        title: passages[place].title.clone(),
        metadata: Metadata::new(),
        layout: Layout::Plain,
        hash: String::new(),
        chunks: vec![NewChunk {
            chunk: StoredChunk { range, headings: Vec::new(), header: None, tokens: 0 },
            vector: moved(&bases[place], &mut Random::new(!(i as u64))),
        }],
        text,
    }
}

/// A unit vector at an angle to `base` that is the same for all.
fn moved(base: &[f32], random: &mut Random) -> Vec<f32> {
    let noise: Vec<f32> = base.iter().map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
    let length = norm(&noise);
    let values: Vec<f32> =
        base.iter().zip(&noise).map(|(base, noise)| base + MOVED * noise / length).collect();
    let length = norm(&values);
    values.iter().map(|value| value / length).collect()
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// A search for the nearest chunks.
fn by_vector(query: &[f32]) -> Lookup<'_> {
    Lookup { words: None, vector: Some(query), depth: TOP_K, filter: None }
}

/// Share of the nearest chunks that a search finds.
fn recall(collection: &dyn DocumentStore, queries: &[Vec<f32>]) -> Result<f64, EngineError> {
    let (mut found, mut wanted) = (0, 0);
    for query in queries.iter().take(COMPARED) {
        let exact = collection.rank_exactly(query, TOP_K)?;
        let linked = collection.rank(&by_vector(query))?.vectors;
        let is_found = |&&(number, _): &&Scored| linked.iter().any(|&(other, _)| other == number);
        found += exact.iter().filter(is_found).count();
        wanted += exact.len();
    }
    Ok(f64::from(found as u32) / f64::from(wanted as u32))
}

/// Times of `search` for all of `count` queries, by several clients at once.
fn at_once<E: Send>(
    count: usize,
    search: &(dyn Fn(usize) -> Result<(), E> + Sync),
) -> Result<Percentiles, EngineError>
where
    EngineError: From<E>,
{
    let client = |first: usize| -> Result<Vec<f64>, E> {
        let times = (first..count).step_by(CLIENTS).map(|i| {
            let start = Instant::now();
            search(i).map(|()| milliseconds_since(start))
        });
        times.collect()
    };
    let times: Vec<Result<Vec<f64>, E>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || client(first))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let times: Vec<Vec<f64>> = times.into_iter().collect::<Result<_, _>>()?;
    percentiles(times.concat())
}

fn percentiles(times: Vec<f64>) -> Result<Percentiles, EngineError> {
    let none = || EngineError::invalid("no_questions", "questions", "there is no question to search for");
    Percentiles::of(times).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_vectors_are_near_and_of_length_1() {
        let base: Vec<f32> = (0..384).map(|i| if i == 7 { 1.0 } else { 0.0 }).collect();
        let moved = moved(&base, &mut Random::new(3));
        assert!((norm(&moved) - 1.0).abs() < 1e-5);
        let wanted = 1.0 / (1.0 + MOVED * MOVED).sqrt();
        assert!((moved[7] - wanted).abs() < 0.1, "{}", moved[7]);
        assert_eq!(moved, super::moved(&base, &mut Random::new(3)));
    }
}
