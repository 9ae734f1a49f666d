//! `whittle prompt` on the real embedder: the budget holds, and citations lead to what is in the prompt.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, run};

const QUESTION: &str = "When was the bridge at Harbour Street opened?";
const NOTES: &str = "# Harbour\n\nNotes of the harbour office, which nobody reads.\n\n## Bridge\n\nThe bridge at Harbour \
    Street was opened on 3 May 1987 after four years of work. It is not open to lorries over 7.5 t.\n\n## Ferry\n\nThe \
    ferry leaves every twenty minutes from the old quay, as it has done since the war.\n";
const LINES: &str = "{\"id\": \"lib\", \"title\": \"Libraries\", \"text\": \"Both libraries close at six o'clock on \
    weekdays, and neither opens on Sundays.\"}\n{\"id\": \"m\", \"text\": \"The old mill was sold to a brewer.\"}\n";

fn whittle(folder: &Path, arguments: &[&str]) -> Done {
    let data = folder.join("data");
    run(arguments, b"", &[("WHITTLE_DATA_DIR", data.to_str().unwrap())], folder)
}

fn town() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("harbour.md"), NOTES).unwrap();
    fs::write(folder.path().join("lines.jsonl"), LINES).unwrap();
    whittle(folder.path(), &["index", "ingest", "notes", "harbour.md"]).text();
    whittle(folder.path(), &["index", "ingest", "lines", "lines.jsonl"]).text();
    folder
}

fn prompt(folder: &Path, target: usize, more: &[&str]) -> Done {
    let target = target.to_string();
    let arguments = ["prompt", QUESTION, "--collection", "notes,lines", "--target-tokens", &target];
    whittle(folder, &[&arguments[..], more].concat())
}

/// Source of a document.
fn source(id: &str) -> String {
    if id == "harbour.md" {
        return NOTES.to_owned();
    }
    let lines = LINES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.into_iter().find(|line| line["id"] == id).unwrap();
    found["text"].as_str().unwrap().to_owned()
}

#[test]
fn the_budget_holds_and_citations_lead_to_the_source() {
    let folder = town();
    for target in [60, 75, 90, 120, 160, 1000] {
        let made = prompt(folder.path(), target, &["--format", "json"]).json();
        let text = made["prompt"].as_str().unwrap();
        let tokens = &made["ledger"]["tokens"];
        let count = |part: &str| tokens[part].as_u64().unwrap() as usize;
        assert!(count("total") <= target, "{target}: {tokens}");
        assert_eq!(count("total"), bpe_openai::o200k_base().count(text));
        assert_eq!(
            count("total"),
            count("documents")
                + count("examples")
                + count("instruction")
                + count("question")
                + count("template")
        );
        assert!(text.ends_with(&format!("Question: {QUESTION}")));
        for (i, citation) in made["citations"].as_array().unwrap().iter().enumerate() {
            assert_eq!(citation["number"], i + 1);
            let (_, passage) = text.split_once(&format!("[{}] ", i + 1)).unwrap();
            let source = source(citation["document_id"].as_str().unwrap());
            let ranges: Vec<[usize; 2]> = serde_json::from_value(citation["ranges"].clone()).unwrap();
            let kept: String = ranges.iter().map(|&[start, end]| &source[start..end]).collect();
            let (title, rest) = passage.split_once('\n').unwrap();
            assert_eq!(citation["title"], title);
            assert!(!kept.is_empty() && rest.starts_with(kept.trim()), "{kept} is not in {rest}");
        }
    }
    let whole = prompt(folder.path(), 1000, &[]);
    assert!(
        whole.text().contains("opened on 3 May 1987 after four years") && whole.text().contains("brewer")
    );
    assert!(whole.stderr.contains("notes: harbour.md"), "{}", whole.stderr);
    let options = ["--rerank", "3", "--rerank-by", "likelihood", "--diversity", "0.1", "--format", "json"];
    let reranked = prompt(folder.path(), 1000, &options).json();
    let candidates = reranked["ledger"]["candidates"].as_array().unwrap();
    assert_eq!(candidates[0]["document_id"], "harbour.md");
    assert!(candidates.iter().all(|candidate| candidate["scores"]["rerank"].is_number()), "{candidates:?}");
    let small = prompt(folder.path(), 90, &[]);
    assert!(small.text().contains("3 May 1987") && !small.text().contains("brewer"), "{}", small.text());
}

#[test]
fn messages_and_templates_are_as_asked() {
    let folder = town();
    let messages = prompt(folder.path(), 300, &["--format", "messages", "--instruction", "Be brief."]).json();
    assert_eq!((&messages[0]["role"], &messages[1]["role"]), (&"system".into(), &"user".into()));
    assert!(messages[0]["content"].as_str().unwrap().starts_with("Be brief.\n\nAnswer the question"));
    fs::write(
        folder.path().join("own.j2"),
        "{% for d in documents %}<{{ d.text }}>{% endfor %}{{ question }}",
    )
    .unwrap();
    let own = prompt(folder.path(), 300, &["--template", "own.j2"]);
    assert!(own.text().starts_with('<') && own.text().trim_end().ends_with(QUESTION), "{}", own.text());
    let own = prompt(folder.path(), 300, &["--template", "own.j2", "--format", "json"]).json();
    assert_eq!(own["ledger"]["template"], serde_json::json!({"name": "own.j2", "version": null}));
    fs::write(folder.path().join("own.j2"), "{{ answer }}").unwrap();
    assert!(
        prompt(folder.path(), 300, &["--template", "own.j2"]).failure(2).contains("it may name `question`")
    );
}

#[test]
fn what_cannot_be_made_is_told_with_the_remedy() {
    let folder = town();
    let message = prompt(folder.path(), 20, &[]);
    assert!(message.failure(1).contains("the budget of 20 tokens cannot be met"), "{}", message.stderr);
    let nothing = ["--filter", "{\"field\": \"year\", \"eq\": 1}"];
    let empty = prompt(folder.path(), 300, &nothing);
    assert!(empty.text().contains(QUESTION) && !empty.text().contains("[1]\n"), "{}", empty.text());
    assert!(
        empty.stderr.contains("nothing_found") && empty.stderr.contains("unknown_field"),
        "{}",
        empty.stderr
    );
    let unknown = whittle(folder.path(), &["prompt", "q", "--collection", "no", "--target-tokens", "300"]);
    assert!(unknown.failure(1).contains("there is no collection `no`"));
    let twice =
        whittle(folder.path(), &["prompt", "q", "--collection", "notes,notes", "--target-tokens", "300"]);
    assert!(twice.failure(2).contains("named twice"));
}

#[test]
fn solved_examples_share_the_budget_with_documents() {
    let folder = town();
    let folder = folder.path();
    let line = |id: &str, question: &str, answer: &str| {
        serde_json::json!({"id": id, "question": question, "answer": answer}).to_string()
    };
    let lines = [
        line("quay", "When was the quay at Harbour Street opened?", "In 1902."),
        line("mill", "Who bought the old mill?", "A brewer."),
        line("long", "When was the bridge at Mill Lane opened, and why?", &"Nobody knows. ".repeat(200)),
    ];
    fs::write(folder.join("solved.jsonl"), lines.join("\n")).unwrap();
    whittle(folder, &["examples", "add", "solved", "solved.jsonl"]).text();
    let made = prompt(folder, 200, &["--bank", "solved", "--format", "json"]).json();
    let text = made["prompt"].as_str().unwrap();
    let (ledger, tokens) = (&made["ledger"], &made["ledger"]["tokens"]);
    assert_eq!(tokens["total"], bpe_openai::o200k_base().count(text));
    assert!(tokens["total"].as_u64().unwrap() <= 200, "{tokens}");
    assert!(
        tokens["documents"].as_u64().unwrap() > 0 && tokens["examples"].as_u64().unwrap() > 0,
        "{tokens}"
    );
    // One is too long; of the others the more similar one comes last, behind the documents.
    let mut chosen: Vec<(&str, bool)> = ledger["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| (example["id"].as_str().unwrap(), example["chosen"].as_bool().unwrap()))
        .collect();
    chosen.sort_unstable();
    assert_eq!(chosen, [("long", false), ("mill", true), ("quay", true)]);
    let shown = "Question: Who bought the old mill?\nAnswer: A brewer.\n\nQuestion: When was the quay at Harbour \
                 Street opened?\nAnswer: In 1902.\n\nQuestion: When was the bridge";
    assert!(text.contains(shown) && text.find("[1] ") < text.find(shown), "{text}");
    // Without documents they have all of the room.
    let alone = whittle(
        folder,
        &["prompt", QUESTION, "--bank", "solved", "--examples", "3", "--target-tokens", "900"],
    );
    assert!(alone.text().contains("Nobody knows.") && !alone.text().contains("[1]"), "{}", alone.text());
    assert!(alone.stderr.contains("3 of 3 examples"), "{}", alone.stderr);
    let near = prompt(folder, 300, &["--bank", "solved", "--duplicate", "0.5", "--format", "json"]).json();
    let similarity = |example: &Value| example["similarity"].as_f64().unwrap();
    assert!(near["ledger"]["examples"].as_array().unwrap().iter().all(|example| similarity(example) < 0.5));
    assert!(prompt(folder, 300, &["--balance"]).failure(2).contains("--bank"));
}
