//! Folds of texts by lines.

use std::collections::HashMap;

use super::Folded;

/// Opens and closes a mark. A text that has them already gets no marks.
const OPEN: char = '⟪';
const CLOSE: char = '⟫';
/// Fewest bytes that a mark stands for.
const LEAST: usize = 48;
/// Earlier places of a line that are looked at. Bounds the time for texts that repeat one line.
const PLACES: usize = 16;
/// Longest block that is looked for right above its copy.
const LONGEST_PERIOD: usize = 32;
/// Most bytes that marks unfold to: a mark of a few bytes can ask for any number of copies.
const MOST_UNFOLDED: usize = 256 << 20;

/// The folded forms of `text`.
pub(super) fn forms(text: &str) -> Vec<Folded> {
    let mut forms = vec![one_blank(text)];
    if !text.contains([OPEN, CLOSE]) {
        forms.push(repeats(text));
        let blank = one_blank(text);
        let both = repeats(&blank.text);
        let kept = both.kept.into_iter().flat_map(|range| blank.original(range)).collect();
        forms.push(Folded { text: both.text, kept });
    }
    forms
}

impl Folded {
    /// Returns the original ranges of a range of this text, all slices.
    fn original(&self, range: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
        let mut at = 0;
        let mut found = Vec::new();
        for kept in &self.kept {
            let (start, end) = (range.start.max(at), range.end.min(at + kept.len()));
            if start < end {
                found.push(kept.start + start - at..kept.start + end - at);
            }
            at += kept.len();
        }
        found
    }
}

/// `text` with each run of blank lines as one, an empty line.
pub(super) fn one_blank(text: &str) -> Folded {
    let mut folded = Folded::default();
    let (mut at, mut blank) = (0, 0);
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let is_blank = line.ends_with('\n') && line.trim().is_empty();
        blank = if is_blank { blank + 1 } else { 0 };
        match blank {
            0 => folded.slice(text, range),
            1 => folded.slice(text, range.end - 1..range.end),
            _ => {}
        }
    }
    folded
}

/// The form that lines take in a folded text.
enum Fold {
    /// The `period` lines above so many times more.
    Above { period: usize, times: usize },
    /// The lines from this one on once more.
    Again { start: usize, lines: usize },
}

impl Fold {
    fn lines(&self) -> usize {
        match self {
            Self::Above { period, times } => period * times,
            Self::Again { lines, .. } => *lines,
        }
    }

    fn mark(&self) -> String {
        match *self {
            Self::Above { period: 1, times } => format!("{OPEN}the line above {times} times more{CLOSE}\n"),
            Self::Above { period, times } => {
                format!("{OPEN}the {period} lines above {times} times more{CLOSE}\n")
            }
            Self::Again { start, lines: 1 } => format!("{OPEN}line {} again{CLOSE}\n", start + 1),
            Self::Again { start, lines } => {
                format!("{OPEN}lines {}-{} again{CLOSE}\n", start + 1, start + lines)
            }
        }
    }

    /// Parses the marker on `line`, which has so many lines before it.
    fn parse(line: &str, before: usize) -> Option<Self> {
        let inside = line.strip_suffix('\n')?.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
        let number = |text: &str| text.parse::<usize>().ok().filter(|&n| n > 0);
        if let Some(rest) = inside.strip_prefix("the ") {
            let (period, times) = rest.strip_suffix(" times more")?.split_once(" above ")?;
            let period = if period == "line" { 1 } else { number(period.strip_suffix(" lines")?)? };
            return (period <= before).then_some(Self::Above { period, times: number(times)? });
        }
        let again = inside.strip_suffix(" again")?;
        let (start, end) = if let Some(line) = again.strip_prefix("line ") {
            (number(line)?, number(line)?)
        } else {
            let (start, end) = again.strip_prefix("lines ")?.split_once('-')?;
            (number(start)?, number(end)?)
        };
        (start <= end && end <= before).then(|| Self::Again { start: start - 1, lines: end + 1 - start })
    }
}

/// `text` with marks in place of lines that stood before.
fn repeats(text: &str) -> Folded {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut folded = Folded::default();
    let (mut at, mut i) = (0, 0);
    while i < lines.len() {
        let fold =
            above(&lines, i).or_else(|| again(&lines, i, places.get(lines[i]).map_or(&[], Vec::as_slice)));
        let n = fold.as_ref().map_or(1, Fold::lines);
        let end = at + lines[i..i + n].iter().map(|line| line.len()).sum::<usize>();
        match fold {
            Some(fold) => folded.mark(&fold.mark()),
            None => folded.slice(text, at..end),
        }
        for (place, line) in lines.iter().enumerate().skip(i).take(n) {
            let known = places.entry(line).or_default();
            if known.len() < PLACES {
                known.push(place);
            }
        }
        (at, i) = (end, i + n);
    }
    folded
}

/// Returns a fold if the lines from `at` on repeat those right above.
fn above(lines: &[&str], at: usize) -> Option<Fold> {
    (1..=LONGEST_PERIOD.min(at)).find_map(|period| {
        if lines[at] != lines[at - period] {
            return None;
        }
        let same = (at..lines.len()).take_while(|&i| lines[i] == lines[i - period]).count();
        let times = same / period;
        let bytes: usize = lines[at..at + times * period].iter().map(|line| line.len()).sum();
        (times > 0 && bytes >= LEAST).then_some(Fold::Above { period, times })
    })
}

/// The longest copy of earlier lines, which began at one of `places`.
fn again(lines: &[&str], at: usize, places: &[usize]) -> Option<Fold> {
    let same = |&start: &usize| {
        let n = (0..at - start).take_while(|&n| lines.get(at + n) == Some(&lines[start + n])).count();
        (n, start)
    };
    let (n, start) = places.iter().map(same).max_by_key(|&(n, start)| (n, std::cmp::Reverse(start)))?;
    let bytes: usize = lines[at..at + n].iter().map(|line| line.len()).sum();
    (bytes >= LEAST).then_some(Fold::Again { start, lines: n })
}

/// `text` with the lines that its marks stand for.
pub(super) fn unfold(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        let fold = Fold::parse(line, lines.len());
        let (start, period, times) = match fold {
            Some(Fold::Above { period, times }) => (lines.len() - period, period, times),
            Some(Fold::Again { start, lines }) => (start, lines, 1),
            None => (0, 0, 0),
        };
        let block = lines[start..start + period].iter().map(|line| line.len()).sum::<usize>();
        let more = block.max(1).saturating_mul(times);
        if times == 0 || bytes + more > MOST_UNFOLDED {
            lines.push(line);
            bytes += line.len();
            continue;
        }
        bytes += more;
        for _ in 0..times {
            lines.extend_from_within(start..start + period);
        }
    }
    lines.concat()
}
