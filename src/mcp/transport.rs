//! The two ways to reach the server: standard input and output, and HTTP.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Body;
use hyper::http::{Request, Response};
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::McpServer;

/// An error of a connection.
#[derive(Debug, thiserror::Error)]
pub enum McpError {
    /// The client did not begin as the protocol has it.
    #[error("the client did not begin as the protocol has it: {0}")]
    Begin(Box<ServerInitializeError>),
    /// The connection's task ended by itself.
    #[error("the connection broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl McpServer {
    /// Answers one client on standard input and output until it closes its end.
    ///
    /// # Errors
    /// The client does not speak the protocol.
    pub async fn serve_stdio(self) -> Result<(), McpError> {
        let running = match self.serve(stdio()).await {
            Ok(running) => running,
            // A client that leaves before it has asked for anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(McpError::Begin(Box::new(error))),
        };
        running.waiting().await?;
        Ok(())
    }

    /// Answers one HTTP request, whose `Host` and `Origin` have been checked.
    pub async fn answer<B>(self, request: Request<B>) -> Response<BoxBody<Bytes, Infallible>>
    where
        B: Body + Send + 'static,
        B::Error: Display,
    {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(self.host.limits.body_bytes)
            .disable_allowed_hosts();
        let sessions = Arc::new(NeverSessionManager::default());
        StreamableHttpService::new(move || Ok(self.clone()), sessions, config).handle(request).await
    }
}
