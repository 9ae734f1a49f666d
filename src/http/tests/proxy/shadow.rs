//! Requests whose original is answered, too.

use super::*;
use crate::jsonl;
use crate::proxy::{Comparison, SHADOW_FILE};

fn shadowed(upstream: &str, dollars: f64) -> String {
    format!(
        "[proxy.compress]\nmin_tokens = 50\n[proxy.shadow]\nshare = 1.0\nusd_per_day = {dollars}\n\
         [[upstreams]]\nname = 'own'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n{upstream}\n"
    )
}

const PRICED: &str = "api_key_env = 'TEST_KEY'\nprices = [{ model = '*', input = 2.0, output = 10.0 }]";

fn body() -> String {
    let paste = words(200);
    serde_json::json!({"model": "m", "messages": [{"role": "user", "content": format!("Read it.\n\n{paste}\n\nWho?")}]})
        .to_string()
}

fn answer(text: &str, input: u64) -> String {
    serde_json::json!({"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": input, "completion_tokens": 10}})
        .to_string()
}

impl Proxy {
    /// Sends a request of which the original goes nowhere: that is decided before its answer begins.
    async fn compares_nothing(&self) {
        // A comparison that is in its file may not be over yet.
        let before = async {
            while !self.gateway.compares_nothing() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, before).await.unwrap();
        let response = self.post("/v1/chat/completions", body()).send().await.unwrap();
        assert_eq!(response.headers()["x-whittle-status"], "compressed");
        response.text().await.unwrap();
        assert_eq!(self.upstream.seen().len(), 1);
    }

    async fn comparisons(&self, count: usize) -> Vec<Comparison> {
        let file = self.data.path().join(SHADOW_FILE);
        let start = std::time::Instant::now();
        loop {
            let there: Vec<Comparison> = jsonl::read(&file).unwrap_or_default();
            if there.len() >= count {
                return there;
            }
            assert!(start.elapsed() < PATIENCE, "{} of {count} comparisons", there.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_is_answered_too_and_only_how_alike_they_are_is_kept() {
    // The two calls cost 0.5 and 0.1 thousandths of a dollar: after the first there is no money left for a second.
    let proxy = Proxy::with(&shadowed(PRICED, 0.0012)).await;
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"The town won\"}}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":500,\"completion_tokens\":10}}\n\n";
    let mut streamed = events(&[stream]);
    streamed.push(end());
    proxy.upstream.will([json(200, &answer("Town won!", 250)), streamed, json(200, "{}")]);
    let response = proxy.post("/v1/chat/completions", body()).send().await.unwrap();
    assert_eq!(response.headers()["x-whittle-status"], "compressed");
    assert_eq!(response.text().await.unwrap(), answer("Town won!", 250));
    let comparison = proxy.comparisons(1).await.remove(0);
    assert!(comparison.same && (comparison.f1 - 1.0).abs() < 1e-9, "{comparison:?}");
    assert_eq!((comparison.input, comparison.cost), ((500, 250), 1_100_000));
    assert!(comparison.texts.0 > comparison.texts.1 && comparison.upstream == "own");
    let seen = proxy.upstream.seen();
    assert_eq!((seen.len(), seen[1].text()), (2, &*body()));
    assert_eq!(seen[1].header("authorization"), ["Bearer sk-of-the-upstream"]);
    let stored = std::fs::read_to_string(proxy.data.path().join(SHADOW_FILE)).unwrap();
    assert!(!stored.contains("town") && !stored.contains("Read it"));
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage").send().await.unwrap().text().await.unwrap();
    assert!(usage.contains("\"requests\":1,"), "{usage}");
    let listed = proxy.request(reqwest::Method::GET, "/v1/shadow?limit=1").send().await.unwrap();
    let listed: Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&listed["models"][0]["same"], &listed["comparisons"][0]["original_tokens"]),
        (&json!(1), &json!(500))
    );
    let refused = proxy.request(reqwest::Method::GET, "/v1/shadow?limit=0").send().await.unwrap();
    assert_eq!(refused.status(), 400);
    proxy.compares_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_elses_key_pays_for_it() {
    let unpriced = "api_key_env = 'TEST_KEY'";
    let keyless = "prices = [{ model = '*', input = 2.0, output = 10.0 }]";
    for upstream in [unpriced, keyless] {
        let proxy = Proxy::with(&shadowed(upstream, 10.0)).await;
        proxy.upstream.will([json(200, &answer("x", 1)), json(200, &answer("x", 1))]);
        proxy.compares_nothing().await;
    }
}
