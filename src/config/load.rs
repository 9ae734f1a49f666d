//! Finds the layers and puts them over each other: file, then environment, then flags.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use clap::ValueEnum;

use super::raw::{
    RawClassifier, RawCompress, RawConfig, RawEmbedder, RawKeys, RawLimits, RawLocal, RawProxy, RawRetrieve,
    RawScorer, RawShadow,
};
use super::{Config, ConfigError};
use crate::compress::Method;
use crate::compress::fold::Rule;

/// A source of environment variables, so that tests need not touch the process's own.
pub trait Env {
    /// The value of `key`, if it is set.
    fn get(&self, key: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn get(&self, key: &str) -> Option<String> {
        // What is not Unicode shows as U+FFFD and then fails with the variable's name where it is parsed.
        std::env::var_os(key).map(|value| value.to_string_lossy().into_owned())
    }
}

/// The command-line flags that set configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The file to read. It must exist; without it the usual places are looked at.
    pub file: Option<PathBuf>,
    /// Address to listen on.
    pub listen: Option<SocketAddr>,
}

/// Folders that a configuration file is looked for in.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folders where `whittle.toml` is searched.
    pub working: PathBuf,
    /// The platform's folder for configuration, where `whittle/config.toml` is looked for next.
    pub platform: Option<PathBuf>,
}

impl Places {
    /// Returns the folders of this process and its user.
    #[must_use]
    pub fn usual() -> Self {
        Self { working: PathBuf::new(), platform: dirs::config_dir() }
    }
}

/// A valid configuration and the file that it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// The file that was read; none where only defaults, environment and flags speak.
    pub file: Option<PathBuf>,
}

/// Loads the configuration: the file, then the `WHITTLE_*` variables, then the flags, later ones winning.
///
/// # Errors
/// See [`ConfigError`]: a file that cannot be read, a misspelt key, a value that is out of its range.
pub fn load(flags: &Flags, env: &dyn Env, places: &Places) -> Result<Loaded, ConfigError> {
    let (file, from_file) = match &flags.file {
        Some(path) => (Some(path.clone()), parse(path, &read(path)?)?),
        None => from_places(places)?,
    };
    let from_flags = RawConfig { listen: flags.listen, ..RawConfig::default() };
    let config = Config::try_from(from_flags.over(from_env(env)?).over(from_file))?;
    Ok(Loaded { config, file })
}

/// The first file that exists.
fn from_places(places: &Places) -> Result<(Option<PathBuf>, RawConfig), ConfigError> {
    let platform = places.platform.as_ref().map(|folder| folder.join("whittle").join("config.toml"));
    for path in [Some(places.working.join("whittle.toml")), platform].into_iter().flatten() {
        match read(&path) {
            Ok(text) => {
                let raw = parse(&path, &text)?;
                return Ok((Some(path), raw));
            }
            Err(ConfigError::Read { source, .. }) if is_absent(&source) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, RawConfig::default()))
}

/// A home folder of `/dev/null`, as some services have, answers that it is no folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn parse(path: &Path, text: &str) -> Result<RawConfig, ConfigError> {
    toml::from_str(text)
        .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
}

fn from_env(env: &dyn Env) -> Result<RawConfig, ConfigError> {
    Ok(RawConfig {
        listen: variable(env, "WHITTLE_LISTEN")?,
        allow_remote: variable(env, "WHITTLE_ALLOW_REMOTE")?,
        scorer: RawScorer {
            model: variable(env, "WHITTLE_SCORER_MODEL")?,
            device: variable(env, "WHITTLE_SCORER_DEVICE")?,
            precision: variable(env, "WHITTLE_SCORER_PRECISION")?,
            threads: variable(env, "WHITTLE_SCORER_THREADS")?,
            cache_bytes: variable(env, "WHITTLE_SCORER_CACHE_BYTES")?,
            kv_cache_bytes: variable(env, "WHITTLE_SCORER_KV_CACHE_BYTES")?,
            disk_cache: variable(env, "WHITTLE_SCORER_DISK_CACHE")?,
            disk_cache_bytes: variable(env, "WHITTLE_SCORER_DISK_CACHE_BYTES")?,
        },
        embedder: RawEmbedder {
            model: variable(env, "WHITTLE_EMBEDDER_MODEL")?,
            threads: variable(env, "WHITTLE_EMBEDDER_THREADS")?,
            cache_bytes: variable(env, "WHITTLE_EMBEDDER_CACHE_BYTES")?,
        },
        classifier: RawClassifier {
            model: variable(env, "WHITTLE_CLASSIFIER_MODEL")?,
            device: variable(env, "WHITTLE_CLASSIFIER_DEVICE")?,
        },
        local: RawLocal { enabled: variable(env, "WHITTLE_LOCAL_ENABLED")? },
        limits: RawLimits {
            body_bytes: variable(env, "WHITTLE_LIMITS_BODY_BYTES")?,
            snapshot_bytes: variable(env, "WHITTLE_LIMITS_SNAPSHOT_BYTES")?,
            documents: variable(env, "WHITTLE_LIMITS_DOCUMENTS")?,
            tokens: variable(env, "WHITTLE_LIMITS_TOKENS")?,
            deadline_ms: variable(env, "WHITTLE_LIMITS_DEADLINE_MS")?,
            concurrency: variable(env, "WHITTLE_LIMITS_CONCURRENCY")?,
            queue: variable(env, "WHITTLE_LIMITS_QUEUE")?,
        },
        keys: RawKeys { required: variable(env, "WHITTLE_KEYS_REQUIRED")? },
        proxy: RawProxy {
            deadline_ms: variable(env, "WHITTLE_PROXY_DEADLINE_MS")?,
            body_memory_bytes: variable(env, "WHITTLE_PROXY_BODY_MEMORY_BYTES")?,
            memory_bytes: variable(env, "WHITTLE_PROXY_MEMORY_BYTES")?,
            memory_days: variable(env, "WHITTLE_PROXY_MEMORY_DAYS")?,
            ledger_days: variable(env, "WHITTLE_PROXY_LEDGER_DAYS")?,
            compute_price: variable(env, "WHITTLE_PROXY_COMPUTE_PRICE")?,
            holdout: variable(env, "WHITTLE_PROXY_HOLDOUT")?,
            compress: RawCompress {
                enabled: variable(env, "WHITTLE_PROXY_COMPRESS_ENABLED")?,
                method: variable::<MethodName>(env, "WHITTLE_PROXY_COMPRESS_METHOD")?.map(|name| name.0),
                rate: variable(env, "WHITTLE_PROXY_COMPRESS_RATE")?,
                min_tokens: variable(env, "WHITTLE_PROXY_COMPRESS_MIN_TOKENS")?,
                tool_results: variable(env, "WHITTLE_PROXY_COMPRESS_TOOL_RESULTS")?,
                fold_without: variable::<RuleNames>(env, "WHITTLE_PROXY_COMPRESS_FOLD_WITHOUT")?
                    .unwrap_or_default()
                    .0,
                fold_min_tokens: variable(env, "WHITTLE_PROXY_COMPRESS_FOLD_MIN_TOKENS")?,
                deadline_ms: variable(env, "WHITTLE_PROXY_COMPRESS_DEADLINE_MS")?,
            },
            shadow: RawShadow {
                share: variable(env, "WHITTLE_PROXY_SHADOW_SHARE")?,
                usd_per_day: variable(env, "WHITTLE_PROXY_SHADOW_USD_PER_DAY")?,
            },
            retrieve: RawRetrieve {
                collections: variable::<Names>(env, "WHITTLE_PROXY_RETRIEVE_COLLECTIONS")?
                    .unwrap_or_default()
                    .0,
                banks: variable::<Names>(env, "WHITTLE_PROXY_RETRIEVE_BANKS")?.unwrap_or_default().0,
                examples: variable(env, "WHITTLE_PROXY_RETRIEVE_EXAMPLES")?,
                always: variable(env, "WHITTLE_PROXY_RETRIEVE_ALWAYS")?,
                tokens: variable(env, "WHITTLE_PROXY_RETRIEVE_TOKENS")?,
                top_k: variable(env, "WHITTLE_PROXY_RETRIEVE_TOP_K")?,
                deadline_ms: variable(env, "WHITTLE_PROXY_RETRIEVE_DEADLINE_MS")?,
            },
        },
        upstreams: Vec::new(),
    })
}

/// Names with commas between them.
#[derive(Default)]
struct Names(Vec<String>);

impl FromStr for Names {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(|name| name.trim().to_owned());
        Ok(Self(names.filter(|name| !name.is_empty()).collect()))
    }
}

/// A method by the name that the command line has for it.
struct MethodName(Method);

impl FromStr for MethodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Method::from_str(text, false).map(Self)
    }
}

/// Rules of folding, with commas between their names.
#[derive(Default)]
struct RuleNames(Vec<Rule>);

impl FromStr for RuleNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = |name: &str| {
            let found = Rule::ALL.into_iter().find(|rule| rule.name() == name.trim());
            found.ok_or_else(|| {
                format!("no rule is called `{name}`: use {}", Rule::ALL.map(Rule::name).join(", "))
            })
        };
        text.split(',').filter(|name| !name.trim().is_empty()).map(rule).collect::<Result<_, _>>().map(Self)
    }
}

/// An empty variable counts as unset: that is how container tools leave one out.
fn variable<T>(env: &dyn Env, name: &'static str) -> Result<Option<T>, ConfigError>
where
    T: FromStr<Err: Display>,
{
    let Some(value) = env.get(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => Err(ConfigError::Variable { name, value, reason: T::Err::to_string(&error) }),
    }
}
