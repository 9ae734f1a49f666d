//! Tests of the choice that `auto` makes by the shape of documents.

use super::{ByteCounter, FakeScorer, PROTECTOR, is_marked, without_marks};
use crate::compress::{
    Choice, Compressed, Constraints, Document, Method, Mode, Prompt, Target, Tools, compress,
};
use crate::model::Cancel;
use crate::text::{MarkStyle, TokenCounter};

fn prompt(texts: &[&str]) -> Prompt {
    let document =
        |(i, text): (usize, &&str)| Document { id: format!("d{i}"), title: None, text: (*text).into() };
    Prompt { documents: texts.iter().enumerate().map(document).collect(), ..Prompt::default() }
}

fn with_tools<R>(work: impl FnOnce(&Tools) -> R) -> R {
    let cancel = Cancel::never();
    work(&Tools { scorer: Some(&FakeScorer { piece: 3 }), ..Tools::bare(&ByteCounter, &PROTECTOR, &cancel) })
}

fn auto(prompt: &Prompt, rate: f64) -> Compressed {
    with_tools(|tools| compress(prompt, Target::Rate(rate), Method::Auto, Mode::Exact, tools)).unwrap()
}

const PROGRAM: &str =
    "fn main() {\n    let total = sum(&values);\n    print(total);\n    store(total, \"a.txt\");\n}\n";

#[test]
fn programs_lose_whole_lines() {
    let compressed = auto(&prompt(&[PROGRAM]), 0.6);
    assert!(compressed.reason.contains("looks like code"), "{}", compressed.reason);
    let lines: Vec<&str> = PROGRAM.lines().map(str::trim).collect();
    for line in compressed.prompt.lines().filter(|line| !is_marked(line)) {
        assert!(lines.contains(&line.trim()), "{line:?} of {:?}", compressed.prompt);
    }
    // Beside prose, which goes by words.
    let prose = "The total is the sum of all values, and it is written to a file that was named by hand.";
    let both = auto(&prompt(&[prose, PROGRAM]), 0.6);
    assert!(both.reason.contains("document `d1`"), "{}", both.reason);
    assert!(
        without_marks(MarkStyle::default(), &both.documents[1].text)
            .lines()
            .all(|line| line.trim().is_empty() || lines.contains(&line.trim())),
        "{:?}",
        both.documents[1].text
    );
}

#[test]
fn a_line_that_is_longer_than_the_budget_is_cut() {
    let long = format!(
        "{{\"a\": [{}]}}",
        (0..40).map(|i| format!("\"word{i} more\"")).collect::<Vec<_>>().join(", ")
    );
    let compressed = auto(&prompt(&[&long]), 0.2);
    assert!(compressed.compressed_tokens <= compressed.requested_tokens && !compressed.prompt.is_empty());
}

#[test]
fn what_folds_to_the_budget_is_folded() {
    let rows: Vec<String> =
        (0..20).map(|i| format!("{{\"identifier\": {i}, \"description\": \"x{i}\"}}")).collect();
    let json = format!("[{}]", rows.join(",\n  "));
    let folded = auto(&prompt(&[&json]), 0.6);
    assert!(folded.reason.starts_with("`auto` chose `lossless`"), "{}", folded.reason);
    // Where nothing may be put in, or where all fits, nothing is folded.
    let mut verbatim = prompt(&[&json]);
    verbatim.constraints = Constraints { verbatim: true, ..Constraints::default() };
    assert!(!auto(&verbatim, 0.6).reason.contains("lossless"));
    assert_eq!(auto(&prompt(&[&json]), 1.0).prompt, json);
}

/// Counts bytes, and how often it was asked to.
#[derive(Default)]
struct CountedCalls(std::sync::atomic::AtomicUsize);

impl TokenCounter for CountedCalls {
    fn name(&self) -> &'static str {
        "counted calls"
    }

    fn count(&self, text: &str) -> usize {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        text.len()
    }
}

#[test]
fn a_prompt_is_folded_once() {
    let rows: Vec<String> =
        (0..20).map(|i| format!("{{\"identifier\": {i}, \"description\": \"x{i}\"}}")).collect();
    let prompt = prompt(&[&format!("[{}]", rows.join(",\n  "))]);
    let calls = |method| {
        let counter = CountedCalls::default();
        let cancel = Cancel::never();
        let tools = Tools::bare(&counter, &PROTECTOR, &cancel);
        let compressed = compress(&prompt, Target::Rate(0.6), method, Mode::Exact, &tools).unwrap();
        assert!(compressed.compressed_tokens < compressed.original_tokens);
        counter.0.into_inner()
    };
    assert_eq!(calls(Method::Auto), calls(Method::Lossless));
}

#[test]
fn the_choice_needs_no_model_and_a_named_method_is_left_alone() {
    let cancel = Cancel::never();
    let bare = Tools::bare(&ByteCounter, &PROTECTOR, &cancel);
    let of =
        |prompt: &Prompt, method, mode| Choice::of(prompt, Target::Rate(0.5), (method, mode), &bare).unwrap();
    let mut asked = prompt(&["Just a sentence."]);
    assert_eq!(of(&asked, Method::Auto, Mode::Exact).method, Method::LlmLingua);
    asked.question = "Is it?".into();
    assert_eq!(of(&asked, Method::Auto, Mode::Exact).method, Method::Hybrid);
    assert_eq!(of(&asked, Method::Auto, Mode::Reference).method, Method::LlmLingua);
    let named = of(&prompt(&[PROGRAM]), Method::LlmLingua, Mode::Exact);
    assert_eq!(named.why, None);
}
