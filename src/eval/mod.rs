//! Compression ratio against accuracy, measured on public data, on embedded data and on one's own.
//!
//! A [`suite`] names a [`dataset`], methods and rates. A [`run`] compresses every question's documents with
//! every method at every rate, lets a [`reader`] answer from what is left, appends one line a result to
//! `rows.jsonl` and so loses nothing when it is killed; [`summary`] turns the lines into figures with intervals ([`statistics`]), and
//! [`compare`] says which differences between two runs are real, [`report`]
//! shows one.

pub mod compare;
pub mod dataset;
pub mod evidence;
pub mod folder;
pub mod grading;
pub mod medprompt;
pub mod metrics;
mod parallel;
pub mod readability;
pub mod reader;
pub mod report;
pub mod run;
pub mod sets;
pub use crate::random::statistics;
pub mod suite;
pub mod summary;
