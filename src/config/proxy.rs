//! The APIs behind the proxy, and what the proxy does with what is sent to them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::price::{Pattern, Price};
use super::raw::{RawCompress, RawProxy, RawRetrieve, RawShadow, RawUpstream};
use super::tool_results::ToolResults;
use super::{ConfigError, within};
use crate::compress::Method;
use crate::compress::fold::{Rule, Rules};
use crate::wire::Dialect;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The configuration of the proxy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProxyConfig {
    /// Milliseconds that an upstream has until its answer begins, retries and fallback included, 1 to a day.
    pub deadline_ms: u64,
    /// Bytes of bodies that are held at once, at least 1 MiB; more are turned away.
    pub body_memory_bytes: usize,
    /// Bytes in memory that hold what became of texts; more are on disk.
    pub memory_bytes: u64,
    /// Days that what became of a text is remembered on disk after it was last used, 1 to 3,650.
    pub memory_days: u64,
    /// Days that the ledger keeps what requests took, 1 to 3,650.
    pub ledger_days: u64,
    /// Dollars that an hour of this machine's work on texts costs, from 0: it is taken off what compression saves.
    pub compute_price: f64,
    /// Share of conversations that go on as they came, to compare the others with, 0 to 1; 0 turns it off.
    pub holdout: f64,
    /// The policy of compression.
    pub compress: CompressPolicy,
    /// The policy of shadow requests, which also answer from the original to see what compression changes.
    pub shadow: ShadowPolicy,
    /// The policy of retrieval for users' questions.
    pub retrieve: RetrievePolicy,
}

/// The policy of retrieval: what is searched for users' questions and put before them. A request may name some of the
/// collections by the header `x-whittle-collections` and some of the banks by `x-whittle-banks`, or both by the member
/// `whittle`; a name that is not listed here is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetrievePolicy {
    /// Collections that may be searched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
    /// Banks that solved examples may be taken from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub banks: Vec<String>,
    /// Most examples of all banks together, 1 to 100.
    pub examples: usize,
    /// Whether all collections are searched for each request that names none.
    pub always: bool,
    /// Most tokens of what is put in, at least 100.
    pub tokens: usize,
    /// Most chunks of a collection, 1 to 1,000.
    pub top_k: usize,
    /// Milliseconds after which the request goes on without, 1 to a day.
    pub deadline_ms: u64,
}

impl Default for RetrievePolicy {
    fn default() -> Self {
        Self {
            collections: Vec::new(),
            banks: Vec::new(),
            examples: 5,
            always: false,
            tokens: 1000,
            top_k: 5,
            deadline_ms: 2000,
        }
    }
}

/// The policy of shadow requests: the compressed requests that are also sent uncompressed, once they are answered, to
/// compare the answers. It takes upstreams with a key of their own and a price, or the model in this process: nobody
/// else's key pays for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ShadowPolicy {
    /// Share of the compressed requests, 0 to 1; 0 turns it off.
    pub share: f64,
    /// Dollars that it may cost a day (UTC), from 0.
    pub usd_per_day: f64,
}

/// The policy of compression. A request may ask for something else by its headers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompressPolicy {
    /// Whether anything is compressed.
    pub enabled: bool,
    /// Compression method; by default the engine's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Share of a text's tokens to keep, above 0 and at most 1.
    pub rate: f64,
    /// Tokens below which a text is left alone, at least 1. A text of fewer than twice as many bytes is not counted.
    pub min_tokens: usize,
    /// What is done to the results of tools.
    pub tool_results: ToolResults,
    /// Rules that results of tools are not folded by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fold_without: Vec<Rule>,
    /// Tokens below which the result of a tool is not folded, at least 1.
    pub fold_min_tokens: usize,
    /// Milliseconds after which the original is forwarded, 1 to a day.
    pub deadline_ms: u64,
}

impl CompressPolicy {
    /// The rules that results of tools are folded by.
    #[must_use]
    pub fn fold_rules(&self) -> Rules {
        self.fold_without.iter().fold(Rules::ALL, |rules, rule| rules.without(*rule))
    }
}

/// An API behind the proxy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpstreamConfig {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// The dialect of its API.
    pub dialect: Dialect,
    /// The base URL that an official client of that dialect would be given, without a slash at its end.
    pub base_url: String,
    /// Environment variable with the key; without it the client's own key is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Models that it has. The first upstream with a matching one is taken.
    pub models: Vec<Pattern>,
    /// Other names of models, and what the upstream calls them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// The upstream that is asked when this one fails. Where it does not succeed either, this one's answer or error is
    /// the client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Milliseconds to connect, 1 to a day.
    pub connect_ms: u64,
    /// Milliseconds until an answer begins, 1 to a day.
    pub first_byte_ms: u64,
    /// Milliseconds between two pieces of an answer, 1 to a day.
    pub idle_ms: u64,
    /// Further attempts after a failed one, 0 to 10. With 0, a request that may have been processed is never sent twice.
    pub retries: u32,
    /// The prices of its models. The first match counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
}

impl UpstreamConfig {
    /// Returns whether the upstream has a model, by an alias or a pattern.
    #[must_use]
    pub fn has(&self, model: &str) -> bool {
        self.aliases.contains_key(model) || self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// Returns the upstream's own name of a model.
    #[must_use]
    pub fn own_name<'a>(&'a self, model: &'a str) -> &'a str {
        self.aliases.get(model).map_or(model, String::as_str)
    }

    /// Returns the price of a model, where the configuration has one.
    #[must_use]
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.model.matches(model))
    }
}

impl ProxyConfig {
    /// [`ProxyConfig::deadline_ms`] as a duration.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            deadline_ms: 600_000,
            body_memory_bytes: 256 << 20,
            memory_bytes: 32 << 20,
            memory_days: 30,
            ledger_days: 90,
            compute_price: 0.0,
            holdout: 0.0,
            compress: CompressPolicy::default(),
            shadow: ShadowPolicy::default(),
            retrieve: RetrievePolicy::default(),
        }
    }
}

impl Default for CompressPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            method: None,
            rate: 0.5,
            min_tokens: 1000,
            tool_results: ToolResults::Fold,
            fold_without: Vec::new(),
            fold_min_tokens: 100,
            deadline_ms: 2000,
        }
    }
}

impl TryFrom<RawProxy> for ProxyConfig {
    type Error = ConfigError;

    fn try_from(raw: RawProxy) -> Result<Self, ConfigError> {
        let default = Self::default();
        let body_memory = raw.body_memory_bytes.unwrap_or(default.body_memory_bytes);
        let memory_days = raw.memory_days.unwrap_or(default.memory_days);
        let ledger_days = raw.ledger_days.unwrap_or(default.ledger_days);
        Ok(Self {
            deadline_ms: within(
                "proxy.deadline_ms",
                raw.deadline_ms.unwrap_or(default.deadline_ms),
                1..=DAY_MS,
            )?,
            body_memory_bytes: within("proxy.body_memory_bytes", body_memory, 1 << 20..=1 << 42)?,
            memory_bytes: raw.memory_bytes.unwrap_or(default.memory_bytes),
            memory_days: within("proxy.memory_days", memory_days, 1..=3650)?,
            ledger_days: within("proxy.ledger_days", ledger_days, 1..=3650)?,
            compute_price: compute_price(raw.compute_price.unwrap_or(default.compute_price))?,
            holdout: holdout(raw.holdout.unwrap_or(default.holdout))?,
            compress: raw.compress.try_into()?,
            shadow: raw.shadow.try_into()?,
            retrieve: raw.retrieve.try_into()?,
        })
    }
}

fn compute_price(price: f64) -> Result<f64, ConfigError> {
    if price.is_finite() && price >= 0.0 {
        return Ok(price);
    }
    let wanted = "dollars an hour, from 0".into();
    Err(ConfigError::Invalid { key: "proxy.compute_price", value: price.to_string(), wanted })
}

fn holdout(share: f64) -> Result<f64, ConfigError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    let wanted = "0 to 1 (0.05 is every twentieth conversation)".into();
    Err(ConfigError::Invalid { key: "proxy.holdout", value: share.to_string(), wanted })
}

impl TryFrom<RawCompress> for CompressPolicy {
    type Error = ConfigError;

    fn try_from(raw: RawCompress) -> Result<Self, ConfigError> {
        let default = Self::default();
        let rate = raw.rate.unwrap_or(default.rate);
        if !(rate > 0.0 && rate <= 1.0) {
            let (value, wanted) = (rate.to_string(), "above 0 and at most 1 (0.25 keeps a quarter)".into());
            return Err(ConfigError::Invalid { key: "proxy.compress.rate", value, wanted });
        }
        let min_tokens = raw.min_tokens.unwrap_or(default.min_tokens);
        let deadline_ms = raw.deadline_ms.unwrap_or(default.deadline_ms);
        Ok(Self {
            enabled: raw.enabled.unwrap_or(default.enabled),
            method: raw.method,
            rate,
            min_tokens: within("proxy.compress.min_tokens", min_tokens, 1..=usize::MAX)?,
            tool_results: raw.tool_results.unwrap_or(default.tool_results),
            fold_without: raw.fold_without,
            fold_min_tokens: within(
                "proxy.compress.fold_min_tokens",
                raw.fold_min_tokens.unwrap_or(default.fold_min_tokens),
                1..=usize::MAX,
            )?,
            deadline_ms: within("proxy.compress.deadline_ms", deadline_ms, 1..=DAY_MS)?,
        })
    }
}

impl TryFrom<RawRetrieve> for RetrievePolicy {
    type Error = ConfigError;

    fn try_from(raw: RawRetrieve) -> Result<Self, ConfigError> {
        let default = Self::default();
        let (tokens, top_k) = (raw.tokens.unwrap_or(default.tokens), raw.top_k.unwrap_or(default.top_k));
        let deadline_ms = raw.deadline_ms.unwrap_or(default.deadline_ms);
        Ok(Self {
            collections: raw.collections,
            banks: raw.banks,
            examples: within("proxy.retrieve.examples", raw.examples.unwrap_or(default.examples), 1..=100)?,
            always: raw.always.unwrap_or(default.always),
            tokens: within("proxy.retrieve.tokens", tokens, 100..=usize::MAX)?,
            top_k: within("proxy.retrieve.top_k", top_k, 1..=1000)?,
            deadline_ms: within("proxy.retrieve.deadline_ms", deadline_ms, 1..=DAY_MS)?,
        })
    }
}

impl TryFrom<RawShadow> for ShadowPolicy {
    type Error = ConfigError;

    fn try_from(raw: RawShadow) -> Result<Self, ConfigError> {
        let (share, usd_per_day) = (raw.share.unwrap_or_default(), raw.usd_per_day.unwrap_or_default());
        let wrong = |key, value: f64, wanted: &str| {
            Err(ConfigError::Invalid { key, value: value.to_string(), wanted: wanted.into() })
        };
        if !(0.0..=1.0).contains(&share) {
            return wrong("proxy.shadow.share", share, "0 to 1 (0.01 is every hundredth request)");
        }
        if !(usd_per_day.is_finite() && usd_per_day >= 0.0) {
            return wrong("proxy.shadow.usd_per_day", usd_per_day, "dollars, from 0");
        }
        Ok(Self { share, usd_per_day })
    }
}

/// Checks all upstreams, each alone and then together.
pub(super) fn upstreams(raw: Vec<RawUpstream>) -> Result<Vec<UpstreamConfig>, ConfigError> {
    let upstreams = raw.into_iter().map(upstream).collect::<Result<Vec<_>, _>>()?;
    for (i, upstream) in upstreams.iter().enumerate() {
        let wrong = |reason| Err(ConfigError::Upstream { name: upstream.name.clone(), reason });
        if upstreams[..i].iter().any(|other| other.name == upstream.name) {
            return wrong("another upstream has this name already: give it one of its own".into());
        }
        let Some(fallback) = &upstream.fallback else { continue };
        match upstreams.iter().find(|other| other.name == *fallback) {
            Some(other) if other.name == upstream.name => {
                return wrong("`fallback` must name another upstream than itself".into());
            }
            Some(other) if other.dialect != upstream.dialect => {
                return wrong(format!("`fallback` must speak the same dialect, and `{fallback}` does not"));
            }
            Some(_) => {}
            None => return wrong(format!("`fallback` is `{fallback}`, but no upstream has that name")),
        }
    }
    Ok(upstreams)
}

fn upstream(raw: RawUpstream) -> Result<UpstreamConfig, ConfigError> {
    let wrong = |reason: String| ConfigError::Upstream { name: raw.name.clone(), reason };
    let name_is_plain = raw.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if raw.name.is_empty() || raw.name.len() > 64 || !name_is_plain {
        return Err(wrong("`name` must have 1 to 64 letters, digits, `-` or `_`".into()));
    }
    let base_url = base_url(&raw.base_url).map_err(&wrong)?;
    let patterns = raw.models.unwrap_or_else(|| vec!["*".into()]);
    if patterns.iter().chain(raw.aliases.keys()).chain(raw.aliases.values()).any(String::is_empty) {
        return Err(wrong("the name of a model is empty: write `*` for any model".into()));
    }
    if raw.api_key_env.as_ref().is_some_and(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(wrong("`api_key_env` must be the name of an environment variable".into()));
    }
    let sound = |price: &f64| price.is_finite() && *price >= 0.0;
    for price in &raw.prices {
        let all = [Some(price.input), Some(price.output), price.cache_read, price.cache_write];
        if !all.iter().flatten().all(sound) {
            return Err(wrong("`prices` must be dollars per million tokens, from 0".into()));
        }
    }
    let milliseconds = |key, value: Option<u64>, default| {
        within(key, value.unwrap_or(default), 1..=DAY_MS).map_err(|error| wrong(error.to_string()))
    };
    let retries = within("retries", raw.retries.unwrap_or(2), 0..=10).map_err(|e| wrong(e.to_string()))?;
    Ok(UpstreamConfig {
        connect_ms: milliseconds("connect_ms", raw.connect_ms, 5_000)?,
        first_byte_ms: milliseconds("first_byte_ms", raw.first_byte_ms, 300_000)?,
        idle_ms: milliseconds("idle_ms", raw.idle_ms, 120_000)?,
        retries,
        base_url,
        dialect: raw.dialect,
        api_key_env: raw.api_key_env,
        models: patterns.into_iter().map(Pattern::new).collect(),
        aliases: raw.aliases,
        fallback: raw.fallback,
        prices: raw.prices,
        name: raw.name,
    })
}

/// `text` as a base URL without a slash at its end.
fn base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("`base_url` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("`base_url` must begin with https:// or http:// and name a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "put the key into an environment variable and its name into `api_key_env`";
        return Err(format!("`base_url` must hold no password: {remedy}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`base_url` must end with a path: leave out `?` and `#`".into());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, matching, other) in [
            ("gpt-*", &["gpt-4o", "gpt-"][..], &["gpt", "my-gpt-4"][..]),
            ("*", &["", "x"], &[]),
            ("o1", &["o1"], &["o1-mini", "o"]),
            ("*-mini", &["o1-mini"], &["mini", "o1-mini-2"]),
            ("a*b*c", &["abc", "aXbYc", "abbc"], &["ab", "ac", "aXbY"]),
            ("a*a", &["aa", "aba"], &["a"]),
        ] {
            let pattern = Pattern::new(pattern);
            assert!(matching.iter().all(|name| pattern.matches(name)), "{pattern:?}");
            assert!(!other.iter().any(|name| pattern.matches(name)), "{pattern:?}");
        }
    }
}
