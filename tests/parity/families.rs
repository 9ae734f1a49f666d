//! Tiny random models of each decoder family against `transformers` in f32: see `families.py`.

use std::path::PathBuf;

use serde::Deserialize;
use whittle::model::local::{LocalScorer, ScorerOptions};
use whittle::model::{Cancel, Precision, ScoreJob, TokenScorer};

#[derive(Deserialize)]
struct Golden {
    name: String,
    text: String,
    ids: Vec<u32>,
    nll: Vec<f32>,
}

fn path(family: &str, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families");
    folder.join(format!("{family}.{extension}"))
}

fn goldens(family: &str) -> Vec<Golden> {
    serde_json::from_str(&std::fs::read_to_string(path(family, "json")).unwrap()).unwrap()
}

fn load(family: &str, precision: Precision) -> LocalScorer {
    let options = ScorerOptions { precision, ..ScorerOptions::default() };
    LocalScorer::load(family, &path(family, "gguf"), &options).unwrap()
}

/// Largest difference of the scores of `ids` behind `prefix` from the golden ones.
fn largest(scorer: &LocalScorer, (prefix, ids): (&[u32], &[u32]), expected: &[f32]) -> f32 {
    let job = ScoreJob { prefix: prefix.into(), ids: ids.to_vec() };
    let scores = scorer.score(&[job], &Cancel::never()).unwrap().remove(0);
    assert_eq!(scores.len(), expected.len());
    scores.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Ids are equal, and scores alone and behind a prefix within 0.01 in f32; in 8 bits within 1.
fn agrees(family: &str) {
    let (exact, int8) = (load(family, Precision::F32), load(family, Precision::Int8));
    for Golden { name, text, ids, nll } in goldens(family) {
        let own: Vec<u32> = exact.encode(&text).into_iter().map(|token| token.id).collect();
        assert_eq!(own, ids, "{family}, {name}");
        let whole = largest(&exact, (&[], &ids), &nll);
        let cut = ids.len() / 2;
        let behind = largest(&exact, (&ids[..cut], &ids[cut..]), &nll[cut - 1..]);
        let rounded = largest(&int8, (&[], &ids), &nll);
        assert!(whole <= 0.01 && behind <= 0.01, "{family}, {name}: {whole}, {behind}");
        assert!(rounded < 1.0, "{family}, {name}: {rounded}");
    }
}

macro_rules! families {
    ($($family:ident),*) => {
        $(#[test]
        fn $family() {
            agrees(stringify!($family));
        })*
    };
}

families!(
    cohere2,
    command_r,
    gemma,
    gemma2,
    gemma3,
    granite,
    linear,
    llama2,
    llama3,
    longrope,
    longrope_long,
    mistral,
    nemotron,
    olmo2,
    phi2,
    phi3,
    qwen2,
    qwen3,
    smollm3,
    stablelm,
    stablelm_parallel,
    starcoder2,
    yarn
);
