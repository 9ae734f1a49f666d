//! State that several replicas share, in Valkey or Redis.
//!
//! All requests use one connection at once, and wait for it no longer than `shared.timeout_ms`. A task of its own (`link`)
//! makes the connection, looks four times a second whether it still answers, and makes another where it does not. As long
//! as there is none, a call fails at once: what that means is for the caller to say.
//!
//! What is asked are scripts, each of which the server runs as a whole, by its own clock: replicas need not agree on the
//! time. All keys of a script have the same part in braces, so that they are in one slot of a cluster.

mod away;
#[cfg(test)]
pub(crate) mod fake;
mod link;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, IntoConnectionInfo, RedisError};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::config::{Env, SharedConfig, SharedKind, WhenAway};
pub use away::Away;

/// A script that the server runs as a whole.
#[derive(Debug)]
pub struct Script(redis::Script);

impl Script {
    /// The script with this text, in Lua.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }
}

/// The state that several replicas share. Clones share the connection.
#[derive(Clone)]
pub struct Shared(Arc<Parts>);

struct Parts {
    client: Client,
    /// The server's host and port, for messages.
    address: String,
    timeout: Duration,
    prefix: String,
    when_away: WhenAway,
    link: watch::Sender<Link>,
    beat: watch::Sender<Beat>,
    /// A call failed, so the connection is to be looked at now.
    doubt: Notify,
    failed: AtomicU64,
}

/// The state of the connection.
enum Link {
    /// The first attempt to connect is not over.
    Connecting,
    Up(MultiplexedConnection),
    Away(Away),
}

/// The answer of the server when it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The number of the connection, from 1; 0 where there has been none.
    pub connection: u64,
    /// The version of what replicas tell each other, which is another one after each change.
    pub version: String,
    /// The server's time since the epoch, and when it was that.
    time: (Duration, Instant),
}

/// The state of the connection, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedState {
    /// The server's host and port.
    pub address: String,
    /// The reason why the server cannot be used, if so.
    pub away: Option<Away>,
    /// Calls that failed or could not be made, since the service began.
    pub failed: u64,
}

/// An error of setting up what replicas share.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The variable with the password is not set.
    #[error(
        "`shared.password_env` names the environment variable {0}, which is not set: set it, or leave out \
         `shared.password_env` if the server asks for no password"
    )]
    NoPassword(String),
    /// The address cannot be used.
    #[error("`shared.url` cannot be used: {0}")]
    Address(String),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("address", &self.0.address).finish_non_exhaustive()
    }
}

impl Shared {
    /// Returns what `config` describes, with the password that `env` has; none where nothing is shared. It connects once
    /// [`Shared::keep`] runs.
    ///
    /// # Errors
    /// The password is not set, or the address cannot be used.
    pub fn new(config: &SharedConfig, env: &dyn Env) -> Result<Option<Self>, SharedError> {
        let Some(url) = config.url.as_ref().filter(|_| config.kind == SharedKind::Valkey) else {
            return Ok(None);
        };
        // Installing it a second time fails, and the first one serves.
        rustls::crypto::ring::default_provider().install_default().ok();
        let unusable = |error: RedisError| SharedError::Address(error.to_string());
        let info = url.as_str().into_connection_info().map_err(unusable)?;
        let address = info.addr().to_string();
        let mut settings = info.redis_settings().clone();
        if let Some(name) = &config.password_env {
            let set = env.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            settings = settings.set_password(set.ok_or_else(|| SharedError::NoPassword(name.clone()))?);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client =
            Client::open(info.set_redis_settings(settings).set_tcp_settings(tcp)).map_err(unusable)?;
        let nothing = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let beat = Beat { connection: 0, version: String::new(), time: (nothing, Instant::now()) };
        Ok(Some(Self(Arc::new(Parts {
            client,
            address,
            timeout: config.timeout(),
            prefix: config.prefix.clone(),
            when_away: config.when_away,
            link: watch::Sender::new(Link::Connecting),
            beat: watch::Sender::new(beat),
            doubt: Notify::new(),
            failed: AtomicU64::new(0),
        }))))
    }

    /// Connects, and connects again whenever the connection is lost. This never ends.
    pub async fn keep(self) {
        link::keep(&self).await;
    }

    /// Waits until the first attempt to connect is over, whatever came of it.
    pub async fn tried(&self) {
        // The sender is in this, so the channel is open.
        let mut link = self.0.link.subscribe();
        link.wait_for(|link| !matches!(link, Link::Connecting)).await.map(drop).unwrap_or_default();
    }

    /// Returns the name of a key in the server. Keys of the same `owner` are in one slot of a cluster.
    #[must_use]
    pub fn key(&self, owner: &str, name: &str) -> String {
        format!("{}{{{owner}}}:{name}", self.0.prefix)
    }

    /// The longest time that a request waits for the server.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Returns what requests get while the server cannot be reached.
    #[must_use]
    pub fn when_away(&self) -> WhenAway {
        self.0.when_away
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> SharedState {
        let failed = self.0.failed.load(Ordering::Relaxed);
        SharedState { address: self.0.address.clone(), away: self.away(), failed }
    }

    /// The reason why the server cannot be used, if so.
    #[must_use]
    pub fn away(&self) -> Option<Away> {
        match &*self.0.link.borrow() {
            Link::Connecting => Some(Away::Connecting { address: self.0.address.clone() }),
            Link::Up(_) => None,
            Link::Away(away) => Some(away.clone()),
        }
    }

    /// Returns what the server says each time that it is looked at.
    #[must_use]
    pub fn beats(&self) -> watch::Receiver<Beat> {
        self.0.beat.subscribe()
    }

    /// The time since the epoch by the server's clock, or by this machine's where the server has never been reached.
    #[must_use]
    pub fn now(&self) -> Duration {
        let (time, at) = self.0.beat.borrow().time;
        time + at.elapsed()
    }

    /// Has the server run a script, and waits for its answer no longer than `within`.
    ///
    /// # Errors
    /// The server cannot be reached, is too slow, or refuses the script. It may have run it all the same.
    pub async fn run<T: FromRedisValue>(
        &self,
        Script(script): &Script,
        (keys, arguments): (&[String], &[String]),
        within: Duration,
    ) -> Result<T, Away> {
        let mut call = script.prepare_invoke();
        call.key(keys).arg(arguments);
        self.ask(within, async |connection| call.invoke_async(connection).await).await
    }

    /// Returns the values of keys, each none where the server has none, and waits no longer than `within`.
    ///
    /// # Errors
    /// The server cannot be reached, is too slow, or refuses to answer.
    pub async fn values(&self, keys: &[String], within: Duration) -> Result<Vec<Option<Vec<u8>>>, Away> {
        let mut get = redis::pipe();
        for key in keys {
            get.get(key);
        }
        self.ask(within, async |connection| get.query_async(connection).await).await
    }

    /// Stores values, which the server forgets after `time`, and waits no longer than `within`.
    ///
    /// # Errors
    /// The server cannot be reached, is too slow, or refuses. It may have stored them all the same.
    pub async fn put(&self, values: &[Value], time: Duration, within: Duration) -> Result<(), Away> {
        let mut set = redis::pipe();
        for Value { key, bytes, replaces } in values {
            let set = set.cmd("SET").arg(key).arg(&bytes[..]).arg("PX").arg(time.as_millis() as u64);
            if !replaces {
                set.arg("NX");
            }
            set.ignore();
        }
        self.ask(within, async |connection| set.query_async(connection).await).await
    }

    /// Has something done by the connection, where there is one.
    async fn ask<T>(
        &self,
        within: Duration,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Away> {
        let connection = match &*self.0.link.borrow() {
            Link::Up(connection) => Ok(connection.clone()),
            Link::Away(away) => Err(away.clone()),
            Link::Connecting => Err(Away::Connecting { address: self.0.address.clone() }),
        };
        let answer = match connection {
            Ok(mut connection) => match timeout(within, call(&mut connection)).await {
                Ok(answer) => answer.map_err(|error| Away::of(&self.0.address, &error)),
                Err(_) => Err(Away::Late { address: self.0.address.clone(), time: within }),
            }
            .inspect_err(|_| self.0.doubt.notify_one()),
            Err(away) => Err(away),
        };
        answer.inspect_err(|_| {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        })
    }
}

/// A value to be stored.
#[derive(Debug, Clone)]
pub struct Value {
    /// The key, see [`Shared::key`].
    pub key: String,
    /// The value.
    pub bytes: Vec<u8>,
    /// Says whether it takes the place of one that is there.
    pub replaces: bool,
}
