use serde_json::{Value, json};

use super::*;
use crate::model::{FinishReason, Message, Prompt, Role};

fn read(endpoint: Endpoint, body: &Value) -> Result<Ask, AskError> {
    Ask::read(endpoint, &body.to_string())
}

/// Returns the messages with their roles.
fn turns(ask: &Ask) -> Vec<(Role, &str)> {
    match &ask.generation.prompt {
        Prompt::Chat(turns) => turns.iter().map(|Message { role, text }| (*role, text.as_str())).collect(),
        Prompt::Text(text) => panic!("{text}"),
    }
}

fn written(finish: FinishReason) -> Completion {
    Completion { input: 5, output: 2, finish }
}

fn answering(endpoint: Endpoint, body: &Value) -> Answering {
    read(endpoint, body).unwrap().answering("local/m", "1", 7)
}

/// Names and data of all events of an answer in two parts; `[DONE]` is a text.
fn events(endpoint: Endpoint, body: &Value, finish: FinishReason) -> Vec<(String, Value)> {
    let mut answering = answering(endpoint, body);
    let stream =
        [answering.begin(5), answering.part("He"), answering.part("y"), answering.end(&written(finish))];
    let stream = stream.concat();
    assert!(stream.ends_with("\n\n"));
    let event = |event: &str| {
        let (name, data) = match event.split_once('\n') {
            Some((name, data)) => (name.strip_prefix("event: ").unwrap(), data),
            None => ("", event),
        };
        let data = data.strip_prefix("data: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap_or_else(|_| data.into()))
    };
    stream.trim_end().split("\n\n").map(event).collect()
}

fn say() -> Value {
    json!([{"role": "user", "content": "Hi"}])
}

#[test]
fn what_each_dialect_asks_for_is_read() {
    let chat = json!({"model": "local/m", "messages": [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "tool_calls": []}, {"role": "user", "content": "d"}],
        "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.25, "seed": -1, "stop": "x", "n": 1,
        "tools": [{}], "tool_choice": "none", "response_format": {"type": "text"}, "logprobs": false,
        "frequency_penalty": 0.0, "stream": true, "user": "u", "unknown": {}});
    let ask = read(Endpoint::Chat, &chat).unwrap();
    let expected =
        [(Role::System, "Be brief"), (Role::User, "a\nb"), (Role::Assistant, "c"), (Role::User, "d")];
    assert_eq!(turns(&ask), expected);
    let Generation { max_tokens: most, sampling, stop, .. } = &ask.generation;
    assert_eq!((*most, &stop[..], ask.stream), (Some(9), &["x".to_owned()][..], true));
    assert_eq!((sampling.temperature, sampling.top_p, sampling.seed), (0.5, 0.25, u64::MAX));

    let completion = json!({"prompt": ["Once"], "stop": ["a", "b"], "top_p": 0});
    let ask = read(Endpoint::Completions, &completion).unwrap();
    assert_eq!(ask.generation.prompt, Prompt::Text("Once".into()));
    assert_eq!((ask.generation.max_tokens, ask.generation.sampling.top_k), (Some(16), Some(1)));

    let response = json!({"input": "Hi", "instructions": "Be brief", "max_output_tokens": 3, "stop": "x"});
    let ask = read(Endpoint::Responses, &response).unwrap();
    assert_eq!(turns(&ask), [(Role::System, "Be brief"), (Role::User, "Hi")]);
    assert_eq!((ask.generation.max_tokens, ask.generation.stop.len()), (Some(3), 0));
    let items = json!({"input": [{"role": "user", "content": "a"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "c"}]}]});
    let ask = read(Endpoint::Responses, &items).unwrap();
    assert_eq!(turns(&ask), [(Role::User, "a"), (Role::Assistant, "b"), (Role::User, "c")]);

    let message = json!({"max_tokens": 4, "system": [{"type": "text", "text": "Be brief"}], "top_k": 3,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}]}],
        "stop_sequences": ["x"], "tools": [{}], "tool_choice": {"type": "none"}, "thinking": {"type": "disabled"}});
    let ask = read(Endpoint::Messages, &message).unwrap();
    assert_eq!(turns(&ask), [(Role::System, "Be brief"), (Role::User, "Hi")]);
    assert_eq!((ask.generation.stop.len(), ask.generation.sampling.top_k), (1, Some(3)));
    let ask = read(Endpoint::CountTokens, &json!({"messages": say()})).unwrap();
    assert_eq!(turns(&ask), [(Role::User, "Hi")]);
}

/// Returns the error for `member` in an otherwise valid body.
fn refusal(endpoint: Endpoint, member: &str, value: &Value) -> AskError {
    let mut body = json!({"messages": say(), "prompt": "Hi", "input": "Hi", "max_tokens": 5});
    if endpoint == Endpoint::Responses {
        // To it, a prompt is something else.
        body["prompt"] = Value::Null;
    }
    read(endpoint, &body).unwrap();
    body[member] = value.clone();
    read(endpoint, &body).expect_err(&format!("{endpoint:?} {member}: {value}"))
}

#[test]
fn what_the_model_cannot_do_is_refused_by_name() {
    use Endpoint::{Chat, Completions, Messages, Responses};
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let said = |content: Value| json!([{"role": "user", "content": content}]);
    let cases = [
        (Chat, "tools", tool.clone(), "tools"),
        (Chat, "functions", tool.clone(), "functions"),
        (Chat, "n", 2.into(), "more than one answer"),
        (Chat, "logprobs", true.into(), "log-probabilities"),
        (Chat, "top_logprobs", 1.into(), "log-probabilities"),
        (Chat, "logit_bias", json!({"1": 2}), "bias"),
        (Chat, "presence_penalty", 0.5.into(), "penalties"),
        (Chat, "frequency_penalty", 0.5.into(), "penalties"),
        (Chat, "audio", json!({"voice": "a"}), "audio"),
        (Chat, "prediction", json!({"type": "content"}), "predicted"),
        (Chat, "web_search_options", json!({"a": 1}), "web"),
        (Chat, "response_format", json!({"type": "json_object"}), "`json_object`"),
        (Chat, "response_format", json!({"type": "json_schema", "json_schema": {}}), "`json_schema`"),
        (Chat, "messages", said(json!([{"type": "image_url", "image_url": {}}])), "`image_url`"),
        (Chat, "messages", json!([{"role": "tool", "content": "a"}]), "role `tool`"),
        (Chat, "messages", json!([{"role": "assistant", "tool_calls": [{}]}]), "calls of tools"),
        (Completions, "n", 2.into(), "more than one answer"),
        (Completions, "best_of", 2.into(), "more than one answer"),
        (Completions, "echo", true.into(), "repetition"),
        (Completions, "suffix", "x".into(), "behind the answer"),
        (Completions, "logprobs", 1.into(), "log-probabilities"),
        (Completions, "prompt", json!(["a", "b"]), "several prompts"),
        (Completions, "prompt", json!([1, 2]), "token ids"),
        (Responses, "tools", tool.clone(), "tools"),
        (Responses, "previous_response_id", "resp_1".into(), "kept"),
        (Responses, "conversation", "c".into(), "kept"),
        (Responses, "background", true.into(), "background"),
        (Responses, "prompt", json!({"id": "p"}), "kept"),
        (Responses, "include", json!(["x"]), "`include`"),
        (Responses, "text", json!({"format": {"type": "json_schema"}}), "`json_schema`"),
        (Responses, "input", json!([{"type": "function_call_output"}]), "`function_call_output`"),
        (Responses, "input", said(json!([{"type": "input_image"}])), "`input_image`"),
        (Messages, "tools", tool, "tools"),
        (Messages, "thinking", json!({"type": "enabled", "budget_tokens": 9}), "thinking"),
        (Messages, "messages", said(json!([{"type": "image"}])), "`image`"),
        (Messages, "messages", json!([{"role": "assistant", "content": "a"}]), "begun"),
        (Messages, "output_format", json!({"type": "json_schema"}), "`json_schema`"),
        (Messages, "mcp_servers", json!([{}]), "MCP"),
    ];
    for (endpoint, member, value, named) in cases {
        let error = refusal(endpoint, member, &value);
        assert!(matches!(error, AskError::Unsupported { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(named) && message.contains(member), "{endpoint:?} {member}: {message}");
    }
    let embeddings = read(Endpoint::Embeddings, &json!({"input": "a"})).unwrap_err();
    assert!(embeddings.to_string().contains("embeddings"));
}

#[test]
fn wrong_values_are_named() {
    use Endpoint::{Chat, Completions, Messages, Responses};
    for (endpoint, member, value) in [
        (Chat, "messages", json!([])),
        (Chat, "messages", json!("Hi")),
        (Chat, "messages", json!([{"role": "king", "content": "a"}])),
        (Chat, "messages", json!([{"role": "user", "content": 1}])),
        (Chat, "messages", json!([{"role": "user", "content": [{"text": "a"}]}])),
        (Chat, "messages", json!([{"role": "user"}])),
        (Chat, "max_tokens", json!(0)),
        (Chat, "max_completion_tokens", json!("9")),
        (Chat, "temperature", json!(2.5)),
        (Chat, "temperature", json!("hot")),
        (Chat, "top_p", json!(-0.1)),
        (Chat, "seed", json!(0.5)),
        (Chat, "stop", json!([""])),
        (Chat, "stop", json!(vec!["a"; 17])),
        (Chat, "stop", json!({"a": 1})),
        (Chat, "stream", json!("yes")),
        (Completions, "prompt", Value::Null),
        (Responses, "input", json!(1)),
        (Responses, "instructions", json!(["a"])),
        (Messages, "max_tokens", Value::Null),
        (Messages, "stop_sequences", json!([1])),
    ] {
        let error = refusal(endpoint, member, &value);
        assert!(matches!(error, AskError::Invalid { param, .. } if param == member), "{member}: {error:?}");
    }
    assert!(Ask::read(Chat, "[1]").is_err());
}

#[test]
fn whole_answers_have_each_dialects_form() {
    let (message, usage) = (
        json!({"role": "assistant", "content": "Hey", "refusal": null}),
        json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
    );
    let whole = |endpoint, body: Value, finish| {
        let whole = answering(endpoint, &body).whole("Hey", &written(finish));
        serde_json::from_str::<Value>(&whole).unwrap()
    };
    assert_eq!(
        whole(Endpoint::Chat, json!({"messages": say()}), FinishReason::End),
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "local/m", "usage": usage,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}]})
    );
    assert_eq!(
        whole(Endpoint::Completions, json!({"prompt": "Hi"}), FinishReason::Length),
        json!({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "local/m", "usage": usage,
            "choices": [{"index": 0, "text": "Hey", "logprobs": null, "finish_reason": "length"}]})
    );
    assert_eq!(
        whole(
            Endpoint::Messages,
            json!({"messages": say(), "max_tokens": 9}),
            FinishReason::Stop("END".into())
        ),
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "local/m",
            "content": [{"type": "text", "text": "Hey"}], "stop_reason": "stop_sequence", "stop_sequence": "END",
            "usage": {"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0}})
    );
    let response = whole(Endpoint::Responses, json!({"input": "Hi"}), FinishReason::End);
    assert_eq!((&response["status"], &response["incomplete_details"]), (&"completed".into(), &Value::Null));
    let text = json!({"type": "output_text", "text": "Hey", "annotations": [], "logprobs": []});
    let item = json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]});
    assert_eq!(response["output"], json!([item]));
    assert_eq!(
        (&response["usage"]["input_tokens"], &response["usage"]["total_tokens"]),
        (&5.into(), &7.into())
    );
    let cut =
        whole(Endpoint::Responses, json!({"input": "Hi", "max_output_tokens": 2}), FinishReason::Length);
    assert_eq!(cut["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!((&cut["status"], &cut["max_output_tokens"]), (&"incomplete".into(), &2.into()));
    assert_eq!(counted(3), r#"{"input_tokens":3}"#);
}

#[test]
fn a_chats_events_are_openais() {
    let chunk = |choices: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7,
        "model": "local/m", "choices": choices})
    };
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let chunks = [
        chunk(choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null)),
        chunk(choice(json!({"content": "He"}), Value::Null)),
        chunk(choice(json!({"content": "y"}), Value::Null)),
        chunk(choice(json!({}), "length".into())),
    ];
    let mut expected: Vec<_> =
        chunks.iter().cloned().chain(["[DONE]".into()]).map(|c| (String::new(), c)).collect();
    assert_eq!(events(Endpoint::Chat, &json!({"messages": say()}), FinishReason::Length), expected);
    // With its usage, which all but the last leave open.
    let last = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    expected.insert(4, (String::new(), chunk(json!([]))));
    for (i, (_, chunk)) in expected.iter_mut().take(5).enumerate() {
        chunk["usage"] = if i == 4 { last.clone() } else { Value::Null };
    }
    let body = json!({"messages": say(), "stream_options": {"include_usage": true}});
    assert_eq!(events(Endpoint::Chat, &body, FinishReason::Length), expected);
}

#[test]
fn a_completions_events_are_openais() {
    let body = json!({"prompt": "Hi", "stream_options": {"include_usage": true}});
    let events = events(Endpoint::Completions, &body, FinishReason::End);
    let choice = |text: &str, reason: Value| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]);
    let expected = [
        (choice("He", Value::Null), Value::Null),
        (choice("y", Value::Null), Value::Null),
        (choice("", "stop".into()), Value::Null),
        (json!([]), json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})),
    ];
    for ((_, event), (choices, usage)) in events.iter().zip(expected) {
        assert_eq!((&event["choices"], &event["usage"]), (&choices, &usage));
        assert_eq!((&event["object"], &event["id"]), (&"text_completion".into(), &"cmpl-1".into()));
    }
    assert_eq!((events.len(), &events[4].1), (5, &"[DONE]".into()));
}

#[test]
fn a_messages_events_are_anthropics() {
    let usage = json!({"input_tokens": 5, "output_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "local/m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage});
    let delta = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let expected = [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        delta("He"),
        delta("y"),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|e| (e["type"].as_str().unwrap().to_owned(), e)).collect();
    let body = json!({"messages": say(), "max_tokens": 9});
    assert_eq!(events(Endpoint::Messages, &body, FinishReason::End), expected);
}

#[test]
fn a_responses_events_are_openais() {
    let events = events(Endpoint::Responses, &json!({"input": "Hi"}), FinishReason::End);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, expected.map(|name| format!("response.{name}")));
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!((&event["type"], &event["sequence_number"]), (&name.as_str().into(), &number.into()));
    }
    let of = |number: usize| &events[number].1;
    for number in [0, 1] {
        let response = &of(number)["response"];
        assert_eq!((&response["status"], &response["output"]), (&"in_progress".into(), &json!([])));
        assert_eq!((&response["id"], &response["usage"]), (&"resp_1".into(), &Value::Null));
    }
    assert_eq!((&of(2)["item"]["status"], &of(2)["item"]["content"]), (&"in_progress".into(), &json!([])));
    assert_eq!(
        of(4),
        &json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "delta": "He", "logprobs": []})
    );
    assert_eq!((&of(6)["text"], &of(7)["part"]["text"]), (&"Hey".into(), &"Hey".into()));
    assert_eq!(of(8)["item"], of(9)["response"]["output"][0]);
    let whole =
        answering(Endpoint::Responses, &json!({"input": "Hi"})).whole("Hey", &written(FinishReason::End));
    assert_eq!(of(9)["response"], serde_json::from_str::<Value>(&whole).unwrap());
    let cut = super::tests::events(Endpoint::Responses, &json!({"input": "Hi"}), FinishReason::Length);
    assert_eq!(cut.last().unwrap().0, "response.incomplete");
}
