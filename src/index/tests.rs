//! Collections against a model of what they should hold: after changes, restarts and damage.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::snapshot::Snapshot;
use super::*;
use crate::random::{Random, tests::mutated};
use crate::text::{ChunkSettings, Layout};

const WIDTH: usize = 4;

fn settings() -> Settings {
    Settings::new("fake", WIDTH, ChunkSettings::default()).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A vector of length 1 that is the same for the same seed.
fn vector(seed: u64, width: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = (state ^ (state << 13)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state ^= state >> 29;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..width).map(|_| next()).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

/// A document with a chunk for each line of `text`.
fn document(id: &str, text: &str) -> NewDocument {
    let mut at = 0;
    let chunks = text
        .split_inclusive('\n')
        .map(|line| {
            let range = at..at + line.trim_end().len();
            at += line.len();
            let seed = u64::from_le_bytes(blake3::hash(line.as_bytes()).as_bytes()[..8].try_into().unwrap());
            let chunk = StoredChunk { range, headings: Vec::new(), header: None, tokens: 1 };
            NewChunk { chunk, vector: vector(seed, WIDTH) }
        })
        .collect();
    let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
    NewDocument {
        id: id.into(),
        title: None,
        text: text.into(),
        metadata: Metadata::new(),
        layout: Layout::Plain,
        hash,
        chunks,
    }
}

fn upsert(documents: Vec<NewDocument>) -> Batch {
    Batch { remove: Vec::new(), upsert: documents }
}

/// A collection `c` with two documents in a folder of its own.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open(folder.path()).unwrap();
    let collection = data.create(&name("c"), &settings()).unwrap();
    let documents =
        vec![document("a", "red apples\ngreen pears\n"), document("b", "blue plums\nred grapes\n")];
    collection.apply(&upsert(documents)).unwrap();
    folder
}

/// Ids of the chunks that a search by words finds.
fn by_words(collection: &Collection, query: &str) -> Vec<String> {
    let numbers: Vec<u64> =
        collection.search_words(query, 10, None).unwrap().into_iter().map(|(number, _)| number).collect();
    collection.chunks(&numbers).unwrap().iter().map(ChunkHit::id).collect()
}

/// Asserts that store and indexes hold `wanted`, id to text, and nothing else.
fn holds(collection: &Collection, wanted: &BTreeMap<String, String>) {
    let mut found = BTreeMap::new();
    for stored in collection.documents(0, usize::MAX, &|_| true).unwrap().documents {
        let (same, text) = collection.document(&stored.id).unwrap().unwrap();
        assert_eq!(same, stored);
        found.insert(stored.id, text);
    }
    assert_eq!(&found, wanted);
    let chunks: u64 = wanted.values().map(|text| text.lines().count() as u64).sum();
    let statistics = collection.statistics().unwrap();
    assert_eq!((statistics.documents, statistics.chunks), (wanted.len() as u64, chunks));
    assert_eq!(statistics.lexical, chunks);
    assert_eq!((statistics.linked - statistics.dead + statistics.fresh) as u64, chunks);
    for (id, text) in wanted {
        let (stored, _) = collection.document(id).unwrap().unwrap();
        for (number, new) in stored.numbers().zip(document(id, text).chunks) {
            let best = collection.search_vectors(&new.vector, 3, None).unwrap();
            let twins = best.iter().filter(|&&(_, cosine)| cosine > 0.999);
            assert!(best[0].1 > 0.999 && best.len() == 3.min(chunks as usize), "{best:?}");
            assert!(twins.count() == 3 || best.iter().any(|&(found, _)| found == number));
            let word = &text[new.chunk.range];
            let numbers: Vec<u64> =
                collection.search_words(word, usize::MAX, None).unwrap().iter().map(|&(n, _)| n).collect();
            assert!(numbers.contains(&number), "{word}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Upsert(Vec<(u8, u16)>),
    Remove(Vec<u8>),
    Link,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let documents = prop::collection::vec((0_u8..12, any::<u16>()), 1..5);
    prop_oneof![
        4 => documents.prop_map(Step::Upsert),
        2 => prop::collection::vec(0_u8..12, 1..4).prop_map(Step::Remove),
        1 => Just(Step::Link),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_was_stored_is_there_and_nothing_else(steps in prop::collection::vec(step(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let mut data = DataDir::open(folder.path()).unwrap();
        let mut collection = data.create(&name("c"), &settings()).unwrap();
        let mut wanted = BTreeMap::new();
        for step in steps {
            match step {
                Step::Upsert(documents) => {
                    let text = |seed: u16| [0, 1, 2][..=usize::from(seed % 3)].iter().fold(String::new(), |text, i| text + &format!("w{seed}x{i}\n"));
                    let documents: Vec<(String, String)> =
                        documents.into_iter().map(|(id, seed)| (format!("d{id}"), text(seed))).collect();
                    let new = documents.iter().map(|(id, text)| document(id, text)).collect();
                    collection.apply(&upsert(new)).unwrap();
                    wanted.extend(documents);
                }
                Step::Remove(ids) => {
                    let remove: Vec<String> = ids.iter().map(|id| format!("d{id}")).collect();
                    let before = wanted.len();
                    wanted.retain(|id, _| !remove.contains(id));
                    let change = collection.apply(&Batch { remove, upsert: Vec::new() }).unwrap();
                    prop_assert_eq!(change.removed, before - wanted.len());
                }
                Step::Link => drop(collection.optimise().unwrap()),
                Step::Reopen => {
                    drop((collection, data));
                    data = DataDir::open(folder.path()).unwrap();
                    collection = data.get(&name("c")).unwrap();
                    prop_assert!(collection.reports().is_empty(), "{:?}", collection.reports());
                }
            }
            holds(&collection, &wanted);
        }
    }
}

#[test]
fn one_process_at_a_time_has_a_folder() {
    let folder = filled();
    let first = DataDir::open(folder.path()).unwrap();
    let error = DataDir::open(folder.path()).unwrap_err();
    assert!(matches!(&error, IndexError::InUse(path) if path == folder.path()), "{error}");
    assert!(error.to_string().contains("WHITTLE_DATA_DIR"));
    drop(first);
    DataDir::open(folder.path()).unwrap();
}

#[test]
fn collections_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!DataDir::has_collections(folder.path()));
    let data = DataDir::open(folder.path()).unwrap();
    assert!(!DataDir::has_collections(folder.path()));
    assert!(matches!(data.get(&name("a")), Err(IndexError::NotFound(_))));
    assert!(matches!(data.delete(&name("a")), Err(IndexError::NotFound(_))));
    let old = data.create(&name("a"), &settings()).unwrap();
    data.create(&name("b"), &settings()).unwrap();
    assert!(DataDir::has_collections(folder.path()));
    assert!(matches!(data.create(&name("a"), &settings()), Err(IndexError::Exists(_))));
    assert_eq!(data.names().unwrap(), [name("a"), name("b")]);
    old.apply(&upsert(vec![document("d", "x\n")])).unwrap();
    data.delete(&name("a")).unwrap();
    assert_eq!(data.names().unwrap(), [name("b")]);
    // Whoever still holds the old one must not believe that something was stored.
    let error = old.apply(&upsert(vec![document("e", "y\n")])).unwrap_err();
    assert!(matches!(error, IndexError::NotFound(_)), "{error}");
    assert!(!old.optimise().unwrap());
    let new = data.create(&name("a"), &settings()).unwrap();
    holds(&new, &BTreeMap::new());
    assert!(fs::read_dir(folder.path().join(".unfinished")).unwrap().next().is_none());
}

#[test]
fn what_cannot_be_stored_changes_nothing() {
    let folder = filled();
    let data = DataDir::open(folder.path()).unwrap();
    let collection = data.get(&name("c")).unwrap();
    let before = collection.statistics().unwrap();
    let with_vector = |vector: Vec<f32>| {
        let mut bad = document("x", "text\n");
        bad.chunks[0].vector = vector;
        bad
    };
    let mut outside = document("x", "text\n");
    outside.chunks[0].chunk.range = 2..9;
    for (bad, wanted) in [
        (document("", "text\n"), "1 to 512 bytes"),
        (document(&"x".repeat(513), "text\n"), "1 to 512 bytes"),
        (document("x", ""), "it is empty"),
        (with_vector(vec![f32::NAN, 0.0, 0.0, 1.0]), "has the length NaN"),
        (with_vector(vec![0.0; 4]), "has the length 0"),
        (with_vector(vec![1.0, 0.0]), "has 2 values, those of the collection have 4"),
        (outside, "not a part of its text"),
    ] {
        let error = collection.apply(&upsert(vec![document("good", "good\n"), bad])).unwrap_err();
        assert!(
            matches!(error, IndexError::Document { .. }) && error.to_string().contains(wanted),
            "{error}"
        );
    }
    assert_eq!(collection.statistics().unwrap(), before);
    for query in [&[f32::INFINITY, 0.0, 0.0, 0.0][..], &[1.0]] {
        assert!(matches!(collection.search_vectors(query, 1, None), Err(IndexError::Settings(_))));
    }
    assert!(collection.search_words("", 5, None).unwrap().is_empty());
    assert!(collection.search_words("\" AND (*:", 5, None).unwrap().is_empty());
}

#[test]
fn of_two_documents_with_one_id_the_last_is_stored() {
    let folder = filled();
    let data = DataDir::open(folder.path()).unwrap();
    let collection = data.get(&name("c")).unwrap();
    let change =
        collection.apply(&upsert(vec![document("a", "one\n"), document("a", "two\nthree\n")])).unwrap();
    assert_eq!(change, Change { stored: 1, removed: 1 });
    let wanted = [("a", "two\nthree\n"), ("b", "blue plums\nred grapes\n")];
    holds(&collection, &wanted.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
    assert!(by_words(&collection, "apples").is_empty());
    assert_eq!(by_words(&collection, "grapes"), ["b#1"]);
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A function that damages a file.
type Damage = fn(&mut Vec<u8>);

/// Damages each file of an index in turn, and asserts that it is made anew, that it is said, and that nothing is lost.
fn survives_damage(index: &str, is_checked: fn(&Path) -> bool) {
    let damages: [Damage; 4] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        Vec::clear,
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        },
        |bytes| bytes[0] ^= 0x80,
    ];
    let folder = filled();
    let open = || {
        let data = DataDir::open(folder.path()).unwrap();
        data.get(&name("c")).unwrap()
    };
    let wanted = [("a", "red apples\ngreen pears\n"), ("b", "blue plums\nred grapes\n")];
    let wanted = wanted.map(|(id, text)| (id.to_owned(), text.to_owned())).into();
    open().optimise().unwrap();
    let place = folder.path().join("collections/c").join(index);
    let count = files(&place).len();
    assert!(count > 3, "{count}");
    for i in 0..count {
        for damage in damages {
            let all = files(&place);
            let file = &all[i.min(all.len() - 1)];
            let mut bytes = fs::read(file).unwrap();
            if bytes.is_empty() {
                continue;
            }
            damage(&mut bytes);
            replace(file, bytes);
            let collection = open();
            holds(&collection, &wanted);
            if is_checked(file) {
                let reports = collection.reports();
                assert!(reports.iter().any(|report| report.contains("rebuilt")), "{file:?}: {reports:?}");
            }
            collection.optimise().unwrap();
            drop(collection);
            assert!(open().reports().is_empty());
        }
    }
}

#[test]
fn a_damaged_dense_index_is_made_anew() {
    survives_damage("dense", |_| true);
}

#[test]
fn a_damaged_lexical_index_is_made_anew() {
    // Its locks are empty; its lists of files are kept beside each other, and one may do for the other.
    survives_damage("lexical", |file| !file.file_name().unwrap().to_string_lossy().starts_with('.'));
}

/// Damages files of an index in 200 ways, one file each time: the collection opens and holds what was stored.
fn survives_200_damages(index: &str) {
    let folder = filled();
    let open = || DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap();
    let wanted = [("a", "red apples\ngreen pears\n"), ("b", "blue plums\nred grapes\n")];
    let wanted = wanted.map(|(id, text)| (id.to_owned(), text.to_owned())).into();
    open().optimise().unwrap();
    let place = folder.path().join("collections/c").join(index);
    let mut rebuilt = 0;
    for number in 0..200 {
        let all = files(&place);
        let file = &all[number as usize % all.len()];
        let whole = fs::read(file).unwrap();
        if whole.is_empty() {
            continue;
        }
        let mut bytes = whole.clone();
        crate::storage::damage(&mut bytes, number);
        replace(file, bytes);
        let collection = open();
        holds(&collection, &wanted);
        assert_eq!(by_words(&collection, "apples"), ["a#0"], "{number} {file:?}");
        if collection.reports().is_empty() {
            // A damage that does no harm by itself, such as a name less in the list of files whose checksums are looked
            // at, would hide the next one.
            drop(collection);
            replace(file, whole);
        } else {
            rebuilt += 1;
            collection.optimise().unwrap();
        }
    }
    assert!(rebuilt > 50, "{rebuilt}");
}

#[test]
fn a_dense_index_survives_200_damages() {
    survives_200_damages("dense");
}

#[test]
fn a_lexical_index_survives_200_damages() {
    survives_200_damages("lexical");
}

/// Puts another file in the place of one: that which was there may still be mapped by a thread that is about to end.
fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::remove_file(path).ok();
    fs::write(path, bytes).unwrap();
}

#[test]
fn files_of_a_commit_that_was_not_finished_are_in_nobodys_way() {
    let folder = filled();
    let open = || DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap();
    let lexical = folder.path().join("collections/c/lexical");
    let before: Vec<_> = fs::read_dir(&lexical).unwrap().map(|entry| entry.unwrap().path()).collect();
    let before: Vec<_> = before.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    open().apply(&Batch { remove: vec!["a".into()], upsert: Vec::new() }).unwrap();
    // As if the process had been killed just before the end of the lexical index's commit: files of before are there,
    // which it may have removed since, and `meta.json` names them.
    for (bytes, path) in before {
        replace(&path, bytes);
    }
    let collection = open();
    assert!(collection.reports().is_empty(), "{:?}", collection.reports());
    holds(&collection, &[("b".to_owned(), "blue plums\nred grapes\n".to_owned())].into());
}

#[test]
fn an_index_that_was_not_finished_is_made_without_a_word() {
    let folder = filled();
    let lexical = folder.path().join("collections/c/lexical");
    fs::remove_dir_all(&lexical).unwrap();
    fs::create_dir(&lexical).unwrap();
    fs::create_dir_all(folder.path().join("collections/c/dense/unfinished-1")).unwrap();
    let collection = DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap();
    assert!(collection.reports().is_empty(), "{:?}", collection.reports());
    assert_eq!(by_words(&collection, "apples"), ["a#0"]);
    assert!(files(&folder.path().join("collections/c/dense")).is_empty());
}

#[test]
fn a_store_of_another_format_is_refused() {
    let folder = filled();
    let path = folder.path().join("collections/c/store.redb");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    transaction.open_table(meta).unwrap().insert("format", 99_u32.to_le_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap_err();
    assert!(matches!(error, IndexError::Format { found: 99, known: 1, .. }), "{error}");
}

#[test]
fn what_the_first_format_holds_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("collections/c");
    fs::create_dir_all(&place).unwrap();
    fs::copy("indexes/format-1/store.redb", place.join("store.redb")).unwrap();
    let collection = DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap();
    let settings = collection.settings();
    assert_eq!((settings.embedder.as_str(), settings.dimensions), ("all-minilm-l6-v2", 384));
    let (bridge, text) = collection.document("bridge").unwrap().unwrap();
    assert_eq!(text, "The bridge was opened on 3 May 1987. It is not open to lorries over 7.5 t.");
    assert_eq!((bridge.title.as_deref(), &bridge.metadata["year"]), (Some("Harbour Street"), &1987.into()));
    let (libraries, _) = collection.document("größe").unwrap().unwrap();
    assert_eq!((libraries.layout, libraries.chunks), (Layout::Markdown, 1));
    assert_eq!(by_words(&collection, "both libraries lorries"), ["größe#0", "bridge#0"]);
    let vector = collection.vector(libraries.first).unwrap();
    assert_eq!(collection.search_vectors(&vector, 1, None).unwrap()[0].0, libraries.first);
    assert_eq!(collection.chunks(&[libraries.first]).unwrap()[0].chunk.headings, ["Libraries"]);
}

#[test]
fn a_damaged_store_is_an_error_that_names_it() {
    let folder = filled();
    let path = folder.path().join("collections/c/store.redb");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 100, bytes.len() / 2] {
        replace(&path, &bytes[..length]);
        let error = DataDir::open(folder.path()).unwrap().get(&name("c")).unwrap_err();
        assert!(error.to_string().contains("collections/c/store.redb"), "{length}: {error}");
    }
    // What is not noticed must not bring the process down, nor be anything but what was stored.
    for number in 0..200 {
        let mut damaged = bytes.clone();
        crate::storage::damage(&mut damaged, number);
        replace(&path, &damaged);
        match DataDir::open(folder.path()).unwrap().get(&name("c")) {
            Ok(collection) => {
                by_words(&collection, "apples");
                assert!(!collection.documents(0, 10, &|_| true).unwrap().documents.is_empty(), "{number}");
            }
            Err(error) => {
                let known = matches!(error, IndexError::Damaged { .. } | IndexError::Format { .. });
                assert!(known && error.to_string().contains("store.redb"), "{number}: {error}");
                assert_eq!(fs::read(&path).unwrap().len(), damaged.len(), "it is left as it is");
            }
        }
    }
}

#[test]
fn links_find_what_comparing_finds() {
    const WIDE: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open(folder.path()).unwrap();
    let settings = Settings::new("fake", WIDE, ChunkSettings::default()).unwrap();
    let collection = data.create(&name("c"), &settings).unwrap();
    let new = |seed: u64| {
        let mut new = document(&format!("d{seed}"), "word\n");
        new.metadata.insert("group".into(), (seed % 16).into());
        new.chunks[0].vector = vector(seed, WIDE);
        new
    };
    collection.apply(&upsert((0..5000).map(new).collect())).unwrap();
    assert!(collection.optimise().unwrap() && !collection.optimise().unwrap());
    let remove = (0..500).map(|seed| format!("d{}", seed * 10)).collect();
    collection.apply(&Batch { remove, upsert: (5000..5100).map(new).collect() }).unwrap();
    let statistics = collection.statistics().unwrap();
    assert_eq!((statistics.linked, statistics.dead, statistics.fresh), (5000, 500, 100));
    let one_group = collection.matching(&|metadata| metadata["group"] == 3);
    let most = collection.matching(&|metadata| metadata["group"] != 3);
    assert_eq!(one_group.len() + most.len(), 4600);
    let (mut found, mut wanted) = (0, 0);
    for query in 0..100 {
        let query = vector(1_000_000 + query, WIDE);
        let exact = collection.search_vectors_exactly(&query, 10).unwrap();
        let linked = collection.search_vectors(&query, 10, None).unwrap();
        wanted += exact.len();
        found += exact.iter().filter(|chunk| linked.contains(chunk)).count();
        for allowed in [&one_group, &most] {
            let all = collection.search_vectors_exactly(&query, 5000).unwrap();
            let exact: Vec<Scored> = all.into_iter().filter(|&(n, _)| allowed.contains(n)).take(10).collect();
            let filtered = collection.search_vectors(&query, 10, Some(allowed)).unwrap();
            assert!(filtered.iter().all(|&(number, _)| allowed.contains(number)) && filtered.len() == 10);
            wanted += exact.len();
            found += exact.iter().filter(|chunk| filtered.contains(chunk)).count();
        }
    }
    assert!(found * 1000 >= wanted * 990, "found {found} of {wanted}");
}

#[test]
fn a_store_that_was_closed_in_order_is_known_again_and_a_bit_that_flips_later_is_found() {
    let folder = filled();
    let place = folder.path().join("collections/c");
    let (store, mark) = (place.join("store.redb"), place.join("store.redb.closed"));
    let open = || DataDir::open(folder.path()).unwrap().get(&name("c"));
    let collection = open().unwrap();
    assert!(!mark.exists(), "a process that is killed now must leave no mark");
    collection.apply(&upsert(vec![document("x", "late medlars\n")])).unwrap();
    drop(collection);
    assert!(mark.exists());
    drop(open().unwrap());
    // In the vectors of a collection whose indexes are whole: nothing reads them at a start.
    let mut bytes = fs::read(&store).unwrap();
    let value: Vec<u8> =
        document("x", "late medlars\n").chunks[0].vector.iter().flat_map(|v| v.to_le_bytes()).collect();
    let at = bytes.windows(value.len()).position(|window| window == value).unwrap();
    bytes[at] ^= 1;
    replace(&store, bytes);
    for _ in 0..2 {
        let found = open();
        let repaired = found.as_ref().is_ok_and(|collection| collection.document("x").unwrap().is_none());
        assert!(found.is_err() || repaired, "damage must not be taken for what was stored");
    }
}

/// A snapshot of the collection `c` in a folder.
fn snapshot_of(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    DataDir::open(folder).unwrap().get(&name("c")).unwrap().snapshot(&mut bytes).unwrap();
    bytes
}

/// Checks that a failed restore left nothing in the folder.
fn assert_nothing_left(data: &DataDir, folder: &Path) {
    assert!(data.names().unwrap().is_empty());
    let unfinished = fs::read_dir(folder.join(".unfinished"));
    assert!(unfinished.is_err() || unfinished.unwrap().next().is_none());
}

#[test]
fn a_snapshot_is_restored_to_the_same() {
    let folder = filled();
    let data = DataDir::open(folder.path()).unwrap();
    let collection = data.get(&name("c")).unwrap();
    let mut titled = document("t", "late medlars\nearly medlars\n");
    titled.title = Some("Größe".into());
    titled.metadata.insert("year".into(), 1987.into());
    titled.layout = Layout::Markdown;
    titled.chunks[1].chunk.headings = vec!["Fruit".into()];
    collection.apply(&Batch { remove: vec!["a".into()], upsert: vec![titled] }).unwrap();
    let mut bytes = Vec::new();
    collection.snapshot(&mut bytes).unwrap();
    let restored = data.restore(&name("again"), Cursor::new(&bytes)).unwrap();
    let wanted = [("b", "blue plums\nred grapes\n"), ("t", "late medlars\nearly medlars\n")];
    holds(&restored, &wanted.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
    assert_ne!(
        restored.settings().id,
        collection.settings().id,
        "caches of one must not be taken for the other's"
    );
    let settings = Settings { id: collection.settings().id.clone(), ..restored.settings().clone() };
    assert_eq!(&settings, collection.settings());
    let (stored, _) = restored.document("t").unwrap().unwrap();
    let (original, _) = collection.document("t").unwrap().unwrap();
    assert_eq!(StoredDocument { first: original.first, ..stored.clone() }, original);
    assert_eq!(restored.chunks(&[stored.first + 1]).unwrap()[0].chunk.headings, ["Fruit"]);
    assert_eq!(restored.vector(stored.first), collection.vector(original.first));
    assert!(restored.reports().is_empty());
    // It lasts, goes on as any other, and its own snapshot is as good.
    restored.apply(&upsert(vec![document("new", "ripe quinces\n")])).unwrap();
    drop((restored, collection, data));
    let data = DataDir::open(folder.path()).unwrap();
    let restored = data.get(&name("again")).unwrap();
    assert_eq!(by_words(&restored, "quinces"), ["new#0"]);
    let mut second = Vec::new();
    restored.snapshot(&mut second).unwrap();
    assert_eq!(data.restore(&name("third"), Cursor::new(second)).unwrap().statistics().unwrap().documents, 3);
    let error = data.restore(&name("again"), Cursor::new(bytes)).unwrap_err();
    assert!(matches!(&error, IndexError::Exists(taken) if *taken == name("again")), "{error}");
}

#[test]
fn an_empty_collection_is_restored_too() {
    let folder = tempfile::tempdir().unwrap();
    DataDir::open(folder.path()).unwrap().create(&name("c"), &settings()).unwrap();
    let bytes = snapshot_of(folder.path());
    let data = DataDir::open(folder.path()).unwrap();
    holds(&data.restore(&name("d"), Cursor::new(bytes)).unwrap(), &BTreeMap::new());
}

#[test]
fn a_damaged_snapshot_is_refused_and_nothing_is_left_of_it() {
    let source = filled();
    let bytes = snapshot_of(source.path());
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open(folder.path()).unwrap();
    let refused = |bytes: &[u8]| {
        let error = data.restore(&name("c"), Cursor::new(bytes)).unwrap_err();
        assert_nothing_left(&data, folder.path());
        let IndexError::Snapshot(error) = error else { panic!("{error}") };
        error
    };
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let error = refused(&bytes[..length]);
        let expected = if length < 20 {
            matches!(error, SnapshotError::Foreign)
        } else {
            matches!(error, SnapshotError::Damaged)
        };
        assert!(expected, "{length}: {error}");
    }
    for place in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let error = refused(&damaged);
        let expected = match place {
            0..16 => matches!(error, SnapshotError::Foreign),
            16..20 => matches!(error, SnapshotError::Format { known: 1, .. }),
            _ => matches!(error, SnapshotError::Damaged),
        };
        assert!(expected, "{place}: {error}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(refused(&longer), SnapshotError::Damaged));
    assert!(matches!(refused(b"{\"id\": \"1\", \"text\": \"a\"}"), SnapshotError::Foreign));
}

/// A snapshot that is whole by its hash, whatever its parts say.
fn forged(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [&b"whittle snapshot"[..], &1_u32.to_le_bytes()].concat();
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(*part);
    }
    let hash = *blake3::hash(&bytes).as_bytes();
    [bytes, hash.to_vec()].concat()
}

/// Mutants that are whole by their hash reach everything behind the check of it.
#[test]
fn of_a_mutated_snapshot_all_or_nothing_is_read() {
    let folder = filled();
    let valid = snapshot_of(folder.path());
    let parts = &valid[..valid.len() - 32];
    let (mut random, mut read_whole) = (Random::new(13), 0);
    for number in 0..5_000 {
        let mut mutant = mutated(parts, &mut random);
        if number % 5 != 0 {
            let hash = *blake3::hash(&mutant).as_bytes();
            mutant.extend(hash);
        }
        let Ok(mut snapshot) = Snapshot::open(Cursor::new(&mutant)) else { continue };
        let outcome: Result<Vec<_>, _> =
            std::iter::from_fn(|| snapshot.next().transpose()).take(10).collect();
        for document in outcome.iter().flatten() {
            document.check(snapshot.settings.dimensions).unwrap();
        }
        read_whole += usize::from(outcome.is_ok());
    }
    assert!((20..4_000).contains(&read_whole), "{read_whole} of 5,000 read");
}

#[test]
fn a_forged_snapshot_is_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open(folder.path()).unwrap();
    let head = |documents: u64, width: usize| {
        let settings = Settings { dimensions: width, ..settings() };
        serde_json::to_vec(&serde_json::json!({"settings": settings, "documents": documents})).unwrap()
    };
    let record = |id: &str, range: Range<usize>| {
        let chunk = StoredChunk { range, headings: Vec::new(), header: None, tokens: 1 };
        serde_json::to_vec(
            &serde_json::json!({"id": id, "title": null, "metadata": {}, "layout": "plain", "hash": "h",
            "chunks": [chunk]}),
        )
        .unwrap()
    };
    let vector: Vec<u8> = [1.0_f32, 0.0, 0.0, 0.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let (one, good) = (head(1, 4), record("a", 0..3));
    data.restore(&name("good"), Cursor::new(forged(&[&one, &good, b"abc", &vector]))).unwrap();
    data.delete(&name("good")).unwrap();
    let long = [&u64::MAX.to_le_bytes()[..], b"x"].concat();
    let mut cut = forged(&[&one]);
    cut.truncate(cut.len() - 32);
    cut.extend(long);
    let hash = *blake3::hash(&cut).as_bytes();
    cut.extend(hash);
    for (bytes, wanted) in [
        (forged(&[b"{}"]), "missing field"),
        (forged(&[&head(1, 1)]), "1 dimensions"),
        (forged(&[&one]), "ends within a document"),
        (cut, "18446744073709551615 bytes"),
        (forged(&[&one, &good, b"abc", &vector, b"more"]), "bytes follow its last document"),
        (forged(&[&one, &good, b"abc", &vector[..8]]), "not a vector for each chunk"),
        (forged(&[&one, &good, b"ab\xff", &vector]), "not UTF-8"),
        (forged(&[&one, &record("a", 0..4), b"abc", &vector]), "not a part of its text"),
        (forged(&[&one, &record("", 0..3), b"abc", &vector]), "1 to 512 bytes"),
        (forged(&[&one, &good, b"abc", &[0; 16]]), "has the length 0"),
        (forged(&[&head(2, 4), &good, b"abc", &vector, &good, b"abc", &vector]), "the same id"),
    ] {
        let error = data.restore(&name("c"), Cursor::new(bytes)).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        assert_nothing_left(&data, folder.path());
    }
}

#[test]
fn a_snapshot_is_of_one_moment_while_others_write() {
    let folder = filled();
    let data = DataDir::open(folder.path()).unwrap();
    let collection = data.get(&name("c")).unwrap();
    // Each batch takes the pair of the one before away: at every moment there is one whole pair.
    let pair = |i: u32| [0, 1].map(|half| format!("pair-{i}-{half}"));
    let batch = |i: u32| Batch {
        remove: i.checked_sub(1).map(pair).into_iter().flatten().collect(),
        upsert: pair(i).iter().map(|id| document(id, &format!("{id}\n"))).collect(),
    };
    let written = AtomicU32::new(0);
    let wait_for = |count| {
        while written.load(Ordering::Relaxed) < count {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for i in 0..20 {
                collection.apply(&batch(i)).unwrap();
                written.store(i + 1, Ordering::Relaxed);
            }
        });
        let taken: Vec<Vec<u8>> = (0..20)
            .map(|i| {
                wait_for(i);
                let mut bytes = Vec::new();
                collection.snapshot(&mut bytes).unwrap();
                bytes
            })
            .collect();
        writer.join().unwrap();
        for (i, bytes) in taken.into_iter().enumerate() {
            let restored = data.restore(&name(&format!("r{i}")), Cursor::new(bytes)).unwrap();
            let ids = restored.documents(0, 10, &|_| true).unwrap().documents;
            let pairs: Vec<&str> = ids.iter().filter_map(|stored| stored.id.strip_prefix("pair-")).collect();
            assert!(pairs.is_empty() || pairs.len() == 2, "{pairs:?}");
            assert!(
                pairs.is_empty() || pairs[0].strip_suffix("-0") == pairs[1].strip_suffix("-1"),
                "{pairs:?}"
            );
        }
    });
}

#[test]
fn of_two_restores_under_one_name_one_is_refused() {
    let folder = filled();
    let bytes = snapshot_of(folder.path());
    let data = DataDir::open(folder.path()).unwrap();
    let restored: Vec<bool> = std::thread::scope(|scope| {
        let restore = || data.restore(&name("same"), Cursor::new(&bytes));
        let tasks: Vec<_> = (0..4).map(|_| scope.spawn(restore)).collect();
        let told = |result: Result<_, IndexError>| match result {
            Ok(_) => true,
            Err(IndexError::Exists(_)) => false,
            Err(error) => panic!("{error}"),
        };
        tasks.into_iter().map(|task| told(task.join().unwrap())).collect()
    });
    assert_eq!(restored.iter().filter(|&&restored| restored).count(), 1);
    assert!(fs::read_dir(folder.path().join(".unfinished")).unwrap().next().is_none());
}
