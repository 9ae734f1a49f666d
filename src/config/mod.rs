//! Configuration: file, then environment, then flags; strict about names.
//!
//! Each key is defined once, in a `section!` here, in `models` or in `proxy`: its name, type, default and bounds, and what
//! it means. The layers are put over each other as TOML ([`load()`]) and checked once: a [`Config`] that was loaded is
//! valid.

mod data;
mod load;
mod models;
mod price;
mod proxy;
mod section;
mod shared;
mod shared_kind;
mod store;
mod store_kind;
#[cfg(test)]
mod tests;
mod tool_results;
mod variables;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use crate::environment::{Env, ProcessEnv};
pub use data::data_dir;
pub use load::{Flags, Loaded, Places, check_variables, load};
pub use models::{ClassifierConfig, EmbedderConfig, LocalConfig, PrunerConfig, RerankerConfig, ScorerConfig};
pub use price::{Pattern, Price};
pub use proxy::{CompressPolicy, ProxyConfig, RecallPolicy, RetrievePolicy, ShadowPolicy, UpstreamConfig};
pub use section::{Key, ListKey};
use section::{Section, ensure, host_names, section, within};
pub use shared::SharedConfig;
pub use shared_kind::{SharedKind, WhenAway};
pub use store::{DatabaseServer, StoreConfig};
pub use store_kind::StoreKind;
pub use tool_results::ToolResults;
pub use variables::OTHER_VARIABLES;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

section! {
    /// A configuration; one that was loaded is valid. As TOML it is a file that loads to the same configuration.
    Config at "" {
        /// Address and port that the service listens on; port 0 chooses a free one.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8787));
        /// Whether `listen` may be reachable from other machines.
        allow_remote: bool = false;
        /// Host names that the service is also reached under, such as that of a proxy in front of it; `localhost` and
        /// loopback addresses are always allowed. A request for another host, or from a page of one, gets 403, unless keys
        /// are needed and other machines can reach `listen`: then any host may be called.
        hosts: Vec<String> = Vec::new(), host_names();
    }
    sections {
        /// The model that scores tokens.
        scorer: ScorerConfig;
        /// The model that turns texts into vectors.
        embedder: EmbedderConfig;
        /// The model that tells which tokens to keep.
        classifier: ClassifierConfig;
        /// The model that puts in order anew what the embedder ranks highest.
        reranker: RerankerConfig;
        /// The model of the method `prune`.
        pruner: PrunerConfig;
        /// The model that answers in this process.
        local: LocalConfig;
        /// The limits on one request, and on all of them together.
        limits: Limits;
        /// The configuration of access by keys.
        keys: KeysConfig;
        /// The configuration of the state that several replicas share.
        shared: SharedConfig;
        /// The configuration of what keeps collections.
        store: StoreConfig;
        /// The configuration of the MCP server.
        mcp: McpConfig;
        /// The configuration of the page for people.
        page: PageConfig;
        /// The configuration of the proxy.
        proxy: ProxyConfig;
        /// The APIs behind the proxy, each with another name.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        upstreams: Vec<UpstreamConfig>;
    }
}

section! {
    /// The limits on one request, and on all of them together.
    #[derive(Copy, Eq)]
    Limits at "limits." {
        /// Most bytes of a request's body, also after decompression, 1 to 1 GiB.
        body_bytes: usize = 16 << 20, within(1..=1 << 30);
        /// Most bytes of a snapshot that is restored, 1 to 1 TiB.
        snapshot_bytes: u64 = 8 << 30, within(1..=1 << 40);
        /// Most documents of a request, at least 1.
        documents: usize = 10_000, within(1..=usize::MAX);
        /// Most tokens of a prompt before compression, at least 1.
        tokens: usize = 1_000_000, within(1..=usize::MAX);
        /// Milliseconds after which a request is given up, 1 to a day; `x-whittle-deadline-ms` shortens them.
        deadline_ms: u64 = 120_000, within(1..=DAY_MS);
        /// The number of jobs that run at once in the whole process, whatever route they came by, 1 to 256: each has a
        /// thread of its own meanwhile.
        concurrency: usize = 4, within(1..=256);
        /// Requests that may wait for their turn, 0 to 100,000; more get 503 with `retry-after`.
        queue: usize = 64, within(0..=100_000);
    }
}

section! {
    /// The configuration of access by keys.
    #[derive(Copy, Eq)]
    KeysConfig at "keys." {
        /// Whether a key is required even where none exists yet. Without it, keys are required from the first one on.
        required: bool = false;
        /// Milliseconds that keys which are known stay valid while the database that has them (`store.kind`) cannot be
        /// reached, 1,000 to a day; then requests get 503.
        stale_ms: u64 = 30_000, within(1_000..=DAY_MS);
    }
}

section! {
    /// The configuration of the MCP server.
    #[derive(Eq)]
    McpConfig at "mcp." {
        /// Folders whose files the tool `read_file_compressed` may read, and those below; none by default.
        roots: Vec<String> = Vec::new(), |key, roots: &Vec<String>| {
            let wanted = || "names of folders".into();
            ensure(roots.iter().all(|root| !root.trim().is_empty()), key, &"empty", wanted)
        };
    }
}

section! {
    /// The configuration of the page for people.
    #[derive(Eq)]
    PageConfig at "page." {
        /// Whether the service shows its page at `/`.
        enabled: bool = true;
        /// Folders whose subfolders are evaluations that it shows, as `whittle eval run` writes them, from the folder
        /// that the service was started in.
        evaluations: Vec<String> = ["eval/results", "eval/baselines"].map(str::to_owned).to_vec();
    }
}

impl Limits {
    /// [`Limits::deadline_ms`] as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
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
        name: String,
        /// The given value.
        value: String,
        /// The description of the fault.
        reason: String,
    },
    /// An environment variable has a name like those of whittle's, but whittle has none of that name.
    #[error(
        "the environment variable {name} is unknown{}: correct its name or unset it; `whittle config keys` lists all that \
         there are",
        like.as_ref().map_or_else(String::new, |like| format!(" (did you mean {like}?)"))
    )]
    UnknownVariable {
        /// The name of the variable.
        name: String,
        /// The name that was probably meant, if there is one like it.
        like: Option<String>,
    },
    /// The system names no folder that data could be kept in.
    #[error("no folder for data: set WHITTLE_DATA_DIR")]
    NoDataFolder,
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

impl Config {
    /// All keys but those of lists, in the order of the file; for those see [`Config::list_keys`].
    #[must_use]
    pub fn keys() -> Vec<Key> {
        let mut keys = Vec::new();
        <Self as Section>::keys(&mut keys);
        keys
    }

    /// The keys of the tables in lists, `[[upstreams]]` and `[[upstreams.prices]]`, each with its default.
    #[must_use]
    pub fn list_keys() -> Vec<(ListKey, Option<toml::Value>)> {
        let defaults = toml::Value::try_from(UpstreamConfig::example()).ok();
        let default = |key: &ListKey| {
            let name = key.name.strip_prefix("upstreams.")?;
            defaults.as_ref()?.get(name).filter(|_| !UpstreamConfig::REQUIRED.contains(&name)).cloned()
        };
        UpstreamConfig::KEYS.iter().chain(Price::KEYS).map(|key| (*key, default(key))).collect()
    }

    /// Checks that each value is within its bounds, and that they go together.
    fn checked(self) -> Result<Self, ConfigError> {
        self.check()?;
        self.scorer.check_device()?;
        self.scorer.check_remote()?;
        self.embedder.check_remote()?;
        self.reranker.check_remote()?;
        self.check_listening(self.listen)?;
        self.shared.check_address()?;
        self.store.check_address()?;
        let recall = &self.proxy.recall;
        let wanted = || "false, unless `proxy.recall.enabled` is true".into();
        ensure(!recall.tool || recall.enabled, "proxy.recall.tool", &recall.tool, wanted)?;
        Ok(self)
    }

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
