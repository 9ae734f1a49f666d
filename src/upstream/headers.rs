//! The headers that are forwarded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::keys::is_secret;

/// Headers by which a client can carry its key.
pub const KEY_HEADERS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The parameter of a query by which a client of Gemini can carry its key.
const KEY_PARAMETER: &str = "key=";

/// Beginning of the headers that speak to whittle alone.
const OURS: &str = "x-whittle-";

/// A client's headers without those that concern its own connection, the upstream's host or whittle alone.
///
/// `readable` asks for an answer that is not compressed, so that its usage can be read.
#[must_use]
pub fn for_upstream(client: &HeaderMap, readable: bool) -> HeaderMap {
    const DROPPED: [HeaderName; 5] = [HOST, CONTENT_LENGTH, EXPECT, COOKIE, FORWARDED];
    let mut headers = filtered(client, |name| {
        !DROPPED.contains(name)
            && !name.as_str().starts_with(OURS)
            && !name.as_str().starts_with("x-forwarded-")
    });
    for name in KEY_HEADERS {
        // A key of ours is nobody else's business.
        if client.get_all(&name).iter().any(|value| value.to_str().is_ok_and(holds_own_key)) {
            headers.remove(name);
        }
    }
    headers.remove("x-real-ip");
    headers.remove("baggage");
    if readable {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    headers
}

/// Returns a query string, with its question mark, without a key of ours.
#[must_use]
pub fn query_for_upstream(query: &str) -> String {
    without_query_key(query, is_secret)
}

/// The key that a query string carries.
#[must_use]
pub fn secret_in_query(query: &str) -> Option<Cow<'_, str>> {
    let key = query.split('&').find_map(|parameter| parameter.strip_prefix(KEY_PARAMETER))?;
    percent_decode_str(key).decode_utf8().ok()
}

/// Returns a query string, or a path with one, without those keys that `drops` names. Everything else stays as it was.
pub(super) fn without_query_key(path: &str, drops: impl Fn(&str) -> bool) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let is_dropped = |parameter: &&str| secret_in_query(parameter).is_some_and(|key| drops(&key));
    if !query.split('&').any(|parameter| is_dropped(&parameter)) {
        return format!("{path}?{query}");
    }
    let kept: Vec<&str> = query.split('&').filter(|parameter| !is_dropped(parameter)).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// The secret that a header of a key carries, with or without a scheme before it.
#[must_use]
pub fn secret_in(value: &str) -> &str {
    value.split_ascii_whitespace().next_back().unwrap_or_default()
}

fn holds_own_key(value: &str) -> bool {
    is_secret(secret_in(value))
}

/// An upstream's headers without those that concern its own connection or would bind the client to its host.
#[must_use]
pub fn for_client(upstream: &HeaderMap) -> HeaderMap {
    const DROPPED: [HeaderName; 2] = [SET_COOKIE, STRICT_TRANSPORT_SECURITY];
    filtered(upstream, |name| {
        // Which pages may read an answer of this service is not for an upstream to say.
        let of_origins = name.as_str().starts_with("access-control-");
        !DROPPED.contains(name) && name != "alt-svc" && !of_origins && !name.as_str().starts_with(OURS)
    })
}

/// Returns the `headers` that `passes` accepts, without hop-by-hop headers.
fn filtered(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let of_connection = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
            || name == "keep-alive"
            || name.as_str().starts_with("proxy-")
            || named.iter().any(|other| name == other.as_str());
        if !of_connection && passes(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_concerns_one_connection_or_us_alone_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "here"),
            ("connection", "keep-alive, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("content-length", "3"),
            ("cookie", "a=b"),
            ("x-whittle-rate", "0.5"),
            ("x-forwarded-for", "1.2.3.4"),
            ("proxy-authorization", "Basic x"),
            ("accept-encoding", "gzip"),
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two"),
            ("traceparent", "00-1"),
            ("authorization", "Bearer k"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let kept = for_upstream(&headers, true);
        assert_eq!(names(&kept), ["accept-encoding", "anthropic-beta", "traceparent", "authorization"]);
        assert_eq!(kept.get_all("anthropic-beta").iter().count(), 2);
        assert_eq!(kept["accept-encoding"], "identity");
        assert_eq!(for_upstream(&headers, false)["accept-encoding"], "gzip");
    }

    #[test]
    fn a_key_in_a_query_goes_where_it_is_meant_to_go_alone() {
        let ours = crate::keys::new_secret().unwrap();
        let query = |key: &str| format!("?alt=sse&key={key}&x=%20");
        assert_eq!(query_for_upstream(&query("AIza")), query("AIza"));
        assert_eq!(query_for_upstream(&query(&ours)), "?alt=sse&x=%20");
        assert_eq!(query_for_upstream(&format!("?key={ours}")), "");
        assert_eq!(without_query_key("/v1/x?key=%41", |key| key == "A"), "/v1/x");
        assert_eq!((query_for_upstream(""), &*query_for_upstream("?")), (String::new(), "?"));
        assert_eq!(secret_in_query("alt=sse&key=a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(secret_in_query("monkey=a"), None);
    }

    #[test]
    fn an_answer_keeps_what_clients_act_on() {
        let mut headers = HeaderMap::new();
        for name in [
            "set-cookie",
            "alt-svc",
            "transfer-encoding",
            "x-whittle-status",
            "retry-after",
            "request-id",
            "access-control-allow-origin",
            "access-control-allow-credentials",
        ] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        assert_eq!(names(&for_client(&headers)), ["retry-after", "request-id"]);
    }
}
