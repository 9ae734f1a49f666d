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
use tokio::time::Instant;

use super::decision::{Decision, Key, Retrieval};
use super::decisions::Decisions;
use super::prepare::Prepared;
use crate::admission::{JobError, LazyTicket};
use crate::config::RetrievePolicy;
use crate::engine::prompt::api::{PromptRequest, PromptResponse};
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;
use crate::wire::{Edit, Question};

/// Template of what is put before a question.
const TEMPLATE: &str = "context";
/// Longest header of citations, in bytes: many a client reads no more than 8 KiB of headers. The last citations are
/// left out.
const CITATION_BYTES: usize = 4096;

/// The interface to the retriever: the engine, or a fake in tests. The call blocks.
pub trait Retriever: Send + Sync + 'static {
    /// Finds what collections hold about a question.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn find(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError>;
}

impl Retriever for Engine {
    fn find(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError> {
        self.prompts().build(request, cancel)
    }
}

/// The texts that are put before questions.
#[derive(Debug, Default)]
pub(super) struct Inserts {
    /// Places in the body, and what is put there.
    texts: Vec<(usize, Arc<Decision>)>,
    pub(super) result: Retrieval,
    /// The citations behind the numbers before the last question, as ASCII JSON.
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
        self.present().map(|(place, text)| Question::insert(place, &format!("{text}\n\n")))
    }

    /// Places in the body with the texts that are put there.
    fn present(&self) -> impl Iterator<Item = (usize, &str)> {
        self.texts.iter().filter_map(|(place, decision)| match &**decision {
            Decision::Inserted { text, .. } if !text.is_empty() => Some((*place, &**text)),
            _ => None,
        })
    }

    /// Returns whether there is any text to insert.
    pub(super) fn any(&self) -> bool {
        self.present().next().is_some()
    }
}

/// Searches for what is put before questions.
pub(super) struct Search<'a> {
    pub(super) retriever: &'a Arc<dyn Retriever>,
    pub(super) decisions: &'a Decisions,
    pub(super) policy: &'a RetrievePolicy,
    /// The place of the request among all that are worked on.
    pub(super) ticket: &'a LazyTicket<'a>,
}

impl Search<'_> {
    /// Returns what is put before the questions of a request.
    pub(super) async fn inserts(&self, prepared: &Prepared) -> Inserts {
        let mut inserts = Inserts::default();
        if !prepared.settings.retrieves() {
            return inserts;
        }
        let questions = keys(prepared);
        let (new, earlier): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|(asked, _)| asked.last && !asked.frozen);
        let keys: Vec<Key> = earlier.iter().map(|(_, key)| *key).collect();
        let known = self.decisions.get_all(&keys).await;
        let known = earlier.iter().zip(known).filter_map(|((asked, _), known)| Some((asked.place, known?)));
        inserts.texts.extend(known);
        for (asked, key) in new {
            self.look_up(prepared, (asked, key), &mut inserts).await;
        }
        inserts
    }

    /// Looks up what is put before a question, and remembers it.
    async fn look_up(&self, prepared: &Prepared, (asked, key): (&Question, Key), inserts: &mut Inserts) {
        match self.find(self.request(prepared, asked)).await {
            Ok(response) => {
                let documents = response.citations.len();
                let examples = response.ledger.chosen_examples();
                let citations: Box<str> = cited(&response).into();
                let text =
                    response.prompt.filter(|_| documents + examples > 0).unwrap_or_default().into_boxed_str();
                let decision = Decision::Inserted { text, citations: citations.clone() };
                inserts.texts.push((asked.place, self.decisions.replace(key, decision)));
                inserts.result = Retrieval::Found { documents, examples };
                inserts.citations = (documents > 0).then(|| Arc::from(citations));
            }
            Err(reason) => {
                // It goes on without, and stays so.
                let (text, citations) = (Box::default(), Box::default());
                self.decisions.replace(key, Decision::Inserted { text, citations });
                inserts.result = Retrieval::Failed(reason);
            }
        }
    }

    fn request(&self, prepared: &Prepared, asked: &Question) -> PromptRequest {
        let (settings, policy) = (&prepared.settings, self.policy);
        PromptRequest {
            question: asked.question.to_string(),
            collections: settings.collections.clone(),
            banks: settings.banks.clone(),
            examples: Some(policy.examples),
            target_tokens: policy.tokens,
            top_k: Some(policy.top_k),
            template: Some(TEMPLATE.into()),
            model: Some(prepared.route.model.clone()),
            ..PromptRequest::default()
        }
    }

    /// Finds what collections hold about a question, on a permit of the process and in time; else says why not.
    async fn find(&self, request: PromptRequest) -> Result<PromptResponse, &'static str> {
        let deadline = Instant::now() + Duration::from_millis(self.policy.deadline_ms);
        let retriever = Arc::clone(self.retriever);
        let ticket = self.ticket.get().map_err(|_| "overloaded")?;
        match ticket.run(deadline, move |cancel| retriever.find(&request, cancel)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                tracing::warn!(code = error.code, "no documents were put in: {error}");
                Err(error.code)
            }
            Err(JobError::Panicked) => Err("failed"),
            Err(JobError::Deadline) => Err("deadline_exceeded"),
        }
    }
}

/// Returns the questions of a request with their names in the memory.
fn keys(prepared: &Prepared) -> Vec<(&Question, Key)> {
    let settings = &prepared.settings;
    // The same question stands for another one in another conversation.
    let mut questions = blake3::Hasher::new();
    let key = |asked: &'_ Question| {
        let question = asked.question.as_bytes();
        questions.update(&(question.len() as u64).to_le_bytes()).update(question);
        let names = [&*settings.collections, &*settings.banks];
        Key::of_questions(&questions.finalize(), &prepared.route.model, names)
    };
    let keys: Vec<Key> = prepared.asked.iter().map(key).collect();
    prepared.asked.iter().zip(keys).collect()
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
