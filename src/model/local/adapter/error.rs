//! Errors of reading and merging adapters.

use std::io;
use std::path::PathBuf;

/// An error of reading an adapter or of merging it into a model.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The operating system could not read or write the file.
    #[error("cannot {action} the adapter {}: {source}; set `scorer.adapter` to one that `whittle align` made, or leave it out", path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not sound safetensors.
    #[error("{} is no adapter, or a damaged one: {reason}; make it again with `whittle align`", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// The metadata lacks a key, or has a value there that cannot be.
    #[error("{}: its metadata has {} for {key}, not {expected}; make it again with `whittle align`", path.display(), found.as_deref().map_or_else(|| "nothing".to_owned(), |found| format!("`{found}`")))]
    Metadata {
        /// The path of the file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The value that the file has.
        found: Option<String>,
        /// The description of a value that can be.
        expected: &'static str,
    },
    /// The adapter was made for another model.
    #[error("{} was made for {base} with the sha256 {expected}, not for this model's {found}: set `scorer.model` to that one, or make an adapter for this one with `whittle align`", path.display())]
    WrongBase {
        /// The path of the adapter.
        path: PathBuf,
        /// The name of the model that it was made for.
        base: String,
        /// The sha256 of that model's file.
        expected: String,
        /// The sha256 of the file that is to be changed.
        found: String,
    },
    /// The model is of an architecture that adapters are not for.
    #[error("{}: adapters are for models of architecture {supported}, not for `{found}`: leave `scorer.adapter` out, or choose another model", path.display())]
    Architecture {
        /// The path of the adapter.
        path: PathBuf,
        /// The architecture of the model.
        found: &'static str,
        /// The architectures that adapters are for.
        supported: String,
    },
    /// The file lacks a tensor.
    #[error("{} has no tensor {tensor}: it does not belong to this model; make one for it with `whittle align`", path.display())]
    MissingTensor {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        tensor: String,
    },
    /// The file has a tensor that would be ignored.
    #[error("{} has a tensor {tensor}, which this model has no place for; make an adapter for it with `whittle align`", path.display())]
    UnknownTensor {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        tensor: String,
    },
    /// A tensor has another shape than the model's.
    #[error("{}: tensor {tensor} has the shape {found:?}, but model and rank imply {expected:?}; make the adapter again with `whittle align`", path.display())]
    WrongShape {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        tensor: String,
        /// The shape that the model implies.
        expected: Vec<usize>,
        /// The shape that the file has.
        found: Vec<usize>,
    },
    /// A value is not a finite number.
    #[error("{}: tensor {tensor} holds {value}, with which nothing can be computed; make the adapter again with `whittle align`", path.display())]
    NotFinite {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        tensor: String,
        /// The value.
        value: f32,
    },
}
