//! Stores documents in a folder and searches them by words and meaning: `cargo run --example search -- QUESTION`.

use std::error::Error;
use std::io::{self, Write};

use whittle::engine::collections::api::{CreateRequest, SearchRequest, SourceDocument, UpsertRequest};
use whittle::environment::ProcessEnv;
use whittle::model::{Cancel, store::Silent};
use whittle::{Config, Engine};

const TEXTS: [&str; 3] = [
    "The harbour closes to ships in May.",
    "Lunch was good, and nobody objected to the bill.",
    "The airport stays open, but the night trains do not run.",
];

fn main() -> Result<(), Box<dyn Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "When do boats have to leave?".into());
    let folder = tempfile::tempdir()?;
    let builder = Engine::builder().environment(&Config::default(), &ProcessEnv, Box::new(Silent))?;
    let engine = builder.data_dir(folder.path()).build();
    let collections = engine.collections();
    collections.create("minutes", CreateRequest::default())?;
    let document = |text: &str| SourceDocument { text: text.into(), ..SourceDocument::default() };
    let request = UpsertRequest { documents: TEXTS.map(document).into(), ..UpsertRequest::default() };
    collections.upsert("minutes", request, &Cancel::never())?;
    let request = SearchRequest { query: question, ..SearchRequest::default() };
    for result in collections.search("minutes", &request, &Cancel::never())?.results {
        writeln!(io::stdout(), "{:.3} {}", result.score, result.text)?;
    }
    Ok(())
}
