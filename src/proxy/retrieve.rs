//! Documents and solved examples for what a conversation asks: found in collections and banks, within a budget, and
//! put before the question.
//!
//! Only the last turn is looked up. What was put before an earlier one is remembered and put there again, so that a
//! growing conversation sends the same bytes, also after a restart; an earlier turn of which nothing is remembered
//! stays as it is.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::memory::{Key, Memory, Outcome};
use super::prepare::Prepared;
use crate::config::RetrievePolicy;
use crate::engine::prompt::api::{PromptRequest, PromptResponse};
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;
use crate::wire::{Asked, Edit};

/// Template of what is put before a question.
const TEMPLATE: &str = "context";
/// Longest header of citations, in bytes: many a client reads no more than 8 KiB of headers. The last citations are
/// left out.
const CITATION_BYTES: usize = 4096;

/// What the proxy finds documents with: the engine, or a fake in tests. The call blocks.
pub trait Retriever: Send + Sync + 'static {
    /// Finds what collections hold about a question.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn find(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError>;
}

impl Retriever for Engine {
    fn find(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError> {
        self.prompt(request, cancel)
    }
}

/// What became of the search for documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Retrieval {
    /// Nothing was to be found.
    #[default]
    None,
    /// So much stands before the last question.
    Found {
        /// Documents that are cited.
        documents: usize,
        /// Solved examples.
        examples: usize,
    },
    /// It failed, for this reason, and the request went on without.
    Failed(&'static str),
}

/// What is put before questions.
#[derive(Debug, Default)]
pub(super) struct Inserts {
    /// Places in the body, and what is put there.
    texts: Vec<(usize, Arc<Outcome>)>,
    pub(super) result: Retrieval,
    /// What the numbers before the last question stand for, as ASCII JSON.
    pub(super) citations: Option<Arc<str>>,
}

/// A citation as the header has it.
#[derive(Serialize)]
struct Cited<'a> {
    number: usize,
    collection: &'a str,
    document: &'a str,
    ranges: &'a [[usize; 2]],
}

impl Inserts {
    /// The edits that put everything in its place.
    pub(super) fn edits(&self) -> impl Iterator<Item = Edit> {
        self.present().map(|(place, text)| Asked::insert(place, &format!("{text}\n\n")))
    }

    /// Places in the body with the texts that are put there.
    fn present(&self) -> impl Iterator<Item = (usize, &str)> {
        self.texts.iter().filter_map(|(place, outcome)| match &**outcome {
            Outcome::Inserted { text, .. } if !text.is_empty() => Some((*place, &**text)),
            _ => None,
        })
    }

    /// Whether something is put in.
    pub(super) fn any(&self) -> bool {
        self.present().next().is_some()
    }
}

/// What is put before the questions of a request.
pub(super) async fn inserts(
    retriever: &Arc<dyn Retriever>,
    memory: &Memory,
    prepared: &Prepared,
    policy: &RetrievePolicy,
) -> Inserts {
    let mut inserts = Inserts::default();
    let settings = &prepared.settings;
    if !settings.retrieves() {
        return inserts;
    }
    // The same question stands for another one in another conversation.
    let mut questions = blake3::Hasher::new();
    for asked in &prepared.asked {
        questions.update(&(asked.question.len() as u64).to_le_bytes()).update(asked.question.as_bytes());
        let key = Key::of_questions(
            &questions.finalize(),
            &prepared.route.model,
            [&settings.collections, &settings.banks],
        );
        if !asked.last || asked.frozen {
            inserts.texts.extend(memory.get(&key).map(|outcome| (asked.place, outcome)));
            continue;
        }
        let request = PromptRequest {
            question: asked.question.to_string(),
            collections: settings.collections.clone(),
            banks: settings.banks.clone(),
            examples: Some(policy.examples),
            target_tokens: policy.tokens,
            top_k: Some(policy.top_k),
            template: Some(TEMPLATE.into()),
            model: Some(prepared.route.model.clone()),
            ..PromptRequest::default()
        };
        match find(retriever, request, Duration::from_millis(policy.deadline_ms)).await {
            Ok(response) => {
                let documents = response.citations.len();
                let examples = response.ledger.chosen_examples();
                let citations: Box<str> = cited(&response).into();
                let text =
                    response.prompt.filter(|_| documents + examples > 0).unwrap_or_default().into_boxed_str();
                let outcome = memory.replace(key, Outcome::Inserted { text, citations: citations.clone() });
                inserts.texts.push((asked.place, outcome));
                inserts.result = Retrieval::Found { documents, examples };
                inserts.citations = (documents > 0).then(|| Arc::from(citations));
            }
            Err(reason) => {
                // It goes on without, and stays so.
                let (text, citations) = (Box::default(), Box::default());
                memory.replace(key, Outcome::Inserted { text, citations });
                inserts.result = Retrieval::Failed(reason);
            }
        }
    }
    inserts
}

async fn find(
    retriever: &Arc<dyn Retriever>,
    request: PromptRequest,
    time: Duration,
) -> Result<PromptResponse, &'static str> {
    let deadline = Instant::now() + time;
    let cancel = Cancel::at(deadline.into_std());
    let _guard = cancel.on_drop();
    let retriever = Arc::clone(retriever);
    let task = tokio::task::spawn_blocking(move || retriever.find(&request, &cancel));
    match timeout_at(deadline, task).await {
        Ok(Ok(Ok(response))) => Ok(response),
        Ok(Ok(Err(error))) => {
            tracing::warn!(code = error.code, "no documents were put in: {error}");
            Err(error.code)
        }
        // It panicked; the hook has logged where.
        Ok(Err(_)) => Err("failed"),
        Err(_) => Err("deadline_exceeded"),
    }
}

/// Citations as JSON in ASCII, no longer than a header may be.
fn cited(response: &PromptResponse) -> String {
    let mut all: Vec<Cited> = response
        .citations
        .iter()
        .map(|citation| Cited {
            number: citation.number,
            collection: &citation.collection,
            document: &citation.document_id,
            ranges: &citation.ranges,
        })
        .collect();
    loop {
        let json = ascii(&serde_json::to_string(&all).unwrap_or_default());
        if json.len() <= CITATION_BYTES || all.pop().is_none() {
            return json;
        }
    }
}

/// `json` with every other character than ASCII escaped.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                write!(out, "\\u{unit:04x}").ok();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::ascii;

    #[test]
    fn citations_fit_a_header() {
        let json = ascii(r#"["é","😀","a"]"#);
        assert_eq!(json, r#"["\u00e9","\ud83d\ude00","a"]"#);
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), ["é", "😀", "a"]);
    }
}
