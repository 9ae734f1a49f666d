//! The models that vLLM and `SGLang` list, in the form of `OpenAI` with a length each.

use serde::Deserialize;

use super::{ANSWER_BYTES, RemoteScorerOptions, ServedModel};
use crate::model::local::ScorerOptions;
use crate::model::remote::client::{RemoteClient, RemoteRequest};
use crate::model::remote::vectors::parsed;
use crate::model::remote::{RemoteError, ScorerKind};
use crate::model::{Cancel, ScoreError};

/// The smallest context that can be worked with.
const SMALLEST_CONTEXT: usize = 16;
/// Tokens of its context that vLLM keeps for the one that is generated.
const VLLM_KEEPS: usize = 1;
/// Tokens of its context that `SGLang` keeps: it refuses texts that come close to it.
const SGLANG_KEEPS: usize = 8;

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    id: String,
    #[serde(default)]
    root: Option<String>,
    #[serde(default)]
    max_model_len: Option<usize>,
}

/// Finds the configured model among those that the server lists.
pub(super) fn find(
    client: &RemoteClient,
    options: &RemoteScorerOptions,
    cancel: &Cancel,
) -> Result<ServedModel, ScoreError> {
    // The base URL of the one ends with the version, and that of the other is the root.
    let (path, keeps) = match options.kind {
        ScorerKind::SgLang => ("/v1/models", SGLANG_KEEPS),
        _ => ("/models", VLLM_KEEPS),
    };
    let request = RemoteRequest { path, body: None, most: ANSWER_BYTES };
    let body = client.send(vec![request], cancel)?.concat();
    let server = client.server().clone();
    let list: ModelList = parsed(&server, &body).map_err(|error| client.refuse(error))?;
    let wanted = &options.served_model;
    let names = list.data.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join("`, `");
    let Some(found) = list.data.into_iter().find(|model| model.id == *wanted) else {
        let (wanted, found) = (wanted.clone(), names.chars().take(100).collect());
        return Err(client.refuse(RemoteError::OtherModel { server, wanted, found }));
    };
    let context = found.max_model_len.unwrap_or_default().saturating_sub(keeps);
    if context < SMALLEST_CONTEXT {
        let reason = format!(
            "its list of models gives `{wanted}` no `max_model_len` of more than {SMALLEST_CONTEXT}, as vLLM and SGLang do"
        );
        return Err(client.refuse(RemoteError::Malformed { server, reason }));
    }
    let window = ScorerOptions::default().window.min(context);
    Ok(ServedModel { identity: found.root.unwrap_or_default(), context, window })
}
