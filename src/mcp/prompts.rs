//! Prompts: the templates that are compiled in, filled from collections and banks.

use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};

use super::Failure;
use crate::engine::prompt::api::PromptRequest;
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;

/// Tokens of a prompt where nobody says how many.
const TARGET_TOKENS: usize = 2000;

/// The arguments, each with what it means and whether it must be given.
const ARGUMENTS: [(&str, &str, bool); 5] = [
    ("question", "The question", true),
    ("collections", "Names of collections to answer it from, with commas between them", false),
    ("banks", "Names of banks of solved examples, with commas between them", false),
    ("instruction", "An additional instruction to the model", false),
    ("target_tokens", "Most tokens of the prompt; 2000 by default", false),
];

/// Returns all prompts.
pub(super) fn list(engine: &Engine) -> Result<Vec<Prompt>, EngineError> {
    let argument = |(name, meaning, required): (&str, &str, bool)| {
        PromptArgument::new(name).with_description(meaning).with_required(required)
    };
    let templates = engine.prompts().templates()?;
    let prompt = |(name, description): (String, String)| {
        Prompt::new(name, Some(description), Some(ARGUMENTS.map(argument).to_vec()))
    };
    Ok(templates.into_iter().map(prompt).collect())
}

/// Returns the request that a prompt and its arguments, all of them texts, stand for.
pub(super) fn request(template: &str, arguments: JsonObject) -> Result<PromptRequest, Failure> {
    let mut request = PromptRequest {
        template: Some(template.to_owned()),
        target_tokens: TARGET_TOKENS,
        ..PromptRequest::default()
    };
    for (name, value) in arguments {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "question" => request.question = text,
            "collections" => request.collections = names(&text),
            "banks" => request.banks = names(&text),
            "instruction" => request.instruction = Some(text),
            "target_tokens" => {
                request.target_tokens = text.trim().parse().map_err(|_| {
                    Failure::Arguments("`target_tokens` must be a whole number of tokens".into())
                })?;
            }
            _ => return Err(Failure::Arguments(format!("a prompt has no argument `{name}`"))),
        }
    }
    Ok(request)
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Builds a prompt, as one message.
pub(super) fn built(
    engine: &Engine,
    request: &PromptRequest,
    cancel: &Cancel,
) -> Result<GetPromptResult, EngineError> {
    let prompt = engine.prompts().build(request, cancel)?.prompt.unwrap_or_default();
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, prompt)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_texts() {
        let of = |value: serde_json::Value| request("answer", value.as_object().unwrap().clone());
        let read = of(json!({"question": "Why?", "collections": "a, b", "target_tokens": "300"})).unwrap();
        assert_eq!((read.question.as_str(), read.target_tokens), ("Why?", 300));
        assert_eq!(read.collections, ["a", "b"]);
        assert_eq!(of(json!({"target_tokens": 7})).unwrap().target_tokens, 7);
        for (wrong, says) in
            [(json!({"target_tokens": "many"}), "whole number"), (json!({"query": "x"}), "`query`")]
        {
            assert!(of(wrong).unwrap_err().to_string().contains(says));
        }
    }
}
