//! The models, in this process or on other machines.

use super::section::{base_url, ensure, model, optional, section, threads, variable_name, within};
use super::{ConfigError, DAY_MS};
use crate::model::{Device, EmbedderKind, Precision, RerankerKind, ScorerKind};

section! {
    /// The model that scores tokens.
    #[derive(Eq)]
    ScorerConfig at "scorer." {
        /// The place that it runs in: `local`, in this process, or behind `scorer.url` on a server of vLLM (`vllm`) or `SGLang`
        /// (`sglang`) or of another `whittle`.
        kind: ScorerKind = ScorerKind::default();
        /// Name in the model manifest, or the path of a GGUF file. The tokenizer of a remote one is that of this file.
        model: String = "smollm2-135m-instruct".into(), model();
        /// Name, or path of the file, of an adapter that `whittle align` made: it is merged into the model's weights.
        adapter: Option<String> = None, optional(model());
        /// The device: `cpu`, or `cuda` or `metal` where the build has the feature of that name.
        device: Device = Device::default();
        /// Arithmetic of the matrix products; by default int8 on the CPU, where alone it exists, and else f32.
        precision: Precision = Precision::default();
        /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
        threads: Option<usize> = None, threads();
        /// Bytes of scores that are remembered; 0 remembers none.
        cache_bytes: u64 = 64 << 20;
        /// Bytes of keys and values that are kept of documents that a question was scored after, for the next question
        /// about them: about 12 KB a token in int8 and 46 in f32, with the default model. 0 keeps none.
        kv_cache_bytes: u64 = 128 << 20;
        /// Keeps all scores on disk too, else only those of documents that were ingested with `--score`. They are numbers
        /// by hashes, in `scores.redb` of the data folder.
        disk_cache: bool = false;
        /// Bytes of scores that are kept on disk, about.
        disk_cache_bytes: u64 = 1 << 30;
        /// The base URL of a remote one: for `vllm` as a client of OpenAI would be given it, `http://gpu-1:8000/v1`, and the
        /// server's root for the others.
        url: Option<String> = None, optional(base_url());
        /// Environment variable with the key that is sent to `scorer.url`; without it none is sent.
        api_key_env: Option<String> = None, optional(variable_name());
        /// Name that the server has for the model; by default that of `scorer.model`.
        served_model: Option<String> = None, optional(model());
        /// Texts of a request to the server, 1 to 1,024.
        batch: usize = 8, within(1..=1024);
        /// Requests to the server at once, 1 to 256.
        concurrency: usize = 4, within(1..=256);
        /// Milliseconds that the server has for an answer, 1 to a day.
        timeout_ms: u64 = 60_000, within(1..=DAY_MS);
        /// Further attempts after one that failed and may succeed later, 0 to 10.
        retries: usize = 2, within(0..=10);
    }
}

section! {
    /// The model that turns texts into vectors.
    #[derive(Eq)]
    EmbedderConfig at "embedder." {
        /// The place that it runs in: `local`, in this process, or behind `embedder.url` in the form of OpenAI (`openai`), of
        /// text-embeddings-inference (`tei`) or of another `whittle`.
        kind: EmbedderKind = EmbedderKind::default();
        /// Name in the model manifest, or the path of a folder with a model; `A+B` reads each text with both and takes the
        /// mean of their cosines. Of a remote one, the name that the server has for it.
        model: String = "all-minilm-l6-v2".into(), model();
        /// Arithmetic of the products with weights.
        precision: Precision = Precision::default();
        /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
        threads: Option<usize> = None, threads();
        /// Bytes of vectors that are remembered; 0 remembers none.
        cache_bytes: u64 = 64 << 20;
        /// Keeps vectors on disk too, so that a text is not read again after a restart. They are numbers by hashes, in
        /// `vectors.redb` of the data folder.
        disk_cache: bool = false;
        /// Bytes of vectors that are kept on disk, about.
        disk_cache_bytes: u64 = 1 << 30;
        /// The base URL of a remote one: `https://api.openai.com/v1` for `openai`, the server's root for the others.
        url: Option<String> = None, optional(base_url());
        /// Environment variable with the key that is sent to `embedder.url`; without it none is sent.
        api_key_env: Option<String> = None, optional(variable_name());
        /// Values of a vector, 2 to 65,536. A remote one must have so many, by default those of its first answer, and
        /// `openai` asks the server for them. Of a local one they are the first of the model's, scaled to length 1 again; by
        /// default all.
        dimensions: Option<usize> = None, optional(within(2..=65_536));
        /// Texts of a request to the server, 1 to 2,048.
        batch: usize = 32, within(1..=2048);
        /// Requests to the server at once, 1 to 256.
        concurrency: usize = 4, within(1..=256);
        /// Milliseconds that the server has for an answer, 1 to a day.
        timeout_ms: u64 = 30_000, within(1..=DAY_MS);
        /// Further attempts after one that failed and may succeed later, 0 to 10.
        retries: usize = 2, within(0..=10);
        /// Tokens, as they are counted here, of the longest text that is sent, at least 8; a longer one is sent in parts, whose
        /// vectors are averaged. By default what a server of `tei` says, and else no limit.
        max_tokens: Option<usize> = None, optional(within(8..=usize::MAX));
        /// Text that is put before each question for `local`, `openai` and `tei`, where the model was trained so. By default
        /// what the files of a local model say.
        query_prefix: String = String::new();
        /// Text that is put before each other text for `local`, `openai` and `tei`, where the model was trained so. By default
        /// what the files of a local model say.
        text_prefix: String = String::new();
        /// Name, in the model manifest, of a local model that ranks the texts of a request where the remote one cannot. It is
        /// never used for what lasts or leaves: collections, banks and `/v1/embeddings`.
        fallback: Option<String> = None, optional(model());
    }
}

section! {
    /// The model that tells which tokens to keep.
    #[derive(Eq)]
    ClassifierConfig at "classifier." {
        /// Name in the model manifest, or the path of a folder with a model.
        model: String = "llmlingua-2-bert-base-multilingual-cased-meetingbank".into(), model();
        /// The device, like `scorer.device`.
        device: Device = Device::default();
    }
}

section! {
    /// The model that reads a question and a text together, and puts in order anew what the embedder ranks highest.
    RerankerConfig at "reranker." {
        /// The place that it runs in: `local`, in this process, or behind `reranker.url` in the form of Cohere (`cohere`), of
        /// Jina (`jina`), of text-embeddings-inference (`tei`) or of another `whittle`.
        kind: RerankerKind = RerankerKind::default();
        /// Name in the model manifest, or the path of a folder with a cross-encoder or a context pruner. By default there is
        /// none, and the embedder alone ranks. Of a remote one, the name that the server has for it.
        model: Option<String> = None, optional(model());
        /// Arithmetic of the products with weights.
        precision: Precision = Precision::default();
        /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
        threads: Option<usize> = None, threads();
        /// Most tokens that it reads for one prompt that is compressed, 0 to 1,000,000: the best documents, and the best
        /// sentences. `/v1/rerank` and searches read all that they are given.
        most_tokens: usize = 8192, within(0..=1_000_000);
        /// The base URL of a remote one: `https://api.cohere.com/v2` for `cohere`, `https://api.jina.ai/v1` for `jina`, the
        /// server's root for the others.
        url: Option<String> = None, optional(base_url());
        /// Environment variable with the key that is sent to `reranker.url`; without it none is sent.
        api_key_env: Option<String> = None, optional(variable_name());
        /// Texts of a request to the server, 1 to 1,000.
        batch: usize = 32, within(1..=1000);
        /// Requests to the server at once, 1 to 256.
        concurrency: usize = 4, within(1..=256);
        /// Milliseconds that the server has for an answer, 1 to a day.
        timeout_ms: u64 = 30_000, within(1..=DAY_MS);
        /// Further attempts after one that failed and may succeed later, 0 to 10.
        retries: usize = 2, within(0..=10);
        /// Tokens, as they are counted here, of a question and the longest text that is sent with it, at least 8; a longer text
        /// is sent in parts, of which the best counts. By default what a server of `tei` says, 3,000 for `cohere`, and else no
        /// limit.
        max_tokens: Option<usize> = None, optional(within(8..=usize::MAX));
        /// Name in the model manifest, or the path, of a local reranker that ranks where the remote one cannot.
        fallback: Option<String> = None, optional(model());
    }
}

section! {
    /// The model of the method `prune`.
    PrunerConfig at "pruner." {
        /// Name in the model manifest, or the path of a folder with a context pruner in the form of `OpenProvence`. By default
        /// there is none, and the method is refused.
        model: Option<String> = None, optional(model());
        /// Arithmetic of the products with weights.
        precision: Precision = Precision::default();
        /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
        threads: Option<usize> = None, threads();
        /// The mean keep probability, 0 to 1, from which on a sentence is kept; by default what the model says.
        threshold: Option<f64> = None, optional(within(0.0..=1.0));
    }
}

section! {
    /// The model that answers in this process: the one that scores, under the name `local/` with the scorer's behind it.
    #[derive(Copy, Eq)]
    LocalConfig at "local." {
        /// Whether the model answers requests. Where it does not, `local/...` is a name of upstreams' models like any
        /// other.
        enabled: bool = true;
    }
}

impl ScorerConfig {
    /// Has nothing remembered of earlier calls, in memory or on disk.
    pub fn forget(&mut self) {
        (self.cache_bytes, self.kv_cache_bytes, self.disk_cache) = (0, 0, false);
    }

    /// Returns the name that a remote server has for the model.
    #[must_use]
    pub fn served(&self) -> &str {
        self.served_model.as_deref().unwrap_or(&self.model)
    }

    pub(super) fn check_device(&self) -> Result<(), ConfigError> {
        let wanted = || format!("`f32` on {}, or left out: int8 is for the CPU alone", self.device.name());
        let runs = self.device == Device::Cpu || self.precision != Precision::Int8;
        ensure(runs, "scorer.precision", &self.precision.name(), wanted)
    }

    pub(super) fn check_remote(&self) -> Result<(), ConfigError> {
        let is_local = self.kind == ScorerKind::Local;
        check_url(is_local, ["scorer.kind", "scorer.url"], self.kind.name(), self.url.as_ref())
    }
}

impl EmbedderConfig {
    pub(super) fn check_remote(&self) -> Result<(), ConfigError> {
        let is_local = self.kind == EmbedderKind::Local;
        check_url(is_local, ["embedder.kind", "embedder.url"], self.kind.name(), self.url.as_ref())?;
        let wanted = || "left out: a local embedder needs none to take its place".into();
        let fallback = self.fallback.as_deref().unwrap_or_default();
        ensure(!is_local || self.fallback.is_none(), "embedder.fallback", &fallback, wanted)?;
        // Another whittle knows what its model was trained with.
        let is_whittle = self.kind == EmbedderKind::Whittle;
        for (key, prefix) in
            [("embedder.query_prefix", &self.query_prefix), ("embedder.text_prefix", &self.text_prefix)]
        {
            let taken = prefix.is_empty() || !is_whittle;
            ensure(taken, key, prefix, || "left out, where `embedder.kind` is `whittle`".into())?;
        }
        Ok(())
    }
}

impl RerankerConfig {
    pub(super) fn check_remote(&self) -> Result<(), ConfigError> {
        let is_local = self.kind == RerankerKind::Local;
        check_url(is_local, ["reranker.kind", "reranker.url"], self.kind.name(), self.url.as_ref())?;
        let wanted =
            || format!("the server's name of the model, for `reranker.kind` is `{}`", self.kind.name());
        ensure(is_local || self.model.is_some(), "reranker.model", &"left out", wanted)?;
        let wanted = || "left out: a local reranker needs none to take its place".into();
        let fallback = self.fallback.as_deref().unwrap_or_default();
        ensure(!is_local || self.fallback.is_none(), "reranker.fallback", &fallback, wanted)
    }
}

/// Checks that a URL is given where it is needed, and nowhere else: a forgotten `kind` would keep the model here.
fn check_url(
    is_local: bool,
    [kind_key, url_key]: [&'static str; 2],
    kind: &str,
    url: Option<&String>,
) -> Result<(), ConfigError> {
    let wanted = || format!("a remote one where `{url_key}` is set, or leave that out");
    ensure(!is_local || url.is_none(), kind_key, &kind, wanted)?;
    ensure(is_local || url.is_some(), url_key, &"left out", || {
        format!("the base URL of the server, for `{kind_key}` is `{kind}`")
    })
}
