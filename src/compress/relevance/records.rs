//! Records of JSON as wholes: what a record says in one member tells what its other members are about.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Sentence;
use super::bm25::QuestionTerms;
use crate::compress::Document;
use crate::compress::statistics::{deviation, standardised};
use crate::text::{Segment, SegmentKind};

/// The bonus for the parts of a record, in deviations of all parts, for each deviation of its BM25 among the records.
///
/// Without it the members of a record are ranked one by one, so that the record which the question names by its key
/// loses the members that the question is about: 71, 67 and 63% of answers are left at 0.25, 0.10 and 0.05 of 24 lists
/// of records (`data/domains`, `json_list`), and 100, 100 and 96% with it, on both halves of the set alike.
const RECORD: f64 = 1.0;

/// Returns, for each segment of a text, the number of the segment that opens the record around it: an element of the
/// outermost array, or a member of the outermost object. `None` where the segment is of no record.
pub(super) fn records_of(segments: &[Segment]) -> Vec<Option<usize>> {
    let mut records: Vec<Option<usize>> = Vec::with_capacity(segments.len());
    let mut outermost: Vec<bool> = Vec::with_capacity(segments.len());
    for (number, segment) in segments.iter().enumerate() {
        let is_json = |at: usize| {
            matches!(segments[at].kind, SegmentKind::Record | SegmentKind::Said | SegmentKind::Tag)
        };
        let around = segment.needs.iter().copied().filter(|&need| need < number && is_json(need)).max();
        let around = around.filter(|_| is_json(number));
        outermost.push(around.is_none());
        let opens = segment.kind == SegmentKind::Record;
        records.push(
            around.and_then(
                |around| {
                    if outermost[around] { opens.then_some(number) } else { records[around] }
                },
            ),
        );
    }
    records
}

/// Raises the parts of records by how much the whole record says of the question's words. `records` has the number of
/// the part that opens each part's record.
pub(super) fn share(
    documents: &[Document],
    terms: &QuestionTerms,
    parts: &mut [Sentence],
    records: &[Option<usize>],
) {
    let mut extents: BTreeMap<usize, Range<usize>> = BTreeMap::new();
    for (part, record) in parts.iter().zip(records) {
        if let Some(record) = record {
            let extent = extents.entry(*record).or_insert_with(|| part.range.clone());
            extent.end = extent.end.max(part.range.end);
        }
    }
    let text = |(&record, extent): (&usize, &Range<usize>)| {
        documents[parts[record].document].text[extent.clone()].to_owned()
    };
    let texts: Vec<String> = extents.iter().map(text).collect();
    let worth: BTreeMap<usize, f64> =
        extents.keys().copied().zip(standardised(&terms.bm25(&texts))).collect();
    let scale = deviation(&parts.iter().map(|part| part.score).collect::<Vec<_>>());
    for (part, record) in parts.iter_mut().zip(records) {
        part.score += record.map_or(0.0, |record| RECORD * scale * worth[&record]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::fine_segments;

    #[test]
    fn each_part_of_an_element_is_of_its_record() {
        let text = r#"[{"id": "A1", "legs": [{"no": 7}, {"no": 8}]}, {"id": "B2"}]"#;
        let segments = fine_segments(text);
        let records = records_of(&segments);
        let first = |record: usize| text[segments[record].range.clone()].trim().to_owned();
        let of = |needle: &str| {
            let at = text.find(needle).unwrap();
            let number = segments.iter().position(|segment| segment.range.contains(&at)).unwrap();
            records[number].map(first)
        };
        assert_eq!(of("\"no\": 8"), of("\"A1\""));
        assert_eq!(of("\"A1\"").as_deref(), Some("{"));
        assert_ne!(
            records[segments.iter().position(|s| text[s.range.clone()].contains("B2")).unwrap()],
            None
        );
        assert_eq!(records_of(&fine_segments("One sentence. Another one."))[0], None);
    }

    #[test]
    fn the_parts_of_the_record_that_is_named_rise() {
        let text = r#"[{"id": "K1", "legs": [7]}, {"id": "B2", "legs": [8]}, {"id": "C3", "legs": [9]}]"#;
        let document = Document { id: "d".into(), title: None, text: text.into() };
        let segments = fine_segments(text);
        let records = records_of(&segments);
        let part = |segment: &Segment| Sentence { document: 0, range: segment.range.clone(), score: 0.0 };
        let mut parts: Vec<Sentence> = segments.iter().map(part).collect();
        share(&[document], &QuestionTerms::of("Which legs has B2?"), &mut parts, &records);
        let score = |needle: &str| {
            let at = text.find(needle).unwrap();
            parts.iter().find(|part| part.range.contains(&at)).unwrap().score
        };
        assert!(score("8]") > score("7]") && (score("7]") - score("9]")).abs() < 1e-12);
    }
}
