//! Tiny random embedders against sentence-transformers in f32: see `embedders.py`.

use std::path::PathBuf;

use serde::Deserialize;
use whittle::model::local::{EmbedderFiles, EmbedderOptions, EncoderFiles, LocalEmbedder, LongText};
use whittle::model::{Cancel, Embedder, Precision};

#[derive(Deserialize)]
struct Golden {
    text: String,
    /// Whether it is read as a question.
    query: bool,
    /// What is read before it.
    prompt: String,
    ids: Vec<u32>,
    embedding: Vec<f32>,
    /// Its first values, at length 1.
    cut: Vec<f32>,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encoders").join(name)
}

/// The model in a folder as `options` have it, of whose texts the first window is read.
fn load(name: &str, options: EmbedderOptions) -> LocalEmbedder {
    let path = |file: &str| folder(name).join(file);
    let [config, tokenizer, weights] = ["config.json", "tokenizer.json", "model.safetensors"].map(path);
    let encoder = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    let beside = [
        "modules.json",
        "1_Pooling/config.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
    ];
    let beside = beside.map(path);
    let [modules, pooling, prompts, window] = [0, 1, 2, 3].map(|i| beside[i].exists().then_some(&*beside[i]));
    let files = EmbedderFiles { encoder, modules, pooling, prompts, window };
    let options = EmbedderOptions { long: LongText::Truncate, ..options };
    LocalEmbedder::load(name, files, &options).unwrap()
}

fn embed(embedder: &LocalEmbedder, golden: &Golden) -> Vec<f32> {
    let never = Cancel::never();
    if golden.query {
        embedder.embed_query(&golden.text, &never).unwrap()
    } else {
        embedder.embed(&[&golden.text], &never).unwrap().remove(0)
    }
}

fn largest(own: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(own.len(), expected.len());
    own.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Ids are equal and vectors within 1e-4 in f32; in 8 bits cosines with them are at least 0.98.
fn agrees(name: &str) {
    let goldens: Vec<Golden> =
        serde_json::from_str(&std::fs::read_to_string(folder(name).join("golden.json")).unwrap()).unwrap();
    // Its files say 128 themselves.
    let window = if name == "embed-xlm-roberta" { 512 } else { 128 };
    let options = |precision| EmbedderOptions { precision, window, ..EmbedderOptions::default() };
    let (exact, int8) = (load(name, options(Precision::F32)), load(name, options(Precision::Int8)));
    let dimensions = Some(goldens[0].cut.len());
    let cut = load(name, EmbedderOptions { dimensions, ..options(Precision::F32) });
    assert_eq!(Some(cut.dimensions()), dimensions);
    let (mut difference, mut least) = (0.0_f32, 1.0_f32);
    for golden in &goldens {
        let read = format!("{}{}", golden.prompt, golden.text);
        assert_eq!(exact.windows(&read, &Cancel::never()).unwrap(), [&golden.ids[..]], "{name}, {read}");
        difference = difference.max(largest(&embed(&exact, golden), &golden.embedding));
        difference = difference.max(largest(&embed(&cut, golden), &golden.cut));
        let cosine = embed(&int8, golden).iter().zip(&golden.embedding).map(|(a, b)| a * b).sum::<f32>();
        least = least.min(cosine);
    }
    eprintln!("{name}: f32 {difference:.1e}, int8 cosines from {least:.4}");
    assert!(difference <= 1e-4 && least >= 0.98, "{name}: {difference}, {least}");
}

#[test]
fn nomic() {
    agrees("embed-nomic");
}

#[test]
fn first_tokens_with_prompts() {
    agrees("embed-xlm-roberta");
}

#[test]
fn last_tokens() {
    agrees("embed-modernbert");
}

#[test]
fn means_with_distances() {
    agrees("embed-deberta");
}

#[test]
fn prefixes_of_ones_own_take_the_place_of_those_of_the_files() {
    let own = EmbedderOptions {
        query_prefix: Some("ask: ".into()),
        text_prefix: Some(String::new()),
        ..EmbedderOptions::default()
    };
    let (usual, own) =
        (load("embed-xlm-roberta", EmbedderOptions::default()), load("embed-xlm-roberta", own));
    let never = Cancel::never();
    let text = |embedder: &LocalEmbedder, text: &str| embedder.embed(&[text], &never).unwrap().remove(0);
    let query = |embedder: &LocalEmbedder, text: &str| embedder.embed_query(text, &never).unwrap();
    assert!(largest(&text(&own, "passage: the road"), &text(&usual, "the road")) < 1e-6);
    assert!(largest(&query(&own, "the road"), &text(&own, "ask: the road")) < 1e-6);
    assert!(largest(&query(&own, "the road"), &query(&usual, "the road")) > 1e-3);
}

#[test]
fn more_dimensions_than_there_are_and_pooling_that_nobody_states_are_refused() {
    let path = |file: &str| folder("embed-xlm-roberta").join(file);
    let [config, tokenizer, weights] = ["config.json", "tokenizer.json", "model.safetensors"].map(path);
    let encoder = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    let refused = LocalEmbedder::load("x", encoder, &EmbedderOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("unsupported architecture `xlm-roberta`"), "{refused}");
    let path = |file: &str| folder("bert").join(file);
    let [config, tokenizer, weights] = ["config.json", "tokenizer.json", "model.safetensors"].map(path);
    let encoder = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    for dimensions in [0, 65] {
        let options = EmbedderOptions { dimensions: Some(dimensions), ..EmbedderOptions::default() };
        let refused = LocalEmbedder::load("x", encoder, &options).unwrap_err().to_string();
        assert!(refused.contains(&format!("unsupported number of dimensions `{dimensions}`")), "{refused}");
    }
}
