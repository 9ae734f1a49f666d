//! Results of tools, and histories, that clients get wrong or edit.

use serde_json::json;

use super::folding::{DEFAULT, file};
use super::*;

/// The fate of the last result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Last {
    /// The result goes on as it came.
    Whole,
    /// The result becomes a mark.
    Mark,
}

/// A conversation that a client sends, turn by turn.
struct Case {
    name: &'static str,
    /// The messages of each turn.
    turns: Vec<Vec<Value>>,
    last: Last,
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": [{"type": "text", "text": text}]})
}

fn calls(ids: &[&str]) -> Value {
    let call = |id: &&str| json!({"type": "tool_use", "id": id, "name": "Read", "input": {"file_path": "/src/a.rs"}});
    json!({"role": "assistant", "content": ids.iter().map(call).collect::<Vec<_>>()})
}

fn result(id: &str, content: impl Into<Value>) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content.into()})
}

fn answer(results: &[Value]) -> Value {
    json!({"role": "user", "content": results})
}

/// A conversation of one call and its result, after a first reading of the file.
fn second(content: impl Into<Value>) -> Vec<Vec<Value>> {
    let first = vec![user("Find the fault."), calls(&["a"]), answer(&[result("a", file())])];
    vec![first.clone(), [first, vec![calls(&["b"]), answer(&[result("b", content)])]].concat()]
}

fn cases() -> Vec<Case> {
    let case = |name, turns, last| Case { name, turns, last };
    let history = || second(file()).remove(1);
    let more =
        |messages: Vec<Value>| [messages, vec![calls(&["c"]), answer(&[result("c", file())])]].concat();
    let edited = |edit: &dyn Fn(&mut Vec<Value>)| {
        let mut messages = history();
        edit(&mut messages);
        vec![history(), more(messages)]
    };
    let image =
        json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]);
    let mut error = second(file());
    error[1][4]["content"][0]["is_error"] = true.into();
    let parallel = vec![vec![
        user("Find."),
        calls(&["a", "b", "c"]),
        answer(&[result("a", file()), result("b", "small"), result("c", file())]),
    ]];
    let disordered =
        vec![vec![user("Find."), calls(&["a", "b"]), answer(&[result("b", file()), result("a", file())])]];
    let mut duplicate = second(file());
    for turn in &mut duplicate {
        *turn =
            serde_json::from_str(&Value::from(turn.clone()).to_string().replace("\"b\"", "\"a\"")).unwrap();
    }
    let other_tool = format!("{}... 40 lines truncated ...\n", file());
    vec![
        case("images stay", second(image), Last::Whole),
        case("empty", second(""), Last::Whole),
        case("no text at all", second(json!([])), Last::Whole),
        case("a number", second(7), Last::Whole),
        case("null", second(Value::Null), Last::Whole),
        case("binary", second("\u{0}\u{1}\u{fffd}".repeat(300)), Last::Whole),
        case("5 MB in one line", second("x y ".repeat(1_300_000)), Last::Whole),
        // A file is folded only where one earlier text has all of it in one piece.
        case("5 MB of the same file", second(file().repeat(2500)), Last::Whole),
        case("cut by another tool", second(other_tool), Last::Mark),
        case(
            "a mark of ours",
            second(format!("{}[6 lines left out: alike but for numbers]\n", file())),
            Last::Whole,
        ),
        case("an error", error, Last::Mark),
        case("parallel calls", parallel, Last::Mark),
        case("out of order", disordered, Last::Mark),
        case("an id twice", duplicate, Last::Mark),
        case(
            "no call of that id",
            vec![vec![user("Find."), answer(&[result("x", file()), result("y", file())])]],
            Last::Mark,
        ),
        case("a message is deleted", edited(&|messages| drop(messages.drain(1..3))), Last::Mark),
        case(
            "the only other reading is deleted",
            edited(&|messages| drop(messages.drain(1..5))),
            Last::Whole,
        ),
        case(
            "a result is shortened",
            edited(&|messages| messages[2]["content"][0]["content"] = "[cleared]".into()),
            Last::Mark,
        ),
        case(
            "the order is another",
            edited(&|messages| {
                messages.swap(1, 3);
                messages.swap(2, 4);
            }),
            Last::Mark,
        ),
    ]
}

/// The texts of results in a body, by their ids.
fn results(body: &str) -> Vec<(String, Value)> {
    let body: Value = serde_json::from_str(body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let blocks = messages.iter().flat_map(|message| message["content"].as_array().unwrap());
    let results = blocks.filter(|block| block["type"] == "tool_result");
    results
        .map(|block| (block["tool_use_id"].as_str().unwrap().to_owned(), block["content"].clone()))
        .collect()
}

fn body(messages: &[Value]) -> String {
    json!({"messages": messages, "max_tokens": 9, "model": "claude-sonnet-4-5"}).to_string()
}

/// The body without the texts of its results, which is what must never change.
fn frame(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap();
    for message in body["messages"].as_array_mut().unwrap() {
        for block in message["content"].as_array_mut().unwrap() {
            if block["type"] == "tool_result" {
                block["content"] = Value::Null;
            }
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_sends_goes_on_as_it_came_or_with_marks_that_are_true() {
    for Case { name, turns, last } in cases() {
        let proxy = Proxy::with(DEFAULT).await;
        for messages in &turns {
            let sent = body(messages);
            let (seen, _) = proxy.forwarded("/v1/messages", &sent).await;
            assert_eq!(frame(seen.text()), frame(&sent), "{name}");
            let (before, after) = (results(&sent), results(seen.text()));
            // A mark that names the file needs the file: somewhere it stands as it is, and first.
            let folded = |at: usize| before[at] != after[at];
            let first = (0..after.len()).find(|at| folded(*at));
            let stands = |at: usize| after[..at].iter().any(|(_, text)| *text == file());
            assert!(first.is_none_or(stands), "{name}");
            // Once more it is the same.
            let (again, _) = proxy.forwarded("/v1/messages", &sent).await;
            assert_eq!(again.text(), seen.text(), "{name}");
            if std::ptr::eq(messages, turns.last().unwrap()) {
                let found = if before.last() == after.last() { Last::Whole } else { Last::Mark };
                assert_eq!(found, last, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_that_interleave_keep_their_prefixes() {
    let proxy = Proxy::with(DEFAULT).await;
    let mut previous = [String::new(), String::new()];
    for turns in 1..6 {
        for (which, first) in ["Find the fault.", "Find another."].into_iter().enumerate() {
            let mut messages = vec![user(first)];
            for turn in 0..turns {
                let id = format!("id{turn}");
                messages.extend([calls(&[&id]), answer(&[result(&id, file())])]);
            }
            let messages = Value::from(messages);
            let sent = format!(r#"{{"model":"m","max_tokens":9,"messages":{messages}}}"#);
            let (seen, _) = proxy.forwarded("/v1/messages", &sent).await;
            assert!(seen.text().starts_with(previous[which].trim_end_matches("]}")), "{which} {turns}");
            assert_eq!(results(seen.text()).iter().filter(|(_, text)| *text == file()).count(), 1);
            previous[which] = seen.text().to_owned();
        }
    }
}
