//! The proxy: takes a request in one of the dialects, makes its long texts smaller, and passes it on.
//!
//! What is not compressed goes on byte for byte. Whatever goes wrong with compression, the request goes on as it
//! came. A text that was sent once is sent the same way again, so that the provider's cache keeps its prefix.

mod batch;
mod compress;
mod conversation;
mod decision;
mod decisions;
mod decode;
mod error;
mod exchange;
mod fold;
mod latency_model;
mod ledger;
mod live;
mod local;
mod metrics;
mod models;
mod originals;
mod pass;
mod pieces;
mod plan;
mod prepare;
mod recall;
mod recall_tool;
mod replay;
mod retrieve;
mod rounds;
mod route;
mod settings;
mod shadow;
mod shared_decisions;
mod status;
mod store;
mod store_error;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use crate::admission::{Admission, LazyTicket};
use crate::compress::fold::Rule;
use crate::config::{Config, Env, Limits, ProxyConfig, RetrievePolicy};
use crate::index::{IndexError, Postgres};
use crate::keys::{Caller, Denied};
use crate::shared::Shared;
use crate::telemetry::Stage;
use crate::upstream::{Answer, HeaderMap, StatusCode};
use crate::wire::Dialect;
pub use compress::{Compressor, Fallback};
use compress::{Pool, Work};
use conversation::Arm;
use decision::Decision;
pub use decision::{Retrieval, Tokens};
use decisions::Decisions;
pub use error::ProxyError;
pub use exchange::{Passthrough, ProxyRequest, ProxyResponse};
pub use ledger::{
    ArmFigures, ArmMeans, FoldingLine, Group, HoldoutReport, Mean, Numbers, RequestLine, UsageParams,
    UsageRecord, UsageReport,
};
use ledger::{Ledger, LedgerStore, LedgerTable, SharedLedger};
use live::Live;
pub use local::Generator;
use local::Local;
pub use metrics::Outcomes;
use metrics::{Depths, Metrics};
use plan::Plan;
use prepare::{Intake, Prepared};
pub use replay::{Figures, Kept, LogError, ReplayError, ReplayReport, RuleFigures, replay};
pub use retrieve::Retriever;
use retrieve::Search;
use route::Route;
use shadow::Shadow;
pub use shadow::{Comparison, SHADOW_FILE, ShadowLine, ShadowModel, ShadowParams, ShadowReport};
use shared_decisions::SharedDecisions;
pub use status::{QueueStatus, UpstreamStatus};
use store::{Retention, Store};
pub use store_error::StoreError;

/// The file below the data folder that holds the ledger, and remembers what became of texts.
const FILE: &str = "proxy.redb";

/// Questions to the ledger that are answered at once; others wait.
const READERS: usize = 2;

/// The proxy. One for the life of the service; what the configuration says can be replaced while it runs.
pub struct Gateway {
    live: RwLock<Arc<Live>>,
    /// The model in this process, which no reload changes.
    local: Option<Arc<Local>>,
    /// Bounds the work of all routes together.
    admission: Admission,
    pool: Pool,
    decisions: Decisions,
    decisions_in_database: Option<SharedDecisions>,
    ledger: Ledger,
    /// Bounds reading of the ledger, apart from other work: whoever looks why the service is busy must get an answer.
    readers: Admission,
    metrics: Metrics,
    shadow: Arc<Shadow>,
    retriever: Arc<dyn Retriever>,
    intake: Intake,
    data: PathBuf,
}

/// The replaceable parts of the proxy, so that tests can use fakes.
pub struct Parts {
    /// Makes texts smaller.
    pub compressor: Arc<dyn Compressor>,
    /// Answers as `local/...`.
    pub generator: Arc<dyn Generator>,
    /// Finds documents.
    pub retriever: Arc<dyn Retriever>,
    /// The database that holds the ledger and the decisions of all replicas; without one they are in the data folder.
    pub database: Option<Postgres>,
}

/// A report of what was done to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestReport {
    /// The status of its texts.
    pub status: Status,
    /// Tokens of the texts that were compressed, before and after.
    pub tokens: Tokens,
    /// The reason why some texts, or all, were forwarded uncompressed.
    pub fallback: Option<Fallback>,
    /// Tokens that folding took out of its tools' results.
    pub folded: Vec<Spared>,
    /// Time that the work on its texts took.
    pub time: Duration,
    /// The result of the search for documents.
    pub retrieval: Retrieval,
    /// The citations behind the numbers of documents before the last question, as ASCII JSON.
    pub citations: Option<Arc<str>>,
}

impl RequestReport {
    /// The reason why texts went on as they came: that of a text, or the status where no text has one.
    fn reason(&self) -> Option<&'static str> {
        let status = Some(self.status).filter(|status| *status != Status::Compressed);
        self.fallback.map(Fallback::name).or(status.map(Status::name))
    }
}

/// Tokens that a rule of folding took out of results of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spared {
    /// The rule.
    pub rule: Rule,
    /// The name of the kind.
    pub kind: &'static str,
    /// The tokens.
    pub tokens: u64,
}

/// Reads the usage from the ledger in the folder `data`, without a service.
///
/// # Errors
/// [`StoreError::InUse`] where a service runs, which is to be asked instead. There is no ledger, it cannot be read,
/// or the question cannot be understood.
pub fn usage_at_rest(
    config: &ProxyConfig,
    data: &Path,
    params: &UsageParams,
) -> Result<UsageReport, UsageError> {
    let file = data.join(FILE);
    if !file.exists() {
        return Err(UsageError::Missing(file.display().to_string()));
    }
    let store = Store::open(&file, retention(config))?;
    Ok(ledger::report(&store, params)?)
}

/// Reads the usage from where `config` keeps the ledger: from the database that it names, whether services run or not, else
/// as [`usage_at_rest`].
///
/// # Errors
/// The database cannot be used; else as there.
pub fn usage(
    config: &Config,
    env: &dyn Env,
    data: &Path,
    params: &UsageParams,
) -> Result<UsageReport, UsageError> {
    let database = Postgres::new(&config.store, env).map_err(IndexError::from).map_err(StoreError::from)?;
    match database {
        Some(database) => Ok(ledger::report(&LedgerTable::new(database), params)?),
        None => usage_at_rest(&config.proxy, data, params),
    }
}

/// An error of reading the usage without a service.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The ledger does not exist.
    #[error("there is no ledger: {0} is made by the first `whittle serve`")]
    Missing(String),
    /// The ledger's file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The question cannot be answered.
    #[error(transparent)]
    Question(#[from] ProxyError),
}

fn retention(config: &ProxyConfig) -> Retention {
    let days = |days| Duration::from_hours(24 * days);
    Retention { outcomes: days(config.memory_days), entries: days(config.ledger_days) }
}

/// The file of the memory, and the ledger, where anything can be asked.
type Stores = (Option<Arc<Store>>, Option<Arc<dyn LedgerStore>>);

fn open_stores(config: &Config, data: &Path, database: Option<Postgres>) -> Result<Stores, String> {
    if config.upstreams.is_empty() && !config.local.enabled {
        return Ok((None, None));
    }
    let (file, retention) = (data.join(FILE), retention(&config.proxy));
    let opened = match &database {
        None => Store::open(&file, retention),
        Some(_) => Store::open_with_outbox(&file, retention),
    };
    let store = match opened {
        // Where only the model in this process answers, another process that has the file is no reason not to serve.
        Err(error @ StoreError::InUse(_)) if config.upstreams.is_empty() => {
            tracing::warn!(%error, "going without a ledger");
            return Ok((None, None));
        }
        opened => Arc::new(opened.map_err(|error| error.to_string())?),
    };
    let ledger: Arc<dyn LedgerStore> = match database {
        None => Arc::<Store>::clone(&store),
        Some(database) => {
            let ledger = SharedLedger::new(database, Arc::clone(&store), retention);
            Arc::new(ledger.map_err(|error| format!("cannot start the thread of the ledger: {error}"))?)
        }
    };
    Ok((Some(store), Some(ledger)))
}

/// The status of a request's texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// The request had nothing to compress.
    #[default]
    Unchanged,
    /// The request asked to be left alone, or the configuration does.
    Bypassed,
    /// Some text became smaller.
    Compressed,
    /// The original went on although there was something to compress.
    Original,
}

impl Status {
    /// All of them.
    const ALL: [Self; 4] = [Self::Compressed, Self::Unchanged, Self::Bypassed, Self::Original];

    /// Returns the name in headers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Bypassed => "bypassed",
            Self::Compressed => "compressed",
            Self::Original => "original",
        }
    }
}

impl Gateway {
    /// The proxy that `config` describes. Upstreams' keys come from `env`; what became of texts is remembered in
    /// the folder `data`. `generator` is the model in this process, which answers unless the configuration says no.
    ///
    /// # Errors
    /// An upstream cannot be made, such as when its key is not set. The text names the remedy.
    pub fn new(
        config: &Config,
        env: &dyn Env,
        Parts { compressor, generator, retriever, database }: Parts,
        data: &Path,
    ) -> Result<Self, String> {
        let Limits { concurrency, queue, .. } = config.limits;
        let admission = Admission::new(concurrency, queue);
        let local = || Arc::new(Local::new(config, generator, admission.clone()));
        let local = config.local.enabled.then(local);
        let mut live = Live::new(config, env, local.clone())?;
        let (store, ledger) = open_stores(config, data, database.clone())?;
        if store.is_some() {
            live.originals = recall::originals(&config.proxy, data, None)?;
        }
        let live = RwLock::new(Arc::new(live));
        let metrics = Metrics::new();
        let in_database = |database| SharedDecisions::in_database(database, metrics.decision_failures());
        let decisions_in_database = database.filter(|_| store.is_some()).map(in_database);
        let decisions = Decisions::new(config.proxy.memory_bytes, store.clone());
        // Without a ledger no conversation is compared with others.
        let secret = store.as_ref().map(|store| store.secret()).unwrap_or_default();
        Ok(Self {
            live,
            local,
            admission,
            pool: Pool::new(compressor),
            decisions: decisions.shared_in(decisions_in_database.clone()),
            decisions_in_database,
            ledger: Ledger::new(ledger, metrics.provider()),
            readers: Admission::new(READERS, queue),
            metrics,
            shadow: Arc::new(Shadow::new(data.join(SHADOW_FILE))),
            retriever,
            intake: Intake::new(config.limits.body_bytes, secret),
            data: data.to_owned(),
        })
    }

    /// Has replicas share what is decided about texts in Valkey or Redis, and where the proxy has a database, there, too:
    /// that is asked for what the other has forgotten, or while it is away.
    #[must_use]
    pub fn shared_by(self, shared: Shared) -> Self {
        let stores =
            [SharedDecisions::in_valkey(shared)].into_iter().chain(self.decisions_in_database.clone());
        Self { decisions: self.decisions.shared_in(stores), ..self }
    }

    /// Takes over upstreams and policy of another configuration. Requests that run keep what they began with.
    ///
    /// # Errors
    /// As [`Gateway::new`]; then the old ones stay.
    pub fn reload(&self, config: &Config, env: &dyn Env) -> Result<(), String> {
        let mut live = Live::new(config, env, self.local.clone())?;
        live.late = self.live().late.clone();
        if let Some(ledger) = self.ledger.store() {
            live.originals = recall::originals(&config.proxy, &self.data, self.live().originals.as_ref())?;
            ledger.retain(retention(&config.proxy));
        }
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.remove_unwanted_originals();
        Ok(())
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what bounds the blocking work of the process, for the routes beside the proxy.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Bytes of bodies that may be held at once.
    #[must_use]
    pub fn body_memory_bytes(&self) -> usize {
        self.live().config.body_memory_bytes
    }

    /// Passes a request on and gives what came back.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn answer(&self, incoming: ProxyRequest) -> Result<ProxyResponse, ProxyError> {
        let live = self.live();
        let deadline = Instant::now() + live.config.deadline();
        let prepared = prepare::prepare(incoming, &live, &self.intake).await?;
        let opening = prepared.opening(live.config.compute_price).await;
        let mut record = self.ledger.open(opening.inspect_err(|denied| self.denied(denied))?);
        let (plan, report) = self.work(&prepared, &live.config.retrieve).await;
        record.sent(&report);
        let sent = live.send(&prepared, &plan, deadline).await;
        let (route, answer) = sent.inspect_err(|error| record.failed(error))?;
        let changed = report.status == Status::Compressed || plan.inserts.any() || plan.tool.is_some();
        if answer.status != StatusCode::BAD_REQUEST || !changed {
            let rounds = self.rounds(&live, (&prepared, &plan, &route), &mut record);
            let rounds = rounds.filter(|_| answer.status.is_success());
            // What documents add is no matter of compression.
            if answer.status.is_success() && !plan.inserts.any() {
                self.shadow.watch(&live, prepared, (&route, &report), &mut record);
            }
            let Some(rounds) = rounds else { return Ok(self.outgoing(&route, answer, (report, record))) };
            let idle = rounds.longest_wait();
            let answer = rounds.answer(answer).await.inspect_err(|error| record.failed(error))?;
            return Ok(ProxyResponse { idle, ..self.outgoing(&route, answer, (report, record)) });
        }
        // The upstream may have refused what was made of the request: it gets to see the request itself, once.
        tracing::warn!(upstream = route.name(), "a compressed request was refused: sending the original");
        let decisions = self.decisions.of_request();
        plan.keys().for_each(|key| decisions.pin(key));
        decisions.written().await;
        let (status, fallback) = (Status::Original, Some(Fallback::Refused));
        let retrieval = match report.retrieval {
            Retrieval::Found { .. } => Retrieval::Failed("refused"),
            other => other,
        };
        let report =
            RequestReport { status, fallback, time: report.time, retrieval, ..RequestReport::default() };
        record.sent(&report);
        let sent = live.send(&prepared, &Plan::default(), deadline).await;
        let (route, answer) = sent.inspect_err(|error| record.failed(error))?;
        Ok(self.outgoing(&route, answer, (report, record)))
    }

    /// Compresses the texts of a request and searches for what is put before its questions, both at once: neither needs
    /// the other. What was decided, and the originals that its marks name, are on disk then, before any upstream sees it.
    async fn work(&self, prepared: &Prepared, policy: &RetrievePolicy) -> (Plan, RequestReport) {
        let ticket = self.admission.lazy();
        let decisions = &self.decisions.of_request();
        let compression = async {
            let start = Instant::now();
            let (mut plan, mut report) =
                self.plan(prepared, (decisions, &ticket)).instrument(Stage::Compress.span()).await;
            fold::fold(prepared, decisions, (&mut plan, &mut report)).await;
            plan.tool = recall_tool::decide(prepared.tool.as_ref(), decisions).await;
            if prepared.arm == Arm::HeldOut {
                (report.status, report.fallback) = (Status::Original, Some(Fallback::Holdout));
            }
            (plan, RequestReport { time: start.elapsed(), ..report })
        };
        let search = Search { retriever: &self.retriever, decisions, policy, ticket: &ticket };
        let ((mut plan, mut report), inserts) = tokio::join!(compression, search.inserts(prepared));
        report.retrieval = inserts.result.clone();
        report.citations.clone_from(&inserts.citations);
        plan.inserts = inserts;
        tokio::join!(decisions.written(), prepared.recall.written());
        (plan, report)
    }

    fn outgoing(
        &self,
        route: &Route,
        answer: Answer,
        (report, mut record): (RequestReport, UsageRecord),
    ) -> ProxyResponse {
        self.metrics.count(route.name(), answer.status.as_u16(), &report);
        record.answered(route, answer.status);
        ProxyResponse { answer, idle: route.idle(), record, report }
    }

    /// Returns the usage of the requests in the ledger.
    ///
    /// # Errors
    /// The question cannot be understood, or the ledger cannot be read.
    pub async fn usage(&self, params: UsageParams) -> Result<UsageReport, ProxyError> {
        let (ledger, deadline) = (self.ledger.clone(), Instant::now() + self.live().config.deadline());
        self.readers.enter()?.run(deadline, move |_| ledger.usage(&params)).await?
    }

    /// Returns the comparisons of shadow requests.
    ///
    /// # Errors
    /// The question cannot be understood, or the file cannot be read.
    pub async fn comparisons(&self, params: ShadowParams) -> Result<ShadowReport, ProxyError> {
        let (limit, path) = (params.limit()?, self.shadow.file().to_owned());
        let deadline = Instant::now() + self.live().config.deadline();
        self.readers.enter()?.run(deadline, move |_| ShadowReport::read(&path, limit)).await?
    }

    /// Returns today's spending of keys by their ids, in billionths of a dollar. This reads the disk.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn spent_today(&self) -> Result<HashMap<String, i64>, StoreError> {
        self.ledger.spent_today()
    }

    /// Counts a request that was turned away for its key.
    pub fn denied(&self, denied: &Denied) {
        self.metrics.deny(denied.name());
    }

    /// Waits until the ledger and the memory are on disk. This blocks.
    pub fn flush(&self) {
        if let Some(Err(error)) = self.ledger.store().map(LedgerStore::flush) {
            tracing::warn!(%error, "entries of the ledger wait in the data folder until the next start");
        }
        if let Some(originals) = &self.live().originals {
            originals.flush();
        }
    }

    /// All metrics in the text form of `OpenMetrics`, without the mark of the end.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.render(&self.depths())
    }

    fn depths(&self) -> Depths {
        Depths {
            compression: self.pool.requests(),
            ledger: self.ledger.store().map_or(0, LedgerStore::waiting),
            lost: self.ledger.store().map_or(0, LedgerStore::lost),
            originals: self.live().originals.as_ref().map(|originals| originals.sizes()).unwrap_or_default(),
        }
    }

    /// Returns how each upstream has answered, in the order of the configuration.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        self.live().routes.all().map(|upstream| UpstreamStatus::of(upstream)).collect()
    }

    /// Returns how much waits to be stored.
    #[must_use]
    pub fn queues(&self) -> QueueStatus {
        QueueStatus::of(&self.depths())
    }

    /// Returns how many requests had each status, and how many kept a text for each reason, since the service began.
    /// Those that none had are left out.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.metrics.outcomes()
    }

    /// The list of models that a client of `dialect` gets, as JSON: those that the key of `caller` may call, where keys
    /// are needed.
    ///
    /// # Errors
    /// No upstream speaks the dialect.
    pub async fn models(
        &self,
        dialect: Dialect,
        headers: &HeaderMap,
        caller: Option<&Caller>,
    ) -> Result<String, ProxyError> {
        models::list(&self.live(), dialect, headers, caller).await
    }

    /// The entry of that list for the model `id`.
    ///
    /// # Errors
    /// There is no such model, or none for this caller; else as for the list.
    pub async fn model(
        &self,
        dialect: Dialect,
        headers: &HeaderMap,
        (caller, id): (Option<&Caller>, &str),
    ) -> Result<String, ProxyError> {
        models::one(&self.live(), dialect, headers, (caller, id)).await
    }

    /// Whether no answer waits to be compared with that to the original.
    #[cfg(test)]
    pub(crate) fn compares_nothing(&self) -> bool {
        self.shadow.is_idle()
    }

    /// Returns whether there is an upstream to forward requests to. A reload may change it.
    #[must_use]
    pub fn has_upstreams(&self) -> bool {
        !self.live().routes.is_empty()
    }

    /// Whether `model` names the embedder in this process. Its names come before the patterns of upstreams.
    #[must_use]
    pub fn embeds_as(&self, model: &str) -> bool {
        self.local.as_ref().is_some_and(|local| local.embeds_as(model))
    }

    /// Decides what becomes of each passage.
    async fn plan(
        &self,
        prepared: &Prepared,
        (decisions, ticket): (&Decisions, &LazyTicket<'_>),
    ) -> (Plan, RequestReport) {
        if prepared.settings.bypass {
            return (Plan::default(), RequestReport { status: Status::Bypassed, ..RequestReport::default() });
        }
        let keys = &prepared.keys;
        let known = decisions.get_all(keys).await;
        let mut outcomes: Vec<_> = known.into_iter().map(|known| known.map(Ok)).collect();
        let unknown = |i: &usize| outcomes[*i].is_none();
        let (frozen, fresh): (Vec<_>, Vec<_>) =
            (0..keys.len()).filter(unknown).partition(|i| prepared.passages[*i].frozen);
        // Nothing is known of what stands before a breakpoint, so it is sent as it is, now and later.
        for i in frozen {
            let pinned = decisions.settle(keys[i], Decision::Declined);
            outcomes[i] = Some(Err((pinned, Fallback::Breakpoint)));
        }
        if !fresh.is_empty() {
            let passages = fresh.iter().map(|i| prepared.passages[*i].clone()).collect();
            let (model, settings) = (prepared.route.model.clone(), prepared.settings.clone());
            let done = self.pool.compress(Work { passages, model, settings }, ticket).await;
            for (i, decision) in fresh.into_iter().zip(done) {
                let settled = match decision {
                    Ok(decision) => Ok(decisions.settle(keys[i], decision)),
                    Err(fallback) => Err((decisions.settle(keys[i], Decision::Declined), fallback)),
                };
                outcomes[i] = Some(settled);
            }
        }
        Plan::new(keys, outcomes, prepared.small)
    }
}

#[cfg(test)]
mod tests {
    use super::ledger::entry::Entry;
    use super::*;
    use crate::config::ProcessEnv;
    use crate::engine::EngineError;
    use crate::engine::api::{CompressRequest, CompressResponse};
    use crate::engine::prompt::api::{PromptRequest, PromptResponse};
    use crate::model::Cancel;
    use crate::model::{Completion, Generation, GenerationEvent, Prompt};

    /// A fake that neither compresses nor answers.
    struct Nobody;

    impl Compressor for Nobody {
        fn compress(&self, _: CompressRequest, _: &Cancel) -> Result<CompressResponse, EngineError> {
            Err(EngineError::internal("nobody"))
        }
    }

    impl Retriever for Nobody {
        fn find(&self, _: &PromptRequest, _: &Cancel) -> Result<PromptResponse, EngineError> {
            Err(EngineError::internal("nobody"))
        }
    }

    impl Generator for Nobody {
        fn generate(
            &self,
            _: &Generation,
            _: &mut dyn FnMut(GenerationEvent<'_>),
            _: &Cancel,
        ) -> Result<Completion, EngineError> {
            Err(EngineError::internal("nobody"))
        }

        fn count(&self, _: &Prompt) -> Result<usize, EngineError> {
            Err(EngineError::internal("nobody"))
        }
    }

    #[tokio::test]
    async fn days_of_the_ledger_are_taken_over_while_the_service_runs() {
        let folder = tempfile::tempdir().unwrap();
        let (env, mut config) = (ProcessEnv, Config::default());
        let parts = Parts {
            compressor: Arc::new(Nobody),
            generator: Arc::new(Nobody),
            retriever: Arc::new(Nobody),
            database: None,
        };
        let gateway = Gateway::new(&config, &env, parts, folder.path()).unwrap();
        let day = 24 * 60 * 60;
        for age in [0, 10] {
            let milliseconds = (store::seconds_now() - age * day) * 1000;
            let entry = Entry { milliseconds, ..Entry::default() };
            gateway.ledger.store().unwrap().put(&entry);
        }
        gateway.flush();
        let requests = async || gateway.usage(UsageParams::default()).await.unwrap().total.unwrap().requests;
        assert_eq!(requests().await, 2);
        config.proxy.ledger_days = 7;
        gateway.reload(&config, &env).unwrap();
        gateway.flush();
        assert_eq!(requests().await, 1);
    }
}
