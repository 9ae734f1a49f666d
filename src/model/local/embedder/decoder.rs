//! [`Embedder`] on a decoder in this process: the vector of a text is that of the last token, scaled to length 1.

use std::path::Path;
use std::sync::Arc;

use parking_lot::FairMutex;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::head::Prefixes;
use super::{EmbedderOptions, LongText, TURN_TOKENS, pool_of, unit};
use crate::kernels::Isa;
use crate::model::local::causal::{CausalModel, Sequence};
use crate::model::local::encoder::{Sequence as Ids, groups};
use crate::model::local::error::LoadError;
use crate::model::local::family::Family;
use crate::model::local::gguf::GgufFile;
use crate::model::local::load::{Loaded, load};
use crate::model::local::tokenizer::GgufTokenizer;
use crate::model::{Cancel, Device, Embedder, ScoreError};

/// The number that the format has for pooling by the last token.
const LAST: u32 = 3;

/// A decoder in a GGUF file that says how it embeds, with its own threads.
pub struct DecoderEmbedder {
    name: String,
    tokenizer: GgufTokenizer,
    model: Arc<dyn CausalModel>,
    pool: ThreadPool,
    /// The lock that gives the threads to one call at a time.
    turn: FairMutex<()>,
    /// The tokens that open and close a text, where the file asks for them.
    ends: [Option<u32>; 2],
    window: usize,
    long: LongText,
    prefixes: Prefixes,
    dimensions: usize,
}

impl std::fmt::Debug for DecoderEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecoderEmbedder")
            .field("name", &self.name)
            .field("window", &self.window)
            .field("long", &self.long)
            .finish_non_exhaustive()
    }
}

impl DecoderEmbedder {
    /// Loads a GGUF file whose `pooling_type` is the last token.
    ///
    /// # Errors
    /// The file cannot be read, describes a model that this build does not run, or one that does not embed so; or no
    /// thread could be started.
    pub fn load(name: &str, path: &Path, options: &EmbedderOptions) -> Result<Self, LoadError> {
        let eos = closing_token(path)?;
        let pool = pool_of(options).map_err(LoadError::Threads)?;
        let loaded = pool.install(|| load(path, Device::Cpu, options.precision, options.window))?;
        let Loaded { llama: model, tokenizer, bos, .. } = loaded;
        let config = model.config();
        let wrong = |reason: String| Err(LoadError::Configuration(reason));
        let ends = [bos, eos];
        if ends.iter().flatten().any(|&id| id as usize >= config.vocabulary) {
            return wrong("a token that opens or closes texts is beyond the vocabulary".into());
        }
        if ends == [None; 2] {
            return wrong("no token opens or closes a text, so that an empty one has none".into());
        }
        let dimensions = options.dimensions.unwrap_or(config.width);
        if !(1..=config.width).contains(&dimensions) {
            return wrong(format!("it has no {dimensions} dimensions, but 1 to {}", config.width));
        }
        Ok(Self {
            name: name.to_owned(),
            window: options.window.max(8).min(config.context),
            tokenizer,
            model,
            pool,
            turn: FairMutex::default(),
            ends,
            long: options.long,
            prefixes: Prefixes::default().replaced(options),
            dimensions,
        })
    }

    /// The token ids that are run for `text`, window by window, with those that open and close it.
    ///
    /// # Errors
    /// [`ScoreError::Stopped`] when `cancel` says so.
    pub fn windows(&self, text: &str, cancel: &Cancel) -> Result<Vec<Vec<u32>>, ScoreError> {
        cancel.check()?;
        let [bos, eos] = self.ends;
        let ids: Vec<u32> = self.tokenizer.encode(text).iter().map(|token| token.id).collect();
        let room = self.window - self.ends.iter().flatten().count();
        let closed = |ids: &[u32]| bos.iter().chain(ids).chain(&eos).copied().collect::<Vec<u32>>();
        if self.long == LongText::Truncate {
            return Ok(vec![closed(&ids[..ids.len().min(room)])]);
        }
        let count = ids.len().div_ceil(room).max(1);
        let part = |i: usize| &ids[i * ids.len() / count..(i + 1) * ids.len() / count];
        Ok((0..count).map(|i| closed(part(i))).collect())
    }

    /// The vectors of texts, each read after `prefix`.
    fn embed_after(
        &self,
        prefix: &str,
        texts: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, ScoreError> {
        let read = |text: &&str| self.windows(&format!("{prefix}{text}"), cancel);
        let windows: Vec<Vec<Vec<u32>>> =
            self.pool.install(|| texts.par_iter().map(read).collect::<Result<_, _>>())?;
        let all: Vec<Ids> = windows.iter().flatten().map(|ids| Ids::of(ids)).collect();
        let tokens = |part: &[Ids]| part.iter().map(Ids::len).sum();
        cancel.will_read(tokens(&all));
        let mut rows = Vec::with_capacity(all.len());
        for part in groups(&all, TURN_TOKENS) {
            let sequences: Vec<Sequence> = part.iter().map(whole).collect();
            let _turn = self.turn.lock();
            rows.extend(self.pool.install(|| self.model.last_rows(&sequences, cancel))?);
            cancel.has_read(tokens(part));
        }
        let (isa, mut rows) = (Isa::detect(), rows.into_iter());
        windows.iter().map(|windows| unit(isa, rows.by_ref().take(windows.len()), self.dimensions)).collect()
    }
}

/// A sequence of which only the last row is wanted.
fn whole<'a>(part: &Ids<'a>) -> Sequence<'a> {
    Sequence { ids: part.ids, past: None, scored_from: part.len(), kept: 0 }
}

/// Returns the token that closes each text, where the file asks for one, of a file that embeds by its last token.
fn closing_token(path: &Path) -> Result<Option<u32>, LoadError> {
    const WANTED: &str = "tokenizer.ggml.add_eos_token";
    let file = GgufFile::open(path)?;
    let key = Family::of(&file)?.key("pooling_type");
    if !file.has(&key) {
        return Err(LoadError::Configuration(format!("it has no `{key}`, so that it does not embed")));
    }
    let pooling = file.u32(&key)?;
    if pooling != LAST {
        let reason = format!("`{key}` is {pooling}: this build knows {LAST}, the last token");
        return Err(LoadError::Configuration(reason));
    }
    let is_wanted = file.has(WANTED) && file.flag(WANTED)?;
    Ok(is_wanted.then(|| file.u32("tokenizer.ggml.eos_token_id")).transpose()?)
}

impl Embedder for DecoderEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn count(&self, text: &str, cancel: &Cancel) -> Result<usize, ScoreError> {
        cancel.check()?;
        Ok(self.tokenizer.encode(text).len())
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        self.embed_after(&self.prefixes.passage, texts, cancel)
    }

    fn embed_query(&self, query: &str, cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        Ok(self.embed_after(&self.prefixes.query, &[query], cancel)?.pop().unwrap_or_default())
    }
}
