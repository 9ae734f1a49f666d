//! The environment variables that there are, and what is said of one that there is not.

use super::section::PREFIX;
use super::{Config, ConfigError, Env, Key};

/// Variables that are no keys of the configuration, and what they mean.
pub const OTHER_VARIABLES: [(&str, &str); 12] = [
    ("WHITTLE_BINARY", "program that `whittle.serve()` of the Python package starts"),
    ("WHITTLE_CACHE", "folder of models and fetched datasets, else `whittle` in the platform's cache folder"),
    ("WHITTLE_DATA", "folder of datasets for `whittle eval`"),
    ("WHITTLE_DATA_DIR", "data folder: collections, banks, keys, ledger, decisions, originals and scores"),
    ("WHITTLE_HUB", "origin of the model hub, such as a mirror"),
    ("WHITTLE_KEY", "key that `whittle usage` calls a running service with"),
    ("WHITTLE_LOG", "log filter, such as `debug` or `whittle=debug,hyper=warn`"),
    ("WHITTLE_LOG_FORMAT", "`text` or `json`"),
    ("WHITTLE_MODELS", "manifest of more models"),
    (
        "WHITTLE_MODEL_URLS",
        "beginnings of addresses that `whittle models add` may fetch from, separated by spaces",
    ),
    ("WHITTLE_OFFLINE", "`1` fetches no model"),
    ("WHITTLE_PYTHON", "the Python whose package client fetches models, else `python3`"),
];

/// Variables that this project's own tests read.
const OF_TESTS: [&str; 2] = ["WHITTLE_CRASH_ROUNDS", "WHITTLE_CRASH_SEED"];

/// Refuses a variable that is named like those of this program and is none: a misspelt one would do nothing.
pub(super) fn refuse_unknown(env: &dyn Env, config: &Config) -> Result<(), ConfigError> {
    let keys: Vec<String> = Config::keys().iter().map(Key::variable).collect();
    let known: Vec<&str> = keys
        .iter()
        .map(String::as_str)
        .chain(OTHER_VARIABLES.map(|(name, _)| name))
        .chain(OF_TESTS)
        .collect();
    let of_servers = [&config.shared.password_env, &config.store.password_env];
    let of_models = [&config.scorer.api_key_env, &config.embedder.api_key_env];
    let of_upstreams = config.upstreams.iter().map(|upstream| &upstream.api_key_env);
    let secrets: Vec<&str> =
        of_upstreams.chain(of_models).chain(of_servers).filter_map(|name| name.as_deref()).collect();
    let is_unknown = |name: &String| {
        let set = env.get(name).filter(|value| !value.is_empty());
        set.is_some_and(|value| {
            !known.contains(&&**name) && !secrets.contains(&&**name) && !is_service_link(name, &value)
        })
    };
    let named = env.names().into_iter().filter(|name| name.starts_with(PREFIX));
    // The environment has no order.
    let Some(name) = named.filter(is_unknown).min() else { return Ok(()) };
    let like = nearest(&name, &known).map(str::to_owned);
    Err(ConfigError::UnknownVariable { name, like })
}

/// Whether Kubernetes sets it in every container beside a service that is called `whittle`.
fn is_service_link(name: &str, value: &str) -> bool {
    (name == "WHITTLE_PORT" && value.contains("://"))
        || name.starts_with("WHITTLE_PORT_")
        || name.starts_with("WHITTLE_SERVICE_")
}

/// The known name that `name` is most like, if it shares two thirds of the shorter one with it.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.strip_prefix(PREFIX)?;
    let likeness = |other: &&str| {
        let other = other.strip_prefix(PREFIX).unwrap_or(other);
        let shorter = name.len().min(other.len());
        let common = common(name, other).min(shorter);
        (common * 3 >= shorter * 2 && common > 0)
            .then_some((common, usize::MAX - name.len().abs_diff(other.len())))
    };
    known.iter().filter_map(|other| Some((likeness(other)?, *other))).max().map(|(_, other)| other)
}

/// Bytes that two names have in common at their starts and ends.
fn common(a: &str, b: &str) -> usize {
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    start + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found_and_none_where_nothing_is_like_it() {
        let known =
            ["WHITTLE_CACHE", "WHITTLE_KEY", "WHITTLE_LIMITS_QUEUE", "WHITTLE_LISTEN", "WHITTLE_OFFLINE"];
        for (name, meant) in [
            ("WHITTLE_OFLINE", Some("WHITTLE_OFFLINE")),
            ("WHITTLE_LIMIT_QUEUE", Some("WHITTLE_LIMITS_QUEUE")),
            ("WHITTLE_QUEUE", Some("WHITTLE_LIMITS_QUEUE")),
            ("WHITTLE_API_KEY", Some("WHITTLE_KEY")),
            ("WHITTLE_LISTENS", Some("WHITTLE_LISTEN")),
            ("WHITTLE_CONFIG", None),
            ("WHITTLE_", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
    }
}
