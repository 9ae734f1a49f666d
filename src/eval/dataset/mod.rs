//! Datasets: questions with the documents that they are asked about.
//!
//! A manifest says which files a dataset consists of, what they hash to and how their rows become
//! [`Question`]s. The files come from a local folder, the cache or, for the embedded set, this binary.

mod load;
mod manifest;
mod sets;
mod template;
#[cfg(test)]
mod tests;

pub use load::{Files, Place};
pub use manifest::{AnswerKind, DataFile, Manifest, built_in, by_name, scorer};

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

/// A passage that a question needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Span {
    /// The place of its document in the question's list.
    pub doc: usize,
    /// The passage as it stands in the document.
    pub text: String,
}

/// The evidence and operands that a question of a set needs besides one of its answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The set that the question belongs to.
    pub set: String,
    /// Two-letter code of the language of question and answers.
    pub language: String,
    /// The operands of a calculation, all of which are needed.
    pub operands: Vec<String>,
    /// The evidence.
    pub spans: Vec<Span>,
    /// One of the spans is enough.
    pub any_span: bool,
}

/// A question with its answers and the documents to find them in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Any of them is right. Empty only where the question needs operands or spans.
    pub answers: Vec<String>,
    /// The evidence and operands that it needs, where the dataset consists of sets.
    pub needs: Option<Needs>,
}
