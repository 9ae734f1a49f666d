//! Folding: makes results of tools smaller without a model, and says in place of what is left out that it is.
//!
//! | rule | what | becomes |
//! |---|---|---|
//! | [`Rule::Repeats`] | lines that stand earlier in the request, or in the same result | a mark that says where |
//! | [`Rule::Runs`] | lines alike but for numbers | the first two, a mark, the last |
//! | [`Rule::Search`] | hits of a search | grouped by path; those that are very long cut, with a mark |
//! | [`Rule::Progress`] | download and build progress | the first, a mark, the last |
//! | [`Rule::Json`] | JSON | without white space, or in columns |
//! | [`Rule::Terminal`] | control codes, overwritten lines, white space at line ends, blank lines in a row | what a terminal shows |
//! | [`Rule::Passed`] | tests that passed | the first, a mark |
//! | [`Rule::Blobs`] | base64 and hexadecimal of 240 characters or more | its beginning, a mark |
//!
//! A text depends on the texts before it in the request and on the rules, on nothing else: the same request gives the
//! same bytes, and a longer one begins with the bytes of the shorter one. Time is linear in the size of the texts.
//! A text that has marks already is left as it is.

mod blobs;
mod json;
mod lines;
mod passing_tests;
mod progress;
mod repeats;
mod runs;
mod search;
mod terminal;

use lines::Line;
use repeats::Index;
use serde::{Deserialize, Serialize};

use crate::text::MarkStyle;

/// A way of folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Lines that stand earlier in the request.
    Repeats,
    /// Lines alike but for numbers.
    Runs,
    /// Hits of a search.
    Search,
    /// Download and build progress.
    Progress,
    /// White space and keys of JSON.
    Json,
    /// Control codes and overwritten lines, which a terminal does not show.
    Terminal,
    /// Tests that passed.
    Passed,
    /// Encoded binary data.
    Blobs,
}

impl Rule {
    /// All rules, in the order in which the ledger lists them.
    pub const ALL: [Self; 8] = [
        Self::Repeats,
        Self::Runs,
        Self::Search,
        Self::Progress,
        Self::Json,
        Self::Terminal,
        Self::Passed,
        Self::Blobs,
    ];

    /// The name of the rule in configuration, headers and the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repeats => "repeats",
            Self::Runs => "runs",
            Self::Search => "search",
            Self::Progress => "progress",
            Self::Json => "json",
            Self::Terminal => "terminal",
            Self::Passed => "passed",
            Self::Blobs => "blobs",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rules(u8);

impl Rules {
    /// Every rule.
    pub const ALL: Self = Self(u8::MAX);
    /// No rule.
    pub const NONE: Self = Self(0);
    /// The rules that may change what a file holds: an edit has to match every other byte.
    const OF_FILES: Self = Self(Rule::Repeats.bit() | Rule::Terminal.bit());

    /// Returns the set with `rule` in it.
    #[must_use]
    pub const fn with(self, rule: Rule) -> Self {
        Self(self.0 | rule.bit())
    }

    /// Returns the set without `rule`.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 & !rule.bit())
    }

    /// Whether `rule` is in the set.
    #[must_use]
    pub const fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The origin of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file, or a part of one, which an edit may have to match byte for byte.
    File,
    /// Hits of a search in files.
    Search,
    /// Any other output.
    Output,
}

/// A folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded<'t> {
    text: String,
    lines: Vec<Line<'t>>,
    saved: [usize; Rule::ALL.len()],
}

impl Folded<'_> {
    /// The text to be sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of bytes that each rule took out, in the order of [`Rule::ALL`].
    #[must_use]
    pub const fn saved(&self) -> [usize; Rule::ALL.len()] {
        self.saved
    }
}

/// Folds the results of one request, in their order.
#[derive(Debug, Default)]
pub struct Folder {
    index: Index,
}

impl Folder {
    /// Takes note of a text that goes on as it is, so that later results may refer to it. `place` says where it stands,
    /// such as `the result of Read a.rs`.
    pub fn see(&mut self, place: &str, text: &str) {
        self.index.add(place, &lines::split(text));
    }

    /// Takes note of a folded text that goes on. Nothing is found in its marks.
    pub fn see_folded(&mut self, place: &str, folded: &Folded) {
        self.index.add(place, &folded.lines);
    }

    /// Folds a result by `rules`. None where nothing becomes smaller. What goes on, the text or the folded one, is to
    /// be noted next.
    #[must_use]
    pub fn folded<'t>(&self, text: &'t str, origin: Origin, rules: Rules) -> Option<Folded<'t>> {
        if rules.is_empty() || MarkStyle::beside([text]) != MarkStyle::default() {
            return None;
        }
        let mut saved = [0; Rule::ALL.len()];
        if json::is_json(text) {
            let smaller = json::fold(text).filter(|_| origin != Origin::File && rules.has(Rule::Json))?;
            saved[Rule::Json as usize] = text.len() - smaller.len();
            // Its lines are no part of any other text's.
            return Some(Folded { text: smaller, lines: Vec::new(), saved });
        }
        let rules = if origin == Origin::File { Rules(rules.0 & Rules::OF_FILES.0) } else { rules };
        let mut lines = lines::split(text);
        let mut size = text.len();
        // What is taken off a line first makes more lines equal.
        for rule in [
            Rule::Terminal,
            Rule::Progress,
            Rule::Passed,
            Rule::Runs,
            Rule::Blobs,
            Rule::Search,
            Rule::Repeats,
        ] {
            if rules.has(rule) {
                lines = self.apply(rule, lines, origin);
                let now = lines::size(&lines);
                saved[rule as usize] = size.saturating_sub(now);
                size = now;
            }
        }
        let folded = Folded { text: lines::join(&lines), lines, saved };
        (folded.text.len() < text.len() && !folded.text.trim().is_empty()).then_some(folded)
    }

    fn apply<'t>(&self, rule: Rule, lines: Vec<Line<'t>>, origin: Origin) -> Vec<Line<'t>> {
        match rule {
            Rule::Repeats => self.index.fold(lines, origin),
            Rule::Runs => runs::fold(lines),
            Rule::Search => search::fold(lines, origin),
            Rule::Progress => progress::fold(lines),
            Rule::Terminal => terminal::fold(lines, origin),
            Rule::Passed => passing_tests::fold(lines),
            Rule::Blobs => blobs::fold(lines),
            Rule::Json => lines,
        }
    }
}

#[cfg(test)]
mod tests;
