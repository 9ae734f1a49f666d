//! The tool that returns what a mark in a folded result of a tool stands for.

use std::sync::{Arc, OnceLock};

use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Failure;
use super::schema::arguments;
use crate::keys::Caller;
use crate::proxy::Gateway;

type Open = dyn Fn() -> Result<Arc<Gateway>, String> + Send + Sync;

/// The originals, which are opened when one is first asked for.
#[derive(Default)]
pub(super) struct Recall {
    open: Option<Box<Open>>,
    opened: OnceLock<Arc<Gateway>>,
}

/// Arguments of `recall`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecallInput {
    /// The id behind `recall` in a mark.
    id: String,
    /// The first byte, from 0; 0 by default.
    first_byte: Option<usize>,
    /// The last byte; that of the end by default. A character that the range cuts is returned whole.
    last_byte: Option<usize>,
}

impl Recall {
    /// Takes the originals of the gateway that `open` returns.
    pub(super) fn of(open: impl Fn() -> Result<Arc<Gateway>, String> + Send + Sync + 'static) -> Self {
        Self { open: Some(Box::new(open)), opened: OnceLock::new() }
    }

    pub(super) async fn answer(
        &self,
        caller: Option<&Caller>,
        object: JsonObject,
    ) -> Result<CallToolResult, Failure> {
        let RecallInput { id, first_byte, last_byte } = arguments(object)?;
        let text = self.gateway()?.original(caller, id).await?;
        let part = part(&text, first_byte.unwrap_or(0), last_byte)?;
        Ok(CallToolResult::success(vec![ContentBlock::text(part)]))
    }

    fn gateway(&self) -> Result<Arc<Gateway>, Failure> {
        if let Some(gateway) = self.opened.get() {
            return Ok(Arc::clone(gateway));
        }
        let open =
            self.open.as_ref().ok_or_else(|| Failure::Arguments("this server has no originals".into()))?;
        let gateway = open().map_err(|reason| {
            let remedy = "connect to `/mcp` of the service that folded the result";
            Failure::Arguments(format!("the originals cannot be opened ({reason}): {remedy}"))
        })?;
        Ok(Arc::clone(self.opened.get_or_init(|| gateway)))
    }
}

/// Returns the bytes from `first` to `last`, with the rest of characters that they cut.
fn part(text: &str, first: usize, last: Option<usize>) -> Result<&str, Failure> {
    let last = last.unwrap_or(usize::MAX);
    if first > last || (first >= text.len() && first > 0) {
        let message = format!("the original has {} bytes, and none of those that are asked for", text.len());
        return Err(Failure::Arguments(message));
    }
    let start = text.floor_char_boundary(first);
    let end = text.ceil_char_boundary(last.saturating_add(1).min(text.len()));
    Ok(&text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_as_in_http_but_cuts_no_character() {
        let text = "häuser";
        let of = |first, last| part(text, first, last).ok();
        assert_eq!(of(0, None), Some(text));
        assert_eq!(of(0, Some(0)), Some("h"));
        assert_eq!(of(0, Some(1)), Some("hä"));
        assert_eq!(of(2, Some(3)), Some("äu"));
        assert_eq!(of(3, Some(1000)), Some("user"));
        assert_eq!(of(6, None), Some("r"));
        assert_eq!(of(7, None), None);
        assert_eq!(of(5, Some(4)), None);
        assert_eq!(part("", 0, None).ok(), Some(""));
    }

    #[tokio::test]
    async fn without_originals_the_remedy_is_named() {
        let object = serde_json::json!({"id": "0123456789abcdef"}).as_object().unwrap().clone();
        let failed =
            Recall::of(|| Err("in use".into())).answer(None, object.clone()).await.unwrap_err().to_string();
        assert!(failed.contains("/mcp") && failed.contains("in use"), "{failed}");
        assert!(Recall::default().answer(None, object).await.is_err());
    }
}
