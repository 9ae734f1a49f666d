//! A body whose pieces come over a channel from whoever makes them. Its end is a piece of its own, so that a body that
//! breaks off is told from one that is whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::task::JoinHandle;

/// A piece of a body on its way to the client.
pub(super) enum Piece {
    Bytes(Bytes),
    End,
}

/// The end of a channel at which pieces arrive.
pub(super) trait Arrivals {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>>;
}

impl Arrivals for Receiver<Piece> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.poll_recv(context)
    }
}

impl Arrivals for UnboundedReceiver<Piece> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.poll_recv(context)
    }
}

/// A body of pieces. Whoever drops it drops the guard, which ends the work.
pub(super) struct Pieces<A, G> {
    arrivals: A,
    ended: bool,
    /// The error of a body that breaks off.
    broken: &'static str,
    _guard: G,
}

impl<A, G> Pieces<A, G> {
    pub(super) const fn new(arrivals: A, broken: &'static str, guard: G) -> Self {
        Self { arrivals, ended: false, broken, _guard: guard }
    }
}

/// A body ended before its end was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(&'static str);

impl<A: Arrivals + Unpin, G: Unpin> Body for Pieces<A, G> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.arrivals.poll_piece(context));
        self.ended = !matches!(piece, Some(Piece::Bytes(_)));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(Broken(self.broken))),
        })
    }
}

/// A task that ends with whoever waits for it.
pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
