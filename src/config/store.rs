//! The configuration of what keeps collections.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::ConfigError;
use super::section::{ensure, section, within};
use super::store_kind::StoreKind;

/// The port that PostgreSQL listens on where the address names none.
const PORT: u16 = 5432;

section! {
    /// The configuration of what keeps collections and banks of examples.
    #[derive(Eq)]
    StoreConfig at "store." {
        /// The place that keeps collections, banks of examples, keys, the ledger and the proxy's decisions on texts: `local`,
        /// the data folder, or `postgres`, a database that several replicas share.
        kind: StoreKind = StoreKind::Local;
        /// Address of the database: `postgres://USER@HOST:PORT/DATABASE`; the port may be left out. Connections use TLS and
        /// check the server's certificate, unless the host is this machine; `?sslmode=disable` or `?sslmode=require` says
        /// otherwise.
        url: Option<String> = None, |key, url: &Option<String>| {
            let fault = url.as_deref().and_then(|url| read_server(url).err());
            // One at fault may hold a password anywhere.
            ensure(fault.is_none(), key, &"an address that is not shown", || fault.unwrap_or_default().into())
        };
        /// Environment variable with the database's password, where it asks for one.
        password_env: Option<String> = None, |key, name: &Option<String>| {
            let holds = name.as_ref().is_none_or(|name| !name.is_empty() && !name.contains(['=', '\0']));
            ensure(holds, key, &name.as_deref().unwrap_or_default(), || "the name of an environment variable".into())
        };
        /// Schema that holds the tables, made on first need, 1 to 63 of `a`-`z`, `0`-`9` and `_`, the first no digit: replicas
        /// with the same one share what is in it.
        schema: String = "whittle".into(), |key, schema: &String| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let starts = schema.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
            let holds = starts && schema.len() <= 63 && schema.bytes().all(is_plain) && !schema.starts_with("pg_");
            let wanted = || "1 to 63 of `a`-`z`, `0`-`9` and `_`, the first no digit, and not begin with `pg_`".into();
            ensure(holds, key, schema, wanted)
        };
        /// Connections to the database at most, 1 to 1,000: as many requests use it at once. Keys have two more.
        pool: usize = 8, within(1..=1000);
        /// Milliseconds that a request waits for a connection, 1 to 60,000, before it gets 503 with `retry-after`.
        wait_ms: u64 = 2_000, within(1..=60_000);
        /// Milliseconds that one statement may take in the database, 1 to an hour.
        timeout_ms: u64 = 30_000, within(1..=3_600_000);
    }
}

/// A database server as its address names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// The host's name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The name of the database.
    pub database: String,
    /// Set where connections use TLS.
    pub tls: bool,
}

impl StoreConfig {
    /// Returns the server that the address names, if there is an address.
    #[must_use]
    pub fn server(&self) -> Option<DatabaseServer> {
        self.url.as_deref().and_then(|url| read_server(url).ok())
    }

    /// [`StoreConfig::wait_ms`] as a duration.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// [`StoreConfig::timeout_ms`] as a duration.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Checks that a database that is to be used has an address.
    pub(super) fn check_address(&self) -> Result<(), ConfigError> {
        let wanted = || "`local`, unless `store.url` has the database's address".into();
        ensure(self.kind == StoreKind::Local || self.url.is_some(), "store.kind", &"postgres", wanted)
    }
}

/// Returns the server that an address names, or says what would be one.
fn read_server(text: &str) -> Result<DatabaseServer, &'static str> {
    let url = Url::parse(text).map_err(|_| "an address such as `postgres://me@127.0.0.1:5432/whittle`")?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let (true, Some(host)) = (matches!(url.scheme(), "postgres" | "postgresql"), host) else {
        return Err("an address that begins with `postgres://` and names a host");
    };
    if url.password().is_some() {
        return Err(
            "without a password: put it into an environment variable and its name into `store.password_env`",
        );
    }
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(String::from);
    let user = decoded(url.username()).filter(|user| !user.is_empty());
    let database = decoded(url.path().trim_start_matches('/')).filter(|name| !name.is_empty());
    let (Some(user), Some(database)) = (user, database) else {
        return Err(
            "an address that names a user and a database, such as `postgres://me@127.0.0.1:5432/whittle`",
        );
    };
    let mut tls = !is_this_machine(&url);
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("sslmode", "disable") => tls = false,
            // The certificate is checked in any case.
            ("sslmode", "require" | "verify-full") => tls = true,
            _ => return Err("an address with no other setting than `sslmode=disable` or `sslmode=require`"),
        }
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(DatabaseServer { host, port: url.port().unwrap_or(PORT), user, database, tls })
}

/// Returns whether an address leads to this machine.
fn is_this_machine(url: &Url) -> bool {
    let named = |name: &str| match name.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost",
    };
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => named(name),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_used_unless_the_server_is_this_machine_or_the_address_says_so() {
        for (url, host, port, tls) in [
            ("postgres://me@127.0.0.1:7/db", "127.0.0.1", 7, false),
            ("postgres://me@localhost/db", "localhost", 5432, false),
            ("postgresql://me@[::1]:9/db", "::1", 9, false),
            ("postgres://me@db.example/db", "db.example", 5432, true),
            ("postgres://me@10.0.0.7/db?sslmode=disable", "10.0.0.7", 5432, false),
            ("postgres://me@127.0.0.1/db?sslmode=verify-full", "127.0.0.1", 5432, true),
        ] {
            let server = read_server(url).unwrap();
            assert_eq!((&*server.host, server.port, server.tls), (host, port, tls), "{url}");
            assert_eq!((&*server.user, &*server.database), ("me", "db"));
        }
        let server = read_server("postgres://a%40b@h/my%20db").unwrap();
        assert_eq!((&*server.user, &*server.database), ("a@b", "my db"));
    }
}
