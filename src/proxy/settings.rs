//! What holds for one request: the policy, and over it what its headers and its `whittle` member ask for.

use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use super::ProxyError;
use crate::compress::Method;
use crate::config::CompressPolicy;
use crate::upstream::HeaderMap;

/// What holds for one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// Whether the body goes on as it came.
    pub(super) bypass: bool,
    pub(super) method: Option<Method>,
    pub(super) rate: f64,
    pub(super) min_tokens: usize,
    pub(super) deadline: Duration,
}

/// The `whittle` member, and likewise what the `x-whittle-*` headers say.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    bypass: Option<bool>,
    rate: Option<f64>,
    method: Option<Method>,
    min_tokens: Option<usize>,
    deadline_ms: Option<u64>,
}

impl Settings {
    /// The policy, then the member, then the headers, later ones winning.
    pub(super) fn new(
        policy: &CompressPolicy,
        headers: &HeaderMap,
        member: Option<&str>,
    ) -> Result<Self, ProxyError> {
        let from_headers = Wishes::of_headers(headers)?;
        let from_member = member.map(Wishes::of_member).transpose()?.unwrap_or_default();
        let wishes = from_headers.over(&from_member);
        let rate = wishes.rate.unwrap_or(policy.rate);
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(wrong("x-whittle-rate", "must be above 0 and at most 1 (0.25 keeps a quarter)"));
        }
        let deadline_ms = wishes.deadline_ms.unwrap_or(policy.deadline_ms);
        Ok(Self {
            bypass: wishes.bypass.unwrap_or(!policy.enabled),
            method: wishes.method.or(policy.method),
            rate,
            min_tokens: wishes.min_tokens.unwrap_or(policy.min_tokens).max(1),
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
            deadline_ms: header(headers, "x-whittle-deadline-ms", number)?,
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
            deadline_ms: self.deadline_ms.or(below.deadline_ms),
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
        Settings::new(&CompressPolicy::default(), &headers, member)
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
