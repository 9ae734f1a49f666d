//! Requests whose bodies are none of the proxy's concern, and the upstreams that they go to.

use tokio::time::Instant;

use super::ledger::UsageRecordBuilder;
use super::route::Route;
use super::{Gateway, Passthrough, ProxyError, ProxyResponse, RequestReport};
use crate::keys::Caller;
use crate::upstream;
use crate::wire::Dialect;

impl Gateway {
    /// Passes a request on whose body is none of the proxy's concern.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn pass(&self, passing: Passthrough) -> Result<ProxyResponse, ProxyError> {
        let live = self.live();
        let upstream = live.routes.named(&passing.upstream)?;
        let Passthrough { id, caller, upstream: name, method, path, headers, body } = passing;
        let leave = caller.as_ref().map_or(Ok(()), Caller::pass);
        leave.inspect_err(|denied| self.denied(denied))?;
        let key = caller.map(|caller| caller.id().to_owned());
        let mut record = self.ledger.open(UsageRecordBuilder {
            request: id,
            key,
            upstream: name,
            ..UsageRecordBuilder::default()
        });
        let headers = upstream::for_upstream(&headers, false);
        let deadline = Instant::now() + live.config.deadline();
        let sent = upstream.stream((method, &path), headers, body, deadline).await;
        let answer = sent.map_err(ProxyError::from).inspect_err(|error| record.failed(error))?;
        Ok(self.outgoing(&Route::on(upstream, ""), answer, (RequestReport::default(), record)))
    }

    /// Returns the dialect of the upstream called `name`.
    ///
    /// # Errors
    /// There is no such upstream.
    pub fn dialect_of(&self, name: &str) -> Result<Dialect, ProxyError> {
        Ok(self.live().routes.named(name)?.config().dialect)
    }

    /// Returns the name of the first upstream that speaks `dialect`.
    ///
    /// # Errors
    /// There is none.
    pub fn upstream_of(&self, dialect: Dialect) -> Result<String, ProxyError> {
        let live = self.live();
        let first = live.routes.of_dialect(dialect).next();
        first.map(|upstream| upstream.config().name.clone()).ok_or(ProxyError::NoUpstreamOf(dialect.name()))
    }
}
