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

/// Largest and mean difference of the scores of `ids` behind `prefix` from the golden ones.
fn differences(scorer: &LocalScorer, (prefix, ids): (&[u32], &[u32]), expected: &[f32]) -> (f32, f32) {
    let job = ScoreJob { prefix: prefix.into(), ids: ids.to_vec() };
    let scores = scorer.score(&[job], &Cancel::never()).unwrap().remove(0);
    assert_eq!(scores.len(), expected.len());
    let differences = || scores.iter().zip(expected).map(|(a, b)| (a - b).abs());
    (differences().fold(0.0, f32::max), differences().sum::<f32>() / expected.len() as f32)
}

/// Ids are equal, and scores alone and behind a prefix within 0.01 in f32. In 8 bits they are within 1, or within 0.5 in
/// the mean: rounding may send a token to another expert.
fn agrees(family: &str) {
    let (exact, int8) = (load(family, Precision::F32), load(family, Precision::Int8));
    for Golden { name, text, ids, nll } in goldens(family) {
        let own: Vec<u32> = exact.encode(&text).into_iter().map(|token| token.id).collect();
        assert_eq!(own, ids, "{family}, {name}");
        let whole = differences(&exact, (&[], &ids), &nll).0;
        let cut = ids.len() / 2;
        let behind = differences(&exact, (&ids[..cut], &ids[cut..]), &nll[cut - 1..]).0;
        let (rounded, mean) = differences(&int8, (&[], &ids), &nll);
        assert!(whole <= 0.01 && behind <= 0.01, "{family}, {name}: {whole}, {behind}");
        assert!(rounded < 1.0 || mean < 0.5, "{family}, {name}: {rounded}, {mean}");
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
    bitnet,
    bloom,
    cohere2,
    command_r,
    falcon,
    falcon_norms,
    gemma,
    gemma2,
    gemma3,
    gpt_oss,
    gptneox,
    gptneox_sequential,
    granite,
    granitemoe,
    linear,
    llama2,
    llama3,
    longrope,
    longrope_long,
    mistral,
    mixtral,
    mpt,
    nemotron,
    olmo2,
    olmoe,
    phi2,
    phi3,
    qwen2,
    qwen2moe,
    qwen3,
    qwen3moe,
    smollm3,
    stablelm,
    stablelm_parallel,
    starcoder2,
    yarn
);
