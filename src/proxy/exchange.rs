//! What the proxy is asked and what it answers.

use std::time::Duration;

use bytes::Bytes;

use super::RequestReport;
use super::ledger::UsageRecord;
use crate::admission::BodyRoom;
use crate::keys::Caller;
use crate::upstream::{Answer, Body, HeaderMap, Method};
use crate::wire::Address;

/// A request as it came.
#[derive(Debug)]
pub struct ProxyRequest {
    /// The id of the request.
    pub id: String,
    /// The caller, where keys are needed.
    pub caller: Option<Caller>,
    /// The endpoint that it is sent to, and its path there.
    pub address: Address,
    /// The upstream that its path names, if any.
    pub upstream: Option<String>,
    /// The query string with the question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The room in memory that the body takes. It grows where the body is compressed, and is given back with the answer.
    pub room: BodyRoom,
}

/// A request whose path and body are none of the proxy's concern.
#[derive(Debug)]
pub struct Passthrough {
    /// The id of the request.
    pub id: String,
    /// The caller, where keys are needed.
    pub caller: Option<Caller>,
    /// The upstream that its path names.
    pub upstream: String,
    /// The method.
    pub method: Method,
    /// The path below the upstream, with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The upstream's response, with a report of what was done on the way there.
#[derive(Debug)]
pub struct ProxyResponse {
    /// The upstream's answer.
    pub answer: Answer,
    /// Longest time between two pieces of its body.
    pub idle: Duration,
    /// The usage record of the request, to which the usage in the body is added.
    pub record: UsageRecord,
    /// The report of what was done.
    pub report: RequestReport,
}
