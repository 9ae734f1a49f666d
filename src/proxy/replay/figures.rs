//! The figures of conversations that were played.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::quotes::{Kind, Quote, holds};
use crate::proxy::decision::Tokens;

/// The part of something that is still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The number that is there.
    pub kept: usize,
    /// The number that there was.
    pub of: usize,
}

/// The effect of folding on results, and the later quotes that it loses.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Share of results' characters that were taken out.
    pub characters_saved: f64,
    /// Share of results' tokens that were taken out.
    pub tokens_saved: f64,
    /// Characters of the results.
    pub characters: usize,
    /// Tokens of the results.
    pub tokens: usize,
    /// Results that were changed.
    pub changed: usize,
    /// Changed results with a mark of what was left out.
    pub marked: usize,
    /// Lines, identifiers and answers' words that are quoted later.
    pub quotes: Kept,
    /// Lines that edits have to find.
    pub lines: Kept,
    /// Words of later calls.
    pub ids: Kept,
    /// Words of answers.
    pub answers: Kept,
    /// Texts of several lines that edits have to find in one piece.
    pub blocks: Kept,
    /// Edits of what was read.
    pub edits: usize,
    /// Edits with a line that is not there any more.
    pub edits_with_a_lost_line: usize,
    /// Changed results that were JSON.
    pub json: usize,
    /// Changed results that were JSON and are no more.
    pub json_broken: usize,
    /// Requests that do not begin with the one before.
    pub prefixes_broken: usize,
}

impl Kept {
    fn count(&mut self, is_there: bool) {
        self.of += 1;
        self.kept += usize::from(is_there);
    }
}

/// The results of a conversation at its end.
pub(super) struct Seen<'r> {
    /// The results as they came, with their tokens.
    pub(super) original: &'r [(String, usize)],
    /// The results as they were sent.
    pub(super) sent: &'r [String],
    /// Tokens of the changed ones.
    pub(super) tokens: Tokens,
}

/// Figures while they are made.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) turns: usize,
    figures: Figures,
    characters_sent: usize,
    spared: usize,
    /// Conversations that have ended.
    ended: usize,
    edits: BTreeSet<(usize, usize)>,
    lost: BTreeSet<(usize, usize)>,
}

impl Tally {
    /// Takes note of a request.
    pub(super) fn turn(&mut self, keeps_prefix: bool) {
        self.turns += 1;
        self.figures.prefixes_broken += usize::from(!keeps_prefix);
    }

    /// Looks for what is quoted in the results that are sent.
    pub(super) fn look<'q>(&mut self, quotes: impl Iterator<Item = &'q Quote>, sent: &[String]) {
        for quote in quotes {
            let is_there = sent.iter().any(|result| holds(result, &quote.text));
            let figures = &mut self.figures;
            let kept = match quote.kind {
                Kind::Block => &mut figures.blocks,
                Kind::Line => &mut figures.lines,
                Kind::Id => &mut figures.ids,
                Kind::Answer => &mut figures.answers,
            };
            kept.count(is_there);
            if quote.kind != Kind::Block {
                figures.quotes.count(is_there);
            }
            if let Some(edit) = quote.edit.map(|edit| (self.ended, edit)) {
                self.edits.insert(edit);
                if !is_there && quote.kind == Kind::Line {
                    self.lost.insert(edit);
                }
            }
        }
    }

    /// Compares the results of a conversation, at its end, with what was sent.
    pub(super) fn end(&mut self, seen: &Seen) {
        self.ended += 1;
        self.spared += seen.tokens.before.saturating_sub(seen.tokens.after);
        let figures = &mut self.figures;
        for ((original, tokens), sent) in seen.original.iter().zip(seen.sent) {
            figures.tokens += tokens;
            figures.characters += original.chars().count();
            self.characters_sent += sent.chars().count();
            if original == sent {
                continue;
            }
            figures.changed += 1;
            figures.marked += usize::from(holds(sent, "left out"));
            let is_json = |text: &str| {
                text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok()
            };
            if is_json(original) {
                figures.json += 1;
                figures.json_broken += usize::from(!is_json(sent));
            }
        }
    }

    pub(super) fn figures(self) -> Figures {
        let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
        let figures = self.figures;
        Figures {
            characters_saved: share(
                figures.characters.saturating_sub(self.characters_sent),
                figures.characters,
            ),
            tokens_saved: share(self.spared, figures.tokens),
            edits: self.edits.len(),
            edits_with_a_lost_line: self.lost.len(),
            ..figures
        }
    }
}
