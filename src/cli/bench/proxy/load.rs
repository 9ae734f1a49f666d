//! Sends requests at a fixed rate and times them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// The header with the proxy's status of a request's texts.
const STATUS: &str = "x-whittle-status";

/// Requests at a fixed rate.
pub(super) struct Load {
    pub(super) target: SocketAddr,
    pub(super) body: Bytes,
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) seconds: u32,
    pub(super) connections: u32,
    pub(super) asked: Asked,
    /// The status that the proxy must report for each request.
    pub(super) expected: Option<&'static str>,
}

/// The event up to which a request is timed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// The first piece of the answer.
    First,
    /// The end of the answer.
    Whole,
}

/// Times of requests.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that a share of the requests did not exceed, in milliseconds; 0 where there are none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let place = (share * times.len() as f64).ceil() as usize;
        times.get(place.max(1) - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

impl Load {
    /// Sends them all. Each connection has a thread of its own, for an async timer is only good to a millisecond.
    pub(super) fn run(&self) -> anyhow::Result<Times> {
        // All connections are open by then.
        let start = Instant::now() + Duration::from_millis(100);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections)
                .map(|place| scope.spawn(move || self.connection(place, start)))
                .collect();
            let mut times = Times::default();
            for thread in threads {
                let done = thread.join().unwrap_or_else(|_| bail!("a thread that sends requests panicked"));
                times.extend(done?);
            }
            Ok(times)
        })
    }

    /// Every so many-th request, over one connection.
    fn connection(&self, place: u32, start: Instant) -> anyhow::Result<Times> {
        let mut client = Client::connect(self.target)?;
        let mut times = Times::default();
        for number in (place..self.rate * self.seconds).step_by(self.connections as usize) {
            let due = start + Duration::from_secs_f64(f64::from(number) / f64::from(self.rate));
            let wait = due.saturating_duration_since(Instant::now());
            // What is sent late, because the answer before came late, is timed from when it was due.
            let begun = if wait.is_zero() {
                due
            } else {
                std::thread::sleep(wait);
                Instant::now()
            };
            let (end, status) = client.ask(self.body.clone(), self.asked)?;
            if let Some(expected) = self.expected {
                let status = status.unwrap_or_default();
                ensure!(status == expected, "the proxy says `{status}` of a request instead of `{expected}`");
            }
            times.push(end.saturating_duration_since(begun));
        }
        Ok(times)
    }
}

/// Sends one request over a new connection: the time that it took, and what the proxy says of it.
pub(super) fn ask_once(target: SocketAddr, body: Bytes) -> anyhow::Result<(Duration, Option<String>)> {
    let mut client = Client::connect(target)?;
    let begun = Instant::now();
    let (end, status) = client.ask(body, Asked::Whole)?;
    Ok((end - begun, status))
}

/// One connection, which moves on only while it is asked.
pub(super) struct Client {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    pub(super) fn connect(target: SocketAddr) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(target).await.context("cannot connect")?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // What ends a connection also ends the request on it, which says so.
            tokio::spawn(async move { connection.await.ok() });
            anyhow::Ok(sender)
        })?;
        Ok(Self { runtime, sender, host: target.to_string() })
    }

    pub(super) fn ask(&mut self, body: Bytes, asked: Asked) -> anyhow::Result<(Instant, Option<String>)> {
        let Self { runtime, sender, host } = self;
        runtime.block_on(async {
            let request = Request::post("/v1/chat/completions")
                .header(HOST, &**host)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body))?;
            sender.ready().await?;
            let response = sender.send_request(request).await.context("a request failed")?;
            ensure!(response.status().is_success(), "a request was answered with {}", response.status());
            let status = response.headers().get(STATUS).and_then(|status| status.to_str().ok());
            let status = status.map(str::to_owned);
            let mut body = response.into_body();
            let mut first = None;
            while let Some(frame) = body.frame().await {
                frame.context("an answer broke off")?;
                first.get_or_insert_with(Instant::now);
            }
            let end = Instant::now();
            Ok((
                match asked {
                    Asked::First => first.unwrap_or(end),
                    Asked::Whole => end,
                },
                status,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_occurred() {
        let times = Times((1..=100).rev().map(Duration::from_millis).collect());
        for (share, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            assert!((times.quantile(share) - expected).abs() < 1e-9, "{share}");
        }
        assert!(Times::default().quantile(0.5).abs() < 1e-9);
    }
}
