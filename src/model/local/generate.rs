//! Generation, token by token, on the model that scores.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use super::causal::{CausalModel, KvCache, Sequence};
use super::chat_template::ChatTemplate;
use super::sample::Sampler;
use super::scorer::LocalScorer;
use super::worker::{Turns, panicked};
use crate::model::{Cancel, ChatError, Continuation, Prompt, ScoreError, TokenGenerator};

/// Tokens of a prompt that are run in one turn: other callers get theirs between them.
const PREFILL_TOKENS: usize = 512;
/// Tokens of an answer that are written in one turn. They take about as long as a batch of scoring does, so that the
/// two share the machine evenly.
const STEPS: usize = 16;

impl TokenGenerator for LocalScorer {
    fn context(&self) -> usize {
        self.llama.config().context
    }

    fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, ChatError> {
        match prompt {
            Prompt::Chat(turns) => self.chat_template.conversation(turns, &self.tokenizer),
            Prompt::Text(text) => Ok(self.chat_template.text(text, &self.tokenizer)),
        }
    }

    /// The answer is written on the model's thread, in turns with what is scored and what others write.
    fn generate(
        &self,
        continuation: &Continuation<'_>,
        each: &mut dyn FnMut(&[u8]) -> bool,
        cancel: &Cancel,
    ) -> Result<bool, ScoreError> {
        let Continuation { prompt, max_tokens, sampling } = *continuation;
        let Some((&last, known)) = prompt.split_last() else {
            return Err(ScoreError::Model("there is nothing that an answer could follow".into()));
        };
        let context = self.llama.config().context;
        if prompt.len() + max_tokens > context {
            return Err(ScoreError::Model(format!("its context of {context} tokens is too short")));
        }
        let (events, answer) = channel();
        let prefill = Prefill::new(known.to_vec(), PREFILL_TOKENS, &*self.llama);
        let sampler = Sampler::new(sampling);
        self.worker.take_turns(Generating {
            prefill,
            id: last,
            left: max_tokens,
            sampler,
            logits: Vec::new(),
            template: Arc::clone(&self.chat_template),
            events,
            cancel: cancel.clone(),
        })?;
        loop {
            match answer.recv().map_err(|_| panicked())?? {
                // Without a receiver the worker stops writing.
                Event::Token(id) if !each(self.tokenizer.bytes(id)) => return Ok(false),
                Event::Token(_) => {}
                Event::Over { ended } => return Ok(ended),
            }
        }
    }
}

/// A message to the caller that waits for an answer.
enum Event {
    Token(u32),
    /// Nothing follows; `ended` where the model itself ended the answer.
    Over {
        ended: bool,
    },
}

/// An answer that is being written.
struct Generating {
    prefill: Prefill,
    /// The token to run next.
    id: u32,
    /// Tokens that may yet be written.
    left: usize,
    sampler: Sampler,
    logits: Vec<f32>,
    template: Arc<ChatTemplate>,
    events: Sender<Result<Event, ScoreError>>,
    cancel: Cancel,
}

impl Generating {
    /// Writes some tokens; returns whether the answer goes on.
    fn steps(&mut self, model: &dyn CausalModel) -> Result<bool, ScoreError> {
        for _ in 0..STEPS {
            self.cancel.check()?;
            if self.left == 0 {
                self.tell(Event::Over { ended: false });
                return Ok(false);
            }
            model.step(self.id, &mut self.prefill.cache, &mut self.logits)?;
            self.id = self.sampler.pick(&self.logits)?;
            self.left -= 1;
            let ended = self.template.ends_generation(self.id);
            let heard = self.tell(if ended { Event::Over { ended } } else { Event::Token(self.id) });
            if ended || !heard {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether somebody still listens.
    fn tell(&self, event: Event) -> bool {
        self.events.send(Ok(event)).is_ok()
    }
}

impl Turns for Generating {
    fn advance(&mut self, model: &dyn CausalModel) -> bool {
        let goes_on = match self.prefill.advance(model, &self.cancel) {
            Ok(true) => Ok(true),
            Ok(false) => self.steps(model),
            Err(error) => Err(error),
        };
        goes_on.unwrap_or_else(|error| {
            // The caller may be gone; then nobody reads it.
            self.events.send(Err(error)).ok();
            false
        })
    }
}

/// Keys and values of a prompt, some tokens of it at a time.
pub(super) struct Prefill {
    ids: Vec<u32>,
    at_once: usize,
    pub(super) cache: KvCache,
}

impl Prefill {
    pub(super) fn new(ids: Vec<u32>, at_once: usize, model: &dyn CausalModel) -> Self {
        Self { ids, at_once, cache: KvCache::new(model.config()) }
    }

    /// Runs the next tokens; returns whether there were any.
    pub(super) fn advance(&mut self, model: &dyn CausalModel, cancel: &Cancel) -> Result<bool, ScoreError> {
        // Once all of it is there, the answer grows behind it.
        let done = self.cache.len().min(self.ids.len());
        let ids = &self.ids[done..self.ids.len().min(done + self.at_once)];
        if ids.is_empty() {
            return Ok(false);
        }
        let past = (done > 0).then_some(&self.cache);
        // No likelihood is wanted.
        let sequence = Sequence { ids, past, scored_from: ids.len(), kept: ids.len() };
        let part = model.forward_one(sequence, cancel)?.kept;
        self.cache.append(&part);
        Ok(true)
    }
}
