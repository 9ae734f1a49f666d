//! The classification of a whole text by its shape: a guess that costs one pass over the lines. The kinds of its
//! parts are told in `segments`.

use std::sync::LazyLock;

use regex::Regex;

use super::json::json_tokens;

/// A kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sentences, and whatever is nothing else.
    Prose,
    /// A program.
    Code,
    /// JSON, or one JSON value a line.
    Json,
    /// Lines that begin with a time or a level.
    Log,
    /// A unified diff.
    Diff,
    /// Rows with as many cells each.
    Table,
    /// Turns of named speakers.
    Chat,
}

/// Lines that are looked at.
const LOOKED_AT: usize = 400;
/// Fewer lines than this are no log, table, chat or program.
const FEW: usize = 3;

static LOG: LazyLock<Regex> = LazyLock::new(|| {
    let time =
        r"\[?\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d";
    let level = r"\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)(?-u:\b)";
    Regex::new(&format!("^(?:{time}|{level})")).expect("a test compiles it")
});

static CODE: LazyLock<Regex> = LazyLock::new(|| {
    let end = r"[;{}]\s*$|\)\s*[:{]\s*$";
    let begin = r"^\s*(?:(?:pub |async |static |export |private |public )*(?:fn|def|func|function|class|struct|enum|impl|interface|import|from|use|using|package|return|let|const|var|if|else|for|while|switch|match|try|catch)(?-u:\b).*[({:;=]|#include|//|/\*|\*/|@\w+)";
    Regex::new(&format!("{end}|{begin}|^\\s*[\\w.\\[\\]]+\\s*(?:[-+*/|&]?=)\\s*\\S"))
        .expect("a test compiles it")
});

static SPEAKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\p{Lu}[\p{L}\d_.' -]*|user|assistant|system): \S").expect("a test compiles it")
});

/// Most characters of a speaker's name.
const LONGEST_NAME: usize = 31;

impl Kind {
    /// The kind that `text` looks like.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if is_json(text) {
            return Self::Json;
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(LOOKED_AT).collect();
        let share = |is: &dyn Fn(&str) -> bool| {
            lines.iter().filter(|line| is(line)).count() as f64 / lines.len().max(1) as f64
        };
        if is_diff(&lines) {
            Self::Diff
        } else if lines.len() < FEW {
            Self::Prose
        } else if share(&|line| LOG.is_match(line)) > 0.5 {
            Self::Log
        } else if is_table(&lines) {
            Self::Table
        } else if is_chat(&lines) {
            Self::Chat
        } else if share(&|line| CODE.is_match(line)) > 0.5 {
            Self::Code
        } else {
            Self::Prose
        }
    }

    /// Returns whether a line of such text has meaning only as a whole.
    #[must_use]
    pub const fn goes_by_lines(self) -> bool {
        match self {
            Self::Code | Self::Json | Self::Log | Self::Diff | Self::Table => true,
            Self::Prose | Self::Chat => false,
        }
    }

    /// Returns the name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prose => "prose",
            Self::Code => "code",
            Self::Json => "JSON",
            Self::Log => "a log",
            Self::Diff => "a diff",
            Self::Table => "a table",
            Self::Chat => "a chat",
        }
    }
}

fn is_json(text: &str) -> bool {
    let is_value = |text: &str| text.starts_with(['{', '[']) && json_tokens(text).is_ok();
    let text = text.trim();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(LOOKED_AT).peekable();
    is_value(text)
        || (text.starts_with('{') && lines.peek().is_some() && lines.all(|line| is_value(line.trim())))
}

fn is_diff(lines: &[&str]) -> bool {
    let hunk = lines.iter().any(|line| line.starts_with("@@ -") && line[3..].contains(" @@"));
    let header = lines.windows(2).any(|pair| pair[0].starts_with("--- ") && pair[1].starts_with("+++ "));
    hunk && (header || lines.iter().any(|line| line.starts_with(['+', '-'])))
}

/// Returns whether nearly all lines have the most common number of cells.
fn is_table(lines: &[&str]) -> bool {
    ['|', '\t', ';', ','].into_iter().any(|mark| {
        let counts: Vec<usize> = lines.iter().map(|line| line.matches(mark).count()).collect();
        let mut sorted = counts.clone();
        sorted.sort_unstable();
        let usual = sorted[sorted.len() / 2];
        let alike = counts.iter().filter(|&&count| count == usual).count();
        usual > 1 && alike * 10 >= counts.len() * 9
    })
}

/// Returns whether most lines are turns of at least two speakers, one of whom speaks more than once.
fn is_chat(lines: &[&str]) -> bool {
    let speaker = |line: &&str| Some(SPEAKER.captures(line)?.get(1)?.range());
    let names = lines.iter().filter_map(|line| Some(&line[speaker(line)?]));
    let speakers: Vec<&str> = names.filter(|name| name.chars().nth(LONGEST_NAME).is_none()).collect();
    let different: std::collections::BTreeSet<&str> = speakers.iter().copied().collect();
    speakers.len() * 2 > lines.len() && different.len() > 1 && different.len() < speakers.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_is_known_by_its_shape() {
        let code = include_str!("kind.rs");
        let prose = include_str!("../../eval/texts/incident.md");
        for (text, kind) in [
            (code, Kind::Code),
            (prose, Kind::Prose),
            ("def f(x):\n    y = x + 1\n    return g(y)\n\nclass A:\n    pass\n", Kind::Code),
            (" {\"a\": [1, 2]}\n", Kind::Json),
            ("{\"a\": 1}\n{\"a\": 2}\n", Kind::Json),
            (
                "2024-05-14 09:42:01 INFO started\n2024-05-14 09:42:02 ERROR failed\n  at line 3\n2024-05-14 09:43:00 INFO x",
                Kind::Log,
            ),
            ("[INFO] a\n[WARN] b\n[INFO] c", Kind::Log),
            ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", Kind::Diff),
            ("id,name,age\n1,Ann,30\n2,Bob,41\n", Kind::Table),
            ("| a | b |\n|---|---|\n| 1 | 2 |\n", Kind::Table),
            ("Ann: hello there\nBob: hi\nAnn: how are you?\n", Kind::Chat),
            ("One sentence here.\nAnother, with a comma, stands there.\nA third one follows.\n", Kind::Prose),
            ("Name: Ann\n", Kind::Prose),
            ("", Kind::Prose),
        ] {
            assert_eq!(Kind::of(text), kind, "{}", &text[..text.len().min(60)]);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_kind(text in "(\\PC|\n|\t){0,200}") {
            let kind = Kind::of(&text);
            prop_assert!(!kind.name().is_empty());
        }
    }
}
