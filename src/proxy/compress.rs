//! Compresses the passages of one request: in time, and never for the worse.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::decision::{Decision, Tokens};
use super::latency_model::{Kind, Paces};
use super::settings::Settings;
use crate::admission::{JobError, LazyTicket, QueueFull};
use crate::compress::Method;
use crate::engine::api::{CompressRequest, CompressResponse, DocumentInput, DocumentOutput, Return};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::Cancel;
use crate::text::{self, TokenCounter};
use crate::wire::TextSpan;

/// The interface to the compressor: the engine, or a fake in tests. The call blocks.
pub trait Compressor: Send + Sync + 'static {
    /// Compresses a prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError>;
}

impl Compressor for Engine {
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError> {
        Self::compress(self, request, cancel)
    }
}

/// The reason why a text was forwarded uncompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Compression ran out of time.
    Deadline,
    /// Compression would have run out of time, by how long it took lately.
    Declined,
    /// Too many requests were being compressed already.
    Overloaded,
    /// The model cannot be had.
    Unavailable,
    /// Compression failed.
    Failed,
    /// The upstream refused the compressed request.
    Refused,
    /// The text was forwarded uncompressed in an earlier turn, for one of the other reasons.
    Remembered,
    /// The conversation is held out, to compare others with it.
    Holdout,
    /// The text belongs to an earlier turn up to a cache breakpoint, and nothing is known of it: it may have been
    /// forwarded as it is.
    Breakpoint,
    /// All texts have fewer tokens than the least number.
    Small,
}

impl Fallback {
    /// All of them.
    pub(super) const ALL: [Self; 10] = [
        Self::Deadline,
        Self::Declined,
        Self::Overloaded,
        Self::Unavailable,
        Self::Failed,
        Self::Refused,
        Self::Remembered,
        Self::Holdout,
        Self::Breakpoint,
        Self::Small,
    ];

    /// Returns the name in headers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Declined => "declined",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Remembered => "remembered",
            Self::Holdout => "holdout",
            Self::Breakpoint => "breakpoint",
            Self::Small => "small",
        }
    }
}

/// Runs compressions, and knows how long they took lately.
pub(super) struct Pool {
    compressor: Arc<dyn Compressor>,
    paces: Arc<Paces>,
    /// Requests whose texts are worked on, or wait for that.
    requests: AtomicUsize,
}

impl From<JobError> for Fallback {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Deadline => Self::Deadline,
            JobError::Panicked => Self::Failed,
        }
    }
}

impl From<QueueFull> for Fallback {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

/// The compression work of one request.
pub(super) struct Work {
    pub(super) passages: Vec<TextSpan>,
    pub(super) model: String,
    pub(super) settings: Settings,
}

impl Pool {
    pub(super) fn new(compressor: Arc<dyn Compressor>) -> Self {
        Self { compressor, paces: Arc::default(), requests: AtomicUsize::new(0) }
    }

    /// Returns the number of requests whose texts are worked on, or wait for that.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Compresses each passage and returns the outcomes in order. Never later than the settings' deadline.
    pub(super) async fn compress(
        &self,
        work: Work,
        ticket: &LazyTicket<'_>,
    ) -> Vec<Result<Decision, Fallback>> {
        let count = work.passages.len();
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Also where the client leaves meanwhile.
        let _counted = Counted(&self.requests);
        self.run(work, ticket).await.unwrap_or_else(|fallback| vec![Err(fallback); count])
    }

    async fn run(
        &self,
        work: Work,
        ticket: &LazyTicket<'_>,
    ) -> Result<Vec<Result<Decision, Fallback>>, Fallback> {
        let deadline = tokio::time::Instant::now() + work.settings.deadline;
        let (compressor, paces) = (Arc::clone(&self.compressor), Arc::clone(&self.paces));
        let job = move |cancel: &Cancel| {
            let within = Within { cancel, deadline: deadline.into_std(), paces: &paces };
            work.run(&*compressor, &within)
        };
        Ok(ticket.get()?.run(deadline, job).await?)
    }
}

/// Takes a request off the count when dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The limits on the work of a request.
struct Within<'a> {
    cancel: &'a Cancel,
    deadline: Instant,
    paces: &'a Paces,
}

impl Within<'_> {
    /// Does `work` on `tokens`, unless it is likely to pass the deadline, and measures it.
    fn time<T>(
        &self,
        (kind, tokens): (Kind, usize),
        work: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<Result<T, EngineError>, Fallback> {
        let start = Instant::now();
        let left = self.deadline.saturating_duration_since(start);
        if self.paces.predict(kind, tokens, start).is_some_and(|time| time > left) {
            return Err(Fallback::Declined);
        }
        let decision = work();
        let (now, took) = (Instant::now(), (tokens, start.elapsed()));
        match &decision {
            Ok(_) => self.paces.measured(kind, took, now),
            // A client that leaves tells nothing of the pace; at the deadline this one is as good as gone.
            Err(error) if error.kind == ErrorKind::Deadline || now >= self.deadline => {
                self.paces.cut_off(kind, took, now);
            }
            Err(_) => {}
        }
        Ok(decision)
    }
}

impl Work {
    fn run(self, compressor: &dyn Compressor, within: &Within) -> Vec<Result<Decision, Fallback>> {
        let counter = text::for_model(&self.model);
        let Self { passages, model, settings } = self;
        let one = |passage| compressed(passage, &model, &settings, (compressor, counter.as_ref(), within));
        passages.into_iter().map(one).collect()
    }
}

fn compressed(
    passage: TextSpan,
    model: &str,
    settings: &Settings,
    (compressor, counter, within): (&dyn Compressor, &dyn TokenCounter, &Within),
) -> Result<Decision, Fallback> {
    within.cancel.check().map_err(|_| Fallback::Deadline)?;
    let TextSpan { text, question, .. } = passage;
    let before = counter.count(&text);
    if before < settings.min_tokens {
        return Ok(Decision::Small);
    }
    // Without a question there is nothing to rank by it.
    let method = settings.method.filter(|method| question.is_some() || *method != Method::LongLlmLingua);
    let request = CompressRequest {
        documents: Some(vec![DocumentInput { text: text.clone(), ..DocumentInput::default() }]),
        target_tokens: Some(target(before, settings.rate, question.as_deref(), counter)),
        method,
        question: question.as_deref().map(str::to_owned),
        model: Some(model.to_owned()),
        returns: Some(vec![Return::Ranges]),
        ..CompressRequest::default()
    };
    let kind = Kind { method, question: question.is_some() };
    match within.time((kind, before), || compressor.compress(request, within.cancel))? {
        Ok(mut response) => {
            let document = response.documents.pop().ok_or(Fallback::Failed)?;
            Ok(decision(document, &text, before, counter))
        }
        Err(error) => match error.kind {
            ErrorKind::Deadline | ErrorKind::Cancelled => Err(Fallback::Deadline),
            ErrorKind::Unavailable => Err(Fallback::Unavailable),
            // What is too large or cannot be made smaller will be so the next time too.
            ErrorKind::Infeasible | ErrorKind::TooLarge => Ok(Decision::Unchanged),
            ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Internal => {
                // The reason of a fault on this side holds nothing of a prompt; that of any other may.
                let reason = (error.kind == ErrorKind::Internal).then_some(error.message);
                tracing::warn!(code = error.code, reason, "a text could not be compressed");
                Err(Fallback::Failed)
            }
        },
    }
}

/// Most tokens of the whole prompt, so that the text itself comes to its rate: the question is kept whole beside it.
fn target(before: usize, rate: f64, question: Option<&str>, counter: &dyn TokenCounter) -> usize {
    const JOIN: usize = 2;
    let beside = question.map_or(0, |question| counter.count(question) + JOIN);
    ((before as f64 * rate).floor() as usize).max(1) + beside
}

/// Checks a compressed text, which must be smaller and made of its own parts, and returns its outcome.
fn decision(document: DocumentOutput, text: &str, before: usize, counter: &dyn TokenCounter) -> Decision {
    let tokens = Tokens { before, after: counter.count(&document.text) };
    if tokens.after >= before || document.text.trim().is_empty() {
        return Decision::Unchanged;
    }
    let kept = document.kept.unwrap_or_default();
    let ranges: Box<[Range<usize>]> = kept.iter().map(|&[start, end]| start..end).collect();
    let ascending = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    let parts = ranges.iter().map(|range| text.get(range.clone())).collect::<Option<String>>();
    if ascending && parts.is_some_and(|parts| parts == document.text) {
        Decision::Subset { ranges, tokens }
    } else {
        Decision::Replaced { text: document.text.into(), tokens }
    }
}
