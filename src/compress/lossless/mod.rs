//! `lossless`: what can be folded without loss, and nothing else.
//!
//! | what | becomes | unfolds to |
//! |---|---|---|
//! | JSON, and lines of JSON | the same without white space | equal JSON |
//! | arrays, and lines, of objects with the same keys | `{"_columns":[...],"_rows":[[...],...]}` | equal JSON |
//! | blank lines in a row | one blank line | one blank line |
//! | lines that stood before | `⟪lines 12-40 again⟫`, numbers of the unfolded text, from 1 | the same bytes |
//! | lines that repeat at once | `⟪the 2 lines above 9 times more⟫` | the same bytes |
//!
//! Numbers and strings are copied as they are spelt, never decoded. Each document is counted in the target's
//! tokenizer as it was and in every folded form, and the form with the fewest tokens is taken, which often is
//! the original. A form that does not unfold to equal data is not taken.
//!
//! The result is no sub-sequence of the prompt: marks and columns are put in. `kept` tells which bytes of the
//! original stand in the result as they were; the slices are a sub-sequence of the document's new text.

mod json;
mod lines;

use std::ops::Range;

use super::assemble::{render, render_original};
use super::{CompressError, Compressed, KeptDocument, Prompt, Reorder, Stages, Target, Tools};

/// A text put together from slices of the original and from marks.
#[derive(Debug, Clone, Default)]
struct Folded {
    text: String,
    kept: Vec<Range<usize>>,
}

impl Folded {
    fn slice(&mut self, original: &str, range: Range<usize>) {
        self.text += &original[range.clone()];
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.kept.push(range),
        }
    }

    fn mark(&mut self, mark: &str) {
        self.text += mark;
    }

    /// The text as it is.
    fn whole(text: &str) -> Self {
        let mut folded = Self::default();
        folded.slice(text, 0..text.len());
        folded
    }
}

/// The folded form of `text` that `count` finds smallest; none where no fold makes it smaller.
///
/// ```
/// use whittle::compress::lossless::{fold, same_data, unfold};
///
/// let text = "started\n".repeat(40);
/// let folded = fold(&text, str::len).ok_or("nothing to fold")?;
/// assert!(folded.len() < text.len() / 2);
/// assert!(same_data(&unfold(&folded), &text));
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn fold(text: &str, count: impl Fn(&str) -> usize) -> Option<String> {
    Some(smallest(text, &count).text).filter(|folded| folded != text)
}

/// The form of the JSON `text` with the fewest bytes and the same data; none where it is small already, or no JSON.
pub(super) fn fold_json(text: &str) -> Option<String> {
    let form = json::forms(text)?.into_iter().min_by_key(|form| form.text.len())?;
    (form.text.len() < text.len() && same_data(text, &unfold(&form.text))).then_some(form.text)
}

fn smallest(text: &str, count: &impl Fn(&str) -> usize) -> Folded {
    let forms = json::forms(text).unwrap_or_else(|| lines::forms(text));
    let mut best = (count(text), Folded::whole(text));
    for form in forms {
        let tokens = count(&form.text);
        if tokens < best.0 && same_data(text, &unfold(&form.text)) {
            best = (tokens, form);
        }
    }
    best.1
}

/// The inverse of [`fold`]: a text with the same data as the one that was folded. Only for texts that were: one
/// that had marks of its own is never given any, and `unfold` would read them as its own.
#[must_use]
pub fn unfold(text: &str) -> String {
    json::unfold(text).unwrap_or_else(|| lines::unfold(text))
}

/// Do two texts hold the same data? JSON does where it is the same without white space; other texts where
/// they are, a run of blank lines counting as one.
#[must_use]
pub fn same_data(a: &str, b: &str) -> bool {
    match (json::minified(a), json::minified(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => lines::one_blank(a).text == lines::one_blank(b).text,
        _ => false,
    }
}

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    if prompt.constraints.reorder != Reorder::Original || prompt.constraints.shrinks() {
        let message = "`lossless` drops nothing and ranks nothing: leave out `reorder` and rates of sections, or use another method";
        return Err(CompressError::Unsupported(message.into()));
    }
    if prompt.constraints.verbatim {
        let message = "`lossless` puts marks and columns in, which this form of input has no place for: use another method";
        return Err(CompressError::Unsupported(message.into()));
    }
    let mut stages = Stages::default();
    let original_tokens = stages.time("count", || tools.counter.count(&render_original(prompt)));
    let budget = target.tokens(original_tokens);
    let count = |text: &str| tools.counter.count(text);
    let mut forms = Vec::new();
    for document in &prompt.documents {
        tools.cancel.check()?;
        forms.push(stages.time("fold", || smallest(&document.text, &count)));
    }
    let mut text =
        render(prompt, prompt.documents.iter().zip(&forms).map(|(d, form)| (d, form.text.clone())));
    let mut tokens = count(&text);
    // Joins have tokens, too.
    if tokens >= original_tokens {
        forms = prompt.documents.iter().map(|document| Folded::whole(&document.text)).collect();
        (text, tokens) = (render_original(prompt), original_tokens);
    }
    if tokens > budget {
        return Err(CompressError::Infeasible { budget, needed: tokens });
    }
    let pairs = prompt.documents.iter().zip(&forms);
    let folded = pairs.clone().filter(|(document, form)| document.text != form.text).count();
    let documents = pairs.map(|(document, form)| KeptDocument {
        id: document.id.clone(),
        text: form.text.clone(),
        kept: form.kept.clone(),
        ..KeptDocument::default()
    });
    Ok(Compressed {
        documents: documents.collect(),
        prompt: text,
        original_tokens,
        compressed_tokens: tokens,
        requested_tokens: budget,
        reason: format!("folded {folded} of {} documents without loss", forms.len()),
        stages,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::for_name;

    fn folded(text: &str) -> String {
        let counter = for_name("o200k_base").unwrap();
        let Some(folded) = fold(text, |text| counter.count(text)) else { return text.to_owned() };
        assert!(counter.count(&folded) < counter.count(text));
        assert!(same_data(text, &unfold(&folded)), "{text:?} -> {folded:?}");
        folded
    }

    #[test]
    fn arrays_of_like_objects_become_columns() {
        let rows: Vec<String> = (0..5)
            .map(|i| format!("  {{\"id\": {i}, \"name\": \"n, {i}\", \"price\": 1{i}.50, \"tags\": []}}"))
            .collect();
        let text = format!("{{\n \"items\": [\n{}\n ], \"total\": 1e2\n}}", rows.join(",\n"));
        assert_eq!(
            folded(&text),
            "{\"items\":{\"_columns\":[\"id\",\"name\",\"price\",\"tags\"],\"_rows\":[[0,\"n, 0\",10.50,[]],[1,\"n, 1\",11.50,[]],[2,\"n, 2\",12.50,[]],[3,\"n, 3\",13.50,[]],[4,\"n, 4\",14.50,[]]]},\"total\":1e2}"
        );
        let lines: Vec<String> =
            (0..5).map(|i| format!("{{\"level\": \"info\", \"request_id\": {i}}}\n")).collect();
        let lines = lines.concat();
        assert_eq!(
            folded(&lines),
            "{\"_columns\":[\"level\",\"request_id\"],\"_lines\":[[\"info\",0],[\"info\",1],[\"info\",2],[\"info\",3],[\"info\",4]]}"
        );
    }

    #[test]
    fn json_that_has_columns_of_its_own_is_left_alone() {
        let text = r#"[{"_columns":[1],"b":2},{"_columns":[1],"b":2},{"_columns":[1],"b":2}]"#;
        assert_eq!(folded(text), text);
        // It reads as a folded array, which it is not.
        let text = r#"{"_columns" : [ ], "_rows" : [ ]}"#;
        assert_eq!(folded(text), text);
        assert!(json::forms(text).unwrap().is_empty());
        // Keys that occur twice, big numbers, code units and depth survive.
        let text = format!(
            "[{}{}]",
            r#"{"a": 1, "a": 123456789012345678901234567890.0, "s": "\ud83d\u00e9"},"#.repeat(4),
            "[ ".repeat(10_000) + &" ]".repeat(10_000)
        );
        let deep = folded(&text);
        assert!(deep.len() < text.len());
        let text = format!("[{}]", [r#"{"a": 1, "a": 123456789012345678901234567890.0}"#; 6].join(", "));
        assert!(folded(&text).starts_with(r#"{"_columns":["a","a"],"#));
    }

    #[test]
    fn repeated_lines_and_blank_runs_fold() {
        let block = "ERROR upstream connect error or disconnect before headers\n    at connection pool 0x7f\n    reset reason: overflow\n";
        let text = format!("start\n{block}something else happened here\n{block}end\n");
        assert_eq!(
            folded(&text),
            format!("start\n{block}something else happened here\n⟪lines 2-4 again⟫\nend\n")
        );
        let text = format!("a\n{}b\n", "the same long line of a log, again and again\n".repeat(30));
        assert_eq!(
            folded(&text),
            "a\nthe same long line of a log, again and again\n⟪the line above 29 times more⟫\nb\n"
        );
        let text = format!(
            "a\n{}b",
            "ping 10.0.0.1 was sent to the host\npong 10.0.0.1 came back from it\n".repeat(9)
        );
        assert!(folded(&text).contains("⟪the 2 lines above 8 times more⟫"));
        assert_eq!(folded(&format!("one\n{}two\n", " \t\n".repeat(40))), "one\n\ntwo\n");
    }

    #[test]
    fn what_does_not_save_is_left_alone() {
        for text in
            ["", "x", "a\n\nb\n", "{\"a\":1}", "1", "\"s\"", "one\none\n", "⟪lines 1-2 again⟫", "{\"a\": "]
        {
            assert_eq!(folded(text), text);
        }
        // Marks of the text's own are never read as ours.
        let line = "a line that is long enough to be worth a fold, if it were not for the mark\n";
        let text = format!("⟪lines 1-2 again⟫\n{}", line.repeat(4));
        assert_eq!(folded(&text), text);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn lines_unfold_to_the_same_data(
            lines in prop::collection::vec(prop::sample::select(vec![
                "a\n", "b b b b b b b b b b b b b b b b b b b b b b b\n", "\n", "  \n", "c\r\n", "⟪the line above 2 times more⟫\n",
                "a longer line with some words in it, to be worth it\n", "last",
            ]), 0..40)
        ) {
            let text = lines.concat();
            let marked = text.contains('⟪');
            for form in lines::forms(&text).into_iter().filter(|_| !marked) {
                let unfolded = unfold(&form.text);
                prop_assert!(same_data(&text, &unfolded), "{:?} -> {:?} -> {:?}", text, form.text, unfolded);
                let slices = super::super::assemble::slices(&text, &form.kept);
                let mut whole = form.text.bytes();
                prop_assert!(slices.bytes().all(|byte| whole.any(|other| other == byte)));
            }
            folded(&text);
        }

        #[test]
        fn json_unfolds_to_equal_data(value in value(), indent in any::<bool>()) {
            let text = if indent { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            for form in json::forms(&text).unwrap() {
                let folded: serde_json::Value = serde_json::from_str(&form.text).unwrap();
                let unfolded: serde_json::Value = serde_json::from_str(&unfold(&form.text)).unwrap();
                prop_assert_eq!(&unfolded, &value, "{}", folded);
            }
            folded(&text);
        }

        #[test]
        fn any_text_is_taken(text in "\\PC{0,60}|[\\[\\]{}:,\"a1_\n ]{0,40}|(⟪(lines [0-9]{1,3}-[0-9]{1,3} again|the line above [0-9]{1,3} times more)⟫\n?|x\n){0,6}") {
            folded(&text);
            prop_assert!(unfold(&unfold(&text)).len() >= text.trim().len().min(1));
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::{Value, json};
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z \"\\\\\n<é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            let like = prop::collection::vec((inner.clone(), inner.clone()), 0..5)
                .prop_map(|rows| rows.into_iter().map(|(a, b)| json!({"a": a, "b b": b})).collect::<Value>());
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c_]{1,2}|_columns|_rows", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<Value>()),
                like,
            ]
        })
    }
}
