//! `whittle bench`: that it measures what it says, not how fast that is.

use serde_json::Value;

use crate::support::Whittle;

#[test]
fn every_request_is_sent_and_timed() {
    let arguments =
        "bench proxy --case off --case stream --rate 50 --bytes 3000 --turns 1 --seconds 1 --format json";
    let output = Whittle::new(&arguments.split(' ').collect::<Vec<_>>(), "").output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (report, (case, requests)) in reports.iter().zip([("off", 50), ("stream", 100)]) {
        assert_eq!((&report["case"], &report["requests"]), (&case.into(), &requests.into()), "{report}");
        assert_eq!(report["bytes"], 3000, "{report}");
        let time = |side: &str, share: &str| report[side][share].as_f64().unwrap();
        for side in ["direct_ms", "proxied_ms"] {
            assert!(time(side, "p50") > 0.0 && time(side, "p50") <= time(side, "p99"), "{report}");
        }
        let added = time("proxied_ms", "p99") - time("direct_ms", "p99");
        assert!((time("added_ms", "p99") - added).abs() < 1e-9, "{report}");
    }
    assert_eq!(reports.len(), 2);
}

/// Runs `whittle` with its arguments in a folder with three passages and two questions.
fn measured(arguments: &str) -> std::process::Output {
    let whittle = Whittle::new(&arguments.split(' ').collect::<Vec<_>>(), "");
    let passages =
        [("a", "The bridge was opened in 1987."), ("b", "A ferry leaves."), ("c", "The mill was sold.")];
    let lines: Vec<String> = passages
        .iter()
        .map(|(id, text)| serde_json::json!({"id": id, "title": "T", "text": text}).to_string())
        .collect();
    std::fs::write(whittle.folder.path().join("passages.jsonl"), lines.join("\n")).unwrap();
    let questions = "{\"question\": \"When was the bridge opened?\", \"gold\": \"a\"}\n\
                     {\"question\": \"Who bought the mill?\", \"gold\": \"c\"}\n";
    std::fs::write(whittle.folder.path().join("questions.jsonl"), questions).unwrap();
    whittle.output()
}

#[test]
fn the_embedder_is_timed_in_each_run() {
    let output = measured("bench embed --passages passages.jsonl --runs 3 --format json");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["passages"], &report["runs"]), (&3.into(), &3.into()), "{report}");
    let tokens = report["tokens"].as_f64().unwrap();
    assert!(tokens > 10.0 && tokens < 30.0, "{report}");
    let speed = |of: &str, which: &str| report[of][which].as_f64().unwrap();
    for of in ["passages_per_second", "tokens_per_second"] {
        assert!(speed(of, "min") > 0.0 && speed(of, "min") <= speed(of, "median"), "{report}");
        assert!(speed(of, "median") <= speed(of, "max"), "{report}");
    }
    let ratio = speed("tokens_per_second", "median") / speed("passages_per_second", "median");
    assert!((ratio - tokens / 3.0).abs() < 1e-6, "{report}");
    let none = measured("bench embed --passages nowhere.jsonl");
    assert!(
        !none.status.success() && String::from_utf8_lossy(&none.stderr).contains("cannot read nowhere.jsonl")
    );
}

#[test]
fn searches_are_measured_as_ingested_and_by_way_of_links() {
    let arguments = "bench retrieval --passages passages.jsonl --questions questions.jsonl";
    let output = measured(&format!("{arguments} --format json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["documents"], &report["linked_recall_at_10"]), (&3.into(), &1.0.into()), "{report}");
    assert_eq!(report["rows"][1]["recall_at_1"], 1.0, "{report}");
    let text = String::from_utf8(measured(arguments).stdout).unwrap();
    assert!(text.contains("dense recall@10 by way of links 1.0000"), "{text}");
}

fn report(arguments: &str) -> Value {
    let output = measured(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_scorer_is_timed_against_the_peak() {
    let one = report("bench score --tokens 32 --batch 2 --runs 2 --precision f32 --format json");
    assert_eq!((&one["tokens"], &one["batch"], &one["precision"]), (&32.into(), &2.into(), &"f32".into()));
    let number = |name: &str| one[name].as_f64().unwrap();
    let median = one["tokens_per_second"]["median"].as_f64().unwrap();
    assert!((number("seconds") * median - 64.0).abs() < 1e-6, "{one}");
    // 134.5 million weights, two operations each.
    let ratio = median * 2.0 * 134.5e6 / (number("peak_gops") * 1e9);
    assert!((number("ratio_to_peak") / ratio - 1.0).abs() < 0.01, "{one}");
    let table = measured("bench score --tokens 16,32 --runs 1");
    let table = String::from_utf8(table.stdout).unwrap();
    assert_eq!(table.lines().count(), 4, "{table}");
    let none = measured("bench score --tokens 1");
    assert!(String::from_utf8_lossy(&none.stderr).contains("must be from 2"));
}

#[test]
fn whole_calls_are_timed_with_their_stages() {
    let arguments = "bench compress --methods hybrid,longllmlingua --rates 0.5 --documents 3 --runs 1";
    let report = report(&format!("{arguments} --format json"));
    let calls = report["calls"].as_array().unwrap();
    assert_eq!((calls.len(), &report["documents"]), (2, &3.into()), "{report}");
    for call in calls {
        let total = |which: &str| call[which]["total"].as_f64().unwrap();
        assert!(["first", "again", "other_question"].iter().all(|which| total(which) > 0.0), "{call}");
    }
}

#[test]
fn precisions_are_compared_on_texts_of_ones_own() {
    let report = report("bench precision --passages passages.jsonl --format json");
    assert_eq!((&report["texts"], &report["tokens"]), (&3.into(), &17.into()), "{report}");
    assert!(report["mean_difference"].as_f64().unwrap().abs() < 0.5, "{report}");
    assert!(report["spearman"].as_f64().unwrap() > 0.9, "{report}");
    let text = measured("bench precision --passages passages.jsonl --limit 1");
    assert!(String::from_utf8_lossy(&text.stdout).contains("texts: 1, "), "{text:?}");
    let none = measured("bench precision --passages passages.jsonl --limit 0");
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no text to score"), "{none:?}");
}
