//! An upstream's answer on its way to the client: piece by piece, as it comes.
//!
//! A stream of events goes on event by event: what has arrived of an event whose end has not is held back, so that a
//! stream that breaks off can still end with an event that says so. A client can do nothing with half an event
//! either, so nothing reaches it later for that.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tracing::Span;

use super::error::last_event;
use crate::proxy::UsageRecord;
use crate::telemetry::Stage;
use crate::wire::{Dialect, Framing, Reading, UsageReader};

/// Longest part of an event that is held back. Past it, it goes on, and a break can only cut the connection.
const HELD_BYTES: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why an answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

/// An answer's body on its way.
pub(super) struct Relay<B> {
    body: B,
    /// The state of a stream of events: what has arrived of the next one, and its dialect.
    events: Option<Events>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    ended: bool,
    usage: Option<Counted>,
    /// The stage of the trace, which ends with the answer.
    _span: Span,
}

/// Reads the usage that an answer tells of, where it can be read. It is booked when the answer ends, or its client
/// leaves.
pub(super) struct Counted {
    reader: Option<UsageReader>,
    /// Whether the answer broke off or stalled.
    broken: bool,
    record: UsageRecord,
}

impl Counted {
    /// Creates a relay that reads the usage by `reader` and books it on `bill`.
    pub(super) fn new(reader: Option<UsageReader>, record: UsageRecord) -> Self {
        Self { reader, broken: false, record }
    }

    /// Books the request, whose answer is over, or broke off.
    fn book(mut self, broken: bool) {
        self.broken = broken;
        if let Some(reader) = self.reader.as_mut().filter(|_| !broken) {
            reader.end();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let reading = self.reader.take().map(UsageReader::finish);
        if reading.is_some() || self.broken {
            let reading = reading.unwrap_or_default();
            self.record.read(Reading { failed: reading.failed || self.broken, ..reading });
        }
    }
}

struct Events {
    framing: Framing,
    dialect: Dialect,
    held: Vec<u8>,
    /// Whether part of an event was forwarded without its end.
    open: bool,
}

impl<B> Relay<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Passes `body` on. `events` says how a stream of events is framed, and in which dialect.
    pub(super) fn new(
        body: B,
        idle: Duration,
        events: Option<(Framing, Dialect)>,
        usage: Option<Counted>,
    ) -> Self {
        let events =
            events.map(|(framing, dialect)| Events { framing, dialect, held: Vec::new(), open: false });
        let timer = Box::pin(tokio::time::sleep(idle));
        Self { body, events, idle, timer, ended: false, usage, _span: Stage::Stream.span() }
    }

    pub(super) fn into_body(self) -> Body {
        Body::new(self)
    }

    /// The next frame of the upstream, or why there will be none.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = std::task::ready!(self.poll_body(context));
        let over = !matches!(next, Some(Ok(_))) || self.is_whole();
        if over && let Some(counted) = self.usage.take() {
            // Before the client has the last of it: whoever has all of an answer finds it in the ledger.
            counted.book(matches!(next, Some(Err(_))));
        }
        Poll::Ready(next)
    }

    /// Returns whether all bytes have come of a body whose length is known: its client needs no more to see its end.
    fn is_whole(&self) -> bool {
        self.events.is_none() && self.body.size_hint().exact() == Some(0)
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.timer.as_mut().reset(Instant::now() + self.idle);
                let reader = self.usage.as_mut().and_then(|usage| usage.reader.as_mut());
                if let (Some(reader), Some(piece)) = (reader, frame.data_ref()) {
                    reader.feed(piece);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error: BoxError = error.into();
                tracing::warn!(%error, "an upstream's answer broke off");
                Poll::Ready(Some(Err(Broken("the upstream's answer broke off"))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.timer.as_mut().poll(context) {
                Poll::Ready(()) => {
                    tracing::warn!(idle = ?self.idle, "an upstream's answer stalled");
                    Poll::Ready(Some(Err(Broken("the upstream's answer stalled"))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl Events {
    /// Returns the bytes of `piece`, and of what was held before it, that can be forwarded.
    fn take(&mut self, piece: Bytes) -> Option<Bytes> {
        if self.held.is_empty() {
            let end = last_event_end(self.framing, &piece, 0);
            self.held.extend_from_slice(&piece[end..]);
            if self.held.len() > HELD_BYTES {
                self.open = true;
                self.held = Vec::new();
                return Some(piece);
            }
            self.open &= end == 0;
            return (end > 0).then(|| piece.slice(..end));
        }
        // An end may lie across the border.
        let from = self.held.len().saturating_sub(3);
        self.held.extend_from_slice(&piece);
        let mut end = last_event_end(self.framing, &self.held, from);
        self.open &= end == 0;
        if self.held.len() - end > HELD_BYTES {
            self.open = true;
            end = self.held.len();
        }
        let rest = self.held.split_off(end);
        let whole = std::mem::replace(&mut self.held, rest);
        (!whole.is_empty()).then(|| whole.into())
    }

    /// The event that ends a stream that broke off, unless an event is half sent.
    fn error(&self, message: &str) -> Option<Bytes> {
        (!self.open).then(|| last_event(self.framing, self.dialect, message).into())
    }
}

/// Returns the end of the last whole event of `bytes`, searched from `from` on; 0 where there is none.
fn last_event_end(framing: Framing, bytes: &[u8], from: usize) -> usize {
    let searched = &bytes[from..];
    let ends: &[&[u8]] = match framing {
        Framing::Events => &[b"\n\n", b"\r\n\r\n", b"\r\r"],
        Framing::Lines => &[b"\n"],
        Framing::Whole => &[],
    };
    let last = ends.iter().filter_map(|end| memchr::memmem::rfind(searched, end).map(|at| at + end.len()));
    last.max().map_or(0, |at| from + at)
}

impl<B> HttpBody for Relay<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let relay = self.get_mut();
        loop {
            if relay.ended {
                return Poll::Ready(None);
            }
            let next = std::task::ready!(relay.poll_upstream(context));
            let Some(events) = &mut relay.events else {
                relay.ended = !matches!(next, Some(Ok(_)));
                return Poll::Ready(next.map(|frame| frame.map_err(Into::into)));
            };
            match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => {
                        if let Some(whole) = events.take(piece) {
                            return Poll::Ready(Some(Ok(Frame::data(whole))));
                        }
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(broken)) => {
                    relay.ended = true;
                    let last = events.error(broken.0).map(Frame::data).ok_or_else(|| broken.into());
                    return Poll::Ready(Some(last));
                }
                None => {
                    relay.ended = true;
                    let rest = Bytes::from(std::mem::take(&mut events.held));
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.events.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// Returns the bytes that come through of a body that arrives in `pieces`; where `breaks`, it breaks off after
    /// them.
    async fn through(pieces: &[&str], breaks: bool, dialect: Dialect) -> Result<Vec<String>, String> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        for piece in pieces {
            sender.send(Ok(Frame::data(Bytes::from((*piece).to_owned())))).unwrap();
        }
        if breaks {
            sender.send(Err("reset")).unwrap();
        }
        drop(sender);
        let stream = StreamBody::new(Received(receiver));
        let mut relay = Relay::new(stream, Duration::from_secs(5), Some((Framing::Events, dialect)), None);
        let mut came = Vec::new();
        while let Some(frame) = relay.frame().await {
            let data = frame.map_err(|error| error.to_string())?.into_data().unwrap();
            came.push(String::from_utf8(data.to_vec()).unwrap());
        }
        Ok(came)
    }

    struct Received(tokio::sync::mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>);

    impl futures_core::Stream for Received {
        type Item = Result<Frame<Bytes>, &'static str>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context)
        }
    }

    #[tokio::test]
    async fn events_go_on_whole_and_unchanged() {
        let came =
            through(&["data: 1\n\n", ": ping\n\nda", "ta: 2\r\n\r", "\ndata: 3"], false, Dialect::OpenAi)
                .await;
        assert_eq!(came.unwrap(), ["data: 1\n\n", ": ping\n\n", "data: 2\r\n\r\n", "data: 3"]);
    }

    #[tokio::test]
    async fn a_break_becomes_an_event_of_the_dialect_in_the_place_of_half_an_event() {
        let came = through(&["data: 1\n\ndata: {\"ha"], true, Dialect::OpenAi).await.unwrap();
        assert_eq!(came[0], "data: 1\n\n");
        assert!(came[1].starts_with("data: {\"error\":{") && came[1].ends_with("}}\n\n"), "{came:?}");
        let came = through(&["data: {\"ha"], true, Dialect::Gemini).await.unwrap();
        assert!(came[0].starts_with("data: {\"error\":{\"code\":502,") && came.len() == 1, "{came:?}");
        let came = through(&[], true, Dialect::Anthropic).await.unwrap();
        assert!(came[0].starts_with("event: error\ndata: {\"error\":{") && came.len() == 1, "{came:?}");
    }

    #[test]
    fn the_last_event_is_framed_as_the_stream_is_whatever_its_dialect() {
        for dialect in
            [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Ollama, Dialect::Cohere]
        {
            let events = last_event(Framing::Events, dialect, "broke\noff");
            let (_, data) = events.split_once("data: ").unwrap();
            let data = data.strip_suffix("\n\n").unwrap();
            let line = last_event(Framing::Lines, dialect, "broke\noff");
            assert_eq!(line.strip_suffix('\n'), Some(data), "{events}");
            assert!(
                serde_json::from_str::<serde_json::Value>(data).is_ok() && !data.contains('\n'),
                "{data}"
            );
        }
    }

    #[tokio::test]
    async fn a_long_event_is_not_held_back_and_a_break_in_it_cuts_the_connection() {
        let long = "x".repeat(HELD_BYTES + 1);
        let came = through(&["data: ", &long, "yz\n\n"], false, Dialect::OpenAi).await.unwrap();
        assert_eq!(came, [format!("data: {long}"), "yz\n\n".into()]);
        through(&["data: ", &long], true, Dialect::OpenAi).await.unwrap_err();
        through(&[&long, "y\n\ndata"], true, Dialect::OpenAi).await.unwrap();
    }
}
