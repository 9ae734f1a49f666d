//! `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::body::{Body, content, conversation, refuse_format, role, unsupported};
use super::{Answering, Ask, AskError, Form, data};
use crate::model::{Completion, FinishReason, Message, Prompt};

const REFUSED: [(&str, &str); 9] = [
    ("functions", "functions"),
    ("logprobs", "log-probabilities"),
    ("top_logprobs", "log-probabilities"),
    ("logit_bias", "a bias of logits"),
    ("presence_penalty", "penalties"),
    ("frequency_penalty", "penalties"),
    ("audio", "audio"),
    ("prediction", "predicted outputs"),
    ("web_search_options", "search in the web"),
];

pub(super) fn read(body: &Body) -> Result<Ask, AskError> {
    body.refuse(&REFUSED)?;
    body.refuse_tools()?;
    body.refuse_several("n")?;
    refuse_format("response_format", body.get("response_format"))?;
    let most = body.count("max_completion_tokens")?.or(body.count("max_tokens")?);
    let turns = conversation("messages", body.get("messages"), turn)?;
    Ok(Ask {
        generation: body.generation(Prompt::Chat(turns), most, Some("stop"))?,
        stream: body.flag("stream")?,
        form: Form::Chat { include_usage: body.include_usage() },
    })
}

fn turn(message: &Value) -> Result<Message, AskError> {
    let role = role("messages", message)?;
    if message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        return Err(unsupported("messages", "calls of tools"));
    }
    Ok(Message { role, text: content("messages", &message["content"], &["text"])? })
}

pub(super) fn reason(finish: &FinishReason) -> &'static str {
    if *finish == FinishReason::Length { "length" } else { "stop" }
}

pub(super) fn usage(written: &Completion) -> Value {
    let Completion { input, output, .. } = *written;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

pub(super) fn whole(to: &Answering, text: &str, written: &Completion) -> Value {
    let message = json!({"role": "assistant", "content": text, "refusal": null});
    let choice =
        json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason(&written.finish)});
    json!({
        "id": format!("chatcmpl-{}", to.id), "object": "chat.completion", "created": to.created,
        "model": to.model, "choices": [choice], "usage": usage(written),
    })
}

fn chunk(to: &Answering, choices: &Value) -> Value {
    let mut chunk = json!({
        "id": format!("chatcmpl-{}", to.id), "object": "chat.completion.chunk", "created": to.created,
        "model": to.model, "choices": choices,
    });
    if to.form == (Form::Chat { include_usage: true }) {
        chunk["usage"] = Value::Null;
    }
    chunk
}

fn choice(delta: &Value, reason: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}])
}

pub(super) fn begin(to: &Answering) -> String {
    data(&chunk(to, &choice(&json!({"role": "assistant", "content": "", "refusal": null}), None)))
}

pub(super) fn part(to: &Answering, text: &str) -> String {
    data(&chunk(to, &choice(&json!({"content": text}), None)))
}

pub(super) fn end(to: &Answering, written: &Completion) -> String {
    let mut events = data(&chunk(to, &choice(&json!({}), Some(reason(&written.finish)))));
    if to.form == (Form::Chat { include_usage: true }) {
        let mut last = chunk(to, &json!([]));
        last["usage"] = usage(written);
        events += &data(&last);
    }
    events + "data: [DONE]\n\n"
}
