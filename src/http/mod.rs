//! The HTTP service.
//!
//! Handlers read a request, call one method of the engine and render its answer. What blocks - parsing, the
//! method, rendering - runs off the async threads, a bounded number of requests at once (`job`). Every error, the
//! router's own included, has the one envelope of `error`. No text of a prompt is ever logged.

mod auth;
mod body;
mod collections;
mod compress;
mod dialects;
mod docs;
mod embeddings;
mod error;
mod evaluations;
mod events;
mod examples;
mod extract;
mod failures;
mod file;
mod framing;
mod hosts;
mod job;
mod keys;
mod mcp;
mod metrics;
mod middleware;
mod operations;
mod origin;
mod originals;
mod page;
mod prompt;
mod proxy;
mod reading;
mod relay;
mod router;
mod server;
mod shadow;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod transfer;

pub use server::{Draining, Server};
