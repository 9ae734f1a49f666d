//! Tests of compression in the proxy: what is compressed, what never is, and what happens where it fails.

use super::*;

fn chat(messages: &Value) -> String {
    serde_json::json!({"model": "gpt-4o", "messages": messages, "temperature": 1.0}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_text_becomes_smaller_and_nothing_else_changes() {
    let proxy = Proxy::start().await;
    let paste = words(200);
    let body = format!(
        "{{\"model\": \"gpt-4o\", \"messages\": [ {{\"role\":\"system\",\"content\":\"{paste}\"}},\n {{\"content\" : \"Read it.\\n\\n{paste}\\n\\nWho won?\", \"role\":\"user\"}} ], \"n\": 1.0}}"
    );
    proxy.upstream.will([json(200, "{}")]);
    let response = proxy.post("/v1/chat/completions", body.clone()).send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "compressed");
    let tokens = |name: &str| response.headers()[name].to_str().unwrap().parse::<usize>().unwrap();
    assert!(tokens("x-whittle-compressed-tokens") * 3 < tokens("x-whittle-original-tokens") * 2);
    let smaller = halved(&format!("\n{paste}\n")).0.replace('\n', "\\n");
    let expected = body.replacen(&format!("\\n{paste}\\n\\nWho"), &format!("{smaller}\\nWho"), 1);
    assert_eq!(proxy.upstream.only().text(), expected);
    assert_eq!(proxy.compressor.questions.lock().unwrap()[..], [Some("Who won?".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_change_does_not() {
    let proxy = Proxy::start().await;
    let long = words(200);
    let parameters = serde_json::json!({"description": long});
    let cases = [
        (
            "/v1/chat/completions",
            serde_json::json!({"model": "m", "tools": [{"type": "function", "function": {"name": long, "parameters": parameters}}],
            "messages": [
                {"role": "system", "content": long}, {"role": "developer", "content": [{"type": "text", "text": long}]},
                {"role": "assistant", "content": long, "tool_calls": [{"id": long, "type": "function", "function": {"name": "f", "arguments": long}}]},
                {"role": "user", "name": long, "content": [{"type": "image_url", "image_url": {"url": long}}, {"type": "file", "file": {"file_data": long}}, {"type": "other", "text": long}]},
                {"role": "unheard-of", "content": long}]}),
        ),
        (
            "/v1/responses",
            serde_json::json!({"model": "m", "instructions": long, "input": [
                {"type": "reasoning", "encrypted_content": long, "summary": [{"type": "summary_text", "text": long}]},
                {"type": "function_call", "call_id": "c", "arguments": long},
                {"role": "system", "content": long},
                {"role": "assistant", "content": [{"type": "output_text", "text": long}]},
                {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": long}]}]}),
        ),
        (
            "/v1/messages",
            serde_json::json!({"model": "m", "system": [{"type": "text", "text": long}], "tools": [{"name": "t", "input_schema": parameters}],
            "messages": [
                {"role": "assistant", "content": [{"type": "thinking", "thinking": long, "signature": long}, {"type": "tool_use", "id": "i", "name": "n", "input": {"text": long}}, {"type": "text", "text": long}]},
                {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": long}},
                    {"type": "document", "source": {"type": "base64", "data": long}},
                    {"type": "document", "citations": {"enabled": true}, "source": {"type": "text", "data": long}}]}]}),
        ),
        (
            "/v1/messages",
            serde_json::json!({"model": "m", "cache_control": {"type": "ephemeral"}, "messages": [{"role": "user", "content": long}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]}),
        ),
        ("/v1/completions", serde_json::json!({"model": "m", "prompt": long, "suffix": "x"})),
        ("/v1/completions", serde_json::json!({"model": "m", "prompt": [1, 2, 3]})),
        ("/v1/embeddings", serde_json::json!({"model": "m", "input": long})),
    ];
    for (path, body) in cases {
        let body = body.to_string();
        let (seen, status) = proxy.forwarded(path, &body).await;
        assert_eq!(seen.text(), body, "{path}");
        assert!(status == "unchanged" || status == "original; reason=breakpoint", "{path}: {status}");
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_place_of_long_texts_is_found() {
    let proxy = Proxy::start().await;
    let cases = [
        (
            "/v1/chat/completions",
            serde_json::json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "LONG"}, {"type": "text", "text": "Who?"}]}]}),
            Some("Who?"),
        ),
        (
            "/v1/chat/completions",
            serde_json::json!({"messages": [{"role": "user", "content": "Find it."}, {"role": "assistant", "tool_calls": []}, {"role": "tool", "tool_call_id": "1", "content": "LONG"}]}),
            Some("Find it."),
        ),
        ("/v1/responses", serde_json::json!({"input": "LONG"}), None),
        (
            "/v1/responses",
            serde_json::json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Look."}]}, {"type": "function_call", "call_id": "c"}, {"type": "function_call_output", "call_id": "c", "output": "LONG"}]}),
            Some("Look."),
        ),
        (
            "/v1/messages",
            serde_json::json!({"messages": [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "x"}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "LONG"}]}]}]}),
            Some("Go."),
        ),
        (
            "/v1/messages",
            serde_json::json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "LONG"}}]}]}),
            Some("What?"),
        ),
        (
            "/v1/messages/count_tokens",
            serde_json::json!({"messages": [{"role": "user", "content": "LONG"}]}),
            None,
        ),
        (
            "/v1/responses",
            serde_json::json!({"input": [{"role": "user", "content": "Do it."}, {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "x"}, {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "LONG"}]}]}),
            Some("Do it."),
        ),
        (
            "/v1/responses",
            serde_json::json!({"input": [{"role": "user", "content": "Ask it."}, {"type": "mcp_call", "id": "c", "name": "n", "arguments": "{}", "output": "LONG"}]}),
            Some("Ask it."),
        ),
        (
            "/v1/responses",
            serde_json::json!({"input": [{"role": "user", "content": "Seek it."}, {"type": "file_search_call", "id": "c", "queries": ["q"], "results": [{"file_id": "f", "text": "LONG"}]}]}),
            Some("Seek it."),
        ),
        (
            "/v1/chat/completions",
            serde_json::json!({"messages": [{"role": "user", "content": "Call it."}, {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, {"role": "function", "name": "f", "content": "LONG"}]}),
            Some("Call it."),
        ),
        ("/v1/completions", serde_json::json!({"prompt": "LONG"}), None),
    ];
    for (number, (path, mut body, question)) in cases.into_iter().enumerate() {
        body["model"] = "gpt-4o".into();
        let long = format!("n{number} {}", words(200));
        let (seen, status) = proxy.forwarded(path, &body.to_string().replace("LONG", &long)).await;
        assert_eq!(status, "compressed", "{path} {number}");
        assert_eq!(seen.text(), body.to_string().replace("LONG", &halved(&long).0), "{path}");
        assert_eq!(proxy.compressor.questions.lock().unwrap().pop().unwrap().as_deref(), question, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_texts_are_told_from_none() {
    let proxy = Proxy::start().await;
    let question = serde_json::json!({"role": "user", "content": "Who won?"});
    let call = serde_json::json!({"role": "assistant", "tool_calls": []});
    for (messages, expected) in [
        (vec![question.clone()], "unchanged"),
        (
            vec![serde_json::json!({"role": "user", "content": words(20)}), question.clone()],
            "unchanged; reason=small",
        ),
        (
            vec![question, call, serde_json::json!({"role": "tool", "content": words(20)})],
            "unchanged; reason=small",
        ),
    ] {
        let body = chat(&messages.into());
        for _ in 0..2 {
            let (seen, status) = proxy.forwarded("/v1/chat/completions", &body).await;
            assert_eq!((seen.text(), status.as_str()), (&*body, expected));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_turn_has_up_to_a_cache_breakpoint_stays() {
    let proxy = Proxy::start().await;
    let [before, marked, after] = ["before", "marked", "after"].map(|name| format!("{name} {}", words(200)));
    let body = serde_json::json!({"model": "m", "messages": [
        {"role": "user", "content": before}, {"role": "assistant", "content": "ok"},
        {"role": "user", "content": [{"type": "text", "text": marked, "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": after}]}]});
    let body = body.to_string();
    let (seen, status) = proxy.forwarded("/v1/messages", &body).await;
    // The last turn is new, although a breakpoint stands behind a part of it.
    let expected = |body: &str| body.replace(&after, &halved(&after).0).replace(&marked, &halved(&marked).0);
    assert_eq!(seen.text(), expected(&body));
    assert_eq!((status.as_str(), proxy.calls()), ("compressed; reason=breakpoint", 2));
    // Once the breakpoint is gone the texts before it stay as the provider knows them.
    let without = body.replace(r#""cache_control":{"type":"ephemeral"},"#, "");
    assert_ne!(without, body);
    let (seen, status) = proxy.forwarded("/v1/messages", &without).await;
    assert_eq!((seen.text(), proxy.calls()), (&*expected(&without), 2));
    assert_eq!(status, "compressed; reason=remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_can_say_what_they_want() {
    let proxy = Proxy::start().await;
    let long = words(200);
    let body = chat(&serde_json::json!([{"role": "user", "content": long}]));
    proxy.upstream.will([json(200, "{}")]);
    for (name, value, status, calls) in [
        ("x-whittle-bypass", "1", "bypassed", 0),
        ("x-whittle-min-tokens", "5000", "unchanged", 0),
        ("x-whittle-rate", "0.7", "compressed", 1),
    ] {
        let response =
            proxy.post("/v1/chat/completions", body.clone()).header(name, value).send().await.unwrap();
        assert_eq!(
            (response.headers()["x-whittle-status"].to_str().unwrap(), proxy.calls()),
            (status, calls),
            "{name}"
        );
        let same = proxy.upstream.only().text() == body;
        assert_eq!(same, status != "compressed", "{name}");
    }
    // A member of the body does the same, and goes no further.
    for (member, expected) in [
        (format!("{{\"whittle\": {{\"bypass\": true}}, {}", &body[1..]), &body),
        (format!("{},\"whittle\":{{\"bypass\":true}}}}", &body[..body.len() - 1]), &body),
    ] {
        let (seen, status) = proxy.forwarded("/v1/chat/completions", &member).await;
        assert_eq!((seen.text(), status.as_str()), (expected.as_str(), "bypassed"));
    }
    let response =
        proxy.post("/v1/chat/completions", body).header("x-whittle-rate", "2").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(body_of(response).await["error"]["param"], "x-whittle-rate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_or_takes_too_long_goes_on_as_it_was_and_stays_so() {
    let proxy = Proxy::start().await;
    let message = |name: &str| {
        chat(&serde_json::json!([{"role": "user", "content": format!("{name} {}", words(200))}]))
    };
    proxy.compressor.fails.store(true, Ordering::SeqCst);
    let (seen, status) = proxy.forwarded("/v1/chat/completions", &message("a")).await;
    assert_eq!((seen.text(), status.as_str()), (&*message("a"), "original; reason=failed"));
    proxy.compressor.fails.store(false, Ordering::SeqCst);
    let (seen, status) = proxy.forwarded("/v1/chat/completions", &message("a")).await;
    assert_eq!((seen.text(), status.as_str()), (&*message("a"), "original; reason=remembered"));

    proxy.compressor.takes.store(8_000, Ordering::SeqCst);
    proxy.upstream.will([json(200, "{}")]);
    let start = std::time::Instant::now();
    let request = proxy.post("/v1/chat/completions", message("b")).header("x-whittle-deadline-ms", "100");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "original; reason=deadline");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(proxy.upstream.only().text(), message("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_likely_to_take_too_long_is_not_begun() {
    let proxy = Proxy::start().await;
    let message = |name: &str, count| {
        chat(&serde_json::json!([{"role": "user", "content": format!("{name} {}", words(count))}]))
    };
    let status = async |body: String| {
        let request = proxy.post("/v1/chat/completions", body).header("x-whittle-deadline-ms", "2000");
        request.send().await.unwrap().headers()["x-whittle-status"].to_str().unwrap().to_owned()
    };
    proxy.upstream.will([json(200, "{}")]);
    proxy.compressor.takes.store(300, Ordering::SeqCst);
    // The first text, whose time may be that of loading a model, says nothing.
    for name in ["z", "a"] {
        assert_eq!(status(message(name, 200)).await, "compressed");
    }
    // Twenty times as much is likely to take 6 s at least.
    let start = std::time::Instant::now();
    assert_eq!(status(message("b", 4000)).await, "original; reason=declined");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!((proxy.calls(), proxy.upstream.seen()[2].text()), (2, &*message("b", 4000)));
    assert_eq!(status(message("b", 4000)).await, "original; reason=remembered");
    // What is short enough is made smaller still.
    assert_eq!(status(message("c", 200)).await, "compressed");
    let metrics = proxy.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("whittle_proxy_fallbacks_total{reason=\"declined\"} 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_deadline_was_passed_in_vain_the_next_text_does_not_wait_for_it() {
    let proxy = Proxy::start().await;
    proxy.upstream.will([json(200, "{}")]);
    proxy.compressor.takes.store(8_000, Ordering::SeqCst);
    // The thread that is cut off may notice it a moment after its client has its answer.
    for attempt in 0.. {
        let body =
            chat(&serde_json::json!([{"role": "user", "content": format!("{attempt} {}", words(200))}]));
        let request = proxy.post("/v1/chat/completions", body).header("x-whittle-deadline-ms", "200");
        let response = request.send().await.unwrap();
        let status = response.headers()["x-whittle-status"].to_str().unwrap();
        if status == "original; reason=declined" {
            assert!((1..3).contains(&attempt));
            break;
        }
        assert_eq!(status, "original; reason=deadline");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_queue_the_original_goes_on() {
    let proxy = Proxy::with(&format!("limits.concurrency = 1\nlimits.queue = 0\n{BOTH}")).await;
    proxy.upstream.will([json(200, "{}")]);
    proxy.compressor.takes.store(3000, Ordering::SeqCst);
    let body = |name: &str| {
        chat(&serde_json::json!([{"role": "user", "content": format!("{name} {}", words(200))}]))
    };
    let slow = tokio::spawn(proxy.post("/v1/chat/completions", body("slow")).send());
    while proxy.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (seen, status) = proxy.forwarded("/v1/chat/completions", &body("quick")).await;
    assert_eq!((seen.text(), status.as_str()), (&*body("quick"), "original; reason=overloaded"));
    proxy.compressor.takes.store(0, Ordering::SeqCst);
    assert_eq!(slow.await.unwrap().unwrap().headers()["x-whittle-status"], "compressed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_sent_once_more_as_it_came() {
    let proxy = Proxy::start().await;
    let body = chat(&serde_json::json!([{"role": "user", "content": words(200)}]));
    proxy.upstream.will([json(400, "{\"error\":1}"), json(200, "{\"ok\":1}")]);
    let response = proxy.post("/v1/chat/completions", body.clone()).send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "original; reason=refused");
    assert_eq!(response.text().await.unwrap(), "{\"ok\":1}");
    let seen = proxy.upstream.seen();
    assert!(seen.len() == 2 && seen[0].text() != body && seen[1].text() == body);
    // The original was what the provider took, so it stays.
    let (seen, _) = proxy.forwarded("/v1/chat/completions", &body).await;
    assert_eq!(seen.text(), body);
    // What was not compressed is not sent twice.
    proxy.upstream.will([json(400, "{}")]);
    let response = proxy.post("/v1/chat/completions", r#"{"model":"m"}"#).send().await.unwrap();
    assert_eq!((response.status().as_u16(), proxy.upstream.seen().len()), (400, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encoded_bodies_are_read_and_pass_as_they_came_where_nothing_changes() {
    use std::io::Write;
    let proxy = Proxy::start().await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let long = chat(&serde_json::json!([{"role": "user", "content": words(200)}]));
    for (text, changes) in [(r#"{"model":"m"}"#, false), (&*long, true)] {
        proxy.upstream.will([json(200, "{}")]);
        let request = proxy.post("/v1/chat/completions", gzip(text)).header("content-encoding", "gzip");
        assert_eq!(request.send().await.unwrap().status(), 200);
        let seen = proxy.upstream.only();
        assert_eq!(seen.header("content-encoding").is_empty(), changes);
        if changes {
            assert!(
                seen.text().len() < text.len() && seen.text().starts_with("{\"messages\""),
                "{}",
                seen.text()
            );
        } else {
            assert_eq!(seen.body, gzip(text));
        }
    }
    for (body, encoding, status, code) in [
        (gzip(&" ".repeat(20 << 20)), "gzip", 413, "body_too_large"),
        (b"{}".to_vec(), "gzip", 400, "invalid_encoding"),
        (b"{}".to_vec(), "deflate", 415, "unsupported_content_encoding"),
    ] {
        let request = proxy.post("/v1/chat/completions", body).header("content-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(body_of(response).await["error"]["code"], code);
    }
}
