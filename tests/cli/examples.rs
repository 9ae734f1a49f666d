//! `whittle examples` on the real embedder.

use std::fs;
use std::path::Path;

use crate::support::{Done, run};

const LINES: &str = "{\"id\":\"ferry\",\"question\":\"When does the last ferry leave?\",\"thought\":\"Ferries leave until nine.\",\
    \"answer\":\"at nine\"}\n\n{\"id\":\"bridge\",\"question\":\"How heavy may a lorry on the bridge be?\",\"answer\":\"B\",\
    \"choices\":[{\"label\":\"A\",\"text\":\"3.5 t\"},{\"label\":\"B\",\"text\":\"7.5 t\"}],\"metadata\":{\"year\":1987}}\n\
    {\"id\":\"mill\",\"question\":\"Who bought the old mill?\",\"answer\":\"a brewer\"}\n";

/// Runs `whittle examples` in `folder`, with its data there too.
fn examples(folder: &Path, arguments: &[&str]) -> Done {
    let data = folder.join("data");
    let arguments = [&["examples"], arguments].concat();
    run(&arguments, b"", &[("WHITTLE_DATA_DIR", data.to_str().unwrap())], folder)
}

#[test]
fn examples_are_added_listed_chosen_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("solved.jsonl"), LINES).unwrap();
    let added = examples(folder, &["add", "town", "solved.jsonl"]);
    assert!(added.text().is_empty());
    assert!(added.stderr.contains("3 examples added, 0 updated, 0 unchanged"), "{}", added.stderr);
    fs::write(folder.join("solved.jsonl"), LINES.replace("a brewer", "a baker")).unwrap();
    let again = examples(folder, &["add", "town", "solved.jsonl"]);
    assert!(again.stderr.contains("0 examples added, 1 updated, 2 unchanged"), "{}", again.stderr);

    let exported = examples(folder, &["list", "town", "--format", "json"]).text().to_owned();
    fs::write(folder.join("export.jsonl"), &exported).unwrap();
    examples(folder, &["add", "copy", "export.jsonl"]).text();
    assert_eq!(examples(folder, &["list", "copy", "--format", "json"]).text(), exported);
    assert_eq!(exported.lines().next().unwrap(), LINES.lines().next().unwrap(), "as it was written");
    let banks = examples(folder, &["list"]).text().to_owned();
    assert!(banks.starts_with("copy\t3 examples\t") && banks.contains("\ntown\t3 examples\t"), "{banks}");

    let shown = examples(folder, &["select", "town", "Which lorries may cross the bridge?", "--count", "2"]);
    let last =
        "  bridge\n    How heavy may a lorry on the bridge be?\n    A. 3.5 t\n    B. 7.5 t\n    answer: B\n";
    assert!(shown.text().ends_with(last) && shown.text().matches("answer:").count() == 2, "{}", shown.text());
    let chosen =
        examples(folder, &["select", "town", "who BOUGHT old mill", "--count", "1", "--format", "json"])
            .json();
    assert_ne!(chosen["examples"][0]["example"]["id"], "mill", "it is the question itself");

    let gone = examples(folder, &["delete", "town", "mill", "nobody"]);
    assert!(gone.stderr.contains("1 examples deleted"), "{}", gone.stderr);
    assert!(!examples(folder, &["list", "town"]).text().contains("mill"));
    examples(folder, &["delete", "town"]).text();
    assert!(examples(folder, &["list", "town"]).failure(1).contains("there is no bank `town`"));
    assert_eq!(examples(folder, &["list"]).text().lines().count(), 1);
}

#[test]
fn a_bad_line_is_told_by_its_number_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (line, wanted) in [
        ("{\"question\": \"q\"}", "line 5: missing field `answer`"),
        ("{\"question\": \"q\", \"answer\": \" \"}", "line 5: `answer` is empty"),
        ("{\"id\": \"mill\", \"question\": \"q\", \"answer\": \"a\"}", "line 5: the id `mill` occurs twice"),
        ("{\"question\": ", "line 5: EOF"),
    ] {
        fs::write(folder.join("bad.jsonl"), format!("{LINES}{line}\n")).unwrap();
        let failed = examples(folder, &["add", "town", "bad.jsonl"]);
        assert!(failed.failure(2).contains(wanted), "{}", failed.stderr);
    }
    fs::write(folder.join("empty.jsonl"), "\n").unwrap();
    assert!(
        examples(folder, &["add", "town", "empty.jsonl"]).failure(2).contains("the files contain no example")
    );
    assert!(examples(folder, &["list"]).text().is_empty());
    assert!(examples(folder, &["select", "../x", "q"]).failure(2).contains("is not a valid name"));
    assert!(
        examples(folder, &["select", "x", "q", "--count", "0"]).failure(1).contains("there is no bank `x`")
    );
}
