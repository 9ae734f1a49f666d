//! The connection to the server: made, looked at, and made again.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::time::{sleep, timeout};

use super::{Away, Beat, Link, Shared};
use crate::config::WhenAway;

/// Time between two looks at the connection.
const BEAT: Duration = Duration::from_millis(250);
/// Time that a look may take. It is longer than a request waits, so that one slow answer breaks no connection.
const LOOK_TIME: Duration = Duration::from_millis(500);
/// Time that a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// Pauses between attempts to connect, the first one and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// Milliseconds after which the server forgets that somebody looked at it.
const LOOK_KEPT: u64 = 60_000;

/// Looks whether the server takes commands that write, which one that only copies another or is full does not, and asks
/// for its time and the version of what replicas tell each other.
static LOOK: LazyLock<redis::Script> = LazyLock::new(|| {
    redis::Script::new(
        "redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
        local time = redis.call('TIME')
        return {time[1], time[2], redis.call('GET', KEYS[1]) or ''}",
    )
});

/// Connects, and connects again whenever the connection is lost.
pub(super) async fn keep(shared: &Shared) {
    let [first, longest] = PAUSES;
    let (mut pause, mut number) = (first, 0);
    loop {
        let away = match connect(shared, number + 1).await {
            Ok(connection) => {
                (pause, number) = (first, number + 1);
                found(shared, connection.clone());
                hold(shared, connection, number).await
            }
            Err(away) => away,
        };
        lost(shared, away);
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Makes a connection that the server takes commands by.
async fn connect(shared: &Shared, number: u64) -> Result<MultiplexedConnection, Away> {
    let address = &shared.0.address;
    // What a request waits for is bounded where it waits.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIME))
        .set_response_timeout(Some(CONNECT_TIME));
    let connection = shared.0.client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = match timeout(CONNECT_TIME, connection).await {
        Ok(connection) => connection.map_err(|error| Away::of(address, &error))?,
        Err(_) => return Err(Away::Late { address: address.clone(), time: CONNECT_TIME }),
    };
    look(shared, &mut connection, number).await?;
    Ok(connection)
}

/// Looks at the connection again and again, until it is lost.
async fn hold(shared: &Shared, mut connection: MultiplexedConnection, number: u64) -> Away {
    loop {
        tokio::select! {
            () = sleep(BEAT) => {}
            () = shared.0.doubt.notified() => {}
        }
        if let Err(away) = look(shared, &mut connection, number).await {
            return away;
        }
    }
}

async fn look(shared: &Shared, connection: &mut MultiplexedConnection, number: u64) -> Result<(), Away> {
    let address = &shared.0.address;
    let mut look = LOOK.prepare_invoke();
    let look = look.key(shared.version_key()).key(shared.key(OWNER, "look")).arg(LOOK_KEPT);
    let sent = Instant::now();
    let (seconds, micros, version): (u64, u64, String) =
        match timeout(LOOK_TIME, look.invoke_async(connection)).await {
            Ok(answer) => answer.map_err(|error| Away::of(address, &error))?,
            Err(_) => return Err(Away::Late { address: address.clone(), time: LOOK_TIME }),
        };
    // The answer was made somewhere between.
    let at = sent + sent.elapsed() / 2;
    let time = Duration::from_secs(seconds) + Duration::from_micros(micros);
    shared.0.beat.send_replace(Beat { connection: number, version, time: (time, at) });
    Ok(())
}

/// The owner of the keys that belong to all replicas.
const OWNER: &str = "replicas";

impl Shared {
    /// Returns the key of the version of what replicas tell each other.
    #[must_use]
    pub fn version_key(&self) -> String {
        self.key(OWNER, "version")
    }

    /// Returns the key of something that all replicas tell each other.
    #[must_use]
    pub fn common_key(&self, name: &str) -> String {
        self.key(OWNER, name)
    }
}

fn found(shared: &Shared, connection: MultiplexedConnection) {
    shared.0.link.send_replace(Link::Up(connection));
    tracing::info!(server = shared.0.address, "connected to the state that replicas share");
}

/// Notes that there is no connection, on one line of the log for each time that it is lost.
fn lost(shared: &Shared, away: Away) {
    let text = away.to_string();
    let before = shared.0.link.send_replace(Link::Away(away));
    if !matches!(before, Link::Away(_)) {
        let consequence = match shared.when_away() {
            WhenAway::Refuse => "requests with a key are refused",
            WhenAway::Local => "this process counts alone",
        };
        tracing::error!(reason = text, "the state that replicas share is away: {consequence}");
    }
}
