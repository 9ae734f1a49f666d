//! The variables by which a command finds the proxy, and by which the proxy finds its upstreams.

use std::net::{Ipv6Addr, SocketAddr};

use super::set;
use crate::config::{Env, UpstreamConfig};
use crate::wire::Dialect;

/// Variables with the address of Anthropic's API.
const ANTHROPIC: [&str; 2] = ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"];
/// Variables with the address of OpenAI's API, `/v1` included.
const OPENAI: [&str; 3] = ["OPENAI_BASE_URL", "OPENAI_API_BASE", "AIDER_OPENAI_API_BASE"];
/// Variables with the address of Gemini's API.
const GEMINI: [&str; 1] = ["GOOGLE_GEMINI_BASE_URL"];
/// Variables with the address of Ollama, of which its clients need only a part.
const OLLAMA: [&str; 1] = ["OLLAMA_HOST"];
/// Variables with the address of a resource on Azure. There is no public one.
const AZURE: [&str; 1] = ["AZURE_OPENAI_ENDPOINT"];
/// Variables with the address of Cohere's API. They are read and not set, for clients of its first version, whose paths
/// nobody here understands, go by them too.
const COHERE: [&str; 1] = ["CO_API_URL"];
/// Variables of proxies, behind which an address of this machine must not be looked for.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Adds an upstream for each dialect that has none: where the environment says that its API is, else its public address.
/// Returns what is to be said of variables that name no address, and whose dialects stay without an upstream: the command
/// need not care for them.
pub(super) fn complete(upstreams: &mut Vec<UpstreamConfig>, env: &dyn Env) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (dialect, name, variables, public) in [
        (Dialect::Azure, "azure", &AZURE[..], ""),
        (Dialect::Anthropic, "anthropic", &ANTHROPIC[..], "https://api.anthropic.com"),
        (Dialect::OpenAi, "openai", &OPENAI[..], "https://api.openai.com/v1"),
        (Dialect::Gemini, "gemini", &GEMINI[..], "https://generativelanguage.googleapis.com"),
        (Dialect::Ollama, "ollama", &OLLAMA[..], "http://127.0.0.1:11434"),
        (Dialect::Cohere, "cohere", &COHERE[..], "https://api.cohere.com"),
    ] {
        if upstreams.iter().any(|upstream| upstream.dialect == dialect) {
            continue;
        }
        let given = variables.iter().find_map(|variable| Some((variable, set(env, variable)?)));
        let address = given.as_ref().map_or(public, |(_, address)| address);
        if address.is_empty() {
            continue;
        }
        let whole = if dialect == Dialect::Ollama { host(address) } else { address.to_owned() };
        match UpstreamConfig::at(&unused(name, upstreams), dialect, &whole) {
            Ok(upstream) => upstreams.push(upstream),
            Err(reason) => {
                let variable = given.as_ref().map_or("", |(variable, _)| variable);
                let wrong = format!("the environment variable {variable} is `{address}`: {reason}");
                anyhow::ensure!(!matches!(dialect, Dialect::Anthropic | Dialect::OpenAi), wrong);
                warnings.push(format!("{wrong}; the proxy goes without an upstream `{name}`"));
            }
        }
    }
    Ok(warnings)
}

/// The address of a server of Ollama, as its clients complete it: they take `:11434`, `host` and `host:port` too.
fn host(written: &str) -> String {
    if written.contains("://") {
        return written.to_owned();
    }
    let (host, path) = written.split_at(written.find('/').unwrap_or(written.len()));
    if host.parse::<Ipv6Addr>().is_ok() {
        return format!("http://[{host}]:11434{path}");
    }
    // The colons of any other address of IPv6 stand in brackets.
    let end = host.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = host.split_at(host[end..].rfind(':').map_or(host.len(), |colon| end + colon));
    let name = if name.is_empty() { "127.0.0.1" } else { name };
    let port = if port.len() > 1 { port } else { ":11434" };
    format!("http://{name}{port}{path}")
}

/// A name that no upstream has yet.
fn unused(name: &str, upstreams: &[UpstreamConfig]) -> String {
    let mut name = name.to_owned();
    while upstreams.iter().any(|upstream| upstream.name == name) {
        name.push('-');
    }
    name
}

/// Returns the variables that the command gets beside those of this process: those of dialects that have an upstream.
pub(super) fn of(
    address: SocketAddr,
    upstreams: &[UpstreamConfig],
    env: &dyn Env,
) -> Vec<(&'static str, String)> {
    let base = format!("http://{address}");
    let has = |dialect| upstreams.iter().any(|upstream| upstream.dialect == dialect);
    let at_root = [
        (Dialect::Anthropic, &ANTHROPIC[..]),
        (Dialect::Gemini, &GEMINI),
        (Dialect::Ollama, &OLLAMA),
        (Dialect::Azure, &AZURE),
    ];
    let names = at_root.into_iter().filter(|(dialect, _)| has(*dialect)).flat_map(|(_, names)| names);
    // Some programs take the variable of Azure alone for a wish to call it.
    let names = names.filter(|name| !AZURE.contains(name) || set(env, name).is_some());
    let mut variables: Vec<(&str, String)> = names.map(|name| (*name, base.clone())).collect();
    if has(Dialect::OpenAi) {
        variables.extend(OPENAI.iter().map(|name| (*name, format!("{base}/v1"))));
    }
    if PROXIES.iter().any(|name| set(env, name).is_some()) {
        let known = NO_PROXY.iter().find_map(|name| set(env, name));
        let host = address.ip().to_string();
        let hosts = known.map_or_else(|| host.clone(), |known| format!("{known},{host}"));
        variables.extend(NO_PROXY.iter().map(|name| (*name, hosts.clone())));
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::ffi::OsString;

    use super::*;

    struct Given(HashMap<&'static str, &'static str>);

    impl Env for Given {
        fn value(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }
    }

    fn completed(
        upstreams: Vec<UpstreamConfig>,
        env: &[(&'static str, &'static str)],
    ) -> Vec<(String, String)> {
        let mut upstreams = upstreams;
        complete(&mut upstreams, &Given(env.iter().copied().collect())).unwrap();
        upstreams.into_iter().map(|upstream| (upstream.name, upstream.base_url)).collect()
    }

    #[test]
    fn what_the_configuration_lacks_is_taken_from_the_environment_and_else_public() {
        let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        assert_eq!(
            completed(Vec::new(), &[]),
            [
                pair("anthropic", "https://api.anthropic.com"),
                pair("openai", "https://api.openai.com/v1"),
                pair("gemini", "https://generativelanguage.googleapis.com"),
                pair("ollama", "http://127.0.0.1:11434"),
                pair("cohere", "https://api.cohere.com"),
            ]
        );
        let own = UpstreamConfig::at("openai", Dialect::Anthropic, "http://127.0.0.1:1").unwrap();
        assert_eq!(
            completed(
                vec![own],
                &[
                    ("OPENAI_API_BASE", "http://127.0.0.1:2/v1/"),
                    ("OPENAI_BASE_URL", " "),
                    ("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:3"),
                    ("OLLAMA_HOST", "box"),
                    ("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:4/"),
                ]
            ),
            [
                pair("openai", "http://127.0.0.1:1"),
                pair("azure", "http://127.0.0.1:4"),
                pair("openai-", "http://127.0.0.1:2/v1"),
                pair("gemini", "http://127.0.0.1:3"),
                pair("ollama", "http://box:11434"),
                pair("cohere", "https://api.cohere.com"),
            ]
        );
        let wrong = Given([("ANTHROPIC_BASE_URL", "localhost")].into());
        let error = complete(&mut Vec::new(), &wrong).unwrap_err().to_string();
        assert!(error.contains("ANTHROPIC_BASE_URL"), "{error}");
    }

    #[test]
    fn a_variable_that_the_command_need_not_care_for_is_warned_of() {
        let env = Given([("OLLAMA_HOST", "::1"), ("AZURE_OPENAI_ENDPOINT", "nowhere")].into());
        let mut upstreams = Vec::new();
        let warnings = complete(&mut upstreams, &env).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("AZURE_OPENAI_ENDPOINT is `nowhere`"), "{warnings:?}");
        let dialects: Vec<_> = upstreams.iter().map(|upstream| upstream.dialect).collect();
        assert!(dialects.contains(&Dialect::Ollama) && !dialects.contains(&Dialect::Azure), "{dialects:?}");
        // Nor is the command sent where nobody is asked.
        let names: Vec<_> =
            of("127.0.0.1:7".parse().unwrap(), &upstreams, &env).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"OLLAMA_HOST") && !names.contains(&"AZURE_OPENAI_ENDPOINT"), "{names:?}");
    }

    #[test]
    fn addresses_of_ollama_are_completed_as_its_clients_do() {
        for (written, whole) in [
            ("https://box/ollama", "https://box/ollama"),
            ("box", "http://box:11434"),
            ("box:1/a:b", "http://box:1/a:b"),
            (":1", "http://127.0.0.1:1"),
            ("[::1]", "http://[::1]:11434"),
            ("::1", "http://[::1]:11434"),
            ("fe80::2/x", "http://[fe80::2]:11434/x"),
            ("[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(host(written), whole, "{written}");
        }
    }

    #[test]
    fn a_command_behind_a_proxy_still_finds_this_machine() {
        let address = "127.0.0.1:7".parse().unwrap();
        let of = |env: &[(&'static str, &'static str)]| -> HashMap<_, _> {
            let (mut upstreams, env) = (Vec::new(), Given(env.iter().copied().collect()));
            complete(&mut upstreams, &env).unwrap();
            of(address, &upstreams, &env).into_iter().collect()
        };
        let plain = of(&[]);
        assert_eq!(plain["ANTHROPIC_BASE_URL"], "http://127.0.0.1:7");
        assert_eq!(plain["OPENAI_API_BASE"], "http://127.0.0.1:7/v1");
        assert!(!plain.contains_key("NO_PROXY") && !plain.contains_key("AZURE_OPENAI_ENDPOINT"));
        assert!(plain.contains_key("OLLAMA_HOST") && !plain.contains_key("CO_API_URL"));
        assert_eq!(
            of(&[("AZURE_OPENAI_ENDPOINT", "https://x")])["AZURE_OPENAI_ENDPOINT"],
            "http://127.0.0.1:7"
        );
        let proxied = of(&[("https_proxy", "http://p"), ("no_proxy", "x.example")]);
        assert_eq!(proxied["NO_PROXY"], "x.example,127.0.0.1");
        assert_eq!(proxied["no_proxy"], proxied["NO_PROXY"]);
    }
}
