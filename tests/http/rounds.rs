//! Answers as a client reads them, checked for the order and the numbers that official SDKs rely on.

use serde_json::{Value, json};

use crate::scripted::{CHAT, RESPONSES};

/// An answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Got {
    pub(crate) text: String,
    /// Ids and arguments of calls.
    pub(crate) calls: Vec<(String, String)>,
    pub(crate) reason: String,
    /// Tokens of the input, those of the cache included, and of the output.
    pub(crate) usage: (u64, u64),
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads an answer that is no stream.
pub(crate) fn whole(path: &str, answer: &Value) -> Got {
    let mut got = Got { usage: usage(&answer["usage"]), ..Got::default() };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match path {
        CHAT => {
            let choice = &answer["choices"][0];
            got.text = text(&choice["message"]["content"]);
            for call in list(&choice["message"]["tool_calls"]) {
                got.calls.push((text(&call["id"]), text(&call["function"]["arguments"])));
            }
            got.reason = text(&choice["finish_reason"]);
            assert_eq!(answer["id"], "c0", "the id of the first round");
        }
        RESPONSES => {
            for item in list(&answer["output"]) {
                got.text += item["content"][0]["text"].as_str().unwrap_or_default();
                if item["type"] == "function_call" {
                    got.calls.push((text(&item["call_id"]), text(&item["arguments"])));
                }
            }
            got.reason = text(&answer["status"]);
            assert_eq!(answer["id"], "resp_0");
        }
        _ => {
            for block in list(&answer["content"]) {
                got.text += block["text"].as_str().unwrap_or_default();
                if block["type"] == "tool_use" {
                    got.calls.push((text(&block["id"]), block["input"].to_string()));
                }
            }
            got.reason = text(&answer["stop_reason"]);
            assert_eq!(answer["id"], "msg_0");
        }
    }
    got
}

fn usage(usage: &Value) -> (u64, u64) {
    let number = |key: &str| usage[key].as_u64().unwrap_or(0);
    let input = number("prompt_tokens") + number("input_tokens") + number("cache_read_input_tokens");
    (input, number("completion_tokens") + number("output_tokens"))
}

/// The events of a stream.
pub(crate) fn events(body: &str) -> Vec<Value> {
    let data =
        body.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data.trim()))).collect()
}

/// Reads a stream.
pub(crate) fn streamed(path: &str, body: &str) -> Got {
    let events = events(body);
    match path {
        CHAT => chat(&events),
        RESPONSES => responses(&events),
        _ => messages(&events),
    }
}

fn chat(events: &[Value]) -> Got {
    let mut got = Got::default();
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let (mut roles, mut reasons) = (0, 0);
    for chunk in chunks {
        assert_eq!(
            (&chunk["id"], &chunk["created"], &chunk["model"]),
            (&json!("c0"), &json!(0), &json!("m1"))
        );
        if chunk["usage"].is_object() {
            assert_eq!(got.usage, (0, 0), "the usage comes once");
            got.usage = usage(&chunk["usage"]);
        }
        let choice = &chunk["choices"][0];
        roles += usize::from(choice["delta"]["role"].is_string());
        got.text += choice["delta"]["content"].as_str().unwrap_or_default();
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = piece["index"].as_u64().unwrap() as usize;
            if piece["id"].is_string() {
                assert_eq!(index, got.calls.len(), "{chunk}");
                got.calls.push((text(&piece["id"]), String::new()));
            }
            got.calls[index].1 += piece["function"]["arguments"].as_str().unwrap();
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            reasons += 1;
            got.reason = reason.into();
        }
    }
    assert_eq!((roles, reasons), (1, 1));
    got
}

fn messages(events: &[Value]) -> Got {
    let mut got = Got::default();
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!([count("message_start"), count("message_delta"), count("message_stop")], [1, 1, 1]);
    assert_eq!((&events[0]["type"], &events[0]["message"]["id"]), (&json!("message_start"), &json!("msg_0")));
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    let mut start = events[0]["message"]["usage"].clone();
    let mut blocks = Vec::new();
    for event in events {
        let index = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(index, blocks.len(), "{event}");
                blocks.push((event["content_block"].clone(), String::new(), false));
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                assert_eq!((index, blocks[index].2), (blocks.len() - 1, false), "{event}");
                blocks[index].1 += delta["text"].as_str().or(delta["partial_json"].as_str()).unwrap();
            }
            "content_block_stop" => blocks[index].2 = true,
            "message_delta" => {
                got.reason = text(&event["delta"]["stop_reason"]);
                for (key, value) in event["usage"].as_object().unwrap() {
                    start[key] = value.clone();
                }
            }
            _ => {}
        }
    }
    assert!(blocks.iter().all(|block| block.2));
    for (block, written, _) in blocks {
        match block["type"].as_str().unwrap() {
            "text" => got.text += &written,
            _ => got.calls.push((text(&block["id"]), written)),
        }
    }
    Got { usage: usage(&start), ..got }
}

fn responses(events: &[Value]) -> Got {
    let mut items: Vec<Value> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
        let kind = event["type"].as_str().unwrap();
        assert_eq!(kind == "response.created", number == 0);
        assert_eq!(kind == "response.completed", number + 1 == events.len());
        let index = event["output_index"].as_u64().unwrap_or(0) as usize;
        match kind {
            "response.output_item.added" => {
                assert_eq!(index, items.len());
                items.push(event["item"].clone());
            }
            "response.output_item.done" => {
                assert_eq!(items[index]["id"], event["item"]["id"]);
                items[index] = event["item"].clone();
            }
            _ if event.get("item_id").is_some() => assert_eq!(items[index]["id"], event["item_id"]),
            _ => {}
        }
    }
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"], json!(items), "the whole output");
    whole(RESPONSES, response)
}
