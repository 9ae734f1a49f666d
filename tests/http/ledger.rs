//! The ledger of the real binary: while it runs, after it ended, and after it was killed.

use std::sync::Arc;

use serde_json::Value;

use crate::support::{Whittle, serve, serve_again, serve_local};
use crate::upstream::Upstream;

const CHAT: &str = "/v1/chat/completions";

/// What `whittle usage` says, as JSON.
fn usage(whittle: Whittle) -> Value {
    let output = whittle.output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_command_line_reads_the_ledger_of_a_running_service_and_of_one_that_ended() {
    let upstream = Upstream::start();
    let service = serve_local(&upstream.config());
    for _ in 0..3 {
        assert_eq!(service.post(CHAT, r#"{"model":"m1"}"#).status, 200);
    }
    assert_eq!(service.post("/v1/messages", r#"{"model":"m2"}"#).status, 200);
    assert_eq!(upstream.heads().len(), 4);
    let json = ["usage", "--format", "json"];
    assert_eq!(usage(service.whittle(&json))["total"]["requests"], 4);
    let of_one = usage(service.whittle(&[&json[..], &["--model", "m1"]].concat()));
    assert_eq!(of_one["total"]["requests"], 3);
    let text = service.whittle(&["usage", "--group-by", "model"]).output();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("m1 ") && line.contains(" 0.000330 ")), "{text}");
    let whys = usage(service.whittle(&[&json[..], &["--group-by", "upstream,reason"]].concat()));
    let groups = whys["groups"].as_array().unwrap();
    assert!(
        groups.iter().all(|group| group["upstream"].is_string() && group["reason"].is_string()),
        "{whys}"
    );
    assert_eq!(groups.iter().map(|group| group["requests"].as_u64().unwrap()).sum::<u64>(), 4);
    let wrong = service.whittle(&["usage", "--group-by", "colour"]).output();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("`colour`"));

    // What was answered last is not lost with the service.
    assert_eq!(service.post(CHAT, r#"{"model":"m3"}"#).status, 200);
    let folder = Arc::clone(&service.folder);
    service.terminate();
    assert_eq!(service.end().0.code(), Some(0));
    let at_rest = usage(Whittle::beside(folder, &json));
    assert_eq!((&at_rest["total"]["requests"], &at_rest["total"]["input_tokens"]), (&5.into(), &500.into()));
}

#[test]
fn a_ledger_survives_a_crash() {
    let upstream = Upstream::start();
    let service = serve(&upstream.config());
    service.post(CHAT, r#"{"model":"m1"}"#);
    // The answer waits until what came before it is on disk.
    assert_eq!(service.get("/v1/usage").body["total"]["requests"], 1);
    let folder = Arc::clone(&service.folder);
    service.kill();
    let service = serve_again(folder);
    service.post(CHAT, r#"{"model":"m1"}"#);
    assert_eq!(service.get("/v1/usage").body["total"]["requests"], 2);
}

#[test]
fn without_a_ledger_the_command_says_so() {
    let output = Whittle::local(&["usage"], "").output();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("there is no ledger"), "{message}");
}

/// Damage of other kinds, 200 of them, is done to the same file beside the code that opens it.
#[test]
fn a_damaged_ledger_is_set_aside_and_the_service_serves() {
    let upstream = Upstream::start();
    let mut service = serve_local(&upstream.config());
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 3),
        |bytes| bytes[..512].iter_mut().for_each(|byte| *byte ^= 0x5a),
        |bytes| bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x10),
    ];
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Who won?"}]}"#;
    for damage in damages {
        assert_eq!(service.post(CHAT, body).status, 200);
        let folder = Arc::clone(&service.folder);
        service.terminate_and_end();
        let path = folder.path().join("data/proxy.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        service = serve_again(folder);
        assert_eq!(service.post(CHAT, body).status, 200);
        let usage = service.get("/v1/usage");
        assert_eq!((usage.status, &usage.body["total"]["requests"]), (200, &1.into()), "{}", usage.body);
    }
    let names =
        std::fs::read_dir(service.folder().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains(".damaged-")).count(), 3);
    service.terminate();
    let (status, log) = service.end();
    assert!(status.success() && log.contains("set aside"), "{log}");
}
