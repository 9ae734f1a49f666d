//! Token ids and keep probabilities of tiny random classifiers against PyTorch in f32.

use std::path::PathBuf;

use serde::Deserialize;
use whittle::model::local::{EncoderFiles, LocalClassifier};
use whittle::model::{Cancel, Device, Token, TokenClassifier};

use super::golden;

#[derive(Deserialize)]
struct Golden {
    text: String,
    /// With those that open and close the sequence.
    ids: Vec<u32>,
    keep_probability: Vec<f32>,
}

/// The classifier in a folder of golden files, and its golden values.
fn load(kind: &str) -> Option<(LocalClassifier, Vec<Golden>)> {
    let folder = format!("tiny-token-classifier/{kind}");
    let goldens = serde_json::from_str(&golden(&format!("{folder}/golden.json"))?).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures").join(folder);
    let [config, tokenizer, weights] =
        ["config.json", "tokenizer.json", "model.safetensors"].map(|name| folder.join(name));
    let files = EncoderFiles { config: &config, tokenizer: &tokenizer, weights: &weights };
    Some((LocalClassifier::load(kind, files, Device::Cpu).unwrap(), goldens))
}

#[test]
fn defect_14_ids_and_probabilities_equal_the_golden_ones() {
    for kind in ["bert", "xlm-roberta"] {
        let Some((classifier, goldens)) = load(kind) else { return };
        assert_eq!(classifier.window(), 510, "{kind}");
        for golden in goldens {
            let tokens = classifier.encode(&golden.text, &Cancel::never()).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            assert_eq!(classifier.sequence(&ids), golden.ids, "{kind}: {}", golden.text);
            let keep = classifier.keep(&ids, &Cancel::never()).unwrap();
            let wanted = &golden.keep_probability[1..golden.keep_probability.len() - 1];
            assert_eq!(keep.len(), wanted.len());
            let differences = keep.iter().zip(wanted).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max);
            println!("{kind}, {} tokens: largest difference {largest:.2e}", ids.len());
            assert!(largest < 1e-4, "{kind}: {largest}");
        }
    }
}

#[test]
fn control_tokens_are_text_and_ranges_are_places() {
    for kind in ["bert", "xlm-roberta"] {
        let Some((classifier, _)) = load(kind) else { return };
        let text = "a <s> b [SEP] </s> c [CLS]";
        let tokens = classifier.encode(text, &Cancel::never()).unwrap();
        let ends = classifier.sequence(&[]);
        assert!(tokens.iter().all(|token| !ends.contains(&token.id)), "{kind}: {tokens:?}");
        let long = "naïve words, 預算 and more. ".repeat(5000);
        let tokens = classifier.encode(&long, &Cancel::never()).unwrap();
        let sorted = |pair: &[Token]| pair[0].range.start <= pair[1].range.start;
        assert!(tokens.windows(2).all(sorted) && tokens.iter().all(|t| long.get(t.range.clone()).is_some()));
        assert!(tokens.last().unwrap().range.end >= long.trim_end().len());
    }
}
