//! A request's entry while the request runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot::Sender;

use super::entry::{More, Part, Trial};
use super::money::{self, Took};
use super::{Entry, Ledger};
use crate::config::Price;
use crate::keys::Reservation;
use crate::proxy::conversation::{Arm, Conversation};
use crate::proxy::route::Route;
use crate::proxy::{ProxyError, RequestReport, Spared};
use crate::upstream::StatusCode;
use crate::wire::{Reading, ReportedUsage, Usage};

/// Bytes of a body that are taken for one token where nobody counted.
pub(in crate::proxy) const TOKEN_BYTES: u64 = 4;
/// Longest name of a model that is stored.
const MODEL_CHARS: usize = 200;
/// The status that nginx uses for a client that left before its answer.
const CLIENT_LEFT: u16 = 499;
/// Status of a stream that began well and ended in an error.
const STREAM_FAILED: u16 = 502;

/// The data of a request that are known before it is sent.
#[derive(Debug, Default)]
pub(in crate::proxy) struct UsageRecordBuilder {
    pub(in crate::proxy) request: String,
    pub(in crate::proxy) key: Option<String>,
    /// The reservation on the key's limits.
    pub(in crate::proxy) hold: Option<Reservation>,
    /// The price of the model at its first route.
    pub(in crate::proxy) price: Option<Price>,
    pub(in crate::proxy) model: String,
    pub(in crate::proxy) upstream: String,
    /// The treatment of its conversation.
    pub(in crate::proxy) arm: Arm,
    /// The conversation.
    pub(in crate::proxy) conversation: Option<Conversation>,
    /// Bytes of its body.
    pub(in crate::proxy) bytes: u64,
    /// Whether the request is charged tokens, reported or not.
    pub(in crate::proxy) charged: bool,
    /// True if the answer is vectors, which are not counted as tokens of output.
    pub(in crate::proxy) embeds: bool,
    /// Dollars an hour of this machine.
    pub(in crate::proxy) hourly: f64,
}

/// A request's entry while the request runs. It is booked when this is dropped, whatever became of the request.
pub struct UsageRecord {
    ledger: Ledger,
    entry: Entry,
    bytes: u64,
    /// Bytes of the bodies of further rounds.
    more_bytes: Arc<AtomicU64>,
    charged: bool,
    embeds: bool,
    hourly: f64,
    hold: Option<Reservation>,
    sent: bool,
    price: Option<Price>,
    reading: Option<Reading>,
    /// Is told what the answer says.
    witness: Option<Sender<Reading>>,
}

/// The conversation and its arm, where they belong to an experiment.
fn trial(arm: Arm, conversation: Option<Conversation>) -> Option<Trial> {
    let conversation = conversation.filter(|_| arm != Arm::None)?.number();
    Some(Trial { conversation, held_out: arm == Arm::HeldOut })
}

impl std::fmt::Debug for UsageRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsageRecord").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl UsageRecord {
    pub(super) fn new(ledger: Ledger, opening: UsageRecordBuilder) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = Entry {
            milliseconds: since.as_millis() as u64,
            request: opening.request,
            key: opening.key,
            model: opening.model.chars().take(MODEL_CHARS).collect(),
            upstream: opening.upstream,
            status: CLIENT_LEFT,
            more: More { trial: trial(opening.arm, opening.conversation), ..More::default() },
            ..Entry::default()
        };
        let UsageRecordBuilder { hold, price, bytes, charged, embeds, hourly, .. } = opening;
        let more_bytes = Arc::default();
        Self {
            ledger,
            entry,
            bytes,
            more_bytes,
            charged,
            embeds,
            hourly,
            hold,
            sent: false,
            price,
            reading: None,
            witness: None,
        }
    }

    /// Returns the count of the bytes of further rounds, each of which is a request to the upstream.
    pub(in crate::proxy) fn more_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.more_bytes)
    }

    /// Notes that the request is sent now, and what was done to its texts.
    pub(in crate::proxy) fn sent(&mut self, report: &RequestReport) {
        self.sent = true;
        self.entry.texts = (report.tokens.before as u64, report.tokens.after as u64);
        self.entry.reason = report.reason().map(str::to_owned);
        self.entry.compressor = report.time.as_micros() as u64;
        let part = |spared: &Spared| Part {
            rule: spared.rule.name().into(),
            kind: spared.kind.into(),
            tokens: spared.tokens,
        };
        self.entry.more.folded = report.folded.iter().map(part).collect();
    }

    /// Notes who answered.
    pub(in crate::proxy) fn answered(&mut self, route: &Route, status: StatusCode) {
        let model = Some(&self.entry.model).filter(|model| !model.is_empty());
        self.price = model.and_then(|model| route.price(model)).cloned();
        route.name().clone_into(&mut self.entry.upstream);
        self.entry.status = status.as_u16();
    }

    /// Notes that nobody did, with the status that the client gets.
    pub(in crate::proxy) fn failed(&mut self, error: &ProxyError) {
        self.entry.status = error.status_of_answer();
    }

    /// Notes what the answer told, once it is over.
    pub fn read(&mut self, mut reading: Reading) {
        if let Some(witness) = self.witness.take() {
            // Nobody may be interested any more.
            witness.send(reading.clone()).unwrap_or_default();
        }
        reading.text = None;
        self.reading = Some(reading);
    }

    /// Lets somebody know what the answer told, its text included.
    pub(in crate::proxy) fn let_witness(&mut self, witness: Sender<Reading>) {
        self.witness = Some(witness);
    }

    /// Returns whether the text of the answer is to be read.
    #[must_use]
    pub fn wants_text(&self) -> bool {
        self.witness.is_some()
    }

    /// Fills in what the request took, and what that costs.
    fn settle(&mut self) {
        let entry = &mut self.entry;
        // Whoever leaves before the answer begins has made the provider work.
        let paid = (200..300).contains(&entry.status) || (self.sent && entry.status == CLIENT_LEFT);
        let spared = entry.texts.0.saturating_sub(entry.texts.1);
        let Reading { usage, output, failed, .. } = self.reading.take().unwrap_or_default();
        let output = if self.embeds { 0 } else { output };
        let more = self.more_bytes.load(Ordering::Relaxed) / TOKEN_BYTES;
        let input = (self.bytes / TOKEN_BYTES).saturating_sub(spared).saturating_add(more);
        entry.estimated = paid && self.charged && !matches!(usage, ReportedUsage::Final(_));
        entry.usage = match usage {
            ReportedUsage::Final(usage) => usage,
            // The output was a placeholder, or was counted before the client left: what came through is known better.
            ReportedUsage::Partial(usage) if entry.estimated => {
                let input = if usage.input == 0 { input } else { usage.input.saturating_add(more) };
                Usage { input, output: usage.output.max(output), ..usage }
            }
            ReportedUsage::Missing if entry.estimated => Usage { input, output, ..Usage::default() },
            ReportedUsage::Partial(_) | ReportedUsage::Missing => Usage::default(),
        };
        if failed && (200..300).contains(&entry.status) {
            entry.status = STREAM_FAILED;
            self.ledger.count_failed_stream(&entry.upstream);
        }
        let took = Took {
            usage: entry.usage,
            spared: if paid { spared } else { 0 },
            work: Duration::from_micros(entry.compressor),
        };
        entry.cost = self.price.as_ref().map(|price| money::cost(price, &took.usage));
        entry.saving = self.price.as_ref().map(|price| money::saving(price, &took, self.hourly));
    }
}

impl Drop for UsageRecord {
    fn drop(&mut self) {
        self.settle();
        if let Some(hold) = self.hold.take() {
            let Usage { input, output, .. } = self.entry.usage;
            hold.settle(input.saturating_add(output), self.entry.cost);
        }
        self.ledger.book(&self.entry);
    }
}
