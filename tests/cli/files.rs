//! `whittle index ingest` of HTML, PDF and DOCX, hostile ones among them, and of more than the disk has room for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::index::index;
use crate::made::{bomb, docx, looping, page, pdf, workbook};

fn write_good(folder: &Path) {
    let html = "<title>Harbour</title><h1>Bridge</h1><p>The bridge bears 7.5 t.<script>x</script>";
    fs::write(folder.join("harbour.html"), html).unwrap();
    let pages = [&*page("Rules."), &page("Lorries pay nine crowns.")];
    fs::write(folder.join("rules.pdf"), pdf(&pages)).unwrap();
    fs::write(folder.join("plan.docx"), docx(b"<w:p><w:r><w:t>A ferry at noon.</w:t></w:r></w:p>")).unwrap();
}

#[test]
fn files_of_other_formats_are_found_by_heading_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("docs")).unwrap();
    write_good(&folder.join("docs"));
    let done = index(folder, &["ingest", "town", "docs"]);
    assert!(done.text().is_empty() && done.stderr.contains("3 documents added"), "{}", done.stderr);
    let best = |query: &str| {
        let found = index(folder, &["search", "town", query, "--top-k", "1", "--format", "json"]).json();
        let best = &found["results"][0];
        (best["document_id"].clone(), best["title"].clone(), best["headings"].clone())
    };
    assert_eq!(
        best("what does the bridge bear?"),
        (json!("docs/harbour.html"), json!("Harbour"), json!(["Bridge"]))
    );
    assert_eq!(best("what do lorries pay?"), (json!("docs/rules.pdf"), Value::Null, json!(["Page 2"])));
    assert_eq!(best("when is the ferry?").0, "docs/plan.docx");
    let again = index(folder, &["ingest", "town", "docs"]);
    assert!(again.stderr.contains("0 documents added, 0 updated, 3 unchanged"), "{}", again.stderr);
}

#[test]
fn tables_mail_and_code_are_found_by_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let docs = folder.join("docs");
    fs::create_dir(&docs).unwrap();
    let trees: String = ["Alder", "Birch", "Larch"]
        .map(|tree| (0..60).map(|i| format!("{tree} {i},{}\n", i + 20)).collect::<Vec<_>>().concat())
        .concat();
    fs::write(docs.join("trees.csv"), format!("Tree,Age in years\n{trees}")).unwrap();
    let cells =
        "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>Lorry</t></is></c><c r=\"B1\"><v>9</v></c></row>";
    fs::write(docs.join("fees.xlsx"), workbook(cells.as_bytes())).unwrap();
    let mail = "From: Ann <ann@example.org>\r\nSubject: Pump\r\n\r\nThe pump in the cellar grinds.\r\n";
    fs::write(docs.join("pump.eml"), mail).unwrap();
    fs::write(docs.join("harbour.py"), "def toll(lorry):\n    return 9 if lorry.heavy else 4\n").unwrap();
    fs::write(docs.join("page.html"), "<nav>Imprint</nav><main><p>The mill was sold.</main>").unwrap();
    let done = index(folder, &["ingest", "town", "docs"]);
    assert!(done.text().is_empty() && done.stderr.contains("5 documents added"), "{}", done.stderr);
    let exported = index(folder, &["export", "town"]);
    let exported = exported.text();
    let text = |name: &str| {
        let documents = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        documents.into_iter().find(|document| document["id"] == format!("docs/{name}")).unwrap()
    };
    assert_eq!(text("fees.xlsx")["text"], "# Fees\n\n| Lorry | 9 |\n|---|---|\n\n");
    assert_eq!((&text("harbour.py")["layout"], &text("pump.eml")["title"]), (&json!("code"), &json!("Pump")));
    assert!(!text("page.html")["text"].as_str().unwrap().contains("Imprint"));
    let found = index(
        folder,
        &["search", "town", "Larch 59", "--top-k", "1", "--mode", "lexical", "--format", "json"],
    )
    .json();
    let best = &found["results"][0];
    assert!(best["document_id"] == "docs/trees.csv" && best.to_string().contains("Age in years"), "{best}");
    let whole = index(folder, &["ingest", "town", "docs", "--whole"]);
    assert!(whole.stderr.contains("1 updated, 4 unchanged"), "{}", whole.stderr);
}

#[test]
fn hostile_and_broken_files_are_named_and_the_others_stored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let docs = folder.join("docs");
    fs::create_dir(&docs).unwrap();
    write_good(&docs);
    let bad: [(&str, Vec<u8>, &str); 12] = [
        ("bomb.docx", bomb(), "unpacks to 128 MB or more"),
        ("bomb.xlsx", workbook(&vec![b' '; 150 << 20]), "unpacks to 128 MB or more"),
        ("book.epub", bomb(), "no META-INF/container.xml"),
        ("empty.pdf", Vec::new(), "it is empty"),
        ("fake.csv", docx(b"<w:p/>"), "it is an archive"),
        ("fake.eml", b"hello".to_vec(), "it is no e-mail"),
        ("fake.pptx", b"hello".to_vec(), "not a PPTX file or is damaged"),
        ("fake.pdf", b"hello".to_vec(), "it is no PDF"),
        ("latin.html", b"<p>caf\xe9".to_vec(), "it is not UTF-8"),
        ("loop.pdf", looping(), "its reader broke down"),
        ("old.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "password"),
        ("scan.pdf", pdf(&["0 0 10 10 re f"]), "text recognition"),
    ];
    for (name, bytes, _) in &bad {
        fs::write(docs.join(name), bytes).unwrap();
    }
    let refused = index(folder, &["ingest", "town", "docs"]);
    let message = refused.failure(2);
    assert!(message.contains("docs/bomb.docx: ") && message.contains("--on-bad skip"), "{message}");
    let skipped = index(folder, &["ingest", "town", "docs", "--on-bad", "skip"]);
    assert!(skipped.text().is_empty() && skipped.stderr.contains("3 documents added"), "{}", skipped.stderr);
    for (name, _, wanted) in &bad {
        let told = skipped.stderr.lines().find(|line| line.contains(&format!("docs/{name}: ")));
        assert!(told.is_some_and(|line| line.contains(wanted)), "{name}: {}", skipped.stderr);
    }
}

/// A shell's limit on the size of a file is as good as a disk that is full, and needs neither root nor a disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_what_was_stored_stays() {
    use std::process::Command;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let padding = "0123456789".repeat(2000);
    let lines = (0..384)
        .map(|i| json!({"id": i.to_string(), "text": format!("Room {i}."), "metadata": {"pad": padding}}));
    let lines: String = lines.map(|line| line.to_string() + "\n").collect();
    fs::write(folder.join("rooms.jsonl"), lines).unwrap();
    index(folder, &["create", "town"]).text();
    // 12 MB in blocks of 512 bytes: of three batches of 2.6 MB the first has room, the last has not.
    let script = "trap '' XFSZ; ulimit -f 24576; exec \"$0\" index ingest town rooms.jsonl";
    let limited = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_whittle")])
        .current_dir(folder)
        .env("WHITTLE_DATA_DIR", folder.join("data"))
        .output()
        .unwrap();
    let told = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(1), "{told}");
    assert!(told.contains("the disk failed or is full") && !told.contains("panicked"), "{told}");
    let documents =
        || index(folder, &["stats", "town", "--format", "json"]).json()["documents"].as_u64().unwrap();
    let kept = documents();
    assert!(kept > 0 && kept < 384 && kept % 128 == 0, "whole batches: {kept}");
    assert_eq!(index(folder, &["export", "town"]).text().lines().count() as u64, kept);
    let again = index(folder, &["ingest", "town", "rooms.jsonl"]);
    let wanted = format!("{} documents added, 0 updated, {kept} unchanged", 384 - kept);
    assert!(again.text().is_empty() && again.stderr.contains(&wanted), "{}", again.stderr);
    assert_eq!(documents(), 384);
}
