//! An upstream on loopback that answers at once, on a thread of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Seven faults."},"finish_reason":"stop"}],"usage":{"prompt_tokens":500,"completion_tokens":3,"total_tokens":503}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Seven\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
/// Time between two events.
const PAUSE: Duration = Duration::from_millis(3);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Starts it. It ends with the process.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("upstream".into()).spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        // A client that leaves is no concern of the upstream.
        tokio::spawn(async move { connection.await.ok() });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    // The clients of this benchmark put it at the end.
    let streams = body.ends_with(br#""stream":true}"#);
    let (kind, body) = if streams {
        ("text/event-stream", events().boxed())
    } else {
        ("application/json", Full::from(ANSWER).boxed())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

/// One event at once, one later, and the end.
fn events() -> impl Body<Data = Bytes, Error = Infallible> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for event in [EVENT, EVENT, DONE] {
            // Where nobody listens any more there is nothing left to be done.
            sender.send(Bytes::from_static(event.as_bytes())).await.ok();
            tokio::time::sleep(PAUSE).await;
        }
    });
    Events(receiver)
}

struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
