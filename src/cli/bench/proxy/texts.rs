//! Bodies that are sent.

use bytes::Bytes;
use serde_json::json;

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
    chat(&format!("{}\n\nWhat did the engineers find?", text(number, words)), false)
}

/// A body of about `bytes` bytes with an image, which is never compressed, and a question.
pub(super) fn image(bytes: usize) -> Bytes {
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(bytes / 8));
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let content = json!([image, {"type": "text", "text": "What did the engineers find?"}]);
    json!({"model": "bench", "messages": [{"role": "user", "content": content}]}).to_string().into()
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
