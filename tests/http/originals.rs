//! Originals of folded results: for the key that sent them and nobody else, through restarts and crashes, and readable in
//! no file.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Running, Whittle, serve, serve_again};
use crate::upstream::Upstream;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const ON: &str = "[proxy.recall]\nenabled = true\n";

/// A phrase that stands nowhere else.
fn phrase(number: usize) -> String {
    blake3::hash(&number.to_le_bytes()).to_hex()[..32].to_owned()
}

/// The output of tests that passed, of which all but the first is folded.
fn output(phrases: &[String]) -> String {
    let lines = phrases.iter().map(|phrase| format!("test module::case_{phrase} ... ok\n"));
    lines.collect::<Vec<_>>().concat()
}

/// A request in the form of `path` whose tool answered `output`; `phrases` stand in all its other texts.
fn request(path: &str, output: &str, phrases: &[String; 3]) -> String {
    let [system, question, argument] = phrases;
    let input = json!({"command": format!("cargo test {argument}")});
    let body = if path == CHAT {
        let call = json!({"name": "bash", "arguments": input.to_string()});
        json!({"model": "m1", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": question},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "t", "content": output}]})
    } else {
        json!({"model": "m1", "max_tokens": 9, "system": system, "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "bash", "input": input}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": output}]}]})
    };
    body.to_string()
}

/// The result in a request that an upstream saw.
fn result(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    let content = &body["messages"].as_array().unwrap().last().unwrap()["content"];
    content.as_str().or(content[0]["content"].as_str()).unwrap().to_owned()
}

/// Sends the output of a tool and gives the id that its mark names, if it names one.
fn sent(service: &Running, upstream: &Upstream, (path, secret): (&str, &str), body: &str) -> Option<String> {
    let headers = if secret.is_empty() { &[][..] } else { &[("x-whittle-key", secret)] };
    assert_eq!(service.post_with(path, body, headers).status, 200);
    let result = result(&upstream.requests().pop().unwrap().1);
    assert!(result.contains("left out"), "{result}");
    let (_, rest) = result.split_once("recall ")?;
    Some(rest.split(']').next().unwrap().to_owned())
}

/// Status and text of an original.
fn original(service: &Running, id: &str, secret: &str) -> (u16, String) {
    let (status, _, body) = service.fetch(|client, base| {
        let request = client.get(format!("{base}/v1/originals/{id}"));
        if secret.is_empty() { request } else { request.header("x-whittle-key", secret) }
    });
    (status, String::from_utf8(body).unwrap())
}

#[track_caller]
fn assert_denied((status, body): (u16, String), expected: (u16, &str)) {
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["error"]["code"].as_str().unwrap()), expected, "{body}");
    assert!(
        body["error"]["message"].is_string() && body["error"]["type"] == "invalid_request_error",
        "{body}"
    );
}

fn create(service: &Running, arguments: &[&str]) -> String {
    let output = service.whittle(&[&["keys", "create"], arguments].concat()).output();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The files below a folder, with what is in them.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// Asserts that no file of the data folder has any of `phrases` in it.
#[track_caller]
fn assert_unreadable(service: &Running, phrases: &[String]) {
    for (name, bytes) in files(&service.folder().join("data")) {
        let found = phrases.iter().find(|phrase| memchr::memmem::find(&bytes, phrase.as_bytes()).is_some());
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn an_original_is_for_the_key_that_sent_it_alone() {
    let upstream = Upstream::start();
    let service = serve(&format!("{ON}{}", upstream.config()));
    let phrases: Vec<String> = (0..40).map(phrase).collect();
    let others = [phrase(41), phrase(42), phrase(43)];
    let body = request(CHAT, &output(&phrases), &others);
    // Where nobody needs a key, anybody may have it.
    let id = sent(&service, &upstream, (CHAT, ""), &body).unwrap();
    assert_eq!(original(&service, &id, ""), (200, output(&phrases)));
    let (one, two) = (create(&service, &["one"]), create(&service, &["two"]));
    let admin = create(&service, &["admin", "--admin"]);
    assert_denied(original(&service, &id, ""), (401, "invalid_api_key"));
    for secret in [&one, &two, &admin] {
        assert_denied(original(&service, &id, secret), (404, "original_not_found"));
    }
    // The same text has the same id for whoever sends it, so that conversations keep their prefix.
    assert_eq!(sent(&service, &upstream, (CHAT, &one), &body).as_ref(), Some(&id));
    assert_eq!(original(&service, &id, &one), (200, output(&phrases)));
    for secret in [&two, &admin] {
        assert_denied(original(&service, &id, secret), (404, "original_not_found"));
    }
    assert_eq!(sent(&service, &upstream, (CHAT, &two), &body).as_ref(), Some(&id));
    assert_eq!(original(&service, &id, &two), (200, output(&phrases)));
    for unknown in ["0000000000000000", "x", "..", "%2e%2e%2foriginals.key"] {
        let (status, _) = original(&service, unknown, &one);
        assert_eq!(status, 404, "{unknown}");
    }
    assert!(
        service.get_with("/openapi.json", ("x-whittle-key", &one)).body["paths"]["/v1/originals/{id}"]["get"]
            .is_object()
    );
}

#[test]
fn originals_survive_an_end_in_order_and_a_crash_and_recall_that_is_switched_off_removes_them() {
    let upstream = Upstream::start();
    let on = format!("{ON}{}", upstream.config());
    let mut service = serve(&on);
    let phrases: Vec<String> = (0..40).map(phrase).collect();
    let text = output(&phrases);
    let body = request(MESSAGES, &text, &[phrase(41), phrase(42), phrase(43)]);
    let id = sent(&service, &upstream, (MESSAGES, ""), &body).unwrap();
    // The answer waits until what came before it is on disk.
    assert_eq!(original(&service, &id, ""), (200, text.clone()));
    for restart in [Running::kill as fn(Running), Running::terminate_and_end, Running::kill] {
        let folder = Arc::clone(&service.folder);
        restart(service);
        service = serve_again(folder);
        assert_eq!(original(&service, &id, ""), (200, text.clone()));
        assert_eq!(
            sent(&service, &upstream, (MESSAGES, ""), &body).as_ref(),
            Some(&id),
            "the same bytes again"
        );
    }
    // A command whose configuration says nothing of recall leaves them alone.
    let folder = Arc::clone(&service.folder);
    service.terminate_and_end();
    std::fs::write(folder.path().join("whittle.toml"), upstream.config()).unwrap();
    let done = Whittle::beside(Arc::clone(&folder), &["run", "--", "true"]).output();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::write(folder.path().join("whittle.toml"), &on).unwrap();
    service = serve_again(folder);
    assert_eq!(original(&service, &id, ""), (200, text.clone()));
    let data = service.folder().join("data");
    assert!(data.join("originals.redb").exists() && data.join("originals.key").exists());
    service.reload(&upstream.config(), "reloaded [");
    assert_denied(original(&service, &id, ""), (404, "recall_off"));
    assert!(!data.join("originals.redb").exists() && !data.join("originals.key").exists());
    // What was sent once is sent the same way again, though nothing is kept any more.
    assert_eq!(sent(&service, &upstream, (MESSAGES, ""), &body).as_ref(), Some(&id));
    service.reload(&on, "reloaded [");
    assert_denied(original(&service, &id, ""), (404, "original_not_found"));
    assert_eq!(sent(&service, &upstream, (MESSAGES, ""), &body).as_ref(), Some(&id));
    assert_eq!(original(&service, &id, ""), (200, text));
}

#[test]
fn of_1000_phrases_none_can_be_read_on_disk_and_with_recall_all_come_back() {
    let upstream = Upstream::start();
    let phrases: Vec<String> = (0..1000).map(phrase).collect();
    for on in ["", ON] {
        let service = serve(&format!("{on}{}", upstream.config()));
        let mut kept = Vec::new();
        for (number, phrases) in phrases.chunks_exact(50).enumerate() {
            let path = if number % 2 == 0 { CHAT } else { MESSAGES };
            let (others, tests) = phrases.split_first_chunk::<3>().unwrap();
            let id = sent(&service, &upstream, (path, ""), &request(path, &output(tests), others));
            assert_eq!(id.is_some(), !on.is_empty());
            kept.extend(id.map(|id| (id, output(tests))));
        }
        for (id, text) in &kept {
            assert_eq!(original(&service, id, ""), (200, text.clone()));
        }
        assert_eq!(kept.len(), if on.is_empty() { 0 } else { 20 });
        assert_unreadable(&service, &phrases);
        let data = service.folder().join("data");
        assert_eq!(data.join("originals.redb").exists(), !on.is_empty());
        let folder = Arc::clone(&service.folder);
        service.terminate();
        let (_, log) = service.end();
        assert!(!phrases.iter().any(|phrase| log.contains(phrase)), "{log}");
        let service = serve_again(folder);
        assert_unreadable(&service, &phrases);
        for (id, text) in &kept {
            assert_eq!(original(&service, id, ""), (200, text.clone()));
        }
    }
}
