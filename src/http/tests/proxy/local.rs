//! The model in this process, behind the routes: a fake that repeats what it is told.

use super::*;
use crate::model::{Completion, FinishReason, Generation, GenerationEvent, Prompt};
use crate::proxy::Generator;

const MODEL: &str = "local/smollm2-135m-instruct";
/// A configuration without an upstream.
const ALONE: &str = "[proxy.compress]\nmin_tokens = 50\ndeadline_ms = 5000\n";

/// Answers with the last text, word by word. Some words make it do other things.
pub(super) struct Parrot;

impl Generator for Parrot {
    fn generate(
        &self,
        request: &Generation,
        told: &mut dyn FnMut(GenerationEvent<'_>),
        cancel: &Cancel,
    ) -> Result<Completion, EngineError> {
        let text = last(&request.prompt);
        if text == "refuse" {
            return Err(EngineError::invalid("context_length_exceeded", "messages", "too long"));
        }
        let input = self.count(&request.prompt)?;
        told(GenerationEvent::Prompt(input));
        let mut output = 0;
        for word in text.split_inclusive(' ').take(request.max_tokens.unwrap_or(usize::MAX)) {
            match word {
                "break" => return Err(EngineError::internal("no reason")),
                "panic" => panic!("a fake's"),
                "hang" => {
                    block_until(|| false, cancel)
                        .inspect_err(|_| LEFT.lock().unwrap().push(text.to_owned()))?;
                }
                word => told(GenerationEvent::Text(word)),
            }
            output += 1;
        }
        let finish =
            if request.max_tokens == Some(output) { FinishReason::Length } else { FinishReason::End };
        Ok(Completion { input, output, finish })
    }

    fn count(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        Ok(last(prompt).split(' ').count())
    }
}

/// Texts whose clients left meanwhile.
static LEFT: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn last(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Chat(turns) => &turns.last().unwrap().text,
        Prompt::Text(text) => text,
    }
}

fn chat(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 9})
}

async fn post(proxy: &Proxy, path: &str, body: &Value) -> (u16, Value) {
    let response = proxy.post(path, body.to_string()).send().await.unwrap();
    (response.status().as_u16(), body_of(response).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_is_answered_without_an_upstream() {
    let proxy = Proxy::with(ALONE).await;
    for (path, body, place) in [
        ("/v1/chat/completions", chat("a b c"), "/choices/0/message/content"),
        ("/v1/completions", json!({"model": MODEL, "prompt": "a b c"}), "/choices/0/text"),
        ("/v1/responses", json!({"model": MODEL, "input": "a b c"}), "/output/0/content/0/text"),
        ("/v1/messages", chat("a b c"), "/content/0/text"),
    ] {
        let (status, answer) = post(&proxy, path, &body).await;
        assert_eq!((status, answer.pointer(place)), (200, Some(&"a b c".into())), "{path}: {answer}");
        assert_eq!(answer["model"], MODEL);
        let mut body = body;
        body["stream"] = true.into();
        let response = proxy.post(path, body.to_string()).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["x-whittle-status"], "unchanged");
        let stream = response.text().await.unwrap();
        let told: Vec<_> = ["\"a \"", "\"b \"", "\"c\""].iter().map(|part| stream.find(part)).collect();
        assert!(told.is_sorted() && told[0].is_some(), "{path}: {stream}");
        let end = if path.ends_with("completions") { "data: [DONE]\n\n" } else { "}\n\n" };
        assert!(stream.ends_with(end), "{path}: {stream}");
    }
    assert_eq!(
        post(&proxy, "/v1/messages/count_tokens", &chat("a b c")).await,
        (200, json!({"input_tokens": 3}))
    );
    for dialect in [None, Some(("anthropic-version", "2023-06-01"))] {
        let request = proxy.request(reqwest::Method::GET, "/v1/models");
        let request = dialect.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let list = body_of(request.send().await.unwrap()).await;
        assert_eq!(list["data"][0]["id"], MODEL);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_compressed_for_booked_and_counted_as_any_other() {
    let proxy = Proxy::with(ALONE).await;
    let text = words(200);
    let mut body =
        json!({"model": MODEL, "whittle": {"rate": 0.5}, "messages": [{"role": "user", "content": text}]});
    let response = proxy.post("/v1/chat/completions", body.to_string()).send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "compressed");
    let answer = body_of(response).await;
    assert_eq!(answer["choices"][0]["message"]["content"], halved(&text).0);
    body["stream"] = true.into();
    proxy.post("/v1/chat/completions", body.to_string()).send().await.unwrap().text().await.unwrap();
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage?group_by=request").send().await.unwrap();
    let usage = body_of(usage).await;
    let lines = usage["requests"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!((&line["upstream"], &line["model"]), (&"local".into(), &MODEL.into()));
        assert_eq!((&line["status"], &line["unpriced"]), (&200.into(), &0.into()));
        assert!(line["text_tokens_after"].as_u64() < line["text_tokens_before"].as_u64());
    }
    // What is left ends in a space, which the parrot takes for the beginning of one more.
    assert_eq!((&lines[0]["input_tokens"], &lines[0]["output_tokens"]), (&101.into(), &100.into()));
    let metrics = proxy.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains(r#"whittle_upstream_answers_total{upstream="local",status="200"} 2"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_is_refused_in_the_callers_dialect() {
    let proxy = Proxy::with(ALONE).await;
    let mut tools = chat("a");
    tools["tools"] = json!([{"name": "f"}]);
    let other = json!({"model": "local/other", "messages": []});
    for (body, status, code, named) in [
        (tools, 400, "unsupported_parameter", "tools"),
        (chat("refuse"), 400, "context_length_exceeded", "too long"),
        (other, 404, "model_not_found", MODEL),
        (json!({"model": "gpt-4o", "messages": []}), 404, "no_upstreams", "[[upstreams]]"),
    ] {
        let (found, error) = post(&proxy, "/v1/chat/completions", &body).await;
        let error = &error["error"];
        assert_eq!((found, &error["code"]), (status, &code.into()), "{error}");
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
        let (found, error) = post(&proxy, "/v1/messages", &body).await;
        let kind = if status == 404 { "not_found_error" } else { "invalid_request_error" };
        assert_eq!((found, &error["type"], &error["error"]["type"]), (status, &"error".into(), &kind.into()));
        let mut stream = body.clone();
        stream["stream"] = true.into();
        assert_eq!(post(&proxy, "/v1/chat/completions", &stream).await.0, status, "no stream begins");
    }
    // What it is refused for is not what was compressed: nothing is sent twice.
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_says_so() {
    let proxy = Proxy::with(ALONE).await;
    for text in ["a break", "a panic"] {
        assert_eq!(post(&proxy, "/v1/chat/completions", &chat(text)).await.0, 500);
        for (path, error) in
            [("/v1/chat/completions", "data: {\"error\":"), ("/v1/messages", "event: error\n")]
        {
            let mut body = chat(text);
            body["stream"] = true.into();
            let stream = proxy.post(path, body.to_string()).send().await.unwrap().text().await.unwrap();
            assert!(stream.contains("\"a \"") && stream.contains(error), "{path}: {stream}");
            assert!(!stream.contains("[DONE]") && !stream.contains("message_stop"), "{stream}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_stops_the_work_and_gives_its_turn_back() {
    let proxy = Proxy::with(&format!("{ALONE}[limits]\nconcurrency = 1\nqueue = 0\n")).await;
    for (stream, text) in [(true, "streamed hang"), (false, "whole hang")] {
        let mut body = chat(text);
        body["stream"] = stream.into();
        let request = proxy.post("/v1/chat/completions", body.to_string());
        if stream {
            let mut response = request.send().await.unwrap();
            while !String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()).contains("streamed") {}
            // The only turn is taken, and nobody may wait for it.
            let (status, error) = post(&proxy, "/v1/chat/completions", &chat("a")).await;
            assert_eq!((status, &error["error"]["code"]), (503, &"overloaded".into()));
        } else {
            request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
        }
        let start = std::time::Instant::now();
        while !LEFT.lock().unwrap().iter().any(|left| left == text) {
            assert!(start.elapsed() < PATIENCE, "{text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let start = std::time::Instant::now();
    while post(&proxy, "/v1/chat/completions", &chat("a")).await.0 != 200 {
        assert!(start.elapsed() < PATIENCE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_turned_off_its_name_is_one_like_any_other() {
    let proxy = Proxy::with(&format!("[local]\nenabled = false\n{BOTH}")).await;
    let (seen, _) = proxy.forwarded("/v1/chat/completions", &chat("a").to_string()).await;
    assert!(seen.text().contains(MODEL));
    // And where it is not, no upstream sees it.
    let proxy = Proxy::start().await;
    assert_eq!(post(&proxy, "/v1/chat/completions", &chat("a")).await.0, 200);
    assert_eq!(post(&proxy, "/v1/embeddings", &json!({"model": MODEL, "input": "a"})).await.0, 400);
    assert!(proxy.upstream.seen().is_empty());
    // The embedder has two names, and others are the upstreams'.
    for model in ["all-minilm-l6-v2", "local/all-minilm-l6-v2"] {
        let (status, answer) = post(&proxy, "/v1/embeddings", &json!({"model": model, "input": "a"})).await;
        // They are looked up here: the engine of this test has another embedder, which it names.
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (404, &"model_not_found".into()), "{answer}");
        assert!(error["message"].as_str().unwrap().contains("`letters`"), "{answer}");
    }
    assert!(proxy.upstream.seen().is_empty());
    let long = json!({"input": words(20_000), "model": "text-embedding-3-small"}).to_string();
    let (seen, _) = proxy.forwarded("/v1/embeddings", &long).await;
    assert_eq!(seen.text(), long);
    let models = proxy.request(reqwest::Method::GET, "/v1/models").send().await.unwrap();
    assert!(models.text().await.unwrap().contains("\"local/all-minilm-l6-v2\""));
    let off = Proxy::with(&format!("[local]\nenabled = false\n{BOTH}")).await;
    off.forwarded("/v1/embeddings", r#"{"model":"all-minilm-l6-v2","input":"a"}"#).await;
    let alone = Proxy::with("[local]\nenabled = false\n").await;
    let (status, error) = post(&alone, "/v1/chat/completions", &chat("a")).await;
    assert_eq!((status, &error["error"]["code"]), (404, &"no_upstreams".into()));
    let models = alone.request(reqwest::Method::GET, "/v1/models").send().await.unwrap();
    assert_eq!(models.status(), 404);
}
