//! Writing, token by token, on the model that scores.

use rayon::ThreadPool;

use super::causal::{CausalModel, KvCache, Sequence};
use super::sample::Sampler;
use super::scorer::LocalScorer;
use crate::model::{Cancel, ChatError, Continuation, Prompt, ScoreError, TokenGenerator};

/// Tokens of a prompt that are run at a time: other callers get their turn between them.
const PREFILL_TOKENS: usize = 512;

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

    /// Each token takes its turn on the model's threads, between what is scored and what others write.
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
        let mut cache = prefill(&*self.llama, &self.pool, (known, PREFILL_TOKENS), cancel)?;
        let mut sampler = Sampler::new(sampling);
        let (mut id, mut logits) = (last, Vec::new());
        for _ in 0..max_tokens {
            cancel.check()?;
            self.pool.install(|| self.llama.step(id, &mut cache, &mut logits))?;
            id = sampler.pick(&logits)?;
            if self.chat_template.ends_generation(id) {
                return Ok(true);
            }
            if !each(self.tokenizer.bytes(id)) {
                break;
            }
        }
        Ok(false)
    }
}

/// Returns keys and values of `ids`, of which `at_once` are run at a time.
pub(super) fn prefill(
    llama: &dyn CausalModel,
    pool: &ThreadPool,
    (ids, at_once): (&[u32], usize),
    cancel: &Cancel,
) -> Result<KvCache, ScoreError> {
    let mut cache = KvCache::new(llama.config());
    for ids in ids.chunks(at_once) {
        let past = (cache.len() > 0).then_some(&cache);
        // No likelihood is wanted.
        let sequence = Sequence { ids, past, scored_from: ids.len(), kept: ids.len() };
        let part = pool.install(|| llama.forward_one(sequence, cancel))?.kept;
        cache.append(&part);
    }
    Ok(cache)
}
