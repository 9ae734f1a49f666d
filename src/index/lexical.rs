//! Search by words (BM25). The only place that knows tantivy.

mod analyser;
mod tokenizer;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tantivy::collector::{Collector, FilterCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{LogMergePolicy, NoMergePolicy};
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};

use super::vector_index::Scored;
use super::words::WordSettings;
use super::{Allowed, IndexError};
use analyser::Analyser;
pub(super) use analyser::words_of;

/// Bytes that a writer collects before it writes a segment.
const WRITER_BYTES: usize = 32 << 20;
const NUMBER: &str = "number";
/// The crate's list of what is in an index, written last.
const META: &str = "meta.json";
/// The weight of a match in the title relative to one in the text.
const TITLE_WEIGHT: f32 = 1.0;

/// The indexed fields of a chunk.
pub(super) struct Entry<'a> {
    pub(super) number: u64,
    /// Title and headings.
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// Takes one more chunk into the index.
pub(super) type Add<'a> = &'a mut dyn FnMut(Entry<'_>) -> Result<(), IndexError>;

/// The words of texts as they are indexed, for stores that index them by themselves.
pub(super) struct TextWords(Analyser);

impl TextWords {
    pub(super) fn new(settings: WordSettings) -> Self {
        Self(Analyser::of_texts(settings))
    }

    /// Returns the words of a text, those that come again too.
    pub(super) fn of(&mut self, text: &str) -> Vec<String> {
        self.0.words(text)
    }
}

/// The lexical index of one collection.
pub(super) struct Lexical {
    index: Index,
    reader: IndexReader,
    writer: Mutex<Option<IndexWriter>>,
    fields: Fields,
    words: WordSettings,
    epoch: AtomicU64,
}

#[derive(Clone, Copy)]
struct Fields {
    number: Field,
    title: Field,
    text: Field,
}

impl From<TantivyError> for IndexError {
    fn from(error: TantivyError) -> Self {
        Self::Lexical(error.to_string())
    }
}

impl Lexical {
    /// Opens the index in `folder`; one that is damaged is made anew, empty, and `report` is told why.
    pub(super) fn open(
        folder: &Path,
        collection: &str,
        words: WordSettings,
        report: &mut dyn FnMut(String),
    ) -> Result<Self, IndexError> {
        match Self::open_existing(folder, words) {
            // One that was copied from elsewhere with its epoch is not this collection's.
            Ok(lexical) if lexical.payload().is_none_or(|(owner, _)| owner == collection) => Ok(lexical),
            Ok(lexical) => {
                drop(lexical);
                Self::anew(folder, words)
            }
            Err(reason) => {
                // Without this file it was never whole: the process ended while it was made.
                if folder.join(META).exists() {
                    report(format!("{reason}; it is rebuilt from the store"));
                }
                Self::anew(folder, words)
            }
        }
    }

    /// An empty index in place of whatever is in `folder`.
    pub(super) fn anew(folder: &Path, words: WordSettings) -> Result<Self, IndexError> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(IndexError::io("remove", folder))?;
        }
        fs::create_dir_all(folder).map_err(IndexError::io("create", folder))?;
        let directory =
            MmapDirectory::open(folder).map_err(|error| IndexError::Lexical(error.to_string()))?;
        let schema = schema(&analyser::name(words));
        Self::new(Index::create(directory, schema, tantivy::IndexSettings::default())?, words)
    }

    fn open_existing(folder: &Path, words: WordSettings) -> Result<Self, IndexError> {
        let index = Index::open_in_dir(folder)?;
        if index.schema() != schema(&analyser::name(words)) {
            return Err(IndexError::Lexical(format!("{} has another schema", folder.display())));
        }
        let damaged = index.validate_checksum()?;
        if !damaged.is_empty() {
            let files: Vec<String> =
                damaged.iter().map(|path: &PathBuf| path.display().to_string()).collect();
            let message = format!("{} in {}: damaged", files.join(", "), folder.display());
            return Err(IndexError::Lexical(message));
        }
        Self::new(index, words)
    }

    fn new(index: Index, words: WordSettings) -> Result<Self, IndexError> {
        let schema = index.schema();
        let fields = Fields {
            number: schema.get_field(NUMBER)?,
            title: schema.get_field("title")?,
            text: schema.get_field("text")?,
        };
        let analyser = TextAnalyzer::from(Analyser::of_texts(words));
        index.tokenizers().register(&analyser::name(words), analyser);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let writer = Mutex::new(None);
        let lexical = Self { index, reader, writer, fields, words, epoch: AtomicU64::new(0) };
        lexical.epoch.store(lexical.payload().map_or(0, |(_, epoch)| epoch), Ordering::Release);
        Ok(lexical)
    }

    /// The collection and epoch that the index was last brought up to date with.
    fn payload(&self) -> Option<(String, u64)> {
        let payload = self.index.load_metas().ok()?.payload?;
        let (collection, epoch) = payload.split_once(' ')?;
        Some((collection.to_owned(), epoch.parse().ok()?))
    }

    /// The epoch of the store that the index was last brought up to date with. It lags where that failed.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns the number of chunks in the index.
    pub(super) fn len(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Numbers of the chunks in the index.
    pub(super) fn numbers(&self) -> Result<BTreeSet<u64>, IndexError> {
        let searcher = self.reader.searcher();
        let mut numbers = BTreeSet::new();
        for segment in searcher.segment_readers() {
            let column = segment.fast_fields().u64(NUMBER)?;
            numbers.extend(segment.doc_ids_alive().filter_map(|document| column.first(document)));
        }
        Ok(numbers)
    }

    /// Removes chunks and adds those that `fill` gives to the function that it is called with; the index is then at
    /// `epoch`, on disk and in searches.
    pub(super) fn apply(
        &self,
        collection: &str,
        epoch: u64,
        removed: impl IntoIterator<Item = u64>,
        fill: impl FnOnce(Add<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.write(&mut slot, &format!("{collection} {epoch}"), removed, fill);
        match &result {
            Ok(()) => self.epoch.store(epoch, Ordering::Release),
            // A writer that failed stays unusable; what it had not committed is gone with it.
            Err(_) => close(&mut slot),
        }
        result
    }

    fn write(
        &self,
        slot: &mut Option<IndexWriter>,
        payload: &str,
        removed: impl IntoIterator<Item = u64>,
        fill: impl FnOnce(Add<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let writer = match slot {
            Some(writer) => writer,
            None => slot.insert(self.new_writer()?),
        };
        for number in removed {
            writer.delete_term(Term::from_field_u64(self.fields.number, number));
        }
        fill(&mut |entry: Entry<'_>| {
            let mut document = TantivyDocument::new();
            document.add_u64(self.fields.number, entry.number);
            document.add_text(self.fields.title, entry.title);
            document.add_text(self.fields.text, entry.text);
            writer.add_document(document)?;
            Ok(())
        })?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(payload);
        commit.commit()?;
        self.reader.reload()?;
        Ok(())
    }

    fn new_writer(&self) -> Result<IndexWriter, IndexError> {
        let writer: IndexWriter = self.index.writer_with_num_threads(1, WRITER_BYTES)?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(0.2);
        writer.set_merge_policy(Box::new(policy));
        // A process that was killed may have left files whose names are about to be used again.
        writer.garbage_collect_files().wait()?;
        Ok(writer)
    }

    /// The `k` best chunks that have at least one word of `query`, best first; of equals the older one first.
    pub(super) fn search(
        &self,
        query: &str,
        k: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Vec<Scored>, IndexError> {
        let words = words_of(self.words, query);
        let searcher = self.reader.searcher();
        let limit = k.min(searcher.num_docs() as usize);
        if words.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let query = self.any_of(&words);
        let top = TopDocs::with_limit(limit).order_by_score();
        let found = match allowed.cloned() {
            None => searcher.search(&query, &top)?,
            Some(allowed) => {
                searcher.search(&query, &filtered(move |number| allowed.contains(number), top))?
            }
        };
        let mut scored = Vec::with_capacity(found.len());
        for (score, address) in found {
            let column = searcher.segment_reader(address.segment_ord).fast_fields().u64(NUMBER)?;
            scored.extend(column.first(address.doc_id).map(|number| (number, score)));
        }
        Ok(super::vector_index::best(scored, k))
    }

    fn any_of(&self, words: &BTreeSet<String>) -> BooleanQuery {
        let term = |field, word| {
            let term = Term::from_field_text(field, word);
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)) as Box<dyn Query>
        };
        let clauses = words.iter().flat_map(|word| {
            let title: Box<dyn Query> =
                Box::new(BoostQuery::new(term(self.fields.title, word), TITLE_WEIGHT));
            [(Occur::Should, term(self.fields.text, word)), (Occur::Should, title)]
        });
        BooleanQuery::new(clauses.collect())
    }
}

impl Drop for Lexical {
    fn drop(&mut self) {
        close(self.writer.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Closes the writer and waits for its merges. A merge that outlives its writer would write its list of segments over
/// that of the next writer, and delete files that the next one needs.
fn close(slot: &mut Option<IndexWriter>) {
    let Some(writer) = slot.take() else { return };
    writer.set_merge_policy(Box::new(NoMergePolicy));
    if let Err(error) = writer.wait_merging_threads() {
        // Only a merge is lost: all segments that were committed are still there.
        tracing::warn!(%error, "the lexical index was closed before a merge of its segments had ended");
    }
}

fn schema(analyser: &str) -> Schema {
    let words =
        TextFieldIndexing::default().set_tokenizer(analyser).set_index_option(IndexRecordOption::WithFreqs);
    let words = TextOptions::default().set_indexing_options(words);
    let mut schema = Schema::builder();
    schema.add_u64_field(NUMBER, INDEXED | FAST);
    schema.add_text_field("title", words.clone());
    schema.add_text_field("text", words);
    schema.build()
}

fn filtered<C: Collector + Send + Sync>(
    allowed: impl Fn(u64) -> bool + Clone + Send + Sync + 'static,
    collector: C,
) -> impl Collector<Fruit = C::Fruit> {
    FilterCollector::new(NUMBER.to_owned(), allowed, collector)
}

/// Chunks that are in one of two ascending lists alone: those that an index lacks, and those that it has too many.
pub(super) fn differences(wanted: &[u64], has: &BTreeSet<u64>) -> (Vec<u64>, Vec<u64>) {
    let wanted: BTreeSet<u64> = wanted.iter().copied().collect();
    (wanted.difference(has).copied().collect(), has.difference(&wanted).copied().collect())
}

/// All numbers of `ranges`.
pub(super) fn flat(ranges: &[Range<u64>]) -> impl Iterator<Item = u64> {
    ranges.iter().cloned().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_another_analyser_is_made_anew_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let old = schema("whittle-en-1");
        Index::create_in_dir(folder.path(), old).unwrap();
        let mut reports = Vec::new();
        let english = WordSettings::default();
        let mut report = |report| reports.push(report);
        let lexical = Lexical::open(folder.path(), "c", english, &mut report).unwrap();
        assert!(reports[0].contains("another schema") && reports[0].contains("rebuilt"), "{reports:?}");
        assert_eq!((lexical.len(), lexical.epoch()), (0, 0));
        Lexical::open(folder.path(), "c", english, &mut |report| panic!("{report}")).unwrap();
    }

    #[test]
    fn every_script_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let lexical = Lexical::anew(&folder.path().join("lexical"), WordSettings::default()).unwrap();
        let texts = [
            "食堂在二楼，每天早上七点开门。",
            "図書館は駅の前にあります。",
            "식당은 2층에 있습니다.",
            "ร้านอาหารอยู่ชั้นสอง",
            "ຮ້ານອາຫານຢູ່ຊັ້ນສອງ",
            "អាហារដ្ឋាន នៅជាន់ទីពីរ",
            "စားသောက်ဆိုင်သည် ဒုတိယထပ်တွင် ရှိသည်။",
            "Der Größenunterschied der Stühle",
            "Столовая находится на втором этаже",
        ];
        let fill = |add: Add<'_>| {
            (0_u64..).zip(texts).try_for_each(|(number, text)| add(Entry { number, title: "", text }))
        };
        lexical.apply("c", 1, [], fill).unwrap();
        for (query, wanted) in [
            ("食堂在哪里？", 0),
            ("楼", 0),
            ("図書館", 1),
            ("식당이 어디예요?", 2),
            ("ร้านอาหาร", 3),
            ("ຮ້ານອາຫານ", 4),
            ("អាហារដ្ឋាន", 5),
            ("စားသောက်ဆိုင်", 6),
            ("grossenunterschied", 7),
            ("СТОЛОВАЯ", 8),
        ] {
            let found = lexical.search(query, 3, None).unwrap();
            assert_eq!(found.first().map(|(number, _)| *number), Some(wanted), "{query}: {found:?}");
        }
    }
}
