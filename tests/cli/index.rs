//! `whittle index` on the real embedder: what is stored is found, once and in every way.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, run};

const NOTES: &str = "# Harbour\n\nNotes of the harbour office.\n\n## Bridge\n\nThe bridge at Harbour Street was opened on \
    3 May 1987. It is not open to lorries over 7.5 t.\n\n## Ferry\n\nThe ferry leaves every twenty minutes.\n";
const LINES: &str = "{\"id\": \"lib\", \"title\": \"Libraries\", \"text\": \"Both libraries close at six o'clock on \
    weekdays.\", \"metadata\": {\"year\": 2023}}\n\n{\"id\": \"mill\", \"text\": \"The old mill was sold to a brewer.\", \
    \"metadata\": {\"year\": 1999}}\n";

/// Runs `whittle index` in `folder`, with its data there too.
pub(crate) fn index(folder: &Path, arguments: &[&str]) -> Done {
    let data = folder.join("data");
    let arguments = [&["index"], arguments].concat();
    run(&arguments, b"", &[("WHITTLE_DATA_DIR", data.to_str().unwrap())], folder)
}

/// Ids of what a search finds, best first.
fn search(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let found = index(folder, &[&["search", "town"], arguments, &["--format", "json"]].concat()).json();
    let id = |result: &Value| result["document_id"].as_str().unwrap().to_owned();
    found["results"].as_array().unwrap().iter().map(id).collect()
}

/// A folder with two files of documents, ingested into `town`.
fn town() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/harbour.md"), NOTES).unwrap();
    fs::write(folder.path().join("docs/lines.jsonl"), LINES).unwrap();
    let done = index(folder.path(), &["ingest", "town", "docs"]);
    assert!(done.text().is_empty());
    assert!(done.stderr.contains("3 documents added, 0 updated, 0 unchanged"), "{}", done.stderr);
    folder
}

#[test]
fn what_is_ingested_is_found_by_words_and_by_meaning() {
    let folder = town();
    let folder = folder.path();
    for mode in ["lexical", "dense", "hybrid"] {
        let found = search(folder, &["which lorries may cross the bridge?", "--mode", mode]);
        assert_eq!(found[0], "docs/harbour.md", "{mode}");
    }
    assert_eq!(search(folder, &["opening hours of the library", "--mode", "dense"])[0], "lib");
    assert_eq!(search(folder, &["brewer", "--mode", "lexical"]), ["mill"]);
    let new = ["old things", "--filter", "{\"field\": \"year\", \"gte\": 2000}"];
    assert_eq!(search(folder, &new), ["lib"]);
    assert_eq!(search(folder, &["town", "--min-score", "9"]), [] as [&str; 0]);
    let likely = ["which lorries may cross the bridge?", "--rerank", "3", "--rerank-by", "likelihood"];
    assert_eq!(search(folder, &likely)[0], "docs/harbour.md");
    let late = index(folder, &[&["search", "town"], &likely[..], &["--rerank-deadline-ms", "0"]].concat());
    assert!(late.text().contains("lorries") && late.stderr.contains("rerank_late"), "{}", late.stderr);
    let shown = index(folder, &["search", "town", "lorries", "--top-k", "1"]);
    assert!(
        shown.text().contains("docs/harbour.md [") && shown.text().contains("Harbour > Bridge"),
        "{}",
        shown.text()
    );
    let found = index(folder, &["search", "town", "lorries", "--top-k", "1", "--format", "json"]).json();
    let range = found["results"][0]["range"].as_array().unwrap();
    let at = |i: usize| range[i].as_u64().unwrap() as usize;
    assert_eq!(found["results"][0]["text"], NOTES[at(0)..at(1)], "the range is of the source");
}

#[test]
fn ingesting_again_changes_nothing_but_what_changed() {
    let folder = town();
    let folder = folder.path();
    let epoch = || index(folder, &["stats", "town", "--format", "json"]).json()["epoch"].clone();
    let before = epoch();
    let again = index(folder, &["ingest", "town", "docs"]);
    assert!(again.stderr.contains("0 documents added, 0 updated, 3 unchanged; 0 chunks"), "{}", again.stderr);
    assert_eq!(epoch(), before, "nothing was written");
    fs::write(folder.join("docs/lines.jsonl"), LINES.replace("a brewer", "a baker")).unwrap();
    let changed = index(folder, &["ingest", "town", "docs"]);
    assert!(
        changed.stderr.contains("0 documents added, 1 updated, 2 unchanged; 1 chunks"),
        "{}",
        changed.stderr
    );
    assert_eq!(search(folder, &["brewer", "--mode", "lexical"]), [] as [&str; 0]);
    assert_eq!(search(folder, &["baker", "--mode", "lexical"]), ["mill"]);
}

#[test]
fn what_was_stored_without_scores_is_scored_later_and_once() {
    let folder = town();
    let folder = folder.path();
    let ingest = |wanted: &str| {
        let done = index(folder, &["ingest", "town", "docs", "--score"]);
        assert!(done.stderr.contains(wanted), "{}", done.stderr);
    };
    let chunks = index(folder, &["stats", "town", "--format", "json"]).json()["chunks"].clone();
    ingest(&format!("0 documents added, 0 updated, 3 unchanged; 0 chunks embedded, {chunks} scored"));
    ingest("3 unchanged; 0 chunks embedded, 0 scored");
    fs::write(folder.join("docs/lines.jsonl"), LINES.replace("a brewer", "a baker")).unwrap();
    ingest("1 updated, 2 unchanged; 1 chunks embedded, 1 scored");
}

#[test]
fn an_export_is_ingested_to_the_same() {
    let folder = town();
    let folder = folder.path();
    let exported = index(folder, &["export", "town"]).text().to_owned();
    assert_eq!(exported.lines().count(), 3);
    fs::write(folder.join("export.jsonl"), &exported).unwrap();
    index(folder, &["ingest", "copy", "export.jsonl"]).text();
    assert_eq!(index(folder, &["export", "copy"]).text(), exported);
    let listed = index(folder, &["list"]).text().to_owned();
    assert!(listed.starts_with("copy\t3 documents") && listed.contains("\ntown\t3 documents"), "{listed}");
    index(folder, &["delete", "town"]).text();
    assert!(index(folder, &["export", "town"]).failure(1).contains("there is no collection `town`"));
    assert_eq!(index(folder, &["list"]).text().lines().count(), 1);
}

#[test]
fn a_damaged_index_is_made_anew_and_told() {
    let folder = town();
    let folder = folder.path();
    let words = fs::read_dir(folder.join("data/collections/town/lexical")).unwrap();
    let damaged =
        words.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "term"));
    let mut bytes = fs::read(damaged.as_ref().unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(damaged.unwrap(), bytes).unwrap();
    let done = index(folder, &["search", "town", "brewer", "--mode", "lexical"]);
    assert!(done.text().contains("mill [0..34]"), "{}", done.text());
    assert!(done.stderr.contains("damaged; it is rebuilt from the store"), "{}", done.stderr);
    let again = index(folder, &["search", "town", "brewer", "--mode", "lexical"]);
    assert!(again.text() == done.text() && again.stderr.is_empty(), "{}", again.stderr);
}

#[test]
fn bad_lines_are_refused_or_left_out_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.jsonl"), format!("{LINES}{{\"id\": \"x\"}}\n{{\"text\": \"last\"}}\n"))
        .unwrap();
    let refused = index(folder, &["ingest", "town", "bad.jsonl"]);
    let message = refused.failure(2);
    assert!(
        message.contains("bad.jsonl line 4: missing field `text`") && message.contains("--on-bad skip"),
        "{message}"
    );
    assert!(index(folder, &["list"]).text().is_empty(), "nothing was stored");
    let skipped = index(folder, &["ingest", "town", "bad.jsonl", "--on-bad", "skip"]);
    assert!(skipped.text().is_empty() && skipped.stderr.contains("3 documents added"), "{}", skipped.stderr);
    assert!(skipped.stderr.contains("1 lines or files are not documents"), "{}", skipped.stderr);
    assert!(skipped.stderr.contains("line 4: missing field `text`"), "{}", skipped.stderr);
}

#[test]
fn json_files_hold_documents_and_no_id_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("docs")).unwrap();
    let list =
        r#"{"documents": [{"id": "lib", "text": "Both libraries close at six."}, {"text": "A mill."}]}"#;
    fs::write(folder.join("docs/a.json"), list).unwrap();
    fs::write(folder.join("docs/b.json"), r#"{"id": "bridge", "text": "The bridge was opened in 1987."}"#)
        .unwrap();
    let done = index(folder, &["ingest", "town", "docs", "docs/a.json"]);
    assert!(done.text().is_empty() && done.stderr.contains("3 documents added"), "{}", done.stderr);
    assert_eq!(search(folder, &["libraries", "--mode", "lexical"]), ["lib"]);

    fs::write(
        folder.join("docs/c.json"),
        r#"[{"id": "new", "text": "a"}, {"id": "lib", "text": "b"}, {"text": 1}]"#,
    )
    .unwrap();
    let refused = index(folder, &["ingest", "town", "docs"]);
    let message = refused.failure(2);
    assert!(message.contains("docs/c.json [1]: an earlier document has the same id `lib`"), "{message}");
    let skipped = index(folder, &["ingest", "town", "docs", "--on-bad", "skip"]);
    assert!(
        skipped.text().is_empty() && skipped.stderr.contains("1 documents added, 0 updated, 3 unchanged")
    );
    assert!(skipped.stderr.contains("docs/c.json [2]: invalid type: integer `1`"), "{}", skipped.stderr);
    assert!(index(folder, &["export", "town"]).text().contains("six"), "the first of the two stayed");
}

#[test]
fn wrong_usage_is_told_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (arguments, code, wanted) in [
        (&["create", "../town"][..], 2, "may hold a-z"),
        (&["create", "town", "--chunk-tokens", "5"], 2, "from 16 to 8192"),
        (&["create", "town", "--overlap", "110"], 2, "less than 110"),
        (&["stats", "town"], 1, "there is no collection `town`"),
        (&["delete", "town"], 1, "there is no collection `town`"),
        (&["ingest", "town", "nowhere"], 1, "cannot read nowhere"),
        (&["search", "town", "x", "--filter", "{}"], 2, "`field`, `and`, `or` or `not`"),
        (&["search", "town", " "], 1, "there is no collection `town`"),
        (&["search", "town", "x", "--rerank-by", "likelihood"], 2, "--rerank <N>"),
        (&["search", "town", "x", "--rerank-deadline-ms", "9"], 2, "--rerank <N>"),
    ] {
        let done = index(folder, arguments);
        assert!(done.failure(code).contains(wanted), "{arguments:?}: {}", done.stderr);
    }
    index(folder, &["create", "town", "--chunk-tokens", "100"]).text();
    assert!(index(folder, &["create", "town", "--chunk-tokens", "100"]).stderr.contains("already"));
    assert!(index(folder, &["create", "town"]).failure(1).contains("other settings"));
    assert!(index(folder, &["search", "town", " "]).failure(2).contains("`query` is empty"));
    assert!(index(folder, &["search", "town", "x", "--top-k", "0"]).failure(2).contains("from 1 to 1000"));
    assert!(index(folder, &["search", "town", "x"]).text().is_empty());
}
