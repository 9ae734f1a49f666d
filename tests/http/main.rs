//! The real binary over real HTTP: `whittle serve` on a free port, and its configuration.

#![cfg(unix)]

#[cfg(test)]
mod collections;
#[cfg(test)]
mod command;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod service;
#[cfg(test)]
mod support;
