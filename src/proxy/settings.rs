//! The settings of one request: the policy, overridden by its headers and its `whittle` member.

use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use super::ProxyError;
use crate::compress::Method;
use crate::compress::fold::Rules;
use crate::config::{ProxyConfig, RetrievePolicy, ToolResults};
use crate::upstream::HeaderMap;

/// Bytes for one token that hardly any text stays below: base64 has about two, prose more than four. A text that is
/// too short by this measure is not counted, for that takes the tokenizer, which has 75 MB.
const LEAST_TOKEN_BYTES: usize = 2;
/// Header that names collections.
const COLLECTIONS: &str = "x-whittle-collections";
/// Header that names banks of examples.
const BANKS: &str = "x-whittle-banks";

/// The settings of one request.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(test, derive(Default))]
pub(super) struct Settings {
    /// Whether the body is forwarded unchanged.
    pub(super) bypass: bool,
    pub(super) method: Option<Method>,
    pub(super) rate: f64,
    pub(super) min_tokens: usize,
    /// What is done to tools' results.
    pub(super) tool_results: ToolResults,
    /// The rules by which they are folded.
    pub(super) fold: Rules,
    /// Tokens below which one is left alone.
    pub(super) fold_min_tokens: usize,
    pub(super) deadline: Duration,
    /// Collections that are searched for the user's question.
    pub(super) collections: Vec<String>,
    /// Banks that examples like it are taken from.
    pub(super) banks: Vec<String>,
}

/// The `whittle` member, and likewise what the `x-whittle-*` headers say.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    bypass: Option<bool>,
    rate: Option<f64>,
    method: Option<Method>,
    min_tokens: Option<usize>,
    tool_results: Option<ToolResults>,
    deadline_ms: Option<u64>,
    collections: Option<Vec<String>>,
    banks: Option<Vec<String>>,
}

impl Settings {
    /// Fewest bytes of a text that may be compressed.
    pub(super) fn least_bytes(&self) -> usize {
        self.min_tokens.saturating_mul(LEAST_TOKEN_BYTES)
    }

    /// Returns whether anything is searched.
    pub(super) fn retrieves(&self) -> bool {
        !(self.collections.is_empty() && self.banks.is_empty())
    }

    /// The policy, then the member, then the headers, later ones winning.
    pub(super) fn new(
        config: &ProxyConfig,
        headers: &HeaderMap,
        member: Option<&str>,
    ) -> Result<Self, ProxyError> {
        let policy = &config.compress;
        let from_headers = Wishes::of_headers(headers)?;
        let from_member = member.map(Wishes::of_member).transpose()?.unwrap_or_default();
        let wishes = from_headers.over(&from_member);
        let rate = wishes.rate.unwrap_or(policy.rate);
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(wrong("x-whittle-rate", "must be above 0 and at most 1 (0.25 keeps a quarter)"));
        }
        let tool_results = wishes.tool_results.unwrap_or(policy.tool_results);
        let deadline_ms = wishes.deadline_ms.unwrap_or(policy.deadline_ms);
        let (collections, banks) = match wishes.bypass {
            Some(true) => (Vec::new(), Vec::new()),
            _ => (
                allowed(&config.retrieve, (COLLECTIONS, &config.retrieve.collections), wishes.collections)?,
                allowed(&config.retrieve, (BANKS, &config.retrieve.banks), wishes.banks)?,
            ),
        };
        Ok(Self {
            collections,
            banks,
            bypass: wishes.bypass.unwrap_or(!policy.enabled),
            method: wishes.method.or(policy.method),
            rate,
            min_tokens: wishes.min_tokens.unwrap_or(policy.min_tokens).max(1),
            tool_results,
            fold: if tool_results == ToolResults::Fold { policy.fold_rules() } else { Rules::NONE },
            fold_min_tokens: policy.fold_min_tokens,
            // A client cannot hold the compressor for longer than the service allows.
            deadline: Duration::from_millis(deadline_ms.min(policy.deadline_ms)),
        })
    }
}

impl Wishes {
    fn of_headers(headers: &HeaderMap) -> Result<Self, ProxyError> {
        let method =
            |text: &str| Method::from_str(text, false).map_err(|_| format!("expected {}", methods()));
        Ok(Self {
            bypass: header(headers, "x-whittle-bypass", flag)?,
            rate: header(headers, "x-whittle-rate", number)?,
            method: header(headers, "x-whittle-method", method)?,
            min_tokens: header(headers, "x-whittle-min-tokens", number)?,
            tool_results: header(headers, "x-whittle-tool-results", str::parse)?,
            deadline_ms: header(headers, "x-whittle-deadline-ms", number)?,
            collections: header(headers, COLLECTIONS, |text| Ok(names(text)))?,
            banks: header(headers, BANKS, |text| Ok(names(text)))?,
        })
    }

    fn of_member(json: &str) -> Result<Self, ProxyError> {
        // A list would be read as the members in their order.
        if !json.starts_with('{') {
            return Err(wrong("whittle", "must be an object"));
        }
        serde_json::from_str(json).map_err(|error| wrong("whittle", &error.to_string()))
    }

    fn over(self, below: &Self) -> Self {
        Self {
            bypass: self.bypass.or(below.bypass),
            rate: self.rate.or(below.rate),
            method: self.method.or(below.method),
            min_tokens: self.min_tokens.or(below.min_tokens),
            tool_results: self.tool_results.or(below.tool_results),
            deadline_ms: self.deadline_ms.or(below.deadline_ms),
            collections: self.collections.or_else(|| below.collections.clone()),
            banks: self.banks.or_else(|| below.banks.clone()),
        }
    }
}

fn header<T>(
    headers: &HeaderMap,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ProxyError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong(name, "must be ASCII"))?;
    parse(text.trim()).map(Some).map_err(|reason| wrong(name, &reason))
}

/// Returns the collections or banks of the header's list that may be searched, each once.
fn allowed(
    policy: &RetrievePolicy,
    (header, listed): (&'static str, &[String]),
    wished: Option<Vec<String>>,
) -> Result<Vec<String>, ProxyError> {
    let Some(wished) = wished else {
        return Ok(if policy.always { listed.to_vec() } else { Vec::new() });
    };
    if let Some(other) = wished.iter().find(|name| !listed.contains(name)) {
        let name: String = other.chars().take(64).collect();
        let list = header.trim_start_matches("x-whittle-");
        let reason = format!("`{name}` is not among `proxy.retrieve.{list}` of the configuration");
        return Err(wrong(header, &reason));
    }
    let mut names: Vec<String> = Vec::new();
    for name in wished {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Names with commas between them; none of them is an empty list.
fn names(text: &str) -> Vec<String> {
    let names = text.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("must be 1 or 0".into()),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "must be a number".into())
}

fn methods() -> String {
    let names = Method::value_variants().iter().filter_map(Method::to_possible_value);
    names.map(|value| format!("`{}`", value.get_name())).collect::<Vec<_>>().join(", ")
}

fn wrong(param: &'static str, reason: &str) -> ProxyError {
    ProxyError::Option { param, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(headers: &[(&'static str, &str)], member: Option<&str>) -> Result<Settings, ProxyError> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let retrieve = RetrievePolicy {
            collections: vec!["docs".into(), "faq".into()],
            banks: vec!["solved".into()],
            ..RetrievePolicy::default()
        };
        Settings::new(&ProxyConfig { retrieve, ..ProxyConfig::default() }, &headers, member)
    }

    #[test]
    fn headers_beat_the_member_and_both_beat_the_policy() {
        let policy = settings(&[], None).unwrap();
        assert_eq!((policy.rate, policy.min_tokens, policy.bypass), (0.5, 1000, false));
        let member = r#"{"rate": 0.3, "min_tokens": 7, "method": "longllmlingua", "deadline_ms": 9}"#;
        let both = settings(&[("x-whittle-rate", "0.2"), ("x-whittle-bypass", "1")], Some(member)).unwrap();
        assert_eq!((both.rate, both.min_tokens, both.bypass), (0.2, 7, true));
        assert_eq!(both.method, Some(Method::LongLlmLingua));
        assert_eq!(both.deadline, Duration::from_millis(9));
        let late = settings(&[("x-whittle-deadline-ms", "999999")], None).unwrap();
        assert_eq!(
            late.deadline,
            Duration::from_secs(2),
            "a client cannot have more time than the policy gives"
        );
    }

    #[test]
    fn only_collections_of_the_configuration_are_searched() {
        let found = |headers: &[(&'static str, &str)], member| {
            settings(headers, member).map(|found| found.collections)
        };
        assert!(found(&[], None).unwrap().is_empty());
        assert_eq!(found(&[(COLLECTIONS, "faq, docs,faq")], None).unwrap(), ["faq", "docs"]);
        assert_eq!(found(&[], Some(r#"{"collections": ["docs"]}"#)).unwrap(), ["docs"]);
        assert!(
            found(&[(COLLECTIONS, ""), ("x-whittle-rate", "0.5")], Some(r#"{"collections": ["docs"]}"#))
                .unwrap()
                .is_empty()
        );
        assert!(found(&[(COLLECTIONS, "docs"), ("x-whittle-bypass", "1")], None).unwrap().is_empty());
        let error = found(&[(COLLECTIONS, "secrets")], None).unwrap_err();
        assert!(error.to_string().contains("proxy.retrieve.collections"), "{error}");
        let banks =
            |headers: &[(&'static str, &str)], member| settings(headers, member).map(|found| found.banks);
        assert!(banks(&[(COLLECTIONS, "docs")], None).unwrap().is_empty());
        assert_eq!(banks(&[(BANKS, "solved")], None).unwrap(), ["solved"]);
        assert_eq!(banks(&[], Some(r#"{"banks": ["solved"]}"#)).unwrap(), ["solved"]);
        let error = banks(&[(BANKS, "docs")], None).unwrap_err();
        assert!(error.to_string().contains("proxy.retrieve.banks"), "{error}");
    }

    #[test]
    fn wishes_that_make_no_sense_are_named() {
        for (name, value) in [
            ("x-whittle-rate", "0"),
            ("x-whittle-rate", "much"),
            ("x-whittle-rate", "nan"),
            ("x-whittle-bypass", "maybe"),
            ("x-whittle-method", "zip"),
            ("x-whittle-min-tokens", "-1"),
        ] {
            let error = settings(&[(name, value)], None).unwrap_err();
            assert!(matches!(error, ProxyError::Option { param, .. } if param == name), "{error}");
        }
        for member in ["[]", r#"{"ratio": 1}"#, r#"{"rate": "x"}"#, "7", r#"{"rate": 1, "rate": 1}"#] {
            let error = settings(&[], Some(member)).unwrap_err();
            assert!(matches!(error, ProxyError::Option { param: "whittle", .. }), "{member}: {error}");
        }
    }
}
