//! Small models for tests, which need no weights.

use std::ops::Range;

use crate::model::{
    Cancel, ChatError, Continuation, Embedder, Prompt, ScoreError, ScoreJob, ScoreSession, Token,
    TokenGenerator, TokenScorer,
};

/// The words of a text with the spaces behind them.
fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut at = 0;
    text.split_inclusive(' ').map(move |word| {
        at += word.len();
        (at - word.len()..at, word)
    })
}

/// Scores a word by the bytes that it has with the space behind it; the vocabulary's ids are those lengths.
pub(crate) struct Lengths;

impl TokenScorer for Lengths {
    fn name(&self) -> &'static str {
        "lengths"
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        words(text).map(|(range, word)| Token { id: word.len() as u32, range }).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        ids.iter().map(|&id| "x".repeat(id as usize)).collect()
    }

    fn window(&self) -> usize {
        1024
    }

    fn context(&self) -> usize {
        4096
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let scores = |ScoreJob { prefix, ids }: &ScoreJob| {
            ids.iter().skip(usize::from(prefix.is_empty())).map(|&id| id as f32).collect()
        };
        Ok(jobs.iter().map(scores).collect())
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        Box::new(Session(0))
    }
}

/// A number of cached tokens.
struct Session(usize);

impl ScoreSession for Session {
    fn cached(&self) -> usize {
        self.0
    }

    fn extend(&mut self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        cancel.check()?;
        self.0 += ids.len();
        Ok(ids.iter().skip(1).map(|&id| id as f32).collect())
    }

    fn forget(&mut self, range: Range<usize>) {
        self.0 -= range.len();
    }
}

/// Embeds a text as how often it has each letter.
pub(crate) struct Letters;

impl Embedder for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn dimensions(&self) -> usize {
        27
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        cancel.check()?;
        Ok(words(text).count())
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let vector = |text: &&str| {
            let mut counts = [0.0_f32; 27];
            // So that an empty text has a length too.
            counts[26] = 0.1;
            for letter in text.bytes().map(|byte| byte.to_ascii_lowercase()).filter(u8::is_ascii_lowercase) {
                counts[usize::from(letter - b'a')] += 1.0;
            }
            let length = counts.iter().map(|count| count * count).sum::<f32>().sqrt();
            counts.iter().map(|count| count / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// Continues a text with its own words from the start.
pub(crate) struct Parrot;

impl TokenGenerator for Parrot {
    fn context(&self) -> usize {
        4096
    }

    /// The bytes of the last text.
    fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, ChatError> {
        let text = match prompt {
            Prompt::Chat(turns) => {
                turns.last().map(|turn| turn.text.as_str()).ok_or(ChatError::NoTemplate)?
            }
            Prompt::Text(text) => text,
        };
        Ok(text.bytes().map(u32::from).collect())
    }

    fn generate(
        &self,
        continuation: &Continuation<'_>,
        each: &mut dyn FnMut(&[u8]) -> bool,
        cancel: &Cancel,
    ) -> Result<bool, ScoreError> {
        let bytes: Vec<u8> = continuation.prompt.iter().map(|&id| id as u8).collect();
        let text = String::from_utf8(bytes).map_err(|error| ScoreError::Model(error.to_string()))?;
        for (_, word) in words(&text).take(continuation.max_tokens) {
            cancel.check()?;
            if !each(word.as_bytes()) {
                return Ok(false);
            }
        }
        Ok(words(&text).count() < continuation.max_tokens)
    }
}
