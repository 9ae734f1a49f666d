//! Tests that uncompressed requests and answers pass unchanged.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_long_texts_passes_byte_for_byte() {
    let proxy = Proxy::start().await;
    let odd = "{ \"model\":\"m\", \"temperature\": 1.0e-0, \"big\": 123456789012345678901234567890, \"x\":null,\n\
        \t\"messages\" : [ {\"role\":\"user\",\"content\":\"h\\u0069 \\/ \u{1F600}\"} ] , \"unknown\":{\"a\":[1.50]} }\n";
    for path in [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/messages/count_tokens",
    ] {
        let (seen, status) = proxy.forwarded(path, odd).await;
        assert_eq!(seen.text(), odd, "{path}");
        assert_eq!(status, "unchanged");
        assert_eq!(seen.line, format!("POST {path} HTTP/1.1"));
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_passes_with_its_status_headers_and_bytes() {
    let proxy = Proxy::start().await;
    let body = "{\"id\": 1.0, \"choices\":[ ]}\n";
    let headers = "content-type: application/json\r\nx-request-id: req-9\r\nx-ratelimit-remaining: 3\r\nset-cookie: a=b\r\n";
    for status in [200, 400, 401, 404, 422, 429, 500, 529] {
        proxy.upstream.will([reply(status, headers, body)]);
        let response = proxy.post("/v1/chat/completions?a=b", r#"{"model":"m"}"#).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["x-request-id"], "req-9");
        assert!(response.headers().contains_key("x-whittle-request-id"));
        assert_eq!(response.headers()["x-ratelimit-remaining"], "3");
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(response.text().await.unwrap(), body);
        assert_eq!(proxy.upstream.only().line, "POST /v1/chat/completions?a=b HTTP/1.1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_to_the_upstream_alone() {
    let proxy = Proxy::with(&format!(
        "{BOTH}[[upstreams]]\nname = 'own'\ndialect = 'openai'\nbase_url = 'UPSTREAM/own'\napi_key_env = 'TEST_KEY'\n"
    ))
    .await;
    let send = |path: &'static str| {
        let request = proxy.post(path, r#"{"model":"m"}"#);
        request
            .header("authorization", "Bearer mine")
            .header("x-api-key", "mine")
            .header("x-whittle-rate", "0.5")
            .send()
    };
    proxy.upstream.will([json(200, "{}")]);
    send("/v1/chat/completions").await.unwrap();
    let seen = proxy.upstream.only();
    assert_eq!(seen.header("authorization"), ["Bearer mine"]);
    assert!(seen.header("x-whittle-rate").is_empty() && seen.header("host").len() == 1);
    send("/upstreams/own/chat/completions").await.unwrap();
    let seen = proxy.upstream.only();
    assert_eq!(seen.line, "POST /own/chat/completions HTTP/1.1");
    assert_eq!(seen.header("authorization"), ["Bearer sk-of-the-upstream"]);
    assert!(seen.header("x-api-key").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_pass_as_they_come() {
    let proxy = Proxy::start().await;
    let gate = Arc::new(tokio::sync::Notify::new());
    let mut script = events(&["data: {\"a\":\"\u{20AC}\"}\n\n"]);
    script.extend([
        Step::Gate(Arc::clone(&gate)),
        send("e\r\n: ping\r\n\r\ndata\r\n"),
        send("9\r\n: [DONE]\n\r\n"),
        send("1\r\n\n\r\n"),
        end(),
    ]);
    proxy.upstream.will([script]);
    let mut response =
        proxy.post("/v1/chat/completions", r#"{"model":"m","stream":true}"#).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    // The second event is not sent before the first one is here.
    let first = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().unwrap().unwrap();
    assert_eq!(first, "data: {\"a\":\"\u{20AC}\"}\n\n");
    gate.notify_one();
    let mut rest = Vec::new();
    while let Some(piece) = response.chunk().await.unwrap() {
        rest.extend_from_slice(&piece);
    }
    assert_eq!(String::from_utf8(rest).unwrap(), ": ping\r\n\r\ndata: [DONE]\n\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_the_upstream() {
    let mut proxy = Proxy::start().await;
    let mut script = events(&["data: 1\n\n"]);
    script.push(Step::Hang);
    proxy.upstream.will([script, vec![Step::Hang]]);
    let mut response = proxy.post("/v1/chat/completions", r#"{"model":"m"}"#).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    drop(response);
    tokio::time::timeout(PATIENCE, proxy.upstream.left.recv()).await.unwrap().unwrap();
    // And while it waits for the answer to begin.
    let request = proxy.post("/v1/chat/completions", r#"{"model":"m"}"#).timeout(Duration::from_millis(200));
    request.send().await.unwrap_err();
    tokio::time::timeout(PATIENCE, proxy.upstream.left.recv()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_of_an_upstream_pass_unread() {
    let proxy = Proxy::start().await;
    proxy.upstream.will([reply(201, "content-type: text/x\r\ncontent-encoding: gzip\r\n", "not really")]);
    let request = proxy.request(reqwest::Method::PUT, "/upstreams/open/files/a%2Fb?x=%20y");
    let response = request.header("accept-encoding", "br").body("\0raw").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-encoding"]),
        (201, &"gzip".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "not really");
    let seen = proxy.upstream.only();
    assert_eq!(seen.line, "PUT /v1/files/a%2Fb?x=%20y HTTP/1.1");
    assert_eq!(seen.header("accept-encoding"), ["br"]);
    assert!(seen.text().contains("\0raw"));
    let response = proxy.request(reqwest::Method::GET, "/upstreams/open/files").send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert!(
        proxy.upstream.only().header("transfer-encoding").is_empty(),
        "no body is announced where there is none"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_to_another_place() {
    let proxy = Proxy::start().await;
    let raw = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    for (target, status) in [
        ("/upstreams/open/../../admin", 400),
        ("/upstreams/open/%2e%2e/admin", 400),
        ("/upstreams/open/a/..%2f..", 400),
        ("/upstreams/open/a/..%5C..", 400),
        ("/upstreams/open/%252e%252e%252fadmin", 400),
        ("/upstreams/open/..;/admin", 400),
        ("/upstreams/open/a..b/c...d/%zz%2", 200),
        ("/upstreams/nobody/models", 404),
        ("/upstreams/open@evil.example/models", 404),
        ("/upstreams/open/@evil.example/", 200),
        ("/upstreams/open//evil.example/", 200),
    ] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        proxy.upstream.will([json(200, "{}")]);
        let mut stream = tokio::net::TcpStream::connect(proxy.running.address).await.unwrap();
        stream.write_all(raw(target).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        let paths: Vec<_> = proxy.upstream.seen().into_iter().map(|seen| seen.line).collect();
        assert!(paths.iter().all(|line| line.starts_with("GET /v1/")), "{paths:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_route_and_aliases_rename() {
    let proxy = Proxy::with(
        "[[upstreams]]\nname = 'one'\ndialect = 'openai'\nbase_url = 'UPSTREAM/one'\nmodels = ['gpt-*']\naliases = { fast = 'gpt-4o-mini' }\n\
         [[upstreams]]\nname = 'two'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM/two'\nmodels = ['claude-*']\n",
    )
    .await;
    let (seen, _) = proxy.forwarded("/v1/chat/completions", r#"{"a": 1.0, "model" : "fast" }"#).await;
    assert_eq!(
        (seen.line.as_str(), seen.text()),
        ("POST /one/chat/completions HTTP/1.1", r#"{"a": 1.0, "model" : "gpt-4o-mini" }"#)
    );
    let (seen, _) = proxy.forwarded("/v1/messages", r#"{"model":"claude-x"}"#).await;
    assert_eq!(seen.line, "POST /two/v1/messages HTTP/1.1");
    for (path, model, status, code) in [
        ("/v1/chat/completions", "claude-x", 400, "other_dialect"),
        ("/v1/chat/completions", "llama", 404, "model_not_found"),
    ] {
        let response = proxy.post(path, format!(r#"{{"model":"{model}"}}"#)).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(body_of(response).await["error"]["code"], code);
    }
    let response = proxy.post("/v1/messages", r#"{"model":"llama"}"#).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let body = body_of(response).await;
    assert_eq!((&body["type"], &body["error"]["type"]), (&"error".into(), &"not_found_error".into()));
    assert!(body["request_id"].is_string() && body["error"]["message"].as_str().unwrap().contains("aliases"));
    assert!(proxy.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_of_all_upstreams_are_listed() {
    let proxy = Proxy::with(
        "[local]\nenabled = false\n\
         [[upstreams]]\nname = 'one'\ndialect = 'openai'\nbase_url = 'UPSTREAM/one'\nmodels = ['gpt-*', 'own']\naliases = { fast = 'gpt-4o' }\n\
         [[upstreams]]\nname = 'two'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM/two'\nretries = 0\n",
    )
    .await;
    proxy
        .upstream
        .will([json(200, r#"{"object":"list","data":[{"id":"gpt-4o","x": 1.50},{"id":"dall-e"}]}"#)]);
    let list = proxy.request(reqwest::Method::GET, "/v1/models").send().await.unwrap().text().await.unwrap();
    assert!(list.starts_with(r#"{"object":"list","data":[{"id":"gpt-4o","x": 1.50},"#), "{list}");
    assert!(list.contains("\"own\"") && list.contains("\"fast\"") && !list.contains("dall-e"), "{list}");
    // A folder is no part of a name but with Gemini.
    let listed = r#"{"data":[{"id":"gpt-4o","x": 1.50},{"id":"models/gpt-4o"}]}"#;
    for (id, status, found) in [
        ("gpt-4o", 200, r#"{"id":"gpt-4o","x": 1.50}"#),
        ("fast", 200, "\"fast\""),
        ("models%2Fgpt-4o", 404, "model_not_found"),
        ("gpt-4", 404, "model_not_found"),
    ] {
        proxy.upstream.will([json(200, listed)]);
        let path = format!("/v1/models/{id}");
        let one = proxy.request(reqwest::Method::GET, &path).send().await.unwrap();
        assert_eq!(one.status(), status, "{id}");
        let text = one.text().await.unwrap();
        assert!(text.contains(found), "{id}: {text}");
    }
    proxy.upstream.will([json(500, "")]);
    let request = proxy.request(reqwest::Method::GET, "/v1/models").header("anthropic-version", "2023-06-01");
    let list = body_of(request.send().await.unwrap()).await;
    assert_eq!(list, serde_json::json!({"data": [], "first_id": null, "last_id": null, "has_more": false}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_was_done() {
    let proxy = Proxy::start().await;
    let usage = r#"{"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
    let stream = events(&["data: {\"usage\":{\"prompt_tokens\":4}}\n\n", "data: [DONE]\n\n"])
        .into_iter()
        .chain([end()]);
    proxy.upstream.will([json(200, usage), stream.collect(), json(418, "{}")]);
    for _ in 0..3 {
        proxy.post("/v1/chat/completions", r#"{"model":"m"}"#).send().await.unwrap().text().await.unwrap();
    }
    for _ in 0..3 {
        proxy.post("/v1/score", r#"{"text":"a b c"}"#).send().await.unwrap();
    }
    let response = proxy.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let text = response.text().await.unwrap();
    for line in [
        "whittle_upstream_answers_total{upstream=\"open\",status=\"200\"} 2",
        "whittle_upstream_answers_total{upstream=\"open\",status=\"418\"} 1",
        "whittle_proxy_requests_total{outcome=\"unchanged\"} 3",
        "whittle_provider_tokens_total{kind=\"input\"} 11",
        "whittle_provider_tokens_total{kind=\"output\"} 2",
        "whittle_queue_depth{queue=\"compression\"} 0",
        "whittle_ledger_lost_total 0",
        "whittle_cache_lookups_total{cache=\"scores\",outcome=\"hit\"} 2",
        "whittle_cache_lookups_total{cache=\"scores\",outcome=\"miss\"} 1",
        "whittle_cache_lookups_total{cache=\"vectors\",outcome=\"miss\"} 0",
        "whittle_cache_bytes{cache=\"vectors\"} 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
