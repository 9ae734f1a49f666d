//! Search in a collection: by vectors through the HNSW index, by words by BM25.

use std::fmt::Write as _;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Collection, is_indexed};
use crate::index::lexical::words_of;
use crate::index::postgres::filter::{self, Texts};
use crate::index::postgres::link::{Parameter, Session};
use crate::index::postgres::numbers::{bigint, column};
use crate::index::postgres::terms;
use crate::index::{Filter, IndexError, Lookup, Rankings, Scored};

/// Candidates that a walk through the index keeps, at least and at most.
const BREADTH: [usize; 2] = [300, 1000];
/// Chunks beyond those asked for that are compared by their whole vectors: the index has them in half precision.
const SPARE: usize = 10;
/// Chunks that are compared one by one, if a filter leaves no more.
const EXACT: i64 = 2_000;
/// A filter that leaves fewer than one chunk in so many is searched one by one.
const SELECTIVE: i64 = 8;
/// Chunks that are ranked by words, about: where the rare words of a query have as many, those with its frequent words
/// alone are left out.
const CANDIDATES: i64 = 3_000;
/// Chunks that are ranked by words at most, those with rare words first. Past that the word is in so many that it tells
/// little: of the ten best of 200 questions among 100,000 chunks 99.9% are those that 20,000 give.
const MOST_CANDIDATES: i64 = 5_000;
/// Words of a query that chunks are ranked by at most, the rarest ones.
const MOST_WORDS: usize = 100;

/// Ranks chunks by words, by vectors or by both.
pub(super) async fn rank(
    session: &Session,
    collection: &Collection,
    lookup: &Lookup<'_>,
) -> Result<Rankings, IndexError> {
    let totals = totals(session, collection, lookup.filter).await?;
    let mut rankings = Rankings::default();
    if totals.allowed == 0 {
        return Ok(rankings);
    }
    if let Some(text) = lookup.words {
        rankings.words = by_words(session, collection, text, lookup, &totals).await?;
    }
    if let Some(vector) = lookup.vector {
        rankings.vectors = by_vector(session, collection, vector, lookup, &totals).await?;
    }
    Ok(rankings)
}

/// Ranks chunks by comparing the vector with each.
pub(super) async fn exactly(
    session: &Session,
    collection: &Collection,
    vector: &[f32],
    k: usize,
) -> Result<Vec<Scored>, IndexError> {
    compared(session, collection, vector, k, None).await
}

/// The chunks that there are.
struct Totals {
    chunks: i64,
    /// Words of all chunks.
    words: i64,
    /// Chunks of documents that meet the filter.
    allowed: i64,
}

async fn totals(
    session: &Session,
    collection: &Collection,
    filter: Option<&Filter>,
) -> Result<Totals, IndexError> {
    let mut texts = Texts::behind(1);
    let allowed = if filter.is_none() {
        "chunks".to_owned()
    } else {
        let (id, condition) = (collection.id, filter::condition(filter, &mut texts)?);
        format!("(SELECT coalesce(sum(d.chunks), 0)::bigint FROM documents_{id} AS d WHERE {condition})")
    };
    let totals = format!("SELECT chunks, words, {allowed} FROM collections WHERE id = $1");
    let parameters = parameters(vec![(&collection.id, Type::INT8)], &texts);
    let row = session.first(&totals, &parameters).await?.ok_or_else(|| collection.gone())?;
    Ok(Totals { chunks: column(&row, 0)?, words: column(&row, 1)?, allowed: column(&row, 2)? })
}

/// Parameters of a statement, and behind them those of its filter.
fn parameters<'a>(mut own: Vec<Parameter<'a>>, texts: &'a Texts) -> Vec<Parameter<'a>> {
    own.extend(texts.parameters());
    own
}

/// The condition on rows of `table` that belong to documents which meet the filter.
fn of_allowed(
    collection: &Collection,
    table: &str,
    filter: Option<&Filter>,
    texts: &mut Texts,
) -> Result<String, IndexError> {
    if filter.is_none() {
        return Ok("true".into());
    }
    let condition = filter::condition(filter, texts)?;
    let id = collection.id;
    Ok(format!("EXISTS (SELECT FROM documents_{id} AS d WHERE d.first = {table}.document AND {condition})"))
}

fn scored(rows: &[Row]) -> Result<Vec<Scored>, IndexError> {
    rows.iter().map(|row| Ok((column::<i64>(row, 0)?.cast_unsigned(), column(row, 1)?))).collect()
}

async fn by_vector(
    session: &Session,
    collection: &Collection,
    vector: &[f32],
    lookup: &Lookup<'_>,
    totals: &Totals,
) -> Result<Vec<Scored>, IndexError> {
    let few = totals.allowed <= EXACT || totals.allowed * SELECTIVE < totals.chunks;
    if few || !is_indexed(collection.dimensions()) {
        return compared(session, collection, vector, lookup.depth, lookup.filter).await;
    }
    let found = linked(session, collection, vector, lookup).await?;
    let wanted = lookup.depth.min(totals.allowed as usize);
    if found.len() < wanted {
        return compared(session, collection, vector, lookup.depth, lookup.filter).await;
    }
    Ok(found)
}

/// Chunks that are found by way of links, in the order of their whole vectors.
async fn linked(
    session: &Session,
    collection: &Collection,
    vector: &[f32],
    lookup: &Lookup<'_>,
) -> Result<Vec<Scored>, IndexError> {
    let (id, width, [least, most]) = (collection.id, collection.dimensions(), BREADTH);
    let breadth = (2 * lookup.depth).clamp(least, most);
    session
        .batch(&format!("SET LOCAL hnsw.ef_search = {breadth}; SET LOCAL hnsw.iterative_scan = strict_order"))
        .await?;
    let (limit, candidates) = (bigint(lookup.depth), bigint(lookup.depth + SPARE));
    let mut texts = Texts::behind(3);
    let allowed = of_allowed(collection, "c", lookup.filter, &mut texts)?;
    let nearest = format!(
        "SELECT number, (-(embedding <#> $1::vector({width})))::real FROM (
            SELECT number, embedding FROM chunks_{id} AS c WHERE {allowed}
            ORDER BY embedding::halfvec({width}) <#> $1::vector({width})::halfvec({width}) LIMIT $2
         ) AS nearest ORDER BY embedding <#> $1::vector({width}), number LIMIT $3"
    );
    let own: Vec<Parameter<'_>> =
        vec![(&vector, Type::FLOAT4_ARRAY), (&candidates, Type::INT8), (&limit, Type::INT8)];
    scored(&session.query(&nearest, &parameters(own, &texts)).await?)
}

/// Chunks that are compared one by one.
async fn compared(
    session: &Session,
    collection: &Collection,
    vector: &[f32],
    k: usize,
    filter: Option<&Filter>,
) -> Result<Vec<Scored>, IndexError> {
    let (id, width) = (collection.id, collection.dimensions());
    let limit = bigint(k);
    let mut texts = Texts::behind(2);
    let allowed = of_allowed(collection, "c", filter, &mut texts)?;
    let nearest = format!(
        "SELECT number, (-(embedding <#> $1::vector({width})))::real FROM chunks_{id} AS c WHERE {allowed} \
         ORDER BY embedding <#> $1::vector({width}), number LIMIT $2"
    );
    let own: Vec<Parameter<'_>> = vec![(&vector, Type::FLOAT4_ARRAY), (&limit, Type::INT8)];
    scored(&session.query(&nearest, &parameters(own, &texts)).await?)
}

/// The words of a query that chunks have.
#[derive(Debug, Default)]
struct Words {
    /// The rarest of them, each as a `tsquery` with its weight.
    weighed: Vec<(String, f64)>,
    /// A `tsquery` of those whose chunks are all ranked.
    rare: Option<String>,
    /// A `tsquery` of those that as many chunks more are ranked by as there is room for.
    rest: Option<String>,
}

async fn words(
    session: &Session,
    collection: &Collection,
    text: &str,
    lookup: &Lookup<'_>,
    totals: &Totals,
) -> Result<Words, IndexError> {
    let words: Vec<String> = words_of(collection.words(), text).into_iter().collect();
    let count = format!(
        "SELECT word, chunks FROM counts_{} WHERE word = ANY ($1) AND chunks > 0 ORDER BY chunks, word LIMIT {MOST_WORDS}",
        collection.id
    );
    let rows = session.query(&count, &[(&words, Type::TEXT_ARRAY)]).await?;
    let (mut found, mut candidates) = (Words::default(), 0);
    let wanted = CANDIDATES.max(bigint(4 * lookup.depth));
    for row in &rows {
        let (word, chunks): (&str, i64) = (column(row, 0)?, column(row, 1)?);
        let query = terms::query(word);
        if candidates < wanted || lookup.filter.is_some() {
            let fits = candidates + chunks <= MOST_CANDIDATES;
            let any = if fits { &mut found.rare } else { &mut found.rest };
            match any {
                // Writing to a string cannot fail.
                Some(any) => write!(any, " | {query}").unwrap_or_default(),
                None => *any = Some(query.clone()),
            }
        }
        candidates += chunks;
        found.weighed.push((query, inverse_frequency(totals.chunks, chunks)));
    }
    Ok(found)
}

async fn by_words(
    session: &Session,
    collection: &Collection,
    text: &str,
    lookup: &Lookup<'_>,
    totals: &Totals,
) -> Result<Vec<Scored>, IndexError> {
    let Words { weighed, rare, rest } = words(session, collection, text, lookup, totals).await?;
    if weighed.is_empty() {
        return Ok(Vec::new());
    }
    let limit = bigint(lookup.depth);
    let average = (totals.words as f64 / totals.chunks.max(1) as f64).max(1.0);
    let mut own: Vec<Parameter<'_>> =
        vec![(&rare, Type::TEXT), (&rest, Type::TEXT), (&average, Type::FLOAT8), (&limit, Type::INT8)];
    let parts: Vec<String> =
        weighed.iter().zip(own.len() + 1..).map(|((_, weight), place)| part(*weight, place)).collect();
    own.extend(weighed.iter().map(|(query, _)| (query as _, Type::TEXT)));
    let mut texts = Texts::behind(own.len());
    let allowed = of_allowed(collection, "w", lookup.filter, &mut texts)?;
    // `OFFSET 0` keeps the score one expression, which is computed once for each chunk. Of no words at all, which is
    // null, there are no chunks.
    let best = format!(
        "SELECT number, score FROM (
            SELECT number, ({score})::real AS score FROM (
                SELECT number, words, 1.2::float8 * (0.25::float8 + 0.75::float8 * length / $3::float8) AS share FROM (
                    (SELECT number, length, words FROM words_{id} AS w
                        WHERE words @@ $1::tsquery AND {allowed} LIMIT {MOST_CANDIDATES})
                    UNION ALL
                    (SELECT number, length, words FROM words_{id} AS w
                        WHERE words @@ $2::tsquery AND (words @@ $1::tsquery) IS NOT TRUE AND {allowed}
                        LIMIT {MOST_CANDIDATES})
                    LIMIT {MOST_CANDIDATES}
                ) AS w
            ) AS shared OFFSET 0
         ) AS scored ORDER BY score DESC, number LIMIT $4",
        score = parts.join(" + "),
        id = collection.id
    );
    scored(&session.query(&best, &parameters(own, &texts)).await?)
}

/// The part of BM25, with k1 = 1.2 and b = 0.75, of the word in the parameter at `place`, in chunks whose length makes
/// the `share`.
///
/// `ts_rank` of one word that is there n times is the sum of 1 / i² for i from 1 to n, over that without end, and from it
/// n is known.
fn part(weight: f64, place: usize) -> String {
    let often = format!(
        "round(1 / (1.64493406685::float8 * greatest(1 - ts_rank('{{1,1,1,1}}', words, ${place}::tsquery)::float8, 1e-6)) - 0.5)"
    );
    format!("coalesce({weight:?}::float8 * 2.2 / (1 + share / nullif({often}, 0)), 0)")
}

/// The weight of a word that is in `with` of all chunks.
fn inverse_frequency(all: i64, with: i64) -> f64 {
    let (all, with) = (all as f64, with as f64);
    ((all - with + 0.5) / (with + 0.5)).max(0.0).ln_1p()
}
