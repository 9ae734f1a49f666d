//! The rounds of an answer: as long as the model calls the tool that recalls originals, its calls are answered here and
//! the upstream is asked again; the client gets all rounds as one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::decision::Key;
use super::ledger::UsageRecord;
use super::originals::Originals;
use super::pieces::{AbortOnDrop, Piece, Pieces};
use super::recall_tool::{Arguments, LateCalls, lines};
use super::route::{Route, Target};
use super::{Gateway, Live, Plan, Prepared, ProxyError};
use crate::admission::Admission;
use crate::upstream::{Answer, Call, Upstream, streamed};
use crate::wire::Endpoint;
use crate::wire::recall::{self, Answered, Late, LateTurn, Splicer, TOOL, Turn, Whole};

/// Rounds in which originals are given. Then one more says that there are no more.
const ROUNDS: usize = 8;
/// Bytes of originals that an answer's calls are given.
const RECALLED_BYTES: usize = 128 << 10;
/// Largest answer, without a stream, that is read.
const WHOLE_BYTES: usize = 64 << 20;
/// Pieces of a stream that wait for a slow client.
const PIECES: usize = 16;

/// The result of a call of another tool in a turn that is answered here.
const NOT_RUN: &str = "This tool was not run, for its call came together with one of `whittle_recall`. Call it again if it is still needed.";
/// The result of a call in too late a round.
const NO_MORE: &str = "No more originals can be recalled in this answer. Go on with what there is.";

/// The rounds of one answer.
pub(super) struct Rounds {
    upstream: Arc<Upstream>,
    /// The request of the last round.
    call: Call,
    endpoint: Endpoint,
    reader: Reader,
    deadline: Duration,
    /// Rounds that followed the first.
    done: usize,
    /// Bytes that may still be recalled.
    left: usize,
    booked: Arc<AtomicU64>,
    recalls: Counter,
    conversation: Key,
    late: LateCalls,
}

/// Reads the originals of one owner.
struct Reader {
    originals: Arc<Originals>,
    owner: String,
    admission: Admission,
}

impl Gateway {
    /// The rounds of an answer from `route`, where the request has the tool.
    pub(super) fn rounds(
        &self,
        live: &Live,
        (prepared, plan, route): (&Prepared, &Plan, &Route),
        record: &mut UsageRecord,
    ) -> Option<Rounds> {
        let tool = plan.tool.as_ref().filter(|_| !prepared.endpoint().only_counts())?;
        let (originals, owner) = prepared.recall.kept()?;
        let Target::Upstream(upstream) = &route.place else { return None };
        Some(Rounds {
            upstream: Arc::clone(upstream),
            call: Live::call(prepared, plan, route),
            endpoint: prepared.endpoint(),
            reader: Reader {
                originals: Arc::clone(originals),
                owner: owner.to_owned(),
                admission: self.readers.clone(),
            },
            deadline: live.config.deadline(),
            done: 0,
            left: RECALLED_BYTES,
            booked: record.more_bytes(),
            recalls: self.metrics.recalls(),
            conversation: tool.key,
            late: live.late.clone(),
        })
    }
}

impl Rounds {
    /// Longest time between two pieces of an answer, in which a round may begin.
    pub(super) fn longest_wait(&self) -> Duration {
        self.upstream.idle().saturating_add(self.deadline)
    }

    /// Makes one answer of all rounds, of which `first` is the first.
    ///
    /// # Errors
    /// A further round fails before the client has anything.
    pub(super) async fn answer(self, mut first: Answer) -> Result<Answer, ProxyError> {
        if first.headers.contains_key("content-encoding") {
            tracing::warn!("an upstream's answer is encoded: calls of {TOOL} in it are not answered");
            return Ok(first);
        }
        match (kind(&first), Splicer::new(self.endpoint)) {
            (Kind::Events, Some(splicer)) => {
                let (sender, receiver) = channel(PIECES);
                let body = std::mem::replace(&mut first.body, "".into());
                let answer = Answer { body, headers: first.headers.clone(), ..first };
                let task = tokio::spawn(self.stream(answer, splicer, sender).in_current_span());
                first.body =
                    streamed(Pieces::new(receiver, "a round of the answer failed", AbortOnDrop(task)));
            }
            (Kind::Json, _) => first = self.whole(first).await?,
            (Kind::Events | Kind::Other, _) => return Ok(first),
        }
        first.headers.remove("content-length");
        Ok(first)
    }

    /// All rounds of an answer that is no stream.
    async fn whole(mut self, mut answer: Answer) -> Result<Answer, ProxyError> {
        let mut whole = Whole::new(self.endpoint);
        loop {
            let body = std::mem::replace(&mut answer.body, "".into());
            let body = self.read(body).await?;
            // What an upstream says instead of an answer is the client's.
            let answered = if answer.status.is_success() {
                whole.round(&body, self.done > ROUNDS)
            } else {
                Answered::AsItCame
            };
            match answered {
                Answered::AsItCame => answer.body = body.into(),
                Answered::Instead(other) => answer.body = other.into(),
                Answered::Turn(turn) => {
                    answer = self.next(&turn).await?;
                    continue;
                }
            }
            return Ok(answer);
        }
    }

    async fn read(&self, mut body: crate::upstream::Body) -> Result<Bytes, ProxyError> {
        let mut bytes = Vec::new();
        while let Some(frame) = self.frame(&mut body).await {
            let frame = frame.map_err(ProxyError::Broken)?;
            bytes.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            if bytes.len() > WHOLE_BYTES {
                return Err(ProxyError::Broken(format!("it has more than {WHOLE_BYTES} bytes")));
            }
        }
        Ok(bytes.into())
    }

    /// The next frame of a body, within the upstream's time.
    async fn frame(&self, body: &mut crate::upstream::Body) -> Option<Result<Frame<Bytes>, String>> {
        match timeout(self.upstream.idle(), body.frame()).await {
            Ok(frame) => frame.map(|frame| frame.map_err(|error| error.to_string())),
            Err(_) => Some(Err("it stalled".into())),
        }
    }

    /// All rounds of a stream. Where one fails, the stream breaks off, and its relay says so.
    async fn stream(mut self, first: Answer, splicer: Splicer, sender: Sender<Piece>) {
        match self.stream_to(first, splicer, &sender).await {
            // Nobody may be there any more.
            Ok(()) => sender.send(Piece::End).await.unwrap_or_default(),
            Err(error) => tracing::warn!(%error, "an answer broke off"),
        }
    }

    async fn stream_to(
        &mut self,
        mut answer: Answer,
        mut splicer: Splicer,
        sender: &Sender<Piece>,
    ) -> Result<(), ProxyError> {
        loop {
            while let Some(frame) = self.frame(&mut answer.body).await {
                let frame = frame.map_err(ProxyError::Broken)?;
                let Some(piece) = frame.data_ref() else { continue };
                let shown = splicer.feed(piece).map_err(|error| ProxyError::Broken(error.to_string()))?;
                // Before the client can send its next request.
                if let Some(late) = splicer.late() {
                    self.keep_late(late).await;
                }
                if !send(sender, shown).await {
                    return Ok(());
                }
            }
            let round = splicer.end(self.done == ROUNDS);
            if !send(sender, round.rest).await {
                return Ok(());
            }
            let Some(turn) = round.turn else { return Ok(()) };
            answer = self.next(&turn).await?;
            if !answer.status.is_success() || kind(&answer) != Kind::Events {
                let status = answer.status.as_u16();
                return Err(ProxyError::Broken(format!("a further round was answered with status {status}")));
            }
        }
    }

    /// Answers a turn and asks the upstream again.
    async fn next(&mut self, turn: &Turn) -> Result<Answer, ProxyError> {
        let mut results = Vec::with_capacity(turn.calls.len());
        for call in &turn.calls {
            results.push(if call.recalls() {
                (self.recall(&call.arguments).await, false)
            } else {
                (NOT_RUN.to_owned(), true)
            });
        }
        self.done += 1;
        let body = std::str::from_utf8(&self.call.body).unwrap_or_default();
        let body = recall::continued(self.endpoint, body, turn, &results);
        let body = body.ok_or_else(|| ProxyError::Internal("a request has no conversation".into()))?;
        self.booked.fetch_add(body.len() as u64, Ordering::Relaxed);
        self.call.body = body.into();
        Ok(self.upstream.send(&self.call, Instant::now() + self.deadline).await?)
    }

    /// The result of a call.
    async fn recall(&mut self, arguments: &str) -> String {
        self.recalls.inc();
        if self.done >= ROUNDS {
            return NO_MORE.into();
        }
        let arguments = match serde_json::from_str::<Arguments>(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return format!("The arguments cannot be read: {error}."),
        };
        match self.reader.original(&arguments.id, self.deadline).await {
            Ok(Some(text)) => lines(&text, &arguments, &mut self.left),
            Ok(None) => "There is no original with this id, or it is no longer kept.".into(),
            Err(error) => {
                tracing::warn!(%error, "an original could not be read");
                "The original cannot be read at the moment.".into()
            }
        }
    }

    /// Keeps calls for the next request of the conversation.
    async fn keep_late(&mut self, LateTurn { calls, beside }: LateTurn) {
        let mut kept = Vec::with_capacity(calls.len());
        for call in calls {
            let result = self.recall(&call.arguments).await;
            kept.push(Late { call, result });
        }
        self.late.put(self.conversation, &beside, kept);
    }
}

impl Reader {
    async fn original(&self, id: &str, time: Duration) -> Result<Option<String>, ProxyError> {
        let (originals, owner, id) = (Arc::clone(&self.originals), self.owner.clone(), id.to_owned());
        let read = move |_: &_| originals.get(&owner, &id);
        let found = self.admission.enter()?.run(Instant::now() + time, read).await?;
        found.map_err(ProxyError::Internal)
    }
}

/// A kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Json,
    Other,
}

fn kind(answer: &Answer) -> Kind {
    let kind = answer.headers.get("content-type");
    let kind = kind.map(crate::upstream::HeaderValue::as_bytes).unwrap_or_default();
    match kind {
        kind if kind.starts_with(b"text/event-stream") => Kind::Events,
        kind if kind.starts_with(b"application/json") => Kind::Json,
        _ => Kind::Other,
    }
}

/// Hands a piece on. False where nobody waits for it any more.
async fn send(sender: &Sender<Piece>, bytes: Vec<u8>) -> bool {
    bytes.is_empty() || sender.send(Piece::Bytes(bytes.into())).await.is_ok()
}
