//! The promises of exact mode on random prompts, with a scorer that needs no weights.

mod auto;
mod constraints;
mod counts;
mod structure;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::assemble::render_original;
use super::{
    CompressError, Compressed, Document, KeptDocument, Method, Mode, Prompt, Target, Tools, assemble::slices,
    compress,
};
use crate::model::{Cancel, Embedder, ScoreError, ScoreJob, ScoreSession, Token, TokenScorer};
use crate::text::{MarkStyle, Protector, TokenCounter, for_name, segments};

/// Tokens of up to `piece` bytes, wherever a character may end; the likelihood is a hash of id and place.
pub(super) struct FakeScorer {
    pub(super) piece: usize,
}

fn fake_nll(id: u32, place: usize) -> f32 {
    let hash = (u64::from(id) << 20 ^ place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 40) as f32 / 1e6
}

impl TokenScorer for FakeScorer {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn encode(&self, text: &str) -> Vec<Token> {
        let bytes = text.as_bytes().chunks(self.piece);
        let id = |piece: &[u8]| piece.iter().fold(7_u32, |id, &byte| id.wrapping_mul(257) ^ u32::from(byte));
        let starts = (0..).step_by(self.piece);
        bytes.zip(starts).map(|(piece, at)| Token { id: id(piece), range: at..at + piece.len() }).collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        ids.iter().fold(String::new(), |text, id| text + &format!("<{id}>"))
    }

    fn window(&self) -> usize {
        512
    }

    fn context(&self) -> usize {
        8192
    }

    fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        cancel.check()?;
        let scores = |job: &ScoreJob| {
            let first = usize::from(job.prefix.is_empty());
            job.ids.iter().enumerate().skip(first).map(|(place, &id)| fake_nll(id, place)).collect()
        };
        Ok(jobs.iter().map(scores).collect())
    }

    fn session(&self) -> Box<dyn ScoreSession + '_> {
        unreachable!("exact mode opens no session")
    }
}

/// Compiling its patterns takes long.
pub(super) static PROTECTOR: LazyLock<Protector> = LazyLock::new(Protector::default);

/// Every byte is a token.
pub(super) struct ByteCounter;

impl TokenCounter for ByteCounter {
    fn name(&self) -> &'static str {
        "bytes"
    }

    fn count(&self, text: &str) -> usize {
        text.len()
    }
}

/// Words, numbers and marks of many scripts, with what separates them and with nothing between them.
fn text(most: usize) -> impl Strategy<Value = String> {
    const PIECES: [&str; 64] = [
        "the",
        "budget",
        "was",
        "not",
        "approved",
        "never",
        "cannot",
        "Ünïcode",
        "naïve",
        "x",
        "_",
        "a_b",
        "camelCase",
        "std::mem::swap",
        "$1,250.50",
        "-3.5 °C",
        "12.5%",
        "March 15, 2024",
        "March\n15",
        "no\none",
        "2024-03-15",
        "11:30 p.m.",
        "v2.0.0-rc.1",
        "https://example.org/a?b=c",
        "src/main.rs",
        "a@b.example.org",
        "\"so be it\"",
        "“wörtlich”",
        "`ls -l`",
        "```sh\nrm x\n```\n",
        "<|endoftext|>",
        "<|im_start|>user",
        "預算",
        "委員會",
        "ไทย",
        "ひらがな",
        "한국어",
        "שלום",
        "مرحبا",
        "नमस्ते",
        "👩\u{200d}👩\u{200d}👧",
        "👍🏽",
        "🇩🇪🇫🇷",
        "e\u{301}",
        " \u{301}",
        ".\u{301}",
        "\u{301}",
        "\u{200d}",
        "\u{feff}",
        "\u{202e}",
        "\u{0}",
        "\u{1b}[31m",
        "\u{fffd}",
        "½",
        "—",
        ".",
        ",",
        "(",
        ")",
        "\r\n",
        "\n\n",
        "\t",
        "\u{a0}",
        "\u{2028}",
    ];
    let gap = prop_oneof![6 => Just(" "), 2 => Just(""), 1 => Just("\n"), 1 => Just("  ")];
    let piece = prop_oneof![
        12 => prop::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        6 => "[a-zA-Z]{1,9}",
        1 => "\\PC{1,6}",
        1 => "[0-9.,:/-]{1,8}",
    ];
    prop::collection::vec((piece, gap), 0..most)
        .prop_map(|parts| parts.into_iter().fold(String::new(), |text, (piece, gap)| text + &piece + gap))
}

fn prompt() -> impl Strategy<Value = Prompt> {
    let title = || prop::option::of(text(4));
    let documents = prop_oneof![
        2 => prop::collection::vec((title(), text(150)), 1..2),
        1 => prop::collection::vec((title(), text(40)), 1..7),
    ];
    let edge = || prop_oneof![2 => Just(String::new()), 1 => text(12)];
    (edge(), documents, edge()).prop_map(|(instruction, documents, question)| {
        let documents = documents
            .into_iter()
            .enumerate()
            .map(|(i, (title, text))| Document { id: i.to_string(), title, text })
            .collect();
        Prompt { instruction, documents, question, ..Prompt::default() }
    })
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        3 => (0.001..1.0_f64).prop_map(Target::Rate),
        1 => Just(Target::Rate(1.0)),
        3 => (1_usize..400).prop_map(Target::Tokens),
        1 => (1_usize..20).prop_map(Target::Tokens),
    ]
}

/// A vector that depends on the bytes of the text and on nothing else.
struct FakeEmbedder;

impl Embedder for FakeEmbedder {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn dimensions(&self) -> usize {
        2
    }

    fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
        Ok(text.split_whitespace().count())
    }

    fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
        let angle = |text: &&str| {
            text.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) as f32
        };
        Ok(texts.iter().map(|text| vec![angle(text).cos(), angle(text).sin()]).collect())
    }
}

fn run(
    prompt: &Prompt,
    target: Target,
    piece: usize,
    counter: &dyn TokenCounter,
) -> Result<Compressed, CompressError> {
    let cancel = Cancel::never();
    let tools = Tools {
        scorer: Some(&FakeScorer { piece }),
        embedder: Some(&FakeEmbedder),
        ..Tools::bare(counter, &PROTECTOR, &cancel)
    };
    // All methods get their share of the random prompts.
    let method = match piece {
        5 => Method::SelectiveContext,
        1 => Method::Auto,
        3 if !prompt.question.trim().is_empty() => Method::Extractive,
        2 | 4 if !prompt.question.trim().is_empty() => Method::LongLlmLingua,
        _ => Method::LlmLingua,
    };
    compress(prompt, target, method, Mode::Exact, &tools)
}

/// A result without its marks of this style, whether they count or are short.
fn without_marks(style: MarkStyle, text: &str) -> String {
    style.short().remove(&style.remove(text))
}

/// Returns whether there is a mark on a line.
fn is_marked(line: &str) -> bool {
    without_marks(MarkStyle::default(), line) != line
}

fn is_subsequence(part: &str, whole: &str) -> bool {
    let mut whole = whole.bytes();
    part.bytes().all(|wanted| whole.any(|byte| byte == wanted))
}

/// Checks that the kept ranges of a document account for its text, in whole graphemes and whole protected spans.
fn check_document(original: &str, document: &KeptDocument) -> Result<(), TestCaseError> {
    let KeptDocument { text, kept, marks, .. } = document;
    let mut unmarked = text.clone();
    for (_, mark) in marks {
        let at = unmarked.find(mark.as_str());
        prop_assert!(at.is_some(), "{mark} is not in {text:?}");
        unmarked.replace_range(at.unwrap()..at.unwrap() + mark.len(), "");
    }
    prop_assert_eq!(unmarked, slices(original, kept));
    prop_assert!(kept.iter().all(|range| !range.is_empty()), "{kept:?}");
    prop_assert!(kept.windows(2).all(|pair| pair[0].end < pair[1].start), "{kept:?}");
    let mut bounds: Vec<usize> = original.grapheme_indices(true).map(|(at, _)| at).collect();
    bounds.push(original.len());
    for range in kept {
        for at in [range.start, range.end] {
            prop_assert!(bounds.binary_search(&at).is_ok(), "grapheme cut at {at} of {original:?}");
        }
    }
    // A span over the border of what goes by records is none.
    let borders: Vec<usize> = segments(original)
        .into_iter()
        .filter(|segment| !segment.kind.goes_by_words())
        .flat_map(|segment| [segment.range.start, segment.range.end])
        .collect();
    for span in PROTECTOR.spans(original) {
        if borders.iter().any(|border| (span.start + 1..span.end).contains(border)) {
            continue;
        }
        let touched = kept.iter().any(|range| range.start < span.end && span.start < range.end);
        let whole = kept.iter().any(|range| range.start <= span.start && span.end <= range.end);
        prop_assert!(whole || !touched, "{:?} is cut: {text:?} of {original:?}", &original[span]);
    }
    Ok(())
}

fn check(
    prompt: &Prompt,
    target: Target,
    counter: &dyn TokenCounter,
    got: &Compressed,
) -> Result<(), TestCaseError> {
    let original = render_original(prompt);
    let budget = target.tokens(counter.count(&original));
    prop_assert_eq!(got.requested_tokens, budget);
    prop_assert_eq!(got.original_tokens, counter.count(&original));
    prop_assert_eq!(got.compressed_tokens, counter.count(&got.prompt));
    prop_assert!(got.compressed_tokens <= budget && got.compressed_tokens <= got.original_tokens);
    let unmarked = without_marks(MarkStyle::beside([&*original]), &got.prompt);
    prop_assert!(is_subsequence(&unmarked, &original), "{:?} of {original:?}", got.prompt);
    prop_assert!(got.prompt.starts_with(&prompt.instruction) && got.prompt.ends_with(&prompt.question));
    let replaced = |text: &str| text.matches('\u{fffd}').count();
    prop_assert!(replaced(&got.prompt) <= replaced(&original));
    prop_assert_eq!(got.documents.len(), prompt.documents.len());
    for (document, kept) in prompt.documents.iter().zip(&got.documents) {
        prop_assert_eq!(&document.id, &kept.id);
        check_document(&document.text, kept)?;
        prop_assert!(got.prompt.contains(&kept.text));
    }
    let something = prompt.documents.iter().any(|document| !document.text.trim().is_empty());
    let left = got.documents.iter().any(|document| !document.text.trim().is_empty());
    prop_assert_eq!(left, something, "nothing is left of {:?}", original);
    if got.original_tokens <= budget {
        prop_assert_eq!(&got.prompt, &original);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_prompts_keep_every_promise(
        prompt in prompt(), target in target(), piece in 1_usize..6, bytes in prop::bool::weighted(0.1),
    ) {
        let counter: Arc<dyn TokenCounter> = if bytes { Arc::new(ByteCounter) } else { for_name("o200k_base").unwrap() };
        match run(&prompt, target, piece, counter.as_ref()) {
            Ok(got) => {
                check(&prompt, target, counter.as_ref(), &got)?;
                let again = run(&prompt, target, piece, counter.as_ref()).unwrap();
                prop_assert_eq!((again.prompt, again.documents), (got.prompt, got.documents));
            }
            Err(CompressError::Infeasible { budget, needed }) => {
                prop_assert_eq!(budget, target.tokens(counter.count(&render_original(&prompt))));
                prop_assert!(needed > budget);
                prop_assert!(target != Target::Rate(1.0));
                // What is said to be needed is enough.
                let got = run(&prompt, Target::Tokens(needed), piece, counter.as_ref());
                prop_assert!(got.is_ok(), "{needed} were said to be enough: {got:?}");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

pub(super) fn document(text: &str, question: &str) -> Prompt {
    let document = Document { id: "0".into(), title: None, text: text.into() };
    Prompt { documents: vec![document], question: question.into(), ..Prompt::default() }
}

#[test]
fn a_budget_below_the_best_word_keeps_a_smaller_one() {
    let url = format!("https://example.org/{}", "zq9x".repeat(60));
    let prompt = document(&format!("{url} a {url} b {url}"), "");
    let got = run(&prompt, Target::Tokens(2), 3, for_name("o200k_base").unwrap().as_ref()).unwrap();
    assert_eq!(got.prompt.trim(), "a b");
}

#[test]
fn a_rate_that_leaves_nothing_is_refused() {
    let got = run(&document("one two three four", ""), Target::Rate(0.01), 3, &ByteCounter);
    assert!(matches!(got, Err(CompressError::Infeasible { budget: 0, needed: 3 })), "{got:?}");
}

#[test]
fn little_room_beside_a_long_question_is_used_up() {
    let prompt = document(&"word ".repeat(50), &"why ".repeat(3000));
    let counter = for_name("o200k_base").unwrap();
    let fixed = counter.count(&prompt.question);
    let got = run(&prompt, Target::Tokens(fixed + 20), 6, counter.as_ref()).unwrap();
    assert!(got.compressed_tokens > fixed + 17, "{} of {}", got.compressed_tokens, fixed + 20);
}
