//! Tiny random embedders against sentence-transformers in f32: see `embedders.py`.

use std::path::PathBuf;

use serde::Deserialize;
use whittle::model::local::{
    DecoderEmbedder, EmbedderFiles, EmbedderOptions, EncoderFiles, LocalEmbedder, LongText,
};
use whittle::model::{Cancel, Embedder, Precision};

#[derive(Deserialize)]
struct Golden {
    text: String,
    /// It is read as a question.
    query: bool,
    /// The text that is read before it.
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

fn embed(embedder: &dyn Embedder, golden: &Golden) -> Vec<f32> {
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

fn goldens(name: &str) -> Vec<Golden> {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("golden.json")).unwrap()).unwrap()
}

/// Ids are equal and vectors within 1e-4 in f32; in 8 bits cosines with them are at least 0.98.
fn agrees(name: &str) {
    let goldens = goldens(name);
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
fn a_decoder() {
    let path = folder("embed-qwen3").join("model.gguf");
    let query_prefix = Some("Instruct: find\nQuery:".to_owned());
    let options = EmbedderOptions { window: 512, query_prefix, ..EmbedderOptions::default() };
    let load = |options: &EmbedderOptions| DecoderEmbedder::load("qwen3", &path, options).unwrap();
    let goldens = goldens("embed-qwen3");
    let dimensions = Some(goldens[0].cut.len());
    let (exact, cut) = (load(&options), load(&EmbedderOptions { dimensions, ..options.clone() }));
    let int8 = load(&EmbedderOptions { precision: Precision::Int8, ..options.clone() });
    let (mut difference, mut least, never) = (0.0_f32, 1.0_f32, Cancel::never());
    for golden in &goldens {
        let read = format!("{}{}", golden.prompt, golden.text);
        assert_eq!(exact.windows(&read, &never).unwrap(), [&golden.ids[..]], "{read}");
        difference = difference.max(largest(&embed(&exact, golden), &golden.embedding));
        difference = difference.max(largest(&embed(&cut, golden), &golden.cut));
        let cosine = embed(&int8, golden).iter().zip(&golden.embedding).map(|(a, b)| a * b).sum::<f32>();
        least = least.min(cosine);
    }
    eprintln!("embed-qwen3: f32 {difference:.1e}, int8 cosines from {least:.4}");
    assert!(difference <= 1e-4 && least >= 0.95, "{difference}, {least}");
    // A text has one vector in any company, a long one that of its windows, and an empty one has one.
    let texts = ["the road", "", &"both libraries close at six. ".repeat(100)];
    for (text, together) in texts.iter().zip(exact.embed(&texts, &never).unwrap()) {
        assert!(largest(&exact.embed(&[text], &never).unwrap()[0], &together) < 1e-5, "{text}");
        assert_eq!(exact.dimensions(), together.len());
    }
    assert!(exact.windows(texts[2], &never).unwrap().len() > 1);
    let cancelled = Cancel::never();
    cancelled.cancel();
    assert!(exact.embed(&["a"], &cancelled).is_err());
}

#[test]
fn decoders_that_do_not_embed_so_are_refused_by_file_and_key() {
    let refused = |path: &std::path::Path, dimensions| {
        let options = EmbedderOptions { dimensions, ..EmbedderOptions::default() };
        DecoderEmbedder::load("x", path, &options).unwrap_err().to_string()
    };
    let scorer = folder("../families").join("qwen3.gguf");
    assert!(refused(&scorer, None).contains("it has no `qwen3.pooling_type`, so that it does not embed"));
    let path = folder("embed-qwen3").join("model.gguf");
    assert!(refused(&path, Some(65)).contains("it has no 65 dimensions, but 1 to 64"));
    let bytes = std::fs::read(&path).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    let changed = |key: &[u8], value: &[u8]| {
        let mut bytes = bytes.clone();
        let at = bytes.windows(key.len()).position(|part| part == key).unwrap() + key.len();
        // Behind the number of the type.
        bytes[at + 4..at + 4 + value.len()].copy_from_slice(value);
        std::fs::write(copy.path(), bytes).unwrap();
        refused(copy.path(), None)
    };
    let mean = changed(b"qwen3.pooling_type", &1_u32.to_le_bytes());
    assert!(mean.contains("`qwen3.pooling_type` is 1: this build knows 3, the last token"), "{mean}");
    let beyond = changed(b"tokenizer.ggml.eos_token_id", &u32::MAX.to_le_bytes());
    assert!(beyond.contains("tokenizer.ggml.eos_token_id") || beyond.contains("beyond"), "{beyond}");
    let neither = changed(b"tokenizer.ggml.add_eos_token", &[0]);
    assert!(neither.contains("no token opens or closes a text"), "{neither}");
    std::fs::write(copy.path(), &bytes[..bytes.len() / 2]).unwrap();
    assert!(!refused(copy.path(), None).is_empty());
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
