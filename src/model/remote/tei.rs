//! The words of text-embeddings-inference about itself.

use serde::Deserialize;

use super::client::{RemoteClient, RemoteRequest};
use super::vectors::parsed;
use crate::model::{Cancel, ScoreError};

/// Bytes of its description at most.
const INFO_BYTES: usize = 64 << 10;

/// The description that text-embeddings-inference gives of itself.
#[derive(Debug, Deserialize)]
pub(super) struct TeiInfo {
    pub(super) model_id: String,
    pub(super) model_sha: Option<String>,
    max_input_length: usize,
    pub(super) max_client_batch_size: usize,
}

impl TeiInfo {
    /// Returns the tokens, as they are counted here, of the longest text to send. A quarter is left for what its tokenizer
    /// counts otherwise.
    pub(super) fn longest(&self) -> usize {
        (self.max_input_length / 4 * 3).max(1)
    }
}

/// Asks the server for its description.
pub(super) fn info(client: &RemoteClient, cancel: &Cancel) -> Result<TeiInfo, ScoreError> {
    let request = RemoteRequest { path: "/info", body: None, most: INFO_BYTES };
    let body = client.send(vec![request], cancel)?.pop().unwrap_or_default();
    parsed(client.server(), &body).map_err(|error| client.refuse(error))
}

/// Returns whether a model is called `wanted`, with or without its owner's name before it.
pub(super) fn is_called(id: &str, wanted: &str) -> bool {
    let last = id.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    id == wanted || last.eq_ignore_ascii_case(wanted)
}
