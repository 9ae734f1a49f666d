//! Hits of searches in files: `path:12:text`.

use std::borrow::Cow;

use super::Origin;
use super::lines::Line;
use crate::text::{Mark, MarkStyle, Noun};

/// Fewest hits of one path in a row that are grouped.
const LEAST: usize = 3;
/// Longest hit, in bytes; a longer one is cut.
const LONGEST: usize = 1500;
/// Bytes that stay of a hit that is cut: of its beginning and its end.
const STAY: [usize; 2] = [1000, 200];

pub(super) fn fold(lines: Vec<Line<'_>>, origin: Origin) -> Vec<Line<'_>> {
    let lines: Vec<Line> = lines.into_iter().map(|line| shortened(line, origin)).collect();
    let mut folded = Vec::with_capacity(lines.len());
    let mut at = 0;
    while at < lines.len() {
        let path = path(&lines[at]).map(str::to_owned);
        let run = path
            .as_ref()
            .map_or(1, |path| lines[at..].iter().take_while(|line| self::path(line) == Some(path)).count());
        let group = lines.get(at..at + run).unwrap_or_default();
        match path.filter(|_| run >= LEAST) {
            Some(path) => grouped(group, &path, &mut folded),
            None => folded.extend_from_slice(group),
        }
        at += run;
    }
    folded
}

/// The path once, then its hits.
fn grouped<'t>(group: &[Line<'t>], path: &str, folded: &mut Vec<Line<'t>>) {
    let number = group.first().map_or(1, |line| line.number);
    folded.push(Line { text: format!("{path}:\n").into(), number, is_mark: false });
    let hit = |line: &Line<'t>| {
        let text = match &line.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[path.len() + 1..]),
            Cow::Owned(text) => Cow::Owned(text[path.len() + 1..].to_owned()),
        };
        Line { text, number: line.number, is_mark: false }
    };
    folded.extend(group.iter().map(hit));
}

/// The path of a hit: what stands before `:`, a line's number, and `:`.
fn path<'l>(line: &'l Line) -> Option<&'l str> {
    let text: &str = &line.text;
    let (path, rest) = text.split_once(':')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let is_path = path.contains(['/', '.']) && !path.contains([' ', '\t', '"', '(', '{']);
    (!line.is_mark && is_path && (1..=7).contains(&digits) && rest[digits..].starts_with(':')).then_some(path)
}

/// A hit that is not too long.
fn shortened(line: Line<'_>, origin: Origin) -> Line<'_> {
    let is_hit = origin == Origin::Search || path(&line).is_some();
    if !is_hit || line.text.len() <= LONGEST {
        return line;
    }
    let text: &str = &line.text;
    let start = (0..=STAY[0]).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (text.len() - STAY[1]..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let mark = MarkStyle::default().write(&Mark::new(end - start, Noun::Bytes));
    Line { text: format!("{}{mark}{}", &text[..start], &text[end..]).into(), ..line }
}
