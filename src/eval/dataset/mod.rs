//! Datasets: questions with the documents that they are asked about.
//!
//! A manifest says which files a dataset consists of, what they hash to and how their rows become
//! [`Question`]s. The files come from a local folder, the cache or, for the embedded set, this binary.

mod load;
mod manifest;
mod template;
#[cfg(test)]
mod tests;

pub use load::{Files, Place};
pub use manifest::{AnswerKind, DataFile, Manifest, built_in, by_name};

/// A document that a question is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Unique among the question's documents.
    pub id: String,
    /// Kept whole with the document; empty where there is none.
    pub title: String,
    /// The text to compress.
    pub text: String,
}

/// A question with its answers and the documents to find them in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Unique in the dataset.
    pub id: String,
    /// Kept whole, before the documents. May be empty.
    pub instruction: String,
    /// The documents in the order in which a reader sees them. May be empty.
    pub documents: Vec<Source>,
    /// The question for the compressor.
    pub question: String,
    /// The question for a reader, after the documents.
    pub asked: String,
    /// Any of them is right; never empty.
    pub answers: Vec<String>,
}
