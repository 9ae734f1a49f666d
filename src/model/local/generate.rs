//! Writing, token by token, on the model that scores.

use super::causal::{KvCache, Sequence};
use super::chat::ChatError;
use super::sample::Sampler;
use super::scorer::LocalScorer;
use crate::model::{Cancel, Prompt, Sampling, ScoreError};

/// The settings of one generated answer.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// Tokens that it follows, at least one; with `most` at most the model's context.
    pub prompt: &'a [u32],
    /// Most tokens of the answer.
    pub most: usize,
    /// The sampling parameters.
    pub sampling: Sampling,
}

impl LocalScorer {
    /// The tokens of a prompt.
    ///
    /// # Errors
    /// The model's chat template cannot be used for it.
    pub fn prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, ChatError> {
        match prompt {
            Prompt::Chat(turns) => self.chat.conversation(turns, &self.tokenizer),
            Prompt::Text(text) => Ok(self.chat.text(text, &self.tokenizer)),
        }
    }

    /// Writes an answer: `each` gets the bytes of every token, which may end inside a character, and says whether to
    /// go on. Gives whether the model itself ended the answer.
    ///
    /// Each token takes its turn on the model's threads, between what is scored and what others write.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so, between two tokens or layers; else a fault of the model.
    pub fn write(
        &self,
        writing: &Writing,
        each: &mut dyn FnMut(&[u8]) -> bool,
        cancel: &Cancel,
    ) -> Result<bool, ScoreError> {
        let Some((&last, known)) = writing.prompt.split_last() else {
            return Err(ScoreError::Model("there is nothing that an answer could follow".into()));
        };
        let context = self.llama.config().context;
        if writing.prompt.len() + writing.most > context {
            return Err(ScoreError::Model(format!("its context of {context} tokens is too short")));
        }
        let mut cache = self.cache_of(known, cancel)?;
        let mut sampler = Sampler::new(writing.sampling);
        let (mut id, mut logits) = (last, Vec::new());
        for _ in 0..writing.most {
            cancel.check()?;
            self.pool.install(|| self.llama.step(id, &mut cache, &mut logits))?;
            id = sampler.pick(&logits)?;
            if self.chat.ends(id) {
                return Ok(true);
            }
            if !each(self.tokenizer.bytes(id)) {
                break;
            }
        }
        Ok(false)
    }

    /// Keys and values of `ids`, computed together.
    fn cache_of(&self, ids: &[u32], cancel: &Cancel) -> Result<KvCache, ScoreError> {
        if ids.is_empty() {
            return Ok(KvCache::new(self.llama.config()));
        }
        // No likelihood is wanted.
        let sequence = Sequence { ids, past: None, scored_from: ids.len(), kept: ids.len() };
        Ok(self.pass(sequence, cancel)?.kept)
    }
}
