//! Gemini's, Ollama's, Azure's and Cohere's APIs in front of the real binary.

use serde_json::{Value, json};

use crate::support::serve;
use crate::upstream::Upstream;

/// A conversation in one dialect in which an agent reads a file twice.
struct Api {
    path: &'static str,
    /// The header that its clients send a key in, and what stands before the key.
    key: (&'static str, &'static str),
    body: fn(file: &str) -> Value,
    /// The places of the two results.
    results: [&'static str; 2],
    /// The place of the message in an error.
    message: &'static str,
}

const APIS: [Api; 4] = [
    Api {
        path: "/v1beta/models/m1:generateContent",
        key: ("x-goog-api-key", ""),
        body: |file| {
            let call = json!({"role": "model", "parts": [{"functionCall": {"name": "Read", "args": {"path": "a.rs"}}}]});
            let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "Read", "response": {"output": file}}}]});
            json!({"contents": [{"role": "user", "parts": [{"text": "Find the fault."}]}, call, result, call, result]})
        },
        results: [
            "/contents/2/parts/0/functionResponse/response/output",
            "/contents/4/parts/0/functionResponse/response/output",
        ],
        message: "/error/message",
    },
    Api {
        path: "/api/chat",
        key: ("authorization", "Bearer "),
        body: |file| {
            let call = json!({"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "Read", "arguments": {"path": "a.rs"}}}]});
            let result = json!({"role": "tool", "tool_name": "Read", "content": file});
            json!({"model": "m1", "messages": [{"role": "user", "content": "Find the fault."}, call, result, call, result]})
        },
        results: ["/messages/2/content", "/messages/4/content"],
        message: "/error",
    },
    Api {
        path: "/openai/deployments/m1/chat/completions?api-version=2024-10-21",
        key: ("api-key", ""),
        body: |file| json!({"messages": chat(&json!(file))}),
        results: ["/messages/2/content", "/messages/4/content"],
        message: "/error/message",
    },
    Api {
        path: "/v2/chat",
        key: ("authorization", "Bearer "),
        body: |file| {
            let document = json!([{"type": "document", "document": {"id": "d", "data": {"text": file}}}]);
            json!({"model": "m1", "messages": chat(&document)})
        },
        results: ["/messages/2/content/0/document/data/text", "/messages/4/content/0/document/data/text"],
        message: "/message",
    },
];

/// Messages in the form of chat completions, which Cohere's share.
fn chat(content: &Value) -> Vec<Value> {
    let function = json!({"name": "Read", "arguments": "{\"path\": \"a.rs\"}"});
    let call =
        json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": content});
    vec![json!({"role": "user", "content": "Find the fault."}), call.clone(), result.clone(), call, result]
}

#[test]
fn results_are_folded_and_answers_booked_in_each_dialect() {
    let upstream = Upstream::start();
    let service = serve(&upstream.config());
    let file: String =
        (0..60).flat_map(|n| [format!("let value_{n} = compute(input[{n}]);"), "\n".into()]).collect();
    for api in &APIS {
        let mut body = (api.body)(&file);
        let answer = service.post(api.path, &body.to_string());
        assert_eq!(
            (answer.status, &answer.headers["x-whittle-status"]),
            (200, &"compressed".parse().unwrap())
        );
        let mut sent: Value = serde_json::from_slice(&upstream.requests().remove(0).1).unwrap();
        let result = sent.pointer_mut(api.results[1]).unwrap().take();
        assert!(result.as_str().unwrap().contains("60 lines left out"), "{}: {result}", api.path);
        body.pointer_mut(api.results[1]).unwrap().take();
        assert_eq!(sent, body, "all else is as it was");
        assert_eq!(sent.pointer(api.results[0]).unwrap(), &*file);
    }
    let usage = service.get("/v1/usage").body;
    let total = &usage["total"];
    let count = |name: &str| total[name].as_u64().unwrap();
    assert_eq!([count("requests"), count("input_tokens"), count("output_tokens")], [4, 400, 40], "{total}");
    assert!((total["cost_usd"].as_f64().unwrap() - 4.0 * 110e-6).abs() < 1e-9, "{total}");
}

#[test]
fn keys_are_read_where_the_clients_of_each_dialect_send_them() {
    let upstream = Upstream::start();
    let service = serve(&upstream.config());
    let made = service.whittle(&["keys", "create", "ci", "--model", "m1"]).output();
    let secret = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    for api in &APIS {
        let body = (api.body)("short").to_string();
        let (name, before) = api.key;
        let answer = service.post_with(api.path, &body, &[(name, &format!("{before}{secret}"))]);
        assert_eq!(answer.status, 200, "{}: {}", api.path, answer.body);
        let (head, seen) = upstream.requests().remove(0);
        assert!(!head.contains(&secret) && seen == body.as_bytes(), "{head}");
        let refused = service.post_with(api.path, &body, &[(name, &format!("{before}other"))]);
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(refused.body.pointer(api.message).is_some_and(Value::is_string), "{}", refused.body);
        // A path that nobody reads is not for a key that may call one model alone.
        let unread = format!("{}x", api.path.split('?').next().unwrap());
        let refused = service.post_with(&unread, &body, &[(name, &format!("{before}{secret}"))]);
        assert!(matches!(refused.status, 403 | 404), "{unread}: {}", refused.body);
    }
    assert!(upstream.requests().is_empty());
}
