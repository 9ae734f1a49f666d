//! Why a model file cannot be used.

use super::adapter::AdapterError;
use super::device::NoDevice;
use super::gguf::GgufError;
use super::tokenizer::TokenizerError;

/// An error of loading a model file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The tokenizer of the model.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model's sizes contradict each other or exceed what this build runs.
    #[error("the model's configuration is unusable: {0}")]
    Configuration(String),
    /// The device that it is to run on.
    #[error(transparent)]
    Device(#[from] NoDevice),
    /// The device failed while weights were brought to it.
    #[error("the weights could not be brought to the device: {0}")]
    Upload(String),
    /// The adapter that is merged into its weights.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// No thread could be started for the model.
    #[error("no thread could be started for the model: {0}")]
    Threads(String),
}
