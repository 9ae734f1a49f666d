//! Requests and answers about collections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::files::kind::FileKind;
use crate::engine::api::{Timing, Warning};
use crate::index::Metadata;
pub use crate::index::{WordLanguage, WordSettings};
use crate::retrieve::{Filter, SearchMode, Weights};
use crate::text::{ChunkSettings, Layout};

/// Body of `PUT /v1/collections/{name}`.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateRequest {
    /// The settings for chunking documents. It cannot be changed later.
    pub chunking: ChunkSettings,
    /// The settings for searching words. It cannot be changed later.
    pub words: WordSettings,
}

/// A collection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CollectionInfo {
    /// The name.
    pub name: String,
    /// Model that makes its vectors.
    pub embedder: String,
    /// Values in a vector.
    pub dimensions: usize,
    /// The settings for chunking documents.
    pub chunking: ChunkSettings,
    /// The settings for searching words.
    pub words: WordSettings,
    /// Documents in it.
    pub documents: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Batches of changes that were acknowledged so far.
    pub epoch: u64,
    /// State of its indexes.
    pub index: IndexInfo,
    /// Bytes of its files.
    pub bytes: u64,
    /// The descriptions of damage that was found and repaired on opening.
    pub mended: Vec<String>,
}

/// State of the indexes of a collection.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct IndexInfo {
    /// Chunks that can be found by words.
    pub lexical: u64,
    /// Chunks that the dense index has links for.
    pub linked: usize,
    /// Linked chunks that are gone; past a fifth the links are made anew.
    pub dead: usize,
    /// Chunks that the dense index compares one by one.
    pub fresh: usize,
}

/// Answer of `GET /v1/collections`.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct CollectionList {
    /// All collections that can be read, by name.
    pub collections: Vec<CollectionInfo>,
    /// The collections that cannot be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// A collection that cannot be read.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Unreadable {
    /// The name.
    pub name: String,
    /// The cause.
    pub reason: String,
}

/// Body of `POST /v1/collections/{name}/documents`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpsertRequest {
    /// Stored together or not at all; each takes the place of the one with its id, if there is one.
    pub documents: Vec<SourceDocument>,
    /// Are chunks scored too, those of documents that were stored before included? Their likelihoods are kept on disk, so
    /// that compressing what a search finds takes no model later, where the method has no use for the question.
    #[serde(default)]
    pub score: bool,
}

/// A document to store.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceDocument {
    /// Unique in its collection, at most 512 bytes; by default a hash of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Searched for as the text is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text, which chunks and citations are ranges of.
    pub text: String,
    /// Free data, which filters look at.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Metadata,
    /// The layout of the text.
    #[serde(default)]
    pub layout: Layout,
}

/// A file that is to be a document.
#[derive(Debug, Clone)]
pub struct SourceFile<'a> {
    /// The id, like [`SourceDocument::id`], but required.
    pub id: String,
    /// The format of the file.
    pub kind: FileKind,
    /// Whether navigation, notices about cookies and footers of an HTML page are kept.
    pub whole: bool,
    /// All of it.
    pub bytes: &'a [u8],
    /// The title; by default the file's own.
    pub title: Option<String>,
    /// The metadata, like [`SourceDocument::metadata`].
    pub metadata: Metadata,
    /// Whether to score the chunks, like [`UpsertRequest::score`].
    pub score: bool,
}

/// The options for importing documents in JSONL.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// The treatment of a line that is no document.
    pub on_bad: OnBad,
    /// Whether to score the chunks, like [`UpsertRequest::score`].
    pub score: bool,
}

/// The treatment of a line, or a file, that is no document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnBad {
    /// Store nothing: all input is checked first
    #[default]
    Refuse,
    /// Name it and store the rest
    Skip,
}

/// The result of storing documents.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct UpsertResponse {
    /// Documents that are new.
    pub added: usize,
    /// Documents that took the place of others with their ids.
    pub updated: usize,
    /// Documents that were stored already, just as they are.
    pub unchanged: usize,
    /// Chunks of those that were stored now.
    pub chunks: usize,
    /// Chunks that were asked to be scored and had not been before.
    pub scored: usize,
    /// Ids, in the order sent, each once.
    pub ids: Vec<String>,
    /// Lines of JSONL that are no documents and were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<BadLine>,
    /// Milliseconds by stage: `parse` (of a file), `chunk`, `embed`, `score`, `store`.
    pub timing_ms: Timing,
}

/// A line that is no document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BadLine {
    /// The line number, from 1; empty lines count.
    pub line: usize,
    /// The description of the fault.
    pub reason: String,
}

/// Body of `POST /v1/collections/{name}/delete`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    /// Documents by id; those that do not exist are passed over. Give this or `filter`.
    pub ids: Option<Vec<String>>,
    /// Documents by metadata. Give this or `ids`. A field that no document has is refused where a document meets the
    /// filter by not having it, as under `not`: misspelt, it would mean them all.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Filter>,
}

/// Answer to a deletion.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct DeleteResponse {
    /// Documents that are gone now.
    pub deleted: usize,
    /// The warnings for the caller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A document as it is stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DocumentInfo {
    /// Unique in its collection.
    pub id: String,
    /// The title as given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text as given.
    pub text: String,
    /// The metadata as given.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Metadata,
    /// The layout as given.
    pub layout: Layout,
}

/// Some of a collection's documents, in the order in which they were stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DocumentPage {
    /// The documents.
    pub documents: Vec<DocumentInfo>,
    /// The `from` of the next page; none at the end.
    pub next: Option<u64>,
}

/// Body of `POST /v1/collections/{name}/search`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The query. In a prompt's `search` it may be left out.
    #[serde(default)]
    pub query: String,
    /// The ranking to search by.
    #[serde(default)]
    pub mode: SearchMode,
    /// Most results, 1 to 1,000.
    #[serde(default = "default_top_k")]
    pub top_k: usize,
    /// The filter on documents by metadata: `{"field": "year", "gte": 1990}`, with `eq`, `in`, `gt`, `gte`, `lt`,
    /// `lte`, `exists`; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Filter>,
    /// Results with a lower `score` are left out.
    pub min_score: Option<f64>,
    /// The weights of the rankings in `hybrid`, at least 0.
    #[serde(default)]
    pub weights: Weights,
    /// 0 to 1: how much a result that is like one before it is passed over.
    #[serde(default)]
    pub diversity: f64,
    /// The number of best results to rerank, at most 100. 0, the default, leaves the order alone.
    #[serde(default)]
    pub rerank: usize,
    /// The model that reranks.
    #[serde(default)]
    pub rerank_by: RerankBy,
    /// Milliseconds that this may take; if it takes longer the order stays, and a warning says so. A model that no
    /// request has needed before is waited for all the same.
    pub rerank_deadline_ms: Option<u64>,
}

/// The model that reranks results.
///
/// Of the 1,500 questions of `data/nq` relevance raises recall at 1 from 0.899 to 0.907 for 20 results. Likelihood costs
/// the scorer all their tokens and has not paid so far: of 40 of the questions it puts the right passage first 23 times,
/// where both relevance and the search itself do 35 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RerankBy {
    /// The relevance to the query as `POST /v1/rerank` judges it: by the reranker where one is configured, else of document
    /// and sentences by the embedder and BM25.
    #[default]
    Relevance,
    /// The likelihood of the query after the document, by the scorer (arXiv 2310.06839).
    Likelihood,
}

const fn default_top_k() -> usize {
    10
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            query: String::new(),
            mode: SearchMode::default(),
            top_k: default_top_k(),
            filter: None,
            min_score: None,
            weights: Weights::default(),
            diversity: 0.0,
            rerank: 0,
            rerank_by: RerankBy::default(),
            rerank_deadline_ms: None,
        }
    }
}

/// Answer of `POST /v1/collections/{name}/search`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchResponse {
    /// The best chunks, best first.
    pub results: Vec<SearchResult>,
    /// The warnings for the caller.
    pub warnings: Vec<Warning>,
    /// Milliseconds by stage: `embed`, `search`, `rerank`.
    pub timing_ms: Timing,
}

/// A chunk that was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchResult {
    /// Document that it is a part of.
    pub document_id: String,
    /// The document's id, `#` and its place among the document's chunks, from 0.
    pub chunk_id: String,
    /// Title of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Headings that it stands under, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// The text of the chunk; where it begins inside a table, the table's header precedes it on a line of its own.
    pub text: String,
    /// The byte range in the document's text, without the header.
    pub range: [usize; 2],
    /// The byte range of the header, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<[usize; 2]>,
    /// Metadata of the document.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Metadata,
    /// The score that results are ranked by: BM25 (`lexical`), the cosine (`dense`), or the sum of weight / (1 + rank)
    /// (`hybrid`).
    pub score: f64,
    /// The scores by `lexical` and `dense`, where it was among the best by them, and by `rerank`, 0 to 1, where it was
    /// put in order anew: by likelihood that is the probability of a token of the query, in the geometric mean.
    pub scores: BTreeMap<&'static str, f64>,
}

impl SearchResult {
    /// The text at [`SearchResult::range`] alone.
    pub(in crate::engine) fn own_text(&self) -> &str {
        let [start, end] = self.range;
        &self.text[self.text.len().saturating_sub(end - start)..]
    }
}
