//! A share of conversations goes on as it came, to compare the others with.

use super::*;

const HALF: &str = "\
    [proxy]\nholdout = 0.5\n[proxy.compress]\nmin_tokens = 50\ndeadline_ms = 5000\n\
    [[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = 'UPSTREAM/v1'\nretries = 0\n\
    prices = [{ model = '*', input = 2.0, output = 10.0 }]\n\
    [[upstreams]]\nname = 'anth'\ndialect = 'anthropic'\nbase_url = 'UPSTREAM'\nretries = 0\n\
    prices = [{ model = '*', input = 2.0, output = 10.0 }]\n";

const HELD: &str = "original; reason=holdout";

/// The turn of a conversation that began with a text of that number.
fn turn(number: usize, turn: usize) -> String {
    let user = |text: String| serde_json::json!({"role": "user", "content": text});
    let mut messages = vec![user(format!("{} {number}", words(200)))];
    for earlier in 0..turn {
        messages.push(serde_json::json!({"role": "assistant", "content": "And?"}));
        messages.push(user(format!("{} then {earlier}", words(100))));
    }
    serde_json::json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_stays_held_out_over_turns_and_restarts_in_both_dialects() {
    let mut proxy = Proxy::with(HALF).await;
    let mut held = Vec::new();
    for turns in 0..3 {
        for number in 0..20 {
            let body = turn(number, turns);
            for path in ["/v1/messages", "/v1/chat/completions"] {
                let (seen, status) = proxy.forwarded(path, &body).await;
                assert_eq!(seen.text() == body, status == HELD, "{status}");
                assert!(status == HELD || status == "compressed", "{status}");
                if turns == 0 && path == "/v1/messages" {
                    held.push(status == HELD);
                }
                assert_eq!(held[number], status == HELD, "{number} {turns} {path}");
            }
        }
        proxy = proxy.restarted_as(HALF).await;
    }
    let count = held.iter().filter(|held| **held).count();
    assert!((1..20).contains(&count), "2 in a million secrets give none or all: {held:?}");
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage?holdout=true").send().await.unwrap();
    let report = &body_of(usage).await["holdout"];
    assert_eq!(
        (&report["held_out"]["conversations"], &report["held_out"]["requests"]),
        (&count.into(), &(6 * count).into())
    );
    assert_eq!(report["changed"]["conversations"], 20 - count);
    assert_eq!(
        (&report["held_out"]["turns"]["mean"], &report["difference"]["turns"]["mean"]),
        (&6.0.into(), &0.0.into())
    );
    assert_eq!(report["held_out"]["cost_usd"]["n"], count);
    // Counting tokens is no turn, and whoever asks for nothing to be changed is no part of it.
    proxy.forwarded("/v1/messages/count_tokens", &turn(0, 0)).await;
    proxy.upstream.will([json(200, "{}")]);
    proxy.post("/v1/messages", turn(0, 0)).header("x-whittle-bypass", "1").send().await.unwrap();
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage?holdout=true").send().await.unwrap();
    assert_eq!(&body_of(usage).await["holdout"], report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_share_nothing_is_noted_of_conversations() {
    let proxy = Proxy::start().await;
    assert_eq!(proxy.forwarded("/v1/messages", &turn(0, 0)).await.1, "compressed");
    let usage = proxy.request(reqwest::Method::GET, "/v1/usage?holdout=true").send().await.unwrap();
    let report = &body_of(usage).await["holdout"];
    assert_eq!(
        (&report["changed"]["conversations"], &report["held_out"]["conversations"]),
        (&0.into(), &0.into())
    );
}
