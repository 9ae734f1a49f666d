//! HTTP to the APIs behind the proxy: connection pool, time limits, retries, and nothing that the configuration does
//! not name.
//!
//! A request can choose a path below an upstream's base URL, never a host: redirects are not followed, and a client's
//! key goes to no other origin than that of the upstream it was sent to.

mod client;
mod fetch;
mod headers;
mod health;

pub use crate::outbound::Secret;
pub use client::{Answer, Call, Upstream, UpstreamError, streamed};
pub use fetch::fetch;
pub use headers::{KEY_HEADERS, for_client, for_upstream, query_for_upstream, secret_in, secret_in_query};
pub use health::{UpstreamHealth, UpstreamState};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Body, Method, StatusCode};
