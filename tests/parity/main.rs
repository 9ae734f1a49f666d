//! The real model against values that other implementations gave.
//!
//! The model comes from the ordinary cache, which fetches it on first need. The golden files are not part of
//! the project; where they are missing, the tests that need them say so and check the rest.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why"
)]

mod classifier;
mod embedder;
mod embedders;
mod encoders;
mod families;
mod llmlingua;
mod scorer;

use std::path::PathBuf;
use std::sync::LazyLock;

use whittle::environment::ProcessEnv;
use whittle::model::Precision;
use whittle::model::local::{LocalScorer, ScorerOptions};
use whittle::model::store::{ModelStore, Silent};

/// Exact, and with a window that holds the longest golden text.
static F32: LazyLock<LocalScorer> = LazyLock::new(|| load(Precision::F32, 8192));
static INT8: LazyLock<LocalScorer> = LazyLock::new(|| load(Precision::Int8, 8192));

fn load(precision: Precision, window: usize) -> LocalScorer {
    load_with(&ScorerOptions { precision, window, ..ScorerOptions::default() })
}

fn load_with(options: &ScorerOptions) -> LocalScorer {
    let store = ModelStore::from_environment(&ProcessEnv).unwrap();
    let files = store.ensure("smollm2-135m-instruct", &Silent).unwrap();
    LocalScorer::load("smollm2-135m-instruct", files.single("gguf").unwrap(), options).unwrap()
}

/// Text of a golden file, or none with a word on standard error.
fn golden(path: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures").join(path);
    let text = std::fs::read_to_string(&path);
    if let Err(error) = &text {
        eprintln!("not compared with {}: {error}", path.display());
    }
    text.ok()
}
