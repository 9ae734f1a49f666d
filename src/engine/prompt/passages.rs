//! The search results, with neighbours joined: chunks of one document that overlap are one passage.

use std::collections::VecDeque;

use super::Kept;
use super::api::Candidate;
use crate::engine::collections::api::SearchResult;

/// A part of a document that goes to the compressor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) collection: String,
    pub(super) document_id: String,
    /// Title of the document and the headings that the part stands under; the document's id where it has neither.
    pub(super) title: String,
    pub(super) text: String,
    /// The position in the document's text, in bytes.
    pub(super) start: usize,
}

impl Source {
    fn new(collection: &str, result: &SearchResult) -> Self {
        let titles: Vec<&str> = result.title.iter().chain(&result.headings).map(String::as_str).collect();
        Self {
            collection: collection.to_owned(),
            document_id: result.document_id.clone(),
            title: if titles.is_empty() { result.document_id.clone() } else { titles.join(" > ") },
            text: result.own_text().to_owned(),
            start: result.range[0],
        }
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Takes in a result that begins no earlier, if it overlaps or touches. False where it does not.
    fn join(&mut self, collection: &str, result: &SearchResult) -> bool {
        let [start, end] = result.range;
        if self.collection != collection || self.document_id != result.document_id || start > self.end() {
            return false;
        }
        if end > self.end() {
            // Both are slices of one text, so that the cut is at a character.
            let new = self.end() - start;
            self.text.push_str(&result.own_text()[new..]);
        }
        true
    }
}

/// The passages that were found.
pub(super) struct Found {
    /// Chunks, best first.
    pub(super) candidates: Vec<Candidate>,
    /// Passages, in the order of the best chunk of each.
    pub(super) sources: Vec<Source>,
    /// The source that each candidate is a part of.
    source_of: Vec<usize>,
}

impl Found {
    /// Joins the results of each collection, best first.
    pub(super) fn new(found: Vec<(&str, Vec<SearchResult>)>) -> Self {
        let results = merged(found);
        let mut places: Vec<usize> = (0..results.len()).collect();
        places.sort_by_key(|&i| {
            let (collection, result) = &results[i];
            (*collection, result.document_id.as_str(), result.range)
        });
        // Each passage with the places of its chunks.
        let mut passages: Vec<(Source, Vec<usize>)> = Vec::new();
        for i in places {
            let (collection, result) = &results[i];
            if let Some((last, chunks)) = passages.last_mut()
                && last.join(collection, result)
            {
                chunks.push(i);
            } else {
                passages.push((Source::new(collection, result), vec![i]));
            }
        }
        passages.sort_by_key(|(_, chunks)| chunks.iter().min().copied());
        let mut source_of = vec![0; results.len()];
        for (place, (_, chunks)) in passages.iter().enumerate() {
            for &i in chunks {
                source_of[i] = place;
            }
        }
        let candidate = |(collection, result): (&str, SearchResult)| Candidate {
            collection: collection.to_owned(),
            document_id: result.document_id,
            range: result.range,
            score: result.score,
            scores: result.scores,
            chosen: false,
        };
        Self {
            candidates: results.into_iter().map(candidate).collect(),
            sources: passages.into_iter().map(|(source, _)| source).collect(),
            source_of,
        }
    }

    /// Marks the candidates of which something was kept.
    pub(super) fn mark(&mut self, kept: &[Kept]) {
        for (candidate, &place) in self.candidates.iter_mut().zip(&self.source_of) {
            let [start, end] = candidate.range;
            let source = &self.sources[place];
            let overlaps =
                |range: &[usize; 2]| source.start + range[0] < end && source.start + range[1] > start;
            candidate.chosen =
                kept.iter().any(|kept| kept.source == place && kept.ranges.iter().any(overlaps));
        }
    }
}

/// One ranking of several, each in its own order: a search may have put it in another one than that of its scores. Those
/// that were put in order anew come first.
fn merged(found: Vec<(&str, Vec<SearchResult>)>) -> Vec<(&str, SearchResult)> {
    let worth = |result: &SearchResult| {
        let reranked = result.scores.get("rerank");
        (reranked.is_some(), *reranked.unwrap_or(&result.score))
    };
    let mut rest: Vec<(&str, VecDeque<SearchResult>)> =
        found.into_iter().map(|(collection, results)| (collection, results.into())).collect();
    let mut all = Vec::new();
    loop {
        let heads = rest.iter().enumerate().filter_map(|(i, (_, rest))| Some((i, worth(rest.front()?))));
        // Of equals the one of the first collection comes first.
        let best = heads.reduce(|best, next| {
            let order = next.1.0.cmp(&best.1.0).then(next.1.1.total_cmp(&best.1.1));
            if order.is_gt() { next } else { best }
        });
        let Some((place, _)) = best else { return all };
        let (collection, rest) = &mut rest[place];
        all.extend(rest.pop_front().map(|result| (*collection, result)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The bridge, the ferry, the mill and größe.";

    fn result(document: &str, range: [usize; 2], score: f64) -> SearchResult {
        SearchResult {
            document_id: document.into(),
            chunk_id: format!("{document}#0"),
            title: None,
            headings: Vec::new(),
            text: TEXT[range[0]..range[1]].into(),
            range,
            header: None,
            metadata: serde_json::Map::new(),
            score,
            scores: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn chunks_that_overlap_are_one_passage() {
        let found = Found::new(vec![
            (
                "c",
                vec![
                    result("e", [0, 5], 0.95),
                    result("d", [12, 31], 0.9),
                    result("d", [0, 22], 0.8),
                    result("d", [31, TEXT.len()], 0.7),
                    result("d", [15, 20], 0.6),
                ],
            ),
            ("other", vec![result("d", [0, 5], 0.5)]),
        ]);
        let sources: Vec<(&str, &str, &str, usize)> = found
            .sources
            .iter()
            .map(|s| (s.collection.as_str(), s.document_id.as_str(), s.text.as_str(), s.start))
            .collect();
        assert_eq!(sources, [("c", "e", "The b", 0), ("c", "d", TEXT, 0), ("other", "d", "The b", 0)]);
        assert_eq!(found.source_of, [0, 1, 1, 1, 1, 2]);
        assert_eq!(found.candidates[0].document_id, "e");
    }

    #[test]
    fn several_rankings_become_one_and_each_keeps_its_order() {
        let range = [0, 5];
        let reranked = |id: &str, score, worth| SearchResult {
            scores: [("rerank", worth)].into(),
            ..result(id, range, score)
        };
        let ranking = merged(vec![
            ("a", vec![result("1", range, 0.9), result("2", range, 0.3), result("3", range, 0.6)]),
            ("b", vec![result("4", range, 0.9), result("5", range, 0.5)]),
            ("c", vec![reranked("6", 0.1, 0.2), reranked("7", 0.2, 0.1), result("8", range, 0.7)]),
            ("d", vec![]),
        ]);
        let ids: Vec<&str> = ranking.iter().map(|(_, result)| result.document_id.as_str()).collect();
        assert_eq!(ids, ["6", "7", "1", "4", "8", "5", "2", "3"]);
    }

    #[test]
    fn candidates_are_chosen_where_something_of_them_is_kept() {
        let chunks = vec![result("d", [4, 22], 0.9), result("d", [20, 42], 0.8)];
        let mut found = Found::new(vec![("c", chunks)]);
        assert_eq!(found.sources[0].start, 4);
        found.mark(&[Kept { source: 0, text: String::new(), ranges: vec![[0, 6]] }]);
        assert_eq!(found.candidates.iter().map(|c| c.chosen).collect::<Vec<_>>(), [true, false]);
        found.mark(&[Kept { source: 0, text: String::new(), ranges: vec![[0, 6], [20, 25]] }]);
        assert!(found.candidates.iter().all(|c| c.chosen));
    }
}
