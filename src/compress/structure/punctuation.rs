//! Marks of punctuation that nothing is left for.

use std::ops::Range;

use super::Structure;
use crate::text::{Segment, Unit, is_terminal};

/// The marks of the prose of a document, in their order.
#[derive(Clone)]
pub(super) struct Marks {
    marks: Vec<(usize, Kind)>,
}

/// The kind of a unit that is one mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A comma, a full stop, a dash and the like.
    Between,
    /// A bracket, with the number of the unit that closes it.
    Opening(usize),
    /// A bracket whose other half lies within a longer unit, with the number of that.
    HalfOf(usize),
    /// A bracket before the text of a link, with the number of the unit that is the target: `](docs/a.md)`.
    Link(usize),
}

impl Marks {
    /// Finds the marks among the units of the `segments` that `of` gives for each.
    pub(super) fn of(text: &str, units: &[Unit], segments: &[Segment], of: &[Range<usize>]) -> Self {
        let mut marks: Vec<(usize, Kind)> = Vec::new();
        // Brackets that are open, with their segments.
        let mut open: Vec<(Half, usize, char)> = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            let core = &text[unit.core.clone()];
            if !segments[of[i].start].kind.goes_by_words() {
                continue;
            }
            if core.starts_with("](") || core.starts_with("][") {
                if let Some(Half::Mark(place)) = close(&mut open, of[i].start, '[') {
                    marks[place].1 = Kind::Link(i);
                }
                continue;
            }
            let own = of[i].start;
            let mut chars = core.chars();
            let (first, rest) = (chars.next(), chars.as_str());
            let Some(mark) = first.filter(|_| rest.is_empty()) else {
                for (closes, bracket) in half_brackets(core) {
                    if !closes {
                        push(&mut open, (Half::Within(i), own, bracket));
                    } else if let Some(Half::Mark(place)) = close(&mut open, own, bracket) {
                        marks[place].1 = Kind::HalfOf(i);
                    }
                }
                continue;
            };
            match (opening(mark), mark) {
                (Some(bracket), _) => match close(&mut open, own, bracket) {
                    Some(Half::Mark(place)) => marks[place].1 = Kind::Opening(i),
                    Some(Half::Within(other)) => marks.push((i, Kind::HalfOf(other))),
                    None => {}
                },
                (None, '(' | '（' | '[') => {
                    push(&mut open, (Half::Mark(marks.len()), own, mark));
                    marks.push((i, Kind::Opening(i)));
                }
                _ if is_between(mark) => marks.push((i, Kind::Between)),
                _ => {}
            }
        }
        Self { marks }
    }
}

/// A bracket that is open: by its place among the marks, or by the longer unit that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Mark(usize),
    Within(usize),
}

/// Most brackets that are passed over for one that nothing closes.
const MOST_OPEN: usize = 8;

/// Adds a bracket to those that are `open`, which all lie in one segment.
fn push(open: &mut Vec<(Half, usize, char)>, bracket: (Half, usize, char)) {
    if open.last().is_some_and(|(_, segment, _)| *segment != bracket.1) {
        open.clear();
    }
    open.push(bracket);
}

/// Takes the last of the brackets that are `open` in a segment and that `bracket` is like, with those behind it.
fn close(open: &mut Vec<(Half, usize, char)>, segment: usize, bracket: char) -> Option<Half> {
    let from = open.len().saturating_sub(MOST_OPEN);
    let last = from + open[from..].iter().rposition(|&(_, own, c)| own == segment && c == bracket)?;
    open.drain(last..).next().map(|(half, ..)| half)
}

/// The bracket that opens what a mark closes.
const fn opening(mark: char) -> Option<char> {
    match mark {
        ')' => Some('('),
        '）' => Some('（'),
        ']' => Some('['),
        _ => None,
    }
}

/// The brackets of a unit of which the other half lies outside, by the one that opens, and whether they close that.
fn half_brackets(core: &str) -> Vec<(bool, char)> {
    let mut halves: Vec<(bool, char)> = Vec::new();
    for mark in core.chars() {
        if let Some(bracket) = opening(mark) {
            if halves.pop_if(|last| *last == (false, bracket)).is_none() {
                halves.push((true, bracket));
            }
        } else if matches!(mark, '(' | '（' | '[') {
            halves.push((false, mark));
        }
    }
    halves
}

/// Returns whether a mark stands between words or behind them, and says nothing where they are gone.
fn is_between(mark: char) -> bool {
    is_terminal(mark)
        || matches!(
            mark,
            ',' | ';' | ':' | '-' | '–' | '—' | '·' | '/' | '、' | '，' | '；' | '：' | '،' | '؛'
        )
}

impl Structure {
    /// Takes marks of prose out of what is `kept` where everything that they stand behind or around is left out: of
    /// several with nothing left between them the last one stays. None goes that is `required`.
    pub(in crate::compress) fn drop_loose_marks(
        &self,
        text: &str,
        units: &[Unit],
        required: &[bool],
        kept: &mut [bool],
    ) {
        let is_there = |&(i, kind): &(usize, Kind)| {
            kept[i] || matches!(kind, Kind::Link(other) | Kind::HalfOf(other) if kept[other])
        };
        if !self.marks.marks.iter().any(is_there) {
            return;
        }
        let before = kept.to_vec();
        self.empty_brackets(required, kept);
        self.drop_repeated(text, units, required, kept);
        self.marked.drop_alone(required, kept);
        // Something must stay of what something was kept of, be it a mark.
        if !kept.contains(&true) {
            kept.copy_from_slice(&before);
        }
    }

    /// Takes out marks that begin what is left of a sentence, and those that others stand right behind.
    fn drop_repeated(&self, text: &str, units: &[Unit], required: &[bool], kept: &mut [bool]) {
        let (mut word, mut last, mut at): (Option<usize>, Option<usize>, usize) = (None, None, 0);
        for &(i, kind) in &self.marks.marks {
            if let Some(found) = kept[at..i].iter().rposition(|kept| *kept) {
                (word, last) = (Some(at + found), None);
            }
            at = i + 1;
            if !kept[i] {
                continue;
            }
            if kind != Kind::Between {
                (word, last) = (Some(i), None);
                continue;
            }
            let first = self.members[self.of[i].start].start;
            let follows_gap = i > 0 && !kept[i - 1];
            let is_alone = word.is_none_or(|word| word < first);
            let ended = |word: usize| units[word].core.len() > 1 && ends(text, &units[word]);
            if !required[i] && i > first && follows_gap {
                let doubles = last.is_none() && word.is_some_and(ended) && ends(text, &units[i]);
                if is_alone || doubles {
                    kept[i] = false;
                    continue;
                }
                if let Some(before) = last.filter(|&before| before >= first && !required[before]) {
                    kept[before] = false;
                }
            }
            last = Some(i);
        }
    }

    /// Takes out brackets of which the inside or the other half is left out.
    fn empty_brackets(&self, required: &[bool], kept: &mut [bool]) {
        let mut before: Option<usize> = None;
        for &(i, kind) in self.marks.marks.iter().rev() {
            let end = match kind {
                Kind::Opening(end) => end,
                Kind::HalfOf(other) => {
                    kept[i] = kept[other] || required[i];
                    continue;
                }
                // What is left of the text of a link may stand without the target, but not the other way round.
                Kind::Link(end) if kept[end] && kept[i + 1..end].contains(&true) => {
                    kept[i] = true;
                    continue;
                }
                Kind::Link(end) => {
                    for part in [i, end] {
                        kept[part] &= required[part];
                    }
                    continue;
                }
                Kind::Between => continue,
            };
            let is_pair = end > i && kept[i] && kept[end];
            // The inside of each pair is looked at once: where another lies within, that has been asked.
            let nested = before.is_some_and(|inner| inner < end);
            before = Some(i);
            let filled = nested || end <= i + 1 || kept[i + 1..end].contains(&true);
            let free = !required[i] && !required[end];
            if free && end > i && ((is_pair && !filled) || kept[i] != kept[end]) {
                (kept[i], kept[end]) = (false, false);
            }
        }
    }
}

/// Returns whether a unit, a mark by itself or a word with one, ends a sentence.
fn ends(text: &str, unit: &Unit) -> bool {
    text[unit.core.clone()].ends_with(is_terminal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Granularity, Protection, Protector, segments};

    /// Returns what is left of the units that are `chosen`, with a space between any two.
    fn left(text: &str, chosen: &[&str]) -> String {
        let mut spans = Protector::new(&[Protection::Urls], &[]).unwrap().spans(text);
        left_of(text, &mut spans, chosen)
    }

    /// [`left`] with the protected spans given.
    fn left_of(text: &str, spans: &mut Vec<Range<usize>>, chosen: &[&str]) -> String {
        let (structure, units) = Structure::of(text, segments(text), spans, Granularity::Token);
        let core = |unit: &Unit| &text[unit.core.clone()];
        let mut kept: Vec<bool> = units.iter().map(|unit| chosen.contains(&core(unit))).collect();
        structure.drop_loose_marks(text, &units, &vec![false; kept.len()], &mut kept);
        let left = units.iter().zip(kept).filter(|(_, kept)| *kept).map(|(unit, _)| core(unit));
        left.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_link_has_both_its_brackets_or_none() {
        let text = "See [the old map](docs/map.md) and [a note][n], too.";
        for (chosen, want) in [
            (&["See", "old", "](docs/map.md)", "."][..], "See [ old ](docs/map.md) ."),
            (&["See", "[", "map", "."], "See map ."),
            (&["See", "](docs/map.md)", "."], "See ."),
            (&["[", "](docs/map.md)", "note", "][n]"], "[ note ][n]"),
        ] {
            assert_eq!(left(text, chosen), want);
        }
    }

    #[test]
    fn no_mark_is_left_where_its_words_are_gone() {
        assert_eq!(left("Notice is long, but it ended: late.", &["Notice", ",", ":", "."]), "Notice .");
        assert_eq!(left("鍵は青い、箱は赤い。", &["鍵", "、", "。"]), "鍵 。");
        assert_eq!(left("It is here (see below). He left.", &["It", "(", ")", ".", "He"]), "It . He .");
        assert_eq!(left("One two. Three four, five.", &["One", ",", "."]), "One .");
        assert_eq!(left("Really?! Yes, (a b) no.", &["Really", "?", "!", "(", "b", ")"]), "Really ? ! ( b )");
        assert_eq!(left("One, two.", &[","]), ",", "something stays");
    }

    #[test]
    fn a_bracket_goes_with_the_longer_unit_that_closes_it() {
        let text = "It is [old (as he, not she) says] now.";
        let not = "as he, not she)";
        let left = |chosen: &[&str]| {
            let mut spans = vec![text.find(not).map(|at| at..at + not.len()).unwrap()];
            left_of(text, &mut spans, chosen)
        };
        assert_eq!(left(&["It", not]), "It ( as he, not she)");
        assert_eq!(left(&["It", "(", "["]), "It");
        assert_eq!(left(&["It", "[", "says", "]"]), "It [ says ]");
    }
}
