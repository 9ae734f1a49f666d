//! Shadow requests: what a model answers to the original of a request that was compressed, to be compared with what
//! its client got. Nobody sees such an answer, and none of it is stored, nor of the client's: only how alike they are.

mod report;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::decision::Tokens;
use super::ledger::{DAY_MS, UsageRecord, cost};
use super::prepare::Prepared;
use super::route::{Route, Target};
use super::{Live, Plan, RequestReport, Status};
use crate::config::Price;
use crate::jsonl::JsonLines;
use crate::text::{exact_match, f1};
use crate::upstream::Answer;
use crate::wire::{Framing, Reading, Usage, UsageReader};
pub use report::{ShadowLine, ShadowModel, ShadowParams, ShadowReport};

/// The file below the data folder that holds comparisons, a line each.
pub const SHADOW_FILE: &str = "shadow.jsonl";

/// Shadow requests at once. More are left out: each holds its body.
const AT_ONCE: usize = 2;

/// The similarity of two answers: the client's, to the compressed request, and the one to the original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The time of the request, in milliseconds since the epoch.
    pub milliseconds: u64,
    /// The id of the request.
    pub request: String,
    /// The model.
    pub model: String,
    /// The upstream that answered.
    pub upstream: String,
    /// Tokens of the texts that were compressed, before and after, as counted here.
    pub texts: (u64, u64),
    /// Tokens of both requests, the original's first, as the provider counted them.
    pub input: (u64, u64),
    /// Whether both answers are equal but for case, punctuation, articles and spaces.
    pub same: bool,
    /// Words in common, 0 to 1, as SQuAD counts them.
    pub f1: f64,
    /// The cost of the original's answer, in billionths of a dollar.
    pub cost: i64,
}

/// Sends shadow requests.
pub(super) struct Shadow {
    file: PathBuf,
    turns: Arc<Semaphore>,
    /// Opened with the first one.
    log: Mutex<Option<Log>>,
}

/// Comparisons, and what those of a day have cost.
struct Log {
    file: JsonLines<Comparison>,
    day: u64,
    spent: i64,
}

/// A shadow request that may be sent, if there is money left.
struct Permit {
    price: Price,
    comparison: Comparison,
    /// The least cost of the request, in billionths of a dollar.
    likely: i64,
    /// The limit on a day's total cost.
    limit: i64,
    _turn: OwnedSemaphorePermit,
}

impl Shadow {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, turns: Arc::new(Semaphore::new(AT_ONCE)), log: Mutex::new(None) }
    }

    /// Returns the file of the comparisons.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether no request waits for its answer to be compared. One that is chosen is held from before its answer begins.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.turns.available_permits() == AT_ONCE
    }

    /// Sends the original of a request as well, if the policy says so, once its client has its answer.
    pub(super) fn watch(
        self: &Arc<Self>,
        live: &Arc<Live>,
        prepared: Prepared,
        (route, report): (&Route, &RequestReport),
        record: &mut UsageRecord,
    ) {
        let Some(permit) = self.permit(live, &prepared, (route, report)) else { return };
        let (live, shadow) = (Arc::clone(live), Arc::clone(self));
        let (witness, told) = oneshot::channel();
        record.let_witness(witness);
        tokio::spawn(async move {
            if !shadow.may_spend(&permit).await {
                return;
            }
            let Ok(clients) = told.await else { return };
            let Some(originals) = original(&live, &prepared, &permit).await else {
                tracing::warn!(request = permit.comparison.request, "a shadow request failed");
                return;
            };
            shadow.compare(permit, &clients, &originals).await;
        });
    }

    /// Whether there is money left today. The file is read off the async threads.
    async fn may_spend(self: &Arc<Self>, permit: &Permit) -> bool {
        let (shadow, day) = (Arc::clone(self), permit.comparison.milliseconds / DAY_MS);
        let spent = tokio::task::spawn_blocking(move || shadow.spent(day)).await.unwrap_or_default();
        spent.is_some_and(|spent| spent.saturating_add(permit.likely) <= permit.limit)
    }

    fn permit(
        &self,
        live: &Live,
        prepared: &Prepared,
        (route, report): (&Route, &RequestReport),
    ) -> Option<Permit> {
        let policy = live.config.shadow;
        let drawn = policy.share > 0.0 && report.status == Status::Compressed && chance() < policy.share;
        if !drawn || !route.pays_itself() {
            return None;
        }
        let price = route.price(&route.model)?.clone();
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let likely = cost(&price, &Usage { input: prepared.tokens(), ..Usage::default() });
        let limit = (policy.usd_per_day * 1e9) as i64;
        let Tokens { before, after } = report.tokens;
        let comparison = Comparison {
            milliseconds: now,
            request: prepared.id().to_owned(),
            model: route.model.clone(),
            upstream: route.name().to_owned(),
            texts: (before as u64, after as u64),
            input: (0, 0),
            same: false,
            f1: 0.0,
            cost: 0,
        };
        Some(Permit { price, comparison, likely, limit, _turn: turn })
    }

    /// Billionths of a dollar that shadow requests have cost on `day`; none where that cannot be known.
    fn spent(&self, day: u64) -> Option<i64> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_none() {
            match JsonLines::<Comparison>::open(&self.file) {
                Ok((file, lines)) => {
                    let today = lines.iter().filter(|line| line.milliseconds / DAY_MS == day);
                    *log = Some(Log { file, day, spent: today.map(|line| line.cost).sum() });
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "no shadow requests are sent");
                    return None;
                }
            }
        }
        let log = log.as_mut()?;
        if log.day != day {
            (log.day, log.spent) = (day, 0);
        }
        Some(log.spent)
    }

    /// Stores how alike two answers are. An answer whose words cannot be told is not compared, but paid for.
    async fn compare(self: &Arc<Self>, permit: Permit, clients: &Reading, originals: &Reading) {
        let Permit { price, comparison, _turn, .. } = permit;
        let usage = originals.usage.latest().unwrap_or_default();
        let cost = cost(&price, &usage);
        let texts = clients.text.as_ref().zip(originals.text.as_ref());
        let compared =
            texts.filter(|(one, other)| !one.is_empty() || !other.is_empty()).map(|(one, other)| {
                let other = std::slice::from_ref(other);
                let input = (usage.input, clients.usage.latest().unwrap_or_default().input);
                Comparison { same: exact_match(one, other), f1: f1(one, other), input, cost, ..comparison }
            });
        let shadow = Arc::clone(self);
        let write = move || {
            let mut log = shadow.log.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(log) = log.as_mut() else { return };
            log.spent = log.spent.saturating_add(cost);
            if let Some(Err(error)) = compared.map(|compared| log.file.append(&compared)) {
                tracing::warn!(error = format!("{error:#}"), "a comparison is lost");
            }
        };
        tokio::task::spawn_blocking(write).await.unwrap_or_default();
    }
}

/// Returns the model's answer to the original; `None` where it fails.
async fn original(live: &Live, prepared: &Prepared, permit: &Permit) -> Option<Reading> {
    let deadline = Instant::now() + live.config.deadline();
    let (route, answer) = live.send(prepared, &Plan::default(), deadline).await.ok()?;
    // A fallback is another model.
    let same = route.name() == permit.comparison.upstream && answer.status.is_success();
    if !same || answer.headers.contains_key("content-encoding") {
        return None;
    }
    timeout_at(deadline, read(answer)).await.ok().flatten()
}

async fn read(mut answer: Answer) -> Option<Reading> {
    let framing = answer.headers.get("content-type").and_then(|kind| Framing::of(kind.as_bytes()));
    let mut reader = UsageReader::new(framing.unwrap_or_default()).with_text();
    while let Some(frame) = answer.body.frame().await {
        if let Some(piece) = frame.ok()?.data_ref() {
            reader.feed(piece);
        }
    }
    Some(reader.finish())
}

/// Returns a random number from 0, included, to 1. Without randomness nothing is drawn.
fn chance() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

impl Route {
    /// Returns whether a request of our own costs no client anything.
    fn pays_itself(&self) -> bool {
        match &self.place {
            Target::Upstream(upstream) => upstream.has_key(),
            Target::Local(_) => true,
        }
    }
}
