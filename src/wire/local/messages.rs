//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use serde_json::{Value, json};

use super::body::{Body, content, conversation, refuse_format, role, unsupported};
use super::{Answering, Ask, AskError, Form, named};
use crate::model::{Completion, FinishReason, Generation, Message, Prompt, Role};

const REFUSED: [(&str, &str); 3] =
    [("mcp_servers", "MCP servers"), ("container", "containers"), ("output_config", "a configured output")];

pub(super) fn read(body: &Body) -> Result<Ask, AskError> {
    let prompt = prompt(body)?;
    let most = body.count("max_tokens")?;
    let wanted = || AskError::Invalid { param: "max_tokens", wanted: "a whole number from 1".into() };
    let most = Some(most.ok_or_else(wanted)?);
    Ok(Ask {
        generation: body.generation(prompt, most, Some("stop_sequences"))?,
        stream: body.flag("stream")?,
        form: Form::Messages,
    })
}

pub(super) fn read_to_count(body: &Body) -> Result<Ask, AskError> {
    let (prompt, sampling) = (prompt(body)?, crate::model::Sampling::default());
    let generation = Generation { prompt, max_tokens: None, sampling, stop: Vec::new() };
    Ok(Ask { generation, stream: false, form: Form::Messages })
}

fn prompt(body: &Body) -> Result<Prompt, AskError> {
    body.refuse(&REFUSED)?;
    body.refuse_tools()?;
    refuse_format("output_format", body.get("output_format"))?;
    let thinks = |thinking: &Value| thinking["type"].as_str().is_some_and(|kind| kind != "disabled");
    if body.get("thinking").is_some_and(thinks) {
        return Err(unsupported("thinking", "thinking"));
    }
    let system = body.get("system").map(|system| content("system", system, &["text"])).transpose()?;
    let system = system.filter(|text| !text.is_empty()).map(|text| Message { role: Role::System, text });
    let turns = conversation("messages", body.get("messages"), turn)?;
    if turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        return Err(unsupported(
            "messages",
            "an answer that is begun for it (the last message must be the user's)",
        ));
    }
    Ok(Prompt::Chat(system.into_iter().chain(turns).collect()))
}

fn turn(message: &Value) -> Result<Message, AskError> {
    let (role, text) = (role("messages", message)?, content("messages", &message["content"], &["text"])?);
    Ok(Message { role, text })
}

/// Returns the stop reason, and the stop text that ended the answer.
fn reason(finish: &FinishReason) -> (&'static str, Option<&str>) {
    match finish {
        FinishReason::End => ("end_turn", None),
        FinishReason::Stop(text) => ("stop_sequence", Some(text)),
        FinishReason::Length => ("max_tokens", None),
    }
}

fn message(to: &Answering, content: &Value, finish: Option<&FinishReason>, tokens: [usize; 2]) -> Value {
    let (reason, sequence) = finish.map(reason).unzip();
    json!({
        "id": format!("msg_{}", to.id), "type": "message", "role": "assistant", "model": to.model,
        "content": content, "stop_reason": reason, "stop_sequence": sequence.flatten(),
        "usage": {"input_tokens": tokens[0], "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                  "output_tokens": tokens[1]},
    })
}

pub(super) fn whole(to: &Answering, text: &str, written: &Completion) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    message(to, &content, Some(&written.finish), [written.input, written.output])
}

pub(super) fn begin(to: &Answering, input: usize) -> String {
    let message = message(to, &json!([]), None, [input, 0]);
    let block = json!({"type": "text", "text": ""});
    named(&json!({"type": "message_start", "message": message}))
        + &named(&json!({"type": "content_block_start", "index": 0, "content_block": block}))
}

pub(super) fn part(text: &str) -> String {
    let delta = json!({"type": "text_delta", "text": text});
    named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
}

pub(super) fn end(written: &Completion) -> String {
    let (reason, sequence) = reason(&written.finish);
    let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
    named(&json!({"type": "content_block_stop", "index": 0}))
        + &named(
            &json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": written.output}}),
        )
        + &named(&json!({"type": "message_stop"}))
}
