//! Whittle makes prompts smaller without losing what the answer needs.

pub mod cli;
pub mod compress;
pub mod config;
pub mod engine;
pub mod http;
pub mod model;
mod telemetry;
pub mod text;
