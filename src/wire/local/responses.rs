//! `POST /v1/responses`.

use serde_json::{Value, json};

use super::body::{Body, content, conversation, refuse_format, role, unsupported};
use super::{Answering, Ask, AskError, Form, named};
use crate::model::{Completion, FinishReason, Message, Prompt, Role, Sampling};

const REFUSED: [(&str, &str); 6] = [
    ("previous_response_id", "answers that are kept"),
    ("conversation", "conversations that are kept"),
    ("background", "work in the background"),
    ("prompt", "prompts that are kept"),
    ("top_logprobs", "log-probabilities"),
    ("include", "what `include` names"),
];
/// Types of a message's parts.
const PARTS: [&str; 2] = ["input_text", "output_text"];

/// The request settings that an answer repeats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    instructions: Option<String>,
    max_tokens: Option<usize>,
    sampling: Sampling,
}

pub(super) fn read(body: &Body) -> Result<Ask, AskError> {
    body.refuse(&REFUSED)?;
    body.refuse_tools()?;
    refuse_format("text", body.get("text").map(|text| &text["format"]))?;
    let instructions = match body.get("instructions") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(AskError::Invalid { param: "instructions", wanted: "a text".into() }),
    };
    let system = instructions.clone().filter(|text| !text.is_empty());
    let system = system.map(|text| Message { role: Role::System, text });
    let turns = match body.get("input") {
        Some(Value::String(text)) => vec![Message { role: Role::User, text: text.clone() }],
        list => conversation("input", list, turn)?,
    };
    let prompt = Prompt::Chat(system.into_iter().chain(turns).collect());
    let generation = body.generation(prompt, body.count("max_output_tokens")?, None)?;
    let settings =
        Settings { instructions, max_tokens: generation.max_tokens, sampling: generation.sampling };
    Ok(Ask { generation, stream: body.flag("stream")?, form: Form::Responses(Box::new(settings)) })
}

fn turn(item: &Value) -> Result<Message, AskError> {
    match item["type"].as_str() {
        None | Some("message") => {
            Ok(Message { role: role("input", item)?, text: content("input", &item["content"], &PARTS)? })
        }
        Some(kind) => {
            let kind: String = kind.chars().take(40).collect();
            Err(unsupported("input", format!("items of the type `{kind}`")))
        }
    }
}

fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The only item of the output, as far as it is written.
fn item(to: &Answering, status: &str, content: &[Value]) -> Value {
    json!({"type": "message", "id": format!("msg_{}", to.id), "status": status, "role": "assistant", "content": content})
}

/// Returns the status of a finished answer.
fn status(written: &Completion) -> &'static str {
    if written.finish == FinishReason::Length { "incomplete" } else { "completed" }
}

/// The answer as far as it is written, without `output` and `usage`.
fn response(to: &Answering, settings: &Settings, status: &str) -> Value {
    let details = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    json!({
        "id": format!("resp_{}", to.id), "object": "response", "created_at": to.created, "status": status,
        "error": null, "incomplete_details": details, "instructions": settings.instructions,
        "max_output_tokens": settings.max_tokens, "model": to.model, "output": [], "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "store": false,
        "temperature": settings.sampling.temperature, "text": {"format": {"type": "text"}},
        "tool_choice": "none", "tools": [], "top_p": settings.sampling.top_p, "truncation": "disabled",
        "usage": null, "user": null, "metadata": {},
    })
}

pub(super) fn whole(to: &Answering, settings: &Settings, text: &str, written: &Completion) -> Value {
    let Completion { input, output, .. } = *written;
    let status = status(written);
    let mut response = response(to, settings, status);
    response["output"] = json!([item(to, status, &[output_text(text)])]);
    response["usage"] = json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input + output,
    });
    response
}

/// An event with its number and `members`.
fn event(to: &mut Answering, kind: &str, members: Value) -> String {
    let mut event = members;
    event["type"] = kind.into();
    event["sequence_number"] = to.number.into();
    to.number += 1;
    named(&event)
}

/// An event about the text of the answer.
fn text_event(to: &mut Answering, kind: &str, mut members: Value) -> String {
    members["item_id"] = format!("msg_{}", to.id).into();
    members["output_index"] = 0.into();
    members["content_index"] = 0.into();
    event(to, kind, members)
}

pub(super) fn begin(to: &mut Answering, settings: &Settings) -> String {
    let response = response(to, settings, "in_progress");
    let item = item(to, "in_progress", &[]);
    event(to, "response.created", json!({"response": response}))
        + &event(to, "response.in_progress", json!({"response": response}))
        + &event(to, "response.output_item.added", json!({"output_index": 0, "item": item}))
        + &text_event(to, "response.content_part.added", json!({"part": output_text("")}))
}

pub(super) fn part(to: &mut Answering, text: &str) -> String {
    to.text += text;
    text_event(to, "response.output_text.delta", json!({"delta": text, "logprobs": []}))
}

pub(super) fn end(to: &mut Answering, settings: &Settings, written: &Completion) -> String {
    let text = std::mem::take(&mut to.text);
    let (part, status) = (output_text(&text), status(written));
    let item = item(to, status, std::slice::from_ref(&part));
    let response = whole(to, settings, &text, written);
    text_event(to, "response.output_text.done", json!({"text": text, "logprobs": []}))
        + &text_event(to, "response.content_part.done", json!({"part": part}))
        + &event(to, "response.output_item.done", json!({"output_index": 0, "item": item}))
        + &event(to, &format!("response.{status}"), json!({"response": response}))
}
