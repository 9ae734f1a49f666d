//! The hosts that a service is reached under, and which requests name none of them.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};

use super::error::ApiError;

/// The hosts that a service is reached under; by default, those of one that only this machine can reach.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    /// Whether other machines can reach the listener.
    remote: bool,
    /// The names of `hosts` in the configuration.
    listed: Vec<String>,
}

impl Hosts {
    pub(super) fn listed(self, listed: Vec<String>) -> Self {
        Self { listed, ..self }
    }

    pub(super) fn listening_on(self, address: IpAddr) -> Self {
        Self { remote: !address.to_canonical().is_loopback(), ..self }
    }

    /// Checks where a request was sent to and from. `keyed` says whether it needs a key.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri, keyed: bool) -> Result<(), ApiError> {
        // A key is a secret that no page of another site has, and behind a proxy or in a network any name may be right.
        let any_host = self.remote && keyed;
        let mut called = texts(headers, &HOST);
        called.extend(uri.authority().map(Authority::as_str));
        if let Some(host) = called.iter().find(|host| !any_host && !self.is_own_host(host)) {
            return Err(forbidden("forbidden_host", &HOST, host));
        }
        let is_own = |origin: &str| {
            let Some((_, sender)) = origin.split_once("://") else { return false };
            let loopback = !any_host && name_of(sender).is_some_and(is_loopback);
            loopback || self.is_listed(sender) || called.iter().any(|host| host.eq_ignore_ascii_case(sender))
        };
        match texts(headers, &ORIGIN).into_iter().find(|origin| !is_own(origin)) {
            Some(origin) => Err(forbidden("forbidden_origin", &ORIGIN, origin)),
            None => Ok(()),
        }
    }

    /// Whether `authority` is this machine's or listed. Where other machines can reach the listener, any address is as
    /// good: only names can be made to mean something else.
    fn is_own_host(&self, authority: &str) -> bool {
        let is_own = |name: &str| is_loopback(name) || (self.remote && address(name).is_some());
        name_of(authority).is_some_and(is_own) || self.is_listed(authority)
    }

    fn is_listed(&self, authority: &str) -> bool {
        let Some(name) = name_of(authority) else { return false };
        self.listed
            .iter()
            .filter_map(|listed| name_of(listed))
            .any(|listed| listed.eq_ignore_ascii_case(name))
    }
}

/// The values of a header. One that is not text is empty here, which is no host's name.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default()).collect()
}

/// The host of `HOST[:PORT]`, without the brackets of an IPv6 address and the dot that may end a name.
fn name_of(authority: &str) -> Option<&str> {
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    is_port.then(|| host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

fn address(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

fn is_loopback(name: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || address(name).is_some_and(is_loopback)
}

fn forbidden(code: &'static str, header: &HeaderName, value: &str) -> ApiError {
    let message = format!(
        "the header `{header}` is `{}`, which is no host of this service: add the host name to `hosts` in the \
         configuration (WHITTLE_HOSTS) if it is one",
        crate::engine::shortened(value)
    );
    ApiError::new(StatusCode::FORBIDDEN, code, message).with_param(header.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of the error, empty where there is none.
    fn outcome(hosts: &Hosts, keyed: bool, host: &str, origin: Option<&str>) -> &'static str {
        let mut headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
        hosts.check(&headers, &Uri::from_static("/x"), keyed).map_or_else(|error| error.code, |()| "")
    }

    #[test]
    fn a_service_of_this_machine_is_called_by_its_names_alone() {
        let hosts = Hosts::default().listed(vec!["Whittle.example".into(), "[2001:db8::1]".into()]);
        for own in [
            "localhost",
            "LOCALHOST:8787",
            "localhost.",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8787",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "whittle.example",
            "whittle.EXAMPLE.:443",
            "[2001:db8::1]:80",
        ] {
            for keyed in [true, false] {
                assert_eq!(outcome(&hosts, keyed, own, None), "", "{own}");
            }
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "localhost@evil.example",
            "evil.example@localhost",
            "",
            "localhost:port",
            "[::1",
            "0.0.0.0",
            "127.1",
            "x.whittle.example",
            "::1",
        ] {
            for keyed in [true, false] {
                assert_eq!(outcome(&hosts, keyed, other, None), "forbidden_host", "{other}");
            }
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let hosts = Hosts::default().listed(vec!["whittle.example".into()]);
        for (origin, expected) in [
            ("http://127.0.0.1:8787", ""),
            ("http://localhost:3000", ""),
            ("https://whittle.example", ""),
            ("https://evil.example", "forbidden_origin"),
            ("http://localhost.evil.example", "forbidden_origin"),
            ("null", "forbidden_origin"),
            ("file://", "forbidden_origin"),
            ("", "forbidden_origin"),
        ] {
            assert_eq!(outcome(&hosts, false, "127.0.0.1:8787", Some(origin)), expected, "{origin}");
        }
    }

    #[test]
    fn a_service_of_a_network_without_keys_is_called_by_addresses_and_listed_names() {
        let hosts = Hosts::default().listed(vec!["whittle".into()]).listening_on([0, 0, 0, 0].into());
        for (host, expected) in [
            ("192.0.2.1:8787", ""),
            ("whittle:8787", ""),
            ("localhost:8787", ""),
            ("rebound.example:8787", "forbidden_host"),
        ] {
            assert_eq!(outcome(&hosts, false, host, None), expected, "{host}");
        }
        assert_eq!(outcome(&hosts, false, "192.0.2.1:8787", Some("http://192.0.2.1:8787")), "");
        assert_eq!(outcome(&hosts, false, "192.0.2.1:8787", Some("http://192.0.2.2")), "forbidden_origin");
    }

    #[test]
    fn where_keys_are_needed_any_name_of_a_network_may_be_called() {
        let hosts = Hosts::default().listed(vec!["page.example".into()]).listening_on([192, 0, 2, 1].into());
        let host = "anything.example:8787";
        for (origin, expected) in [
            (None, ""),
            (Some("http://anything.example:8787"), ""),
            (Some("https://page.example"), ""),
            (Some("http://anything.example"), "forbidden_origin"),
            (Some("http://localhost"), "forbidden_origin"),
        ] {
            assert_eq!(outcome(&hosts, true, host, origin), expected, "{origin:?}");
        }
    }

    #[test]
    fn the_host_of_an_absolute_address_counts_and_a_missing_one_does_not() {
        let hosts = Hosts::default();
        let code = |uri: &'static str| {
            hosts
                .check(&HeaderMap::new(), &Uri::from_static(uri), false)
                .map_or_else(|error| error.code, |()| "")
        };
        assert_eq!(code("/x"), "");
        assert_eq!(code("http://localhost/x"), "");
        assert_eq!(code("http://evil.example/x"), "forbidden_host");
    }
}
