//! A small random model, against another implementation of the same architecture.

use std::collections::HashMap;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_transformers::models::bert::BertModel;
use serde_json::{Value, json};

use super::*;
use crate::model::Stopped;
use crate::model::local::EncoderFiles;

const WIDTH: usize = 24;
const HIDDEN: usize = 40;
const VOCABULARY: usize = 10;
const POSITIONS: usize = 100;

fn config() -> Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
        "hidden_size": WIDTH, "intermediate_size": HIDDEN, "num_attention_heads": 3, "num_hidden_layers": 2,
        "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "pad_token_id": 0
    })
}

fn weights() -> HashMap<String, Tensor> {
    let mut state = 1_u32;
    let mut tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
    };
    let mut tensors = HashMap::new();
    let mut add = |name: &str, shape: &[usize]| tensors.insert(name.to_owned(), tensor(shape));
    add("embeddings.word_embeddings.weight", &[VOCABULARY, WIDTH]);
    add("embeddings.position_embeddings.weight", &[POSITIONS, WIDTH]);
    add("embeddings.token_type_embeddings.weight", &[2, WIDTH]);
    let mut parts = vec![("embeddings.LayerNorm".to_owned(), vec![WIDTH])];
    for layer in 0..2 {
        for (part, shape) in [
            ("attention.self.query", vec![WIDTH, WIDTH]),
            ("attention.self.key", vec![WIDTH, WIDTH]),
            ("attention.self.value", vec![WIDTH, WIDTH]),
            ("attention.output.dense", vec![WIDTH, WIDTH]),
            ("attention.output.LayerNorm", vec![WIDTH]),
            ("intermediate.dense", vec![HIDDEN, WIDTH]),
            ("output.dense", vec![WIDTH, HIDDEN]),
            ("output.LayerNorm", vec![WIDTH]),
        ] {
            parts.push((format!("encoder.layer.{layer}.{part}"), shape));
        }
    }
    for (name, shape) in parts {
        add(&format!("{name}.weight"), &shape);
        add(&format!("{name}.bias"), &shape[..1]);
    }
    tensors
}

/// A folder with the files of a model.
struct Files(tempfile::TempDir);

impl Files {
    fn write(config: &Value, weights: &HashMap<String, Tensor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), tokenizer::tests::file().to_string()).unwrap();
        candle_core::safetensors::save(weights, folder.path().join("model.safetensors")).unwrap();
        Self(folder)
    }

    fn load(&self, options: &EmbedderOptions) -> Result<LocalEmbedder, EncoderError> {
        let [config, tokenizer, weights] =
            ["config.json", "tokenizer.json", "model.safetensors"].map(|name| self.0.path().join(name));
        LocalEmbedder::load(
            "tiny",
            EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights },
            options,
        )
    }
}

fn tiny(options: &EmbedderOptions) -> LocalEmbedder {
    Files::write(&config(), &weights()).load(options).unwrap()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Sum of the token vectors of a sequence, by the other implementation.
fn expected_sum(model: &BertModel, ids: &[u32]) -> Vec<f32> {
    let ids = Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let out = model.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap();
    out.sum(1).unwrap().squeeze(0).unwrap().to_vec1().unwrap()
}

#[test]
fn the_forward_pass_equals_another_implementation() {
    let options = EmbedderOptions { window: 90, ..EmbedderOptions::default() };
    let embedder = tiny(&options);
    // Matrices of its sizes are in floats, whatever is asked for.
    let eight_bits = tiny(&EmbedderOptions { precision: Precision::Int8, ..options });
    let builder = candle_nn::VarBuilder::from_tensors(weights(), DType::F32, &Device::Cpu);
    let model = BertModel::load(builder, &serde_json::from_value(config()).unwrap()).unwrap();
    // Longer than a block of queries, and longer than the window.
    for text in ["", "a bc b", &"ac [bc] ".repeat(12), &"a bcc ba ".repeat(50)] {
        let windows = embedder.windows(text, &Cancel::never()).unwrap();
        let mut want = vec![0.0; WIDTH];
        for window in &windows {
            let sum = expected_sum(&model, window);
            want.iter_mut().zip(&sum).for_each(|(want, sum)| *want += sum);
        }
        let length = want.iter().map(|v| v * v).sum::<f32>().sqrt();
        for value in &mut want {
            *value /= length;
        }
        let got = embedder.embed(&[text], &Cancel::never()).unwrap().remove(0);
        let largest = difference(&got, &want);
        assert!(largest < 1e-5, "{} windows, largest difference {largest}", windows.len());
        assert_eq!(eight_bits.embed(&[text], &Cancel::never()).unwrap(), [got]);
    }
}

#[test]
fn a_short_call_does_not_wait_for_the_end_of_a_long_one() {
    let embedder = tiny(&EmbedderOptions::default());
    let long = "ac b ".repeat(40 * TURN_TOKENS);
    let ended = std::sync::Mutex::new(Vec::new());
    let embed = |text: &str| {
        embedder.embed(&[text], &Cancel::never()).unwrap();
        ended.lock().unwrap().push(text.len());
    };
    std::thread::scope(|scope| {
        // Both are waiting when the first turn is given.
        let turn = embedder.turn.lock();
        scope.spawn(|| embed(&long));
        scope.spawn(|| embed("a"));
        while embedder.queued.load(std::sync::atomic::Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        drop(turn);
    });
    assert_eq!(ended.into_inner().unwrap(), [1, long.len()]);
}

#[test]
fn a_text_has_one_embedding_in_any_company_and_on_any_number_of_threads() {
    let texts =
        ["a", "", "b [CLS] a", &"a b bc ".repeat(40), "预算", &"b".repeat(3000), &"ac b ".repeat(700)];
    let together = tiny(&EmbedderOptions::default()).embed(&texts, &Cancel::never()).unwrap();
    let single = tiny(&EmbedderOptions { threads: Some(1), ..EmbedderOptions::default() });
    for (text, together) in texts.iter().zip(&together) {
        let alone = single.embed(&[text], &Cancel::never()).unwrap().remove(0);
        assert!(difference(&alone, together) < 1e-5);
        assert!((alone.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert!(single.embed(&[], &Cancel::never()).unwrap().is_empty());
}

#[test]
fn truncation_reads_the_first_window_alone() {
    let options = EmbedderOptions { window: 12, long: LongText::Truncate, ..EmbedderOptions::default() };
    let embedder = tiny(&options);
    let embed =
        |embedder: &LocalEmbedder, text: &str| embedder.embed(&[text], &Cancel::never()).unwrap().remove(0);
    let (head, long) = ("a b ".repeat(5), format!("{}{}", "a b ".repeat(5), "bc bcc ".repeat(100)));
    assert_eq!(embed(&embedder, &head), embed(&embedder, &long));
    let pooling = tiny(&EmbedderOptions { long: LongText::Pool, ..options });
    assert_eq!(embed(&embedder, &head), embed(&pooling, &head));
    assert!(difference(&embed(&embedder, &long), &embed(&pooling, &long)) > 1e-2);
}

#[test]
fn the_window_stays_within_what_the_model_can_run() {
    for (asked, given) in [(0, 8), (50, 50), (100_000, POSITIONS)] {
        let embedder = tiny(&EmbedderOptions { window: asked, ..EmbedderOptions::default() });
        let text = "a ".repeat(3 * (given - 2));
        let windows = embedder.windows(&text, &Cancel::never()).unwrap();
        assert_eq!(windows.iter().map(Vec::len).collect::<Vec<_>>(), [given; 3]);
        embedder.embed(&["a b c ".repeat(300).as_str()], &Cancel::never()).unwrap();
    }
}

#[test]
fn work_that_nobody_wants_stops() {
    let embedder = tiny(&EmbedderOptions::default());
    let cancel = Cancel::never();
    cancel.cancel();
    let stopped = |result: Result<_, ScoreError>, why: Stopped| matches!(result, Err(ScoreError::Stopped(s)) if s == why);
    assert!(stopped(embedder.embed(&["a"], &cancel).map(drop), Stopped::Cancelled));
    assert!(stopped(embedder.embed(&["a"], &Cancel::at(Instant::now())).map(drop), Stopped::Deadline));
    // Takes seconds where nobody stops it.
    let cancel = Cancel::never();
    let text = "a b bc ".repeat(1_000_000);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| embedder.embed(&[&text], &cancel).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(100));
        cancel.cancel();
        assert!(stopped(running.join().unwrap(), Stopped::Cancelled));
    });
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn unusable_models_are_named_by_what_is_wrong() {
    let with = |key: &str, value: Value| {
        let mut config = config();
        config[key] = value;
        Files::write(&config, &weights()).load(&EmbedderOptions::default()).err().unwrap().to_string()
    };
    assert_eq!(
        with("model_type", json!("roberta")),
        "unsupported architecture `roberta`: this build knows `bert`, `nomic_bert`"
    );
    assert!(with("hidden_act", json!("gelu_new")).contains("unsupported activation `gelu_new`"));
    assert!(with("position_embedding_type", json!("relative_key")).contains("position embedding"));
    assert!(with("hidden_size", json!(0)).contains("hidden_size is 0"));
    assert!(with("hidden_size", json!(25)).contains("does not divide by 3 heads"));
    assert!(with("num_hidden_layers", json!(1_000_000_000)).contains("num_hidden_layers is 1000000000"));
    assert!(
        with("num_hidden_layers", json!(3))
            .starts_with("the tensor `encoder.layer.2.attention.self.query.weight` of")
    );
    assert!(with("vocab_size", json!(11)).contains("has the shape [10, 24], not [11, 24]"));
    assert!(with("max_position_embeddings", json!(4)).contains("only 4 positions"));
    assert!(with("layer_norm_eps", json!(-1.0)).contains("layer_norm_eps"));
    assert!(with("hidden_size", json!("wide")).contains("config.json"));
}

#[test]
fn broken_weights_are_refused() {
    let load = |weights: &HashMap<String, Tensor>| {
        Files::write(&config(), weights).load(&EmbedderOptions::default())
    };
    let mut broken = weights();
    let name = "encoder.layer.1.output.dense.bias";
    broken.insert(name.into(), Tensor::new(&[f32::NAN; WIDTH], &Device::Cpu).unwrap());
    assert!(matches!(load(&broken), Err(EncoderError::Tensor { name: n, .. }) if n == name));

    let files = Files::write(&config(), &weights());
    let path = files.0.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(
        matches!(files.load(&EmbedderOptions::default()), Err(EncoderError::File { path: p, .. }) if p == path)
    );
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(files.load(&EmbedderOptions::default()), Err(EncoderError::File { .. })));

    let named = weights().into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
    load(&named).unwrap();
}
