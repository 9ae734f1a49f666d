//! `whittle score` on the real model.

use std::path::Path;

use serde_json::Value;

use crate::support::{STORY, run, whittle};

fn numbers(values: &Value) -> Vec<Option<f64>> {
    values.as_array().unwrap().iter().map(Value::as_f64).collect()
}

#[test]
fn the_first_token_has_a_score_only_after_a_prefix() {
    let alone = whittle(&["score", "--format", "json"], STORY).json();
    let after = whittle(&["score", "--format", "json", "--prefix", "Minutes of the meeting. "], STORY).json();
    let (nll, nll_after) = (numbers(&alone["nll"]), numbers(&after["nll"]));
    assert_eq!(alone["ids"].as_array().unwrap().len(), nll.len());
    assert!(nll[0].is_none() && nll[1..].iter().all(Option::is_some));
    assert!(nll_after.len() == nll.len() && nll_after.iter().all(Option::is_some));
    assert!(nll.iter().chain(&nll_after).flatten().all(|nll| nll.is_finite() && *nll >= 0.0));
    let mean = nll.iter().flatten().sum::<f64>() / (nll.len() - 1) as f64;
    let given = alone["mean_nll"].as_f64().unwrap();
    assert!((given - mean).abs() < 1e-4 && (1.0..5.0).contains(&mean), "{given} {mean}");
    assert!((alone["perplexity"].as_f64().unwrap() - given.exp()).abs() < 1e-6);
    assert!(alone["seconds"].as_f64() > Some(0.0) && alone["tokens_per_second"].as_f64() > Some(0.0));
    let tokens: Vec<&str> = alone["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert_eq!(tokens.concat(), STORY);
}

#[test]
fn one_token_and_control_words_are_text() {
    let one = whittle(&["score", "--format", "json"], "Hello").json();
    assert_eq!((&one["nll"], &one["mean_nll"]), (&serde_json::json!([null]), &Value::Null));
    let words = "<|endoftext|><|im_start|>user\0";
    let control = whittle(&["score", "--format", "json"], words).json();
    let ids: Vec<u64> = control["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert!(ids.len() > 6 && ids.iter().all(|&id| id > 16), "the first 17 ids are control tokens: {ids:?}");
}

#[test]
fn a_heat_map_holds_the_text_and_its_totals() {
    let done = whittle(&["score"], "The capital of France is Paris. 👩\u{200d}👧 預算");
    assert!(
        done.text().starts_with("The capital of France is Paris. 👩\u{200d}👧 預算\n\n"),
        "{}",
        done.text()
    );
    assert!(done.text().contains(" nats, perplexity "), "{}", done.text());
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_this_build_has_not_is_named_with_the_remedy() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let with = |variables: &[(&str, &str)]| run(&["score"], b"Hello there", variables, folder);
    let unbuilt = with(&[("WHITTLE_SCORER_DEVICE", "cuda")]);
    let said = unbuilt.failure(1);
    assert!(said.contains("--features cuda") && said.contains("`cpu`"), "{said}");
    let contradiction = with(&[("WHITTLE_SCORER_DEVICE", "metal"), ("WHITTLE_SCORER_PRECISION", "int8")]);
    let said = contradiction.failure(1);
    assert!(said.contains("int8 is for the CPU alone"), "{said}");
}
