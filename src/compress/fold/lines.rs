//! Lines of a result while it is folded.

use std::borrow::Cow;

use crate::text::{Mark, MarkStyle, Noun};

/// A line with its line break, or a mark in place of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'t> {
    pub(super) text: Cow<'t, str>,
    /// The number of its first line in the result, from 1.
    pub(super) number: usize,
    /// Whether it is a mark.
    pub(super) is_mark: bool,
}

impl Line<'_> {
    /// The line without its line break.
    pub(super) fn body(&self) -> &str {
        self.text.strip_suffix('\n').unwrap_or(&self.text)
    }
}

/// The lines of `text`.
pub(super) fn split(text: &str) -> Vec<Line<'_>> {
    let line = |(at, line)| Line { text: Cow::Borrowed(line), number: at + 1, is_mark: false };
    text.split_inclusive('\n').enumerate().map(line).collect()
}

/// The text that `lines` make.
pub(super) fn join(lines: &[Line]) -> String {
    lines.iter().map(|line| &*line.text).collect()
}

/// The number of bytes of `lines`.
pub(super) fn size(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.text.len()).sum()
}

/// A mark for `lines`, as a line of its own.
pub(super) fn mark<'t>(lines: &[Line], detail: &str) -> Line<'t> {
    let mark = Mark { detail: Some(detail.to_owned()), ..Mark::new(lines.len(), Noun::Lines) };
    let end = if lines.last().is_none_or(|line| line.text.ends_with('\n')) { "\n" } else { "" };
    Line {
        text: format!("{}{end}", MarkStyle::default().write(&mark)).into(),
        number: lines.first().map_or(1, |line| line.number),
        is_mark: true,
    }
}

/// What stays of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Folds each run of at least `least` lines: `length` says how many lines from the first one on belong together, and
/// `detail` what is left out. A run that does not become smaller stays.
pub(super) fn fold_runs<'t>(
    mut lines: Vec<Line<'t>>,
    (least, stay, detail): (usize, Stay, &str),
    length: impl Fn(&[Line<'t>]) -> usize,
) -> Vec<Line<'t>> {
    let mut folded = Vec::with_capacity(lines.len());
    let mut at = 0;
    while at < lines.len() {
        let run = length(&lines[at..]).max(1);
        let out = at + stay.first.min(run)..(at + run).saturating_sub(stay.last).max(at);
        let mark = (run >= least && out.len() > 1).then(|| mark(&lines[out.clone()], detail));
        let mark = mark.filter(|mark| mark.text.len() < size(&lines[out.clone()]));
        for (place, line) in lines[at..at + run].iter_mut().enumerate() {
            let place = at + place;
            match &mark {
                Some(mark) if place == out.start => folded.push(mark.clone()),
                Some(_) if out.contains(&place) => {}
                _ => folded.push(std::mem::replace(
                    line,
                    Line { text: Cow::Borrowed(""), number: 0, is_mark: false },
                )),
            }
        }
        at += run;
    }
    folded
}

/// Whether `text` speaks of something that went wrong, so that no rule may leave it out.
pub(super) fn is_trouble(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "error",
        "fail",
        "warn",
        "exception",
        "panic",
        "fatal",
        "traceback",
        "denied",
        "refused",
        "abort",
        "critical",
        "not found",
    ];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}
