//! The models' arithmetic: forward passes of the scorer in both precisions. `whittle bench score` relates them to the
//! processor's peak.
//!
//! `cargo bench --bench kernels`; needs the scorer in the cache (`whittle models pull`).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use whittle::environment::ProcessEnv;
use whittle::model::local::{LocalScorer, ScorerOptions};
use whittle::model::store::{ModelStore, Progress};
use whittle::model::{Cancel, Precision, ScoreJob, TokenScorer};

const MODEL: &str = "smollm2-135m-instruct";
const TEXT: &str = include_str!("../texts/incident.md");

#[derive(Debug)]
struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

fn forward(c: &mut Criterion) {
    let store = ModelStore::from_environment(&ProcessEnv).expect("the cache has a place");
    let files = store.ensure(MODEL, &Silent).expect("the model can be had");
    let path = files.single("gguf").expect("it is a GGUF file");
    let mut group = c.benchmark_group("forward");
    group.sample_size(10);
    for precision in [Precision::Int8, Precision::F32] {
        let options = ScorerOptions { precision, ..ScorerOptions::default() };
        let scorer = LocalScorer::load(MODEL, path, &options).expect("the model loads");
        let ids: Vec<u32> = scorer.encode(TEXT).iter().map(|token| token.id).collect();
        // One text, many short ones, and one that the window is full of.
        for (texts, tokens) in [(1, 512), (16, 64), (1, 2048)] {
            let ids: Vec<u32> = ids.iter().cycle().take(tokens).copied().collect();
            let jobs = vec![ScoreJob { prefix: [].into(), ids }; texts];
            group.throughput(Throughput::Elements((texts * tokens) as u64));
            group.bench_function(format!("{}, {texts} of {tokens} tokens", precision.name()), |b| {
                b.iter(|| scorer.score(black_box(&jobs), &Cancel::never()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
