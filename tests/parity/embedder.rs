//! Token ids and embeddings against PyTorch in f32.

use serde::Deserialize;
use whittle::environment::ProcessEnv;
use whittle::model::local::{EmbedderOptions, EncoderFiles, LocalEmbedder, LongText};
use whittle::model::store::{ModelStore, Silent};
use whittle::model::{Cancel, Embedder, Precision};

use super::golden;

#[derive(Deserialize)]
struct Golden {
    text: String,
    /// Of the first 256 tokens.
    ids: Vec<u32>,
    embedding: Vec<f32>,
}

fn load(long: LongText) -> LocalEmbedder {
    load_with(&EmbedderOptions { long, ..EmbedderOptions::default() })
}

fn load_with(options: &EmbedderOptions) -> LocalEmbedder {
    let store = ModelStore::from_environment(&ProcessEnv).unwrap();
    let files = store.ensure("all-minilm-l6-v2", &Silent).unwrap();
    LocalEmbedder::load("all-minilm-l6-v2", EncoderFiles::of(&files).unwrap(), options).unwrap()
}

fn embed(embedder: &LocalEmbedder, texts: &[&str]) -> Vec<Vec<f32>> {
    embedder.embed(texts, &Cancel::never()).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn ids_and_embeddings_equal_the_golden_ones() {
    let Some(text) = golden("embedder/all-MiniLM-L6-v2.json") else { return };
    let goldens: Vec<Golden> = serde_json::from_str(&text).unwrap();
    let embedder = load(LongText::Truncate);
    let texts: Vec<&str> = goldens.iter().map(|golden| golden.text.as_str()).collect();
    for (golden, got) in goldens.iter().zip(embed(&embedder, &texts)) {
        assert_eq!(embedder.windows(&golden.text, &Cancel::never()).unwrap(), [&golden.ids[..]]);
        assert_eq!(got.len(), golden.embedding.len());
        let pairs = got.iter().zip(&golden.embedding);
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{} tokens: largest difference {largest:.2e}", golden.ids.len());
        assert!(largest < 1e-3, "{}: {largest}", golden.text);
    }
}

/// The loss of 8-bit products: vectors turn by a few degrees, and what is near stays near.
#[test]
fn embeddings_in_8_bits_are_near_the_golden_ones() {
    let Some(text) = golden("embedder/all-MiniLM-L6-v2.json") else { return };
    let goldens: Vec<Golden> = serde_json::from_str(&text).unwrap();
    let options =
        EmbedderOptions { long: LongText::Truncate, precision: Precision::Int8, ..Default::default() };
    let texts: Vec<&str> = goldens.iter().map(|golden| golden.text.as_str()).collect();
    let got = embed(&load_with(&options), &texts);
    let near: Vec<f32> =
        goldens.iter().zip(&got).map(|(golden, got)| cosine(&golden.embedding, got)).collect();
    let least = near.iter().copied().fold(1.0, f32::min);
    println!("{} texts: cosines with the golden ones from {least:.4}", near.len());
    assert!(least > 0.99, "{near:?}");
    // A cosine between two texts moves by no more than a few hundredths.
    for (i, one) in goldens.iter().enumerate() {
        for (j, other) in goldens.iter().enumerate() {
            let moved = (cosine(&one.embedding, &other.embedding) - cosine(&got[i], &got[j])).abs();
            assert!(moved < 0.03, "{}, {}: {moved}", one.text, other.text);
        }
    }
}

#[test]
fn what_means_the_same_is_near() {
    let embedder = load(LongText::default());
    assert_eq!((embedder.name(), embedder.dimensions()), ("all-minilm-l6-v2", 384));
    let answer = "The first Nobel Prize in Physics was awarded in 1901 to Wilhelm Conrad Röntgen.";
    let other = "Butter the dish, pour in the batter and bake it for forty minutes.";
    let texts = ["who got the first nobel prize in physics", answer, other];
    let together = embed(&embedder, &texts);
    assert!(cosine(&together[0], &together[1]) > 0.6 && cosine(&together[0], &together[2]) < 0.2);
    for (text, together) in texts.iter().zip(&together) {
        let alone = embed(&embedder, &[text]).remove(0);
        assert!(alone.iter().zip(together).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    // An answer after a thousand words of something else still counts where windows are pooled.
    let long = format!("{}{}", other.repeat(40), answer.repeat(40));
    let near = |embedder: &LocalEmbedder| cosine(&together[0], &embed(embedder, &[&long])[0]);
    assert!(near(&embedder) > near(&load(LongText::Truncate)) + 0.2);
}

#[derive(Deserialize)]
struct Multilingual {
    text: String,
    query: bool,
    /// Those that open and close the window included.
    tokens: usize,
    /// The first values of the vector.
    start: Vec<f32>,
    /// With each text up to this one.
    cosines: Vec<f32>,
}

/// The other engine rounds activations to 8 bits, this one does not.
#[test]
fn a_packed_multilingual_model_equals_another_engine() {
    let store = ModelStore::from_environment(&ProcessEnv).unwrap();
    let files = store.ensure("multilingual-e5-small", &Silent).unwrap();
    let path = files.single("bin").unwrap();
    let embedder =
        LocalEmbedder::load_packed("multilingual-e5-small", path, &EmbedderOptions::default()).unwrap();
    let goldens: Vec<Multilingual> = serde_json::from_str(include_str!("multilingual_e5.json")).unwrap();
    let mut vectors: Vec<Vec<f32>> = Vec::new();
    for golden in &goldens {
        let text = &golden.text;
        let (prefix, vector) = if golden.query {
            ("query: ", embedder.embed_query(text, &Cancel::never()).unwrap())
        } else {
            ("passage: ", embed(&embedder, &[text]).remove(0))
        };
        let windows = embedder.windows(&format!("{prefix}{text}"), &Cancel::never()).unwrap();
        assert_eq!(windows.iter().map(Vec::len).collect::<Vec<_>>(), [golden.tokens], "{text}");
        vectors.push(vector);
        let got: Vec<f32> = vectors.iter().map(|other| cosine(&vectors[vectors.len() - 1], other)).collect();
        let difference =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (values, cosines) =
            (difference(&vectors[vectors.len() - 1][..16], &golden.start), difference(&got, &golden.cosines));
        println!("{values:.2e} {cosines:.2e} {text}");
        assert!(got.len() == golden.cosines.len() && values < 1e-2 && cosines < 1e-2, "{text}");
    }
}
