//! Bodies that are too large for memory: received into a file, and sent from one.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::error::ApiError;
use crate::engine::EngineError;

/// Bytes that are read or written at once.
const PIECE: usize = 1 << 20;

/// Writes a body of at most `limit` bytes to `file`, which is then at its start. No pause may be longer than `pause`.
/// Gives none where the body is longer; then there is more of it to read.
pub(super) async fn receive(
    body: &mut Body,
    file: File,
    limit: u64,
    pause: Duration,
) -> Result<Option<File>, ApiError> {
    let (mut file, mut held, mut left) = (file, Vec::new(), limit);
    loop {
        let frame = timeout(pause, body.frame()).await.map_err(|_| ApiError::slow_body(pause))?;
        let ended = frame.is_none();
        if let Some(frame) = frame {
            let Ok(data) = frame.map_err(|error| ApiError::broken_body(&error))?.into_data() else {
                continue;
            };
            let Some(after) = left.checked_sub(data.len() as u64) else { return Ok(None) };
            left = after;
            held.extend_from_slice(&data);
        }
        if held.len() >= PIECE || ended {
            let piece = std::mem::take(&mut held);
            let written = spawn_blocking(move || {
                file.write_all(&piece)?;
                if ended { file.rewind().map(|()| file) } else { Ok(file) }
            });
            let written = written.await.map_err(|error| ApiError::internal(&error))?;
            file = written
                .map_err(|error| EngineError::of_file(&error, format!("cannot keep the body: {error}")))?;
        }
        if ended {
            return Ok(Some(file));
        }
    }
}

/// An answer with all of `file` as its body.
pub(super) fn answer(mut file: File, media_type: &'static str) -> Result<Response, ApiError> {
    let length = file.rewind().and_then(|()| file.metadata());
    let left = length.map_err(|error| ApiError::internal(&error))?.len();
    let body = Body::new(Sent { left, state: State::Ready(file) });
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// A file on its way, piece by piece. Between two pieces it takes no thread, however slowly its client reads.
struct Sent {
    left: u64,
    state: State,
}

enum State {
    Ready(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Ended,
}

/// The next piece, of up to `left` bytes.
fn read(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let mut piece = vec![0; left.min(PIECE as u64) as usize];
    file.read_exact(&mut piece)?;
    Ok((file, piece.into()))
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let sent = self.get_mut();
        loop {
            match &mut sent.state {
                State::Reading(task) => {
                    let result = ready!(Pin::new(task).poll(context)).map_err(io::Error::other).flatten();
                    sent.state = State::Ended;
                    return Poll::Ready(Some(result.map(|(file, piece)| {
                        sent.left -= piece.len() as u64;
                        sent.state = State::Ready(file);
                        Frame::data(piece)
                    })));
                }
                State::Ready(_) if sent.left > 0 => {
                    let left = sent.left;
                    if let State::Ready(file) = std::mem::replace(&mut sent.state, State::Ended) {
                        sent.state = State::Reading(spawn_blocking(move || read(file, left)));
                    }
                }
                State::Ready(_) | State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
