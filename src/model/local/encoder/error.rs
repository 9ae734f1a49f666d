//! The errors of loading an encoder.

use std::path::{Path, PathBuf};

use super::NoFile;

/// An error of loading an encoder: a model that embeds, reranks or prunes.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The model has no file of this name.
    #[error("{0}, so it cannot be used as an encoder")]
    NoFile(#[from] NoFile),
    /// A file cannot be read, or is not what its name says.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// The model is of a kind that this build does not run.
    #[error("unsupported {what} `{value}`: this build knows `{known}`")]
    Unsupported {
        /// The setting that is not supported.
        what: &'static str,
        /// The model's value of the setting.
        value: String,
        /// The values that are supported.
        known: String,
    },
    /// A tensor is not as the configuration has it.
    #[error("the tensor `{name}` of {} {reason}", path.display())]
    Tensor {
        /// The path of the file with the weights.
        path: PathBuf,
        /// The name of the tensor in the file.
        name: String,
        /// The description of the fault.
        reason: String,
    },
    /// No thread could be started for the model.
    #[error("no thread could be started for the model: {0}")]
    Threads(String),
}

impl EncoderError {
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), reason: reason.into() }
    }
}
