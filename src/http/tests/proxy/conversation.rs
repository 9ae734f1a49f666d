//! A conversation that grows turn by turn: what was sent once is sent the same way again.

use super::*;

/// The messages of `turns` turns: a long document first, a tool's long result now and then.
fn conversation(turns: usize) -> Vec<Value> {
    let document = words(2000);
    let mut messages = vec![serde_json::json!({"role": "system", "content": "Be brief."})];
    for turn in 0..turns {
        let content = match turn {
            0 => format!("Here is a report.\n\n{document}\n\nWhat is it about?"),
            _ => format!("And question {turn}?"),
        };
        messages.push(serde_json::json!({"role": "user", "content": content}));
        if turn % 5 == 4 {
            let call = serde_json::json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
            messages.push(serde_json::json!({"role": "assistant", "content": null, "tool_calls": call}));
            let result = format!("result {turn} {}", words(150));
            messages.push(serde_json::json!({"role": "tool", "tool_call_id": "c", "content": result}));
        }
        messages.push(serde_json::json!({"role": "assistant", "content": format!("Answer {turn}.")}));
    }
    messages.pop();
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_turns_send_an_unchanged_prefix() {
    let mut proxy = Proxy::start().await;
    let mut earlier = String::new();
    let mut calls = 0;
    for turns in 1..=30 {
        if turns == 15 {
            calls = proxy.calls();
            proxy = proxy.restarted().await;
        }
        let body = serde_json::json!({"messages": conversation(turns), "model": "gpt-4o"}).to_string();
        let (seen, status) = proxy.forwarded("/v1/chat/completions", &body).await;
        assert_eq!(status, "compressed");
        assert!(seen.text().len() * 3 < body.len() * 2, "{} of {}", seen.text().len(), body.len());
        let prefix = seen.text().strip_suffix(r#"],"model":"gpt-4o"}"#).unwrap().to_owned();
        assert!(prefix.starts_with(&earlier), "turn {turns}");
        earlier = prefix;
    }
    // The document once, and each of the six results, before the restart or after it.
    assert_eq!((calls, proxy.calls()), (3, 4));
    assert_eq!(proxy.compressor.questions.lock().unwrap()[0].as_deref(), Some("And question 14?"));
}
