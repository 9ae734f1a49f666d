//! Later quotes of results of tools: the lines that an edit has to find, and the identifiers, paths and
//! numbers in its calls and answers that stand nowhere but in results.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::recording::{Block, Recorded};

/// Members of a call that hold the text that an edit has to find.
const EDITED: [&str; 5] = ["old_string", "old_str", "oldText", "old_text", "search"];
/// Fewest characters of a line or word that is looked for.
const LEAST: usize = 4;

static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9_$@][A-Za-z0-9_$@./:\-#]*[A-Za-z0-9_]").expect("a test compiles it")
});

/// A kind of quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All that an edit has to find, of several lines.
    Block,
    /// A line of it.
    Line,
    /// A word of a call.
    Id,
    /// A word of an answer.
    Answer,
}

/// A later use of what stood in a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quote {
    /// The index of the message that quotes.
    pub(super) message: usize,
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The number of the edit.
    pub(super) edit: Option<usize>,
}

/// The texts of a conversation so far.
#[derive(Default)]
struct Finder<'c> {
    /// All that was said beside results.
    said: String,
    results: Vec<&'c str>,
    done: HashSet<String>,
    found: Vec<Quote>,
    edits: usize,
}

/// The quotes of a conversation, in order.
pub(super) fn quotes(conversation: &Recorded) -> Vec<Quote> {
    let mut finder = Finder { said: conversation.system.clone(), ..Finder::default() };
    for (at, message) in conversation.messages.iter().enumerate() {
        if message.by_model {
            finder.answer(at, &message.blocks);
            continue;
        }
        for block in &message.blocks {
            match block {
                Block::Result { text, .. } => finder.results.push(text),
                Block::Text(text) => finder.say(text),
                Block::Call { .. } => {}
            }
        }
    }
    finder.found
}

impl Finder<'_> {
    fn say(&mut self, text: &str) {
        self.said.push('\n');
        self.said += text;
    }

    /// Returns whether a text stands in a result, and nowhere else.
    fn is_quote(&self, text: &str) -> bool {
        !holds(&self.said, text) && self.results.iter().any(|result| holds(result, text))
    }

    fn answer(&mut self, message: usize, blocks: &[Block]) {
        let (mut texts, mut written, mut calls) = (Vec::new(), Vec::new(), false);
        for block in blocks {
            match block {
                Block::Text(text) => texts.push(text.clone()),
                Block::Call { input, .. } => {
                    calls = true;
                    for block in &edited(input) {
                        self.edit(message, block);
                    }
                    leaves(input, &mut written);
                }
                Block::Result { .. } => {}
            }
        }
        let kind = if calls { Kind::Id } else { Kind::Answer };
        let here = self.words(if calls { &written } else { &texts });
        self.done.extend(here.iter().cloned());
        self.found.extend(here.into_iter().map(|text| Quote { message, kind, text, edit: None }));
        texts.iter().chain(&written).for_each(|text| self.say(text));
    }

    fn edit(&mut self, message: usize, block: &str) {
        self.edits += 1;
        let edit = Some(self.edits);
        let mut note = |kind, text: &str| {
            self.found.push(Quote { message, kind, text: text.to_owned(), edit });
        };
        let quote =
            |text: &str| !holds(&self.said, text) && self.results.iter().any(|result| holds(result, text));
        if block.trim().contains('\n') && quote(block) {
            note(Kind::Block, block);
        }
        for line in block.split('\n').filter(|line| line.trim().chars().count() >= LEAST && quote(line)) {
            note(Kind::Line, line);
        }
    }

    /// The telling words of `texts` that were not quoted before, without those that are parts of others.
    fn words(&self, texts: &[String]) -> BTreeSet<String> {
        let words = texts.iter().flat_map(|text| WORD.find_iter(text)).map(|found| found.as_str());
        let parts =
            words.flat_map(|word| std::iter::once(word).chain(word.split(['/', ':', '.', '-', '#', '@'])));
        let telling: BTreeSet<&str> = parts.filter(|part| is_telling(part)).collect();
        let new: Vec<&str> =
            telling.into_iter().filter(|word| !self.done.contains(*word) && self.is_quote(word)).collect();
        let is_part = |word: &str| new.iter().any(|other| *other != word && other.contains(word));
        new.iter().filter(|word| !is_part(word)).map(|word| (*word).to_owned()).collect()
    }
}

/// Returns whether `text` stands in `whole`.
pub(super) fn holds(whole: &str, text: &str) -> bool {
    memchr::memmem::find(whole.as_bytes(), text.as_bytes()).is_some()
}

/// Returns whether a word is unlikely to come from anywhere else.
fn is_telling(word: &str) -> bool {
    let sign = |c: char| c.is_ascii_digit() || "_/.:#@$".contains(c);
    let camel =
        word.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let upper = word.bytes().any(|b| b.is_ascii_uppercase()) && !word.bytes().any(|b| b.is_ascii_lowercase());
    word.len() >= LEAST && (word.contains(sign) || (word.contains('-') && word.len() >= 6) || camel || upper)
}

/// The texts and numbers in a value.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, found)),
        Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The texts that the edits of a call have to find.
fn edited(input: &Value) -> Vec<String> {
    match input {
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if EDITED.contains(&&**key) => vec![text.clone()],
                value => edited(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(edited).collect(),
        Value::String(text) if text.contains("*** Begin Patch") => patched(text),
        _ => Vec::new(),
    }
}

/// The lines that each hunk of a patch has to find.
fn patched(patch: &str) -> Vec<String> {
    let (mut hunks, mut hunk) = (Vec::new(), Vec::new());
    for line in patch.split('\n').chain(["@@"]) {
        if line.starts_with("*** ") || line.starts_with("@@") {
            if !hunk.is_empty() {
                hunks.push(std::mem::take(&mut hunk).join("\n"));
            }
        } else if let Some(line) = line.strip_prefix([' ', '-']) {
            hunk.push(line);
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::super::recording::Message;
    use super::*;

    #[test]
    fn quotes_are_what_stands_in_results_alone() {
        let message = |by_model, blocks| Message { by_model, blocks };
        let call = |input| Block::Call { id: "a".into(), name: "edit".into(), input };
        let result = "fn first_one() {\n    let depth = 40717;\n}\nsee src/known.rs and src/new-file.rs";
        let patch = "*** Begin Patch\n*** Update File: x\n@@\n fn first_one() {\n-    let depth = 40717;\n+    let depth = 1;\n*** End Patch";
        let conversation = Recorded {
            system: "You know src/known.rs.".into(),
            messages: vec![
                message(true, vec![call(serde_json::json!({"path": "src/known.rs"}))]),
                message(false, vec![Block::Result { id: "a".into(), text: result.into() }]),
                message(
                    true,
                    vec![call(serde_json::json!({"patch": patch, "old_string": "    let depth = 40717;"}))],
                ),
                message(
                    true,
                    vec![Block::Text("It was 40717 in src/new-file.rs, not in src/other.rs.".into())],
                ),
            ],
        };
        let found = quotes(&conversation);
        let told: Vec<_> = found.iter().map(|q| (q.message, q.kind, &*q.text, q.edit)).collect();
        let depth = "    let depth = 40717;";
        assert_eq!(
            told,
            [
                (2, Kind::Line, depth, Some(1)),
                (2, Kind::Block, "fn first_one() {\n    let depth = 40717;", Some(2)),
                (2, Kind::Line, "fn first_one() {", Some(2)),
                (2, Kind::Line, depth, Some(2)),
                (2, Kind::Id, "40717", None),
                (2, Kind::Id, "first_one", None),
                (3, Kind::Answer, "src/new-file.rs", None),
            ]
        );
    }

    #[test]
    fn words_that_tell_nothing_are_no_quotes() {
        for (word, expected) in [
            ("x_y", false),
            ("x_yz", true),
            ("plain", false),
            ("camelCase", true),
            ("LOUD", true),
            ("a-bc", false),
            ("re-used", true),
        ] {
            assert_eq!(is_telling(word), expected, "{word}");
        }
    }
}
