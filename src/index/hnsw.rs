//! The graph of neighbours (HNSW). The only place that knows `hnsw_rs`.
//!
//! The crate holds row numbers alone, not vectors: its points are slices of one number, and a query is a longer slice,
//! which the distance below tells apart. So vectors are in memory in one block, and what the crate writes and reads back
//! is small. The graph is built and walked by vectors in 8 bits, and what is found is compared by the vectors
//! themselves.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hnsw_rs::prelude::{AnnT, Distance, Hnsw, HnswIo};
use rayon::prelude::*;

use super::vectors::{Codes, Vectors};

/// Links of a point on each layer, twice as many on the lowest.
const LINKS: usize = 24;
/// Candidates that are looked at for the links of a new point.
const CONSTRUCTION: usize = 200;
/// Layers at most, which is also the crate's own limit.
const LAYERS: usize = 16;
/// Points that are inserted one after the other before the rest is inserted in parallel: the first ones have too few
/// neighbours to be linked well by several threads at once.
const FIRST: usize = 1000;
/// Neighbours among which a point that was inserted must find itself.
const FINDABLE: usize = 10;

/// Names of the files, made by the crate from the base name.
const BASE: &str = "links";
pub(super) const FILES: [&str; 2] = ["links.hnsw.graph", "links.hnsw.data"];

/// 1 minus the product of unit vectors: from 0 for the same direction to 2.
struct RowDistance(Arc<Codes>);

impl Distance<u32> for RowDistance {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        let product = match (a, b) {
            (&[a], &[b]) => self.0.dot(a as usize, b as usize),
            (&[one], query) | (query, &[one]) => self.0.dot_query(one as usize, query),
            // Two queries are never compared.
            _ => 0.0,
        };
        // Rounding may give a little more than 1, which the crate takes for a broken promise.
        (1.0 - product).max(0.0)
    }
}

/// Links between the rows of vectors.
pub(super) struct Graph {
    links: Hnsw<'static, u32, RowDistance>,
    codes: Arc<Codes>,
    vectors: Arc<Vectors>,
}

impl Graph {
    /// Links all rows, at least one; also gives those that a search does not find, which must be compared one by one.
    /// None once `stop` says so.
    pub(super) fn build(vectors: &Arc<Vectors>, stop: &AtomicBool) -> Option<(Self, Vec<u32>)> {
        let (rows, codes) = (vectors.len(), Arc::new(Codes::of(vectors)));
        let links = Hnsw::new(LINKS, rows, LAYERS, CONSTRUCTION, RowDistance(Arc::clone(&codes)));
        let insert = |row: usize| {
            if !stop.load(Ordering::Relaxed) {
                links.insert((&[row as u32], row));
            }
        };
        (0..rows.min(FIRST)).for_each(insert);
        (rows.min(FIRST)..rows).into_par_iter().for_each(insert);
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let graph = Self { links, codes, vectors: Arc::clone(vectors) };
        let lost = |&row: &u32| {
            let found = graph.search(vectors.row(row as usize), FINDABLE, 4 * FINDABLE);
            !found.iter().any(|&(neighbour, _)| neighbour == row)
        };
        let lost = (0..rows as u32).into_par_iter().filter(lost).collect();
        Some((graph, lost))
    }

    /// About the `k` nearest rows, in no order, and their likeness, looking at `breadth` candidates. All values must be numbers.
    pub(super) fn search(&self, query: &[f32], k: usize, breadth: usize) -> Vec<(u32, f32)> {
        let found = self.links.search(&self.codes.query(query), k, breadth.max(k));
        let scored = |row: usize| (row as u32, self.vectors.dot(row, query));
        found.into_iter().map(|neighbour| scored(neighbour.d_id)).collect()
    }

    /// Writes [`FILES`] into `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<(), String> {
        self.links.file_dump(folder, BASE).map(drop).map_err(|error| error.to_string())
    }

    /// Reads what [`Graph::save`] wrote. The crate ends the process or panics where a file is not as it was written:
    /// compare the hashes first.
    pub(super) fn load(folder: &Path, vectors: &Arc<Vectors>) -> Result<Self, String> {
        // What is loaded borrows from its reader, in case that it maps files into memory, which is not done here. The
        // reader is a path and some flags, and there is one for each collection that is opened.
        let reader: &'static HnswIo = Box::leak(Box::new(HnswIo::new(folder, BASE)));
        let codes = Arc::new(Codes::of(vectors));
        let mut links: Hnsw<'static, u32, RowDistance> =
            reader.load_hnsw_with_dist(RowDistance(Arc::clone(&codes))).map_err(|error| error.to_string())?;
        links.set_extend_candidates(false);
        if links.get_nb_point() != vectors.len() {
            return Err(format!("it links {} rows of {}", links.get_nb_point(), vectors.len()));
        }
        Ok(Self { links, codes, vectors: Arc::clone(vectors) })
    }
}
