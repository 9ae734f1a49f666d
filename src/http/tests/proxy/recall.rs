//! Marks that name originals, in conversations that go on while recall is switched on and off.

use super::folding::DEFAULT;
use super::*;

const ON: &str = "[proxy.recall]\nenabled = true\n";

/// The output of a build in a turn, of which all but the first line and the last is folded.
fn output(turn: usize) -> String {
    let line = |n: usize| format!("   Compiling crate-{turn}-{n} v0.{n}.{turn}\n");
    let lines: String = (0..60).map(line).collect();
    format!("{lines}    Finished in {turn} s\n")
}

/// The messages of an agent that has run a command so often.
fn runs(times: usize) -> Value {
    let mut messages = vec![serde_json::json!({"role": "user", "content": "Build it."})];
    for turn in 0..times {
        let id = format!("toolu_{turn}");
        messages.push(serde_json::json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": id, "name": "bash", "input": {"command": "cargo build"}}]}));
        messages.push(serde_json::json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": output(turn)}]}));
    }
    serde_json::json!({"messages": messages, "max_tokens": 9, "model": "claude-sonnet-4-5"})
}

/// The results among the messages that the upstream saw.
fn results(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_str(seen.text()).unwrap();
    let messages = body["messages"].as_array().unwrap().iter();
    messages.filter_map(|message| Some(message["content"][0].get("content")?.as_str()?.to_owned())).collect()
}

/// The id that the marks of a result name.
fn id(result: &str) -> Option<&str> {
    let (_, rest) = result.split_once("recall ")?;
    Some(&rest[..rest.find(']')?])
}

/// Sends a turn, checks that it begins with the bytes of the one before, and gives the results in it.
async fn turn(proxy: &Proxy, times: usize, earlier: &mut String) -> Vec<String> {
    let (seen, _) = proxy.forwarded("/v1/messages", &runs(times).to_string()).await;
    let sent = seen.text().split("],\"model\"").next().unwrap().to_owned();
    assert!(sent.starts_with(&*earlier), "{times}: {sent}\n\n{earlier}");
    *earlier = sent;
    results(&seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_keeps_its_prefix_while_recall_is_switched_on_and_off() {
    let mut proxy = Proxy::with(DEFAULT).await;
    let mut earlier = String::new();
    let on = format!("{ON}{DEFAULT}");
    // Whether recall is on in a turn.
    let switched = [false, true, true, false, true, false];
    for times in 1..=switched.len() {
        if times > 1 {
            proxy = proxy.restarted_as(if switched[times - 1] { &on } else { DEFAULT }).await;
        }
        for again in 0..2 {
            let results = turn(&proxy, times, &mut earlier).await;
            let named: Vec<bool> = results.iter().map(|result| id(result).is_some()).collect();
            assert_eq!(named, switched[..times], "{again} {results:?}");
            assert!(results.iter().all(|result| result.contains("58 lines left out")), "{results:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_mark_names_is_the_original_to_the_byte_whole_or_in_parts() {
    let proxy = Proxy::with(&format!("{ON}{DEFAULT}")).await;
    let results = turn(&proxy, 1, &mut String::new()).await;
    let path = format!("/v1/originals/{}", id(&results[0]).unwrap());
    let get = |range: Option<&'static str>| {
        let request = proxy.request(reqwest::Method::GET, &path);
        async move {
            range
                .into_iter()
                .fold(request, |request, range| request.header("range", range))
                .send()
                .await
                .unwrap()
        }
    };
    let whole = get(None).await;
    assert_eq!(
        (whole.status(), &whole.headers()["content-type"]),
        (StatusCode::OK, &"text/plain; charset=utf-8".parse().unwrap())
    );
    assert_eq!(
        (&whole.headers()["accept-ranges"], &whole.headers()["cache-control"]),
        (&"bytes".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert_eq!(whole.text().await.unwrap(), output(0));
    let length = output(0).len();
    for (range, start, end) in
        [("bytes=0-99", 0, 100), ("bytes=-50", length - 50, length), ("bytes=100-", 100, length)]
    {
        let part = get(Some(range)).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let content_range = format!("bytes {start}-{}/{length}", end - 1);
        assert_eq!(part.headers()["content-range"], content_range.as_str());
        assert_eq!(part.text().await.unwrap(), output(0)[start..end], "{range}");
    }
    let outside = get(Some("bytes=99999999-")).await;
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.headers()["content-range"], format!("bytes */{length}").as_str());
    assert_eq!(body_of(outside).await["error"]["code"], "range_not_satisfiable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_without_marks_are_neither_named_nor_kept() {
    let proxy = Proxy::with(&format!("{ON}{DEFAULT}")).await;
    let rows: Vec<Value> =
        (0..40).map(|n| serde_json::json!({"identifier": n, "description": "same"})).collect();
    let mut body = runs(1);
    body["messages"][2]["content"][0]["content"] = serde_json::to_string_pretty(&rows).unwrap().into();
    let (seen, status) = proxy.forwarded("/v1/messages", &body.to_string()).await;
    assert_eq!(status, "compressed");
    assert!(id(&results(&seen)[0]).is_none() && !results(&seen)[0].contains("left out"));
    proxy.gateway.flush();
    assert!(
        proxy.gateway.metrics().contains("whittle_originals_bytes{state=\"kept\"} 0"),
        "{}",
        proxy.gateway.metrics()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_too_large_to_be_kept_goes_on_whole() {
    let proxy = Proxy::with(&format!("{ON}bytes = 1048576\n{DEFAULT}")).await;
    let large = output(1).repeat(700);
    let mut body = runs(1);
    body["messages"][2]["content"][0]["content"] = large.clone().into();
    for _ in 0..2 {
        let (seen, _) = proxy.forwarded("/v1/messages", &body.to_string()).await;
        assert!(results(&seen)[0] == large);
    }
    assert!(
        proxy.gateway.metrics().contains("whittle_originals_lost_total 1"),
        "{}",
        proxy.gateway.metrics()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_used_keeps_the_service_from_starting() {
    let upstream = Upstream::start().await;
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("originals.key"), "no key").unwrap();
    let config = config(&format!("{ON}{DEFAULT}"), &upstream);
    let parts = Parts {
        compressor: Arc::<Halving>::default(),
        generator: Arc::new(Parrot),
        retriever: Arc::new(Librarian),
        database: None,
    };
    let error = Gateway::new(&config, &Keys, parts, data.path()).err().unwrap();
    assert!(error.contains("originals.key"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_a_model_cut_names_its_original_in_every_turn() {
    let mut proxy = Proxy::with(&format!("{ON}{BOTH}")).await;
    let word = |turn: usize| move |n: usize| format!("word{n} of{turn} ");
    let words = |turn: usize| -> String { (0..400).map(word(turn)).collect() };
    let mut body = runs(2);
    body["messages"][2]["content"][0]["content"] = words(0).into();
    body["messages"][4]["content"][0]["content"] = words(1).into();
    let mut first = body.clone();
    first["messages"].as_array_mut().unwrap().truncate(3);
    let mut earlier = None;
    for body in [first.to_string(), body.to_string(), body.to_string()] {
        let (seen, status) = proxy.forwarded("/v1/messages", &body).await;
        assert_eq!(status, "compressed");
        let results = results(&seen);
        for (turn, result) in results.iter().enumerate() {
            let (cut, mark) = result.rsplit_once('\n').unwrap();
            assert_eq!(cut, halved(&words(turn)).0);
            let path = format!("/v1/originals/{}", id(mark).unwrap());
            let original = proxy.request(reqwest::Method::GET, &path).send().await.unwrap();
            assert_eq!(original.text().await.unwrap(), words(turn), "{mark}");
        }
        assert_eq!(*earlier.get_or_insert(results[0].clone()), results[0]);
        proxy = proxy.restarted_as(&format!("{ON}{BOTH}")).await;
    }
}
