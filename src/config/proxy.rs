//! The APIs behind the proxy, and what the proxy does with what is sent to them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::price::{Pattern, Price};
use super::section::{
    Key, Section, dollars, ensure, is_variable_name, list_entry, read_base_url, section, share, within,
};
use super::tool_results::ToolResults;
use super::{ConfigError, DAY_MS};
use crate::compress::Method;
use crate::compress::fold::{Rule, Rules};
use crate::wire::Dialect;

section! {
    /// The configuration of the proxy.
    ProxyConfig at "proxy." {
        /// Milliseconds that an upstream has until its answer begins, retries and fallback included, 1 to a day.
        deadline_ms: u64 = 600_000, within(1..=DAY_MS);
        /// Bytes of bodies that are held at once, at least 1 MiB; more are turned away.
        body_memory_bytes: usize = 256 << 20, within(1 << 20..=1 << 42);
        /// Bytes in memory that hold what became of texts; more are on disk.
        memory_bytes: u64 = 32 << 20;
        /// Days that what became of a text is remembered on disk after it was last used, 1 to 3,650.
        memory_days: u64 = 30, within(1..=3650);
        /// Days that the ledger keeps what requests took, 1 to 3,650.
        ledger_days: u64 = 90, within(1..=3650);
        /// Dollars that an hour of this machine's work on texts costs, from 0: it is taken off what compression saves.
        compute_price: f64 = 0.0, dollars();
        /// Share of conversations that go on as they came, to compare the others with, 0 to 1; 0 turns it off.
        holdout: f64 = 0.0, share("every twentieth conversation for 0.05");
    }
    sections {
        /// The policy of compression.
        compress: CompressPolicy;
        /// The policy of shadow requests, which also answer from the original to see what compression changes.
        shadow: ShadowPolicy;
        /// The policy of retrieval for users' questions.
        retrieve: RetrievePolicy;
        /// The policy of recall: whether what folding leaves out of tools' results can be had again.
        recall: RecallPolicy;
    }
}

section! {
    /// The policy of recall: the originals of tools' results that go on with marks are kept, encrypted, and each mark names
    /// the id by which `GET /v1/originals/{id}` returns the original to the key that sent it. Where it is off, nothing of a
    /// prompt is stored, and `whittle serve` removes what was stored before.
    #[derive(Eq)]
    RecallPolicy at "proxy.recall." {
        /// Says whether originals of folded results are kept, encrypted, in `originals.redb` of the data folder; marks then name
        /// them.
        enabled: bool = false;
        /// Hours that an original is kept after it was last sent, 1 to 8,760.
        hours: u64 = 24, within(1..=8760);
        /// Bytes of originals that are kept, about, 1 MiB to 1 TiB; the oldest of the key that holds most go first.
        bytes: u64 = 1 << 30, within(1 << 20..=1 << 40);
        /// Says whether the proxy adds a tool, `whittle_recall`, to the requests of new conversations that have tools, and
        /// answers its calls itself; takes `enabled`.
        tool: bool = false;
        /// File with the secret that originals are encrypted with, which is made where there is none; by default
        /// `originals.key` of the data folder.
        key_file: Option<String> = None, |key, file: &Option<String>| {
            let wanted = || "the name of a file, or left out".into();
            ensure(file.as_ref().is_none_or(|file| !file.trim().is_empty()), key, &"empty", wanted)
        };
    }
}

section! {
    /// The policy of retrieval: what is searched for users' questions and put before them. A request may name some of the
    /// collections by the header `x-whittle-collections` and some of the banks by `x-whittle-banks`, or both by the member
    /// `whittle`; a name that is not listed here is refused.
    #[derive(Eq)]
    RetrievePolicy at "proxy.retrieve." {
        /// Collections that may be searched.
        collections: Vec<String> = Vec::new();
        /// Banks that solved examples may be taken from.
        banks: Vec<String> = Vec::new();
        /// Most examples of all banks together, 1 to 100.
        examples: usize = 5, within(1..=100);
        /// Whether all collections are searched for each request that names none.
        always: bool = false;
        /// Most tokens of what is put in, at least 100.
        tokens: usize = 1000, within(100..=usize::MAX);
        /// Most chunks of a collection, 1 to 1,000.
        top_k: usize = 5, within(1..=1000);
        /// Milliseconds after which the request goes on without, 1 to a day.
        deadline_ms: u64 = 2000, within(1..=DAY_MS);
    }
}

section! {
    /// The policy of shadow requests: the compressed requests that are also sent uncompressed, once they are answered, to
    /// compare the answers. It takes upstreams with a key of their own and a price, or the model in this process: nobody
    /// else's key pays for it.
    #[derive(Copy)]
    ShadowPolicy at "proxy.shadow." {
        /// Share of the compressed requests, 0 to 1; 0 turns it off.
        share: f64 = 0.0, share("every hundredth request for 0.01");
        /// Dollars that it may cost a day (UTC), from 0.
        usd_per_day: f64 = 0.0, dollars();
    }
}

section! {
    /// The policy of compression. A request may ask for something else by its headers.
    CompressPolicy at "proxy.compress." {
        /// Whether anything is compressed.
        enabled: bool = true;
        /// Compression method; by default the engine's own choice.
        method: Option<Method> = None;
        /// Share of a text's tokens to keep, above 0 and at most 1.
        rate: f64 = 0.5, |key, rate: &f64| {
            let wanted = || "above 0 and at most 1 (0.25 keeps a quarter)".into();
            ensure(*rate > 0.0 && *rate <= 1.0, key, rate, wanted)
        };
        /// Tokens below which a text is left alone, at least 1. A text of fewer than twice as many bytes is not counted.
        min_tokens: usize = 1000, within(1..=usize::MAX);
        /// Says what is done to the results of tools: `fold` (by rules, without a model), `compress` (as users' texts are)
        /// or `keep`.
        tool_results: ToolResults = ToolResults::Fold;
        /// Rules that results of tools are not folded by: `repeats`, `runs`, `search`, `progress`, `json`, `terminal`,
        /// `passed`, `blobs`.
        fold_without: Vec<Rule> = Vec::new();
        /// Tokens below which the result of a tool is not folded, at least 1.
        fold_min_tokens: usize = 100, within(1..=usize::MAX);
        /// Milliseconds after which the original is forwarded, 1 to a day.
        deadline_ms: u64 = 2000, within(1..=DAY_MS);
    }
}

impl CompressPolicy {
    /// The rules that results of tools are folded by.
    #[must_use]
    pub fn fold_rules(&self) -> Rules {
        self.fold_without.iter().fold(Rules::ALL, |rules, rule| rules.without(*rule))
    }
}

list_entry! {
    /// An API behind the proxy.
    UpstreamConfig at "upstreams." {
        /// Letters, digits, `-` and `_`.
        name: String,
        /// The dialect of its API: `openai`, `azure`, `anthropic`, `gemini`, `ollama` or `cohere`.
        dialect: Dialect,
        /// The base URL that an official client of that dialect would be given, without a slash at its end.
        #[serde(deserialize_with = "without_slash")]
        base_url: String,
        /// Environment variable with the key; without it the client's own key is passed on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_key_env: Option<String>,
        /// Models that it has. The first upstream with a matching one is taken.
        #[serde(default = "any_model")]
        models: Vec<Pattern>,
        /// Other names of models, and what the upstream calls them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        aliases: BTreeMap<String, String>,
        /// The upstream that is asked when this one fails. Where it does not succeed either, this one's answer or error is
        /// the client's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<String>,
        /// Milliseconds to connect, 1 to a day.
        #[serde(default = "number::<5_000, _>")]
        connect_ms: u64,
        /// Milliseconds until an answer begins, 1 to a day.
        #[serde(default = "number::<300_000, _>")]
        first_byte_ms: u64,
        /// Milliseconds between two pieces of an answer, 1 to a day.
        #[serde(default = "number::<120_000, _>")]
        idle_ms: u64,
        /// Further attempts after a failed one, 0 to 10. With 0, a request that may have been processed is never sent twice.
        #[serde(default = "number::<2, _>")]
        retries: u32,
        /// The prices of its models. The first match counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        prices: Vec<Price>,
    }
}

/// A default.
fn number<const N: u32, T: From<u32>>() -> T {
    N.into()
}

fn any_model() -> Vec<Pattern> {
    vec![Pattern::new("*")]
}

/// Reads a base URL; what is wrong with it is said when it is checked.
fn without_slash<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Ok(read_base_url("base_url", &text).unwrap_or(text))
}

impl UpstreamConfig {
    /// The keys that every upstream has to have.
    pub(super) const REQUIRED: [&str; 3] = ["name", "dialect", "base_url"];

    /// An upstream with all defaults.
    pub(super) fn example() -> Self {
        let text = "name = \"example\"\ndialect = \"openai\"\nbase_url = \"http://127.0.0.1\"";
        toml::from_str(text).expect("a test reads it")
    }

    /// Returns an upstream with all defaults but these.
    ///
    /// # Errors
    /// The address cannot be one of an upstream; says why.
    pub fn at(name: &str, dialect: Dialect, address: &str) -> Result<Self, String> {
        let base_url = read_base_url("base_url", address)?;
        Ok(Self { name: name.to_owned(), dialect, base_url, ..Self::example() })
    }

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

/// Checked each alone and then together.
impl Section for Vec<UpstreamConfig> {
    fn keys(_: &mut Vec<Key>) {}

    fn check(&self) -> Result<(), ConfigError> {
        for (i, upstream) in self.iter().enumerate() {
            let together = || upstream.check_beside(&self[..i], self);
            upstream
                .check()
                .and_then(|()| together())
                .map_err(|reason| ConfigError::Upstream { name: upstream.name.clone(), reason })?;
        }
        Ok(())
    }
}

impl UpstreamConfig {
    /// The fault of the value, and what would be right.
    fn check(&self) -> Result<(), String> {
        let name_is_plain =
            self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if self.name.is_empty() || self.name.len() > 64 || !name_is_plain {
            return Err("`name` must have 1 to 64 letters, digits, `-` or `_`".into());
        }
        read_base_url("base_url", &self.base_url)?;
        let mut names = self.models.iter().map(Pattern::as_str);
        let mut aliases = self.aliases.iter().flat_map(|(alias, model)| [alias, model]);
        if names.any(str::is_empty) || aliases.any(String::is_empty) {
            return Err("the name of a model is empty: write `*` for any model".into());
        }
        if !self.api_key_env.as_deref().is_none_or(is_variable_name) {
            return Err("`api_key_env` must be the name of an environment variable".into());
        }
        if !self.prices.iter().all(Price::is_sound) {
            return Err("`prices` must be dollars per million tokens, from 0".into());
        }
        let times = [
            ("connect_ms", self.connect_ms),
            ("first_byte_ms", self.first_byte_ms),
            ("idle_ms", self.idle_ms),
        ];
        let checked = times.iter().try_for_each(|&(key, ref time)| within(1..=DAY_MS)(key, time));
        checked.and_then(|()| within(0..=10)("retries", &self.retries)).map_err(|error| error.to_string())
    }

    /// What is wrong with it beside the upstreams `before` it and `all` of them.
    fn check_beside(&self, before: &[Self], all: &[Self]) -> Result<(), String> {
        if before.iter().any(|other| other.name == self.name) {
            return Err("another upstream has this name already: give it one of its own".into());
        }
        let Some(fallback) = &self.fallback else { return Ok(()) };
        match all.iter().find(|other| other.name == *fallback) {
            Some(other) if other.name == self.name => {
                Err("`fallback` must name another upstream than itself".into())
            }
            Some(other) if other.dialect != self.dialect => {
                Err(format!("`fallback` must speak the same dialect, and `{fallback}` does not"))
            }
            Some(_) => Ok(()),
            None => Err(format!("`fallback` is `{fallback}`, but no upstream has that name")),
        }
    }
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
