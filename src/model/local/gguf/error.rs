//! Errors of reading GGUF files.

use std::io;

/// The advice to the owner of a damaged file.
const REMEDY: &str = "the file is damaged or incomplete: fetch it again with `whittle models pull`, or compare \
                      it with its hash by `whittle models verify`";

/// An error of reading a GGUF file or a part of it. Messages leave out the file's path, which the caller knows.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The operating system could not read the file.
    #[error("it cannot be read: {0}")]
    Io(io::Error),
    /// The file does not start with `GGUF`.
    #[error(
        "it is not a GGUF file, for it starts with \"{}\": name one, or fetch the model again with `whittle models pull`",
        found.escape_ascii()
    )]
    NotGguf {
        /// The file's first bytes, at most 4.
        found: Vec<u8>,
    },
    /// A version of the format that is not read here.
    #[error(
        "GGUF version {0:#x} is not supported: fetch or convert the model as version 2 or 3, little-endian"
    )]
    Version(u32),
    /// The file ends where its header promises more.
    #[error("{part} needs {needed} bytes from byte {at} on, but the file has {size}; {REMEDY}")]
    Truncated {
        /// The part that was being read, such as `the value of tokenizer.ggml.tokens`.
        part: String,
        /// The position where the part starts, in bytes from the start of the file.
        at: u64,
        /// The least size of the part in bytes.
        needed: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// The header says what no sound file says.
    #[error("{part} {what}; {REMEDY}")]
    Malformed {
        /// The part of the file, such as `tensor output.weight`.
        part: String,
        /// The description of the fault; a predicate.
        what: String,
    },
    /// A tensor's data lies, in part, beyond the end of the file.
    #[error(
        "tensor {tensor} needs {bytes} bytes at offset {offset}, beyond the file's {size} bytes; {REMEDY}"
    )]
    TensorOutside {
        /// Name of the tensor.
        tensor: String,
        /// The position where its data starts, in bytes after the header.
        offset: u64,
        /// Size of its data in bytes.
        bytes: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// A tensor's values are stored in a way that this build cannot read.
    #[error(
        "tensor {tensor} is stored as GGML type {code}, which this build does not read: take a file quantised as F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0 or MXFP4"
    )]
    Encoding {
        /// Name of the tensor.
        tensor: String,
        /// Number of the type in the format.
        code: u32,
    },
    /// The metadata lacks a key.
    #[error("it has no key {0}: it is not a complete model of this kind, choose another file")]
    MissingKey(String),
    /// A key has a value of another type.
    #[error("key {key} holds {found} instead of {expected}; {REMEDY}")]
    WrongType {
        /// The key.
        key: String,
        /// The type that was requested.
        expected: &'static str,
        /// The type that the file has.
        found: &'static str,
    },
    /// The model is of a kind that this build does not run.
    #[error("architecture `{found}` is not supported: choose a model of architecture {}", supported.join(" or "))]
    Architecture {
        /// The architecture that the file names.
        found: String,
        /// The architectures that are supported.
        supported: Vec<String>,
    },
    /// The file has no such tensor.
    #[error("it has no tensor {0}: it is not a complete model of this kind, choose another file")]
    MissingTensor(String),
    /// A tensor is not of the size that the model's configuration implies.
    #[error("tensor {tensor} has the shape {found:?}, but the configuration implies {expected:?}; {REMEDY}")]
    WrongShape {
        /// Name of the tensor.
        tensor: String,
        /// Rows, then values a row.
        expected: Vec<usize>,
        /// The shape that the file has, in the same order as `expected`.
        found: Vec<usize>,
    },
}

impl From<io::Error> for GgufError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
