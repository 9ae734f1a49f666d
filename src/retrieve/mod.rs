//! Finding chunks: by words, by vectors, or by both.

mod fuse;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use crate::index::Filter;
pub use fuse::{Candidate, cosine, maximal_marginal_relevance, reciprocal_rank_fusion};

use crate::index::{ChunkHit, DocumentStore, IndexError, Lookup, Rankings, Scored};

/// Chunks of each ranking that a fusion looks at, at least.
const DEPTH: usize = 50;

/// The ranking that a search uses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// Words, by BM25.
    Lexical,
    /// Meaning, by the cosine of the embedder's vectors.
    Dense,
    /// Both rankings, combined by reciprocal rank fusion.
    #[default]
    Hybrid,
}

/// The weights of the rankings in a fusion.
///
/// Recall of the passage that answers among all 2,600 of `data/nq`, 1,500 questions, at 1, 5 and 10, by rank offset and
/// weight of the ranking by words; by vectors alone it is 0.899, 0.989 and 0.993, by words alone 0.760, 0.921, 0.951
/// (0.765, 0.927, 0.953 since function words are not looked up, which left the default's row as it is):
///
/// | | 0.1 | 0.3 | 0.5 |
/// |---|---|---|---|
/// | offset 60 | 0.887, 0.991, 0.995 | 0.877, 0.985, 0.995 | 0.869, 0.978, 0.991 |
/// | offset 10 | 0.899, 0.989, 0.995 | 0.887, 0.991, 0.995 | 0.877, 0.990, 0.996 |
/// | offset 1 | 0.899, 0.990, 0.994 | 0.899, 0.991, 0.995 | 0.894, 0.990, 0.995 |
///
/// The sum of the cosine and a tenth of BM25, scaled to 1 for the best, gives 0.901, 0.991 and 0.996.
///
/// What else was tried to have more of these passages first: the best sentence's cosine added (0.3 of it: 0.911),
/// titles and texts embedded apart (0.903), other spellings of the question (0.904), the likelihood of the question
/// after the passage (0.004 more at best, on 500 questions), and a logistic regression over 21 such features, by
/// cross-validation (0.907). Of the questions whose passage is not first, a third have an answer in what is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// The weight of the lexical ranking, at least 0.
    pub lexical: f64,
    /// The weight of the vector ranking, at least 0.
    pub dense: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { lexical: 0.3, dense: 1.0 }
    }
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The text of the query.
    pub text: &'a str,
    /// The embedding of the query; empty in a lexical search.
    pub vector: &'a [f32],
    /// The ranking that the search uses.
    pub mode: SearchMode,
    /// Most results.
    pub top_k: usize,
    /// The filter on documents.
    pub filter: Option<&'a Filter>,
    /// Results with a lower score are left out.
    pub min_score: Option<f64>,
    /// Weights of the fusion.
    pub weights: Weights,
    /// 0 to 1: how much a result that is like one before it is passed over.
    pub diversity: f64,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk.
    pub chunk: ChunkHit,
    /// The score that results are ranked by: BM25, the cosine, or the sum of the fusion.
    pub score: f64,
    /// BM25 score, where it was among the best by words.
    pub lexical: Option<f32>,
    /// Cosine, where it was among the best by vectors.
    pub dense: Option<f32>,
}

/// The best chunks for `query`, best first; the same for the same collection.
///
/// # Errors
/// The vector is not of the collection's width, or an index failed.
pub fn search(collection: &dyn DocumentStore, query: &Query<'_>) -> Result<Vec<Hit>, IndexError> {
    if query.top_k == 0 {
        return Ok(Vec::new());
    }
    let single = query.mode != SearchMode::Hybrid && query.diversity == 0.0;
    let lookup = Lookup {
        words: (query.mode != SearchMode::Dense).then_some(query.text),
        vector: (query.mode != SearchMode::Lexical).then_some(query.vector),
        depth: if single { query.top_k } else { DEPTH.max(3 * query.top_k) },
        filter: query.filter,
    };
    let Rankings { words, vectors } = collection.rank(&lookup)?;
    let mut ranking: Vec<(u64, f64)> = match query.mode {
        SearchMode::Lexical => widened(&words),
        SearchMode::Dense => widened(&vectors),
        SearchMode::Hybrid => {
            reciprocal_rank_fusion(&[(&words, query.weights.lexical), (&vectors, query.weights.dense)])
        }
    };
    ranking.retain(|&(_, score)| query.min_score.is_none_or(|least| score >= least));
    if query.diversity > 0.0 {
        ranking = diversified(collection, &ranking, query)?;
    }
    ranking.truncate(query.top_k);
    hits(collection, &ranking, &words, &vectors)
}

fn widened(scored: &[Scored]) -> Vec<(u64, f64)> {
    scored.iter().map(|&(number, score)| (number, f64::from(score))).collect()
}

fn diversified(
    collection: &dyn DocumentStore,
    ranking: &[(u64, f64)],
    query: &Query<'_>,
) -> Result<Vec<(u64, f64)>, IndexError> {
    let numbers: Vec<u64> = ranking.iter().map(|&(number, _)| number).collect();
    let (there, candidates): (Vec<(u64, f64)>, Vec<Candidate>) = ranking
        .iter()
        .zip(collection.vectors(&numbers)?)
        .filter_map(|(&(number, score), vector)| {
            Some(((number, score), Candidate { score, vector: vector? }))
        })
        .unzip();
    let chosen = maximal_marginal_relevance(&candidates, query.top_k, query.diversity);
    Ok(chosen.into_iter().map(|i| there[i]).collect())
}

fn hits(
    collection: &dyn DocumentStore,
    ranking: &[(u64, f64)],
    words: &[Scored],
    vectors: &[Scored],
) -> Result<Vec<Hit>, IndexError> {
    let numbers: Vec<u64> = ranking.iter().map(|&(number, _)| number).collect();
    let scores: HashMap<u64, f64> = ranking.iter().copied().collect();
    let score_in = |scored: &[Scored], number| {
        scored.iter().find(|&&(other, _)| other == number).map(|&(_, score)| score)
    };
    let chunks = collection.chunks(&numbers)?.into_iter();
    Ok(chunks
        .map(|chunk| Hit {
            score: scores[&chunk.number],
            lexical: score_in(words, chunk.number),
            dense: score_in(vectors, chunk.number),
            chunk,
        })
        .collect())
}
