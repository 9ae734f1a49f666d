//! Rounds of each dialect, as a client sees them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::{Request, splice};

/// Gives what the client gets of `rounds`, each a list of events, and the turns.
fn through(endpoint: Endpoint, rounds: &[Vec<String>]) -> (String, Vec<Turn>) {
    let (mut splicer, mut came, mut turns) = (Splicer::new(endpoint).unwrap(), String::new(), Vec::new());
    for events in rounds {
        for event in events {
            // Whatever pieces they come in.
            for piece in event.as_bytes().chunks(7) {
                came += std::str::from_utf8(&splicer.feed(piece).unwrap()).unwrap();
            }
        }
        turns.extend(splicer.end(false).turn);
    }
    (came, turns)
}

#[test]
fn the_definition_changes_no_other_byte_and_stands_where_it_can() {
    let inject = |endpoint, body: &str| {
        let request = Request::read(endpoint, body.as_bytes()).unwrap();
        injection(&request).map(|injection| (splice(body, vec![injection.edit]), injection.begins))
    };
    let body = r#"{ "model":"m", "tools" : [ {"name":"a"} ] ,"messages":[{"role":"user","content":"x"}]}"#;
    let (with, begins) = inject(Endpoint::Messages, body).unwrap();
    let (before, after) = body.split_at(body.find(" ] ,").unwrap());
    assert!(with.starts_with(before) && with.ends_with(after) && begins, "{with}");
    let with: Value = serde_json::from_str(&with).unwrap();
    assert_eq!(with["tools"][1]["name"], TOOL);
    let later = body.replace("}]}", r#"},{"role":"assistant","content":"y"}]}"#);
    assert!(!inject(Endpoint::Messages, &later).unwrap().1);
    for none in [r#""tools" : [  ]"#, r#""tools":[{"name":"whittle_recall"}]"#, r#""tools":null"#] {
        assert_eq!(inject(Endpoint::Messages, &body.replace(r#""tools" : [ {"name":"a"} ]"#, none)), None);
    }
    let responses = body.replace("messages", "input");
    assert_eq!(inject(Endpoint::Responses, &responses), None);
    assert!(inject(Endpoint::Responses, &responses.replacen('{', r#"{"store":false,"#, 1)).is_some());
    assert!(inject(Endpoint::Chat, &body.replacen('{', r#"{"n":1,"#, 1)).is_some());
    assert_eq!(inject(Endpoint::Chat, &body.replacen('{', r#"{"n":2,"#, 1)), None);
    let ours = body.replace(r#"{"name":"a"}"#, r#"{"function":{"name":"whittle_recall"}}"#);
    assert_eq!(inject(Endpoint::Chat, &ours), None);
}

#[test]
fn a_text_as_input_becomes_a_list_in_the_next_round() {
    let turn = Turn { pieces: vec![r#"{"a":1}"#.into()], calls: vec![Call::default()] };
    let body = r#"{"model":"m","input":"x","b":2}"#;
    let next = continued(Endpoint::Responses, body, &turn, &[("text".into(), false)]).unwrap();
    let next: Value = serde_json::from_str(&next).unwrap();
    assert_eq!(next["input"][0], json!({"role": "user", "content": "x"}));
    assert_eq!((&next["input"][1], &next["input"][2]["output"]), (&json!({"a": 1}), &json!("text")));
    assert_eq!(next["b"], 2);
}

#[test]
fn usage_is_added_at_any_depth() {
    let mut sum = json!({"a": 1, "b": {"c": 2, "d": null}, "e": "x"});
    add(&mut sum, &json!({"a": 2, "b": {"c": 3, "d": 4}, "e": "y", "f": 1}));
    assert_eq!(sum, json!({"a": 3, "b": {"c": 5, "d": 4}, "e": "y", "f": 1}));
    add(&mut sum, &Value::Null);
    assert_eq!(sum["a"], 3);
}

#[test]
fn an_answer_that_is_cut_off_is_not_continued() {
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "c", "choices": [choice]}))
    };
    let call =
        json!({"tool_calls": [{"index": 0, "id": "r", "function": {"name": TOOL, "arguments": "{\"i"}}]});
    let events = vec![
        chunk(json!({"role": "assistant", "content": "Hm"}), Value::Null),
        chunk(call, Value::Null),
        chunk(json!({}), "length".into()),
        "data: [DONE]\n\n".to_owned(),
    ];
    let (came, turns) = through(Endpoint::Chat, std::slice::from_ref(&events));
    assert!(turns.is_empty());
    assert_eq!(came, [&*events[0], &events[2], &events[3]].concat());
}

#[test]
fn events_without_the_tool_pass_byte_for_byte() {
    for (endpoint, events) in [
        (
            Endpoint::Chat,
            vec![
                "data: {\"id\": \"c\",  \"choices\": [{\"delta\": {\"content\": \"a\"}}]}\r\n\r\n",
                ": ping\n\n",
                "data: [DONE]\n\n",
            ],
        ),
        (
            Endpoint::Messages,
            vec![
                "event: content_block_start\ndata: {\"type\": \"content_block_start\", \"index\": 0, \"content_block\": {\"type\": \"text\"}}\n\n",
                "event: ping\ndata: {\"type\": \"ping\"}\n\n",
                "event: message_delta\ndata: {\"type\": \"message_delta\", \"delta\": {\"stop_reason\": \"tool_use\"}}\n\n",
            ],
        ),
        (
            Endpoint::Responses,
            vec![
                "event: response.created\ndata: {\"type\": \"response.created\", \"sequence_number\": 0, \"response\": {}}\n\n",
                "event: response.output_item.added\ndata: {\"type\": \"response.output_item.added\", \"output_index\": 0, \"sequence_number\": 1, \"item\": {}}\n\n",
                "event: response.completed\ndata: {\"type\": \"response.completed\", \"sequence_number\": 2, \"response\": {}}\n\n",
            ],
        ),
    ] {
        let events: Vec<String> = events.into_iter().map(str::to_owned).collect();
        assert_eq!(through(endpoint, std::slice::from_ref(&events)), (events.concat(), Vec::new()));
    }
}

/// Values of any type, with the names and words of answers among them.
fn values() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        TOOL,
        "a",
        "tool_use",
        "tool_calls",
        "stop",
        "text",
        "completed",
        "function_call",
        "apply_patch_call",
        "{}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_u8).prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop::sample::select(vec![
        "type",
        "index",
        "delta",
        "content_block",
        "id",
        "name",
        "input",
        "text",
        "stop_reason",
        "usage",
        "message",
        "choices",
        "tool_calls",
        "function",
        "arguments",
        "finish_reason",
        "content",
        "response",
        "item",
        "output",
        "output_index",
        "call_id",
        "status",
        "citation",
        "sequence_number",
        "partial_json",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_an_upstream_answers_is_taken(
        values in prop::collection::vec((values(), 0..12_usize), 0..12), rounds in 1..3_usize,
    ) {
        const TYPES: [&str; 12] = [
            "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
            "message_stop", "response.created", "response.output_item.added", "response.output_item.done",
            "response.completed", "response.failed", "response.output_text.delta",
        ];
        for endpoint in [Endpoint::Messages, Endpoint::Chat, Endpoint::Responses] {
            let (mut splicer, mut whole) = (Splicer::new(endpoint).unwrap(), Whole::new(endpoint));
            for round in 0..rounds {
                for (value, kind) in &values {
                    let mut event = value.clone();
                    if let Some(members) = event.as_object_mut() {
                        members.insert("type".into(), TYPES[*kind].into());
                    }
                    splicer.feed(format!("data: {event}\n\n").as_bytes()).unwrap();
                    splicer.late();
                    whole.round(value.to_string().as_bytes(), false);
                    let answers = json!({
                        "content": [{"type": "tool_use", "name": TOOL}], "stop_reason": "tool_use", "status": "completed",
                        "choices": [{"message": {"tool_calls": [{"function": {"name": TOOL}}]}}],
                        "output": [{"type": "function_call", "name": TOOL}], "usage": value,
                    });
                    whole.round(answers.to_string().as_bytes(), round > 0);
                }
                splicer.end(round + 1 == rounds);
            }
        }
    }
}
