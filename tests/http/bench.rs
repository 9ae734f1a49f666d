//! `whittle bench proxy`: that it measures what it says, not how fast that is.

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
