//! `recover`: an answer to a compressed prompt, with the words of the original put back.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Engine, EngineError};
use crate::compress::recover::{Source, recover};

/// Body of `POST /v1/recover`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverRequest {
    /// The model's response to the compressed prompt.
    pub response: String,
    /// The documents as they were sent to `/v1/compress`, with what it kept of them.
    pub documents: Vec<RecoverDocument>,
}

/// A document before compression.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverDocument {
    /// Handed back with what is restored from it; by default the document's place, from 0.
    pub id: Option<String>,
    /// The original text.
    pub text: String,
    /// `documents[].kept` of the answer to `/v1/compress`.
    pub kept: Vec<[usize; 2]>,
}

/// Answer of `POST /v1/recover`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecoverResponse {
    /// The response with phrases of the original in place of shortened ones.
    pub response: String,
    /// The restored passages in order.
    pub restored: Vec<RestoredOutput>,
}

/// A phrase that was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RestoredOutput {
    /// Byte range in the response as it was sent.
    pub range: [usize; 2],
    /// Byte range in the response as it is given back.
    pub restored_range: [usize; 2],
    /// Id of the document that it is from.
    pub document: String,
    /// Byte range in that document's original text.
    pub source: [usize; 2],
}

pub(super) fn run(engine: &Engine, request: &RecoverRequest) -> Result<RecoverResponse, EngineError> {
    let most = engine.limits.documents;
    if request.documents.len() > most {
        let count = request.documents.len();
        let message = format!("{count} documents; at most {most} are allowed (`limits.documents`)");
        return Err(EngineError::too_many_documents("documents", message));
    }
    let ranges = |document: &RecoverDocument| -> Vec<Range<usize>> {
        document.kept.iter().map(|&[start, end]| start..end).collect()
    };
    let kept: Vec<Vec<Range<usize>>> = request.documents.iter().map(ranges).collect();
    let sources: Vec<Source> = request
        .documents
        .iter()
        .zip(&kept)
        .map(|(document, kept)| Source { text: &document.text, kept })
        .collect();
    let (response, restored) = recover(&request.response, &sources)
        .map_err(|error| EngineError::invalid("invalid_kept", "documents", error.to_string()))?;
    let bounds = |range: Range<usize>| [range.start, range.end];
    let id = |place: usize| request.documents[place].id.clone().unwrap_or_else(|| place.to_string());
    let restored = restored.into_iter().map(|phrase| RestoredOutput {
        range: bounds(phrase.range),
        restored_range: bounds(phrase.restored),
        document: id(phrase.document),
        source: bounds(phrase.source),
    });
    Ok(RecoverResponse { response, restored: restored.collect() })
}
