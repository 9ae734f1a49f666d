//! Tests of the dialects beside `OpenAI`'s and Anthropic's, which have tests of their own.

use super::folding::file;
use super::*;

/// An API as its clients use it. In its texts, `TEXT` stands for what somebody says, as JSON spells it.
struct Api {
    dialect: &'static str,
    path: &'static str,
    /// A body in an odd spelling without long texts.
    odd: &'static str,
    /// A body around its `CONVERSATION`.
    around: &'static str,
    user: &'static str,
    call: &'static str,
    result: &'static str,
    /// An answer, and its type.
    whole: &'static str,
    /// The type of a stream, its pieces, and the beginning of what ends a broken one.
    stream: (&'static str, &'static [&'static str], &'static str),
    /// Tokens of the input, of the output and from the cache.
    usage: [u64; 3],
    /// The place of the message in an error.
    message: &'static str,
    /// The header that carries an upstream's own key.
    credential: (&'static str, &'static str),
}

const GEMINI: Api = Api {
    dialect: "gemini",
    path: "/v1beta/models/m-1:generateContent",
    odd: "{ \"contents\":[{\"parts\" : [{\"text\":\"h\\u0069 \\/ \u{1F600}\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}}]}],\n\
        \t\"generationConfig\": {\"temperature\": 1.0e-0}, \"tools\":[ ], \"unknown\":{\"a\":[1.50]} }\n",
    around: r#"{"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": [CONVERSATION], "safetySettings":[]}"#,
    user: r#"{"role": "user", "parts": [{"text": "TEXT"}]}"#,
    call: r#"{"role": "model", "parts": [{"functionCall": {"name": "Read", "args": {"file_path": "/src/a.rs"}}, "thoughtSignature": "AA=="}]}"#,
    result: r#"{"role": "user", "parts": [{"functionResponse": {"name": "Read", "response": {"output": "TEXT", "n": 1.0}}}]}"#,
    whole: r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":1000,"candidatesTokenCount":60,"thoughtsTokenCount":40,"cachedContentTokenCount":400,"totalTokenCount":1100}}"#,
    stream: (
        "text/event-stream",
        &[
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"H\"}],\"role\": \"model\"}}],\"usageMetadata\": {\"promptTokenCount\": 1000,\"totalTokenCount\": 1000}}\r\n\r\n",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"i\"}],\"role\": \"model\"},\"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 1000,\"candidatesTokenCount\": 60,\"thoughtsTokenCount\": 40,\"cachedContentTokenCount\": 400}}\r\n\r\n",
        ],
        "data: {\"error\":{\"code\":502,\"message\":\"",
    ),
    usage: [1000, 100, 400],
    message: "/error/message",
    credential: ("x-goog-api-key", "sk-of-the-upstream"),
};

const OLLAMA: Api = Api {
    dialect: "ollama",
    path: "/api/chat",
    odd: "{ \"model\":\"m-1\",\"messages\":[{\"role\" : \"user\",\"content\":\"h\\u0069 \\/ \u{1F600}\", \"images\":[\"AA==\"]}],\n\
        \t\"options\": {\"temperature\": 1.0e-0}, \"keep_alive\":\"5m\", \"unknown\":{\"a\":[1.50]} }\n",
    around: r#"{"model": "m-1", "messages": [{"role": "system", "content": "Be brief."}, CONVERSATION], "think":false}"#,
    user: r#"{"role": "user", "content": "TEXT"}"#,
    call: r#"{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "Read", "arguments": {"file_path": "/src/a.rs"}}}]}"#,
    result: r#"{"role": "tool", "tool_name": "Read", "content": "TEXT"}"#,
    whole: r#"{"model":"m-1","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hi"},
        "done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":1000,"eval_count":100}"#,
    stream: (
        "application/x-ndjson",
        &[
            "{\"model\":\"m-1\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n",
            "{\"model\":\"m-1\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"prompt_eval_count\":1000,\"eval_count\":100}\n",
        ],
        "{\"error\":\"",
    ),
    usage: [1000, 100, 0],
    message: "/error",
    credential: ("authorization", "Bearer sk-of-the-upstream"),
};

const AZURE: Api = Api {
    dialect: "azure",
    path: "/openai/deployments/m-1/chat/completions",
    odd: "{ \"messages\":[{\"role\" : \"user\",\"content\":\"h\\u0069 \\/ \u{1F600}\"}],\n\
        \t\"temperature\": 1.0e-0, \"data_sources\":[ ], \"unknown\":{\"a\":[1.50]} }\n",
    around: r#"{"messages": [{"role": "system", "content": "Be brief."}, CONVERSATION], "temperature": 1.0}"#,
    user: r#"{"role": "user", "content": "TEXT"}"#,
    call: r#"{"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "Read", "arguments": "{\"file_path\": \"/src/a.rs\"}"}}]}"#,
    result: r#"{"role": "tool", "tool_call_id": "c1", "content": "TEXT"}"#,
    whole: r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"prompt_filter_results":[],
        "usage":{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":400}}}"#,
    stream: (
        "text/event-stream",
        &[
            "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{\"cached_tokens\":400}}}\n\n",
            "data: [DONE]\n\n",
        ],
        "data: {\"error\":{\"code\":\"upstream_broken\",",
    ),
    usage: [1000, 100, 400],
    message: "/error/message",
    credential: ("api-key", "sk-of-the-upstream"),
};

const COHERE: Api = Api {
    dialect: "cohere",
    path: "/v2/chat",
    odd: "{ \"model\":\"m-1\",\"messages\":[{\"role\" : \"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\\u0069 \\/ \u{1F600}\"}]}],\n\
        \t\"temperature\": 1.0e-0, \"documents\":[ {\"id\":\"b\"} ], \"unknown\":{\"a\":[1.50]} }\n",
    around: r#"{"model": "m-1", "messages": [{"role": "system", "content": "Be brief."}, CONVERSATION], "citation_options":{}}"#,
    user: r#"{"role": "user", "content": "TEXT"}"#,
    call: r#"{"role": "assistant", "tool_plan": "I will read.", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "Read", "arguments": "{\"file_path\": \"/src/a.rs\"}"}}]}"#,
    result: r#"{"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"id": "d", "data": "TEXT"}}]}"#,
    whole: r#"{"id":"x","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},
        "usage":{"billed_units":{"input_tokens":1000,"output_tokens":100},"tokens":{"input_tokens":1070,"output_tokens":104},"cached_tokens":400}}"#,
    stream: (
        "text/event-stream",
        &[
            "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"Hi\"}}}}\n\n",
            "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":1000.0,\"output_tokens\":100},\"cached_tokens\":400}}}\n\n",
            "data: [DONE]\n\n",
        ],
        "event: message-end\ndata: {\"delta\":{\"error\":\"",
    ),
    usage: [1000, 100, 400],
    message: "/message",
    credential: ("authorization", "Bearer sk-of-the-upstream"),
};

const APIS: [Api; 4] = [GEMINI, OLLAMA, AZURE, COHERE];

impl Api {
    fn upstream(&self, more: &str) -> String {
        format!(
            "[[upstreams]]\nname = 'one'\ndialect = '{}'\nbase_url = 'UPSTREAM/at'\nretries = 0\n\
             prices = [{{ model = 'm-*', input = 2.0, output = 10.0, cache_read = 1.0 }}]\n{more}\n",
            self.dialect
        )
    }

    fn small(&self) -> String {
        format!("[proxy.compress]\nmin_tokens = 50\ndeadline_ms = 5000\n{}", self.upstream(""))
    }

    fn body(&self, messages: &[(&str, &str)]) -> String {
        let messages: Vec<String> = messages.iter().map(|(form, text)| form.replace("TEXT", text)).collect();
        self.around.replace("CONVERSATION", &messages.join(", "))
    }

    /// The upstream's path below its base URL.
    fn line(&self) -> String {
        format!("POST /at{} HTTP/1.1", self.path)
    }

    fn events(&self, pieces: &[&str]) -> upstream::Reply {
        let mut reply = events(pieces);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: KIND\r\ntransfer-encoding: chunked\r\n\r\n";
        reply[0] = send(head.replace("KIND", self.stream.0));
        reply
    }
}

/// A text as JSON spells it between its quotes.
fn spelt(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_long_texts_passes_byte_for_byte() {
    for api in APIS {
        let proxy = Proxy::with(&api.small()).await;
        let (seen, status) = proxy.forwarded(api.path, api.odd).await;
        assert_eq!((seen.text(), status.as_str(), &*seen.line), (api.odd, "unchanged", &*api.line()));
        let by_name = format!("/upstreams/one{}", api.path);
        let (seen, _) = proxy.forwarded(&by_name, api.odd).await;
        assert_eq!((seen.text(), &*seen.line), (api.odd, &*api.line()));
        assert_eq!(proxy.calls(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_text_becomes_smaller_and_all_else_stays() {
    for api in APIS {
        let proxy = Proxy::with(&api.small()).await;
        let long = words(200);
        let body = api.body(&[(api.user, &long), (api.user, "Who won?")]);
        let (seen, status) = proxy.forwarded(api.path, &body).await;
        assert_eq!((seen.text(), status.as_str()), (&*body.replace(&long, &halved(&long).0), "compressed"));
        assert_eq!(*proxy.compressor.questions.lock().unwrap(), [Some("Who won?".to_owned())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tools_result_that_came_before_is_folded() {
    const MARK: &str = "[60 lines left out: 1-60, the same as in the result of Read /src/a.rs above]\\n";
    for api in APIS.iter().filter(|api| !api.result.is_empty()) {
        let proxy = Proxy::with(&api.upstream("")).await;
        let file = spelt(&file());
        let body = |second: &str| {
            let first = [(api.user, "Find the fault."), (api.call, ""), (api.result, &*file)];
            api.body(&[&first[..], &[(api.call, ""), (api.result, second)]].concat())
        };
        let (seen, status) = proxy.forwarded(api.path, &body(&file)).await;
        assert_eq!((seen.text(), status.as_str()), (&*body(MARK), "compressed"), "{}", api.dialect);
        assert_eq!(proxy.calls(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_stand_before_the_question() {
    for api in APIS {
        let search = "[proxy.compress]\nenabled = false\n[proxy.retrieve]\ncollections = ['docs']\n";
        let proxy = Proxy::with(&format!("{search}{}", api.upstream(""))).await;
        proxy.upstream.will([json(200, "{}")]);
        let body = api.body(&[(api.user, "Who won?")]);
        let request = proxy.post(api.path, body.clone()).header("x-whittle-collections", "docs");
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-whittle-retrieval"], "found; documents=1; examples=0");
        let expected = body.replace("Who won?", "[1] \\\"About\\\" Who won?\\n\\nWho won?");
        assert_eq!(proxy.upstream.only().text(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_streams_pass_as_they_come_and_are_booked() {
    for api in APIS {
        let proxy = Proxy::with(&api.upstream("")).await;
        let (kind, pieces, _) = api.stream;
        let stream = api.events(pieces).into_iter().chain([end()]).collect();
        proxy.upstream.will([json(200, api.whole), stream]);
        for (expected, expected_kind) in [(api.whole, "application/json"), (&pieces.concat(), kind)] {
            let response = proxy.post(api.path, api.odd).send().await.unwrap();
            assert_eq!(response.headers()["content-type"], expected_kind);
            assert_eq!(response.text().await.unwrap(), expected);
        }
        let usage = proxy.request(reqwest::Method::GET, "/v1/usage?group_by=request").send().await.unwrap();
        let requests = body_of(usage).await["requests"].as_array().unwrap().clone();
        assert_eq!(requests.len(), 2, "{}", api.dialect);
        for line in requests {
            let count = |name: &str| line[name].as_u64().unwrap();
            let counts = [count("input_tokens"), count("output_tokens"), count("cache_read_tokens")];
            assert_eq!((counts, &line["model"], count("estimated")), (api.usage, &"m-1".into(), 0), "{line}");
            let [input, output, cached] = api.usage.map(|tokens| tokens as f64);
            let cost = ((input - cached) * 2.0 + cached + output * 10.0) / 1e6;
            assert!((line["cost_usd"].as_f64().unwrap() - cost).abs() < 1e-9, "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_ends_with_an_error_of_the_dialect() {
    for api in APIS {
        let proxy = Proxy::with(&api.upstream("")).await;
        let (_, pieces, last) = api.stream;
        let half = &pieces[1][..20];
        let script = api.events(&[pieces[0], half]).into_iter().chain([Step::Close]);
        proxy.upstream.will([script.collect()]);
        let text = proxy.post(api.path, api.odd).send().await.unwrap().text().await.unwrap();
        let rest = text.strip_prefix(pieces[0]).unwrap();
        assert!(rest.starts_with(last) && rest.contains("broke off"), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_form_of_the_dialect() {
    for api in APIS {
        let proxy = Proxy::with(&api.upstream("models = ['other']")).await;
        for (body, status, about) in
            [(api.odd, 404, "no upstream has the model"), ("{", 400, "not a valid JSON")]
        {
            let response = proxy.post(api.path, body).send().await.unwrap();
            assert_eq!(response.status(), status, "{}", api.dialect);
            let error = body_of(response).await;
            assert!(error.pointer(api.message).unwrap().as_str().unwrap().contains(about), "{error}");
        }
        assert!(proxy.upstream.seen().is_empty());
        let none = Proxy::with(BOTH).await;
        let response = none.post(api.path, api.odd).send().await.unwrap();
        let status = response.status();
        let error = body_of(response).await;
        assert!(status == 400 || status == 404, "{error}");
        assert!(error.pointer(api.message).is_some_and(Value::is_string), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstreams_own_key_takes_the_place_of_any_other() {
    for api in APIS {
        let proxy = Proxy::with(&api.upstream("api_key_env = 'TEST_KEY'")).await;
        proxy.upstream.will([json(200, "{}")]);
        let path = format!("{}?x=%20&key=of-the-client", api.path);
        let request = proxy.post(&path, api.odd).header("x-goog-api-key", "mine").header("api-key", "mine");
        request.header("authorization", "Bearer mine").send().await.unwrap();
        let seen = proxy.upstream.only();
        let (name, value) = api.credential;
        assert_eq!(seen.header(name), [value], "{}", api.dialect);
        assert!(!seen.head.contains("mine") && (api.dialect != "gemini" || !seen.line.contains("client")));
        assert!(seen.line.contains("?x=%20"), "{}", seen.line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_in_geminis_path_is_renamed() {
    let proxy = Proxy::with(&GEMINI.upstream("models = ['m-*']\naliases = { 'my model' = 'm-2' }")).await;
    let count = r#"{"generateContentRequest": {"model": "models/my model", "contents": [ ]}}"#;
    let (seen, _) = proxy.forwarded("/v1/models/my%20model:countTokens?a=b", count).await;
    assert_eq!(seen.line, "POST /at/v1/models/m-2:countTokens?a=b HTTP/1.1");
    assert_eq!(seen.text(), count.replace("my model", "m-2"));
    let (seen, _) = proxy.forwarded("/v1beta/models/m%2D1:streamGenerateContent?alt=sse", "{}").await;
    assert_eq!(seen.line, "POST /at/v1beta/models/m%2D1:streamGenerateContent?alt=sse HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gemini_caches_and_what_stands_behind_it_stays() {
    let proxy = Proxy::with(&GEMINI.small()).await;
    let (long, new) = (format!("old {}", words(200)), format!("new {}", words(200)));
    let body = GEMINI.body(&[
        (GEMINI.user, &long),
        (GEMINI.call, ""),
        (GEMINI.user, &new),
        (GEMINI.user, "Who won?"),
    ]);
    let body = body.replacen('{', r#"{"cachedContent": "cachedContents/x", "#, 1);
    let (seen, status) = proxy.forwarded(GEMINI.path, &body).await;
    assert_eq!(seen.text(), body.replace(&new, &halved(&new).0));
    assert_eq!(status, "compressed; reason=breakpoint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_gemini_that_is_an_array_is_booked_and_cut_where_it_breaks() {
    let proxy = Proxy::with(&GEMINI.upstream("")).await;
    let path = "/v1beta/models/m-1:streamGenerateContent";
    let array = format!("[{}\n,\r\n{}\n]\n", GEMINI.whole.replace("1000", "7"), GEMINI.whole);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |piece: &str| send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    let (one, other) = array.split_at(300);
    proxy
        .upstream
        .will([vec![send(head), chunk(one), chunk(other), end()], vec![send(head), chunk(one), Step::Close]]);
    assert_eq!(proxy.post(path, GEMINI.odd).send().await.unwrap().text().await.unwrap(), array);
    proxy.post(path, GEMINI.odd).send().await.unwrap().text().await.unwrap_err();
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage?group_by=request").send().await.unwrap();
    let requests = body_of(usage).await["requests"].as_array().unwrap().clone();
    let mut inputs: Vec<_> = requests.iter().map(|line| line["output_tokens"].as_u64().unwrap()).collect();
    inputs.sort_unstable();
    assert_eq!(inputs.last(), Some(&100), "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_geminis_api_passes_unread_and_its_models_are_listed() {
    let proxy = Proxy::with(&GEMINI.upstream("models = ['m-*', 'own']\naliases = { fast = 'm-2' }")).await;
    proxy
        .upstream
        .will([json(200, r#"{"models":[{"name":"models/m-1","x": 1.50},{"name":"models/else"}]}"#)]);
    let list =
        proxy.request(reqwest::Method::GET, "/v1beta/models").send().await.unwrap().text().await.unwrap();
    assert!(list.starts_with(r#"{"models":[{"name":"models/m-1","x": 1.50},"#), "{list}");
    assert!(list.contains("models/own") && list.contains("models/fast") && !list.contains("else"), "{list}");
    assert_eq!(proxy.upstream.only().line, "GET /at/v1beta/models?pageSize=1000 HTTP/1.1");
    let request = proxy.request(reqwest::Method::GET, "/v1/models").header("x-goog-api-key", "k");
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), list);
    assert_eq!(proxy.upstream.only().header("x-goog-api-key"), ["k"]);
    proxy.request(reqwest::Method::GET, "/v1beta/models?key=of%2Dit").send().await.unwrap();
    let seen = proxy.upstream.only();
    assert_eq!((seen.header("x-goog-api-key"), seen.line.contains("of")), (vec!["of-it"], false));
    let upload = "/upload/v1beta/files?uploadType=resumable";
    proxy.post(upload, "\u{1}").send().await.unwrap();
    let seen = proxy.upstream.only();
    assert_eq!((&*seen.line, seen.text()), (&*format!("POST /at{upload} HTTP/1.1"), "\u{1}"));
    let request = proxy.request(reqwest::Method::DELETE, "/v1beta/cachedContents/x?key=k");
    request.send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "DELETE /at/v1beta/cachedContents/x?key=k HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_of_ollama_becomes_smaller_unless_a_gap_in_it_is_to_be_filled() {
    let proxy = Proxy::with(&OLLAMA.small()).await;
    let text = format!("{}\n\nWho won?", words(200));
    let pasted = text.strip_suffix("\nWho won?").unwrap();
    let body = serde_json::json!({"model": "m-1", "prompt": text, "context": [1, 2]}).to_string();
    let (seen, status) = proxy.forwarded("/api/generate", &body).await;
    let smaller = body.replace(&spelt(pasted), &spelt(&halved(pasted).0));
    assert_eq!((seen.text(), status.as_str()), (&*smaller, "compressed"));
    let gap = body.replacen('{', r#"{"suffix": "x", "#, 1);
    assert_eq!(proxy.forwarded("/api/generate", &gap).await.0.text(), gap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_ollamas_api_passes_unread_and_its_models_are_listed() {
    let proxy = Proxy::with(&OLLAMA.upstream("aliases = { fast = 'm-2' }")).await;
    proxy
        .upstream
        .will([json(200, r#"{"models":[{"name":"m-1:latest","model":"m-1:latest","size": 1.0}]}"#)]);
    let list = proxy.request(reqwest::Method::GET, "/api/tags").send().await.unwrap().text().await.unwrap();
    assert!(
        list.starts_with(r#"{"models":[{"name":"m-1:latest","model":"m-1:latest","size": 1.0},{"#),
        "{list}"
    );
    assert!(list.contains("\"fast\"") && !list.contains("local/"), "{list}");
    assert_eq!(proxy.upstream.only().line, "GET /at/api/tags HTTP/1.1");
    proxy.post("/api/show", r#"{"model": "m-1"}"#).send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "POST /at/api/show HTTP/1.1");
    proxy.request(reqwest::Method::GET, "/api/version").send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "GET /at/api/version HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_of_azure_is_the_model_whatever_the_body_says() {
    let proxy = Proxy::with(&AZURE.upstream("models = ['m-*']\naliases = { fast = 'm-2' }")).await;
    let query = "?api-version=2024-10-21";
    for (body, sent) in [
        (r#"{"model":"fast", "messages":[]}"#, r#"{"model":"m-2", "messages":[]}"#),
        (r#"{"model":"gpt-4o", "messages":[]}"#, r#"{"model":"gpt-4o", "messages":[]}"#),
        (r#"{"messages":[]}"#, r#"{"messages":[]}"#),
    ] {
        let path = format!("/openai/deployments/fast/chat/completions{query}");
        let (seen, _) = proxy.forwarded(&path, body).await;
        let line = format!("POST /at/openai/deployments/m-2/chat/completions{query} HTTP/1.1");
        assert_eq!((seen.text(), &*seen.line), (sent, &*line));
    }
    let response =
        proxy.post("/openai/deployments/x/chat/completions", r#"{"model":"m-1"}"#).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(body_of(response).await["error"]["code"], "model_not_found");
    for path in
        ["/openai/responses", "/openai/v1/responses", "/openai/v1/chat/completions", "/openai/v1/embeddings"]
    {
        let (seen, _) = proxy.forwarded(&format!("{path}{query}"), r#"{"model": "fast"}"#).await;
        let line = format!("POST /at{path}{query} HTTP/1.1");
        assert_eq!((seen.text(), &*seen.line), (r#"{"model": "m-2"}"#, &*line));
    }
    let (seen, _) = proxy.forwarded("/openai/deployments/m-1/embeddings", r#"{"input": "a"}"#).await;
    assert_eq!(seen.line, "POST /at/openai/deployments/m-1/embeddings HTTP/1.1");
    proxy.upstream.will([json(200, r#"{"object":"list","data":[{"id":"m-1"},{"id":"else"}]}"#)]);
    let list = proxy.request(reqwest::Method::GET, "/openai/models?api-version=x").send().await.unwrap();
    let list = body_of(list).await["data"].to_string();
    assert!(list.contains("m-1") && list.contains("fast") && !list.contains("else"), "{list}");
    assert_eq!(proxy.upstream.only().line, "GET /at/openai/v1/models HTTP/1.1");
    proxy.request(reqwest::Method::GET, "/openai/files?api-version=x").send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "GET /at/openai/files?api-version=x HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_cohere_become_smaller_wherever_they_stand() {
    let proxy = Proxy::with(&COHERE.small()).await;
    let [beside, object, within] =
        ["beside", "object", "within"].map(|name| format!("{name} {}", words(200)));
    let part =
        r#"{"role": "user", "content": [{"type": "document", "document": {"data": {"snippet": "TEXT"}}}]}"#;
    let body = COHERE.body(&[(part, &within), (COHERE.user, "Who won?")]);
    let documents = serde_json::json!([beside, {"id": "d", "data": {"title": "T", "text": object}}]);
    let body = body.replacen('{', &format!(r#"{{"documents": {documents}, "#), 1);
    let (seen, status) = proxy.forwarded(COHERE.path, &body).await;
    let smaller = |body: String, text: &String| body.replace(text, &halved(text).0);
    let expected = [&beside, &object, &within].into_iter().fold(body, smaller);
    assert_eq!((seen.text(), status.as_str()), (&*expected, "compressed"));
    let questions = proxy.compressor.questions.lock().unwrap().clone();
    assert_eq!(questions.iter().flatten().filter(|asked| *asked == "Who won?").count(), 2, "{questions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_coheres_api_passes_unread_and_its_models_are_listed() {
    let proxy = Proxy::with(&COHERE.upstream("aliases = { fast = 'm-2' }")).await;
    proxy.upstream.will([json(200, r#"{"models":[{"name":"m-1","x": 1.50}]}"#)]);
    let request = proxy.request(reqwest::Method::GET, "/v1/models").header("x-fern-sdk-name", "cohere");
    let list = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(list, r#"{"models":[{"name":"m-1","x": 1.50},{"name":"fast"}]}"#);
    assert_eq!(proxy.upstream.only().line, "GET /at/v1/models?page_size=1000 HTTP/1.1");
    let request = proxy.request(reqwest::Method::GET, "/v1/models").header("x-fern-sdk-name", "cohere-ai");
    request.send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "GET /at/v1/models?page_size=1000 HTTP/1.1");
    proxy.post("/v2/rerank", r#"{"model": "m-1"}"#).send().await.unwrap();
    assert_eq!(proxy.upstream.only().line, "POST /at/v2/rerank HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_a_query_goes_to_no_other_origin() {
    let elsewhere = Upstream::start().await;
    let second = format!(
        "[[upstreams]]\nname = 'two'\ndialect = 'gemini'\nbase_url = 'http://{}'\nretries = 0\n",
        elsewhere.address
    );
    let proxy = Proxy::with(&[GEMINI.upstream("models = ['m-*']"), second].concat()).await;
    proxy.request(reqwest::Method::GET, "/v1beta/models?key=k").send().await.unwrap();
    assert_eq!(proxy.upstream.only().header("x-goog-api-key"), ["k"]);
    let seen = elsewhere.only();
    assert!(seen.header("x-goog-api-key").is_empty() && !seen.line.contains("key="), "{}", seen.line);
}
