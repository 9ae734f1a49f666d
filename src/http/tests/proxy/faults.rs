//! Upstreams that fail and clients that mean ill: each has an answer, in time.

use super::*;

const BODY: &str = r#"{"model":"m"}"#;

impl Proxy {
    /// Posts a body to an upstream that is to answer it with `{}`, and sees it there.
    async fn forwarded_as_is(&self, body: &'static str) {
        let response = self.post("/v1/chat/completions", body).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "{}");
        assert_eq!(self.upstream.only().text(), body);
    }
}

fn quick(more: &str) -> String {
    format!(
        "[[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nconnect_ms = 500\nfirst_byte_ms = 300\nidle_ms = 300\n{more}"
    )
}

async fn error_of(proxy: &Proxy, body: impl Into<reqwest::Body>) -> (u16, String) {
    let response = proxy.post("/v1/chat/completions", body).send().await.unwrap();
    let (status, body) = (response.status().as_u16(), body_of(response).await);
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_or_hangs_is_named() {
    let proxy = Proxy::with(&quick("retries = 0")).await;
    proxy.upstream.will([vec![Step::Hang]]);
    assert_eq!(error_of(&proxy, BODY).await, (504, "upstream_timeout".into()));
    proxy.upstream.will([vec![Step::Close]]);
    assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
    proxy.upstream.will([vec![send("SSH-2.0-x\r\n\r\n"), Step::Close]]);
    assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::with(&quick("retries = 0").replace("UPSTREAM", &format!("http://{closed}"))).await;
    assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_been_processed_is_sent_once_without_retries() {
    let proxy = Proxy::with(&quick("retries = 0")).await;
    // On a connection that was kept, and on a new one.
    proxy.upstream.will([json(200, "{}"), vec![Step::Close], vec![Step::Close], json(200, "{}")]);
    proxy.forwarded_as_is(BODY).await;
    for _ in 0..2 {
        assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
        assert_eq!(proxy.upstream.seen().len(), 1);
    }
    proxy.forwarded_as_is(BODY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_asked_for_again_where_a_kept_connection_was_closed() {
    let proxy = Proxy::with(&quick("retries = 0")).await;
    proxy.upstream.will([vec![Step::Close], json(200, r#"{"data":[{"id":"again"}]}"#)]);
    let list = proxy.request(reqwest::Method::GET, "/v1/models").send().await.unwrap().text().await.unwrap();
    assert!(list.contains("again"), "{list}");
    assert_eq!(proxy.upstream.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_pass_is_tried_again_before_the_first_byte() {
    let proxy = Proxy::with(&quick("retries = 2")).await;
    for failure in [
        vec![Step::Close],
        json(500, "x"),
        json(408, "x"),
        reply(429, "retry-after: 0\r\n", "x"),
        json(529, "x"),
    ] {
        proxy.upstream.will([failure, json(200, "{\"ok\":1}")]);
        let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.text().await.unwrap().as_str()),
            (200, "{\"ok\":1}")
        );
        assert_eq!(proxy.upstream.seen().len(), 2);
    }
    for (failure, attempts) in [
        (json(500, "{\"a\":1}"), 3),
        (json(400, "{\"a\":1}"), 1),
        (reply(429, "retry-after: 600\r\n", "{\"a\":1}"), 1),
        (reply(503, "x-should-retry: false\r\n", "{\"a\":1}"), 1),
    ] {
        proxy.upstream.will([failure]);
        let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "{\"a\":1}", "the upstream's own words pass");
        assert_eq!(proxy.upstream.seen().len(), attempts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_answers_where_the_first_fails_without_the_clients_key() {
    let other = Upstream::start().await;
    let second = format!(
        "fallback = 'second'\nretries = 0\nmodels = ['m']\n\
         [[upstreams]]\nname = 'second'\ndialect = 'openai'\nbase_url = 'http://{}'\naliases = {{ m = 'other' }}\n",
        other.address
    );
    let proxy = Proxy::with(&quick(&second)).await;
    other.will([json(200, "{\"second\":1}")]);
    for failure in [json(503, "x"), vec![Step::Close], vec![Step::Hang]] {
        proxy.upstream.will([failure]);
        let request = proxy.post("/v1/chat/completions", BODY).header("authorization", "Bearer mine");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "{\"second\":1}");
        let seen = other.only();
        assert_eq!((seen.text(), seen.header("authorization").len()), (r#"{"model":"other"}"#, 0));
    }
    proxy.upstream.will([json(401, "{}")]);
    assert_eq!(proxy.post("/v1/chat/completions", BODY).send().await.unwrap().status(), 401);
    assert!(other.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_fallback_fails_too_the_first_ones_error_is_answered() {
    let other = Upstream::start().await;
    let second = format!(
        "fallback = 'second'\nretries = 0\nmodels = ['m']\n\
         [[upstreams]]\nname = 'second'\ndialect = 'openai'\nbase_url = 'http://{}'\nretries = 0\n",
        other.address
    );
    let proxy = Proxy::with(&quick(&second)).await;
    for failure in [vec![Step::Close], json(401, "{\"second\":1}"), json(500, "{\"second\":1}")] {
        other.will([failure]);
        proxy.upstream.will([json(503, "{\"first\":1}")]);
        let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.text().await.unwrap(), "{\"first\":1}");
        proxy.upstream.will([vec![Step::Close]]);
        let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
        assert_eq!(response.status(), 502);
        let message = body_of(response).await["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("`open`") && !message.contains("`second`"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_or_stalls_ends_with_an_error_of_its_dialect() {
    let proxy = Proxy::with(&format!(
        "{}[[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nidle_ms = 300\n",
        quick("")
    ))
    .await;
    for (path, start) in
        [("/v1/chat/completions", "data: {\"error\""), ("/v1/messages", "event: error\ndata: {\"error\"")]
    {
        for last in [Step::Close, Step::Hang] {
            let mut script = events(&["data: 1\n\ndata: {\"half"]);
            script.push(last);
            proxy.upstream.will([script]);
            let response = proxy.post(path, BODY).send().await.unwrap();
            let text = response.text().await.unwrap();
            let error = text.strip_prefix("data: 1\n\n").unwrap();
            assert!(error.starts_with(start) && error.ends_with("\n\n"), "{text}");
            assert_eq!(proxy.upstream.seen().len(), 1, "nothing is tried again after the first byte");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_wrong_length_breaks_off() {
    let proxy = Proxy::with(&quick("")).await;
    let short = vec![
        send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"a\""),
        Step::Close,
    ];
    proxy.upstream.will([short]);
    let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap_err();
    // What comes behind an answer is part of no other.
    let long = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
    proxy.upstream.will([vec![send(format!("{long}{{}}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"))]]);
    for _ in 0..3 {
        let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "{}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_answers_pass() {
    let proxy = Proxy::with(&quick("")).await;
    // An error in a 200, and characters split between packets.
    let text = "{\"error\": \"\u{20AC}\"}";
    let (one, two) = text.as_bytes().split_at(12);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    proxy.upstream.will([vec![send(head), send(one), Step::Wait(Duration::from_millis(20)), send(two)]]);
    let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), text);
    // The same in a stream.
    let event = "data: \u{20AC}\n\n".as_bytes();
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut script = events(&[]);
    script.extend([
        send(chunk(&event[..7])),
        Step::Wait(Duration::from_millis(20)),
        send(chunk(&event[7..])),
        end(),
    ]);
    proxy.upstream.will([script]);
    let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), event);
    // A redirect is the client's to follow, not ours with its key.
    proxy.upstream.will([reply(302, "location: http://127.0.0.1:1/\r\n", "")]);
    let response =
        proxy.post("/v1/chat/completions", BODY).header("authorization", "Bearer k").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
        (302, "http://127.0.0.1:1/")
    );
    // One event of 10 MB.
    let long = format!("data: {}\n\n", "x".repeat(10 << 20));
    let mut script = events(&[&long]);
    script.push(end());
    proxy.upstream.will([script]);
    let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), long);
    // A compressed stream is not looked into.
    let body = "\u{1f}not gzip";
    proxy.upstream.will([reply(200, "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", body)]);
    let response = proxy.post("/v1/chat/completions", BODY).send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.text().await.unwrap(), body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_make_no_sense_are_turned_away() {
    let proxy = Proxy::with(&quick("")).await;
    proxy.upstream.will([json(200, "{}")]);
    for (body, code) in [
        (Vec::new(), "invalid_json"),
        (b"[]".to_vec(), "invalid_json"),
        (b"{\"model\":\"m\"".to_vec(), "invalid_json"),
        (b"{\"model\":\"m\"} x".to_vec(), "invalid_json"),
        (b"{\"model\":\"\xff\"}".to_vec(), "invalid_utf8"),
        (b"{\"messages\":[]}".to_vec(), "missing_model"),
        (b"{\"model\":7}".to_vec(), "missing_model"),
        (b"{\"model\":\"m\",\"mod\\u0065l\":\"n\"}".to_vec(), "duplicate_key"),
        (b"{\"model\":\"m\",\"whittle\":7}".to_vec(), "invalid_option"),
    ] {
        let name = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(error_of(&proxy, body).await, (400, code.into()), "{name}");
    }
    assert!(proxy.upstream.seen().is_empty());
    // What only the upstream can judge is its own to judge.
    let deep = format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let twice =
        r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"},7,null,{"role":"?"}]}"#
            .to_owned();
    let many = format!(
        "{{\"model\":\"m\",\"messages\":[{}null]}}",
        r#"{"role":"user","content":"hi"},"#.repeat(2000)
    );
    for body in [deep, twice, many] {
        let (seen, _) = proxy.forwarded("/v1/chat/completions", &body).await;
        assert_eq!(seen.text(), body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large_are_turned_away() {
    let proxy = Proxy::with(&format!(
        "limits.body_bytes = 2_000_000\nproxy.body_memory_bytes = 1_048_576\n{}",
        quick("")
    ))
    .await;
    assert_eq!(error_of(&proxy, vec![b' '; 64 << 20]).await, (503, "overloaded".into()));
    let proxy = Proxy::with(&format!("limits.body_bytes = 1000\n{}", quick(""))).await;
    assert_eq!(error_of(&proxy, vec![b' '; 1001]).await, (413, "body_too_large".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let proxy = Proxy::with(&quick("")).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(tokio::net::TcpStream::connect(proxy.running.address).await.unwrap());
    }
    proxy.upstream.will([json(200, "{}")]);
    assert_eq!(proxy.post("/v1/chat/completions", BODY).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_upstreams_the_routes_say_what_is_missing() {
    let running = start(Server::with_state(state(&engine()))).await;
    let response = client()
        .post(format!("http://{}/v1/chat/completions", running.address))
        .body(BODY)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
    assert!(body_of(response).await["error"]["message"].as_str().unwrap().contains("[[upstreams]]"));
}

/// Sends bytes on a connection that the proxy is to close, and returns its answer.
async fn raw(proxy: &Proxy, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(proxy.running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_header_or_request_is_slipped_in() {
    let proxy = Proxy::with(&quick("retries = 0")).await;
    proxy.upstream.will([json(200, "{}")]);
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let whole = format!("content-length: {}\r\n\r\n{BODY}", BODY.len());
    let slipped = "0\r\n\r\nGET /upstreams/open/evil HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for request in [
        format!("{start}x-a: b\revil: 1\r\n{whole}"),
        format!("{start}x-a: b\r\n evil: 1\r\n{whole}"),
        format!("{start}x-a : b\r\n{whole}"),
        format!("{start}content-length: 5\r\n{whole}"),
        format!("{start}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{slipped}"),
        format!("{start}transfer-encoding: chunked, identity\r\n\r\n{slipped}"),
    ] {
        let answer = raw(&proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request}: {answer}");
        assert!(proxy.upstream.seen().is_empty(), "{request}");
    }
    // Where it is only text it stays text.
    let query = start.replacen("completions", "completions?a=%0d%0aevil:%201", 1);
    let answer = raw(&proxy, &format!("{query}x-request-id: a%0d%0aevil: 1\r\n{whole}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("evil"), "{answer}");
    let seen = proxy.upstream.only();
    assert_eq!(seen.line, "POST /v1/chat/completions?a=%0d%0aevil:%201 HTTP/1.1");
    assert!(seen.header("evil").is_empty());
    let (seen, _) = proxy.forwarded("/v1/chat/completions", r#"{"model":"m\r\nevil: 1"}"#).await;
    assert!(seen.header("evil").is_empty());
    // Nor does an upstream reach past its answer.
    proxy.upstream.will([reply(200, "x-a: b\revil: 1\r\n", "{}")]);
    assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
    // Nor does it change the protocol.
    let switched =
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    proxy.upstream.will([vec![send(switched)]]);
    assert_eq!(error_of(&proxy, BODY).await, (502, "upstream_unreachable".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_dawdles_is_given_up_and_its_room_is_free_again() {
    let text = format!("limits.body_bytes = 1_048_576\nproxy.body_memory_bytes = 1_048_576\n{}", quick(""));
    let mut proxy = Proxy::with(&text).await;
    let mut state =
        state_of(&config(&text, &proxy.upstream), &proxy.compressor, &proxy.data.path().join("other"));
    state.body_time = Duration::from_millis(50);
    proxy.running = super::super::start(Server::with_state(state)).await;
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let begun = format!("{start}content-length: 1048576\r\n\r\n{{\"mod");
    // Each takes the room of what it has sent, as long as it is waited for.
    for _ in 0..3 {
        let answer = raw(&proxy, &begun).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
    }
    assert!(proxy.upstream.seen().is_empty());
    proxy.forwarded("/v1/chat/completions", BODY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_count_by_what_they_decode_to_and_small_ones_pass_where_there_is_room_for_one() {
    let text = format!("limits.body_bytes = 1_048_576\nproxy.body_memory_bytes = 1_048_576\n{}", quick(""));
    let proxy = Proxy::with(&text).await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let send =
        |body: Vec<u8>| proxy.post("/v1/chat/completions", body).header("content-encoding", "gzip").send();
    // Its upstream lets the first one wait, and with it the room of a body of 800 kB.
    let large = format!("{{\"model\":\"m\"{}}}", " ".repeat(800_000));
    proxy.upstream.will([json(200, "{}")]);
    assert_eq!(send(gzip(&large)).await.unwrap().status(), 200);
    proxy.upstream.only();
    proxy.upstream.will([vec![Step::Hang]]);
    let waiting = tokio::spawn(send(gzip(&large)));
    while proxy.upstream.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = send(gzip(&large)).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(body_of(refused).await["error"]["code"], "overloaded");
    proxy.upstream.will([json(200, "{}")]);
    assert_eq!(send(gzip(BODY)).await.unwrap().status(), 200);
    waiting.abort();
}
