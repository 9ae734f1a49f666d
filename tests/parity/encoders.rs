//! Tiny random rerankers and pruners of each architecture against `transformers` in f32: see `encoders.py`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use whittle::model::local::{CrossEncoderOptions, EncoderError, EncoderFiles, LocalCrossEncoder};
use whittle::model::{Cancel, Precision, Pruner, Reranker};

#[derive(Deserialize)]
struct Golden {
    question: String,
    text: String,
    ids: Vec<u32>,
    score: f32,
    #[serde(default)]
    keep: Vec<f32>,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encoders").join(name)
}

fn goldens(name: &str) -> Vec<Golden> {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("golden.json")).unwrap()).unwrap()
}

fn load_from(
    folder: &Path,
    name: &str,
    options: &CrossEncoderOptions,
) -> Result<LocalCrossEncoder, EncoderError> {
    let [config, tokenizer, weights] =
        ["config.json", "tokenizer.json", "model.safetensors"].map(|file| folder.join(file));
    let files = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    LocalCrossEncoder::load(name, files, options)
}

fn load(name: &str, precision: Precision) -> LocalCrossEncoder {
    let options = CrossEncoderOptions { precision, ..CrossEncoderOptions::default() };
    load_from(&folder(name), name, &options).unwrap()
}

fn largest(own: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(own.len(), expected.len());
    own.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Ids are equal, scores within 1e-3 and probabilities within 1e-4 in f32; in 8 bits within 0.2 and 0.2,
/// for these random weights spread wide.
fn agrees(name: &str) {
    let never = Cancel::never();
    let (exact, int8) = (load(name, Precision::F32), load(name, Precision::Int8));
    assert_eq!(exact.prunes(), name.starts_with("pruner"));
    let mut differences = [0.0_f32; 4];
    for Golden { question, text, ids, score, keep } in goldens(name) {
        assert_eq!(exact.sequence(&question, &text, &never).unwrap(), ids, "{name}, {text}");
        for (model, at) in [(&exact, 0), (&int8, 2)] {
            let own = model.rerank(&question, &[&text], &never).unwrap();
            differences[at] = differences[at].max(largest(&own, &[score]));
            if model.prunes() {
                let pruning = model.prune(&question, &[&text], &never).unwrap().remove(0);
                assert_eq!((pruning.tokens.len(), pruning.score), (keep.len(), own[0]));
                differences[at + 1] = differences[at + 1].max(largest(&pruning.keep, &keep));
            }
        }
    }
    let [score, keep, score_int8, keep_int8] = differences;
    eprintln!("{name}: f32 {score:.1e} and {keep:.1e}, int8 {score_int8:.3} and {keep_int8:.3}");
    assert!(score <= 1e-3 && keep <= 1e-4, "{name}: {score}, {keep}");
    assert!(score_int8 <= 0.2 && keep_int8 <= 0.2, "{name}: {score_int8}, {keep_int8}");
}

macro_rules! encoders {
    ($($test:ident $name:literal),*) => {
        $(#[test]
        fn $test() {
            agrees($name);
        })*
    };
}

encoders!(
    bert "bert", roberta "roberta", xlm_roberta "xlm-roberta", modernbert "modernbert",
    pruner_modernbert "pruner-modernbert", pruner_xlm_roberta "pruner-xlm-roberta",
    deberta_v3 "deberta-v3", deberta_v2 "deberta-v2", deberta_v2_unshared "deberta-v2-unshared",
    pruner_provence "pruner-provence"
);

#[test]
fn a_text_has_one_score_in_any_company_and_long_ones_that_of_their_best_part() {
    let model = load("bert", Precision::F32);
    let (question, never) = ("When was the bridge opened?", Cancel::never());
    let long = "The bridge was opened in 1987. ".repeat(200);
    let texts = ["the road", "", &long, "both libraries close at six"];
    let together = model.rerank(question, &texts, &never).unwrap();
    for (text, together) in texts.iter().zip(&together) {
        let alone = model.rerank(question, &[text], &never).unwrap();
        assert!((alone[0] - together).abs() < 1e-5, "{text}");
    }
    assert!(model.rerank(&long, &[&long], &never).is_ok(), "a question may be longer than the window");
    assert!(model.rerank(question, &[], &never).unwrap().is_empty());
    assert!(model.prune(question, &["a"], &never).unwrap_err().to_string().contains("no head that prunes"));
    let pruner = load("pruner-modernbert", Precision::F32);
    let pruning = pruner.prune(question, &[&long], &never).unwrap().remove(0);
    assert_eq!(pruning.tokens.len(), pruning.keep.len());
    assert_eq!(pruning.tokens.last().unwrap().end, long.len());
    assert!((Pruner::threshold(&pruner) - 0.2).abs() < 1e-6, "that of its configuration");
    let cancelled = Cancel::never();
    cancelled.cancel();
    assert!(model.rerank(question, &["a"], &cancelled).is_err());
}

/// The error of loading a copy of a model after a change to its files.
fn broken(name: &str, change: impl FnOnce(&Path)) -> EncoderError {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(folder(name).join(file), copy.path().join(file)).unwrap();
    }
    change(copy.path());
    load_from(copy.path(), name, &CrossEncoderOptions::default()).unwrap_err()
}

/// The same after another value of a key of its configuration.
fn with(name: &str, key: &str, value: &Value) -> String {
    let error = broken(name, |folder| {
        let path = folder.join("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        *config.pointer_mut(key).unwrap() = value.clone();
        std::fs::write(path, config.to_string()).unwrap();
    });
    error.to_string()
}

/// The same after a change to the bytes of its weights.
fn with_weights(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> EncoderError {
    broken(name, |folder| {
        let path = folder.join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    })
}

#[test]
fn damaged_weights_are_refused_by_file_and_tensor() {
    let is_file = |error: &EncoderError| matches!(error, EncoderError::File { path, .. } if path.ends_with("model.safetensors"));
    for name in ["bert", "pruner-modernbert", "deberta-v2", "pruner-provence"] {
        assert!(is_file(&with_weights(name, |bytes| bytes.truncate(bytes.len() / 2))));
        assert!(is_file(&with_weights(name, |bytes| bytes.truncate(5))));
        assert!(is_file(&with_weights(name, Vec::clear)));
        assert!(is_file(&with_weights(name, |bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()))));
        let huge = json!({"x": {"dtype": "F32", "shape": [5_000_000, 5_000], "data_offsets": [0, 100_000_000_000_u64]}});
        let huge = huge.to_string();
        assert!(is_file(&with_weights(name, |bytes| {
            *bytes = [&(huge.len() as u64).to_le_bytes()[..], huge.as_bytes()].concat();
        })));
        let error = with_weights(name, |bytes| {
            let end = bytes.len();
            bytes[end - 2..].copy_from_slice(&0x7e00_u16.to_le_bytes());
        });
        assert!(matches!(&error, EncoderError::Tensor { .. }), "{error}");
        assert!(error.to_string().contains("not a finite number"), "{error}");
        let error = with_weights(name, |bytes| {
            let name = b"classifier.weight";
            let at = bytes.windows(name.len()).position(|part| part == name).unwrap();
            bytes[at..at + 10].copy_from_slice(b"classified");
        });
        assert!(error.to_string().contains("classifier.weight` of"), "{error}");
        assert!(error.to_string().contains("is missing"), "{error}");
    }
}

#[test]
fn unusable_configurations_and_tokenizers_are_refused_by_file_and_key() {
    let other = with("bert", "/model_type", &json!("electra"));
    assert!(
        other.contains("unsupported architecture `electra`: this build knows `bert`, `roberta`"),
        "{other}"
    );
    let other = with("pruner-modernbert", "/base_model_config/model_type", &json!("electra"));
    assert!(other.contains("unsupported architecture `electra`"), "{other}");
    for (name, key, value, said) in [
        (
            "embed-nomic",
            "/n_head",
            json!(2),
            "unsupported architecture of a reranker `nomic_bert`: this build knows `bert`",
        ),
        ("bert", "/hidden_size", json!(128), "has the shape"),
        ("bert", "/hidden_size", json!(1_u64 << 40), "hidden_size is 1099511627776, not 1 to 16384"),
        ("bert", "/num_hidden_layers", json!(3), "`bert.encoder.layer.2.attention.self.query.weight`"),
        ("bert", "/vocab_size", json!(10), "it is another model's tokenizer"),
        ("bert", "/max_position_embeddings", json!(8), "only 8 positions"),
        ("roberta", "/hidden_act", json!("relu"), "unsupported activation `relu`"),
        ("xlm-roberta", "/type_vocab_size", json!(2), "token_type_embeddings.weight"),
        ("modernbert", "/classifier_bias", json!(true), "`head.dense.bias`"),
        ("deberta-v3", "/position_buckets", json!(64), "`deberta.encoder.rel_embeddings.weight`"),
        (
            "deberta-v3",
            "/share_att_key",
            json!(false),
            "`deberta.encoder.layer.0.attention.self.pos_key_proj.weight`",
        ),
        ("deberta-v3", "/pos_att_type", json!("p2p"), "unsupported pos_att_type `p2p`"),
        ("deberta-v2", "/conv_act", json!("tanh"), "unsupported conv_act `tanh`"),
        ("deberta-v2", "/conv_kernel_size", json!(5), "`deberta.encoder.conv.conv.weight`"),
        ("pruner-provence", "/relative_attention", json!(false), "unsupported relative_attention `false`"),
        ("modernbert", "/layer_types", json!(["full_attention"]), "1 entries for 4 layers"),
        ("pruner-modernbert", "/default_threadshold", json!(1.5), "default_threadshold is 1.5, not 0 to 1"),
    ] {
        let error = with(name, key, &value);
        assert!(error.contains(said), "{error}");
    }
    let missing = broken("bert", |folder| std::fs::remove_file(folder.join("tokenizer.json")).unwrap());
    assert!(missing.to_string().contains("tokenizer.json"), "{missing}");
    let cut = broken("bert", |folder| std::fs::write(folder.join("tokenizer.json"), "{").unwrap());
    assert!(cut.to_string().contains("tokenizer.json"), "{cut}");
}
