//! Errors of an alignment.

use std::io;
use std::path::PathBuf;

use crate::model::Stopped;
use crate::model::local::adapter::AdapterError;
use crate::model::local::error::LoadError;

/// An error of an alignment.
#[derive(Debug, thiserror::Error)]
pub enum AlignError {
    /// An option has a value that cannot be.
    #[error("`--{option}` is {value}, but must be {expected}")]
    Option {
        /// The name of the option on the command line.
        option: &'static str,
        /// The value.
        value: String,
        /// The description of a value that can be.
        expected: String,
    },
    /// A file cannot be read or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line of the pairs is no pair.
    #[error("{}, line {line}: {fault}; a line is {{\"prompt\": …, \"answer\": …}} or {{\"messages\": […]}}, see `whittle align --help`", path.display())]
    Pair {
        /// The path of the pairs.
        path: PathBuf,
        /// The number of the line, from 1 on.
        line: usize,
        /// The description of the fault.
        fault: String,
    },
    /// There are too few pairs to learn from one and to hold another back.
    #[error("{} has {found} pairs, but at least 2 are needed, one of which is held back: collect some hundreds", path.display())]
    TooFew {
        /// The path of the pairs.
        path: PathBuf,
        /// The number of pairs.
        found: usize,
    },
    /// A pair has more tokens than go through the model at once.
    #[error("{}, line {line}: prompt and answer have {tokens} tokens, more than {length}: raise `--length`, or cut long pairs with `--cut`", path.display())]
    TooLong {
        /// The path of the pairs.
        path: PathBuf,
        /// The number of the line, from 1 on.
        line: usize,
        /// The tokens of prompt and answer.
        tokens: usize,
        /// The most tokens of a pair.
        length: usize,
    },
    /// The model is of an architecture that cannot be aligned.
    #[error("{}: models of architecture `{found}` cannot be aligned, only those of {supported}: set `scorer.model` to one", path.display())]
    Architecture {
        /// The path of the model.
        path: PathBuf,
        /// The architecture that the file names.
        found: String,
        /// The architectures that can be aligned.
        supported: String,
    },
    /// The model cannot be loaded.
    #[error("cannot load {}: {source}", path.display())]
    Model {
        /// The path of the model.
        path: PathBuf,
        /// The cause.
        source: Box<LoadError>,
    },
    /// The adapter is there already.
    #[error("{} is there already: choose another `--out`, or replace it with `--restart`", path.display())]
    Exists {
        /// The path of the adapter.
        path: PathBuf,
    },
    /// The checkpoint is that of a run with another model, other pairs or other options.
    #[error("{} is the checkpoint of another run ({difference}): go on with that one's options, choose another `--out`, or forget it with `--restart`", path.display())]
    OtherRun {
        /// The path of the checkpoint.
        path: PathBuf,
        /// The options or files that differ.
        difference: String,
    },
    /// A checkpoint or the adapter cannot be read or written.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A loss or a gradient is not a finite number.
    #[error("the loss of step {step} is {loss}: lower `--learning-rate`, and begin anew with `--restart`")]
    Diverged {
        /// The number of the step.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// The held loss never fell.
    #[error(
        "the held loss never fell below {before:.4}, so that no adapter was written: give more pairs, or change `--learning-rate`"
    )]
    NoGain {
        /// The held loss before training.
        before: f64,
    },
    /// The caller left.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The device failed.
    #[error("the device failed: {0}")]
    Compute(String),
    /// No thread could be started.
    #[error("no thread could be started: {0}")]
    Threads(String),
}

impl From<candle_core::Error> for AlignError {
    fn from(error: candle_core::Error) -> Self {
        // A backtrace may follow in later lines.
        Self::Compute(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}
