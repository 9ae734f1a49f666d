//! The work around the models: counting, cutting, protecting, folding, and the search for the words that fit.
//!
//! `cargo bench --bench selection`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use whittle::compress::{Document, Method, Mode, Prompt, Target, Tools, compress, lossless};
use whittle::model::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};
use whittle::text::{Kind, Protector, for_name, sentences, units};

const TEXT: &str = include_str!("../texts/incident.md");

/// Four bytes are a token, worth what its first byte is.
struct Quick;

impl TokenScorer for Quick {
    fn name(&self) -> &'static str {
        "quick"
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        let tokens = text.as_bytes().chunks(4).enumerate();
        tokens.map(|(i, bytes)| Token { id: bytes[0].into(), range: 4 * i..4 * i + bytes.len() }).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        ids.iter().map(ToString::to_string).collect()
    }

    fn window(&self) -> usize {
        2048
    }

    fn context(&self) -> usize {
        8192
    }

    fn score(&self, jobs: &[ScoreJob], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let scores = |job: &ScoreJob| {
            let first = usize::from(job.prefix.is_empty());
            job.ids.iter().skip(first).map(|&id| id as f32 / 16.0).collect()
        };
        Ok(jobs.iter().map(scores).collect())
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        unreachable!("exact mode opens no session")
    }
}

fn text(c: &mut Criterion) {
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Bytes(TEXT.len() as u64));
    let (counter, protector) = (for_name("o200k_base").expect("it is built in"), Protector::default());
    group.bench_function("count o200k_base", |b| b.iter(|| counter.count(black_box(TEXT))));
    group.bench_function("protected spans", |b| b.iter(|| protector.spans(black_box(TEXT))));
    let spans = protector.spans(TEXT);
    group.bench_function("words", |b| b.iter(|| units(black_box(TEXT), &spans)));
    group.bench_function("sentences", |b| b.iter(|| sentences(black_box(TEXT))));
    group.bench_function("kind", |b| b.iter(|| Kind::of(black_box(TEXT))));
    group.bench_function("fold", |b| b.iter(|| lossless::fold(black_box(TEXT), |text| counter.count(text))));
    group.finish();
}

fn selection(c: &mut Criterion) {
    let (counter, protector, cancel) =
        (for_name("o200k_base").expect("it is built in"), Protector::default(), Cancel::never());
    let tools = Tools { scorer: Some(&Quick), ..Tools::bare(counter.as_ref(), &protector, &cancel) };
    let document =
        |i: usize| Document { id: i.to_string(), title: Some(format!("Part {i}")), text: TEXT.into() };
    let mut group = c.benchmark_group("selection");
    group.sample_size(20);
    for documents in [1, 20] {
        let prompt = Prompt { documents: (0..documents).map(document).collect(), ..Prompt::default() };
        group.bench_function(format!("llmlingua at 0.5, {documents} documents of 1,500 tokens"), |b| {
            b.iter(|| {
                compress(black_box(&prompt), Target::Rate(0.5), Method::LlmLingua, Mode::Exact, &tools)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, text, selection);
criterion_main!(benches);
