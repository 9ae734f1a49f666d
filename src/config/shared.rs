//! The configuration of the state that several replicas share.

use std::time::Duration;

use url::Url;

use super::ConfigError;
use super::section::{ensure, section, within};
use super::shared_kind::{SharedKind, WhenAway};

section! {
    /// The configuration of the state that several replicas share: limits and revocations of keys.
    #[derive(Eq)]
    SharedConfig at "shared." {
        /// The kind of server that holds the state: `none`, or `valkey`, as which Redis serves, too.
        kind: SharedKind = SharedKind::None;
        /// Address of the server: `redis://HOST:PORT/DATABASE`, with TLS `rediss://`; port and database may be left out.
        url: Option<String> = None, |key, url: &Option<String>| {
            let fault = url.as_deref().and_then(|url| fault_of_url(url).err());
            // One at fault may hold a password anywhere.
            ensure(fault.is_none(), key, &"an address that is not shown", || fault.unwrap_or_default().into())
        };
        /// Environment variable with the server's password, where it asks for one.
        password_env: Option<String> = None, |key, name: &Option<String>| {
            let holds = name.as_ref().is_none_or(|name| !name.is_empty() && !name.contains(['=', '\0']));
            ensure(holds, key, &name.as_deref().unwrap_or_default(), || "the name of an environment variable".into())
        };
        /// Milliseconds that a request waits for the server, 1 to 10,000: once for its limits and once for decisions on its
        /// texts.
        timeout_ms: u64 = 100, within(1..=10_000);
        /// Beginning of the names of all keys in the server, 1 to 64 letters, digits, `-`, `_`, `.` and `:`: replicas with
        /// the same one share their state.
        prefix: String = "whittle:".into(), |key, prefix: &String| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            let holds = (1..=64).contains(&prefix.len()) && prefix.bytes().all(is_plain);
            ensure(holds, key, prefix, || "1 to 64 letters, digits, `-`, `_`, `.` or `:`".into())
        };
        /// Says what requests with a key get while the server cannot be reached: `refuse` answers 503, `local` lets each
        /// replica count alone.
        when_away: WhenAway = WhenAway::Refuse;
    }
}

impl SharedConfig {
    /// [`SharedConfig::timeout_ms`] as a duration.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Checks that a server that is to be used has an address.
    pub(super) fn check_address(&self) -> Result<(), ConfigError> {
        let wanted = || "`none`, unless `shared.url` has the server's address".into();
        ensure(self.kind == SharedKind::None || self.url.is_some(), "shared.kind", &"valkey", wanted)
    }
}

/// Fails where `text` is no address of a server, and says what would be.
fn fault_of_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "an address such as `redis://127.0.0.1:6379/0`")?;
    if !matches!(url.scheme(), "redis" | "rediss") || url.host_str().is_none_or(str::is_empty) {
        return Err("an address that begins with `redis://`, or `rediss://` for TLS, and names a host");
    }
    if url.password().is_some() {
        return Err(
            "without a password: put it into an environment variable and its name into `shared.password_env`",
        );
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("an address whose path is the number of a database, such as `redis://127.0.0.1:6379/0`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address that ends with its path: leave out `?` and `#`");
    }
    Ok(())
}
