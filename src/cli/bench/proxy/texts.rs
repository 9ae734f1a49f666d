//! Bodies that are sent.

use bytes::Bytes;
use serde_json::json;

/// The tokens of one result, about.
const RESULT_TOKENS: usize = 3290;
/// Words that texts are made of.
const WORDS: [&str; 24] = [
    "the",
    "harbour",
    "report",
    "says",
    "that",
    "engineers",
    "found",
    "seven",
    "faults",
    "in",
    "an",
    "old",
    "valve",
    "before",
    "spring",
    "and",
    "replaced",
    "it",
    "within",
    "two",
    "weeks",
    "at",
    "low",
    "cost",
];

/// A body of about `bytes` bytes in which no text is long enough to be worth compressing, where compression is off.
pub(super) fn body(bytes: usize, stream: bool) -> Bytes {
    let frame = chat("", stream).len();
    chat(&text(1, bytes / 4).chars().take(bytes.saturating_sub(frame)).collect::<String>(), stream)
}

/// A body with a text of `words` words and a question; another text for each `number`.
pub(super) fn document(number: u64, words: usize) -> Bytes {
    chat(&asked(number, words), false)
}

/// A body with a text of `words` words, a question, and `deadline_ms` for compression that replaces the configured one;
/// another text for each `number`.
pub(super) fn urgent_document(number: u64, words: usize, deadline_ms: u64) -> Bytes {
    let messages = json!([{"role": "user", "content": asked(number, words)}]);
    json!({"model": "bench", "messages": messages, "whittle": {"deadline_ms": deadline_ms}})
        .to_string()
        .into()
}

/// A text and a question about it.
fn asked(number: u64, words: usize) -> String {
    format!("{}\n\nWhat did the engineers find?", text(number, words))
}

/// A body of about `bytes` bytes with an image, which is never compressed, and a question.
pub(super) fn image(bytes: usize) -> Bytes {
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(bytes / 8));
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let content = json!([image, {"type": "text", "text": "What did the engineers find?"}]);
    json!({"model": "bench", "messages": [{"role": "user", "content": content}]}).to_string().into()
}

/// A body whose last turn has about `tokens` tokens of tools' results: a source file, the file again after an edit, a log
/// and hits of a search, in turns. Another conversation for each `number`.
pub(super) fn results(number: u64, tokens: usize) -> Bytes {
    let count = tokens.div_ceil(RESULT_TOKENS);
    let calls = (0..count).map(|at| {
        let (name, arguments) = match at % 4 {
            0 | 1 => ("read", json!({"path": format!("src/{}.rs", at / 4)})),
            2 => ("bash", json!({"command": "make harbour"})),
            _ => ("grep", json!({"pattern": "harbour"})),
        };
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"id": format!("call_{at}"), "type": "function", "function": function})
    });
    let calls: Vec<_> = calls.collect();
    let mut messages = vec![
        json!({"role": "user", "content": format!("What did the engineers find in report {number}?")}),
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
    ];
    messages.extend((0..count).map(
        |at| json!({"role": "tool", "tool_call_id": format!("call_{at}"), "content": result(number, at)}),
    ));
    json!({"model": "bench", "messages": messages}).to_string().into()
}

/// Writes one result.
fn result(number: u64, at: usize) -> String {
    let words = text(number.wrapping_mul(100).wrapping_add(at as u64 / 4), 900);
    let mut words = words.split(' ').cycle();
    let mut word = || words.next().unwrap_or_default().trim_end_matches('.');
    let lines = (0..220).map(|line| {
        let [a, b, c] = [word(), word(), word()];
        match at % 4 {
            1 if line == 110 => "    // the engineers changed this line\n".to_owned(),
            0 | 1 => format!("    let {a}_{line} = {b}({c}[{line}], \"{a}\");\n"),
            2 => format!(
                "12:{:02}:{:02} INFO step {line} of {}: {} ms\n",
                line / 60,
                line % 60,
                line / 20,
                line * 7
            ),
            _ => format!("src/{}/{}.rs:{line}: {a} {b} {c}\n", line / 40, line / 20),
        }
    });
    lines.collect()
}

fn chat(content: &str, stream: bool) -> Bytes {
    let content = serde_json::Value::from(content);
    let messages = format!(r#"[{{"role":"user","content":{content}}}]"#);
    format!(r#"{{"model":"bench","messages":{messages},"stream":{stream}}}"#).into()
}

/// Sentences of words in an order that `seed` decides.
fn text(seed: u64, words: usize) -> String {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut next = || {
        // Knuth's constants; the upper bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        WORDS[(state >> 33) as usize % WORDS.len()]
    };
    let sentences = (0..words.div_ceil(12)).map(|_| {
        let words: Vec<&str> = (0..12).map(|_| next()).collect();
        format!("{}.", words.join(" "))
    });
    sentences.collect::<Vec<_>>().join(" ")
}
