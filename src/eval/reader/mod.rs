//! Models that are asked questions: one in this process, or one behind an API.
//!
//! Each is asked at temperature 0. What it answered is kept in `answers.jsonl` beside the results, so that a run
//! which was stopped, or has the same prompt twice, asks and pays once.

mod remote;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Env};
use crate::engine::{Engine, EngineError};
use crate::jsonl::JsonLines;
use crate::model::{Cancel, Generation, GenerationEvent, Message, Prompt, Role, Sampling, display_name};
use remote::Remote;

/// The prefix of names of the model in this process.
const LOCAL: &str = "local/";

/// A request to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The conversation; the last turn is the user's.
    pub turns: Vec<Message>,
    /// Most tokens of the answer, at least 1.
    pub max_tokens: usize,
}

/// A reply of a reader.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text of the reply.
    pub text: String,
    /// Tokens of what it was asked, as its side counts them.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Milliseconds until the answer was whole.
    pub milliseconds: f64,
}

/// A model that answers.
#[derive(Debug)]
pub struct ChatModel<'a> {
    place: Place<'a>,
    answers: Answers,
}

#[derive(Debug)]
enum Place<'a> {
    Here(&'a Engine),
    Behind(Box<Remote>),
}

/// Dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenPrice {
    /// Input.
    pub input: f64,
    /// Output.
    pub output: f64,
}

impl<'a> ChatModel<'a> {
    /// The model that is called `name`: `local/...` answers in this process, any other is looked for among the
    /// upstreams of `config`. Answers are kept in `folder`; `identity` tells the local model's files.
    ///
    /// # Errors
    /// There is no such model, its key is not set, or `folder` cannot be written.
    pub fn open(
        name: &str,
        engine: &'a Engine,
        (config, env): (&Config, &dyn Env),
        (folder, identity): (&Path, &str),
    ) -> anyhow::Result<Self> {
        let place = if name.starts_with(LOCAL) {
            let known = format!("{LOCAL}{}", display_name(&config.scorer.model));
            if name != known {
                let message = format!("there is no model `{name}` in this process, but there is {known}");
                return Err(EngineError::invalid("unknown_model", "reader", message).into());
            }
            Place::Here(engine)
        } else {
            Place::Behind(Box::new(Remote::find(name, config, env)?))
        };
        let identity = match &place {
            Place::Here(_) => identity.to_owned(),
            Place::Behind(remote) => remote.identity(),
        };
        Ok(Self { place, answers: Answers::open(folder, identity)? })
    }

    /// Returns the price of the reader's tokens, where the configuration states it; in this process it is nothing.
    #[must_use]
    pub fn price(&self) -> Option<TokenPrice> {
        match &self.place {
            Place::Here(_) => Some(TokenPrice { input: 0.0, output: 0.0 }),
            Place::Behind(remote) => remote.price(),
        }
    }

    /// Returns the number of useful concurrent requests: one in this process, for it takes all cores.
    #[must_use]
    pub fn at_once(&self, wanted: usize) -> usize {
        match &self.place {
            Place::Here(_) => 1,
            Place::Behind(_) => wanted.max(1),
        }
    }

    /// Returns the reader's reply, which may come from the cache.
    ///
    /// # Errors
    /// It does not answer, or what it answers is none; the text says why. A failure is not kept.
    pub fn answer(&self, ask: &Ask) -> anyhow::Result<Reply> {
        let key = self.answers.key(ask);
        if let Some(known) = self.answers.get(&key) {
            return Ok(known);
        }
        let begin = Instant::now();
        let reply = match &self.place {
            Place::Here(engine) => here(engine, ask)?,
            Place::Behind(remote) => remote.answer(ask)?,
        };
        let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
        self.answers.put(key, Reply { milliseconds, ..reply })
    }
}

fn here(engine: &Engine, ask: &Ask) -> anyhow::Result<Reply> {
    let request = Generation {
        prompt: Prompt::Chat(ask.turns.clone()),
        max_tokens: Some(ask.max_tokens),
        sampling: Sampling::default(),
        stop: Vec::new(),
    };
    let mut text = String::new();
    let mut told = |part: GenerationEvent<'_>| {
        if let GenerationEvent::Text(part) = part {
            text.push_str(part);
        }
    };
    let written = engine.generate(&request, &mut told, &Cancel::never())?;
    let (input_tokens, output_tokens) = (written.input as u64, written.output as u64);
    Ok(Reply { text, input_tokens, output_tokens, milliseconds: 0.0 })
}

impl Ask {
    /// One question of a user.
    #[must_use]
    pub fn once(text: String, max_tokens: usize) -> Self {
        Self { turns: vec![Message { role: Role::User, text }], max_tokens }
    }
}

/// Answers that were given, in memory and on disk.
#[derive(Debug)]
struct Answers {
    identity: String,
    known: Mutex<HashMap<String, Reply>>,
    file: Mutex<JsonLines<Line>>,
}

/// A line of `answers.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The cache key of the request and the model: 64 hexadecimal digits.
    key: String,
    reply: Reply,
}

impl Answers {
    fn open(folder: &Path, identity: String) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (file, lines) = JsonLines::open(&folder.join("answers.jsonl"))?;
        let known = lines.into_iter().map(|Line { key, reply }| (key, reply)).collect();
        Ok(Self { identity, known: Mutex::new(known), file: Mutex::new(file) })
    }

    fn key(&self, ask: &Ask) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            // The length before each part keeps two different lists of parts from having the same bytes.
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(self.identity.as_bytes());
        part(&(ask.max_tokens as u64).to_le_bytes());
        for Message { role, text } in &ask.turns {
            part(role.name().as_bytes());
            part(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    fn get(&self, key: &str) -> Option<Reply> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, reply: Reply) -> anyhow::Result<Reply> {
        let line = Line { key, reply };
        let Line { key, reply } = self.file.lock().unwrap_or_else(PoisonError::into_inner).append(&line)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, reply.clone());
        Ok(reply)
    }
}
