//! `whittle keys`.

use std::io::Write;

use clap::{Args, Subcommand};

use super::output::Format;
use crate::config::{Pattern, Places, ProcessEnv, check_variables, data_dir};
use crate::keys::{FILE, Key, KeyPolicy, file};

/// Create, list and revoke keys for callers of the service
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle keys create build-server
  whittle keys create intern --model 'gpt-4o-mini*' --requests-per-minute 20 --usd-per-day 2.50
  whittle keys list
  whittle keys revoke intern

The secret is printed once, to standard output. Only its hash is stored, in keys.toml in WHITTLE_DATA_DIR. A
running service applies every change with its next request. As soon as a key exists, every caller needs one:
`Authorization: Bearer KEY`, `x-api-key: KEY`, or `x-whittle-key: KEY` where the other headers carry the
upstream's key. A key that is limited to models, tokens or dollars cannot call what passes unread, such as paths
below /upstreams/NAME/ and those below /openai/, /v1beta/, /api/ and /v2/ that the proxy does not understand.
`keys.required = true` in the configuration requires keys before the first one exists.")]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
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
    check_variables(&ProcessEnv, &Places::usual())?;
    let data = data_dir(&ProcessEnv)?;
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
            let (key, secret) = file::create(&data, &args.name, policy)?;
            let file = data.join(FILE);
            anstream::eprintln!("key {} ({}) is in {}", key.id, key.name, file.display());
            anstream::eprintln!("the secret is shown only once:");
            writeln!(out, "{secret}")?;
        }
        Command::List { format } => format.print(out, &file::read(&data)?, |out, keys| {
            keys.iter().try_for_each(|key| writeln!(out, "{}", line(key)))
        })?,
        Command::Revoke { key } => {
            let key = file::revoke(&data, &key)?;
            anstream::eprintln!("key {} ({}) is revoked", key.id, key.name);
        }
    }
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
