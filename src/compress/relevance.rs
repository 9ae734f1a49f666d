//! The relevance of each document and each unit of text to the question.
//!
//! A unit is worth the cosine of its vector and the question's, raised by its BM25 among all units (see [`lexical`])
//! and by its neighbours, and takes a share from its document. A document is worth its own cosine and BM25, raised by
//! its best unit. Where the best units name another document's title, its units rise ([`links`]), and so do rows and
//! definitions that the question names ([`named`]). Where texts are in a script that the embedder was not trained on,
//! words decide nearly alone.
//!
//! # What was tried
//! A simulation of packing whole units by score over the first half of each set's questions (`data/domains`, the
//! second halves unseen), per cent at 0.25 / 0.10 / 0.05. "Before" ranked by cosines with BM25 of whole documents at
//! 0.02. `w`: the share of words, in deviations of the cosine; `n`: the share of neighbours; `link`: what a named
//! document gains.
//!
//! | set (n) | before | w 0.5 | w 0.5, n 0.3 | the same, link 1.5 | w 1, no cosine |
//! |---|---|---|---|---|---|
//! | hotpot (25) | 52 / 36 / 16 | 64 / 32 / 12 | 56 / 36 / 12 | 84 / 52 / 12 | 72 / 48 / 12 |
//! | logs (20) | 95 / 75 / 65 | 100 / 100 / 100 | 100 / 100 / 100 | 100 / 100 / 100 | 100 / 100 / 100 |
//! | email (21) | 95 / 91 / 86 | 100 / 100 / 100 | 100 / 100 / 95 | 100 / 100 / 95 | 100 / 100 / 81 |
//! | contracts (16) | 100 / 75 / 63 | 100 / 100 / 75 | 100 / 100 / 75 | 100 / 100 / 75 | 100 / 100 / 75 |
//! | qmsum (11) | 47 / 29 / 18 | 50 / 33 / 23 | 52 / 34 / 25 | 52 / 34 / 25 | |
//! | papers (13) | 85 / 85 / 62 | 85 / 62 / 46 | 85 / 77 / 54 | 85 / 77 / 54 | 69 / 46 / 46 |
//!
//! In other scripts (48 questions each), cosine and words at 1 to 2, and words alone: Arabic 100 / 100 / 92 and
//! 100 / 100 / 92 (before 71 / 54 / 35), Hindi 100 / 98 / 94 and 100 / 98 / 92 (79 / 60 / 44), Chinese
//! 100 / 96 / 96 and 100 / 98 / 96 (83 / 73 / 60), Thai 98 / 85 / 77 and 100 / 94 / 85 (69 / 35 / 23).
//!
//! A second round with all names of the best units (BM25 of them added at 0.2 to 0.4) gave hotpot 48 at 0.10, but
//! cost other sets up to 9 points at 0.05; titles alone cost nothing. Reranking by the scorer's likelihood of the
//! question did not help either.

mod bm25;
mod cascade;
mod function_words;
mod links;
mod named;
mod records;
mod rerank;

use std::cmp::Ordering;
use std::ops::Range;

use self::bm25::QuestionTerms;
use self::cascade::{Cosines, Reader, Units, Window};
pub(super) use self::function_words::is_function_word;
use self::links::linked;
pub use self::rerank::rank_by_reranker;
use super::assemble::render_document;
use super::select::ranked;
use super::statistics::{deviation, standardised};
use super::{CompressError, Document, Prompt, Tools};
use crate::model::{Cancel, Embedder};
use crate::text::{Segment, SegmentKind, negates, segments};

/// The weight of a document's best unit in its relevance.
const BEST_UNIT: f64 = 0.3;
/// The share of a unit's relevance that comes from its document, in deviations of the units.
const FROM_DOCUMENT: f64 = 0.5;
/// The share of a unit's relevance that comes from the mean of the units before and after it.
const FROM_NEIGHBOURS: f64 = 0.3;
/// The bonus for units of a document that the best units name, in deviations of the units.
const LINKED: f64 = 1.5;
/// The weight of the logarithm of a unit's own worth in its relevance.
const OWN_WORTH: f64 = 0.1;
/// The weight of a unit's own worth where the question asks for an exception.
const EXCEPTION_WORTH: f64 = 0.8;
/// Bytes of each part of a unit's context that are read with it.
const CONTEXT: usize = 120;

/// The weights of cosines and words in a fusion.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fusion {
    cosine: f64,
    /// The weight of BM25: deviations of the cosines for each deviation of BM25.
    words: f64,
}

impl Fusion {
    /// Texts in the Latin script.
    const KNOWN: Self = Self { cosine: 1.0, words: 0.5 };
    /// Texts in scripts that the embedder's vocabulary spells by single characters, if at all.
    const FOREIGN: Self = Self { cosine: 0.25, words: 1.0 };

    /// Questions for what is not so: what is alike in meaning is what is not asked for.
    const EXCEPTION: Self = Self { cosine: 0.25, words: 0.0 };

    /// Chooses by the script of most letters of the question and the beginnings of the documents.
    fn of(prompt: &Prompt) -> Self {
        const LOOKED_AT: usize = 2000;
        let (mut latin, mut other) = (0, 0);
        let texts = prompt.documents.iter().map(|document| &document.text);
        for text in std::iter::once(&prompt.question).chain(texts) {
            for c in text.chars().take(LOOKED_AT).filter(|c| c.is_alphabetic()) {
                if c < '\u{370}' { latin += 1 } else { other += 1 }
            }
        }
        if latin >= other { Self::KNOWN } else { Self::FOREIGN }
    }

    /// Cosines raised by BM25 of the same texts.
    fn fuse(self, cosines: &[f64], words: &[f64]) -> Vec<f64> {
        let scale = self.words * deviation(cosines);
        cosines.iter().zip(standardised(words)).map(|(cosine, z)| self.cosine * cosine + scale * z).collect()
    }
}

/// A sentence of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    /// Number of the document.
    pub(super) document: usize,
    /// Bytes of its text.
    pub(super) range: Range<usize>,
    /// The more, the nearer to the question.
    pub(super) score: f64,
}

impl Sentence {
    /// The order of units by score, then by place.
    fn better_first(a: &Self, b: &Self) -> Ordering {
        b.score.total_cmp(&a.score).then((a.document, a.range.start).cmp(&(b.document, b.range.start)))
    }
}

/// Documents and sentences by their worth to the question.
pub(super) struct Relevance {
    /// Documents with their worth, the best first.
    pub(super) ranking: Vec<(usize, f64)>,
    /// Sentences, the best first.
    pub(super) sentences: Vec<Sentence>,
}

/// Documents of a prompt by their worth to its question, the most valuable first, each with its worth from 0 to 1:
/// an order, not a probability.
///
/// # Errors
/// There is no question, or the embedder failed or was stopped.
pub fn rank(
    prompt: &Prompt,
    embedder: &dyn Embedder,
    cancel: &Cancel,
) -> Result<Vec<(usize, f64)>, CompressError> {
    // A cosine is at most 1, and so is that of the best sentence.
    let scaled = |(i, worth): (usize, f64)| (i, (worth / (1.0 + BEST_UNIT)).clamp(0.0, 1.0));
    let weighed = weighed(prompt, &cut(prompt), (embedder, cancel), None)?;
    Ok(weighed.ranking.into_iter().map(scaled).collect())
}

/// Cuts the documents of a prompt into segments.
pub(super) fn cut(prompt: &Prompt) -> Vec<Vec<Segment>> {
    prompt.documents.iter().map(|document| segments(&document.text)).collect()
}

/// Weighs the documents of a prompt, cut into `segments`, against its question. Which part of a long prompt the embedder
/// reads follows from the tokens that there is `room` for.
///
/// # Errors
/// There is no embedder or no question, or the embedder failed or was stopped.
pub(super) fn relevance(
    prompt: &Prompt,
    segments: &[Vec<Segment>],
    room: usize,
    tools: &Tools,
) -> Result<Relevance, CompressError> {
    if prompt.question.trim().is_empty() {
        return Err(CompressError::Unsupported(
            "this method goes by the question: give one, or use `llmlingua`".into(),
        ));
    }
    let tokens: usize = prompt.documents.iter().map(|document| tools.counter.count(&document.text)).sum();
    let share = room as f64 / tokens.max(1) as f64;
    let embedder = (tools.embedder()?, tools.cancel);
    let mut relevance = weighed(prompt, segments, embedder, Some(Window::at(share)))?;
    if let Some(reranker) = tools.reranker {
        rerank::reorder(&mut relevance, (prompt, segments), reranker, tools.cancel)?;
    }
    Ok(relevance)
}

/// Weighs all documents and units. The embedder reads those in the `window` alone, where one is given.
fn weighed(
    prompt: &Prompt,
    segments: &[Vec<Segment>],
    (embedder, cancel): (&dyn Embedder, &Cancel),
    window: Option<Window>,
) -> Result<Relevance, CompressError> {
    let wholes = wholes(prompt);
    let weighing = Weighing::of(prompt, segments, &wholes);
    let reader = Reader::new(&prompt.question, embedder, cancel);
    let texts = &weighing.candidates.texts;
    let documents: Vec<usize> = weighing.candidates.parts.iter().map(|part| part.document).collect();
    let bytes: Vec<usize> = weighing.candidates.parts.iter().map(|part| part.range.len()).collect();
    let units = Units { texts, documents: &documents, bytes: &bytes, count: wholes.len() };
    let cosines = match window {
        Some(window) if !reader.fits(&wholes, texts, window)? => {
            let first = reader.first_pass(&units)?;
            let (_, scores) = weighing.weigh(&first.cosines);
            reader.read_window(&units, (&first, &scores), window)?
        }
        // A document by itself is compared with no other.
        Some(_) if wholes.len() == 1 => reader.read_units(&units)?,
        _ => reader.read(&wholes, texts)?,
    };
    let (worth, scores) = weighing.weigh(&cosines);
    let mut sentences = weighing.candidates.parts;
    for (part, score) in sentences.iter_mut().zip(scores) {
        part.score = score;
    }
    sentences.sort_by(Sentence::better_first);
    Ok(Relevance { ranking: ranked(worth), sentences })
}

/// The documents as the prompt shows them.
fn wholes(prompt: &Prompt) -> Vec<String> {
    prompt.documents.iter().map(|document| render_document(document, &document.text)).collect()
}

/// A prompt's units with all that weighs them but cosines.
struct Weighing<'a> {
    prompt: &'a Prompt,
    candidates: Candidates,
    terms: QuestionTerms,
    /// BM25 of each unit.
    words: Vec<f64>,
    /// BM25 of each document.
    document_words: Vec<f64>,
    /// The bonus of each unit that the question names.
    named: Vec<f64>,
    fusion: Fusion,
    /// The fusion for units, and the weight of their own worth.
    own: (Fusion, f64),
}

impl<'a> Weighing<'a> {
    /// Reads a prompt, whose documents are `wholes` as the prompt shows them.
    fn of(prompt: &'a Prompt, segments: &[Vec<Segment>], wholes: &[String]) -> Self {
        let candidates = Candidates::of(prompt, segments);
        let terms = QuestionTerms::of(&prompt.question);
        let fusion = Fusion::of(prompt);
        // Who asks for what is not so means the units that differ, not those that say the same words.
        let own = if negates(&prompt.question) {
            (Fusion::EXCEPTION, EXCEPTION_WORTH)
        } else {
            (fusion, OWN_WORTH)
        };
        let words = terms.bm25(&candidates.texts);
        // A document by itself is not compared with others.
        let document_words =
            if prompt.documents.len() > 1 { terms.bm25(wholes) } else { vec![0.0; prompt.documents.len()] };
        let named = named::bonuses(prompt, &terms, &candidates);
        Self { prompt, candidates, terms, words, document_words, named, fusion, own }
    }

    /// Returns the worth of each document and the score of each unit.
    fn weigh(&self, cosines: &Cosines) -> (Vec<f64>, Vec<f64>) {
        let Candidates { parts, worth: apart, records, .. } = &self.candidates;
        let (own_fusion, own_worth) = self.own;
        let mut parts = parts.clone();
        let own = beside_neighbours(&parts, &own_fusion.fuse(&cosines.units, &self.words));
        let mut best = vec![-1.0_f64; self.prompt.documents.len()];
        for (part, own) in parts.iter_mut().zip(own) {
            best[part.document] = best[part.document].max(own);
            part.score = own;
        }
        let documents = self.fusion.fuse(&cosines.documents, &self.document_words);
        let worth: Vec<f64> = documents.iter().zip(best).map(|(own, best)| own + BEST_UNIT * best).collect();
        share_documents(self.prompt, &mut parts, &worth);
        records::share(&self.prompt.documents, &self.terms, &mut parts, records);
        named::raise(&mut parts, &self.named);
        let scores = parts.iter().zip(apart).map(|(part, apart)| part.score + own_worth * apart).collect();
        (worth, scores)
    }
}

/// The units of all documents, in their order, each with what it is weighed by.
#[derive(Default)]
struct Candidates {
    parts: Vec<Sentence>,
    /// Each unit in its context.
    texts: Vec<String>,
    /// The logarithm of each unit's worth apart from the question.
    worth: Vec<f64>,
    /// The number of the unit that opens each unit's record.
    records: Vec<Option<usize>>,
    kinds: Vec<SegmentKind>,
}

impl Candidates {
    fn of(prompt: &Prompt, segments: &[Vec<Segment>]) -> Self {
        let mut candidates = Self::default();
        for (document, (source, segments)) in prompt.documents.iter().zip(segments).enumerate() {
            let first = candidates.parts.len();
            let records = records::records_of(segments).into_iter();
            candidates.records.extend(records.map(|record| record.map(|record| first + record)));
            for segment in segments {
                candidates.texts.push(in_context(source, segment));
                candidates.worth.push(worth_apart(segment));
                candidates.kinds.push(segment.kind);
                candidates.parts.push(Sentence { document, range: segment.range.clone(), score: 0.0 });
            }
        }
        candidates
    }
}

/// Returns the logarithm of what a segment is worth apart from the question; a blob comes after everything else.
fn worth_apart(segment: &Segment) -> f64 {
    const LAST: f64 = -100.0;
    if segment.kind == SegmentKind::Blob { LAST } else { f64::from(segment.worth.ln()) }
}

/// The text of a segment behind its document's title and what it belongs to.
fn in_context(source: &Document, segment: &Segment) -> String {
    let mut text =
        source.title.clone().filter(|title| !title.is_empty()).map_or_else(String::new, |title| title + ": ");
    for context in &segment.context {
        let own = source.text[context.clone()].trim();
        text += &own[..own.floor_char_boundary(CONTEXT)];
        text.push('\n');
    }
    text + source.text[segment.range.clone()].trim()
}

/// Raises each unit by the units before and behind it in its document.
fn beside_neighbours(parts: &[Sentence], own: &[f64]) -> Vec<f64> {
    let beside = |i: usize| {
        let of_document = |&at: &usize| parts.get(at).is_some_and(|part| part.document == parts[i].document);
        let near: Vec<f64> =
            [i.wrapping_sub(1), i + 1].iter().filter(|at| of_document(at)).map(|&at| own[at]).collect();
        // A unit without neighbours stands for its own.
        if near.is_empty() { own[i] } else { near.iter().sum::<f64>() / near.len() as f64 }
    };
    (0..own.len()).map(|i| (own[i] + FROM_NEIGHBOURS * beside(i)) / (1.0 + FROM_NEIGHBOURS)).collect()
}

/// Gives each unit its share of its document's worth, and raises those of documents that the best units name.
fn share_documents(prompt: &Prompt, parts: &mut [Sentence], worth: &[f64]) {
    let scale = deviation(&parts.iter().map(|part| part.score).collect::<Vec<_>>());
    let shares = standardised(worth);
    for part in parts.iter_mut() {
        part.score = (1.0 - FROM_DOCUMENT) * part.score + FROM_DOCUMENT * scale * shares[part.document];
    }
    let named = linked(&prompt.question, &prompt.documents, parts);
    for part in parts.iter_mut().filter(|part| named[part.document]) {
        part.score += LINKED * scale;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};

    use proptest::prelude::*;

    use super::*;
    use crate::compress::Document;
    use crate::model::ScoreError;

    #[test]
    fn the_script_decides_what_words_count() {
        let prompt = |question: &str, text: &str| {
            let document = Document { id: "a".into(), title: None, text: text.into() };
            Prompt { documents: vec![document], question: question.into(), ..Prompt::default() }
        };
        assert_eq!(Fusion::of(&prompt("Où est le café?", "Le café est à côté.")), Fusion::KNOWN);
        assert_eq!(Fusion::of(&prompt("食堂在哪里", "食堂位于图书馆旁边 (Mensa)")), Fusion::FOREIGN);
        assert_eq!(Fusion::of(&prompt("", "")), Fusion::KNOWN);
    }

    #[test]
    fn neighbours_count_within_a_document_alone() {
        let part = |document| Sentence { document, range: 0..1, score: 0.0 };
        let beside = beside_neighbours(&[part(0), part(0), part(1)], &[1.0, 0.0, 0.5]);
        let want = [1.0 / 1.3, 0.3 / 1.3, 0.5];
        assert!(beside.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{beside:?}");
    }

    /// Embeds a text as whether it speaks of pumps, and counts the words that it was given.
    #[derive(Default)]
    struct Pumps(AtomicUsize, std::sync::Mutex<Vec<String>>);

    impl Embedder for Pumps {
        fn name(&self) -> &'static str {
            "pumps"
        }

        fn dimensions(&self) -> usize {
            2
        }

        fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
            Ok(text.split_whitespace().count())
        }

        fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
            self.0.fetch_add(words, AtomicOrdering::SeqCst);
            self.1.lock().unwrap().extend(texts.iter().map(ToString::to_string));
            let vector = |text: &&str| if text.contains("pump") { vec![0.8, 0.6] } else { vec![0.6, 0.8] };
            Ok(texts.iter().map(vector).collect())
        }
    }

    fn prompt(texts: &[String], question: &str) -> Prompt {
        let document =
            |(i, text): (usize, &String)| Document { id: i.to_string(), title: None, text: text.clone() };
        let documents = texts.iter().enumerate().map(document).collect();
        Prompt { documents, question: question.into(), ..Prompt::default() }
    }

    /// A text of `count` sentences of six words, one of which answers.
    fn report(count: usize, answer: usize) -> String {
        let sentence = |i| match i {
            i if i == answer => "The cellar pump failed on Tuesday. ".to_owned(),
            i => format!("Nothing happened in room number {i}. "),
        };
        (0..count).map(sentence).collect()
    }

    #[test]
    fn no_more_is_read_than_is_allowed_and_what_answers_is_found_deep_inside() {
        let (question, cancel) = ("When did the cellar pump fail?", Cancel::never());
        let window = Window { whole: 600, share: 0.0, before: 150, tokens: 600 };
        for texts in [vec![report(3000, 2100)], vec![report(900, 901), report(1200, 700), report(900, 901)]] {
            let prompt = prompt(&texts, question);
            let embedder = Pumps::default();
            let found = weighed(&prompt, &cut(&prompt), (&embedder, &cancel), Some(window)).unwrap();
            let read = embedder.0.load(AtomicOrdering::SeqCst);
            assert!(read > 400 && read <= 600 + 6, "{read} words");
            let best = &found.sentences[0];
            let text = &prompt.documents[best.document].text[best.range.clone()];
            assert_eq!(text.trim(), "The cellar pump failed on Tuesday.");
            assert_eq!(found.sentences.len(), 3000);
            let again = weighed(&prompt, &cut(&prompt), (&embedder, &cancel), Some(window)).unwrap();
            assert_eq!((found.ranking, found.sentences), (again.ranking, again.sentences));
        }
    }

    #[test]
    fn what_comes_long_before_the_end_of_the_room_is_kept_unread() {
        let (prompt, embedder) =
            (prompt(&[report(3000, 2100)], "When did the cellar pump fail?"), Pumps::default());
        let window = Window { whole: 600, share: 0.2, before: 150, tokens: 600 };
        let found = weighed(&prompt, &cut(&prompt), (&embedder, &Cancel::never()), Some(window)).unwrap();
        let read = embedder.0.load(AtomicOrdering::SeqCst);
        assert!(read > 400 && read <= 600 + 6, "{read} words");
        // The first pass knows the answer by its words, so that it lies before the window.
        assert!(!embedder.1.lock().unwrap().iter().any(|text| text.contains("pump failed")));
        let best = &found.sentences[0];
        assert_eq!(prompt.documents[0].text[best.range.clone()].trim(), "The cellar pump failed on Tuesday.");
        assert_eq!(found.sentences.len(), 3000);
    }

    proptest! {
        #[test]
        fn what_may_be_read_whole_is_weighed_as_without_a_limit(
            texts in prop::collection::vec("([a-c]{1,4} ){0,6}(pump|[.] [A-C])?", 1..6),
        ) {
            let prompt = prompt(&texts, "Which pump is a b?");
            let (embedder, cancel) = (Pumps::default(), Cancel::never());
            let whole = weighed(&prompt, &cut(&prompt), (&embedder, &cancel), None).unwrap();
            let bounded = weighed(&prompt, &cut(&prompt), (&embedder, &cancel), Some(Window::at(0.0))).unwrap();
            prop_assert_eq!(whole.sentences, bounded.sentences);
            // A single document is not read besides its units.
            if texts.len() > 1 {
                prop_assert_eq!(whole.ranking, bounded.ranking);
            }
        }
    }
}
