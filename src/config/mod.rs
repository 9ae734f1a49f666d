//! Configuration: file, then environment, then flags; strict about names.
//!
//! What is written (`raw`) is read and layered ([`load()`]), then checked once: a [`Config`] that exists is valid.

mod load;
mod price;
mod proxy;
mod raw;
#[cfg(test)]
mod tests;
mod tool_results;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::model::{Device, Precision};
pub use load::{Env, Flags, Loaded, Places, ProcessEnv, load};
pub use price::{Pattern, Price};
pub use proxy::{CompressPolicy, ProxyConfig, RetrievePolicy, ShadowPolicy, UpstreamConfig};
use raw::{RawClassifier, RawConfig, RawEmbedder, RawLimits, RawScorer};
pub use tool_results::ToolResults;

/// A valid configuration. As TOML it is a file that loads to the same configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Address that the service listens on.
    pub listen: SocketAddr,
    /// Whether `listen` may be reachable from other machines.
    pub allow_remote: bool,
    /// The model that scores tokens.
    pub scorer: ScorerConfig,
    /// The model that turns texts into vectors.
    pub embedder: EmbedderConfig,
    /// The model that tells which tokens to keep.
    pub classifier: ClassifierConfig,
    /// The model that answers in this process.
    pub local: LocalConfig,
    /// The limits on one request, and on all of them together.
    pub limits: Limits,
    /// The configuration of access by keys.
    pub keys: KeysConfig,
    /// The configuration of the proxy.
    pub proxy: ProxyConfig,
    /// The APIs behind the proxy, each with another name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamConfig>,
}

/// The model that scores tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScorerConfig {
    /// Name in the model manifest.
    pub model: String,
    /// The device: `cpu`, or `cuda` or `metal` where the build has the feature of that name.
    pub device: Device,
    /// Arithmetic of the matrix products; by default int8 on the CPU, where alone it exists, and else f32.
    pub precision: Precision,
    /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Bytes of scores that are remembered; 0 remembers none.
    pub cache_bytes: u64,
    /// Bytes of keys and values that are kept of documents that a question was scored after, for the next question
    /// about them: about 12 KB a token in int8 and 46 in f32, with the default model. 0 keeps none.
    pub kv_cache_bytes: u64,
    /// Are all scores kept on disk too? Else those of documents that were ingested with `--score`. They are numbers
    /// by hashes, in `scores.redb` of the data folder.
    pub disk_cache: bool,
    /// Bytes of scores that are kept on disk, about.
    pub disk_cache_bytes: u64,
}

/// The model that turns texts into vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbedderConfig {
    /// Name in the model manifest.
    pub model: String,
    /// Threads that compute, 1 to 1,024; by default as many as the machine has physical cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Bytes of vectors that are remembered; 0 remembers none.
    pub cache_bytes: u64,
}

/// The model that tells which tokens to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassifierConfig {
    /// Name in the model manifest.
    pub model: String,
    /// The device, as [`ScorerConfig::device`].
    pub device: Device,
}

/// The model that answers in this process: the one that scores, under the name `local/` with the scorer's behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LocalConfig {
    /// Whether the model answers requests. Where it does not, `local/...` is a name of upstreams' models like any
    /// other.
    pub enabled: bool,
}

/// The limits on one request, and on all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Most bytes of a request's body, 1 to 1 GiB.
    pub body_bytes: usize,
    /// Most bytes of a snapshot that is restored, 1 to 1 TiB.
    pub snapshot_bytes: u64,
    /// Most documents of a request, at least 1.
    pub documents: usize,
    /// Most tokens of a prompt before compression, at least 1.
    pub tokens: usize,
    /// Milliseconds after which a request is given up, 1 to a day.
    pub deadline_ms: u64,
    /// The number of jobs that run at once in the whole process, whatever route they came by, 1 to 256.
    pub concurrency: usize,
    /// Requests that may wait for their turn, 0 to 100,000; more are turned away.
    pub queue: usize,
}

/// The configuration of access by keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeysConfig {
    /// Whether a key is required even where none exists yet. Without it, keys are required from the first one on.
    pub required: bool,
}

impl Limits {
    /// [`Limits::deadline_ms`] as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            snapshot_bytes: 8 << 30,
            documents: 10_000,
            tokens: 1_000_000,
            deadline_ms: 120_000,
            concurrency: 4,
            queue: 64,
        }
    }
}

impl ScorerConfig {
    /// Has nothing remembered of earlier calls, in memory or on disk.
    pub fn forget(&mut self) {
        (self.cache_bytes, self.kv_cache_bytes, self.disk_cache) = (0, 0, false);
    }
}

impl Default for ScorerConfig {
    fn default() -> Self {
        Self {
            model: "smollm2-135m-instruct".into(),
            device: Device::default(),
            precision: Precision::default(),
            threads: None,
            cache_bytes: 64 << 20,
            kv_cache_bytes: 128 << 20,
            disk_cache: false,
            disk_cache_bytes: 1 << 30,
        }
    }
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for EmbedderConfig {
    fn default() -> Self {
        Self { model: "all-minilm-l6-v2".into(), threads: None, cache_bytes: 64 << 20 }
    }
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self {
            model: "llmlingua-2-bert-base-multilingual-cased-meetingbank".into(),
            device: Device::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)),
            allow_remote: false,
            scorer: ScorerConfig::default(),
            embedder: EmbedderConfig::default(),
            classifier: ClassifierConfig::default(),
            local: LocalConfig::default(),
            limits: Limits::default(),
            keys: KeysConfig::default(),
            proxy: ProxyConfig::default(),
            upstreams: Vec::new(),
        }
    }
}

/// The folder that data is kept in: `WHITTLE_DATA_DIR`, else `indexes/data` where the working folder has a folder
/// `indexes`, as a checkout has, else `whittle` in the platform's folder for data.
#[must_use]
pub fn data_dir(env: &dyn Env) -> PathBuf {
    if let Some(set) = env.get("WHITTLE_DATA_DIR").filter(|value| !value.is_empty()) {
        return set.into();
    }
    let beside = PathBuf::from("indexes");
    match dirs::data_dir() {
        Some(platform) if !beside.is_dir() => platform.join("whittle"),
        _ => beside.join("data"),
    }
}

/// An error of loading the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or value that whittle does not know.
    #[error("in the configuration file {}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's error with its position; names the keys that exist.
        source: Box<toml::de::Error>,
    },
    /// An environment variable cannot be understood.
    #[error("the environment variable {name} is `{value}`: {reason}")]
    Variable {
        /// The name of the variable.
        name: &'static str,
        /// The given value.
        value: String,
        /// The description of the fault.
        reason: String,
    },
    /// A value is out of its range.
    #[error("`{key}` is {value}, but must be {wanted}")]
    Invalid {
        /// The key, such as `limits.queue`.
        key: &'static str,
        /// The given value.
        value: String,
        /// The values that are valid.
        wanted: String,
    },
    /// An upstream is described wrongly.
    #[error("in the upstream `{name}`: {reason}")]
    Upstream {
        /// The name of the setting.
        name: String,
        /// The description of the fault and of valid values.
        reason: String,
    },
    /// The address is reachable from other machines, and nobody said that it may be.
    #[error(
        "`listen` is {0}, which other machines can reach: listen on 127.0.0.1, write `keys.required = true` \
         (WHITTLE_KEYS_REQUIRED=true) so that nobody calls without a key, or `allow_remote = true` \
         (WHITTLE_ALLOW_REMOTE=true) if what stands in front of it decides who may call"
    )]
    Remote(SocketAddr),
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let default = Self::default();
        let listen = raw.listen.unwrap_or(default.listen);
        let allow_remote = raw.allow_remote.unwrap_or(default.allow_remote);
        let keys = KeysConfig { required: raw.keys.required.unwrap_or(default.keys.required) };
        let config = Self {
            listen,
            allow_remote,
            scorer: raw.scorer.try_into()?,
            embedder: raw.embedder.try_into()?,
            classifier: raw.classifier.try_into()?,
            local: LocalConfig { enabled: raw.local.enabled.unwrap_or(default.local.enabled) },
            limits: raw.limits.try_into()?,
            keys,
            proxy: raw.proxy.try_into()?,
            upstreams: proxy::upstreams(raw.upstreams)?,
        };
        config.check_listening(listen)?;
        Ok(config)
    }
}

impl Config {
    /// Checks that a service with this configuration may listen on `address`, which a running one cannot change.
    ///
    /// # Errors
    /// [`ConfigError::Remote`].
    pub fn check_listening(&self, address: SocketAddr) -> Result<(), ConfigError> {
        // `::ffff:127.0.0.1` is loopback too, but only once it is read as the IPv4 address that it is.
        let safe = self.allow_remote || self.keys.required || address.ip().to_canonical().is_loopback();
        if safe { Ok(()) } else { Err(ConfigError::Remote(address)) }
    }
}

impl TryFrom<RawScorer> for ScorerConfig {
    type Error = ConfigError;

    fn try_from(raw: RawScorer) -> Result<Self, ConfigError> {
        let default = Self::default();
        let model = model_name("scorer.model", raw.model.unwrap_or(default.model))?;
        let threads = raw.threads.map(|threads| within("scorer.threads", threads, 1..=1024)).transpose()?;
        let device = raw.device.unwrap_or(default.device);
        let precision = raw.precision.unwrap_or_else(|| device.default_precision());
        if device != Device::Cpu && precision == Precision::Int8 {
            let wanted = format!("`f32` on {}, or left out: int8 is for the CPU alone", device.name());
            return Err(ConfigError::Invalid { key: "scorer.precision", value: "int8".into(), wanted });
        }
        Ok(Self {
            model,
            device,
            precision,
            threads,
            cache_bytes: raw.cache_bytes.unwrap_or(default.cache_bytes),
            kv_cache_bytes: raw.kv_cache_bytes.unwrap_or(default.kv_cache_bytes),
            disk_cache: raw.disk_cache.unwrap_or(default.disk_cache),
            disk_cache_bytes: raw.disk_cache_bytes.unwrap_or(default.disk_cache_bytes),
        })
    }
}

impl TryFrom<RawEmbedder> for EmbedderConfig {
    type Error = ConfigError;

    fn try_from(raw: RawEmbedder) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            model: model_name("embedder.model", raw.model.unwrap_or(default.model))?,
            threads: raw.threads.map(|threads| within("embedder.threads", threads, 1..=1024)).transpose()?,
            cache_bytes: raw.cache_bytes.unwrap_or(default.cache_bytes),
        })
    }
}

impl TryFrom<RawClassifier> for ClassifierConfig {
    type Error = ConfigError;

    fn try_from(raw: RawClassifier) -> Result<Self, ConfigError> {
        let default = Self::default();
        Ok(Self {
            model: model_name("classifier.model", raw.model.unwrap_or(default.model))?,
            device: raw.device.unwrap_or(default.device),
        })
    }
}

fn model_name(key: &'static str, name: String) -> Result<String, ConfigError> {
    if name.trim().is_empty() {
        let (value, wanted) = ("empty".into(), "the name of a model, see `whittle models list`".into());
        return Err(ConfigError::Invalid { key, value, wanted });
    }
    Ok(name)
}

impl TryFrom<RawLimits> for Limits {
    type Error = ConfigError;

    fn try_from(raw: RawLimits) -> Result<Self, ConfigError> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let default = Self::default();
        let snapshot_bytes = raw.snapshot_bytes.unwrap_or(default.snapshot_bytes);
        let documents = raw.documents.unwrap_or(default.documents);
        let deadline_ms = raw.deadline_ms.unwrap_or(default.deadline_ms);
        let concurrency = raw.concurrency.unwrap_or(default.concurrency);
        Ok(Self {
            body_bytes: within(
                "limits.body_bytes",
                raw.body_bytes.unwrap_or(default.body_bytes),
                1..=1 << 30,
            )?,
            snapshot_bytes: within("limits.snapshot_bytes", snapshot_bytes, 1..=1 << 40)?,
            documents: within("limits.documents", documents, 1..=usize::MAX)?,
            tokens: within("limits.tokens", raw.tokens.unwrap_or(default.tokens), 1..=usize::MAX)?,
            deadline_ms: within("limits.deadline_ms", deadline_ms, 1..=DAY_MS)?,
            // Each has a thread of its own while it is worked on.
            concurrency: within("limits.concurrency", concurrency, 1..=256)?,
            queue: within("limits.queue", raw.queue.unwrap_or(default.queue), 0..=100_000)?,
        })
    }
}

fn within<T>(key: &'static str, value: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
where
    T: PartialOrd + fmt::Display,
{
    if range.contains(&value) {
        return Ok(value);
    }
    let wanted = format!("from {} to {}", range.start(), range.end());
    Err(ConfigError::Invalid { key, value: value.to_string(), wanted })
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "metal" => Ok(Self::Metal),
            _ => Err("expected `cpu`, `cuda` or `metal`".into()),
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "int8" => Ok(Self::Int8),
            _ => Err("expected `f32` or `int8`".into()),
        }
    }
}
