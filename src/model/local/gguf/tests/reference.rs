//! The tiny Llama computed by the definitions, one position at a time in double precision.

use super::writer::{EPS, Gguf, HEAD, HIDDEN, KEYS, LAYERS, QUERIES, ROPE_BASE, WIDTH};

fn norm(x: &[f64], weight: &[f32]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / (mean + f64::from(EPS)).sqrt();
    x.iter().zip(weight).map(|(x, &w)| x * scale * f64::from(w)).collect()
}

fn product(rows: &[f32], x: &[f64]) -> Vec<f64> {
    rows.chunks(x.len()).map(|row| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum()).collect()
}

/// Neighbours are rotated together: the order of rows in a GGUF file.
fn rotate(heads: &mut [f64], position: usize) {
    for head in heads.chunks_mut(HEAD) {
        for (i, pair) in head.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let frequency = f64::from(ROPE_BASE).powf(-2.0 * i as f64 / HEAD as f64);
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            *pair = [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos];
        }
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - max).exp()).sum();
    scores.iter().map(|score| (score - max).exp() / sum).collect()
}

fn attention(query: &[f64], past: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut out = Vec::new();
    for (head, query) in query.chunks(HEAD).enumerate() {
        let at = head * KEYS / QUERIES * HEAD;
        let dot = |key: &[f64]| query.iter().zip(&key[at..]).map(|(q, k)| q * k).sum::<f64>();
        let scores: Vec<f64> = past.iter().map(|(key, _)| dot(key) / (HEAD as f64).sqrt()).collect();
        let weights = softmax(&scores);
        let value = |i: usize| past.iter().zip(&weights).map(|((_, v), w)| v[at + i] * w).sum::<f64>();
        out.extend((0..HEAD).map(value));
    }
    out
}

/// Negative log-likelihood of each of `ids` but the first.
pub(super) fn nll(file: &Gguf, ids: &[u32]) -> Vec<f64> {
    let embeddings = file.floats("token_embd.weight");
    let mut cache: Vec<Vec<(Vec<f64>, Vec<f64>)>> = vec![Vec::new(); LAYERS];
    let mut scores = Vec::new();
    for (position, pair) in ids.windows(2).enumerate() {
        let row = &embeddings[pair[0] as usize * WIDTH..][..WIDTH];
        let mut x: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        for (i, past) in cache.iter_mut().enumerate() {
            let weight = |part: &str| file.floats(&format!("blk.{i}.{part}.weight"));
            let normed = norm(&x, &weight("attn_norm"));
            let (mut q, mut k) = (product(&weight("attn_q"), &normed), product(&weight("attn_k"), &normed));
            rotate(&mut q, position);
            rotate(&mut k, position);
            past.push((k, product(&weight("attn_v"), &normed)));
            let attended = product(&weight("attn_output"), &attention(&q, past));
            x.iter_mut().zip(attended).for_each(|(x, y)| *x += y);
            let normed = norm(&x, &weight("ffn_norm"));
            let (gate, up) = (product(&weight("ffn_gate"), &normed), product(&weight("ffn_up"), &normed));
            let inner: Vec<f64> = (0..HIDDEN).map(|i| gate[i] / (1.0 + (-gate[i]).exp()) * up[i]).collect();
            let forward = product(&weight("ffn_down"), &inner);
            x.iter_mut().zip(forward).for_each(|(x, y)| *x += y);
        }
        let logits = product(&embeddings, &norm(&x, &file.floats("output_norm.weight")));
        scores.push(-softmax(&logits)[pair[1] as usize].ln());
    }
    scores
}
