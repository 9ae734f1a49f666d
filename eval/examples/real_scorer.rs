//! Prints how surprising each token of a text is to the default model: `cargo run --example real_scorer -- TEXT`.

use std::error::Error;
use std::io::{self, Write};

use whittle::environment::ProcessEnv;
use whittle::model::local::{LocalScorer, ScorerOptions};
use whittle::model::store::{ModelStore, Silent};
use whittle::model::{Cancel, ScoreJob, TokenScorer};

fn main() -> Result<(), Box<dyn Error>> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "The capital of France is a banana.".into());
    let files = ModelStore::from_environment(&ProcessEnv)?.ensure("smollm2-135m-instruct", &Silent)?;
    let file = files.single("gguf").ok_or("the model has no GGUF file")?;
    let scorer = LocalScorer::load("smollm2-135m-instruct", file, &ScorerOptions::default())?;
    let tokens = scorer.encode(&text);
    let ids = tokens.iter().map(|token| token.id).collect();
    let nll = scorer.score(&[ScoreJob { prefix: [].into(), ids }], &Cancel::never())?;
    for (token, nll) in tokens.iter().skip(1).zip(nll.iter().flatten()) {
        writeln!(io::stdout(), "{nll:6.2} {:?}", scorer.decode(&[token.id]))?;
    }
    Ok(())
}
