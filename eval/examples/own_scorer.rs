//! Compresses a text with a scorer that is written here, without any model: `cargo run --example own_scorer`.

use std::error::Error;
use std::io::{self, Write};

use whittle::compress::compress;
use whittle::model::{Cancel, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};
use whittle::text::{Protector, for_name};
use whittle::{Document, Method, Mode, Prompt, Target, Tools};

const TEXT: &str = "\
After a long talk about many small things they all agreed that the harbour would be closed to ships in May, \
and that the town would write to each of the companies before the end of the month.";

/// Finds long words surprising.
struct Length;

impl TokenScorer for Length {
    fn name(&self) -> &'static str {
        "length"
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        let mut end = 0;
        let words = text.split_inclusive(' ').map(|word| {
            end += word.len();
            Token { id: u32::try_from(word.len()).unwrap_or(u32::MAX), range: end - word.len()..end }
        });
        words.collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        format!("{ids:?}")
    }

    fn window(&self) -> usize {
        512
    }

    fn context(&self) -> usize {
        8192
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        // The first token of a text has nothing to be predicted from.
        let scored = |job: &ScoreJob| job.ids[usize::from(job.prefix.is_empty())..].to_vec();
        Ok(jobs.iter().map(|job| scored(job).into_iter().map(|id| id as f32).collect()).collect())
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        unreachable!("only the reference mode opens a session")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let document = Document { id: "minutes".into(), title: None, text: TEXT.into() };
    let prompt = Prompt { documents: vec![document], ..Prompt::default() };
    let counter = for_name("o200k_base")?;
    let (protector, cancel) = (Protector::default(), Cancel::never());
    let tools = Tools { scorer: Some(&Length), ..Tools::bare(&*counter, &protector, &cancel) };
    let smaller = compress(&prompt, Target::Rate(0.5), Method::LlmLingua, Mode::Exact, &tools)?;
    writeln!(io::stdout(), "{}", smaller.prompt)?;
    writeln!(io::stderr(), "{} of {} tokens", smaller.compressed_tokens, smaller.original_tokens)?;
    Ok(())
}
