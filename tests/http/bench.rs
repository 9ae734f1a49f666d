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
