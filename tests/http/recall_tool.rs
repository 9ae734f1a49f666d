//! The tool that recalls originals, added by the proxy and answered by it: in each dialect, whole and in streams.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::rounds::{Got, streamed, whole};
use crate::scripted::{CHAT, MESSAGES, Part, RESPONSES, Reply, Scripted};
use crate::support::{Running, serve, serve_again};

const PATHS: [&str; 3] = [CHAT, MESSAGES, RESPONSES];

/// The output of a build, of which all but the first line and the last is folded.
fn output() -> String {
    let line = |n: usize| format!("   Compiling crate-{n} v0.{n}.1\n");
    let lines: String = (0..60).map(line).collect();
    format!("{lines}    Finished in 3 s\n")
}

/// A request of a conversation in the form of `path`: its first one, or the one after its first call.
fn request(path: &str, first: &str, later: bool, stream: bool) -> Value {
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
    let input = json!({"command": "cargo build"});
    match path {
        CHAT => {
            let mut messages = vec![json!({"role": "user", "content": first})];
            if later {
                let call = json!({"name": "bash", "arguments": input.to_string()});
                messages.push(json!({"role": "assistant", "content": null,
                    "tool_calls": [{"id": "t", "type": "function", "function": call}]}));
                messages.push(json!({"role": "tool", "tool_call_id": "t", "content": output()}));
            }
            let function = json!({"name": "bash", "parameters": schema});
            let mut body = json!({"model": "m1", "messages": messages, "stream": stream,
                "tools": [{"type": "function", "function": function}]});
            if stream {
                body["stream_options"] = json!({"include_usage": true});
            }
            body
        }
        RESPONSES => {
            let mut input_items = vec![json!({"role": "user", "content": first})];
            if later {
                input_items.push(json!({"type": "function_call", "call_id": "t", "name": "bash", "arguments": input.to_string()}));
                input_items.push(json!({"type": "function_call_output", "call_id": "t", "output": output()}));
            }
            json!({"model": "m1", "input": input_items, "stream": stream, "store": false,
                "tools": [{"type": "function", "name": "bash", "parameters": schema}]})
        }
        _ => {
            let mut messages = vec![json!({"role": "user", "content": first})];
            if later {
                messages.push(json!({"role": "assistant", "content": [
                    {"type": "tool_use", "id": "t", "name": "bash", "input": input}]}));
                messages.push(json!({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": output()}]}));
            }
            json!({"model": "m1", "max_tokens": 99, "messages": messages, "stream": stream,
                "tools": [{"name": "bash", "input_schema": schema}]})
        }
    }
}

/// Sends a request and reads its answer.
fn send(service: &Running, path: &str, body: &Value, key: &str) -> Got {
    let (status, headers, bytes) = service.fetch(|client, base| {
        let request = client.post(format!("{base}{path}")).header("content-type", "application/json");
        let request = if key.is_empty() { request } else { request.header("x-whittle-key", key) };
        request.body(body.to_string())
    });
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(headers.contains_key("x-whittle-status"));
    if body["stream"] == true {
        streamed(path, &text)
    } else {
        whole(path, &serde_json::from_str(&text).unwrap())
    }
}

/// Begins a conversation.
fn begin(service: &Running, upstream: &Scripted, path: &str, first: &str) {
    upstream.script([Reply::new(&[Part::Text("Yes.")])]);
    send(service, path, &request(path, first, false, false), "");
    let seen = upstream.requests();
    assert_eq!(tools(&seen[0]), ["bash", "whittle_recall"]);
}

fn tools(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().or(tool["function"]["name"].as_str()).unwrap().to_owned())
        .collect()
}

/// The messages or items of a request.
fn turns(body: &Value) -> &Vec<Value> {
    body["messages"].as_array().or(body["input"].as_array()).unwrap()
}

/// The results of a request by the ids of their calls.
fn results(body: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for turn in turns(body) {
        let blocks = turn["content"].as_array().cloned().unwrap_or_default();
        for part in [turn.clone()].iter().chain(&blocks) {
            let id = part["tool_call_id"].as_str().or(part["tool_use_id"].as_str());
            let id = id.or(part["call_id"].as_str().filter(|_| part["output"].is_string()));
            let text = part["content"].as_str().or(part["output"].as_str());
            found.extend(id.zip(text).map(|(id, text)| (id.to_owned(), text.to_owned())));
        }
    }
    found
}

fn got(text: &str, calls: &[&str], reason: &str, rounds: u64) -> Got {
    let calls = calls.iter().map(|id| ((*id).to_owned(), "{\"command\":\"ls\"}".to_owned())).collect();
    Got { text: text.into(), calls, reason: reason.into(), usage: (100 * rounds, 10 * rounds) }
}

/// The reason of an answer that ends, with calls or without.
fn reason(path: &str, calls: bool) -> &'static str {
    match (path, calls) {
        (CHAT, false) => "stop",
        (CHAT, true) => "tool_calls",
        (RESPONSES, _) => "completed",
        (_, false) => "end_turn",
        (_, true) => "tool_use",
    }
}

/// Calls `each` for all dialects, whole and streamed, with a service of its own in the middle of a conversation.
fn each(mut each: impl FnMut(&Running, &Scripted, &str, &Value)) {
    for path in PATHS {
        let upstream = Scripted::start();
        let service = serve(&upstream.config());
        for stream in [false, true] {
            begin(&service, &upstream, path, "Build it.");
            each(&service, &upstream, path, &request(path, "Build it.", true, stream));
        }
    }
}

const ALL: &str = r#"{"id":"ID"}"#;

#[test]
fn the_client_gets_one_answer_and_never_sees_the_call() {
    let mut requests = 0;
    each(|service, upstream, path, body| {
        upstream.script([
            Reply::new(&[Part::Text("Let me see. "), Part::Recall(ALL)]),
            Reply::new(&[Part::Recall(r#"{"id":"ID","first_line":2,"last_line":3}"#)]),
            Reply::new(&[Part::Text("It built."), Part::Call("x")]),
        ]);
        assert_eq!(
            send(service, path, body, ""),
            got("Let me see. It built.", &["x"], reason(path, true), 3),
            "{path} {body}"
        );
        let seen = upstream.requests();
        assert_eq!(seen.len(), 3);
        let lengths: Vec<usize> = seen.iter().map(|seen| turns(seen).len()).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
        for pair in seen.windows(2) {
            // All that was sent before stands before what is new.
            assert_eq!(turns(&pair[1])[..turns(&pair[0]).len()], turns(&pair[0])[..], "{path}");
            assert_eq!(pair[0]["tools"], pair[1]["tools"]);
        }
        let results = results(&seen[2]);
        let texts: Vec<&str> = results.iter().map(|(_, text)| text.as_str()).collect();
        assert!(texts[0].contains("lines left out"), "{texts:?}");
        let lines: Vec<String> = output().split_inclusive('\n').map(str::to_owned).collect();
        assert_eq!(texts[1..], [&*output(), &*lines[1..3].concat()], "{path}");
        assert!(seen[1].to_string().contains("Let me see. "), "the text of the turn goes back");
        // All rounds of an answer are one record of the ledger, beside the one that began the conversation.
        requests += 2;
        let usage = service.get("/v1/usage").body;
        let total = &usage["total"];
        let rounds = if body["stream"] == true { 8 } else { 4 };
        let expected = (rounds / 2, 100 * rounds, 10 * rounds);
        let (count, input, output) = (&total["requests"], &total["input_tokens"], &total["output_tokens"]);
        assert_eq!(
            (count.as_u64(), input.as_u64(), output.as_u64()),
            (Some(expected.0), Some(expected.1), Some(expected.2)),
            "{usage}"
        );
    });
    assert_eq!(requests, 12);
}

#[test]
fn other_calls_of_the_turn_are_answered_where_the_client_has_none_of_them() {
    each(|service, upstream, path, body| {
        upstream.script([
            Reply::new(&[Part::Recall(ALL), Part::Text("And "), Part::Call("y")]),
            Reply::new(&[Part::Text("now."), Part::Call("z")]),
        ]);
        assert_eq!(send(service, path, body, ""), got("And now.", &["z"], reason(path, true), 2));
        let seen = upstream.requests();
        let results = results(&seen[1]);
        assert_eq!(results[1].1, output());
        assert!(results[2].0 == "y" && results[2].1.contains("not run"), "{results:?}");
    });
}

#[test]
fn a_call_that_comes_behind_one_that_went_out_is_answered_in_the_next_request() {
    each(|service, upstream, path, body| {
        let first = [Part::Call("x"), Part::Recall(ALL)];
        let mut later = body.clone();
        let list = if path == RESPONSES { "input" } else { "messages" };
        let turn = match path {
            CHAT => vec![
                json!({"role": "assistant", "content": "", "tool_calls": [
                    {"id": "x", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]}),
                json!({"role": "tool", "tool_call_id": "x", "content": "a.rs"}),
            ],
            RESPONSES => vec![
                json!({"type": "function_call", "call_id": "x", "name": "bash", "arguments": "{}"}),
                json!({"type": "function_call_output", "call_id": "x", "output": "a.rs"}),
            ],
            _ => vec![
                json!({"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "bash", "input": {}}]}),
                json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "a.rs"}]}),
            ],
        };
        later[list].as_array_mut().unwrap().extend(turn);
        if body["stream"] == true {
            upstream.script([Reply::new(&first)]);
            assert_eq!(send(service, path, body, ""), got("", &["x"], reason(path, true), 1), "{path}");
            upstream.requests();
            for _ in 0..2 {
                upstream.script([Reply::new(&[Part::Text("Done.")])]);
                assert_eq!(send(service, path, &later, "").text, "Done.");
                let results = results(&upstream.requests()[0]);
                let found: Vec<_> =
                    results[1..].iter().map(|(id, text)| (id.as_str(), text.clone())).collect();
                assert_eq!(found, [("x", "a.rs".to_owned()), ("r0_1", output())], "{path}");
            }
        } else {
            upstream.script([Reply::new(&first), Reply::new(&[Part::Text("Done.")])]);
            assert_eq!(send(service, path, body, ""), got("Done.", &[], reason(path, false), 2));
            upstream.requests();
        }
    });
}

#[test]
fn what_cannot_be_had_is_said_and_rounds_are_bounded() {
    each(|service, upstream, path, body| {
        upstream.script([
            Reply::new(&[Part::Recall(r#"{"id":"0000000000000000"}"#)]),
            Reply::new(&[Part::Recall(r#"{"first_line":"x"}"#)]),
            Reply::new(&[Part::Text("Well.")]),
        ]);
        assert_eq!(send(service, path, body, ""), got("Well.", &[], reason(path, false), 3));
        let seen = upstream.requests();
        let results = results(&seen[2]);
        assert!(
            results[1].1.contains("no original with this id") && results[2].1.contains("cannot be read"),
            "{results:?}"
        );

        upstream.script((0..10).map(|_| Reply::new(&[Part::Text("."), Part::Recall(ALL)])));
        assert_eq!(send(service, path, body, ""), got("..........", &[], reason(path, false), 10), "{path}");
        let seen = upstream.requests();
        let results = self::results(&seen[9]);
        assert_eq!((results.len(), results[8].1 == output()), (10, true));
        assert!(results[9].1.contains("No more originals"), "{results:?}");
    });
    let upstream = Scripted::start();
    let service = serve(&upstream.config());
    begin(&service, &upstream, CHAT, "Build it.");
    upstream.script([Reply::new(&[Part::Recall(ALL)]), Reply::new(&[Part::Text("Well.")])]);
    send(&service, CHAT, &request(CHAT, "Build it.", true, false), "");
    let metrics = service.fetch(|client, base| client.get(format!("{base}/metrics"))).2;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.lines().any(|line| line == "whittle_recalls_total 1"), "{metrics}");
}

#[test]
fn only_conversations_that_began_with_the_tool_have_it_also_after_a_restart() {
    for path in PATHS {
        let upstream = Scripted::start();
        let mut service = serve(&upstream.config());
        begin(&service, &upstream, path, "Build it.");
        for restart in 0..3 {
            for (first, expected) in [("Build it.", true), ("Test it.", false)] {
                upstream.script([Reply::new(&[Part::Text("Yes.")])]);
                send(&service, path, &request(path, first, true, restart == 1), "");
                let seen = upstream.requests();
                assert_eq!(tools(&seen[0]).len(), if expected { 2 } else { 1 }, "{path} {first} {restart}");
            }
            let folder = Arc::clone(&service.folder);
            // The answer waits until what came before it is on disk.
            service.get("/v1/usage");
            if restart == 0 {
                service.kill();
            } else {
                service.terminate_and_end();
            }
            service = serve_again(folder);
        }
        // A tool of the client's of that name, and a request without tools.
        let mut own = request(path, "Build another.", false, false);
        let name = if path == CHAT {
            &mut own["tools"][0]["function"]["name"]
        } else {
            &mut own["tools"][0]["name"]
        };
        *name = "whittle_recall".into();
        upstream.script([Reply::new(&[Part::Text("Yes.")]), Reply::new(&[Part::Text("Yes.")])]);
        send(&service, path, &own, "");
        assert_eq!(tools(&upstream.requests()[0]), ["whittle_recall"]);
        let mut none = request(path, "Build it.", true, false);
        none.as_object_mut().unwrap().remove("tools");
        send(&service, path, &none, "");
        assert_eq!(upstream.requests()[0]["tools"], Value::Null);
    }
}

#[test]
fn another_keys_original_is_not_given() {
    let upstream = Scripted::start();
    let service = serve(&upstream.config());
    let create = |name: &str| {
        let output = service.whittle(&["keys", "create", name]).output();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (one, two) = (create("one"), create("two"));
    let mut id = String::new();
    for key in [&one, &two] {
        upstream.script([Reply::new(&[Part::Text("Yes.")])]);
        send(&service, CHAT, &request(CHAT, "Build it.", false, true), key);
        upstream.requests();
        let mut body = request(CHAT, "Build it.", true, true);
        if !id.is_empty() {
            // A result of the second key's own has the id of the first one's in it.
            let text = format!("It said [58 lines left out: progress; recall {id}].");
            body["messages"][2]["content"] = text.into();
        }
        upstream.script([Reply::new(&[Part::Recall(ALL)]), Reply::new(&[Part::Text("Well.")])]);
        assert_eq!(send(&service, CHAT, &body, key).text, "Well.");
        let seen = upstream.requests();
        let recalled = &results(&seen[1])[1].1;
        if id.is_empty() {
            assert_eq!(*recalled, output());
        } else {
            assert!(recalled.contains("no original with this id"), "{recalled}");
        }
        id = crate::scripted::id_in(&seen[0].to_string()).unwrap();
    }
}

#[test]
fn a_round_that_fails_ends_the_stream_with_an_error_and_an_answer_with_its_status() {
    for path in PATHS {
        let upstream = Scripted::start();
        let service = serve(&upstream.config());
        begin(&service, &upstream, path, "Build it.");
        for (failed, breaks) in [(529, false), (200, true)] {
            for stream in [false, true] {
                let body = request(path, "Build it.", true, stream);
                let failing = Reply { status: failed, breaks, ..Reply::new(&[Part::Text("It built.")]) };
                upstream.script([Reply::new(&[Part::Text("Let me see. "), Part::Recall(ALL)]), failing]);
                let (status, _, bytes) = service.fetch(|client, base| {
                    client
                        .post(format!("{base}{path}"))
                        .header("content-type", "application/json")
                        .body(body.to_string())
                });
                let text = String::from_utf8(bytes).unwrap();
                if stream {
                    let events = crate::rounds::events(&text);
                    assert!(status == 200 && events.last().unwrap()["error"].is_object(), "{text}");
                    assert!(text.contains("see. ") && !text.contains("whittle_recall"), "{text}");
                } else {
                    assert_eq!(status, if breaks { 502 } else { failed }, "{text}");
                    assert!(text.contains("error") && !text.contains("whittle_recall"), "{text}");
                }
                upstream.requests();
            }
        }
        // What is cut off by its length is not continued, nor shown in part.
        let reason = if path == MESSAGES { "max_tokens" } else { "length" };
        if path != RESPONSES {
            let cut = Reply { reason: Some(reason), ..Reply::new(&[Part::Text("Hm."), Part::Recall(ALL)]) };
            upstream.script([cut]);
            let answer = send(&service, path, &request(path, "Build it.", true, true), "");
            assert_eq!(
                (answer.text.as_str(), answer.reason.as_str(), answer.calls.len()),
                ("Hm.", reason, 0)
            );
        }
    }
}

#[test]
fn text_flows_before_its_round_ends_and_a_client_that_leaves_ends_the_work() {
    use std::io::{Read, Write};
    for path in PATHS {
        let upstream = Scripted::start();
        let service = serve(&upstream.config());
        begin(&service, &upstream, path, "Build it.");
        let (open, gate) = std::sync::mpsc::channel();
        let gated = Reply { gate: Some(gate), ..Reply::new(&[Part::Text("now"), Part::Recall(ALL)]) };
        upstream.script([gated]);
        let body = request(path, "Build it.", true, true).to_string();
        let mut stream = std::net::TcpStream::connect(&service.address).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut came = Vec::new();
        // The upstream has not ended its answer yet: only what flows at once can be here.
        while !String::from_utf8_lossy(&came).contains("ow\"") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0);
            came.extend_from_slice(&piece[..read]);
        }
        drop(stream);
        // The ledger has it once the client's leaving was seen; then nothing more is asked of the upstream.
        let mut usage = Value::Null;
        for _ in 0..2000 {
            usage = service.get("/v1/usage").body["total"]["requests"].clone();
            if usage == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(usage, 2);
        open.send(()).ok();
        assert_eq!(upstream.requests().len(), 1);
    }
}
