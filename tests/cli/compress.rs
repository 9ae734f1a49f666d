//! `whittle compress` on the real model.

use serde_json::Value;
use whittle::text::for_name;

use crate::made::{page, pdf};
use crate::support::{Done, STORY, is_subsequence, run, whittle};

#[test]
fn text_goes_out_as_it_came_in_control_characters_included() {
    let text = "A \u{1b}[31mred\u{1b}[0m word, a NUL \0, a bell \u{7}\r\nand <|endoftext|><|im_start|> 👩\u{200d}👧 שלום";
    let done = whittle(&["compress", "--rate", "1"], text);
    assert_eq!(done.text(), format!("{text}\n"));
    assert!(done.stderr.contains("rate 1.000") && done.stderr.lines().count() == 1, "{}", done.stderr);
    assert_eq!(whittle(&["compress", "--target-tokens", "100000"], text).text(), format!("{text}\n"));
    assert_eq!(whittle(&["compress", "--rate", "1"], "x").text(), "x\n");
}

#[test]
fn a_prompt_is_what_was_asked_for() {
    let arguments = ["compress", "-", "--question", "Who opened the meeting?", "--target-tokens", "40"];
    let done = whittle(&arguments, STORY);
    let prompt = done.text().strip_suffix('\n').unwrap();
    let counter = for_name("o200k_base").unwrap();
    let tokens = counter.count(prompt);
    assert!((30..=40).contains(&tokens), "{tokens} tokens: {prompt}");
    let original = format!("{STORY}\n\nWho opened the meeting?");
    assert!(is_subsequence(prompt, &original) && prompt.ends_with("\n\nWho opened the meeting?"), "{prompt}");
    let summary = format!("{} -> {tokens} tokens (o200k_base), rate ", counter.count(&original));
    assert!(done.stderr.starts_with(&summary), "{}", done.stderr);
    assert!(done.stderr.contains("asked for at most 40"), "{}", done.stderr);
    // Only the scorer has a speed; with a question the embedder ranks.
    assert!(!done.stderr.contains("tokens/s"), "{}", done.stderr);
    let scored = whittle(&["compress", "-", "--method", "llmlingua", "--target-tokens", "40"], STORY);
    assert!(scored.stderr.contains(" tokens/s"), "{}", scored.stderr);
    assert_eq!(whittle(&arguments, STORY).stdout, done.stdout, "another run gives other bytes");
}

#[test]
fn files_that_are_not_text_are_read_as_collections_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let compress = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        run(&["compress", name, "--rate", "1"], b"", &[], folder.path())
    };
    let file = pdf(&[&*page("Lorries pay nine crowns."), &page("Carts pay two.")]);
    let text = compress("rules.PDF", &file).text().to_owned();
    assert!(text.contains("Lorries pay nine crowns.") && text.contains("Page 2"), "{text}");
    let failed = compress("notes.pdf", b"no PDF at all");
    assert!(failed.failure(1).contains("notes.pdf: the file cannot be read: "), "{}", failed.stderr);
}

/// Checks an answer against the documents' texts, and gives the prompt.
fn check_answer(answer: &Value, texts: &[&str]) -> String {
    let mut fields: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["documents", "id", "left_out", "method", "prompt", "reason", "timing_ms", "usage", "warnings"],
        "{answer}"
    );
    let documents = answer["documents"].as_array().unwrap();
    assert_eq!(documents.len(), texts.len());
    for (document, text) in documents.iter().zip(texts) {
        let ranges: Vec<[usize; 2]> = serde_json::from_value(document["kept"].clone()).unwrap();
        assert!(ranges.windows(2).all(|pair| pair[0][1] < pair[1][0]), "{ranges:?}");
        let rebuilt: String = ranges.iter().map(|&[start, end]| &text[start..end]).collect();
        assert_eq!(document["text"], rebuilt);
        assert!(document["rank"].is_u64() && document["score"].is_f64(), "{document}");
    }
    let (usage, prompt) = (&answer["usage"], answer["prompt"].as_str().unwrap());
    let counter = for_name(usage["tokenizer"].as_str().unwrap()).unwrap();
    assert_eq!(usage["compressed_tokens"], counter.count(prompt));
    assert!(usage["compressed_tokens"].as_u64() <= usage["requested_tokens"].as_u64(), "{usage}");
    assert!(answer["timing_ms"]["total"].as_f64() >= answer["timing_ms"]["score"].as_f64());
    prompt.to_owned()
}

#[test]
fn documents_give_an_answer_that_proves_itself() {
    let folder = tempfile::tempdir().unwrap();
    let second =
        "Köln — 科隆 — lies on the Rhine. 👩\u{200d}👩\u{200d}👧 live there, some 1.1 million of them.";
    let lines = [
        serde_json::json!({"id": "council", "title": "Minutes", "text": STORY}),
        serde_json::json!({"text": second, "metadata": {"page": 7}}),
    ];
    let lines = lines.map(|line| line.to_string()).join("\r\n\r\n");
    std::fs::write(folder.path().join("d.jsonl"), lines).unwrap();
    let arguments = [
        "compress",
        "--documents",
        "d.jsonl",
        "--rate",
        "0.6",
        "--instruction",
        "Answer in short.",
        "--tokenizer",
        "cl100k_base",
        "--format",
        "json",
    ];
    let answer = run(&arguments, b"", &[], folder.path()).json();
    let prompt = check_answer(&answer, &[STORY, second]);
    assert!(prompt.starts_with("Answer in short.\n\nMinutes\n"), "{prompt}");
    let original = format!("Answer in short.\n\nMinutes\n{STORY}\n\n{second}");
    assert!(is_subsequence(&prompt, &original), "{prompt}");
    let usage = &answer["usage"];
    assert_eq!(usage["original_tokens"], for_name("cl100k_base").unwrap().count(&original));
    assert_eq!((&usage["tokenizer"], &usage["approximate"]), (&"cl100k_base".into(), &false.into()));
    assert_eq!(
        (&answer["documents"][0]["id"], &answer["documents"][1]["id"]),
        (&"council".into(), &"1".into())
    );
    assert_eq!(answer["documents"][1]["metadata"]["page"], 7);
    assert_eq!((&answer["method"], &answer["warnings"]), (&"llmlingua".into(), &serde_json::json!([])));
}

#[test]
fn a_diff_without_colours_marks_what_was_dropped() {
    let done = whittle(&["compress", "--rate", "0.5", "--format", "diff"], STORY);
    let diff = done.text().strip_suffix('\n').unwrap();
    assert_eq!(diff.replace("[-", "").replace("-]", ""), STORY);
    let kept: String =
        diff.split("[-").map(|part| part.split_once("-]").map_or(part, |(_, kept)| kept)).collect();
    assert!(is_subsequence(&kept, STORY) && kept.len() < STORY.len() * 3 / 4, "{kept}");
}

#[test]
fn a_budget_that_cannot_be_met_says_by_how_much() {
    let arguments = ["compress", "--question", "Who opened the meeting, and when?", "--target-tokens", "3"];
    let done: Done = whittle(&arguments, STORY);
    let message = done.failure(1);
    let needed = message.split("needs ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let needed: usize = needed.parse().unwrap();
    assert!(message.contains("the budget of 3 tokens cannot be met"), "{message}");
    assert!(message.contains(&format!("{} more", needed - 3)), "{message}");
    let enough = needed.to_string();
    let prompt = whittle(&["compress", "--question", arguments[2], "--target-tokens", &enough], STORY);
    assert!(for_name("o200k_base").unwrap().count(prompt.text().trim_end_matches('\n')) <= needed);
}

#[test]
fn reference_mode_warns_that_it_overshoots() {
    let done = whittle(&["compress", "--rate", "0.5", "--mode", "reference", "--format", "json"], STORY);
    let answer = done.json();
    assert_eq!(answer["warnings"][0]["code"], "reference_mode");
    assert!(done.stderr.contains("warning: ") && done.stderr.contains("(reference_mode)"), "{}", done.stderr);
    let prompt = answer["prompt"].as_str().unwrap();
    assert!(!prompt.is_empty() && prompt.len() <= STORY.len(), "{prompt}");
}

#[test]
fn what_must_be_kept_is_named_by_flags() {
    let arguments = [
        "compress",
        "--rate",
        "0.65",
        "--force-word",
        "Ravi Menon",
        "--protect-pattern",
        "old mill",
        "--keep-last-sentences",
        "1",
        "--force-numbers",
        "--return",
        "words,scores",
        "--format",
        "json",
    ];
    let answer = whittle(&arguments, STORY).json();
    let document = &answer["documents"][0];
    let text = document["text"].as_str().unwrap();
    for wanted in [
        "Ravi Menon",
        "7:30 p.m.",
        "$1,250,000.50",
        "2023",
        "Nobody answered him, and the meeting was closed at nine.",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(text.contains("mill"), text.contains("old mill"), "{text}");
    assert!(document["kept"].is_null(), "not asked for");
    let words = document["words"].as_array().unwrap();
    assert_eq!(words.len(), document["scores"].as_array().unwrap().len());
    let kept = words.iter().filter(|word| word["kept"] == true);
    for word in kept {
        let [start, end] = [0, 1].map(|i| usize::try_from(word["range"][i].as_u64().unwrap()).unwrap());
        assert!(text.contains(&STORY[start..end]));
    }
}

#[test]
fn options_that_cannot_be_met_are_refused_with_a_remedy() {
    for (flags, said) in [
        (&["--force-document", "7"][..], "no document has the id `7`"),
        (&["--context-budget", "+__import__('os').system('true')"], "such as `+100` or `*1.5`"),
        (&["--protect-pattern", "("], "custom pattern `(` is refused"),
        (&["--dynamic-ratio", "-1"], "must be 0 to 1"),
        (&["--protect", "numbers,everything"], "known are numbers, dates"),
        (&["--reorder", "random"], "two_stage"),
    ] {
        let done = whittle(&[&["compress", "--rate", "0.5"], flags].concat(), STORY);
        assert!(done.failure(2).contains(said), "{flags:?}: {}", done.stderr);
    }
}

#[test]
fn an_answer_gets_its_shortened_names_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let text = "Ellen Ruth Whitfield opened it.";
    file("report.txt", text);
    file(
        "compressed.json",
        r#"{"documents": [{"id": "0", "kept": [[0, 5], [11, 30]], "text": "x"}], "prompt": "x"}"#,
    );
    let recover = |extra: &[&str], response: &str| {
        let arguments = [&["recover", "report.txt", "--compressed", "compressed.json"], extra].concat();
        run(&arguments, response.as_bytes(), &[], folder.path())
    };
    assert_eq!(recover(&[], "Ellen Whitfield did.\n").text(), "Ellen Ruth Whitfield did.\n");
    assert_eq!(recover(&[], "").text(), "");
    let answer = recover(&["--format", "json"], "By Ellen Whitfield").json();
    assert_eq!(answer["response"], "By Ellen Ruth Whitfield");
    assert_eq!(
        answer["restored"],
        serde_json::json!([{"range": [3, 18], "restored_range": [3, 23], "document": "0", "source": [0, 20]}])
    );
    file("compressed.json", r#"{"documents": [{"id": "0", "kept": [[5, 4]]}]}"#);
    assert!(recover(&[], "x").failure(2).contains("5..4"));
    file("compressed.json", r#"{"documents": [{"id": "1", "kept": []}]}"#);
    assert!(recover(&[], "x").failure(2).contains("no document with the id `0`"));
    file("compressed.json", r#"{"documents": [{"id": "0"}]}"#);
    assert!(recover(&[], "x").failure(2).contains("missing field `kept`"));
}

#[test]
fn selective_context_keeps_parts_of_the_size_asked_for() {
    let compress = |unit: &str| {
        let arguments = [
            "compress",
            "--rate",
            "0.5",
            "--method",
            "selective-context",
            "--unit",
            unit,
            "--return",
            "words",
        ];
        whittle(&[&arguments[..], &["--format", "json"]].concat(), STORY).json()
    };
    let words = |answer: &Value| answer["documents"][0]["words"].as_array().unwrap().len();
    let (token, phrase, sentence) = (compress("token"), compress("phrase"), compress("sentence"));
    assert!(words(&token) > 2 * words(&phrase) && words(&phrase) > 2 * words(&sentence));
    for answer in [&token, &phrase, &sentence] {
        assert_eq!(answer["method"], "selective-context");
        let prompt = answer["prompt"].as_str().unwrap();
        assert!(is_subsequence(prompt, STORY) && prompt.len() < STORY.len() * 3 / 4, "{prompt}");
    }
    let prompt = sentence["prompt"].as_str().unwrap();
    assert!(prompt.trim().ends_with('.'), "{prompt}");
}

#[test]
fn lossless_folds_or_says_what_it_needs() {
    let rows: Vec<String> =
        (0..30).map(|i| format!("  {{\"id\": {i}, \"state\": \"open\", \"price\": {i}.10}}")).collect();
    let text = format!("[\n{}\n]\n", rows.join(",\n"));
    let done = whittle(&["compress", "--rate", "0.7", "--method", "lossless"], &text);
    let prompt = done.text().trim_end();
    assert!(
        prompt.starts_with("{\"_columns\":[\"id\",\"state\",\"price\"],\"_rows\":[[0,\"open\",0.10],"),
        "{prompt}"
    );
    assert!(whittle::compress::lossless::same_data(&text, &whittle::compress::lossless::unfold(prompt)));
    let refused = whittle(&["compress", "--rate", "0.01", "--method", "lossless"], &text);
    assert!(refused.failure(1).contains("cannot be met"));
    let story = whittle(&["compress", "--rate", "1", "--method", "lossless"], STORY);
    assert_eq!(story.text().strip_suffix('\n'), Some(STORY), "nothing to fold");
}
