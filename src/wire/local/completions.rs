//! `POST /v1/completions`.

use serde_json::{Value, json};

use super::body::{Body, unsupported};
use super::chat::{reason, usage};
use super::{Answering, Ask, AskError, Form, data};
use crate::model::{Completion, Prompt};

const REFUSED: [(&str, &str); 6] = [
    ("suffix", "a text behind the answer"),
    ("echo", "a repetition of the prompt"),
    ("logprobs", "log-probabilities"),
    ("logit_bias", "a bias of logits"),
    ("presence_penalty", "penalties"),
    ("frequency_penalty", "penalties"),
];
/// Most tokens of an answer for which the request names no limit, as the API has it.
const USUAL_MOST: usize = 16;

pub(super) fn read(body: &Body) -> Result<Ask, AskError> {
    body.refuse(&REFUSED)?;
    body.refuse_several("n")?;
    body.refuse_several("best_of")?;
    let most = body.count("max_tokens")?.unwrap_or(USUAL_MOST);
    Ok(Ask {
        generation: body.generation(Prompt::Text(prompt(body)?), Some(most), Some("stop"))?,
        stream: body.flag("stream")?,
        form: Form::Completions { include_usage: body.include_usage() },
    })
}

fn prompt(body: &Body) -> Result<String, AskError> {
    match body.get("prompt") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(texts)) => match &texts[..] {
            [Value::String(text)] => Ok(text.clone()),
            _ => Err(unsupported("prompt", "several prompts, or prompts as token ids")),
        },
        _ => Err(AskError::Invalid { param: "prompt", wanted: "a text".into() }),
    }
}

fn completion(to: &Answering, text: &str, reason: Option<&str>) -> Value {
    let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason});
    json!({
        "id": format!("cmpl-{}", to.id), "object": "text_completion", "created": to.created,
        "model": to.model, "choices": [choice],
    })
}

pub(super) fn whole(to: &Answering, text: &str, written: &Completion) -> Value {
    let mut whole = completion(to, text, Some(reason(&written.finish)));
    whole["usage"] = usage(written);
    whole
}

fn event(to: &Answering, mut value: Value) -> String {
    if to.form == (Form::Completions { include_usage: true }) && value.get("usage").is_none() {
        value["usage"] = Value::Null;
    }
    data(&value)
}

pub(super) fn part(to: &Answering, text: &str) -> String {
    event(to, completion(to, text, None))
}

pub(super) fn end(to: &Answering, written: &Completion) -> String {
    let mut events = event(to, completion(to, "", Some(reason(&written.finish))));
    if to.form == (Form::Completions { include_usage: true }) {
        let mut last = completion(to, "", None);
        (last["choices"], last["usage"]) = (json!([]), usage(written));
        events += &data(&last);
    }
    events + "data: [DONE]\n\n"
}
