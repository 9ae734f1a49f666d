//! Every request that goes to an upstream is in the ledger, once, with what it took.

use super::*;

const PRICED: &str = "\
    [proxy]\ncompute_price = 36000.0\n[proxy.compress]\nmin_tokens = 50\ndeadline_ms = 5000\n\
    [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n\
    aliases = { fast = 'gpt-4o-mini' }\nprices = [{ model = 'gpt-*', input = 2.0, output = 10.0, cache_read = 1.0 }]\n\
    [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nretries = 0\n";

impl Proxy {
    async fn usage(&self, query: &str) -> Value {
        let response = self.request(reqwest::Method::GET, &format!("/v1/usage{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        body_of(response).await
    }

    /// The only request in the ledger.
    async fn line(&self) -> Value {
        let usage = self.usage("?group_by=request").await;
        let requests = usage["requests"].as_array().unwrap();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    async fn read(&self, path: &str, body: &str) -> reqwest::StatusCode {
        let response = self.post(path, body.to_owned()).header("x-request-id", "r-1").send().await.unwrap();
        let status = response.status();
        response.bytes().await.unwrap();
        status
    }
}

fn dollars(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_booked_with_its_prices() {
    let proxy = Proxy::with(PRICED).await;
    proxy.upstream.will([json(
        200,
        r#"{"usage":{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":400}}}"#,
    )]);
    let text = words(200);
    let body = serde_json::json!({"model": "fast", "messages": [{"role": "user", "content": text}]});
    assert_eq!(proxy.read("/v1/chat/completions", &body.to_string()).await, 200);
    let line = proxy.line().await;
    for (name, value) in [
        ("request_id", Value::from("r-1")),
        ("model", "gpt-4o-mini".into()),
        ("upstream", "open".into()),
        ("key", Value::Null),
        ("status", 200.into()),
        ("input_tokens", 1000.into()),
        ("output_tokens", 100.into()),
        ("cache_read_tokens", 400.into()),
        ("estimated", 0.into()),
        ("unpriced", 0.into()),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    // 600 at 2, 400 at 1 and 100 at 10 dollars for a million.
    assert!((dollars(&line["cost_usd"]) - 0.0026).abs() < 1e-9, "{line}");
    let spared = dollars(&line["text_tokens_before"]) - dollars(&line["text_tokens_after"]);
    assert!(spared > 100.0);
    // 1.6 dollars for a million tokens of this input, and 10 dollars for a second of work.
    let expected = spared * 1.6e-6 - dollars(&line["compressor_ms"]) / 1e3 * 10.0;
    assert!((dollars(&line["saving_usd"]) - expected).abs() < 1e-8, "{line}");
    assert!(expected < 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_does_not_say_is_estimated() {
    let proxy = Proxy::with(PRICED).await;
    let body = r#"{"model":"gpt-x","stream":true,"messages":[]}"#;
    let stream = events(&["data: {}\n\n", "data: {}\n\n: ping\n\n", "data: [DONE]\n\n"]);
    proxy.upstream.will([stream.into_iter().chain([end()]).collect()]);
    proxy.read("/v1/chat/completions", body).await;
    let line = proxy.line().await;
    assert_eq!((&line["estimated"], &line["output_tokens"]), (&1.into(), &3.into()));
    assert_eq!(line["input_tokens"], body.len() / 4);
    assert!(dollars(&line["cost_usd"]) > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_are_no_output_whatever_their_provider_says() {
    let proxy = Proxy::with(PRICED).await;
    proxy.upstream.will([json(200, &format!(r#"{{"data":[{{"embedding":[{}0]}}]}}"#, "0.5,".repeat(1000)))]);
    let body = r#"{"model":"gpt-x","input":"a text"}"#;
    proxy.read("/v1/embeddings", body).await;
    let line = proxy.line().await;
    assert_eq!((&line["estimated"], &line["output_tokens"]), (&1.into(), &0.into()), "{line}");
    assert_eq!(line["input_tokens"], body.len() / 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_booked_once_and_cost_nothing() {
    let proxy = Proxy::with(PRICED).await;
    let garbage = vec![send("SSH-2.0-x\r\n\r\n"), Step::Close];
    proxy.upstream.will([json(429, "{}"), garbage, json(200, r#"{"input_tokens":9}"#)]);
    proxy.read("/v1/chat/completions", r#"{"model":"gpt-x"}"#).await;
    proxy.read("/v1/chat/completions", r#"{"model":"gpt-x"}"#).await;
    proxy.read("/v1/messages/count_tokens", r#"{"model":"gpt-x"}"#).await;
    // What never goes to an upstream is not the ledger's.
    proxy.read("/v1/chat/completions", "{").await;
    let usage = proxy.usage("?group_by=request").await;
    let statuses: Vec<_> = usage["requests"].as_array().unwrap().iter().map(|line| &line["status"]).collect();
    assert_eq!(statuses, [429, 502, 200]);
    for line in usage["requests"].as_array().unwrap() {
        assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&0.into(), &0.into()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_twice_is_booked_once() {
    let proxy = Proxy::with(PRICED).await;
    let body = serde_json::json!({"model": "gpt-x", "messages": [{"role": "user", "content": words(200)}]})
        .to_string();
    proxy.upstream.will([json(400, "{}"), json(200, r#"{"usage":{"prompt_tokens":500}}"#)]);
    proxy.read("/v1/chat/completions", &body).await;
    let line = proxy.line().await;
    assert_eq!((&line["status"], &line["text_tokens_before"]), (&200.into(), &0.into()));
    assert!(dollars(&line["saving_usd"]) < 0.0, "the work is paid for, and nothing was spared: {line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_went_on_as_it_came_is_booked_with_a_reason() {
    let proxy = Proxy::with(PRICED).await;
    let long = serde_json::json!({"model": "gpt-x", "messages": [{"role": "user", "content": words(200)}]});
    let none = serde_json::json!({"model": "gpt-x", "messages": []});
    for (body, header) in [(&none, "x-any"), (&long, "x-whittle-bypass"), (&long, "x-any")] {
        proxy.upstream.will([json(200, "{}")]);
        let response = proxy.post("/v1/chat/completions", body.to_string()).header(header, "1").send().await;
        assert_eq!(response.unwrap().status(), 200);
    }
    let usage = proxy.usage("?group_by=request").await;
    let reasons: Vec<_> = usage["requests"].as_array().unwrap().iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, [&Value::from("unchanged"), &"bypassed".into(), &Value::Null]);
    let groups = proxy.usage("?group_by=reason").await;
    let counts: Vec<_> =
        groups["groups"].as_array().unwrap().iter().map(|it| (&it["reason"], &it["requests"])).collect();
    let wanted = ["", "bypassed", "unchanged"].map(|reason| (Value::from(reason), Value::from(1)));
    assert_eq!(counts, wanted.iter().map(|(reason, count)| (reason, count)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_are_booked() {
    let mut proxy = Proxy::start().await;
    proxy.upstream.will([vec![Step::Hang]]);
    let sent = proxy.post("/v1/chat/completions", r#"{"model":"m"}"#).timeout(Duration::from_millis(200));
    sent.send().await.unwrap_err();
    proxy.upstream.left.recv().await.unwrap();
    let line = proxy.line().await;
    assert_eq!((&line["status"], &line["unpriced"]), (&499.into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_its_client_leaves_is_booked_as_far_as_it_came() {
    let mut proxy = Proxy::with(PRICED).await;
    let started =
        "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n";
    let mut script = events(&[started]);
    script.push(Step::Hang);
    proxy.upstream.will([script]);
    let body = r#"{"model":"claude-x","stream":true}"#;
    let mut response = proxy.post("/v1/messages", body).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), started);
    drop(response);
    proxy.upstream.left.recv().await.unwrap();
    let line = proxy.line().await;
    assert_eq!(
        (&line["status"], &line["input_tokens"], &line["output_tokens"], &line["estimated"]),
        (&200.into(), &70.into(), &1.into(), &1.into())
    );
}

/// Anthropic's first event, with its placeholder, and `count` events of text.
fn begun_message(count: usize) -> Vec<Step> {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"so\"}}\n\n";
    let pieces: Vec<&str> = std::iter::once(start).chain(std::iter::repeat_n(delta, count)).collect();
    events(&pieces)
}

/// Reads an answer until it has `count` events, and leaves.
async fn leave_after(mut response: reqwest::Response, count: usize) {
    let mut came = String::new();
    while came.matches("\n\n").count() < count {
        came += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_early_do_not_evade_a_limit() {
    let mut proxy = Proxy::start().await;
    let prices = "prices = [{ model = 'claude-*', input = 1.0, output = 100.0 }]";
    let text =
        format!("[[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\n{prices}\n");
    // Each caller takes 31 events of 100 millionths of a dollar: the limit is worth ten of them.
    let policy = crate::keys::KeyPolicy { usd_per_day: Some(0.031), ..Default::default() };
    let data = proxy.data.path().join("limited");
    let (_, secret) = crate::keys::file::create(&data, "hasty", policy).unwrap();
    let keys = crate::keys::Keyring::open(&data, true, std::collections::HashMap::new()).unwrap();
    let state = state_of(&config(&text, &proxy.upstream), &proxy.compressor, &data);
    proxy.running = super::super::start(Server::with_state(state.with_keys(Arc::new(keys)))).await;
    let script: Vec<Step> = begun_message(30).into_iter().chain([Step::Hang]).collect();
    proxy.upstream.will([script]);
    let body = r#"{"model":"claude-x","stream":true}"#;
    let mut statuses = Vec::new();
    for _ in 0..100 {
        let response = proxy.post("/v1/messages", body).header("x-api-key", &secret).send().await.unwrap();
        statuses.push(response.status().as_u16());
        if response.status() == 200 {
            leave_after(response, 31).await;
            proxy.upstream.left.recv().await.unwrap();
        }
    }
    // A caller's bill is settled when its connection is seen to be gone, which may be a little after the upstream saw it.
    let served = statuses.iter().filter(|&&status| status == 200).count();
    assert!((10..=14).contains(&served), "{statuses:?}");
    assert!(statuses[20..].iter().all(|&status| status == 429), "{statuses:?}");
    let request = proxy.request(reqwest::Method::GET, "/v1/usage?group_by=request&limit=1000");
    let usage = body_of(request.header("x-api-key", &secret).send().await.unwrap()).await;
    for line in usage["requests"].as_array().unwrap() {
        assert_eq!((&line["estimated"], &line["input_tokens"]), (&1.into(), &10.into()), "{line}");
        assert!(line["output_tokens"].as_u64() >= Some(31), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ends_in_an_error_is_an_error() {
    let proxy = Proxy::start().await;
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let told = [begun_message(2), vec![send(format!("{:x}\r\n{error}\r\n", error.len())), end()]].concat();
    let broken = [begun_message(2), vec![Step::Close]].concat();
    proxy.upstream.will([told, broken]);
    for _ in 0..2 {
        assert_eq!(proxy.read("/v1/messages", r#"{"model":"claude-x","stream":true}"#).await, 200);
    }
    let usage = proxy.usage("?group_by=request").await;
    for line in usage["requests"].as_array().unwrap() {
        assert_eq!(
            (&line["status"], &line["errors"], &line["estimated"]),
            (&502.into(), &1.into(), &1.into())
        );
    }
    assert_eq!(proxy.usage("").await["total"]["errors"], 2);
    let response = proxy.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let metrics = response.text().await.unwrap();
    assert!(metrics.contains("whittle_upstream_stream_errors_total{upstream=\"anth\"} 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_are_each_booked_once() {
    let proxy = Proxy::start().await;
    proxy.upstream.will([json(200, r#"{"usage":{"prompt_tokens":5,"completion_tokens":1}}"#)]);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let requests: Vec<_> =
            (0..20).map(|_| proxy.post("/v1/chat/completions", r#"{"model":"m"}"#)).collect();
        running.spawn(async move {
            for request in requests {
                request.send().await.unwrap().bytes().await.unwrap();
            }
        });
    }
    running.join_all().await;
    let total = &proxy.usage("").await["total"];
    assert_eq!((&total["requests"], &total["input_tokens"]), (&400.into(), &2000.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_unread_is_booked_without_a_model() {
    let proxy = Proxy::with(&PRICED.replace("gpt-*", "*")).await;
    proxy.upstream.will([json(200, r#"{"usage":{"prompt_tokens":3,"total_tokens":3}}"#)]);
    proxy.read("/upstreams/open/moderations", r#"{"model":"e"}"#).await;
    let line = proxy.line().await;
    assert_eq!(
        (&line["model"], &line["input_tokens"], &line["unpriced"]),
        (&"".into(), &3.into(), &1.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_and_pages_survive_a_restart() {
    let proxy = Proxy::start().await;
    proxy.upstream.will([json(200, r#"{"usage":{"prompt_tokens":5,"completion_tokens":1}}"#)]);
    for model in ["a", "b", "a", "c", "a"] {
        proxy.read("/v1/chat/completions", &format!(r#"{{"model":"{model}"}}"#)).await;
    }
    let proxy = proxy.restarted().await;
    let usage = proxy.usage("?group_by=model").await;
    let groups: Vec<_> = usage["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            assert_eq!(group["day"], Value::Null);
            (
                group["model"].as_str().unwrap(),
                group["requests"].as_u64().unwrap(),
                group["input_tokens"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(groups, [("a", 3, 15), ("b", 1, 5), ("c", 1, 5)]);
    assert_eq!((&usage["total"]["requests"], &usage["lost"]), (&5.into(), &0.into()));
    let of_a = proxy.usage("?model=a&group_by=day,key").await;
    assert_eq!((&of_a["groups"][0]["requests"], &of_a["groups"][0]["key"]), (&3.into(), &"".into()));
    assert_eq!(proxy.usage("?since=2999-01-01&until=2999-01-02").await["groups"], serde_json::json!([]));
    assert_eq!(proxy.usage("?until=2001-01-01T00:00:00Z").await["total"]["requests"], 0);
    let (mut models, mut after) = (String::new(), String::new());
    for _ in 0..3 {
        let page = proxy.usage(&format!("?group_by=request&limit=2{after}")).await;
        page["requests"]
            .as_array()
            .unwrap()
            .iter()
            .for_each(|line| models += line["model"].as_str().unwrap());
        after = page["next"].as_str().map(|next| format!("&after={next}")).unwrap_or_default();
    }
    assert_eq!((models.as_str(), after.as_str()), ("abaca", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_cannot_be_understood_say_why() {
    let proxy = Proxy::start().await;
    for (query, code, expected) in [
        ("?since=yesterday", "invalid_option", "`since`: must be a day"),
        ("?until=1960-01-01", "invalid_option", "since 1970"),
        ("?group_by=colour", "invalid_option", "`colour` is none of"),
        ("?group_by=request,day", "invalid_option", "stands alone"),
        ("?limit=5", "invalid_option", "group_by=request"),
        ("?group_by=request&limit=0", "invalid_option", "from 1 to 1000"),
        ("?group_by=request&limit=1001", "invalid_option", "from 1 to 1000"),
        ("?group_by=request&after=x", "invalid_option", "called `next`"),
        ("?colour=red", "invalid_query", "unknown field `colour`"),
    ] {
        let response =
            proxy.request(reqwest::Method::GET, &format!("/v1/usage{query}")).send().await.unwrap();
        assert_eq!(response.status(), 400, "{query}");
        let error = &body_of(response).await["error"];
        assert_eq!(error["code"], code, "{query}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{query}: {error}");
    }
}
