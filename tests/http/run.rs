//! `whittle run`: a command behind a proxy of its own.

use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::Whittle;
use crate::upstream::Upstream;

/// Runs a script of the shell behind the proxy.
fn run(config: &str, environment: &[(&str, &str)], script: &str) -> (Output, Whittle) {
    let mut whittle = Whittle::local(&["run", "--", "sh", "-c", script], config);
    for (name, value) in environment {
        whittle = whittle.env(name, value);
    }
    let again = Whittle::beside(whittle.folder.clone(), &["usage", "--format", "json"]);
    (whittle.output(), again)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_status_and_the_streams_are_the_commands() {
    let (output, _) = run("", &[], "cat; echo out; echo err >&2; exit 7");
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert_eq!(output.stdout, b"out\n");
    assert!(stderr(&output).starts_with("err\nwhittle: 0 requests;"), "{}", stderr(&output));
    let (output, _) = run("", &[], "kill -KILL $$");
    assert_eq!(output.status.code(), Some(128 + 9));
    let (output, _) = run("", &[("ANTHROPIC_BASE_URL", "nowhere")], "echo not run");
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    assert!(stderr(&output).contains("ANTHROPIC_BASE_URL"));
    let output = Whittle::local(&["run", "--", "no-such-command"], "").output();
    assert!(
        output.status.code() == Some(1) && stderr(&output).contains("no-such-command"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_command_finds_the_proxy_and_the_proxy_what_the_command_would_have_found() {
    let upstream = Upstream::start();
    let log =
        (0..60).map(|number| format!("test module::case_{number} ... ok\n")).collect::<Vec<_>>().concat();
    let call = json!({"name": "bash", "arguments": "{\"command\": \"cargo test\"}"});
    let body = json!({"model": "m1", "messages": [
        {"role": "user", "content": "Run the tests."},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "t", "content": log}]});
    let script = "printf '%s' \"$BODY\" | curl -sf -H 'content-type: application/json' -d @- \"$OPENAI_BASE_URL/chat/completions\" \
                  && test \"$ANTHROPIC_BASE_URL/v1\" = \"$OPENAI_API_BASE\"";
    let base = format!("{}/v1", upstream.base);
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("BODY", &body.to_string())];
    let (output, usage) = run("", &environment, script);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let seen = String::from_utf8(upstream.requests().pop().unwrap().1).unwrap();
    assert!(seen.contains("left out"), "{seen}");
    // What it says is what the ledger has.
    let usage: serde_json::Value = serde_json::from_slice(&usage.output().stdout).unwrap();
    let total = &usage["total"];
    let count = |name: &str| total[name].as_u64().unwrap();
    let (before, after) = (count("text_tokens_before"), count("text_tokens_after"));
    assert!(after < before && count("requests") == 1, "{total}");
    let says = format!("whittle: 1 requests; texts {before} -> {after} tokens, {} saved", before - after);
    assert!(stderr(&output).contains(&says), "{says}\n{}", stderr(&output));
    assert!(stderr(&output).contains("whittle: requests: compressed 1"), "{}", stderr(&output));
}

#[test]
fn signals_are_the_commands_too() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo ended; exit 3' TERM; echo begun; while :; do sleep 0.05; done";
    let mut child = Command::new(env!("CARGO_BIN_EXE_whittle"))
        .args(["run", "--quiet", "--", "sh", "-c", script])
        .env("WHITTLE_DATA_DIR", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(lines.next().unwrap().unwrap(), "ended");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn two_runs_at_once_have_a_ledger_each() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("whittle.toml"), "").unwrap();
    let inner = format!("{} run -- true", env!("CARGO_BIN_EXE_whittle"));
    let output = Whittle::beside(folder, &["run", "--", "sh", "-c", &inner]).output();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("another process has the data folder"), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("0 requests").count(), 2);
}
