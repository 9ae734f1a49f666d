//! Connections to the database: a pool of them, and transactions on one.

mod migrate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error;
use super::measure::{Access, DatabaseState, Measures};
use crate::config::{Env, StoreConfig, StoreKind};
use crate::index::{IndexError, PostgresError};

/// Time beyond the server's own limit that a statement is waited for.
const GRACE: Duration = Duration::from_secs(1);
/// Time between two looks at the database.
const LOOK: Duration = Duration::from_secs(1);

/// A database that holds collections. Clones share its connections.
#[derive(Clone)]
pub struct Postgres(Arc<Parts>);

struct Parts {
    runtime: Threads,
    pool: Pool,
    /// Permits to write: batches that wait for each other leave a connection to searches.
    writers: Semaphore,
    /// The server's host, port and database, for messages.
    address: String,
    schema: String,
    timeout: Duration,
    wait: Duration,
    /// The schemas that names are looked up in, once the tables are there.
    path: OnceCell<String>,
    /// The reason why it cannot be used, as it was looked at last.
    away: watch::Sender<Option<PostgresError>>,
    measures: Measures,
}

/// The threads that connections are driven by. They are not waited for at the end, which asynchronous code must not do.
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A parameter of a statement with its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("address", &self.0.address).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Returns the database that `config` describes, with the password that `env` has; none where collections are local.
    /// It connects on first need.
    ///
    /// # Errors
    /// The password is not set, the address cannot be used, or no thread can be started.
    pub fn new(config: &StoreConfig, env: &dyn Env) -> Result<Option<Self>, PostgresError> {
        let Some(url) = config.server().filter(|_| config.kind == StoreKind::Postgres) else {
            return Ok(None);
        };
        let mut settings = Config::new();
        settings.host(&url.host).port(url.port).user(&url.user).dbname(&url.database);
        settings.application_name("whittle").connect_timeout(config.wait());
        settings.ssl_mode(if url.tls { SslMode::Require } else { SslMode::Disable });
        if let Some(name) = &config.password_env {
            let set = env.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            settings.password(set.ok_or_else(|| PostgresError::NoPassword(name.clone()))?);
        }
        let unusable = |error: &dyn std::fmt::Display| PostgresError::Address(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("whittle-postgres")
            .enable_all()
            .build()
            .map_err(|error| unusable(&error))?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(settings, tls(url.tls)?, recycling);
        let pool = Pool::builder(manager)
            .max_size(config.pool)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(config.wait()))
            .create_timeout(Some(config.wait()))
            .recycle_timeout(Some(config.wait()))
            .build()
            .map_err(|error| unusable(&error))?;
        let address = format!("{}:{}/{}", url.host, url.port, url.database);
        Ok(Some(Self(Arc::new(Parts {
            runtime: Threads(Some(runtime)),
            pool,
            writers: Semaphore::new(config.pool.saturating_sub(1).max(1)),
            away: watch::Sender::new(Some(PostgresError::Connecting { address: address.clone() })),
            address,
            schema: config.schema.clone(),
            timeout: config.timeout(),
            wait: config.wait(),
            path: OnceCell::new(),
            measures: Measures::default(),
        }))))
    }

    /// Returns the reason why the database could not be used when it was looked at last, if so.
    #[must_use]
    pub fn away(&self) -> Option<PostgresError> {
        self.0.away.borrow().clone()
    }

    /// Returns its state, and what was done with it.
    #[must_use]
    pub fn state(&self) -> DatabaseState {
        let Parts { address, pool, measures, .. } = &*self.0;
        let pool = pool.status();
        let [reads, writes] = measures.times();
        DatabaseState {
            address: address.clone(),
            away: self.away(),
            in_use: pool.size.saturating_sub(pool.available),
            idle: pool.available,
            waiting: pool.waiting + measures.waiting(),
            errors: measures.errors(),
            reads,
            writes,
        }
    }

    /// Looks at the database now, making its tables if there are none, and from now on each second on a thread of its own.
    pub fn watch(&self) {
        let Some(runtime) = &self.0.runtime.0 else { return };
        runtime.block_on(self.look());
        // The task must not keep the threads that it runs on.
        let parts = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            loop {
                sleep(LOOK).await;
                let Some(parts) = parts.upgrade() else { return };
                Self(parts).look().await;
            }
        });
    }

    /// Returns the server's host, port and database, for messages.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Checks that the database answers, and that its tables are none of a newer version.
    async fn check(&self) -> Result<(), IndexError> {
        let session = self.session(Access::Read).await?;
        let made = migrate::made(&session).await;
        let ended = session.end("ROLLBACK").await;
        made.and(ended)
    }

    /// Looks whether the database can be used. That all connections are in use is no reason why not.
    async fn look(&self) {
        let away = match self.check().await {
            Ok(()) => None,
            // Then nothing is known.
            Err(IndexError::Postgres(PostgresError::Busy { .. })) => return,
            Err(IndexError::Postgres(away)) => Some(away),
            Err(error) => {
                Some(PostgresError::Refused { address: self.0.address.clone(), reason: error.to_string() })
            }
        };
        let text = away.as_ref().map(ToString::to_string);
        let before = self.0.away.send_replace(away);
        let lost = |before: &Option<PostgresError>| {
            before.as_ref().is_some_and(|away| !matches!(away, PostgresError::Connecting { .. }))
        };
        match text {
            Some(reason) if !lost(&before) => tracing::error!(reason, "collections cannot be used"),
            None if before.is_some() => tracing::info!(server = self.0.address, "connected to PostgreSQL"),
            _ => {}
        }
    }

    /// Has `work` done in one transaction, all or nothing. Blocks.
    pub(super) fn transact<T>(
        &self,
        access: Access,
        work: impl AsyncFnOnce(&Session) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.runtime()?.block_on(self.transaction(access, work))
    }

    /// Runs `work`, which uses this database, on the threads that its connections are driven by.
    #[cfg(feature = "server")]
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<tokio::task::JoinHandle<T>, IndexError> {
        Ok(self.runtime()?.spawn(work))
    }

    fn runtime(&self) -> Result<&tokio::runtime::Runtime, IndexError> {
        self.0.runtime.0.as_ref().ok_or_else(|| IndexError::Store("the connections are closed".into()))
    }

    /// Has `work` done in one transaction, all or nothing.
    pub(super) async fn transaction<T>(
        &self,
        access: Access,
        work: impl AsyncFnOnce(&Session) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let done = self.attempt(access, work).await;
        done.inspect_err(|error| self.0.measures.failed(error))
    }

    async fn attempt<T>(
        &self,
        access: Access,
        work: impl AsyncFnOnce(&Session) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let _permit = self.permit(access).await?;
        let client = self.0.pool.get().await.map_err(|error| self.of_pool(error))?;
        let start = Instant::now();
        let done = async {
            let session = self.begun(client, access).await?;
            match work(&session).await {
                Ok(value) => session.end("COMMIT").await.map(|()| value),
                Err(error) => {
                    // The error says more than whether its remains could be cleared.
                    session.end("ROLLBACK").await.ok();
                    Err(error)
                }
            }
        };
        let done = done.await;
        self.0.measures.took(access, start.elapsed());
        done
    }

    /// Returns a permit to write, which is kept until the transaction has ended; reading needs none.
    async fn permit(&self, access: Access) -> Result<Option<SemaphorePermit<'_>>, IndexError> {
        if access == Access::Read {
            return Ok(None);
        }
        let Parts { address, wait, writers, measures, .. } = &*self.0;
        let acquired = {
            let _waits = measures.waits();
            timeout(*wait, writers.acquire()).await
        };
        match acquired {
            Ok(permit) => permit.map(Some).map_err(|closed| IndexError::Store(closed.to_string())),
            Err(_) => Err(PostgresError::Busy { address: address.clone(), time: *wait }.into()),
        }
    }

    /// Begins a transaction on a connection of the pool, where the tables are there.
    async fn session(&self, access: Access) -> Result<Session, IndexError> {
        let client = self.0.pool.get().await.map_err(|error| self.of_pool(error))?;
        self.begun(client, access).await
    }

    async fn begun(&self, client: Object, access: Access) -> Result<Session, IndexError> {
        let session = Session { client: Some(client), database: self.clone() };
        let path = self.0.path.get_or_try_init(|| migrate::run(&session, &self.0.schema)).await;
        let begin = match access {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        session.begin(begin, path?).await?;
        Ok(session)
    }

    fn of_pool(&self, error: PoolError) -> IndexError {
        let address = self.0.address.clone();
        match error {
            PoolError::Backend(error) => error::of(&self.0.address, &error, self.0.wait),
            PoolError::Timeout(TimeoutType::Wait) => {
                PostgresError::Busy { address, time: self.0.wait }.into()
            }
            PoolError::Timeout(_) => {
                let reason = format!("no connection within {} ms", self.0.wait.as_millis());
                PostgresError::Unreachable { address, reason }.into()
            }
            error => PostgresError::Unreachable { address, reason: error.to_string() }.into(),
        }
    }
}

/// A connection that is in a transaction. One whose transaction was not ended in order is not used again.
pub(super) struct Session {
    client: Option<Object>,
    database: Postgres,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Session {
    /// Begins a transaction in which names are looked up in `path`.
    pub(super) async fn begin(&self, begin: &str, path: &str) -> Result<(), IndexError> {
        let limit = self.database.0.timeout.as_millis();
        self.batch(&format!(
            "{begin}; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; SET LOCAL jit = off; \
             SET LOCAL search_path = {path}"
        ))
        .await
    }

    /// Returns the rows that a statement gives.
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, IndexError> {
        self.bounded(self.client()?.query_typed(statement, parameters)).await
    }

    /// Returns the first row that a statement gives, if it gives one.
    pub(super) async fn first(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, IndexError> {
        Ok(self.query(statement, parameters).await?.into_iter().next())
    }

    /// Runs statements that have no parameters.
    pub(super) async fn batch(&self, statements: &str) -> Result<(), IndexError> {
        self.bounded(self.client()?.batch_execute(statements)).await
    }

    /// Returns the server's address, for messages.
    pub(super) fn address(&self) -> String {
        self.database.0.address.clone()
    }

    /// Ends the transaction. A connection on which that fails is not used again.
    pub(super) async fn end(mut self, statement: &str) -> Result<(), IndexError> {
        self.batch(statement).await?;
        // Back to the pool.
        drop(self.client.take());
        Ok(())
    }

    fn client(&self) -> Result<&Object, IndexError> {
        self.client.as_ref().ok_or_else(|| IndexError::Store("the transaction has ended".into()))
    }

    async fn bounded<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, IndexError> {
        let Parts { address, timeout: time, .. } = &*self.database.0;
        match timeout(*time + GRACE, answer).await {
            Ok(answer) => answer.map_err(|error| error::of(address, &error, *time)),
            Err(_) => Err(PostgresError::Late { address: address.clone(), time: *time }.into()),
        }
    }
}

/// Returns what makes connections secret, with the certificates that this machine trusts.
fn tls(wanted: bool) -> Result<MakeRustlsConnect, PostgresError> {
    let mut roots = RootCertStore::empty();
    if wanted {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PostgresError::Address(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
