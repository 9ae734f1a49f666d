//! Documents that are put before what is asked.

use super::*;
use crate::engine::prompt::api::{
    Citation, ExampleCandidate, Ledger, PromptRequest, PromptResponse, TemplateInfo, TokensByPart,
};
use crate::proxy::Retriever;

/// Has one document about everything but `nothing`, and none today about `today`.
pub(super) struct Librarian;

impl Retriever for Librarian {
    fn find(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError> {
        if request.question.contains("slow") {
            block_until(|| false, cancel)?;
        }
        if request.question.starts_with("meet") {
            MET.fetch_or(2, Ordering::SeqCst);
            block_until(|| MET.load(Ordering::SeqCst) == 3, cancel)?;
        }
        if request.question.contains("broken") {
            return Err(EngineError::invalid("unknown_collection", "collections", "no such collection"));
        }
        let found = !request.question.contains("nothing") && !request.collections.is_empty();
        let citation = Citation {
            number: 1,
            collection: request.collections.first().cloned().unwrap_or_default(),
            document_id: "d\u{e9}".into(),
            title: "D".into(),
            ranges: vec![[0, 9]],
        };
        let ledger = Ledger {
            candidates: Vec::new(),
            chosen: usize::from(found),
            examples: request.banks.iter().map(|bank| shown(bank)).collect(),
            found_tokens: 1,
            tokens: TokensByPart::default(),
            requested_tokens: request.target_tokens,
            tokenizer: "t".into(),
            approximate: false,
            template: TemplateInfo { name: "context".into(), version: None },
            method: Method::Auto,
        };
        Ok(PromptResponse {
            id: "p".into(),
            prompt: Some(format!("[1] \"About\" {}", request.question)),
            messages: None,
            citations: if found { vec![citation] } else { Vec::new() },
            ledger,
            warnings: Vec::new(),
            timing_ms: Timing::default(),
        })
    }
}

/// An example of a bank, which is in the prompt.
fn shown(bank: &str) -> ExampleCandidate {
    ExampleCandidate { bank: bank.into(), id: "e".into(), similarity: 0.5, chosen: true }
}

const SEARCHING: &str = "\
    [proxy.compress]\nenabled = false\n[proxy.retrieve]\ncollections = ['docs', 'faq']\nbanks = ['solved']\ndeadline_ms = 300\n\
    [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n\
    [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nretries = 0\n";

fn chat(turns: &[(&str, &str)]) -> String {
    let turns = turns.iter().map(|(role, content)| serde_json::json!({"role": role, "content": content}));
    serde_json::json!({"messages": turns.collect::<Vec<_>>(), "model": "m"}).to_string()
}

impl Proxy {
    /// Sends a request and returns what the upstream received, and the headers of the answer.
    async fn search(&self, path: &str, body: &str) -> (String, reqwest::header::HeaderMap) {
        self.upstream.will([json(200, "{}")]);
        let request = self.post(path, body.to_owned()).header("x-whittle-collections", "docs");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        (self.upstream.only().text().to_owned(), headers)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_stand_before_the_question_and_stay_there() {
    let proxy = Proxy::with(SEARCHING).await;
    let first = [("system", "Be brief."), ("user", "Who won?")];
    let (seen, headers) = proxy.search("/v1/chat/completions", &chat(&first)).await;
    let expected = chat(&first).replace("Who won?", "[1] \\\"About\\\" Who won?\\n\\nWho won?");
    assert_eq!(seen, expected);
    assert_eq!(headers["x-whittle-retrieval"], "found; documents=1; examples=0");
    let citations = headers["x-whittle-citations"].to_str().unwrap();
    assert_eq!(citations, r#"[{"number":1,"collection":"docs","document":"d\u00e9","ranges":[[0,9]]}]"#);
    // The conversation grows: what was sent before is sent again, after a restart too.
    let second = [first[0], first[1], ("assistant", "The town."), ("user", "And what of nothing?")];
    let (again, headers) = proxy.search("/v1/chat/completions", &chat(&second)).await;
    let kept = expected.strip_suffix("],\"model\":\"m\"}").unwrap();
    assert!(again.starts_with(kept) && again.contains("\"And what of nothing?\""), "{again}");
    assert_eq!(headers["x-whittle-retrieval"], "found; documents=0; examples=0");
    assert!(!headers.contains_key("x-whittle-citations"));
    let metrics = proxy.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("whittle_proxy_retrievals_total{outcome=\"found\"} 1"), "{metrics}");
    let proxy = proxy.restarted_as(SEARCHING).await;
    assert_eq!(proxy.search("/v1/chat/completions", &chat(&second)).await.0, again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_conversation_was_told_is_not_put_into_this_one() {
    let proxy = Proxy::with(SEARCHING).await;
    let (found, _) = proxy.search("/v1/chat/completions", &chat(&[("user", "Who won?")])).await;
    assert!(found.contains("[1]"));
    // Here the same question was sent as it is: it was asked after another one.
    let turns = [
        ("user", "Is it slow?"),
        ("assistant", "No."),
        ("user", "Who won?"),
        ("assistant", "It."),
        ("user", "Why?"),
    ];
    let (seen, _) = proxy.search("/v1/chat/completions", &chat(&turns)).await;
    assert_eq!(seen, chat(&turns).replace("\"Why?", "\"[1] \\\"About\\\" Why?\\n\\nWhy?"));
    // What failed once is not made up for later, for the upstream has seen the turn without.
    proxy.search("/v1/chat/completions", &chat(&turns[..1])).await;
    assert_eq!(proxy.search("/v1/chat/completions", &chat(&turns)).await.0, seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_stand_there_without_documents_too() {
    let proxy = Proxy::with(SEARCHING).await;
    proxy.upstream.will([json(200, "{}")]);
    let body = chat(&[("user", "Who won?")]);
    let request = proxy.post("/v1/chat/completions", body.clone()).header("x-whittle-banks", "solved");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-retrieval"], "found; documents=0; examples=1");
    assert!(!response.headers().contains_key("x-whittle-citations"));
    let seen = proxy.upstream.only().text().to_owned();
    assert_eq!(seen, body.replace("Who won?", "[1] \\\"About\\\" Who won?\\n\\nWho won?"));
    // The same question with other sources is another one.
    assert_eq!(
        proxy.search("/v1/chat/completions", &body).await.1["x-whittle-retrieval"],
        "found; documents=1; examples=0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_has_them_and_nothing_else_changes() {
    let proxy = Proxy::with(SEARCHING).await;
    for (path, body) in [
        ("/v1/responses", r#"{"model": "m",  "input": "Who won?"}"#),
        (
            "/v1/responses",
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"Who won?"}]}]}"#,
        ),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":1.0,"messages":[{"role":"user","content":[{"type":"text","text":"Who won?"}]}]}"#,
        ),
    ] {
        let (seen, _) = proxy.search(path, body).await;
        assert_eq!(seen, body.replace("Who won?", "[1] \\\"About\\\" Who won?\\n\\nWho won?"), "{path}");
    }
    // What was never sent is new, whatever its block is marked with.
    let marked = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Who was it?","cache_control":{"type":"ephemeral"}}]}]}"#;
    let inserted = marked.replace("Who was it?", "[1] \\\"About\\\" Who was it?\\n\\nWho was it?");
    assert_eq!(proxy.search("/v1/messages", marked).await.0, inserted);
    // After an answer has begun nothing new may change.
    let begun = r#"{"model":"m","messages":[{"role":"user","content":"Who is it?"},{"role":"assistant","content":"It"}]}"#;
    assert_eq!(proxy.search("/v1/messages", begun).await.0, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_fails_or_is_late_changes_nothing() {
    let proxy = Proxy::with(SEARCHING).await;
    for (question, reason) in [("Is it broken?", "unknown_collection"), ("Is it slow?", "deadline_exceeded")]
    {
        let body = chat(&[("user", question)]);
        let (seen, headers) = proxy.search("/v1/chat/completions", &body).await;
        assert_eq!(seen, body);
        assert_eq!(headers["x-whittle-retrieval"], format!("failed; reason={reason}"));
    }
    let body = chat(&[("user", "Who?")]);
    let other = proxy.post("/v1/chat/completions", body.clone()).header("x-whittle-collections", "secret");
    let response = other.send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("proxy.retrieve.collections"));
    // An upstream that refuses what was made of a request gets to see the request itself.
    proxy.upstream.will([json(400, "{}"), json(200, "{}")]);
    let request = proxy.post("/v1/chat/completions", body.clone()).header("x-whittle-collections", "docs");
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-whittle-retrieval"]),
        (200, &"failed; reason=refused".parse().unwrap())
    );
    assert_eq!(proxy.upstream.seen()[1].text(), body);
}
