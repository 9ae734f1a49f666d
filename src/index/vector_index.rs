//! Search by vectors: the links of one generation, and exact comparison of what came after it.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::dense_file::Generation;
use super::vectors::Vectors;
use super::{Allowed, IndexError};

/// Chunks without links that are searched quickly enough one by one. No fewer are linked.
const EXACT: usize = 4096;
/// Candidates that a search looks at, at least. Recall of the ten nearest among 100,000 chunks, and the median time of
/// a search (`whittle bench retrieval --chunks 100000`): 160 gives 0.997 in 1.6 ms. Walked by the vectors themselves, on
/// a faster machine, 96 gave 0.982 in 1.0 ms and 160 gave 0.992 in 1.8 ms.
const BREADTH: usize = 160;
/// A filter that leaves fewer than one chunk in so many is searched one by one.
const SELECTIVE: usize = 8;

/// The dense index of one collection.
pub(super) struct VectorIndex {
    width: usize,
    collection: String,
    folder: PathBuf,
    state: RwLock<State>,
    /// Held while links are made.
    building: Mutex<()>,
    /// Nothing is to be written any more.
    retired: AtomicBool,
}

struct State {
    generation: Option<Arc<Generation>>,
    /// Chunks of the generation that are gone.
    tombstones: HashSet<u64>,
    /// Chunks that came after the generation, ascending.
    pending: Vec<u64>,
    pending_vectors: Vectors,
}

/// A chunk and how alike it is: the cosine of the angle.
pub type Scored = (u64, f32);

impl VectorIndex {
    /// Opens the newest generation in `folder` and adds what it lacks of `numbers`, all chunks, ascending.
    pub(super) fn open(
        folder: &Path,
        collection: &str,
        width: usize,
        numbers: &[u64],
        vector: &dyn Fn(u64) -> Result<Vec<f32>, IndexError>,
        report: &mut dyn FnMut(String),
    ) -> Result<Self, IndexError> {
        let generation = Generation::open(folder, collection, width, report).map(Arc::new);
        let mut state = State {
            generation,
            tombstones: HashSet::new(),
            pending: Vec::new(),
            pending_vectors: Vectors::new(width),
        };
        let alive: HashSet<u64> = numbers.iter().copied().collect();
        if let Some(generation) = &state.generation {
            state.tombstones =
                generation.numbers.iter().copied().filter(|number| !alive.contains(number)).collect();
        }
        for &number in numbers {
            if state.generation.as_ref().is_none_or(|generation| generation.row(number).is_none()) {
                state.pending.push(number);
                state.pending_vectors.push(&vector(number)?);
            }
        }
        Ok(Self {
            width,
            collection: collection.to_owned(),
            folder: folder.to_owned(),
            state: RwLock::new(state),
            building: Mutex::new(()),
            retired: AtomicBool::new(false),
        })
    }

    /// Adds chunks with higher numbers than any before, and takes others out.
    pub(super) fn apply<'a>(
        &self,
        added: impl IntoIterator<Item = (u64, &'a [f32])>,
        removed: &[Range<u64>],
    ) {
        let mut state = self.write();
        for (number, vector) in added {
            state.pending.push(number);
            state.pending_vectors.push(vector);
        }
        if removed.is_empty() {
            return;
        }
        let gone: HashSet<u64> = removed.iter().cloned().flatten().collect();
        state.retain_pending(|number| !gone.contains(&number));
        if let Some(generation) = state.generation.clone() {
            state.tombstones.extend(gone.into_iter().filter(|&number| generation.row(number).is_some()));
        }
    }

    /// The `k` nearest chunks, best first; of equals the older one first.
    pub(super) fn search(&self, query: &[f32], k: usize, allowed: Option<&Allowed>) -> Vec<Scored> {
        let state = self.read();
        let alive = |number: u64| {
            !state.tombstones.contains(&number) && allowed.is_none_or(|allowed| allowed.contains(number))
        };
        let mut found = Vec::new();
        if let Some(generation) = &state.generation {
            match breadth(generation.numbers.len(), k, allowed) {
                Some(breadth) => {
                    linked(generation, query, breadth, &alive, &mut found);
                    let wanted = k.min(generation.numbers.len() - state.tombstones.len());
                    if allowed.is_some() && found.len() < wanted {
                        found.clear();
                        compared(generation, query, &alive, allowed, &mut found);
                    }
                }
                None => compared(generation, query, &alive, allowed, &mut found),
            }
        }
        let pending = state.pending.iter().copied().zip(state.pending_vectors.dots(query));
        found.extend(pending.filter(|&(number, _)| alive(number)));
        best(found, k)
    }

    /// Searches like [`VectorIndex::search`], but compares with every vector: the reference for measuring recall.
    pub(super) fn search_exactly(&self, query: &[f32], k: usize) -> Vec<Scored> {
        let state = self.read();
        let mut found = Vec::new();
        if let Some(generation) = &state.generation {
            compared(generation, query, &|number| !state.tombstones.contains(&number), None, &mut found);
        }
        found.extend(state.pending.iter().copied().zip(state.pending_vectors.dots(query)));
        best(found, k)
    }

    /// Vector of a chunk that is there.
    pub(super) fn vector(&self, number: u64) -> Option<Vec<f32>> {
        let state = self.read();
        if let Ok(row) = state.pending.binary_search(&number) {
            return Some(state.pending_vectors.row(row).to_vec());
        }
        let generation = state.generation.as_ref()?;
        (!state.tombstones.contains(&number))
            .then(|| Some(generation.vectors.row(generation.row(number)?).to_vec()))?
    }

    /// Chunks that are linked, of which so many are gone, and chunks that are compared one by one.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.read();
        let linked = state.generation.as_ref().map_or(0, |generation| generation.numbers.len());
        (linked, state.tombstones.len(), state.pending.len())
    }

    /// Returns whether the graph needs a rebuild: more than a fifth of its chunks are deleted, or too many were added
    /// since.
    pub(super) fn needs_rebuild(&self) -> bool {
        let (linked, tombstones, pending) = self.counts();
        tombstones * 5 > linked || pending > EXACT.max(linked / 5)
    }

    /// Links all chunks anew and puts them on disk. Searches and changes go on meanwhile. Gives false where another
    /// thread is at it, or nothing has changed.
    pub(super) fn rebuild(&self) -> Result<bool, IndexError> {
        let Ok(_building) = self.building.try_lock() else { return Ok(false) };
        let Some((numbers, vectors)) = self.read().everything(self.width) else { return Ok(false) };
        let last = numbers.last().copied();
        // The crate cannot link nothing.
        let generation = if numbers.is_empty() {
            None
        } else {
            let Some(generation) = self.build(numbers, vectors)? else { return Ok(false) };
            Some(Arc::new(generation))
        };
        let mut state = self.write();
        let numbers = generation.iter().flat_map(|generation| generation.numbers.iter().copied());
        let tombstones = numbers.filter(|&number| !state.is_alive(number)).collect();
        state.tombstones = tombstones;
        state.retain_pending(|number| Some(number) > last);
        let old = std::mem::replace(&mut state.generation, generation);
        drop(state);
        if let Some(old) = old {
            old.remove_files();
        }
        Ok(true)
    }

    /// A generation on disk; none where it is not wanted any more.
    fn build(&self, numbers: Vec<u64>, vectors: Vectors) -> Result<Option<Generation>, IndexError> {
        let Some(mut generation) = Generation::build(numbers, vectors, &self.retired) else {
            return Ok(None);
        };
        generation.save(&self.folder, &self.collection, self.width)?;
        if !generation.lost.is_empty() {
            tracing::info!(
                lost = generation.lost.len(),
                "some chunks have no link and are compared one by one"
            );
        }
        Ok(Some(generation))
    }

    /// Returns once nothing is written any more, for ever.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        drop(self.building.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_alive(&self, number: u64) -> bool {
        let linked = self.generation.as_ref().is_some_and(|generation| generation.row(number).is_some());
        self.pending.binary_search(&number).is_ok() || (linked && !self.tombstones.contains(&number))
    }

    fn retain_pending(&mut self, keep: impl Fn(u64) -> bool) {
        let mut vectors = Vectors::new(self.pending_vectors.width());
        let mut numbers = Vec::new();
        for (&number, vector) in self.pending.iter().zip(self.pending_vectors.rows()) {
            if keep(number) {
                numbers.push(number);
                vectors.push(vector);
            }
        }
        (self.pending, self.pending_vectors) = (numbers, vectors);
    }

    /// All chunks, ascending; none where the generation holds just these.
    fn everything(&self, width: usize) -> Option<(Vec<u64>, Vectors)> {
        if self.tombstones.is_empty() && self.pending.is_empty() {
            return None;
        }
        let linked = self.generation.as_ref().map_or(0, |generation| generation.numbers.len());
        let rows = linked.saturating_sub(self.tombstones.len()) + self.pending.len();
        let (mut numbers, mut vectors) = (Vec::with_capacity(rows), Vectors::with_capacity(width, rows));
        if let Some(generation) = &self.generation {
            for (&number, vector) in generation.numbers.iter().zip(generation.vectors.rows()) {
                if !self.tombstones.contains(&number) {
                    numbers.push(number);
                    vectors.push(vector);
                }
            }
        }
        numbers.extend(&self.pending);
        self.pending_vectors.rows().for_each(|vector| vectors.push(vector));
        Some((numbers, vectors))
    }
}

/// Candidates to look at for `k` results under a filter; none where comparing one by one is quicker.
fn breadth(rows: usize, k: usize, allowed: Option<&Allowed>) -> Option<usize> {
    let kept = allowed.map_or(rows as u64, Allowed::len).min(rows as u64) as usize;
    let share = rows.checked_div(kept).filter(|&share| share < SELECTIVE)?;
    // The links do not know who is gone or filtered out, so that more are asked for than are wanted.
    let breadth = BREADTH.max(2 * k * (share + 1));
    (breadth < rows).then_some(breadth)
}

fn linked(
    generation: &Generation,
    query: &[f32],
    breadth: usize,
    alive: &dyn Fn(u64) -> bool,
    found: &mut Vec<Scored>,
) {
    let lost = generation.lost.iter().map(|&row| (row, generation.vectors.dot(row as usize, query)));
    let mut rows: Vec<(u32, f32)> = generation.graph.search(query, breadth, breadth);
    rows.extend(lost);
    rows.sort_unstable_by_key(|&(row, _)| row);
    rows.dedup_by_key(|&mut (row, _)| row);
    let scored = rows.into_iter().map(|(row, score)| (generation.numbers[row as usize], score));
    found.extend(scored.filter(|&(number, _)| alive(number)));
}

fn compared(
    generation: &Generation,
    query: &[f32],
    alive: &dyn Fn(u64) -> bool,
    allowed: Option<&Allowed>,
    found: &mut Vec<Scored>,
) {
    let all = 0..u64::MAX;
    for range in allowed.map_or(std::slice::from_ref(&all), Allowed::ranges) {
        let from = generation.numbers.partition_point(|&number| number < range.start);
        let to = generation.numbers.partition_point(|&number| number < range.end);
        for (row, &number) in (from..to).zip(&generation.numbers[from..to]) {
            if alive(number) {
                found.push((number, generation.vectors.dot(row, query)));
            }
        }
    }
}

/// The `k` best, best first.
pub(super) fn best(mut found: Vec<Scored>, k: usize) -> Vec<Scored> {
    let order = |a: &Scored, b: &Scored| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if found.len() > k && k > 0 {
        found.select_nth_unstable_by(k - 1, order);
    }
    found.truncate(k);
    found.sort_unstable_by(order);
    found
}
