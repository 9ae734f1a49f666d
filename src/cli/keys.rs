//! `whittle keys`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::output::Format;
use crate::config::{self, Config, Flags, Pattern, Places, ProcessEnv, StoreConfig, StoreKind, data_dir};
use crate::keys::{self, Key, KeyPolicy, KeyStore};

/// Create, list and revoke keys for callers of the service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle keys create build-server
  whittle keys create intern --model 'gpt-4o-mini*' --requests-per-minute 20 --usd-per-day 2.50
  whittle keys list
  whittle keys revoke intern
  whittle keys copy --from local --to postgres

The secret is printed once, to standard output. Only its hash is stored, in keys.toml in WHITTLE_DATA_DIR, or in
PostgreSQL if `store.kind` in the configuration says so. A running service applies every change with its next
request, all that share a database within a second. As soon as a key exists, every caller needs one:
`Authorization: Bearer KEY`, `x-api-key: KEY`, or `x-whittle-key: KEY` where the other headers carry the
upstream's key. A key that is limited to models, tokens or dollars cannot call what passes unread, such as paths
below /upstreams/NAME/ and those below /openai/, /v1beta/, /api/ and /v2/ that the proxy does not understand.
`keys.required = true` in the configuration requires keys before the first one exists.")]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
    /// Configuration file [default: as for `whittle serve`]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a key and print its secret
    Create(CreateArgs),
    /// List the keys and their limits
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Revoke a key
    Revoke {
        /// Id or name of the key
        key: String,
    },
    /// Copy all keys from the data folder into PostgreSQL, or back
    ///
    /// Keys that are there already stay; one that is revoked on either side is revoked in the copy.
    Copy {
        /// Place that has the keys
        #[arg(long, value_enum)]
        from: StoreKind,
        /// Place that gets them
        #[arg(long, value_enum)]
        to: StoreKind,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of the key, 1 to 64 characters
    name: String,
    /// Model that the key may call; `*` matches any characters (repeatable) [default: all]
    #[arg(long = "model", value_name = "PATTERN")]
    models: Vec<String>,
    /// Maximum requests per minute, at least 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_minute: Option<u32>,
    /// Maximum tokens per minute, input and output together, at least 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tokens_per_minute: Option<u32>,
    /// Maximum dollars per day (UTC), above 0, at the prices in the configuration
    #[arg(long, value_name = "DOLLARS")]
    usd_per_day: Option<f64>,
    /// Let the key see the metrics and the usage of all keys
    #[arg(long)]
    admin: bool,
}

pub(super) fn run(args: KeysArgs) -> anyhow::Result<()> {
    let flags = Flags { file: args.config, listen: None };
    let config = config::load(&flags, &ProcessEnv, &Places::usual())?.config;
    let mut out = anstream::stdout().lock();
    match args.command {
        Command::Create(args) => {
            let policy = KeyPolicy {
                models: args.models.into_iter().map(Pattern::new).collect(),
                requests_per_minute: args.requests_per_minute,
                tokens_per_minute: args.tokens_per_minute,
                usd_per_day: args.usd_per_day,
                admin: args.admin,
            };
            let store = store(&config.store)?;
            let (key, secret) = store.create(&args.name, policy)?;
            anstream::eprintln!("key {} ({}) is in {}", key.id, key.name, store.place());
            anstream::eprintln!("the secret is shown only once:");
            writeln!(out, "{secret}")?;
        }
        Command::List { format } => format.print(out, &store(&config.store)?.read()?, |out, keys| {
            keys.iter().try_for_each(|key| writeln!(out, "{}", line(key)))
        })?,
        Command::Revoke { key } => {
            let key = store(&config.store)?.revoke(&key)?;
            anstream::eprintln!("key {} ({}) is revoked", key.id, key.name);
        }
        Command::Copy { from, to } => copy(&config, from, to)?,
    }
    Ok(())
}

/// Returns the keys where the configuration keeps them.
fn store(config: &StoreConfig) -> anyhow::Result<Arc<dyn KeyStore>> {
    Ok(keys::configured(config, &ProcessEnv, &data_dir(&ProcessEnv)?)?)
}

fn copy(config: &Config, from: StoreKind, to: StoreKind) -> anyhow::Result<()> {
    if from == to {
        bail!("keys are copied from one place to the other: `local` and `postgres`");
    }
    if config.store.url.is_none() {
        bail!("no database is configured: set `store.url` to its address");
    }
    let place = |kind| store(&StoreConfig { kind, ..config.store.clone() });
    let (keys, to) = (place(from)?.read()?, place(to)?);
    let added = to.add(&keys)?;
    anstream::eprintln!("{added} keys copied, {} were in {} already", keys.len() - added, to.place());
    Ok(())
}

fn line(key: &Key) -> String {
    let KeyPolicy { models, requests_per_minute, tokens_per_minute, usd_per_day, admin } = &key.policy;
    let models: Vec<&str> = models.iter().map(Pattern::as_str).collect();
    let parts = [
        Some(key.created.clone()),
        key.revoked.as_ref().map(|when| format!("REVOKED {when}")),
        Some(if models.is_empty() { "all models".into() } else { models.join(",") }),
        requests_per_minute.map(|limit| format!("{limit} requests/min")),
        tokens_per_minute.map(|limit| format!("{limit} tokens/min")),
        usd_per_day.map(|limit| format!("{limit} $/day")),
        admin.then(|| "admin".into()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{}  {}  {}", key.id, key.name, parts.join("  "))
}
