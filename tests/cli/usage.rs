//! Wrong usage and unusable input: exit codes and messages, mostly before a model is needed.

use crate::support::{STORY, run, whittle};

#[test]
fn every_command_has_help_with_an_example() {
    for command in
        ["compress", "score", "serve", "keys", "usage", "proxy", "models", "config", "index", "prompt"]
    {
        let help = whittle(&[command, "--help"], "");
        assert!(help.text().contains("Examples:\n  ") && help.text().contains("whittle"), "{}", help.text());
    }
    assert!(whittle(&["--help"], "").text().contains("Exit codes: 0 success, 1 failure, 2 wrong usage"));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_whittle"));
    let done = command.args(["help", "proxy"]).stdout(writer).stderr(std::process::Stdio::piped());
    let done = done.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((done.status.code(), &*String::from_utf8_lossy(&done.stderr)), (Some(141), ""));
}

#[test]
fn an_impossible_rate_or_target_is_wrong_usage() {
    for rate in ["0", "-1", "NaN", "inf", "-inf", "1.01", "1e-400"] {
        let done = whittle(&["compress", &format!("--rate={rate}")], STORY);
        let message = done.failure(2);
        assert!(message.contains("must be above 0 and at most 1"), "{rate}: {message}");
    }
    let done = whittle(&["compress", "--target-tokens", "0"], STORY);
    assert!(done.failure(2).contains("`target_tokens` must be at least 1"), "{}", done.stderr);
    for arguments in [
        &["compress"][..],
        &["compress", "--tags"],
        &["compress", "--rate", "0.5", "--target-tokens", "10"],
        &["compress", "--rate", "half"],
        &["compress", "--target-tokens", "-5"],
        &["compress", "--rate", "0.5", "--method", "none"],
        &["compress", "--rate", "0.5", "--mode", "none"],
        &["compress", "a.txt", "--documents", "b.jsonl", "--rate", "0.5"],
        &["nothing"],
        &[],
    ] {
        whittle(arguments, STORY).failure(2);
    }
}

#[test]
fn a_context_of_nothing_is_wrong_usage() {
    for input in ["", " ", "\n\n", "\r\n\t \u{a0}\u{2028}"] {
        let done = whittle(&["compress", "--rate", "0.5"], input);
        assert!(done.failure(2).contains("empty or holds only white space"), "{}", done.stderr);
    }
    assert!(whittle(&["score"], "").failure(2).contains("nothing to score"));
}

#[test]
fn input_that_is_not_utf8_is_told_with_its_place() {
    for command in [&["compress", "--rate", "0.5"][..], &["score"]] {
        let done = whittle(command, b"good \xff\xfe");
        let message = done.failure(2);
        assert!(message.contains("standard input is not UTF-8: invalid byte at offset 5"), "{message}");
    }
}

#[test]
fn broken_document_files_are_told_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let compress = |lines: &[u8]| {
        std::fs::write(folder.path().join("d.jsonl"), lines).unwrap();
        run(&["compress", "--documents", "d.jsonl", "--rate", "0.5"], b"", &[], folder.path())
    };
    let cases: [(&[u8], &str); 7] = [
        (b"{\"text\": \"a\"}\n\n{\"text\": \n", "d.jsonl line 3: EOF"),
        (b"{\"text\": \"a\"}\n{\"txt\": \"b\"}\n", "d.jsonl line 2: unknown field `txt`"),
        (b"{\"title\": \"a\"}\n", "d.jsonl line 1: missing field `text`"),
        (b"[]\n", "d.jsonl line 1: "),
        (
            b"{\"id\": \"x\", \"text\": \"a\"}\n{\"id\": \"x\", \"text\": \"b\"}\n",
            "two documents have the id `x`",
        ),
        (b"{\"id\": \"1\", \"text\": \"a\"}\n{\"text\": \"b\"}\n", "two documents have the id `1`"),
        (b"{\"text\": \"\xff\"}\n", "d.jsonl is not UTF-8: invalid byte at offset 10"),
    ];
    for (lines, wanted) in cases {
        let done = compress(lines);
        assert!(done.failure(2).contains(wanted), "{wanted}: {}", done.stderr);
    }
    for nothing in ["", "\n\n", "{\"text\": \"\"}\n{\"text\": \" \\n\"}\n"] {
        compress(nothing.as_bytes()).failure(2);
    }
}

#[test]
fn what_is_missing_is_named() {
    let done = whittle(&["compress", "no-such-file.txt", "--rate", "0.5"], "");
    assert!(done.failure(1).contains("cannot read no-such-file.txt"), "{}", done.stderr);
    let done = whittle(&["compress", "--rate", "0.5", "--tokenizer", "p50k"], STORY);
    assert!(done.failure(2).contains("unknown tokenizer `p50k`"), "{}", done.stderr);
    let folder = tempfile::tempdir().unwrap();
    let variables = [("WHITTLE_SCORER_MODEL", "no-such-model")];
    let done = run(&["compress", "--rate", "0.5"], STORY.as_bytes(), &variables, folder.path());
    assert!(done.failure(1).contains("no-such-model"), "{}", done.stderr);
}

#[test]
fn more_tokens_than_the_limit_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("WHITTLE_LIMITS_TOKENS", "1000")];
    let line = "x".repeat(2 << 20);
    let done = run(&["compress", "--rate", "0.5"], line.as_bytes(), &variables, folder.path());
    let message = done.failure(1);
    assert!(message.contains("the prompt has 262144 tokens; at most 1000 are allowed"), "{message}");
}

#[test]
fn a_log_of_an_agent_is_played_offline() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..60).map(|n| format!("let value_{n} = compute(input[{n}]);\n")).collect();
    let file = lines.concat();
    let line = |line: serde_json::Value| line.to_string() + "\n";
    let call = |id: &str| {
        line(serde_json::json!({"type": "response_item", "payload": {"type": "function_call", "call_id": id,
            "name": "read", "arguments": "{\"path\":\"a.rs\"}"}}))
    };
    let output = |id: &str| {
        line(
            serde_json::json!({"type": "response_item", "payload": {"type": "function_call_output", "call_id": id,
            "output": file}}),
        )
    };
    let end = line(serde_json::json!({"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "It is value_7."}]}));
    let log = [call("a"), output("a"), call("b"), output("b"), end].concat();
    std::fs::write(folder.path().join("log.jsonl"), log).unwrap();
    let play = |arguments: &[&str]| {
        run(&[&["proxy", "replay", "log.jsonl"], arguments].concat(), b"", &[], folder.path())
    };
    let report: serde_json::Value = serde_json::from_str(play(&["--json"]).text()).unwrap();
    assert_eq!((&report["turns"], &report["all"]["changed"]), (&3.into(), &1.into()));
    assert_eq!(report["all"]["quotes"], serde_json::json!({"kept": 1, "of": 1}));
    let text = play(&[]).text().to_owned();
    assert!(text.contains("prefixes broken 0/3") && text.contains("\nrepeats "), "{text}");
    std::fs::write(folder.path().join("log.jsonl"), "{}").unwrap();
    assert!(play(&[]).failure(1).contains("log.jsonl: there is no conversation"));
}
