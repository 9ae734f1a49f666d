//! The real binary over real HTTP: `whittle serve` on a free port, and its configuration.

#![cfg(unix)]

#[cfg(test)]
mod bench;
#[cfg(test)]
mod collections;
#[cfg(test)]
mod command;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod defects;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod files;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod local;
#[cfg(test)]
#[path = "../shared/made.rs"]
mod made;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod originals;
#[cfg(feature = "otel")]
#[cfg(test)]
mod otel;
#[cfg(test)]
mod page;
#[cfg(test)]
mod prompt;
#[cfg(test)]
mod recall_tool;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod rerankers;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod run;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod search;
#[cfg(test)]
mod service;
#[cfg(test)]
mod structure;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod upstream;
